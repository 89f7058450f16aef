"""select_for: the statement of the roots."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Select, select

from dloader import OptionError, PlanError
from dloader._text import shorten
from dloader.resolver._plan._annotations import is_node_class
from dloader.sqlalchemy._columns import fields_of, missing_columns
from dloader.sqlalchemy._relations import AnyMapper, mapper_of

__all__ = ("select_for",)

_made: WeakKeyDictionary[type, dict[type, Select[Any]]] = WeakKeyDictionary()
"""By models, the statements of mapped classes; to make one takes as long as to send it."""


def select_for(model: type, entity: type) -> Select[Any]:
    """Select exactly the columns of a mapped class that a response model needs, keys included.

    Args:
        model: The response model: a Pydantic model or dataclass. Columns have the names of its fields; what is only a
            key has that of its attribute. A field that has a default and no column keeps its default.
        entity: The mapped class.

    Returns:
        A select that may be filtered, ordered, joined and limited, to be executed by a session.

    Raises:
        OptionError: An argument cannot be used.
        PlanError: The model has fields, or needs keys, that no column fills; all of them at once.

    Example:
        ``statement = select_for(OfficeOut, Office).where(Office.company_id == 7).order_by(Office.id)``
    """
    if not is_node_class(model):
        raise OptionError(f"select_for takes a response model and a mapped class, not {shorten(model)}")
    mapper = mapper_of(entity, "select_for")
    known = _made.setdefault(model, {})
    if entity not in known:
        known[entity] = _select(model, entity, mapper)
    return known[entity]


def _select(model: type, entity: type, mapper: AnyMapper) -> Select[Any]:
    problems = list(missing_columns(model, mapper))
    if problems:
        raise PlanError(problems)
    columns = fields_of(model, mapper, entity)
    named = [
        expression.label(name) for name, expression in zip(columns.names, columns.expressions, strict=True)
    ]
    found = select(*(named or mapper.primary_key)).select_from(
        entity
    )  # a row for each, also if nothing is read
    statement: Select[Any] = columns.apply(found)
    return statement
