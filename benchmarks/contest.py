"""All shapes, measured one after the other, and written as table, JSON, chart and page."""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

from benchmarks import peers, publish, report, shapes_database, shapes_latency, shapes_loader, shapes_resolver
from benchmarks.chart import chart
from benchmarks.harness import measure, modes
from benchmarks.machine import machine
from benchmarks.results import Record, record
from benchmarks.shape import Settings, Shape

__all__ = ("GROUPS", "QUICK", "SMOKE", "all_shapes", "hold")

QUICK = replace(
    Settings(),
    decades=(100, 1_000, 10_000), delay=0.02, companies=10, rounds=(2, 15), budget=3.0,
)  # fmt: skip
SMOKE = Settings(
    nodes=200, decades=(100, 200), sequential=20, delay=0.01, companies=2, rounds=(1, 1), budget=0.0
)

GROUPS = {
    "loader": shapes_loader, "resolver": shapes_resolver, "latency": shapes_latency, "database": shapes_database,
}  # fmt: skip


def all_shapes(settings: Settings) -> list[Shape]:
    """The shapes of all groups."""
    return [shape for group in GROUPS.values() for shape in group.shapes(settings)]


def hold(options: argparse.Namespace) -> None:
    """Measure what was asked for and write the reports."""
    settings = SMOKE if options.smoke else QUICK if options.quick else Settings()
    chosen = [
        mode
        for mode in modes()
        if options.loop in (None, mode.loop) and options.gc in (None, "on" if mode.gc else "off")
    ]
    about = machine()
    wanted = [shape for shape in all_shapes(settings) if _is_wanted(shape, options.only)]
    if not wanted:
        sys.exit(f"no shape is called so: {options.only}")
    records: list[Record] = []
    begun = time.perf_counter()
    for shape in wanted:
        print(_progress(shape, len(records), len(wanted), time.perf_counter() - begun), file=sys.stderr)
        gc.collect()
        gc.freeze()  # so that collecting before each run looks at what the runs made, and not at all of SQLAlchemy
        records.append(record(measure(shape, settings, chosen)))
        print(report.table(records[-1]), flush=True)
    print(report.targets(records))
    for name, why in peers.missing.items():
        print(f"not taking part: {name} ({why})")
    print(f"\n{report.machine_line(about)}\n{_minutes(time.perf_counter() - begun)} in all")
    text = json.dumps({"machine": about, "shapes": records}, indent=1) + "\n"
    if options.json:
        options.json.write_text(text, encoding="utf-8")
    if options.svg:
        options.svg.write_text(chart(records, about), encoding="utf-8")
    if options.publish:
        publish.RESULTS.write_text(text, encoding="utf-8")
        publish.publish()


def _is_wanted(shape: Shape, only: Sequence[str] | None) -> bool:
    """By its group, or by a part of its name."""
    return not only or any(shape.group == part if part in GROUPS else part in shape.name for part in only)


def _progress(shape: Shape, done: int, of: int, elapsed: float) -> str:
    left = f", about {_minutes(elapsed / done * (of - done))} left" if done else ""
    return f"[{done + 1} of {of}, {_minutes(elapsed)} so far{left}] {shape.group}: {shape.name}"


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
