"""What annotations say: which models may stand in a field, which parameters a loader class declares."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

import dloader
from dloader.compat.aiodataloader import DataLoader
from dloader.compat.pydantic_resolve.constant import ENSURE_SUBSET_REFERENCE

__all__ = (
    "OPTIONS",
    "core_types",
    "declared_parameters",
    "is_compatible_type",
    "is_list",
    "is_model",
    "marked_fields",
    "models_in",
    "plain_classes",
    "rebuild",
)

UNIONS = (Union, types.UnionType)
OPTIONS = ("batch", "cache", "max_batch_size")
"""Annotated attributes of aiodataloader's class, which can be given like parameters."""


def is_model(kind: object) -> bool:
    """Whether something is a class of Pydantic models."""
    return inspect.isclass(kind) and issubclass(kind, BaseModel)


def is_list(annotation: object) -> bool:
    """Whether an annotation is ``list[...]``."""
    return get_origin(annotation) is list


def core_types(annotation: Any) -> tuple[Any, ...]:
    """The types that are left of an annotation without aliases, ``Annotated``, unions, None and lists."""
    found: list[Any] = []
    todo: list[Any] = [annotation]
    while todo:
        current = todo.pop(0)
        while hasattr(current, "__value__") and type(current).__name__ == "TypeAliasType":
            current = current.__value__
        origin, arguments = get_origin(current), get_args(current)
        if origin is Annotated or is_list(current):
            todo.extend(arguments[:1])
        elif origin in UNIONS:
            todo.extend(arguments)
        elif current is not type(None):
            found.append(current)
    return tuple(found)


def models_in(annotation: object) -> tuple[type[BaseModel], ...]:
    """The models among the core types."""
    return tuple(found for found in core_types(annotation) if is_model(found))


def marked_fields(cls: type[BaseModel], marker: type[Any]) -> Iterator[tuple[str, Any]]:
    """The fields of a class that have a marker of some kind in ``Annotated``, each with the marker."""
    for name, field in cls.model_fields.items():
        for found in field.metadata:
            if isinstance(found, marker):
                yield name, found


def plain_classes(annotation: object) -> tuple[type, ...]:
    """The classes whose instances fit an annotation as they are; empty if that is not for ``isinstance`` to say."""
    members: tuple[Any, ...] = get_args(annotation) if get_origin(annotation) in UNIONS else (annotation,)
    try:
        isinstance(None, members)
    except TypeError:
        return ()
    return members if all(isinstance(member, type) for member in members) else ()


def rebuild(annotation: object, done: set[type] | None = None) -> None:
    """Have the models in an annotation, and in their fields, look up the names that were not defined before."""
    done = set() if done is None else done
    for model in models_in(annotation):
        if model not in done:
            done.add(model)
            model.model_rebuild()
            for field in model.model_fields.values():
                rebuild(field.annotation, done)


def is_compatible_type(source: Any, target: Any) -> bool:
    """Whether a field of type `source` may hold what a relationship to `target` gives.

    It may be the same, a subclass or a subset (of a subset), or lists of these; `source` may be optional.
    """
    if get_origin(source) in UNIONS:
        members = [member for member in get_args(source) if member is not type(None)]
        if len(members) != 1 or len(members) == len(get_args(source)):
            return False
        (source,) = members
    if get_origin(target) in UNIONS:
        return False
    if is_list(source) and is_list(target):
        items = (*get_args(source), *get_args(target))
        return len(items) == 2 and is_compatible_type(*items)
    base = source
    while base is not None:
        if base is target:
            return True
        base = getattr(base, ENSURE_SUBSET_REFERENCE, None)
    return inspect.isclass(source) and inspect.isclass(target) and issubclass(source, target)


def declared_parameters(kind: type) -> Mapping[str, bool]:
    """The annotated attributes of a loader class, those of its bases too, and whether each has a value."""
    found: dict[str, bool] = {}
    bases = [base for base in kind.__mro__ if not _is_library(base)]
    for base in reversed(bases):
        for name in inspect.get_annotations(base):
            found[name] = any(name in vars(other) for other in bases)
    return {**dict.fromkeys(OPTIONS, True), **found}


def _is_library(base: type) -> bool:
    return base in (object, dloader.DataLoader, DataLoader) or base.__module__ in ("typing", "aiodataloader")
