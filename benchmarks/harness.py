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

from benchmarks.shape import Contestant, Settings, Shape, Target, Timed

try:
    import uvloop
except ModuleNotFoundError:
    uvloop = None

__all__ = ("DifferentOutputsError", "Mode", "Result", "Sample", "measure", "modes")


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


@dataclass(slots=True)
class Sample:
    """The runs of one contestant in one mode."""

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

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
    counts: dict[str, dict[str, int]]
    memory: dict[str, int]
    """Peak bytes of one run, by contestant."""

    def ratios(self, target: Target) -> dict[str, float]:
        """How `target.ours` compares with the best of the others, by mode where that matters."""
        if target.of == "memory":
            return {"": self.peak(target.ours) / min(map(self.peak, target.others))}
        if target.of not in ("time", "cpu"):
            counts = {**self.counts, "least": self.shape.least}
            return {
                "": counts[target.ours][target.of] / min(counts[name][target.of] for name in target.others)
            }
        return {
            str(mode): self._cost(target.ours, mode, target.of)
            / min(self._cost(n, mode, target.of) for n in target.others)
            for mode in self.samples[target.ours]
        }

    def units(self, name: str) -> int:
        """The units of work of one contestant."""
        return next((c.units for c in self.shape.contestants if c.name == name), None) or self.shape.units

    def peak(self, name: str) -> float:
        """Peak bytes per unit of one contestant."""
        return self.memory[name] / self.units(name)

    def _cost(self, name: str, mode: Mode, of: str) -> float:
        if name == "ideal":
            assert self.shape.ideal is not None
            return self.shape.ideal / self.shape.units
        sample = self.samples[name][mode]
        return (sample.least if of == "time" else min(sample.cpu)) / self.units(name)


def measure(shape: Shape, settings: Settings, chosen: Sequence[Mode]) -> Result:
    """Run all contestants of a shape, in turn, until the rounds or the time are used up."""
    result = Result(shape, {c.name: {mode: Sample() for mode in chosen} for c in shape.contestants}, {}, {})
    begun = time.perf_counter()
    least, most = settings.rounds
    for number in range(most):
        if number >= least and time.perf_counter() - begun > settings.budget:
            break
        for mode in chosen:
            outputs: list[Any] = []
            for contestant in _from(shape.contestants, number):
                timed = _run(contestant, mode)
                sample = result.samples[contestant.name][mode]
                sample.seconds.append(timed.seconds)
                sample.cpu.append(timed.seconds if timed.cpu is None else timed.cpu)
                result.counts[contestant.name] = timed.counts
                if not number:
                    outputs.append((contestant, shape.outcome(timed.output)))
            _check_equal(shape, outputs)
    if shape.with_memory:
        result.memory = {contestant.name: _peak(contestant) for contestant in shape.contestants}
    return result


def _from(contestants: Sequence[Contestant], number: int) -> list[Contestant]:
    """All contestants; each round begins with another one."""
    first = number % len(contestants)
    return [*contestants[first:], *contestants[:first]]


def _run(contestant: Contestant, mode: Mode) -> Timed:
    """One run on a loop of its own."""

    async def timed() -> Timed:
        cpu, begun = time.process_time(), time.perf_counter()
        output = await contestant.run(given)
        seconds = time.perf_counter() - begun
        return output if isinstance(output, Timed) else Timed(output, seconds, cpu=time.process_time() - cpu)

    given = contestant.prepare()
    gc.collect()
    try:
        (gc.enable if mode.gc else gc.disable)()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop if mode.loop == "uvloop" else None) as runner:
            return runner.run(timed())
    finally:
        gc.enable()


def _peak(contestant: Contestant) -> int:
    """The most bytes that a run holds beyond its input, its output included."""

    async def traced() -> int:
        given = contestant.prepare()
        gc.collect()
        tracemalloc.start()
        try:
            output = await contestant.run(given)
            return tracemalloc.get_traced_memory()[1] if output is not None else 0
        finally:
            tracemalloc.stop()

    asyncio.run(traced())  # what is made once per class or import is no part of a run
    return asyncio.run(traced())


def _check_equal(shape: Shape, outputs: Sequence[tuple[Contestant, Any]]) -> None:
    first: dict[int | None, tuple[Contestant, Any]] = {}
    for contestant, output in outputs:
        other, expected = first.setdefault(contestant.units, (contestant, output))
        if output != expected:
            texts = f"{other.name}: {str(expected)[:300]}\n  {contestant.name}: {str(output)[:300]}"
            raise DifferentOutputsError(f"{shape.group}: {shape.name}:\n  {texts}")
