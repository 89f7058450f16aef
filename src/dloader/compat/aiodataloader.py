"""The ``DataLoader`` of aiodataloader 0.4, with that library's own semantics, on dloader's batches.

Only the import line changes: ``from dloader.compat.aiodataloader import DataLoader``. As there, and other
than with `dloader.DataLoader`:

- a key has one future, which its callers share: ``load`` returns the very same object again, and cancelling
  it, by a timeout say, cancels it for all of them;
- ``cache_map`` holds these futures, so the errors of single keys are cached; those of a whole batch are not;
- ``prime`` leaves a key alone that is cached or being loaded;
- with ``cache=False`` a key that is asked for twice is in the batch twice;
- an exception is, for all callers, the very object that the batch function raised or returned, or that was primed.

What went wrong there does not here: callers never hang, whatever the batch function does; a cancelled load is
not cached; a loader works in a second ``asyncio.run``; batch functions may be any async callable.
"""

from __future__ import annotations

import asyncio
from asyncio import Future, get_running_loop
from collections.abc import Callable, Hashable, Iterable, Mapping, MutableMapping, Sequence
from typing import Any, Literal, Self, TypeAlias, cast, overload

import dloader
from dloader._text import shorten
from dloader.compat._keys import Unlike
from dloader.errors import KeyTypeError, OptionError
from dloader.lowlevel import (
    Batch,
    BatchFunction,
    Cache,
    K,
    OptionReader,
    V,
    call_batch_function,
    copied,
    is_missing,
    kinds_of,
    make_cache,
    not_keeping,
    note_hit,
    note_join,
    running_batch,
    show_cache,
    waiters_of,
)

__all__ = ("DataLoader",)

_load: Callable[[Any, Any], Future[Any]] = (
    dloader.DataLoader.load
)  # super() takes a tenth of the time of a load
_Waiters: TypeAlias = Mapping[Hashable, Sequence[Future[Any]]]


class DataLoader(dloader.DataLoader[K, V]):
    """Merges loads into batches and keeps one future per key; lives as long as a request or a job.

    What aiodataloader has nothing of is as in `dloader.DataLoader`: ``async with``, ``shutdown``, statistics,
    options as class attributes, use in a `Resolver`.

    Example:
        >>> class UserLoader(DataLoader[int, str]):
        ...     max_batch_size = 20
        ...     async def batch_load_fn(self, keys):
        ...         return [f"user {key}" for key in keys]
        >>> async def main():
        ...     users = UserLoader()
        ...     assert users.load(1) is users.load(1)
        ...     return await users.load_many([1, 2])
        >>> asyncio.run(main())
        ['user 1', 'user 2']
    """

    def __init__(
        self,
        batch_load_fn: BatchFunction[K, V] | None = None,
        batch: bool | None = None,
        max_batch_size: int | None = None,
        cache: bool | None = None,
        get_cache_key: Callable[[K], Hashable] | None = None,
        cache_map: MutableMapping[Any, Future[V]] | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Make a loader. ``None`` means the class attribute or method of that name.

        Args:
            batch_load_fn: Loads many keys at once; comes before a method of that name.
            batch: ``False`` for batches of one key.
            max_batch_size: Most keys per call. Default: any number.
            cache: Whether to keep futures, and share them between the callers of a key. Default: yes.
            get_cache_key: From key to a hashable cache key; comes before a method of that name in a subclass.
            cache_map: Where to keep futures. Default: a new dict.
            loop: The event loop for ``load()`` outside a coroutine; inside one it is not needed.

        Raises:
            OptionError: An option has a wrong type or value, or there is no batch function.
        """
        keep = self.cache if cache is None else cache
        cls = type(self)
        if (get_cache_key, cache_map) != (None, None) or type(keep) is not bool:
            self._aio_check(keep, get_cache_key, cache_map, batch_load_fn)
        if getattr(self, "partition", None) is not None:
            raise OptionError(
                f"loader {cls.__name__!r}: callers of one key share a future here, whichever partition they are "
                f"in; take dloader.DataLoader for partitions, or give the attribute `partition` another name"
            )
        key_function: Callable[[K], Hashable] | None = get_cache_key
        if key_function is None:
            key_function = not_keeping(self, getattr(self, "get_cache_key", None))
        has_method = cls.batch_load_fn is not dloader.DataLoader.batch_load_fn
        super().__init__(
            None if has_method else batch_load_fn,
            max_batch_size,
            cache=False,
            loop=loop,
            batch=batch,
            # Without a cache nothing is merged: for the batches no two loads have the same key.
            cache_key_fn=key_function if keep else Unlike,
        )
        if batch_load_fn is not None:
            vars(self)["batch_load_fn"] = batch_load_fn
        self.load_fn = not_keeping(self, self._aio_answer)
        self.cache = keep
        # What is private here says whose it is: a subclass may call its own helpers and attributes what it likes.
        self._aio_keep_in(make_cache(self.name, {} if cache_map is None else cache_map, keep))
        self._aio_loop_outside = loop
        self._aio_cache_key_of = key_function or _as_it_is
        found: Any = self._aio_futures.map
        is_plain = self.cache and key_function is None and isinstance(found, dict)
        self._aio_plain: dict[Any, Future[V]] | None = found if is_plain else None
        """The futures by key, if that is all there is to it."""

    def _aio_keep_in(self, futures: Cache) -> None:
        """Keep futures there."""
        self._aio_futures = futures
        self._aio_shown = _Shown(futures)
        show_cache(self, self._aio_shown)

    def _aio_check(
        self,
        cache: object,
        get_cache_key: Callable[[K], Hashable] | None,
        cache_map: MutableMapping[Any, Future[V]] | None,
        function: BatchFunction[K, V] | None,
    ) -> None:
        """Check options that the core is not given as they are; reading them costs half as much as all the rest."""
        read = OptionReader(type(self), dloader.DataLoader, None, function)
        read.flag("cache", cache)
        read.key_function(get_cache_key, None, None)
        read.mapping(cache_map)

    @property
    def _query_meta(self) -> Mapping[str, Any]:
        """What a resolver wants, as pydantic-resolve leaves it here: no attribute where that is nothing."""
        if not self.requested.types:
            raise AttributeError(f"loader {self.name!r} has no _query_meta: no models are wanted of it")
        return self.requested.by_type()

    # -- loading ---------------------------------------------------------------------------------------------

    def load(self, key: K) -> Future[V]:
        """Ask for one key.

        Returns:
            The key's future, the same one for all callers until it is cleared.

        Raises:
            KeyTypeError, LoaderClosedError, WrongLoopError: As ``dloader.DataLoader.load`` does.
            OptionError: There is something at the key in ``cache_map`` that is no future.
        """
        # As nearly all loads go; `_load_checked` does the same, and more.
        futures = self._aio_plain
        if futures is None or key is None:
            return self._aio_load_checked(key)
        try:
            future = futures.get(key)
            if future is None:
                futures[key] = future = _load(self, key)
                return future
            kind: type = type(future)
            is_here = kind is Future and future.get_loop() is get_running_loop() and not self.closed
        except (TypeError, RuntimeError):  # it is not hashable; there is no running loop
            return self._aio_load_checked(key)
        if is_here and not future.done():
            note_join(self, key, key)
            return future
        if is_here and not future.cancelled():
            self._aio_shown.hits += 1
            note_hit(self, key)
            return future
        return self._aio_load_checked(key)

    def _aio_load_checked(self, key: K) -> Future[V]:
        """Load where there may be anything: keys of another kind, a mapping of the user's, another loop."""
        if key is None:
            raise KeyTypeError(
                f"The loader.load() function must be called with a value, but got: None (loader {self.name!r})"
            )
        cache_key = self._aio_hashable_cache_key(key)
        future = None if self.closed else self._aio_known(cache_key)
        if future is None:
            future = super().load(key)
            self._aio_futures.set(cache_key, future)
        elif future.done():
            self._aio_shown.count_hits()
            note_hit(self, key)
        else:
            note_join(self, cache_key, key)
        return future

    @overload
    def load_many(
        self, keys: Iterable[K], *, return_exceptions: Literal[False] = False
    ) -> Future[list[V]]: ...
    @overload
    def load_many(
        self, keys: Iterable[K], *, return_exceptions: Literal[True]
    ) -> Future[list[V | Exception]]: ...
    @overload
    def load_many(
        self, keys: Iterable[K], *, return_exceptions: bool
    ) -> Future[list[V]] | Future[list[V | Exception]]: ...
    def load_many(
        self, keys: Iterable[K], *, return_exceptions: bool = False
    ) -> Future[list[V]] | Future[list[V | Exception]]:
        """Gather the futures of many keys: each is shared and cached as with `load`."""
        if not isinstance(cast(object, keys), Iterable):
            raise KeyTypeError(
                f"The loader.load_many() function must be called with Iterable<key> but got: {shorten(keys)} "
                f"(loader {self.name!r})"
            )
        futures = [self.load(key) for key in keys]
        if return_exceptions:
            return cast(Future[list[V | Exception]], asyncio.gather(*futures, return_exceptions=True))
        return asyncio.gather(*futures)

    async def _aio_answer(self, keys: list[K]) -> Sequence[V | Exception]:
        """Call the batch function, and give exceptions out as they are: the core gives each caller a copy."""
        batch = running_batch()
        assert batch is not None  # noqa: S101 - the core calls this for one
        try:
            values = await call_batch_function(self, self.batch_load_fn, keys)
        except BaseException as error:
            self._aio_fail_whole(
                batch, error
            )  # here, futures would be in a frame that the error keeps: a cycle
            raise
        if any(issubclass(kind, Exception) for kind in kinds_of(values)):
            pairs = zip(values, waiters_of(batch).values(), strict=True)
            _fail((value, future) for value, futures in pairs for future in futures)
        return values

    def _aio_fail_whole(self, batch: Batch[K, V], error: BaseException) -> None:
        """Fail all who wait for a batch, whose futures are cached no longer."""
        waiters = waiters_of(batch)
        self._aio_forget(waiters)
        if isinstance(error, Exception):
            _fail((error, future) for futures in waiters.values() for future in futures)

    # -- the cache -------------------------------------------------------------------------------------------

    def prime(self, key: K, value: V | Exception) -> Self:
        """Cache a value, or an exception to raise, unless the key is cached or being loaded already."""
        cache_key = self._aio_hashable_cache_key(key)
        if self._aio_known(cache_key) is None:
            self._aio_futures.set(cache_key, _settled(self._aio_here() or _no_loop(), value))
        return self

    def clear(self, key: K) -> Self:
        """Forget a key: later callers load afresh, those who wait get what is being loaded."""
        self._aio_futures.drop(self._aio_hashable_cache_key(key))
        return super().clear(key)

    def clear_all(self) -> Self:
        """Forget everything; see `clear`."""
        self._aio_futures.clear()
        return super().clear_all()

    def _aio_hashable_cache_key(self, key: K) -> Hashable:
        cache_key = self._aio_cache_key_of(key)
        if self.cache:
            try:
                hash(cache_key)
            except TypeError as error:
                raise KeyTypeError(
                    f"loader {self.name!r} cannot cache the key {shorten(key)} ({type(cache_key).__name__} "
                    f"is not hashable): let get_cache_key make something hashable of it, or pass cache=False"
                ) from error
        return cache_key

    def _aio_known(self, cache_key: Hashable) -> Future[V] | None:
        """The future of a key, if it is cached and can be awaited here."""
        cached = self._aio_futures.get(cache_key)
        if not asyncio.isfuture(cached):
            if cached is None or is_missing(cached):
                return None
            raise OptionError(
                f"loader {self.name!r}: cache_map holds futures, not {shorten(cached)} (at {shorten(cache_key)}): "
                f"put values there by prime()"
            )
        if cached.cancelled():
            return None
        future, loop = cast(Future[V], cached), self._aio_here()
        if loop is None or future.get_loop() is loop:
            return future
        if not future.done():  # its loop is gone, or in use elsewhere: then a load is refused
            return None
        error = future.exception()
        again = _settled(loop, future.result() if error is None else error)
        self._aio_futures.set(cache_key, again)
        return again

    def _aio_here(self) -> asyncio.AbstractEventLoop | None:
        try:
            return asyncio.get_running_loop()
        except RuntimeError:
            return self._aio_loop_outside

    def _aio_forget(self, waiters: _Waiters) -> None:
        """Take the futures of a batch that failed as a whole out of the cache."""
        for cache_key, futures in waiters.items():
            found = self._aio_futures.get(cache_key)
            if any(found is future for future in futures):
                self._aio_futures.drop(cache_key)


class _Shown(Cache):
    """The futures as ``cache_map``, ``statistics`` and the repr of a loader show them; the core finds nothing in it."""

    __slots__ = ("_futures",)

    def __init__(self, futures: Cache) -> None:
        super().__init__(futures.map)
        self._futures = futures

    @property
    def size(self) -> int | str:
        """How many futures are kept."""
        return self._futures.size


def _as_it_is(key: K) -> Hashable:
    return key


def _fail(pairs: Iterable[tuple[object, Future[Any]]]) -> None:
    """Fail futures with those of some results that are exceptions; asyncio is to report one of them at most."""
    failed: list[Future[Any]] = []
    for result, future in pairs:
        kind = type(result)
        # Futures refuse StopIteration: the core makes something else of it.
        if issubclass(kind, Exception) and not issubclass(kind, StopIteration) and not future.done():
            future.set_exception(cast(Exception, result))
            failed.append(future)
    for future in failed[1:]:
        future.exception()


def _no_loop() -> asyncio.AbstractEventLoop:
    """A loop for what is primed before there is one: a load makes a future of its own loop from it."""
    loop = asyncio.new_event_loop()
    loop.close()
    return loop


def _settled(loop: asyncio.AbstractEventLoop, value: V | BaseException) -> Future[V]:
    future: Future[V] = loop.create_future()
    if isinstance(value, BaseException):
        future.set_exception(copied(value) if isinstance(value, StopIteration) else value)
        future.exception()  # it did not fail unseen: it was made to fail
    else:
        future.set_result(value)
    return future
