"""Strawberry's types, as far as rows become objects of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from strawberry.schema.base import BaseSchema
from strawberry.types import get_object_definition
from strawberry.types.base import StrawberryContainer, StrawberryObjectDefinition
from strawberry.types.field import StrawberryField
from strawberry.types.lazy_type import LazyType
from strawberry.types.union import StrawberryUnion

__all__ = ("ObjectType", "inner_type", "is_abstract", "is_object", "object_type", "type_called")


class ObjectType:
    """An object type of a schema; lives as long as the schema.

    Args:
        definition: What Strawberry knows of it.
        schema: Which gives it and its fields their names.
    """

    def __init__(self, definition: StrawberryObjectDefinition, schema: BaseSchema) -> None:
        converter: Any = schema.config.name_converter
        self.cls: type[Any] = definition.origin
        self.name: str = converter.from_type(definition)
        self.fields: dict[str, StrawberryField] = {
            converter.get_graphql_name(field): field for field in definition.fields
        }
        """By GraphQL name."""
        self.by_name: dict[str, StrawberryField] = {field.python_name: field for field in definition.fields}
        """By attribute."""
        self._interfaces = {converter.from_type(each) for each in definition.interfaces}
        attributes = dataclasses.fields(self.cls)
        self.plain_names = {
            each.name for each in attributes if each.init or not isinstance(each, StrawberryField)
        }
        """The attributes that resolvers may read: all that is neither resolved nor loaded."""
        self.factories: dict[str, Callable[[], Any]] = {
            each.name: each.default_factory
            for each in attributes
            if each.default_factory is not dataclasses.MISSING
        }
        """What makes the defaults that the class itself does not have."""
        self.defaults = {
            *self.factories,
            *(each.name for each in attributes if each.default is not dataclasses.MISSING),
        }
        """The attributes that need no column."""
        self.has_post_init = hasattr(self.cls, "__post_init__")

    def meets(self, condition: str, schema: BaseSchema) -> bool:
        """Whether its objects meet a type condition: are of that type, interface or union."""
        if condition == self.name or condition in self._interfaces:
            return True
        found: object = schema.get_type_by_name(condition)
        return isinstance(found, StrawberryUnion) and self.cls in map(inner_type, found.types)


_known: WeakKeyDictionary[BaseSchema, dict[type[Any], ObjectType]] = WeakKeyDictionary()
"""By class."""


def object_type(cls: type[Any], schema: BaseSchema) -> ObjectType:
    """What is to be known of an object type; read once for each schema."""
    known = _known.setdefault(schema, {})
    found = known.get(cls)
    if found is None:
        known[cls] = found = ObjectType(get_object_definition(cls, strict=True), schema)
    return found


def inner_type(given: Any) -> Any:
    """The type in lists and optionals: a class, or a union."""
    while isinstance(given, (LazyType, StrawberryContainer)):
        given = given.resolve_type() if isinstance(given, LazyType) else given.of_type
    return given


def is_object(held: Any) -> bool:
    """Whether a type has fields, or is one of several that have."""
    return isinstance(held, StrawberryUnion) or get_object_definition(held) is not None


def is_abstract(held: Any) -> bool:
    """Whether a type is a union or an interface."""
    return isinstance(held, StrawberryUnion) or get_object_definition(held, strict=True).is_interface


def type_called(name: str, abstract: Any, schema: BaseSchema) -> type[Any] | None:
    """The type of a union or interface that has a name, in Python or in GraphQL; None if none is called so."""
    if isinstance(abstract, StrawberryUnion):
        classes: list[type[Any]] = list(map(inner_type, abstract.types))
        return next((cls for cls in classes if name in (cls.__name__, object_type(cls, schema).name)), None)
    found: object = schema.get_type_by_name(name)
    if not isinstance(found, StrawberryObjectDefinition) or found.is_interface:
        return None
    cls = found.origin
    return cls if issubclass(cls, abstract) else None
