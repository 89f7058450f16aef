"""Reading annotations: which classes may sit in a field, and what a class declares."""

from __future__ import annotations

import dataclasses
import inspect
import sys
import types
import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set as AbstractSet
from math import inf
from typing import Annotated, Any, Literal, NewType, Self, TypeVar, Union, cast, get_args, get_origin

from pydantic import BaseModel, PydanticUserError, RootModel
from pydantic.dataclasses import is_pydantic_dataclass, rebuild_dataclass
from typing_extensions import TypeAliasType, is_typeddict  # comes with Pydantic

from dloader.resolver._plan._names import (
    Evaluated,
    evaluate,
    evaluate_what_can_be,
    name_of_unknown,
    namespace_of,
    unknown,
)

__all__ = (
    "FieldType",
    "admits_none",
    "aliases_of",
    "classes_in",
    "field_type",
    "field_types",
    "inner_metadata",
    "is_importable",
    "is_node_class",
    "may_hold_mappings",
    "names_in",
    "names_in_rows",
    "nesting",
    "split_annotated",
    "subclasses",
)


@dataclasses.dataclass(frozen=True, slots=True)
class FieldType:
    """A field of a model or dataclass: its type without markers, and the markers."""

    annotation: Any
    metadata: tuple[Any, ...]
    default: Any = None
    missing: tuple[str, ...] = ()
    """Why it cannot be evaluated, as far as it cannot: what stands in its place may be anything."""


def is_node_class(kind: Any) -> bool:
    """Whether instances of a class are walked: Pydantic models and dataclasses."""
    return inspect.isclass(kind) and (issubclass(kind, BaseModel) or hasattr(kind, "__dataclass_fields__"))


def field_types(cls: type[Any]) -> dict[str, FieldType]:
    """The fields of a model or dataclass.

    Raises:
        NameError: A type that Pydantic has to know cannot be evaluated.
    """
    if issubclass(cls, BaseModel):
        _complete(cls.__pydantic_complete__, cls.model_rebuild)
        infos: Mapping[str, Any] = cls.model_fields
        return {
            name: field_type(cls, info.annotation, info.metadata, info.default)
            for name, info in infos.items()
        }
    if is_pydantic_dataclass(cls):
        made: Any = cls
        _complete(made.__pydantic_complete__, lambda: rebuild_dataclass(made))
        infos = made.__pydantic_fields__
        return {
            field.name: field_type(cls, info.annotation, info.metadata, field.default)
            for field in dataclasses.fields(made)
            if (info := infos.get(field.name))
        }
    return dict(_fields_of_dataclass(cls))


def _complete(is_complete: bool, rebuild: Callable[[], object]) -> None:
    """Have Pydantic evaluate the types of a class, if it could not when the class was made."""
    if is_complete:
        return
    try:
        rebuild()
    except PydanticUserError as error:
        raise NameError(str(error)) from error


def _fields_of_dataclass(cls: Any) -> Iterator[tuple[str, FieldType]]:
    bases: Sequence[type] = cls.__mro__[::-1]
    try:
        hints = {
            name: Evaluated(hint) for name, hint in typing.get_type_hints(cls, include_extras=True).items()
        }
    except Exception:  # what an expression in one of them raises: each by itself, then
        hints = {
            name: evaluate(annotation, parameters, namespace_of(base), vars(base))
            for base in bases
            for parameters in (_type_parameters(base),)
            for name, annotation in inspect.get_annotations(base).items()
        }
    for field in dataclasses.fields(cls):
        annotation, missing = hints[field.name]
        declared = field_type(cls, annotation, default=field.default)
        yield field.name, dataclasses.replace(declared, missing=missing) if missing else declared


def _type_parameters(cls: type) -> Mapping[str, Any]:
    parameters: Iterable[Any] = getattr(cls, "__type_params__", ())
    return {parameter.__name__: parameter for parameter in parameters}


def field_type(cls: type, annotation: Any, metadata: Iterable[Any] = (), default: Any = None) -> FieldType:
    """Read the annotation of a field of `cls`: ``Self`` is the class, and aliases of ``Annotated`` are opened."""
    opened, markers = split_annotated(_column_type(annotation))
    return FieldType(_with_self(opened, cls), (*markers, *metadata), default)


def _column_type(annotation: Any) -> Any:
    """What SQLAlchemy's ``Mapped[...]`` says of a field of a dataclass that it maps."""
    orm: Any = sys.modules.get("sqlalchemy.orm")
    return get_args(annotation)[0] if orm is not None and get_origin(annotation) is orm.Mapped else annotation


def split_annotated(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """A type and what ``Annotated`` says of it, also behind ``type X = Annotated[...]``."""
    metadata: tuple[Any, ...] = ()
    while get_origin(opened := _open_alias(annotation)) is Annotated:
        annotation, metadata = opened.__origin__, (*opened.__metadata__, *metadata)
    return annotation, metadata


def _open_alias(annotation: Any) -> Any:
    """What stands behind an alias, with the arguments that it was given; anything else as it is."""
    alias: Any = get_origin(annotation) or annotation
    if not isinstance(alias, ALIASES):
        return annotation
    value = _value_of(alias)
    names: Iterable[Any] = getattr(alias, "__type_params__", ())
    given = dict(zip(names, get_args(annotation), strict=False))
    parameters = getattr(value, "__parameters__", ())
    if given and parameters:
        value = value[tuple(given.get(parameter, parameter) for parameter in parameters)]
    return value if value is annotation else _open_alias(value)


def _with_self(annotation: Any, cls: type) -> Any:
    """The same type with ``cls`` for ``Self``."""
    if annotation is Self:
        return cls
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal or not parts:
        return annotation
    new = tuple(_with_self(part, cls) for part in parts)
    if all(one is other for one, other in zip(new, parts, strict=True)):
        return annotation
    if origin is Annotated:
        return Annotated[(new[0], *annotation.__metadata__)]
    rebuilt: Any = Union if origin is types.UnionType else origin
    return rebuilt[new]


def aliases_of(cls: Any, name: str) -> set[str]:
    """The other names of a field, in what a model is made of and in what it is dumped to."""
    fields: Any = getattr(cls, "model_fields", None) or getattr(cls, "__pydantic_fields__", {})
    info: Any = fields.get(name)
    found: set[str] = set()
    for alias in (getattr(info, kind, None) for kind in ("alias", "validation_alias", "serialization_alias")):
        found.update(each for each in getattr(alias, "choices", [alias]) if isinstance(each, str))
    return found - {name}


def names_in_rows(cls: Any) -> dict[str, tuple[str, bool]]:
    """By field, the name under which a row gives it, and whether a row may leave it out."""
    infos: Any = getattr(cls, "model_fields", None)
    if infos is None:  # and not empty: a dataclass of Pydantic's, or of the standard library
        infos = getattr(cls, "__pydantic_fields__", None)
    if infos is None:
        return {field.name: (field.name, _has_default(field)) for field in dataclasses.fields(cls)}
    config: Mapping[str, Any] = getattr(cls, "model_config", None) or getattr(cls, "__pydantic_config__", {})
    by_name = bool(config.get("populate_by_name") or config.get("validate_by_name"))
    return {
        name: (name if by_name else _alias_of(info.validation_alias) or name, not info.is_required())
        for name, info in infos.items()
    }


def _has_default(field: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return not field.init or field.default is not missing or field.default_factory is not missing


def _alias_of(alias: Any) -> str | None:
    """The name that an alias looks for first."""
    first: Any = next(iter(getattr(alias, "choices", ())), alias)
    name: str | None = next(iter(getattr(first, "path", ())), first)
    return name


def classes_in(annotation: Any) -> tuple[tuple[type, ...], bool]:
    """The node classes that a type names, and whether it may hold others too.

    It may where it names a type variable, a protocol, a tuple's subclass that names no types, or ``BaseModel``. ``Any``
    and ``object`` are taken at their word: whoever says no more of a field does not ask for it to be walked.
    """
    found: dict[type, None] = {}
    unknown = False
    for leaf in _leaves(annotation, {}):
        if leaf in (BaseModel, RootModel) or name_of_unknown(leaf):
            unknown = True
        elif is_node_class(leaf):
            found[leaf] = None
        elif not isinstance(leaf, type):
            unknown = unknown or isinstance(leaf, TypeVar)
        elif leaf.__module__ not in ("builtins", "typing"):
            unknown = unknown or _is_open(leaf)
            found.update(dict.fromkeys(kind for kind in subclasses(leaf) if is_node_class(kind)))
    return tuple(found), unknown


def names_in(annotation: Any) -> Iterator[str]:
    """The names in a type that nobody has evaluated."""
    for leaf in _leaves(annotation, {}):
        name = getattr(leaf, "__forward_arg__", leaf)
        if isinstance(name, str):
            yield name


def _is_open(kind: Any) -> bool:
    """Whether anything may stand behind a class: a protocol, or a tuple with fields of no known type."""
    return bool(getattr(kind, "_is_protocol", False)) or issubclass(kind, tuple)


def subclasses(cls: type) -> Iterator[type]:
    """All subclasses of a class that exist now, each once, in the order of their definition."""
    found: dict[type, None] = {}
    unseen: list[type] = type.__subclasses__(cls)[::-1]
    while unseen:
        kind = unseen.pop()
        if kind not in found:
            found[kind] = None
            unseen += type.__subclasses__(kind)[::-1]
    return iter(found)


def _leaves(annotation: Any, seen: dict[int, Any]) -> Iterator[Any]:
    """The types that an annotation is made of, down to those without arguments.

    Args:
        annotation: A type.
        seen: By its id, what was looked into already; it keeps what was made on the way, so that ids stay true.
    """
    if id(annotation) in seen:  # a recursive type alias
        return
    seen[id(annotation)] = annotation
    origin = get_origin(annotation)
    if origin is Annotated or isinstance(annotation, (*ALIASES, NewType)):
        yield from _leaves(_value_of(annotation), seen)
    elif origin is Literal:
        return
    elif origin is not None:
        if isinstance(origin, ALIASES) or is_node_class(origin):  # a generic dataclass: Page[User]
            yield from _leaves(origin, seen)
        found = _all_leaves(_tuple_types(origin) or (), seen)
        yield from (leaf for leaf in found if not isinstance(leaf, TypeVar))  # these are the arguments
        yield from _all_leaves(get_args(annotation), seen)
    else:
        parts = _row_types(annotation) if is_typeddict(annotation) else _tuple_types(annotation)
        yield from (annotation,) if parts is None else _all_leaves(parts, seen)


def _all_leaves(annotations: Iterable[Any], seen: dict[int, Any]) -> Iterator[Any]:
    for annotation in annotations:
        yield from _leaves(annotation, seen)


ALIASES: tuple[type, ...] = (getattr(typing, "TypeAliasType", TypeAliasType), TypeAliasType)
"""Of the language and of typing_extensions, which may differ."""


def _value_of(alias: Any) -> Any:
    """What stands behind an alias, a ``NewType`` or ``Annotated``."""
    if not isinstance(alias, ALIASES):
        return alias.__supertype__ if isinstance(alias, NewType) else alias.__origin__
    made: Any = alias
    try:
        value = made.__value__
    except Exception:  # a name under TYPE_CHECKING, say
        return unknown(made.__name__)
    return evaluate_what_can_be(value, namespace_of(made)).annotation


def _tuple_types(kind: Any) -> Iterable[Any] | None:
    """The types of the fields of a ``NamedTuple``; None for anything else, and where they cannot be told."""
    names = getattr(kind, "_fields", ())
    if not (names and inspect.isclass(kind) and issubclass(kind, tuple)):
        return None
    try:
        hints = typing.get_type_hints(cast(Any, kind))
    except NameError:
        return None
    return [hints[name] for name in names] if hints.keys() >= set(names) else None


def _row_types(row: Any) -> Iterable[Any]:
    """The types of the values of a ``TypedDict``."""
    return (evaluate_what_can_be(part, namespace_of(row)).annotation for part in row.__annotations__.values())


def inner_metadata(annotation: Any, seen: tuple[Any, ...] = ()) -> Iterator[Any]:
    """What is said by ``Annotated`` inside of a type, where Pydantic does not count it to the field."""
    opened = _open_alias(annotation)
    if opened is not annotation:
        if any(alias == annotation for alias in seen):  # a recursive one
            return
        seen = (*seen, annotation)
    if get_origin(opened) is Annotated:
        yield from opened.__metadata__
    for part in get_args(opened):
        yield from inner_metadata(part, seen)


def admits_none(annotation: Any) -> bool:
    """Whether ``None`` is of a type."""
    opened, _ = split_annotated(annotation)
    if opened in (Any, object, None, type(None)):
        return True
    return get_origin(opened) in (Union, types.UnionType) and any(map(admits_none, get_args(opened)))


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


def may_hold_mappings(annotation: Any, nested: int = 0) -> bool:
    """Whether nodes may stand in dicts, in a value of a type of nodes: a dict is no row there, or not only."""
    opened, _ = split_annotated(annotation)
    origin: Any = get_origin(opened) or opened
    if is_node_class(origin):
        return issubclass(origin, RootModel)
    if origin not in ITERABLES or nested > MOST_NESTED:  # an alias may lead to itself
        return origin not in NO_MAPPINGS
    return any(may_hold_mappings(part, nested + 1) for part in get_args(opened))


ITERABLES = frozenset[Any](
    {Union, types.UnionType, list, tuple, set, frozenset, Sequence, AbstractSet, Iterable, Collection}
)
NO_MAPPINGS = frozenset[Any]({None, type(None), ..., bool, bytes, float, int, str})
MOST_NESTED = 8


def is_importable(cls: type) -> bool:
    """Whether a class can be imported by its name; a generic model counts if its parts can."""
    parts: Mapping[str, Any] = getattr(cls, "__pydantic_generic_metadata__", {})
    origin = parts.get("origin")
    if origin is not None:
        return is_importable(origin) and all(
            is_importable(part) for part in parts["args"] if isinstance(part, type)
        )
    found: Any = sys.modules.get(cls.__module__)
    for name in cls.__qualname__.split("."):
        # Not getattr(): this is asked at any moment, when no code of a module or metaclass should run.
        found = getattr(found, "__dict__", {}).get(name)
    return found is cls
