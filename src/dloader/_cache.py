"""The cache of one loader: the user's mapping, behind a guard.

A mapping that raises, evicts or is changed by others never fails a load: it is logged once and the
key counts as not cached.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Mapping, MutableMapping, Set as AbstractSet
from typing import Any, TypeVar

from dloader._results import MISSING

__all__ = ("Cache",)

T = TypeVar("T")

logger = logging.getLogger("dloader")


class Cache:
    """Values, and exceptions that loads are to raise, by cache key; lives as long as its loader."""

    __slots__ = ("_logged", "_name", "enabled", "get", "map", "plain")

    def __init__(self, name: str, cache_map: MutableMapping[Any, Any] | None, enabled: bool) -> None:
        self._name = name
        self.map: MutableMapping[Any, Any] = {} if cache_map is None else cache_map
        self.plain = type(self.map) is dict
        """Whether the map is a plain dict, which cannot fail or evict."""
        self.enabled = enabled
        self._logged = False
        self.get: Callable[[Hashable, object], Any] = self._get
        if not enabled:
            self.get = _nothing
        elif self.plain:  # one call less at each load
            self.get = self.map.get

    def store(self, values: Mapping[Any, Any], outdated: AbstractSet[Hashable]) -> None:
        """Remember what a batch returned, but not for the keys that were cleared or primed meanwhile."""
        if not self.enabled:
            return
        if outdated:
            values = {key: value for key, value in values.items() if key not in outdated}
        if self.plain:
            self.map.update(values)
            return
        for key, value in values.items():
            self.set(key, value)

    def set(self, key: Hashable, value: object) -> None:
        """Remember one value."""
        self._guarded(self.map.__setitem__, key, value)

    def drop(self, key: Hashable) -> None:
        """Forget one value, if it is there."""
        self._guarded(self.map.pop, key, None)

    def clear(self) -> None:
        """Forget everything."""
        self._guarded(self.map.clear)

    def size(self) -> int | str:
        """How many values are kept, for a repr: it must not fail."""
        if not self.enabled:
            return 0
        try:
            return len(self.map)
        except Exception:
            return "?"

    def _get(self, key: Hashable, missing: object) -> Any:
        return self._guarded(self._read, key, otherwise=missing)

    def _read(self, key: Hashable) -> Any:
        try:
            return self.map[key]  # not .get(): cachetools and others count and load in __getitem__
        except KeyError:
            return MISSING

    def _guarded(self, operation: Callable[..., T], *args: Any, otherwise: Any = None) -> T | Any:
        if not self.enabled:
            return otherwise
        try:
            return operation(*args)
        except Exception:
            if not self._logged:
                self._logged = True
                logger.exception(
                    "cache_map of loader %r raised; the loader works on without it (logged once)", self._name
                )
            return otherwise


def _nothing(_key: Hashable, missing: object) -> object:
    return missing
