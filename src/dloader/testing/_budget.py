"""batch_budget: how many batches a block may take at most, or exactly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from dloader import DloaderError, OptionError
from dloader._printed import inert
from dloader._sources import StandIn
from dloader.testing._report import cures, table
from dloader.trace import Trace, record
from dloader.trace._build import dotted_name
from dloader.trace._words import plural

__all__ = ("BatchBudget", "BatchBudgetExceeded", "batch_budget", "exactly")


@dataclass(frozen=True, slots=True)
class exactly:  # noqa: N801 - reads as a word: batches=exactly(5)
    """In the place of an upper bound: so many, no more and no fewer.

    Args:
        count: How many.

    Example:
        >>> exactly(5)
        exactly(count=5)
    """

    count: int
    """How many."""


class BatchBudgetExceeded(DloaderError, AssertionError):  # noqa: N818 - reads as what happened
    """A block took more than `batch_budget` allows, or not exactly what it says.

    Args:
        message: What, and by whom.
        trace: What the block loaded.
    """

    def __init__(self, message: str, trace: Trace) -> None:
        super().__init__(message)
        self.trace = trace


class BatchBudget:
    """Records a block, and fails when it is left: see `batch_budget`, which makes it. May be entered again."""

    def __init__(self, limits: Mapping[str, object], per_loader: Mapping[object, object], title: str) -> None:
        self._limits = limits
        self._per_loader = per_loader
        self._record = record(title)

    def __enter__(self) -> Trace:
        """Begin; what is returned can be read when the block is left."""
        return self._record.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop, and check, unless something was raised.

        Raises:
            BatchBudgetExceeded: It took more.
        """
        __tracebackhide__ = True
        trace = self._record.leave()
        if error is None:
            self.check(trace)

    async def __aenter__(self) -> Trace:
        """Do what ``with`` does."""
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Do what ``with`` does."""
        __tracebackhide__ = True
        self.__exit__(kind, error, traceback)

    def check(self, trace: Trace) -> None:
        """Compare a trace with what is allowed.

        Raises:
            BatchBudgetExceeded: It took more.
        """
        __tracebackhide__ = True
        problems = list(self._problems(trace))
        if problems:
            rows, advice = list(table(trace)), list(cures(trace))
            lines = ["; ".join(problems), *([""] if rows else []), *rows, *([""] if advice else []), *advice]
            raise BatchBudgetExceeded("\n".join(map(inert, lines)), trace)

    def _problems(self, trace: Trace) -> Iterable[str]:
        counts = {
            "batches": (len(trace.batches) + trace.data.skipped_batches, "batch", "batches"),
            "rounds": (trace.rounds, "round", "rounds"),
            "keys": (trace.keys, "key", "keys"),
            "findings": (len(trace.warnings), "warning", "warnings"),
        }
        for name, (count, word, many) in counts.items():
            problem = _problem(self._limits[name], count, word, many)
            if problem:
                yield problem
        for source, limit in self._per_loader.items():
            count = sum(_is_of(source, trace, batch.loader) for batch in trace.batches)
            problem = _problem(limit, count, "batch", "batches")
            if problem:
                yield f"{_name_of(source)}: {problem}"


def batch_budget(
    *,
    rounds: int | exactly | None = None,
    batches: int | exactly | None = None,
    keys: int | exactly | None = None,
    per_loader: Mapping[Any, int | exactly] | None = None,
    findings: int | exactly | None = 0,
    title: str = "",
) -> BatchBudget:
    """Fail a test whose block loads in more batches than it should.

    Numbers are upper bounds; ``exactly(3)`` is one that must be met. The block is recorded as `dloader.trace.record`
    does it: all loaders that it uses count, and nothing that others do at the same time. Nothing is checked when the
    block raises. ``with`` does the same as ``async with``.

    Args:
        rounds: How many times one batch may have to wait for another, plus one: what latency is multiplied by.
        batches: How many calls of batch functions there may be.
        keys: How many keys they may be given, all together.
        per_loader: How many calls of some batch functions there may be: by loader class, batch function or name.
        findings: How many warnings of N+1 there may be. ``None`` is any number.
        title: Shown in the trace.

    Returns:
        What is entered; the trace that it gives can be read after the block. It may be entered again.

    Raises:
        OptionError: A number is none.
        BatchBudgetExceeded: From the block's end, an `AssertionError`: it took more. The message says which loaders
            were called, from where, and what to do; ``trace`` has everything.

    Example:
        >>> import asyncio
        >>> from dloader import DataLoader
        >>> async def load_users(ids):
        ...     return [f"user {id}" for id in ids]
        >>> async def test_users():
        ...     users = DataLoader(load_users)
        ...     async with batch_budget(rounds=1, per_loader={load_users: exactly(1)}) as trace:
        ...         await users.load_many([1, 2, 3])
        ...     assert trace.summary() == {"load_users": [3]}
        >>> asyncio.run(test_users())
    """
    limits = {"rounds": rounds, "batches": batches, "keys": keys, "findings": findings}
    for name, limit in limits.items():
        _check(name, limit, may_be_none=True)
    if per_loader is not None and not isinstance(per_loader, Mapping):
        raise OptionError(
            f"batch_budget(per_loader=) takes a mapping of loaders to numbers, not {per_loader!r}"
        )
    for source, limit in (per_loader or {}).items():
        if not isinstance(source, (str, StandIn)) and not callable(source):
            raise OptionError(
                f"batch_budget(per_loader=) takes loader classes, batch functions and names, not {source!r}"
            )
        _check(f"per_loader[{_name_of(source)}]", limit, may_be_none=False)
    return BatchBudget(limits, dict(per_loader or {}), title)


def _check(name: str, limit: object, *, may_be_none: bool) -> None:
    count = limit.count if isinstance(limit, exactly) else limit
    if (limit is None and may_be_none) or (type(count) is int and count >= 0):
        return
    raise OptionError(f"batch_budget({name}=) takes a number from 0 up, or exactly() one, not {limit!r}")


def _problem(limit: object, count: int, word: str, many: str) -> str:
    if isinstance(limit, exactly):
        return "" if count == limit.count else f"{plural(count, word, many)}, exactly {limit.count:,} wanted"
    return (
        f"{plural(count, word, many)}, {limit:,} allowed" if isinstance(limit, int) and count > limit else ""
    )


def _is_of(source: Any, trace: Trace, loader: int) -> bool:
    data = trace.sources[loader]
    if isinstance(source, (str, StandIn)):
        return data.name == _name_of(source)
    return data.source == dotted_name(source)


def _name_of(source: Any) -> str:
    if isinstance(source, StandIn):
        return source.label
    return source if isinstance(source, str) else dotted_name(source).rpartition(".")[2]
