"""What the picture of a plan is made of: a band for each round, in it a box for each call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dloader.resolver._outline._planned_calls import PlannedCall, Row

__all__ = ("HEAD_HEIGHT", "ROW_HEIGHT", "TOP", "Band", "Box")

ROW_HEIGHT = 21
HEAD_HEIGHT = 46
TOP = 44
"""Where the first boxes begin, below the titles of the bands."""


@dataclass(frozen=True, slots=True)
class Box:
    """One call, or what is given."""

    call: PlannedCall | None
    x: float
    y: float
    width: float
    height: float
    rows: Sequence[Row] = ()
    """In the order of where their lines come from, so that these do not cross."""
    folded: bool = False
    """Whether its rows are not shown, unless it is chosen."""

    def row_y(self, row: Row | None) -> float:
        """The middle of a row, or of the box where there are none to be seen."""
        if self.call is None or row is None or self.folded:
            return self.y + self.height / 2
        return self.open_row_y(row)

    def open_row_y(self, row: Row) -> float:
        """The middle of a row, once the box is open."""
        return self.y + HEAD_HEIGHT + ROW_HEIGHT * (self.rows.index(row) + 0.5)


@dataclass(frozen=True, slots=True)
class Band:
    """One round."""

    title: str
    x: float
    width: float
