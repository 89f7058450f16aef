"""Diagrams of entities: which relationship fills which field of a model."""

from __future__ import annotations

import contextlib
import importlib
import logging
import sys
from collections.abc import Iterator, Mapping
from types import GenericAlias
from typing import Any, Self, cast
from weakref import WeakKeyDictionary

from pydantic import BaseModel, model_validator

from dloader.compat.pydantic_resolve._annotations import is_compatible_type, is_list, marked_fields
from dloader.compat.pydantic_resolve._markers import LoaderInfo
from dloader.compat.pydantic_resolve._relationship import Entity, Relationship
from dloader.compat.pydantic_resolve.constant import ER_DIAGRAM_INLINE_RELATIONSHIPS, RESOLVE_PREFIX

__all__ = ("ErDiagram", "base_entity", "filled_by_diagram", "relationships_of")

logger = logging.getLogger("dloader")
_entities: WeakKeyDictionary[type, list[Entity]] = WeakKeyDictionary()
"""By class, what the diagrams of the program say of it; subsets are defined without naming a diagram."""


class ErDiagram(BaseModel):
    """Entities, and with them the relationships that fill fields of models.

    Example:
        >>> class User(BaseModel):
        ...     id: int
        >>> class Task(BaseModel):
        ...     owner_id: int
        >>> async def load_users(ids):
        ...     return [{"id": id} for id in ids]
        >>> owner = Relationship(fk="owner_id", name="owner", target=User, loader=load_users)
        >>> diagram = ErDiagram(entities=[Entity(kls=User), Entity(kls=Task, relationships=[owner])])
    """

    entities: list[Entity]
    description: str | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        names: dict[str, type] = {}
        for entity in self.entities:
            kls, name = entity.kls, entity.kls.__name__
            known = names.setdefault(name, kls)
            if known is kls and sum(other.kls is kls for other in self.entities) > 1:
                raise ValueError(f"Duplicate config.kls detected: {kls}")
            if known is not kls:
                raise ValueError(
                    f"Duplicate entity name '{name}' detected. Entity names must be unique for GraphQL schema "
                    f"generation. Conflict: {known.__module__}.{name} vs {kls.__module__}.{name}"
                )
        for entity in self.entities:
            for query in entity.queries:
                query.bind(entity.kls)
            for mutation in entity.mutations:
                mutation.bind(entity.kls)
            known_of = _entities.setdefault(entity.kls, [])
            if entity not in known_of:
                known_of.append(entity)
        return self

    def add_relationship(self, entities: list[Entity]) -> ErDiagram:
        """Make a diagram with more of some entities, or more entities.

        Raises:
            ValueError: Something is there twice.
        """
        added: dict[type, Entity] = {}
        for entity in entities:
            if entity.kls in added:
                raise ValueError(f"Duplicate incoming entity.kls detected: {entity.kls}")
            added[entity.kls] = entity
        merged = [
            entity.merged(added.pop(entity.kls)) if entity.kls in added else entity
            for entity in self.entities
        ]
        return ErDiagram(entities=[*merged, *added.values()], description=self.description)


def relationships_of(kls: type) -> Mapping[str, list[Relationship]]:
    """What is known of a class: by name, the relationships that it has in its own diagram, or in any."""
    entities = _own_entities(kls)
    if entities is None:
        entities = [entity for base in kls.__mro__ for entity in _entities.get(base, ())]
    found: dict[str, list[Relationship]] = {}
    for entity in entities:
        if is_compatible_type(kls, entity.kls):
            for relationship in entity.relationships:
                found.setdefault(relationship.name, []).append(relationship)
    return found


def _own_entities(kls: type) -> list[Entity] | None:
    """The entities of the `base_entity` that a class is made from, once all of them can be found."""
    for base in kls.__mro__:
        if hasattr(base, "get_diagram") and hasattr(base, "entities"):
            with contextlib.suppress(Exception):  # a name that is not defined yet, say: the next base may do
                diagram: ErDiagram = cast(Any, base).get_diagram()
                return diagram.entities
    return None


def filled_by_diagram(kls: type[BaseModel], diagram: ErDiagram) -> Iterator[tuple[str, Relationship]]:
    """The fields of a class that the relationships of a diagram fill, those that have methods left out.

    Raises:
        AttributeError: A field says `AutoLoad`, and there is no such relationship, or it has no loader.
        TypeError: A field says `AutoLoad`, and is not of the relationship's type.
    """
    entity = _entity_of(kls, diagram)
    if entity is None:
        return
    by_name = {relationship.name: relationship for relationship in entity.relationships}
    marked = {name: marker.origin or name for name, marker in marked_fields(kls, LoaderInfo)}
    for name in (*marked, *(name for name in kls.model_fields if name in by_name and name not in marked)):
        if hasattr(kls, f"{RESOLVE_PREFIX}{name}"):
            logger.warning(
                "resolve_%s already exists in %s, implicit AutoLoad for relationship %r skipped",
                name,
                kls,
                name,
            )
            continue
        relationship = by_name.get(marked.get(name, name))
        annotation = kls.model_fields[name].annotation
        if name in marked:
            yield name, _checked(kls, name, relationship, marked[name], annotation)
        elif relationship and relationship.loader and is_compatible_type(annotation, relationship.target):
            yield name, relationship


def _entity_of(kls: type, diagram: ErDiagram) -> Entity | None:
    """What a diagram says of a class, of one that it is made from, or of one that such a one is a subset of."""
    for base in kls.__mro__:
        for entity in diagram.entities:
            if is_compatible_type(base, entity.kls):
                return entity
    return None


def _checked(
    kls: type, field: str, relationship: Relationship | None, name: str, annotation: Any
) -> Relationship:
    if relationship is None:
        raise AttributeError(f'Relationship with name "{name}" not found for {kls.__name__}.{field}')
    if relationship.loader is None:
        raise AttributeError(f'Loader not provided in relationship for name "{name}" in class "{kls}"')
    if not is_compatible_type(annotation, relationship.target):
        raise TypeError(
            f"Type mismatch in {kls.__name__}.{field}: annotated type {annotation} is not compatible with "
            f'relationship target {relationship.target} (name="{name}")'
        )
    return relationship


def base_entity() -> Any:
    """Make a base class for entities that say their relationships themselves, in ``__relationships__``.

    Returns:
        A class whose ``get_diagram()`` makes the diagram of all that derive from it, and whose ``entities`` are these.

    Example:
        >>> Base = base_entity()
        >>> class User(BaseModel, Base):
        ...     id: int
        >>> class Task(BaseModel, Base):
        ...     __relationships__ = [Relationship(fk="owner_id", name="owner", target=User)]
        ...     owner_id: int
        >>> [entity.kls.__name__ for entity in Base.get_diagram().entities]
        ['Task']
    """
    every: list[type] = []

    def diagram() -> ErDiagram:
        return ErDiagram(
            entities=[
                Entity(kls=kls, relationships=_with_targets(kls, every))
                for kls in every
                if getattr(kls, ER_DIAGRAM_INLINE_RELATIONSHIPS, None) is not None
            ]
        )

    class Base:
        entities = every
        get_diagram = staticmethod(diagram)

        def __init_subclass__(cls, **kwargs: Any) -> None:
            super().__init_subclass__(**kwargs)
            if Base in cls.__bases__:
                every.append(cls)

    return Base


def _with_targets(kls: type[BaseModel], entities: list[type]) -> list[Relationship]:
    """The relationships of an entity, with classes for names."""
    relationships: list[Relationship] = getattr(kls, ER_DIAGRAM_INLINE_RELATIONSHIPS)
    return [
        each.model_copy(update={"target": _target_of(each.target, kls.__module__, entities)})
        for each in relationships
    ]


def _target_of(target: Any, module: str, entities: list[type]) -> Any:
    """A class for ``"User"``, ``"package.module:User"`` or a list of these."""
    if isinstance(target, GenericAlias) and is_list(target):
        return GenericAlias(list, (_target_of(target.__args__[0], module, entities),))
    if not isinstance(target, str):
        return target
    place, colon, name = target.rpartition(":")
    if colon:
        return _imported(target, place, name)
    here = getattr(sys.modules.get(module), name, None)
    local = (entity for entity in entities if entity.__name__ == name)
    found = here if here is not None else next(local, None)
    if found is None:
        raise AttributeError(f"Unable to resolve reference '{target}' in module '{module}'")
    return found


def _imported(target: str, place: str, name: str) -> Any:
    try:
        module = importlib.import_module(place)
    except ImportError as error:
        raise ImportError(f"Failed to import module '{place}' for reference '{target}': {error}") from error
    if not hasattr(module, name):
        raise AttributeError(f"Class '{name}' not found in module '{place}'")
    return getattr(module, name)
