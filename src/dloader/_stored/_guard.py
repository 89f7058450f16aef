"""Care for a store: no call takes long, one that is down is left alone for a while, and no delete is lost.

There is one guard for each store and event loop, whoever uses it: what one request has learnt holds for the next.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from time import monotonic
from typing import Any, Protocol, TypeVar, cast, final
from weakref import WeakKeyDictionary, WeakSet, ref

from dloader._text import shorten
from dloader.errors import OptionError
from dloader.store import Got, Store

__all__ = ("Guard", "Listener", "check_store", "guard_of", "guards_here")

T = TypeVar("T")
logger = logging.getLogger("dloader")

DEADLINE = 0.25
WAIT = 2.0
FIRST_REST, LONGEST_REST = 0.5, 5.0
"""Seconds for which a store that failed is left alone: twice as long each time. One call in so many seconds is slow."""
LATE = 0.25
"""Seconds: if an event loop looks so long after a deadline, it was held up itself, which says nothing of the store."""
AGAIN = 0.1
"""Seconds after which what listens is cancelled once more: a client may swallow it, as while it connects again."""
MOST_WRITES = 64
"""So many writes are under way at once; what else is loaded meanwhile is not written."""
MOST_UNSENT = 10_000
"""More keys that could not be deleted are deleted with all of their loader."""


class Listener(Protocol):
    """A loader that hears what others have cleared."""

    def heard(self, names: Sequence[str]) -> None:
        """Others have deleted keys; some may be this loader's."""
        ...

    def forget_all(self) -> None:
        """What others have deleted may have been missed."""
        ...


@final
class Guard:
    """Makes the calls of one store on one event loop; lives as long as both."""

    def __init__(self, store: Store) -> None:
        self._refer = ref(store)  # who uses it keeps it alive
        self._deadline: float = getattr(store, "deadline", DEADLINE)
        self.wait: float = getattr(store, "wait", WAIT)
        """For how many seconds what others load is waited for."""
        self._rests_until = 0.0
        self._rest = 0.0
        """How long the last rest was; 0 while all is well."""
        self._unsent: dict[str, object] = {}
        """Keys that are to be deleted, each with something else for each time that it was cleared."""
        self._flushing: asyncio.Task[None] | None = None
        self._writes: set[asyncio.Task[None]] = set()
        self._listeners: WeakSet[Listener] = WeakSet()
        self._hearing: set[ref[Listener]] = set()
        """Those for whom `_listening` is there."""
        self._listening: asyncio.Task[None] | None = None

    @property
    def _store(self) -> Store:
        store = self._refer()
        assert store is not None  # noqa: S101 - who asks keeps it
        return store

    # -- calls -----------------------------------------------------------------------------------------------

    async def get(self, names: Sequence[str]) -> Got | None:
        """Look up keys; None if the store does not answer, or does not know yet what was deleted."""
        if self._unsent or self._flushing:
            await self.flush()
        return None if self._unsent else await self._call("get_many", self._store.get_many, names)

    async def _call(self, what: str, method: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T | None:
        """Call a method of the store; None if that fails, or is of no use now."""
        start = monotonic()
        if start < self._rests_until:
            return None
        if self._rest:
            self._rests_until = (
                start + self._deadline
            )  # one call tries whether it is back; others do not wait
        try:
            async with asyncio.timeout(self._deadline):
                result = await method(*args)
        except Exception as error:
            if not (type(error) is TimeoutError and monotonic() - start > self._deadline + LATE):
                self._failed(what, error, monotonic())
            return None
        self._succeeded()
        return result

    def _failed(self, what: str, error: Exception, now: float) -> None:
        if not self._rest:
            why = f"no answer in {self._deadline} s" if type(error) is TimeoutError else shorten(error)
            message = "store %r failed in %s (%s): values come from their sources until it is back"
            logger.warning(message, self._store, what, why)
        self._rest = min(max(2 * self._rest, FIRST_REST), LONGEST_REST)
        self._rests_until = now + self._rest

    def _succeeded(self) -> None:
        if self._rest:
            self._rest = self._rests_until = 0.0
            logger.info("store %r is back", self._store)

    # -- writes ----------------------------------------------------------------------------------------------

    @property
    def takes_writes(self) -> bool:
        """Whether a write may begin: the store is there, and not too many are under way."""
        now = monotonic()
        return len(self._writes) < MOST_WRITES and now >= self._rests_until

    def write(
        self, values: Callable[[], Mapping[str, bytes]], leases: Mapping[str, bytes], ttl: float
    ) -> asyncio.Task[None]:
        """Begin to write values, and to give back leases; nobody waits for it but who ends the program's work."""
        return self._begin(self._write(values, leases, ttl))

    async def _write(
        self, values: Callable[[], Mapping[str, bytes]], leases: Mapping[str, bytes], ttl: float
    ) -> None:
        await self._call("set_many", self._store.set_many, values(), leases, ttl)

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name="dloader: write to a store")
        self._writes.add(task)
        task.add_done_callback(partial(self._ended, self._store))
        return task

    def _ended(self, _store: Store, task: asyncio.Task[None]) -> None:
        """A call has ended, for which the store was kept: who began it may have let go of it."""
        self._writes.discard(task)

    # -- deletes ---------------------------------------------------------------------------------------------

    def clear(self, names: Sequence[str], sender: Listener | None) -> None:
        """Delete keys, and tell the loaders that are here at once, but who says it."""
        for listener in list(self._listeners):
            if listener is not sender:
                listener.heard(names)
        self._unsent.update(dict.fromkeys(names, object()))
        if len(self._unsent) > MOST_UNSENT:
            self._unsent = dict.fromkeys((name[: name.index("}:") + 2] for name in self._unsent), object())
        self._flush_soon()

    async def flush(self) -> None:
        """Send the deletes that are due, as far as the store takes them."""
        if self._unsent:
            self._flush_soon()
        if self._flushing is not None:
            await asyncio.wait(
                [self._flushing]
            )  # who waits may be cancelled, and the deletes are somebody else's

    def _flush_soon(self) -> None:
        if self._flushing is None:
            self._flushing = self._begin(self._flush())
            self._flushing.add_done_callback(self._flushed)

    def _flushed(self, _: asyncio.Task[None]) -> None:
        self._flushing = None

    async def _flush(self) -> None:
        while sent := dict(self._unsent):
            if await self._call("delete_many", self._delete, list(sent)) is None:
                return
            for name, time in sent.items():
                if self._unsent.get(name) is time:  # and it was not cleared once more meanwhile
                    del self._unsent[name]

    async def _delete(self, names: list[str]) -> bool:
        await self._store.delete_many(names)
        return True

    # -- what others delete ----------------------------------------------------------------------------------

    def add(self, listener: Listener) -> None:
        """Let a loader hear what others in this process clear."""
        self._listeners.add(listener)

    def listen_for(self, listener: Listener) -> None:
        """Let it hear what other processes clear, too, as long as it lives."""
        loop = asyncio.get_running_loop()
        # It may be freed anywhere, also in another thread.
        self._hearing.add(ref(listener, partial(_in_loop, loop, self._lost)))
        if self._listening is None:
            self._listening = loop.create_task(self._listen(), name="dloader: listen to a store")

    async def remove(self, listener: Listener) -> None:
        """Let it hear nothing any more."""
        self._listeners.discard(listener)
        listening = self._lost(ref(listener))
        if listening is not None:
            while not (await asyncio.wait([listening], timeout=AGAIN))[0]:
                listening.cancel()

    def _lost(self, listener: ref[Listener]) -> asyncio.Task[None] | None:
        """Listen no more, and return what listened, if this was the last one who wanted it."""
        self._hearing = {other for other in self._hearing if other is not listener and other != listener}
        listening = self._listening
        if self._hearing or listening is None:
            return None
        self._listening = None
        listening.cancel()
        return listening

    async def _listen(self) -> None:
        rest, me = FIRST_REST, cast("asyncio.Task[None]", asyncio.current_task())
        while True:
            try:
                async for names in self._store.cleared():
                    rest = FIRST_REST
                    self._tell(names)
            except Exception as error:
                if me.cancelling():  # the client has swallowed it, and failed instead
                    return
                logger.info("store %r tells no more what others clear (%s)", self._store, shorten(error))
            else:
                return  # it has nothing to tell
            self._tell(None)
            await asyncio.sleep(rest)
            rest = min(2 * rest, LONGEST_REST)

    def _tell(self, names: Sequence[str] | None) -> None:
        for listener in list(self._listeners):
            if names is None:
                listener.forget_all()
            else:
                listener.heard(names)


def _in_loop(loop: asyncio.AbstractEventLoop, lost: Callable[[Any], object], listener: ref[Listener]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(lost, listener)


_guards: WeakKeyDictionary[asyncio.AbstractEventLoop, WeakKeyDictionary[Store, Guard]] = WeakKeyDictionary()


def guard_of(store: Store) -> Guard:
    """The guard of a store on the event loop that runs here."""
    by_store = _guards.setdefault(asyncio.get_running_loop(), WeakKeyDictionary())
    guard = by_store.get(store)
    if guard is None:
        by_store[store] = guard = Guard(store)
    return guard


def guards_here() -> list[Guard]:
    """Those of all stores that are used on the event loop that runs here; of none where none runs."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return []
    guards = _guards.get(loop)
    return [] if guards is None else list(guards.values())


def check_store(where: str, store: object) -> None:
    """Refuse what is no store.

    Raises:
        OptionError: It lacks a method, or cannot be found again.
    """
    if isinstance(store, type) or not isinstance(store, Store):
        raise OptionError(
            f"{where} takes a dloader.store.Store, as RedisStore(client) or MemoryStore(), not {shorten(store)}"
        )
    try:
        hash(ref(store))
    except TypeError as error:
        raise OptionError(
            f"{where}: {shorten(store)} cannot be hashed, or referred to weakly: a store is told by its identity"
        ) from error
