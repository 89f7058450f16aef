"""The ``DataLoader`` of aiodataloader 0.4, with that library's own semantics, on dloader's batches.

Only the import line changes: ``from dloader.compat.aiodataloader import DataLoader``. As there, and other
than with `dloader.DataLoader`:

- a key has one future, which its callers share: ``load`` returns the very same object again, and cancelling
  it, by a timeout say, cancels it for all of them;
- ``cache_map`` holds these futures, so the errors of single keys are cached; those of a whole batch are not;
- ``prime`` leaves a key alone that is cached or being loaded;
- with ``cache=False`` a key that is asked for twice is in the batch twice.

What went wrong there does not here: callers never hang, whatever the batch function does; a cancelled load is
not cached; a loader works in a second ``asyncio.run``; batch functions may be any async callable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterable, MutableMapping
from typing import Any, Literal, Self, cast, overload
from weakref import WeakKeyDictionary

from dloader import _loader as core, _options as options
from dloader._cache import make_cache
from dloader._events import BatchInfo
from dloader._failure import own
from dloader._loader import BatchFunction, K, V
from dloader._nesting import inside
from dloader._results import MISSING
from dloader._shorten import shorten
from dloader.errors import KeyTypeError
from dloader.instruments import Instrument

__all__ = ("DataLoader",)


class DataLoader(core.DataLoader[K, V]):
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
        cache_map: MutableMapping[Any, asyncio.Future[V]] | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Make a loader. ``None`` means the class attribute or method of that name.

        Args:
            batch_load_fn: Loads many keys at once; comes before a method of that name.
            batch: ``False`` for batches of one key.
            max_batch_size: Most keys per call. Default: any number.
            cache: Whether to keep futures, and share them between the callers of a key. Default: yes.
            get_cache_key: From key to a hashable cache key; comes before a method of that name.
            cache_map: Where to keep futures. Default: a new dict.
            loop: The event loop for ``load()`` outside a coroutine; inside one it is not needed.

        Raises:
            OptionError: An option has a wrong type or value, or there is no batch function.
        """
        keep = self.cache if cache is None else cache
        has_method = type(self).batch_load_fn is not core.DataLoader.batch_load_fn
        super().__init__(
            None if has_method else batch_load_fn,
            max_batch_size,
            cache=False,
            loop=loop,
            batch=batch,
            # The shared futures are all the merging there is: for the batches no two loads have the same key.
            cache_key_fn=lambda _: object(),
            instruments=[_WholeFailures(self._forget)],
        )
        self.load_fn = batch_load_fn or self.load_fn
        self.cache = options.checked_flag(self.name, "cache", keep)
        kept = options.checked_cache_map(self.name, cache_map)
        self._cache = make_cache(self.name, {} if kept is None else kept, self.cache)
        self._batch_numbers: WeakKeyDictionary[asyncio.Future[V], int] = WeakKeyDictionary()
        self._cache_key_of = options.checked_callable(self.name, get_cache_key, None) or self.get_cache_key

    def get_cache_key(self, key: K) -> Hashable:
        """Make the key of the cache from a key; may be overridden."""
        return key

    # -- loading ---------------------------------------------------------------------------------------------

    def load(self, key: K) -> asyncio.Future[V]:
        """Ask for one key.

        Returns:
            The key's future, the same one for all callers until it is cleared.

        Raises:
            KeyTypeError, LoaderClosedError, WrongLoopError: As ``dloader.DataLoader.load`` does.
        """
        if key is None:
            raise KeyTypeError(f"loader {self.name!r} cannot load None: pass a key")
        cache_key = self._hashable_cache_key(key)
        future = None if self.closed else self._known(cache_key)
        if future is None:
            future = super().load(key)
            self._batch_numbers[future] = self._batches.opened  # a new key is always in the newest batch
            self._cache.set(cache_key, future)
        else:
            self._shared(future, key)
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
        """Gather the futures of many keys: each is shared and cached as with `load`."""
        if not isinstance(cast(object, keys), Iterable):
            raise KeyTypeError(f"load_many() of loader {self.name!r} takes an iterable of keys, not {keys!r}")
        futures = [self.load(key) for key in keys]
        if return_exceptions:
            return cast(asyncio.Future[list[V | Exception]], asyncio.gather(*futures, return_exceptions=True))
        return asyncio.gather(*futures)

    def _shared(self, future: asyncio.Future[V], key: K) -> None:
        """Count a caller who shares a future, unless the batch that it waits for waits for this caller."""
        if future.done():
            self._batches.cache_hits += 1
            self._batches.requested(key, "cache")
            return
        if inside.get() is not None:
            number = self._batch_numbers.get(future)
            batches = (*self._batches.unstarted(), *self._batches.running)
            for batch in [batch for batch in batches if batch.number == number]:
                self._batches.nest(batch, key)
        self._batches.merged += 1
        self._batches.requested(key, "pending")

    # -- the cache -------------------------------------------------------------------------------------------

    def prime(self, key: K, value: V | Exception) -> Self:
        """Cache a value, or an exception to raise, unless the key is cached or being loaded already."""
        cache_key = self._hashable_cache_key(key)
        if self._known(cache_key) is None:
            self._cache.set(cache_key, _settled(self._here() or _no_loop(), value))
        return self

    def clear(self, key: K) -> Self:
        """Forget a key: later callers load afresh, those who wait get what is being loaded."""
        self._cache.drop(self._hashable_cache_key(key))
        return self

    def clear_all(self) -> Self:
        """Forget everything; see `clear`."""
        self._cache.clear()
        return self

    def _hashable_cache_key(self, key: K) -> Hashable:
        cache_key = self._cache_key_of(key)
        if self.cache:
            try:
                hash(cache_key)
            except TypeError as error:
                raise KeyTypeError(
                    f"loader {self.name!r} cannot cache the key {shorten(key)} ({type(cache_key).__name__} "
                    f"is not hashable): let get_cache_key make something hashable of it, or pass cache=False"
                ) from error
        return cache_key

    def _known(self, cache_key: Hashable) -> asyncio.Future[V] | None:
        """The future of a key, if it is cached and can be awaited here."""
        cached = self._cache.get(cache_key)
        if cached is MISSING or cached.cancelled():
            return None
        future, loop = cast(asyncio.Future[V], cached), self._here()
        if loop is None or future.get_loop() is loop:
            return future
        if not future.done():  # its loop is gone, or in use elsewhere: then a load is refused
            return None
        error = future.exception()
        again = _settled(loop, future.result() if error is None else error)
        self._cache.set(cache_key, again)
        return again

    def _here(self) -> asyncio.AbstractEventLoop | None:
        try:
            return asyncio.get_running_loop()
        except RuntimeError:
            return self._loop

    def _forget(self, batch: BatchInfo[K, V]) -> None:
        """Take the futures of a batch that failed as a whole out of the cache."""
        for key in batch.keys:
            cache_key = self._cache_key_of(key)
            future = self._cache.get(cache_key)
            if future is not MISSING and self._batch_numbers.get(future) == batch.number:
                self._cache.drop(cache_key)


class _WholeFailures(Instrument):
    """Tells its loader about batches that failed as a whole."""

    def __init__(self, tell: Callable[[BatchInfo[Any, Any]], None]) -> None:
        self._tell = tell

    def batch_finished(self, batch: BatchInfo[Any, Any], error: BaseException | None, /) -> None:
        if error is not None:
            self._tell(batch)


def _no_loop() -> asyncio.AbstractEventLoop:
    """A loop for what is primed before there is one: a load makes a future of its own loop from it."""
    loop = asyncio.new_event_loop()
    loop.close()
    return loop


def _settled(loop: asyncio.AbstractEventLoop, value: V | BaseException) -> asyncio.Future[V]:
    future: asyncio.Future[V] = loop.create_future()
    if isinstance(value, BaseException):
        future.set_exception(own(cast(Exception, value)))
        future.exception()  # it did not fail unseen: it was made to fail
    else:
        future.set_result(value)
    return future
