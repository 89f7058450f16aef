"""Counts what work makes (batches, futures, tasks, turns of the loop), for tests that never look at a clock."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import CodeType, FrameType
from typing import Any

import dloader

PACKAGE = dloader.__path__[0]


class CountingLoop(asyncio.SelectorEventLoop):
    """An event loop that counts its turns."""

    turns = 0

    def _run_once(self) -> None:
        self.turns += 1
        super()._run_once()  # type: ignore[misc]


def pending_futures() -> int:
    """How many futures that are no tasks somebody waits for now."""
    found = [found for found in gc.get_objects() if isinstance(found, asyncio.Future)]
    return sum(not future.done() and not isinstance(future, asyncio.Task) for future in found)


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
        self.futures = pending_futures()
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


def steps_of(work: Callable[[], object]) -> int:
    """How many steps Python takes inside of dloader (instructions of its bytecode) while some work is done."""
    with without_collector():
        return _monitored_steps(work) if sys.version_info >= (3, 12) else _traced_steps(work)


def _monitored_steps(work: Callable[[], object]) -> int:
    """By PEP 669: since Python 3.12 trace functions are built on it, and that release's lose events."""
    monitoring: Any = sys.monitoring
    tool, events, steps = monitoring.PROFILER_ID, monitoring.events, 0

    def step(code: CodeType, _: int) -> Any:
        nonlocal steps
        if not code.co_filename.startswith(PACKAGE):
            return monitoring.DISABLE
        steps += 1
        return None

    monitoring.use_tool_id(tool, "dloader's tests")
    monitoring.restart_events()
    monitoring.register_callback(tool, events.INSTRUCTION, step)
    monitoring.set_events(tool, events.INSTRUCTION)
    try:
        work()
    finally:
        monitoring.set_events(tool, 0)
        monitoring.register_callback(tool, events.INSTRUCTION, None)
        monitoring.free_tool_id(tool)
    return steps


def _traced_steps(work: Callable[[], object]) -> int:
    steps = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal steps
        if event == "call":
            if not frame.f_code.co_filename.startswith(PACKAGE):
                return None
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        steps += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return steps


@contextmanager
def without_collector() -> Iterator[None]:
    """Leave the plans of local classes alone, which a full collection lets go."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def growth(work: Callable[[int], object], size: int) -> float:
    """How much more the third `size` of some work takes than the second: 1 if its cost is linear, 1.67 if quadratic.

    Args:
        work: Takes a size. It is done twice before, so that what is made once is there, or at the second time.
        size: So many things that the cost of each outweighs what all cost together.
    """
    with without_collector():
        work(3 * size)
        work(3 * size)
        one, two, three = (steps_of(partial(work, times * size)) for times in (1, 2, 3))
    return (three - two) / (two - one)
