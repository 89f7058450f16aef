"""What is declared and would not be done: markers that stand where nobody reads them, and loaders that are none."""

from __future__ import annotations

import contextlib
import inspect
import typing
from collections.abc import Iterable, Iterator, Mapping
from math import inf
from typing import Any, cast, get_origin

from pydantic import BaseModel

from dloader._text import shorten
from dloader.resolver._markers import (
    Depends,
    ExposeAs,
    FieldMarker,
    FillMarker,
    ICollector,
    Load,
    LoaderDepend,
    SendTo,
    ignore,
    is_hashable,
    is_loader_class,
    is_loader_source,
)
from dloader.resolver._plan._annotations import FieldType, field_types, inner_metadata, is_node_class
from dloader.resolver._plan._names import name_of_unknown

__all__ = ("has_markers", "problem_of_argument", "problem_of_loader", "problems_of_fields")

FIELD_MARKERS = (FieldMarker, ExposeAs, SendTo)
WRITTEN = {Load: 'Load(loader, by="key_field")', ExposeAs: 'ExposeAs("name")', SendTo: 'SendTo("name")'}
"""How the markers of fields are written; those of other packages by their name."""
MARKERS = frozenset({"Load", "ExposeAs", "SendTo", "LoaderDepend", "Collector"})
"""What a marker that cannot be evaluated seems to be."""
AS_PARAMETERS = {
    Load: "Load fills a field; a method takes {name}=LoaderDepend(loader)",
    ExposeAs: "ExposeAs marks a field; what is exposed is taken as ancestor_context['name']",
    SendTo: "SendTo marks a field; what is sent is taken as {name}=Collector('name'), in a post_ method",
}


def has_markers(fields: Mapping[str, FieldType]) -> bool:
    """Whether a class marks any field."""
    return any(_markers_of(declared) for declared in fields.values())


def _markers_of(declared: FieldType) -> list[Any]:
    return [mark for mark in declared.metadata if isinstance(mark, FIELD_MARKERS)]


# -- fields --------------------------------------------------------------------------------------------------


def problems_of_fields(cls: type, fields: Mapping[str, FieldType]) -> Iterable[str]:
    """The markers of a class that nobody would read where, or as, they stand."""
    for name, declared in fields.items():
        where = f"{cls.__qualname__}.{name}"
        for mark in declared.metadata:
            if problem := _problem_around_type(mark):
                yield f"{where}: {problem}"
        inner = list(inner_metadata(declared.annotation))
        if not MARKERS.isdisjoint(map(name_of_unknown, (*declared.metadata, *inner))):
            yield (
                f"{where}: what Annotated says of it cannot be evaluated ({', '.join(declared.missing)}): import it "
                f"outside of `if TYPE_CHECKING`"
            )
        for mark in inner:
            if kind := _field_marker(mark):
                marker = kind.__name__
                yield (
                    f"{where}: {marker} stands inside the type, where nobody reads it; put it around the whole type: "
                    f"write Annotated[str | None, {marker}(...)], not Annotated[str, {marker}(...)] | None"
                )
        if problem := _problem_as_value(name, _default_of(cls, name)):
            yield f"{where}: {problem}"
    for name, problem in _problems_beside_fields(cls, fields):
        yield f"{cls.__qualname__}.{name}: {problem}"
    yield from _problems_of_overriding(cls, fields)


def _field_marker(mark: object) -> type | None:
    """Which marker of fields something is, or is meant to be."""
    if isinstance(mark, type):
        return mark if issubclass(mark, FIELD_MARKERS) else None
    return type(mark) if isinstance(mark, FIELD_MARKERS) else None


def _written(kind: type) -> str:
    return WRITTEN.get(kind, f"{kind.__name__}(...)")


def _problem_around_type(mark: Any) -> str | None:
    """What is wrong with a mark that stands in the right place for markers of fields."""
    if isinstance(mark, type) and (kind := _field_marker(mark)):
        return f"{kind.__name__} stands without parentheses; write {_written(kind)}"
    if _is_for_methods(mark):
        return (
            f"{_name_of(mark)} stands around a field's type, and is for the parameters of methods; a field is filled "
            f"by {WRITTEN[Load]}, or by a method"
        )
    return None


def _problem_as_value(name: str, value: Any) -> str | None:
    """What is wrong with a default, if it is a marker."""
    kind = _field_marker(value)
    if kind is None and not _is_for_methods(value):
        return None
    marker = _written(Load if kind is None else kind)
    return (
        f"{_name_of(value)} stands as the field's value, where nobody reads it; "
        f"write {name}: Annotated[..., {marker}], with the default after it"
    )


def _is_for_methods(mark: Any) -> bool:
    if isinstance(mark, type):
        return issubclass(mark, ICollector)
    return mark is LoaderDepend or isinstance(mark, (Depends, ICollector))


def _name_of(mark: Any) -> str:
    if isinstance(mark, Depends):
        return "LoaderDepend"
    return mark.__name__ if isinstance(mark, type) or mark is LoaderDepend else type(mark).__name__


def _default_of(cls: Any, name: str) -> Any:
    """The default of a field, or what stands for it."""
    if issubclass(cls, BaseModel):
        return cls.model_fields[name].default
    default = cls.__dataclass_fields__[name].default
    return getattr(default, "default", default)  # of Pydantic's Field() in a dataclass


def _problems_beside_fields(cls: type, fields: Mapping[str, FieldType]) -> Iterator[tuple[str, str]]:
    """Of private attributes, class variables and what has no annotation."""
    for base in cls.__mro__:
        if base.__module__.partition(".")[0] in ("builtins", "pydantic", "typing"):
            continue
        for name, mark in _marks_beside_fields(base, fields):
            marker = _name_of(mark)
            yield (
                name,
                f"{marker} stands at what is no field; markers are for annotated attributes without underscore",
            )


def _marks_beside_fields(base: type, fields: Mapping[str, FieldType]) -> Iterator[tuple[str, Any]]:
    private: Mapping[str, Any] = vars(base).get("__private_attributes__", {})
    values = {**vars(base), **{name: attribute.default for name, attribute in private.items()}}
    for name, value in values.items():
        if name not in fields and isinstance(value, (*FIELD_MARKERS, Depends, ICollector)):
            yield name, value
    for name, annotation in _own_annotations(base).items():
        if name not in fields:
            marks = [mark for mark in inner_metadata(annotation) if isinstance(mark, FIELD_MARKERS)]
            yield from ((name, mark) for mark in marks[:1])


def _own_annotations(base: type) -> Mapping[str, Any]:
    """The annotations of a class's own attributes, as far as they can be evaluated."""
    written: dict[str, Any] = {}
    with contextlib.suppress(NameError):  # Python 3.14 evaluates them here
        written = inspect.get_annotations(base)
    found: dict[str, Any] = {}
    for name, annotation in written.items():
        probe = type(
            base.__name__, (), {"__annotations__": {name: annotation}, "__module__": base.__module__}
        )
        with contextlib.suppress(Exception):  # a name under TYPE_CHECKING, say: no marker is in it
            found.update(typing.get_type_hints(probe, None, dict(vars(base)), include_extras=True))
    return found


# -- fields of base classes ----------------------------------------------------------------------------------


def _problems_of_overriding(cls: type, fields: Mapping[str, FieldType]) -> Iterable[str]:
    """Of fields that are declared anew without the markers that they have in a base class."""
    for name, declared in fields.items():
        owners = [base for base in cls.__mro__ if name in _own_names(base)]
        if (
            len(owners) > 1
            and not _markers_of(declared)
            and not any(mark is ignore for mark in declared.metadata)
        ):
            method = next(
                (place for place, base in enumerate(cls.__mro__) if f"resolve_{name}" in vars(base)), inf
            )
            is_filled_anew = method <= cls.__mro__.index(owners[0])
            for kind in dict.fromkeys(map(type, _markers_in(owners[1], name))):
                if not (issubclass(kind, FillMarker) and is_filled_anew):
                    yield (
                        f"{owners[0].__qualname__}.{name} overrides {owners[1].__qualname__}.{name} and drops its "
                        f"{kind.__name__}: repeat it, or write Annotated[..., ignore] if it is meant to go"
                    )


def _own_names(base: type) -> Iterable[str]:
    names: Iterable[str] = ()
    with contextlib.suppress(NameError):  # Python 3.14 evaluates them here
        names = inspect.get_annotations(base)
    return names


def _markers_in(base: type, name: str) -> list[Any]:
    marks: list[Any] = []
    with contextlib.suppress(NameError, KeyError):  # a mixin's annotation is no field
        marks = _markers_of(field_types(base)[name]) if is_node_class(base) else []
    return marks


# -- parameters of methods -----------------------------------------------------------------------------------


def problem_of_argument(parameter: inspect.Parameter, annotation: Any) -> str | None:
    """What is wrong with a method's parameter that is not declared as the markers are, but looks like it."""
    name = parameter.name
    for mark in (parameter.default, *getattr(annotation, "__metadata__", ())):
        if mark is LoaderDepend:
            return f"LoaderDepend stands without parentheses; write {name}=LoaderDepend(loader)"
        if is_loader_class(mark):
            return f"{name}={mark.__name__} is the class itself; write {name}=LoaderDepend({mark.__name__})"
        if isinstance(mark, type) and issubclass(mark, ICollector):
            return f"{mark.__name__} stands without parentheses; write {name}={mark.__name__}('name')"
        kind = _field_marker(cast(object, mark))
        if kind is not None:
            as_parameter = AS_PARAMETERS.get(kind, f"{kind.__name__} marks a field, and no parameter")
            return as_parameter.format(name=name)
        if isinstance(mark, ICollector) and mark is not parameter.default:
            return f"{type(mark).__name__} stands in Annotated; write {name}={type(mark).__name__}({mark.alias!r})"
    return None


# -- loaders -------------------------------------------------------------------------------------------------


def problem_of_loader(cls: type, fields: Mapping[str, FieldType], source: Any) -> str | None:
    """What is wrong with what `Load` or `LoaderDepend` were given."""
    if is_loader_source(source):
        return None
    return (
        f"{shorten(source)} is no loader; LoaderDepend and Load take a DataLoader subclass, an async batch function "
        f"or a loader{_hint(cls, fields, source)}"
    )


def _hint(cls: type, fields: Mapping[str, FieldType], source: Any) -> str:
    origin: Any = get_origin(source)
    kind: Any = source if isinstance(source, type) else type(source)
    hint = ""
    if is_loader_class(origin):
        hint = f"{source!r} is only a type; use {origin.__name__}, or a subclass of {source!r}"
    elif isinstance(source, Depends) and source.dependency is None:
        hint = "without one in parentheses, LoaderDepend() stands in Annotated[SomeLoader, LoaderDepend()]"
    elif isinstance(source, Depends):
        hint = f"leave LoaderDepend out: {shorten(source.dependency)} is enough"
    elif callable(source) and not is_hashable(source):
        hint = "it cannot be hashed: give its class a __hash__, as @dataclass(eq=False) does, or pass a method of it"
    elif inspect.isgeneratorfunction(source) or inspect.isasyncgenfunction(source):
        hint = "a batch function returns all its results, and yields none"
    elif any(base.__name__ == "DataLoader" for base in kind.__mro__):
        hint = "it is the DataLoader of another library; import the class from dloader, or a drop-in of dloader.compat"
    elif name := _hiding_field(cls, fields, source):
        hint = f"inside the class body, {name} is the field, whose default this is: rename the loader"
    return f" ({hint})" if hint else ""


def _hiding_field(cls: type, fields: Mapping[str, FieldType], source: Any) -> str | None:
    """The field that seems to have the name of the loader outside of the class."""
    for name in fields if source is not None else ():
        default = _default_of(cls, name)
        if type(default) is type(source) and default == source:
            return name
    return None
