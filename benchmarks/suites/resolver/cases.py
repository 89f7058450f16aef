"""Resolver cases: how much filling a tree costs, beside pydantic-resolve and beside code written by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from benchmarks.harness.case import Case, Settings, Target, Way
from benchmarks.peers.libraries import DLOADER, moved, pydantic_resolve
from benchmarks.suites.resolver import by_hand as hand, corners, data, nodes, rows, trees
from benchmarks.suites.resolver.ways import (
    ASYNC,
    HAND,
    LOAD,
    MOVED,
    MOVED_ASYNC,
    PEER,
    PEER_ASYNC,
    SYNC,
    TASKS,
    beyond_hand,
    compared,
    outcome,
    roots,
)

NOT_SHARED = "by hand, an owner object per node"
MOST_FOR_PEER = 100_000
"""pydantic-resolve would need minutes for larger trees."""


def cases(settings: Settings) -> Iterator[Case]:
    """All resolver cases."""
    n = settings.nodes
    yield _three_levels(settings)
    for few in (True, False):
        yield _owners(n, few)
    from_companies, from_tree = (partial(roots, rows=partial(f, n)) for f in (data.companies, data.nested))
    numbered = partial(roots, rows=lambda: [{"id": id} for id in range(n)])
    size = data.size_of(n)
    case = partial(compared, settings=settings)
    yield case(
        "a post on every node of three levels",
        units=size,
        model=trees.posting_tree,
        plain=hand.PostedCompany,
        fill=hand.fill_posted_tree,
        prepare=from_companies,
    )
    label = partial(case, units=n, plain=hand.Labelled, fill=hand.fill_labels, prepare=numbered)
    yield label("sync methods without loaders", model=nodes.labelled)
    yield label("posts only", model=nodes.posting)
    yield case(
        "collectors",
        units=size,
        model=trees.collecting_tree,
        plain=hand.SentCompany,
        fill=hand.fill_collected,
        prepare=from_tree,
    )
    yield from corners.cases(settings)
    yield from rows.cases(settings)
    yield _growth(settings)


def _tree_ways(n: int, settings: Settings, suffix: str = "") -> list[Way]:
    size = data.size_of(n)
    rows = partial(data.companies, n)
    found = {
        SYNC: (DLOADER.resolve, roots(trees.tree(DLOADER), rows)),
        LOAD: (DLOADER.resolve, roots(trees.declared_tree(), rows)),
        HAND: (hand.fill_tree, roots(hand.Company, rows)),
    }
    if (peer := pydantic_resolve()) and n <= MOST_FOR_PEER:
        found[PEER] = (peer.resolve, roots(trees.tree(peer), rows))
    if (after := moved()) and n <= MOST_FOR_PEER:
        found[MOVED] = (after.resolve, roots(trees.tree(after), rows))
    return [Way(name + suffix, *fill, units=size, times=settings.times(size)) for name, fill in found.items()]


def _three_levels(settings: Settings) -> Case:
    ways = _tree_ways(settings.nodes, settings)
    targets = [*beyond_hand(SYNC), *beyond_hand(LOAD, 1.0)]
    targets += [Target(MOVED, (PEER,), 1.0)] if moved() else []
    size = data.size_of(settings.nodes)
    return Case("resolver", "three levels", size, "node", ways, targets, outcome)


def _growth(settings: Settings) -> Case:
    """How the cost of a node, and its memory, grow with the tree."""
    ways: list[Way] = []
    targets: list[Target] = []
    decades = [decade for decade in settings.decades if decade >= 200]
    suffixes = [f", {decade:,} nodes" for decade in decades]
    # Few rounds: the small trees must be as sure as the large.
    settled = replace(settings, nodes=settings.nodes * settings.settled)
    for decade, suffix in zip(decades, suffixes, strict=True):
        ways += _tree_ways(decade, settled, suffix)
        for ours, at_most in ((SYNC, 1.15), (LOAD, 1.0)):
            targets += beyond_hand(ours, at_most, suffix, peer=decade <= MOST_FOR_PEER)
            targets.append(Target(ours + suffix, (HAND + suffix,), 1.15, of="memory"))
    if len(decades) > 1:
        targets += [Target(ours + suffixes[-1], (ours + suffixes[0],), 1.3) for ours in (SYNC, LOAD)]
    name = "three levels, by size"
    return Case("resolver", name, 1, "node", ways, targets, outcome, with_memory=True)


def _owners(count: int, few: bool) -> Case:
    """One owner per node; an owner of several nodes is loaded once."""
    peer = pydantic_resolve()
    different = min(data.OWNERS, count // 2) if few else count

    def rows() -> list[dict[str, int]]:
        return [{"id": id, "owner_id": 1_000_000 + id % different} for id in range(count)]

    ways = [
        Way(SYNC, DLOADER.resolve, roots(nodes.task(DLOADER), rows)),
        Way(LOAD, DLOADER.resolve, roots(nodes.declared_task(), rows)),
        Way(ASYNC, DLOADER.resolve, roots(nodes.async_task(DLOADER), rows)),
        Way(HAND, hand.fill_owners, roots(hand.Task, rows)),
        Way(NOT_SHARED, hand.fill_own_owners, roots(hand.Task, rows)),
        Way(TASKS, hand.in_tasks, roots(hand.Task, rows)),
    ]
    targets = [*beyond_hand(SYNC), *beyond_hand(LOAD, 1.0), Target(ASYNC, (TASKS,), 1.15)]
    targets += [Target(ours, (HAND,), 1.15, of="memory") for ours in (SYNC, LOAD)]
    targets.append(Target(ASYNC, (TASKS,), 1.15, of="memory"))
    if peer:
        ways.append(Way(PEER, peer.resolve, roots(nodes.task(peer), rows)))
        ways.append(Way(PEER_ASYNC, peer.resolve, roots(nodes.async_task(peer), rows)))
        targets.append(Target(ASYNC, (PEER_ASYNC,), 0.2))
    if after := moved():
        ways.append(Way(MOVED, after.resolve, roots(nodes.task(after), rows)))
        ways.append(Way(MOVED_ASYNC, after.resolve, roots(nodes.async_task(after), rows)))
        targets += [Target(MOVED, (PEER,), 1.0), Target(MOVED_ASYNC, (PEER_ASYNC,), 1.0)]
    name = f"owners of {count:,} nodes, {different:,} different"
    return Case("resolver", name, count, "node", ways, targets, outcome, with_memory=True)
