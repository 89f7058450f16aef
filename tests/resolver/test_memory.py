"""What is freed: classes made at run time, trees, loaders."""

import asyncio
import gc
import weakref
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Generic, Optional, TypeVar

import pytest
from counting import without_collector
from loops import turns
from pydantic import AfterValidator, BaseModel, field_validator
from resolving import Source

from dloader import DataLoader
from dloader.resolver import Load, LoaderDepend, Resolver
from dloader.resolver._plan._model_graph import model_graph

T = TypeVar("T")
source = Source(str)


class Base(BaseModel):
    id: int = 1
    below: list["Base"] = []
    base: Annotated[str, Load(source, by="id")] = ""


class Numbered(BaseModel):
    id: int
    x: int = 0


async def fail(keys):
    raise ValueError(keys)


async def fail_for_each(keys):
    return [ValueError(key) for key in keys]


async def fit_not(keys):
    return [{"id": "none"} for _ in keys]


def raises(self):
    raise ValueError(self.id)


def gives_no_number(self):
    return "none"


def stops(self):
    return next(iter(()))


def fails_to_load(self, loader=LoaderDepend(fail)):
    return loader.load(self.id)


async def fails_at_once(self):
    raise ValueError(self.id)


async def fails_later(self):
    await turns(1)
    raise ValueError(self.id)


async def fails_while_others_run(self):
    if self.id < 2:
        await turns(3)
    raise ValueError(self.id)


async def fails_to_load_many(self, loader=LoaderDepend(fail_for_each)):
    return await loader.load_many([self.id, 7])


FAILING = [
    raises,
    gives_no_number,
    stops,
    fails_to_load,
    fails_at_once,
    fails_later,
    fails_while_others_run,
    fails_to_load_many,
]


def simple():
    class Node(BaseModel):
        id: int = 1
        name: str = ""

        def resolve_name(self, loader=LoaderDepend(Source(str))):
            return loader.load(self.id)

    return Node, Node()


def recursive():
    class Node(BaseModel):
        id: int = 1
        below: list["Node"] = []
        one: "Node | None" = None  # typing would cache Optional["Node"]

        def resolve_one(self):
            return Node(id=2) if self.id == 1 else None

    return Node, Node(below=[Node(id=3)])


def generic():
    class Page(BaseModel, Generic[T]):
        items: list[T]
        size: int = 0

        def post_size(self):
            return len(self.items)

    class Item(BaseModel):
        size: int = 0

        def resolve_size(self):
            return 1

    return Page, Page[Item](items=[Item()])


def validated():
    class Node(BaseModel):
        value: Annotated[int, AfterValidator(lambda value, info: value)] = 0
        other: int = 0

        @field_validator("other")
        @classmethod
        def check(cls, value):
            return value

        def resolve_value(self):
            return 1

        def resolve_other(self):
            return 1

    return Node, Node()


def subclass():
    class Node(Base):
        name: str = ""

        def resolve_name(self):
            return "x"

    return Node, Base(below=[Node()])


def data():
    @dataclass
    class Node:
        value: int = 0

        def resolve_value(self):
            return 1

    return Node, [Node()]


class TestClasses:
    """Plans are kept as long as their classes, and keep no class alive that nobody else does."""

    @pytest.mark.parametrize("make", [simple, recursive, generic, validated, subclass, data])
    def test_classes_made_at_run_time_are_freed(self, run, make):
        """By as many collections as without a resolver: one, or two where Pydantic's own caches hold them."""

        async def law(resolving):
            cls, tree = make()
            if resolving:
                await Resolver().resolve(tree)
                await Resolver().resolve(Base())
            return weakref.ref(cls)

        def collections(reference):
            return next((count for count in range(1, 4) if gc.collect() >= 0 and reference() is None), None)

        alone = collections(run(law, False))
        if alone is None:
            pytest.skip("this Pydantic never frees such a class")
        assert (collections(run(law, True)) or 9) <= alone

    def test_a_collection_during_a_resolve_harms_nothing(self, run):
        """Plans in use go on, and are compiled again for what comes later."""

        class Node(BaseModel):
            id: int
            below: Optional["Node"] = None
            name: Annotated[str, Load(source, by="id")] = ""

            async def resolve_below(self):
                gc.collect()
                return Node(id=self.id - 1) if self.id else None

        async def law():
            node = await Resolver().resolve(Node(id=3))
            assert node.below.below.below.name == "0"

        run(law)

    def test_plans_of_lasting_classes_are_kept(self, run):
        """A class that a module holds is compiled once."""

        async def law():
            await Resolver().resolve(Base())

        run(law)
        plan = model_graph.plan(Base)
        gc.collect()
        assert model_graph.plan(Base) is plan

    @pytest.mark.parametrize("kind", [BaseModel, object, Base], ids=["model", "dataclass", "subclass"])
    @pytest.mark.parametrize("nested", [False, True])
    def test_classes_that_are_defined_anew_are_freed(self, kind, nested):
        """As in a notebook, or by a reload: the module holds the latest alone."""

        def define():
            members = {"__module__": __name__, "__annotations__": {"value": int}, "value": 0}
            made = type("Latest", (kind,), {**members, "resolve_value": lambda self: 1})
            made = dataclass(made) if kind is object else made
            if nested:
                made.__qualname__, members = "Outer.Latest", {"Latest": made, "__module__": __name__}
                globals()["Outer"] = type("Outer", (), members)
            else:
                globals()["Latest"] = made
            assert asyncio.run(Resolver().resolve(made())).value == 1
            return weakref.ref(made)

        try:
            references = [define() for _ in range(4)]
            plan = model_graph.plan(references[-1]())
            for _ in range(3):
                gc.collect()
            assert [reference() is None for reference in references] == [True, True, True, False]
            assert model_graph.plan(references[-1]()) is plan
        finally:
            globals().pop("Outer" if nested else "Latest")

    def test_a_resolver_keeps_no_classes_alive(self):
        """Neither models nor loader classes that were made at run time."""
        resolver = Resolver(global_loader_param={"size": 1})

        def made():
            class Sized(DataLoader):
                size: int

                async def batch_load_fn(self, keys):
                    return keys

            class Model(BaseModel):
                id: int
                value: int = 0

                def resolve_value(self, loader=LoaderDepend(Sized)):  # typing's cache would keep an Annotated
                    return loader.load(self.id)

            assert asyncio.run(resolver.resolve(Model(id=3))).value == 3
            return weakref.ref(Sized), weakref.ref(Model)

        references = made()
        resolver.loader_instance_cache = {}
        for _ in range(3):
            gc.collect()
        assert [reference() for reference in references] == [None, None]


class TestTrees:
    """A resolve leaves nothing behind."""

    def test_the_tree_is_freed_without_the_garbage_collector(self, run):
        """Its nodes go when the caller lets go of them, while the resolver lives on."""

        async def law():
            resolver = Resolver()
            node = await resolver.resolve(Base(below=[Base(id=2)]))
            references = [weakref.ref(node), weakref.ref(node.below[0])]
            with without_collector():
                del node
                await turns(5)
                assert [reference() for reference in references] == [None, None]

        run(law)

    def test_loaders_and_what_they_cached_are_freed_without_the_garbage_collector(self, run):
        """As soon as the resolver is let go of."""

        async def law():
            class Value:
                """Something a weak reference can point to."""

            class Values(DataLoader):
                async def batch_load_fn(self, keys):
                    await turns(1)
                    return [Value() for _ in keys]

            class Others(Values):
                pass

            class Node(BaseModel):
                by_marker: Annotated[object, Load(Values, by="id")] = None
                by_method: object = None
                size: int = 0
                id: int = 1

                def resolve_by_method(self, loader=LoaderDepend(Others)):
                    return loader.load(self.id)

                async def post_size(self):
                    return 1

            async def resolved():
                resolver = Resolver()
                await resolver.resolve(Node())
                loaders = resolver.loader_instance_cache.values()
                values = [value for loader in loaders for value in loader.cache_map.values()]
                return [weakref.ref(each) for each in (*loaders, *values)]

            await resolved()  # what is made once for a class is there
            with without_collector():
                references = await resolved()
                await turns(8)
                assert len(references) == 4
                assert not [reference for reference in references if reference() is not None]

        run(law)

    @pytest.mark.parametrize("count", [1, 3])
    @pytest.mark.parametrize("fill", ["resolve_x", "post_x", "post_default_handler"])
    @pytest.mark.parametrize("way", FAILING, ids=lambda way: way.__name__)
    def test_what_failed_is_freed_without_the_garbage_collector(self, run, way, fill, count):
        """Resolver, loaders and tree, as soon as the error is let go of, which has their frames in its traceback."""
        Node = type("Node", (Numbered,), {"__module__": __name__, fill: way})

        async def failed():
            resolver = Resolver()
            nodes = [Node(id=id) for id in range(count)]
            with suppress(Exception):
                await resolver.resolve(nodes)
            return [
                weakref.ref(each) for each in (resolver, *resolver.loader_instance_cache.values(), *nodes)
            ]

        async def law():
            await failed()  # what is made once for a class is there
            with without_collector():
                references = await failed()
                await turns(8)
                if run.eager and way in (fails_at_once, fails_while_others_run):
                    gc.collect()  # asyncio's frames that make tasks refer to them, and these called what failed
                assert not [reference for reference in references if reference() is not None]

        run(law)

    @pytest.mark.parametrize("load", [fail, fail_for_each, fit_not], ids=lambda load: load.__name__)
    def test_so_is_what_failed_while_it_was_loaded(self, run, load):
        """By a marker: the batch, one of its keys, or what was loaded does not fit."""

        class Node(BaseModel):
            id: int
            other: Annotated[Numbered | None, Load(load, by="id")] = None

        async def failed():
            resolver = Resolver()
            with suppress(Exception):
                await resolver.resolve([Node(id=id) for id in range(3)])
            return [weakref.ref(each) for each in (resolver, *resolver.loader_instance_cache.values())]

        async def law():
            await failed()
            with without_collector():
                references = await failed()
                await turns(8)
                assert [reference() for reference in references] == [None, None]

        run(law)

    def test_loaders_made_for_one_resolve_go_with_it(self, run):
        """The latest ones stay readable through the resolver."""

        async def law():
            resolver = Resolver()
            await resolver.resolve(Base())
            first = weakref.ref(resolver.loader_instance_cache[source])
            await resolver.resolve(Base())
            await turns(5)  # the loop may still hold a callback of the dispatch policy
            gc.collect()
            return first, weakref.ref(resolver.loader_instance_cache[source]), resolver

        first, second, _ = run(law)
        assert first() is None
        assert second() is not None
