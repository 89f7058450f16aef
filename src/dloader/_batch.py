"""Batch: the keys gathered for one call of the batch function, and how their callers are settled.

Invariants, between any two steps of the event loop:

- each key of a batch stands in it once, and has one entry: in the loader's table of waited-for keys, or,
  once ``clear`` or ``prime`` has outdated a running load, in the batch's own ``detached``;
- a key that nobody waits for is dead: a batch that has not started forgets it, a running batch
  keeps an empty `Crowd` for it, which a later caller may still join;
- a batch whose keys are all dead is abandoned: it never starts, or its task is cancelled;
- when a batch ends, in whatever way, every caller's future is done and its keys are out of the table.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from contextvars import copy_context
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from dloader._callers import Call, Crowd, Entry, Share, calls_of
from dloader._failure import own
from dloader._nesting import inside
from dloader._results import align
from dloader._tasks import start_task
from dloader.errors import BatchAbortedError

if TYPE_CHECKING:
    from dloader._batches import Batches

__all__ = ("Batch", "State")

K = TypeVar("K")
V = TypeVar("V")


class State(Enum):
    """The life of a batch, in this order; it may end from any state."""

    OPEN = auto()
    CLOSED = auto()
    RUNNING = auto()
    ENDED = auto()


class Batch(Generic[K, V]):
    """One call of the batch function in the making; lives from its first key until its callers are settled."""

    __slots__ = (
        "__weakref__",
        "_batches",
        "awaited_by",
        "cache_keys",
        "context",
        "dead",
        "detached",
        "error",
        "failed",
        "keys",
        "listeners",
        "loop",
        "number",
        "primed",
        "reported",
        "shares",
        "state",
        "task",
        "waits",
    )

    def __init__(self, batches: Batches[K, V], loop: asyncio.AbstractEventLoop, number: int) -> None:
        self._batches = batches
        self.loop = loop
        self.number = number
        self.context = copy_context()
        self.state = State.OPEN
        self.keys: list[K] = []
        # Without a cache_key_fn the keys are their own cache keys: one list under two names.
        self.cache_keys: list[Hashable] = cast(list[Hashable], self.keys) if batches.plain_keys else []
        self.shares: list[Share[V]] = []
        self.dead = 0
        self.detached: dict[Hashable, Entry[V]] = {}
        self.primed: set[Hashable] = set()
        """Keys primed before the start: their results must not overwrite what was primed."""
        self.awaited_by: set[Batch[Any, Any]] = set()
        """Running batches, of any loader, whose functions asked for keys of this one."""
        self.waits = False
        """Whether its function has asked other batches for keys."""
        self.listeners: list[Callable[[], object]] = []
        """Called once when the batch has ended; the resolver waits for batches, not for single keys."""
        self.task: asyncio.Task[None] | None = None
        self.error: Exception | None = None
        """What the batch function raised after all callers had left."""
        self.failed = False
        """Whether callers were given errors."""
        self.reported = False

    @property
    def size(self) -> int:
        """How many keys were added so far, those that everybody left included."""
        return len(self.keys)

    @property
    def is_open(self) -> bool:
        """Whether the batch still takes keys."""
        return self.state is State.OPEN

    @property
    def is_running(self) -> bool:
        """Whether the batch function was called and has not returned."""
        return self.state is State.RUNNING

    @property
    def loader_name(self) -> str:
        """The name of the loader, for messages."""
        return self._batches.loader.name

    def __repr__(self) -> str:
        return f"<batch {self.number} of {self._batches.loader.name} {self.state.name.lower()} keys={len(self.keys)}>"

    # -- who waits -------------------------------------------------------------------------------------------

    def join(self, cache_key: Hashable, entry: Entry[V], member: Call[V] | Share[V]) -> None:
        """Let `member` wait with `entry`, which stands at `cache_key` in the loader's table."""
        if type(entry) is Crowd:
            if not entry.live:
                self.dead -= 1
            entry.members.append(member)
            entry.live += 1
        else:
            self._batches.waiting[cache_key] = Crowd(self, [entry, member])

    def leave(self, cache_key: Hashable) -> None:
        """Forget one of those who wait for the key."""
        if self.state is State.ENDED:
            return
        table = self._table_of(cache_key)
        entry = table[cache_key]
        if type(entry) is Crowd:
            entry.live -= 1
            if entry.live:
                return
        if self.state is State.RUNNING:
            table[cache_key] = Crowd(self, [])
        else:
            del table[cache_key]
            self.primed.discard(cache_key)
        self.dead += 1
        if self.dead == len(self.keys):
            self._abandon()

    def detach(self, cache_key: Hashable) -> None:
        """Keep the callers of an outdated key, but let nobody join them and nothing be cached."""
        self.detached[cache_key] = self._batches.waiting.pop(cache_key)

    def _table_of(self, cache_key: Hashable) -> dict[Hashable, Entry[V]]:
        return self.detached if cache_key in self.detached else self._batches.waiting

    def _abandon(self) -> None:
        """Nobody waits for any key: do not start, or stop."""
        running = self.state is State.RUNNING
        if running:
            self._take_entries()
        self.state = State.ENDED
        self.shares = []
        if self._batches.open is self:
            self._batches.open = None
        if self.task is not None:
            self.task.cancel(f"nobody waits for {self!r} any more")
        self._wake_listeners()

    def _take_entries(self) -> list[Entry[V]]:
        """Remove and return the entries of all keys, in their order."""
        waiting = self._batches.waiting
        if not self.detached:
            if len(waiting) > len(self.cache_keys):
                return list(map(waiting.pop, self.cache_keys))
            entries = list(map(waiting.__getitem__, self.cache_keys))  # all that is waited for: half the time
            waiting.clear()
            return entries
        return [self._table_of(cache_key).pop(cache_key) for cache_key in self.cache_keys]

    def _take_shares(self) -> list[Share[V]]:
        """Let go of the shares, which refer to this batch: it need not wait for the garbage collector."""
        shares, self.shares = self.shares, []
        return shares

    # -- running ---------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Take no more keys and run the batch as soon as ``max_concurrency`` allows."""
        if self.state is State.OPEN:
            self.state = State.CLOSED
            self._batches.closed(self)
            self._batches.start_ready()

    def start(self) -> None:
        """Call the batch function in a task of its own, at once where Python can."""
        name = f"{self._batches.loader.name}-{self.number}"
        coroutine = self._run()
        try:
            task = start_task(self.loop, coroutine, name=name, context=self.context)
        except Exception as error:  # the application's task factory raised
            if self.state is not State.CLOSED:  # it had begun: who runs it will end it
                raise
            coroutine.close()
            self._drop_dead_keys()
            self._fail(error)
            self._batches.release(self)
            return
        if not task.done():
            self.task = task
            task.add_done_callback(self._sweep)
            if self.state is State.ENDED:  # abandoned in its first step
                task.cancel()

    def _sweep(self, task: asyncio.Task[None]) -> None:
        """End a batch whose task was cancelled before its first step: its coroutine never ran."""
        if self.task is task:
            self.task = None
            self._drop_dead_keys()
            self._fail(asyncio.CancelledError())
            self._batches.release(self)

    def _drop_dead_keys(self) -> None:
        if not self.dead:
            return
        waiting = self._batches.waiting
        alive: dict[Hashable, K] = {}
        for cache_key, key in zip(self.cache_keys, self.keys, strict=True):
            entry = waiting.get(cache_key)
            if entry is not None and entry.batch is self:
                alive[cache_key] = key
        self.dead = 0
        self.keys[:] = alive.values()
        if not self._batches.plain_keys:
            self.cache_keys[:] = alive

    async def _run(self) -> None:
        batches = self._batches
        error: BaseException | None = None
        # Where tasks do not start at once, callers could still come and go until now.
        self._drop_dead_keys()
        self.state = State.RUNNING
        try:
            batches.started_one(self)
            inside.set(self)
            try:
                returned = await batches.fetch(list(self.keys))
            finally:
                inside.set(None)
            self._settle(*align(batches.loader, self, returned))
        except BaseException as raised:
            error = raised
            self._fail(raised)
            if isinstance(raised, (KeyboardInterrupt, SystemExit, asyncio.CancelledError)):
                raise
        finally:
            self.task = None
            batches.finished_one(self, error)
            # Its traceback refers to this frame: leave nothing that only the garbage collector can free.
            error = None

    # -- settling --------------------------------------------------------------------------------------------

    def _settle(self, results: dict[Hashable, V], errors: dict[Hashable, Exception]) -> None:
        """Give everybody the result of their key, which is in one of the two mappings."""
        entries = self._end(results, errors)
        if entries is None:
            return
        if errors:
            self.failed = True
            self._settle_calls_one_by_one(entries, results, errors)
        else:
            for entry, value in zip(entries, results.values(), strict=True):
                if type(entry) is Call or type(entry) is Crowd:
                    entry.settle(value)
        for share in self._take_shares():
            share.settle(results, errors)
        self._wake_listeners()

    def _settle_calls_one_by_one(
        self, entries: list[Entry[V]], results: dict[Hashable, V], errors: dict[Hashable, Exception]
    ) -> None:
        for cache_key, entry in zip(self.cache_keys, entries, strict=True):
            error = errors.get(cache_key)
            for call in calls_of(entry):
                if error is None:
                    call.settle(results[cache_key])
                else:
                    call.fail(error)

    def _fail(self, raised: BaseException) -> None:
        """Fail everybody: the batch function did not return one result per key."""
        if self.loop.is_closed():  # a task that was never finished is being freed: nobody can be told
            if self.state is not State.ENDED:
                self._batches.forget()
            return
        error = self._explain(raised)
        errors = dict.fromkeys(self.cache_keys, error) if isinstance(raised, Exception) else {}
        entries = self._end({}, errors)
        if entries is None:
            self._report_late(raised)
            return
        self.failed = True
        for entry in entries:
            for call in calls_of(entry):
                call.fail(error)
        for share in self._take_shares():
            share.fail(error)
        self._wake_listeners()

    def _end(self, results: dict[Hashable, V], errors: dict[Hashable, Exception]) -> list[Entry[V]] | None:
        """Remember what may be remembered and take the callers out of the tables, to be settled.

        Returns:
            What stood at each key, or ``None`` when everybody has left, be it while the map was written to.
        """
        if self.state is not State.ENDED:
            self._remember(results, errors)
        if self.state is State.ENDED:
            return None
        entries = self._take_entries()
        self.state = State.ENDED
        return entries

    def _remember(self, results: dict[Hashable, V], errors: dict[Hashable, Exception]) -> None:
        cache, outdated = self._batches.cache, self.primed
        if self.detached:
            outdated = outdated | self.detached.keys()
        cache.store(results, outdated)
        if self._batches.loader.cache_errors:
            cache.store(errors, outdated)

    def _report_late(self, raised: BaseException) -> None:
        """Tell about a failure in a batch that everybody had left; `shutdown` returns those it caused."""
        if isinstance(raised, asyncio.CancelledError):
            return
        self.error = self._explain(raised)
        if not self._batches.loader.closed:
            message = (
                f"Batch {self.number} of loader {self.loader_name!r} failed after all its callers had left"
            )
            self.loop.call_exception_handler({"message": message, "exception": self.error})

    def _explain(self, raised: BaseException) -> Exception:
        where = f"in batch {self.number} of loader {self._batches.loader.name!r} (keys: {len(self.keys)})"
        if isinstance(raised, Exception):
            return own(raised, where)
        how = "was cancelled" if isinstance(raised, asyncio.CancelledError) else f"raised {raised!r}"
        error = BatchAbortedError(f"the batch function {how} {where}; loading again is safe")
        error.__cause__ = raised
        return error

    # -- the end ---------------------------------------------------------------------------------------------

    def cancel_callers(self) -> None:
        """Cancel everybody who waits, because the loader is being shut down."""
        if self.state is State.ENDED:
            return
        if self.state is not State.RUNNING:
            self._drop_dead_keys()
        entries = self._take_entries()
        self.state = State.ENDED
        reason = f"loader {self._batches.loader.name!r} was shut down"
        for entry in entries:
            for call in calls_of(entry):
                call.cancel(reason)
        for share in self._take_shares():
            share.many.cancel(reason)
        self._wake_listeners()

    def _wake_listeners(self) -> None:
        listeners, self.listeners = self.listeners, []
        for listener in listeners:
            listener()

    def report_unseen(self, future: asyncio.Future[object]) -> None:
        """Tell the loop's exception handler that nobody looked at a failure of this batch, once per batch."""
        if not self.reported and not self.loop.is_closed():
            self.reported = True
            message = f"A load of {self._batches.loader.name!r} failed and nobody looked at the error"
            self.loop.call_exception_handler(
                {"message": message, "exception": future.exception(), "future": future}
            )
