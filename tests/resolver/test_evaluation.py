"""Annotations that are text: names that nobody knows at run time, local classes, aliases of text."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Generic, List, Optional, TypedDict, TypeVar  # noqa: UP035

import pydantic.dataclasses
import pytest
from pydantic import BaseModel
from resolving import problems_of
from typing_extensions import TypeAliasType

from dloader import DataLoader
from dloader.resolver import ExposeAs, Load, LoaderDepend, Resolver, SendTo

if TYPE_CHECKING:
    from decimal import Decimal
    from queue import Queue

    from services import Sessions

    from dloader import resolver

T = TypeVar("T")


async def load_names(keys):
    return [f"name {key}" for key in keys]


class Names(DataLoader[int, str]):
    async def batch_load_fn(self, keys: list[int]) -> list[str]:
        return await load_names(keys)


class Leaf(BaseModel):
    id: int = 1
    name: Annotated[str, Load(load_names, by="id")] = ""


@dataclass
class Money:
    """Nothing to do in it, and names that only a type checker knows; it may hold nodes all the same."""

    amount: Decimal
    queue: Queue[int] | None = None
    optional: Optional[Decimal] = None
    several: List[Decimal] | dict[str, "Decimal"] | None = None  # noqa: UP006, UP037
    called: Annotated[int, Sessions.limit(gt=5)] = 5


@dataclass
class Unfilled:
    leaf: Leaf | Decimal
    name: str = ""

    def resolve_name(self):
        return "unfilled"


def run_of(root):
    async def law():
        return await Resolver().resolve(root)

    return law


class TestNamesThatNobodyKnows:
    """They may mean anything: what is filled needs a type, what is not only has to be walked."""

    def test_a_dataclass_that_is_none_of_our_business(self, run):
        """Below a node, and as the root."""

        class Holder(BaseModel):
            money: Any = None
            leaf: Leaf = Leaf()

        Holder.__annotations__["money"] = Money

        @dataclass
        class Holding:
            money: Any
            leaf: Leaf

        Holding.__annotations__["money"] = "Money"
        holding = run(run_of(Holding(Money(1), Leaf())))
        assert holding.leaf.name == "name 1"
        assert run(run_of([Leaf(), Unfilled(Leaf())]))[1].leaf.name == "name 1"

    @pytest.mark.parametrize(
        "held", [Leaf(id=2), [Leaf(id=2)], Money(Leaf(id=2)), Money(1, optional=Leaf(id=2))]
    )
    def test_what_stands_in_such_a_field_is_walked(self, run, held):
        """As it is at run time."""
        unfilled = run(run_of(Unfilled(held)))
        assert unfilled.name == "unfilled"
        assert "name 2" in repr(unfilled)

    def test_what_is_filled_must_have_a_type(self, run):
        """By a method, a marker or a post: nobody could tell whether the value fits."""

        @dataclass
        class Node:
            id: int = 1
            amount: Decimal = None
            other: Annotated[Decimal, Load(load_names, by="id")] = None
            last: Decimal = None

            def resolve_amount(self):
                return 1

            def post_last(self):
                return 1

        problems = problems_of(run, Node())
        assert [problem.partition(":")[0].rpartition(".")[2] for problem in problems] == [
            "other",
            "amount",
            "last",
        ]
        for problem in problems:
            assert "its type cannot be evaluated (name 'Decimal' is not defined)" in problem
            assert "import it outside of `if TYPE_CHECKING`" in problem

    def test_a_marker_that_cannot_be_evaluated_is_a_mistake(self, run):
        """It would be ignored in silence."""

        @dataclass
        class Node:
            name: Annotated[str, resolver.ExposeAs("name")] = ""
            below: list[Annotated[str, resolver.SendTo]] = None

        problems = problems_of(run, Node())
        assert len(problems) == 2
        for problem in problems:
            assert "what Annotated says of it cannot be evaluated (name 'resolver' is not defined)" in problem

    def test_an_expression_that_fails(self, run):
        """Whatever its names mean."""

        @dataclass
        class Node:
            name: list[1 / 0] = ""

            def resolve_name(self):
                return ""

        (problem,) = problems_of(run, Node())
        assert "Node: a type cannot be evaluated (division by zero)" in problem

    def test_a_model_is_told_how_to_be_completed(self, run):
        """And a dataclass of Pydantic's."""

        class Model(BaseModel):
            amount: Decimal = None

        @pydantic.dataclasses.dataclass
        class Data:
            amount: Decimal = None

        (problem,) = problems_of(run, Model.model_construct())
        assert "Model: a type cannot be evaluated (name 'Decimal' is not defined)" in problem
        assert "call Model.model_rebuild() where it is known" in problem
        (problem,) = problems_of(run, Data.__new__(Data))
        assert "Data: a type cannot be evaluated" in problem
        assert "call rebuild_dataclass(Data) where it is known" in problem

    def test_a_dataclass_of_pydantic_that_is_completed_later(self, run, monkeypatch):
        """When its type is there."""

        @pydantic.dataclasses.dataclass
        class Data:
            later: Later = None  # noqa: F821

        assert problems_of(run, Data.__new__(Data))
        monkeypatch.setitem(globals(), "Later", Leaf)
        data = Data.__new__(Data)
        data.later = Leaf()
        assert run(run_of(data)).later.name == "name 1"


class TestLocalClasses:
    """Defined in a function, where their names are known to nobody afterwards."""

    def test_dataclasses_that_name_each_other(self, run):
        """Walked as they are at run time; Pydantic knows its own."""

        @dataclass
        class Below:
            id: int = 1
            name: Annotated[str, Load(load_names, by="id")] = ""

        @dataclass
        class Top:
            below: list[Below]
            count: int = 0

            def post_count(self):
                return len(self.below)

        @pydantic.dataclasses.dataclass
        class Checked:
            below: list[Below]
            made: list[Below] | None = None
            place: Annotated[str, ExposeAs("place"), SendTo("places")] = ""

            def resolve_made(self):
                return [{"id": 5}]

        top = run(run_of(Top([Below(), Below(2)])))
        assert (top.count, [each.name for each in top.below]) == (2, ["name 1", "name 2"])
        checked = run(run_of(Checked([Below(3)])))
        assert [checked.below[0].name, checked.made[0].name] == ["name 3", "name 5"]
        assert isinstance(checked.made[0], Below)

    def test_a_loader_that_only_the_function_knows(self, run):
        """A model's method finds it; a dataclass's is told what to write."""

        class Local(Names):
            pass

        class Model(BaseModel):
            name: str = ""

            def resolve_name(self, loader: Annotated[Local, LoaderDepend()]):
                return loader.load(1)

        @dataclass
        class Data:
            name: str = ""

            def resolve_name(self, loader: Annotated[Local, LoaderDepend()]):
                return loader.load(1)

        assert run(run_of(Model())).name == "name 1"
        (problem,) = problems_of(run, Data())
        assert "Data.resolve_name: the annotation of 'loader' cannot be evaluated" in problem
        assert "(name 'Local' is not defined)" in problem
        assert "write loader=LoaderDepend(loader)" in problem

    def test_a_marker_that_names_its_loader_needs_no_type(self, run):
        """The type is for type checkers alone. Without a marker, what is missing is named."""

        class Node(BaseModel):
            name: str = ""

            def resolve_name(self, loader: Annotated[Sessions, LoaderDepend(Names)]):
                return loader.load(1)

        class Wrong(BaseModel):
            name: str = ""

            def resolve_name(self, loader: Annotated[Names, Missing()]):  # noqa: F821
                return loader.load(1)

        class Fails(BaseModel):
            name: str = ""

            def resolve_name(self, loader: Annotated[Names, 1 / 0]):
                return loader.load(1)

        assert run(run_of(Node())).name == "name 1"
        for cls, reason in ((Wrong, "name 'Missing' is not defined"), (Fails, "division by zero")):
            (problem,) = problems_of(run, cls())
            assert f"the annotation of 'loader' cannot be evaluated ({reason})" in problem

    def test_generics_of_text(self, run):
        """A dataclass's type variable is known to the class."""

        @dataclass
        class Page(Generic[T]):
            items: list[T]
            only: Decimal | None = None
            count: int = 0

            def post_count(self):
                return len(self.items)

        page = run(run_of(Page([Leaf(), Leaf(id=2)])))
        assert (page.count, page.items[1].name) == (2, "name 2")


class Row(TypedDict):
    leaf: Leaf
    unknown: Decimal


Leaves = TypeAliasType("Leaves", "list[Leaf]")
OfLeaves = TypeAliasType("OfLeaves", "list[Leaves]")
Parts = TypeAliasType("Parts", dict[str, "Leaf"])
Marked = TypeAliasType("Marked", "Annotated[Leaf | None, ExposeAs('leaf')]")
Endless = TypeAliasType("Endless", "Leaf | list[Endless]")
Nobody = TypeAliasType("Nobody", "list[Decimal]")
Failing = TypeAliasType("Failing", "list[1 / 0]")
VALUES = {
    "Leaves": [Leaf()],
    "OfLeaves": [[Leaf()]],
    "Parts": {"a": Leaf()},
    "Marked": Leaf(),
    "Endless": [Leaf(), [Leaf()]],
    "Nobody": [Leaf()],
    "Failing": [Leaf()],
    "Row": {"leaf": Leaf(), "unknown": 1},
    "list[Leaves]": [[Leaf()]],
}
ROWS = {"Leaves": [{"id": 1}], "OfLeaves": [[{"id": 1}]], "Parts": {"a": {"id": 1}}, "Marked": {"id": 1}}

if sys.version_info >= (3, 12):  # other Pythons have no such statement
    exec(
        """
type Later = list[NotThere]
type Nested[X] = X | list[Nested[X]]
type Quoted[X] = "X | list[Quoted[X]]"
type OfNested = Nested[Leaf] | Quoted[Leaf]
"""
    )
    VALUES |= {"Later": [Leaf()], "Nested[Leaf]": [[Leaf()]], "OfNested": [[Leaf()]]}


class TestAliasesOfText:
    """What stands behind an alias is read where the alias is defined."""

    @pytest.mark.parametrize("name", VALUES)
    def test_they_are_walked(self, run, name):
        """At the root and below."""

        @dataclass
        class Node:
            value: Any
            name: str = ""

            def resolve_name(self):
                return "node"

        Node.__annotations__["value"] = name
        node = run(run_of([Node(VALUES[name])]))[0]
        assert node.name == "node"
        assert "name='name 1'" in repr(node)
        assert "name=''" not in repr(node)

    @pytest.mark.parametrize("name", ROWS)
    def test_rows_become_what_they_say(self, run, name):
        """In a model, and what was made is walked."""

        def resolve_value(self):
            return ROWS[name]

        annotations = {"value": globals()[name]}
        namespace = {"__module__": __name__, "__annotations__": annotations, "value": None}
        cls = type("Node", (BaseModel,), {**namespace, "resolve_value": resolve_value})
        node = run(run_of(cls()))
        assert "name='name 1'" in repr(node)

    def test_a_marker_behind_one_is_read(self, run):
        """As behind any alias."""

        class Below(BaseModel):
            seen: str = ""

            def resolve_seen(self, ancestor_context):
                return ancestor_context["leaf"].name

        class Node(BaseModel):
            leaf: Marked = None
            below: Below

        assert run(run_of(Node(leaf=Leaf(name="given"), below=Below()))).below.seen == "given"
