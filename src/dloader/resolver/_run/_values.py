"""Values that are not there yet: a list of them, one for each node, or one ``load_many`` for all.

Both are asked by `Values.get` until the values are there. A list waits for the batches that took keys while it was
made, if it is of nothing but the futures of loads: no future needs a callback then.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import Future
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from types import NoneType, TracebackType
from typing import Any, Protocol, TypeAlias, cast

from dloader import DataLoader
from dloader.lowlevel import (
    Batch,
    LoadMany,
    ask_many,
    ask_one,
    keys_are_cache_keys,
    may_ask_many,
    task_starter,
)
from dloader.resolver._fields import FailedAt
from dloader.resolver._run._keys import distinct

__all__ = ("PLAIN", "Countdown", "ListOfValues", "ManyValues", "Values", "ask")

PLAIN = frozenset({bool, dict, float, int, list, str, NoneType})
"""Classes whose instances nobody needs to await."""
FUTURES = frozenset({Future, asyncio.Task})
FUTURES_OF_LOADS = frozenset({Future, NoneType})

Told: TypeAlias = Callable[[], object]

is_done: Callable[[Any], bool] = Future[Any].done


class Values(Protocol):
    """What a step gave, some of which is still awaited."""

    def get(self, told: Told) -> list[Any] | None:
        """The values, or None as long as some are not there: `told` is then called once when it is time to ask again.

        Raises:
            FailedAt: One of them failed, be the others there or not.
        """
        ...

    def abandon(self) -> Iterator[asyncio.Task[Any]]:
        """Cancel what is waited for; the tasks among it are still to be awaited."""
        ...


class Countdown:
    """Calls somebody once, when nothing is left or something has failed."""

    __slots__ = ("left", "told")

    def __init__(self, told: Told) -> None:
        self.left = 0
        self.told: Told | None = told

    def wait_for_batches(self, batches: Iterable[Batch[Any, Any]]) -> None:
        for batch in dict.fromkeys(batches):
            if not batch.has_ended:
                self.left += 1
                batch.on_end(partial(self._batch_ended, batch))

    def wait_for_future(self, future: Future[Any]) -> None:
        self.left += 1
        future.add_done_callback(self._future_done)

    def _batch_ended(self, batch: Batch[Any, Any]) -> None:
        self.left -= 1
        if not self.left or batch.has_failed:
            self._tell()

    def _future_done(self, future: Future[Any]) -> None:
        self.left -= 1
        if not self.left or self._is_enough(future):
            self._tell()

    def _is_enough(self, future: Future[Any]) -> bool:
        """Whether nothing else need be waited for: something has failed."""
        return future.cancelled() or future.exception() is not None

    def _tell(self) -> None:
        told, self.told = self.told, None
        if told is not None:
            told()


class ListOfValues:
    """One value for each node. Each may be awaitable, and so may be what it gives.

    Args:
        values: The values; awaitables among them are replaced by tasks, and these by what they give.
        loop: Where tasks are started.
        batches: Those that took keys while the values were asked for.
    """

    __slots__ = ("_batches", "_is_waiting", "_loop", "_values")

    _countdown = Countdown

    def __init__(
        self, values: list[Any], loop: asyncio.AbstractEventLoop, batches: Sequence[Batch[Any, Any]] = ()
    ) -> None:
        self._values = values
        self._loop = loop
        self._batches = batches
        self._is_waiting = False

    def get(self, told: Told) -> list[Any] | None:
        """See `Values.get`."""
        while True:
            kinds = set(map(type, self._values))
            if kinds <= PLAIN:
                return self._values
            if not (kinds <= FUTURES and all(map(is_done, self._values))):
                awaitable = {kind for kind in kinds if hasattr(kind, "__await__")}
                if not awaitable:
                    return self._values
                if self._must_wait(kinds, awaitable, told):
                    return None
            self._values = self._results(kinds)

    def abandon(self) -> Iterator[asyncio.Task[Any]]:
        """See `Values.abandon`."""
        for value in self._values:
            if asyncio.iscoroutine(value):
                value.close()  # a later node's method failed before it was awaited
            elif asyncio.isfuture(value):
                if not value.cancel() and not value.cancelled():
                    value.exception()  # looked at: another failure is being raised
                elif isinstance(value, asyncio.Task):
                    yield value

    def _must_wait(self, kinds: set[type], awaitable: set[type], told: Told) -> bool:
        countdown = self._countdown(told)
        if self._batches and kinds <= FUTURES_OF_LOADS:
            countdown.wait_for_batches(self._batches)
        if not countdown.left:  # what is not done when the batches have ended is waited for by itself
            self._wait_for_each(awaitable, countdown)
        if self._is_waiting and countdown.left and (failed := self._first_failure()):
            raise failed
        self._is_waiting = countdown.left > 0
        return self._is_waiting

    def _wait_for_each(self, awaitable: set[type], countdown: Countdown) -> None:
        values = self._values
        for index, value in enumerate(values):
            if type(value) in awaitable:
                future = value
                if not asyncio.isfuture(value):
                    values[index] = future = task_starter(self._loop)(_result_of(value))
                if not future.done():
                    countdown.wait_for_future(future)

    def _results(self, kinds: set[type]) -> list[Any]:
        try:
            if kinds <= FUTURES:
                return [value.result() for value in self._values]
            return [value.result() if asyncio.isfuture(value) else value for value in self._values]
        except BaseException:
            raise cast(FailedAt, self._first_failure()) from None

    def _first_failure(self) -> FailedAt | None:
        for index, value in enumerate(self._values):
            if asyncio.isfuture(value) and value.done() and (error := _error_of(value)) is not None:
                return FailedAt(index, error)
        return None


class ManyValues:
    """The values of one ``load_many``, for all nodes or their distinct keys."""

    __slots__ = ("_loop", "_many", "_rows")

    def __init__(self, many: LoadMany[Any], loop: asyncio.AbstractEventLoop) -> None:
        self._many = many
        self._loop = loop
        self._rows: ListOfValues | None = None
        """What was loaded, which may be awaitable too."""

    def get(self, told: Told) -> list[Any] | None:
        """See `Values.get`."""
        future = self._many.future
        if not future.done():
            Countdown(told).wait_for_batches(self._many.batches)
            return None
        if self._rows is None:
            if (error := _error_of(future)) is not None:
                raise FailedAt(self._many.first_failed_index(), error)
            rows = future.result()
            if PLAIN.issuperset(map(type, rows)):
                return rows
            self._rows = ListOfValues(rows, self._loop)
        return self._rows.get(told)

    def abandon(self) -> Iterator[asyncio.Task[Any]]:
        """See `Values.abandon`."""
        future = self._many.future
        if not future.cancel() and not future.cancelled():
            future.exception()
        if self._rows is not None:
            yield from self._rows.abandon()


def ask(
    loader: DataLoader[Any, Any], keys: list[Any], loop: asyncio.AbstractEventLoop
) -> tuple[Values, list[Any]]:
    """Ask a loader for the keys of nodes: the values, and for which keys, each once where that can be told."""
    if not may_ask_many(loader):  # futures of another kind, as those of compat.aiodataloader
        return ListOfValues([loader.load(key) for key in keys], loop), keys
    if not keys_are_cache_keys(loader):
        return ManyValues(ask_many(loader, keys), loop), keys
    if len(keys) == 1:
        future, batches = ask_one(loader, keys[0])
        return ListOfValues([future], loop, batches), keys
    asked = distinct(keys)
    return ManyValues(ask_many(loader, asked), loop), asked


def _error_of(future: Future[Any]) -> BaseException | None:
    """What a future failed with, without the frames that have asked: they refer to the future, and it to the error."""
    try:
        future.result()
    except BaseException as error:
        return BaseException.with_traceback(error, cast(TracebackType, sys.exc_info()[2]).tb_next)
    return None


async def _result_of(value: Any) -> Any:
    """Await something that is no future, in a task."""
    return await value
