"""What loaders send, made once for all that load the same: to make a statement takes as long as to send it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, TypeVar, cast

from sqlalchemy import func

from dloader._stored._values import Values
from dloader.sqlalchemy._aggregates import AggregateSelect
from dloader.sqlalchemy._columns import ModelColumn, RowColumns, all_columns, column_named, columns_of
from dloader.sqlalchemy._json_types import list_of, number_values, page_of_type, row_type, row_values
from dloader.sqlalchemy._kept import Keepable
from dloader.sqlalchemy._lookup import Lookup, RowSelect
from dloader.sqlalchemy._parts import Parts

__all__ = ("Statements",)

T = TypeVar("T")

MOST = 64
"""Of one look-up, for models and dialects that are there at once; beyond it all are made again."""


class Statements:
    """The statements of one look-up, without the options of a request; live as long as its loader class.

    Of databases only the dialect counts. Columns are the same if their expressions are.
    """

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._kept: dict[tuple[object, ...], tuple[RowColumns | None, object]] = {}
        """By the ids of expressions, and the columns themselves, so that the ids stay true."""
        self._named: dict[str, ModelColumn | None] = {}
        """By attribute: a hybrid makes a new expression each time that it is asked."""

    @cached_property
    def every_column(self) -> RowColumns:
        """All columns of the class that are not deferred."""
        return all_columns(self._lookup.relation)

    def has(self, name: str) -> bool:
        """Whether rows can have a column of this name."""
        return self._column(name) is not None

    def columns(self, types: Iterable[type], names: Iterable[str]) -> RowColumns:
        """What models want, and what is wanted by name."""
        named = [column for column in map(self._column, names) if column is not None]
        return columns_of(types, self._lookup.relation, named)

    def _column(self, name: str) -> ModelColumn | None:
        if name not in self._named:
            self._named[name] = column_named(name, self._lookup.relation)
        return self._named[name]

    def rows(self, columns: RowColumns, kind: type[dict[str, Any]], dialect: str) -> RowSelect:
        """The select of all rows of some keys."""
        return self._once(RowSelect, columns, kind, dialect)

    def parts(self, columns: RowColumns, kind: type[dict[str, Any]], dialect: str) -> Parts:
        """The selects of parts of some keys' rows."""
        return self._once(Parts, columns, kind, dialect)

    def aggregate(self, expression: Any, dialect: str) -> AggregateSelect:
        """The select of an aggregate of some keys' rows; without an expression, of their number."""
        key = (AggregateSelect, id(expression), dialect)
        return self._found(key, None, lambda: AggregateSelect(self._lookup, expression, dialect))

    def kept_rows(
        self, columns: RowColumns, kind: type[dict[str, Any]], label: str, page: bool | None
    ) -> Keepable:
        """What is kept of the rows of a key.

        Args:
            columns: Those that are wanted.
            kind: What rows are made of.
            label: Of the loader.
            page: None for all rows of a key; else whether their page has a total.
        """
        key = ("kept", columns.names, tuple(map(id, columns.expressions)), kind, page)
        return self._found(key, columns, lambda: self._kept_rows(columns, kind, label, page))

    def _kept_rows(
        self, columns: RowColumns, kind: type[dict[str, Any]], label: str, page: bool | None
    ) -> Keepable:
        relation, lookup = self._lookup.relation, self._lookup
        selected = [*columns.expressions, *relation.found.links, *relation.between, *relation.primary_key]
        found = lookup.select_from(relation, columns, selected).order_by(*lookup.order_by)

        def values() -> Values:
            one = row_type(label, columns, kind)
            held = page_of_type(one) if page is not None else list_of(one) if relation.many else one
            return row_values(label, columns, held)

        classes = [[repr(identity), places] for identity, places in columns.by_identity.items()]
        how = [relation.repeats, relation.keeps_repeats, relation.many, page, columns.discriminator, classes]
        return Keepable(found, values, [*self._kept_of, lookup.limit, how])

    def kept_aggregate(self, expression: Any, label: str) -> Keepable:
        """What is kept of an aggregate."""
        relation = self._lookup.relation.distinct()
        links = relation.found.links
        value = func.count() if expression is None else expression
        found = self._lookup.select_from(relation, None, [value, *links]).group_by(*links)
        key = ("kept", id(expression))
        return self._found(
            key, None, lambda: Keepable(found, lambda: number_values(label, expression), self._kept_of)
        )

    @property
    def _kept_of(self) -> list[object]:
        target = self._lookup.relation.mapper.class_
        return [target.__module__, target.__qualname__, self._lookup.session]

    def _once(
        self,
        make: Callable[[Lookup, RowColumns, type[dict[str, Any]], str], T],
        columns: RowColumns,
        kind: type[dict[str, Any]],
        dialect: str,
    ) -> T:
        key = (make, columns.names, tuple(map(id, columns.expressions)), kind, dialect)
        return self._found(key, columns, lambda: make(self._lookup, columns, kind, dialect))

    def _found(self, key: tuple[object, ...], columns: RowColumns | None, make: Callable[[], T]) -> T:
        kept = self._kept.get(key)
        if kept is None:
            if len(self._kept) >= MOST:
                self._kept.clear()
            self._kept[key] = kept = (columns, make())
        return cast(T, kept[1])
