"""What stands in a trace, and what follows from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from dloader.trace._data import (
    Busy,
    Finding,
    LoaderData,
    PlaceData,
    ResolveData,
    StepData,
    TraceData,
    TracedBatch,
)
from dloader.trace._rounds import chain_of, running_time

__all__ = ("LoaderTotals", "TraceReading", "TracedField")


@dataclass(frozen=True, slots=True)
class LoaderTotals:
    """What one class of loaders, or one batch function, did in a trace."""

    name: str
    batches: int
    keys: int
    hits: int
    """How many keys were answered from its cache. Of a loader that others use at the same time, theirs too."""
    merged: int
    """How many joined a load of the same key; the same holds."""


@dataclass(frozen=True, slots=True)
class TracedField:
    """One field of all nodes at one path of a resolved tree."""

    path: str
    """From the root: ``Feed.posts.author``."""
    nodes: int
    keys: int
    distinct: int
    hits: int
    loaders: tuple[str, ...]
    """The loaders whose batches took its keys."""
    writing: float
    """How long it took from the end of the last batch until the values stood in the nodes, converted, in microseconds:
    what the resolver did, and what else it did meanwhile."""


class TraceReading:
    """A trace as it is read."""

    def __init__(self, make: Callable[[], TraceData]) -> None:
        """See `record`; `make` is called when something is first read."""
        self._make = make

    @cached_property
    def data(self) -> TraceData:
        """All of it, as it stands in the JSON."""
        return self._make()

    # -- what it holds ---------------------------------------------------------------------------------------

    @property
    def title(self) -> str:
        """What `record` was given."""
        return self.data.title

    @property
    def duration(self) -> float:
        """How long the block took, in microseconds."""
        return self.data.duration

    @property
    def running(self) -> float:
        """For how much of that a batch function ran, in microseconds."""
        return running_time(self.data.batches, self.data.duration)

    @property
    def batches(self) -> Sequence[TracedBatch]:
        """All batches, in the order in which they opened."""
        return self.data.batches

    @cached_property
    def loaders(self) -> Sequence[LoaderTotals]:
        """What each loader did, in the order in which they were first seen; those that did nothing are left out."""
        data = self.data
        totals = [
            LoaderTotals(
                loader.name,
                sum(batch.loader == index for batch in data.batches),
                sum(batch.keys for batch in data.batches if batch.loader == index),
                loader.hits,
                loader.merged,
            )
            for index, loader in enumerate(data.loaders)
        ]
        return [total for total in totals if total.batches or total.hits or total.merged]

    @cached_property
    def fields(self) -> Sequence[TracedField]:
        """The fields that resolves have filled, in the order in which they were first asked for."""
        groups: dict[str, list[StepData]] = {}
        for step in self.data.steps:
            groups.setdefault(step.path, []).append(step)
        return [self._field(path, steps) for path, steps in groups.items()]

    def _field(self, path: str, steps: Sequence[StepData]) -> TracedField:
        names = dict.fromkeys(self.data.batches[index].name for step in steps for index in step.batches)
        return TracedField(
            path,
            sum(step.nodes for step in steps),
            sum(step.keys for step in steps),
            sum(step.distinct for step in steps),
            sum(step.hits for step in steps),
            tuple(names),
            sum(map(self._writing, steps)),
        )

    def _writing(self, step: StepData) -> float:
        """0 where nothing was written, or another batch is still under way."""
        ends = [self.data.batches[index].ended for index in step.batches]
        known = [end for end in ends if end is not None]
        if step.written is None or len(known) < len(ends):
            return 0.0
        return max(0.0, step.written - max([step.asked, *known]))

    @property
    def places(self) -> Sequence[PlaceData]:
        """The lines that batches refer to."""
        return self.data.places

    @property
    def steps(self) -> Sequence[StepData]:
        """The steps of resolves, each for all nodes of one class that arrived together."""
        return self.data.steps

    @property
    def resolves(self) -> Sequence[ResolveData]:
        """The resolves."""
        return self.data.resolves

    @property
    def busy(self) -> Sequence[Busy]:
        """From when to when resolvers held the event loop."""
        return self.data.busy

    @property
    def sources(self) -> Sequence[LoaderData]:
        """The classes and functions that batches refer to."""
        return self.data.loaders

    @property
    def findings(self) -> Sequence[Finding]:
        """What should be looked at: warnings first, and last what was expected."""
        return self.data.findings

    @property
    def warnings(self) -> Sequence[Finding]:
        """The findings that something should be done about."""
        return [finding for finding in self.findings if finding.is_warning]

    @property
    def failures(self) -> Sequence[TracedBatch]:
        """The batches that failed as a whole, or for some of their keys."""
        return [batch for batch in self.batches if batch.outcome == "failed" or batch.failed]

    @cached_property
    def chain(self) -> Sequence[TracedBatch]:
        """The batches that made it as long as it was, each waiting for the one before."""
        return chain_of(self.data.batches)

    # -- counts ----------------------------------------------------------------------------------------------

    @property
    def keys(self) -> int:
        """How many keys batch functions were given."""
        return sum(batch.keys for batch in self.batches) + self.data.skipped_keys

    @property
    def hits(self) -> int:
        """How many keys were answered from caches."""
        return sum(loader.hits for loader in self.data.loaders)

    @property
    def merged(self) -> int:
        """How many keys joined another load of the same key."""
        return sum(loader.merged for loader in self.data.loaders)

    @property
    def loads(self) -> int:
        """How many keys were asked for."""
        return self.keys + self.hits + self.merged

    @property
    def rounds(self) -> int:
        """How many times one batch had to wait for another, plus one: what latency is multiplied by."""
        return max((batch.round for batch in self.batches), default=0)

    def summary(self) -> dict[str, list[int]]:
        """Return the sizes of the batches of each loader: plain data for ``== snapshot(...)`` in tests.

        Loaders stand in alphabetical order, and sizes in that of opening.
        """
        sizes: dict[str, list[int]] = {}
        for batch in self.batches:
            sizes.setdefault(batch.name, []).append(batch.keys)
        return dict(sorted(sizes.items()))
