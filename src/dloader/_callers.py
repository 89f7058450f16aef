"""Who waits for a key: the futures that `load` returns, what `load_many` wants, and crowds of them.

All futures are plain ``asyncio.Future`` objects, with nothing attached to them: a task that awaits one takes asyncio's
short way, which it does not with subclasses (an eighth of the time of a load in a task). That a caller has left is seen
by looking: at every future before the batch starts, at one of them at a time while it runs.

An entry of a batch, at one key, is one of

- a future: one caller of ``load``;
- `Share`: what one ``load_many`` wants from one batch (the same object stands at each of its keys);
- `Crowd`: several of these.

Each takes ``set_result``, so that a batch gives out its values in one short loop.
"""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, final

from dloader._failure import own

if TYPE_CHECKING:
    from dloader._batch import Batch

__all__ = (
    "Crowd",
    "Entry",
    "Many",
    "Share",
    "fail_all",
    "future_of",
    "futures_of",
    "is_done",
    "is_left",
    "seen",
)

V = TypeVar("V")


@final
class Many(Generic[V]):
    """One ``load_many``: one future for the whole set, however many keys and batches it takes."""

    __slots__ = ("cache_keys", "errors_in_place", "found", "future", "shares", "unsettled")

    def __init__(self, future: Future[list[V]], cache_keys: list[Any], errors_in_place: bool) -> None:
        self.future = future
        self.cache_keys = cache_keys
        """In the order of the result; they may repeat."""
        self.errors_in_place = errors_in_place
        self.found: dict[Any, Any] = {}
        self.shares: list[Share[V]] = []
        self.unsettled = 0
        """How many of the shares are still waited for."""

    def add_share(self, batch: Batch[Any, V], cache_keys: list[Any], is_whole: bool = False) -> Share[V]:
        """Wait for one more batch."""
        share = Share(batch, self, cache_keys, is_whole)
        self.shares.append(share)
        self.unsettled += 1
        batch.shares.append(share)
        return share

    def settled_share(self) -> None:
        """Note that all keys of a share have been found; the last one finishes the set."""
        self.unsettled -= 1
        if not self.unsettled:
            self.finish()

    def finish(self) -> None:
        """Put the results in the order of the keys, which may repeat."""
        self.end(list(map(self.found.__getitem__, self.cache_keys)))

    def end(self, values: list[V]) -> None:
        """Complete the future, which is not done yet."""
        self.future.set_result(values)
        self.shares, self.found = [], {}  # the shares refer to this set


@final
class Share(Generic[V]):
    """The keys that one ``load_many`` wants from one batch; lives until that batch is settled."""

    __slots__ = ("batch", "cache_keys", "is_whole", "many")

    def __init__(self, batch: Batch[Any, V], many: Many[V], cache_keys: list[Any], is_whole: bool) -> None:
        self.batch = batch
        self.many = many
        self.cache_keys = cache_keys
        self.is_whole = is_whole
        """Whether it opened its batch: if nobody adds to that, its keys are the batch's, in the same order."""

    def set_result(self, value: V) -> None:
        """Do nothing: a share is settled as a whole."""

    def settle(self, values: Sequence[V], by_key: Callable[[], Mapping[Any, V]]) -> None:
        """Take this share's keys out of the results of the whole batch."""
        many = self.many
        if many.future.done():
            return
        if self.is_whole and len(self.cache_keys) == len(values) == len(many.cache_keys):
            many.end(list(values))  # one batch for the whole set: nothing to look up
            return
        found = by_key()
        if many.unsettled == 1 and not many.found:
            many.end([found[cache_key] for cache_key in many.cache_keys])
            return
        many.found.update(zip(self.cache_keys, map(found.__getitem__, self.cache_keys), strict=True))
        many.settled_share()

    def settle_with_errors(self, results: Mapping[Any, V], errors: Mapping[Any, Exception]) -> bool:
        """The same where some keys of the batch failed: one fails the set, or they stand in their places.

        Returns:
            Whether the set failed, and nobody awaits it yet.
        """
        many = self.many
        if many.future.done():
            return False
        for cache_key in self.cache_keys:
            error = errors.get(cache_key)
            if error is None:
                many.found[cache_key] = results[cache_key]
            elif many.errors_in_place:
                many.found[cache_key] = own(error)
            else:
                return _fail(many.future, error)
        many.settled_share()
        return False

    def fail(self, error: Exception) -> bool:
        """Fail every key of this share, as its batch failed as a whole; return the same."""
        many = self.many
        if many.future.done():
            return False
        if many.errors_in_place:
            many.found.update(dict.fromkeys(self.cache_keys, own(error)))
            many.settled_share()
            return False
        return _fail(many.future, error)


@final
class Crowd(list[Any]):
    """Several futures and shares that wait for one key of one batch."""

    __slots__ = ()

    def set_result(self, value: object) -> None:
        """Complete the futures among them."""
        for member in self:
            try:  # noqa: SIM105 - a with statement costs a third more, at each future
                member.set_result(value)
            except asyncio.InvalidStateError:
                pass


Entry = Future[V] | Share[V] | Crowd


is_done: Callable[[Any], bool] = Future[Any].done
"""Of any future, for `map`."""


def future_of(waiting: Future[V] | Share[V]) -> Future[Any]:
    """The future of one who waits."""
    return waiting.many.future if isinstance(waiting, Share) else waiting


def futures_of(entry: Entry[V]) -> Sequence[Future[V]]:
    """The single callers in an entry; the shares of a batch are settled as a whole."""
    if isinstance(entry, Future):
        return (entry,)
    return [member for member in entry if type(member) is not Share] if type(entry) is Crowd else ()


def is_left(entry: Entry[Any]) -> bool:
    """Whether nobody waits with an entry any more."""
    return all(map(is_left, entry)) if isinstance(entry, Crowd) else future_of(entry).done()


def fail_all(futures: Iterable[Future[Any]], error: Exception) -> list[Future[Any]]:
    """Fail all that are not done, each with an exception of its own like `error`; return those nobody awaits yet."""
    return [future for future in futures if not future.done() and _fail(future, error)]


def _fail(future: Future[Any], error: Exception) -> bool:
    """Fail a future; return whether nobody awaits it yet."""
    unawaited = not future._callbacks  # noqa: SLF001 - asyncio shows it nowhere else
    future.set_exception(own(error))
    return unawaited


def seen(future: Any) -> None:
    """Have nobody told when `future` is never looked at: its failure was told before, or is the user's own."""
    future._log_traceback = False  # noqa: SLF001 - asyncio's own flag; it can only be unset
