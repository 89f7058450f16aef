"""Trees made of random rows, filled in part or whole, by the resolver and by a naive recursive reference."""

from __future__ import annotations

from collections import namedtuple
from types import MappingProxyType, SimpleNamespace
from typing import Annotated, Any

import pytest
from amounts import at_most
from hypothesis import given, strategies as st
from loops import turns
from pydantic import BaseModel, Field

from dloader.resolver import Load, Resolver, needs

IDS = 5
UNSET: Any = object()


class World:
    """What the tables hold, in which form rows come, and how long each batch takes."""

    def __init__(self, rows: list[dict[str, Any]], forms: list[int], delays: list[int]) -> None:
        self.rows, self.forms, self.delays = rows, forms, delays
        self.calls: list[tuple[str, list[Any]]] = []

    def row(self, key: int) -> Any:
        """The row of a tree node, in one of the forms that drivers give."""
        return FORMS[self.forms[key]](self.rows[key])


FORMS: list[Any] = [
    dict,
    MappingProxyType,
    lambda row: SimpleNamespace(**row),
    lambda row: namedtuple("Row", row)(**row),  # noqa: PYI024 - as drivers make them
]
world: Any = None


class Table:
    """A batch function that answers from the world."""

    def __init__(self, name: str, answer: Any) -> None:
        self.__qualname__ = self.__name__ = name
        self.answer = answer

    async def __call__(self, keys: list[Any]) -> list[Any]:
        world.calls.append((self.__name__, keys))
        await turns(world.delays[len(world.calls) % len(world.delays)])
        return [self.answer(key) for key in keys]


def name_of(key: tuple[int, str]) -> str:
    return f"{key[1]} {key[0]}"


def product_of(key: tuple[int, int]) -> int:
    return key[0] * 10 + key[1]


NAMES = Table("names", name_of)
PRODUCTS = Table("products", product_of)
LEAVES = Table("leaves", lambda key: {"id": key, "kind": world.rows[key]["kind"]})
TREES = Table("trees", lambda key: world.row(key))
MANY = Table("many", lambda key: [world.row(other) for other in world.rows[key]["below"]])


class Leaf(BaseModel):
    """Has a name by a key of two columns, of which one is hidden and may be null."""

    id: int
    name: Annotated[str | None, Load(NAMES, by=("id", "kind"))]


class Tree(BaseModel):
    """Has keys of all kinds."""

    id: int = Field(alias="number")
    product: Annotated[int | None, Load(PRODUCTS, by=("left", "right"))]
    refs: list[int | None]
    leaves: Annotated[list[Leaf], Load(LEAVES, by="refs")]
    one: Annotated[Tree | None, Load(TREES, by="one_id", depth=2)]
    many: Annotated[list[Tree], Load(MANY, by="id", depth=1)] = []
    note: str = "-"
    title: str
    shout: str = ""

    def resolve_note(self):
        return f"note {self.id}"

    @needs("product", "note")
    def resolve_title(self):
        return f"{self.product} {self.note}"

    def post_shout(self):
        return f"{self.id}!"


Selection = dict[str, "Selection | None"] | None
"""The fields that are filled, and what of what stands in them; None is all."""

WAITS = {"title": ("product", "note")}
DEPTHS = {"one": 2, "many": 1}


def leaf_of(row: dict[str, Any], chosen: Selection, level: int, most: int) -> dict[str, Any]:
    """What becomes of a row."""
    leaf = {"id": row["id"]}
    if level > most:
        return leaf | {"name": None}
    if chosen is None or "name" in chosen:
        leaf["name"] = None if row["kind"] is None else name_of((row["id"], row["kind"]))
    return leaf


def tree_of(
    key: int, chosen: Selection, most: int, level: int = 1, used: dict[str, int] | None = None
) -> dict[str, Any]:
    """What becomes of a row, and of those below it: field by field, the values that it is to have."""
    row, used = world.rows[key], used or {"one": 0, "many": 0}
    tree = {"id": key, "refs": row["refs"], "many": [], "note": "-", "shout": ""}
    if level > most:
        return tree | {"product": None, "one": None}
    wanted = (
        dict(chosen)
        if chosen is not None
        else dict.fromkeys(("product", "leaves", "one", "many", "note", "title", "shout"))
    )
    for name in list(wanted):
        wanted |= {other: None for other in WAITS.get(name, ()) if other not in wanted}
    for name, below in wanted.items():
        tree[name] = value_of(name, row, below, most, level, used)
    return tree


def value_of(
    name: str, row: dict[str, Any], chosen: Selection, most: int, level: int, used: dict[str, int]
) -> Any:
    """What a field is filled with."""
    key, left, right = row["number"], row["left"], row["right"]
    product = None if left is None or right is None else product_of((left, right))
    if name == "leaves":
        rows = [
            {"id": other, "kind": world.rows[other]["kind"]} for other in row["refs"] if other is not None
        ]
        return [leaf_of(each, chosen, level + 1, most) for each in rows]
    if name in DEPTHS:
        goes_on = used[name] < DEPTHS[name]
        used = used | {name: used[name] + 1}
        if name == "many":
            below = row["below"] if goes_on else []
            return [tree_of(other, chosen, most, level + 1, used) for other in below]
        return (
            tree_of(row["one_id"], chosen, most, level + 1, used)
            if goes_on and row["one_id"] is not None
            else None
        )
    texts = {"note": f"note {key}", "title": f"{product} note {key}", "shout": f"{key}!"}
    return product if name == "product" else texts[name]


def shown(node: Any) -> Any:
    """A node as the reference shows it: with the fields that it has."""
    if isinstance(node, list):
        return [shown(each) for each in node]
    if isinstance(node, BaseModel):
        return {name: shown(value) for name, value in vars(node).items() if name in type(node).model_fields}
    return node


keys = st.integers(0, IDS - 1)
may_be_null = st.none() | keys
row_parts = st.fixed_dictionaries(
    {
        "left": may_be_null,
        "right": may_be_null,
        "refs": st.lists(may_be_null, max_size=3),
        "one_id": may_be_null,
        "below": st.lists(keys, max_size=2),
        "kind": st.sampled_from([None, "a", "b"]),
    }
)
worlds = st.builds(
    World,
    st.lists(row_parts, min_size=IDS, max_size=IDS).map(
        lambda rows: [{"number": number, **row} for number, row in enumerate(rows)]
    ),
    st.lists(st.integers(0, len(FORMS) - 1), min_size=IDS, max_size=IDS),
    st.lists(st.integers(0, 6), min_size=1, max_size=4),
)
ends = st.sampled_from(["product", "note", "title", "shout"])
selections: st.SearchStrategy[Any] = st.recursive(
    st.none(),
    lambda below: st.dictionaries(ends, st.none(), max_size=3).flatmap(
        lambda own: st.fixed_dictionaries(
            {}, optional={"one": below, "many": below, "leaves": st.sampled_from([None, {"name": None}])}
        ).map(lambda more: own | more)
    ),
    max_leaves=5,
)


def include_of(chosen: Selection) -> Any:
    """A selection as `include=` takes it."""
    return (
        None
        if chosen is None
        else {name: ... if below is None else include_of(below) for name, below in chosen.items()}
    )


def is_told(chosen: Selection) -> bool:
    """Whether each part names something: what an empty dict means below is no matter of this test."""
    return chosen is None or (bool(chosen) and all(map(is_told, chosen.values())))


class TestRandomRows:
    @at_most(150)
    @given(worlds, st.lists(keys, max_size=4))
    def test_a_tree_is_that_of_the_naive_walk(self, run, drawn, roots):
        """Whatever rows are: mappings and objects, in one list."""
        global world
        world = drawn
        rows = [world.row(key) for key in roots]
        answer = run(lambda: Resolver().resolve(rows, into=list[Tree]))
        assert shown(answer) == [tree_of(key, None, 99) for key in roots]

    @at_most(150)
    @given(worlds, st.lists(keys, max_size=3), selections.filter(is_told), st.sampled_from([1, 2, 3, 99]))
    def test_a_part_of_a_tree_is_that_of_the_naive_walk(self, run, drawn, roots, chosen, most):
        """Names that are included, and levels that are filled."""
        global world
        world = drawn
        rows = [world.row(key) for key in roots]
        resolver = Resolver(max_depth=most)
        answer = run(lambda: resolver.resolve(rows, into=list[Tree], include=include_of(chosen)))
        assert shown(answer) == [tree_of(key, chosen, most) for key in roots]

    @at_most(150)
    @given(worlds, st.lists(keys, min_size=1, max_size=4))
    def test_nothing_is_loaded_twice(self, run, drawn, roots):
        """No table is asked for a key again, and there are no more batches than levels of its field."""
        global world
        world = drawn
        rows = [world.row(key) for key in roots]
        run(lambda: Resolver().resolve(rows, into=list[Tree]))
        asked = [(name, key) for name, keys in world.calls for key in keys]
        assert len(set(asked)) == len(asked)
        most = {"trees": 3, "many": 3, "products": 4, "leaves": 4, "names": 4}
        for name, count in most.items():
            assert sum(called == name for called, _ in world.calls) <= count

    @pytest.mark.parametrize("form", range(len(FORMS)), ids=["dict", "mapping", "object", "named tuple"])
    @pytest.mark.parametrize("below", [[], [0], [0, 0]], ids=len)
    def test_a_row_that_leads_to_itself_ends_at_the_depth(self, run, form, below):
        """No node stands below itself, whatever the rows are that nodes are made of."""
        global world
        row = {"left": 1, "right": 2, "refs": [], "one_id": 0, "below": below, "kind": None}
        world = World([{"number": 0, **row}], [form], [0])
        answer = run(lambda: Resolver().resolve([world.row(0), world.row(0)], into=list[Tree]))
        assert shown(answer) == [tree_of(0, None, 99)] * 2
