"""``@defer`` and ``@stream``: what is kept for later keeps nothing else waiting, and is as few statements."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import berries
import pytest
import strawberry
import zoo
from databases import Database
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from loops import turns
from sqlalchemy.ext.asyncio import async_sessionmaker
from strawberry.fastapi import GraphQLRouter
from strawberry.schema.config import StrawberryConfig

from dloader.strawberry import LoaderExtension


@pytest.fixture(scope="module")
def filled(database: Database) -> Database:
    """With the rows of the zoo."""
    database.fill(zoo.Base, zoo.ROWS)
    return database


def merged(into: Any, value: Any) -> None:
    """Put what came later into what came before."""
    for name, each in value.items():
        if isinstance(each, dict) and name in into:
            merged(into[name], each)
        else:
            into[name] = each


def incremental(extension: Any) -> strawberry.Schema:
    """The schema of the zoo, whose operations may have ``@defer``."""
    return strawberry.Schema(
        berries.Query,
        extensions=[extension],
        types=[berries.Creature, berries.Cat, berries.Dog],
        config=StrawberryConfig(enable_experimental_incremental_execution=True),
    )


async def each_part(result: Any) -> AsyncIterator[Any]:
    """The parts of what `execute` or `stream` returned."""
    if hasattr(result, "initial_result"):
        yield result.initial_result
        result = result.subsequent_results
    async for part in result:
        yield part


async def put_together(result: Any, first: Callable[[], None] = lambda: None) -> tuple[Any, list[Any]]:
    """The data of all parts, and their errors; `first` is called after the first part."""
    places: dict[str, list[Any]] = {}
    errors: list[Any] = []
    data: Any = None
    async for part in each_part(result):
        if data is None:
            data = part.data
            errors += part.errors or []
            first()
        for pending in getattr(part, "pending", None) or ():
            places[pending.id] = pending.path
        for later in getattr(part, "incremental", None) or ():
            here: Any = data
            for step in (*places[later.id], *(later.sub_path or ())):
                here = here[step]
            if hasattr(later, "items"):
                here += later.items
            else:
                merged(here, later.data)
        for done in getattr(part, "completed", None) or ():
            errors += done.errors or []
    return data, errors


def parts(database: Database, query: str) -> tuple[Any, list[str], list[str], list[Any]]:
    """An answer put together from its parts; the statements before the first and after it; and all errors."""

    async def main(engine):
        async with async_sessionmaker(engine)() as session:
            context = await session.run_sync(berries.context_of)
        schema = incremental(LoaderExtension({"session": async_sessionmaker(engine)}))
        database.statements.clear()
        before: list[str] = []
        result = await schema.stream(query, context_value=context)
        data, errors = await put_together(result, lambda: before.extend(database.selects))
        return data, before, database.selects[len(before) :], errors

    return database.run(main)


class TestDefer:
    @pytest.mark.parametrize(
        ("query", "first", "later"),
        [
            pytest.param("{ offices { id ... @defer { city members { name } } } }", 0, 1, id="at the top"),
            pytest.param(
                "{ offices { members { name ... @defer { manager { name hello } } } } }", 1, 1, id="below"
            ),
            pytest.param(
                "{ offices { members { ...F @defer } } } fragment F on Member { tags { word members { id } } }",
                1,
                2,
                id="with more below",
            ),
            pytest.param(
                "{ offices { members { name } ... @defer { members { salary manager { name } } } } }",
                2,  # the field that is asked for is not told which of its places are deferred
                0,
                id="merged with what is not",
            ),
            pytest.param(
                "{ offices { members { manager { id } ... @defer { manager { name tags { id } } } } } }",
                2,
                1,
                id="merged with what is not, below",
            ),
            pytest.param(
                "{ offices { page(first: 2) { edges { node { id ... @defer { reports { id } } } } } } }",
                1,
                1,
                id="in pages",
            ),
            pytest.param(
                "{ owners { animals { id ... on Cat @defer { toys { id } } } } }", 1, 1, id="of some types"
            ),
            pytest.param(
                "{ offices { members { name ... @defer(if: false) { manager { name } } } } }",
                2,
                0,
                id="if not",
            ),
        ],
    )
    def test_what_is_kept_for_later_is_loaded_later(self, filled, query, first, later):
        """By one statement for all parents; together it is what it is without the directive."""
        data, before, after, errors = parts(filled, query)
        assert errors == []
        assert (len(before), len(after)) == (first, later)
        plain = query.replace(" @defer(if: false)", "").replace(" @defer", "")
        assert data == filled.run(lambda engine: berries.ask(engine, plain)).data


class TestStream:
    def test_items_of_a_related_field_are_one_statement(self, filled):
        """With what is below them."""
        query = "{ offices { members @stream(initialCount: 1) { name manager { name } } } }"
        data, before, after, errors = parts(filled, query)
        assert errors == []
        assert (len(before), len(after)) == (2, 0)
        plain = query.replace(" @stream(initialCount: 1)", "")
        assert data == filled.run(lambda engine: berries.ask(engine, plain)).data


class TestExecuted:
    """What Strawberry executes itself, as its views do; it ends its extensions with the first part."""

    QUERY = "{ offices(first: 2) { id ... @defer { members { name ... @defer { manager { name } } } } } }"

    def test_the_registry_is_open_until_the_last_part(self, filled):
        """And is closed when the answer is let go of."""
        opened: list[str] = []

        async def main(engine):
            @asynccontextmanager
            async def params(_: object) -> AsyncIterator[dict[str, Any]]:
                opened.append("opened")
                yield {"session": async_sessionmaker(engine)}
                opened.append("closed")

            async with async_sessionmaker(engine)() as session:
                context = await session.run_sync(berries.context_of)
            schema = incremental(LoaderExtension(params))
            results: Any = [
                await schema.execute(self.QUERY, context_value=context),
                await schema.execute(self.QUERY, context_value=dict(context)),
            ]
            answers = [await put_together(result) for result in results]
            assert opened == ["opened"] * 2
            results.clear()
            await turns(5)
            assert opened == ["opened"] * 2 + ["closed"] * 2
            return answers

        query = self.QUERY.replace(" @defer", "")
        whole = filled.run(lambda engine: berries.ask(engine, query)).data
        assert filled.run(main) == [(whole, [])] * 2

    def test_it_is_closed_if_nobody_asks_for_the_rest(self, filled):
        """Also by a loop that ends first: there is nobody left who could."""
        closed: list[bool] = []

        async def main(engine, is_kept):
            @asynccontextmanager
            async def params(_: object) -> AsyncIterator[dict[str, Any]]:
                yield {"session": async_sessionmaker(engine)}
                closed.append(True)

            async with async_sessionmaker(engine)() as session:
                context = await session.run_sync(berries.context_of)
            result: Any = await incremental(LoaderExtension(params)).execute(
                self.QUERY, context_value=context
            )
            assert len(result.initial_result.data["offices"]) == 2
            if is_kept:
                return result
            del result
            gc.collect()
            await turns(5)
            return None

        assert filled.run(lambda engine: main(engine, is_kept=False)) is None
        assert closed == [True]
        kept = [filled.run(lambda engine: main(engine, is_kept=True))]
        kept.clear()
        gc.collect()
        assert closed == [True]

    def test_over_http(self, filled):
        """As a client reads it."""

        async def main(engine):
            async with async_sessionmaker(engine)() as session:
                context = await session.run_sync(berries.context_of)
            app = FastAPI()
            schema = incremental(LoaderExtension({"session": async_sessionmaker(engine)}))
            app.include_router(
                GraphQLRouter(schema, context_getter=lambda: dict.copy(context)), prefix="/graphql"
            )
            async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
                accept = {"accept": "multipart/mixed"}
                answer = await client.post("/graphql", json={"query": self.QUERY}, headers=accept)
            await turns(5)  # Strawberry leaves its generators to the loop
            return answer.text

        text = filled.run(main)
        assert '"errors"' not in text
        assert '"manager":{"name":' in text
