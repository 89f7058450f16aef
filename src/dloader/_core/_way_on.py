"""Whether batches that wait can go on: one that they wait for works, or they wait for one another alone.

A batch waits for those whose keys it has asked for, and one that has closed and has no place waits for those who hold
the places that it needs. Where that leads to a batch which goes on by itself, nothing need be done until that one
ends or waits too. Where it leads nowhere else than back, nobody there will ever go on, unless one of them starts
without a place of its own: the others wait for that one until it has ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias, final

from dloader._core._batch import Batch, Watcher
from dloader._core._roles import Standing

__all__ = ("Found", "WayOn", "look_from")

AnyBatch: TypeAlias = Batch[Any, Any]


class Found(NamedTuple):
    """What a batch waits for in the end."""

    way: list[AnyBatch]
    """From it to one that goes on by itself, each waiting for the next."""
    is_known: bool = True
    """Whether it leads so far; else a queue is about to look whether the batch that comes next may start."""
    circle: Sequence[AnyBatch] = ()
    """Or else batches that wait for one another alone, each for all of them."""


def look_from(start: AnyBatch) -> Found:
    """Look what a batch waits for in the end; each batch on the way is looked at once."""
    # Tarjan's search for strongly connected components, which ends with the first: from there no way leads out.
    numbers: dict[AnyBatch, int] = {}
    lowest: list[int] = []
    way: list[tuple[AnyBatch, Iterator[AnyBatch]]] = []
    batch: AnyBatch | None = start
    while True:
        if batch is not None:
            before = batch.index.before(batch)
            if before is Standing.GOES_ON:
                return Found([*(each for each, _ in way), batch])
            if before is Standing.IS_LOOKED_AT:
                return Found([each for each, _ in way], is_known=False)
            lowest.append(len(numbers))
            numbers[batch] = len(numbers)
            way.append((batch, iter(before)))
        last, others = way[-1]
        number = numbers[last]
        batch = None
        for other in others:
            if other not in numbers:
                batch = other
                break
            lowest[number] = min(lowest[number], numbers[other])
        else:
            if lowest[number] == number:
                return Found([], circle=list(numbers)[number:])
            way.pop()
            before_it = numbers[way[-1][0]]
            lowest[before_it] = min(lowest[before_it], lowest[number])


@final
class WayOn:
    """The way from one of those who hold the places of a limit to a batch that goes on; lives as long as the limit.

    Each batch on it tells when it has moved, so that the way is followed on from there, and not looked for anew.
    """

    __slots__ = ("_is_open", "_way")

    def __init__(self) -> None:
        self._way: dict[AnyBatch, None] = {}
        """In the order of the way."""
        self._is_open = False
        """Whether the last of them goes on, as far as was told."""

    @property
    def start(self) -> AnyBatch | None:
        """Where it begins."""
        return next(iter(self._way), None)

    @property
    def end(self) -> AnyBatch | None:
        """Where it ends, as far as it is known."""
        return next(reversed(self._way), None)

    @property
    def is_open(self) -> bool:
        """Whether the last of them goes on, as far as was told."""
        return self._is_open

    def follow(self, found: Found, watcher: Watcher) -> None:
        """Go on from the end as far as the way is known, and have each batch tell when it moves."""
        for batch in found.way:
            if batch in self._way:  # a shorter way
                self._leave(batch, watcher)
            self._way[batch] = None
            batch.index.add_watcher(batch, watcher)
        self._is_open = found.is_known

    def has_moved(self, batch: AnyBatch, watcher: Watcher) -> None:
        """A batch on it has started or ended: the way is known as far as the one before."""
        self._leave(batch, watcher)
        self._is_open = False

    def waits(self, batch: AnyBatch) -> bool:
        """A batch on it waits now; return whether the way leads on from there."""
        if batch is not self.end:
            return False
        self._is_open = False
        return True

    def leave(self, watcher: Watcher) -> None:
        """Forget all of it."""
        if self._way:
            self.has_moved(next(iter(self._way)), watcher)

    def _leave(self, batch: AnyBatch, watcher: Watcher) -> None:
        last = None
        while last is not batch:
            last, _ = self._way.popitem()
            last.index.remove_watcher(last, watcher)
