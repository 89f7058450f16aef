"""The protocol of a second-level cache, behind the caches of loaders; and one in this process.

A loader's own cache lives as long as a request. A store keeps what was loaded for longer, and for other processes:
``LoaderRegistry(store=...)`` or ``DataLoader(store=...)``. A loader class opts in with ``store_ttl``, the seconds for
which a value may be served from there. `dloader.redis` has the store for Redis; `MemoryStore` is for one process.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from itertools import count
from typing import NamedTuple, NoReturn, Protocol, Self, final, runtime_checkable

from dloader.errors import OptionError

__all__ = ("Got", "MemoryStore", "Store")


class Got(NamedTuple):
    """What a store has of some keys. A key that is nowhere in it is to be loaded, and not written."""

    values: Mapping[str, bytes]
    """What was found."""
    leases: Mapping[str, bytes]
    """Of keys that are missing, and that the caller now is the one to load: what `Store.set_many` wants for them."""
    waiting: Sequence[str] = ()
    """Keys that are missing, and that somebody else is loading."""


@runtime_checkable
class Store(Protocol):
    """A second-level cache: what others may stand behind, in four methods.

    *Leases* make it right: of all who miss a key one gets the lease, and loads; a value is written only by who holds
    the lease still, and a delete ends it. So what was read before a delete is never written after it, and one process
    loads what twenty want.

    A method may raise anything and take any time: dloader gives each call ``store.deadline`` seconds (0.25 where a
    store has no such attribute), goes on with the source if it fails, and leaves the store alone for a while. It waits
    ``store.wait`` seconds at most (2.0) for what others load.

    A key looks like ``dl:1:{name:hash}:key``; what stands before the last part is the same for all keys of a loader. A
    key without a last part, ending with the colon, is only ever deleted, and means all keys that begin so.

    Stores can be hashed, and referred to weakly, as all objects of usual classes.
    """

    async def get_many(self, keys: Sequence[str], /) -> Got:
        """Look up keys of one loader, and take the leases of those that are missing and that nobody loads."""
        ...

    async def set_many(self, values: Mapping[str, bytes], leases: Mapping[str, bytes], ttl: float, /) -> None:
        """Write the values of leased keys, as far as the leases are still held, and give back the leases of the others.

        Args:
            values: By key. Each of them has a lease.
            leases: As `get_many` gave them.
            ttl: For how many seconds values may be found, about.
        """
        ...

    async def delete_many(self, keys: Sequence[str], /) -> None:
        """Forget keys, end their leases, and tell all who listen to `cleared` of other stores like this."""
        ...

    def cleared(self) -> AsyncIterator[Sequence[str] | None]:
        """What others delete, as they do it; None if some of it may have been missed. Without others it ends."""
        ...


class _Silence:
    """Nobody tells anything."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> NoReturn:
        raise StopAsyncIteration


@final
class MemoryStore:
    """A store in this process: for tests, and for programs of one process whose loaders are made anew all the time.

    Unlike a loader's own cache it holds bytes, which each reader gets new objects from, and forgets after a time. It
    lives as long as the program keeps it, on one event loop.

    Args:
        max_size: How many keys it holds; the ones that were written first go first.
        lease: After how many seconds somebody else may load what has been leased and was not written.
        clock: Tells the seconds.

    Raises:
        OptionError: A number is not positive.

    Example:
        >>> import asyncio
        >>> from dloader import DataLoader, LoaderRegistry
        >>> class UserLoader(DataLoader[int, str]):
        ...     store_ttl = 30.0
        ...     async def batch_load_fn(self, keys):
        ...         print("loading", keys)
        ...         return [f"user {key}" for key in keys]
        >>> async def main():
        ...     store = MemoryStore()
        ...     for request in range(2):
        ...         async with LoaderRegistry(store=store) as loaders:
        ...             print(await loaders.get(UserLoader).load(1))
        >>> asyncio.run(main())
        loading [1]
        user 1
        user 1
    """

    def __init__(
        self, max_size: int = 100_000, *, lease: float = 2.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if not all(type(number) in (int, float) and number > 0 for number in (max_size, lease)):
            raise OptionError(
                f"MemoryStore: max_size and lease must be positive, not {max_size!r} and {lease!r}"
            )
        self._max_size = max_size
        self._lease = lease
        self._clock = clock
        self._tokens = count()
        self._entries: OrderedDict[str, tuple[float, bytes, bool]] = OrderedDict()
        """By key: until when, a value or the token of a lease, and whether it is a value."""

    async def get_many(self, keys: Sequence[str], /) -> Got:
        """See `Store.get_many`."""
        now, token = self._clock(), b"%d" % next(self._tokens)
        values, leases, waiting = dict[str, bytes](), dict[str, bytes](), list[str]()
        for key in keys:
            until, held, is_value = self._entries.get(key, (now, b"", False))
            if until <= now:
                self._put(key, now + self._lease, token, False)
                leases[key] = token
            elif is_value:
                values[key] = held
            else:
                waiting.append(key)
        return Got(values, leases, waiting)

    async def set_many(self, values: Mapping[str, bytes], leases: Mapping[str, bytes], ttl: float, /) -> None:
        """See `Store.set_many`."""
        until = self._clock() + ttl
        for key, token in leases.items():
            _, held, is_value = self._entries.get(key, (0.0, b"", True))
            if is_value or held != token:
                continue
            if key in values:
                self._put(key, until, values[key], True)
            else:
                del self._entries[key]

    async def delete_many(self, keys: Sequence[str], /) -> None:
        """See `Store.delete_many`."""
        for key in keys:
            self._entries.pop(key, None)
            if key.endswith(":"):
                for each in [each for each in self._entries if each.startswith(key)]:
                    del self._entries[each]

    def cleared(self) -> AsyncIterator[Sequence[str] | None]:
        """See `Store.cleared`: there are no others."""
        return _Silence()

    def _put(self, key: str, until: float, held: bytes, is_value: bool) -> None:
        self._entries.pop(key, None)
        self._entries[key] = (until, held, is_value)
        if len(self._entries) > self._max_size:
            self._entries.popitem(last=False)

    def __len__(self) -> int:
        """How many keys it holds, of which some may be too old to be found."""
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<MemoryStore keys={len(self)}>"
