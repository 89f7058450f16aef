"""The order of rows, in the words of a database; that of pages is total, and comparable with where another ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import BindParameter, and_, or_, tuple_

from dloader.sqlalchemy._expressions import order_terms
from dloader.sqlalchemy._is_a import is_a

__all__ = ("Order", "Term", "in_words_of", "order_of")

NULLS_ARE_GREAT = ("postgresql", "oracle")
"""Where nothing else is said, these sort nulls as if they were greater than any value; the others as if smaller."""
WITHOUT_NULLS_FIRST = ("mysql", "mariadb", "mssql")
"""These have no such words."""


WITHOUT_ROW_VALUES = ("mysql", "mariadb", "mssql")
"""These do not compare several columns at once, or read all rows from the first on to do it."""


class Term(NamedTuple):
    """One term of an order."""

    expression: Any
    descends: bool
    nulls_first: bool | None
    """None where the database decides."""
    is_nullable: bool

    def reversed(self) -> Term:
        """The other way round."""
        nulls_first = None if self.nulls_first is None else not self.nulls_first
        return self._replace(descends=not self.descends, nulls_first=nulls_first)

    def clauses(self, expression: Any, dialect: str) -> list[Any]:
        """What ORDER BY says, for the expression or what stands for it elsewhere."""
        clause = expression.desc() if self.descends else expression.asc()
        if self.nulls_first is None:
            return [clause]
        if dialect in WITHOUT_NULLS_FIRST:
            is_null = expression.is_(None)
            return [is_null.desc() if self.nulls_first else is_null.asc(), clause]
        return [clause.nulls_first() if self.nulls_first else clause.nulls_last()]

    def _has_nulls_first(self, dialect: str) -> bool:
        if self.nulls_first is not None:
            return self.nulls_first
        return self.descends == (dialect in NULLS_ARE_GREAT)

    def is_after(self, value: Any, dialect: str) -> Any:
        """The condition that the term's value comes after another."""
        expression = self.expression
        beyond = expression < value if self.descends else expression > value
        if not self.is_nullable:
            return beyond
        if self._has_nulls_first(dialect):
            return or_(beyond, and_(value.is_(None), expression.is_not(None)))
        return or_(beyond, and_(value.is_not(None), expression.is_(None)))

    def is_same(self, value: Any) -> Any:
        """The condition that the term's value is the same as another."""
        same = self.expression == value
        return or_(same, and_(self.expression.is_(None), value.is_(None))) if self.is_nullable else same


class Order(NamedTuple):
    """An order in which no two rows of a parent are equal."""

    terms: tuple[Term, ...]

    def reversed(self) -> Order:
        """The other way round."""
        return Order(tuple(term.reversed() for term in self.terms))

    def clauses(self, dialect: str, expressions: Sequence[Any] | None = None) -> list[Any]:
        """What ORDER BY says, for the terms or for what stands for them elsewhere."""
        found = [term.expression for term in self.terms] if expressions is None else expressions
        return [
            clause
            for term, each in zip(self.terms, found, strict=True)
            for clause in term.clauses(each, dialect)
        ]

    def is_after(self, values: Sequence[Any], dialect: str) -> Any:
        """The condition that a row comes after the one whose terms have these values."""
        terms = self.terms
        is_uniform = len({term.descends for term in terms}) == 1 and not any(t.is_nullable for t in terms)
        if is_uniform and len(terms) > 1 and dialect not in WITHOUT_ROW_VALUES:
            row, other = tuple_(*(term.expression for term in terms)), tuple_(*values)
            return row < other if terms[0].descends else row > other
        ways: list[Any] = []
        same: list[Any] = []
        for term, value in zip(terms, values, strict=True):
            ways.append(and_(*same, term.is_after(value, dialect)))
            same.append(term.is_same(value))
        if len(terms) > 1 and not terms[0].is_nullable:
            # Says nothing new, but where in an index to begin: of the rest databases see that alone which is no OR.
            first, value = terms[0].expression, values[0]
            return and_(first <= value if terms[0].descends else first >= value, or_(*ways))
        return or_(*ways)


def in_words_of(dialect: str, order_by: Sequence[Any]) -> list[Any]:
    """What ORDER BY says where all rows are read: what was given, but for what a database takes otherwise."""
    found: list[Any] = []
    for given, (expression, descends, nulls_first) in zip(order_by, order_terms(order_by), strict=True):
        if nulls_first is not None and dialect in WITHOUT_NULLS_FIRST:
            found += Term(expression, descends, nulls_first, is_nullable=True).clauses(expression, dialect)
        elif not _is_constant(expression):
            found.append(given)
    return found


def order_of(order_by: Sequence[Any], primary_key: Sequence[Any]) -> Order:
    """The order that was wished for, ended by the primary key."""
    wished = order_terms(order_by)
    at_last = wished[-1][1] if wished else False
    terms = [
        Term(expression, descends, nulls_first, _is_nullable(expression))
        for expression, descends, nulls_first in wished
        if not _is_constant(expression)
    ]
    named = [_column(term.expression) for term in terms]
    for key in primary_key:
        column = _column(key)
        if not any(column is each for each in named):
            terms.append(Term(key, at_last, None, is_nullable=False))
    return Order(tuple(terms))


def _is_constant(expression: Any) -> bool:
    """Whether it orders nothing; to MariaDB a number is the place of a column."""
    return is_a(expression, BindParameter)


def _column(expression: Any) -> Any:
    """The column of a table that an expression is, if it is one."""
    clause: Any = getattr(expression, "__clause_element__", lambda: expression)()
    table = getattr(clause, "table", None)
    return None if table is None else table.c.get(clause.key)


def _is_nullable(expression: Any) -> bool:
    """Whether it may be NULL, as far as the mapping tells."""
    column = _column(expression)
    return bool(getattr(column, "nullable", True))
