"""Reading annotations: which classes may sit in a field, and what a class declares."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from math import inf
from typing import Annotated, Any, Literal, NewType, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, PydanticUserError, RootModel
from typing_extensions import TypeAliasType, is_typeddict  # comes with Pydantic

__all__ = (
    "FieldType",
    "classes_in",
    "field_types",
    "functions_of",
    "inner_metadata",
    "is_node_class",
    "mro_place",
    "nesting",
    "subclasses",
    "type_hints",
)


@dataclasses.dataclass(frozen=True, slots=True)
class FieldType:
    """A field of a model or dataclass: its type without markers, and the markers."""

    annotation: Any
    metadata: tuple[Any, ...]


def is_node_class(kind: Any) -> bool:
    """Whether instances of a class are walked: Pydantic models and dataclasses."""
    return inspect.isclass(kind) and (issubclass(kind, BaseModel) or hasattr(kind, "__dataclass_fields__"))


def field_types(cls: type[Any]) -> dict[str, FieldType]:
    """The fields of a model or dataclass.

    Raises:
        NameError: An annotation names something that does not exist.
    """
    if issubclass(cls, BaseModel):
        if not cls.__pydantic_complete__:
            try:
                cls.model_rebuild()
            except PydanticUserError as error:
                raise NameError(str(error)) from error
        return {
            name: FieldType(info.annotation, tuple(info.metadata)) for name, info in cls.model_fields.items()
        }
    declared: Any = cls
    hints = typing.get_type_hints(declared, include_extras=True)
    return {field.name: _split(hints[field.name]) for field in dataclasses.fields(declared)}


def _split(annotation: Any) -> FieldType:
    if get_origin(annotation) is Annotated:
        return FieldType(annotation.__origin__, annotation.__metadata__)
    return FieldType(annotation, ())


def classes_in(annotation: Any) -> tuple[tuple[type, ...], bool]:
    """The node classes that a type names, and whether it may hold others too.

    It may where it names a type variable, a protocol, a named tuple or ``BaseModel``. ``Any`` and ``object`` are
    taken at their word: whoever says no more of a field does not ask for it to be walked.
    """
    found: dict[type, None] = {}
    unknown = False
    for leaf in _leaves(annotation, set()):
        if leaf in (BaseModel, RootModel):
            unknown = True
        elif is_node_class(leaf):
            found[leaf] = None
        elif not isinstance(leaf, type):
            unknown = unknown or isinstance(leaf, TypeVar)
        elif leaf.__module__ not in ("builtins", "typing"):
            unknown = unknown or _is_open(leaf)
            found.update(dict.fromkeys(kind for kind in subclasses(leaf) if is_node_class(kind)))
    return tuple(found), unknown


def _is_open(kind: Any) -> bool:
    """Whether anything may stand behind a class: a protocol, or a named tuple with fields of its own."""
    return bool(getattr(kind, "_is_protocol", False)) or issubclass(kind, tuple)


def subclasses(cls: type) -> Iterator[type]:
    """All subclasses of a class that exist now, in the order of their definition."""
    kinds: list[type] = type.__subclasses__(cls)
    for kind in kinds:
        yield kind
        yield from subclasses(kind)


def _leaves(annotation: Any, seen: set[int]) -> Iterator[Any]:
    """The types that an annotation is made of, down to those without arguments."""
    if id(annotation) in seen:  # a recursive type alias
        return
    seen.add(id(annotation))
    origin = get_origin(annotation)
    if origin is Annotated or isinstance(annotation, (*ALIASES, NewType)):
        yield from _leaves(_value_of(annotation), seen)
    elif origin is Literal:
        return
    elif origin is not None:
        if isinstance(origin, ALIASES):
            yield from _leaves(_value_of(origin), seen)
        if is_node_class(origin):  # a generic dataclass: Page[User]
            yield origin
        for argument in get_args(annotation):
            yield from _leaves(argument, seen)
    elif is_typeddict(annotation):
        for part in _row_types(annotation):
            yield from _leaves(part, seen)
    else:
        yield annotation


ALIASES: tuple[type, ...] = (getattr(typing, "TypeAliasType", TypeAliasType), TypeAliasType)
"""Of the language and of typing_extensions, which may differ."""


def _value_of(alias: Any) -> Any:
    """What stands behind an alias, a ``NewType`` or ``Annotated``."""
    names = ("__value__", "__supertype__", "__origin__")
    return next(getattr(alias, name) for name in names if hasattr(alias, name))


def _row_types(row: Any) -> Iterable[Any]:
    try:
        return typing.get_type_hints(row).values()
    except NameError:  # a name that only Pydantic could find
        return ()


def inner_metadata(annotation: Any) -> Iterator[Any]:
    """What is said by ``Annotated`` inside of a type, where Pydantic does not count it to the field."""
    if get_origin(annotation) is Annotated:
        yield from annotation.__metadata__
    for part in get_args(annotation):
        yield from inner_metadata(part)


def nesting(annotation: Any) -> float:
    """How many containers stand around the nodes in a type of nodes; infinitely many if it names anything else."""
    origin = get_origin(annotation)
    if annotation is None or annotation is type(None) or is_node_class(origin or annotation):
        return 0
    if origin is Annotated:
        return nesting(annotation.__origin__)
    if origin in (Union, types.UnionType):
        return max(map(nesting, get_args(annotation)))
    if origin in (list, set, dict):
        return 1 + nesting(get_args(annotation)[-1])
    return inf


def functions_of(cls: type) -> tuple[dict[str, Callable[..., Any]], list[str]]:
    """The ``resolve_`` and ``post_`` functions of a class, and the names that something else stands under.

    Base classes come first, in the order of their definition.
    """
    names = dict.fromkeys(name for base in reversed(cls.__mro__) for name in vars(base))
    found = {
        name: inspect.getattr_static(cls, name) for name in names if name.startswith(("resolve_", "post_"))
    }
    functions: dict[str, Callable[..., Any]] = {
        name: member for name, member in found.items() if isinstance(member, types.FunctionType)
    }
    wrappers = (classmethod, staticmethod, functools.partialmethod)
    return functions, [
        name
        for name, member in found.items()
        if name not in functions and (isinstance(member, wrappers) or callable(member))
    ]


def mro_place(cls: type, declares: Callable[[type], bool]) -> int:
    """How far up the first class is that declares something: 0 is the class itself."""
    return next((place for place, base in enumerate(cls.__mro__) if declares(base)), len(cls.__mro__))


def type_hints(function: Callable[..., Any], cls: type) -> dict[str, Any]:
    """The evaluated annotations of a method; those that cannot be evaluated here are left out."""
    namespace: dict[str, Any] = {}
    parents: dict[str, Any] = getattr(cls, "__pydantic_parent_namespace__", None) or {}
    for name, value in parents.items():
        namespace[name] = value() if type(value).__name__ == "_PydanticWeakRef" else value
    hints: dict[str, Any] = {}
    for name, annotation in function.__annotations__.items():
        probe = types.SimpleNamespace(__annotations__={name: annotation}, __globals__=function.__globals__)
        with contextlib.suppress(Exception):  # a name under TYPE_CHECKING, say: no marker is in it
            hints.update(typing.get_type_hints(probe, function.__globals__, namespace, include_extras=True))
    return hints
