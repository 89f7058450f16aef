"""What a loader remembers: nothing, or the futures that it gave out, once they are done."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Collection, Hashable, Iterable, Iterator, MutableMapping, Set as AbstractSet
from typing import Any

from dloader._core._types import MISSING, kinds_of, refuse_to_await
from dloader._text import shorten

__all__ = ("Cache", "FutureCache")


class Cache:
    """What a loader wants of a cache: values, and exceptions that loads are to raise, by cache key.

    This one, for ``cache=False``, remembers nothing and touches no mapping. A cache lives as long as its loader.
    """

    __slots__ = ("_map", "hits", "known")

    is_opaque = False
    """Whether only `get` can tell what is cached."""

    def __init__(self, cache_map: MutableMapping[Any, Any] | None = None) -> None:
        self._map = cache_map
        self.known: dict[Any, Any] = {}
        """What `DataLoader.load` looks up itself: a done future, to be shared, or a value. Empty if `is_opaque`."""
        self.hits = 0
        """How many keys were answered."""

    @property
    def map(self) -> MutableMapping[Any, Any]:
        """The values, as users see and change them."""
        if self._map is None:
            self._map = dict[Any, Any]()
        return self._map

    @property
    def size(self) -> int | str:
        """How many values are kept, for a repr: it must not fail."""
        return 0

    def count_hits(self, number: int = 1) -> None:
        """Note that callers were given what was found."""
        self.hits += number

    def get(self, _key: Hashable, /) -> Any:
        """A value, or MISSING."""
        return MISSING

    def get_many(self, keys: Iterable[Hashable], /) -> dict[Any, Any]:
        """The values of those keys that have one."""
        pairs = ((key, self.get(key)) for key in keys)
        return {key: value for key, value in pairs if value is not MISSING}

    def set(self, key: Hashable, value: object, /) -> None:
        """Remember one value."""

    def share(self, key: Hashable, future: Future[Any], /) -> None:
        """Hand out `future`, which is done, to further callers of a key that is cached."""

    def drop(self, key: Hashable, /) -> None:
        """Forget one value, if it is there."""

    def clear(self) -> None:
        """Forget everything."""

    def leave_loop(self) -> None:
        """Keep nothing that belongs to an event loop."""

    def store(
        self,
        entries: dict[Any, Any],
        values: Collection[Any],
        outdated: AbstractSet[Hashable],
        are_futures: bool = False,
        /,
    ) -> None:
        """Remember what a batch returned.

        Args:
            entries: By cache key, who waited for it; the dict is given away.
            values: What was returned, in the order of the entries.
            outdated: Keys that were cleared or primed meanwhile, which are left as they are.
            are_futures: Whether each entry is a future that now has the value as its result.
        """


class FutureCache(Cache):
    """The default: keeps the futures that were handed out, once they are done, and hands them out again.

    Nobody can cancel a future that is done, so callers may share it, and a later load of the key costs hardly more than
    looking it up in a dict. Keys without such a future (from ``load_many`` or ``prime``) have their values here, which
    are never futures themselves: these are refused wherever they come in.
    """

    __slots__ = ()

    @property
    def map(self) -> MutableMapping[Any, Any]:
        """The values, as users see and change them."""
        return _Values(self)

    @property
    def size(self) -> int:
        """How many values are kept."""
        return len(self.known)

    def get(self, key: Hashable) -> Any:
        """A value, or MISSING."""
        return _value_of(self.known.get(key, MISSING))

    def get_many(self, keys: Iterable[Hashable]) -> dict[Any, Any]:
        """The values of those keys that have one."""
        known = self.known
        found = {key: known[key] for key in keys if key in known} if known else {}
        if Future not in kinds_of(found.values()):
            return found
        return {key: _value_of(value) for key, value in found.items()}

    def set(self, key: Hashable, value: object) -> None:
        """Remember one value."""
        self.known[key] = value

    def share(self, key: Hashable, future: Future[Any]) -> None:
        """Hand out a future, which is done, to further callers of a key that is cached."""
        self.known[key] = future

    def drop(self, key: Hashable) -> None:
        """Forget one value, if it is there."""
        self.known.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        self.known.clear()

    def leave_loop(self) -> None:
        """Keep the values only: a future serves the event loop that it was made on."""
        if self.known:
            self.known.update({key: _value_of(found) for key, found in self.known.items()})

    def store(
        self,
        entries: dict[Any, Any],
        values: Collection[Any],
        outdated: AbstractSet[Hashable],
        are_futures: bool = False,
    ) -> None:
        """Remember what a batch returned."""
        if outdated:
            self.known.update(
                (key, value) for key, value in zip(entries, values, strict=True) if key not in outdated
            )
        elif are_futures and not self.known:
            self.known = entries
        elif are_futures:
            self.known.update(entries)
        else:
            self.known.update(zip(entries, values, strict=True))


def _value_of(found: Any) -> Any:
    kind: type = type(found)  # pyright: ignore[reportUnknownVariableType]
    return found.result() if kind is Future else found


class _Values(MutableMapping[Any, Any]):
    """What `FutureCache` knows, as the mapping from keys to values that users see."""

    __slots__ = ("_cache",)

    def __init__(self, cache: FutureCache) -> None:
        self._cache = cache

    def __getitem__(self, key: Any) -> Any:
        return _value_of(self._cache.known[key])

    def __setitem__(self, key: Any, value: Any) -> None:
        refuse_to_await("cache_map", key, value)
        self._cache.set(key, value)

    def __delitem__(self, key: Any) -> None:
        del self._cache.known[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._cache.known)

    def __len__(self) -> int:
        return self._cache.size

    def __repr__(self) -> str:
        try:
            return repr(dict(self))
        except Exception:  # some key's or value's
            pairs = (f"{shorten(key)}: {shorten(value)}" for key, value in self.items())
            return f"{{{', '.join(pairs)}}}"
