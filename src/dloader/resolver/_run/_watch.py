"""What instruments are told of a resolve that they watch: which field asked for what, and where its nodes came from."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter_ns
from types import TracebackType
from typing import Any, Self, final

from dloader import DataLoader
from dloader.instruments import ResolveRecord, StepRecord, current_step
from dloader.lowlevel import KeyCount, is_watched, tell_of_resolve
from dloader.resolver._containers import FoundNodes
from dloader.resolver._plan._plan import Step
from dloader.resolver._run._group import NodeGroup
from dloader.resolver._run._step_run import StepRun

__all__ = ("ResolveWatch", "StepWatch", "watch_of")

MOST_NAMES = 20
"""Of a path: trees may be thousands of levels deep."""


def watch_of(roots: FoundNodes) -> ResolveWatch | None:
    """What tells of a resolve that begins here, or None if nobody wants to know."""
    return ResolveWatch(roots) if is_watched() else None


@final
class ResolveWatch:
    """Writes down what one resolve does, and tells it; lives as long as the resolve."""

    def __init__(self, roots: FoundNodes) -> None:
        kinds: list[type] = list(map(type, roots.items))
        self._record = ResolveRecord({kind: kinds.count(kind) for kind in roots.classes}, perf_counter_ns())
        self._steps: dict[tuple[NodeGroup, str], StepRecord] = {}
        """By group and field."""
        self._awake = 0
        self._outer = current_step.get()

    def __enter__(self) -> Self:
        tell_of_resolve("resolve_started", self._record)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        current_step.set(self._outer)
        self.sleeps()
        self._record.note_ended(error, perf_counter_ns())
        tell_of_resolve("resolve_finished", self._record)

    def wakes(self) -> None:
        """The engine works from now on."""
        self._awake = perf_counter_ns()

    def sleeps(self) -> None:
        """It waits from now on, or is done."""
        if self._awake:
            self._record.note_busy(self._awake, perf_counter_ns())
            self._awake = 0

    def begins(self, group: NodeGroup, step: Step) -> StepWatch:
        """A step is about to be taken: methods are called, or keys asked for."""
        record = StepRecord(
            self._record,
            group.plan.cls,
            step.field.name,
            _path(group),
            group.depth,
            "post" if step.is_post else "resolve",
            len(group.nodes),
            self._sources(group, step),
            perf_counter_ns(),
        )
        self._steps[group, step.field.name] = record
        current_step.set(record)
        return StepWatch(record)

    def written(self, run: StepRun) -> None:
        """The values of a step are in the nodes."""
        record = self._steps[run.group, run.step.field.name]
        record.note_written(perf_counter_ns())
        tell_of_resolve("step_written", record)

    def _sources(self, group: NodeGroup, step: Step) -> Sequence[StepRecord]:
        """The steps that brought what a step works on."""
        if step.is_post:
            below = self._below(group)
            if below:
                return below
        found = [self._steps[group, name] for name in sorted(step.after) if (group, name) in self._steps]
        while not found and group.parent is not None:
            before = self._steps.get((group.parent, group.field.name))
            found = [] if before is None else [before]
            group = group.parent
        return found

    def _below(self, group: NodeGroup) -> Sequence[StepRecord]:
        groups, found = [group], list[StepRecord]()
        while groups:
            under = groups.pop()
            found += [record for (owner, _), record in self._of(under) if owner is under]
            groups += under.below
        return found

    def _of(self, group: NodeGroup) -> Sequence[tuple[tuple[NodeGroup, str], StepRecord]]:
        names = [step.field.name for step in group.plan.steps]
        return [((group, name), self._steps[group, name]) for name in names if (group, name) in self._steps]


@final
class StepWatch:
    """Counts what one step asks for while it is begun."""

    __slots__ = ("_counts", "record")

    def __init__(self, record: StepRecord) -> None:
        self.record = record
        self._counts: list[KeyCount] = []

    def asks(self, loaders: Sequence[DataLoader[Any, Any]]) -> None:
        """These loaders are about to be asked."""
        different = list(dict.fromkeys(loaders))
        self._counts = [KeyCount(loader) for loader in different]
        self.record.note_loaders(different)

    def asked(self, dropped: int = 0) -> None:
        """They were asked; `dropped` keys were left out, as others are the same."""
        counted = [count.counts() for count in self._counts]
        keys, distinct, hits = (
            (sum(numbers) for numbers in zip(*counted, strict=True)) if counted else (0, 0, 0)
        )
        batches = [batch for count in self._counts for batch in count.batches()]
        self.record.note_asked(keys + dropped, distinct, hits, batches)
        tell_of_resolve("step_asked", self.record)


def _path(group: NodeGroup) -> Sequence[str]:
    names: list[str] = []
    while group.parent is not None and len(names) < MOST_NAMES:
        names.append(group.field.name)
        group = group.parent
    return names[::-1]
