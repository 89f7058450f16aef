"""The cache of one loader: futures that are done, the user's mapping behind a guard, or nothing."""

from __future__ import annotations

import logging
from asyncio import Future
from collections.abc import (
    Callable,
    Collection,
    Hashable,
    Iterable,
    Iterator,
    MutableMapping,
    Set as AbstractSet,
)
from typing import Any, Protocol, TypeVar

from dloader._results import MISSING

__all__ = ("Cache", "NoCache", "OwnCache", "UsersCache", "make_cache")

T = TypeVar("T")

logger = logging.getLogger("dloader")


class Cache(Protocol):
    """What a loader wants of a cache: values, and exceptions that loads are to raise, by cache key."""

    known: dict[Any, Any]
    """What `DataLoader.load` looks up itself: a done future, to be shared, or a value. Empty if `must_ask`."""
    must_ask: bool
    """Whether only `get` can tell what is cached."""

    @property
    def map(self) -> MutableMapping[Any, Any]:
        """The values, as users see and change them."""
        ...

    @property
    def size(self) -> int | str:
        """How many values are kept, for a repr: it must not fail."""
        ...

    def get(self, key: Hashable, /) -> Any:
        """A value, or MISSING."""
        ...

    def get_many(self, keys: Iterable[Hashable], /) -> dict[Any, Any]:
        """The values of those keys that have one."""
        ...

    def leave_loop(self) -> None:
        """Keep nothing that belongs to an event loop."""
        ...

    def set(self, key: Hashable, value: object, /) -> None:
        """Remember one value."""
        ...

    def share(self, key: Hashable, future: Future[Any], /) -> None:
        """Hand out `future`, which is done, to further callers of a key that is cached."""
        ...

    def drop(self, key: Hashable, /) -> None:
        """Forget one value, if it is there."""
        ...

    def clear(self) -> None:
        """Forget everything."""
        ...

    def store(
        self,
        entries: dict[Any, Any],
        values: Collection[Any],
        kinds: AbstractSet[type],
        outdated: AbstractSet[Hashable],
        is_plain: bool = False,
        /,
    ) -> None:
        """Remember what a batch returned.

        Args:
            entries: By cache key, who waited for it; the dict is given away.
            values: What was returned, in the order of the entries.
            kinds: The types of the values.
            outdated: Keys that were cleared or primed meanwhile, which are left as they are.
            is_plain: Whether each entry is a future that now has the value as its result.
        """
        ...


def make_cache(name: str, cache_map: MutableMapping[Any, Any] | None, enabled: bool) -> Cache:
    """The cache of a new loader."""
    if not enabled:
        return NoCache({} if cache_map is None else cache_map)
    return OwnCache() if cache_map is None else UsersCache(name, cache_map)


class OwnCache:
    """The default: keeps the futures that were handed out, once they are done, and hands them out again.

    Nobody can cancel a future that is done, so callers may share it, and a later load of the key costs hardly more than
    looking it up in a dict. Keys without such a future (from ``load_many`` or ``prime``) have their values here.
    """

    __slots__ = ("known",)

    must_ask = False

    def __init__(self) -> None:
        self.known: dict[Any, Any] = {}

    @property
    def map(self) -> MutableMapping[Any, Any]:
        """The values, as users see and change them."""
        return Values(self)

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
        if KEPT.isdisjoint(map(type, found.values())):
            return found
        return {key: _value_of(value) for key, value in found.items()}

    def set(self, key: Hashable, value: object) -> None:
        """Remember one value."""
        self.known[key] = _kept(value)

    def share(self, key: Hashable, future: Future[Any]) -> None:
        """Hand out a future, which is done, to further callers of a key that is cached."""
        self.known[key] = future

    def drop(self, key: Hashable) -> None:
        """Forget one value, if it is there."""
        self.known.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        self.known.clear()

    def store(
        self,
        entries: dict[Any, Any],
        values: Collection[Any],
        kinds: AbstractSet[type],
        outdated: AbstractSet[Hashable],
        is_plain: bool = False,
    ) -> None:
        """Remember what a batch returned."""
        if outdated:
            self.known.update(
                (key, _kept(value)) for key, value in zip(entries, values, strict=True) if key not in outdated
            )
        elif is_plain and not self.known:
            self.known = entries
        elif is_plain:
            self.known.update(entries)
        else:
            kept = map(_kept, values) if Future in kinds else values
            self.known.update(zip(entries, kept, strict=True))

    def leave_loop(self) -> None:
        """Keep the values only: a future serves the event loop that it was made on."""
        self.known.update({key: _kept(_value_of(found)) for key, found in self.known.items()})


class _Box:
    """Holds a value that is itself a future, which must not be taken for one that a load returned."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value


KEPT = {Future, _Box}


def _kept(value: object) -> object:
    kind: type = type(value)
    return _Box(value) if kind is Future else value


def _value_of(found: Any) -> Any:
    kind: type = type(found)  # pyright: ignore[reportUnknownVariableType]
    if kind is Future:
        return found.result()
    return found.value if kind is _Box else found


class Values(MutableMapping[Any, Any]):
    """What `OwnCache` knows, as the mapping from keys to values that users see."""

    __slots__ = ("_cache",)

    def __init__(self, cache: OwnCache) -> None:
        self._cache = cache

    def __getitem__(self, key: Any) -> Any:
        return _value_of(self._cache.known[key])

    def __setitem__(self, key: Any, value: Any) -> None:
        self._cache.set(key, value)

    def __delitem__(self, key: Any) -> None:
        del self._cache.known[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._cache.known)

    def __len__(self) -> int:
        return self._cache.size

    def __repr__(self) -> str:
        return repr(dict(self))


class NoCache:
    """``cache=False``: remembers nothing, and touches no mapping."""

    __slots__ = ("known", "map")

    must_ask = False
    size = 0

    def __init__(self, cache_map: MutableMapping[Any, Any]) -> None:
        self.known: dict[Any, Any] = {}
        self.map = cache_map

    def get(self, _key: Hashable, /) -> Any:
        """MISSING."""
        return MISSING

    def get_many(self, _keys: Iterable[Hashable], /) -> dict[Any, Any]:
        """Nothing."""
        return {}

    def leave_loop(self) -> None:
        """Do nothing."""

    def set(self, _key: Hashable, _value: object, /) -> None:
        """Do nothing."""

    def share(self, _key: Hashable, _future: Future[Any], /) -> None:
        """Do nothing."""

    def drop(self, _key: Hashable, /) -> None:
        """Do nothing."""

    def clear(self) -> None:
        """Do nothing."""

    def store(self, *_: object) -> None:
        """Do nothing."""


class UsersCache:
    """A mapping of the user's, behind a guard.

    One that raises, evicts or is changed by others never fails a load: it is logged once and the key counts as not
    cached.
    """

    __slots__ = ("_logged", "_name", "known", "map")

    must_ask = True

    def __init__(self, name: str, cache_map: MutableMapping[Any, Any]) -> None:
        self._name = name
        self.known: dict[Any, Any] = {}
        self.map = cache_map
        self._logged = False

    @property
    def size(self) -> int | str:
        """How many values are kept, for a repr: it must not fail."""
        try:
            return len(self.map)
        except Exception:
            return "?"

    def get(self, key: Hashable) -> Any:
        """A value, or MISSING."""
        return self._guarded(self._read, key, otherwise=MISSING)

    def get_many(self, keys: Iterable[Hashable]) -> dict[Any, Any]:
        """The values of those keys that have one."""
        pairs = ((key, self.get(key)) for key in keys)
        return {key: value for key, value in pairs if value is not MISSING}

    def leave_loop(self) -> None:
        """Do nothing: there are only values."""

    def set(self, key: Hashable, value: object) -> None:
        """Remember one value."""
        self._guarded(self.map.__setitem__, key, value)

    def share(self, _key: Hashable, _future: Future[Any], /) -> None:
        """Do nothing: the mapping is for values."""

    def drop(self, key: Hashable) -> None:
        """Forget one value, if it is there."""
        self._guarded(self.map.pop, key, None)

    def clear(self) -> None:
        """Forget everything."""
        self._guarded(self.map.clear)

    def store(
        self,
        entries: dict[Any, Any],
        values: Collection[Any],
        _kinds: AbstractSet[type],
        outdated: AbstractSet[Hashable],
        _is_plain: bool = False,
    ) -> None:
        """Remember what a batch returned."""
        for key, value in zip(entries, values, strict=True):
            if key not in outdated:
                self.set(key, value)

    def _read(self, key: Hashable) -> Any:
        try:
            return self.map[key]  # not .get(): cachetools and others count and load in __getitem__
        except KeyError:
            return MISSING

    def _guarded(self, operation: Callable[..., T], *args: Any, otherwise: Any = None) -> T | Any:
        try:
            return operation(*args)
        except Exception:
            if not self._logged:
                self._logged = True
                logger.exception(
                    "cache_map of loader %r raised; the loader works on without it (logged once)", self._name
                )
            return otherwise
