"""Who waits for a key, and seeing that all of them have left.

A waiter is a plain ``asyncio.Future`` with nothing attached to it: a task that awaits one takes asyncio's short way,
which it does not with subclasses (an eighth of the time of a load in a task). Or it is the part of a ``load_many``,
which stands at each of its keys. Both take ``set_result``, so that a batch gives out its values in one short loop. That
a waiter has gone is seen by looking: at each before a batch starts, at one at a time while it runs.
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import Context
from typing import Any, Protocol, TypeAlias, TypeVar, final

from dloader._core._error_copies import copied

__all__ = (
    "Abandonment",
    "Part",
    "Waiter",
    "context_of",
    "fail_all",
    "fail_one",
    "fail_rest",
    "is_done",
    "is_gone",
    "mark_retrieved",
)

V = TypeVar("V")


class Part(Protocol[V]):
    """What a batch knows of a ``load_many``: one waiter for some of its keys."""

    @property
    def future(self) -> Future[list[V]]:
        """Done when the whole ``load_many`` has its answer, or was left."""
        ...

    added: int
    """At how many keys of the batch it was the first to wait, less those that it has left."""

    def set_result(self, value: V, /) -> None:
        """Do nothing: it takes all of its values at once."""
        ...

    def deliver(self, values: Sequence[V], by_key: Callable[[], Mapping[Any, V]], /) -> None:
        """Take its values out of those of the whole batch, or out of a dict that is made when it is asked for."""
        ...

    def deliver_mixed(self, results: Mapping[Any, V], errors: Mapping[Any, Exception], /) -> Exception | None:
        """The same where some keys failed; return which error its future failed with, if nobody awaits it yet."""
        ...

    def fail(self, error: Exception, /) -> bool:
        """Fail all its keys, as the batch failed as a whole; return whether its future failed and nobody awaits it."""
        ...


Waiter: TypeAlias = Future[V] | Part[V]

is_done: Callable[[Any], bool] = Future[Any].done
"""Of a future that is a waiter itself, for `map`."""


def is_gone(waiter: Waiter[Any]) -> bool:
    """Whether a waiter waits no more: it was cancelled, or completed from outside."""
    return _future_of(waiter).done()


def _future_of(waiter: Waiter[Any]) -> Future[Any]:
    return waiter if isinstance(waiter, Future) else waiter.future


def context_of(waiter: Waiter[Any]) -> Context | None:
    """A copy of the context that a waiter is awaited in, if somebody awaits it by now."""
    callbacks: Any = _future_of(waiter)._callbacks  # noqa: SLF001 - as in `fail_one`
    context: Context | None = callbacks[0][1] if callbacks else None
    return None if context is None else context.copy()


@final
class Abandonment:
    """Sees that everybody who waits for a running batch has left; lives while the batch runs.

    It has a callback on one of those who wait, and once that one is done, on another: however many wait, that is one
    callback, and each is looked at once. `left` is called one turn of the loop after the last of them has left.
    """

    __slots__ = ("_left", "_waiting", "_watched")

    def __init__(self, waiting: Iterable[Waiter[Any]], left: Callable[[], object]) -> None:
        self._left = left
        self._waiting: list[Waiter[Any]] = list(waiting)
        """Those who have not been looked at."""
        self._watched: Future[Any] | None = None

    def add(self, waiter: Waiter[Any]) -> None:
        """One more waits."""
        self._waiting.append(waiter)

    def look(self, _: object = None) -> None:
        """Watch the next one who still waits."""
        while self._waiting:
            future = _future_of(self._waiting.pop())
            if not future.done():
                self._watched = future
                future.add_done_callback(self.look)
                return
        self._left()

    def stop(self) -> None:
        """Watch nobody any more."""
        if self._watched is not None:
            self._watched.remove_done_callback(self.look)
        self._watched, self._waiting = None, []


def fail_all(futures: Iterable[Future[Any]], error: Exception) -> list[Future[Any]]:
    """Fail all that are not done, each with an exception of its own like `error`; return those nobody awaits yet."""
    return [future for future in futures if not future.done() and fail_one(future, error)]


def fail_one(future: Future[Any], error: Exception) -> bool:
    """Fail a future; return whether nobody awaits it yet."""
    unawaited = not future._callbacks  # noqa: SLF001 - asyncio shows it nowhere else
    future.set_exception(copied(error))
    return unawaited


def fail_rest(waiters: Iterable[Waiter[Any]], error: Exception) -> None:
    """Fail whoever still waits with one error of our own: nothing of the user's is touched."""
    for waiter in waiters:
        future = _future_of(waiter)
        if not future.done():
            future.set_exception(error)


def mark_retrieved(future: Any) -> None:
    """Have nobody told when `future` is never looked at: its failure was told before, or is the user's own."""
    future._log_traceback = False  # noqa: SLF001 - asyncio's own flag; it can only be unset
