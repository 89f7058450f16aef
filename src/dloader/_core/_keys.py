"""From a key to its cache key, and what is wrong with a key that has none."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from inspect import iscoroutine
from typing import Any, Generic, cast

from dloader._core._error_copies import add_note_once
from dloader._core._types import K
from dloader._text import shorten
from dloader.errors import KeyTypeError

__all__ = ("Keys",)


class Keys(Generic[K]):
    """What one loader takes for a key; lives as long as the loader."""

    __slots__ = ("_key_fn", "_name", "are_cache_keys", "duplicates")

    def __init__(self, name: str, key_fn: Callable[[K], Hashable] | None) -> None:
        self._name = name
        self._key_fn = key_fn
        self.are_cache_keys = key_fn is None
        """Whether keys stand for themselves in the cache."""
        self.duplicates = 0
        """How many keys stood in one set more than once."""

    def note_duplicates(self, count: int) -> None:
        """Note that keys stood more than once in a set that was asked for."""
        self.duplicates += count

    def cache_key(self, key: K) -> Hashable:
        """The cache key of a key; whether it can be hashed is seen where it is used."""
        if self._key_fn is not None:
            return self._made(self._key_fn, key)
        if key is None:
            raise self._unusable(key, None)
        return key

    def _made(self, key_fn: Callable[[K], Hashable], key: K) -> Hashable:
        """What the user's function makes of a key: anything but None, or what would have to be awaited."""
        try:
            cache_key = key_fn(key)
        except Exception as error:
            add_note_once(error, f"in cache_key_fn of loader {self._name!r}, for key {shorten(key)}")
            raise
        if cache_key is None or hasattr(type(cache_key), "__await__"):
            if iscoroutine(cache_key):
                cache_key.close()
            what = (
                "None: does it lack a return?"
                if cache_key is None
                else "something to await: it must not be async"
            )
            raise KeyTypeError(
                f"loader {self._name!r} cannot use the key {shorten(key)}: cache_key_fn {shorten(key_fn)} gave {what}"
            )
        return cache_key

    def hashable_cache_key(self, key: K) -> Hashable:
        """The same, and it can be hashed."""
        cache_key = self.cache_key(key)
        try:
            hash(cache_key)
        except TypeError as error:
            raise self._unusable(key, cache_key) from error
        return cache_key

    def unique(self, keys: Iterable[K], keep_keys: bool) -> tuple[list[Any], dict[Any, K]]:
        """The cache keys of many keys, in their order, and a dict of the different ones.

        Args:
            keys: The keys, which may repeat.
            keep_keys: Whether somebody will look at the values of the dict: the keys as they were given.
        """
        given = self.listed("load_many", keys)
        cache_keys: list[Any] = given if self._key_fn is None else [self.cache_key(key) for key in given]
        try:
            unique: dict[Any, Any] = (
                dict(zip(cache_keys, given, strict=True))
                if keep_keys or self._key_fn
                else dict.fromkeys(given)  # a third less
            )
        except TypeError as error:
            for key, cache_key in zip(given, cache_keys, strict=True):
                self.check_hashable(key, cache_key, error)
            raise
        if None in unique and self._key_fn is None:
            raise self._unusable(None, None)
        return cache_keys, unique

    def listed(self, method: str, keys: Iterable[K]) -> list[K]:
        """The keys that a method was given, in a list of our own; a string is one key, and most likely a mistake."""
        if type(keys) is list:  # most often: to ask for its base classes would be a fiftieth of a small set
            return list(keys)  # pyright: ignore[reportUnknownArgumentType]
        if not isinstance(cast(object, keys), Iterable) or isinstance(keys, (str, bytes, bytearray)):
            cure = f": write {method}([{shorten(keys)}])" if isinstance(keys, Iterable) else ""
            raise KeyTypeError(
                f"{method}() of loader {self._name!r} takes an iterable of keys, not {shorten(keys)}{cure}"
            )
        return list(keys)

    def first_unusable_index(self, keys: Iterable[K]) -> int:
        """The place of the first key that has no cache key; 0 if there is none."""
        for index, key in enumerate(keys):
            try:
                hash(self.cache_key(key))
            except Exception:
                return index
        return 0

    def unusable(self, keys: Iterable[K]) -> dict[int, Exception]:
        """The places of the keys that have no cache key, and why."""
        found: dict[int, Exception] = {}
        for index, key in enumerate(keys):
            try:
                self.hashable_cache_key(key)
            except Exception as error:
                found[index] = error
        return found

    def check_hashable(self, key: object, cache_key: object, error: TypeError) -> None:
        """Tell what is wrong with a key that was hashed; if nothing is, it was the key's own ``__eq__`` that raised."""
        try:
            hash(cache_key)
        except TypeError:
            raise self._unusable(key, cache_key) from error

    def _unusable(self, key: object, cache_key: object) -> KeyTypeError:
        what = "None" if key is None else f"{shorten(key)} ({type(cache_key).__name__} is not hashable)"
        cure = (
            "cache_key_fn must return something hashable"
            if self._key_fn
            else "pass cache_key_fn= to make one of it"
        )
        return KeyTypeError(f"loader {self._name!r} cannot use the key {what}: {cure}")
