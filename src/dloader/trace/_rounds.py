"""How many times one had to wait for another: rounds, the longest chain, and when anything ran at all.

Neither stubs that never wait nor slow machines change a round. In a resolve a batch comes after those that its keys
came from, whatever else had ended by then, and after what had ended when the resolve began; elsewhere, after all that
had ended when it opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from heapq import heappop, heappush
from typing import TypeVar

from dloader.trace._data import TracedBatch

__all__ = ("chain_of", "rounds_of", "running_time", "union_of")

T = TypeVar("T", int, float)
LONG_WAIT = 500.0
"""Microseconds: who waited longer between closing and starting waited for a place."""


def rounds_of(
    times: Sequence[tuple[int, int]],
    resolves: Sequence[int | None],
    came_from: Sequence[Iterable[int]],
    steps: Sequence[set[int]],
) -> list[int]:
    """The round of each batch.

    Args:
        times: Of each batch, in the order of opening: when it opened and ended; 0 if it has not ended.
        resolves: When the resolve began that it belongs to, if it does.
        came_from: The batches that brought its keys.
        steps: The steps it took keys of: of an ``async def`` method one batch may come after the other.
    """
    rounds: list[int] = []
    running: list[tuple[int, int]] = []
    highest: list[tuple[int, int]] = [(0, 0)]
    """When the highest round so far grew, and to what."""
    by_step: dict[int, list[int]] = {}
    for index, (opened, ended) in enumerate(times):
        while running and running[0][0] <= opened:
            end, round_ = heappop(running)
            if round_ > highest[-1][1]:
                highest.append((end, round_))
        began = resolves[index]
        if began is None:
            before = highest[-1][1]
        else:
            before = _at(highest, began)
            same = [
                other
                for step in steps[index]
                for other in by_step.get(step, ())
                if 0 < times[other][1] <= opened
            ]
            before = max([before, *(rounds[other] for other in (*came_from[index], *same) if other < index)])
        rounds.append(before + 1)
        for step in steps[index]:
            by_step.setdefault(step, []).append(index)
        if ended:
            heappush(running, (ended, before + 1))
    return rounds


def _at(highest: Sequence[tuple[int, int]], when: int) -> int:
    return next(round_ for since, round_ in reversed(highest) if since <= when)


def union_of(spans: Iterable[tuple[T, T]]) -> list[tuple[T, T]]:
    """Spans of time without those that lie in others."""
    found: list[tuple[T, T]] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def running_time(batches: Iterable[TracedBatch], duration: float) -> float:
    """How long at least one batch function ran, in microseconds."""
    spans = [
        (batch.started, duration if batch.ended is None else batch.ended)
        for batch in batches
        if batch.started is not None
    ]
    return sum(end - start for start, end in union_of(spans))


def chain_of(batches: Sequence[TracedBatch]) -> list[TracedBatch]:
    """The batches that made the whole as long as it was, each waiting for the one before it."""
    ended = sorted((batch for batch in batches if batch.ended is not None), key=_end)
    if not ended:
        return []
    by_index = {batch.index: batch for batch in ended}
    by_loader: dict[int, list[TracedBatch]] = {}
    for batch in ended:
        by_loader.setdefault(batch.loader, []).append(batch)
    chain = {ended[-1].index: ended[-1]}
    before = _before(ended[-1], ended, by_loader, by_index)
    while before is not None and before.index not in chain:  # what took no time at all may come before itself
        chain[before.index] = before
        before = _before(before, ended, by_loader, by_index)
    return list(chain.values())[::-1]


def _before(
    batch: TracedBatch,
    ended: Sequence[TracedBatch],
    by_loader: Mapping[int, Sequence[TracedBatch]],
    by_index: Mapping[int, TracedBatch],
) -> TracedBatch | None:
    """What a batch waited for: a place, its keys, or what came before it."""
    if batch.started is not None and batch.closed is not None and batch.started - batch.closed > LONG_WAIT:
        placed = _last_before(by_loader[batch.loader], batch.started)
        if placed is not None and placed is not batch and _end(placed) > batch.closed:
            return placed
    sources = [by_index[index] for index in batch.came_from if index in by_index]
    if sources:
        return max(sources, key=_end)
    return _last_before(ended, batch.opened)


def _last_before(ended: Sequence[TracedBatch], when: float) -> TracedBatch | None:
    low, high = 0, len(ended)
    while low < high:
        middle = (low + high) // 2
        if _end(ended[middle]) <= when:
            low = middle + 1
        else:
            high = middle
    return ended[low - 1] if low else None


def _end(batch: TracedBatch) -> float:
    return batch.ended or 0.0
