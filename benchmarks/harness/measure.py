"""Measure ways in turn, in one process, on fresh inputs, and check that they give the same.

In every round each way of a case runs once in each mode (asyncio or uvloop, garbage collector on or
off), so that a busy moment of the machine hits all of them.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from benchmarks.harness.case import Case, Settings, Timed, Way

try:
    import uvloop
except ModuleNotFoundError:
    uvloop = None

PATIENCE = 3
"""After how many times the time of a case those sit out the rounds left that no target is about: some peers take
minutes for a million loads."""


class DifferentOutputsError(Exception):
    """Two ways of a case did not do the same work."""


class Mode(NamedTuple):
    """Which event loop, and whether the garbage collector runs."""

    loop: str
    gc: bool

    def __str__(self) -> str:
        return f"{self.loop}, gc {'on' if self.gc else 'off'}"


def modes() -> list[Mode]:
    """The modes of this machine: uvloop only where it is installed."""
    return [Mode(loop, gc) for loop in ("asyncio", *(["uvloop"] if uvloop else [])) for gc in (False, True)]


class Memory(NamedTuple):
    """Bytes of one run: what its input takes, and the most that there was, the input included."""

    given: int
    peak: int


@dataclass(slots=True)
class Sample:
    """The runs of one way in one mode; the same place in two samples is the same round."""

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def add(self, timed: Timed) -> None:
        """Keep one run."""
        self.seconds.append(timed.seconds)
        if timed.cpu is not None:
            self.cpu.append(timed.cpu)

    @property
    def least(self) -> float:
        """The least seconds of a run: what the machine's noise cannot add to."""
        return min(self.seconds)

    @property
    def median(self) -> float:
        """The median seconds of a run."""
        return statistics.median(self.seconds)


@dataclass(slots=True)
class Result:
    """All that was measured of one case."""

    case: Case
    samples: dict[str, dict[Mode, Sample]]
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    memory: dict[str, Memory] = field(default_factory=dict)

    def units(self, name: str) -> int:
        """The units of work of one way."""
        return next((c.units for c in self.case.ways if c.name == name), None) or self.case.units


def measure(case: Case, settings: Settings, chosen: Sequence[Mode]) -> Result:
    """Run all ways of a case, in turn, until the rounds or the time are used up; see `PATIENCE`.

    Raises:
        DifferentOutputsError: In the first round, whose outputs are all compared, in every mode.
    """
    result = Result(case, {c.name: {mode: Sample() for mode in chosen} for c in case.ways})
    with case.around():
        begun = time.perf_counter()
        least, most = settings.rounds
        expected: dict[int | None, tuple[str, Any]] = {}
        ways = case.ways
        for number in range(most):
            elapsed = time.perf_counter() - begun
            if number >= least and elapsed > settings.budget:
                break
            if number and elapsed > PATIENCE * settings.budget:
                ways = _in_targets(case)
            for mode in chosen:
                for way in _from(ways, number):
                    timed = run_once(way, mode)
                    result.samples[way.name][mode].add(timed)
                    result.counts[way.name] = timed.counts
                    if not number:
                        _compare(case, way, timed.output, expected)
        if case.with_memory:
            result.memory = {way.name: _memory(way) for way in case.ways}
    return result


def _in_targets(case: Case) -> Sequence[Way]:
    """Those that a target is about; all, if there is no target."""
    named = {name for target in case.targets for name in (target.ours, *target.others)}
    return [one for one in case.ways if one.name in named or not named]


def _from(ways: Sequence[Way], number: int) -> list[Way]:
    """All ways; each round begins with another one."""
    first = number % len(ways)
    return [*ways[first:], *ways[:first]]


def run_once(way: Way, mode: Mode) -> Timed:
    """One run on a loop of its own: the seconds of doing the work once, and the outputs of every time."""
    given = [way.prepare() for _ in range(way.times)]
    gc.collect()
    try:
        (gc.enable if mode.gc else gc.disable)()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop if mode.loop == "uvloop" else None) as runner:
            return runner.run(_timed(way, given))
    finally:
        gc.enable()


async def _timed(way: Way, given: list[Any]) -> Timed:
    await asyncio.sleep(0)  # what the first turn of a loop costs is no part of anybody's work
    outputs: list[Any] = []
    cpu, begun = time.process_time(), time.perf_counter()
    for one in given:
        outputs.append(await way.run(one))  # noqa: PERF401 - not all that it does is in the output
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    if not isinstance(outputs[0], Timed):
        return Timed(outputs, seconds / len(given), cpu=cpu / len(given))
    only = [timed.seconds for timed in outputs]
    return Timed(
        [timed.output for timed in outputs], sum(only) / len(only), outputs[-1].counts, outputs[-1].cpu
    )


def _memory(way: Way) -> Memory:
    """What one run holds. What is made once per class or import is there already: the way has run before."""

    async def traced() -> Memory:
        tracemalloc.start()
        try:
            given = way.prepare()
            gc.collect()
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            output = await way.run(given)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        del given, output  # until here, both count
        return Memory(before, peak)

    return asyncio.run(traced())


def _compare(case: Case, way: Way, outputs: list[Any], expected: dict[int | None, tuple[str, Any]]) -> None:
    """Check outputs against the first of as many units, whoever gave it, in whatever mode."""
    for output in map(case.outcome, outputs):
        other, first = expected.setdefault(way.units, (way.name, output))
        if output != first:
            texts = f"{other}: {str(first)[:300]}\n  {way.name}: {str(output)[:300]}"
            raise DifferentOutputsError(f"{case.group}: {case.name}:\n  {texts}")
