"""Partial answers: with `errors=` a resolve goes on after failures, and tells of each with its path."""

import asyncio
import pickle
from collections import ChainMap, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

import pytest
from loops import turns
from pydantic import BaseModel, Field, ValidationError, field_validator
from resolving import Source, notes_of

from dloader import (
    BatchAbortedError,
    DataLoader,
    KeyTypeError,
    LoaderClosedError,
    LoaderParamError,
    LoaderRegistry,
    OptionError,
    PlanError,
)
from dloader.compat import aiodataloader
from dloader.resolver import (
    Collector,
    ExposeAs,
    FieldError,
    Load,
    LoaderDepend,
    Resolver,
    SendTo,
    mapper,
    needs,
)

T = TypeVar("T")


class Boom(Exception):
    """What the tests raise."""


def boom(*_: Any) -> Any:
    raise Boom


def fails_for(bad: int):
    return Source(lambda key: Boom(f"no {key}") if key == bad else f"value {key}", "names")


async def broken(keys):
    raise Boom("down")


def resolved(run, tree, *, resolver=None, **arguments):
    """What becomes of a tree, and the paths of what failed."""
    errors: list[FieldError] = []
    answer = run(lambda: (resolver or Resolver()).resolve(tree, errors=errors, **arguments))
    return answer, [error.path for error in errors]


def row_of(given: Any) -> Any:
    """Containers of ids as containers of rows."""
    if isinstance(given, dict):
        return {key: row_of(each) for key, each in given.items()}
    return type(given)(map(row_of, given)) if isinstance(given, (list, tuple, deque)) else {"id": given}


def ids_in(found: Any) -> Any:
    """Containers of nodes as containers of ids."""
    if isinstance(found, dict):
        return {key: ids_in(each) for key, each in found.items()}
    if isinstance(found, (list, tuple, deque)):
        return type(found)(map(ids_in, found))
    return found and found.id


@dataclass
class Group(Generic[T]):
    members: list[T]


class Leaf(BaseModel):
    id: int
    name: Annotated[str, Load(fails_for(2), by="id")]


class Named(BaseModel):
    id: int
    name: Annotated[str | None, Load(fails_for(2), by="id")] = None


async def three_leaves(keys):
    return [[{"id": 1}, {"id": 2}, {"id": 3}] for _ in keys]


class TestWhatAFieldHasInstead:
    """What it held, or its default, or None; else its node fails."""

    def test_a_field_keeps_its_default_or_has_none(self, run):
        """Neither counts as set."""

        class Node(BaseModel):
            id: int
            name: Annotated[str, Load(broken, by="id")] = "nobody"
            some: Annotated[list[int], Load(broken, by="id")] = Field(default_factory=list)
            none: Annotated[str | None, Load(broken, by="id")]

        answer, paths = resolved(run, {"id": 1}, into=Node)
        assert answer.model_dump() == {"id": 1, "name": "nobody", "some": [], "none": None}
        assert answer.model_dump(exclude_unset=True) == {"id": 1}
        assert paths == ["Node.name", "Node.some", "Node.none"]

    def test_a_field_keeps_what_it_held(self, run):
        """It is as if nobody had tried to fill it."""
        answer, paths = resolved(run, [Named(id=2, name="old"), Named(id=1, name="old")])
        assert [node.name for node in answer] == ["old", "value 1"]
        assert paths == ["Named[0].name"]

    def test_what_is_kept_is_filled_as_if_it_had_been_given(self, run):
        """Nodes that the field held, or that are its default."""

        class Node(BaseModel):
            id: int = 1
            held: Annotated[list[Named], Load(broken, by="id")] = []
            default: Annotated[Named, Load(broken, by="id")] = Named(id=3)

        answer, _ = resolved(run, Node(held=[Named(id=1)]))
        assert [answer.held[0].name, answer.default.name] == ["value 1", "value 3"]

    @pytest.mark.parametrize("kind", ["list", "union"])
    def test_a_held_value_comes_back_when_a_node_in_what_was_loaded_fails(self, run, kind):
        """Set as it was, and filled."""

        class Node(BaseModel):
            id: int = 1
            leaves: Annotated[
                list[Leaf] if kind == "list" else list[Leaf] | None, Load(three_leaves, by="id")
            ] = []

        held = Node(leaves=[Leaf(id=5, name="old")])
        answer, paths = resolved(run, [held, Node()])
        assert [[leaf.name for leaf in node.leaves] for node in answer] == [["value 5"], []]
        assert [node.model_fields_set for node in answer] == [{"leaves"}, set()]
        assert paths == ["Node[0].leaves[1].name"]

    def test_a_held_value_that_fails_too_goes(self, run):
        """The default is next, then None, and then the node fails."""

        class Node(BaseModel):
            id: int = 1
            leaves: Annotated[list[Leaf], Load(three_leaves, by="id")] = []

        class Bad(BaseModel):
            id: int = 1
            leaves: Annotated[list[Leaf] | None, Load(three_leaves, by="id")] = Field(
                default_factory=lambda: [Leaf.model_construct(id=2)]
            )

        def unfinished():
            return [Leaf.model_construct(id=2)]

        answer, paths = resolved(run, [Node(leaves=unfinished()), Bad()])
        assert [node.leaves for node in answer] == [[], None]
        assert paths[0].startswith("Node[0].leaves")
        assert len(paths) == 4

    def test_null_keys_without_anything_to_give_are_failures_of_their_field(self, run):
        """The others are loaded."""

        class Node(BaseModel):
            name: Annotated[str, Load(fails_for(2), by="key")]

        answer, paths = resolved(run, [{"key": 1}, {"key": None}, {"key": 2}, {"key": 3}], into=list[Node])
        assert [node.name for node in answer] == ["value 1", "value 3"]
        assert paths == ["Node[1].name", "Node[2].name"]

    def test_fields_stay_in_the_order_of_their_class(self, run):
        """Whatever failed, and was filled afterwards."""

        class Node(BaseModel):
            id: int
            late: Annotated[str | None, Load(broken, by="name")]
            name: Annotated[str, Load(fails_for(2), by="id")] = "?"
            last: int = 0

        answer, paths = resolved(run, [{"id": 1}, {"id": 2}, {"id": 3}], into=list[Node])
        assert [list(node.model_dump()) for node in answer] == [["id", "late", "name", "last"]] * 3
        assert paths == ["Node[0].late", "Node[1].name", "Node[2].late"]


class TestNodesThatFail:
    """None takes their place where the type takes it, and else the field that holds them fails, and so on up."""

    @pytest.mark.parametrize(
        ("kind", "ids", "left"),
        [
            (list[Leaf | None], [1, 2, 3], [1, None, 3]),
            (list[Leaf] | None, [1, 2, 3], None),
            (list[list[Leaf] | None], [[1, 2], [3]], [None, [3]]),
            (list[list[Leaf | None]], [[1, 2], [3]], [[1, None], [3]]),
            (dict[str, Leaf | None], {"a": 1, "b": 2}, {"a": 1, "b": None}),
            (dict[str, list[Leaf]] | None, {"a": [1, 2], "b": [3]}, None),
            (tuple[Leaf, Leaf | None], (1, 2), (1, None)),
            (tuple[Leaf | None, ...], (1, 2, 3), (1, None, 3)),
            (tuple[Leaf | None, Leaf] | None, (1, 2), None),
            (list[tuple[Leaf, Leaf] | None], [(1, 2)], [None]),
            (dict[str, Leaf | None] | list[Leaf | None], [1, 2, 3], [1, None, 3]),
            (deque[Leaf | None], deque([1, 2, 3]), deque([1, None, 3])),
        ],
    )
    def test_none_stands_in_the_nearest_place_that_takes_it(self, run, kind, ids, left):
        """In whatever holds the node."""

        class Node(BaseModel):
            found: kind

            def resolve_found(self):
                return row_of(ids)

        answer, paths = resolved(run, {}, into=Node)
        assert ids_in(answer.found) == left
        assert len(paths) == 1

    @pytest.mark.parametrize(
        ("kind", "rows", "left", "places"),
        [
            (list[Leaf | None], [1, "x", 3, "y"], [1, None, 3, None], ["[1]", "[3]"]),
            (list[list[Leaf | None] | None], [[1, "x"], [3]], [[1, None], [3]], ["[0][1]"]),
            (list[list[Leaf] | None] | None, [[1, "x"], [3]], [None, [3]], ["[0]"]),
            (list[Leaf] | None, [1, "x"], None, [""]),
            (dict[str, Leaf | None], {"a": 1, "b": "x"}, {"a": 1, "b": None}, ["['b']"]),
            (tuple[Leaf, Leaf | None], (1, "x"), (1, None), ["[1]"]),
            (tuple[Leaf | None, ...], [1, "x"], (1, None), ["[1]"]),
            (Mapping[str, Leaf] | deque[Leaf | None], [1, "x"], deque([1, None]), ["[1]"]),
            (Group[Leaf | None] | None, [1, "x"], None, [""]),
            (list[Leaf | None] | None, {"a": 1}, None, [""]),
            (tuple[Leaf, Leaf | None] | None, ("x", "y"), None, [""]),
            (Annotated[list[Leaf | None], Field(max_length=2)], [1, "x"], [1, None], ["[1]"]),
            (Annotated[list[Leaf | None], Field(max_length=2)] | None, [1, "x", 3], None, [""]),
        ],
    )
    def test_a_row_that_does_not_fit_is_none_in_the_nearest_place_that_takes_it(
        self, run, kind, rows, left, places
    ):
        """As a node that fails is; what is told is why that one row does not fit."""

        class Node(BaseModel):
            found: kind

            def resolve_found(self):
                return row_of(rows)

        errors: list[FieldError] = []
        answer = run(lambda: Resolver().resolve({}, into=Node, errors=errors))
        shown = [error.path for error in errors if error.field == "found"]
        assert ids_in(answer.found) == left
        assert shown == [f"Node.found{place}" for place in places]
        assert all(isinstance(error.error, ValidationError) for error in errors)

    def test_a_row_that_does_not_fit_says_where_it_stood(self, run):
        """Its path, its place, and an error of that row alone, for each node that was given it."""

        class Node(BaseModel):
            id: int
            leaves: Annotated[
                list[Leaf | None], Load(Source(lambda key: row_of([key, "x"][: 5 - key]), "rows"), by="id")
            ]

        errors: list[FieldError] = []
        rows = [{"id": 1}, {"id": 4}, {"id": 1}]
        answer = run(lambda: Resolver().resolve(rows, into=list[Node], errors=errors))
        assert [ids_in(node.leaves) for node in answer] == [[1, None], [4], [1, None]]
        assert answer[0].leaves is not answer[2].leaves
        bad = [error for error in errors if error.field == "leaves"]
        assert [error.loc for error in bad] == [(place, "leaves", 1) for place in (0, 2)]
        assert bad[0].model is Node
        assert bad[0].error.error_count() == 1
        assert notes_of(bad[0].error).endswith("while resolving Node[0].leaves[1] with loader 'rows'")

    def test_what_a_validator_or_a_mapper_refuses_fails_the_field(self, run):
        """A validator of the whole field says nothing of items, and what a mapper makes is for nobody to guess."""

        class Node(BaseModel):
            checked: list[int | None] | None
            mapped: list[int | None] | None

            def resolve_checked(self):
                return [1, "x"]

            @mapper(lambda values: [1 // value for value in values])
            def resolve_mapped(self):
                return [1, 0]

            @field_validator("checked")
            @classmethod
            def look(cls, values):
                return boom() if None in values else values

        answer, paths = resolved(run, {}, into=Node)
        assert (answer.checked, answer.mapped) == (None, None)
        assert paths == ["Node.checked", "Node.mapped"]

    def test_a_place_that_is_no_type_s_takes_nothing(self, run):
        """What holds the node fails as a whole."""

        class Pair(NamedTuple):
            one: Leaf | None
            other: Leaf | None

        class Node(BaseModel):
            pair: Pair | None = None

            def resolve_pair(self):
                return Pair(Leaf.model_construct(id=1), Leaf.model_construct(id=2))

        assert resolved(run, Node())[0].pair is None

    def test_failures_go_up_as_far_as_they_must(self, run):
        """To a place that takes None, and no further; each is told once."""

        class Middle(BaseModel):
            id: int
            leaf: Leaf

        class Top(BaseModel):
            one: Middle | None
            other: Middle | None

        tree = {"one": {"id": 1, "leaf": {"id": 2}}, "other": {"id": 1, "leaf": {"id": 1}}}
        answer, paths = resolved(run, tree, into=Top)
        assert answer.one is None
        assert answer.other.leaf.name == "value 1"
        assert paths == ["Top.one.leaf.name"]

    def test_a_given_field_loses_a_node_that_failed(self, run):
        """It has its default then: nobody filled it, so there is nothing that it held before."""

        class Middle(BaseModel):
            leaf: Leaf

        class Top(BaseModel):
            middle: Middle = Field(default_factory=lambda: Middle(leaf=Leaf(id=1, name="one")))

        answer, paths = resolved(run, {"middle": {"leaf": {"id": 2}}}, into=Top)
        assert answer.middle.leaf.name == "value 1"
        assert paths == ["Top.middle.leaf.name"]

    def test_a_node_with_several_parents_fails_in_each(self, run):
        """And is told once."""

        class Parent(BaseModel):
            id: int
            leaf: Annotated[Leaf | None, Load(Source(lambda key: {"id": key}, "leaf"), by="key")]

        rows = [{"id": 1, "key": 2}, {"id": 2, "key": 1}, {"id": 3, "key": 2}]
        answer, paths = resolved(run, rows, into=list[Parent])
        assert [node.leaf and node.leaf.name for node in answer] == [None, "value 1", None]
        assert paths == ["Parent[0].leaf.name"]

    def test_a_given_node_with_several_parents_fails_in_each(self, run):
        """Wherever it was visited."""
        leaf = Leaf.model_construct(id=2)

        class Parent(BaseModel):
            leaf: Leaf | None = None
            some: list[Leaf] = []

        tree = [Parent.model_construct(leaf=leaf, some=[]), Parent.model_construct(leaf=None, some=[leaf])]
        answer, paths = resolved(run, {"a": tree, "b": [leaf]})
        assert [(node.leaf, node.some) for node in answer["a"]] == [(None, []), (None, [])]
        assert answer["b"] == []
        assert paths == ["Leaf['b'][0].name"]

    def test_failures_go_round_in_cycles(self, run):
        """Who holds a node that failed fails, and is in turn held by it: both are out."""

        class Knot(BaseModel):
            id: int
            name: Annotated[str, Load(fails_for(2), by="id")]
            others: "list[Knot]"
            maybe: "Knot | None" = None

        def knot(key):
            return Knot.model_construct(id=key, others=[], maybe=None)

        one, two, three, free = map(knot, (1, 2, 3, 4))
        one.others, two.others, three.others = [three], [one], [two]
        free.maybe = three
        answer, paths = resolved(run, [one, free, two, three])
        assert answer == [free]
        assert free.maybe is None
        assert paths == ["Knot[2].name"]

    def test_who_holds_a_node_above_itself_fails_with_it(self, run):
        """Though it was done before that failed."""

        class Person(BaseModel):
            id: int
            boss: "Person | None" = None
            staff: "list[Person]" = []
            summary: str

            def post_summary(self):
                return boom() if self.id == 1 else "fine"

        boss, worker = Person.model_construct(id=1, boss=None), Person.model_construct(id=2, staff=[])
        boss.staff, worker.boss = [worker], boss
        answer, paths = resolved(run, {"boss": boss, "worker": worker})
        assert answer == {"worker": worker}
        assert worker.boss is None
        assert paths == ["Person['boss'].summary"]

    def test_dataclasses_fail_alike(self, run):
        """With slots and without, with defaults and without."""

        @dataclass(slots=True)
        class Slots:
            id: int
            name: Annotated[str, Load(fails_for(2), by="id")] = field(init=False)
            other: Annotated[str, Load(fails_for(2), by="id")] = "?"

        @dataclass
        class Holder:
            slots: list[Slots | None]
            one: Slots | None
            many: Annotated[list[Slots], Load(three_leaves, by="one")] = field(default_factory=list)

        @dataclass(slots=True)
        class Outer:
            id: int
            many: Annotated[list[Slots], Load(three_leaves, by="id")] = field(default_factory=list)
            held: Slots = field(default_factory=lambda: Slots(1))

        answer, paths = resolved(run, [Holder([Slots(1), Slots(2)], Slots(2)), Outer(1, [], Slots(2))])
        assert [slot and (slot.name, slot.other) for slot in answer[0].slots] == [
            ("value 1", "value 1"),
            None,
        ]
        assert answer[0].one is None
        assert answer[1].many == []
        assert (answer[1].held.id, answer[1].held.name) == (1, "value 1")
        assert "Holder[0].slots[1].name" in paths
        assert "Holder[0].slots[1].other" in paths

    def test_deep_trees_tell_all_their_failures(self, run):
        """However deep they are."""

        class Node(BaseModel):
            id: int
            name: Annotated[str | None, Load(broken, by="id")] = None
            below: "Node | None" = None

        node = None
        for number in range(2_000):
            node = Node.model_construct(id=number, below=node)
        _, paths = resolved(run, node)
        assert len(paths) == 2_000
        assert paths[-1] == "Node" + 1_999 * ".below" + ".name"

    def test_below_what_is_not_filled_nothing_fails(self, run):
        """`max_depth` and `exclude` leave out what would fail."""

        class Middle(BaseModel):
            id: int
            leaf: Annotated[Leaf | None, Load(broken, by="id")] = None

        class Top(BaseModel):
            middle: Middle

        tree = {"middle": {"id": 1}}
        assert resolved(run, tree, into=Top, resolver=Resolver(max_depth=1))[1] == []
        assert resolved(run, tree, into=Top, exclude={"middle.leaf"})[1] == []
        assert resolved(run, tree, into=Top)[1] == ["Top.middle.leaf"]


class TestRoots:
    """A root that fails is None where the type takes it, or left out; alone, it raises."""

    @pytest.mark.parametrize(
        ("kind", "rows", "wanted", "paths"),
        [
            (list[Leaf], [1, 2, "x"], [1], ["Leaf[1].name", "Leaf[2]"]),
            (list[Leaf | None], [1, 2, "x"], [1, None, None], ["Leaf[1].name", "Leaf[2]"]),
            (tuple[Leaf, ...], ["x", 1, 2], (1,), ["Leaf[0]", "Leaf[2].name"]),
            (dict[int, Leaf], {"1": 1, "2": 2, "3": "x"}, {1: 1}, ["Leaf[2].name", "Leaf[3]"]),
            (Mapping[str, Leaf], {"1": 1, "3": "x"}, {"1": 1}, ["Leaf['3']"]),
            (dict[str, list[Leaf]], {"a": [1, 2], "b": ["x"]}, {"a": [1], "b": []}, None),
            (list[list[Leaf] | None] | None, [[1, 2], ["x", 3]], [[1], [3]], None),
            (Annotated[list[Leaf], Field(max_length=9)], ["x", 1], [1], ["Leaf[0]"]),
            (list[Leaf], ["x", "x"], [], ["Leaf[0]", "Leaf[1]"]),
            (list[Leaf | Named], ["x", 1], [1], ["Leaf | Named[0]"]),
            (Leaf | None, 2, None, ["Leaf.name"]),
            (Leaf | None, "x", None, ["Leaf"]),
        ],
    )
    def test_rows_that_fail_are_none_or_left_out(self, run, kind, rows, wanted, paths):
        """Whether they do not fit, or their nodes fail; the others keep their places in paths."""
        answer, found = resolved(run, row_of(rows), into=kind)
        assert ids_in(answer) == wanted
        assert found == paths or paths is None

    def test_sets_of_rows_lose_those_that_fail(self, run):
        """Or have None once."""

        @dataclass(frozen=True)
        class Point:
            id: int
            name: Annotated[str, Load(fails_for(2), by="id")] = field(init=False, compare=False)

        rows = [{"id": 1}, {"id": 2}, {"id": "x"}]
        assert {point.id for point in resolved(run, rows, into=set[Point])[0]} == {1}
        assert {point.id for point in resolved(run, rows, into=frozenset[Point])[0]} == {1}
        assert {point and point.id for point in resolved(run, rows, into=set[Point | None])[0]} == {1, None}

    def test_the_same_list_is_returned_without_roots_that_failed(self, run):
        """So are dicts and sets, and others as they can be; a tuple goes as a whole, as its places are fixed."""
        kept, lost = Leaf.model_construct(id=1), Leaf.model_construct(id=2)
        inner = {"a": kept, "b": lost}
        tree = [
            inner,
            [lost],
            (kept, lost),
            deque([lost, kept], maxlen=5),
            None,
            ChainMap({"c": lost}),
            (kept,),
        ]
        answer, paths = resolved(run, tree)
        assert answer is tree
        assert tree == [{"a": kept}, [], deque([kept]), None, {}, (kept,)]
        assert tree[0] is inner
        assert paths == ["Leaf[0]['b'].name"]

    def test_a_tuple_of_roots_is_never_shorter_than_its_type_says(self, run):
        """It raises what a root in it failed by; one of any length has fewer."""
        good, bad = {"id": 1}, {"id": 2}
        with pytest.raises(Boom):
            resolved(run, (good, bad), into=tuple[Leaf, Leaf])
        with pytest.raises(Boom):
            resolved(run, (Named(id=2), Leaf.model_construct(id=2)))
        assert ids_in(resolved(run, (good, bad), into=tuple[Leaf, Leaf | None])[0]) == (1, None)
        assert ids_in(resolved(run, (bad, good), into=tuple[Leaf, ...])[0]) == (1,)
        assert ids_in(resolved(run, [(good, bad), (good, good)], into=list[tuple[Leaf, Leaf]])[0]) == [(1, 1)]

    @pytest.mark.parametrize("row", [{"id": 2}, {"id": "x"}])
    def test_a_root_that_stands_alone_raises(self, run, row):
        """What it failed by, which is in the list too."""
        errors: list[FieldError] = []
        with pytest.raises((Boom, ValidationError)) as caught:
            run(lambda: Resolver().resolve(row, into=Leaf, errors=errors))
        assert [error.error for error in errors] == [caught.value]
        assert errors[0].path in notes_of(caught.value)

    @pytest.mark.parametrize(
        ("kind", "rows"),
        [
            (list[Leaf], 7),
            (list[Leaf], {"id": 1}),
            (dict[int, Leaf], {"x": {"id": 1}}),
            (dict[int, Leaf], [{"id": 1}]),
            (Annotated[list[Leaf], Field(max_length=1)], [{"id": 1}, {"id": 3}]),
            (tuple[Leaf, Leaf], [{"id": 1}]),
        ],
    )
    def test_rows_that_are_of_another_shape_raise(self, run, kind, rows):
        """No row by itself is to blame."""
        errors: list[FieldError] = []
        with pytest.raises(ValidationError):
            run(lambda: Resolver().resolve(rows, into=kind, errors=errors))
        assert [error.path for error in errors] == ["Leaf"]

    def test_rows_of_models_without_work_are_told_alike(self, run):
        """There is nothing to fill, and yet rows may not fit."""

        class Plain(BaseModel):
            id: int

        answer, paths = resolved(run, [{"id": 1}, {}], into=list[Plain])
        assert (answer, paths) == ([Plain(id=1)], ["Plain[1]"])
        assert resolved(run, [Plain(id=1)])[0] == [Plain(id=1)]
        assert resolved(run, None)[0] is None

    def test_what_ends_python_ends_the_making_of_rows(self, run):
        """It is no failure of a row."""

        class Stop(BaseException):
            pass

        class Odd(BaseModel):
            id: int

            @field_validator("id", mode="before")
            @classmethod
            def stop(cls, value):
                raise Stop

        with pytest.raises(Stop):
            run(lambda: Resolver().resolve([{"id": 1}], into=list[Odd], errors=[]))


class TestWhatFails:
    """Loaders, methods, values, keys: each is a failure of one field, and the others go on."""

    def test_methods_fail_for_some_nodes_and_are_called_for_the_others(self, run):
        """Sync and async, at once and later, with arguments and without, before and after what is below."""

        class Node(BaseModel):
            id: int
            sync: int | None = None
            late: int | None = None
            parents: int | None = None
            post: int | None = None
            last: int | None = None

            def resolve_sync(self):
                return boom() if self.id == 1 else 1

            async def resolve_late(self):
                await turns(self.id)
                return boom() if self.id == 1 else 1

            async def resolve_parents(self, parent, context):
                return boom() if self.id == 1 else 1

            def post_post(self):
                return boom() if self.id == 1 else 1

            async def post_last(self, parent):
                return boom() if self.id == 1 else 1

        tree = [Node(id=0), Node(id=1), Node(id=2)]
        answer, paths = resolved(run, tree, resolver=Resolver(context={}))
        assert [set(node.model_dump(exclude={"id"}).values()) for node in answer] == [{1}, {None}, {1}]
        assert paths == [f"Node[1].{name}" for name in ("sync", "late", "parents", "post", "last")]

    def test_several_methods_that_fail_late_are_all_waited_for(self, run):
        """None keeps the others from being told of."""

        class Node(BaseModel):
            id: int
            name: str | None = None

            async def resolve_name(self):
                await turns(3 * self.id)
                return boom() if self.id % 2 else "fine"

        answer, paths = resolved(run, [Node(id=number) for number in range(6)])
        assert [node.name for node in answer] == ["fine", None] * 3
        assert paths == ["Node[1].name", "Node[3].name", "Node[5].name"]

    def test_a_last_method_that_fails_leaves_its_node_as_it_is(self, run):
        """And has an entry."""

        class Node(BaseModel):
            id: int
            total: int = 0

            def post_default_handler(self):
                self.total = 1
                boom()

        answer, paths = resolved(run, [Node(id=1)])
        assert answer == [Node(id=1, total=1)]
        assert paths == ["Node[0].post_default_handler"]

    def test_values_that_do_not_fit_are_failures_of_their_field(self, run):
        """Found among many; each is told by itself, with what the method may have meant."""

        class Node(BaseModel):
            id: int
            number: int | None = None
            mapped: int | None = None
            looked: Annotated[str, Load(Source(str, "texts"), by="id")] = "?"

            def resolve_number(self):
                return [str, lambda _: iter(()), int][self.id % 3](self.id)

            @mapper(lambda value: 1 // value)
            def resolve_mapped(self):
                return self.id

            @field_validator("looked")
            @classmethod
            def look(cls, value, info):
                return boom() if info.data["id"] == 2 else value

        class Strict(Node):
            number: Annotated[int | None, Field(strict=True)] = None

        errors: list[FieldError] = []
        tree = [Strict(id=number) for number in range(3)]
        run(lambda: Resolver().resolve(tree, errors=errors))
        assert [error.path for error in errors] == [
            "Strict[0].number",
            "Strict[0].mapped",
            "Strict[1].number",
            "Strict[2].looked",
        ]
        assert "return a list of what it yields" in notes_of(errors[2].error)
        assert [node.mapped for node in tree] == [None, 1, 0]

    def test_nodes_with_the_same_key_fail_together(self, run):
        """Each is told, with the same error."""
        errors: list[FieldError] = []
        run(lambda: Resolver().resolve([Named(id=2), Named(id=1), Named(id=2)], errors=errors))
        assert [error.path for error in errors] == ["Named[0].name", "Named[2].name"]
        assert errors[0].error is errors[1].error
        assert notes_of(errors[0].error).endswith("while resolving Named[0].name with loader 'names'")

    def test_values_that_do_not_fit_fail_all_nodes_with_their_key(self, run):
        """Though they are converted once."""

        class Node(BaseModel):
            id: int
            leaf: Annotated[Named | None, Load(Source(lambda key: {"id": key or "x"}, "rows"), by="id")] = (
                None
            )

        answer, paths = resolved(run, [Node(id=0), Node(id=1), Node(id=0), Node(id=1)])
        assert [node.leaf and node.leaf.id for node in answer] == [None, 1, None, 1]
        assert paths == ["Node[0].leaf", "Node[2].leaf"]

    def test_a_node_with_several_keys_has_all_of_them_or_none(self, run):
        """One key that fails, or that cannot be loaded, is a failure of the field."""

        class Node(BaseModel):
            ids: list[Any]
            names: Annotated[list[str], Load(fails_for(2), by="ids")] = []

        tree = [Node(ids=[1, 2]), Node(ids=[]), Node(ids=[1, 3]), Node(ids=[1, [5], 3]), Node(ids=[2])]
        answer, paths = resolved(run, tree)
        assert [node.names for node in answer] == [[], [], ["value 1", "value 3"], [], []]
        assert paths == ["Node[0].names", "Node[3].names", "Node[4].names"]

    def test_a_key_that_fails_leaves_none_where_the_field_takes_it(self, run):
        """The others of its node are there; each has its place in the path."""

        class Node(BaseModel):
            ids: list[int]
            names: Annotated[list[str | None], Load(fails_for(2), by="ids")]
            pair: Annotated[tuple[str, str | None] | None, Load(fails_for(2), by="ids")]

        tree = [{"ids": [1, 2]}, {"ids": [2, 3]}]
        answer, paths = resolved(run, tree, into=list[Node])
        assert [node.names for node in answer] == [["value 1", None], [None, "value 3"]]
        assert [node.pair for node in answer] == [("value 1", None), None]
        assert paths == ["Node[0].names[1]", "Node[0].pair[1]", "Node[1].names[0]", "Node[1].pair"]

    def test_keys_that_cannot_be_read_or_loaded_are_failures_of_their_nodes(self, run):
        """The others are loaded."""

        class Node(BaseModel):
            id: Any
            name: Annotated[str | None, Load(fails_for(2), by="key")] = None
            names: Annotated[list[str] | None, Load(fails_for(2), by="many")] = None

            @property
            def key(self):
                return boom() if self.id == 0 else self.id

            @property
            def many(self) -> list[Any]:
                return boom() if self.id == 0 else None if self.id == 7 else [self.id]

        errors: list[FieldError] = []
        tree = [Node(id=0), Node(id=1), Node(id=[]), Node(id=3), Node(id=7), Node(id=None)]
        run(lambda: Resolver().resolve(tree, errors=errors))
        assert [node.name for node in tree] == [None, "value 1", None, "value 3", "value 7", None]
        assert [node.names for node in tree] == [None, ["value 1"], None, ["value 3"], None, []]
        assert [error.path for error in errors] == [
            "Node[0].name",
            "Node[0].names",
            "Node[2].name",
            "Node[2].names",
        ]
        assert isinstance(errors[2].error, KeyTypeError)
        assert "declare what holds them" in notes_of(errors[2].error)

    def test_no_key_at_all_that_can_be_loaded_is_no_reason_to_end(self, run):
        """Nothing is loaded then."""

        class Node(BaseModel):
            id: Any
            name: Annotated[str | None, Load(fails_for(2), by="id")] = None

        assert resolved(run, [Node(id=[]), Node(id={})])[1] == ["Node[0].name", "Node[1].name"]

    def test_what_waits_for_a_field_that_failed_is_lost_without_an_entry(self, run):
        """Its key, or what its method needs."""

        class Node(BaseModel):
            id: int
            key: Annotated[int, Load(Source(lambda key: Boom() if key == 2 else key, "keys"), by="id")] = 9
            name: Annotated[str, Load(fails_for(9), by="key")] = "?"
            shout: str = "?"
            both: str = "?"

            @needs("name")
            def resolve_shout(self):
                return self.name.upper()

            @needs("key", "name")
            async def resolve_both(self):
                return f"{self.key} {self.name}"

        answer, paths = resolved(run, [Node(id=1), Node(id=2)])
        assert answer[1].model_dump() == {"id": 2, "key": 9, "name": "?", "shout": "?", "both": "?"}
        assert answer[0].both == "1 value 1"
        assert paths == ["Node[1].key"]

    def test_below_a_node_that_lacks_what_they_want_to_know_nodes_are_not_filled(self, run):
        """Nor told of: all of them go with it. What wants to know nothing is filled all the same."""

        class Deep(BaseModel):
            title: str = ""

            def resolve_title(self, ancestor_context):
                return ancestor_context["title"].upper()

        class Child(BaseModel):
            id: int = 2
            deep: list[Deep] = []
            told: str = ""
            name: Annotated[str, Load(fails_for(2), by="id"), SendTo("names"), ExposeAs("name")]
            below: list[Leaf] = []

            def resolve_told(self, parent, ancestor_context):
                return parent.title + ancestor_context["title"]

        class Top(BaseModel):
            id: int
            title: Annotated[str, Load(fails_for(2), by="id"), ExposeAs("title")]
            children: list[Child] = []
            names: list[str] = []

            def post_names(self, names=Collector("names")):
                return names.values()

        rows = [
            {"id": 1, "children": [{"id": 3, "deep": [{}]}]},
            {"id": 2, "children": [{"deep": [{}]}, {"below": [{"id": 2}]}]},
        ]
        answer, paths = resolved(run, rows, into=list[Top])
        assert [(node.id, node.names, node.children[0].told) for node in answer] == [
            (1, ["value 3"], "value 1value 1")
        ]
        assert answer[0].children[0].deep[0].title == "VALUE 1"
        assert paths == ["Top[1].title", "Top[1].children[1].below[0].name"]

    def test_what_failed_nodes_would_have_sent_is_not_there(self, run):
        """Neither what those send that go with them."""

        class Sender(BaseModel):
            id: Annotated[int, SendTo("ids")]
            name: Annotated[str, Load(fails_for(2), by="id")]

        class Top(BaseModel):
            some: list[Sender] = []
            maybe: list[Sender | None] = []
            ids: list[int] = []

            def post_ids(self, ids=Collector("ids")):
                return ids.values()

        three = [{"id": 1}, {"id": 2}, {"id": 3}]
        answer, _ = resolved(run, {"some": three, "maybe": three}, into=Top)
        assert answer.ids == [1, 3]

    def test_a_collector_that_refuses_a_value_is_a_failure_of_its_post(self, run):
        """Of that node alone; told once, whichever collectors of the post do so."""

        class Picky(Collector[int]):
            def add(self, val):
                return boom() if val == 3 else super().add(val)

        class Sender(BaseModel):
            id: Annotated[int, SendTo("ids")]

        class Node(BaseModel):
            senders: list[Sender]
            ids: list[int] = []

            def post_ids(self, ids=Picky("ids"), more=Picky("ids")):
                return ids.values()

            def post_default_handler(self, ids=Picky("ids")):
                pass

        tree = [Node(senders=[Sender(id=number)]) for number in (2, 3, 4)]
        answer, paths = resolved(run, tree)
        assert [node.ids for node in answer] == [[2], [], [4]]
        assert paths == ["Node[1].ids", "Node[1].post_default_handler"]

    def test_sets_that_cannot_be_rehashed_are_told(self, run):
        """They stay as they were."""

        @dataclass
        class Member:
            id: int
            name: Annotated[Any, Load(Source(lambda key: [key], "lists"), by="id")] = None

            def __hash__(self):
                return hash(self.name)

        @dataclass
        class Holder:
            members: set[Member]

        assert resolved(run, [Holder({Member(1)})])[1] == ["Holder[0].members"]
        assert resolved(run, {Member(1)})[1] == ["the root"]

    def test_loaders_that_cannot_be_made_fail_their_fields(self, run):
        """Those of methods and of markers."""

        class Bad(DataLoader[int, str]):
            def __init__(self):
                boom()

        class Node(BaseModel):
            id: int
            ids: list[int] = [1, 2]
            one: Annotated[str | None, Load(Bad, by="id")] = None
            many: Annotated[list[str], Load(Bad, by="ids")] = []
            other: str = "?"
            good: Annotated[str, Load(fails_for(2), by="id")] = ""

            def resolve_other(self, loader=LoaderDepend(Bad)):
                return loader.load(self.id)

        answer, paths = resolved(run, [Node(id=1)])
        assert answer[0].good == "value 1"
        assert paths == ["Node[0].one", "Node[0].many", "Node[0].other"]

    def test_loaders_whose_futures_are_of_another_kind_fail_key_by_key(self, run):
        """Those of `dloader.compat`, say, whose keys are asked for one by one."""

        class Old(aiodataloader.DataLoader[Any, str]):
            async def batch_load_fn(self, keys):
                return [Boom() if key == 2 else f"value {key}" for key in keys]

        class Raising(Old):
            def load(self, key):
                return boom() if key == 4 else super().load(key)

            def load_many(self, keys):
                raise NotImplementedError

        class Node(BaseModel):
            id: Any
            old: Annotated[str | None, Load(Old, by="id")] = None
            raising: Annotated[str | None, Load(Raising, by="id")] = None

        errors: list[FieldError] = []
        tree = [Node(id=key) for key in (1, 2, None, 4, [])]
        run(lambda: Resolver().resolve(tree, errors=errors))
        assert [node.old for node in tree] == ["value 1", None, None, "value 4", None]
        assert [node.raising for node in tree] == ["value 1", None, None, None, None]
        assert [error.path for error in errors] == [
            "Node[1].old",
            "Node[1].raising",
            "Node[3].raising",
            "Node[4].old",
            "Node[4].raising",
        ]
        assert "declare what holds them" in notes_of(errors[-1].error)

    def test_loaders_that_were_closed_fail_their_fields(self, run):
        """Before they are asked, and while they load."""

        class Node(BaseModel):
            id: int
            name: Annotated[str | None, Load(broken, by="id")] = None

        gate = asyncio.Event()
        slow = Source(str, "slow", gate=gate)

        class Slow(BaseModel):
            id: int
            name: Annotated[str | None, Load(slow, by="id")] = None

        async def law() -> None:
            errors: list[FieldError] = []
            loader = DataLoader(broken)
            await loader.shutdown()
            await Resolver(loader_instances={broken: loader}).resolve([Node(id=1)], errors=errors)
            async with LoaderRegistry() as loaders:
                task = asyncio.create_task(
                    Resolver(registry=loaders).resolve([Slow(id=1), Slow(id=2)], errors=errors)
                )
                await turns(10)
            await task
            assert [type(error.error) for error in errors] == [LoaderClosedError] * 3

        run(law)

    def test_what_loaders_give_may_be_awaited_and_fail_then(self, run):
        """As methods may give awaitables of awaitables."""

        async def later(key):
            await turns(key)
            return boom() if key == 2 else f"value {key}"

        class Later:
            def __init__(self, key):
                self.key = key

            def __await__(self):
                return later(self.key).__await__()

        class Node(BaseModel):
            id: int
            name: Annotated[str | None, Load(Source(Later, "later"), by="id")] = None
            twice: str | None = None

            async def resolve_twice(self):
                return later(self.id)

        answer, paths = resolved(run, [Node(id=1), Node(id=2), Node(id=3)])
        assert (
            [node.name for node in answer] == [node.twice for node in answer] == ["value 1", None, "value 3"]
        )
        assert paths == ["Node[1].name", "Node[1].twice"]

    def test_a_key_whose_hash_raises_at_any_moment_fails_no_more_than_its_batch(self, run):
        """Before it is asked for, on the way, and when it is answered."""

        class Key:
            left = 100_000

            def __hash__(self):
                Key.left -= 1
                return boom() if Key.left < 0 else 7

        class Node(BaseModel):
            key: Any
            name: Annotated[str | None, Load(Source(lambda _: "name", "names"), by="key")] = None

        tree = [Node(key=Key()), Node(key=Key())]
        resolved(run, tree)
        most = 100_000 - Key.left
        for left in range(most):
            Key.left = left
            answer, paths = resolved(run, [Node(key=Key()), Node(key=Key())])
            assert paths == [f"Node[{index}].name" for index, node in enumerate(answer) if node.name is None]
        run.take_reports()

    def test_a_batch_that_cannot_answer_fails_all_its_fields(self, run):
        """Here its keys cannot even be told from each other any more."""

        class Key:
            is_sane = True

            def __hash__(self):
                return 7 if Key.is_sane else boom()

        async def hostile(keys):
            Key.is_sane = False
            raise Boom

        class Node(BaseModel):
            key: Any
            name: Annotated[str | None, Load(hostile, by="key")] = None

        errors: list[FieldError] = []
        run(lambda: Resolver().resolve([Node(key=Key()), Node(key=7)], errors=errors))
        assert [error.path for error in errors] == ["Node[0].name", "Node[1].name"]
        assert {type(error.error) for error in errors} == {BatchAbortedError}
        run.take_reports()

    def test_keys_that_failed_and_keys_that_are_null_are_both_left_out(self, run):
        """Of what is loaded for the others."""

        class Node(BaseModel):
            id: int
            key: Annotated[int | None, Load(Source(lambda key: [None, 1, Boom()][key], "keys"), by="id")] = (
                None
            )
            name: Annotated[str | None, Load(fails_for(9), by="key")] = None

        answer, paths = resolved(run, [Node(id=0), Node(id=1), Node(id=2), Node(id=1)])
        assert [node.name for node in answer] == [None, "value 1", None, "value 1"]
        assert paths == ["Node[2].key"]

    def test_an_exception_that_a_method_returns_is_a_value(self, run):
        """Only what is raised has failed."""

        class Node(BaseModel):
            error: Any = None

            def resolve_error(self):
                return Boom("a value")

        answer, paths = resolved(run, Node())
        assert isinstance(answer.error, Boom)
        assert paths == []


class Stop(BaseException):
    """No Exception."""


def stop() -> Any:
    raise Stop


class TestWhatEndsIt:
    """Cancellation, what is no Exception, and mistakes in the program."""

    def test_without_a_list_the_first_failure_ends_it(self, run):
        """As ever."""
        with pytest.raises(Boom):
            run(lambda: Resolver().resolve([Named(id=2)], errors=None))

    @pytest.mark.parametrize("kind", ["sync", "async", "late", "eager", "cancelled", "loaded"])
    def test_what_is_no_exception_ends_it(self, run, kind):
        """Wherever it comes from; what was started is stopped, and nothing is told."""
        stopped: list[int] = []

        async def never(keys):
            try:
                await asyncio.Event().wait()
            finally:
                stopped.append(1)

        class Node(BaseModel):
            id: int
            held: Annotated[str | None, Load(never, by="id")] = None
            name: Any = None

            if kind in ("sync", "cancelled", "loaded"):

                def resolve_name(self):
                    if kind == "sync":
                        return stop() if self.id == 2 else later()
                    future = asyncio.get_running_loop().create_future()
                    future.cancel()
                    return future

            else:

                async def resolve_name(self):
                    await turns(3 if kind == "late" else 0)
                    raise asyncio.CancelledError

        async def later():
            await asyncio.Event().wait()

        async def law() -> None:
            errors: list[FieldError] = []
            with pytest.raises((Stop, asyncio.CancelledError)):
                await Resolver().resolve([Node(id=1), Node(id=2)], errors=errors)
            assert errors == []

        run(law)

    def test_who_shuts_a_loader_down_cancels_who_waits_for_it(self, run):
        """As whoever awaits a load."""

        async def law() -> None:
            slow = Source(str, "slow", gate=asyncio.Event())

            class Node(BaseModel):
                id: int
                name: Annotated[str | None, Load(slow, by="id")] = None

            loader = DataLoader(slow)
            resolve = Resolver(loader_instances={slow: loader}).resolve([Node(id=1)], errors=[])
            task = asyncio.create_task(resolve)
            await turns(10)
            await loader.shutdown()
            with pytest.raises(asyncio.CancelledError):
                await task

        run(law)

    def test_what_ends_it_is_not_waited_beside(self, run):
        """Other nodes may never be done."""

        async def law() -> None:
            class Node(BaseModel):
                id: int
                name: str | None = None

                async def resolve_name(self):
                    await (turns(3) if self.id else asyncio.Event().wait())
                    raise OptionError("a mistake")

            with pytest.raises(OptionError, match="a mistake") as caught:
                await Resolver().resolve([Node(id=0), Node(id=1)], errors=[])
            assert notes_of(caught.value) == "while resolving Node[1].name"

        run(law)

    def test_what_keeps_tasks_from_being_made_ends_it(self, run):
        """If it is no Exception; the path is noted."""

        class Node(BaseModel):
            id: int
            name: str | None = None

            async def resolve_name(self):
                return "fine"

        async def law() -> None:
            loop = asyncio.get_running_loop()
            before = loop.get_task_factory()
            made: list[Any] = []

            def failing(loop, coroutine, **arguments):
                if made:
                    coroutine.close()
                    raise made.pop()
                return asyncio.Task(coroutine, loop=loop, **arguments)

            loop.set_task_factory(failing)
            try:
                for error in (Boom(), Stop()):
                    made.append(error)
                    errors: list[FieldError] = []
                    tree = [Node(id=1), Node(id=2)]
                    if isinstance(error, Stop):
                        with pytest.raises(Stop) as caught:
                            await Resolver().resolve(tree, errors=errors)
                        assert notes_of(caught.value) == "while resolving Node[0].name"
                    else:
                        await Resolver().resolve(tree, errors=errors)
                        assert [node.name for node in tree] == [None, "fine"]
                        assert [each.path for each in errors] == ["Node[0].name"]
            finally:
                loop.set_task_factory(before)

        if not run.eager:
            run(law)

    def test_cancelling_ends_it(self, run):
        """Its batches are cancelled, and its timeout is a timeout."""

        async def never(keys):
            await asyncio.Event().wait()

        class Node(BaseModel):
            id: int
            name: Annotated[str | None, Load(never, by="id")] = None

        async def law() -> None:
            errors: list[FieldError] = []
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await Resolver().resolve([Node(id=1)], errors=errors)
            assert errors == []

        run(law)

    def test_what_ends_it_while_values_are_converted_or_read_is_raised(self, run):
        """With the path, as ever."""

        class Read(BaseModel):
            id: int
            name: Annotated[str | None, Load(broken, by="key")] = None

            @property
            def key(self):
                return stop() if self.id == 2 else self.id

        class Mapped(BaseModel):
            id: int
            name: Any = None

            def resolve_name(self):
                return self.id

            @field_validator("name")
            @classmethod
            def check(cls, value):
                return stop() if value == 2 else value

        for kind in (Read, Mapped):
            with pytest.raises(Stop):
                run(lambda kind=kind: Resolver().resolve([kind(id=1), kind(id=2)], errors=[]))

    def test_mistakes_in_the_program_end_it(self, run):
        """In models, in parameters, in what a nested resolve is given."""

        class Parameter(DataLoader[int, str]):
            tenant: int

            async def batch_load_fn(self, keys):
                return keys

        class Needs(BaseModel):
            id: int
            name: Annotated[str | None, Load(Parameter, by="id")] = None

        class Wrong(BaseModel):
            name: Annotated[str | None, Load(broken, by="idd")] = None

        class Nested(BaseModel):
            name: Any = None

            async def resolve_name(self):
                return await Resolver().resolve(7)

        class Asks(DataLoader[int, str]):
            async def batch_load_fn(self, keys):
                raise OptionError("no such option")

        class Loads(BaseModel):
            id: int = 1
            name: Annotated[str | None, Load(Asks, by="id")] = None

        for tree, kind in (
            ([Needs(id=1)], LoaderParamError),
            ([Wrong()], PlanError),
            ([Nested()], OptionError),
            ([Loads()], OptionError),
        ):
            with pytest.raises(kind):
                run(lambda tree=tree: Resolver().resolve(tree, errors=[]))

    @pytest.mark.parametrize("given", [(), {}, "errors", True, 7, [].append])
    def test_what_is_no_list_is_refused(self, run, given):
        """Before anything is loaded, with what to write instead."""
        with pytest.raises(OptionError, match=r"errors: list\[FieldError\] = \[\]"):
            run(lambda: Resolver().resolve([Named(id=1)], errors=given))


class TestFieldErrors:
    """What is told of a failure."""

    def test_each_has_path_error_model_and_field(self, run):
        """In the order of the tree, after what the list had."""

        class Top(BaseModel):
            leaves: dict[str, list[Named]]

        errors: list[Any] = ["before"]
        tree = [Top(leaves={}), Top(leaves={"a b": [Named(id=1), Named(id=2)]})]
        run(lambda: Resolver().resolve(tree, errors=errors))
        _, error = errors
        assert error.path == "Top[1].leaves['a b'][1].name"
        assert error.loc == (1, "leaves", "a b", 1, "name")
        assert (error.model, error.field) == (Named, "name")
        assert str(error) == f"{error.path}: Boom: no 2"
        assert repr(error) == f"FieldError({error.path!r}, Boom('no 2'))"
        assert f"while resolving {error.path} with loader 'names'" in notes_of(error.error)

    def test_they_are_values(self):
        """Equal if all is equal; they can be pickled, and an error without words has none."""
        error = FieldError("Leaf.name", ValueError())
        assert error == FieldError("Leaf.name", error.error)
        assert str(error) == "Leaf.name: ValueError"
        assert pickle.loads(pickle.dumps(error)).path == "Leaf.name"

    def test_a_path_is_that_of_the_note_that_would_end_the_resolve(self, run):
        """So that one can be found by the other."""

        class Top(BaseModel):
            leaves: list[Named]

        with pytest.raises(Boom) as caught:
            run(lambda: Resolver().resolve([Top(leaves=[Named(id=2)])]))
        _, paths = resolved(run, [Top(leaves=[Named(id=2)])])
        assert f"while resolving {paths[0]} with" in notes_of(caught.value)

    def test_an_error_that_fails_many_places_is_told_for_each(self, run):
        """And is noted with the first of them."""
        shared = Boom("shared")

        class Node(BaseModel):
            id: int
            name: str | None = None

            def resolve_name(self):
                raise shared

        errors: list[FieldError] = []
        run(lambda: Resolver().resolve([Node(id=1), Node(id=2)], errors=errors))
        assert [error.error for error in errors] == [shared, shared]
        assert notes_of(shared) == "while resolving Node[0].name"

    def test_failures_are_told_under_instruments_too(self, run):
        """A record of the resolve has all its steps."""
        from dloader.trace import record

        class Bad(DataLoader[int, str]):
            def __init__(self):
                boom()

        class Node(BaseModel):
            id: Any
            name: Annotated[str | None, Load(fails_for(2), by="id")] = None
            bad: Annotated[str | None, Load(Bad, by="id")] = None
            none: Annotated[str | None, Load(fails_for(2), by="id")] = None
            method: str | None = None

            def resolve_method(self):
                return boom()

        with record() as trace:
            _, paths = resolved(run, [Node(id=1), Node(id=[]), Node(id=None)])
        assert len(paths) == 7
        assert {each.path for each in trace.fields} >= {"Node.name", "Node.method"}
