"""What was measured of a case as a plain record: what goes into the JSON file, and what reports are made of."""

from __future__ import annotations

import statistics
from typing import TypedDict

from benchmarks.harness.case import Target
from benchmarks.harness.measure import Mode, Result


class SampleRecord(TypedDict):
    """Seconds of one run; ``cpu`` is the least of the whole process, where that was measured."""

    least: float
    median: float
    cpu: float | None
    runs: int


class WayRecord(TypedDict):
    """One way: how many units of work it does, and its figures by mode."""

    units: int
    modes: dict[str, SampleRecord]
    counts: dict[str, int]
    input_bytes: int | None
    peak_bytes: int | None


class TargetRecord(TypedDict):
    """One target: ratios of the least times decide; those paired by round are there to be compared with."""

    target: str
    at_most: float
    ratios: dict[str, float]
    paired: dict[str, float]
    verdict: str


class Record(TypedDict):
    """One case."""

    group: str
    case: str
    units: int
    unit: str
    runs: int
    notes: str
    ideal_seconds: float | None
    ways: dict[str, WayRecord]
    targets: list[TargetRecord]


def record(result: Result) -> Record:
    """All of a result that is kept."""
    case = result.case
    return {
        "group": case.group,
        "case": case.name,
        "units": case.units,
        "unit": case.unit,
        "runs": max(
            len(sample.seconds) for samples in result.samples.values() for sample in samples.values()
        ),
        "notes": case.notes,
        "ideal_seconds": case.ideal,
        "ways": {name: _way(result, name) for name in result.samples},
        "targets": [_target(result, target) for target in case.targets],
    }


def distance(target: TargetRecord) -> float:
    """How many times what the target allows it costs in the worst mode; up to 1 it is hit."""
    return max(target["ratios"].values()) / target["at_most"]


def worst(record: Record) -> float:
    """The distance of the target that is farthest from being hit."""
    return max(map(distance, record["targets"]), default=0.0)


def _rounded(figure: float) -> float:
    """No clock is as exact as a float is long."""
    return float(f"{figure:.5g}")


def _way(result: Result, name: str) -> WayRecord:
    samples: dict[str, SampleRecord] = {
        str(mode): {
            "least": _rounded(s.least),
            "median": _rounded(s.median),
            "cpu": _rounded(min(s.cpu)) if s.cpu else None,
            "runs": len(s.seconds),
        }
        for mode, s in result.samples[name].items()
    }
    given, peak = result.memory.get(name, (None, None))
    return {
        "units": result.units(name),
        "modes": samples,
        "counts": result.counts[name],
        "input_bytes": given,
        "peak_bytes": peak,
    }


def _target(result: Result, target: Target) -> TargetRecord:
    ratios = {mode: _rounded(ratio) for mode, ratio in _ratios(result, target).items()}
    paired: dict[str, float] = {}
    if target.of == "time" and target.others != ("ideal",):
        paired = {str(mode): _rounded(_paired(result, target, mode)) for mode in result.samples[target.ours]}
    hits = sum(ratio <= target.at_most for ratio in ratios.values())
    verdict = "hit" if hits == len(ratios) else "missed" if not hits else f"hit {hits} of {len(ratios)}"
    text = {"target": str(target), "at_most": target.at_most}
    return {**text, "ratios": ratios, "paired": paired, "verdict": verdict}  # type: ignore[typeddict-item]


def _ratios(result: Result, target: Target) -> dict[str, float]:
    """How `target.ours` compares with the best of the others, by mode where that matters."""
    if target.of in ("time", "cpu"):
        return {
            str(mode): _cost(result, target.ours, mode, target.of)
            / min(_cost(result, name, mode, target.of) for name in target.others)
            for mode in result.samples[target.ours]
        }

    def amount(name: str) -> float:
        if target.of == "memory":
            return result.memory[name].peak / result.units(name)
        return {**result.counts, "least": result.case.least}[name][target.of]

    return {"": amount(target.ours) / min(map(amount, target.others))}


def _cost(result: Result, name: str, mode: Mode, of: str) -> float:
    """Seconds per unit of work, in the best run."""
    if name == "ideal":
        assert result.case.ideal is not None
        return result.case.ideal / result.case.units
    sample = result.samples[name][mode]
    return (sample.least if of == "time" else min(sample.cpu)) / result.units(name)


def _paired(result: Result, target: Target, mode: Mode) -> float:
    """The median over the rounds of what ours cost, as a multiple of another of the same round; of the worst."""

    def against(other: str) -> float:
        units = result.units(other) / result.units(target.ours)
        pairs = zip(
            result.samples[target.ours][mode].seconds, result.samples[other][mode].seconds, strict=True
        )
        return statistics.median(ours / theirs for ours, theirs in pairs) * units

    return max(map(against, target.others))
