"""Seeing that everybody who waits for a running batch has left, without a callback for each of them."""

from __future__ import annotations

from asyncio import Future
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, final

from dloader._callers import Crowd, Entry, Share, future_of

__all__ = ("Watch",)


@final
class Watch:
    """Has a callback on one of the futures that wait; once that is done, on another. Lives while a batch runs.

    However many wait, that is one callback, and `left` is called one turn of the loop after the last of them has left.
    """

    __slots__ = ("_left", "_waiting")

    def __init__(self, entries: Iterable[Entry[Any]], left: Callable[[], object]) -> None:
        self._left = left
        self._waiting: deque[Any] = deque(entries)
        """The watched one last; those before it have not been looked at."""

    def add(self, member: Future[Any] | Share[Any]) -> None:
        """One more waits."""
        self._waiting.appendleft(member)

    def look(self, _: object = None) -> None:
        """Watch the next one who still waits."""
        waiting = self._waiting
        while waiting:
            one = waiting[-1]
            if type(one) is Crowd:
                waiting.pop()
                waiting.extend(one)
                continue
            future = future_of(one)
            if not future.done():
                future.add_done_callback(self.look)
                return
            waiting.pop()
        self._left()

    def stop(self) -> None:
        """Watch nobody any more."""
        if self._waiting:
            future_of(self._waiting[-1]).remove_done_callback(self.look)
            self._waiting.clear()
