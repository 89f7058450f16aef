"""Pages of each parent: what callers ask for, and what they get."""

from __future__ import annotations

from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import BaseModel

from dloader import OptionError
from dloader._text import shorten

__all__ = ("CursorPage", "Page", "PageKey", "Shape", "shape_of")

T = TypeVar("T")

MOST_ROWS = 2**31 - 2
"""With one row more, by which one sees whether there are others, it is a number for every database."""


class Page(BaseModel, Generic[T]):
    """Some of the targets of one parent, and where they begin and end.

    Example:
        ``tasks: Annotated[Page[TaskOut], Related(Project.tasks, order_by=Task.created.desc(), limit=10)]``
    """

    items: list[T]
    """The targets, always in the order that was said, also of a page from the end."""
    has_more: bool
    """Whether there are others: after these, or before them on a page from the end."""
    start_cursor: str | None = None
    """What ``before=`` takes to go on from the first of the items; None if there are none."""
    end_cursor: str | None = None
    """What ``after=`` takes to go on from the last of the items; None if there are none."""
    total: int | None = None
    """How many targets the parent has, all pages together; None if nobody asked."""


class CursorPage(Page[T], Generic[T]):
    """A page with the cursors of all its items."""

    cursors: list[str]


class Shape(NamedTuple):
    """What keys have in common that one statement can answer."""

    rows: int
    is_backward: bool
    has_after: bool
    has_before: bool


class PageKey:
    """A key of a page; equal to those of the same parent and arguments, and never to a parent's own key."""

    __slots__ = ("after", "before", "has_cursors", "has_rows", "has_total", "key", "shape")

    def __init__(
        self,
        key: Any,
        shape: Shape,
        after: tuple[Any, ...] | None = None,
        before: tuple[Any, ...] | None = None,
        has_total: bool = False,
        has_cursors: bool = False,
        has_rows: bool = True,
    ) -> None:
        self.key = key
        self.shape = shape
        self.after = after
        self.before = before
        self.has_total = has_total
        self.has_cursors = has_cursors
        self.has_rows = has_rows
        """Whether its rows are read; else it has its total alone."""

    @property
    def _identity(self) -> tuple[Any, ...]:
        wanted = (self.has_total, self.has_cursors, self.has_rows)
        return (self.key, self.shape, self.after, self.before, wanted)

    def __hash__(self) -> int:
        return hash(self._identity)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PageKey) and self._identity == other._identity

    def __repr__(self) -> str:
        which = "last" if self.shape.is_backward else "first"
        return f"page({self.key!r}, {which}={self.shape.rows})"


def shape_of(label: str, first: Any, last: Any, limit: int | None, after: Any, before: Any) -> Shape:
    """Check the arguments of a page.

    Raises:
        OptionError: They do not go together.
    """
    for name, given in (("first", first), ("last", last)):
        if given is not None and (isinstance(given, bool) or not isinstance(given, int) or given < 0):
            raise OptionError(f"{label}: {name} takes a whole number that is 0 or more, not {shorten(given)}")
        if given is not None and given > MOST_ROWS:
            raise OptionError(f"{label}: {name} takes a number up to {MOST_ROWS:,}, not {shorten(given)}")
    if first is not None and last is not None:
        raise OptionError(
            f"{label}: a page is of the first or of the last, not both: first={first}, last={last}"
        )
    rows = first if last is None else last
    if rows is None:
        rows = limit
    if rows is None:
        raise OptionError(f"{label}: how many? pass first= or last=, or give Related(..., limit=)")
    return Shape(rows, last is not None, after is not None, before is not None)
