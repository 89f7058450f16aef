"""Two traces of the same work, side by side."""

from __future__ import annotations

from collections.abc import Iterable

from dloader._printed import WIDTH, columns, cut, padded, wrapped
from dloader.trace._reading import TraceReading
from dloader.trace._words import duration

__all__ = ("compare",)

NUMBER = 8
"""Least width of a column of numbers."""


def compare(before: TraceReading, after: TraceReading) -> str:
    """A table of what is different, and of the findings that came and went."""
    rows: list[tuple[str, str, str, str]] = [("", "before", "after", "")]
    rows += [
        (name, f"{one:,}", f"{two:,}", "")
        for name, one, two in (
            ("rounds", before.rounds, after.rounds),
            ("batches", len(before.batches), len(after.batches)),
            ("loads", before.loads, after.loads),
            ("keys", before.keys, after.keys),
        )
    ]
    counts = {
        trace: {name: len(sizes) for name, sizes in trace.summary().items()} for trace in (before, after)
    }
    for name in dict.fromkeys((*counts[before], *counts[after])):
        one, two = counts[before].get(name, 0), counts[after].get(name, 0)
        if one != two:
            rows.append((name, f"{one:,}", f"{two:,}", "batches"))
    rows.append(("time", duration(before.duration), duration(after.duration), ""))
    lines = list(_aligned(rows))
    new, gone = _missing(after, before), _missing(before, after)
    findings = [*(f"new:  {line}" for line in new), *(f"gone: {line}" for line in gone)]
    return "\n".join([*lines, *(line for finding in findings for line in wrapped(finding, indent=6))])


def _aligned(rows: list[tuple[str, str, str, str]]) -> Iterable[str]:
    one_wide, two_wide = (max(NUMBER, *(len(row[column]) for row in rows)) for column in (1, 2))
    room = WIDTH - one_wide - two_wide - len("    ->    batches")
    names = [cut(row[0], room) for row in rows]
    first = max(map(columns, names))
    for index, (name, (_, one, two, unit)) in enumerate(zip(names, rows, strict=True)):
        arrow = "->" if index else "  "
        yield f"{padded(name, first)}  {one:>{one_wide}}  {arrow}  {two:>{two_wide}}  {unit}".rstrip()


def _missing(trace: TraceReading, other: TraceReading) -> list[str]:
    """The findings of a trace that another has not: by rule, and by what is said before any number."""
    known = {_kind(finding.rule, finding.message) for finding in other.findings}
    return [
        f"{finding.rule}: {finding.message}"
        for finding in trace.findings
        if _kind(finding.rule, finding.message) not in known
    ]


def _kind(rule: str, message: str) -> tuple[str, str]:
    return rule, "".join(letter for letter in message if not letter.isdigit())
