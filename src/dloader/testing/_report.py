"""What failures say of a trace: a line for what each loader was asked for at one place, and what cures it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dloader.trace import Trace, TracedBatch
from dloader.trace._words import N_PLUS_1, plural

__all__ = ("cures", "place_of", "sizes", "table")

MOST_ROWS = 12


def table(trace: Trace) -> Iterable[str]:
    """The batches, those of one loader and place in one line, the most first."""
    groups: dict[tuple[int, str], list[TracedBatch]] = {}
    for batch in trace.batches:
        groups.setdefault((batch.loader, place_of(trace, batch)), []).append(batch)
    rows = sorted(groups.values(), key=len, reverse=True)
    guilty = {index for finding in trace.warnings if finding.rule in N_PLUS_1 for index in finding.batches}
    names = [row[0].name for row in rows[:MOST_ROWS]]
    counts = [sizes(row) for row in rows[:MOST_ROWS]]
    for name, count, row in zip(names, counts, rows, strict=False):
        first = row[0]
        full = f" (full: max_batch_size {trace.sources[first.loader].max_batch_size})"
        where = place_of(trace, first) + (full if any(batch.why == "full" for batch in row) else "")
        mark = "   <- N+1" if guilty.intersection(batch.index for batch in row) else ""
        yield f"{name:<{max(map(len, names))}}  {count:<{max(map(len, counts))}}  {where}{mark}".rstrip()
    if len(rows) > MOST_ROWS:
        yield f"and {len(rows) - MOST_ROWS} more"


def sizes(batches: Sequence[TracedBatch]) -> str:
    """``24 batches of 1 key``."""
    least, most = (pick(batch.keys for batch in batches) for pick in (min, max))
    keys = plural(most, "key")
    return (
        f"{plural(len(batches), 'batch', 'batches')} of {keys if least == most else f'{least:,} to {keys}'}"
    )


def place_of(trace: Trace, batch: TracedBatch) -> str:
    """The field that asked first, or the line and function; empty if that is not known."""
    if batch.steps:
        step = trace.steps[batch.steps[0]]
        return f"{step.owner}.{step.field}"
    return str(trace.places[batch.places[0]]) if batch.places else ""


def cures(trace: Trace) -> Iterable[str]:
    """The warnings: each says what to do."""
    return (f"{finding.rule}: {finding.message}" for finding in trace.warnings)
