"""The last requests of a program, for the page that lists them; and what a header says of one."""

from __future__ import annotations

import json
import re
import time
import zlib
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import count
from typing import final

from dloader._pages import document
from dloader.trace._data import TraceData
from dloader.trace._reading import TraceReading
from dloader.trace._trace import Trace
from dloader.trace._words import duration, is_bad, plural

__all__ = ("LastRequests", "server_timing")

NO_TOKEN = re.compile(r"[^\w!#$%&'*+.^`|~-]+", re.ASCII)
MOST_LETTERS = 200
MOST_BARS = 200
MOST_LOADERS = 5
WIDTH, HEIGHT = 120, 14
STYLE = """.spark{display:block;margin-top:3px}.spark rect{fill:currentColor}
td:nth-child(2){white-space:normal;overflow-wrap:anywhere;min-width:160px}td.warn{color:var(--warn);font-weight:700}
@media(max-width:560px){th:first-child,td:first-child{display:none}th,td{padding:4px 6px}}"""
SCRIPT = 'applyTheme();\ndocument.documentElement.dataset.ready = "true";\n'
NUMBER = ' class="n"'
NUMBERS = ("took", "batches", "rounds", "warnings")
HEADS = ("time", "request", "status", "took", "batches", "rounds", "warnings", "batches running")


def server_timing(trace: TraceReading) -> str:
    """The value of ``Server-Timing``: all batches, then the five busiest loaders; empty if there are none."""
    if not trace.batches:
        return ""
    names: dict[str, list[float]] = {}
    for batch in trace.batches:
        if batch.started is not None:
            ended = trace.duration if batch.ended is None else batch.ended
            names.setdefault(NO_TOKEN.sub("", batch.name)[:40] or "loader", []).append(ended - batch.started)
    busiest = sorted(names.items(), key=lambda item: -sum(item[1]))[:MOST_LOADERS]
    every = len(trace.batches) + trace.data.skipped_batches
    total = f"{_batches(every)}, {plural(trace.rounds, 'round')}"
    parts = [("dloader", total, trace.running)]
    parts += [(name, _batches(len(times)), sum(times)) for name, times in busiest]
    return ", ".join(f'{name};desc="{words}";dur={spent / 1e3:.1f}' for name, words, spent in parts)


def _batches(number: int) -> str:
    return plural(number, "batch", "batches")


@dataclass(frozen=True, slots=True)
class Request:
    """One request; its trace is kept small."""

    number: int
    at: str
    title: str
    status: str
    cells: Sequence[str]
    """What the other columns say, but the last."""
    picture: str
    packed: bytes


@final
class LastRequests:
    """Keeps the last of them in memory; lives as long as the middleware."""

    def __init__(self, most: int) -> None:
        self._requests: deque[Request] = deque(maxlen=most)
        self._numbers = count(1)

    def add(self, title: str, status: int | None, data: TraceData) -> None:
        """A request has ended.

        Args:
            title: Its method and path.
            status: That of its answer; None if there was none.
            data: What it has loaded.
        """
        trace = Trace(lambda: data)
        words = json.dumps(data.as_json(), separators=(",", ":"))
        cells = [
            duration(trace.duration),
            f"{len(trace.batches) + data.skipped_batches:,}",
            f"{trace.rounds:,}",
            f"{len(trace.warnings):,}",
        ]
        request = Request(
            next(self._numbers),
            time.strftime("%H:%M:%S"),
            title[:MOST_LETTERS],
            "-" if status is None else str(status),
            cells,
            _picture(trace),
            zlib.compress(words.encode()),
        )
        self._requests.append(request)

    def find(self, name: str) -> Trace | None:
        """The trace of a request, by its number, if it is still there."""
        packed = next((request.packed for request in self._requests if str(request.number) == name), None)
        if packed is None:
            return None
        data = TraceData.from_json(json.loads(zlib.decompress(packed)))
        return Trace(lambda: data)

    def page(self, link: str) -> str:
        """The list, the last one first.

        Args:
            link: What the links to the traces begin with.
        """
        heads = "".join(f'<th scope="col"{NUMBER if each in NUMBERS else ""}>{each}</th>' for each in HEADS)
        rows = "\n".join(_row(request, link) for request in reversed(self._requests))
        body = (
            f"<h1>The last requests</h1><p>{plural(len(self._requests), 'request')}, "
            f"of {self._requests.maxlen} that are kept at most, in this process.</p>"
            f'<div class="wide"><table id="requests"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
        )
        return document("The last requests", body, STYLE, SCRIPT, {})


def _row(request: Request, link: str) -> str:
    href = escape(f"{link}{request.number}", quote=True)
    *numbers, warnings = request.cells
    cells = "".join(f"<td{NUMBER}>{each}</td>" for each in numbers)
    kind = NUMBER if warnings == "0" else ' class="n warn"'
    return (
        f'<tr><td>{request.at}</td><td><a href="{href}">{escape(request.title)}</a></td><td>{request.status}</td>'
        f"{cells}<td{kind}>{warnings}</td><td>{request.picture}</td></tr>"
    )


def _picture(trace: Trace) -> str:
    """When batches ran, 120 pixels wide; the failed ones are only half as high."""
    return (
        f'<svg class="spark" width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="when batches ran">'
        f"{''.join(_bars(trace))}</svg>"
    )


def _bars(trace: Trace) -> Iterable[str]:
    scale = WIDTH / max(trace.duration, 1.0)
    for batch in trace.batches[:MOST_BARS]:
        if batch.started is not None:
            ended = trace.duration if batch.ended is None else batch.ended
            height = HEIGHT // 2 if is_bad(batch) else HEIGHT
            left = min(batch.started * scale, WIDTH - 1.0)
            width = max(1.0, min((ended - batch.started) * scale, WIDTH - left))
            yield f'<rect x="{left:.1f}" y="{HEIGHT - height}" width="{width:.1f}" height="{height}" opacity=".5"/>'
