"""What lies between loads that come one after the other: work of another kind, or nothing but other loads."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple, final

__all__ = ("Busy", "Span", "gap_is_long")

SHORT_GAP = 2.0
"""Milliseconds: who waits longer between two loads waits for something else."""


class Span(NamedTuple):
    """When a batch was asked for, ran and ended, in milliseconds."""

    opened: float
    started: float
    ended: float


@final
class Busy:
    """When any batch ran, whichever loader it is of."""

    def __init__(self, spans: Iterable[Span]) -> None:
        self._starts: list[float] = []
        self._ends: list[float] = []
        self._before: list[float] = []
        """How long batches had run before each start."""
        for _, started, ended in sorted(spans, key=lambda span: span.started):
            if self._ends and started <= self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], ended)
            else:
                self._before.append(self._until(started))
                self._starts.append(started)
                self._ends.append(ended)

    def between(self, since: float, until: float) -> float:
        """For how long, of a stretch of time."""
        return self._until(until) - self._until(since)

    def _until(self, time: float) -> float:
        at = bisect_right(self._starts, time) - 1
        return 0.0 if at < 0 else self._before[at] + min(time, self._ends[at]) - self._starts[at]


def gap_is_long(batches: Sequence[Span], busy: Busy) -> bool:
    """Whether what lies between batches takes more than they do themselves; other loads do not count."""
    gaps = [
        after.opened - before.ended - busy.between(before.ended, after.opened)
        for before, after in pairwise(batches)
    ]
    return median(gaps) > max(SHORT_GAP, median(ended - started for _, started, ended in batches))
