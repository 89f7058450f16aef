"""The methods of one level at work: called in order, awaited together, their values written as they come.

Methods that are there at once or give futures cost no task. From the first ``async def`` method of a level on, each
further method is called in a task of its own, since what that one does before it first waits comes first.
"""

from __future__ import annotations

import asyncio
import time
from asyncio import Future
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from types import CoroutineType
from typing import Any, NamedTuple, TypeAlias

from dloader.compat.pydantic_resolve._bound import BoundStep, Visit
from dloader.compat.pydantic_resolve._loaders import Loaders
from dloader.compat.pydantic_resolve._mapper import Mapped, all_awaited, is_awaited
from dloader.compat.pydantic_resolve._profile import Timer
from dloader.compat.pydantic_resolve.exceptions import MissingAnnotationError
from dloader.lowlevel import AskedSince, Batch, add_note_once, task_starter

__all__ = ("Calls", "Job", "Rules")

Job: TypeAlias = tuple[Visit, BoundStep]


class Rules(NamedTuple):
    """What holds for all methods of a resolve."""

    loaders: Loaders
    hooks: Sequence[Callable[[Any, str, Any], object]] = ()
    """Called with node, field and value before a value is written."""
    from_attributes: bool | None = None
    """Whether models are made of any object."""
    ensures_type: bool = False
    """Whether methods must have annotations."""
    timer: Callable[[Visit], Timer] | None = None
    """For a node, where to note how long its methods took."""


class Calls:
    """Methods that are called together; lives until all have given their values, or one has failed."""

    def __init__(self, jobs: Sequence[Job], rules: Rules) -> None:
        self._jobs = jobs
        self._rules = rules
        self._start = task_starter(asyncio.get_running_loop())
        self._values: list[Any] = [None] * len(jobs)
        self._waiting: list[tuple[int, Future[Any], Mapped[Any] | None]] = []
        """Methods that gave a future, which needs no task to be awaited."""
        self._tasks: list[asyncio.Task[None]] = []
        self._since: dict[int, float] = {}
        """When methods began, if that is asked."""

    async def run(self) -> list[Any]:
        """Call all, in order; return what was written.

        Raises:
            Exception: The first failure. What had been started for these methods is cancelled.
        """
        try:
            asked = AskedSince(self._rules.loaders.known)
            self._call_all()
            if self._waiting:
                await self._receive(asked)
            await self._finish_tasks()
        except BaseException:
            await self._stop()
            raise
        return self._values

    def _call_all(self) -> None:
        waiting, tasks = self._waiting, self._tasks
        for index in range(len(self._jobs)):
            if tasks:
                self._begin(self._whole(index))
                continue
            value, mapped = self._call(index)
            kind: type = type(value)  # pyright: ignore[reportUnknownVariableType]
            if kind is Future:
                waiting.append((index, value, mapped))
            elif kind is CoroutineType:
                self._begin(self._rest(index, value, mapped))
            elif asyncio.isfuture(value):
                waiting.append((index, value, mapped))
            else:
                self._write(index, value, mapped)

    def _call(self, index: int) -> tuple[Any, Mapped[Any] | None]:
        visit, step = self._jobs[index]
        if self._rules.timer is not None:
            self._since[index] = time.perf_counter()
        if self._rules.ensures_type and step.lacks_annotations(visit[0]):
            raise MissingAnnotationError(f"{step.name}: return annotation is required, as ensure_type says")
        try:
            return step.call(visit)
        except Exception as error:
            self._note(error, index)
            raise

    def _write(self, index: int, value: Any, mapped: Mapped[Any] | None) -> None:
        """Write a value, past the model's own checks of what is assigned."""
        visit, step = self._jobs[index]
        rules = self._rules
        try:
            convert = step.step.convert if mapped is None else mapped.convert
            value = convert(value, rules.from_attributes)
            for hook in rules.hooks:
                hook(visit[0], step.field, value)
            object.__setattr__(visit[0], step.field, value)
        except Exception as error:
            self._note(error, index)
            raise
        self._values[index] = value
        if rules.timer is not None:
            rules.timer(visit).add(self._since[index])

    def _note(self, error: Exception, index: int) -> None:
        visit, step = self._jobs[index]
        add_note_once(error, f"while resolving {type(visit[0]).__qualname__}.{step.name}")

    # -- what is awaited by a task ---------------------------------------------------------------------------

    def _begin(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self._start(coroutine)
        self._tasks.append(task)
        if task.done():
            task.result()

    async def _whole(self, index: int) -> None:
        await self._rest(index, *self._call(index))

    async def _rest(self, index: int, value: Any, mapped: Mapped[Any] | None) -> None:
        try:
            value = await all_awaited(value)
        except Exception as error:
            self._note(error, index)
            raise
        self._write(index, value, mapped)

    async def _finish_tasks(self) -> None:
        while unfinished := [task for task in self._tasks if not task.done()]:
            await asyncio.wait(unfinished, return_when=asyncio.FIRST_EXCEPTION)
            for task in unfinished:
                if task.done():
                    task.result()

    async def _stop(self) -> None:
        """Cancel the tasks, and wait until they have ended; nobody looks at the other failures."""
        for _, future, _ in self._waiting:
            future.add_done_callback(_look_at)
        unfinished = [task for task in self._tasks if not task.done()]
        for task in unfinished:
            task.cancel()
        if unfinished:
            await asyncio.wait(unfinished)
        for task in self._tasks:
            _look_at(task)

    # -- what is awaited without one -------------------------------------------------------------------------

    async def _receive(self, asked: AskedSince) -> None:
        """Write what futures give: of loads, when their batches have ended; of others, by tasks."""
        if not self._tasks:
            await self._load(asked)
        for index, future, mapped in self._waiting:
            # Where others run between, each value is written when it comes.
            if self._tasks or not future.done() or future.cancelled() or future.exception() is not None:
                self._begin(self._rest(index, future, mapped))
                continue
            value = future.result()
            if is_awaited(value):
                self._begin(self._rest(index, value, mapped))
            else:
                self._write(index, value, mapped)

    async def _load(self, asked: AskedSince) -> None:
        """Close the open batches of our own loaders, as nobody else can add to them, and wait until all have ended."""
        batches = asked.batches()
        ended: Future[None] = asyncio.get_running_loop().create_future()
        unfinished = len(batches)

        def end(batch: Batch[Any, Any]) -> None:
            nonlocal unfinished
            unfinished -= 1
            if (not unfinished or batch.has_failed) and not ended.done():
                ended.set_result(None)

        for batch in batches:
            batch.on_end(partial(end, batch))
        for loader in self._rules.loaders.own:
            loader.dispatch()
        if batches:
            await ended


def _look_at(future: Future[Any]) -> None:
    """Have asyncio not report that nobody has looked at a failure."""
    if not future.cancelled():
        future.exception()
