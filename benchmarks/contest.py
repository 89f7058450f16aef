"""All shapes, measured one after the other, and written as table, JSON and chart."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace

from benchmarks import peers, report, shapes_database, shapes_latency, shapes_loader, shapes_resolver
from benchmarks.chart import chart
from benchmarks.harness import Result, measure, modes
from benchmarks.shape import Settings, Shape

__all__ = ("QUICK", "SMOKE", "all_shapes", "hold")

QUICK = replace(Settings(), decades=(100, 1_000, 10_000, 100_000), companies=10, rounds=(3, 15), budget=3.0)
SMOKE = Settings(
    nodes=200, decades=(100, 200), sequential=20, delay=0.01, companies=2, rounds=(1, 1), budget=0.0
)


def all_shapes(settings: Settings) -> Iterator[Shape]:
    """The shapes of all groups."""
    for group in (shapes_loader, shapes_resolver, shapes_latency, shapes_database):
        yield from group.shapes(settings)


def hold(options: argparse.Namespace) -> None:
    """Measure what was asked for and write the reports."""
    settings = SMOKE if options.smoke else QUICK if options.quick else Settings()
    chosen = [
        mode
        for mode in modes()
        if options.loop in (None, mode.loop) and options.gc in (None, "on" if mode.gc else "off")
    ]
    results: list[Result] = []
    for shape in all_shapes(settings):
        if _is_wanted(shape, options.only):
            print(f"{shape.group}: {shape.name}", end="", flush=True, file=sys.stderr)
            results.append(measure(shape, settings, chosen))
            print(file=sys.stderr)
            print(report.table(results[-1]), flush=True)
    print(report.targets(results))
    for name, why in peers.missing.items():
        print(f"not taking part: {name} ({why})")
    print(report.machine_line())
    if options.json:
        options.json.write_text(report.as_json(results), encoding="utf-8")
    if options.svg:
        options.svg.write_text(chart(results), encoding="utf-8")


def _is_wanted(shape: Shape, only: str | None) -> bool:
    if not only:
        return True
    return any(part.strip() == shape.group or part.strip() in shape.name for part in only.split(","))
