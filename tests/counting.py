"""Counts what work makes (batches, futures, tasks, turns of the loop), for tests that never look at a clock."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any


class CountingLoop(asyncio.SelectorEventLoop):
    """An event loop that counts its turns."""

    turns = 0

    def _run_once(self) -> None:
        self.turns += 1
        super()._run_once()  # type: ignore[misc]


@dataclass
class Counts:
    """What there was when the last batch function was called, and in all."""

    batches: int = 0
    keys: int = 0
    futures: int = 0
    tasks: int = 0
    turns: int = 0

    def look(self, keys: list[Any]) -> None:
        """A batch function was called: count what is waited for now, futures that are no tasks, and tasks."""
        self.batches += 1
        self.keys += len(keys)
        found = [found for found in gc.get_objects() if isinstance(found, asyncio.Future)]
        self.futures = sum(not future.done() and not isinstance(future, asyncio.Task) for future in found)
        self.tasks = len(asyncio.all_tasks())


def counted(work: Callable[[Counts], Coroutine[Any, Any, Any]]) -> Counts:
    """Do some work on a loop of its own and count."""
    counts = Counts()

    async def counting() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, CountingLoop)
        before = loop.turns
        await work(counts)
        counts.turns = loop.turns - before

    gc.collect()
    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        runner.run(counting())
    return counts
