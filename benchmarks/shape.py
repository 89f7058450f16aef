"""What is measured: shapes of work, the contestants that do it, and what is aimed at."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

__all__ = ("Contestant", "Settings", "Shape", "Target", "Timed")


@dataclass(frozen=True, slots=True)
class Timed:
    """What a contestant returns when not all that it does is to be timed."""

    output: Any
    seconds: float
    counts: dict[str, int] = field(default_factory=dict)
    cpu: float | None = None
    """CPU seconds of the whole process meanwhile."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way of doing the work of a shape."""

    name: str
    run: Callable[[Any], Awaitable[Any]]
    prepare: Callable[[], Any] = lambda: None
    """Makes a fresh input; not timed."""
    units: int | None = None
    """Units of work of this one, when they differ from the shape's."""
    times: int = 1
    """How often the work is done within one timed run, each time on a fresh input: a run of less than some
    milliseconds says more about the clock and the machine than about the work."""


@dataclass(frozen=True, slots=True)
class Target:
    """What one contestant may cost at most, as a multiple of the cheapest of others."""

    ours: str
    others: tuple[str, ...]
    at_most: float
    of: str = "time"
    """``time``, ``cpu``, ``memory`` or a count's name."""

    def __str__(self) -> str:
        others = self.others[0] if len(self.others) == 1 else "the best of " + ", ".join(self.others)
        what = "" if self.of == "time" else f"{self.of} of "
        return f"{what}{self.ours} <= {self.at_most:g} x {others}"


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of work, done by several contestants."""

    group: str
    name: str
    units: int
    """By how many units of work the time is divided."""
    unit: str
    contestants: Sequence[Contestant]
    targets: Sequence[Target] = ()
    outcome: Callable[[Any], Any] = lambda output: output
    """Turns an output into something that can be compared."""
    with_memory: bool = False
    ideal: float | None = None
    """The least seconds possible, where it can be computed."""
    least: dict[str, int] = field(default_factory=dict)
    """The least counts possible, by name."""
    notes: str = ""
    around: Callable[[], AbstractContextManager[object]] = nullcontext
    """What must be there while the shape is measured, such as tables in a database."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How much work, and how often."""

    nodes: int = 10_000
    decades: tuple[int, ...] = (100, 1_000, 10_000, 100_000, 1_000_000)
    sequential: int = 2_000
    delay: float = 0.05
    """Seconds that the quick loaders of the latency shapes take."""
    companies: int = 20
    rounds: tuple[int, int] = (2, 60)
    """Least and most rounds per shape."""
    budget: float = 8.0
    """Seconds per shape after which no further round is begun, once the least are done."""

    def times(self, units: int) -> int:
        """How often work of that many units is done within one timed run: until it comes to `nodes`."""
        return max(1, self.nodes // units)
