"""Where the lines of a plan run: between boxes, and through none.

A line that passes a round has a place in it as a box has (the dummy nodes of Sugiyama, Tagawa and Toda, "Methods for
Visual Understanding of Hierarchical System Structures", 1981); what leaves one row for several boxes shares it.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from dloader.resolver._outline._boxes import TOP, Band, Box
from dloader.resolver._outline._planned_calls import PlannedCall, Row

__all__ = ("TIP", "Line", "lines_of")

TIP = 7
"""The length of an arrow's head."""
CLEAR = 5
"""How far a line stays from boxes, and from others that pass the same round."""
HIGHEST = TOP - CLEAR

Point: TypeAlias = tuple[float, float]
Span: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    """From what brings nodes to what needs them."""

    source: Row | None
    """None: what is given."""
    call: PlannedCall
    start: Point
    gaps: Sequence[tuple[Point, Point]]
    """Of each gap between two bands, where the line enters and leaves it; in bands it is level."""


def lines_of(given: Box, boxes: Mapping[PlannedCall, Box], bands: Sequence[Band]) -> Sequence[Line]:
    """All lines; of boxes whose rows are not shown there is one from each to each."""
    ends = dict.fromkeys(
        (_shown(source, boxes), call, box.row_y(row))
        for call, box in boxes.items()
        for row in call.rows
        for source in (row.nearest if row.sources else (None,))
    )
    last: dict[Row | None, int] = {}
    for source, call, _ in ends:
        last[source] = max(call.round - 1, last.get(source, 0))
    heights = {source: [_start(source, given, boxes)[1]] for source in last}
    for number in range(1, len(bands)):
        passing = [source for source in last if _round(source) < number <= last[source]]
        taken = sorted(_spans(box for call, box in boxes.items() if call.round == number))
        for source in sorted(passing, key=lambda source: heights[source][-1]):
            y = _nearest(heights[source][-1], taken)
            insort(taken, (y - CLEAR, y + CLEAR))
            heights[source].append(y)
    return [
        Line(
            source,
            call,
            _start(source, given, boxes),
            _gaps(bands[_round(source) : call.round + 1], heights[source], y),
        )
        for source, call, y in ends
    ]


def _shown(source: Row | None, boxes: Mapping[PlannedCall, Box]) -> Row | None:
    """What stands for a row: in a box that is folded all of them are one."""
    return source.call.rows[0] if source is not None and boxes[source.call].folded else source


def _round(source: Row | None) -> int:
    return 0 if source is None else source.call.round


def _start(source: Row | None, given: Box, boxes: Mapping[PlannedCall, Box]) -> Point:
    box = given if source is None else boxes[source.call]
    return box.x + box.width, box.row_y(source)


def _gaps(bands: Sequence[Band], heights: Sequence[float], end: float) -> Sequence[tuple[Point, Point]]:
    """Through the gaps between some bands: level in each of these, and at the last at the height of its end."""
    ys = [*heights[: len(bands) - 1], end]
    sides = [(band.x + band.width, after.x) for band, after in pairwise(bands)]
    sides[-1] = sides[-1][0], sides[-1][1] - TIP
    return [((left, ys[n]), (right, ys[n + 1])) for n, (left, right) in enumerate(sides)]


def _spans(boxes: Iterable[Box]) -> Iterable[Span]:
    return ((box.y - CLEAR, box.y + box.height + CLEAR) for box in boxes)


def _nearest(y: float, taken: Sequence[Span]) -> float:
    """The nearest height that is in none of some spans, which are in order, from top to bottom."""
    down = up = y
    for top, bottom in taken:
        down = bottom if top < down < bottom else down
    for top, bottom in reversed(taken):
        up = top if top < up < bottom else up
    return up if up >= HIGHEST and y - up < down - y else down
