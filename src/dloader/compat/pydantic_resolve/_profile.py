"""How long nodes take, by the path of their classes: what ``Resolver(debug=True)`` measures."""

from __future__ import annotations

import logging
import time

__all__ = ("Profile", "Timer")

logger = logging.getLogger("dloader")


class Timer:
    """The times, in milliseconds, that nodes of one path took."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.records: list[float] = []

    def add(self, since: float) -> None:
        """Note that a node which began at that time of the process's clock is done."""
        self.records.append((time.perf_counter() - since) * 1000)

    @property
    def average(self) -> float:
        """The mean; 0 without records."""
        return sum(self.records) / len(self.records) if self.records else 0

    @property
    def max(self) -> float:
        """The longest."""
        return max(self.records, default=0)

    @property
    def min(self) -> float:
        """The shortest."""
        return min(self.records, default=0)

    def __repr__(self) -> str:
        return f"avg: {self.average:.1f}ms, max: {self.max:.1f}ms, min: {self.min:.1f}ms"


class Profile:
    """The timers of a resolver."""

    def __init__(self) -> None:
        self.full_path_timer: dict[str, Timer] = {}
        """By the names of the classes from the root down, with dots between."""

    def timer(self, path: str) -> Timer:
        """The timer of a path."""
        return self.full_path_timer.setdefault(path, Timer(path))

    def report(self) -> None:
        """Log a line for each path."""
        logger.debug("\n%r", self)

    def __repr__(self) -> str:
        width = max(map(len, self.full_path_timer), default=0)
        return "\n".join(f"{path:{width}}: {timer}" for path, timer in sorted(self.full_path_timer.items()))
