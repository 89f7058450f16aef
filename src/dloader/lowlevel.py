"""The door for engines: what a program that fills whole trees or schemas needs of loaders beyond ``load``.

An engine asks for many keys at once, waits for batches instead of single futures, and learns which batches took the
keys that somebody else's code asked for. `dloader.resolver` is one, and uses nothing else of the core; so does
`dloader.compat`.
"""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextvars import Context
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, TypeVar, cast, final

from dloader._core._batch import Batch
from dloader._core._cache import Cache
from dloader._core._cache_map import make_cache
from dloader._core._dispatch import delay, eager, settle
from dloader._core._error_copies import add_note_once, copied
from dloader._core._fetch import not_awaitable
from dloader._core._hooks import record_here, tell_of_resolve
from dloader._core._lifecycle import Lifecycle, end_together, finish
from dloader._core._limit import Limit
from dloader._core._load_many import LoadMany
from dloader._core._loader import DataLoader
from dloader._core._options import OptionReader, checked_instruments, not_keeping
from dloader._core._parameters import declared_names, declared_type
from dloader._core._pending import Pending
from dloader._core._results import in_order
from dloader._core._tasks import task_starter
from dloader._core._types import MISSING, BatchFunction, K, V, kinds_of
from dloader._core._wait_graph import batch_here, current_place
from dloader._core._waiters import context_of
from dloader.errors import WrongLoopError
from dloader.instruments import watching

if TYPE_CHECKING:
    from dloader._core._second_level import SecondLevel
    from dloader.store import Store

__all__ = (
    "AskedSince",
    "Batch",
    "BatchFunction",
    "Cache",
    "K",
    "KeyCount",
    "LoadMany",
    "OptionReader",
    "V",
    "add_note_once",
    "ask_many",
    "ask_one",
    "cache_key_of",
    "call_batch_function",
    "checked_instruments",
    "close_now",
    "close_open_batch",
    "close_to_others",
    "close_together",
    "close_when_settled",
    "contexts_of",
    "copied",
    "dispatch_policy_of",
    "drain_together",
    "finish_stored",
    "first_unusable_index",
    "for_callers_alone",
    "forget_without_store",
    "hits_of",
    "is_inside_batch",
    "is_missing",
    "is_taken",
    "is_watched",
    "keep_in_store",
    "keys_are_cache_keys",
    "kinds_of",
    "make_cache",
    "may_ask_many",
    "not_keeping",
    "note_duplicates",
    "note_hit",
    "note_join",
    "note_statement",
    "parameter_type",
    "parameters_of",
    "running_batch",
    "share_limit",
    "show_cache",
    "task_starter",
    "tell_of_resolve",
    "unusable_keys",
    "waiters_of",
)


F = TypeVar("F", bound=Callable[..., object])


def ask_many(loader: DataLoader[K, V], keys: Iterable[K], errors_in_place: bool = False) -> LoadMany[V]:
    """Do what ``loader.load_many(keys)`` does, and return with its future the batches that it waits for.

    Args:
        loader: Who is asked.
        keys: The keys, which may repeat.
        errors_in_place: Whether errors stand in the list, as with ``return_exceptions``.
    """
    return cast("LoadMany[V]", getattr(loader, "_dloader_ask_many")(keys, errors_in_place))  # noqa: B009 - the door


def ask_one(loader: DataLoader[K, V], key: K) -> tuple[Future[V], Sequence[Batch[K, V]]]:
    """The same for a lone key of a loader whose `keys_are_cache_keys`: it goes the way of `load`, a quarter quicker.

    Returns:
        Its future, and the batch that it waits for, if any.
    """
    future = DataLoader.load(loader, key)  # a subclass may have a `load` for its callers
    batch = None if future.done() else _pending(loader).find(key)
    return future, () if batch is None else (batch,)


def for_callers_alone(method: F) -> F:
    """Mark a `load_many` that a loader class has of its own, and that engines may pass by."""
    setattr(method, "__dloader_for_callers_alone__", True)  # noqa: B010 - checkers know no attributes of functions
    return method


def may_ask_many(loader: DataLoader[Any, Any]) -> bool:
    """Whether `ask_many` does what the loader's own `load_many` would do for an engine."""
    method = type(loader).load_many
    return method is DataLoader.load_many or hasattr(method, "__dloader_for_callers_alone__")


def close_when_settled(loader: DataLoader[Any, Any]) -> None:
    """See to it that the open batch closes, but not before others on the event loop could add their keys.

    `settle`, `eager` and `delay` close it themselves; any other policy may wait for a `dispatch` that nobody calls.
    """
    pending = _pending(loader)
    if not isinstance(dispatch_policy_of(loader), (settle, eager, delay)):
        for batch in pending.open_batches:
            settle()(batch)


def keys_are_cache_keys(loader: DataLoader[Any, Any]) -> bool:
    """Whether equal keys are one key to the loader, as it has no ``cache_key_fn``."""
    return _pending(loader).keys.are_cache_keys


def cache_key_of(loader: DataLoader[K, Any], key: K) -> Hashable:
    """What stands for a key in the cache of a loader.

    Raises:
        KeyTypeError: The loader cannot take the key.
    """
    return _pending(loader).keys.hashable_cache_key(key)


def first_unusable_index(loader: DataLoader[K, Any], keys: Iterable[K]) -> int:
    """The place of the first key that the loader cannot take; 0 if there is none."""
    return _pending(loader).keys.first_unusable_index(keys)


def unusable_keys(loader: DataLoader[K, Any], keys: Iterable[K]) -> Mapping[int, Exception]:
    """The places of the keys that the loader cannot take, and why."""
    return _pending(loader).keys.unusable(keys)


@final
class AskedSince:
    """What some loaders have been asked for since this was made; lives for one call of somebody's code.

    Example:
        >>> import asyncio
        >>> async def main():
        ...     users = DataLoader(load_users)
        ...     asked = AskedSince([users])
        ...     both = asyncio.gather(users.load(1), users.load(2))
        ...     print(asked.batches())
        ...     return await both
        >>> async def load_users(ids):
        ...     return [f"user {id}" for id in ids]
        >>> asyncio.run(main())
        [<batch 1 of load_users open keys=2>]
        ['user 1', 'user 2']
    """

    __slots__ = ("_before",)

    def __init__(self, loaders: Iterable[DataLoader[Any, Any]]) -> None:
        self._before = [(pending, pending.mark) for pending in map(_pending, loaders)]

    def batches(self) -> list[Batch[Any, Any]]:
        """The batches that have not started and were given keys, or further callers, since then."""
        return [batch for pending, mark in self._before for batch in pending.asked_since(mark)]

    def count(self) -> int | None:
        """How many keys were asked for that are not cached, each time counted; None if that cannot be told any more."""
        count = 0
        for pending, (opened, size, merged) in self._before:
            opened_now, size_now, merged_now = pending.mark
            if opened_now - opened > (0 if size else 1) or size_now < size:
                return None
            count += size_now - size + merged_now - merged
        return count


def parameters_of(loader_class: type[DataLoader[Any, Any]]) -> Mapping[str, bool]:
    """The parameters that a loader class declares, its own and inherited, and whether each has a default.

    Example:
        >>> class OfficeLoader(DataLoader[int, str]):
        ...     country: str
        ...     open: bool = True
        >>> parameters_of(OfficeLoader)
        {'country': False, 'open': True}
    """
    return {name: hasattr(loader_class, name) for name in declared_names(loader_class, DataLoader)}


def parameter_type(loader_class: type[DataLoader[Any, Any]], name: str) -> object:
    """What a declared parameter is annotated with; ``typing.Any`` where that cannot be evaluated."""
    return declared_type(loader_class, DataLoader, name)


def is_taken(name: str) -> bool:
    """Whether loaders themselves have something of this name, that a parameter would overwrite."""
    return name in _TAKEN


_TAKEN = frozenset((*dir(DataLoader), *vars(DataLoader(cast(Any, asyncio.sleep)))))


def is_missing(found: object) -> bool:
    """Whether a `Cache` that was asked for a key's value had none."""
    return found is MISSING


def show_cache(loader: DataLoader[Any, Any], cache: Cache) -> None:
    """Let ``cache_map``, ``statistics`` and the repr of a loader tell of a cache that the engine keeps for it."""
    setattr(loader, "_dloader_cache", cache)  # noqa: B010


def note_hit(loader: DataLoader[Any, Any], key: object) -> None:
    """Tell instruments that a caller was given what the engine itself keeps in a `Cache`, which counts it."""
    hooks = _pending(loader).hooks
    if hooks.of_loads:
        hooks.load_requested(key, "cache")


def note_join(loader: DataLoader[Any, Any], cache_key: Hashable, key: object) -> None:
    """Note that a caller is about to wait for a key by a future that others have too.

    Raises:
        RecursiveLoadError: The batch that loads the key waits for the code that asks.
    """
    pending: Pending[Any, Any] = getattr(loader, "_dloader_pending")  # noqa: B009 - a call less in each load
    if current_place.get() is None:
        pending.merged += 1
    elif (batch := pending.find(cache_key)) is not None:
        pending.count_join(batch, key)
    if pending.hooks.of_loads:
        pending.hooks.load_requested(key, "pending")


async def call_batch_function(
    loader: DataLoader[K, V], function: BatchFunction[K, V], keys: list[K]
) -> Sequence[V | Exception]:
    """Call a batch function as the loader itself does, and return what it gave in the order of the keys.

    Raises:
        BatchResultError: It returned something else than one value per key.
        Exception: What it raised.
    """
    wanted = list(keys)  # the function may change its own
    returned: object = function(keys)
    if not isawaitable(returned):
        raise not_awaitable(loader.name, returned)
    values: Any = await returned
    kind: type = type(values)  # pyright: ignore[reportUnknownVariableType]
    if kind is list and len(values) == len(wanted):  # as nearly every batch function returns
        return cast(list[V | Exception], values)
    return in_order(loader.name, loader.default, wanted, wanted, values)


def running_batch() -> Batch[Any, Any] | None:
    """The batch whose function runs the code that calls this, if it has not ended."""
    return batch_here()


def waiters_of(batch: Batch[Any, Any]) -> Mapping[Hashable, Sequence[asyncio.Future[Any]]]:
    """Who waits for a batch: by cache key, in the order of the keys, their futures; ``load_many`` is left out.

    A future that an engine completes is left as it is when the batch ends.
    """
    joined = batch.joined or {}
    return {
        cache_key: [
            waiter for waiter in (first, *joined.get(cache_key, ())) if isinstance(waiter, asyncio.Future)
        ]
        for cache_key, first in batch.entries.items()
    }


def contexts_of(loader: DataLoader[Any, Any], number: int) -> Iterator[Context]:
    """A copy of the context of each caller who waits for a batch that runs, as far as it can be told.

    Args:
        loader: The loader.
        number: That of the batch.
    """
    batches = [batch for batch in _pending(loader).queue.running if batch.number == number]
    for waiter in (waiter for batch in batches for waiter in batch.waiters()):
        context = context_of(waiter)
        if context is not None:
            yield context


def hits_of(loader: DataLoader[Any, Any]) -> Callable[[], int]:
    """What tells how many keys the loader's cache has answered, and does not keep the loader alive."""
    return partial(getattr, getattr(loader, "_dloader_cache"), "hits")  # noqa: B009


def note_duplicates(loader: DataLoader[Any, Any], count: int) -> None:
    """Note that so many more callers wait for keys of a set that the engine asked for once each."""
    _pending(loader).keys.note_duplicates(count)


def note_statement() -> None:
    """Note that the batch function that runs here, if one does, sent a statement to its back end.

    For drivers and their like; costs a look at a context variable, and more only where somebody watches the batch.
    """
    record = record_here()
    if record is not None:
        record.note_statement()


def is_watched() -> bool:
    """Whether instruments watch this context; see `dloader.watch`."""
    return bool(watching.get())


@final
class KeyCount:
    """Counts what one loader is asked for from now on; lives for one call of somebody's code."""

    __slots__ = ("_asked", "_before", "_loader")

    def __init__(self, loader: DataLoader[Any, Any]) -> None:
        self._loader = loader
        self._asked = AskedSince([loader])
        self._before = self._now()

    def _now(self) -> tuple[int, int, Mapping[Batch[Any, Any], int]]:
        pending, statistics = _pending(self._loader), self._loader.statistics
        return statistics.cache_hits, statistics.merged, {batch: batch.size for batch in pending.open_batches}

    def counts(self) -> tuple[int, int, int]:
        """How many keys were asked for since then, how many of these were different, and how many were cached."""
        hits, merged, sizes = self._before
        hits_now, merged_now, _ = self._now()
        hits, merged = hits_now - hits, merged_now - merged
        added = sum(batch.size - sizes.get(batch, 0) for batch in self._asked.batches())
        return hits + merged + added, hits + added, hits

    def batches(self) -> list[tuple[DataLoader[Any, Any], int]]:
        """The loader and the numbers of the batches that took keys."""
        return [(self._loader, batch.number) for batch in self._asked.batches()]


def dispatch_policy_of(loader: DataLoader[Any, Any]) -> object:
    """What closes the batches of a loader."""
    return _pending(loader)._policy  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]


def close_open_batch(loader: DataLoader[Any, Any], why: str) -> None:
    """Do what ``loader.dispatch()`` does, and give a reason for instruments."""
    for batch in _pending(loader).open_batches:
        batch.close_because(why)


def is_inside_batch() -> bool:
    """Whether the code that runs here was called by a batch function that has not returned."""
    return batch_here() is not None


def close_to_others(loader: DataLoader[Any, Any]) -> None:
    """Close a loader to all but batch functions, so that what is open can be finished.

    Raises:
        WrongLoopError: There is open work on an event loop that does not run here. The loader stays open.
    """
    getattr(loader, "_dloader_close")(draining=True)  # noqa: B009


async def drain_together(loaders: Iterable[DataLoader[Any, Any]]) -> None:
    """Close some loaders to all but batch functions, and wait until nothing is open but what waits for the caller."""
    every = list(loaders)
    _for_each(every, close_to_others)
    await finish(list(map(_lifecycle, every)))


async def close_together(loaders: Iterable[DataLoader[Any, Any]], why: str) -> None:
    """Close some loaders: all are marked closed, then all their work is cancelled, then all of it awaited.

    Those who wait get a `LoaderClosedError`, since nobody has cancelled them.

    Args:
        loaders: All of them are closed, also if one has open work on another event loop; that raises at the end.
        why: What happened, to be read after "loader 'users'".

    Raises:
        WrongLoopError: There is open work on another event loop, on which it must be ended.
    """
    every = list(loaders)
    refused = _for_each(every, _close)
    await end_together([_lifecycle(loader) for loader in every if loader.closed], why)
    if refused:
        raise refused[0]


def close_now(loader: DataLoader[Any, Any], why: str) -> None:
    """Close a loader as `close_together` does, and await nothing: its running batches are cancelled, and end later.

    Without a running event loop a loader that is idle can be closed too.

    Raises:
        WrongLoopError: There is open work on an event loop that does not run here. The loader stays open.
    """
    _close(loader)
    if not loader.is_idle:
        _lifecycle(loader).cancel_telling(why)


def share_limit(loader: DataLoader[Any, Any], limit: Limit) -> None:
    """Have the batches of a loader need places of a limit too, beside those that they need already."""
    _pending(loader).queue.share(limit)


def keep_in_store(
    loader: DataLoader[Any, Any], store: Store, namespace: object, listens_after: float
) -> None:
    """Have a loader look into a store first, if its class says so.

    Args:
        loader: One that has its parameters.
        store: The store.
        namespace: What is the same for all loaders of its owner.
        listens_after: How many seconds after its first batch it begins to hear what other processes clear.

    Raises:
        OptionError: It has ``store_ttl``, and what it says cannot be kept in a store.
    """
    if loader.store_ttl is not None:
        level: SecondLevel = getattr(loader, "_dloader_keep_in")(store, namespace, listens_after)  # noqa: B009
        level.policy.check()


async def finish_stored(loaders: Iterable[DataLoader[Any, Any]]) -> None:
    """Wait until what some loaders have written and deleted in their stores is there."""
    for loader in loaders:
        level = _pending(loader).queue.fetch.store
        if level is not None:
            await level.aclose()


def forget_without_store(loader: DataLoader[Any, Any]) -> None:
    """Forget what a loader has cached, and what is under way; nothing is deleted in its store."""
    getattr(loader, "_dloader_forget_all")()  # noqa: B009


def _for_each(
    loaders: Iterable[DataLoader[Any, Any]], do: Callable[[DataLoader[Any, Any]], object]
) -> list[WrongLoopError]:
    """Do something to all loaders, and return what some of them were refused with."""
    refused: list[WrongLoopError] = []
    for loader in loaders:
        try:
            do(loader)
        except WrongLoopError as error:
            refused.append(error)
    return refused


def _close(loader: DataLoader[Any, Any]) -> None:
    getattr(loader, "_dloader_close")()  # noqa: B009


def _lifecycle(loader: DataLoader[Any, Any]) -> Lifecycle:
    return cast(Lifecycle, getattr(loader, "_dloader_lifecycle"))  # noqa: B009


def _pending(loader: DataLoader[K, V]) -> Pending[K, V]:
    return cast("Pending[K, V]", getattr(loader, "_dloader_pending"))  # noqa: B009
