"""Batch: the keys gathered for one call of the batch function, and who waits for each of them.

A batch is a record: whoever opened it adds to it and closes it, and one task fetches for it and ends it. It knows
none of them but for the index of keys, which learns when the batch closes, loses keys or ends.

Invariants, between any two steps of the event loop:

- each key of a batch stands in ``entries`` once, from when it is asked for until the batch ends, with the one who asked
  first; who came later is in ``joined``;
- each part of a ``load_many`` that stands first at a key is in ``parts``, and no more keys have such a part in front
  than the parts have ``added``;
- a key that was cleared or primed while its batch ran is ``outdated``: nobody joins it there, and its result is not
  cached; so is the result of a key primed before the start;
- a batch ends once, in `Batch.end`, however it ends; after that every waiter's future is done, and its keys are loaded
  afresh.
"""

from __future__ import annotations

import asyncio
from collections.abc import (
    Callable,
    Collection,
    Hashable,
    Iterator,
    Sequence,
    Set as AbstractSet,
)
from contextvars import Context, copy_context
from enum import Enum, auto
from typing import Any, Generic, TypeAlias

from dloader._core import _roles as roles
from dloader._core._awaited import NOBODY, Awaited
from dloader._core._types import K, V
from dloader._core._waiters import Abandonment, Part, Waiter, context_of, fail_rest, is_done, is_gone
from dloader.errors import BatchAbortedError

__all__ = ("CLOSED", "RUNNING", "Batch", "Holder", "KeyIndex", "Outcome", "State", "Watcher")


class State(Enum):
    """The life of a batch, in this order; it may end from any state."""

    OPEN = auto()
    CLOSED = auto()
    RUNNING = auto()
    ENDED = auto()
    FAILED = auto()
    """The same as ended, and some who waited were given errors."""


CLOSED, RUNNING, ENDED, FAILED = State.CLOSED, State.RUNNING, State.ENDED, State.FAILED


class Batch(Awaited[V], Generic[K, V]):
    """One call of the batch function in the making; lives from its first key until its waiters have their answers.

    Args:
        loader_name: For messages and the names of tasks.
        number: 1 for the loader's first batch.
        loop: The event loop that it runs on.
        given_keys: A list for the keys as they are given, where others stand for them in ``entries``.
        index: Told when the batch closes, loses keys or ends.
    """

    # What most batches have none of is a default of the class: less to set for each batch.
    joined: dict[Any, list[Waiter[V]]] | None = None
    """By cache key, who came later."""
    parts: list[Part[V]] | tuple[()] = ()
    """Of each ``load_many`` that waits for keys of this batch."""
    outdated: AbstractSet[Hashable] = frozenset()
    """Keys whose results must not be cached."""
    listeners: list[Callable[[], object]] | tuple[()] = ()
    abandonment: Abandonment | None = None
    """While the batch runs, and did not end in the first step of its task."""
    state = State.OPEN

    def __init__(
        self,
        loader_name: str,
        number: int,
        loop: asyncio.AbstractEventLoop,
        given_keys: list[K] | None,
        index: KeyIndex,
    ) -> None:
        self.loader_name = loader_name
        self.number = number
        self.loop = loop
        self.given_keys = given_keys
        self.index = index
        self.entries: dict[Any, Waiter[V]] = {}
        """By cache key, in the order in which they were asked for, who asked first."""
        self.context: Context | None = copy_context()
        """That of who opened the batch; it is let go at the start, since it will then refer to the batch."""

    @property
    def size(self) -> int:
        """How many keys were added so far, those that everybody left included."""
        return len(self.entries)

    @property
    def keys(self) -> list[K]:
        """The keys, in the order in which they were asked for."""
        return list(self.entries) if self.given_keys is None else list(self.given_keys)

    @property
    def result_keys(self) -> Collection[Hashable]:
        """What stands for its keys in what the batch function returns, where they cannot."""
        return self.entries

    @property
    def is_open(self) -> bool:
        """Whether the batch still takes keys."""
        return self.state is State.OPEN

    @property
    def is_closed(self) -> bool:
        """Whether the batch takes no more keys and was not started."""
        return self.state is State.CLOSED

    @property
    def is_running(self) -> bool:
        """Whether the batch function was called and has not returned."""
        return self.state is State.RUNNING

    @property
    def has_ended(self) -> bool:
        """Whether everybody who waited has an answer."""
        return self.state is State.ENDED or self.state is State.FAILED

    @property
    def has_failed(self) -> bool:
        """Whether it has ended, and some who waited were given errors."""
        return self.state is State.FAILED

    def __repr__(self) -> str:
        return (
            f"<batch {self.number} of {self.loader_name} {self.state.name.lower()} keys={len(self.entries)}>"
        )

    # -- who waits -------------------------------------------------------------------------------------------

    def join(self, cache_key: Hashable, waiter: Waiter[V]) -> None:
        """Let one more wait for a key that somebody waits for, or did."""
        if self.abandonment is not None:
            self.abandonment.add(waiter)
        joined = self.joined
        if joined is None:
            self.joined = {cache_key: [waiter]}
        elif cache_key in joined:
            joined[cache_key].append(waiter)
        else:
            joined[cache_key] = [waiter]

    def join_part(self, part: Part[V]) -> None:
        """Let a part of a ``load_many`` wait."""
        if self.parts:
            self.parts.append(part)
        else:
            self.parts = [part]

    def waiters(self) -> Iterator[Waiter[V]]:
        """All who wait; a part of a ``load_many`` stands at each of its keys."""
        yield from self.entries.values()
        for waiters in (self.joined or {}).values():
            yield from waiters

    @property
    def has_parts_only(self) -> bool:
        """Whether nobody but parts of ``load_many`` waits for any key, and one for each."""
        return not self.joined and sum(part.added for part in self.parts) == len(self.entries)

    def drop_gone_keys(self) -> None:
        """Forget the keys that everybody has left; nobody is asked for them."""
        entries = self.entries
        if not (self.joined or self.parts):  # nothing but futures: C speed
            if len(entries) == 1:  # what follows would take a fiftieth of a lone load
                [waiter] = entries.values()
                if not is_done(waiter):
                    return
            elif not any(map(is_done, entries.values())):
                return
        elif self.has_parts_only and not any(map(is_gone, self.parts)):
            return
        gone = self._gone_keys()
        if gone:
            self._forget(gone)

    def _gone_keys(self) -> set[Hashable]:
        joined = self.joined or {}
        return {
            cache_key
            for cache_key, waiter in self.entries.items()
            if is_gone(waiter) and not (cache_key in joined and _have_waiters(joined[cache_key]))
        }

    def _forget(self, gone: AbstractSet[Hashable]) -> None:
        if self.given_keys is not None:
            pairs = zip(self.entries, self.given_keys, strict=True)
            self.given_keys = [key for cache_key, key in pairs if cache_key not in gone]
        self.index.keys_gone(self, gone)
        opener = next(iter(self.entries.values()))
        for cache_key in gone:
            _stand_back(self.entries.pop(cache_key))
            if self.joined:
                self.joined.pop(cache_key, None)
        self._call_up()
        if is_gone(opener) and self.entries:  # it is of another who is in front now
            self.context = context_of(next(iter(self.entries.values()))) or self.context
        if isinstance(self.outdated, set):
            self.outdated -= gone
        if len(self.parts) <= 8 * len(gone):  # else they would be looked at again for each key that goes
            self.parts = [part for part in self.parts if not is_gone(part)]

    def _call_up(self) -> None:
        """Put somebody who waits in front wherever who asked first has left: who has gone then stands nowhere."""
        for cache_key, waiters in (self.joined or {}).items():
            first = self.entries[cache_key]
            if is_gone(first) and _have_waiters(waiters):
                _stand_back(first)
                self.entries[cache_key] = waiters.pop(0)

    def on_end(self, callback: Callable[[], object]) -> None:
        """Have `callback` called once when the batch has ended, if it has not."""
        if self.listeners:
            self.listeners.append(callback)
        else:
            self.listeners = [callback]

    def drop_listeners(self) -> None:
        """Let nobody be called when the batch ends."""
        self.listeners = ()

    def outdate(self, cache_key: Hashable, is_outdated: bool = True) -> None:
        """A result must not be cached, or may be again."""
        if not isinstance(self.outdated, set):
            self.outdated = set[Hashable]()
        if is_outdated:
            self.outdated.add(cache_key)
        else:
            self.outdated.discard(cache_key)

    def starting_context(self) -> Context | None:
        """That of the first caller who still waits: of the one who opened the batch, or else of who came next.

        What a caller awaits knows the context that it is awaited in.
        """
        for number, waiter in enumerate(self.waiters()):  # no key is hashed: it may raise by now
            if not is_gone(waiter):
                return (context_of(waiter) or self.context) if number else self.context
        return self.context

    # -- its life --------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Take no more keys and run the batch as soon as ``max_concurrency`` allows."""
        self.close_because("policy")

    def close_because(self, why: str) -> None:
        """The same, and tell instruments why: see `dloader.BatchRecord.why`."""
        if self.state is State.OPEN:
            self.state = State.CLOSED
            if self.awaited_by:
                for holder in self.awaited_by:
                    holder.closed(self)
            self.index.batch_closed(self, why)

    def begin(self) -> list[K] | None:
        """Be running, if somebody still waits: return the keys, in a list of the batch function's own, or None."""
        self.drop_gone_keys()
        if not self.entries:
            return None
        self.state, self.context = RUNNING, None
        return list(self.entries) if self.given_keys is None else self.given_keys[:]

    def watch(self, left: Callable[[], object]) -> None:
        """If the batch is running, have `left` called when everybody who waits for it has left."""
        if self.is_running:
            self.abandonment = Abandonment(self.waiters(), left)
            self.abandonment.look()

    def end(self, outcome: Outcome, values: Sequence[Any] = ()) -> bool:
        """The one exit, whatever happened: nobody can join, all who wait are answered, listeners are told.

        Returns:
            Whether the batch ends now; False if it had ended before, and nobody waits for this outcome.
        """
        if self.state is ENDED or self.state is FAILED:
            return False
        if self.abandonment is not None:
            self.abandonment.stop()
            self.abandonment = None
        self.state, self.context = ENDED, None
        if self.awaited_by:
            for holder in self.awaited_by:
                holder.answered(self)
            self.awaited_by = NOBODY
        try:
            self.index.batch_ended(self, outcome, values)
            if outcome.deliver(self, values):
                self.state = State.FAILED
        except BaseException:  # something of the user's raised where nothing may: a key's hash, a map, Ctrl-C
            self.state = State.FAILED
            fail_rest(self.waiters(), BatchAbortedError(self._interrupted()))
            raise
        finally:
            # The parts refer to this batch: it need not wait for the garbage collector.
            self.entries, self.joined, self.parts = {}, None, ()
            if self.listeners:
                self._tell_listeners()
        return True

    def _tell_listeners(self) -> None:
        """Call each, whatever the others raise; the first error is raised at the end."""
        listeners, self.listeners = self.listeners, ()
        raised: BaseException | None = None
        for listener in listeners:
            try:
                listener()
            except BaseException as error:
                raised = raised or error
        if raised is not None:
            raise raised

    def _interrupted(self) -> str:
        return (
            f"batch {self.number} of loader {self.loader_name!r} could not be delivered: what it held raised; "
            f"loading again is safe"
        )


Holder: TypeAlias = roles.Holder[Batch[Any, Any]]
KeyIndex: TypeAlias = roles.KeyIndex[Batch[Any, Any]]
Outcome: TypeAlias = roles.Outcome[Batch[Any, Any]]
Watcher: TypeAlias = roles.Watcher[Batch[Any, Any]]
"""Whom a batch knows: see `_roles`."""


def _stand_back(first: Waiter[Any]) -> None:
    """Have a part that is gone count one key less; futures count none."""
    if not isinstance(first, asyncio.Future):
        first.added -= 1


def _have_waiters(waiters: list[Waiter[Any]]) -> bool:
    """Whether somebody waits; those in front who have gone are let go of, so that nobody looks at them again."""
    gone = next((index for index, waiter in enumerate(waiters) if not is_gone(waiter)), len(waiters))
    del waiters[:gone]
    return bool(waiters)
