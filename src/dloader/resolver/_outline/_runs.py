"""The numbers of a run, call by call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from dloader.resolver._outline._planned_calls import PlannedCall

__all__ = ("CallRun", "TracedRun", "runs_of")


class TracedStep(Protocol):
    """A step of a trace."""

    @property
    def owner(self) -> str:
        """The class of the nodes."""
        ...

    @property
    def field(self) -> str:
        """What it filled."""
        ...

    @property
    def depth(self) -> int:
        """How deep in the tree."""
        ...

    @property
    def phase(self) -> str:
        """``resolve`` or ``post``."""
        ...

    @property
    def keys(self) -> int:
        """How many keys it asked for."""
        ...

    @property
    def hits(self) -> int:
        """How many of them were cached."""
        ...

    @property
    def batches(self) -> Sequence[int]:
        """The batches that took the others."""
        ...


class BatchOfRun(Protocol):
    """A batch of a trace."""

    @property
    def name(self) -> str:
        """Its loader's name."""
        ...

    @property
    def keys(self) -> int:
        """How many keys it had."""
        ...

    @property
    def started(self) -> float | None:
        """When it began to run, in microseconds."""
        ...

    @property
    def ended(self) -> float | None:
        """When it had."""
        ...


class TracedRun(Protocol):
    """What is read of a `dloader.trace.Trace`."""

    @property
    def title(self) -> str:
        """What was recorded."""
        ...

    @property
    def steps(self) -> Sequence[TracedStep]:
        """The steps of its resolves."""
        ...

    @property
    def batches(self) -> Sequence[BatchOfRun]:
        """Its batches."""
        ...


@dataclass(frozen=True, slots=True)
class CallRun:
    """What a call did in a run."""

    calls: int
    keys: int
    hits: int
    microseconds: float
    """How long its batch functions ran, all together."""

    def __str__(self) -> str:
        if self.calls:
            calls = "1 call" if self.calls == 1 else f"{self.calls:,} calls"
            keys = "1 key" if self.keys == 1 else f"{self.keys:,} keys"
            return f"{calls} · {keys} · {self.microseconds / 1e3:,.1f} ms"
        if self.hits:
            return f"no call: {'1 key' if self.hits == 1 else f'{self.hits:,} keys'} from cache"
        return "not used in this run"


def runs_of(calls: Sequence[PlannedCall], trace: TracedRun) -> Mapping[PlannedCall, CallRun]:
    """What each call did."""
    steps: dict[tuple[str, str, int, str], list[TracedStep]] = {}
    planned = _planned_depths(calls)
    for step in trace.steps:
        depth = _depth_in(planned.get((step.owner, step.field, step.phase), ()), step.depth)
        steps.setdefault((step.owner, step.field, depth, step.phase), []).append(step)
    runs: dict[PlannedCall, CallRun] = {}
    for call in calls:
        mine = [
            step
            for row in call.rows
            for step in steps.get((row.owner, row.field, call.depth, call.phase), ())
        ]
        numbers = dict.fromkeys(
            number for step in mine for number in step.batches if trace.batches[number].name == call.name
        )
        batches = [trace.batches[number] for number in numbers]
        ran = sum((batch.ended or 0.0) - batch.started for batch in batches if batch.started is not None)
        hits = sum(step.hits for step in mine)
        runs[call] = CallRun(len(batches), sum(batch.keys for batch in batches), hits, max(0.0, ran))
    return runs


def _planned_depths(calls: Sequence[PlannedCall]) -> Mapping[tuple[str, str, str], Sequence[int]]:
    """By field and phase the depths that are planned, if any call repeats, which stands for all levels below."""
    depths: dict[tuple[str, str, str], list[int]] = {}
    if any(call.repeats for call in calls):
        for call in calls:
            for row in call.rows:
                depths.setdefault((row.owner, row.field, call.phase), []).append(call.depth)
    return depths


def _depth_in(planned: Sequence[int], depth: int) -> int:
    """The planned depth that a step belongs to: its own, or the nearest above."""
    return max((each for each in planned if each <= depth), default=depth)
