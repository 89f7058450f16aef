"""How the work of a loader ends: cancelled and awaited, or drained."""

from __future__ import annotations

import asyncio
from typing import Any

from dloader._batches import Batches
from dloader.errors import WrongLoopError

__all__ = ("drain", "report", "shut_down")


async def shut_down(batches: Batches[Any, Any]) -> ExceptionGroup[Exception] | None:
    """Cancel every caller and every running batch, await the batches, and return what they raised."""
    _check_loop(batches)
    running = list(batches.running)
    for batch in batches.unstarted():
        batch.cancel_callers()
    tasks = {batch.task for batch in running if batch.task is not None} - {asyncio.current_task()}
    for batch in running:
        batch.cancel_callers()
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)  # being cancelled here leaves the tasks to end on their own
    errors = [batch.error for batch in running if batch.error is not None]
    return ExceptionGroup(f"shutting down loader {batches.loader.name!r}", errors) if errors else None


async def drain(batches: Batches[Any, Any]) -> None:
    """Close what is open and wait until every batch has ended."""
    _check_loop(batches)
    if batches.open is not None:
        batches.open.close()
    batches.queue.start()  # full batches start a turn after their last key
    while batches.running:
        tasks = {batch.task for batch in batches.running if batch.task is not None} - {asyncio.current_task()}
        if not tasks:
            return
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)


def report(errors: ExceptionGroup[Exception] | None) -> None:
    """Tell the loop's exception handler what nobody is returned."""
    if errors is not None:
        asyncio.get_running_loop().call_exception_handler({"message": errors.message, "exception": errors})


def _check_loop(batches: Batches[Any, Any]) -> None:
    """Work must be ended on its own loop, if that is still there."""
    if batches.loop is not None and batches.loop.is_closed():
        batches.forget()
    elif batches.loop is not asyncio.get_running_loop() and (batches.waiting or batches.running):
        raise WrongLoopError(
            f"loader {batches.loader.name!r} has open batches on another event loop; shut it down there"
        )
