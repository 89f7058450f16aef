"""Model class -> plan: its steps and posts, what they need, and where nodes sit. Pure: no asyncio, no loading."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from dloader._text import did_you_mean
from dloader.resolver._markers import ExposeAs, SendTo, is_ignored
from dloader.resolver._plan._annotations import FieldType, field_types, names_in_rows
from dloader.resolver._plan._loads import compile_fillings
from dloader.resolver._plan._methods import Methods, compile_methods
from dloader.resolver._plan._mistakes import has_markers, problem_of_loader, problems_of_fields
from dloader.resolver._plan._plan import NodeField, Plan, Step, node_field

__all__ = ("compile_plan",)

EXPOSE, COLLECT = "__pydantic_resolve_expose__", "__pydantic_resolve_collect__"
"""Class-level markers of pydantic-resolve, read so that its models move over unchanged."""


def compile_plan(cls: type) -> Plan:
    """Read a model or dataclass; what is wrong with it goes to ``plan.problems``, all of it."""
    return replace(
        _compile(cls), attributes=len(vars(cls))
    )  # counted last: Pydantic may complete a class on the way


def _compile(cls: type) -> Plan:
    if is_ignored(cls):
        return Plan(cls)
    try:
        fields = field_types(cls)
    except NameError as error:
        return Plan(cls, problems=(_problem_of_model(cls, error),))
    exposes, sends = tuple(_exposes(cls, fields)), tuple(_sends(cls, fields))
    of_fields = tuple(problems_of_fields(cls, fields))
    methods = compile_methods(cls, fields, bool(has_markers(fields) or exposes or sends or of_fields))
    filling = compile_fillings(cls, fields, methods)
    hidden = tuple(dict.fromkeys(name for step in filling.steps if step.key for name in step.key.hidden))
    final = () if methods.final is None else (methods.final,)
    return Plan(
        cls,
        tuple(filling.steps),
        tuple(methods.posts),
        methods.final,
        tuple(_unfilled(fields, filling.filled)),
        exposes,
        sends,
        (
            *of_fields,
            *methods.problems,
            *filling.problems,
            *_problems_of_types(cls, fields, (*filling.steps, *methods.posts)),
            *_problems_of_loaders(cls, fields, (*filling.steps, *methods.posts, *final)),
            *_problems_of_class_markers(cls, fields),
            *_problems_of_exposes(cls, exposes),
            *_problems_of_slots(cls, hidden),
        ),
        hidden,
        dict.fromkeys(_seen_early(cls, fields, filling.steps, methods)),
        tuple(fields),
        hidden_keys=tuple(filling.hidden),
    )


def _problem_of_model(cls: type, error: NameError) -> str:
    reason = str(error).partition("\n")[0]
    rebuild = (
        f"{cls.__name__}.model_rebuild()"
        if issubclass(cls, BaseModel)
        else f"rebuild_dataclass({cls.__name__})"
    )
    return (
        f"{cls.__qualname__}: a type cannot be evaluated ({reason}): import it outside of `if TYPE_CHECKING`, or call "
        f"{rebuild} where it is known"
    )


def _problems_of_types(cls: type, fields: Mapping[str, FieldType], steps: Iterable[Step]) -> Iterable[str]:
    """A field that is filled must have a type; of others it is enough that somebody knows it."""
    for name in dict.fromkeys(step.field.name for step in steps):
        if fields[name].missing:
            missing = ", ".join(fields[name].missing)
            yield (
                f"{cls.__qualname__}.{name}: its type cannot be evaluated ({missing}): import it outside of "
                f"`if TYPE_CHECKING`, and define classes that name each other in a module, not in a function"
            )


def _seen_early(
    cls: type, fields: Mapping[str, FieldType], steps: Iterable[Step], methods: Methods
) -> Iterable[str]:
    """The fields with defaults that are filled, and that methods, or properties that give keys, may look at before."""
    by_method = [*methods.steps, *methods.posts]
    if (
        by_method
        or methods.final
        or any(not set(step.key.names) <= {*fields, *step.key.hidden} for step in steps if step.key)
    ):
        filled = {step.field.name for step in (*steps, *by_method)}
        yield from (
            name for name, (_, is_optional) in names_in_rows(cls).items() if name in filled and is_optional
        )


def _problems_of_slots(cls: type, hidden: Sequence[str]) -> Iterable[str]:
    for name in hidden:
        if not cls.__dictoffset__:  # instances have no attributes that no slot is for
            yield (
                f"{cls.__qualname__} has slots, and cannot take the key {name!r} from rows: "
                f"declare it as a field, or leave the slots away"
            )


def _problems_of_loaders(cls: type, fields: Mapping[str, FieldType], steps: Iterable[Step]) -> Iterable[str]:
    for step in steps:
        for source in step.loaders:
            if problem := problem_of_loader(cls, fields, source):
                yield f"{cls.__qualname__}.{step.label}: {problem}"


def _unfilled(fields: Mapping[str, FieldType], filled: Container[str]) -> Iterable[NodeField]:
    """The fields that no step fills and that may hold nodes."""
    for name, declared in fields.items():
        field = node_field(name, declared)
        if name not in filled and (field.classes or field.unknown):
            yield field


# -- ExposeAs and SendTo -------------------------------------------------------------------------------------


def _exposes(cls: type, fields: Mapping[str, FieldType]) -> Iterable[tuple[str, str]]:
    for name, declared in fields.items():
        yield from ((name, marker.alias) for marker in declared.metadata if isinstance(marker, ExposeAs))
    yield from _class_marker(cls, EXPOSE)


def _sends(cls: type, fields: Mapping[str, FieldType]) -> Iterable[tuple[str | tuple[str, ...], str]]:
    for name, declared in fields.items():
        for marker in declared.metadata:
            if isinstance(marker, SendTo):
                yield from ((name, target) for target in _names(marker.names))
    for names, targets in _class_marker(cls, COLLECT):
        yield from ((names, target) for target in _names(targets))


def _problems_of_exposes(cls: type, exposes: Iterable[tuple[str, str]]) -> Iterable[str]:
    fields: dict[str, str] = {}
    for name, alias in exposes:
        if fields.setdefault(alias, name) != name:
            yield (
                f"{cls.__qualname__}.{name}: ExposeAs({alias!r}) stands at {fields[alias]!r} too, and only one of them "
                f"could be seen: give each a name of its own"
            )


def _problems_of_class_markers(cls: type, fields: Mapping[str, FieldType]) -> Iterable[str]:
    for marker in (EXPOSE, COLLECT):
        for names, _ in _class_marker(cls, marker):
            for name in _names(names):
                if name not in fields:
                    hint = did_you_mean(name, fields)
                    yield f"{cls.__qualname__}.{marker} names no field: {name!r} ({hint})"


def _class_marker(cls: type, marker: str) -> Iterable[tuple[Any, Any]]:
    declared: Mapping[Any, Any] = getattr(cls, marker, {})
    return declared.items()


def _names(names: Any) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)
