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

__all__ = ("is_in_class", "is_key_list", "is_method", "key_annotation", "keys_of_source", "may_be_key_list")

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
    annotation, keys = key_annotation(cls, name, fields), keys_of_source(source)
    if keys is tuple and not _holds_tuples(annotation):
        return False
    return _is_list(annotation) and keys not in LISTS


def may_be_key_list(annotation: Any, source: object) -> bool:
    """Whether a column that only rows have may hold many keys, as the field that they are for takes a list."""
    return _is_list(annotation) and keys_of_source(source) not in LISTS


def _is_list(annotation: Any) -> bool:
    """Whether a type is of lists, sets or tuples of any length, or of these and None."""
    return all(
        get_args(part)[-1:] == (...,) if get_origin(part) is tuple else (get_origin(part) or part) in LISTS
        for part in _parts(annotation)
    )


def _holds_tuples(annotation: Any) -> bool:
    """Whether what a type is of has tuples for items."""
    items = [item for part in _parts(annotation) for item in get_args(part)[:1]]
    return bool(items) and all(get_origin(part) is tuple for item in items for part in _parts(item))


def _parts(annotation: Any) -> list[Any]:
    """The types of a union without None, or the one type."""
    opened, _ = split_annotated(annotation)
    if get_origin(opened) not in (Union, types.UnionType):
        return [opened]
    return [part for each in get_args(opened) if each is not type(None) for part in _parts(each)]


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
