"""The benchmarks work; what they measure is counted here and never timed: batches, futures, tasks, turns."""

import asyncio
import gc
import importlib
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT))

from benchmarks import loader_ways, resolver_data, resolver_nodes, resolver_trees  # noqa: E402
from benchmarks.contest import SMOKE  # noqa: E402
from benchmarks.harness import DifferentOutputsError, Mode, measure, modes  # noqa: E402
from benchmarks.libraries import DLOADER  # noqa: E402
from benchmarks.shape import Contestant, Shape  # noqa: E402
from dloader import DataLoader, eager  # noqa: E402

GROUPS = ["loader", "resolver", "latency", "database"]


class TestShapes:
    """Every contestant that is installed does the work of every shape."""

    @pytest.mark.parametrize("group", GROUPS)
    def test_all_contestants_give_the_same(self, group: str) -> None:
        if group == "database":
            pytest.importorskip("sqlalchemy")
        shapes = importlib.import_module(f"benchmarks.shapes_{group}").shapes(SMOKE)
        measured = [measure(shape, SMOKE, modes()[:1]) for shape in shapes]
        assert all(result.samples for result in measured)

    def test_contestants_that_give_something_else_are_found_out(self) -> None:
        async def one(_: object) -> int:
            return 1

        async def two(_: object) -> int:
            return 2

        shape = Shape("group", "name", 1, "unit", [Contestant("one", one), Contestant("two", two)])
        with pytest.raises(DifferentOutputsError, match="two: 2"):
            measure(shape, SMOKE, [Mode("asyncio", gc=True)])


class CountingLoop(asyncio.SelectorEventLoop):
    """An event loop that counts its turns."""

    turns = 0

    def _run_once(self) -> None:
        self.turns += 1
        super()._run_once()  # type: ignore[misc]


@dataclass
class Counts:
    """What there was when the last batch function was called, and in all."""

    batches: int = 0
    futures: int = 0
    tasks: int = 0
    turns: int = 0

    def look(self) -> None:
        """Count what is waited for now: futures that are no tasks, and tasks."""
        self.batches += 1
        waiting = [found for found in gc.get_objects() if isinstance(found, asyncio.Future)]
        self.futures = sum(not found.done() and not isinstance(found, asyncio.Task) for found in waiting)
        self.tasks = len(asyncio.all_tasks())


def counted(work: Callable[[Counts], Coroutine[Any, Any, Any]]) -> Counts:
    """Do some work on a loop of its own and count."""
    counts = Counts()

    async def counting() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, CountingLoop)
        before = loop.turns
        await work(counts)
        counts.turns = loop.turns - before

    gc.collect()
    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        runner.run(counting())
    return counts


def asking(ask: Callable[[Any, list[int]], Any], count: int, **options: Any) -> Counts:
    """Ask a new loader for that many keys, in one of the ways of the benchmarks."""

    async def work(counts: Counts) -> None:
        async def fetch(keys: list[int]) -> list[int]:
            counts.look()
            return await loader_ways.fetch(keys)

        keys = list(range(count))
        assert await ask(DataLoader(fetch, **options), keys) == [key + 1 for key in keys]

    return counted(work)


class TestLoaderCounts:
    """What a loader makes beside what the floors make."""

    def test_a_gather_of_loads_makes_one_batch_and_a_future_per_load(self) -> None:
        few, many = asking(loader_ways.gathered, 10), asking(loader_ways.gathered, 110)
        assert few.batches == many.batches == 1
        assert many.futures - few.futures == 100
        assert few.tasks == many.tasks == 2  # the caller's and the batch's
        assert few.turns == many.turns

    def test_one_task_per_load_makes_one_batch_and_a_future_per_load(self) -> None:
        few, many = asking(loader_ways.in_tasks, 10), asking(loader_ways.in_tasks, 110)
        assert few.batches == many.batches == 1
        assert many.futures - few.futures == many.tasks - few.tasks == 100
        assert few.turns == many.turns

    def test_load_many_makes_one_future_however_many_keys(self) -> None:
        few, many = asking(loader_ways.as_a_set, 10), asking(loader_ways.as_a_set, 110)
        assert few == many
        assert (many.batches, many.futures, many.tasks) == (1, 1, 2)

    def test_cached_hits_take_no_turn_of_the_loop(self) -> None:
        async def twice(loader: Any, keys: list[int]) -> list[int]:
            await loader.load_many(keys)
            return [await loader.load(key) for key in keys] if again else [key + 1 for key in keys]

        again = False
        once = asking(twice, 100)
        again = True
        assert asking(twice, 100) == once

    def test_a_sequential_load_takes_few_turns(self) -> None:
        def turns(**options: Any) -> float:
            few, many = (asking(loader_ways.one_after_another, count, **options) for count in (10, 110))
            assert many.batches - few.batches == 100
            return (many.turns - few.turns) / 100

        assert turns() <= 8
        assert turns(dispatch=eager()) <= 3


def resolving(roots: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> Counts:
    """Resolve a tree of the benchmarks."""

    async def work(counts: Counts) -> None:
        def watched(query: Any) -> Any:
            async def fetch(keys: list[int]) -> Any:
                counts.look()
                return await query(keys)

            return fetch

        with monkeypatch.context() as patch:
            for name in ("offices_of", "members_of", "owners", "items_of"):
                patch.setattr(f"benchmarks.resolver_loaders.{name}", watched(getattr(resolver_data, name)))
            await DLOADER.resolve(roots())

    return counted(work)


class TestResolverCounts:
    """What a resolve makes, whatever the size of its tree."""

    @pytest.mark.parametrize(
        "model",
        [
            pytest.param(lambda: resolver_trees.tree(DLOADER), id="sync"),
            pytest.param(resolver_trees.declared_tree, id="Load"),
            pytest.param(lambda: resolver_trees.posting_tree(DLOADER), id="posts"),
        ],
    )
    def test_a_tree_takes_one_batch_per_level_and_no_task_per_node(
        self, model: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def roots(nodes: int) -> Any:
            return lambda: [model()(**row) for row in resolver_data.companies(nodes)]

        few, many = (resolving(roots(nodes), monkeypatch) for nodes in (111, 999))
        assert few.batches == many.batches == 2
        assert few.tasks == many.tasks == 2
        assert few.turns == many.turns

    def test_load_makes_one_future_per_level(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def roots(count: int) -> Any:
            model = resolver_nodes.declared_task()
            return lambda: [model(id=number, owner_id=number) for number in range(count)]

        few, many = resolving(roots(10), monkeypatch), resolving(roots(110), monkeypatch)
        assert few == many
        assert few.futures <= 2  # the set's, and what the engine waits with

    def test_async_methods_make_one_task_each(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def roots(count: int) -> Any:
            model = resolver_nodes.async_task(DLOADER)
            return lambda: [model(id=number, owner_id=number) for number in range(count)]

        few, many = resolving(roots(10), monkeypatch), resolving(roots(110), monkeypatch)
        assert few.batches == many.batches == 1
        assert many.tasks - few.tasks == 100
        assert few.turns == many.turns
