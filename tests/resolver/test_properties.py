"""Random trees, filled by the resolver and by a naive recursive reference; and batches counted level by level."""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import Annotated, Any

from amounts import at_most
from hypothesis import given, strategies as st
from loops import turns
from pydantic import BaseModel

from dloader import DataLoader
from dloader.resolver import Collector, ExposeAs, Load, LoaderDepend, Resolver, SendTo

IDS = 6

"""A tree costs some milliseconds, and every law is checked on each kind of loop."""


class Table:
    """A batch function over the current world's rows; each call takes as many turns as the world says."""

    def __init__(self, name: str) -> None:
        self.__qualname__ = self.__name__ = name

    async def __call__(self, keys: list[Any]) -> list[Any]:
        world.batches[self.__name__] += 1
        await turns(next(world.delays))
        return [world.row(self.__name__, key) for key in keys]


class World:
    """What the loaders answer, how long they take, and how often they were called."""

    def __init__(self, rows: dict[str, dict[int, Any]], delays: list[int]) -> None:
        self.rows = rows
        self.delays = itertools.cycle(delays or [0])
        self.pauses = itertools.cycle(delays[::-1] or [0])
        self.batches: dict[str, int] = defaultdict(int)

    def row(self, table: str, key: int) -> Any:
        return self.rows[table].get(key, [] if table in ("loaded", "awaited") else f"{table} {key}")

    def item_of(self, key: int) -> dict[str, Any]:
        return {"id": key, "label_key": self.rows["label_key"].get(key)}


world: Any = None

LOADED, AWAITED, ITEMS, LABELS = Table("loaded"), Table("awaited"), Table("items"), Table("labels")
RANKS, FINALS, EXTRAS = Table("ranks"), Table("finals"), Table("extras")


class Item(BaseModel):
    id: int
    label_key: int | None = None
    label: Annotated[str | None, Load(LABELS, by="label_key"), SendTo("labels")] = None
    place: str = ""

    def post_place(self, ancestor_context):
        return ancestor_context.get("place", "nowhere") + str(self.label)


class Plain(BaseModel):
    """A node whose answer does not depend on where it stands."""

    id: int
    given: list[Plain] = []
    loaded: list[Plain] = []
    awaited: dict[str, Plain] = {}
    rank: str = ""
    total: int = 0
    final: str = ""

    def resolve_loaded(self, loader=LoaderDepend(LOADED)):
        return loader.load(self.id)

    async def resolve_awaited(self, loader=LoaderDepend(AWAITED)):
        await turns(next(world.pauses))
        return {str(row["id"]): row for row in await loader.load(self.id)}

    def post_total(self):
        below = [*self.given, *self.loaded, *self.awaited.values()]
        return 1 + sum(node.total for node in below)

    async def post_rank(self, loader=LoaderDepend(RANKS)):
        return await loader.load(self.id)

    def post_default_handler(self):
        self.final = f"{self.rank} of {self.total}"


class Special(Plain):
    """A subclass, found by its runtime type."""

    extra: Annotated[str, Load(EXTRAS, by="id")] = ""


class Place(BaseModel):
    """A node whose answer depends on where it stands."""

    id: int
    place: Annotated[str, ExposeAs("place"), SendTo("places")] = ""
    item_key: int | None = None
    item: Annotated[Item | None, Load(ITEMS, by="item_key")] = None
    given: list[Place] = []
    loaded: list[Place] = []
    awaited: list[Place] = []
    places: list[str] = []
    labels: list[str | None] = []
    rank: str = ""
    final: str = ""

    def resolve_place(self, ancestor_context):
        return f"{ancestor_context.get('place', '')}/{self.id}"

    def resolve_loaded(self, loader=LoaderDepend(LOADED)):
        return loader.load(self.id)

    async def resolve_awaited(self, loader=LoaderDepend(AWAITED)):
        return await loader.load(self.id)

    def post_places(self, places=Collector("places")):
        return places.values()

    def post_labels(self, labels=Collector("labels")):
        return labels.values()

    def post_rank(self, loader=LoaderDepend(RANKS)):
        return loader.load(self.id)

    async def post_default_handler(self, parent, loader=LoaderDepend(FINALS)):
        self.final = f"{await loader.load(self.id)} below {parent and parent.id}"


# -- the naive reference -------------------------------------------------------------------------------------


def expected_plain(node: Plain) -> dict[str, Any]:
    below = {
        "given": [expected_plain(child) for child in node.given],
        "loaded": [expected_plain(Plain(**row)) for row in world.row("loaded", node.id)],
        "awaited": {str(row["id"]): expected_plain(Plain(**row)) for row in world.row("awaited", node.id)},
    }
    children = [*below["given"], *below["loaded"], *below["awaited"].values()]
    total = 1 + sum(child["total"] for child in children)
    rank = world.row("ranks", node.id)
    answer = {"id": node.id, **below, "rank": rank, "total": total, "final": f"{rank} of {total}"}
    if isinstance(node, Special):
        answer["extra"] = world.row("extras", node.id)
    return answer


def expected_place(
    node: Place, parent: Place | None, above: str
) -> tuple[dict[str, Any], list[str], list[Any]]:
    """The node as it must become, and what it and those below send: each node before those below it."""
    place = f"{above}/{node.id}"
    sent_places: list[str] = []
    sent_labels: list[Any] = []
    item = None
    if node.item_key is not None:
        row = world.item_of(node.item_key)
        label = None if row["label_key"] is None else world.row("labels", row["label_key"])
        item = {**row, "label": label, "place": place + str(label)}
        sent_labels.append(label)
    below: dict[str, list[Any]] = {}
    rows = {name: [Place(**row) for row in world.row(name, node.id)] for name in ("loaded", "awaited")}
    for name, children in {"given": node.given, **rows}.items():
        below[name] = []
        for child in children:
            answer, places, labels = expected_place(child, node, place)
            below[name].append(answer)
            sent_places += places
            sent_labels += labels
    answer = {
        "id": node.id,
        "place": place,
        "item_key": node.item_key,
        "item": item,
        **below,
        "places": sent_places,
        "labels": sent_labels,
        "rank": world.row("ranks", node.id),
        "final": f"{world.row('finals', node.id)} below {parent and parent.id}",
    }
    return answer, [place, *sent_places], sent_labels


# -- random worlds and trees ---------------------------------------------------------------------------------


def keys_after(number: int, size: int = 2) -> st.SearchStrategy[list[int]]:
    later = list(range(number + 1, IDS))
    return st.lists(st.sampled_from(later), max_size=size, unique=True) if later else st.just([])


@st.composite
def worlds(draw: Any) -> World:
    keys = {
        name: {number: draw(keys_after(number)) for number in range(IDS)} for name in ("loaded", "awaited")
    }
    item_keys = {number: draw(st.sampled_from([None, 1, 2, 3])) for number in range(IDS)}
    rows: dict[str, dict[int, Any]] = {
        name: {
            number: [{"id": key, "item_key": item_keys[key]} for key in found]
            for number, found in table.items()
        }
        for name, table in keys.items()
    }
    rows["label_key"] = {number: draw(st.sampled_from([None, 10, 11])) for number in range(1, 4)}
    rows.update(labels={}, ranks={}, finals={}, extras={})
    rows["items"] = {key: {"id": key, "label_key": rows["label_key"][key]} for key in range(1, 4)}
    return World(rows, draw(st.lists(st.integers(0, 12), max_size=6)))


@st.composite
def roots(draw: Any, make: Any, shared: bool) -> list[Any]:
    """Nodes with nodes given below them; with `shared`, one object may stand in many places."""
    nodes = [make(draw, number) for number in range(draw(st.integers(1, 5)))]
    places = [*range(len(nodes)), *range(len(nodes))] if shared else range(len(nodes))
    free = set(range(len(nodes)))
    for number, node in enumerate(nodes):
        for other in draw(st.lists(st.sampled_from(places), max_size=3, unique=not shared)):
            if other > number and (shared or other in free):
                node.given.append(nodes[other])
                free.discard(other)
    if shared:
        return draw(st.lists(st.sampled_from(nodes), min_size=1, max_size=6))
    return [nodes[number] for number in sorted(free)]


def plain(draw: Any, number: int) -> Plain:
    kind = draw(st.sampled_from([Plain, Special]))
    return kind(id=draw(st.integers(0, IDS - 1)), given=[])


def place(draw: Any, number: int) -> Place:
    return Place(id=draw(st.integers(0, IDS - 1)), item_key=draw(st.sampled_from([None, 1, 2, 3])), given=[])


def shown(node: BaseModel) -> dict[str, Any]:
    """A node as a dict, by the runtime types below it."""

    def show(value: Any) -> Any:
        if isinstance(value, BaseModel):
            return {name: show(getattr(value, name)) for name in type(value).model_fields}
        if isinstance(value, dict):
            return {key: show(item) for key, item in value.items()}
        return [show(item) for item in value] if isinstance(value, list) else value

    return show(node)


def level_by_level(tree: list[Place]) -> dict[str, int]:
    """How many batches a walk makes that fills one level after the other, without a cache."""
    count: dict[str, int] = defaultdict(int)
    nodes = [expected_place(node, None, "")[0] for node in tree]
    items_here: list[Any] = []
    while nodes or items_here:
        for name in ("loaded", "awaited", "ranks", "finals"):
            count[name] += bool(nodes)
        count["labels"] += any(item["label_key"] is not None for item in items_here)
        items_here = [node["item"] for node in nodes if node["item"]]
        count["items"] += bool(items_here)
        nodes = [child for node in nodes for name in ("given", "loaded", "awaited") for child in node[name]]
    return {name: number for name, number in count.items() if number}


class TestRandomTrees:
    """What the resolver makes of any tree."""

    @at_most(100)
    @given(worlds(), roots(plain, shared=True), st.booleans())
    def test_nodes_in_many_places_get_the_answers_of_the_naive_walk(self, run, drawn, tree, caching):
        """Whatever is shared, however long each batch and each method takes."""
        global world
        world = drawn
        wanted = [expected_plain(node) for node in tree]

        async def law():
            tables = (LOADED, AWAITED, RANKS, EXTRAS)
            instances = {table: DataLoader(table, cache=caching) for table in tables}
            assert await Resolver(loader_instances=instances).resolve(tree) is tree

        run(law)
        assert [shown(node) for node in tree] == wanted

    @at_most(100)
    @given(worlds(), roots(place, shared=True))
    def test_each_place_gets_its_own_answer(self, run, drawn, tree):
        """A shared object stands in each place as a copy with that place's parent, ancestors and collectors.

        The same object twice among the roots is one place.
        """
        global world
        world = drawn
        wanted = [expected_place(node, None, "")[0] for node in tree]

        async def law():
            await Resolver().resolve(tree)

        run(law)
        assert [shown(node) for node in tree] == wanted

    @at_most(100)
    @given(worlds(), roots(place, shared=False))
    def test_no_loader_makes_more_batches_than_a_walk_level_by_level(self, run, drawn, tree):
        """However long each batch takes. It may make fewer: levels that are ready together load together."""
        global world
        world = drawn
        wanted = level_by_level(tree)

        async def law():
            tables = (LOADED, AWAITED, ITEMS, LABELS, RANKS, FINALS)
            instances = {table: DataLoader(table, cache=False) for table in tables}
            await Resolver(loader_instances=instances).resolve(tree)

        run(law)
        assert world.batches.keys() == wanted.keys()
        assert {name: count for name, count in world.batches.items() if count > wanted[name]} == {}
