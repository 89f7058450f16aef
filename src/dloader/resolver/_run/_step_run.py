"""One step at work on a group."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from dloader.resolver._plan._plan import Step
from dloader.resolver._run._group import NodeGroup

__all__ = ("StepRun",)


class StepRun:
    """One step at work on the nodes of a group; nothing changes it."""

    __slots__ = ("counts", "group", "indices_of_some", "keys", "step")

    def __init__(
        self,
        group: NodeGroup,
        step: Step,
        indices: Sequence[int] | None = None,
        keys: Sequence[Any] | None = None,
        counts: Sequence[int] | None = None,
    ) -> None:
        self.group = group
        self.step = step
        self.indices_of_some = indices
        """Which nodes of the group the values are for; None if for all."""
        self.keys = keys
        """Of each node, where some have the same: the values are then those of the distinct keys."""
        self.counts = counts
        """How many of the keys each node has, where a node may have many."""

    @property
    def indices(self) -> Sequence[int]:
        """Which nodes of the group the values are for."""
        return range(len(self.group.nodes)) if self.indices_of_some is None else self.indices_of_some

    @property
    def nodes(self) -> Sequence[Any]:
        """The nodes that the values are for."""
        nodes = self.group.nodes
        return nodes if self.indices_of_some is None else [nodes[index] for index in self.indices_of_some]

    def index_of_value(self, index: int) -> int:
        """The index in the group of the first node that a value is for."""
        if self.keys is not None:
            index = self.keys.index(list(dict.fromkeys(self.keys))[index])
        if self.counts is not None:
            index = bisect_right(list(accumulate(self.counts)), index)
        return self.indices[index]

    def grouped(self, values: list[Any]) -> list[Any]:
        """The values of keys as a list for each node, where a node may have many; else the values themselves."""
        if self.counts is None:
            return values
        if self.keys is not None:
            by_key = dict(zip(dict.fromkeys(self.keys), values, strict=True))
            values = list(map(by_key.__getitem__, self.keys))
        ends = accumulate(self.counts)
        return [list(values[end - count : end]) for end, count in zip(ends, self.counts, strict=True)]
