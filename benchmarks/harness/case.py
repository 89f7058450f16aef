"""What is measured: cases of work, the ways that do it, and what is aimed at."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

FLOORS = ("by hand", "bare", "dict", "done future", "one join")


@dataclass(frozen=True, slots=True)
class Timed:
    """What a way returns when not all that it does is to be timed."""

    output: Any
    seconds: float
    counts: dict[str, int] = field(default_factory=dict)
    cpu: float | None = None
    """CPU seconds of the whole process meanwhile."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way of doing the work of a case."""

    name: str
    run: Callable[[Any], Awaitable[Any]]
    prepare: Callable[[], Any] = lambda: None
    """Makes a fresh input; not timed."""
    units: int | None = None
    """Units of work of this one, when they differ from the case's."""
    times: int = 1
    """How often the work is done within one timed run, each time on a fresh input: a run of less than some
    milliseconds says more about the clock and the machine than about the work."""


@dataclass(frozen=True, slots=True)
class Target:
    """What one way may cost at most, as a multiple of the cheapest of others."""

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
class Case:
    """One kind of work, done by several ways."""

    group: str
    name: str
    units: int
    """By how many units of work the time is divided."""
    unit: str
    ways: Sequence[Way]
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
    """What must be there while the case is measured, such as tables in a database."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How much work, and how often."""

    nodes: int = 10_000
    decades: tuple[int, ...] = (100, 1_000, 10_000, 100_000, 1_000_000)
    settled: int = 10
    """How many times as much work a timed run is where there are few rounds."""
    sequential: int = 2_000
    delay: float = 0.05
    """Seconds that the quick loaders of the latency cases take."""
    companies: int = 20
    roots: tuple[int, ...] = (1, 10, 40, 1_000)
    """How many companies the cases of mapped classes have."""
    stored: tuple[int, ...] = (100, 1_000)
    """How many keys the batches of the store cases have."""
    rounds: tuple[int, int] = (2, 60)
    """Least and most rounds per case."""
    budget: float = 8.0
    """Seconds per case after which no further round is begun, once the least are done."""

    def times(self, units: int) -> int:
        """How often work of that many units is done within one timed run: until it comes to `nodes`."""
        return max(1, self.nodes // units)


def kind_of(name: str) -> str:
    """``dloader``, ``hand`` for floors and hand-written code, or ``peer``."""
    if name.startswith("dloader") and "2025" not in name:
        return "dloader"
    return "hand" if any(word in name for word in FLOORS) else "peer"
