"""The matrix of event loops that every async law is checked on, and the runner that watches it.

No plugin: a test is a plain function that passes its coroutine function to `LoopRunner`, through the fixture
``run`` of conftest.py.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, ParamSpec, TypeVar

if sys.platform != "win32":
    import uvloop

P = ParamSpec("P")
T = TypeVar("T")

EVERY_KIND = ["asyncio", "debug"]
EVERY_KIND += ["uvloop"] if sys.platform != "win32" else []
EVERY_KIND += ["eager"] if sys.version_info >= (3, 12) else []
"""Stock asyncio, its debug mode, uvloop, and asyncio with eager tasks."""
KINDS = EVERY_KIND
"""Those that tests are run on."""
if asked := os.environ.get("DLOADER_TEST_LOOPS"):
    KINDS = [kind for kind in EVERY_KIND if kind in asked.split(",")]

HANG = 110
"""Seconds after which a test counts as hanging. Nothing ever waits for it, but a busy machine may need seventy."""


def new_loop(kind: str) -> asyncio.AbstractEventLoop:
    """A new event loop of one of `KINDS`."""
    loop = uvloop.new_event_loop() if kind == "uvloop" else asyncio.new_event_loop()
    if kind == "eager":
        loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
    loop.set_debug(kind == "debug")
    loop.slow_callback_duration = float("inf")  # else debug mode logs whenever the machine is busy
    return loop


class LoopRunner:
    """Runs coroutine functions to their end on new loops of one kind, and keeps what the loops reported."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.reports: list[dict[str, Any]] = []
        """What reached the loop's exception handler; a test takes out what it expects (`take_reports`)."""

    @property
    def eager(self) -> bool:
        """Whether new tasks run their first step at once."""
        return self.kind == "eager"

    def __call__(self, function: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``function(*args)`` on a new loop; fail if it hangs or leaves a task running."""
        results: list[T] = []

        async def guarded() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda _, context: self.reports.append(context))
            async with asyncio.timeout(HANG):
                results.append(await function(*args, **kwargs))
            await turns(2)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, f"left running: {left}"

        with asyncio.Runner(loop_factory=lambda: new_loop(self.kind), debug=self.kind == "debug") as runner:
            runner.run(guarded())  # a task's result is in its repr, which Runner asks for before Python 3.13
        return results[0]

    def take_reports(self) -> list[dict[str, Any]]:
        """Free what is garbage, and take the reports out: the test expected these."""
        gc.collect()
        taken, self.reports = self.reports, []
        return taken


def watched_runner(kind: str) -> Iterator[LoopRunner]:
    """A runner for one test, which fails if something was reported that it did not take out."""
    gc.freeze()  # what there is by now, and need not be looked at after the test: 4 ms a test
    runner = LoopRunner(kind)
    yield runner
    unexpected = runner.take_reports()
    assert not unexpected, f"reported to the event loop's exception handler: {unexpected}"


async def turns(number: int) -> None:
    """Let the event loop turn some times."""
    for _ in range(number):
        await asyncio.sleep(0)


class Recorder:
    """A batch function that keeps the key lists that it was called with, in order.

    It answers with `answer` (default: ten times each key), after `turns` turns of the loop, and while
    `gate` is given, not before the gate is open.
    """

    def __init__(
        self,
        answer: Callable[[list[Any]], Any] | None = None,
        *,
        turns: int = 0,
        gate: asyncio.Event | None = None,
    ) -> None:
        self.calls: list[list[Any]] = []
        self.answer = answer or (lambda keys: [key * 10 for key in keys])
        self.turns = turns
        self.gate = gate
        self.cancelled = 0
        self.running = self.most_running = 0

    async def __call__(self, keys: list[Any]) -> Any:
        self.calls.append(list(keys))
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await turns(self.turns)
            if self.gate is not None:
                await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        answer = self.answer(keys)
        return await answer if isinstance(answer, Awaitable) else answer
