"""Write the figures into benchmarks/results.md (every case and every target) and docs/performance.md.

    python benchmarks/run.py --publish    # measures all, then does this
    python benchmarks/report/publish.py   # again from benchmarks/results.json, without measuring

The pages are written by hand, except for what stands between a line `<!-- figures: NAME -->` and the next
`<!-- end of figures -->`. The chart, docs/performance.svg, is made of the same figures.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path[:1] = [str(ROOT / "src"), str(ROOT)]

from benchmarks.harness.results import Record, distance, worst  # noqa: E402
from benchmarks.report import growth, table  # noqa: E402
from benchmarks.report.chart import chart  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results.json"
PAGES = ROOT / "benchmarks" / "results.md", ROOT / "docs" / "performance.md"
CHART = ROOT / "docs" / "performance.svg"


def publish() -> None:
    """Bring pages and chart up to date with the results."""
    figures = json.loads(RESULTS.read_text(encoding="utf-8"))
    for page in PAGES:
        page.write_text(rendered(page.read_text(encoding="utf-8"), figures), encoding="utf-8")
    CHART.write_text(chart(figures["cases"], figures["machine"]), encoding="utf-8")


def rendered(page: str, figures: Any) -> str:
    """The page with these figures in place of those that it has."""
    records: list[Record] = sorted(figures["cases"], key=worst, reverse=True)
    parts = {
        "machine": [table.machine_line(figures["machine"])],
        "summary": _summary(records),
        "cases": [line for record in records for line in _case(record)],
        "losing": _losing(records[:3]),
        "targets": _targets(records),
        "by_size": _markdown(list(growth.by_size(figures["cases"]))),
        "once": _markdown(list(growth.once(figures["cases"]))),
    }

    def fill(match: re.Match[str]) -> str:
        lines = "\n".join(parts[match[1]])
        return f"<!-- figures: {match[1]} -->\n{lines}\n<!-- end of figures -->"

    return re.sub(r"<!-- figures: (\w+) -->\n.*?<!-- end of figures -->", fill, page, flags=re.DOTALL)


def _summary(records: Sequence[Record]) -> Iterator[str]:
    verdicts = [target["verdict"] for record in records for target in record["targets"]]
    hit, missed = verdicts.count("hit"), verdicts.count("missed")
    yield (
        f"{len(records)} cases, {len(verdicts)} targets: {hit} hit in every mode, "
        f"{len(verdicts) - hit - missed} in some, {missed} in none."
    )


def _case(record: Record) -> Iterator[str]:
    yield f"### {record['group'].capitalize()}: {record['case']}"
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
        said.append(f"{how} {_escaped(target['target'])}, at {table.span(target['ratios'])}.")
    yield " ".join(said)
    yield ""
    yield from _markdown(table.rows(record))
    yield ""


def _losing(records: Sequence[Record]) -> Iterator[str]:
    lines = [["case", "aim", "reached"]]
    for record in records:
        target = max(record["targets"], key=distance)
        where = f"{record['group']}: {record['case']}"
        lines.append([where, target["target"], table.span(target["ratios"])])
    yield from _markdown(lines)


def _targets(records: Sequence[Record]) -> Iterator[str]:
    lines = [["case", "target", "ratio, by mode", "paired by round", "verdict", "by"]]
    found = [(record, target) for record in records for target in record["targets"]]
    found.sort(key=lambda pair: -distance(pair[1]))
    for record, target in found:
        by = f"{distance(target) - 1:+.0%}"
        where = f"{record['group']}: {record['case']}"
        ratio, paired = table.span(target["ratios"]), table.span(target["paired"])
        lines.append([where, target["target"], ratio, paired, target["verdict"], by])
    yield from _markdown(lines)


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
