"""What may stand in a column of values: futures, tasks, coroutines, the futures of loads, one ``load_many`` for all."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Iterator, Sequence
from typing import Any, TypeGuard

from dloader._callers import Many, is_done

__all__ = ("abandon", "are_done", "first_failure", "has_failure", "is_many", "result_of", "results")

FUTURES = {Future, asyncio.Task}


def is_many(value: Any) -> TypeGuard[Many[Any]]:
    """Whether it is one ``load_many`` for all nodes."""
    return isinstance(value, Many)


def are_done(values: Any) -> bool:
    """Whether there is nothing left to wait for."""
    if is_many(values):
        return True  # it waited for its batches, or one of them failed
    if set(map(type, values)) <= FUTURES:
        return all(map(is_done, values))
    return all(value.done() for value in values if asyncio.isfuture(value))


def results(values: Any) -> list[Any]:
    """The results of those that are futures; the first failure is raised."""
    if is_many(values):
        return values.future.result()
    if set(map(type, values)) <= FUTURES:
        return [value.result() for value in values]
    return [value.result() if asyncio.isfuture(value) else value for value in values]


def has_failure(values: Sequence[Any]) -> bool:
    """Whether one of them has failed, be the others done or not."""
    return any(map(_has_failed, values))


async def result_of(value: Any) -> Any:
    """Await something that is no future, in a task."""
    return await value


def _has_failed(value: Any) -> bool:
    if not asyncio.isfuture(value) or not value.done():
        return False
    return value.cancelled() or value.exception() is not None


def first_failure(values: Any) -> tuple[int, asyncio.Future[Any]]:
    """The first failed future among some values, and the place of the node that it is for."""
    if is_many(values):
        return _first_failing_key(values), values.future  # a place among the distinct keys
    return next((index, value) for index, value in enumerate(values) if _has_failed(value))


def _first_failing_key(many: Many[Any]) -> int:
    """The place of the key that a ``load_many`` failed for."""
    failed = {cache_key for share in many.shares if share.batch.failed for cache_key in share.cache_keys}
    wanted = failed or set(many.cache_keys)
    return next(index for index, key in enumerate(many.cache_keys) if key in wanted and key not in many.found)


def abandon(values: Any) -> Iterator[asyncio.Task[Any]]:
    """Cancel what is waited for; the tasks among it are still to be awaited."""
    for value in (values.future,) if is_many(values) else values:
        if asyncio.iscoroutine(value):
            value.close()  # a later node's method failed before it was awaited
        elif asyncio.isfuture(value):
            if not value.cancel() and not value.cancelled():
                value.exception()  # looked at: another failure is being raised
            elif isinstance(value, asyncio.Task):
                yield value
