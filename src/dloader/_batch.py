"""Batch: the keys gathered for one call of the batch function, and how their callers are settled.

Invariants, between any two steps of the event loop:

- each key of a batch stands in ``entries`` once, from when it is asked for until the batch ends; a batch that is
  about to start forgets the keys that everybody has left;
- a running batch that is waited for watches one of the futures that wait, and is abandoned one turn after the
  last of them was cancelled;
- a key that was cleared or primed while its batch ran is ``outdated``: nobody joins it there, and its result is not
  cached; so is the result of a key primed before the start;
- when a batch ends, in whatever way, every caller's future is done, and its keys are loaded afresh.
"""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Callable, Hashable, Sequence, Set as AbstractSet
from contextvars import copy_context
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from dloader._callers import Crowd, Entry, Share, fail_all, futures_of, is_done, is_left, seen
from dloader._failure import own
from dloader._nesting import inside
from dloader._results import align, failures
from dloader._tasks import start_task
from dloader._watch import Watch
from dloader.errors import BatchAbortedError

if TYPE_CHECKING:
    from dloader._batches import Batches
    from dloader._events import BatchInfo

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

    # What most batches never change is a default of the class: less to set for each batch.
    state = State.OPEN
    is_mixed = False
    """Whether an entry is something else than one caller's future."""
    has_crowds = False
    """Whether several wait for one key."""
    shared = 0
    """How many keys a set was the first to ask for."""
    task: asyncio.Task[None] | None = None
    outdated: AbstractSet[Hashable] = frozenset()
    """Keys whose results must not be cached: they were primed, or cleared while the batch ran."""
    awaited_by: AbstractSet[Batch[Any, Any]] = frozenset()
    """Running batches, of any loader, whose functions asked for keys of this one."""
    info: BatchInfo[K, V] | None = None
    """What instruments are shown, kept for the end."""
    waits = False
    """Whether its function has asked other batches for keys."""
    error: Exception | None = None
    """What the batch function raised after all callers had left."""
    failed = False
    """Whether callers were given errors."""
    watch: Watch | None = None
    """While it runs, and did not end in its first step."""

    def __init__(
        self,
        batches: Batches[K, V],
        loop: asyncio.AbstractEventLoop,
        number: int,
        entries: dict[Any, Entry[V]],
    ) -> None:
        self._batches = batches
        self.loop = loop
        self.number = number
        self.entries = entries
        self.context = copy_context()
        self.own_keys: list[K] | None = None if batches.plain_keys else []
        """The keys as they were given, where a ``cache_key_fn`` makes others of them."""
        self.shares: list[Share[V]] = []
        self.listeners: list[Callable[[], object]] = []
        """Called once when the batch has ended; the resolver waits for batches, not for single keys."""

    @property
    def size(self) -> int:
        """How many keys were added so far, those that everybody left included."""
        return len(self.entries)

    @property
    def keys(self) -> list[K]:
        """The keys, in the order in which they were asked for."""
        return list(self.entries) if self.own_keys is None else list(self.own_keys)

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
    def loader_name(self) -> str:
        """The name of the loader, for messages."""
        return self._batches.loader.name

    def __repr__(self) -> str:
        return (
            f"<batch {self.number} of {self.loader_name} {self.state.name.lower()} keys={len(self.entries)}>"
        )

    # -- who waits -------------------------------------------------------------------------------------------

    def join(self, cache_key: Hashable, member: Future[V] | Share[V]) -> None:
        """Let `member` wait for a key that somebody waits for, or did."""
        entry = self.entries[cache_key]
        if type(entry) is Crowd:
            entry.append(member)
        else:
            self.entries[cache_key] = Crowd((entry, member))
            self.is_mixed = self.has_crowds = True
        if self.watch is not None:
            self.watch.add(member)

    @property
    def is_of_sets(self) -> bool:
        """Whether nobody but sets waits for any key, and one set for each."""
        return not self.has_crowds and self.shared == len(self.entries)

    def drop_left_keys(self) -> None:
        """Forget the keys that everybody has left; nobody is asked for them."""
        entries = self.entries
        if not self.is_mixed:
            if not any(map(is_done, entries.values())):
                return
        elif self.is_of_sets and not any(map(is_left, self.shares)):
            return
        left = {cache_key for cache_key, entry in entries.items() if is_left(entry)}
        if not left:
            return
        if self.own_keys is not None:
            pairs = zip(entries, self.own_keys, strict=True)
            self.own_keys = [key for cache_key, key in pairs if cache_key not in left]
        self._batches.forget_keys(self, left)
        for cache_key in left:
            del entries[cache_key]
        if self.outdated:
            self.outdated = set(self.outdated - left)
        self.shared = sum(type(entry) is Share for entry in entries.values())
        self.shares = [share for share in self.shares if not is_left(share)]

    def _watch(self) -> None:
        """Be told when the last of those who wait has left."""
        self.watch = Watch(self.entries.values(), self._everybody_left)
        self.watch.look()

    def _everybody_left(self) -> None:
        if self.state is State.RUNNING:
            self._abandon()

    def _stop_watching(self) -> None:
        if self.watch is not None:
            self.watch.stop()
            self.watch = None

    def forget(self) -> None:
        """End without telling anybody: the event loop was closed."""
        self._stop_watching()
        self.state = State.ENDED

    def _abandon(self) -> None:
        """Nobody waits for any key: do not start, or stop."""
        reason = f"nobody waits for {self!r} any more"
        self._end()
        self._take_shares()
        if self.task is not None:
            self.task.cancel(reason)
        self._wake_listeners()

    def _end(self) -> dict[Any, Entry[V]]:
        """Let go of the callers; return the entries, whose callers are still to be settled."""
        self._stop_watching()
        self.state = State.ENDED
        self._batches.ended(self)
        entries, self.entries = self.entries, {}
        return entries

    def _take_shares(self) -> list[Share[V]]:
        """Let go of the shares, which refer to this batch: it need not wait for the garbage collector."""
        shares, self.shares = self.shares, []
        return shares

    # -- running ---------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Take no more keys and run the batch as soon as ``max_concurrency`` allows."""
        if self.state is State.OPEN:
            self._batches.close(self)
            self._batches.queue.start()

    def start(self) -> None:
        """Call the batch function in a task of its own, at once where Python can."""
        self.drop_left_keys()
        if not self.entries:
            self._abandon()
            self._batches.queue.release(self)
            return
        coroutine = self._run()
        name = f"{self._batches.loader.name}-{self.number}"
        context = self.context
        del self.context  # it will refer to this batch
        try:
            task = start_task(self.loop, coroutine, name=name, context=context)
        except Exception as error:  # the application's task factory raised
            if self.state is not State.CLOSED:  # it had begun: who runs it will end it
                raise
            coroutine.close()
            self._fail(error)
            self._batches.queue.release(self)
            return
        if task.done():
            return
        self.task = task
        task.add_done_callback(self._sweep)
        if self.state is State.RUNNING:
            self._watch()

    def _sweep(self, task: asyncio.Task[None]) -> None:
        """End a batch whose task was cancelled before its first step: its coroutine never ran."""
        if self.task is task:
            self.task = None
            self._fail(asyncio.CancelledError())
            self._batches.queue.release(self)

    async def _run(self) -> None:
        batches = self._batches
        error: BaseException | None = None
        if self.task is not None:  # the task did not start at once: callers could still come and go until now
            self.drop_left_keys()
            if not self.entries:
                self.task = None
                self._abandon()
                batches.queue.release(self)
                return
        self.state = State.RUNNING
        batches.started += 1
        batches.keys += len(self.entries)
        try:
            if batches.instruments:
                batches.tell_started(self)
            inside.set(self)
            if self.task is not None:
                self._watch()
            returned: Any = await batches.fetch(self.keys)
            if self.state is State.RUNNING:
                # As nearly every batch function returns: `align` is for the others.
                kind: type = type(returned)  # pyright: ignore[reportUnknownVariableType]
                is_aligned = kind is list and len(returned) == len(self.entries)
                self._settle(returned if is_aligned else align(batches.loader, self, returned))
        except BaseException as raised:
            error = raised
            self._fail(raised)
            if isinstance(raised, (KeyboardInterrupt, SystemExit, asyncio.CancelledError)):
                raise
        finally:
            self.task = None
            if error is not None and not isinstance(error, asyncio.CancelledError):
                batches.errors += 1
            if batches.instruments:
                batches.tell_finished(self, error)
            batches.queue.release(self)
            # Its traceback refers to this frame: leave nothing that only the garbage collector can free.
            error = None

    # -- settling --------------------------------------------------------------------------------------------

    def _settle(self, values: Sequence[V]) -> None:
        """Give everybody the result of their key."""
        kinds = set(map(type, values))  # much cheaper than a look at each value
        for kind in kinds:
            if issubclass(kind, BaseException):
                self._settle_with_errors(values)
                return
        is_plain = not self.is_mixed
        only_sets = self.is_mixed and self.is_of_sets
        entries = self._end()
        # As many values as entries: saying strict=True would cost each batch a quarter of a microsecond.
        pairs = iter(()) if only_sets else zip(entries.values(), values)  # noqa: B905
        while True:
            try:
                for entry, value in pairs:
                    entry.set_result(value)
                break
            except asyncio.InvalidStateError:  # cancelled, or completed from outside: it is left as it is
                is_plain = False
        if self.shares:
            self._settle_shares(entries, values)
        self._batches.remember(entries, values, kinds, self.outdated, is_plain)
        if self.listeners:
            self._wake_listeners()

    def _settle_shares(self, entries: dict[Any, Entry[V]], values: Sequence[V]) -> None:
        found: dict[Any, V] = {}

        def by_key() -> dict[Any, V]:
            if not found:
                found.update(zip(entries, values, strict=True))
            return found

        for share in self._take_shares():
            share.settle(values, by_key)

    def _settle_with_errors(self, values: Sequence[Any]) -> None:
        """Give some their results, and others the exceptions that the batch function returned for their keys."""
        batches = self._batches
        errors = failures(batches.loader, self.keys, self.entries, values)
        results = {key: value for key, value in zip(self.entries, values, strict=True) if key not in errors}
        unawaited: list[Future[Any]] = []
        for cache_key, entry in self._end().items():
            error = errors.get(cache_key)
            if error is not None:
                unawaited += fail_all(futures_of(entry), error)
                continue
            for future in futures_of(entry):
                if not future.done():
                    future.set_result(results[cache_key])
        batches.remember(results, list(results.values()), set(map(type, results.values())), self.outdated)
        unawaited += (
            share.many.future for share in self._take_shares() if share.settle_with_errors(results, errors)
        )
        self._has_failed(errors, unawaited)

    def _fail(self, raised: BaseException) -> None:
        """Fail everybody: the batch function did not return one result per key."""
        if self.loop.is_closed():  # a task that was never finished is being freed: nobody can be told
            if self.state is not State.ENDED:
                self._batches.forget()
            return
        error = self._explain(raised)
        if self.state is State.ENDED:
            self._report_late(raised, error)
            return
        entries = self._end()
        unawaited = fail_all((future for entry in entries.values() for future in futures_of(entry)), error)
        unawaited += (share.many.future for share in self._take_shares() if share.fail(error))
        self._has_failed(dict.fromkeys(entries, error) if isinstance(raised, Exception) else {}, unawaited)

    def _has_failed(self, errors: dict[Any, Exception], unawaited: Sequence[Future[Any]]) -> None:
        """Remember the errors, if they are to be, and have asyncio report one of them at most.

        It reports each failed future that is freed before anybody has looked at it. Those that are awaited will be
        looked at; of the others one is left to be reported, however many keys and callers there are.
        """
        self.failed = True
        if self._batches.loader.cache_errors:
            self._batches.remember(errors, list(errors.values()), set(), self.outdated)
        for future in unawaited[1:]:
            seen(future)
        self._wake_listeners()

    def _explain(self, raised: BaseException) -> Exception:
        where = f"in batch {self.number} of loader {self.loader_name!r} (keys: {len(self.entries)})"
        if isinstance(raised, Exception):
            return own(raised, where)
        how = "was cancelled" if isinstance(raised, asyncio.CancelledError) else f"raised {raised!r}"
        error = BatchAbortedError(f"the batch function {how} {where}; loading again is safe")
        error.__cause__ = raised
        return error

    def _report_late(self, raised: BaseException, error: Exception) -> None:
        """Tell about a failure in a batch that everybody had left; `shutdown` returns those it caused."""
        if isinstance(raised, asyncio.CancelledError):
            return
        self.error = error
        if not self._batches.loader.closed:
            message = (
                f"Batch {self.number} of loader {self.loader_name!r} failed after all its callers had left"
            )
            self.loop.call_exception_handler({"message": message, "exception": error})

    # -- the end ---------------------------------------------------------------------------------------------

    def cancel_callers(self) -> None:
        """Cancel everybody who waits, because the loader is being shut down."""
        if self.state is State.ENDED:
            return
        entries = self._end()
        reason = f"loader {self.loader_name!r} was shut down"
        for entry in entries.values():
            for future in futures_of(entry):
                future.cancel(reason)
        for share in self._take_shares():
            share.many.future.cancel(reason)
        self._wake_listeners()

    def _wake_listeners(self) -> None:
        listeners, self.listeners = self.listeners, []
        for listener in listeners:
            listener()
