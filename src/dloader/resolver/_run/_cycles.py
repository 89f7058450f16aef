"""Nodes that wait for each other although each could be done after another.

Groups wait for groups. Where nodes are shared, one group may hold both a node and, further below, what that node waits
for: ``[company, its_parent_company]``. When nothing else is left to be done, the nodes of such groups are
taken in the order in which they wait for each other; a true cycle ends where it comes back to a node on its way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, pairwise
from typing import Any, TypeAlias

from dloader.resolver._plan._plan import Phase
from dloader.resolver._run._group import NodeGroup

__all__ = ("Links", "split_cycles")

Links: TypeAlias = Mapping[NodeGroup, Sequence[tuple[int, Any]]]
"""By group, nodes that are visited elsewhere and held here too, each with the index of the node that holds it."""
Edges: TypeAlias = Mapping[int, Sequence[int]]
"""By the id of a node: the nodes it waits for."""


def split_cycles(groups: Iterable[NodeGroup], links: Links) -> Sequence[NodeGroup]:
    """Replace groups that wait for each other by pieces that wait in order; return the pieces that can go on."""
    cycles = _in_cycles([group for group in groups if group.phase is Phase.RESOLVING])
    if not cycles:
        return ()
    layers = _split(cycles, _heights(_edges(cycles, links)))
    _chain(layers)
    _tell_those_outside(cycles, layers[-1])
    for group in cycles:
        group.enter(Phase.DONE)
    return layers[0]


def _in_cycles(stuck: Sequence[NodeGroup]) -> dict[NodeGroup, None]:
    """The groups that groups in cycles wait for; those above them go on when they are done."""
    waited_by = {
        group: {waiter for waiter in group.waiters if waiter.phase is Phase.RESOLVING} for group in stuck
    }
    waits_for: dict[NodeGroup, list[NodeGroup]] = {group: [] for group in stuck}
    for group, waiters in waited_by.items():
        for waiter in waiters:
            waits_for[waiter].append(group)
    free = [group for group, waiters in waited_by.items() if not waiters]
    while free:
        group = free.pop()
        del waited_by[group]
        for other in waits_for[group]:
            waited_by[other].discard(group)
            if not waited_by[other]:
                free.append(other)
    return dict.fromkeys(waited_by)


def _edges(cycles: Iterable[NodeGroup], links: Links) -> Edges:
    edges: dict[int, list[int]] = {id(node): [] for group in cycles for node in group.nodes}
    for group in cycles:
        below = (zip(below.parent_indices, below.nodes, strict=True) for below in group.below)
        for index, node in chain(*below, links.get(group, ())):
            if id(node) in edges:
                edges[id(group.nodes[index])].append(id(node))
    return edges


def _heights(edges: Edges) -> Mapping[int, int]:
    """How many nodes are to be done one after the other before each node."""
    heights: dict[int, int] = {}
    for start in edges:
        way = [] if start in heights else [(start, iter(edges[start]))]
        on_way = {start}
        while way:
            node, rest = way[-1]
            further = next((other for other in rest if other not in heights and other not in on_way), None)
            if further is None:
                heights[node] = 1 + max(
                    (heights[other] for other in edges[node] if other in heights), default=-1
                )
                way.pop()
                on_way.discard(node)
            else:
                way.append((further, iter(edges[further])))
                on_way.add(further)
    return heights


def _split(cycles: Iterable[NodeGroup], heights: Mapping[int, int]) -> Sequence[Sequence[NodeGroup]]:
    """Pieces of groups, each of nodes of one height, by height."""
    layers: list[list[NodeGroup]] = [[] for _ in range(1 + max(heights.values()))]
    for group in cycles:
        by_height: dict[int, list[int]] = {}
        for index, node in enumerate(group.nodes):
            by_height.setdefault(heights[id(node)], []).append(index)
        for height, indices in by_height.items():
            piece = _part_of(group, indices)
            piece.done_one()  # its nodes have been started
            layers[height].append(piece)
    return layers


def _part_of(group: NodeGroup, indices: Sequence[int]) -> NodeGroup:
    return NodeGroup(
        group.subtree,
        group.parent,
        group.field,
        [group.nodes[index] for index in indices],
        [group.parent_indices[index] for index in indices],
        [group.field_indices[index] for index in indices],
    )


def _chain(layers: Sequence[Sequence[NodeGroup]]) -> None:
    """Have the pieces of each layer wait for all pieces of the layer below, and for nothing else."""
    for lower, upper in pairwise(layers):
        for piece in upper:
            for other in lower:
                piece.wait_for_group(other)


def _tell_those_outside(cycles: Mapping[NodeGroup, None], highest: Sequence[NodeGroup]) -> None:
    """Have those who wait for groups in cycles wait for the last pieces instead."""
    outside = [waiter for group in cycles for waiter in group.waiters if waiter not in cycles]
    for waiter in dict.fromkeys(outside):
        for piece in highest:
            waiter.wait_for_group(piece)
    for waiter in outside:
        waiter.done_one()
