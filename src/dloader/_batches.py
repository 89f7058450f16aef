"""The batches of one loader: which keys are waited for, which batch is open, which run.

Shared by the loader, which adds keys, and its batches, which settle them. Lives as long as the loader; the
loop it is bound to changes when there is no open work.

Invariant: a batch is open exactly while ``entries`` is not empty, and these are its entries.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio import Future
from collections.abc import Awaitable, Callable, Collection, Hashable, Iterable, Sequence, Set as AbstractSet
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from dloader._batch import Batch, State
from dloader._callers import Crowd, Entry, Many, Share
from dloader._dispatch import settle
from dloader._events import BatchInfo, Statistics
from dloader._nesting import inside, wait_for
from dloader._queue import Queue
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

NOWHERE: Any = object()
"""No event loop, not even the missing one."""


class Batches(Generic[K, V]):
    """Opens, closes, starts and counts batches; knows which keys somebody waits for."""

    __slots__ = (
        "_policy",
        "_sole",
        "cache",
        "cache_hits",
        "entries",
        "errors",
        "fetch",
        "growing",
        "instruments",
        "keys",
        "known",
        "limit",
        "loader",
        "loop",
        "merged",
        "new_future",
        "open",
        "opened",
        "plain_keys",
        "plain_loop",
        "queue",
        "running",
        "started",
        "under_way",
    )

    def __init__(
        self,
        loader: DataLoader[K, V],
        fetch: Callable[[list[K]], Awaitable[object]],
        cache: Cache,
        policy: Dispatch,
        max_batch_size: int | None,
        max_concurrency: int | None,
        plain_keys: bool,
        instruments: Sequence[Instrument],
    ) -> None:
        self.loader = loader
        self._policy = policy
        self.limit = max_batch_size
        self.fetch = fetch
        """Where values come from; a second-level store wraps this one call."""
        self.cache = cache
        self.known = cache.known
        self.plain_keys = plain_keys
        """Whether keys are their own cache keys."""
        self.instruments = list(instruments)
        self.loop: asyncio.AbstractEventLoop | None = None
        self.plain_loop: asyncio.AbstractEventLoop = NOWHERE
        """The loop, as long as a load there needs no care: see `DataLoader.load`."""
        self.new_future: Callable[[], Future[V]] = Future
        self.open: Batch[K, V] | None = None
        """The batch that new keys go into."""
        self.entries: dict[Any, Entry[V]] = {}
        """Who waits for each key of the open batch."""
        self.growing: dict[Any, Entry[V]] = self.entries if max_batch_size is None else {}
        """The same dict if batches may take any number of keys; else one that stays empty."""
        self.under_way: dict[Any, Any] = {}
        """The keys of the batches that are closed and have not ended; a later caller may join them."""
        self._sole: Batch[K, V] | None = None
        """While only one is under way: that one, and the dict above is its entries. Else that maps keys to batches."""
        self.queue: Queue[K, V] = Queue(max_concurrency)
        self.running = self.queue.running
        self.opened = self.started = self.keys = self.cache_hits = self.merged = self.errors = 0

    # -- what the loader does --------------------------------------------------------------------------------

    @property
    def statistics(self) -> Statistics:
        """A snapshot of the counters."""
        return Statistics(self.started, self.keys, self.cache_hits, self.merged, self.errors)

    @property
    def waiting(self) -> int:
        """How many keys somebody waits for, or did when last looked."""
        return len(self.entries) + len(self.under_way)

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Work on `loop` from now on; the work of a loop that was closed is forgotten."""
        bound = self.loop
        if bound is not None and (self.waiting or self.running):
            if not bound.is_closed():
                raise WrongLoopError(
                    f"loader {self.loader.name!r} has open batches on another event loop ({bound!r}); a loader "
                    f"belongs to one loop and thread at a time: make one loader per loop, or await the open loads first"
                )
            self.forget()
        self.loop = loop
        self.cache.leave_loop()
        # Not loop.create_future(): it costs twice as much, and the cache tells futures from values by their class.
        self.new_future = Future if loop.is_running() else partial(Future, loop=loop)
        self.choose_way()

    def choose_way(self) -> None:
        """See whether loads on this loop need care, which costs time."""
        is_plain = self.plain_keys and not (self.instruments or self.loader.closed or self.cache.must_ask)
        self.plain_loop = self.loop if is_plain and self.loop is not None else NOWHERE

    def forget(self) -> None:
        """Drop the work of a loop that was closed: nobody can be told any more."""
        for batch in {*self.running, *self.unstarted()}:
            batch.forget()
        self._nothing_is_open()
        self.under_way, self._sole = {}, None
        self.queue.forget()

    def ask(self, key: K, cache_key: Hashable) -> Future[V]:
        """A new caller's future, for a key that is not cached."""
        batch = self.batch_of(cache_key)
        if batch is None:
            return self.add(key, cache_key)
        future = self.new_future()
        self.join(batch, cache_key, future)
        return future

    def add(self, key: K, cache_key: Hashable) -> Future[V]:
        """The same for a key that nobody waits for."""
        future = self.new_future()
        batch = self.open or self._open_batch()
        if inside.get() is not None:
            self.nest(batch, key)
        is_first = not self.entries
        self.entries[cache_key] = future
        if batch.own_keys is not None:
            batch.own_keys.append(key)
        if is_first or self.limit is not None:
            self._added(batch, is_first)
        return future

    def ask_many(self, many: Many[V], unique: dict[Any, K]) -> None:
        """Add keys that nobody waits for yet, in as many batches as it takes."""
        if self.limit is None:
            self._add_share(many, list(unique), unique)
            return
        cache_keys, position = list(unique), 0
        while position < len(cache_keys):
            end = position + self.limit - len(self.entries)
            part = cache_keys[position:end]
            self._add_share(many, part, {cache_key: unique[cache_key] for cache_key in part})
            position = end

    def _add_share(self, many: Many[V], cache_keys: list[Any], unique: dict[Any, K]) -> None:
        """Add keys to the open batch, which has room for them."""
        batch = self.open or self._open_batch()
        is_first = not self.entries
        if inside.get() is not None:
            self.nest(batch, cache_keys[0])
        share = many.add_share(batch, cache_keys, is_first)
        self.entries.update(dict.fromkeys(unique, share))
        if batch.own_keys is not None:
            batch.own_keys += unique.values()
        batch.is_mixed = True
        batch.shared += len(cache_keys)
        self._added(batch, is_first)

    def join_many(self, many: Many[V], unique: dict[Any, K]) -> list[K]:
        """Let `many` wait for what others wait for already: take these keys out of `unique` and return them."""
        shares: dict[Batch[K, V], Share[V]] = {}
        keys: list[K] = []
        for cache_key in [key for key in unique if key in self.entries or key in self.under_way]:
            batch = self.batch_of(cache_key)
            assert batch is not None  # noqa: S101 - it was found a line ago
            share = shares.get(batch)
            if share is None:
                shares[batch] = share = many.add_share(batch, [])
            self.join(batch, cache_key, share)
            share.cache_keys.append(cache_key)
            keys.append(unique.pop(cache_key))
        return keys

    def join(self, batch: Batch[K, V], cache_key: Hashable, member: Future[V] | Share[V]) -> None:
        """Let `member` wait for a key that somebody waits for already."""
        if inside.get() is not None:
            self.nest(batch, cache_key)
        self.merged += 1
        batch.join(cache_key, member)

    def crowd(self, entry: Future[V] | Share[V], member: Future[V]) -> Crowd:
        """What stands at a key of the open batch for two that wait for it."""
        assert self.open is not None  # noqa: S101 - the entry is in it
        self.open.is_mixed = self.open.has_crowds = True
        return Crowd((entry, member))

    def batch_of(self, cache_key: Hashable) -> Batch[K, V] | None:
        """The batch that loads a key, unless nobody may join it there any more."""
        if cache_key in self.entries:
            return self.open
        if cache_key in self.under_way:
            return self._sole or self.under_way[cache_key]
        return None

    def nest(self, batch: Batch[K, V], key: object) -> None:
        """A load that may be inside a batch function is about to wait for `batch`."""
        if wait_for(batch, key):
            self.queue.hurry(batch)

    def outdate(self, cache_key: Hashable, primed: bool) -> None:
        """A key was primed or cleared: what is being loaded for it must not be cached or joined any more.

        A batch that has not started reads the key later than now: only priming concerns it.
        """
        batch = self.batch_of(cache_key)
        if batch is None:
            return
        if not isinstance(batch.outdated, set):
            batch.outdated = set()
        if batch.state is State.RUNNING:
            batch.outdated.add(cache_key)
            del self._by_key()[cache_key]
        elif primed:
            batch.outdated.add(cache_key)
        else:
            batch.outdated.discard(cache_key)

    @property
    def mark(self) -> tuple[int, int, int]:
        """Where the open batch is now, for `since`."""
        return self.opened, len(self.entries), self.merged

    def since(self, mark: tuple[int, int, int]) -> list[Batch[K, V]]:
        """The batches that have not started and were given keys, or further callers, since `mark` was read."""
        opened, size, merged = mark
        first = opened + 1
        if size and (self.opened > opened or len(self.entries) > size or self.merged > merged):
            first = opened
        return [batch for batch in self.unstarted() if batch.number >= first]

    def waited_for(self) -> list[Hashable]:
        """All keys that somebody waits for and that may be joined."""
        return [*self.entries, *self.under_way]

    def unstarted(self) -> list[Batch[K, V]]:
        """The open batch and those that wait for ``max_concurrency``."""
        return [*self.queue.waiting, *([self.open] if self.open is not None else [])]

    # -- opening and closing ---------------------------------------------------------------------------------

    def _open_batch(self) -> Batch[K, V]:
        """Open the batch that the next keys go into."""
        assert self.loop is not None  # noqa: S101 - load() binds the loop first
        self.opened += 1
        self.open = batch = Batch(self, self.loop, self.opened, self.entries)
        for instrument in tuple(self.instruments):
            self._hook(instrument, "batch_opened", self.info(batch))
        return batch

    def _added(self, batch: Batch[K, V], is_first: bool) -> None:
        """Note that `batch` was given keys: its policy learns of the first, and a full batch closes at once."""
        if self.limit is not None and len(batch.entries) >= self.limit:
            batch.drop_left_keys()  # a limit counts keys that somebody wants
            if len(batch.entries) >= self.limit:
                # Not started within the call of load(): the caller does not have its future yet.
                self.close(batch)
                self.queue.start_soon(batch.loop)
                return
        if is_first:
            self._schedule(batch)

    def _schedule(self, batch: Batch[K, V]) -> None:
        """Have the policy close the batch; one that raises must not leave the callers waiting."""
        try:
            self._policy(batch)
        except Exception:
            logger.exception(
                "dispatch policy %r of loader %r raised; settle() was used", self._policy, self.loader.name
            )
            settle()(batch)

    def close(self, batch: Batch[K, V]) -> None:
        """Let an open batch take no more keys, and queue it."""
        batch.state = State.CLOSED
        self._nothing_is_open()
        if not self.under_way:
            self.under_way, self._sole = batch.entries, batch
        else:
            self._by_key().update(dict.fromkeys(batch.entries, batch))
        self.queue.add(batch)

    def _nothing_is_open(self) -> None:
        self.open, self.entries = None, {}
        if self.limit is None:
            self.growing = self.entries

    def _by_key(self) -> dict[Any, Any]:
        """The keys under way with their batches, for when these are several or some keys are outdated."""
        if self._sole is not None:
            self.under_way, self._sole = dict.fromkeys(self.under_way, self._sole), None
        return self.under_way

    def forget_keys(self, batch: Batch[K, V], cache_keys: Iterable[Hashable]) -> None:
        """These keys of a closed batch are not loaded; it takes them out of its entries itself."""
        if batch is not self._sole and batch.state is not State.OPEN:
            for cache_key in cache_keys:
                if self.under_way.get(cache_key) is batch:
                    del self.under_way[cache_key]

    def remember(
        self,
        entries: dict[Any, Any],
        values: Collection[object],
        kinds: AbstractSet[type],
        outdated: AbstractSet[Hashable],
        is_plain: bool = False,
    ) -> None:
        """Put what a batch returned into the cache: see `Cache.store`."""
        self.cache.store(entries, values, kinds, outdated, is_plain)
        self.known = self.cache.known

    def ended(self, batch: Batch[K, V]) -> None:
        """Nobody can join a batch that has ended; it still has its entries."""
        if batch is self.open:
            self._nothing_is_open()
        elif batch is self._sole:
            self.under_way, self._sole = {}, None
        else:
            self.forget_keys(batch, batch.entries)

    # -- instruments -----------------------------------------------------------------------------------------

    def add_instruments(self, instruments: Iterable[Instrument]) -> None:
        """Let more instruments watch."""
        self.instruments += instruments
        self.choose_way()

    def requested(self, key: object, source: str) -> None:
        """Tell the instruments that a caller asked for a key."""
        for instrument in tuple(self.instruments):
            self._hook(instrument, "load_requested", self.loader, key, source)

    def tell_started(self, batch: Batch[K, V]) -> None:
        """Tell the instruments that a batch function is about to be called."""
        batch.info = self.info(batch)
        for instrument in tuple(self.instruments):
            self._hook(instrument, "batch_started", batch.info)

    def tell_finished(self, batch: Batch[K, V], error: BaseException | None) -> None:
        """Tell them that it has ended."""
        for instrument in tuple(self.instruments):
            self._hook(instrument, "batch_finished", batch.info or self.info(batch), error)

    def info(self, batch: Batch[K, V]) -> BatchInfo[K, V]:
        """Describe a batch to instruments."""
        return BatchInfo(self.loader, batch.number, tuple(batch.keys))

    def _hook(self, instrument: Instrument, hook: str, *args: object) -> None:
        try:
            getattr(instrument, hook)(*args)
        except Exception:
            self.instruments.remove(instrument)
            logger.exception(
                "instrument %r of loader %r raised in %s and was removed", instrument, self.loader.name, hook
            )
