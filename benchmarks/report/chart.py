"""Results as a chart: one SVG, written by hand."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from benchmarks.harness.case import kind_of
from benchmarks.harness.results import Record

ROW, BAR, LEFT, WIDTH = 17, 12, 330, 900
COLOURS = {"dloader": "#2563eb", "hand": "#16a34a", "peer": "#9ca3af"}
MODE = "asyncio, gc on"


def chart(records: Sequence[Record], machine: Mapping[str, Any]) -> str:
    """A bar per way: how many times the cheapest floor, or hand-written code, each costs."""
    y = 50
    parts: list[str] = []
    for record in records:
        if all(MODE in one["modes"] for one in record["ways"].values()):
            parts += _case(record, y)
            y += 28 + ROW * len(record["ways"])
    where = escape(f"{machine['python']}, {machine['cpu']}, {machine['date']}")
    style = 'font-family="system-ui, sans-serif" font-size="11" fill="#111827"'
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 10}" width="{WIDTH}" {style}>
<rect width="{WIDTH}" height="{y + 10}" fill="#ffffff"/>
<text x="10" y="22" font-size="15">Time, as a multiple of the floor or of hand-written code</text>
<text x="10" y="40" fill="#6b7280">the least of all runs, {MODE}; logarithmic; {where}</text>
{chr(10).join(parts)}
</svg>
"""


def _case(record: Record, y: int) -> Iterator[str]:
    costs = {name: one["modes"][MODE]["least"] / one["units"] for name, one in record["ways"].items()}
    floors = [cost for name, cost in costs.items() if kind_of(name) == "hand"]
    floor = min(floors or costs.values())
    yield f'<text x="10" y="{y + 14}" font-weight="bold">{escape(record["group"])}: {escape(record["case"])}</text>'
    for row, (name, cost) in enumerate(sorted(costs.items(), key=lambda item: item[1])):
        text = f"{cost / floor:,.2f} x   {cost * 1e6:,.2f} us per {record['unit']}"
        yield from _bar(y + 20 + row * ROW, name, cost / floor, text)


def _bar(y: int, name: str, ratio: float, text: str) -> Iterator[str]:
    length = 20 + 85 * max(0.0, math.log10(max(ratio, 0.1)) + 1)
    baseline = y + BAR - 2
    yield f'<text x="{LEFT - 8}" y="{baseline}" text-anchor="end">{escape(name)}</text>'
    yield f'<rect x="{LEFT}" y="{y}" width="{length:.0f}" height="{BAR}" fill="{COLOURS[kind_of(name)]}"/>'
    yield f'<text x="{LEFT + length + 6:.0f}" y="{baseline}" fill="#4b5563">{text}</text>'
