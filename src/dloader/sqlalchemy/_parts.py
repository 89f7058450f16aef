"""Parts of each parent's rows: the first or last of them, from a cursor on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import TextClause

from dloader import OptionError
from dloader._text import shorten
from dloader.sqlalchemy._columns import RowColumns
from dloader.sqlalchemy._cursors import Cursors
from dloader.sqlalchemy._equal_keys import Naming, by_equal_key, naming_of
from dloader.sqlalchemy._expressions import columns_in
from dloader.sqlalchemy._is_a import is_a
from dloader.sqlalchemy._lookup import Lookup
from dloader.sqlalchemy._orders import Order, order_of
from dloader.sqlalchemy._page_selects import Part, PartSelect, has_fitting_index, part_select
from dloader.sqlalchemy._pages import CursorPage, Page, PageKey, Shape
from dloader.sqlalchemy._rows import key_getter, named, row_maker

__all__ = ("Parts", "bounds_of", "cursors_of", "page_of", "part_order", "rounds")


def part_order(lookup: Lookup, label: str) -> Order:
    """The order of the parts of a look-up.

    Raises:
        OptionError: There is none, or one that parts cannot have.
    """
    relation = lookup.relation
    if not lookup.order_by:
        raise OptionError(
            f"{label}: which rows are the first? pass order_by=, or give the relationship an order_by"
        )
    if relation.repeats and relation.secondary is not None:
        said = [each for each in (*lookup.order_by, lookup.where) if each is not None]
        if any(column.table is relation.secondary for each in said for column in columns_in(each)):
            raise OptionError(
                f"{label}: {relation.secondary} may have one pair twice, so a page can neither be ordered nor "
                f"filtered by its columns: give it a primary key or a unique constraint"
            )
    order = order_of(lookup.order_by, relation.primary_key)
    for term in order.terms:
        if is_a(term.expression, TextClause):
            raise OptionError(
                f"{label}: order_by has text, {shorten(str(term.expression))}, in which nobody can see what ascends "
                f"and what descends, so that no page can go on from there: take an expression as Member.name.desc(), "
                f"or literal_column(...).desc()"
            )
    return order


def cursors_of(lookup: Lookup, label: str) -> Cursors:
    """What writes and reads the cursors of a look-up."""
    order = part_order(lookup, label)
    words = ",".join(f"{_words(term.expression)} {term.descends} {term.nulls_first}" for term in order.terms)
    kinds = [term.expression.type for term in order.terms]
    key_kinds = [link.type for link in lookup.relation.found.links]
    return Cursors(label, f"{lookup.relation.origin}|{words}", kinds, key_kinds)


def _words(expression: Any) -> str:
    """An expression with the values in it: the same in every process."""
    compiled = expression.compile()
    values = compiled.params
    return f"{compiled} {values}" if values else str(compiled)


class Parts:
    """The selects of parts of some keys' rows.

    Options of a request stand in all their subqueries, so that they are made for these.
    """

    __slots__ = (
        "_columns",
        "_dialect",
        "_lookup",
        "_make",
        "_naming",
        "_options",
        "_order",
        "_relation",
        "_selects",
    )

    def __init__(
        self,
        lookup: Lookup,
        columns: RowColumns,
        kind: type[dict[str, Any]],
        dialect: str,
        options: Sequence[Any] = (),
    ) -> None:
        self._lookup = lookup
        self._columns = columns
        self._options = options
        self._dialect = dialect
        self._order = part_order(lookup, lookup.relation.label)
        self._relation = lookup.relation.distinct()
        self._naming = naming_of(self._relation.found.links, dialect)
        self._make = row_maker(kind, columns.names, columns.discriminator, columns.by_identity)
        self._selects: dict[tuple[bool, bool, bool], PartSelect] = {}

    async def rows(
        self, reader: Any, shape: Shape, keys: Sequence[Any], bounds: Sequence[Any] | None, most: int
    ) -> Mapping[Any, list[tuple[Any, tuple[Any, ...]]]]:
        """At most so many rows of each key, each with where it stands in the order."""
        order_at = len(self._columns.expressions)
        key_at = order_at + len(self._order.terms)
        raw_key_of = key_getter(range(key_at, key_at + len(self._relation.found.links)))
        bound = None if bounds is None else dict(zip(keys, bounds, strict=True))

        async def read(some: Sequence[Any], naming: Naming) -> dict[Any, Any]:
            groups: dict[Any, list[tuple[Any, tuple[Any, ...]]]] = {}
            key_of = named(raw_key_of, naming)
            theirs = None if bound is None else [bound[key] for key in some]
            for statement, params in self._select(shape)(some, theirs, most):
                found = await reader.rows(statement, params)
                for values, row in zip(found, self._make(found), strict=True):
                    place = tuple(values[order_at:key_at])
                    groups.setdefault(key_of(values), []).append((row, place))
            if shape.is_backward:
                for rows in groups.values():
                    rows.reverse()
            return groups

        return await by_equal_key(read, keys, self._naming)

    def _select(self, shape: Shape) -> PartSelect:
        kind = (shape.is_backward, shape.has_after, shape.has_before)
        found = self._selects.get(kind)
        if found is None:
            self._selects[kind] = found = self._made(*kind)
        return found

    def _made(self, is_backward: bool, has_after: bool, has_before: bool) -> PartSelect:
        relation, lookup = self._relation, self._lookup
        order = self._order.reversed() if is_backward else self._order
        has_start, has_end = (has_before, has_after) if is_backward else (has_after, has_before)
        part = Part(
            partial(lookup.select_from, relation, self._columns),
            (*self._columns.expressions, *(term.expression for term in self._order.terms)),
            relation.found.links,
            order,
            has_start,
            has_end,
            self._options,
        )
        way = lookup.pages
        if way is None:
            way = "lateral" if has_fitting_index(part.links, self._dialect) else "row_number"
        return part_select(part, way, self._dialect)


def rounds(keys: Iterable[PageKey]) -> list[tuple[Shape, list[PageKey]]]:
    """Keys that one statement can answer: of one shape, and each parent once."""
    found: list[tuple[Shape, dict[Any, PageKey]]] = []
    for key in keys:
        for shape, together in found:
            if shape == key.shape and key.key not in together:
                together[key.key] = key
                break
        else:
            found.append((key.shape, {key.key: key}))
    return [(shape, list(together.values())) for shape, together in found]


def bounds_of(key: PageKey) -> tuple[Any, ...]:
    """The values where a page begins, then those where it ends, in the direction in which it is read."""
    first, second = (key.before, key.after) if key.shape.is_backward else (key.after, key.before)
    return (*(first or ()), *(second or ()))


def page_of(
    key: PageKey, rows: list[tuple[Any, tuple[Any, ...]]], cursors: Cursors, total: int | None
) -> Page[Any]:
    """A page, of one row more than it has."""
    count = key.shape.rows
    has_more = len(rows) > count
    if has_more:
        rows = rows[1:] if key.shape.is_backward else rows[:count]
    places = [place for _, place in (rows if key.has_cursors else [*rows[:1], *rows[-1:]])]
    written = [cursors.write(key.key, place) for place in places]
    found: dict[str, Any] = {
        "items": [row for row, _ in rows],
        "has_more": has_more,
        "start_cursor": written[0] if written else None,
        "end_cursor": written[-1] if written else None,
        "total": total,
    }
    if key.has_cursors:
        return CursorPage[Any].model_construct(cursors=written, **found)
    return Page[Any].model_construct(**found)
