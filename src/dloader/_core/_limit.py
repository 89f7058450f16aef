"""Limit: how many batches run at once, of all loaders that share it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from typing import Any, TypeAlias, final
from weakref import WeakKeyDictionary

from dloader._core._batch import Batch
from dloader._core._holders import Holders
from dloader._core._line import Line
from dloader._core._wait_graph import Place
from dloader._core._way_on import WayOn, look_from
from dloader._text import shorten
from dloader.errors import OptionError

__all__ = ("Limit", "Places", "places_of")

AnyBatch: TypeAlias = Batch[Any, Any]


@final
class Places:
    """The places of a limit, and which queues wait for one; lives as long as the limit.

    Invariant: as long as a place is free, no queue waits for one here, but for those that `wake` is about to start.
    """

    __slots__ = (
        "_closed",
        "_holders",
        "_is_changed",
        "_is_waking",
        "_lendable",
        "_line",
        "_numbers",
        "_wakes_on",
        "_way_on",
        "size",
    )

    def __init__(self, size: int) -> None:
        self.size = size
        self._holders = Holders(size)
        self._closed = 0
        self._numbers: WeakKeyDictionary[AnyBatch, int] = WeakKeyDictionary()
        """In which order batches came."""
        self._line = Line()
        """The `RunQueue`s with a batch that lacks only a place."""
        self._lendable = Line()
        """Those of them whose batch may be lent one: a running batch waits for it."""
        self._way_on = WayOn()
        """What all who hold places wait for, while they do and somebody stands in line."""
        self._is_waking = self._is_changed = False
        """Whether a place was given back while `wake` was at it: another may be lent one now."""
        self._wakes_on: asyncio.AbstractEventLoop | None = None
        """Where `wake` is about to be called; a loop that was closed before does not matter."""

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
        """Whether there is a place for a batch, its own or that of a batch which waits for this one."""
        if self._holders.has_room:
            return bool(batch.awaited_by) or self._is_first(batch)
        return self._holders.lender_for(batch) is not None

    def _is_first(self, batch: AnyBatch) -> bool:
        return not self._line or self._numbers.get(batch, 0) <= self._line.first_number

    def take(self, queue: Any, batch: AnyBatch, place: Place) -> None:
        """Let a batch that runs hold one; its queue waits here for others at most."""
        self._leave(queue, self._numbers.get(batch, 0))
        self._holders.take(batch, place)

    @property
    def has_room(self) -> bool:
        """Whether a place is free."""
        return self._holders.has_room

    @property
    def batches(self) -> Collection[AnyBatch]:
        """Those who hold the places."""
        return self._holders.batches

    def look_at(self, place: Place) -> None:
        """Note whether who holds a place waits now."""
        self._holders.look_at(place)
        self._look_soon(place.batch)

    def wait(self, queue: Any, batch: AnyBatch) -> None:
        """Have a queue started when there may be a place for its batch."""
        self.stand_in_line(queue, batch)
        if self._holders.has_room:
            self.wake_soon(batch.loop)
        else:
            self._look_soon(batch)

    def stand_in_line(self, queue: Any, batch: AnyBatch) -> None:
        """Let those that close later come later."""
        number = self._numbers.get(batch, 0)
        self._line.put(queue, number)
        if batch.awaited_by:
            self._lendable.put(queue, number)

    def _leave(self, queue: Any, number: int | None = None) -> None:
        self._line.remove(queue, number)
        self._lendable.remove(queue, number)

    def release(self, batch: AnyBatch) -> None:
        """A batch has ended: its place goes to who has lent it, or to who came first."""
        self._holders.drop(batch)
        self.wake()
        self._look_soon(batch)

    def forget(self, batch: AnyBatch) -> None:
        """The same for a batch whose event loop was closed: nothing can be started there."""
        self._holders.drop(batch)

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
            while self._line and (self._holders.has_room or self._is_changed):
                if self._holders.has_room:
                    self._start(self._line.first)
                    continue
                self._is_changed = False
                self._lend()
        except BaseException:  # KeyboardInterrupt, SystemExit: if the loop runs on, so do the others
            self.wake_soon(asyncio.get_running_loop())
            raise
        finally:
            self._is_waking = False

    def _lend(self) -> None:
        """Start those who are lent a place."""
        for queue in self._lendable.in_order():
            if not self._holders.may_lend:
                return
            self._start(queue)
        self._holders.none_was_lent()

    def _start(self, queue: Any) -> None:
        self._leave(queue)
        queue.start()

    def wake_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        """The same in two turns, and see that one goes on: those that are waited for have had their chance by then."""
        if self._line and self._wakes_on is not loop and not loop.is_closed():
            self._wakes_on = loop
            loop.call_soon(loop.call_soon, self._wake_and_look)

    def _wake_and_look(self) -> None:
        self._wakes_on = None
        self.wake()
        self._see_that_one_goes_on()

    # -- where all who hold places wait: see `_way_on` --------------------------------------------------------

    def has_moved(self, batch: AnyBatch) -> None:
        """A batch that those who hold places wait for, by way of others, has started or ended."""
        self._way_on.has_moved(batch, self)
        self.wake_soon(batch.loop)

    def waits(self, batch: AnyBatch) -> None:
        """Such a batch waits for others now."""
        if self._way_on.waits(batch):
            self.wake_soon(batch.loop)

    def _look_soon(self, batch: AnyBatch | None) -> None:
        """Look in two turns whether somebody goes on, if all who hold places wait and it is not known."""
        is_known = self._way_on.is_open and self._way_on.start in self._holders
        if self._holders.are_stuck and not is_known and batch is not None:
            self.wake_soon(batch.loop)

    def _see_that_one_goes_on(self) -> None:
        """If those who hold places wait for one another alone, through other limits, start one that they wait for."""
        while self._line and self._holders.are_stuck and not self._holders.has_room:
            if self._way_on.start not in self._holders:
                self._way_on.leave(self)
            found = look_from(self._way_on.end or next(iter(self._holders.batches)))
            if not found.circle:
                self._way_on.follow(found, self)
                if not found.is_known:
                    self.wake_soon(asyncio.get_running_loop())
                return
            self._start_one_of(found.circle)

    def _start_one_of(self, circle: Iterable[AnyBatch]) -> None:
        """Start one that waits for a place, here if there is one, in the order in which they closed."""
        last = self._closed + 1
        first = min(
            (batch for batch in circle if batch.is_closed), key=lambda batch: self._numbers.get(batch, last)
        )
        try:
            first.index.start(first)
        except BaseException:  # as in `wake`
            self.wake_soon(asyncio.get_running_loop())
            raise


@final
class Limit:
    """How many batches run at once at most, counted over all loaders that are given it.

    Lives as long as what it protects, a connection or a pool, and belongs to one event loop at a time. Batches get
    places in the order in which they closed, whichever loader they are of. A batch that waits for another batch lends
    it its place, so that loaders which load from each other may share a limit, of one even; while it waits for one
    outside of the limit, nobody takes its place. More may work at once only where a batch function goes on before
    what it has asked for is there, and where batches of several limits would wait for each other's places for ever:
    then one of them starts. A loader's own ``max_concurrency`` holds beside the limit that a registry gives it.

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
