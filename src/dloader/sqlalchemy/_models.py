"""Response models, as far as rows are concerned: which classes stand in a type, and what their fields say."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from sqlalchemy import inspect

from dloader.resolver._markers import FieldMarker, FillMarker, MarkedField
from dloader.resolver._plan._annotations import classes_in, field_types
from dloader.sqlalchemy._expressions import as_value
from dloader.sqlalchemy._pages import Page
from dloader.sqlalchemy._relations import AnyMapper

__all__ = ("From", "OfRelation", "from_of", "has_default", "has_page", "models_in", "takes_rows")


class OfRelation(FillMarker):
    """The base of markers that fill a field by a key which rows of a mapped class have."""

    @property
    @abstractmethod
    def parent(self) -> AnyMapper | None:
        """Whose rows; None where anybody's may."""


class From(FieldMarker):
    """Fill a field from another column than that of its name, or from any SQL expression over the mapped class.

    Args:
        expression: An attribute of the mapped class, or an SQL expression.

    Raises:
        OptionError: It is none.

    Example:
        ``email: Annotated[str, From(Member.e_mail)]``
    """

    def __init__(self, expression: Any) -> None:
        as_value("From", expression)
        self.expression = expression

    @property
    def row_name(self) -> str:
        """Under which name rows have it: an attribute its own, an expression one that nothing else has."""
        key: str | None = getattr(self.expression, "key", None) if _is_attribute(self.expression) else None
        return f"From {id(self):x}" if key is None else key

    @property
    def owner(self) -> AnyMapper | None:
        """The class of an attribute; None of an expression."""
        return inspect(self.expression.class_).mapper if _is_attribute(self.expression) else None

    def row_names(self, field: MarkedField, /) -> tuple[str, ...]:  # noqa: ARG002 - see the base
        """See `FieldMarker.row_names`."""
        return (self.row_name,)

    def __repr__(self) -> str:
        return f"From({self.expression})"


def _is_attribute(expression: Any) -> bool:
    return hasattr(expression, "class_") and hasattr(expression, "property")


def from_of(model: type, name: str) -> From | None:
    """The `From` of a field."""
    return next((each for each in field_types(model)[name].metadata if isinstance(each, From)), None)


def has_default(model: type[Any], name: str) -> bool:
    """Whether a field has a default."""
    if issubclass(model, BaseModel):
        return not model.model_fields[name].is_required()
    field = {each.name: each for each in dataclasses.fields(model)}[name]
    return dataclasses.MISSING not in (field.default, field.default_factory) or (
        field.default is not field.default_factory
    )


def models_in(types: Iterable[type[Any]]) -> list[type[Any]]:
    """The models that rows become; of a page, those of its items."""
    found: dict[type[Any], None] = {}
    for each in types:
        items = classes_in(each.model_fields["items"].annotation)[0] if issubclass(each, Page) else (each,)
        found.update(dict.fromkeys(items))
    return list(found)


def has_page(annotation: Any) -> bool:
    """Whether a type has a `Page` in it."""
    return any(issubclass(each, Page) for each in classes_in(annotation)[0])


def takes_rows(annotation: Any) -> bool:
    """Whether a type that names no models takes rows as they are, as mappings."""
    kind: Any = get_origin(annotation) or annotation
    parts: tuple[Any, ...] = get_args(annotation)
    if isinstance(kind, type):
        if issubclass(kind, Mapping):
            return True
        if issubclass(kind, Page):
            parts = (kind.model_fields["items"].annotation,)
    if parts:
        return any(map(takes_rows, parts))
    return annotation in (Any, object, list, tuple, set, frozenset) or not isinstance(kind, type)
