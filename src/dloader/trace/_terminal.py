"""A trace in a terminal, 80 columns wide: the facts, a line per batch with its bar, and the findings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import final

from dloader._printed import cut, padded, wrapped
from dloader.trace._data import TracedBatch
from dloader.trace._reading import TraceReading
from dloader.trace._words import N_PLUS_1, Words, asked_by, duration, ended_how, is_bad, plural, rows_of

__all__ = ("show",)

NAME, ASKED, KEYS, RAN = 21, 18, 5, 9
MOST_CELLS = 100
MOST_ROWS = 40
LEVELS = "▁▂▃▄▅▆▇█"
BLOCKS = {"open": "░", "waits": "·", "runs": "█", "failed": "▒"}
ASCII = {"open": "-", "waits": ".", "runs": "#", "failed": "x"}
COLORS = {"warning": "33", "failed": "31", "dim": "2"}


def show(trace: TraceReading, *, width: int, color: bool, ascii_only: bool, verbose: bool) -> str:
    """See `TraceReading.text`."""
    return "\n".join(_Terminal(trace, width, color, ascii_only).lines(verbose)) + "\n"


@final
class _Terminal:
    """Shows one trace."""

    def __init__(self, trace: TraceReading, width: int, color: bool, ascii_only: bool) -> None:
        self._trace = trace
        self._width = width
        self._color = color
        self._ellipsis = "." if ascii_only else "…"
        self._marks = ASCII if ascii_only else BLOCKS
        self._levels = "123456789" if ascii_only else LEVELS
        self._words = Words(trace.data)
        self._cells = max(10, min(MOST_CELLS, width - NAME - ASKED - KEYS - RAN - 1))
        self._scale = max(trace.duration, 1.0) / self._cells
        """Microseconds of a cell."""

    def lines(self, verbose: bool) -> Iterable[str]:
        """All of it."""
        for line in self._head():
            yield from wrapped(line, self._width)
        rows = rows_of(self._trace.data)
        if len(rows) > MOST_ROWS and not verbose:
            rows = self._by_loader()
        if rows:
            yield ""
            yield from self._table(rows)
        yield ""
        yield from self._findings()

    def _head(self) -> Iterable[str]:
        trace = self._trace
        if trace.title:
            yield trace.title
        skipped = trace.data.skipped_batches
        count = plural(len(trace.batches) + skipped, "batch", "batches")
        spent = f"{duration(trace.duration)} (in {duration(trace.running)} a batch was running)"
        yield f"{plural(trace.loads, 'load')}, {count} in {plural(trace.rounds, 'round')}, {spent}"
        yield f"{plural(trace.keys, 'key')} loaded, {trace.hits:,} from cache, {trace.merged:,} shared"
        if skipped:
            yield f"the last {plural(skipped, 'batch', 'batches')} were only counted: see record(limit=)"

    def _by_loader(self) -> list[list[TracedBatch]]:
        rows: dict[int, list[TracedBatch]] = {}
        for batch in self._trace.batches:
            rows.setdefault(batch.loader, []).append(batch)
        return list(rows.values())

    # -- the table -------------------------------------------------------------------------------------------

    def _table(self, rows: Sequence[Sequence[TracedBatch]]) -> Iterable[str]:
        end = duration(self._trace.duration)
        scale = self._colored("dim", f"0{end:>{self._cells - 1}}")
        yield f"{'loader':<{NAME}}{'asked by':<{ASKED}}{'keys':>{KEYS}}{'ran':>{RAN}} {scale}"
        for row in rows:
            yield self._row(row)
        yield f"{'batches running':<{NAME + ASKED + KEYS + RAN}} {self._running()}".rstrip()
        marks = self._marks
        yield self._colored(
            "dim",
            f"{marks['open']} open, gathering keys   {marks['waits']} waits to start   {marks['runs']} runs   "
            f"{marks['failed']} failed or left",
        )

    def _row(self, row: Sequence[TracedBatch]) -> str:
        data = self._trace.data
        name = self._words.label(row[0]) if len(row) == 1 else f"{row[0].name} x{len(row)}"
        asked = {asked_by(batch, data): None for batch in row}
        by = next(iter(asked)) if len(asked) == 1 else plural(len(asked), "place")
        ran = sum(
            _end(batch, self._trace.duration) - batch.started for batch in row if batch.started is not None
        )
        spent = duration(ran) if any(batch.started is not None for batch in row) else "-"
        keys = sum(batch.keys for batch in row)
        failed = any(is_bad(batch) for batch in row)
        cells = self._bar(row)
        bar = "".join(cells).rstrip()
        numbers = f"{keys:>{KEYS}} {spent:>{RAN - 1}}"
        room = NAME + ASKED + KEYS + RAN - len(numbers)  # large numbers take of what stands before them
        named = padded(cut(name, min(NAME, room) - 1, self._ellipsis), min(NAME, room))
        if room > NAME:
            named = padded(named + cut(by, room - NAME - 1, self._ellipsis), room)
        return f"{named}{numbers} {self._colored('failed', bar) if failed else bar}".rstrip()

    def _bar(self, row: Sequence[TracedBatch]) -> list[str]:
        cells = [" "] * self._cells
        end = self._trace.duration
        for batch in row:
            self._fill(cells, batch.opened, batch.closed or _end(batch, end), "open")
        for batch in row:
            if batch.closed is not None:
                self._fill(cells, batch.closed, batch.started or _end(batch, end), "waits")
        for batch in row:
            mark = "failed" if is_bad(batch) else "runs"
            if batch.started is not None:
                self._fill(cells, batch.started, _end(batch, end), mark, at_least_one=True)
            elif is_bad(batch):
                self._fill(cells, _end(batch, end), _end(batch, end), mark, at_least_one=True)
        return cells

    def _fill(
        self, cells: list[str], start: float, end: float, mark: str, *, at_least_one: bool = False
    ) -> None:
        first = min(int(start / self._scale), self._cells - 1)
        last = min(round(end / self._scale), self._cells)
        if at_least_one:
            last = max(last, first + 1)
        for cell in range(first, last):
            cells[cell] = self._marks[mark]

    def _running(self) -> str:
        end = self._trace.duration
        counts = [0] * self._cells
        for batch in self._trace.batches:
            if batch.started is not None:
                first = min(int(batch.started / self._scale), self._cells - 1)
                last = max(first + 1, min(round(_end(batch, end) / self._scale), self._cells))
                for cell in range(first, last):
                    counts[cell] += 1
        most = max(counts)
        top = len(self._levels)
        return "".join(
            " " if not count else self._levels[max(0, -(-count * top // most) - 1)] for count in counts
        ).rstrip()

    # -- findings --------------------------------------------------------------------------------------------

    def _findings(self) -> Iterable[str]:
        trace = self._trace
        for finding in trace.findings:
            if finding.expected is not None:
                yield from self._wrapped("dim", "ok", f"{finding.message} (expected: {finding.expected})")
            else:
                mark = (
                    "N+1" if finding.rule in N_PLUS_1 and finding.severity == "warning" else finding.severity
                )
                yield from self._wrapped(finding.severity, mark, finding.message)
        failures: dict[str, TracedBatch] = {}
        for batch in trace.failures:
            failures.setdefault(f"{batch.name} {ended_how(batch)}", batch)
        for batch in list(failures.values())[:5]:
            yield from self._wrapped("failed", "FAIL", f"{self._words.label(batch)}: {ended_how(batch)}")
        if not (trace.warnings or trace.failures):
            yield "No loader was asked in a loop."

    def _wrapped(self, kind: str, mark: str, message: str) -> Iterable[str]:
        lines = wrapped(f"{mark:<4} {message}", max(40, self._width), indent=5)
        yield from (self._colored(kind, line) for line in lines)

    def _colored(self, kind: str, text: str) -> str:
        code = COLORS.get(kind)
        return f"\x1b[{code}m{text}\x1b[0m" if self._color and code is not None and text else text


def _end(batch: TracedBatch, duration: float) -> float:
    return duration if batch.ended is None else batch.ended
