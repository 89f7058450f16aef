"""DataLoader: callers ask for one key at a time, the batch function is called once for many."""

from __future__ import annotations

import asyncio
from asyncio import Future, get_running_loop
from collections.abc import (
    Awaitable,
    Callable,
    Hashable,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    Sequence,
    ValuesView,
)
from inspect import isawaitable
from types import CoroutineType, EllipsisType, TracebackType
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, Self, TypeAlias, TypeVar, cast, overload

from dloader import _options as options
from dloader._batches import Batches
from dloader._cache import Cache, make_cache
from dloader._callers import Crowd, Many, seen
from dloader._events import Requested, Statistics
from dloader._failure import own
from dloader._nesting import inside
from dloader._results import MISSING
from dloader._shorten import shorten
from dloader._shutdown import drain as drain_all, report, shut_down
from dloader.errors import (
    BatchResultError,
    KeyTypeError,
    LoaderClosedError,
    WrongLoopError,
)

if TYPE_CHECKING:
    from dloader._dispatch import Dispatch
    from dloader.instruments import Instrument

__all__ = ("BatchFunction", "BatchResult", "DataLoader", "LoadFunction")

# TypeVar takes defaults at run time since Python 3.13. With them checkers infer Any from functions without
# annotations (mypy would infer Never), and `class UserLoader(DataLoader)` needs no parameters.
if TYPE_CHECKING:
    from typing_extensions import TypeVar as DefaultTypeVar

    K = DefaultTypeVar("K", default=Any)
    V = DefaultTypeVar("V", default=Any)
    V_co = DefaultTypeVar("V_co", default=Any, covariant=True)
else:
    K = TypeVar("K")
    V = TypeVar("V")
    V_co = TypeVar("V_co", covariant=True)

BatchResult: TypeAlias = (
    Mapping[K, V | Exception] | Sequence[V | Exception] | Iterator[V | Exception] | ValuesView[V | Exception]
)
"""What a batch function may return: one result per key in the order of the keys, or a mapping."""

BatchFunction: TypeAlias = Callable[[list[K]], Awaitable[BatchResult[K, V]]]
"""What parameters are annotated with: mypy 2.4 takes any function for the protocol `LoadFunction` after a right one."""


class LoadFunction(Protocol[K, V_co]):
    """A batch function: gets a list of keys of its own, returns one result or exception per key."""

    def __call__(self, keys: list[K], /) -> Awaitable[BatchResult[K, V_co]]:
        """Load `keys`, each of which is there once."""
        ...


class DataLoader(Generic[K, V]):
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
    max_concurrency: int | None = None
    """How many batches run at once at most; ``None`` is any number."""
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
    requested: Requested = Requested()
    """Which fields and types a resolver wants from this loader."""
    _query_meta: Mapping[str, Any] = {"fields": [], "request_types": []}
    """The same under the name, and in the form, that users of pydantic-resolve know."""

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
        max_concurrency: int | None = None,
        default: V | EllipsisType = ...,
        cache_errors: bool | None = None,
        instruments: Iterable[Instrument] = (),
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
            max_concurrency: Most batches that run at once. Default: any number.
            default: The result of keys that a returned mapping lacks.
            cache_errors: Whether to cache exceptions as well. Default: no.
            instruments: Hooks that watch the loader.

        Raises:
            OptionError: An option has a wrong type or value, or there is no batch function, or two.
        """
        cls = type(self)
        has_method = cls.batch_load_fn is not DataLoader.batch_load_fn
        self.name = name or options.name_of_class(cls, DataLoader, load_fn or batch_load_fn)
        function = options.checked_batch_function(self.name, load_fn, batch_load_fn, has_method)
        self.load_fn: BatchFunction[K, V] = function or self.batch_load_fn
        size = self.max_batch_size if max_batch_size is None else max_batch_size
        self.max_batch_size = options.checked_size(self.name, "max_batch_size", size)
        if not options.checked_flag(self.name, "batch", self.batch if batch is None else batch):
            self.max_batch_size = 1
        limit = self.max_concurrency if max_concurrency is None else max_concurrency
        self.max_concurrency = options.checked_size(self.name, "max_concurrency", limit)
        self.cache = options.checked_flag(self.name, "cache", self.cache if cache is None else cache)
        errors_too = self.cache_errors if cache_errors is None else cache_errors
        self.cache_errors = options.checked_flag(self.name, "cache_errors", errors_too)
        if default is not ...:
            self.default = default
        self.closed = False
        """Whether the loader was shut down."""
        key_fn = options.checked_callable(self.name, cache_key_fn, get_cache_key)
        self._key_fn: Callable[[K], Hashable] | None = (
            key_fn or getattr(self, "get_cache_key", None) or getattr(self, "cache_key_fn", None)
        )
        self._cache: Cache = make_cache(
            self.name, options.checked_cache_map(self.name, cache_map), self.cache
        )
        self._loop = options.checked_loop(self.name, loop)
        policy = self.dispatch_policy if dispatch is None else dispatch
        self._batches: Batches[K, V] = Batches(
            self,
            self._fetch,
            self._cache,
            options.checked_policy(self.name, policy),
            self.max_batch_size,
            self.max_concurrency,
            self._key_fn is None,
            options.checked_instruments(self.name, instruments),
        )

    def __init_subclass__(cls, **kwargs: object) -> None:
        """Refuse class attributes that would hide a method, or be ignored.

        Raises:
            OptionError: The message says what to write instead.
        """
        super().__init_subclass__(**kwargs)
        options.check_class(cls, DataLoader)

    async def batch_load_fn(self, keys: list[K], /) -> BatchResult[K, V]:
        """Load many keys at once. Subclasses define this, or a function is passed; never both."""
        raise NotImplementedError

    # -- loading ---------------------------------------------------------------------------------------------

    def load(self, key: K) -> asyncio.Future[V]:  # noqa: C901, PLR0911 - see the comment below
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
        # The common case is written out here: each method more would take a fifteenth of a load's time.
        # `_load_with_care` alone would do the same.
        batches = self._batches
        try:
            loop = get_running_loop()
        except RuntimeError:
            loop = None
        if loop is not batches.plain_loop:
            return self._load_with_care(key, loop)
        known, entries = batches.known, batches.growing
        try:
            if known and key in known:
                future: Future[V] = known[key]
                if type(future) is Future:
                    batches.cache_hits += 1
                    return future
                return self._load_with_care(key, loop)
            if key is None:
                return self._load_with_care(key, loop)
            if not entries or inside.get() is not None or (batches.under_way and key in batches.under_way):
                return batches.ask(key, key)
            if key not in entries:  # and not setdefault(), which takes a quarter longer
                entries[key] = future = Future()
                return future
            entry = entries[key]
        except TypeError as error:
            if _hashable(key):
                raise  # it is the key's own __eq__ that raised
            raise self._unusable(key, key) from error
        batches.merged += 1
        future = Future()
        if type(entry) is Crowd:
            entry.append(future)
        else:
            entries[key] = batches.crowd(entry, future)
        return future

    def _load_with_care(self, key: K, running: asyncio.AbstractEventLoop | None) -> Future[V]:
        """Load where something has to be checked, or told to somebody; all of `load` could be this."""
        batches = self._batches
        self._enter(running)
        cache_key = self._cache_key(key)
        try:
            batch = batches.batch_of(cache_key)  # first: a key that cannot be used is not the map's fault
            found = batches.cache.get(cache_key)
        except TypeError as error:
            if _hashable(cache_key):
                raise
            raise self._unusable(key, cache_key) from error
        if found is not MISSING:
            return self._answered(key, cache_key, found)
        future = batches.ask(key, cache_key)
        if batches.instruments:
            batches.requested(key, "batch" if batch is None else "pending")
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
        return self._ask_many(keys, return_exceptions).future

    def _ask_many(self, keys: Iterable[K], errors_in_place: bool = False) -> Many[V]:
        """What `load_many` does, with more to see: the resolver waits for whole batches."""
        try:
            running = get_running_loop()
        except RuntimeError:
            running = None
        self._enter(running)
        batches = self._batches
        cache_keys, unique = self._by_cache_key(keys)
        future = cast(Future[list[V]], batches.new_future())
        many: Many[V] = Many(future, cache_keys, errors_in_place)
        error = self._take_cached(many, unique)
        if error is not None:
            future.set_exception(own(error))
            seen(future)
            return many
        try:
            self._join_waiting(many, unique)
        except BaseException:  # it would wait for itself
            future.cancel()
            raise
        if unique:
            batches.ask_many(many, unique)
        if not (many.shares or future.done()):
            many.finish()
        return many

    def _by_cache_key(self, keys: Iterable[K]) -> tuple[list[Any], dict[Any, K]]:
        if not isinstance(cast(object, keys), Iterable):
            raise KeyTypeError(f"load_many() of loader {self.name!r} takes an iterable of keys, not {keys!r}")
        given = list(keys)
        cache_keys: list[Any] = given if self._key_fn is None else [self._cache_key(key) for key in given]
        try:
            unique: dict[Any, Any] = (
                dict(zip(cache_keys, given, strict=True))
                if self._key_fn or self._batches.instruments
                else dict.fromkeys(given)  # whose values nobody looks at: a third less
            )
        except TypeError as error:
            for key, cache_key in zip(given, cache_keys, strict=True):
                if not _hashable(cache_key):
                    raise self._unusable(key, cache_key) from error
            raise  # it is a key's own __eq__ that raised
        if None in unique and self._key_fn is None:
            raise self._unusable(None, None)
        return cache_keys, unique

    def _take_cached(self, many: Many[V], unique: dict[Any, K]) -> Exception | None:
        """Move what is cached from `unique` to the set; return the error it must fail with, if any."""
        found = self._batches.cache.get_many(unique)
        for kind in set(map(type, found.values())):
            if issubclass(kind, Exception):
                errors = [value for value in found.values() if isinstance(value, Exception)]
                if not many.errors_in_place:
                    return errors[0]
                found = {
                    key: own(value) if isinstance(value, Exception) else value for key, value in found.items()
                }
                break
        self._batches.cache_hits += len(found)
        for cache_key in found:
            key = unique.pop(cache_key)
            if self._batches.instruments:
                self._batches.requested(key, "cache")
        many.found = found
        return None

    def _join_waiting(self, many: Many[V], unique: dict[Any, K]) -> None:
        """Move what others wait for already from `unique` to the set; one share per batch."""
        batches = self._batches
        if batches.waiting:
            for key in batches.join_many(many, unique):
                batches.requested(key, "pending")
        if batches.instruments:
            for key in unique.values():
                batches.requested(key, "batch")

    # -- the cache -------------------------------------------------------------------------------------------

    @property
    def cache_map(self) -> MutableMapping[Any, V]:
        """The mapping that results are kept in: the one given, or the loader's own dict."""
        return self._cache.map

    def prime(self, key: K, value: V | Exception) -> Self:
        """Put a value into the cache, over what is there; it also beats a load that is under way.

        Callers who wait for that load get what it loads, later callers the primed value. An exception makes
        later loads of the key raise it. With ``cache=False`` nothing happens.

        Returns:
            The loader itself, for chaining.
        """
        cache_key = self._checked_cache_key(key)
        if self.cache:
            self._batches.outdate(cache_key, primed=True)
            self._cache.set(cache_key, value)
        return self

    def prime_many(self, data: Mapping[K, V | Exception]) -> Self:
        """Prime every key of a mapping; see `prime`."""
        for key, value in data.items():
            self.prime(key, value)
        return self

    def clear(self, key: K) -> Self:
        """Forget a key: later callers load afresh, even while a load of it is under way.

        Returns:
            The loader itself, for chaining: ``loader.clear(key).prime(key, value)``.
        """
        cache_key = self._checked_cache_key(key)
        self._batches.outdate(cache_key, primed=False)
        self._cache.drop(cache_key)
        return self

    def clear_many(self, keys: Iterable[K]) -> Self:
        """Forget some keys; see `clear`."""
        for key in keys:
            self.clear(key)
        return self

    def clear_all(self) -> Self:
        """Forget everything; see `clear`."""
        for cache_key in self._batches.waited_for():
            self._batches.outdate(cache_key, primed=False)
        self._cache.clear()
        return self

    # -- dispatch and end ------------------------------------------------------------------------------------

    def dispatch(self) -> None:
        """Close the open batch, if there is one, and start it now; what ``manual()`` waits for."""
        if self._batches.open is not None:
            self._batches.open.close()

    def add_instrument(self, instrument: Instrument) -> None:
        """Let an instrument watch this loader from now on."""
        self._batches.add_instruments(options.checked_instruments(self.name, [instrument]))

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits for a key and no batch runs."""
        return not self._batches.waiting and not self._batches.running

    @property
    def statistics(self) -> Statistics:
        """Counts of batches, keys, cache hits, merged keys and errors so far."""
        return self._batches.statistics

    async def shutdown(self) -> ExceptionGroup[Exception] | None:
        """End all work: pending callers are cancelled, running batches cancelled and awaited.

        Later loads raise `LoaderClosedError`. Cancelling ``shutdown`` itself stops the waiting at once.

        Returns:
            The exceptions that the cancelled batch functions raised, or ``None``.
        """
        self._close()
        return await shut_down(self._batches)

    async def aclose(self, *, drain: bool = False) -> None:
        """End the loader: with ``drain`` after what is open has been loaded, else by cancelling it."""
        self._close()
        if drain:
            await drain_all(self._batches)
        report(await shut_down(self._batches))

    def _close(self) -> None:
        self.closed = True
        self._batches.choose_way()

    async def __aenter__(self) -> Self:
        if self.closed:
            raise LoaderClosedError(f"loader {self.name!r} was shut down; make a new one")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        cached = self._cache.size
        batches = self._batches
        counts = f"cached={cached} waiting={batches.waiting} batches={batches.started} keys={batches.keys}"
        kind = type(self).__name__
        name = "" if kind == self.name else f" {self.name!r}"
        return f"<{kind}{name} {counts}{' closed' if self.closed else ''}>"

    # -- the slow paths --------------------------------------------------------------------------------------

    def _enter(self, running: asyncio.AbstractEventLoop | None) -> None:
        """Check that a load may happen here, and bind the loader to the loop."""
        if self.closed:
            raise LoaderClosedError(
                f"loader {self.name!r} was shut down and takes no more loads; make a new one"
            )
        loop = self._loop if running is None else running
        if loop is None:
            raise WrongLoopError(
                f"loader {self.name!r}: load() was called outside an event loop; await it inside a coroutine, "
                f"or pass loop= to the loader"
            )
        if running is None and loop.is_running():
            raise WrongLoopError(
                f"loader {self.name!r}: load() was called from a thread other than that of its event loop; "
                f"use asyncio.run_coroutine_threadsafe"
            )
        if loop is not self._batches.loop:
            self._batches.bind(loop)

    def _cache_key(self, key: K) -> Hashable:
        if self._key_fn is not None:
            return self._key_fn(key)
        if key is None:
            raise self._unusable(key, None)
        return key

    def _checked_cache_key(self, key: K) -> Hashable:
        cache_key = self._cache_key(key)
        try:
            hash(cache_key)
        except TypeError as error:
            raise self._unusable(key, cache_key) from error
        return cache_key

    def _unusable(self, key: object, cache_key: object) -> KeyTypeError:
        what = "None" if key is None else f"{shorten(key)} ({type(cache_key).__name__} is not hashable)"
        cure = (
            "cache_key_fn must return something hashable"
            if self._key_fn
            else "pass cache_key_fn= to make one of it"
        )
        return KeyTypeError(f"loader {self.name!r} cannot use the key {what}: {cure}")

    def _answered(self, key: K, cache_key: Hashable, found: Any) -> Future[V]:
        """A future for a cached value, or for the exception that was cached or primed."""
        batches = self._batches
        future = batches.new_future()
        if isinstance(found, Exception):
            future.set_exception(own(found))
            seen(future)
        else:
            future.set_result(found)
            batches.cache.share(cache_key, future)
        batches.cache_hits += 1
        if batches.instruments:
            batches.requested(key, "cache")
        return future

    def _fetch(self, keys: list[K]) -> Awaitable[object]:
        """Where values come from. A second-level store wraps this one call."""
        returned = cast(object, self.load_fn(keys))
        # isawaitable takes three times as long
        if type(returned) is CoroutineType or isawaitable(returned):
            return cast(Awaitable[object], returned)
        raise BatchResultError(
            f"the batch function of loader {self.name!r} returned {type(returned).__name__} instead of an "
            f"awaitable: declare it with `async def`"
        )


def ask_many(loader: DataLoader[K, V], keys: Iterable[K]) -> Many[V]:
    """`load_many` for the resolver, which waits for whole batches and not for the future."""
    return loader._ask_many(keys)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - of this module


def batches_of(loader: DataLoader[K, V]) -> Batches[K, V]:
    """The batches of a loader, for the resolver."""
    return loader._batches  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]


def _hashable(key: object) -> bool:
    try:
        hash(key)
    except TypeError:
        return False
    return True
