"""DataLoader: callers ask for one key at a time, the batch function is called once for many."""

from __future__ import annotations

import asyncio
from asyncio import Future, get_running_loop
from collections.abc import Callable, Hashable, Iterable, Mapping, MutableMapping
from types import EllipsisType, TracebackType
from typing import TYPE_CHECKING, Any, Generic, Literal, NoReturn, Self, SupportsIndex, overload
from weakref import ref

from dloader._core._cache import Cache
from dloader._core._cache_map import make_cache
from dloader._core._dispatch import Dispatch
from dloader._core._error_copies import copied
from dloader._core._fetch import Fetch, OwnBatchFunction
from dloader._core._hooks import Hooks, tell_watchers
from dloader._core._lifecycle import Lifecycle, finish, report
from dloader._core._limit import Limit
from dloader._core._load_many import LoadMany, ask_many
from dloader._core._options import OptionReader, check_class
from dloader._core._partitions import pending_of
from dloader._core._pending import Pending
from dloader._core._run_queue import RunQueue
from dloader._core._store_options import StoreOptions
from dloader._core._types import MISSING, BatchFunction, BatchResult, K, Requested, V, refuse_to_await
from dloader._core._wait_graph import current_place
from dloader._core._waiters import mark_retrieved
from dloader._text import shorten
from dloader.errors import KeyTypeError, LoaderClosedError, OptionError
from dloader.instruments import Instrument, Statistics, watching

if TYPE_CHECKING:
    from dloader._core._second_level import SecondLevel
    from dloader.store import Store

__all__ = ("DataLoader",)

weakly: Callable[[object], Callable[[], Any]] = ref
"""A reference that gives what it refers to, which the one who asks knows to be alive."""


class DataLoader(StoreOptions, Generic[K, V]):
    """Merges loads that are made close together into one call of a batch function, once per key, and caches.

    A loader usually lives as long as a request or a job: its cache is never emptied on its own. It may be made
    anywhere (at import time too), works on one event loop at a time, and is not thread-safe.

    What it promises: whatever the batch function does, every caller gets an answer and the next load works;
    what one caller does with its future never touches another; errors are not cached.

    Example:
        >>> import asyncio
        >>> async def load_users(ids: list[int]) -> list[str]:
        ...     print("loading", ids)
        ...     return [f"user {id}" for id in ids]
        >>> async def main():
        ...     async with DataLoader(load_users) as users:
        ...         return await asyncio.gather(users.load(1), users.load(2), users.load_many([2, 3]))
        >>> asyncio.run(main())
        loading [1, 2, 3]
        ['user 1', 'user 2', ['user 2', 'user 3']]

    The same as a class, whose attributes are options too:
        >>> class UserLoader(DataLoader[int, str]):
        ...     max_batch_size = 20
        ...     async def batch_load_fn(self, keys: list[int]) -> list[str]:
        ...         return [f"user {key}" for key in keys]
        >>> UserLoader()
        <UserLoader cached=0 waiting=0 batches=0 keys=0>
    """

    max_batch_size: int | None = None
    """How many keys one call of the batch function is given at most; ``None`` is any number."""
    max_concurrency: int | Limit | None = None
    """How many batches run at once at most; ``None`` is any number. A `Limit` is shared with other loaders."""
    cache: bool = True
    """Whether results are kept in ``cache_map``. Loads of one key under way are merged in any case."""
    cache_errors: bool = False
    """Whether failed keys are kept too, and later loads of them raise."""
    batch: bool = True
    """``False`` calls the batch function with one key at a time."""
    dispatch_policy: Dispatch | None = None
    """When an open batch closes; ``None`` is ``settle()``."""
    default: object = MISSING
    """The result of keys that a returned mapping lacks; without it they raise `MissingKeyError`."""
    if TYPE_CHECKING:
        load_fn: BatchFunction[K, V]
        """The batch function: the one that was passed, or ``batch_load_fn``. It may be replaced at any time."""
    else:
        # Not annotated: these would count among the options of a class.
        load_fn = OwnBatchFunction()
        # What a class may define. Looked for in vain, by way of __getattr__, they took a third of the time of making a
        # loader.
        get_cache_key = cache_key_fn = partition = None
    requested: Requested = Requested()
    """Which fields and types a resolver wants from this loader."""

    def __init__(
        self,
        load_fn: BatchFunction[K, V] | None = None,
        max_batch_size: int | None = None,
        cache: bool | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
        cache_map: MutableMapping[Any, V] | None = None,
        *,
        batch_load_fn: BatchFunction[K, V] | None = None,
        batch: bool | None = None,
        cache_key_fn: Callable[[K], Hashable] | None = None,
        get_cache_key: Callable[[K], Hashable] | None = None,
        name: str | None = None,
        dispatch: Dispatch | None = None,
        max_concurrency: int | Limit | None = None,
        default: V | EllipsisType = ...,
        cache_errors: bool | None = None,
        partition: Callable[[], Hashable] | None = None,
        instruments: Iterable[Instrument] = (),
        store: Store | None = None,
    ) -> None:
        """Make a loader. ``None`` means the class attribute of that name, where there is one.

        Args:
            load_fn: The batch function: an async callable that takes a list of keys and returns one result per key,
                in their order (exceptions are raised to the callers of their key), or a mapping from key to result.
            max_batch_size: Most keys per call. Default: any number.
            cache: Whether to cache results. Default: yes.
            loop: The event loop for ``load()`` outside a coroutine; inside one it is not needed.
            cache_map: Where to keep results: any mutable mapping, e.g. a ``cachetools.TTLCache``. Default: a new dict.
            batch_load_fn: Another name of ``load_fn``.
            batch: ``False`` for batches of one key.
            cache_key_fn: From key to a hashable cache key, for keys that are dicts, say.
            get_cache_key: Another name of ``cache_key_fn``; it may also be a method.
            name: Shown in errors, pictures and task names. Default: the class attribute, or the name of the class
                or function.
            dispatch: When an open batch closes. Default: ``settle()``.
            max_concurrency: Most batches that run at once; or a `Limit`, which loaders share. Default: any number.
            default: The result of keys that a returned mapping lacks; a list, dict or set is copied for each.
            cache_errors: Whether to cache exceptions as well. Default: no.
            partition: Called at each load, without arguments, for the partition that its key is in: a context
                variable's ``get``, say. Keys of different partitions share neither a batch nor a cache entry.
                May also be a method. Default: all keys are in one.
            instruments: Hooks that watch the loader.
            store: A second-level cache, if the loader's class has ``store_ttl``; see `dloader.store`.

        Raises:
            OptionError: An option has a wrong type or value, or there is no batch function, or two.
        """
        # What is private here says whose it is: a subclass may call its own helpers and attributes what it likes. Two
        # underscores would do for all but those that are called DataLoader, too.
        read = OptionReader(type(self), DataLoader, name, load_fn or batch_load_fn)
        self.name = name = read.name
        has_method = type(self).batch_load_fn is not DataLoader.batch_load_fn
        function = read.batch_function(load_fn, batch_load_fn, has_method)
        if function is not None:
            self.load_fn = function
        # What is as it is for most loaders is neither asked for nor set: each would be a fortieth of all of this.
        size = self._dloader_most_keys(read, max_batch_size, batch)
        limit = self.max_concurrency if max_concurrency is None else max_concurrency
        if limit is not None:
            limit = limit if isinstance(limit, Limit) else read.size("max_concurrency", limit)
            self.max_concurrency = limit
        keeps = self._dloader_keeps(read, cache, cache_errors)
        if default is not ...:
            self.default = default
        key_fn: Callable[[K], Hashable] | None = read.key_function(cache_key_fn, get_cache_key, self)
        kept_in = None if cache_map is None else read.mapping(cache_map)
        self._dloader_cache: Cache = make_cache(name, kept_in, keeps)
        # Nothing that a loader owns refers to it, but weakly: with its cache it is freed when it is let go of.
        itself = weakly(self)
        hooks = Hooks(itself, [] if instruments == () else read.instruments(instruments))
        queue = RunQueue(limit, Fetch(itself, self._dloader_cache, hooks))
        policy, apart = read.policy(dispatch, self), read.partition(partition, self)
        self._dloader_pending: Pending[K, V] = pending_of(name, key_fn, apart, policy, size, queue, hooks)
        outside = None if loop is None else read.loop(loop)
        self._dloader_lifecycle = Lifecycle(name, self._dloader_pending, self._dloader_cache, outside)
        self._dloader_fast_loop: asyncio.AbstractEventLoop | None = None
        if store is not None:
            self._dloader_keep_in(store)
        if watching.get():
            tell_watchers("loader_made", self)

    def _dloader_keep_in(
        self, store: Store, namespace: object = None, listens_after: float = 0.0
    ) -> SecondLevel:
        """Keep what is loaded in a store, too."""
        # Imported by those alone who have a store: it takes as long as a quarter of the rest.
        from dloader._core._second_level import SecondLevel  # noqa: PLC0415
        from dloader._core._store_policy import StorePolicy  # noqa: PLC0415

        pending = self._dloader_pending
        policy = StorePolicy(weakly(self), DataLoader, namespace)
        level = SecondLevel(policy, pending, self._dloader_cache, store, listens_after)
        pending.queue.fetch.look_first_in(level)
        return level

    def _dloader_most_keys(self, read: OptionReader, size: int | None, batch: bool | None) -> int | None:
        """How many keys a batch may have, as the options say that the loader or its class was given."""
        size = self.max_batch_size if size is None else size
        batch = self.batch if batch is None else batch
        if size is not None or batch is not True:
            size = read.size("max_batch_size", size)
            self.max_batch_size = size = size if read.flag("batch", batch) else 1
        return size

    def _dloader_keeps(self, read: OptionReader, cache: bool | None, errors: bool | None) -> bool:
        """Whether values are kept, and errors too, as the options say."""
        keeps = self.cache if cache is None else cache
        if keeps is not True or cache is not None:
            self.cache = read.flag("cache", keeps)
        errors_too = self.cache_errors if errors is None else errors
        if errors_too is not False or errors is not None:
            self.cache_errors = read.flag("cache_errors", errors_too)
        return keeps

    def __init_subclass__(cls, **kwargs: object) -> None:
        """Refuse class attributes that would hide a method, or be ignored.

        Raises:
            OptionError: The message says what to write instead.
        """
        super().__init_subclass__(**kwargs)
        check_class(cls, DataLoader)

    async def batch_load_fn(self, keys: list[K], /) -> BatchResult[K, V]:
        """Load many keys at once. Subclasses define this, or a function is passed; never both."""
        raise NotImplementedError

    # -- loading ---------------------------------------------------------------------------------------------

    def load(self, key: K) -> asyncio.Future[V]:  # noqa: PLR0911 - see the comment below
        """Ask for one key.

        Args:
            key: Hashable and not ``None``, unless the loader has a ``cache_key_fn``.

        Returns:
            A plain future of the caller's own: awaiting it gives the value or raises what the batch function gave
            for the key. Cancelling it leaves other callers of the same key alone. For a key that is cached it is
            done already, and may be one that others have too.

        Raises:
            KeyTypeError: The key cannot be used. Nothing was requested.
            LoaderClosedError: The loader was shut down.
            WrongLoopError: There is no event loop, or another one has open batches of this loader.
            RecursiveLoadError: A batch function asks for what waits for that very batch: it would never end.
        """
        # The common case of `_dloader_load_checked` is written out here: each call more would take a fifteenth of a
        # load's time. `_dloader_fast_loop` says that nothing is to be checked and nobody to be told.
        try:
            loop = get_running_loop()
        except RuntimeError:
            return self._dloader_load_checked(key, None)
        if loop is not self._dloader_fast_loop:
            return self._dloader_load_checked(key, loop)
        cache, pending = self._dloader_cache, self._dloader_pending
        known = cache.known
        try:
            if known and key in known:
                future: Future[V] = known[key]
                if type(future) is Future:
                    cache.hits += 1
                    return future
                return self._dloader_answered(key, key, cache.get(key))
            if key is None:
                return self._dloader_load_checked(key, loop)
            entries = pending.growing
            if (
                not entries
                or current_place.get() is not None
                or (pending.under_way and key in pending.under_way)
            ):
                return pending.join_or_add(key, key)
            if key not in entries:  # and not setdefault(), which takes a quarter longer
                entries[key] = future = Future()
                return future
        except TypeError as error:
            pending.keys.check_hashable(key, key, error)
            raise
        batch = pending.open
        assert batch is not None  # noqa: S101 - the key was found in it
        pending.merged += 1
        future = Future()
        joined = batch.joined
        if joined is not None and key in joined:
            joined[key].append(future)
        else:
            batch.join(key, future)
        return future

    def _dloader_load_checked(self, key: K, running: asyncio.AbstractEventLoop | None) -> Future[V]:
        """Load where something has to be checked, or told to somebody; all of `load` could be this."""
        self._dloader_enter(running)
        cache, pending = self._dloader_cache, self._dloader_pending
        cache_key = pending.keys.hashable_cache_key(key)  # one that cannot be hashed is not the map's fault
        found = cache.get(cache_key)
        if found is not MISSING:
            return self._dloader_answered(key, cache_key, found)
        is_new = pending.find(cache_key) is None
        future = pending.join_or_add(key, cache_key)
        if pending.hooks.of_loads:
            pending.hooks.load_requested(key, "batch" if is_new else "pending")
        return future

    def _dloader_answered(self, key: K, cache_key: Hashable, found: Any) -> Future[V]:
        """A future for a cached value, or for the exception that was cached or primed."""
        future: Future[V] = self._dloader_pending.new_future()
        if issubclass(type(found), Exception):
            future.set_exception(copied(found))
            mark_retrieved(future)
        else:
            future.set_result(found)
            self._dloader_cache.share(cache_key, future)
        self._dloader_cache.count_hits()
        if self._dloader_pending.hooks.of_loads:
            self._dloader_pending.hooks.load_requested(key, "cache")
        return future

    @overload
    def load_many(
        self, keys: Iterable[K], *, return_exceptions: Literal[False] = False
    ) -> asyncio.Future[list[V]]: ...
    @overload
    def load_many(
        self, keys: Iterable[K], *, return_exceptions: Literal[True]
    ) -> asyncio.Future[list[V | Exception]]: ...
    @overload
    def load_many(
        self, keys: Iterable[K], *, return_exceptions: bool
    ) -> asyncio.Future[list[V]] | asyncio.Future[list[V | Exception]]: ...
    def load_many(
        self, keys: Iterable[K], *, return_exceptions: bool = False
    ) -> asyncio.Future[list[V]] | asyncio.Future[list[V | Exception]]:
        """Ask for many keys with one future for the whole set; far cheaper than one ``load`` per key.

        Args:
            keys: The keys, which may repeat. They are all checked before any is requested.
            return_exceptions: Put errors into the list, at the places of their keys, instead of raising the first.

        Returns:
            A future of the list of values, in the order of `keys`.

        Raises:
            KeyTypeError, LoaderClosedError, WrongLoopError, RecursiveLoadError: As `load` does.
        """
        return self._dloader_ask_many(keys, return_exceptions).future

    def _dloader_ask_many(self, keys: Iterable[K], errors_in_place: bool = False) -> LoadMany[V]:
        """What `load_many` does, with more to see: engines wait for whole batches."""
        try:
            running = get_running_loop()
        except RuntimeError:
            running = None
        self._dloader_enter(running)
        return ask_many(self._dloader_pending, self._dloader_cache, keys, errors_in_place)

    def _dloader_enter(self, running: asyncio.AbstractEventLoop | None) -> None:
        """Check that a load may happen here, and bind the loader to the loop."""
        if self._dloader_lifecycle.enter(running) or self._dloader_pending.hooks.has_lost_one:
            self._dloader_update_fast_loop()

    def _dloader_update_fast_loop(self) -> None:
        """See whether loads on the loop that the loader is bound to need care, which costs time."""
        pending = self._dloader_pending
        needs_care = self.closed or pending.hooks.of_loads or self._dloader_cache.is_opaque
        self._dloader_fast_loop = pending.loop if pending.keys.are_cache_keys and not needs_care else None

    # -- the cache -------------------------------------------------------------------------------------------

    @property
    def cache_map(self) -> MutableMapping[Any, V]:
        """The mapping that results are kept in: the one given, or the loader's own dict."""
        return self._dloader_cache.map

    def prime(self, key: K, value: V | Exception) -> Self:
        """Put a value into the cache, over what is there; it also beats a load that is under way.

        Callers who wait for that load get what it loads, later callers the primed value. An exception makes
        later loads of the key raise it. With ``cache=False`` nothing happens.

        Returns:
            The loader itself, for chaining.

        Raises:
            KeyTypeError: The key cannot be used.
            OptionError: The value would have to be awaited.
        """
        refuse_to_await(f"prime() of loader {self.name!r}", key, value)
        cache_key = self._dloader_pending.keys.hashable_cache_key(key)
        if self.cache:
            self._dloader_pending.outdate(cache_key, primed=True)
            self._dloader_cache.set(cache_key, value)
            tell_watchers("keys_forgotten", self, (key,))
        return self

    def prime_many(self, data: Mapping[K, V | Exception]) -> Self:
        """Prime every key of a mapping; see `prime`."""
        if not hasattr(data, "items"):
            raise KeyTypeError(
                f"prime_many() of loader {self.name!r} takes a mapping from key to value, not {shorten(data)}"
            )
        for key, value in data.items():
            self.prime(key, value)
        return self

    def clear(self, key: K) -> Self:
        """Forget a key: later callers load afresh, even while a load of it is under way.

        In a store the key is deleted, for all who share it. (`prime` changes no store.)

        Returns:
            The loader itself, for chaining: ``loader.clear(key).prime(key, value)``.
        """
        cache_key = self._dloader_pending.keys.hashable_cache_key(key)
        self._dloader_pending.outdate(cache_key, primed=False)
        self._dloader_cache.drop(cache_key)
        tell_watchers("keys_forgotten", self, (key,))
        store = self._dloader_pending.queue.fetch.store
        if store is not None:
            store.clear(key, cache_key)
        return self

    def clear_many(self, keys: Iterable[K]) -> Self:
        """Forget some keys; see `clear`."""
        for key in self._dloader_pending.keys.listed("clear_many", keys):
            self.clear(key)
        return self

    def clear_all(self) -> Self:
        """Forget everything; see `clear`."""
        self._dloader_forget_all()
        store = self._dloader_pending.queue.fetch.store
        if store is not None:
            store.clear_all()
        return self

    def _dloader_forget_all(self) -> None:
        """Forget what is in the cache, and what is under way."""
        for cache_key in self._dloader_pending.cache_keys():
            self._dloader_pending.outdate(cache_key, primed=False)
        self._dloader_cache.clear()
        tell_watchers("keys_forgotten", self, None)

    # -- dispatch and end ------------------------------------------------------------------------------------

    def dispatch(self) -> None:
        """Close what is open, one batch for each partition, and start it now; what ``manual()`` waits for."""
        for batch in self._dloader_pending.open_batches:
            batch.close_because("manual")

    def add_instrument(self, instrument: Instrument) -> None:
        """Let an instrument watch this loader from now on."""
        read = OptionReader(type(self), DataLoader, self.name, None)
        self._dloader_pending.hooks.add(read.instruments([instrument]))
        self._dloader_update_fast_loop()

    @property
    def closed(self) -> bool:
        """Whether the loader was shut down."""
        return self._dloader_lifecycle.closed

    @property
    def _query_meta(self) -> Mapping[str, Any]:
        """What a resolver wants, under the name and in the form that users of pydantic-resolve know."""
        return self.requested.by_type()

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits for a key and no batch runs."""
        return self._dloader_lifecycle.is_idle

    @property
    def statistics(self) -> Statistics:
        """Counts of batches, keys, cache hits, merged keys and errors so far."""
        pending, fetch = self._dloader_pending, self._dloader_pending.queue.fetch
        merged = pending.merged + pending.keys.duplicates
        stored = 0 if fetch.store is None else fetch.store.hits
        return Statistics(fetch.batches, fetch.keys, self._dloader_cache.hits, merged, fetch.errors, stored)

    async def shutdown(self) -> ExceptionGroup[Exception] | None:
        """End all work: pending callers are cancelled, running batches cancelled and awaited.

        Later loads raise `LoaderClosedError`. Cancelling ``shutdown`` itself stops the waiting at once.

        Returns:
            The exceptions that the cancelled batch functions raised, or ``None``.
        """
        self._dloader_close()
        errors = await self._dloader_lifecycle.shut_down()
        store = self._dloader_pending.queue.fetch.store
        if store is not None:
            await store.aclose()
        return errors

    async def aclose(self, *, drain: bool = False) -> None:
        """End the loader: with ``drain`` after what is open has been loaded, else by cancelling it.

        While it drains, batch functions may load from it still, as what is open may need that.
        """
        if drain:
            self._dloader_close(draining=True)
            await finish([self._dloader_lifecycle])
        report(await self.shutdown())

    def _dloader_close(self, *, draining: bool = False) -> None:
        self._dloader_lifecycle.close(draining=draining)
        self._dloader_update_fast_loop()

    if TYPE_CHECKING:
        ...  # checkers would take it for any attribute
    else:

        def __getattr__(self, name: str) -> Any:
            """Say why there is nothing where a loader keeps what it is."""
            kind = type(self).__name__
            if name.startswith("_dloader_") or name in {"load_fn", "name"}:
                raise OptionError(f"{kind}.__init__ must call super().__init__(): the loader was never made")
            raise AttributeError(f"{kind!r} object has no attribute {name!r}", name=name, obj=self)

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        """Refuse to be copied or pickled: a copy would share the batches and the cache of the original.

        Raises:
            OptionError: Always.
        """
        raise OptionError(
            f"loader {self.name!r} cannot be copied or pickled, as its batches and its cache are its own: make another"
        )

    async def __aenter__(self) -> Self:
        if self.closed:
            raise LoaderClosedError(f"loader {self.name!r} was shut down; make a new one")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        if "_dloader_pending" not in vars(self):
            return f"<{type(self).__name__} that was never made>"
        fetch, waiting = self._dloader_pending.queue.fetch, self._dloader_pending.size
        counts = (
            f"cached={self._dloader_cache.size} waiting={waiting} batches={fetch.batches} keys={fetch.keys}"
        )
        kind = type(self).__name__
        name = "" if kind == self.name else f" {self.name!r}"
        return f"<{kind}{name} {counts}{' closed' if self.closed else ''}>"
