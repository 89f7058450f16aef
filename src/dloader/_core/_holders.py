"""Which batch has which place of a limit: those who wait lend theirs to those whom they wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any, TypeAlias, final

from dloader._core._batch import Batch
from dloader._core._wait_graph import Place, each_waiting, newest_wait

__all__ = ("Holders",)

AnyBatch: TypeAlias = Batch[Any, Any]


@final
class Holders:
    """The batches that run under a limit; lives as long as the limit.

    A batch that starts takes a free place, or is lent one by a batch that waits for it, which gets it back when the
    other has ended. So whoever runs has a place or has lent it, and of those who do not wait there are no more than
    there are places.
    """

    __slots__ = (
        "_borrowers",
        "_free",
        "_idle",
        "_lenders",
        "_loops",
        "_places",
        "_seen",
        "_unasked",
        "_working",
    )

    def __init__(self, size: int) -> None:
        self._free = size
        """How many places nobody has; less than none where loaders with running batches came to share a limit."""
        self._places: dict[AnyBatch, Place] = {}
        """The batches that run, each with what it holds in its own queue."""
        self._loops: dict[asyncio.AbstractEventLoop, int] = {}
        """How many of these each event loop has."""
        self._lenders: dict[AnyBatch, AnyBatch] = {}
        """Of each that was lent its place, who has lent it."""
        self._borrowers: dict[AnyBatch, AnyBatch] = {}
        """The other way round: those whose place another has."""
        self._working: set[AnyBatch] = set()
        """Those that wait for nothing, or for a batch that is open: that is lent a place when it closes."""
        self._idle: dict[AnyBatch, None] = {}
        """Those that wait and have their place: they can lend it."""
        self._unasked: set[AnyBatch] = set()
        """Those of them who have got it since everybody in line was looked at."""
        self._seen: object = None
        """The newest wait at that time: only another one, or one of those, can be of use to somebody in line."""

    def __len__(self) -> int:
        return len(self._places)

    @property
    def has_room(self) -> bool:
        """Whether a place is free."""
        if self._free <= 0 and any(loop.is_closed() for loop in self._loops):
            for gone in [holder for holder in self._places if holder.loop.is_closed()]:
                self.drop(gone)
        return self._free > 0

    @property
    def are_stuck(self) -> bool:
        """Whether all of them wait, and not for a batch that is open; there is one at least."""
        return bool(self._places) and not self._working

    def __contains__(self, batch: object) -> bool:
        return batch in self._places

    @property
    def batches(self) -> Collection[AnyBatch]:
        """All of them."""
        return self._places.keys()

    @property
    def may_lend(self) -> bool:
        """Whether one of them can lend its place, and perhaps to somebody who stands in line."""
        return bool(self._unasked or (self._idle and self._seen is not newest_wait()))

    def none_was_lent(self) -> None:
        """Note that everybody in line was looked at: nobody is waited for by those who could still lend."""
        self._unasked.clear()
        self._seen = newest_wait()

    def lender_for(self, batch: AnyBatch) -> AnyBatch | None:
        """Who waits for a batch, directly or through others, and can lend it a place: the nearest."""
        if not self._idle:
            return None
        return next((waiting for waiting in each_waiting(batch) if waiting in self._idle), None)

    def take(self, batch: AnyBatch, place: Place) -> None:
        """Let a batch that runs have a place: a free one, or that of another who waits for it, or as all wait."""
        lender = None if self._free > 0 else self.lender_for(batch)
        if lender is None and self._free <= 0 and self.are_stuck:
            lender = next(iter(self._idle), None)
        if lender is None:
            self._free -= 1
        else:
            self._lend(lender, batch)
        self._places[batch] = place
        self._loops[batch.loop] = self._loops.get(batch.loop, 0) + 1
        self.look_at(place)

    def _lend(self, lender: AnyBatch, borrower: AnyBatch) -> None:
        self._lenders[borrower], self._borrowers[lender] = lender, borrower
        self._idle.pop(lender, None)
        self._unasked.discard(lender)

    def drop(self, batch: AnyBatch) -> None:
        """A batch has ended: its place goes back to whoever has lent it; who was lent its own goes on with that."""
        if self._places.pop(batch, None) is None:
            return
        self._loops[batch.loop] -= 1
        if not self._loops[batch.loop]:
            del self._loops[batch.loop]
        self._working.discard(batch)
        self._idle.pop(batch, None)
        self._unasked.discard(batch)
        lender, borrower = self._lenders.pop(batch, None), self._borrowers.pop(batch, None)
        if borrower is not None:
            del self._lenders[borrower]
        if lender is not None:
            del self._borrowers[lender]
            if borrower is not None:
                self._lend(lender, borrower)
            else:
                self.look_at(self._places[lender])
        elif borrower is None:
            self._free += 1

    def look_at(self, place: Place) -> None:
        """Note whether who holds a place waits now."""
        batch = place.batch
        if batch is None or batch not in self._places:
            return
        if place.is_stuck:
            self._working.discard(batch)
        else:
            self._working.add(batch)
        if not place.is_waiting:
            self._idle.pop(batch, None)
            self._unasked.discard(batch)
        elif batch not in self._borrowers and batch not in self._idle:
            self._idle[batch] = None
            self._unasked.add(batch)
