"""Threads with their own event loops, and the same models at any time: each resolve is as if it were alone.

The graph of plans has a lock. The law shakes everything else that resolves share, too: what is kept with a subtree,
the values of parameters, Pydantic's adapters, weak references to classes that are collected meanwhile.
"""

import asyncio
import gc
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Annotated, Any, Generic, Optional, TypeVar

import pytest
from pydantic import BaseModel, create_model

from dloader import DataLoader, PlanError
from dloader.resolver import Collector, ExposeAs, Load, LoaderDepend, Resolver, SendTo
from dloader.resolver._plan._model_graph import ModelGraph

THREADS = 3
T = TypeVar("T")
calls: ContextVar[Counter[str]] = ContextVar("calls")
"""How often the batch functions were called in one resolve."""


class Page(BaseModel, Generic[T]):
    items: list[T] = []
    first: T | None = None


class Answers(DataLoader[int, int]):
    """Adds a parameter, which is also a class of its own kind."""

    plus: int

    async def batch_load_fn(self, keys):
        calls.get()["answers"] += 1
        return [key + self.plus for key in keys]


@contextmanager
def switching(seconds: float) -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(seconds)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


class Family:
    """Classes that hold and load each other, made at random; each node counts what it has found."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.classes: list[Any] = []
        for number in range(self.chance.randint(3, 6)):
            self.classes.append(self._class(f"Class{number}"))

    def _class(self, name: str) -> Any:
        chance, fields = self.chance, dict[str, Any](id=(int, ...), key=(int, 0))
        methods: dict[str, Any] = {}
        loader = self._loader(name)
        for number, kind in enumerate(chance.sample(self.classes, min(len(self.classes), 2))):
            held = chance.choice([kind, Optional[kind], Page[kind]])
            if chance.random() < 0.7:
                load = Load(self._loader(f"{name}-{number}", is_page=held is Page[kind]), by="key")
                fields[f"loaded{number}"] = (Annotated[Optional[held], load], None)
            else:
                fields[f"given{number}"] = (list[held], [])
        if chance.random() < 0.5:
            fields["again"] = (Annotated[Optional[name], Load(loader, by="key")], None)
        if chance.random() < 0.6:
            fields["answer"] = (Annotated[Optional[int], Load(Answers, by="id"), SendTo("answers")], None)
        if chance.random() < 0.4:
            fields["seen"] = (Annotated[int, ExposeAs("seen")], 0)
            fields["above"] = (int, 0)
            methods["resolve_above"] = lambda self, ancestor_context: ancestor_context.get("seen", 0)
        if chance.random() < 0.4:
            fields["answers"] = (list[Any], [])
            methods["post_answers"] = lambda self, found=Collector("answers"): found.values()
        if chance.random() < 0.4:
            fields["late"] = (int, 0)
            methods["post_late"] = lambda self, loader=LoaderDepend(Answers): loader.load(self.key)
        made = create_model(name, __module__=__name__, **fields)
        return type(name, (made,), {"__module__": __name__, **methods})

    def _loader(self, name: str, is_page: bool = False) -> Callable[[list[int]], Any]:
        async def load(keys):
            calls.get()[name] += 1
            if len(name) % 2:
                await asyncio.sleep(0)
            rows = [{"id": key, "key": key - 1} if key > 0 else None for key in keys]
            return [{"items": [row], "first": row} if row else None for row in rows] if is_page else rows

        load.__qualname__ = name
        return load

    def resolved(self, resolver: Resolver) -> tuple[Any, Counter[str]]:
        """What a tree becomes, and what was called for it."""

        async def resolve() -> tuple[Any, Counter[str]]:
            calls.set(Counter())
            roots = [cls(id=number, key=3) for number, cls in enumerate(self.classes)]
            for root in roots:
                for name, held in list(vars(root).items()):
                    if name.startswith("given") and held == []:
                        setattr(root, name, self._given(type(root), name))
            await resolver.resolve(roots)
            return [root.model_dump() for root in roots], calls.get()

        return asyncio.run(resolve())

    def _given(self, cls: Any, name: str) -> list[Any]:
        (held,) = cls.model_fields[name].annotation.__args__
        kinds = [kind for kind in self.classes if kind is held or kind in getattr(held, "__args__", ())]
        return [kind(id=5, key=2) for kind in kinds]


class Alone(Resolver):
    """A resolver whose graph is its own."""


def alone(seed: int) -> tuple[Any, Counter[str]]:
    resolver = Alone(global_loader_param={"plus": 1})
    resolver._graph = ModelGraph()
    return Family(seed).resolved(resolver)


@pytest.mark.in_full
class TestThreads:
    @pytest.mark.parametrize("shares_resolver", [False, True])
    @pytest.mark.parametrize("seed", range(8))
    def test_first_resolves_at_the_same_time_are_as_if_each_were_alone(self, seed, shares_resolver):
        """Their answers and their calls; and so is a later one, whatever the first have left behind."""
        expected = alone(seed)
        family = Family(seed)
        start = threading.Barrier(THREADS)
        shared = Resolver(global_loader_param={"plus": 1})

        def work(_: object) -> list[Any]:
            start.wait()
            resolvers = [
                shared if shares_resolver else Resolver(global_loader_param={"plus": 1}) for _ in range(3)
            ]
            return [family.resolved(resolver) for resolver in resolvers]

        with switching(1e-6), ThreadPoolExecutor(THREADS) as pool:
            for found in pool.map(work, range(THREADS)):
                assert found == [expected] * 3
        assert family.resolved(shared) == expected

    def test_plans_are_collected_and_mistakes_found_meanwhile(self):
        """Trees of classes that stay, trees of classes that go, mistakes, collections: each in a thread of its own."""
        expected = {seed: alone(seed) for seed in range(2)}
        lasting = {seed: Family(seed) for seed in expected}
        resolver = Resolver(global_loader_param={"plus": 1})
        is_over = threading.Event()

        def fill_lasting() -> None:
            for _ in range(2):
                for seed, family in lasting.items():
                    assert family.resolved(resolver) == expected[seed]

        def fill_temporary() -> None:
            for _ in range(2):
                for seed, found in expected.items():
                    assert Family(seed).resolved(Resolver(global_loader_param={"plus": 1})) == found

        def meet_mistakes() -> None:
            load = Load(Answers, by="missing")
            mistakes = [
                create_model("Mistaken", answer=(Annotated[int | None, load], None)) for _ in range(5)
            ]
            while not is_over.is_set():
                with pytest.raises(PlanError, match="missing"):
                    asyncio.run(resolver.resolve([mistaken() for mistaken in mistakes]))

        def collect() -> None:
            while not is_over.is_set():
                gc.collect(1)  # the old would take most of the time; the classes that go are young

        with switching(1e-6), ThreadPoolExecutor(4) as pool:
            fillers = [pool.submit(fill_lasting), pool.submit(fill_temporary)]
            others = [pool.submit(meet_mistakes), pool.submit(collect)]
            try:
                for filler in fillers:
                    filler.result()
            finally:
                is_over.set()
            for other in others:
                other.result()


class Announcing:
    """A lock that says when somebody has to wait for it."""

    def __init__(self, lock: Any) -> None:
        self._lock = lock
        self.held_back = threading.Event()

    def acquire(self, blocking: bool = True) -> bool:
        if self._lock.acquire(blocking=False):
            return True
        if not blocking:
            return False
        self.held_back.set()
        return self._lock.acquire()

    def release(self) -> None:
        self._lock.release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


ASKED: dict[str, Callable[[ModelGraph, type], object]] = {
    "plan": lambda graph, cls: graph.plan(cls),
    "subtree": lambda graph, cls: graph.subtree(cls),
    "refresh": lambda graph, cls: graph.refresh(cls),
    "levels": lambda graph, cls: graph.loaders_at([cls], 3),
    "forget": lambda graph, _: graph.forget_with_problems(),
}
waits = threading.local()
"""What each thread does when it evaluates an annotation."""


def wait_here() -> type:
    getattr(waits, "pause", int)()
    return int


class Slow(BaseModel):
    """Takes as long to compile as the thread that compiles it likes."""

    id: int = 0
    below: list["Slow"] = []

    def resolve_id(self, seed: "wait_here()" = 1): ...


class TestTheLock:
    """One thread is held in the midst of something, and the other comes to the graph: it waits, whatever it wants."""

    @pytest.mark.parametrize("asked", ASKED)
    @pytest.mark.parametrize("makes", [name for name in ASKED if name != "forget"])
    def test_whoever_comes_while_something_is_made_waits_for_it(self, makes, asked):
        """A plan that two threads make at once would be two; one that is forgotten in the making would stay."""
        graph = ModelGraph()
        graph._lock = lock = Announcing(graph._lock)
        is_making = threading.Event()
        compiled: list[str] = []

        def pause() -> None:
            compiled.append("first")
            is_making.set()
            assert lock.held_back.wait(10), "the other thread went on in the midst of it"

        def make() -> None:
            waits.pause = pause
            ASKED[makes](graph, Slow)

        def ask() -> None:
            waits.pause = lambda: compiled.append("second")
            assert is_making.wait(10)
            ASKED[asked](graph, Slow)

        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(make), pool.submit(ask)]:
                done.result()
        assert compiled == ["first"]
        assert graph.plan(Slow) is graph.refresh(Slow).plan

    @pytest.mark.parametrize("asked", ["plan", "subtree", "refresh", "levels"])
    def test_a_collection_in_the_midst_of_something_forgets_nothing_and_waits_for_nobody(self, asked):
        """It comes at any moment, in any thread, also in the one that has the lock."""
        graph, found = ModelGraph(), []

        def pause() -> None:
            graph.forget_temporary()
            with ThreadPoolExecutor(1) as pool:
                found.append(pool.submit(graph.forget_temporary).result(10))

        waits.pause = pause
        try:
            ASKED[asked](graph, Slow)
            assert graph.plan(Slow) is graph.plan(Slow)
        finally:
            del waits.pause
        assert found == [None]
