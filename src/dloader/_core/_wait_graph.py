"""Which running batch waits for which: the loads that are made inside a batch function.

Two things follow from it. A load that would wait for the batch that makes it, directly or through other
batches and loaders, is refused, as it would never end. And a batch that waits lends its place (``max_concurrency``):
to those that it waits for, and to whoever is next where all that hold a place wait for one another alone, by way of the
queues of other loaders, as it may be just those that they wait for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import Any, cast

from dloader._core._batch import Batch
from dloader._core._roles import Standing
from dloader._core._waiters import Waiter
from dloader.errors import RecursiveLoadError

__all__ = (
    "Place",
    "batch_here",
    "current_place",
    "each_waiting",
    "newest_wait",
    "record_wait",
    "waiting_batches",
)


class Place:
    """What a batch holds under ``max_concurrency``; lives from its start until its task has ended, or it is ended.

    Tasks and timers that a batch function starts have it in their context, for as long as they live: without a batch,
    which is taken out at the end, it keeps nothing of the loader alive.
    """

    # Slots, and no __init__, which each batch would pay for: the queue that gives the place away sets what it holds.
    __slots__ = ("asked", "batch", "hopes", "queue", "task")

    batch: Batch[Any, Any] | None
    queue: Any
    """The queue that it is in: it is woken when one more batch waits."""
    task: Any
    """The task that fetches, once it waits for something: the strong reference to it."""
    asked: set[Batch[Any, Any]] | tuple[()]
    """The batches that it has asked for keys and that have not ended."""
    hopes: set[Batch[Any, Any]] | tuple[()]
    """Those of them that are open: each is lent a place when it closes."""

    @property
    def is_waiting(self) -> bool:
        """Whether one of the batches that it asked has not ended."""
        return bool(self.asked)

    @property
    def is_stuck(self) -> bool:
        """Whether it waits, and not for a batch that is open: that is lent a place when it closes."""
        return bool(self.asked) and not self.hopes

    def end(self) -> None:
        """Let go of everything."""
        self.stop_waiting()
        self.batch = self.queue = self.task = None

    def wait_for(self, batch: Batch[Any, Any], waiter: Waiter[Any] | None) -> None:
        """Note that it asked another batch for keys, which has not ended, and with what it waits for them."""
        _newest[0] = object()
        if isinstance(self.asked, set):
            self.asked.add(batch)
        else:
            self.asked = {batch}
        if batch.is_open:
            if isinstance(self.hopes, set):
                self.hopes.add(batch)
            else:
                self.hopes = {batch}
        self.queue.look_at(self)
        batch.be_awaited_by(self, waiter)
        self.wake()

    def closed(self, batch: Batch[Any, Any]) -> None:
        """One of the batches that it asked has closed."""
        if isinstance(self.hopes, set) and batch in self.hopes:
            self.hopes.discard(batch)
            self.queue.look_at(self)

    def answered(self, batch: Batch[Any, Any]) -> None:
        """One of the batches that it asked has ended."""
        self.closed(batch)
        asked = cast("set[Batch[Any, Any]]", self.asked)
        asked.discard(batch)
        if not asked:
            self.stop_waiting()

    def stop_waiting(self) -> None:
        """Note that it waits for nothing."""
        if isinstance(self.asked, set):
            for batch in self.asked:
                batch.be_left_by(self)
            self.asked = self.hopes = ()
            self.queue.look_at(self)

    def forget_given_up(self) -> None:
        """Wait no more for batches whose keys it has given up since."""
        for batch in [batch for batch in self.asked if not batch.is_wanted_by(self)]:
            batch.be_left_by(self)
            self.answered(batch)

    def before(self) -> Iterable[Batch[Any, Any]] | Standing:
        """The batches that it waits for, if it waits, and not for one that is open."""
        if not self.is_stuck:
            return Standing.GOES_ON
        if not any(batch.is_wanted_by(self) for batch in self.asked):
            self.forget_given_up()
            return Standing.GOES_ON
        return (batch for batch in self.asked if batch.is_wanted_by(self))

    def wake(self) -> None:
        """Have the queue look whether it may start another batch."""
        self.queue.wake()


current_place: ContextVar[Place | None] = ContextVar("dloader_current_place", default=None)
"""That of the batch whose function is running here, also in tasks that it has made."""


def batch_here() -> Batch[Any, Any] | None:
    """The batch whose function runs the code that calls this, and that has not ended."""
    place = current_place.get()
    batch = None if place is None else place.batch
    return batch if batch is not None and batch.is_running else None


def record_wait(batch: Batch[Any, Any], key: object, waiter: Waiter[Any] | None) -> bool:
    """Note that the code that runs here asked `batch` for `key`; return whether a running batch waits for it now.

    Args:
        batch: Who is asked.
        key: What for.
        waiter: What is waited with, if it can be given up.

    Raises:
        RecursiveLoadError: `batch` waits for this very code.
    """
    place = current_place.get()
    if place is None or place.batch is None or batch.has_ended:
        return False
    if batch.is_running and (batch is place.batch or batch in waiting_batches(place.batch)):
        raise RecursiveLoadError(batch.loader_name, key)
    place.wait_for(batch, waiter)
    return True


def waiting_batches(batch: Batch[Any, Any]) -> set[Batch[Any, Any]]:
    """The batches that hold a place and wait for `batch`, directly or through others."""
    return set(each_waiting(batch))


def each_waiting(batch: Batch[Any, Any]) -> Iterator[Batch[Any, Any]]:
    """The same one after another, the nearest first."""
    found: set[Batch[Any, Any]] = set()
    todo = deque([batch])
    while todo:
        asked = todo.popleft()
        for place in asked.awaited_by:
            if place.batch is not None and place.batch not in found and asked.is_wanted_by(place):
                found.add(place.batch)
                todo.append(place.batch)
                yield place.batch


_newest: list[object] = [None]


def newest_wait() -> object:
    """Something else after each wait that began, in any thread."""
    return _newest[0]
