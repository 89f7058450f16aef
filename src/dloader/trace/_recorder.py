"""What happens in a recorded block, as raw as it comes: most work is left for when the trace is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import islice
from time import perf_counter_ns
from typing import Any, cast, final

from dloader import Instrument
from dloader._printed import inert
from dloader.errors import RepeatedLoadError
from dloader.instruments import (
    BatchRecord,
    ObservedLoader,
    ResolveRecord,
    Statistics,
    StepRecord,
    current_step,
)
from dloader.trace._sites import Sites, place_of, sites_here
from dloader.trace._strict import StrictCases

__all__ = ("Entry", "Made", "Options", "Recorder", "expected_here")

expected_here: ContextVar[str | None] = ContextVar("dloader_expected", default=None)
"""Why what happens here is no finding."""

PLAIN = (str, int, bytes)
MOST_PLAIN = 40
LEVELS = 3
"""A value, what stands in it, and what stands in that."""
NOTHING: frozenset[Any] = frozenset()


@dataclass(frozen=True, slots=True)
class Options:
    """What `record` was asked for."""

    title: str
    places: bool
    keys: int | Callable[[Any], object]
    values: bool
    limit: int
    strict: bool


@dataclass(slots=True, eq=False)
class Entry:
    """One batch."""

    record: BatchRecord
    sites: Sites
    step: StepRecord | None
    """That whose method asked first."""
    expected: str | None
    """Why it is no finding, as a block or the loader's class says."""
    found: frozenset[Any] = NOTHING
    """Of a batch of one key: the plain values that stand in its result."""
    values: Sequence[Any] = ()

    def note_result(self, found: frozenset[Any], values: Sequence[Any]) -> None:
        """The batch has returned."""
        self.found, self.values = found, values


@dataclass(slots=True, eq=False)
class Made:
    """One loader that was seen."""

    loader: ObservedLoader
    sites: Sites
    is_new: bool
    """Whether it was made in the block, and not by a resolver."""
    before: Statistics
    """What it had done when it was first seen."""


@dataclass(slots=True)
class Seen:
    """All that was told."""

    entries: list[Entry] = field(default_factory=list[Entry])
    loaders: dict[ObservedLoader, Made] = field(default_factory=dict[ObservedLoader, Made])
    forgotten: list[tuple[int, ObservedLoader, Sequence[Any] | None]] = field(
        default_factory=list[tuple[int, ObservedLoader, Sequence[Any] | None]]
    )
    resolves: dict[ResolveRecord, Sites] = field(default_factory=dict[ResolveRecord, Sites])
    steps: list[StepRecord] = field(default_factory=list[StepRecord])
    skipped_batches: int = 0
    skipped_keys: int = 0

    def skip(self, batches: int, keys: int) -> None:
        """Only count a batch."""
        self.skipped_batches += batches
        self.skipped_keys += keys


@final
class Recorder(Instrument):
    """Keeps what it is told; lives as long as the block, and until its trace is first read."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.seen = Seen()
        self.started = perf_counter_ns()
        self.ended = 0
        self.after: Mapping[ObservedLoader, Statistics] = {}
        """What the loaders had done at the end."""
        self._strict = StrictCases() if options.strict else None
        self._entries: dict[BatchRecord, Entry | None] = {}
        """Of the batches that have not ended; None for those above the limit."""

    def end(self) -> None:
        """The block is left: what is opened from now on is not looked at, what is open may still end."""
        self.ended = perf_counter_ns()
        self.after = {loader: loader.statistics for loader in self.seen.loaders}

    def go_on(self) -> None:
        """It was only to be read in between."""
        self.ended = 0

    # -- batches ---------------------------------------------------------------------------------------------

    def record_opened(self, record: BatchRecord, /) -> None:
        """See `Instrument.record_opened`."""
        if self.ended:
            return
        if record.loader not in self.seen.loaders:
            self._see(record.loader, (), is_new=False)
        if len(self.seen.entries) >= self.options.limit:
            self.seen.skip(1, 0)
            self._entries[record] = None
            return
        sites: Sites = ()
        if self.options.places:
            sites, _ = sites_here(2)
        entry = Entry(record, sites, current_step.get(), _reason(record.loader))
        if self._strict is not None and entry.expected is None:
            self._refuse_repeated(entry, self._strict)
        self._entries[record] = entry
        self.seen.entries.append(entry)

    def _refuse_repeated(self, entry: Entry, strict: StrictCases) -> None:
        problem = strict.problem_with(entry.record, entry.sites, entry.step, self.seen.loaders)
        if problem is not None:
            what, cure = problem
            where = f", at {place_of(*entry.sites[0])}" if entry.sites else ""
            raise RepeatedLoadError(inert(f"{what}{where}: {cure}"))

    def batch_ended(self, record: BatchRecord, /) -> None:
        """See `Instrument.batch_ended`."""
        if record not in self._entries:
            return  # it was opened after the block
        entry = self._entries.pop(record)
        if entry is None:
            self.seen.skip(0, len(record.keys))
            return
        found = _plain_values(record.values[0]) if len(record.values) == 1 else NOTHING
        if found or self.options.values:
            entry.note_result(found, record.values[: self._sampled] if self.options.values else ())
        if self._strict is not None:
            self._strict.note_ended(record, found)

    @property
    def _sampled(self) -> int:
        return self.options.keys if isinstance(self.options.keys, int) else 20

    # -- loaders ---------------------------------------------------------------------------------------------

    def loader_made(self, loader: ObservedLoader, /) -> None:
        """See `Instrument.loader_made`."""
        if self.ended:
            return
        sites: Sites = ()
        by_resolver = False
        if self.options.places:
            sites, by_resolver = sites_here(2)
        self._see(loader, sites, is_new=not by_resolver)

    def _see(self, loader: ObservedLoader, sites: Sites, *, is_new: bool) -> None:
        self.seen.loaders[loader] = Made(loader, sites, is_new, loader.statistics)

    def keys_forgotten(self, loader: ObservedLoader, keys: Sequence[Any] | None, /) -> None:
        """See `Instrument.keys_forgotten`."""
        if not self.ended:
            self.seen.forgotten.append((perf_counter_ns(), loader, keys))

    # -- resolves --------------------------------------------------------------------------------------------

    def resolve_started(self, resolve: ResolveRecord, /) -> None:
        """See `Instrument.resolve_started`."""
        if not self.ended:
            self.seen.resolves[resolve] = sites_here(2)[0] if self.options.places else ()

    def step_asked(self, step: StepRecord, /) -> None:
        """See `Instrument.step_asked`."""
        if self.ended or step.resolve not in self.seen.resolves or len(self.seen.steps) >= self.options.limit:
            return
        self.seen.steps.append(step)
        for loader in step.loaders:
            if loader not in self.seen.loaders:  # all of its keys were cached: no batch has told of it
                now = loader.statistics
                hits, merged = now.cache_hits - step.hits, now.merged - (step.keys - step.distinct)
                before = now._replace(cache_hits=hits, merged=merged)
                self.seen.loaders[loader] = Made(loader, (), is_new=False, before=before)


def _reason(loader: object) -> str | None:
    """Why what is loaded here is no finding: a block says so, or the loader's class."""
    reason: object = expected_here.get() or getattr(loader, "expected", None)
    return reason if isinstance(reason, str) else None


def _plain_values(value: object) -> frozenset[Any]:
    """The strings, numbers and bytes that stand in something, two levels deep, forty of each."""
    found: set[Any] = set()
    level: list[Any] = [value]
    for _ in range(LEVELS):
        below: list[Any] = []
        for item in level:
            if isinstance(item, PLAIN):
                found.add(item)
            else:
                below += islice(_inner(item), MOST_PLAIN)
        level = below
    return frozenset(found)


def _inner(value: Any) -> Iterable[Any]:
    if isinstance(value, (list, tuple)):
        return cast(Sequence[Any], value)
    return cast(
        Mapping[Any, Any], value if isinstance(value, dict) else getattr(value, "__dict__", {})
    ).values()
