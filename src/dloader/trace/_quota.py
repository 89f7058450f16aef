"""Of very many batches those that a page shows one by one, and of the others how many ran at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import nlargest
from itertools import accumulate

from dloader.trace._data import TracedBatch
from dloader.trace._reading import TraceReading
from dloader.trace._words import is_bad

__all__ = ("LONGEST", "MOST_BATCHES", "Rest", "rests", "shown_one_by_one")

MOST_BATCHES = 50_000
"""Up to so many are all shown."""
LONGEST = 1_000
"""Of more, so many of each loader, and all that failed or that a finding names."""
BUCKETS = 2_000


@dataclass(frozen=True, slots=True)
class Rest:
    """The batches of one loader that are not shown one by one."""

    batches: int
    keys: int
    ran: float
    """How long they ran, all together, in microseconds."""
    density: Sequence[float]
    """How many of them ran at once, on average, in each bucket of the trace's time."""


def shown_one_by_one(trace: TraceReading) -> Sequence[TracedBatch]:
    """The batches that are shown, in the order of opening."""
    if len(trace.batches) <= MOST_BATCHES:
        return trace.batches
    kept = {index for finding in trace.findings for index in finding.batches}
    for batches in _by_loader(trace.batches).values():
        longest = nlargest(LONGEST, batches, key=lambda batch: _ran(batch, trace.duration))
        kept.update(batch.index for batch in longest)
    return [batch for batch in trace.batches if batch.index in kept or is_bad(batch)]


def rests(trace: TraceReading, shown: Sequence[TracedBatch]) -> Mapping[int, Rest]:
    """Of each loader the others, if there are some."""
    known = {batch.index for batch in shown}
    others = _by_loader(batch for batch in trace.batches if batch.index not in known)
    return {
        loader: Rest(
            len(batches),
            sum(batch.keys for batch in batches),
            sum(_ran(batch, trace.duration) for batch in batches),
            _density(batches, trace.duration),
        )
        for loader, batches in others.items()
    }


def _by_loader(batches: Iterable[TracedBatch]) -> Mapping[int, Sequence[TracedBatch]]:
    found: dict[int, list[TracedBatch]] = {}
    for batch in batches:
        found.setdefault(batch.loader, []).append(batch)
    return found


def _span(batch: TracedBatch, duration: float) -> tuple[float, float]:
    """When it ran; nothing at its end if it did not."""
    end = duration if batch.ended is None else batch.ended
    return end if batch.started is None else batch.started, end


def _ran(batch: TracedBatch, duration: float) -> float:
    start, end = _span(batch, duration)
    return end - start


def _density(batches: Iterable[TracedBatch], duration: float) -> Sequence[float]:
    """Each end of a batch changes what is running from its bucket on; in that one by the part which is left of it."""
    changes = [0.0] * (BUCKETS + 2)
    for batch in batches:
        for when, change in zip(_span(batch, duration), (1.0, -1.0), strict=True):
            place = min(max(when / (duration or 1.0), 0.0), 1.0) * BUCKETS
            bucket = int(place)
            changes[bucket] += change * (bucket + 1 - place)
            changes[bucket + 1] += change * (place - bucket)
    return [max(0.0, round(running, 2)) for running in accumulate(changes[:BUCKETS])]
