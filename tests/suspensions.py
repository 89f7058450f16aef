"""Counts the awaits at which any task of an event loop stops, and does something at one of them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from typing import Any


class Counted(Coroutine[Any, Any, Any]):
    """A coroutine that tells when it has stopped at an await."""

    def __init__(self, inner: Coroutine[Any, Any, Any], stopped: Callable[[], None]) -> None:
        self._inner = inner
        self._stopped = stopped

    def send(self, value: Any) -> Any:
        """Go on, to the next await."""
        awaited = self._inner.send(value)
        self._stopped()
        return awaited

    def throw(self, *error: Any) -> Any:
        """Go on with an error, to the next await."""
        awaited = self._inner.throw(*error)
        self._stopped()
        return awaited

    def close(self) -> None:
        """End it."""
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        raise NotImplementedError  # a task sends to it


@contextmanager
def at_suspension(number: int, act: Callable[[], object], *, eager: bool) -> Iterator[Callable[[], bool]]:
    """Call `act` when the tasks that begin in this block have stopped at awaits so many times, all together.

    Args:
        number: At which of them; 0 is the first.
        act: Called inside the task that stops there, just before it waits.
        eager: Whether tasks take their first step at once.

    Yields:
        Whether it was called.
    """
    loop, count = asyncio.get_running_loop(), 0

    def stopped() -> None:
        nonlocal count
        count += 1
        if count == number + 1:
            act()

    def make(
        loop: asyncio.AbstractEventLoop, inner: Coroutine[Any, Any, Any], **options: Any
    ) -> asyncio.Task[Any]:
        if eager and sys.version_info >= (3, 12):
            options["eager_start"] = True
        return asyncio.Task(Counted(inner, stopped), loop=loop, **options)

    before = loop.get_task_factory()
    loop.set_task_factory(make)
    try:
        yield lambda: count > number
    finally:
        loop.set_task_factory(before)
