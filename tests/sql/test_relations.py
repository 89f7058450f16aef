"""Look-ups of relationships give what the ORM's own lazy loads give, for every kind of relationship there is."""

from __future__ import annotations

from typing import Any

import pytest
import zoo
from databases import Database
from sqlalchemy import inspect, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import configure_mappers

from dloader import LoaderRegistry
from dloader.sqlalchemy import Related

configure_mappers()
MAPPERS = sorted(
    zoo.Base.registry.mappers, key=lambda mapper: mapper.class_.__name__
)  # a set: of another order each time
RELATIONSHIPS = [(mapper.class_, each.key) for mapper in MAPPERS for each in mapper.relationships]
RELATIONSHIPS += [(zoo.Member, "projects"), (zoo.Role, "likes")]


@pytest.fixture(scope="module")
def filled(database: Database) -> Database:
    """A database with all rows of the zoo."""
    database.fill(zoo.Base, zoo.ROWS)
    return database


def key_of(entity: Any, names: tuple[str, ...]) -> Any:
    values = tuple(getattr(entity, name) for name in names)
    return values[0] if len(values) == 1 else values


def plain(found: Any) -> Any:
    return list(found) if hasattr(found, "append") else found


def identities(entities: Any) -> list[Any]:
    return [inspect(entity).identity for entity in entities]


@pytest.mark.parametrize(("cls", "name"), RELATIONSHIPS, ids=lambda each: getattr(each, "__name__", each))
def test_what_a_look_up_gives_is_what_a_lazy_load_gives(filled, cls, name):
    """For all parents at once, in one statement; in the same order, with the same duplicates."""
    marker = Related(getattr(cls, name))
    relation = marker.lookup.relation

    async def law(loaders: LoaderRegistry, session: AsyncSession) -> None:
        def lazily(sync: Any) -> dict[Any, Any]:
            parents = sync.scalars(select(cls).order_by(*inspect(cls).primary_key)).all()
            return {key_of(each, relation.keys): plain(getattr(each, name)) for each in parents}

        wanted = await session.run_sync(lazily)
        wanted.pop(None, None)
        keys = [key for key in wanted if not (isinstance(key, tuple) and None in key)]
        filled.statements.clear()
        found = await loaders.get(marker).load_many(keys)
        assert len(filled.statements) == 1
        primary_key = [
            inspect(relation.mapper.class_).get_property_by_column(c).key for c in relation.mapper.primary_key
        ]
        for key, rows in zip(keys, found, strict=True):
            many = rows if relation.many else [rows] if rows else []
            entities = wanted[key] if relation.many else [wanted[key]] if wanted[key] else []
            ours = [tuple(row[each] for each in primary_key) for row in many]
            if relation.order_by:
                assert ours == identities(entities)
            assert sorted(ours) == sorted(identities(entities))
            known = {inspect(entity).identity: entity for entity in entities}
            for identity, row in zip(ours, many, strict=True):
                assert all(getattr(known[identity], column) == value for column, value in row.items())

    filled.ask(law)


def test_a_relationship_by_a_subclass_is_that_of_the_class(filled):
    """Whichever was asked for first."""

    async def law(loaders: LoaderRegistry, session: AsyncSession) -> None:
        for cls, keys in ((zoo.Dog, [2, 5]), (zoo.Animal, [1, 2, 3]), (zoo.Cat, [4])):
            loader = loaders.get(Related(cls.older))
            assert loader.name == "Animal.older"
            found = await loader.load_many(keys)
            assert [len(rows) for rows in found] == [key - 1 for key in keys]

    filled.ask(law)
