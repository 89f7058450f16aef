"""Which event loop a loader is bound to, and how its work ends: cancelled and awaited, or drained."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, TypeAlias, final

from dloader._core._batch import Batch, Outcome
from dloader._core._cache import Cache
from dloader._core._deliver import LOST, CallersCancelled, CallersTold
from dloader._core._pending import Pending
from dloader._core._wait_graph import batch_here, waiting_batches
from dloader.errors import LoaderClosedError, WrongLoopError

__all__ = ("Lifecycle", "end_together", "finish", "report")

Task: TypeAlias = "asyncio.Task[Exception | None]"


@final
class Lifecycle:
    """Binds a loader to a loop, as long as there is no open work on another one, and ends it. Lives as long as it."""

    __slots__ = ("_cache", "_is_draining", "_loop", "_name", "_pending", "closed")

    def __init__(
        self, name: str, pending: Pending[Any, Any], cache: Cache, loop: asyncio.AbstractEventLoop | None
    ) -> None:
        self._name = name
        self._pending = pending
        self._cache = cache
        self._loop = loop
        """The loop for loads outside a coroutine."""
        self.closed = self._is_draining = False

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits for a key and no batch runs."""
        return not (self._pending.size or self._pending.queue.running)

    def enter(self, running: asyncio.AbstractEventLoop | None) -> bool:
        """Check that a load may happen here; return whether it is on a loop that the loader was not bound to.

        Raises:
            LoaderClosedError: The loader was shut down.
            WrongLoopError: There is no event loop, or another one has open batches.
        """
        if self.closed:
            self._let_in(running)
        loop = self._loop if running is None else running
        if loop is None:
            raise WrongLoopError(
                f"loader {self._name!r}: load() was called outside an event loop; await it inside a coroutine, "
                f"or pass loop= to the loader"
            )
        if running is None and loop.is_running():
            raise WrongLoopError(
                f"loader {self._name!r}: load() was called from a thread other than that of its event loop; "
                f"use asyncio.run_coroutine_threadsafe"
            )
        if loop is not self._pending.loop:
            self._bind(loop)
            return True
        if running is None:  # futures are made in another way outside of the loop that runs
            self._pending.bind(loop)
        return False

    def _let_in(self, running: asyncio.AbstractEventLoop | None) -> None:
        """Let a closed loader load only what is wanted by a batch function, so that open work can be finished."""
        if not self._is_draining or running is None or batch_here() is None:
            raise LoaderClosedError(
                f"loader {self._name!r} was shut down and takes no more loads; make a new one"
            )
        running.call_soon(self.close_open)  # its policy may wait for somebody who is gone

    def _bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Work on `loop` from now on; the work of a loop that was closed is forgotten."""
        bound = self._pending.loop
        if bound is not None and not self.is_idle:
            if not bound.is_closed():
                raise WrongLoopError(
                    f"loader {self._name!r} has open batches on another event loop ({bound!r}); a loader "
                    f"belongs to one loop and thread at a time: make one loader per loop, or await the open loads first"
                )
            self._forget()
        self._cache.leave_loop()
        self._pending.bind(loop)

    def _forget(self) -> None:
        """Drop the work of a loop that was closed: nobody can be told any more."""
        for batch in self._pending.open_batches:
            batch.end(LOST)
        self._pending.queue.forget()

    @property
    def is_starting(self) -> bool:
        """Whether a batch is in the first step of its task, which is not known before that has been taken."""
        return any(place.task is None for place in self._pending.queue.running.values())

    def close(self, *, draining: bool = False) -> None:
        """Take no more loads, or while `draining` only those that running batch functions make.

        Raises:
            WrongLoopError: There is open work on another event loop, on which it must be ended.
        """
        loop = self._pending.loop
        if loop is not None and loop.is_closed():
            self._forget()
        elif not self.is_idle and loop is not _running_loop():
            raise WrongLoopError(
                f"loader {self._name!r} has open batches on another event loop; shut it down there"
            )
        self.closed = True
        self._is_draining = draining

    def cancel(self, outcome: Outcome) -> set[Task]:
        """End every batch with `outcome`, cancel those that run, and return their tasks, which are to be awaited.

        A task that is being cancelled already is cleaning up: that must not be cancelled in its turn.
        """
        queue = self._pending.queue
        running, tasks = list(queue.running), queue.tasks()
        for batch in [*self._pending.unstarted(), *running]:
            batch.end(outcome)
        for task in tasks:
            if not task.cancelling():
                task.cancel()
        return tasks

    def cancel_telling(self, why: str) -> set[Task]:
        """The same; those who wait get a `LoaderClosedError`, as nobody has cancelled them."""
        return self.cancel(CallersTold(f"loader {self._name!r} {why}"))

    async def shut_down(self) -> ExceptionGroup[Exception] | None:
        """Cancel every caller and running batch, await these, and return what they raised."""
        outcome = CallersCancelled(f"loader {self._name!r} was shut down")
        tasks = self.cancel(outcome)
        if self.is_starting:  # called by an eager task that was made in the first step of a batch function
            await asyncio.sleep(0)
            tasks |= self.cancel(outcome)
        if tasks:
            await asyncio.wait(tasks)  # being cancelled here leaves the tasks to end on their own
        return self.raised(tasks)

    def raised(self, tasks: Iterable[Task]) -> ExceptionGroup[Exception] | None:
        """What tasks that were cancelled, and have ended, raised."""
        results = [task.result() for task in tasks if not task.cancelled() and task.exception() is None]
        errors = [error for error in results if error is not None]
        return ExceptionGroup(f"shutting down loader {self._name!r}", errors) if errors else None

    def close_open(self) -> None:
        """Have what is open loaded now, whatever its policy waits for."""
        for batch in self._pending.open_batches:
            batch.close_because("draining")

    def unended(self) -> list[Batch[Any, Any]]:
        """The batches for which somebody waits, or may."""
        batches = (*self._pending.unstarted(), *self._pending.queue.running)
        return [batch for batch in batches if not batch.has_ended]


async def finish(lives: Sequence[Lifecycle]) -> None:
    """Wait until every batch of some loaders has ended, but for those that wait for the code that calls this."""
    for life in lives:
        life.close_open()
    here = batch_here()
    waits = set[Any]() if here is None else {here} | waiting_batches(here)
    loop = asyncio.get_running_loop()
    while batches := [batch for life in lives for batch in life.unended() if batch not in waits]:
        for batch in batches:
            if not batch.has_ended:
                ended = loop.create_future()
                batch.on_end(partial(_complete, ended))
                await ended


async def end_together(lives: Sequence[Lifecycle], why: str) -> None:
    """Cancel the work of loaders that were closed, all at once, then await all of it.

    Args:
        lives: Those of the loaders.
        why: What happened to them, for those who wait: they get a `LoaderClosedError`.
    """
    tasks = [life.cancel_telling(why) for life in lives]
    if any(life.is_starting for life in lives):
        await asyncio.sleep(0)
        tasks = [some | life.cancel_telling(why) for life, some in zip(lives, tasks, strict=True)]
    every = set[Task]().union(*tasks)
    if every:
        await asyncio.wait(every)  # being cancelled here leaves the tasks to end on their own
    for life, some in zip(lives, tasks, strict=True):
        report(life.raised(some))


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _complete(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def report(errors: ExceptionGroup[Exception] | None) -> None:
    """Tell the loop's exception handler what nobody is returned."""
    if errors is not None:
        asyncio.get_running_loop().call_exception_handler({"message": errors.message, "exception": errors})
