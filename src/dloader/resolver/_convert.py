"""Loaded value -> the field's type, a whole column of values at once."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, PlainValidator, TypeAdapter, ValidationError
from pydantic import WrapValidator as Wrap

from dloader.resolver._types import field_types

__all__ = ("Converter", "ConversionError", "converter_of", "mapped", "writer_of")

VALIDATORS: dict[str, Any] = {
    "before": BeforeValidator,
    "after": AfterValidator,
    "wrap": Wrap,
    "plain": PlainValidator,
}

Converter = Callable[[Sequence[Any], list[Any]], list[Any]]
"""From nodes and the raw values for one of their fields to values of the field's type."""


class ConversionError(Exception):
    """Internal: the value at `index` does not fit the field; its ``__cause__`` is what the caller gets."""

    def __init__(self, index: int) -> None:
        self.index = index


def converter_of(cls: type, name: str) -> Converter:
    """Make the converter of one field, with all that the class declares for it.

    Constraints, ``Annotated`` and decorated validators, strictness and the aliases of nested models apply as they do
    when the class itself is validated; objects with attributes are accepted like dicts.
    """
    declared = field_types(cls)[name]
    decorated = list(_decorated_validators(cls, name))
    metadata = tuple(mark for mark in declared.metadata if not type(mark).__module__.startswith("dloader."))
    if declared.annotation is Any and not decorated and not metadata:
        return lambda nodes, values: values
    if issubclass(cls, BaseModel) and any(map(_takes_info, (*decorated, *metadata))):
        return _one_by_one(cls, name)
    info = cls.model_fields[name] if issubclass(cls, BaseModel) else None
    parts = (*((info,) if info is not None else metadata), *decorated)
    kind: Any = Annotated[(declared.annotation, *parts)] if parts else declared.annotation
    config = _config_of(cls, f"{cls.__name__}.{name}")
    return _in_bulk(TypeAdapter(list[kind], config=config), kind, config)


def _in_bulk(column: TypeAdapter[list[Any]], kind: Any, config: ConfigDict) -> Converter:
    def convert(nodes: Sequence[Any], values: list[Any]) -> list[Any]:
        try:
            return column.validate_python(values, from_attributes=True)
        except ValidationError as error:
            index = error.errors(include_url=False, include_context=False, include_input=False)[0]["loc"][0]
        assert isinstance(index, int)
        try:  # once more alone, so that the error speaks of this value and not of a list of them
            alone = TypeAdapter(list[kind], config=config).validate_python(values[index : index + 1], from_attributes=True)
        except ValidationError as error:
            raise ConversionError(index) from error
        return [*values[:index], *alone, *values[index + 1 :]]

    return convert


def _one_by_one(cls: type[BaseModel], name: str) -> Converter:
    """For validators that look at other fields: validate an assignment to a copy of each node."""
    validator = cls.__pydantic_validator__

    def convert(nodes: Sequence[Any], values: list[Any]) -> list[Any]:
        converted: list[Any] = []
        for index, (node, value) in enumerate(zip(nodes, values, strict=True)):
            copy = node.model_copy()
            try:
                validator.validate_assignment(copy, name, value, from_attributes=True)
            except ValidationError as error:
                raise ConversionError(index) from error
            converted.append(copy.__dict__[name])
        return converted

    return convert


def _config_of(cls: type, title: str) -> ConfigDict:
    config = ConfigDict(arbitrary_types_allowed=True)
    config.update(getattr(cls, "model_config", None) or getattr(cls, "__pydantic_config__", None) or {})
    config["title"] = title
    return config


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
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty]
    return len(positional) > (2 if isinstance(validator, Wrap) else 1)


def mapped(rule: Any, values: list[Any]) -> list[Any]:
    """Apply the rule of `mapper`: a function, or a class that a value or its items are validated into."""
    if not isinstance(rule, type):
        return [None if value is None else rule(value) for value in values]
    adapter: TypeAdapter[Any] = TypeAdapter(rule)

    def one(value: Any) -> Any:
        return adapter.validate_python(value, from_attributes=True)

    return [None if v is None else [one(item) for item in v] if isinstance(v, list) else one(v) for v in values]


def writer_of(cls: type, name: str) -> Callable[[Sequence[Any], Sequence[Any]], None]:
    """Make the function that puts a column of values into a field of the nodes."""
    if dataclasses.is_dataclass(cls):

        def set_attributes(nodes: Sequence[Any], values: Sequence[Any]) -> None:
            for node, value in zip(nodes, values, strict=True):
                object.__setattr__(node, name, value)  # a frozen dataclass is filled too

        return set_attributes

    def set_fields(nodes: Sequence[Any], values: Sequence[Any]) -> None:
        # What BaseModel.__setattr__ comes down to; a resolved field counts as set.
        for node, value in zip(nodes, values, strict=True):
            node.__dict__[name] = value
            node.__pydantic_fields_set__.add(name)

    return set_fields
