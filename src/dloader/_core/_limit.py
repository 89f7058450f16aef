"""Limit: how many batches run at once, of all loaders that share it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, TypeAlias, final
from weakref import WeakKeyDictionary

from dloader._core._batch import Batch
from dloader._core._holders import Holders
from dloader._core._line import Line
from dloader._core._wait_graph import Place
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
        "_is_last_resort",
        "_is_waking",
        "_lendable",
        "_line",
        "_numbers",
        "_wakes_on",
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
        self._is_waking = self._is_last_resort = False
        self._is_changed = False
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
        """Whether there is a place for a batch, its own or one that is lent.

        Batches that wait for this one lend it their places. As a last resort, where all who hold places are stuck, one
        more may start: it may be what they wait for, through other limits.
        """
        if self._holders.has_room:
            return bool(batch.awaited_by) or self._is_first(batch)
        if self._holders.lender_for(batch) is not None:
            return True
        return self._is_last_resort and self._holders.are_stuck

    def _is_first(self, batch: AnyBatch) -> bool:
        return not self._line or self._numbers.get(batch, 0) <= self._line.first_number

    def take(self, queue: Any, batch: AnyBatch, place: Place) -> None:
        """Let a batch that runs hold one; its queue waits here for others at most."""
        self._leave(queue, self._numbers.get(batch, 0))
        self._holders.take(batch, place)

    def look_at(self, place: Place) -> None:
        """Note whether who holds a place waits now."""
        self._holders.look_at(place)

    def wait(self, queue: Any, batch: AnyBatch) -> None:
        """Have a queue started when there may be a place for its batch."""
        number = self._numbers.get(batch, 0)
        self._line.put(queue, number)
        if batch.awaited_by:
            self._lendable.put(queue, number)
        if not self._is_last_resort and self._holders.are_stuck:
            self.wake_soon(batch.loop)

    def _leave(self, queue: Any, number: int | None = None) -> None:
        self._line.remove(queue, number)
        self._lendable.remove(queue, number)

    def release(self, batch: AnyBatch) -> None:
        """A batch has ended: its place goes to who has lent it, or to who came first."""
        self._holders.drop(batch)
        self.wake()

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
                if self._is_last_resort:
                    self._start_until_one_works()
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

    def _start_until_one_works(self) -> None:
        """Start one that perhaps nobody here waits for."""
        if self._holders.are_stuck:
            self._holders.forget_given_up()
        for queue in self._line.in_order():
            if not self._holders.are_stuck:
                return
            self._start(queue)

    def _start(self, queue: Any) -> None:
        self._leave(queue)
        queue.start()

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
    it its place, so that loaders which load from each other may share a limit, of one even; where all wait for batches
    outside of it, one more starts, and more may work at once when they go on. A loader's own
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
