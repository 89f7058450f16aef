"""Results as a table, as the list of targets and as JSON."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import Result
from benchmarks.peers import versions
from benchmarks.shape import Target

__all__ = ("as_json", "machine", "machine_line", "table", "targets")


# -- text ----------------------------------------------------------------------------------------------------


def table(result: Result) -> str:
    """One shape: a line per contestant, a pair of columns (least, median) per mode."""
    shape = result.shape
    chosen = list(next(iter(result.samples.values())))
    head = [f"us per {shape.unit}", *(f"{mode}" for mode in chosen), *_extra_heads(result)]
    rows = [head]
    for name, samples in result.samples.items():
        figures = [
            f"{_figure(result, name, s.least)} ({_figure(result, name, s.median)})" for s in samples.values()
        ]
        rows.append([name, *figures, *_extras(result, name)])
    rounds = len(next(iter(next(iter(result.samples.values())).values())).seconds)
    title = (
        f"\n{shape.group}: {shape.name} ({shape.units:,} x {shape.unit}; least and median of {rounds} runs)"
    )
    ideal = [] if shape.ideal is None else [f"  ideal: {shape.ideal * 1e3:.1f} ms"]
    notes = [f"  {shape.notes}"] if shape.notes else []
    return "\n".join([title, *_aligned(rows), *ideal, *notes])


def _figure(result: Result, name: str, seconds: float) -> str:
    return f"{seconds / result.units(name) * 1e6:,.3f}"


def _extra_heads(result: Result) -> list[str]:
    counts = [f"{name}" for name in _count_names(result)]
    cpu = ["cpu"] if result.shape.group == "database" else []
    return [*cpu, *counts, *(["peak bytes per " + result.shape.unit] if result.memory else [])]


def _extras(result: Result, name: str) -> list[str]:
    counts = [f"{result.counts[name].get(count, 0):,}" for count in _count_names(result)]
    cpu: list[str] = []
    if result.shape.group == "database":
        cpu = [_figure(result, name, min(min(sample.cpu) for sample in result.samples[name].values()))]
    memory = [f"{result.peak(name):,.0f}"] if result.memory else []
    return [*cpu, *counts, *memory]


def _count_names(result: Result) -> list[str]:
    return list(dict.fromkeys(name for counts in result.counts.values() for name in counts))


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  "
        + row[0].ljust(widths[0])
        + "".join("  " + cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in rows
    ]


def verdict(result: Result, target: Target) -> tuple[str, dict[str, float]]:
    """``hit`` in all modes, ``missed`` in all, or how many of them hit; and the ratios."""
    ratios = result.ratios(target)
    hits = sum(ratio <= target.at_most for ratio in ratios.values())
    return (
        "hit" if hits == len(ratios) else "missed" if not hits else f"hit {hits} of {len(ratios)}"
    ), ratios


def targets(results: Iterable[Result]) -> str:
    """All targets, the missed ones first."""
    rows: list[tuple[float, list[str]]] = []
    for result in results:
        for target in result.shape.targets:
            word, ratios = verdict(result, target)
            span = sorted(ratios.values())
            range_ = f"{span[0]:.2f}" if len(span) == 1 else f"{span[0]:.2f} to {span[-1]:.2f}"
            row = [f"{result.shape.group}: {result.shape.name}", str(target), range_, word]
            rows.append((span[-1] / target.at_most, row))
    rows.sort(key=lambda row: -row[0])
    head = ["shape", "target", "ratio, by mode", ""]
    return "\n".join(["\nTargets, the farthest from it first", *_aligned([head, *(row for _, row in rows)])])


# -- JSON ----------------------------------------------------------------------------------------------------


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        models = [
            line.partition(":")[2].strip()
            for line in info.read_text().splitlines()
            if line.startswith("model name")
        ]
        cpu = models[0] if models else cpu
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": platform.platform(),
        "cpu": cpu,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "versions": versions(),
    }


def machine_line() -> str:
    """The same in one line."""
    found = machine()
    names = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    where = f"{found['python']}, {found['cpu']}, {found['cores']} cores, load {found['load']:.2f}"
    return f"\n{found['date']}, {where}; {names}"


def as_json(results: Iterable[Result]) -> str:
    """Every figure: seconds of each run's least and median, CPU, counts and peak memory."""
    shapes = [
        {
            "group": result.shape.group,
            "shape": result.shape.name,
            "units": result.shape.units,
            "unit": result.shape.unit,
            "ideal_seconds": result.shape.ideal,
            "contestants": {
                name: {
                    "units": result.units(name),
                    "modes": {str(mode): _sample(sample) for mode, sample in samples.items()},
                    "counts": result.counts[name],
                    "peak_bytes": result.memory.get(name),
                }
                for name, samples in result.samples.items()
            },
            "targets": [
                {
                    "target": str(target),
                    "ratios": verdict(result, target)[1],
                    "verdict": verdict(result, target)[0],
                }
                for target in result.shape.targets
            ],
        }
        for result in results
    ]
    return json.dumps({"machine": machine(), "argv": sys.argv[1:], "shapes": shapes}, indent=1)


def _sample(sample: Any) -> dict[str, float]:
    return {
        "least": sample.least,
        "median": sample.median,
        "cpu": min(sample.cpu),
        "runs": len(sample.seconds),
    }
