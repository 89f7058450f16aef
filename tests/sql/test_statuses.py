"""Over real HTTP: each exception of the table in docs/fastapi.md reaches its handler, with the status that it says."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import sqlalchemy.exc
import zoo
from databases import Database
from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from serving import serving
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.pool import AsyncAdaptedQueuePool
from zoo import Office

from dloader import (
    BatchResultError,
    CursorError,
    KeyTypeError,
    LoaderClosedError,
    LoaderParamError,
    LoaderRegistry,
    MissingKeyError,
    OptionError,
    PlanError,
)
from dloader.fastapi import loaders
from dloader.resolver import Resolver
from dloader.sqlalchemy import ByKey, Related

DOCS = Path(__file__, "../../../docs/fastapi.md").resolve().read_text("utf-8")
HANDLED: dict[type[Exception], int] = {
    MissingKeyError: 404,
    CursorError: 422,
    KeyTypeError: 422,
    BatchResultError: 502,
    LoaderClosedError: 503,
    TimeoutError: 504,
    sqlalchemy.exc.TimeoutError: 503,
}


class Boss(BaseModel):
    office: Annotated[dict[str, Any], ByKey(Office, by="office_id")]


class Wrong(BaseModel):
    nobody: Annotated[Boss, Related(Office.members)]


async def returns_nonsense(keys: list[int]) -> Any:
    return 3


async def missing(loaders: LoaderRegistry, _: AsyncSession) -> Any:
    return await Resolver(registry=loaders).resolve({"office_id": 99}, into=Boss)


async def cursor(loaders: LoaderRegistry, _: AsyncSession) -> Any:
    return await loaders.get(Related(Office.members)).page(1, first=1, after="abc")


async def key(loaders: LoaderRegistry, _: AsyncSession) -> Any:
    return await loaders.get(ByKey(Office)).load(10**30)


async def param(loaders: LoaderRegistry, _: AsyncSession) -> Any:
    return loaders.get(ByKey(Office, session="replica"))


async def plan(loaders: LoaderRegistry, _: AsyncSession) -> Any:
    return await Resolver(registry=loaders).resolve({"id": 1}, into=Wrong)


async def option(loaders: LoaderRegistry, _: AsyncSession) -> Any:
    return await loaders.get(Related(Office.members)).page(1)


async def result(loaders: LoaderRegistry, _: AsyncSession) -> Any:
    return await loaders.get(returns_nonsense).load(1)


async def closed(loaders: LoaderRegistry, _: AsyncSession) -> Any:
    await loaders.aclose()
    return await loaders.get(ByKey(Office)).load(1)


async def timeout(loaders: LoaderRegistry, _: AsyncSession) -> Any:
    async with asyncio.timeout(0):
        return await loaders.get(ByKey(Office)).load(1)


async def pool(loaders: LoaderRegistry, session: AsyncSession) -> Any:
    await session.connection()  # the only one that there is
    return await loaders.get(ByKey(Office, session="maker")).load(1)


async def lost(loaders: LoaderRegistry, session: AsyncSession) -> Any:
    number = await session.scalar(select(func.pg_backend_pid()))
    return await loaders.get(Related(Office.members, where=func.pg_terminate_backend(number))).load(1)


async def refused(loaders: LoaderRegistry, _: AsyncSession) -> Any:
    return await loaders.get(Related(Office.members, where=text("nowhere = 1"))).load(1)


CASES: list[tuple[Any, type[Exception], int]] = [
    (missing, MissingKeyError, 404),
    (cursor, CursorError, 422),
    (key, KeyTypeError, 422),
    (param, LoaderParamError, 500),
    (plan, PlanError, 500),
    (option, OptionError, 500),
    (result, BatchResultError, 502),
    (closed, LoaderClosedError, 503),
    (timeout, TimeoutError, 504),
    (pool, sqlalchemy.exc.TimeoutError, 503),
    (lost, sqlalchemy.exc.DBAPIError, 503),
    (refused, sqlalchemy.exc.DBAPIError, 500),
]


def test_the_table_names_what_is_tested():
    """With each status."""
    rows = re.findall(r"^\| (`.*?)\|.*\|(.*)\|$", DOCS.partition("## Which status")[2], re.MULTILINE)
    said = {
        (name.rpartition(".")[2], int(status))
        for names, statuses in rows
        for name in re.findall("`(.*?)`", names)
        for status in re.findall(r"\d{3}", statuses)
    }
    tested = {(kind.__name__, status) for _, kind, status in CASES}
    assert tested <= said
    assert {name for name, _ in said} == {name for name, _ in tested}


def test_each_over_http(postgresql: Database):
    """And the service works on after each of them."""
    postgresql.fill(zoo.Base, zoo.ROWS)

    async def law(engine: AsyncEngine) -> None:
        async def get_session() -> AsyncIterator[AsyncSession]:
            async with AsyncSession(engine) as session:
                yield session

        seen: list[BaseException] = []

        async def answer(_: Request, error: Exception) -> JSONResponse:
            seen.append(error)
            status = HANDLED.get(type(error), 500)
            if isinstance(error, sqlalchemy.exc.DBAPIError) and error.connection_invalidated:
                status = 503
            return JSONResponse({"detail": type(error).__name__}, status)

        handled = [*HANDLED, LoaderParamError, PlanError, OptionError, sqlalchemy.exc.DBAPIError]
        app = FastAPI(exception_handlers=dict.fromkeys(handled, answer))
        # Closed before the answer is sent, so that the one connection is free for the next request.
        of_request = Depends(get_session, scope="function")
        registry = Depends(loaders(session=of_request, maker=async_sessionmaker(engine)), scope="function")

        @app.get("/{number}")
        async def route(
            number: int,
            loaders: Annotated[LoaderRegistry, registry],
            session: Annotated[AsyncSession, of_request],
        ) -> Any:
            return await CASES[number][0](loaders, session)

        @app.get("/")
        async def fine(loaders: Annotated[LoaderRegistry, registry]) -> Any:
            return (await loaders.get(ByKey(Office)).load(1)).city

        async with serving(app) as client:
            for number, (case, kind, status) in enumerate(CASES):
                found = await client.get(f"/{number}")
                assert isinstance(seen[-1], kind), case
                assert found.status_code == status, case
                assert (await client.get("/")).json() == "Oslo"
        assert len(seen) == len(CASES)

    postgresql.run(law, poolclass=AsyncAdaptedQueuePool, pool_size=1, max_overflow=0, pool_timeout=0.01)
