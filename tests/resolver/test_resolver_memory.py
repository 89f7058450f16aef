"""What is freed: classes made at run time, trees, loaders."""

import gc
import weakref
from dataclasses import dataclass
from typing import Annotated, Generic, Optional, TypeVar

import pytest
from loops import turns
from pydantic import AfterValidator, BaseModel, field_validator
from resolving import Source

from dloader.resolver import Load, LoaderDepend, Resolver
from dloader.resolver._graph import graph

T = TypeVar("T")
source = Source(str)


class Base(BaseModel):
    id: int = 1
    below: list["Base"] = []
    base: Annotated[str, Load(source, by="id")] = ""


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
        plan = graph.plan(Base)
        gc.collect()
        assert graph.plan(Base) is plan


class TestTrees:
    """A resolve leaves nothing behind."""

    def test_the_tree_is_freed_without_the_garbage_collector(self, run):
        """Its nodes go when the caller lets go of them, while the resolver lives on."""

        async def law():
            resolver = Resolver()
            node = await resolver.resolve(Base(below=[Base(id=2)]))
            references = [weakref.ref(node), weakref.ref(node.below[0])]
            del node
            gc.collect()
            return references

        assert [reference() for reference in run(law)] == [None, None]

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
