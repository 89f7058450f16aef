"""How a batch ends: values, errors or one failure for all who wait; nobody is left out.

Each class is an `Outcome`. It meets a batch that nobody can join any more, and lets the cache have what is to be kept.
"""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set as AbstractSet
from itertools import repeat
from typing import Any, Protocol, cast

from dloader._core._batch import Batch
from dloader._core._cache import Cache
from dloader._core._error_copies import copied, without_traceback
from dloader._core._results import WRONG, errors_among
from dloader._core._types import kinds_of
from dloader._core._waiters import Waiter, fail_all, fail_rest, mark_retrieved
from dloader._text import shorten
from dloader.errors import BatchAbortedError, LoaderClosedError

__all__ = (
    "ABORTED",
    "LOST",
    "CallersCancelled",
    "CallersTold",
    "Failure",
    "FetchingLoader",
    "Results",
    "explained",
)


class FetchingLoader(Protocol):
    """The part of a loader that is read at each batch: users may change it at any time."""

    name: str
    default: object
    cache_errors: bool

    @property
    def load_fn(self) -> Callable[[list[Any]], object]:
        """The batch function."""
        ...

    @property
    def closed(self) -> bool:
        """Whether the loader was shut down."""
        ...


class Results:
    """The batch function returned one value or exception per key, in the order of the keys.

    One for all batches of a loader, its `Fetch`, which sets what is here: the values are given with each batch.
    """

    __slots__ = ("cache", "loader")
    word = "returned"
    raised = None

    cache: Cache
    loader: Callable[[], FetchingLoader]
    """A weak reference: as long as keys are pending, `Pending` keeps the loader, and then `Fetch.run` does."""

    def deliver(self, batch: Batch[Any, Any], values: Sequence[Any]) -> bool:
        """Give everybody the result of their key."""
        if len(values) == 1 and not (batch.joined or batch.parts):
            return self._deliver_one(batch, values)
        try:
            # Written out here: a call more is felt in small batches.
            kinds: AbstractSet[type] = set(map(type, values))
        except TypeError:
            kinds = kinds_of(values)
        for kind in kinds:
            if issubclass(kind, WRONG):
                return self._deliver_mixed(batch, values)
        entries = batch.entries
        are_futures = not batch.parts
        if are_futures or not batch.has_parts_only:
            # As many values as entries: saying strict=True would cost each batch a quarter of a microsecond.
            pairs = zip(entries.values(), values)  # noqa: B905
            try:
                for waiter, value in pairs:
                    waiter.set_result(value)
            except asyncio.InvalidStateError:  # cancelled, or completed from outside: it is left as it is
                are_futures = False
                _set_results(pairs)
        if batch.parts or batch.joined:
            _set_joined_results(batch, values)
        self.cache.store(entries, values, batch.outdated, are_futures)
        return False

    def _deliver_one(self, batch: Batch[Any, Any], values: Sequence[Any]) -> bool:
        """The same for one key that one caller waits for: all that is made for many is a sixth of a lone load."""
        [value], [waiter] = values, batch.entries.values()
        kind: type = type(value)  # pyright: ignore[reportUnknownVariableType]
        if issubclass(kind, WRONG):
            return self._deliver_mixed(batch, values)
        is_future = True
        try:
            waiter.set_result(value)
        except asyncio.InvalidStateError:  # cancelled, or completed from outside: it is left as it is
            is_future = False
        self.cache.store(batch.entries, values, batch.outdated, is_future)
        return False

    def _deliver_mixed(self, batch: Batch[Any, Any], values: Sequence[Any]) -> bool:
        """Give some their values, and others the exceptions that stand in the places of their keys."""
        errors = errors_among(batch.loader_name, batch.keys, values)
        unawaited = _Unawaited()
        for futures, value, error in zip(_futures_by_key(batch), values, errors, strict=True):
            if error is not None:
                unawaited.add(error, fail_all(futures, error))
            else:
                _set_results(zip(futures, repeat(value)))
        by_key = list(zip(batch.entries, values, errors, strict=True))
        results = {key: value for key, value, error in by_key if error is None}
        failed = {key: error for key, _, error in by_key if error is not None}
        for part in batch.parts:
            error = part.deliver_mixed(results, failed)
            if error is not None:
                unawaited.add(error, [part.future])
        self.cache.store(results, list(results.values()), batch.outdated)
        if self.loader().cache_errors:
            kept = {key: without_traceback(error) for key, error in failed.items()}
            self.cache.store(kept, list(kept.values()), batch.outdated)
        return True


class Failure:
    """The batch function did not return one result per key: it raised, or returned something else."""

    __slots__ = ("cache", "error", "raised")
    word = "failed"

    def __init__(self, raised: BaseException, error: Exception, cache: Cache | None) -> None:
        self.raised = raised
        self.error = error
        """The same as those who wait get to see it: see `explained`."""
        self.cache = cache
        """Where errors are kept, if they are."""

    def deliver(self, batch: Batch[Any, Any], _: Sequence[Any] = ()) -> bool:
        """Fail everybody."""
        error = self.error
        unawaited = _Unawaited()
        for futures in _futures_by_key(batch):
            unawaited.add(error, fail_all(futures, error))
        unawaited.add(error, [part.future for part in batch.parts if part.fail(error)])
        if self.cache is not None and issubclass(type(self.raised), Exception):
            kept = dict.fromkeys(batch.entries, without_traceback(error))
            self.cache.store(kept, list(kept.values()), batch.outdated)
        return True


class CallersCancelled:
    """The loader is shut down by itself, which cancels those who wait."""

    __slots__ = ("reason",)
    word = "shut_down"
    raised = None

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def deliver(self, batch: Batch[Any, Any], _: Sequence[Any] = ()) -> bool:
        """Cancel everybody."""
        for futures in _futures_by_key(batch):
            for future in futures:
                future.cancel(self.reason)
        for part in batch.parts:
            part.future.cancel(self.reason)
        return False


class CallersTold:
    """The loader is closed with others: nobody has cancelled those who wait."""

    __slots__ = ("reason",)
    word = "shut_down"
    raised = None

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def deliver(self, batch: Batch[Any, Any], _: Sequence[Any] = ()) -> bool:
        """Fail everybody with a `LoaderClosedError`; who does not look at it wanted nothing any more."""
        error = LoaderClosedError(self.reason)
        for futures in _futures_by_key(batch):
            for future in fail_all(futures, error):
                mark_retrieved(future)
        for part in batch.parts:
            if part.fail(error):
                mark_retrieved(part.future)
        return True


class _Lost:
    """Nobody waits any more, or can be told: they all have left, or their event loop was closed."""

    __slots__ = ()
    word = "left"
    raised = None

    def deliver(self, batch: Batch[Any, Any], _: Sequence[Any] = ()) -> bool:
        """Tell nobody; on a closed loop not even those who wait for the batch itself."""
        if batch.loop.is_closed():
            batch.drop_listeners()
        return False


LOST = _Lost()


class _Aborted:
    """Something of the user's raised where nothing may, before anybody was answered."""

    __slots__ = ()
    word = "failed"
    raised = None

    def deliver(self, batch: Batch[Any, Any], _: Sequence[Any] = ()) -> bool:
        """Fail everybody with an error of our own: nothing of the user's is touched."""
        where = f"batch {batch.number} of loader {batch.loader_name!r}"
        fail_rest(batch.waiters(), BatchAbortedError(f"{where} could not be ended in any other way"))
        return True


ABORTED = _Aborted()


def explained(batch: Batch[Any, Any], raised: BaseException) -> Exception:
    """What a batch function raised, in a form that those who wait can be given."""
    where = f"in batch {batch.number} of loader {batch.loader_name!r} (keys: {batch.size})"
    if issubclass(type(raised), Exception):
        return copied(cast(Exception, raised), where)
    how = "was cancelled" if issubclass(type(raised), asyncio.CancelledError) else f"raised {shorten(raised)}"
    error = BatchAbortedError(f"the batch function {how} {where}; loading again is safe")
    error.__cause__ = raised
    return error


def _set_results(pairs: Iterable[tuple[Waiter[Any], Any]]) -> None:
    """Complete those who still wait."""
    for waiter, value in pairs:
        try:
            waiter.set_result(value)
        except asyncio.InvalidStateError:
            continue


def _set_joined_results(batch: Batch[Any, Any], values: Sequence[Any]) -> None:
    """Complete those who came later to a key, and the parts of each ``load_many``."""
    by_key = _made_once(batch.entries, values)
    if batch.joined:
        found = by_key()
        for cache_key, waiters in batch.joined.items():
            value = found[cache_key]
            for waiter in waiters:
                try:  # noqa: SIM105 - a with statement costs a third more, at each waiter
                    waiter.set_result(value)
                except asyncio.InvalidStateError:
                    pass
    for part in batch.parts:
        part.deliver(values, by_key)


def _made_once(keys: Iterable[Any], values: Sequence[Any]) -> Callable[[], Mapping[Any, Any]]:
    """The values by key, when somebody asks."""
    found: dict[Any, Any] = {}

    def by_key() -> dict[Any, Any]:
        if not found:
            found.update(zip(keys, values, strict=True))
        return found

    return by_key


def _futures_by_key(batch: Batch[Any, Any]) -> Iterator[list[Future[Any]]]:
    """For each key, who waits for it with a future of their own; parts are answered as a whole."""
    joined = batch.joined or {}
    for cache_key, first in batch.entries.items():
        waiters = (first, *joined[cache_key]) if joined and cache_key in joined else (first,)
        yield [waiter for waiter in waiters if isinstance(waiter, Future)]


class _Unawaited:
    """Has asyncio report each kind of error of a batch once, if nobody looks; lives while the batch is failed.

    Asyncio reports each failed future that is freed before anybody has looked at it. Those that are awaited will be
    looked at; of the others one is left to be reported for each class of error, however many keys and waiters there
    are: the last, as those who asked first are most likely to look.
    """

    def __init__(self) -> None:
        self._reporting: dict[type, Future[Any]] = {}
        """By class of error."""

    def add(self, error: Exception, futures: Iterable[Future[Any]]) -> None:
        """Note futures that failed with an error, and that nobody awaits yet."""
        kind = type(error)
        for future in futures:
            if kind in self._reporting:
                mark_retrieved(self._reporting[kind])
            self._reporting[kind] = future
