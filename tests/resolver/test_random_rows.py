"""Random rows, made into models and filled: by the resolver, and by a plain recursive evaluation.

Rows of every kind, by field name or alias; fields without defaults; keys of two columns and lists of keys, which the
models do not have; methods that need siblings; models that hold themselves; any part of the tree, any depth.
"""

from __future__ import annotations

import itertools
from collections import namedtuple
from dataclasses import make_dataclass
from types import MappingProxyType, SimpleNamespace
from typing import Annotated, Any

from amounts import at_most
from hypothesis import given, strategies as st
from loops import turns
from pydantic import BaseModel, Field

from dloader.resolver import Load, Resolver, needs

IDS = 5
DEPTH = 3
UNSET = "unset"


class World:
    """The rows, of which kind each is, and how long loaders take."""

    def __init__(self, kinds: list[str], rows: dict[int, dict[str, Any]], delays: list[int]) -> None:
        self.kinds = itertools.cycle(kinds)
        self.rows = rows
        self.delays = itertools.cycle(delays)

    def row(self, plain: dict[str, Any]) -> Any:
        """A row of one kind or another."""
        names = list(plain)
        match next(self.kinds):
            case "dict":
                return dict(plain)
            case "mapping":
                return MappingProxyType(dict(plain))
            case "object":
                return SimpleNamespace(**plain)
            case "dataclass":
                return make_dataclass("Row", names)(**plain)
            case _:
                return namedtuple("Row", names)(**plain)  # noqa: PYI024 - made of names that are not known


world: Any = None


async def load_owners(keys: list[tuple[str, int]]) -> list[Any]:
    await turns(next(world.delays))
    return [world.row({"id": number, "of": country}) for country, number in keys]


async def load_tags(keys: list[int]) -> list[Any]:
    await turns(next(world.delays))
    return [world.row({"id": key, "of": "tag"}) for key in keys]


async def load_words(keys: list[int]) -> list[str]:
    await turns(next(world.delays))
    return [f"word {key}" for key in keys]


async def load_below(keys: list[int]) -> list[list[Any]]:
    await turns(next(world.delays))
    return [[world.row(world.rows[child]) for child in world.rows[key]["children"]] for key in keys]


class Tag(BaseModel):
    id: int
    of: str
    word: Annotated[str, Load(load_words, by="id")]


class Out(BaseModel):
    id: int
    name: str = Field(alias="itsName")
    owner: Annotated[Tag | None, Load(load_owners, by=("country", "number"))]
    tags: Annotated[list[Tag], Load(load_tags, by="tag_ids")]
    below: Annotated[list[Out], Load(load_below, by="id", depth=DEPTH)] = []
    size: int
    shout: str = "-"
    total: int

    @needs("tags")
    def resolve_size(self):
        return len(self.tags)

    @needs("size")
    async def resolve_shout(self):
        await turns(next(world.delays))
        return "!" * self.size

    def post_total(self):
        return 1 + sum(child.__dict__.get("total", 0) for child in self.below)


NEEDS = {"size": "tags", "shout": "size"}
PARTS = {"owner": Tag, "tags": Tag, "below": Out}
FILLED = {Tag: ["word"], Out: ["owner", "tags", "below", "size", "shout", "total"]}


# -- the plain evaluation ------------------------------------------------------------------------------------


def part_of(chosen: Any, name: str) -> Any:
    """What `include` or `exclude` says of what is below a field; None for nothing."""
    return chosen[name] if isinstance(chosen, dict) and isinstance(chosen.get(name), dict) else None


def expected_tag(row: dict[str, Any], level: int, most: int, include: Any, exclude: Any) -> dict[str, Any]:
    is_filled = level <= most and wanted("word", include, exclude)
    return {**row, "word": f"word {row['id']}" if is_filled else UNSET}


def wanted(name: str, include: Any, exclude: Any) -> bool:
    return (include is None or name in include) and not (exclude is not None and exclude.get(name) is True)


def expected(key: int, level: int, most: int, include: Any, exclude: Any) -> dict[str, Any]:
    """The node of a row, with what is below it, as it must become."""
    row = world.rows[key]
    answer = {"id": key, "name": row_name(row), "below": [], "shout": "-"}
    if level > most:  # nothing is filled; what admits None is None
        return {**answer, "owner": None, "tags": UNSET, "size": UNSET, "total": UNSET}
    answer.update(dict.fromkeys(("owner", "tags", "size", "total"), UNSET))

    def below(name: str) -> tuple[int, int, Any, Any]:
        return level + 1, most, part_of(include, name), part_of(exclude, name)

    for name in FILLED[Out]:
        if not wanted(name, include, exclude):
            continue
        if name == "owner":
            owner = {"id": row["number"], "of": row["country"]}
            answer["owner"] = None if None in owner.values() else expected_tag(owner, *below("owner"))
        elif name == "tags":
            answer["tags"] = [expected_tag({"id": n, "of": "tag"}, *below("tags")) for n in row["tag_ids"]]
        elif name == "below" and level <= DEPTH:
            answer["below"] = [expected(child, *below("below")) for child in row["children"]]
        elif name == "size":
            answer["size"] = len(row["tag_ids"])
        elif name == "shout":
            answer["shout"] = "!" * len(row["tag_ids"])
        elif name == "total":
            totals = [child["total"] for child in answer["below"]]
            answer["total"] = 1 + sum(0 if total == UNSET else total for total in totals)
    return answer


def row_name(row: dict[str, Any]) -> str:
    return row["itsName"] if "itsName" in row else row["name"]


def shown(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return {name: shown(value.__dict__.get(name, UNSET)) for name in type(value).model_fields}
    return [shown(item) for item in value] if isinstance(value, list) else value


# -- random worlds -------------------------------------------------------------------------------------------


@st.composite
def worlds(draw: Any) -> World:
    rows = {}
    for key in range(IDS):
        rows[key] = {
            "id": key,
            draw(st.sampled_from(["name", "itsName"])): f"name {key}",
            "country": draw(st.sampled_from([None, "NO", "PE"])),
            "number": draw(st.sampled_from([None, 1, 2])),
            "tag_ids": draw(st.lists(st.integers(0, 3), max_size=3)),
            "children": draw(st.lists(st.integers(0, IDS - 1), max_size=2)),
        }
    kinds = st.lists(
        st.sampled_from(["dict", "mapping", "object", "dataclass", "named"]), min_size=1, max_size=5
    )
    return World(draw(kinds), rows, draw(st.lists(st.integers(0, 9), min_size=1, max_size=5)))


@st.composite
def parts(draw: Any, model: Any, depth: int, includes: bool) -> dict[str, Any]:
    """Some fields of a model, with all that is below them or with some of it."""
    names = draw(st.sets(st.sampled_from(FILLED[model]), min_size=int(includes)))
    for name, needed in reversed(NEEDS.items()):
        if includes and name in names:
            names.add(needed)
    for name, needed in NEEDS.items():
        if not includes and needed in names and model is Out:
            names.add(name)
    found: dict[str, Any] = {}
    for name in sorted(names):
        nested = PARTS.get(name) if depth and not (name == "tags" and not includes) else None
        found[name] = (nested is not None and draw(parts(nested, depth - 1, includes))) or True
    return found


def dotted(chosen: dict[str, Any], above: str = "") -> set[str]:
    """The names of what was drawn."""
    names = set()
    for name, below in chosen.items():
        names |= {f"{above}{name}"} if below is True else dotted(below, f"{above}{name}.")
    return names


class TestRandomRows:
    """What becomes of rows."""

    @at_most(100)
    @given(
        worlds(),
        st.lists(st.integers(0, IDS - 1), max_size=4),
        st.sampled_from([list, tuple, iter]),
        st.none() | st.integers(1, 5),
        st.none() | parts(Out, 2, True),
        st.none() | parts(Out, 2, False),
    )
    def test_rows_become_what_a_plain_evaluation_makes_of_them(
        self, run, drawn, keys, container, max_depth, include, exclude
    ):
        """Whatever kinds they are of, however long loaders take, whatever part of the tree is asked for."""
        global world
        world = drawn
        most = max_depth or 100
        answers = [expected(key, 1, most, include, exclude) for key in keys]

        async def law():
            rows = container([world.row(world.rows[key]) for key in keys])
            parts_asked = {
                "include": None if include is None else dotted(include),
                "exclude": None if exclude is None else dotted(exclude),
            }
            return await Resolver(max_depth=max_depth).resolve(rows, into=list[Out], **parts_asked)

        assert shown(run(law)) == answers

    def test_no_rows_of_which_nothing_is_filled_are_no_nodes(self, run):
        """With keys that only rows have; found by the above."""

        async def law():
            options = {"include": "owner.word", "exclude": "owner"}
            assert await Resolver().resolve([], into=list[Out], **options) == []
            assert await Resolver().resolve({}, into=dict[str, Out], exclude=FILLED[Out]) == {}

        run(law)
