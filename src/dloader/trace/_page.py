"""A trace as one page that needs no network: what stands above the picture is there without a script, too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby

from dloader._pages import asset, document, table
from dloader.trace._data import Finding, TracedBatch
from dloader.trace._page_data import data_of
from dloader.trace._quota import LONGEST, shown_one_by_one
from dloader.trace._reading import TraceReading
from dloader.trace._rounds import union_of
from dloader.trace._words import duration, ended_how, is_bad, plural

__all__ = ("page",)

MOST_FIELDS = 200
MOST_FAILURES = 5
MOST_PARTS = 12


def page(trace: TraceReading) -> str:
    """The whole page."""
    shown = shown_one_by_one(trace)
    body = "\n".join(
        [
            f"<h1>{escape(trace.title or 'A trace')}</h1>",
            _facts(trace),
            *_verdict(trace, len(shown)),
            _chain(trace),
            asset("dloader.trace", "page.html"),
            _loaders(trace),
            _fields(trace),
        ]
    )
    style, script = asset("dloader.trace", "page.css"), asset("dloader.trace", "page.js")
    return document(trace.title or "dloader trace", body, style, script, data_of(trace, shown))


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


def _verdict(trace: TraceReading, shown: int) -> Iterable[str]:
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
    if len(trace.batches) > shown:
        which = f"of each loader the {LONGEST:,} longest, all that failed, and all of findings"
        words = f"The picture has {shown:,} of {len(trace.batches):,} batches one by one: {which}"
        yield _box(
            "", f"{words}. Of the others it shows how many ran at once; numbers and tables have all.", []
        )


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
