"""The closed batches of one loader, and which of them run."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Generic, TypeVar, final

from dloader._nesting import waiters_of

if TYPE_CHECKING:
    from dloader._batch import Batch

__all__ = ("Queue",)

K = TypeVar("K")
V = TypeVar("V")


@final
class Queue(Generic[K, V]):
    """Starts batches in the order in which they closed, as far as ``max_concurrency`` allows.

    Lives as long as its loader.
    """

    __slots__ = ("_ahead", "_is_starting", "_limit", "_ready", "_will_start", "running")

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._ready: OrderedDict[Batch[K, V], None] = OrderedDict()
        self._ahead: OrderedDict[Batch[K, V], None] = OrderedDict()
        """Batches that running batch functions wait for: they come before those that are ready."""
        self._is_starting = self._will_start = False
        self.running: set[Batch[K, V]] = set()
        """Batches whose task has not ended; the strong references to these tasks."""

    @property
    def waiting(self) -> list[Batch[K, V]]:
        """The batches that are still to be started."""
        return [*self._ahead, *self._ready]

    def add(self, batch: Batch[K, V]) -> None:
        """Queue a batch that was closed."""
        (self._ahead if batch.awaited_by else self._ready)[batch] = None

    def hurry(self, batch: Batch[K, V]) -> None:
        """A running batch function waits for this one, if it is queued at all."""
        if batch in self._ready:
            del self._ready[batch]
            self._ahead[batch] = None
            self.start_soon(batch.loop)

    def start(self) -> None:
        """Start what there is a place for."""
        if (
            self._is_starting
        ):  # a batch that ends in its first step: the loop below goes on, however many there are
            return
        self._is_starting = True
        try:
            while (self._ready or self._ahead) and (batch := self._next()) is not None:
                if batch.is_closed:  # and not abandoned meanwhile
                    self.running.add(batch)
                    batch.start()
        except BaseException:  # KeyboardInterrupt, SystemExit: if the loop runs on, so do the other batches
            self.start_soon(asyncio.get_running_loop())
            raise
        finally:
            self._is_starting = False

    def start_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        """The same in the next turn of the loop."""
        if not self._will_start:
            self._will_start = True
            loop.call_soon(self._start_now)

    def _start_now(self) -> None:
        self._will_start = False
        self.start()

    def _next(self) -> Batch[K, V] | None:
        """Take the next batch that there is a place for; there is one that waits."""
        running, limit = self.running, self._limit
        if limit is None or len(running) < limit:
            return (self._ahead or self._ready).popitem(last=False)[0]
        # Only the places of running batches that wait are left. Most often none does: no need to look at all.
        if len(running) - sum(batch.waits for batch in running) < limit:
            for batch in self._ahead:
                others: set[Any] = running - waiters_of(batch)
                if len(others) < limit:
                    del self._ahead[batch]
                    return batch
        return None

    def release(self, batch: Batch[K, V]) -> None:
        """Let go of a batch whose task has ended, and start what waits for its place."""
        self.running.discard(batch)
        if (self._ready or self._ahead) and not batch.loop.is_closed():
            self.start()

    def forget(self) -> None:
        """Drop all of it: the event loop was closed."""
        self.running.clear()
        self._ready.clear()
        self._ahead.clear()
        self._will_start = False
