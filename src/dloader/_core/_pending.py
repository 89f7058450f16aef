"""Which keys somebody waits for, and in which batch: the open one, or those under way."""

from __future__ import annotations

import asyncio
import logging
from asyncio import Future
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import partial
from types import CoroutineType
from typing import Any, Generic

from dloader._core._batch import Batch, Outcome, Watcher
from dloader._core._dispatch import Dispatch, settle
from dloader._core._hooks import Hooks
from dloader._core._keys import Keys
from dloader._core._roles import Standing
from dloader._core._run_queue import RunQueue
from dloader._core._types import K, V
from dloader._core._wait_graph import current_place, record_wait
from dloader._core._waiters import Part, Waiter
from dloader.instruments import watching

__all__ = ("Pending",)

logger = logging.getLogger("dloader")


NOTHING: dict[Any, Any] = {}
"""What grows, or is under way, while nothing does; never changed."""

NOT_YET = (0, 0)

FEW = 64
"""So many keys are looked at whenever there is a reason to."""


class UnderWay:
    """In which batch each key of the batches that have closed and not ended is: a later caller may join it.

    Most often one batch is under way. Then `under_way` is that batch's own dict, and costs nothing for its keys; with
    several batches, or keys that may not be joined any more, it maps each key to its batch.

    `Pending` extends it, and does not hold one: a step less on the way of each load, which is a fiftieth of its time.
    """

    __slots__ = ("_only", "under_way")

    # Set by `Pending`: a call less for each loader.
    under_way: dict[Any, Any]
    _only: Batch[Any, Any] | None
    """The batch whose dict `under_way` is."""

    def add_under_way(self, batch: Batch[Any, Any]) -> None:
        """A batch has closed."""
        if not self.under_way:
            self.under_way, self._only = batch.entries, batch
        else:
            by_key = self._by_key()
            for cache_key in batch.entries:
                by_key[cache_key] = batch

    def forget_keys(self, batch: Batch[Any, Any], cache_keys: Iterable[Hashable]) -> None:
        """Nobody may join these keys of a batch, which takes them out of its own entries."""
        if batch is not self._only:
            for cache_key in cache_keys:  # of a batch that has not begun: nothing else loads them
                del self.under_way[cache_key]

    def _forget_batch(self, batch: Batch[Any, Any]) -> None:
        """Nobody may join a batch, whatever its keys make of being hashed once more."""
        batches = {other for other in self.under_way.values() if other is not batch}
        self.under_way = {}
        for other in batches:  # from dict to dict no key is hashed
            self.under_way.update(dict.fromkeys(other.entries, other))

    def remove_under_way(self, batch: Batch[Any, Any]) -> None:
        """A batch that is not the only one has ended; it still has its entries."""
        under_way = self.under_way
        try:
            for cache_key in batch.entries:
                if under_way.get(cache_key) is batch:
                    del under_way[cache_key]
                elif cache_key not in batch.outdated:  # its hash is another one by now
                    self._forget_batch(batch)
                    return
        except BaseException:
            self._forget_batch(batch)

    def forget_outdated(self, cache_key: Hashable) -> None:
        """Nobody may join a key, which its batch goes on loading."""
        del self._by_key()[cache_key]

    def _by_key(self) -> dict[Any, Any]:
        if self._only is not None:
            self.under_way, self._only = dict.fromkeys(self.under_way, self._only), None
        return self.under_way


class Pending(UnderWay, Generic[K, V]):
    """Opens batches, adds keys and those who wait for them, and finds the batch of a key; lives as long as the loader.

    Invariant: at most one batch is open, and it has a key; each key that may be joined is in that batch or under way.
    (`PartitionedPending` has one for each partition.)
    """

    __slots__ = (
        "_looked_at",
        "_policy",
        "growing",
        "hooks",
        "keys",
        "limit",
        "loop",
        "merged",
        "new_future",
        "open",
        "opened",
        "queue",
    )

    def __init__(
        self, keys: Keys[K], policy: Dispatch, limit: int | None, queue: RunQueue, hooks: Hooks
    ) -> None:
        self.under_way, self._only = NOTHING, None
        self.keys = keys
        self._policy = policy
        self.limit = limit
        """Most keys of a batch."""
        self.queue = queue
        self.hooks = hooks
        self.loop: asyncio.AbstractEventLoop | None = None
        """The event loop that batches are opened on."""
        self.new_future: Callable[[], Future[Any]] = Future
        self.open: Batch[K, V] | None = None
        """The batch that new keys go into."""
        self.growing: dict[Any, Waiter[V]] = NOTHING
        """Its entries, if it may take any number of them: then `DataLoader.load` adds to it by itself."""
        self._looked_at = NOT_YET
        """Which batch was looked at when it was full, and how many keys it had then that somebody wants."""
        self.opened = self.merged = 0
        """How many batches were opened, how many keys joined a load that was there."""

    @property
    def size(self) -> int:
        """How many keys somebody waits for, or did when last looked."""
        return len(self.under_way) + sum(batch.size for batch in self.open_batches)

    @property
    def open_batches(self) -> Sequence[Batch[K, V]]:
        """The batches that new keys may go into."""
        return () if self.open is None else (self.open,)

    def cache_keys(self) -> list[Hashable]:
        """All keys that somebody waits for and that may be joined."""
        return [*self.under_way, *(key for batch in self.open_batches for key in batch.entries)]

    @property
    def is_partitioned(self) -> bool:
        """Whether cache keys are pairs of a partition and what stands for a key there."""
        return False

    def partition_here(self) -> Hashable:
        """The partition of the code that calls this, if keys are in partitions."""
        return None

    def unstarted(self) -> list[Batch[K, V]]:
        """The batches that wait for ``max_concurrency``, and what is open."""
        return [*self.queue.waiting, *self.open_batches]

    # -- asking ----------------------------------------------------------------------------------------------

    def find(self, cache_key: Hashable) -> Batch[K, V] | None:
        """The batch that loads a key, unless nobody may join it there any more."""
        batch = self.open
        if batch is not None and cache_key in batch.entries:
            return batch
        if cache_key in self.under_way:
            return self._only or self.under_way[cache_key]
        return None

    def join_or_add(self, key: K, cache_key: Hashable) -> Future[V]:
        """A new caller's future, for a key that is not cached."""
        # What `find` and `_added` do in the common case is written out, as a load goes through few hands.
        batch = self.open
        if cache_key in self.under_way or (batch is not None and cache_key in batch.entries):
            return self._join_alone(cache_key)
        if batch is None:
            batch = self._open_batch()
        future: Future[V] = self.new_future()
        if current_place.get() is not None:
            self._record_wait(batch, key, future)
        entries = batch.entries
        is_first = not entries
        entries[cache_key] = future
        if batch.given_keys is not None:
            batch.given_keys.append(key)
        if self.hooks.of_batches or (self.limit is not None and len(entries) >= self.limit):
            self._added(batch, is_first)
        elif is_first:
            try:  # as `_schedule` does
                returned: Any = self._policy(batch)
            except BaseException as error:
                self._policy_raised(batch, error)
            else:
                if type(returned) is CoroutineType:
                    self._policy_is_async(batch, returned)
        return future

    def _join_alone(self, cache_key: Hashable) -> Future[V]:
        """A future for a key that somebody waits for already."""
        batch = self.find(cache_key)
        assert batch is not None  # noqa: S101 - the key was found
        future: Future[V] = self.new_future()
        self.join(batch, cache_key, future)
        return future

    def join(self, batch: Batch[K, V], cache_key: Hashable, waiter: Waiter[V]) -> None:
        """Let `waiter` wait for a key that somebody waits for already."""
        self.count_join(batch, cache_key, waiter)
        batch.join(cache_key, waiter)

    def count_join(self, batch: Batch[K, V], key: object, waiter: Waiter[V] | None = None) -> None:
        """Note that one more caller is about to wait for a key of `batch`, with a future of its own if one is given.

        Raises:
            RecursiveLoadError: The batch waits for the code that asks.
        """
        if current_place.get() is not None:
            self._record_wait(batch, key, waiter)
        self.merged += 1

    def add_part(self, batch: Batch[K, V], part: Part[V], unique: Mapping[Any, K]) -> None:
        """Let a part of a ``load_many`` be the first to wait for keys, for which the batch has room."""
        entries, before = batch.entries, len(batch.entries)
        try:
            entries.update(dict.fromkeys(unique, part))
        except BaseException:  # a key that cannot be compared: without a policy nobody would close the batch
            while len(entries) > before:
                entries.popitem()  # asks no key
            raise
        batch.join_part(part)
        if batch.given_keys is not None:
            batch.given_keys.extend(unique.values())
        self._added(batch, is_first=not before)

    def batch_for(self, key: object, waiter: Waiter[Any]) -> Batch[K, V]:
        """The batch that a new key goes into, and what is waited for it with."""
        batch = self.open or self._open_batch()
        if current_place.get() is not None:
            self._record_wait(batch, key, waiter)
        return batch

    def _record_wait(self, batch: Batch[K, V], key: object, waiter: Waiter[Any] | None) -> None:
        """The code that runs here, which may be inside a batch function, is about to wait for `batch`."""
        if record_wait(batch, key, waiter):
            self.queue.move_ahead(batch)

    def outdate(self, cache_key: Hashable, primed: bool) -> None:
        """A key was primed or cleared: what is being loaded for it must not be cached or joined any more.

        A batch that has not started reads the key later than now: only priming concerns it.
        """
        batch = self.find(cache_key)
        if batch is None:
            return
        if batch.is_running:
            batch.outdate(cache_key)
            self.forget_outdated(cache_key)
        else:
            batch.outdate(cache_key, primed)

    # -- for engines: see `dloader.lowlevel` -----------------------------------------------------------------

    @property
    def mark(self) -> tuple[int, int, int]:
        """Where the open batch is now, for `asked_since`."""
        return self.opened, 0 if self.open is None else self.open.size, self.merged

    def asked_since(self, mark: tuple[int, int, int]) -> list[Batch[K, V]]:
        """The batches that have not started and were given keys, or further callers, since `mark` was read."""
        opened, size, _ = mark
        was_open_and_changed = size and self.mark != mark  # it grew, was joined, or was full and has closed
        first = opened if was_open_and_changed else opened + 1
        return [batch for batch in self.unstarted() if batch.number >= first]

    # -- opening and closing ---------------------------------------------------------------------------------

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Open batches on `loop` from now on."""
        self.loop = loop
        # Not loop.create_future(): it costs twice as much, and the cache tells futures from values by their class.
        self.new_future = Future if loop.is_running() else partial(Future, loop=loop)

    def _open_batch(self) -> Batch[K, V]:
        """Open the batch that the next keys go into."""
        assert self.loop is not None  # noqa: S101 - load() binds the loop first
        given: list[K] | None = None if self.keys.are_cache_keys else []
        loader = self.hooks.loader()
        batch: Batch[K, V] = Batch(loader.name, self.opened + 1, self.loop, given, self)
        if watching.get() or self.hooks.of_records:
            self.hooks.record_opened(batch)  # may refuse it
        self.opened += 1
        self.hooks.kept = loader
        self.open = batch
        if self.limit is None:
            self.growing = batch.entries
        return batch

    def _added(self, batch: Batch[K, V], is_first: bool) -> None:
        """Note that `batch` was given keys: its policy learns of the first, and a full batch closes at once."""
        if is_first and self.hooks.of_batches:
            try:
                self.hooks.batch_opened(batch)
            except BaseException:  # Ctrl-C: somebody must close the batch all the same
                settle()(batch)
                raise
            if not batch.is_open:
                return  # one of them closed it
        limit = self.limit
        if limit is not None and len(batch.entries) >= limit:
            if limit > 1:  # else it has nothing but the key that has just come
                self._drop_gone_keys(batch)
            if len(batch.entries) >= limit:
                batch.close_because("full")
                return
        if is_first:
            self._schedule(batch)

    def _drop_gone_keys(self, batch: Batch[K, V]) -> None:
        """Forget the keys of a full batch that everybody has left, as a limit counts keys that somebody wants.

        Of many keys it is done when an eighth of them is new: all looks together cost no more than adding keys does.
        """
        size, (number, wanted) = len(batch.entries), self._looked_at
        if size <= FEW or number != batch.number or (size - wanted) * 8 >= size:
            batch.drop_gone_keys()
            self._looked_at = batch.number, len(batch.entries)

    def _schedule(self, batch: Batch[K, V]) -> None:
        """Have the policy close the batch; one that raises must not leave the callers waiting."""
        try:
            returned: Any = self._policy(batch)
        except BaseException as error:
            self._policy_raised(batch, error)
        else:
            if type(returned) is CoroutineType:
                self._policy_is_async(batch, returned)

    def _policy_is_async(self, batch: Batch[K, V], returned: Any) -> None:
        returned.close()
        cure = "a policy must not be async: make a task of what it awaits, and close the batch there"
        self._policy_raised(batch, TypeError(cure))

    def _policy_raised(self, batch: Batch[K, V], error: BaseException) -> None:
        settle()(batch)
        if issubclass(type(error), (KeyboardInterrupt, SystemExit)):
            raise error
        message = "dispatch policy %r of loader %r raised; settle() was used"
        logger.error(message, self._policy, batch.loader_name, exc_info=error)

    # -- what a batch tells ----------------------------------------------------------------------------------

    def batch_closed(self, batch: Batch[K, V], why: str) -> None:
        """Let another batch be opened, and run this one when there is a place for it."""
        if self.hooks.records:
            self.hooks.record_closed(batch, why)
        self.open, self.growing = None, NOTHING
        self.add_under_way(batch)
        if self.limit is None or len(batch.entries) < self.limit:
            self.queue.run(batch)
        else:
            self.queue.run_soon(batch)  # it was full within a load(), whose caller has no future yet

    def keys_gone(self, batch: Batch[K, V], cache_keys: Iterable[Hashable]) -> None:
        """Nobody waits for these keys, which `batch` takes out of its entries."""
        if not batch.is_open:
            self.forget_keys(batch, cache_keys)

    def before(self, batch: Batch[K, V]) -> Iterable[Batch[Any, Any]] | Standing:
        """Of which batches one has to end, or go on, before a batch that has closed can."""
        return self.queue.before(batch)

    def start(self, batch: Batch[K, V]) -> None:
        """Start a batch that has closed and waits, though there is no place for it."""
        self.queue.start_next(batch)

    def add_watcher(self, batch: Batch[K, V], watcher: Watcher) -> None:
        """Have somebody told when a batch that has closed moves, or waits."""
        self.queue.add_watcher(batch, watcher)

    def remove_watcher(self, batch: Batch[K, V], watcher: Watcher) -> None:
        """Tell that one nothing more."""
        self.queue.remove_watcher(batch, watcher)

    def batch_ended(self, batch: Batch[K, V], outcome: Outcome, values: Sequence[V]) -> None:
        """Let nobody join the batch."""
        if batch is self._only:  # most often: written out
            self.under_way, self._only = NOTHING, None
        elif batch is self.open:
            self.open, self.growing = None, NOTHING
        else:
            self.remove_under_way(batch)
        if self.queue.watchers:
            self.queue.tell_moved(batch)
        if self.hooks.records:
            self.hooks.record_ended(batch, outcome, values)
        if self.open is None and not self.under_way:
            self._let_loader_go()

    def _let_loader_go(self) -> None:
        """Nothing is pending: the loader may be freed."""
        self.hooks.kept = None
