"""Results as tables in the terminal: a case with its ways, and the list of targets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.harness.results import Record, SampleRecord, WayRecord, distance

CPU_GROUPS = ("database", "store")
"""Where others than the event loop's thread work too, so that CPU time is a figure of its own."""


def of_case(record: Record) -> str:
    """One case: a line per way, least and median per mode."""
    title = (
        f"\n{record['group']}: {record['case']} "
        f"({record['units']:,} x {record['unit']}; least and median of {record['runs']} runs)"
    )
    ideal = record["ideal_seconds"]
    below = [] if ideal is None else [f"  ideal: {ideal * 1e3:.1f} ms"]
    below += [f"  {record['notes']}"] if record["notes"] else []
    return "\n".join([title, *_aligned(rows(record)), *below])


def rows(record: Record) -> list[list[str]]:
    """The cells of a case's table, its heads first: times in every mode, then what else was counted."""
    ways = record["ways"]
    counts = list(dict.fromkeys(name for one in ways.values() for name in one["counts"]))
    with_cpu = record["group"] in CPU_GROUPS
    with_memory = any(one["peak_bytes"] is not None for one in ways.values())
    head = [f"us per {record['unit']}", *next(iter(ways.values()))["modes"]]
    head += ["cpu"] if with_cpu else []
    head += counts
    head += [f"peak bytes per {record['unit']} (of them input)"] if with_memory else []
    found = [head]
    for name, one in ways.items():
        cells = [_time(one, s, record["runs"]) for s in one["modes"].values()]
        cells += [micros(one, min(s["cpu"] or 0.0 for s in one["modes"].values()))] if with_cpu else []
        cells += [f"{one['counts'].get(count, 0):,}" for count in counts]
        cells += [_bytes(one)] if with_memory else []
        found.append([name, *cells])
    return found


def _bytes(one: WayRecord) -> str:
    given, peak = ((one[key] or 0) / one["units"] for key in ("input_bytes", "peak_bytes"))
    return f"{peak:,.0f} ({given:,.0f})"


def _time(one: WayRecord, sample: SampleRecord, runs: int) -> str:
    """Least and median; or how many runs there were, if fewer than others have."""
    least, median = micros(one, sample["least"]), micros(one, sample["median"])
    return f"{least} ({median if sample['runs'] == runs else 'of ' + str(sample['runs'])})"


def micros(one: WayRecord, seconds: float) -> str:
    """Microseconds per unit of work, in three digits or more."""
    figure = seconds / one["units"] * 1e6
    return f"{figure:,.{0 if figure >= 1000 else 1 if figure >= 100 else 2 if figure >= 1 else 3}f}"


def _aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  "
        + line[0].ljust(widths[0])
        + "".join("  " + cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))
        for line in lines
    ]


def targets(records: Iterable[Record]) -> str:
    """All targets, the missed ones first."""
    found = sorted(
        ((record, target) for record in records for target in record["targets"]),
        key=lambda pair: -distance(pair[1]),
    )
    lines = [["case", "target", "ratio, by mode", "paired", ""]]
    for record, target in found:
        where = f"{record['group']}: {record['case']}"
        ratio, paired = span(target["ratios"]), span(target["paired"])
        lines.append([where, target["target"], ratio, paired, target["verdict"]])
    return "\n".join(["\nTargets, the farthest from it first", *_aligned(lines)])


def span(ratios: dict[str, float]) -> str:
    """The least and the largest of some ratios."""
    if not ratios:
        return ""
    least, largest = (f"{ratio:.2f}" for ratio in (min(ratios.values()), max(ratios.values())))
    return least if least == largest else f"{least} to {largest}"


def machine_line(machine: dict[str, Any]) -> str:
    """What the figures depend on, in one line."""
    names = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    load = "" if machine["load"] is None else f", load {machine['load']:.2f} when it began"
    return (
        f"{machine['date']}, {machine['python']}, {machine['cpu']}, {machine['cores']} cores{load}; {names}"
    )
