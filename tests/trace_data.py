"""Traces made by hand, for what depends on time: no test has to wait."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from dloader.trace import Finding, LoaderData, PlaceData, StepData, Trace, TracedBatch
from dloader.trace._data import TraceData

FACTS: dict[str, Any] = {
    "index": 0,
    "loader": 0,
    "instance": 0,
    "number": 1,
    "keys": 1,
    "opened": 0.0,
    "closed": 5.0,
    "started": 6.0,
    "ended": 10.0,
    "why": "idle",
    "outcome": "returned",
    "error": "",
    "failed": 0,
    "merged": 0,
    "statements": 0,
    "again": 0,
    "sample": [],
    "values": [],
    "places": [],
    "steps": [],
    "came_from": [],
    "inside": None,
    "key": None,
    "chained": False,
    "expected": None,
    "round": 1,
}


def batch(name: str, **facts: Any) -> TracedBatch:
    """A batch, of which only what matters is said."""
    given = dict(facts)
    opened = given.get("opened", 0.0)
    given.setdefault("closed", opened)
    given.setdefault("started", given["closed"])
    given.setdefault("ended", opened + 1)
    return TracedBatch(**{**FACTS, "name": name, **given})


def trace_of(
    batches: Sequence[TracedBatch],
    *,
    duration: float = 1_000.0,
    places: Iterable[tuple[str, int, str]] = (),
    findings: Iterable[tuple[Iterable[int]]] = (),
    depths: Iterable[int] = (),
    **loader: Any,
) -> Trace:
    """A trace of some batches; loaders are told by their names, and alike otherwise."""
    names = list(dict.fromkeys(each.name for each in batches))
    facts = {
        "source": "app.x",
        "file": "app.py",
        "line": 1,
        "max_batch_size": None,
        "policy": "settle()",
        "cache": True,
        "statements_per_key": False,
        "batches": 0,
        "keys": 0,
        "hits": 0,
        "merged": 0,
        **loader,
    }
    data = TraceData(
        "made by hand",
        duration,
        [replace(each, index=index, loader=names.index(each.name)) for index, each in enumerate(batches)],
        [LoaderData(name=name, **facts) for name in names],
        [PlaceData(*place) for place in places],
        [
            StepData(0, "Node", "field", "Root.field", depth, "resolve", 1, 1, 1, 0, 0.0, 1.0, [])
            for depth in depths
        ],
        findings=[Finding("loop", "warning", "a loop", list(indices)) for (indices,) in findings],
    )
    return Trace(lambda: data)
