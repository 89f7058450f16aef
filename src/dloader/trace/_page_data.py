"""What the script of a trace's page reads: columns of plain values, and texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from dloader.trace._data import Busy, TracedBatch
from dloader.trace._quota import rests
from dloader.trace._reading import TraceReading
from dloader.trace._rounds import union_of
from dloader.trace._words import (
    N_PLUS_1,
    Words,
    asked_by,
    closed_because,
    ended_how,
    is_bad,
    plural,
    rows_of,
)

__all__ = ("data_of",)

MOST_SPANS = 2_000


def data_of(trace: TraceReading, shown: Sequence[TracedBatch]) -> dict[str, Any]:
    """All of it; the batches that are shown one by one, and of the others what they did together."""
    place_of = {batch.index: place for place, batch in enumerate(shown)}
    findings = [
        {
            "message": finding.message,
            "severity": finding.severity if finding.expected is None else "expected",
            "expected": finding.expected or "",
            "badge": "N+1" if finding.rule in N_PLUS_1 and finding.is_warning else "",
            "batches": [place_of[index] for index in finding.batches if index in place_of],
        }
        for finding in trace.findings
    ]
    rows = [
        [place_of[batch.index] for batch in row if batch.index in place_of] for row in rows_of(trace.data)
    ]
    return {
        "duration": trace.duration,
        "loaders": [
            {"name": loader.name, "source": f"{loader.source} {loader.file}:{loader.line}"}
            for loader in trace.sources
        ],
        "places": list(map(str, trace.places)),
        "chain": [place_of[batch.index] for batch in trace.chain if batch.index in place_of],
        "findings": findings,
        "rows": [row for row in rows if row],
        "rest": {loader: asdict(rest) for loader, rest in rests(trace, shown).items()},
        "busy": _busy(trace),
        **_columns(trace, shown, place_of),
    }


def _busy(trace: TraceReading) -> list[Busy]:
    """When resolvers held the event loop; gaps that nobody would see are left out."""
    least = trace.duration / MOST_SPANS
    spans = union_of((start, end + least) for start, end in trace.data.busy)
    return [(start, round(end - least, 1)) for start, end in spans]


def _columns(trace: TraceReading, shown: Sequence[TracedBatch], place_of: dict[int, int]) -> dict[str, Any]:
    """Of the batches one list for each column; texts that many share stand once."""
    words, data = Words(trace.data), trace.data
    asked, because = _Shared(), _Shared()
    columns: dict[str, list[Any]] = {
        "label": [words.label(batch) for batch in shown],
        "name": [batch.name for batch in shown],
        "asked": [asked.place(asked_by(batch, data, with_function=True)) for batch in shown],
        "because": [because.place(closed_because(batch, data)) for batch in shown],
        "before": [
            None if before is None else place_of.get(before.index) for before in map(words.before, shown)
        ],
        "why_not": [words.why_not_before(batch) for batch in shown],
        "ended_how": [ended_how(batch) for batch in shown],
        "bad": [int(is_bad(batch)) for batch in shown],
        "gone": [int(batch.outcome in {"left", "shut_down", "lost"}) for batch in shown],
        "steps": [_step_words(trace, batch) for batch in shown],
        "came_from": [[place_of[index] for index in batch.came_from if index in place_of] for batch in shown],
        "inside": [place_of.get(-1 if batch.inside is None else batch.inside) for batch in shown],
    }
    for name in (
        "loader",
        "keys",
        "opened",
        "closed",
        "started",
        "ended",
        "round",
        "sample",
        "values",
        "places",
    ):
        columns[name] = [getattr(batch, name) for batch in shown]
    return {"batches": columns, "asked": asked.texts, "because": because.texts}


def _step_words(trace: TraceReading, batch: TracedBatch) -> str:
    if not batch.steps:
        return ""
    step = trace.steps[batch.steps[0]]
    cached = f", {step.hits:,} from cache" if step.hits else ""
    return (
        f"at {step.path}, depth {step.depth}: {plural(step.nodes, 'node')}, {plural(step.keys, 'key')}, "
        f"{step.distinct:,} distinct{cached}"
    )


class _Shared:
    """Texts, each once."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def place(self, text: str) -> int:
        """Where a text stands."""
        return self._places.setdefault(text, len(self._places))

    @property
    def texts(self) -> list[str]:
        """All of them."""
        return list(self._places)
