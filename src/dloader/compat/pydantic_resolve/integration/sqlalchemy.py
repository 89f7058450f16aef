"""Entities and their relationships, read from classes that SQLAlchemy maps.

Needs SQLAlchemy: ``pip install "dloader[sqlalchemy]"``. Loaders for pages, which pydantic-resolve's GraphQL server
uses, are not made.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias

from pydantic import BaseModel
from sqlalchemy import ColumnElement, inspect, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import MANYTOMANY, MANYTOONE, Mapper, RelationshipProperty, load_only

from dloader.compat.aiodataloader import DataLoader
from dloader.compat.pydantic_resolve._relationship import Entity, Relationship
from dloader.compat.pydantic_resolve.integration.mapping import Mapping, entities_by_orm

__all__ = ("build_relationship",)

_logger = logging.getLogger("dloader")
_Filters: TypeAlias = Callable[[type], "list[Any] | None"]
_SessionFactory: TypeAlias = Callable[[], AbstractAsyncContextManager[AsyncSession]]


def build_relationship(
    *, mappings: list[Mapping], session_factory: _SessionFactory, default_filter: _Filters | None = None
) -> list[Entity]:
    """Make the entities of a diagram out of mapped classes: a relationship, and its loader, for each of theirs.

    Args:
        mappings: The response models, and the mapped classes that they stand for. A relationship to a class that has no
            model is left out.
        session_factory: Gives an async session for each batch.
        default_filter: For a mapped class, conditions for all its rows.

    Raises:
        ValueError: A mapping cannot be used, or a model requires a field that is no column.
        TypeError: A model or filter is none.
        NotImplementedError: A relationship has a key of several columns.
    """
    entities = entities_by_orm(mappings)
    filters = {mapping.orm: mapping.filters for mapping in mappings}

    def conditions(orm: type) -> list[Any]:
        given = filters[orm]
        return _checked(orm, default_filter) if given is None else given

    found: list[Entity] = []
    for orm, entity in entities.items():
        mapper: Mapper[Any] = inspect(orm)
        _check_fields(entity, mapper)
        relations = [
            _Relation(relation, entities[relation.mapper.class_], session_factory, conditions)
            for relation in mapper.relationships
            if _is_mapped(relation, entities)
        ]
        if relations:
            found.append(Entity(kls=entity, relationships=[relation.described() for relation in relations]))
    return found


def _checked(orm: type, default_filter: _Filters | None) -> list[Any]:
    given = None if default_filter is None else default_filter(orm)
    if given is not None and not _is_list(given):
        raise TypeError(f"default_filter({orm.__name__}) must return list, got {type(given).__name__}")
    return given or []


def _is_list(given: object) -> bool:
    return isinstance(given, list)


def _is_mapped(relation: RelationshipProperty[Any], entities: dict[type, type[BaseModel]]) -> bool:
    target = relation.mapper.class_
    if target not in entities:
        _logger.warning(
            "Skipping relationship %s: target ORM %s is not in mappings", relation, target.__name__
        )
    return target in entities


def _check_fields(entity: type[BaseModel], mapper: Mapper[Any]) -> None:
    columns = {attribute.key for attribute in mapper.column_attrs}
    missing = [
        name for name, field in entity.model_fields.items() if field.is_required() and name not in columns
    ]
    if missing:
        raise ValueError(
            f"Required DTO fields not found in ORM scalar fields for mapping {entity.__name__} -> "
            f"{mapper.class_.__name__}: {', '.join(sorted(missing))}"
        )


class _Relation:
    """How the rows of a relationship are loaded; lives as long as its loader class."""

    def __init__(
        self,
        relation: RelationshipProperty[Any],
        entity: type[BaseModel],
        sessions: _SessionFactory,
        conditions: Callable[[type], list[Any]],
    ) -> None:
        self._relation = relation
        self._entity = entity
        self._sessions = sessions
        self._target = relation.mapper
        self._conditions = conditions(relation.mapper.class_)
        self._is_many = relation.uselist is not False and relation.direction is not MANYTOONE
        if relation.direction is MANYTOMANY:
            self._own, self._own_there = self._pair("source", relation.synchronize_pairs)
            self._matched, self._matched_there = self._pair("target", relation.secondary_synchronize_pairs)
        else:
            self._own, self._matched = self._pair("FK", relation.local_remote_pairs)

    def _pair(self, what: str, pairs: Iterable[tuple[Any, Any]] | None) -> tuple[Any, Any]:
        every = list(pairs or ())
        if len(every) != 1:
            raise NotImplementedError(
                f"Composite {what} is not supported for {self._relation.direction.name}: {self._relation}"
            )
        return every[0]

    def described(self) -> Relationship:
        """The relationship, with a loader class of its own."""
        relation = self._relation
        kind = (
            "M2M" if relation.direction is MANYTOMANY else "M2O" if relation.direction is MANYTOONE else "O2M"
        )
        kind = kind if self._is_many or kind == "M2O" else "RO2O"
        words = re.sub(r"\W+", "_", f"{relation.parent.class_.__name__}_{relation.key}")
        name = f"SA_{words}_{kind}"

        async def batch_load_fn(loader: DataLoader[Any, Any], keys: list[Any]) -> Sequence[Any]:
            return await self.load(keys, loader.requested.fields or list(self._entity.model_fields))

        body = {"batch_load_fn": batch_load_fn, "__module__": __name__, "__qualname__": name}
        return Relationship(
            fk=relation.parent.get_property_by_column(self._own).key,
            target=list[self._entity] if self._is_many else self._entity,  # type: ignore[name-defined]
            name=relation.key,
            loader=type(name, (DataLoader,), body),
            sort_field=self._sort_field() if self._is_many else None,
            description=relation.doc or None,
        )

    def _sort_field(self) -> str | None:
        columns: Any = self._relation.order_by or ()
        if len(columns) > 1:
            raise ValueError(
                f"Only single-column sorting is supported, got {len(columns)} columns: {self._relation}"
            )
        return columns[0].key if columns else None

    async def load(self, keys: list[Any], fields: Sequence[str]) -> Sequence[Any]:
        """Load what belongs to each key."""
        async with self._sessions() as session:
            if self._relation.direction is MANYTOMANY:
                rows = await self._load_by_table(session, keys, fields)
            else:
                matched = self._target.get_property_by_column(self._matched).key
                rows = [(getattr(row, matched), row) for row in await self._rows(session, keys, fields)]
        found: dict[Any, list[Any]] = {}
        for key, row in rows:
            found.setdefault(key, []).append(row)
        if self._is_many:
            return [found.get(key, []) for key in keys]
        return [found[key][-1] if key in found else None for key in keys]

    async def _load_by_table(
        self, session: AsyncSession, keys: list[Any], fields: Sequence[str]
    ) -> list[tuple[Any, Any]]:
        """Rows by the keys that a table between the two has for them."""
        statement = select(self._own_there, self._matched_there).where(self._own_there.in_(keys))
        pairs = (await session.execute(statement)).all()
        others = list(dict.fromkeys(other for _, other in pairs))
        matched = self._target.get_property_by_column(self._matched).key
        if not others:
            return []
        by_key = {getattr(row, matched): row for row in await self._rows(session, others, fields)}
        return [(key, by_key[other]) for key, other in pairs if other in by_key]

    async def _rows(self, session: AsyncSession, keys: list[Any], fields: Sequence[str]) -> Sequence[Any]:
        """The rows of the target that have these keys, with the columns of these fields."""
        column: ColumnElement[Any] = self._matched
        wanted = [*fields, self._target.get_property_by_column(self._matched).key]
        attributes = [
            getattr(self._target.class_, name)
            for name in dict.fromkeys(wanted)
            if name in self._target.column_attrs
        ]
        statement = select(self._target.class_).options(load_only(*attributes))
        found: Sequence[Any] = (
            await session.scalars(statement.where(column.in_(keys), *self._conditions))
        ).all()
        return found
