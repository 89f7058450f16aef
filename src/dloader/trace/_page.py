"""A trace as one page that needs no network: what stands above the picture is there without a script, too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby
from typing import Any

from dloader._pages import asset, document, table
from dloader.trace._data import Busy, Finding, TracedBatch
from dloader.trace._reading import TraceReading
from dloader.trace._rounds import union_of
from dloader.trace._words import (
    N_PLUS_1,
    Words,
    asked_by,
    closed_because,
    duration,
    ended_how,
    is_bad,
    plural,
    rows_of,
)

__all__ = ("page",)

MOST_BATCHES = 50_000
MOST_FIELDS = 200
MOST_FAILURES = 5
MOST_SPANS = 2_000
MOST_PARTS = 12


def page(trace: TraceReading) -> str:
    """The whole page."""
    body = "\n".join(
        [
            f"<h1>{escape(trace.title or 'A trace')}</h1>",
            _facts(trace),
            *_verdict(trace),
            _chain(trace),
            asset("dloader.trace", "page.html"),
            _loaders(trace),
            _fields(trace),
        ]
    )
    style, script = asset("dloader.trace", "page.css"), asset("dloader.trace", "page.js")
    return document(trace.title or "dloader trace", body, style, script, _data(trace))


# -- what is there without a script --------------------------------------------------------------------------


def _facts(trace: TraceReading) -> str:
    count = len(trace.batches) + trace.data.skipped_batches
    facts = [
        (trace.loads, "load" if trace.loads == 1 else "loads"),
        (count, "batch" if count == 1 else "batches"),
        (trace.keys, "keys loaded"),
        (trace.hits, "from cache"),
        (trace.merged, "shared"),
        (trace.rounds, "round" if trace.rounds == 1 else "rounds"),
    ]
    share = trace.running / trace.duration if trace.duration else 0.0
    spent = (
        f"<span><b>{duration(trace.duration)}</b>; for {duration(trace.running)} ({share:.0%}) "
        f"a batch was running{_held(trace)}</span>"
    )
    words = "".join(f"<span><b>{number:,}</b> {what}</span>" for number, what in facts)
    return f'<p class="facts">{words}{spent}</p>'


def _held(trace: TraceReading) -> str:
    held = sum(end - start for start, end in union_of(trace.data.busy))
    return f", for {duration(held)} resolvers held the event loop" if held else ""


def _verdict(trace: TraceReading) -> Iterable[str]:
    warnings, failures = trace.warnings, _failures(trace)
    if warnings or failures:
        heads = [plural(len(warnings), "finding")] if warnings else []
        heads += [plural(len(trace.failures), "failed batch", "failed batches")] if failures else []
        lines = [_finding("⚠", finding) for finding in warnings]
        lines += [_line(f"✕ {batch.name}: {ended_how(batch)}", batch.index) for batch in failures]
        yield _box("warn", " · ".join(heads), lines)
    else:
        calls = plural(len(trace.batches), "call")
        yield _box("good", f"✓ No loader was asked in a loop. {calls} instead of {trace.loads:,}.", [])
    others = [finding for finding in trace.findings if not finding.is_warning]
    if others:
        yield _box("", plural(len(others), "remark"), [_finding("", finding) for finding in others])
    if trace.data.skipped_batches:
        skipped = plural(trace.data.skipped_batches, "batch", "batches")
        yield _box("", f"The last {skipped} were only counted: record(limit=) sets how many are kept.", [])
    if len(trace.batches) > MOST_BATCHES:
        yield _box("", f"The picture has {MOST_BATCHES:,} batches: failures, findings, and the longest.", [])


def _failures(trace: TraceReading) -> Sequence[TracedBatch]:
    kinds: dict[str, TracedBatch] = {}
    for batch in trace.failures:
        kinds.setdefault(f"{batch.name} {ended_how(batch)}", batch)
    return list(kinds.values())[:MOST_FAILURES]


def _finding(mark: str, finding: Finding) -> str:
    reason = f" (expected: {finding.expected})" if finding.expected is not None else ""
    index = finding.batches[0] if finding.batches else None
    return _line(f"{mark} {finding.message}{reason}".strip(), index, is_grey=finding.expected is not None)


def _line(text: str, index: int | None, *, is_grey: bool = False) -> str:
    button = "" if index is None else f' <button type="button" hidden data-show="{index}">Show</button>'
    kind = ' class="grey"' if is_grey else ""
    return f"<li{kind}>{escape(text)}{button}</li>"


def _box(kind: str, head: str, lines: Sequence[str]) -> str:
    listed = f"<ul>{''.join(lines)}</ul>" if lines else ""
    return f'<div class="box {kind}"><p>{escape(head)}</p>{listed}</div>'


def _chain(trace: TraceReading) -> str:
    parts: list[str] = []
    end = 0.0
    for name, group in groupby(trace.chain, key=lambda batch: batch.name):
        batches = list(group)
        gap = batches[0].opened - end
        if parts and gap > 1_000:
            parts.append(f'<span class="grey">Python {duration(gap)}</span>')
        ran = sum((batch.ended or 0.0) - batch.started for batch in batches if batch.started is not None)
        times = f" &times; {len(batches)}" if len(batches) > 1 else ""
        parts.append(f"<code>{escape(name)}</code>{times} {duration(ran)}")
        end = batches[-1].ended or end
    if len(parts) > MOST_PARTS:
        parts = [*parts[:5], f"{len(parts) - 11:,} more", *parts[-6:]]
    return f'<p><span class="grey">Longest chain:</span> {" → ".join(parts)}</p>' if parts else ""


def _loaders(trace: TraceReading) -> str:
    batches: dict[int, list[TracedBatch]] = {}
    for batch in trace.batches:
        batches.setdefault(batch.loader, []).append(batch)
    rows: list[tuple[float, list[str]]] = []
    for index, mine in batches.items():
        loader = trace.sources[index]
        runs = [
            (batch.started, trace.duration if batch.ended is None else batch.ended)
            for batch in mine
            if batch.started is not None
        ]
        busy = sum(end - start for start, end in union_of(runs))
        longest = max((end - start for start, end in runs), default=0.0)
        keys = sum(batch.keys for batch in mine)
        numbers = [
            f"{len(mine):,}",
            f"{keys:,}",
            f"{keys / len(mine):,.1f}",
            f"{loader.hits:,}",
            f"{loader.merged:,}",
        ]
        times = [duration(busy), duration(longest), duration(busy / keys) if keys else "-"]
        failed = f"{sum(map(is_bad, mine)):,}"
        where = f"{loader.source} {loader.file}:{loader.line}"
        rows.append((busy, [loader.name, *numbers, *times, failed, where]))
    heads = [
        "loader",
        "batches",
        "keys",
        "keys / batch",
        "from cache",
        "shared",
        "busy",
        "longest",
        "per key",
        "failed",
        "batch function",
    ]
    ordered = [row for _, row in sorted(rows, key=lambda pair: -pair[0])]
    return table("Loaders", heads, ordered, range(1, 10)) if rows else ""


def _fields(trace: TraceReading) -> str:
    rows = [
        [
            field.path,
            f"{field.nodes:,}",
            f"{field.keys:,}",
            f"{field.distinct:,}",
            f"{field.hits:,}",
            ", ".join(field.loaders) or ("all from cache" if field.hits else "-"),
            duration(field.writing),
        ]
        for field in trace.fields[:MOST_FIELDS]
    ]
    heads = ["field", "nodes", "keys", "distinct", "from cache", "loaded by", "then written in"]
    return table("Fields", heads, rows, [*range(1, 5), 6]) if rows else ""


# -- what the script reads -----------------------------------------------------------------------------------


def _data(trace: TraceReading) -> dict[str, Any]:
    shown = _shown(trace)
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
        "busy": _busy(trace),
        **_columns(trace, shown, place_of),
    }


def _busy(trace: TraceReading) -> list[Busy]:
    """When resolvers held the event loop; gaps that nobody would see are left out."""
    least = trace.duration / MOST_SPANS
    spans = union_of((start, end + least) for start, end in trace.data.busy)
    return [(start, round(end - least, 1)) for start, end in spans]


def _shown(trace: TraceReading) -> Sequence[TracedBatch]:
    if len(trace.batches) <= MOST_BATCHES:
        return trace.batches
    found = {index for finding in trace.findings for index in finding.batches}

    def weight(batch: TracedBatch) -> tuple[bool, float]:
        ran = 0.0 if batch.started is None or batch.ended is None else batch.ended - batch.started
        return is_bad(batch) or batch.index in found, ran

    kept = sorted(trace.batches, key=weight, reverse=True)[:MOST_BATCHES]
    return sorted(kept, key=lambda batch: batch.index)


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
