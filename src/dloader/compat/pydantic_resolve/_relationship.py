"""Entities and their relationships: from which key, by which loader, which field can be filled."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Self, get_type_hints

from pydantic import BaseModel, Field, model_validator

from dloader.compat.pydantic_resolve._annotations import is_list
from dloader.compat.pydantic_resolve.constant import (
    GRAPHQL_CONFIG_BOUND_ATTR,
    GRAPHQL_MUTATION_ATTR,
    GRAPHQL_MUTATION_DESCRIPTION_ATTR,
    GRAPHQL_MUTATION_NAME_ATTR,
    GRAPHQL_QUERY_ATTR,
    GRAPHQL_QUERY_DESCRIPTION_ATTR,
    GRAPHQL_QUERY_NAME_ATTR,
)

__all__ = ("Entity", "MutationConfig", "QueryConfig", "Relationship", "mutation", "query")


def query(func: Callable[..., Any]) -> Any:
    """Mark a method of an entity as a query of pydantic-resolve's GraphQL server, and make a class method of it."""
    return _marked(func, GRAPHQL_QUERY_ATTR, GRAPHQL_QUERY_DESCRIPTION_ATTR)


def mutation(func: Callable[..., Any]) -> Any:
    """Mark a method of an entity as a mutation of that server, and make a class method of it."""
    return _marked(func, GRAPHQL_MUTATION_ATTR, GRAPHQL_MUTATION_DESCRIPTION_ATTR)


def _marked(func: Callable[..., Any], mark: str, description: str) -> Any:
    setattr(func, mark, True)
    setattr(func, description, (func.__doc__ or "").strip())
    return classmethod(func)


class QueryConfig(BaseModel):
    """A query that is put on an entity from outside: the same as `query` there."""

    method: Callable[..., Any]
    """Takes no ``cls``."""
    name: str | None = None
    description: str | None = None

    def bind(self, kls: type) -> None:
        """Make the method a class method of an entity."""
        marks = (GRAPHQL_QUERY_ATTR, GRAPHQL_QUERY_NAME_ATTR, GRAPHQL_QUERY_DESCRIPTION_ATTR)
        _bind(self, kls, marks, "QueryConfig")


class MutationConfig(BaseModel):
    """A mutation that is put on an entity from outside: the same as `mutation` there."""

    method: Callable[..., Any]
    """Takes no ``cls``."""
    name: str | None = None
    description: str | None = None

    def bind(self, kls: type) -> None:
        """Make the method a class method of an entity."""
        marks = (GRAPHQL_MUTATION_ATTR, GRAPHQL_MUTATION_NAME_ATTR, GRAPHQL_MUTATION_DESCRIPTION_ATTR)
        _bind(self, kls, marks, "MutationConfig")


def _bind(config: QueryConfig | MutationConfig, kls: type, marks: tuple[str, str, str], kind: str) -> None:
    method, name = config.method, config.method.__name__
    known = vars(kls).get(name)
    function = getattr(known, "__func__", known)
    is_marked = hasattr(function, GRAPHQL_QUERY_ATTR) or hasattr(function, GRAPHQL_MUTATION_ATTR)
    if is_marked and not hasattr(function, GRAPHQL_CONFIG_BOUND_ATTR):
        raise ValueError(
            f"Method '{name}' already exists in {kls.__name__} (defined via @query/@mutation decorator), so {kind} "
            f"cannot put one there: use either of them"
        )

    @functools.wraps(method)
    def bound(_cls: type, *args: Any, **kwargs: Any) -> Any:
        return method(*args, **kwargs)

    mark, mark_of_name, mark_of_description = marks
    values = {mark: True, mark_of_name: config.name, mark_of_description: config.description}
    for attribute, value in {**values, GRAPHQL_CONFIG_BOUND_ATTR: True}.items():
        setattr(bound, attribute, value)
    setattr(kls, name, classmethod(bound))


class Relationship(BaseModel):
    """How a field of one entity is filled: by which key, with which loader.

    Example:
        >>> class User(BaseModel):
        ...     id: int
        >>> async def load_users(ids):
        ...     return [{"id": id} for id in ids]
        >>> Relationship(fk="owner_id", name="owner", target=User, loader=load_users).is_list_relationship
        False
    """

    fk: str
    """The field with the key."""
    target: Any
    """The entity that the loader gives, or ``list`` of it; a name of one, too, in `base_entity`."""
    name: str
    """The field that it fills, unless that says another origin."""
    loader: Callable[..., Any] | None = None
    page_loader: Callable[..., Any] | None = None
    """For pages of pydantic-resolve's GraphQL server."""
    fk_fn: Callable[..., Any] | None = None
    """Makes the key of what the field has."""
    fk_none_default: Any | None = None
    """What a null key gives."""
    fk_none_default_factory: Callable[[], Any] | None = None
    load_many: bool = False
    """The field has many keys."""
    load_many_fn: Callable[[Any], Any] | None = None
    """Makes the keys of what the field has."""
    description: str | None = None
    sort_field: str | None = None
    default_page_size: int = 20
    max_page_size: int = 100

    @property
    def is_list_relationship(self) -> bool:
        """Whether it gives lists."""
        return is_list(self.target)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if {"fk_none_default", "fk_none_default_factory"} <= self.model_fields_set:
            raise ValueError("fk_none_default and fk_none_default_factory cannot both be defined")
        return self

    def load(self, node: Any, loader: Any) -> Any:
        """Ask a loader for what a node has the key of."""
        key = getattr(node, self.fk)
        if key is None:
            if "fk_none_default" in self.model_fields_set or self.fk_none_default_factory is None:
                return self.fk_none_default
            return self.fk_none_default_factory()
        make = self.load_many_fn if self.load_many else self.fk_fn
        key = key if make is None else make(key)
        return loader.load_many(key) if self.load_many else loader.load(key)


class Entity(BaseModel):
    """A model, and its relationships to others."""

    kls: type[BaseModel]
    relationships: list[Relationship] = Field(default_factory=list[Relationship])
    queries: list[QueryConfig] = Field(default_factory=list[QueryConfig])
    mutations: list[MutationConfig] = Field(default_factory=list[MutationConfig])

    @model_validator(mode="after")
    def _check(self) -> Self:
        known: set[str] = set()
        for relationship in self.relationships:
            if relationship.name in known:
                raise ValueError(f"Duplicate name detected in {self.kls.__name__}: '{relationship.name}'")
            known.add(relationship.name)
        for base, names in self._taken():
            for relationship in self.relationships:
                if relationship.name in names:
                    whose = "scalar field" if base is self.kls else f"inherited field from {base.__name__}"
                    raise ValueError(
                        f"Name conflict in {self.kls.__name__}: '{relationship.name}' - relationship name conflicts "
                        f"with {whose}. Relationship(fk={relationship.fk}), target={relationship.target}"
                    )
        return self

    def _taken(self) -> Iterator[tuple[type, set[str]]]:
        """The names that the class and its bases have for fields, as far as their annotations can be evaluated."""
        for base in self.kls.__mro__:
            with contextlib.suppress(Exception):
                yield base, set(get_type_hints(base))

    def merged(self, other: Entity) -> Entity:
        """The same with the relationships, queries and mutations of another one of this class."""
        known = {relationship.name for relationship in self.relationships}
        for relationship in other.relationships:
            if relationship.name in known:
                raise ValueError(
                    f"Duplicate relationship name detected in {self.kls.__name__}: '{relationship.name}'"
                )
            known.add(relationship.name)
        _check_operations("query", self.kls, self.queries, other.queries)
        _check_operations("mutation", self.kls, self.mutations, other.mutations)
        return Entity(
            kls=self.kls,
            relationships=[*self.relationships, *other.relationships],
            queries=[*self.queries, *other.queries],
            mutations=[*self.mutations, *other.mutations],
        )


def _check_operations(
    kind: str,
    kls: type,
    known: Sequence[QueryConfig | MutationConfig],
    added: Iterable[QueryConfig | MutationConfig],
) -> None:
    methods = {config.method.__name__ for config in known}
    operations = {config.name or config.method.__name__ for config in known}
    for config in added:
        method = config.method.__name__
        operation = config.name or method
        if method in methods:
            raise ValueError(f"Duplicate {kind} method detected in {kls.__name__}: '{method}'")
        if operation in operations:
            raise ValueError(f"Duplicate {kind} operation name detected in {kls.__name__}: '{operation}'")
        methods.add(method)
        operations.add(operation)
