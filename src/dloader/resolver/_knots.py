"""Nodes that wait for each other although each could be done after another.

Frames wait for frames. Where nodes are shared, one frame may hold both a node and, further below, what that node waits
for: ``[company, its_parent_company]``. When nothing else is left to be done, the nodes of such frames are
taken in the order in which they wait for each other; a true cycle ends where it comes back to a node on its way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from dloader.resolver._frame import Frame
from dloader.resolver._plan import Phase

__all__ = ("untie",)

Edges = Mapping[int, Sequence[int]]
"""By the id of a node: the nodes it waits for."""


def untie(frames: Iterable[Frame]) -> Sequence[Frame]:
    """Replace frames that wait for each other by pieces that wait in order; return the pieces that can go on."""
    knot = _knot([frame for frame in frames if frame.phase is Phase.RESOLVING])
    if not knot:
        return ()
    layers = _layers(knot, _heights(_edges(knot)))
    for lower, upper in pairwise(layers):
        for piece in upper:
            piece.pending = len(lower)
        for piece in lower:
            piece.waiters.extend(upper)
    outside = [waiter for frame in knot for waiter in frame.waiters if waiter not in knot]
    for waiter in dict.fromkeys(outside):
        waiter.pending += len(layers[-1]) - outside.count(waiter)
        for piece in layers[-1]:
            piece.waiters.append(waiter)
    for frame in knot:
        frame.phase = Phase.DONE
    return layers[0]


def _knot(stuck: Sequence[Frame]) -> dict[Frame, None]:
    """The frames that frames of the knot wait for; those above it go on when it is done."""
    waited_by = {
        frame: {waiter for waiter in frame.waiters if waiter.phase is Phase.RESOLVING} for frame in stuck
    }
    waits_for: dict[Frame, list[Frame]] = {frame: [] for frame in stuck}
    for frame, waiters in waited_by.items():
        for waiter in waiters:
            waits_for[waiter].append(frame)
    free = [frame for frame, waiters in waited_by.items() if not waiters]
    while free:
        frame = free.pop()
        del waited_by[frame]
        for other in waits_for[frame]:
            waited_by[other].discard(frame)
            if not waited_by[other]:
                free.append(other)
    return dict.fromkeys(waited_by)


def _edges(knot: Iterable[Frame]) -> Edges:
    edges: dict[int, list[int]] = {id(node): [] for frame in knot for node in frame.nodes}
    for frame in knot:
        for below in frame.below:
            for owner, node in zip(below.owners, below.nodes, strict=True):
                if id(node) in edges:
                    edges[id(frame.nodes[owner])].append(id(node))
        for owner, node in frame.links:
            if id(node) in edges:
                edges[id(frame.nodes[owner])].append(id(node))
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


def _layers(knot: Iterable[Frame], heights: Mapping[int, int]) -> Sequence[Sequence[Frame]]:
    layers: list[list[Frame]] = [[] for _ in range(1 + max(heights.values()))]
    for frame in knot:
        by_height: dict[int, list[int]] = {}
        for index, node in enumerate(frame.nodes):
            by_height.setdefault(heights[id(node)], []).append(index)
        for height, chosen in by_height.items():
            nodes, owners = (
                [frame.nodes[index] for index in chosen],
                [frame.owners[index] for index in chosen],
            )
            layers[height].append(Frame(frame.outlook, nodes, frame.parent, frame.field, owners))
    return layers
