"""SQL expressions as users write them: checked, and comparable, which their own ``==`` is not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, final

from sqlalchemy import ColumnElement, UnaryExpression
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import RelationshipProperty
from sqlalchemy.sql import coercions, operators, roles, visitors

from dloader import OptionError
from dloader._text import shorten
from dloader.sqlalchemy._is_a import is_a

__all__ = ("Same", "as_condition", "as_order", "as_value", "columns_in", "order_terms")


@final
class Same:
    """An expression that is equal to those which say the same; keeps it alive.

    SQLAlchemy's own comparison is asked, which knows all kinds but some with subqueries in them: these are equal to
    themselves alone.
    """

    __slots__ = ("_hash", "expression")

    def __init__(self, expression: Any) -> None:
        self.expression = expression
        self._hash = hash(tuple(each.__visit_name__ for each in visitors.iterate(expression)))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self._says(other)

    def _says(self, other: Same) -> bool:
        if self.expression is other.expression:
            return True
        try:
            return bool(self.expression.compare(other.expression)) and not _is_called(self.expression)
        except Exception:
            return False


def _is_called(expression: Any) -> bool:
    """Whether a value in an expression is asked for when it is used: only the function knows what it is."""
    return any(getattr(each, "callable", None) is not None for each in visitors.iterate(expression))


def as_condition(label: str, given: Any) -> ColumnElement[bool] | None:
    """What ``where=`` was given."""
    if given is None:
        return None
    try:
        found: Any = coercions.expect(roles.WhereHavingRole, given)
    except ArgumentError:
        found = None
    if found is None or isinstance(given, (bool, str)):
        raise OptionError(f"{label}: where takes an SQL expression as Member.active, not {shorten(given)}")
    condition: ColumnElement[bool] = found
    return condition


def as_order(label: str, given: Any) -> tuple[ColumnElement[Any], ...]:
    """What ``order_by=`` was given: one expression or several."""
    terms: Iterable[Any] = given if is_a(given, tuple, list) else (given,)
    found: list[Any] = []
    for term in terms:
        try:
            if is_a(term, str, bool):
                raise ArgumentError(term)
            found.append(coercions.expect(roles.OrderByRole, term))
        except ArgumentError:
            raise OptionError(
                f"{label}: order_by takes an SQL expression as Member.name or Member.hired.desc(), or a tuple "
                f"of them, not {shorten(term)}"
            ) from None
    return tuple(found)


def as_value(label: str, given: Any) -> ColumnElement[Any]:
    """An expression that stands for one value."""
    try:
        is_relationship = is_a(getattr(given, "comparator", None), RelationshipProperty.Comparator)
        if is_a(given, str, bool, int, float) or given is None or is_relationship:
            raise ArgumentError(given)
        found: Any = coercions.expect(roles.ColumnsClauseRole, given)
        if not is_a(found, ColumnElement):
            raise ArgumentError(given)
    except ArgumentError:
        raise OptionError(
            f"{label} takes an SQL expression as Member.e_mail or func.sum(Member.salary), not {shorten(given)}"
        ) from None
    value: ColumnElement[Any] = found
    return value


def order_terms(order_by: Sequence[ColumnElement[Any]]) -> list[tuple[Any, bool, bool | None]]:
    """Each term of an order: its expression, whether it descends, and whether nulls come first if that is said."""
    found: list[tuple[Any, bool, bool | None]] = []
    for given in order_by:
        term: Any = given
        descends, nulls_first = False, None
        while is_a(term, UnaryExpression) or term.__visit_name__ == "label_reference":
            # SQLAlchemy wraps what has a label once more, in something without a modifier.
            modifier = getattr(term, "modifier", operators.asc_op)
            if modifier is operators.desc_op:
                descends = True
            elif modifier in (operators.nulls_first_op, operators.nulls_last_op):
                nulls_first = modifier is operators.nulls_first_op
            elif modifier is not operators.asc_op:
                break
            term = term.element
        found.append((term, descends, nulls_first))
    return found


def columns_in(expression: Any) -> list[Any]:
    """The columns of tables that an expression names."""
    return [each for each in visitors.iterate(expression) if each.__visit_name__ == "column"]
