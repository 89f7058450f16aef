"""Markers that fill fields -> steps: which loader, by which key, after which other fields."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from dloader import DloaderError
from dloader._text import did_you_mean
from dloader.resolver._markers import FieldMarker, FillMarker, MarkedField
from dloader.resolver._plan._annotations import FieldType, aliases_of
from dloader.resolver._plan._keys import (
    is_in_class,
    is_key_list,
    is_method,
    key_annotation,
    keys_of_source,
    may_be_key_list,
)
from dloader.resolver._plan._methods import Methods
from dloader.resolver._plan._plan import Key, Step, node_field

__all__ = ("Fillings", "compile_fillings", "filling_marker")


class Fillings(NamedTuple):
    """What fills the fields of a class: markers and ``resolve_`` methods."""

    steps: Sequence[Step]
    filled: frozenset[str]
    """The fields that steps fill."""
    problems: Sequence[str]
    """Mistakes."""
    hidden: Sequence[str]
    """What would be a mistake in a class whose nodes are not made of rows: keys that only a row can have."""


def compile_fillings(cls: type, fields: Mapping[str, FieldType], methods: Methods) -> Fillings:
    """Put the markers of a class, and its ``resolve_`` methods, into steps."""
    problems = [
        f"{cls.__qualname__}.{name}: {problem}"
        for name, declared in fields.items()
        for marker in declared.metadata
        if isinstance(marker, FieldMarker)
        for problem in _asked(marker.problems, MarkedField(cls, name, declared.annotation))
    ]
    chosen, replaced, doubled = _markers_that_fill(cls, fields, methods)
    problems += doubled
    by_method = [step for step in methods.steps if step.field.name not in replaced]
    filled = frozenset(chosen) | {step.field.name for step in by_method}
    posted = frozenset(step.field.name for step in methods.posts) - filled
    hidden: list[str] = []
    steps: list[Step] = []
    for name, marker in chosen.items():
        field = MarkedField(cls, name, fields[name].annotation)
        try:
            source, key = marker.loader(field), _key_of(field, marker, fields)
            empty = marker.empty(field)
        except DloaderError as error:
            problems.append(f"{field}: {error}")
            continue
        problems += _problems_of_key(field, marker, key, source, fields, posted)
        hidden += _hidden_keys(field, marker, key, fields)
        after = filled.intersection(key.names)
        filled_field = node_field(name, fields[name])
        steps.append(
            Step(filled_field, (source,), key=key, after=after, empty=empty, marker=marker, most=marker.depth)
        )
    for step in by_method:
        problems += _problems_of_needs(cls, step, fields, posted)
        steps.append(_waiting_for(step, filled))
    problems += _problems_of_circles(cls, steps)
    return Fillings(steps, filled, problems, hidden)


def _asked(ask: Callable[[MarkedField], Iterable[str]], field: MarkedField) -> list[str]:
    try:
        return list(ask(field))
    except DloaderError as error:
        return [str(error)]


def _waiting_for(step: Step, filled: frozenset[str]) -> Step:
    """A method's step, which waits for nothing that nobody fills."""
    after = step.after & filled
    return step if after == step.after else Step(step.field, step.loaders, step.method, after=after)


# -- which marker --------------------------------------------------------------------------------------------


def _markers_that_fill(
    cls: type, fields: Mapping[str, FieldType], methods: Methods
) -> tuple[Mapping[str, FillMarker], set[str], Sequence[str]]:
    """The marker of each field; the fields whose method, of a base class, gives way to it; what is filled twice."""
    by_method = {step.field.name for step in methods.steps}
    chosen: dict[str, FillMarker] = {}
    replaced: set[str] = set()
    problems: list[str] = []
    for name, declared in fields.items():
        marker = filling_marker(cls, name, fields, by_method)
        if marker is None:
            continue
        chosen[name] = marker
        markers = [marker for marker in declared.metadata if isinstance(marker, FillMarker)]
        fillers = len(markers)
        if name in by_method:
            if place_of_annotation(cls, name) < place_of_method(cls, name):
                replaced.add(name)
            else:
                fillers += 1
        if fillers > 1:
            kinds = " and ".join(dict.fromkeys(type(marker).__name__ for marker in markers))
            problems.append(
                f"{cls.__qualname__}.{name} is filled twice: by {kinds} and resolve_{name}, or by two {kinds}s"
            )
    return chosen, replaced, problems


def filling_marker(
    cls: type, name: str, fields: Mapping[str, FieldType], by_method: Container[str]
) -> FillMarker | None:
    """The marker that fills a field, unless the ``resolve_`` method of a subclass takes its place."""
    markers = [marker for marker in fields[name].metadata if isinstance(marker, FillMarker)]
    if markers and name in by_method and place_of_method(cls, name) < place_of_annotation(cls, name):
        return None
    return markers[-1] if markers else None


def place_of_annotation(cls: type, name: str) -> int:
    """How far up the class is that annotates a field."""
    return _mro_place(cls, lambda base: name in inspect.get_annotations(base))


def place_of_method(cls: type, name: str) -> int:
    """How far up the class is that has the ``resolve_`` method of a field."""
    return _mro_place(cls, lambda base: f"resolve_{name}" in vars(base))


def _mro_place(cls: type, declares: Callable[[type], bool]) -> int:
    """How far up the first class is that declares something: 0 is the class itself."""
    return next((place for place, base in enumerate(cls.__mro__) if declares(base)), len(cls.__mro__))


# -- keys ----------------------------------------------------------------------------------------------------


def _key_of(field: MarkedField, marker: FillMarker, fields: Mapping[str, FieldType]) -> Key:
    given: Any = marker.key(field)
    names = cast(tuple[str, ...], given if isinstance(given, tuple) else (given,))
    hidden = tuple(name for name in names if name not in fields and not is_in_class(field.owner, name))
    if isinstance(given, tuple):
        return Key(names, is_composite=True, hidden=hidden)
    if hidden:
        may_be_list = may_be_key_list(field.annotation, marker.loader(field))
        return Key(names, may_be_list=may_be_list, hidden=hidden)
    return Key(names, is_list=is_key_list(field.owner, given, fields, marker.loader(field)))


def _problems_of_key(
    field: MarkedField,
    marker: FillMarker,
    key: Key,
    source: object,
    fields: Mapping[str, FieldType],
    posted: frozenset[str],
) -> Iterable[str]:
    said = _said(marker, key)
    for name in key.names:
        other = _field_with_alias(field.owner, name, fields)
        if name in key.hidden and other is not None:
            yield f"{field}: {said} names no field (it is an alias: write by={other!r})"
        if is_method(field.owner, name) and name not in fields:
            yield f"{field}: {said} names a method, which is no key: make it a property"
        if name in posted:
            yield f"{field}: {said} needs the key before post_{name} computes it; fill it by resolve_{name}"
    keys = keys_of_source(source)
    if key.is_composite and keys is not None and keys is not tuple:
        yield f"{field}: {said} makes a tuple of each key, and the loader's keys are {keys.__name__}"
    elif (
        not key.is_composite and keys is tuple and key_annotation(field.owner, key.names[0], fields) in ATOMS
    ):
        yield f"{field}: {said} is one value, and the loader's keys are tuples: name all parts, by=(..., ...)"


ATOMS = (bool, bytes, float, int, str)


def _said(marker: FillMarker, key: Key) -> str:
    """The marker, as it is written at the field, or as it may be put."""
    by = key.names if key.is_composite else key.names[0]
    return f"{type(marker).__name__}(by={by!r})"


def _hidden_keys(
    field: MarkedField, marker: FillMarker, key: Key, fields: Mapping[str, FieldType]
) -> Iterable[str]:
    """What to say of keys that only rows have."""
    for name in key.hidden:
        if _field_with_alias(field.owner, name, fields) is None:
            hint = did_you_mean(name, [other for other in fields if other != field.name])
            said = f"{field}: {_said(marker, key)} names no field ({hint})"
            rows = f"a column that only rows have is read by resolve(rows, into=list[{field.owner.__name__}])"
            yield said if hint.startswith("did you mean") else f"{said}; {rows}"


def _field_with_alias(cls: type, name: str, fields: Mapping[str, FieldType]) -> str | None:
    return next((other for other in fields if name in aliases_of(cls, other)), None)


# -- the order -----------------------------------------------------------------------------------------------


def _problems_of_needs(
    cls: type, step: Step, fields: Mapping[str, FieldType], posted: frozenset[str]
) -> Iterable[str]:
    where = f"{cls.__qualname__}.resolve_{step.field.name}"
    for name in step.after:
        if name not in fields:
            hint = did_you_mean(name, [other for other in fields if other != step.field.name])
            yield f"{where}: needs({name!r}) names no field ({hint})"
        elif name in posted:
            yield f"{where}: needs({name!r}) wants what post_{name} computes later; fill it by resolve_{name}"


def _problems_of_circles(cls: type, steps: Sequence[Step]) -> Iterable[str]:
    """Of fields that wait for each other."""
    after = {step.field.name: step.after for step in steps}
    for step in steps:
        name = step.field.name
        circle = [other for other in _reached(name, after) if name in _reached(other, after)]
        if not circle:
            continue
        if step.key is None:
            names = ", ".join(map(repr, sorted(step.after)))
            yield (
                f"{cls.__qualname__}.resolve_{name}: needs({names}) makes a circle of {', '.join(map(repr, circle))}"
            )
        else:
            by = step.key.names if step.key.is_composite else step.key.names[0]
            yield f"{cls.__qualname__}.{name}: Load(by={by!r}) needs a key that is itself loaded by {name!r}"


def _reached(name: str, after: Mapping[str, frozenset[str]]) -> Iterable[str]:
    """What a field waits for, and what these wait for."""
    found: dict[str, None] = {}
    unseen = [name]
    while unseen:
        for other in sorted(after.get(unseen.pop(), ())):
            if other not in found:
                found[other] = None
                unseen.append(other)
    return found
