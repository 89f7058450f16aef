"""The data of a trace: columns of plain values, an entry per batch in the order of opening."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, cast

from dloader._text import shorten
from dloader.errors import OptionError
from dloader.instruments import Statistics
from dloader.trace._checked import checked, within

__all__ = (
    "FORMAT",
    "Busy",
    "Finding",
    "LoaderData",
    "PlaceData",
    "ResolveData",
    "StepData",
    "TraceData",
    "TracedBatch",
)

FORMAT = "dloader trace 1"


@dataclass(frozen=True, slots=True)
class BatchLife:
    """Which batch it is, and when it did what: the first columns of a `TracedBatch`."""

    index: int
    """Its place in the trace: 0 is the batch that opened first."""
    loader: int
    """Its loader's place in ``trace.sources``."""
    name: str
    """That loader's name."""
    instance: int
    """Which of several loaders of one class it is, 0 for the first."""
    number: int
    """1 for the first batch of that loader."""
    keys: int
    """How many keys it had."""
    opened: float
    closed: float | None
    started: float | None
    ended: float | None
    why: str
    """Why it closed: see `dloader.BatchRecord.why`."""


@dataclass(frozen=True, slots=True)
class BatchEnd(BatchLife):
    """What became of it: further columns."""

    outcome: str
    """How it ended: see `dloader.BatchRecord.outcome`; ``unfinished`` if it had not when the trace was read."""
    error: str
    """What it failed with as a whole."""
    failed: int
    """How many keys failed one by one."""
    merged: int
    """How many callers joined one that had asked for the same key."""
    statements: int
    """How many statements its function sent, as far as somebody counts them."""
    again: int
    """How many of its keys other loaders of the class had loaded before, or its own without a cache."""
    sample: list[str]
    """Some of its keys, in words."""
    values: list[str]
    """What was loaded for these, if that was asked for."""


@dataclass(frozen=True, slots=True)
class TracedBatch(BatchEnd):
    """One batch, as it went. Times are microseconds from the start of the trace, None for what has not happened."""

    places: list[int]
    """Where its first key was asked for, the innermost function first: places in ``trace.places``."""
    steps: list[int]
    """The steps of resolves that it took keys of: places in ``trace.steps``."""
    came_from: list[int]
    """The batches that brought its keys, in a resolve."""
    inside: int | None
    """The batch whose function asked for its first key."""
    key: int | None
    """Of a batch of one key: the same number for the same key."""
    chained: bool
    """Of a batch of one key: whether the key stood in the result of the batch before, of the same loader."""
    expected: str | None
    """Why what it shows is no finding."""
    round: int
    """1 more than that of the batches that had to come before."""


@dataclass(slots=True)
class LoaderSource:
    """What makes loaders, and how these are set: the first columns of a `LoaderData`."""

    name: str
    source: str
    """The class's or function's dotted name."""
    file: str
    line: int
    max_batch_size: int | None
    policy: str
    cache: bool
    statements_per_key: bool


@dataclass(slots=True)
class LoaderData(LoaderSource):
    """One class of loaders, or one batch function."""

    batches: int
    """How many calls there were."""
    keys: int
    hits: int
    merged: int
    made: list[list[int]] = field(default_factory=list[list[int]])
    """Of each loader that was made in the block, and not by a resolver: the place (-1: unknown), and how many keys it
    was given."""
    instances: int = 0
    made_at: list[int | None] = field(default_factory=list[int | None])
    """Of each loader that had batches, by their `instance`: the place where it was made, if that is known."""

    def add(self, done: Statistics, before: Statistics) -> int:
        """Count one more loader of the class; return how many keys it was given."""
        keys = done.keys - before.keys
        self.instances += 1
        self.keys += keys
        self.batches += done.batches - before.batches
        self.hits += done.cache_hits - before.cache_hits
        self.merged += done.merged - before.merged
        return keys


@dataclass(frozen=True, slots=True)
class PlaceData:
    """A line of a program."""

    file: str
    line: int
    function: str

    @property
    def short(self) -> str:
        """The file's name and the line."""
        return f"{self.file.rpartition('/')[2]}:{self.line}"

    def __str__(self) -> str:
        return f"{self.short} in {self.function}"


@dataclass(frozen=True, slots=True)
class StepData:
    """One field of the nodes that arrived together in a resolve."""

    resolve: int
    owner: str
    field: str
    path: str
    """From the root: ``Feed.posts.author``."""
    depth: int
    phase: str
    nodes: int
    keys: int
    distinct: int
    hits: int
    asked: float
    written: float | None
    batches: list[int]


@dataclass(frozen=True, slots=True)
class ResolveData:
    """One resolve."""

    roots: dict[str, int]
    started: float
    ended: float | None
    place: int | None
    error: str


Busy = tuple[float, float]
"""From when to when a resolver held the event loop."""


@dataclass(frozen=True, slots=True)
class _Busy:
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a reader should look at."""

    rule: str
    severity: str
    """``warning``, ``info`` or ``hint``."""
    message: str
    batches: list[int]
    """Those that show it, by their place in the trace."""
    expected: str | None = None
    """Why it is no finding after all."""

    @property
    def is_warning(self) -> bool:
        """Whether something should be done about it."""
        return self.severity == "warning" and self.expected is None


@dataclass(slots=True)
class TraceData:
    """A trace."""

    title: str
    duration: float
    """Microseconds."""
    batches: list[TracedBatch] = field(default_factory=list[TracedBatch])
    loaders: list[LoaderData] = field(default_factory=list[LoaderData])
    places: list[PlaceData] = field(default_factory=list[PlaceData])
    steps: list[StepData] = field(default_factory=list[StepData])
    resolves: list[ResolveData] = field(default_factory=list[ResolveData])
    busy: list[Busy] = field(default_factory=list[Busy])
    findings: list[Finding] = field(default_factory=list[Finding])
    skipped_batches: int = 0
    skipped_keys: int = 0

    # -- as JSON ---------------------------------------------------------------------------------------------

    def as_json(self) -> dict[str, Any]:
        """Plain data; of the batches one list for each column."""
        data = {name: value for name, value in _items(self) if name != "batches"}
        columns = {name: [getattr(batch, name) for batch in self.batches] for name in COLUMNS}
        return {"format": FORMAT, **data, "batches": columns}

    @staticmethod
    def from_json(given: object) -> TraceData:
        """Read it again.

        Raises:
            OptionError: It is something else, or of another version.
        """
        data: Mapping[str, Any] = {}
        if isinstance(given, dict):
            data = cast(Mapping[str, Any], given)
        if data.get("format") != FORMAT:
            raise OptionError(f"this is no trace that dloader has written: its format is not {FORMAT!r}")
        try:
            read = _read(data)
            _refuse_places_that_are_none(read)
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise OptionError(
                f"this trace is damaged: {type(error).__name__}: {shorten(str(error))}"
            ) from error
        return read


COLUMNS = tuple(each.name for each in fields(TracedBatch))


def _read(data: Mapping[str, Any]) -> TraceData:
    columns: Mapping[str, list[Any]] = data["batches"]
    rows = zip(*(columns[name] for name in COLUMNS), strict=True)
    lists: dict[str, tuple[type[Any], list[Any]]] = {
        "loaders": (LoaderData, data["loaders"]),
        "places": (PlaceData, data["places"]),
        "steps": (StepData, data["steps"]),
        "resolves": (ResolveData, data["resolves"]),
        "findings": (Finding, data["findings"]),
    }
    made = {name: [checked(cls, item) for item in items] for name, (cls, items) in lists.items()}
    busy = [checked(_Busy, {"start": start, "end": end}) for start, end in data["busy"]]
    batches = [checked(TracedBatch, dict(zip(COLUMNS, row, strict=True))) for row in rows]
    plain = {name: data[name] for name in ("title", "duration", "skipped_batches", "skipped_keys")}
    return checked(
        TraceData, plain | made | {"batches": batches, "busy": [(each.start, each.end) for each in busy]}
    )


def _refuse_places_that_are_none(data: TraceData) -> None:
    """See to it that what is said to be in a list is in it, and that what came from a batch came later."""
    for number, batch in enumerate(data.batches):
        if batch.index != number:
            raise ValueError(f"batch {number} says that it is {batch.index}")
        within((batch.loader,), len(data.loaders), "loader")
        within(batch.places, len(data.places), "place")
        within(batch.steps, len(data.steps), "step")
        within((*batch.came_from, batch.inside), number, "earlier batch")
    for step in data.steps:
        within((step.resolve,), len(data.resolves), "resolve")
        within(step.batches, len(data.batches), "batch")
    within((place for loader in data.loaders for place in loader.made_at), len(data.places), "place")
    within((resolve.place for resolve in data.resolves), len(data.places), "place")
    for finding in data.findings:
        within(finding.batches, len(data.batches), "batch")


def _items(data: TraceData) -> Iterator[tuple[str, Any]]:
    for each in fields(data):
        value = getattr(data, each.name)
        if isinstance(value, list):
            items = cast(Sequence[Any], value)
            yield each.name, [_plain(item) for item in items]
        else:
            yield each.name, value


def _plain(item: Any) -> Any:
    return list(cast(Busy, item)) if isinstance(item, tuple) else asdict(item)
