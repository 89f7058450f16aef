"""The ``DataLoader`` of ``strawberry.dataloader``, with its own semantics, on dloader's batches.

Only the import line changes: ``from dloader.compat.strawberry import AbstractCache, DataLoader``. Strawberry itself is
not needed. As there, and other than with `dloader.DataLoader`:

- a key has one future, which its callers share: ``load`` returns the very same object again, and cancelling
  it, by a timeout say, cancels it for all of them;
- ``cache_map`` is an `AbstractCache` of these futures, so the errors of single keys are cached;
- ``prime`` leaves a key alone that is cached, unless it is forced; those who wait for a key that is primed before its
  batch starts get the primed value, and it is not loaded;
- with ``cache=False`` a key that is asked for twice is in the batch twice;
- an exception is, for all callers, the very object that the batch function raised or returned;
- a wrong number of results is told in Strawberry's words, by an error that its own ``except`` clauses catch.

What differs from there: the errors of a whole batch are not cached, `clear` of a key that is not cached is no error,
and None is no key.
"""

from __future__ import annotations

import abc
import asyncio
import sys
from asyncio import Future
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Generic, Self, cast

from dloader.compat import aiodataloader
from dloader.compat._keys import Unlike
from dloader.errors import BatchResultError
from dloader.lowlevel import AskedSince, BatchFunction, Cache, K, V, waiters_of

__all__ = ("AbstractCache", "DataLoader", "DefaultCache")


class AbstractCache(abc.ABC, Generic[K, V]):
    """Where a loader keeps futures; lives as long as its owner wants."""

    @abc.abstractmethod
    def get(self, key: K) -> Future[V] | None:
        """The future of a key, or None."""

    @abc.abstractmethod
    def set(self, key: K, value: Future[V]) -> None:
        """Keep a future."""

    @abc.abstractmethod
    def delete(self, key: K) -> None:
        """Forget a key; a `KeyError` says that it is not there."""

    @abc.abstractmethod
    def clear(self) -> None:
        """Forget everything."""


class DefaultCache(AbstractCache[K, V]):
    """Keeps futures in a dict.

    Args:
        cache_key_fn: From key to what stands for it in the dict. Default: the key itself.
    """

    def __init__(self, cache_key_fn: Callable[[K], Hashable] | None = None) -> None:
        self.cache_key_fn: Callable[[K], Hashable] = _as_it_is if cache_key_fn is None else cache_key_fn
        self.cache_map: dict[Hashable, Future[V]] = {}

    def get(self, key: K) -> Future[V] | None:
        """See `AbstractCache.get`."""
        return self.cache_map.get(self.cache_key_fn(key))

    def set(self, key: K, value: Future[V]) -> None:
        """See `AbstractCache.set`."""
        self.cache_map[self.cache_key_fn(key)] = value

    def delete(self, key: K) -> None:
        """See `AbstractCache.delete`."""
        del self.cache_map[self.cache_key_fn(key)]

    def clear(self) -> None:
        """See `AbstractCache.clear`."""
        self.cache_map.clear()


class DataLoader(aiodataloader.DataLoader[K, V]):
    """Merges loads into batches and keeps one future per key; lives as long as a request.

    What Strawberry has nothing of is as in `dloader.DataLoader`: ``async with``, ``shutdown``, statistics, subclasses
    with ``batch_load_fn``, use in a `LoaderRegistry`.

    Example:
        >>> async def load_users(ids):
        ...     return [f"user {id}" for id in ids]
        >>> async def main():
        ...     users = DataLoader(load_fn=load_users)
        ...     users.prime_many({1: "somebody"})
        ...     return await users.load_many([1, 2])
        >>> asyncio.run(main())
        ['somebody', 'user 2']
    """

    def __init__(
        self,
        load_fn: Callable[[list[K]], Awaitable[Iterable[V | BaseException]]] | None = None,
        max_batch_size: int | None = None,
        cache: bool | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
        cache_map: AbstractCache[K, V] | None = None,
        cache_key_fn: Callable[[K], Hashable] | None = None,
    ) -> None:
        """Make a loader. ``None`` means the class attribute or method of that name.

        Args:
            load_fn: Loads many keys at once, and returns as many values or exceptions.
            max_batch_size: Most keys per call. Default: any number.
            cache: Whether to keep futures, and share them between the callers of a key. Default: yes.
            loop: The event loop for ``load()`` outside a coroutine; inside one it is not needed.
            cache_map: Where to keep futures; then ``cache_key_fn`` is not asked.
            cache_key_fn: From key to a hashable cache key.

        Raises:
            OptionError: An option has a wrong type or value, or there is no batch function.
        """
        function = None if load_fn is None else _counted(load_fn)
        key_function: Callable[[Any], Hashable] | None = cache_key_fn if cache_map is None else Unlike
        super().__init__(
            cast("BatchFunction[K, V] | None", function),
            None,
            max_batch_size,
            cache,
            key_function,
            None,
            loop,
        )
        if cache_map is not None and self.cache:
            self._aio_keep_in(_Futures(cache_map))
        self._berry_asked = AskedSince([self])

    def prime(self, key: K, value: V | BaseException, force: bool = False) -> Self:
        """Cache a value, unless the key is cached; see `prime_many`."""
        return self.prime_many({key: cast(V, value)}, force)

    def prime_many(self, data: Mapping[K, Any], force: bool = False) -> Self:
        """Cache values, and give them to those who wait for keys that no batch function was given yet.

        Args:
            data: The values by key.
            force: Whether they replace what is cached.

        Returns:
            The loader itself, for chaining.
        """
        for key, value in data.items():
            if force:
                self._aio_futures.drop(self._aio_hashable_cache_key(key))
            super().prime(key, value)
        values = {_key_in(self._aio_cache_key_of(key)): value for key, value in data.items()}
        for batch in self._berry_asked.batches():
            for cache_key, futures in waiters_of(batch).items():
                key_or_its = _key_in(cache_key)
                for future in futures if key_or_its in values else ():
                    if not future.done():
                        future.set_result(values[key_or_its])
        return self


class _Futures(Cache):
    """An `AbstractCache` as the loader's own; what it raises is raised."""

    __slots__ = ("_kept",)

    def __init__(self, kept: AbstractCache[Any, Any]) -> None:
        super().__init__({})
        self._kept = kept

    @property
    def size(self) -> int | str:
        """Nobody knows."""
        return "?"

    def get(self, key: Hashable) -> Future[object] | None:
        """The future of a key, or None."""
        return self._kept.get(_key_in(key))

    def set(self, key: Hashable, value: object) -> None:
        """Keep a future."""
        self._kept.set(_key_in(key), cast("Future[object]", value))

    def drop(self, key: Hashable) -> None:
        """Forget a key, if it is there."""
        if self.get(key) is not None:
            self._kept.delete(_key_in(key))

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()


def _key_in(cache_key: Hashable) -> object:
    """The key that stands in the place of its cache key, or else the cache key."""
    return cache_key.key if isinstance(cache_key, Unlike) else cache_key


def _as_it_is(key: object) -> Hashable:
    return key


def _counted(
    function: Callable[[list[K]], Awaitable[Iterable[V | BaseException]]],
) -> Callable[[list[K]], Awaitable[Sequence[V | BaseException]]]:
    """A batch function whose results are counted, whatever they come in."""

    async def counted(keys: list[K]) -> Sequence[V | BaseException]:
        expected = len(keys)
        values = list(await function(keys))
        if len(values) != expected:
            raise _wrong_number(expected, len(values))
        return values

    counted.__name__ = counted.__qualname__ = getattr(function, "__name__", type(function).__name__)
    return counted


def _wrong_number(expected: int, received: int) -> Exception:
    """The error of a wrong number of results: dloader's, and Strawberry's if anybody has imported that to catch it."""
    theirs: type[Exception] | None = getattr(
        sys.modules.get("strawberry.exceptions"), "WrongNumberOfResultsReturned", None
    )
    bases = (BatchResultError,) if theirs is None else (BatchResultError, theirs)
    cls = type(
        "WrongNumberOfResultsReturned", bases, {"__init__": Exception.__init__, "__module__": __name__}
    )
    error: Exception = cls(
        f"Received wrong number of results in dataloader, expected: {expected}, received: {received}"
    )
    return error
