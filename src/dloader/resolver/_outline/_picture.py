"""The picture of a plan: SVG, made without looking at a browser; the same plan makes the same picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape

from dloader._pages import asset
from dloader.resolver._outline._boxes import HEAD_HEIGHT, TOP, Box
from dloader.resolver._outline._layout import Layout, is_folded, lay_out, open_height
from dloader.resolver._outline._lines import TIP, Line
from dloader.resolver._outline._planned_calls import Outline, PlannedCall, Row
from dloader.resolver._outline._runs import CallRun

__all__ = ("hues_of", "notes_of", "svg")


def svg(outline: Outline, runs: Mapping[PlannedCall, CallRun] | None, *, standalone: bool = True) -> str:
    """The picture.

    Args:
        outline: The plan.
        runs: The numbers of a run, if there are some.
        standalone: Whether the colours are part of it; a page has its own.
    """
    notes = notes_of(outline, runs)
    if is_folded(outline):
        notes = {call: f"{note} · {len(call.rows)} {_fields(call)}" for call, note in notes.items()}
    layout = lay_out(outline, notes)
    size = f'width="{layout.width:.0f}" height="{layout.height:.0f}"'
    box = f"0 0 {layout.width:.0f} {layout.height:.0f}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="plan" role="img" {size} viewBox="{box}">',
        f"<title>{escape('Plan of ' + ' | '.join(outline.roots))}</title>",
    ]
    if standalone:
        parts.append(f"<style>{asset('dloader.resolver._outline', 'colors.css')}</style>")
    parts.append(f"<style>{asset('dloader.resolver._outline', 'picture.css')}</style>")
    parts += _columns(layout)
    hues = hues_of(outline)
    numbers = {call: number for number, call in enumerate(outline.calls)}
    parts += [_line(line, hues, numbers) for line in layout.lines]
    parts.append(_given(layout.given, outline))
    for call in outline.calls:
        unused = runs is not None and not (runs[call].calls or runs[call].hits)
        parts.append(_box(layout.boxes[call], call, notes[call], hues[call], numbers[call], unused=unused))
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def notes_of(outline: Outline, runs: Mapping[PlannedCall, CallRun] | None) -> Mapping[PlannedCall, str]:
    """The second line of each box."""
    if runs is not None:
        return {call: str(runs[call]) for call in outline.calls}
    return {
        call: "one call" if call.max_batch_size is None else f"one call / {call.max_batch_size:,} keys"
        for call in outline.calls
    }


def hues_of(outline: Outline) -> Mapping[PlannedCall, int]:
    """The colour of each call: one for each loader, in their order."""
    hues: dict[str, int] = {}
    return {call: hues.setdefault(call.name, len(hues)) % 7 for call in outline.calls}


def _columns(layout: Layout) -> Iterable[str]:
    for number, band in enumerate(layout.bands):
        yield (
            f'<rect class="band{number % 2}" x="{band.x - 10:.1f}" y="4" width="{band.width + 20:.1f}" '
            f'height="{layout.height - 8:.1f}" rx="8"/><text class="head" x="{band.x + band.width / 2:.1f}" '
            f'y="{TOP - 18}">{escape(band.title)}</text>'
        )


def _given(box: Box, outline: Outline) -> str:
    return (
        f'<g class="lane" data-lane="given"><rect class="box" x="{box.x:.1f}" y="{box.y:.1f}" '
        f'width="{box.width:.1f}" height="{box.height:.1f}" rx="5"/><rect class="side given" x="{box.x:.1f}" '
        f'y="{box.y:.1f}" width="4" height="{box.height:.1f}"/><text class="name" x="{box.x + 13:.1f}" '
        f'y="{box.y + 18:.1f}">{escape(" | ".join(outline.roots))}</text><text class="small" x="{box.x + 13:.1f}" '
        f'y="{box.y + 34:.1f}">given</text></g>'
    )


def _box(box: Box, call: PlannedCall, note: str, hue: int, number: int, *, unused: bool) -> str:
    kind = "lane unused" if unused else "lane"
    again = (
        f'<text class="again" x="{box.x + box.width - 10:.1f}" y="{box.y + 18:.1f}">↻</text>'
        if call.repeats
        else ""
    )
    return (
        f'<g class="{kind}" data-lane="{number}"><rect class="box" x="{box.x:.1f}" y="{box.y:.1f}" '
        f'width="{box.width:.1f}" height="{box.height:.1f}" rx="5"/><rect class="side h{hue}" x="{box.x:.1f}" '
        f'y="{box.y:.1f}" width="4" height="{box.height:.1f}"/><text class="name" x="{box.x + 13:.1f}" '
        f'y="{box.y + 18:.1f}">{escape(call.name)}</text>{again}<text class="small" x="{box.x + 13:.1f}" '
        f'y="{box.y + 35:.1f}">{escape(note)}</text>{_rows(box, call)}</g>'
    )


def _fields(call: PlannedCall) -> str:
    return "field" if len(call.rows) == 1 else "fields"


def _rows(box: Box, call: PlannedCall) -> str:
    """The rows of a box; those of one that is folded lie over it, and are seen once it is chosen."""
    rows = "".join(_row(box, row) for row in box.rows)
    if not box.folded:
        return rows
    y, height = box.y + HEAD_HEIGHT - 6, open_height(call) - HEAD_HEIGHT + 6
    return (
        f'<g class="more"><rect class="box" x="{box.x:.1f}" y="{y:.1f}" width="{box.width:.1f}" '
        f'height="{height:.1f}" rx="5"/>{rows}</g>'
    )


def _row(box: Box, row: Row) -> str:
    y = box.open_row_y(row) + 4
    arrow = f' <tspan class="to">→ {escape(" | ".join(row.targets))}</tspan>' if row.targets else ""
    return (
        f'<text class="row" x="{box.x + 13:.1f}" y="{y:.1f}">{escape(row.owner)}.'
        f'<tspan class="field">{escape(row.field)}</tspan>{arrow}</text>'
    )


def _line(line: Line, hues: Mapping[PlannedCall, int], numbers: Mapping[PlannedCall, int]) -> str:
    source = line.source
    kind = "given" if source is None else f"h{hues[source.call]}"
    dashed = " post" if line.call.phase == "post" else ""
    x, y = line.gaps[-1][1]
    return (
        f'<g class="edge {kind}{dashed}" data-from="{"given" if source is None else numbers[source.call]}" '
        f'data-to="{numbers[line.call]}"><path d="M{line.start[0]:.1f} {line.start[1]:.1f}'
        f'{"".join(_bend(*gap) for gap in line.gaps)}"/><path class="tip" '
        f'd="M{x:.1f} {y - 3.5:.1f}L{x + TIP:.1f} {y:.1f}L{x:.1f} {y + 3.5:.1f}Z"/></g>'
    )


def _bend(start: tuple[float, float], end: tuple[float, float]) -> str:
    """Level up to the start, and from there a curve that is level at its end."""
    (x1, y1), (x2, y2) = start, end
    middle = (x1 + x2) / 2
    return f"H{x1:.1f}C{middle:.1f} {y1:.1f} {middle:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
