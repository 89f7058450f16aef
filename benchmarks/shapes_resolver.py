"""Resolver shapes: how much filling a tree costs, beside pydantic-resolve and beside code written by hand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

from benchmarks import (
    resolver_data as data,
    resolver_hand as hand,
    resolver_nodes as flat_models,
    resolver_trees as trees,
)
from benchmarks.libraries import DLOADER, Library, pydantic_resolve
from benchmarks.shape import Contestant, Settings, Shape, Target

__all__ = ("shapes",)

HAND, TASKS, PEER = "by hand", "bare eager tasks", "pydantic-resolve"
SYNC, LOAD, ASYNC = "dloader, sync methods", "dloader, Load", "dloader, async def"
PEER_ASYNC = "pydantic-resolve, async def"
MOST_FOR_PEER = 100_000
"""pydantic-resolve would need minutes for larger trees."""

Prepare = Callable[[], Any]
Fill = Callable[[Any], Awaitable[Any]]


def _dump(output: Any) -> Any:
    return [node.model_dump() for node in output] if isinstance(output, list) else output.model_dump()


def _roots(model: Any, rows: Callable[[], list[dict[str, Any]]]) -> Prepare:
    return lambda: [model(**row) for row in rows()]


def _beyond_hand(ours: str, peer: Library | None, at_most: float = 1.15) -> list[Target]:
    """The targets of nearly every shape: at hand-written speed, and five times as fast as the peer."""
    return [Target(ours, (HAND,), at_most), *([Target(ours, (PEER,), 0.2)] if peer else [])]


def shapes(settings: Settings) -> Iterator[Shape]:
    """All resolver shapes."""
    peer = pydantic_resolve()
    n = settings.nodes
    yield _three_levels(n, peer)
    for few in (True, False):
        yield _owners(n, few, peer)
    flat = partial(_simple, peer=peer)
    rows = partial(_numbered, n)
    tree_rows = partial(data.nested, n)
    size = data.nodes_of(len(data.companies(n)))
    yield flat(
        "a post on every node of three levels",
        size,
        trees.posting_tree,
        hand.PostedCompany,
        hand.fill_posted_tree,
        partial(data.companies, n),
    )
    yield flat("sync methods without loaders", n, flat_models.labelled, hand.Labelled, hand.fill_labels, rows)
    yield flat("posts only", n, flat_models.posting, hand.Labelled, hand.fill_labels, rows)
    yield flat("collectors", size, trees.collecting_tree, hand.SentCompany, hand.fill_collected, tree_rows)
    yield _nothing(n, peer)
    yield _deep(min(n, 200), peer)
    yield _wide(n, peer)
    yield _growth([decade for decade in settings.decades if decade >= 200], peer)


def _numbered(count: int) -> list[dict[str, Any]]:
    return [{"id": id} for id in range(count)]


def _simple(
    name: str, units: int, model: Callable[[Library], Any], plain: Any, fill: Fill, rows: Callable[[], Any],
    peer: Library | None,
) -> Shape:  # fmt: skip
    """dloader, pydantic-resolve and hand-written code, each on its own model of the same rows."""
    contestants = [
        Contestant(SYNC, DLOADER.resolve, _roots(model(DLOADER), rows)),
        *([Contestant(PEER, peer.resolve, _roots(model(peer), rows))] if peer else []),
        Contestant(HAND, fill, _roots(plain, rows)),
    ]
    return Shape("resolver", name, units, "node", contestants, _beyond_hand(SYNC, peer), _dump)


def _tree_contestants(nodes: int, peer: Library | None) -> list[Contestant]:
    rows = partial(data.companies, nodes)
    return [
        Contestant(SYNC, DLOADER.resolve, _roots(trees.tree(DLOADER), rows)),
        Contestant(LOAD, DLOADER.resolve, _roots(trees.declared_tree(), rows)),
        *([Contestant(PEER, peer.resolve, _roots(trees.tree(peer), rows))] if peer else []),
        Contestant(HAND, hand.fill_tree, _roots(hand.Company, rows)),
    ]


def _three_levels(nodes: int, peer: Library | None) -> Shape:
    targets = [*_beyond_hand(SYNC, peer), *_beyond_hand(LOAD, peer, 1.0)]
    size = data.nodes_of(len(data.companies(nodes)))
    return Shape("resolver", "three levels", size, "node", _tree_contestants(nodes, peer), targets, _dump)


def _owners(count: int, few: bool, peer: Library | None) -> Shape:
    different = min(data.OWNERS, count) if few else count

    def rows() -> list[dict[str, int]]:
        return [{"id": id, "owner_id": 1_000_000 + id % different} for id in range(count)]

    contestants = [
        Contestant(SYNC, DLOADER.resolve, _roots(flat_models.task(DLOADER), rows)),
        Contestant(LOAD, DLOADER.resolve, _roots(flat_models.declared_task(), rows)),
        Contestant(ASYNC, DLOADER.resolve, _roots(flat_models.async_task(DLOADER), rows)),
        Contestant(HAND, hand.fill_owners, _roots(hand.Task, rows)),
        Contestant(TASKS, hand.in_tasks, _roots(hand.Task, rows)),
    ]
    targets = [*_beyond_hand(SYNC, peer), *_beyond_hand(LOAD, peer, 1.0), Target(ASYNC, (TASKS,), 1.15)]
    if peer:
        contestants.append(Contestant(PEER, peer.resolve, _roots(flat_models.task(peer), rows)))
        contestants.append(Contestant(PEER_ASYNC, peer.resolve, _roots(flat_models.async_task(peer), rows)))
        targets.append(Target(ASYNC, (PEER_ASYNC,), 0.2))
    targets += [Target(ours, (HAND,), 1.15, of="memory") for ours in (SYNC, LOAD)]
    name = f"owners of {count:,} nodes, {different:,} different"
    return Shape("resolver", name, count, "node", contestants, targets, _dump, with_memory=True)


def _nothing(nodes: int, peer: Library | None) -> Shape:
    prepare = _roots(hand.Company, partial(data.nested, nodes))
    contestants = [
        Contestant(SYNC, DLOADER.resolve, prepare),
        *([Contestant(PEER, peer.resolve, prepare)] if peer else []),
        Contestant(HAND, hand.nothing, prepare),
    ]
    targets = [Target(SYNC, (PEER,), 0.2)] if peer else []
    name = f"nothing to do in {data.nodes_of(len(data.companies(nodes))):,} nodes"
    return Shape("resolver", name, 1, "tree", contestants, targets, _dump)


def _deep(depth: int, peer: Library | None) -> Shape:
    def chain(model: Any) -> Prepare:
        def prepare() -> Any:
            link = None
            for id in range(depth, 0, -1):
                link = model(id=id, child=link)
            return link

        return prepare

    def outcome(link: Any) -> list[tuple[Any, ...]]:
        found = []
        while link is not None:
            found.append((link.id, link.label, link.height))
            link = link.child
        return found

    contestants = [
        Contestant(SYNC, DLOADER.resolve, chain(flat_models.chain(DLOADER))),
        *([Contestant(PEER, peer.resolve, chain(flat_models.chain(peer)))] if peer else []),
        Contestant(HAND, hand.fill_chain, chain(hand.Link)),
    ]
    return Shape(
        "resolver", f"a chain {depth} deep", depth, "node", contestants, _beyond_hand(SYNC, peer), outcome
    )


def _wide(count: int, peer: Library | None) -> Shape:
    def root(model: Any) -> Prepare:
        return lambda: model(id=count)

    contestants = [
        Contestant(SYNC, DLOADER.resolve, root(flat_models.wide(DLOADER))),
        *([Contestant(PEER, peer.resolve, root(flat_models.wide(peer)))] if peer else []),
        Contestant(HAND, hand.fill_wide, root(hand.Root)),
    ]
    return Shape("resolver", "a wide root", count + 1, "node", contestants, _beyond_hand(SYNC, peer), _dump)


def _growth(decades: list[int], peer: Library | None) -> Shape:
    """How the cost of a node grows with the tree."""
    contestants: list[Contestant] = []
    targets: list[Target] = []
    for decade in decades:
        units = data.nodes_of(len(data.companies(decade)))
        label = f"{decade:,} nodes"
        ways = _tree_contestants(decade, peer if decade <= MOST_FOR_PEER else None)
        contestants += [Contestant(f"{way.name}, {label}", way.run, way.prepare, units) for way in ways]
        for ours in (SYNC, LOAD):
            targets.append(Target(f"{ours}, {label}", (f"{HAND}, {label}",), 1.15 if ours == SYNC else 1.0))
            targets.append(Target(f"{ours}, {label}", (f"{HAND}, {label}",), 1.15, of="memory"))
    if len(decades) > 1:
        first, last = (f", {decade:,} nodes" for decade in (max(1_000, decades[0]), decades[-1]))
        targets += [Target(ours + last, (ours + first,), 1.3) for ours in (SYNC, LOAD)]
    return Shape(
        "resolver", "three levels, by size", 1, "node", contestants, targets, _dump, with_memory=True
    )
