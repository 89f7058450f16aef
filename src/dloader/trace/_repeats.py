"""Which keys of a loader class were loaded before, and which stood in the result before."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence
from typing import Any, final

from dloader._text import shorten
from dloader.instruments import ObservedLoader
from dloader.trace._recorder import Entry
from dloader.trace._strict import kind_of, stands_in

__all__ = ("Repeats",)


@final
class Repeats:
    """Which keys of a loader class were loaded before, and which stood in the result before."""

    def __init__(self, forgotten: Sequence[tuple[int, ObservedLoader, Sequence[Any] | None]]) -> None:
        self._forgotten = deque(forgotten)
        self._loaded: dict[Hashable, dict[Any, ObservedLoader]] = {}
        self._numbers: dict[Hashable, dict[Any, int]] = {}
        self._last: dict[Hashable, Entry] = {}

    def single(self, entry: Entry) -> tuple[int | None, bool]:
        """The number of the key of a batch of one, and whether the batch before has brought it."""
        kind, keys = kind_of(entry.record.loader), entry.record.keys
        before = self._last.get(kind)
        self._last[kind] = entry
        if len(keys) != 1:
            return None, False
        key = _hashable(keys[0])
        numbers = self._numbers.setdefault(kind, {})
        chained = before is not None and stands_in(keys[0], before.found)
        return numbers.setdefault(key, len(numbers)), chained

    def again(self, entry: Entry) -> int:
        """How many keys of a batch were loaded before, and could have been kept."""
        record = entry.record
        self._forget_until(record.opened)
        loaded = self._loaded.setdefault(kind_of(record.loader), {})
        keeps: bool = getattr(record.loader, "cache", True)
        count = 0
        for key in map(_hashable, record.keys):
            before = loaded.get(key)
            count += before is not None and (before is not record.loader or not keeps)
            if record.outcome == "returned" and not record.failed:
                loaded[key] = record.loader
        return count

    def _forget_until(self, when: int) -> None:
        while self._forgotten and self._forgotten[0][0] <= when:
            _, loader, keys = self._forgotten.popleft()
            loaded = self._loaded.get(kind_of(loader), {})
            for key in list(loaded) if keys is None else map(_hashable, keys):
                loaded.pop(key, None)


def _hashable(key: Any) -> Any:
    try:
        hash(key)
    except Exception:
        return f"unhashable {shorten(key)}"
    return key
