"""``serialization``: what OpenAPI says of a response has all fields that are in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar, get_args

from pydantic import BaseModel

from dloader.compat.pydantic_resolve._annotations import core_types, is_model

__all__ = ("serialization",)

M = TypeVar("M", bound=BaseModel)


def serialization(cls: type[M]) -> type[M]:
    """Require all fields in the JSON schema of a model and of those in its fields, and leave out excluded ones.

    A model in a field that has a ``json_schema_extra`` of its own keeps it.

    Raises:
        AttributeError: `cls` is no Pydantic model.

    Example:
        >>> from pydantic import Field
        >>> @serialization
        ... class Task(BaseModel):
        ...     name: str = ""
        ...     owner_id: int = Field(default=0, exclude=True)
        >>> Task.model_json_schema(mode="serialization")["required"]
        ['name']
    """
    if not is_model(cls):
        raise AttributeError(f"target class {getattr(cls, '__name__', cls)} is not BaseModel")
    cls.model_config["json_schema_extra"] = _require_all
    for nested in _nested(cls, {cls}):
        if not nested.model_config.get("json_schema_extra"):
            nested.model_config["json_schema_extra"] = _require_all
    return cls


def _nested(cls: type[BaseModel], known: set[type]) -> Iterator[type[BaseModel]]:
    for field in cls.model_fields.values():
        for found in _models(field.annotation):
            if found not in known:
                known.add(found)
                yield found
                yield from _nested(found, known)


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    """The models in an annotation, those in containers other than lists too."""
    for found in core_types(annotation):
        if is_model(found):
            yield found
        for argument in get_args(found):
            yield from _models(argument)


def _require_all(schema: dict[str, Any], model: type[BaseModel]) -> None:
    shown = [name for name, field in model.model_fields.items() if not field.exclude]
    hidden = model.model_fields.keys() - set(shown)
    properties: dict[str, Any] = schema.get("properties", {})
    schema["properties"] = {name: each for name, each in properties.items() if name not in hidden}
    schema["required"] = shown
