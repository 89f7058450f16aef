"""Resolver shapes: how much filling a tree costs, beside pydantic-resolve and beside code written by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from benchmarks import (
    resolver_corners as corners,
    resolver_data as data,
    resolver_hand as hand,
    resolver_nodes as nodes,
    resolver_trees as trees,
)
from benchmarks.libraries import DLOADER, pydantic_resolve
from benchmarks.resolver_contest import (
    ASYNC,
    HAND,
    LOAD,
    PEER,
    PEER_ASYNC,
    SYNC,
    TASKS,
    beyond_hand,
    contest,
    outcome,
    roots,
)
from benchmarks.shape import Contestant, Settings, Shape, Target

__all__ = ("shapes",)

NOT_SHARED = "by hand, an owner object per node"
MOST_FOR_PEER = 100_000
"""pydantic-resolve would need minutes for larger trees."""


def shapes(settings: Settings) -> Iterator[Shape]:
    """All resolver shapes."""
    n = settings.nodes
    yield _three_levels(settings)
    for few in (True, False):
        yield _owners(n, few)
    from_companies, from_tree = (partial(roots, rows=partial(f, n)) for f in (data.companies, data.nested))
    numbered = partial(roots, rows=lambda: [{"id": id} for id in range(n)])
    size = data.size_of(n)
    a_contest = partial(contest, settings=settings)
    yield a_contest(
        "a post on every node of three levels",
        units=size,
        model=trees.posting_tree,
        plain=hand.PostedCompany,
        fill=hand.fill_posted_tree,
        prepare=from_companies,
    )
    label = partial(a_contest, units=n, plain=hand.Labelled, fill=hand.fill_labels, prepare=numbered)
    yield label("sync methods without loaders", model=nodes.labelled)
    yield label("posts only", model=nodes.posting)
    yield a_contest(
        "collectors",
        units=size,
        model=trees.collecting_tree,
        plain=hand.SentCompany,
        fill=hand.fill_collected,
        prepare=from_tree,
    )
    yield from corners.shapes(settings)
    yield _growth(settings)


def _tree_contestants(n: int, settings: Settings, suffix: str = "") -> list[Contestant]:
    size = data.size_of(n)
    rows = partial(data.companies, n)
    ways = {
        SYNC: (DLOADER.resolve, roots(trees.tree(DLOADER), rows)),
        LOAD: (DLOADER.resolve, roots(trees.declared_tree(), rows)),
        HAND: (hand.fill_tree, roots(hand.Company, rows)),
    }
    if (peer := pydantic_resolve()) and n <= MOST_FOR_PEER:
        ways[PEER] = (peer.resolve, roots(trees.tree(peer), rows))
    return [
        Contestant(name + suffix, *way, units=size, times=settings.times(size)) for name, way in ways.items()
    ]


def _three_levels(settings: Settings) -> Shape:
    contestants = _tree_contestants(settings.nodes, settings)
    targets = [*beyond_hand(SYNC), *beyond_hand(LOAD, 1.0)]
    size = data.size_of(settings.nodes)
    return Shape("resolver", "three levels", size, "node", contestants, targets, outcome)


def _growth(settings: Settings) -> Shape:
    """How the cost of a node, and its memory, grow with the tree."""
    contestants: list[Contestant] = []
    targets: list[Target] = []
    decades = [decade for decade in settings.decades if decade >= 200]
    suffixes = [f", {decade:,} nodes" for decade in decades]
    settled = replace(
        settings, nodes=settings.nodes * 10
    )  # few rounds: the small trees must be as sure as the large
    for decade, suffix in zip(decades, suffixes, strict=True):
        contestants += _tree_contestants(decade, settled, suffix)
        for ours, at_most in ((SYNC, 1.15), (LOAD, 1.0)):
            targets += beyond_hand(ours, at_most, suffix, peer=decade <= MOST_FOR_PEER)
            targets.append(Target(ours + suffix, (HAND + suffix,), 1.15, of="memory"))
    if len(decades) > 1:
        targets += [Target(ours + suffixes[-1], (ours + suffixes[0],), 1.3) for ours in (SYNC, LOAD)]
    name = "three levels, by size"
    return Shape("resolver", name, 1, "node", contestants, targets, outcome, with_memory=True)


def _owners(count: int, few: bool) -> Shape:
    """One owner per node; an owner of several nodes is loaded once."""
    peer = pydantic_resolve()
    different = min(data.OWNERS, count // 2) if few else count

    def rows() -> list[dict[str, int]]:
        return [{"id": id, "owner_id": 1_000_000 + id % different} for id in range(count)]

    contestants = [
        Contestant(SYNC, DLOADER.resolve, roots(nodes.task(DLOADER), rows)),
        Contestant(LOAD, DLOADER.resolve, roots(nodes.declared_task(), rows)),
        Contestant(ASYNC, DLOADER.resolve, roots(nodes.async_task(DLOADER), rows)),
        Contestant(HAND, hand.fill_owners, roots(hand.Task, rows)),
        Contestant(NOT_SHARED, hand.fill_own_owners, roots(hand.Task, rows)),
        Contestant(TASKS, hand.in_tasks, roots(hand.Task, rows)),
    ]
    targets = [*beyond_hand(SYNC), *beyond_hand(LOAD, 1.0), Target(ASYNC, (TASKS,), 1.15)]
    targets += [Target(ours, (HAND,), 1.15, of="memory") for ours in (SYNC, LOAD)]
    targets.append(Target(ASYNC, (TASKS,), 1.15, of="memory"))
    if peer:
        contestants.append(Contestant(PEER, peer.resolve, roots(nodes.task(peer), rows)))
        contestants.append(Contestant(PEER_ASYNC, peer.resolve, roots(nodes.async_task(peer), rows)))
        targets.append(Target(ASYNC, (PEER_ASYNC,), 0.2))
    name = f"owners of {count:,} nodes, {different:,} different"
    return Shape("resolver", name, count, "node", contestants, targets, outcome, with_memory=True)
