"""Keys in partitions: those of different tenants, say, share neither a batch nor what is cached."""

from __future__ import annotations

from asyncio import AbstractEventLoop, Future
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from inspect import iscoroutine
from typing import Any, cast, final

from dloader._core._batch import Batch, KeyIndex, Outcome
from dloader._core._dispatch import Dispatch
from dloader._core._error_copies import add_note_once
from dloader._core._hooks import Hooks
from dloader._core._keys import Keys
from dloader._core._pending import Pending
from dloader._core._run_queue import RunQueue
from dloader._core._types import MISSING, K, V
from dloader._core._waiters import Waiter
from dloader._text import shorten
from dloader.errors import KeyTypeError
from dloader.instruments import watching

__all__ = ("pending_of",)


def pending_of(
    name: str,
    key_fn: Callable[[K], Hashable] | None,
    partition: Callable[[], Hashable] | None,
    policy: Dispatch,
    limit: int | None,
    queue: RunQueue,
    hooks: Hooks,
) -> Pending[K, Any]:
    """The index of keys of a new loader, with partitions or without."""
    if partition is None:
        return Pending(Keys(name, key_fn), policy, limit, queue, hooks)
    return PartitionedPending(PartitionedKeys(name, key_fn, partition), policy, limit, queue, hooks)


@final
class PartitionedKeys(Keys[K]):
    """Puts the partition of who asks before each cache key, as a pair; lives as long as the loader."""

    __slots__ = ("_partition",)

    def __init__(
        self, name: str, key_fn: Callable[[K], Hashable] | None, partition: Callable[[], Hashable]
    ) -> None:
        super().__init__(name, key_fn)
        self._partition = partition
        self.are_cache_keys = False

    def here(self) -> Hashable:
        """The partition of the code that calls this.

        Raises:
            KeyTypeError: It cannot be used: it cannot be hashed, or would have to be awaited.
        """
        try:
            partition = self._partition()
        except Exception as error:
            add_note_once(error, f"in partition of loader {self._name!r}")
            raise
        if hasattr(type(partition), "__await__"):
            if iscoroutine(partition):
                partition.close()
            raise self._bad_partition("something to await: it must not be async")
        try:
            hash(partition)
        except TypeError as error:
            raise self._bad_partition(f"{shorten(partition)}, which is not hashable") from error
        return partition

    def hashable_cache_key(self, key: K) -> Hashable:
        """The partition of who asks, and the cache key of a key."""
        return self.here(), super().hashable_cache_key(key)

    def unique(self, keys: Iterable[K], keep_keys: bool) -> tuple[list[Any], dict[Any, K]]:
        """The cache keys of many keys, all in one partition, and a dict of the different ones."""
        del keep_keys  # they are kept in any case, as batches have pairs
        partition = self.here()
        plain, unique = super().unique(keys, True)
        pairs = {cache_key: (partition, cache_key) for cache_key in unique}
        return [pairs[cache_key] for cache_key in plain], {pairs[each]: key for each, key in unique.items()}

    def _bad_partition(self, what: str) -> KeyTypeError:
        return KeyTypeError(
            f"loader {self._name!r} cannot load: partition {shorten(self._partition)} gave {what}"
        )


@final
class PartitionBatch(Batch[K, V]):
    """A batch of keys that are in one partition."""

    def __init__(
        self, name: str, number: int, loop: AbstractEventLoop, index: KeyIndex, partition: Hashable
    ) -> None:
        super().__init__(name, number, loop, [], index)
        self.partition = partition

    @property
    def result_keys(self) -> Collection[Hashable]:
        """What stands for its keys in what the batch function returns."""
        return [cache_key for _, cache_key in self.entries]


@final
class PartitionedPending(Pending[K, V]):
    """Keeps a batch open for each partition that asks for keys; lives as long as the loader.

    `open` is that of the partition which was asked for last: `_turn_to` comes before all that reads it.
    """

    __slots__ = ("_here", "_open_in", "_partition")

    def __init__(
        self,
        keys: PartitionedKeys[K],
        policy: Dispatch,
        limit: int | None,
        queue: RunQueue,
        hooks: Hooks,
    ) -> None:
        super().__init__(keys, policy, limit, queue, hooks)
        self._here = keys.here
        self._open_in: dict[Hashable, PartitionBatch[K, V]] = {}
        """The open batches, by partition."""
        self._partition: Hashable = None
        """The one that was asked for last."""

    @property
    def open_batches(self) -> Sequence[Batch[K, V]]:
        """The batches that new keys may go into."""
        return list(self._open_in.values())

    @property
    def is_partitioned(self) -> bool:
        """Cache keys are pairs."""
        return True

    def partition_here(self) -> Hashable:
        """The partition of the code that calls this."""
        return self._here()

    def _turn_to(self, partition: Hashable) -> None:
        self._partition = partition
        self.open = self._open_in.get(partition)

    def find(self, cache_key: Any) -> Batch[K, V] | None:
        """The batch that loads a key, unless nobody may join it there any more."""
        self._turn_to(cache_key[0])
        return super().find(cache_key)

    def join_or_add(self, key: K, cache_key: Any) -> Future[V]:
        """A new caller's future, for a key that is not cached."""
        self._turn_to(cache_key[0])
        return super().join_or_add(key, cache_key)

    def batch_for(self, key: Any, waiter: Waiter[Any]) -> Batch[K, V]:
        """The batch that a new key goes into, and what is waited for it with."""
        self._turn_to(key[0])
        return super().batch_for(key, waiter)

    def _open_batch(self) -> Batch[K, V]:
        assert self.loop is not None  # noqa: S101 - load() binds the loop first
        number, loader = self.opened + 1, self.hooks.loader()
        batch: PartitionBatch[K, V] = PartitionBatch(loader.name, number, self.loop, self, self._partition)
        if watching.get() or self.hooks.of_records:
            self.hooks.record_opened(batch)  # may refuse it
        self.opened = number
        self.hooks.kept = loader
        self.open = self._open_in[self._partition] = batch
        return batch

    # -- for engines: what the code that runs here has asked for, in its partition ----------------------------

    @property
    def mark(self) -> tuple[int, int, int]:
        """Where the open batch is now, for `asked_since`."""
        self._turn_to(self._partition_here())
        opened, size, merged = super().mark
        return opened if self.open is None else self.open.number, size, merged

    def asked_since(self, mark: tuple[int, int, int]) -> list[Batch[K, V]]:
        """The batches that have not started and were given keys, or further callers, since `mark` was read."""
        here = self._partition_here()
        return [batch for batch in super().asked_since(mark) if _partition_of(batch) == here]

    def _partition_here(self) -> Hashable:
        try:
            return self._here()
        except Exception:  # then nothing can be asked for here
            return MISSING

    # -- what a batch tells ----------------------------------------------------------------------------------

    def batch_closed(self, batch: Batch[K, V], why: str) -> None:
        """Let another batch be opened, and run this one when there is a place for it."""
        del self._open_in[_partition_of(batch)]
        super().batch_closed(batch, why)

    def batch_ended(self, batch: Batch[K, V], outcome: Outcome, values: Sequence[V]) -> None:
        """Let nobody join the batch."""
        if self._open_in.get(_partition_of(batch)) is batch:
            self._turn_to(_partition_of(batch))
            del self._open_in[_partition_of(batch)]
        super().batch_ended(batch, outcome, values)

    def _let_loader_go(self) -> None:
        if not self._open_in:
            super()._let_loader_go()


def _partition_of(batch: Batch[Any, Any]) -> Hashable:
    return cast(PartitionBatch[Any, Any], batch).partition
