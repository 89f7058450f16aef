"""What the values of columns are in Python, as far as JSON carries them there and back."""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from collections.abc import Mapping
from functools import cache
from types import GenericAlias
from typing import Annotated, Any

from pydantic import AfterValidator, Field, PlainSerializer, PlainValidator, PydanticUserError, TypeAdapter
from sqlalchemy import types
from typing_extensions import TypedDict  # Pydantic wants this one, and brings it

from dloader import OptionError
from dloader._stored._values import Values
from dloader.sqlalchemy._columns import RowColumns
from dloader.sqlalchemy._is_a import is_a
from dloader.sqlalchemy._rows import Row

__all__ = ("list_of", "number_values", "page_of_type", "refused", "refused_columns", "row_type", "row_values")

PLAIN = frozenset(
    (
        bool,
        bytes,
        decimal.Decimal,
        dict,
        dt.date,
        dt.datetime,
        dt.time,
        dt.timedelta,
        float,
        int,
        list,
        str,
        uuid.UUID,
    )
)
CONFIG: Mapping[str, Any] = {
    "extra": "forbid",
    "strict": True,
    "ser_json_bytes": "base64",
    "val_json_bytes": "base64",
    "ser_json_inf_nan": "constants",
}
"""Nothing is made of what is written in another way, and nothing is left out: what is not as it was is a miss."""


_typed_dict: Any = TypedDict  # called with what only the mapping knows


def python_type(kind: Any) -> Any:
    """The Python type of the values of a column's type; None of what JSON does not carry, or nobody knows."""
    if is_a(kind, types.Enum) and kind.enum_class is not None:
        return Annotated[
            kind.enum_class, PlainValidator(kind.enum_class.__getitem__), PlainSerializer(_name_of)
        ]
    if is_a(kind, types.JSON):
        return Any
    if is_a(kind, types.ARRAY):
        return _array_of(python_type(kind.item_type), kind.dimensions or 1)
    try:
        found = kind.python_type
    except NotImplementedError:  # SQLAlchemy 2.0; 2.1 says object
        found = object
    if found is object and is_a(kind, types.TypeDecorator) and not _converts(type(kind)):
        return python_type(kind.impl_instance)
    return found if found in PLAIN or _is_known(found) else None


def _array_of(item: Any, dimensions: int) -> Any:
    if item is None or dimensions == 0:
        return item
    inner = _array_of(item, dimensions - 1)
    return GenericAlias(list, (inner | None,))


@cache
def _is_known(kind: Any) -> bool:
    """Whether Pydantic reads and writes what a type of the application's says that it has."""
    try:
        TypeAdapter(kind)
    except PydanticUserError:
        return False
    return kind is not object


def _name_of(member: Any) -> str:
    name: str = member.name
    return name


def _converts(decorator: Any) -> bool:
    """Whether a decorator makes other values of those of the type that it decorates."""
    return any(
        getattr(decorator, name) is not getattr(types.TypeDecorator, name)
        for name in ("process_result_value", "result_processor")
    )


def refused_columns(columns: RowColumns) -> list[str]:
    """What is wrong with columns that are to be kept."""
    return [each for expression in columns.expressions[: len(columns.names)] for each in refused(expression)]


def refused(expression: Any) -> list[str]:
    """An expression, if JSON does not carry it."""
    return [] if python_type(expression.type) is not None else [f"{expression} of type {expression.type!r}"]


def row_type(label: str, columns: RowColumns, kind: type[dict[str, Any]]) -> Any:
    """The type of rows. In JSON columns have numbers for names: those of expressions are other ones in each process.

    Raises:
        OptionError: A column has a type that JSON does not carry.
    """
    _refuse(label, refused_columns(columns))
    found = {
        name: Annotated[python_type(expression.type) | None, Field(alias=str(n))]
        for n, (name, expression) in enumerate(zip(columns.names, columns.expressions))  # noqa: B905 - keys follow
    }
    of_columns = _typed_dict("of_columns", found, total=columns.discriminator is None)
    return Annotated[of_columns, AfterValidator(Row)] if kind is Row else of_columns


def page_of_type(row: Any) -> Any:
    """The type of a page of rows, as `PageLoader` has it."""
    ends = {"start_cursor": str | None, "end_cursor": str | None}
    return _typed_dict("page", {"items": list_of(row), "has_more": bool, **ends, "total": int | None})


def list_of(row: Any) -> Any:
    """The type of lists of rows."""
    return GenericAlias(list, (row,))


def row_values(label: str, columns: RowColumns, kind: Any) -> Values:
    """What makes bytes of rows, or of what they stand in."""
    described = [repr(expression.type) for expression in columns.expressions]
    return Values(kind | None, f"what loader {label!r} loads", CONFIG, repr(described))


def number_values(label: str, expression: Any) -> Values:
    """What makes bytes of aggregates; the sum of integers is a `Decimal` on MariaDB.

    Raises:
        OptionError: The expression has a type that JSON does not carry.
    """
    kind: Any = int
    if expression is not None:
        _refuse(label, refused(expression))
        kind = python_type(expression.type)
    if kind is int:
        kind = int | decimal.Decimal
    return Values(kind | None, f"what loader {label!r} loads", CONFIG, repr(kind))


def _refuse(label: str, what: list[str]) -> None:
    if what:
        raise OptionError(
            f"loader {label!r} has store_ttl, which keeps values as JSON, and JSON does not carry {', '.join(what)}: "
            f"leave it out, by a model that has fewer fields; or say what it is, by type_=, type_coerce() or the "
            f"python_type of its type"
        )
