"""Who waits for a key: the futures that `load` and `load_many` return, and crowds of them.

They are subclasses of `asyncio.Future` whose ``cancel`` tells the batch: a done-callback for every
future would cost about as much again as the future itself. An entry of the loader's table of waited-for
keys is one of

- `Call`: one caller of ``load``;
- `Share`: what one ``load_many`` wants from one batch (the same object stands at each of its keys);
- `Crowd`: several of these at one key, or a key that everybody has left while its batch was running.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast, final

from dloader._failure import own

if TYPE_CHECKING:
    from dloader._batch import Batch

__all__ = ("Call", "Crowd", "Entry", "Many", "Share", "calls_of", "seen")

V = TypeVar("V")


class Call(asyncio.Future[V]):
    """The future of one ``load``; it belongs to its caller alone and lives as long as somebody holds it."""

    __slots__ = ("batch", "cache_key")

    batch: Batch[Any, V]
    cache_key: Hashable

    def cancel(self, msg: object = None) -> bool:
        """Give up waiting: other callers of the key do not notice."""
        if not super().cancel(msg):
            return False
        self.batch.leave(self.cache_key)
        return True

    def settle(self, value: V) -> None:
        """Complete the future, unless it was cancelled, or completed from outside: then it is left as it is."""
        try:  # noqa: SIM105 - a with statement costs a third more, at each future
            self.set_result(value)
        except asyncio.InvalidStateError:
            pass

    def fail(self, error: Exception) -> None:
        """Fail with an exception like `error`, unless the future is done."""
        if not self.done():
            self.__class__ = cast(type[Self], UnseenCall)
            self.set_exception(own(error))


class Many(asyncio.Future[list[V]]):
    """The future of one ``load_many``: one for the whole set, however many keys and batches it takes."""

    __slots__ = ("cache_keys", "errors_in_place", "found", "shares", "unsettled")

    cache_keys: list[Any]
    errors_in_place: bool
    found: dict[Any, Any]
    shares: list[Share[V]]
    unsettled: int

    @property
    def batch(self) -> Batch[Any, V]:
        """Any of its batches, to report an unseen failure through."""
        return self.shares[0].batch

    def cancel(self, msg: object = None) -> bool:
        """Give up waiting for every key of the set."""
        if not super().cancel(msg):
            return False
        self._leave()
        return True

    def add_share(self, share: Share[V]) -> None:
        """Wait for one more batch."""
        self.shares.append(share)
        self.unsettled += 1

    def settled_share(self) -> None:
        """Note that all keys of a share have been found; the last one finishes the set."""
        self.unsettled -= 1
        if not self.unsettled:
            self.finish()

    def finish(self) -> None:
        """Put the results in the order of the keys, which may repeat."""
        if not self.done():
            self.set_result(list(map(self.found.__getitem__, self.cache_keys)))
        self.shares, self.found = [], {}  # the shares refer to this future

    def fail(self, error: Exception) -> None:
        """Fail as a whole, with an exception like `error`, and leave the batches that are still out."""
        if self.shares:
            self.__class__ = cast(type[Self], UnseenMany)
        self.set_exception(own(error))
        if not self.shares:  # the error was cached or primed
            seen(self)
        self._leave()

    def _leave(self) -> None:
        for share in self.shares:
            for cache_key in share.cache_keys:
                share.batch.leave(cache_key)


class Share(Generic[V]):
    """The keys that one ``load_many`` wants from one batch; lives until that batch is settled."""

    __slots__ = ("batch", "cache_keys", "many")

    def __init__(self, batch: Batch[Any, V], many: Many[V], cache_keys: list[Any]) -> None:
        self.batch = batch
        self.many = many
        self.cache_keys = cache_keys

    def settle(self, results: dict[Any, V], errors: Mapping[Any, Exception]) -> None:
        """Take this share's keys out of the results of the whole batch."""
        many = self.many
        if many.done():
            return
        if errors:
            for cache_key in self.cache_keys:
                error = errors.get(cache_key)
                if error is None:
                    many.found[cache_key] = results[cache_key]
                elif many.errors_in_place:
                    many.found[cache_key] = own(error)
                else:
                    many.fail(error)
                    return
        elif many.unsettled == 1 and not many.found:
            many.found = results  # the whole set comes from this batch: nothing to copy
        else:
            many.found.update(zip(self.cache_keys, map(results.__getitem__, self.cache_keys), strict=True))
        many.settled_share()

    def fail(self, error: Exception) -> None:
        """Fail every key of this share: its batch failed as a whole."""
        many = self.many
        if many.done():
            return
        if many.errors_in_place:
            many.found.update(dict.fromkeys(self.cache_keys, own(error)))
            many.settled_share()
        else:
            many.fail(error)


@final
class Crowd(Generic[V]):
    """Everybody who waits for one key of one batch, when that is not one caller."""

    __slots__ = ("batch", "live", "members")

    def __init__(self, batch: Batch[Any, V], members: list[Call[V] | Share[V]]) -> None:
        self.batch = batch
        self.members = members
        self.live = len(members)
        """How many members have not left."""

    def settle(self, value: V) -> None:
        """Complete the futures of all members that are single callers."""
        for member in self.members:
            if type(member) is Call:
                member.settle(value)


Entry = Call[V] | Share[V] | Crowd[V]


def calls_of(entry: Entry[V]) -> list[Call[V]]:
    """The single callers in an entry; the shares of a batch are settled as a whole."""
    members = entry.members if type(entry) is Crowd else [entry]
    return [member for member in members if type(member) is Call]


def seen(future: Any) -> None:
    """Have nobody told when `future` is never looked at: its failure was told before, or is the user's own."""
    future._log_traceback = False  # noqa: SLF001 - asyncio's own flag; it can only be unset


class _Unseen:
    """Reports a failure that nobody has looked at, at most once per batch.

    A future takes this class when it fails, so that futures that succeed pay nothing for it.
    """

    __slots__ = ()

    def __del__(self: Any) -> None:
        if self._log_traceback:  # asyncio's own flag: set with the exception, unset when it is looked at
            self._log_traceback = False
            self.batch.report_unseen(self)


class UnseenCall(_Unseen, Call[V]):
    """A `Call` that failed."""

    __slots__ = ()


class UnseenMany(_Unseen, Many[V]):
    """A `Many` that failed."""

    __slots__ = ()
