"""Limit: how many batches run at once, of all loaders that share it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from typing import Any, TypeAlias, final
from weakref import WeakKeyDictionary

from dloader._core._batch import Batch
from dloader._core._wait_graph import Place, is_lent
from dloader._text import shorten
from dloader.errors import OptionError

__all__ = ("Limit", "Places", "places_of")

AnyBatch: TypeAlias = Batch[Any, Any]


@final
class Places:
    """Who holds the places of a limit, and which queues wait for one; lives as long as the limit.

    Invariant: as long as a place is free, no queue waits for one here, but for those that `wake` is about to start.
    """

    __slots__ = (
        "_closed",
        "_holders",
        "_is_changed",
        "_is_last_resort",
        "_is_waking",
        "_lendable",
        "_line",
        "_loops",
        "_numbers",
        "_order",
        "_wakes_on",
        "size",
    )

    def __init__(self, size: int) -> None:
        self.size = size
        self._holders: dict[AnyBatch, Place] = {}
        """The batches that run, each with the place that it holds in its own queue."""
        self._loops: dict[asyncio.AbstractEventLoop, int] = {}
        """How many of these each event loop has."""
        self._closed = 0
        self._numbers: WeakKeyDictionary[AnyBatch, int] = WeakKeyDictionary()
        """In which order batches came."""
        self._line: dict[Any, int] = {}
        """The `RunQueue`s with a batch that lacks only a place, by the number of that batch."""
        self._order: list[tuple[int, int, Any]] = []
        """A heap of the same. Entries that are true no more are dropped when they come up."""
        self._lendable: set[Any] = set()
        """Those of them whose batch may be lent a place: a running batch waits for it."""
        self._is_waking = self._is_last_resort = False
        self._is_changed = False
        """Whether a place was given back while `wake` was at it: another may be lent one now."""
        self._wakes_on: asyncio.AbstractEventLoop | None = None
        """Where `wake` is about to be called; a loop that was closed before does not matter."""

    @property
    def _is_stuck(self) -> bool:
        """Whether all who hold places wait, and not for a batch that is open: that is lent a place when it closes."""
        return all(place.is_waiting and not place.hopes for place in self._holders.values())

    @property
    def taken(self) -> int:
        """How many batches run."""
        return len(self._holders)

    def queue_up(self, batches: Iterable[AnyBatch]) -> None:
        """Note who came first: these have closed."""
        for batch in batches:
            self._closed += 1
            self._numbers[batch] = self._closed

    def admits(self, batch: AnyBatch) -> bool:
        """Whether there is a place for a batch, its own or one that is lent.

        Batches that wait for this one lend it their places. As a last resort, where all who hold places are stuck, one
        more may start: it may be what they wait for, through other limits.
        """
        if self._has_room:
            # Most often nobody stands in line then. While `wake` is at it, those do who are to be started first.
            return not self._is_waking or bool(batch.awaited_by) or self._is_first(batch)
        if is_lent(batch, self._holders, len(self._holders) - self.size + 1):
            return True
        return self._is_last_resort and self._is_stuck

    @property
    def _has_room(self) -> bool:
        holders = self._holders
        if len(holders) >= self.size and any(loop.is_closed() for loop in self._loops):
            for gone in [holder for holder in holders if holder.loop.is_closed()]:
                self._drop(gone)
        return len(holders) < self.size

    def take(self, batch: AnyBatch, place: Place) -> None:
        """Let a batch that runs hold one."""
        self._holders[batch] = place
        self._loops[batch.loop] = self._loops.get(batch.loop, 0) + 1

    def _drop(self, batch: AnyBatch) -> None:
        if self._holders.pop(batch, None) is not None:
            self._loops[batch.loop] -= 1
            if not self._loops[batch.loop]:
                del self._loops[batch.loop]

    def wait(self, queue: Any, batch: AnyBatch) -> None:
        """Have a queue started when there may be a place for its batch."""
        number = self._numbers.get(batch, 0)
        if number < self._line.get(queue, number + 1):
            self._line[queue] = number
            heappush(self._order, (number, id(queue), queue))
        if batch.awaited_by:
            self._lendable.add(queue)
        if not self._is_last_resort and self._is_stuck:
            self.wake_soon(batch.loop)

    def release(self, batch: AnyBatch) -> None:
        """A batch has ended: its place goes to who came first."""
        self._drop(batch)
        self.wake()

    def forget(self, batch: AnyBatch) -> None:
        """The same for a batch whose event loop was closed: nothing can be started there."""
        self._drop(batch)

    def wake(self) -> None:
        """Start what there is a place for, in the order in which it came.

        A batch may end in its first step, and wake others: that is left to the one who is at it, so that nothing piles
        up on the stack, however many stand in line.
        """
        self._is_changed = True
        if self._is_waking:
            return
        self._is_waking = True
        try:
            while self._line and (self._has_room or self._is_changed):
                if self._has_room:
                    self._start(self._first)
                    continue
                self._is_changed = False
                line = self._line if self._is_last_resort and self._is_stuck else self._lendable
                for queue in sorted(line, key=self._line.__getitem__):
                    self._start(queue)
        except BaseException:  # KeyboardInterrupt, SystemExit: if the loop runs on, so do the others
            self.wake_soon(asyncio.get_running_loop())
            raise
        finally:
            self._is_waking = False

    def _start(self, queue: Any) -> None:
        del self._line[queue]
        self._lendable.discard(queue)
        if len(self._order) > 2 * len(self._line):  # what is true no more would keep loaders
            self._order = [(number, id(each), each) for each, number in self._line.items()]
            heapify(self._order)
        queue.start()

    @property
    def _first(self) -> Any:
        """The queue that is first in line; there is one."""
        while self._line.get(self._order[0][2]) != self._order[0][0]:
            heappop(self._order)
        return self._order[0][2]

    def _is_first(self, batch: AnyBatch) -> bool:
        return not self._line or self._numbers.get(batch, 0) <= self._line[self._first]

    def wake_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        """The same in two turns, and as a last resort: those that are waited for have had their chance by then."""
        if self._line and self._wakes_on is not loop:
            self._wakes_on = loop
            loop.call_soon(loop.call_soon, self._wake_as_last_resort)

    def _wake_as_last_resort(self) -> None:
        self._wakes_on, self._is_last_resort = None, True
        try:
            self.wake()
        finally:
            self._is_last_resort = False


@final
class Limit:
    """How many batches run at once at most, counted over all loaders that are given it.

    Lives as long as what it protects, a connection or a pool, and belongs to one event loop at a time. Batches get
    places in the order in which they closed, whichever loader they are of. A batch that waits for another batch lends
    it its place, so that loaders which load from each other may share a limit, of one even. A loader's own
    ``max_concurrency`` holds beside the limit that a registry gives it.

    Args:
        size: How many, 1 or more.

    Example:
        >>> import asyncio
        >>> from dloader import DataLoader
        >>> async def users(keys):
        ...     print("users", keys)
        ...     return keys
        >>> async def posts(keys):
        ...     print("posts", keys)
        ...     return keys
        >>> async def main():
        ...     one = Limit(1)
        ...     both = [DataLoader(load, max_concurrency=one) for load in (users, posts)]
        ...     await asyncio.gather(*(loader.load(1) for loader in both))
        >>> asyncio.run(main())
        users [1]
        posts [1]
    """

    __slots__ = ("_places",)

    def __init__(self, size: int) -> None:
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise OptionError(f"Limit takes a whole number that is 1 or more, not {shorten(size)}")
        self._places = Places(size)

    @property
    def size(self) -> int:
        """How many batches may run at once."""
        return self._places.size

    @property
    def running(self) -> int:
        """How many run, those included that wait for others."""
        return self._places.taken

    def __repr__(self) -> str:
        return f"Limit({self.size})"


def places_of(limit: Limit) -> Places:
    """What queues use of a limit."""
    return limit._places  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
