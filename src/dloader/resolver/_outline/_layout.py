"""Where the boxes of a plan stand: a band for each round, the longest chain along the top."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dloader.resolver._outline._boxes import HEAD_HEIGHT, ROW_HEIGHT, TOP, Band, Box
from dloader.resolver._outline._lines import Line, lines_of
from dloader.resolver._outline._planned_calls import Outline, PlannedCall, Row

__all__ = ("Layout", "is_folded", "lay_out", "open_height", "row_words")

LETTER = 7.25
"""The width of a letter of 12 px: nothing is measured in a browser."""
SMALL_LETTER = 6.2
GAP = 20
"""Between two boxes of a round: room for three lines that pass."""
COLUMN_GAP = 84
MARGIN = 12
MOST_OPEN = 60
"""Of more boxes only the names are drawn, each with how many fields it fills."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A whole picture."""

    width: float
    height: float
    bands: Sequence[Band]
    given: Box
    boxes: Mapping[PlannedCall, Box]
    lines: Sequence[Line]


def lay_out(outline: Outline, notes: Mapping[PlannedCall, str]) -> Layout:
    """Place all boxes.

    Args:
        outline: What there is.
        notes: The second line of each box.
    """
    rounds = sorted({call.round for call in outline.calls})
    by_round = {number: [call for call in outline.calls if call.round == number] for number in rounds}
    given_width = max(90.0, max(map(len, outline.roots), default=0) * LETTER + 28)
    bands = [Band("given", MARGIN, given_width)]
    x = MARGIN + given_width + COLUMN_GAP
    for number, mine in by_round.items():
        width = max(_width(call, notes[call]) for call in mine)
        bands.append(Band(f"round {number}", x, width))
        x += width + COLUMN_GAP
    given = Box(None, MARGIN, TOP, given_width, 42)
    reach = _reaches(outline.calls)
    boxes: dict[PlannedCall, Box] = {}
    for band, mine in zip(bands[1:], by_round.values(), strict=True):
        _place(mine, band, boxes, reach, notes, folded=is_folded(outline))
    lines = lines_of(given, boxes, bands)
    ends = [box.y + (open_height(call) if box.folded else box.height) for call, box in boxes.items()]
    ends += [point[1] for line in lines for gap in line.gaps for point in gap]
    height = max([given.y + given.height, *ends]) + MARGIN + 6
    return Layout(x - COLUMN_GAP + MARGIN, height, bands, given, boxes, lines)


def is_folded(outline: Outline) -> bool:
    """Whether there are too many calls to show the fields of each."""
    return len(outline.calls) > MOST_OPEN


def open_height(call: PlannedCall) -> float:
    """How high a box is that shows its rows."""
    return HEAD_HEIGHT + ROW_HEIGHT * len(call.rows) + 4


def _place(
    calls: Sequence[PlannedCall],
    band: Band,
    boxes: dict[PlannedCall, Box],
    reach: Mapping[PlannedCall, int],
    notes: Mapping[PlannedCall, str],
    *,
    folded: bool,
) -> None:
    def order(call: PlannedCall) -> tuple[float, int, str]:
        return _parent_y(call, boxes), -reach[call], call.name

    free = float(TOP)
    parents: set[float] = set()
    for call in sorted(calls, key=order):
        parent = _parent_y(call, boxes)
        y = free if parent in parents else max(free, parent)
        parents.add(parent)
        height = HEAD_HEIGHT - 2 if folded else open_height(call)
        rows = sorted(call.rows, key=lambda row: _source_y(row, boxes))
        boxes[call] = Box(call, band.x, y, _width(call, notes[call]), height, rows, folded)
        free = y + height + GAP


def _source_y(row: Row, boxes: Mapping[PlannedCall, Box]) -> float:
    return min((boxes[source.call].row_y(source) for source in row.sources), default=float(TOP))


def _parent_y(call: PlannedCall, boxes: Mapping[PlannedCall, Box]) -> float:
    """Where the box stands that it hangs on: of those that bring what it needs, the last and highest."""
    placed = [boxes[other] for other in call.waits_for if other in boxes]
    if not placed:
        return float(TOP)
    right = max(box.x for box in placed)
    return min(box.y for box in placed if box.x == right)


def _reaches(calls: Sequence[PlannedCall]) -> Mapping[PlannedCall, int]:
    """How many rounds follow from each call."""
    reach = dict.fromkeys(calls, 0)
    for call in sorted(calls, key=lambda call: -call.round):
        for before in call.waits_for:
            reach[before] = max(reach[before], reach[call] + 1)
    return reach


def _width(call: PlannedCall, note: str) -> float:
    rows = (len(row_words(row)) * LETTER for row in call.rows)
    return max((len(call.name) + 2) * 7.9, len(note) * SMALL_LETTER, *rows) + 24


def row_words(row: Row) -> str:
    """What stands in a row."""
    return row.label + (f" → {' | '.join(row.targets)}" if row.targets else "")
