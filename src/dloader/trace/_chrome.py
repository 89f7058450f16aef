"""A trace for Perfetto and Chrome's own viewer: an event for each batch, on lanes where none overlaps another."""

from __future__ import annotations

import json
from typing import Any

from dloader.trace._data import TracedBatch
from dloader.trace._reading import TraceReading
from dloader.trace._words import closed_because, ended_how

__all__ = ("chrome_json",)


def chrome_json(trace: TraceReading) -> str:
    """The events, in the format that both read."""
    lanes = _Lanes()
    events: list[dict[str, Any]] = [
        {"ph": "M", "pid": 1, "name": "process_name", "args": {"name": trace.title or "dloader"}}
    ]
    threads: dict[int, int] = {}
    for batch in trace.batches:
        threads[batch.index] = thread = lanes.place(batch, trace.duration)
        end = trace.duration if batch.ended is None else batch.ended
        how = {
            "keys": batch.keys,
            "sample": batch.sample,
            "closed because": closed_because(batch, trace.data),
            "ended": ended_how(batch) or batch.outcome,
            "asked at": [str(trace.places[place]) for place in batch.places],
        }
        events.append(_span(batch.name, thread, batch.opened, end, how))
        if batch.started is not None:
            events.append(_span("runs", thread, batch.started, end, {}))
    for batch in trace.batches:
        for source in batch.came_from:
            number = len(events)
            before = trace.batches[source]
            flow = {"name": "keys came from", "cat": "keys", "id": number, "pid": 1}
            events.append({**flow, "ph": "s", "tid": threads[source], "ts": before.opened})
            events.append({**flow, "ph": "f", "bp": "e", "tid": threads[batch.index], "ts": batch.opened})
    events += lanes.names()
    return json.dumps(
        {"traceEvents": events, "displayTimeUnit": "ms"}, ensure_ascii=False, separators=(",", ":")
    )


def _span(name: str, thread: int, start: float, end: float, args: dict[str, Any]) -> dict[str, Any]:
    span = {"ph": "X", "name": name, "cat": "batch", "pid": 1, "tid": thread}
    return {**span, "ts": round(start, 1), "dur": round(max(0.0, end - start), 1), "args": args}


class _Lanes:
    """Gives each batch a thread of its loader's on which nothing overlaps it."""

    def __init__(self) -> None:
        self._by_loader: dict[str, list[tuple[int, float]]] = {}
        self._count = 0

    def place(self, batch: TracedBatch, duration: float) -> int:
        """The number of a thread that is free when a batch opens."""
        lanes = self._by_loader.setdefault(batch.name, [])
        end = duration if batch.ended is None else batch.ended
        for index, (thread, busy_until) in enumerate(lanes):
            if busy_until <= batch.opened:
                lanes[index] = (thread, end)
                return thread
        self._count += 1
        lanes.append((self._count, end))
        return self._count

    def names(self) -> list[dict[str, Any]]:
        """What the threads are called: ``PhotoById``, ``PhotoById (2)``."""
        return [
            {
                "ph": "M",
                "pid": 1,
                "tid": thread,
                "name": "thread_name",
                "args": {"name": name if index == 0 else f"{name} ({index + 1})"},
            }
            for name, lanes in self._by_loader.items()
            for index, (thread, _) in enumerate(lanes)
        ]
