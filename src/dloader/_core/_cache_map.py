"""A mapping of the user's as the cache of a loader, behind a guard."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Hashable, MutableMapping, Set as AbstractSet
from typing import Any, TypeVar

from dloader._core._cache import Cache, FutureCache
from dloader._core._types import MISSING

__all__ = ("MappingCache", "make_cache")

T = TypeVar("T")

logger = logging.getLogger("dloader")


def make_cache(name: str, cache_map: MutableMapping[Any, Any] | None, enabled: bool) -> Cache:
    """The cache of a new loader."""
    if not enabled:
        return Cache(cache_map)
    return FutureCache() if cache_map is None else MappingCache(name, cache_map)


class MappingCache(Cache):
    """Keeps values in a mapping of the user's; its errors never fail a load.

    One that raises, evicts or is changed by others is logged once, and the key counts as not cached.
    """

    __slots__ = ("_logged", "_name")

    is_opaque = True

    def __init__(self, name: str, cache_map: MutableMapping[Any, Any]) -> None:
        super().__init__(cache_map)
        self._name = name
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

    def set(self, key: Hashable, value: object) -> None:
        """Remember one value."""
        self._guarded(self.map.__setitem__, key, value)

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
        outdated: AbstractSet[Hashable],
        _are_futures: bool = False,
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
