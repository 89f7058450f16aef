"""What types say of keys: where one holds many, and what a loader takes."""

from __future__ import annotations

import contextlib
import inspect
import types
import typing
from collections.abc import Mapping, Sequence, Set as AbstractSet
from typing import Any, TypeVar, Union, get_args, get_origin

from dloader import DataLoader
from dloader.resolver._plan._annotations import FieldType, split_annotated

__all__ = ("is_in_class", "is_key_list", "is_method", "key_annotation", "keys_of_source")

LISTS: frozenset[Any] = frozenset({list, set, frozenset, Sequence, AbstractSet})


def is_in_class(cls: type, name: str) -> bool:
    """Whether nodes have an attribute that is no field: a property, a private one, or one of the class."""
    return hasattr(cls, name) or name in getattr(cls, "__private_attributes__", ())


def is_method(cls: type, name: str) -> bool:
    """Whether an attribute of a class is a method."""
    return isinstance(inspect.getattr_static(cls, name, None), types.FunctionType)


def key_annotation(cls: type, name: str, fields: Mapping[str, FieldType]) -> Any:
    """The type of a field, of what a property returns, or of a private attribute; ``Any`` where nobody says."""
    if name in fields:
        return fields[name].annotation
    member: Any = inspect.getattr_static(cls, name, None)
    getter: Any = next(
        (found for each in ("fget", "func", "wrapped") if (found := getattr(member, each, None))), None
    )
    getter = getattr(getter, "fget", getter)  # of a computed_field around a property
    declared: Any = Any
    with contextlib.suppress(Exception):  # names that cannot be evaluated here
        hints = typing.get_type_hints(cls if getter is None else getter)
        declared = hints.get(name if getter is None else "return", Any)
    return declared


def is_key_list(cls: type, name: str, fields: Mapping[str, FieldType], source: object) -> bool:
    """Whether an attribute holds many keys: by its type, unless the loader's keys are such lists themselves."""
    return _is_list(key_annotation(cls, name, fields)) and keys_of_source(source) not in (*LISTS, tuple)


def _is_list(annotation: Any) -> bool:
    opened, _ = split_annotated(annotation)
    origin = get_origin(opened)
    if origin in (Union, types.UnionType):
        parts = [part for part in get_args(opened) if part is not type(None)]
        return all(map(_is_list, parts))
    if origin is tuple:
        return get_args(opened)[-1:] == (...,)
    return (origin or opened) in LISTS


def keys_of_source(source: Any) -> type | None:
    """The class of a loader's keys, where its types tell: ``tuple`` for ``DataLoader[tuple[int, str], Price]``."""
    annotation: Any = None
    with contextlib.suppress(Exception):  # types that cannot be evaluated
        if isinstance(source, type):
            annotation = _keys_of_class(source)
        elif not isinstance(source, DataLoader):
            hints = list(typing.get_type_hints(source).values())
            annotation = get_args(hints[0])[0] if hints and get_args(hints[0]) else None
    opened, _ = split_annotated(annotation)
    found = get_origin(opened) or opened
    return found if isinstance(found, type) and found not in (Any, object) else None


def _keys_of_class(source: type) -> Any:
    for base in source.__mro__:
        for parent in getattr(base, "__orig_bases__", ()):
            arguments = get_args(parent)
            if get_origin(parent) is DataLoader and arguments and not isinstance(arguments[0], TypeVar):
                return arguments[0]
    return None
