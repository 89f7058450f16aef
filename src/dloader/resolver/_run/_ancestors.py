"""Which nodes stand above a place in the tree, told without climbing to the root each time.

The nodes above one place are those above its parent, and the parent. All places on one way down share one table, which
tells of each node how deep it stands; a way that leaves another one has a table of its own from there on. So a chain of
any length is walked once, however often it is asked about.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dloader.resolver._run._group import NodeGroup

__all__ = ("Ancestors",)


class Ancestors:
    """The ways that were asked about; lives as long as one resolve.

    Args:
        originals: From a copy's id to the id of the node it stands for; the same object for the whole life.
    """

    __slots__ = ("_originals", "_ways")

    def __init__(self, originals: Mapping[int, int]) -> None:
        self._originals = originals
        self._ways: dict[tuple[NodeGroup, int], _Way] = {}

    def find(self, node: object, group: NodeGroup, index: int) -> Any | None:
        """What stands for `node` at a place or above it: the node itself, or a copy; None if it is not there."""
        original = self._originals.get(id(node), id(node))
        way: _Way | None = self._way_to(group, index)
        depth = group.depth
        while way is not None:
            if original in way.nodes:
                level, found = way.nodes[original]
                if level <= depth:
                    return found
            depth, way = way.fork, way.before
        return None

    def _way_to(self, group: NodeGroup, index: int) -> _Way:
        unknown: list[tuple[NodeGroup, int]] = []
        place = (group, index)
        while (way := self._ways.get(place)) is None:
            unknown.append(place)
            group, index = place
            if group.parent is None:
                way = _Way(None, -1)
                break
            place = (group.parent, group.parent_indices[index])
        for place in reversed(unknown):
            group, index = place
            if way.end != group.depth - 1:
                way = _Way(way, group.depth - 1)
            node = group.nodes[index]
            way.add(self._originals.get(id(node), id(node)), node)
            self._ways[place] = way
        return way


class _Way:
    """Nodes that stand one below the other.

    Args:
        before: The way that it leaves, if any.
        fork: The depth of the last node of that which stands above this one's.
    """

    __slots__ = ("before", "end", "fork", "nodes")

    def __init__(self, before: _Way | None, fork: int) -> None:
        self.before = before
        self.fork = self.end = fork
        self.nodes: dict[int, tuple[int, Any]] = {}
        """By the id of an original: how deep it stands, or its copy, and this."""

    def add(self, original: int, node: Any) -> None:
        """Go one level down, to a node."""
        self.end += 1
        self.nodes.setdefault(original, (self.end, node))
