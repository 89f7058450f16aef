"""Starting tasks: at once where Python can."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

__all__ = ("task_starter",)

T = TypeVar("T")


def task_starter(loop: asyncio.AbstractEventLoop) -> Callable[[Coroutine[Any, Any, T]], asyncio.Task[T]]:
    """What makes and starts tasks of the running loop at once: a turn is saved, and often the whole task."""
    if sys.version_info >= (3, 12) and loop.get_task_factory() is None:
        return partial(asyncio.Task, loop=loop, eager_start=True)
    return loop.create_task
