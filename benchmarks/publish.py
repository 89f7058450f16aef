"""Write the figures into docs/performance.md: every shape, the losing ones first, and every target.

    python benchmarks/run.py --publish    # measures all, then does this
    python benchmarks/publish.py          # again from benchmarks/results.json and compiled.json, without measuring

The page is written by hand, except for what stands between a line `<!-- figures: NAME -->` and the next
`<!-- end of figures -->`. The chart beside it, docs/performance.svg, is made of the same figures.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from benchmarks import growth, report  # noqa: E402
from benchmarks.chart import MODE, chart  # noqa: E402
from benchmarks.results import Record, distance, worst  # noqa: E402

__all__ = ("CHART", "COMPILED", "PAGE", "RESULTS", "publish", "rendered")

RESULTS = ROOT / "benchmarks" / "results.json"
COMPILED = ROOT / "benchmarks" / "compiled.json"
PAGE = ROOT / "docs" / "performance.md"
CHART = ROOT / "docs" / "performance.svg"


def publish() -> None:
    """Bring page and chart up to date with the results."""
    figures, compiled = (json.loads(file.read_text(encoding="utf-8")) for file in (RESULTS, COMPILED))
    PAGE.write_text(rendered(PAGE.read_text(encoding="utf-8"), figures, compiled), encoding="utf-8")
    CHART.write_text(chart(figures["shapes"], figures["machine"]), encoding="utf-8")


def rendered(page: str, figures: Any, compiled: Any) -> str:
    """The page with these figures in place of those that it has."""
    records: list[Record] = sorted(figures["shapes"], key=worst, reverse=True)
    parts = {
        "machine": [report.machine_line(figures["machine"])],
        "summary": _summary(records),
        "shapes": [line for record in records for line in _shape(record)],
        "targets": _targets(records),
        "by_size": _markdown(list(growth.by_size(figures["shapes"]))),
        "once": _markdown(list(growth.once(figures["shapes"]))),
        "compiled": _compiled(compiled),
    }

    def fill(match: re.Match[str]) -> str:
        lines = "\n".join(parts[match[1]])
        return f"<!-- figures: {match[1]} -->\n{lines}\n<!-- end of figures -->"

    return re.sub(r"<!-- figures: (\w+) -->\n.*?<!-- end of figures -->", fill, page, flags=re.DOTALL)


def _summary(records: Sequence[Record]) -> Iterator[str]:
    verdicts = [target["verdict"] for record in records for target in record["targets"]]
    hit, missed = verdicts.count("hit"), verdicts.count("missed")
    yield (
        f"{len(records)} shapes, {len(verdicts)} targets: {hit} hit in every mode, "
        f"{len(verdicts) - hit - missed} in some, {missed} in none."
    )


def _shape(record: Record) -> Iterator[str]:
    yield f"### {record['group'].capitalize()}: {record['shape']}"
    yield ""
    runs = f"{record['runs']} run{'s' if record['runs'] != 1 else ''}"
    said = [f"{record['units']:,} x {record['unit']}, {runs}."]
    if (ideal := record["ideal_seconds"]) is not None:
        said.append(f"Ideal: {ideal * 1e3:,.0f} ms.")
    if record["notes"]:
        said.append(record["notes"])
    if record["targets"]:
        target = max(record["targets"], key=distance)
        how = "All targets hit; the nearest is" if distance(target) <= 1 else "Farthest from its target:"
        said.append(f"{how} {_escaped(target['target'])}, at {report.span(target['ratios'])}.")
    yield " ".join(said)
    yield ""
    yield from _markdown(report.rows(record))
    yield ""


def _targets(records: Sequence[Record]) -> Iterator[str]:
    lines = [["shape", "target", "ratio, by mode", "paired by round", "verdict", "by"]]
    found = [(record, target) for record in records for target in record["targets"]]
    found.sort(key=lambda pair: -distance(pair[1]))
    for record, target in found:
        by = f"{distance(target) - 1:+.0%}"
        where = f"{record['group']}: {record['shape']}"
        ratio, paired = report.span(target["ratios"]), report.span(target["paired"])
        lines.append([where, target["target"], ratio, paired, target["verdict"], by])
    yield from _markdown(lines)


def _compiled(figures: Any) -> Iterator[str]:
    """The figures of compiled.py, in one mode: the others say the same."""
    names = list(dict.fromkeys(name for record in figures["shapes"] for name in record["contestants"]))
    lines = [["us per unit of work", *names]]
    for record in figures["shapes"]:
        head, *rows = report.rows(record)
        found = {row[0]: row[head.index(MODE)] for row in rows}
        lines.append([f"{record['shape']}, per {record['unit']}", *(found.get(name, "") for name in names)])
    yield from _markdown(lines)
    yield ""
    failed = figures["failed"]
    how = f"{len(figures['modules'])} modules were compiled with {figures['compiler']}"
    yield f"{how}; {', '.join(failed) or 'none'} could not be. {MODE}. {report.machine_line(figures['machine'])}"


def _markdown(lines: Sequence[Sequence[str]]) -> Iterator[str]:
    head, *others = ([_escaped(cell) for cell in line] for line in lines)
    numbers = [
        all(not line[column] or line[column][0].isdigit() for line in others) for column in range(len(head))
    ]
    yield f"| {' | '.join(head)} |"
    yield f"| {' | '.join('---:' if number else '---' for number in numbers)} |"
    for line in others:
        yield f"| {' | '.join(line)} |"


def _escaped(text: str) -> str:
    return text.replace("|", r"\|").replace("<=", "≤")


if __name__ == "__main__":
    publish()
