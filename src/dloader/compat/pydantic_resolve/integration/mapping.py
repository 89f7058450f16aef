"""Which response model stands for which mapped class."""

from __future__ import annotations

from typing import Any, cast

from pydantic import BaseModel

from dloader.compat.pydantic_resolve._annotations import is_model

__all__ = ("Mapping", "entities_by_orm")


class Mapping(BaseModel):
    """A response model with ``from_attributes``, and the mapped class whose rows it is made of."""

    entity: type
    orm: type
    filters: list[Any] | None = None
    """Conditions for all rows of the class that relationships load; instead of the common ones."""


def entities_by_orm(mappings: list[Mapping]) -> dict[type, type[BaseModel]]:
    """The model of each mapped class.

    Raises:
        TypeError: An entity is no Pydantic model.
        ValueError: It does not read attributes, or a class is mapped twice.
    """
    found: dict[type, type[BaseModel]] = {}
    for mapping in mappings:
        entity, orm = cast(type[BaseModel], mapping.entity), mapping.orm
        if not is_model(entity):
            raise TypeError(f"Mapping.entity must be a subclass of pydantic.BaseModel, got {entity!r}")
        if not entity.model_config.get("from_attributes"):
            raise ValueError(
                f"{entity.__name__} must set model_config = ConfigDict(from_attributes=True) for ORM mapping"
            )
        if orm in found:
            raise ValueError(
                f"ORM {orm.__name__} is already mapped to {found[orm].__name__}, cannot also map to {entity.__name__}"
            )
        found[orm] = entity
    return found
