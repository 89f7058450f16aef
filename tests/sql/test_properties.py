"""Schemas, rows, response models and arguments drawn at random: the answer is what the ORM's own lazy loads give."""

from __future__ import annotations

from typing import Any

from amounts import at_most
from databases import Database, request
from drawn_models import Filled, Model, draw_model
from drawn_schemas import Drawn, schema
from hypothesis import given, strategies as st
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import StaticPool

from dloader.resolver import Resolver
from dloader.sqlalchemy import select_for


def draw(data: Any) -> tuple[Drawn, Model, bool]:
    """A schema, a response model for one of its classes, and whether roots are entities.

    Its classes stay mapped: a `Page[Model]` may live on in caches of Pydantic's, and a bare `Page` in another test may
    hold any that there is.
    """
    drawn: Drawn = data.draw(schema())
    root: Any = data.draw(st.sampled_from(drawn.classes))
    model = draw_model(data.draw, drawn, root, data.draw(st.integers(1, 3)))
    return drawn, model, data.draw(st.booleans())


@given(data=st.data())
def test_answers_are_those_of_lazy_loads(data):
    """In as many statements as there are look-ups and levels with keys."""
    drawn, model, of_entities = draw(data)
    memory = Database("aiosqlite", "sqlite+aiosqlite://", {})
    memory.run(lambda engine: law(memory, engine, drawn, model, of_entities), poolclass=StaticPool)


@at_most(6)
@given(data=st.data())
def test_answers_are_those_of_lazy_loads_on_every_database(database, data):
    """There keys travel otherwise, pages are read in other ways, and nulls sort elsewhere."""
    drawn, model, of_entities = draw(data)

    async def on_server(engine: AsyncEngine) -> None:
        try:
            await law(database, engine, drawn, model, of_entities)
        finally:
            async with engine.begin() as connection:
                await connection.run_sync(drawn.base.metadata.drop_all)

    database.run(on_server)


async def law(database: Database, engine: AsyncEngine, drawn: Drawn, model: Model, of_entities: bool) -> None:
    async with engine.begin() as connection:
        await connection.run_sync(drawn.base.metadata.create_all)
        for table, rows in drawn.rows:
            if rows:
                await connection.execute(insert(table), rows)
    cls = model.cls
    keys = [getattr(cls, each) for each in drawn.keys[cls]]
    filled = Filled(drawn, engine.dialect.name)
    async with request(engine) as (_, session):

        def lazily(sync: Any) -> list[Any]:
            return [filled.fill(model, each) for each in sync.scalars(select(cls).order_by(*keys))]

        wanted = await session.run_sync(lazily)
    async with request(engine) as (loaders, session):
        if of_entities:
            roots: Any = (await session.scalars(select(cls).order_by(*keys))).all()
        else:
            roots = await session.execute(select_for(model.made, cls).order_by(*keys))
        database.statements.clear()
        found = await Resolver(registry=loaders).resolve(roots, into=list[model.made])
    ours = [_without_cursors(each.model_dump()) for each in found]
    assert wanted == ours
    assert len(database.selects) == filled.statements


def _without_cursors(found: Any) -> Any:
    if isinstance(found, list):
        return [_without_cursors(each) for each in found]
    if not isinstance(found, dict):
        return found
    if "has_more" in found:
        assert (
            (found.pop("start_cursor") is None) == (found.pop("end_cursor") is None) == (not found["items"])
        )
    return {name: _without_cursors(value) for name, value in found.items()}
