"""The batches of one loader: which keys are waited for, which batch is open, which run.

Shared by the loader, which adds keys, and its batches, which settle them. Lives as long as the loader; the
loop it is bound to changes when there is no open work.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from dloader._batch import Batch, State
from dloader._callers import Call, Entry, Many, Share
from dloader._dispatch import settle
from dloader._events import BatchInfo, Statistics
from dloader._nesting import inside, wait_for, waiters_of
from dloader.errors import WrongLoopError

if TYPE_CHECKING:
    from dloader._cache import Cache
    from dloader._dispatch import Dispatch
    from dloader._loader import DataLoader
    from dloader.instruments import Instrument

__all__ = ("Batches",)

K = TypeVar("K")
V = TypeVar("V")

logger = logging.getLogger("dloader")


class Batches(Generic[K, V]):
    """Opens, closes, starts and counts batches; keeps the table of the keys that somebody waits for."""

    __slots__ = (
        "_ahead",
        "_loader",
        "_max_concurrency",
        "_numbers",
        "_policy",
        "_ready",
        "_start_scheduled",
        "_starting",
        "cache",
        "cache_hits",
        "errors",
        "fetch",
        "instruments",
        "keys",
        "loop",
        "merged",
        "open",
        "plain_keys",
        "running",
        "started",
        "waiting",
    )

    def __init__(
        self,
        loader: DataLoader[K, V],
        fetch: Callable[[list[K]], Awaitable[object]],
        cache: Cache,
        policy: Dispatch,
        max_concurrency: int | None,
        plain_keys: bool,
        instruments: Sequence[Instrument],
    ) -> None:
        self._loader = loader
        self._policy = policy
        self._max_concurrency = max_concurrency
        self.fetch = fetch
        """Where values come from; a second-level store wraps this one call."""
        self.cache = cache
        self.plain_keys = plain_keys
        """Whether keys are their own cache keys."""
        self.instruments = list(instruments)
        self.loop: asyncio.AbstractEventLoop | None = None
        self.waiting: dict[Hashable, Entry[V]] = {}
        """Who waits for each key that a later caller may still join."""
        self.open: Batch[K, V] | None = None
        """The batch that new keys go into."""
        self._ready: OrderedDict[Batch[K, V], None] = OrderedDict()
        self._ahead: OrderedDict[Batch[K, V], None] = OrderedDict()
        """Closed batches that running batch functions wait for: they come before those that are ready."""
        self.running: set[Batch[K, V]] = set()
        """Batches whose task has not ended; the strong references to these tasks."""
        self._start_scheduled = self._starting = False
        self._numbers = self.started = self.keys = self.cache_hits = self.merged = self.errors = 0

    # -- what the loader does --------------------------------------------------------------------------------

    @property
    def loader(self) -> DataLoader[K, V]:
        """The loader that these batches belong to."""
        return self._loader

    @property
    def statistics(self) -> Statistics:
        """A snapshot of the counters."""
        return Statistics(self.started, self.keys, self.cache_hits, self.merged, self.errors)

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Work on `loop` from now on; the work of a loop that was closed is forgotten."""
        bound = self.loop
        if bound is not None and bound is not loop and (self.waiting or self.running):
            if not bound.is_closed():
                raise WrongLoopError(
                    f"loader {self._loader.name!r} has open batches on another event loop ({bound!r}); a loader "
                    f"belongs to one loop and thread at a time: make one loader per loop, or await the open loads first"
                )
            self.forget()
        self.loop = loop
        self._start_scheduled = False

    def forget(self) -> None:
        """Drop the work of a loop that was closed: nobody can be told any more."""
        for batch in {*self.running, *self.unstarted()}:
            batch.state = State.ENDED
        self.waiting = {}
        self.running = set()
        self._ready.clear()
        self._ahead.clear()
        self.open = None

    def open_batch(self) -> Batch[K, V]:
        """Open the batch that the next keys go into."""
        assert self.loop is not None  # noqa: S101 - load() binds the loop first
        self._numbers += 1
        self.open = batch = Batch(self, self.loop, self._numbers)
        for instrument in tuple(self.instruments):
            self._hook(instrument, "batch_opened", self.info(batch))
        return batch

    def added(self, batch: Batch[K, V], first: bool) -> None:
        """Note that `batch` was given keys: its policy learns of the first, and a full batch closes at once."""
        limit = self._loader.max_batch_size
        if limit is not None and len(batch.keys) - batch.dead >= limit:
            # Not started within the call of load(): the caller does not have its future yet.
            batch.state = State.CLOSED
            self.closed(batch)
            self._start_soon()
        elif first:
            self._schedule(batch)

    def _schedule(self, batch: Batch[K, V]) -> None:
        """Have the policy close the batch; one that raises must not leave the callers waiting."""
        try:
            self._policy(batch)
        except Exception:
            logger.exception(
                "dispatch policy %r of loader %r raised; settle() was used", self._policy, self._loader.name
            )
            settle()(batch)

    def add_many(self, many: Many[V], cache_keys: list[Any], keys: list[K]) -> None:
        """Add keys that nobody waits for yet, in as many batches as it takes."""
        position = 0
        while position < len(keys):
            batch = self.open
            first = batch is None
            if batch is None:
                batch = self.open_batch()
            limit = self._loader.max_batch_size
            end = len(keys) if limit is None else position + limit - len(batch.keys) + batch.dead
            part = cache_keys[position:end]
            if inside.get() is not None:
                self.nest(batch, keys[position])
            share = Share(batch, many, part)
            many.add_share(share)
            self.waiting.update(dict.fromkeys(part, share))
            batch.shares.append(share)
            batch.keys.extend(keys[position:end])
            if not self.plain_keys:
                batch.cache_keys.extend(part)
            position = end
            self.added(batch, first)

    def join(self, cache_key: Hashable, entry: Entry[V], member: Call[V] | Share[V]) -> None:
        """Let `member` wait for a key that somebody waits for already."""
        if inside.get() is not None:
            self.nest(entry.batch, cache_key)
        self.merged += 1
        entry.batch.join(cache_key, entry, member)

    def nest(self, batch: Batch[K, V], key: object) -> None:
        """A load inside a batch function is about to wait for `batch`."""
        wait_for(batch, key)
        if batch in self._ready:
            del self._ready[batch]
            self._ahead[batch] = None
            self._start_soon()

    def share_waiting(self, many: Many[V], unique: dict[Any, K]) -> list[K]:
        """Let `many` wait for what others wait for already: take these keys out of `unique` and return them."""
        shares: dict[Batch[K, V], Share[V]] = {}
        keys: list[K] = []
        for cache_key in [cache_key for cache_key in unique if cache_key in self.waiting]:
            entry = self.waiting[cache_key]
            share = shares.get(entry.batch)
            if share is None:
                shares[entry.batch] = share = Share(entry.batch, many, [])
                many.add_share(share)
                entry.batch.shares.append(share)
            self.join(cache_key, entry, share)
            share.cache_keys.append(cache_key)
            keys.append(unique.pop(cache_key))
        return keys

    def outdate(self, cache_key: Hashable, primed: bool) -> None:
        """A key was primed or cleared: what is being loaded for it must not be cached or joined any more.

        A batch that has not started reads the key later than now: only priming concerns it.
        """
        entry = self.waiting.get(cache_key)
        if entry is None:
            return
        batch: Batch[K, V] = entry.batch
        if batch.state is State.RUNNING:
            batch.detach(cache_key)
        elif primed:
            batch.primed.add(cache_key)
        else:
            batch.primed.discard(cache_key)

    def unstarted(self) -> list[Batch[K, V]]:
        """The open batch and those that wait for ``max_concurrency``."""
        return [*self._ahead, *self._ready, *([self.open] if self.open is not None else [])]

    # -- what the batches do ---------------------------------------------------------------------------------

    def closed(self, batch: Batch[K, V]) -> None:
        """Queue a batch that takes no more keys."""
        self.open = None
        (self._ahead if batch.awaited_by else self._ready)[batch] = None

    def start_ready(self) -> None:
        """Start closed batches, in their order, as far as ``max_concurrency`` allows."""
        if (
            self._starting
        ):  # a batch that ends in its first step: the loop below goes on, however many there are
            return
        self._starting = True
        try:
            while (batch := self._next()) is not None:
                if batch.state is State.CLOSED:  # and not abandoned meanwhile
                    self.running.add(batch)
                    batch.start()
        except BaseException:  # KeyboardInterrupt, SystemExit: if the loop runs on, so do the other batches
            self._start_soon()
            raise
        finally:
            self._starting = False

    def _next(self) -> Batch[K, V] | None:
        """Take the next batch that there is a place for."""
        running, limit = self.running, self._max_concurrency
        if limit is None or len(running) < limit:
            queue = self._ahead or self._ready
            return queue.popitem(last=False)[0] if queue else None
        # Only the places of running batches that wait are left. Most often none does: no need to look at all.
        if len(running) - sum(batch.waits for batch in running) < limit:
            for batch in self._ahead:
                if len(running - waiters_of(batch)) < limit:
                    del self._ahead[batch]
                    return batch
        return None

    def _start_soon(self) -> None:
        if not self._start_scheduled:
            self._start_scheduled = True
            assert self.loop is not None  # noqa: S101
            self.loop.call_soon(self._start_scheduled_now)

    def _start_scheduled_now(self) -> None:
        self._start_scheduled = False
        self.start_ready()

    def started_one(self, batch: Batch[K, V]) -> None:
        """Count a batch whose function is about to be called."""
        self.started += 1
        self.keys += len(batch.keys)
        for instrument in tuple(self.instruments):
            self._hook(instrument, "batch_started", self.info(batch))

    def finished_one(self, batch: Batch[K, V], error: BaseException | None) -> None:
        """Count how a batch ended, let go of it and start the next."""
        if error is not None and not isinstance(error, asyncio.CancelledError):
            self.errors += 1
        for instrument in tuple(self.instruments):
            self._hook(instrument, "batch_finished", self.info(batch), error)
        self.release(batch)

    def release(self, batch: Batch[K, V]) -> None:
        """Let go of a batch whose task has ended, and start what waits for its place."""
        self.running.discard(batch)
        if not batch.loop.is_closed():
            self.start_ready()

    # -- instruments -----------------------------------------------------------------------------------------

    def requested(self, key: object, source: str) -> None:
        """Tell the instruments that a caller asked for a key."""
        for instrument in tuple(self.instruments):
            self._hook(instrument, "load_requested", self._loader, key, source)

    def info(self, batch: Batch[K, V]) -> BatchInfo[K, V]:
        """Describe a batch to instruments."""
        return BatchInfo(self._loader, batch.number, tuple(batch.keys))

    def _hook(self, instrument: Instrument, hook: str, *args: object) -> None:
        try:
            getattr(instrument, hook)(*args)
        except Exception:
            self.instruments.remove(instrument)
            logger.exception(
                "instrument %r of loader %r raised in %s and was removed", instrument, self._loader.name, hook
            )
