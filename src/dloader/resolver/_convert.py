"""Loaded value -> the field's type, a whole column of values at once."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Annotated, Any, NamedTuple, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    PydanticUserError,
    TypeAdapter,
    ValidationError,
    WrapValidator as Wrap,
)
from pydantic.fields import FieldInfo
from typing_extensions import TypedDict  # Pydantic wants this one, and brings it

from dloader.resolver._types import FieldType, field_types, is_node_class

__all__ = (
    "Converter",
    "FailedAt",
    "Writer",
    "convert_by_key",
    "convert_distinct",
    "converter_of",
    "mapper_of",
    "spread",
    "writer_of",
)

VALIDATORS: dict[str, Any] = {
    "before": BeforeValidator,
    "after": AfterValidator,
    "wrap": Wrap,
    "plain": PlainValidator,
}

CONTAINERS = frozenset({dict, list, set})
UNCACHED: list[str] = []
"""Not hashable: keeps ``typing`` from caching an annotation, and with it the class whose validators it holds."""

Convert = Callable[[Sequence[Any], list[Any]], list[Any]]
"""From nodes and the raw values for one of their fields to values of the field's type."""


class Converter(NamedTuple):
    """How the values for a field are converted."""

    convert: Convert
    is_of_type_alone: bool
    """Whether the same raw value is converted alike for every node."""


Writer = Callable[[Sequence[Any], Sequence[Any]], None]
"""Puts values into a field of nodes."""


class FailedAt(Exception):  # noqa: N818 - never seen by users
    """Internal: what was done for the node at `index` raised `error`, which is what the caller gets."""

    def __init__(self, index: int, error: Exception) -> None:
        self.index = index
        self.error = error


def converter_of(cls: type, name: str) -> Converter:
    """Make the converter of one field, with all that the class declares for it.

    Constraints, ``Annotated`` and decorated validators, strictness and the aliases of nested models apply as they do
    when the class itself is validated; objects with attributes are accepted like dicts.
    """
    declared = _declared(cls, name)
    metadata = tuple(mark for mark in declared.metadata if not type(mark).__module__.startswith("dloader."))
    parts = (*metadata, *_decorated_validators(cls, name))
    if declared.annotation is Any and not parts:
        return Converter(_as_they_are, is_of_type_alone=True)
    kind: Any = Annotated[(declared.annotation, *parts, UNCACHED)] if parts else declared.annotation
    config = _config_of(cls, f"{cls.__name__}.{name}")
    if any(map(_takes_info, parts)):
        return Converter(_among_others(cls, name, kind, config), is_of_type_alone=False)
    return Converter(_in_bulk(kind, config), is_of_type_alone=True)


def _as_they_are(_nodes: Sequence[Any], values: list[Any]) -> list[Any]:
    return values


def _in_bulk(kind: Any, config: ConfigDict) -> Convert:
    of_kind: Any = list
    column: Any = TypeAdapter[list[Any]](of_kind[kind], config=config)

    def convert(_nodes: Sequence[Any], values: list[Any]) -> list[Any]:
        try:
            # The adapter's own validate_python takes twice the time for a single value (measured).
            converted: list[Any] = column.validator.validate_python(values, from_attributes=True)
        except ValidationError as error:
            first: Any = error.errors(include_url=False, include_context=False, include_input=False)[0][
                "loc"
            ][0]
            suspects: Sequence[int] = [first]
            failed: Exception = error
        except Exception as error:  # a validator may raise anything
            suspects, failed = range(len(values)), error
        else:
            return converted
        raise _failed_at(suspects, values, _one_by_one(kind, config)) or FailedAt(suspects[0], failed)

    return convert


def convert_distinct(convert: Convert, nodes: Sequence[Any], values: list[Any]) -> list[Any]:
    """Convert each value once, also if several nodes are given it; containers are each node's own."""
    if len(set(map(id, values))) == len(values):
        return convert(nodes, values)
    distinct = dict(zip(map(id, values), values, strict=True))
    return convert_by_key(convert, nodes, list(map(id, values)), list(distinct.values()))


def convert_by_key(
    convert: Convert, nodes: Sequence[Any], keys: Sequence[Any], values: list[Any]
) -> list[Any]:
    """Convert the values of the distinct keys, in the order in which these first come, and give each node its own."""
    try:
        found = spread(keys, convert(nodes, values))
    except FailedAt as failed:
        raise FailedAt(keys.index(list(dict.fromkeys(keys))[failed.index]), failed.error) from None
    if CONTAINERS.isdisjoint(map(type, found)):
        return found
    return [value.copy() if type(value) in CONTAINERS else value for value in found]


def spread(keys: Sequence[Any], values: Iterable[Any]) -> list[Any]:
    """From the values of the distinct keys, in the order in which these first come, to one for each key."""
    by_key = dict(zip(dict.fromkeys(keys), values, strict=True))
    return list(map(by_key.__getitem__, keys))


def _one_by_one(kind: Any, config: ConfigDict) -> TypeAdapter[Any]:
    """For an error that speaks of one value and not of a list of them."""
    try:
        return TypeAdapter(kind, config=config)
    except PydanticUserError:  # a model has a configuration of its own
        return TypeAdapter(kind)


def _failed_at(suspects: Sequence[int], values: Sequence[Any], adapter: TypeAdapter[Any]) -> FailedAt | None:
    for index in suspects:
        try:
            adapter.validate_python(values[index], from_attributes=True)
        except Exception as error:
            return FailedAt(index, error)
    return None


def _among_others(cls: type, name: str, kind: Any, config: ConfigDict) -> Convert:
    """For validators that look at other fields: each value is validated in a row with what the node has."""
    others = [other for other in field_types(cls) if other != name]
    make: Any = TypedDict  # made here, where no type checker can follow
    row = make(f"{cls.__name__}.{name}", {**dict.fromkeys(others, Any), name: kind})
    row.__pydantic_config__ = config
    convert = _in_bulk(row, config)

    def convert_rows(nodes: Sequence[Any], values: list[Any]) -> list[Any]:
        rows = [
            {**{other: getattr(node, other) for other in others}, name: value}
            for node, value in zip(nodes, values, strict=True)
        ]
        return [converted[name] for converted in convert(nodes, rows)]

    return convert_rows


def _declared(cls: type[Any], name: str) -> FieldType:
    """The type of a field, with what Pydantic has read from ``Field()``."""
    infos: Any = cls.model_fields if issubclass(cls, BaseModel) else getattr(cls, "__pydantic_fields__", {})
    if name not in infos:
        return field_types(cls)[name]
    info: FieldInfo = infos[name]
    discriminator = () if info.discriminator is None else (Field(discriminator=info.discriminator),)
    return FieldType(info.annotation, (*info.metadata, *discriminator))


def _config_of(cls: type, title: str) -> ConfigDict:
    own: Any = getattr(cls, "model_config", None) or getattr(cls, "__pydantic_config__", None) or {}
    return cast(ConfigDict, {"arbitrary_types_allowed": True, **own, "title": title})


def _decorated_validators(cls: type, name: str) -> Iterator[Any]:
    """The ``@field_validator`` functions of a field, in the form that ``Annotated`` takes."""
    decorators = getattr(cls, "__pydantic_decorators__", None)
    if decorators is None:
        return
    for decorator in decorators.field_validators.values():
        if name in decorator.info.fields or "*" in decorator.info.fields:
            yield VALIDATORS[decorator.info.mode](decorator.func)


def _takes_info(validator: Any) -> bool:
    """Whether a validator may look at the other fields, through ``info.data``."""
    if not isinstance(validator, (AfterValidator, BeforeValidator, PlainValidator, Wrap)):
        return False
    try:
        parameters = inspect.signature(validator.func).parameters.values()
    except ValueError:  # a builtin type such as int
        return False
    positional = [
        p
        for p in parameters
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty
    ]
    return len(positional) > (2 if isinstance(validator, Wrap) else 1)


def mapper_of(rule: Any) -> Converter:
    """Make the converter of a method with a `mapper`: a function, or a class to validate a value or its items into."""
    convert: Callable[[Any], Any] = _into(rule) if is_node_class(rule) else rule

    def mapped(_nodes: Sequence[Any], values: list[Any]) -> list[Any]:
        converted: list[Any] = []
        try:
            converted.extend(None if value is None else convert(value) for value in values)
        except Exception as error:
            failed = FailedAt(len(converted), error)
        else:
            return converted
        raise failed

    return Converter(mapped, is_of_type_alone=False)


def _into(cls: type) -> Callable[[Any], Any]:
    adapter: TypeAdapter[Any] = TypeAdapter(cls)

    def convert(value: Any) -> Any:
        kind = cast(Any, type(value))
        if kind is list:
            return [None if item is None else convert(item) for item in value]
        return adapter.validate_python(value, from_attributes=True)

    return convert


def writer_of(cls: type, name: str) -> Writer:
    """Make the function that puts a column of values into a field of the nodes."""
    if dataclasses.is_dataclass(cls):

        def set_attributes(nodes: Sequence[Any], values: Sequence[Any]) -> None:
            for node, value in zip(nodes, values, strict=True):
                object.__setattr__(node, name, value)  # a frozen dataclass is filled too

        return set_attributes

    def set_fields(nodes: Sequence[Any], values: Sequence[Any]) -> None:
        # What BaseModel.__setattr__ comes down to; a resolved field counts as set.
        for node, value in zip(nodes, values):  # noqa: B905 - strict takes 40 % of the time for a single node
            node.__dict__[name] = value
            fields_set = node.__pydantic_fields_set__
            if name not in fields_set:
                fields_set.add(name)

    return set_fields
