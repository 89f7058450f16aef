"""Measure contestants in turn, in one process, on fresh inputs, and check that they give the same.

In every round each contestant of a shape runs once in each mode (asyncio or uvloop, garbage collector on or
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

from benchmarks.shape import Contestant, Settings, Shape, Timed

try:
    import uvloop
except ModuleNotFoundError:
    uvloop = None

__all__ = ("DifferentOutputsError", "Memory", "Mode", "Result", "Sample", "measure", "modes")


PATIENCE = 3
"""After how many times the time of a shape those sit out the rounds left that no target is about: some peers take
minutes for a million loads."""


class DifferentOutputsError(Exception):
    """Two contestants of a shape did not do the same work."""


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
    """The runs of one contestant in one mode; the same place in two samples is the same round."""

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
    """All that was measured of one shape."""

    shape: Shape
    samples: dict[str, dict[Mode, Sample]]
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    memory: dict[str, Memory] = field(default_factory=dict)

    def units(self, name: str) -> int:
        """The units of work of one contestant."""
        return next((c.units for c in self.shape.contestants if c.name == name), None) or self.shape.units


def measure(shape: Shape, settings: Settings, chosen: Sequence[Mode]) -> Result:
    """Run all contestants of a shape, in turn, until the rounds or the time are used up; see `PATIENCE`.

    Raises:
        DifferentOutputsError: In the first round, whose outputs are all compared, in every mode.
    """
    result = Result(shape, {c.name: {mode: Sample() for mode in chosen} for c in shape.contestants})
    with shape.around():
        begun = time.perf_counter()
        least, most = settings.rounds
        expected: dict[int | None, tuple[str, Any]] = {}
        contestants = shape.contestants
        for number in range(most):
            elapsed = time.perf_counter() - begun
            if number >= least and elapsed > settings.budget:
                break
            if number and elapsed > PATIENCE * settings.budget:
                contestants = _in_targets(shape)
            for mode in chosen:
                for contestant in _from(contestants, number):
                    timed = _run(contestant, mode)
                    result.samples[contestant.name][mode].add(timed)
                    result.counts[contestant.name] = timed.counts
                    if not number:
                        _compare(shape, contestant, timed.output, expected)
        if shape.with_memory:
            result.memory = {contestant.name: _memory(contestant) for contestant in shape.contestants}
    return result


def _in_targets(shape: Shape) -> Sequence[Contestant]:
    """Those that a target is about; all, if there is no target."""
    named = {name for target in shape.targets for name in (target.ours, *target.others)}
    return [one for one in shape.contestants if one.name in named or not named]


def _from(contestants: Sequence[Contestant], number: int) -> list[Contestant]:
    """All contestants; each round begins with another one."""
    first = number % len(contestants)
    return [*contestants[first:], *contestants[:first]]


def _run(contestant: Contestant, mode: Mode) -> Timed:
    """One run on a loop of its own: the seconds of doing the work once, and the outputs of every time."""
    given = [contestant.prepare() for _ in range(contestant.times)]
    gc.collect()
    try:
        (gc.enable if mode.gc else gc.disable)()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop if mode.loop == "uvloop" else None) as runner:
            return runner.run(_timed(contestant, given))
    finally:
        gc.enable()


async def _timed(contestant: Contestant, given: list[Any]) -> Timed:
    await asyncio.sleep(0)  # what the first turn of a loop costs is no part of anybody's work
    outputs: list[Any] = []
    cpu, begun = time.process_time(), time.perf_counter()
    for one in given:
        outputs.append(await contestant.run(one))  # noqa: PERF401 - not all that it does is in the output
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    if not isinstance(outputs[0], Timed):
        return Timed(outputs, seconds / len(given), cpu=cpu / len(given))
    only = [timed.seconds for timed in outputs]
    return Timed(
        [timed.output for timed in outputs], sum(only) / len(only), outputs[-1].counts, outputs[-1].cpu
    )


def _memory(contestant: Contestant) -> Memory:
    """What one run holds. What is made once per class or import is there already: the contestant has run before."""

    async def traced() -> Memory:
        tracemalloc.start()
        try:
            given = contestant.prepare()
            gc.collect()
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            output = await contestant.run(given)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        del given, output  # until here, both count
        return Memory(before, peak)

    return asyncio.run(traced())


def _compare(
    shape: Shape, contestant: Contestant, outputs: list[Any], expected: dict[int | None, tuple[str, Any]]
) -> None:
    """Check outputs against the first of as many units, whoever gave it, in whatever mode."""
    for output in map(shape.outcome, outputs):
        other, first = expected.setdefault(contestant.units, (contestant.name, output))
        if output != first:
            texts = f"{other}: {str(first)[:300]}\n  {contestant.name}: {str(output)[:300]}"
            raise DifferentOutputsError(f"{shape.group}: {shape.name}:\n  {texts}")
