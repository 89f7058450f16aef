"""Hooks to watch loaders with: override what you need, pass ``instruments=[...]`` to a loader; or `watch` a block.

A loader without instruments pays nothing. An instrument that raises is logged and removed; it
never fails a load. The idea and the manners are trio's.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, MutableSequence, Sequence
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Generic, Literal, NamedTuple, Protocol, Self, TypeVar

__all__ = (
    "BatchInfo",
    "BatchRecord",
    "Instrument",
    "ObservedLoader",
    "ResolveRecord",
    "SizedLimit",
    "Statistics",
    "StepRecord",
    "current_step",
    "everywhere",
    "watch",
    "watching",
)

K = TypeVar("K")
V = TypeVar("V")


# Named tuples: frozen dataclasses would take half of the time of `import dloader`.
class Statistics(NamedTuple):
    """What a loader has done since it was made; a snapshot that does not change any more."""

    batches: int
    """How many batches there were: how often the batch function was called, or a store in its place."""
    keys: int
    """How many keys those had."""
    cache_hits: int
    """How many keys were answered from ``cache_map``."""
    merged: int
    """How many keys joined a load of the same key: one under way, or one in the same set of keys."""
    errors: int
    """How many batches failed as a whole."""
    store_hits: int = 0
    """How many of the keys of batches the store had, so that they were not loaded: see `dloader.store`."""

    @property
    def loads(self) -> int:
        """How many keys were asked for and sent, joined or answered."""
        return self.keys + self.cache_hits + self.merged


class SizedLimit(Protocol):
    """What an instrument may read of a `dloader.Limit`."""

    @property
    def size(self) -> int:
        """How many batches may run at once, of all loaders that share it."""
        ...


class ObservedLoader(Protocol):
    """The part of a `DataLoader` that an instrument may read."""

    @property
    def name(self) -> str:
        """Shown in errors, pictures and task names."""
        ...

    @property
    def max_batch_size(self) -> int | None:
        """How many keys one call of the batch function is given at most."""
        ...

    @property
    def max_concurrency(self) -> int | SizedLimit | None:
        """How many batches run at once at most; it may be a `dloader.Limit`, which several loaders share."""
        ...

    @property
    def cache_map(self) -> MutableMapping[Any, Any]:
        """The mapping that results are kept in."""
        ...

    @property
    def statistics(self) -> Statistics:
        """What the loader has done so far."""
        ...

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits for a key and no batch runs."""
        ...

    @property
    def closed(self) -> bool:
        """Whether the loader was shut down."""
        ...


class BatchInfo(NamedTuple, Generic[K, V]):
    """One batch, as an `Instrument` sees it."""

    loader: ObservedLoader
    """The loader that the batch belongs to."""
    number: int
    """1 for the loader's first batch, counted in the order in which they opened."""
    keys: tuple[K, ...]
    """The keys gathered so far: empty when the batch opens, final when it starts."""


class BatchRecord:
    """One batch from its opening to its end; lives as long as somebody keeps it, and refers to its loader.

    Times are those of ``time.perf_counter_ns``, and 0 for what has not happened, or never did.
    """

    __slots__ = (
        "_times",
        "error",
        "failed",
        "inside",
        "keys",
        "loader",
        "merged",
        "number",
        "outcome",
        "statements",
        "told",
        "values",
        "why",
    )

    def __init__(
        self,
        loader: ObservedLoader,
        number: int,
        inside: BatchRecord | None,
        told: tuple[MutableSequence[Instrument], ...],
        now: int,
    ) -> None:
        self.loader = loader
        self.number = number
        """1 for the loader's first batch."""
        self.inside = inside
        """That of the batch whose function asked for this one's first key, if that is watched."""
        self.told = told
        """The instruments that are told of the batch, in one or more lists."""
        self._times = [now, 0, 0, 0]
        self.why = ""
        """Why it closed: ``idle``, ``quiet`` or ``most`` (see `settle`), ``policy`` (another one), ``full``, ``manual``
        (``dispatch()``), ``resolver``, ``draining``. Empty if it ended before."""
        self.outcome = ""
        """``returned``, ``failed``, ``left`` (by everybody), ``shut_down``, ``lost`` (its event loop was closed); empty
        until it has ended."""
        self.error: BaseException | None = None
        """What it failed with as a whole."""
        self.keys: Sequence[Any] = ()
        """Its keys, once it has ended."""
        self.values: Sequence[Any] = ()
        """What the batch function returned for them; there only while `Instrument.batch_ended` is called."""
        self.failed = self.merged = self.statements = 0
        """How many keys failed one by one, how many callers joined one, and what `note_statement` counted."""

    @property
    def opened(self) -> int:
        """When its first key was asked for."""
        return self._times[0]

    @property
    def closed(self) -> int:
        """When it took no more keys."""
        return self._times[1]

    @property
    def started(self) -> int:
        """When its function was called."""
        return self._times[2]

    @property
    def ended(self) -> int:
        """When that had returned, or nobody waited any more."""
        return self._times[3]

    def note_closed(self, why: str, now: int) -> None:
        """The batch takes no more keys."""
        self.why = why
        self._times[1] = now

    def note_started(self, now: int) -> None:
        """Its function is called."""
        self._times[2] = now

    def note_statement(self) -> None:
        """Its function sent one statement to a back end."""
        self.statements += 1

    def note_ended(
        self,
        outcome: str,
        error: BaseException | None,
        keys: Sequence[Any],
        merged: int,
        values: Sequence[Any],
        now: int,
    ) -> None:
        """It has ended."""
        self.outcome, self.error, self.keys, self.merged, self.values = outcome, error, keys, merged, values
        for kind in set(map(type, values)):
            if issubclass(kind, BaseException):
                self.failed += sum(type(value) is kind for value in values)
        self._times[3] = now

    def forget_values(self) -> None:
        """Keep nothing that was loaded."""
        self.values = ()

    def __repr__(self) -> str:
        state = self.outcome or ("running" if self.started else "closed" if self.closed else "open")
        return f"<record of batch {self.number} of {self.loader.name}: {state}>"


class ResolveRecord:
    """One resolve of one tree; lives as long as somebody keeps it. Times as in `BatchRecord`."""

    __slots__ = ("busy", "ended", "error", "roots", "started")

    def __init__(self, roots: Mapping[type, int], now: int) -> None:
        self.roots = roots
        """How many nodes of which class it was given."""
        self.started = now
        self.ended = 0
        self.error: BaseException | None = None
        self.busy: list[tuple[int, int]] = []
        """From when to when it held the event loop: what nobody else could use."""

    def note_busy(self, start: int, end: int) -> None:
        """It held the event loop."""
        self.busy.append((start, end))

    def note_ended(self, error: BaseException | None, now: int) -> None:
        """It is done."""
        self.error, self.ended = error, now


class StepRecord:
    """One field of the nodes of one class that arrived together in a resolve, filled by a loader or a method."""

    __slots__ = (
        "_times",
        "batches",
        "came_from",
        "depth",
        "distinct",
        "field",
        "hits",
        "keys",
        "loaders",
        "nodes",
        "owner",
        "path",
        "phase",
        "resolve",
    )

    def __init__(
        self,
        resolve: ResolveRecord,
        owner: type,
        field: str,
        path: Sequence[str],
        depth: int,
        phase: Literal["resolve", "post"],
        nodes: int,
        came_from: Sequence[StepRecord],
        now: int,
    ) -> None:
        self.resolve = resolve
        self.owner = owner
        """The class of the nodes."""
        self.field = field
        self.path = path
        """The fields that lead from the root to the nodes; the last twenty of them."""
        self.depth = depth
        self.phase = phase
        self.nodes = nodes
        """How many nodes there are."""
        self.came_from = came_from
        """What brought the nodes, or the keys that are loaded."""
        self._times = [now, 0]
        self.keys = self.distinct = self.hits = 0
        """How many keys were asked for, how many were different (each cached one that a method asks for counts), how
        many were cached. 0 where an ``async def`` method loads after it has awaited something."""
        self.loaders: Sequence[ObservedLoader] = ()
        """Those that were asked."""
        self.batches: Sequence[tuple[ObservedLoader, int]] = ()
        """The loaders and numbers of the batches that took keys."""

    @property
    def asked(self) -> int:
        """When its methods were called, or its keys asked for."""
        return self._times[0]

    @property
    def written(self) -> int:
        """When the values were written into the nodes."""
        return self._times[1]

    def note_loaders(self, loaders: Sequence[ObservedLoader]) -> None:
        """These are about to be asked."""
        self.loaders = loaders

    def note_asked(
        self, keys: int, distinct: int, hits: int, batches: Sequence[tuple[ObservedLoader, int]]
    ) -> None:
        """The loaders were asked for its keys."""
        self.keys, self.distinct, self.hits, self.batches = keys, distinct, hits, batches

    def note_written(self, now: int) -> None:
        """The values were written into the nodes."""
        self._times[1] = now


current_step: ContextVar[StepRecord | None] = ContextVar("dloader_current_step", default=None)
"""The step of a watched resolve whose method runs here, also in the task of an ``async def`` method."""


class Instrument:
    """No-op hooks that a loader calls; it may serve any number of loaders, for as long as they live.

    Hooks are called from the event loop's thread and must not block. One that is not overridden costs nothing.

    Example:
        >>> class Print(Instrument):
        ...     def batch_started(self, batch):
        ...         print(f"{batch.loader.name} loads {list(batch.keys)}")
    """

    def load_requested(
        self, loader: ObservedLoader, key: object, source: Literal["cache", "pending", "batch"], /
    ) -> None:
        """A caller asked for `key`, in the caller's context; `source` tells where its answer will come from."""

    def batch_opened(self, batch: BatchInfo[Any, Any], /) -> None:
        """A batch was opened for a first key, in the context of the caller who asked for it."""

    def batch_started(self, batch: BatchInfo[Any, Any], /) -> None:
        """The batch function is about to be called, in the task and the context that it will run in."""

    def batch_finished(self, batch: BatchInfo[Any, Any], error: BaseException | None, /) -> None:
        """The batch function has ended, in the same task; `error` is what the batch failed with as a whole."""

    def record_opened(self, record: BatchRecord, /) -> None:
        """A batch is about to be opened by the code that runs here, and `batch_ended` will get this record.

        The only hook that may raise: a `RepeatedLoadError` reaches the caller who asked, and the batch is not opened.
        """

    def batch_ended(self, record: BatchRecord, /) -> None:
        """A batch has ended, in whichever way: once for each `record_opened`, just before the callers are answered."""

    # Told to instruments that `watch` a context, and not to those of one loader.

    def loader_made(self, loader: ObservedLoader, /) -> None:
        """A loader was made."""

    def keys_forgotten(self, loader: ObservedLoader, keys: Sequence[Any] | None, /) -> None:
        """Keys were cleared or primed, or all of them (None): to load them again is no waste."""

    def resolve_started(self, resolve: ResolveRecord, /) -> None:
        """A resolver begins to fill a tree."""

    def resolve_finished(self, resolve: ResolveRecord, /) -> None:
        """It is done, or has failed."""

    def step_asked(self, step: StepRecord, /) -> None:
        """The methods for one field were called, or its keys asked for: once for all nodes that arrived together."""

    def step_written(self, step: StepRecord, /) -> None:
        """The values are in the nodes."""


everywhere: MutableSequence[Instrument] = []
"""The instruments that watch all that is opened and made, in whichever context; add to it, and remove from it."""

watching: ContextVar[MutableSequence[Instrument]] = ContextVar("dloader_watching", default=everywhere)
"""The instruments that watch what is opened and made in this context; `watch` sets it."""


class watch:  # noqa: N801 - reads as a verb: with watch(instrument)
    """Let instruments watch the batches that are opened, and the loaders that are made, in a block of code.

    All loaders are seen, whenever and wherever they were made: those of modules, registries and resolvers, and also
    what child tasks do, which inherit the context. Two requests never see each other: a batch is seen by those who
    watch the code that asked for its first key. Single loads are not told (`Instrument.load_requested` and the other
    hooks of a loader's own instruments): watching costs nothing per load.

    Args:
        instruments: They hear of `Instrument.record_opened`, `batch_ended`, `loader_made`, `keys_forgotten`, and of
            what resolvers do.

    Example:
        >>> import asyncio
        >>> from dloader import DataLoader
        >>> class Print(Instrument):
        ...     def batch_ended(self, record):
        ...         print(f"{record.loader.name} loaded {list(record.keys)}: {record.outcome}")
        >>> async def load_users(ids):
        ...     return [f"user {id}" for id in ids]
        >>> async def main():
        ...     users = DataLoader(load_users)
        ...     with watch(Print()):
        ...         return await users.load(1)
        >>> asyncio.run(main())
        load_users loaded [1]: returned
        'user 1'
    """

    def __init__(self, *instruments: Instrument) -> None:
        self._instruments = instruments
        self._tokens: list[Token[MutableSequence[Instrument]]] = []

    def __enter__(self) -> Self:
        """Begin to watch."""
        outer = [other for other in watching.get() if not any(other is new for new in self._instruments)]
        self._tokens.append(watching.set([*outer, *self._instruments]))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Watch no more of what is opened in this context; tasks that were made in the block are watched further."""
        for token in reversed(self._tokens):
            try:
                watching.reset(token)
            except ValueError:  # that of another task, which is in the block too
                continue
            self._tokens.remove(token)
            return
        if self._tokens:  # a generator's end may run in another context than its beginning
            self._tokens.pop()
            watching.set([other for other in watching.get() if other not in self._instruments])
