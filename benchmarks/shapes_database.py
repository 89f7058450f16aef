"""End to end: the same nested response from a database, on SQLite and on PostgreSQL, built in several ways.

Each run has an engine of its own (connections belong to an event loop); a first, untimed build opens its
connection, fills its cache of compiled statements and counts the statements.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import peers
from benchmarks.shape import Contestant, Settings, Shape, Target, Timed

__all__ = ("shapes",)

OURS, METHODS, ORM, PEER = (
    "dloader, Load",
    "dloader, sync methods",
    "SQLAlchemy selectinload",
    "pydantic-resolve",
)
JOIN, NAIVE = "by hand, one join", "naive, one query per row"
POSTGRES = os.environ.get("DLOADER_POSTGRES", "postgresql+asyncpg://postgres@127.0.0.1:5432/test")


def shapes(settings: Settings) -> Iterator[Shape]:
    """A shape per database that is there."""
    if not (peers.load("sqlalchemy") and peers.load("greenlet")):
        return
    if peers.load("aiosqlite"):
        file = Path(tempfile.gettempdir()) / f"dloader-bench-{os.getpid()}.db"
        yield _on("SQLite", f"sqlite+aiosqlite:///{file}", settings.companies, file)
    if peers.load("asyncpg"):
        try:
            asyncio.run(_at(POSTGRES, lambda _: None))
        except Exception as error:  # no server, no such user, no such database
            peers.missing["PostgreSQL"] = f"needs a server: {error}"
        else:
            yield _on("PostgreSQL", POSTGRES, settings.companies)


def _on(database: str, url: str, companies: int, file: Path | None = None) -> Shape:
    from benchmarks import database_schema as schema

    @contextmanager
    def tables() -> Iterator[None]:
        asyncio.run(_at(url, partial(schema.fill, companies=companies)))
        try:
            yield
        finally:
            asyncio.run(_at(url, schema.drop))
            if file is not None:
                file.unlink()

    contestants, nodes = list(_contestants(url)), schema.nodes(companies)
    name, targets = f"nested response from {database}", list(_targets(contestants))
    return Shape("database", name, nodes, "node", contestants, targets, _dump, around=tables)


async def _at(url: str, work: Any) -> None:
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(url)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(work)
    finally:
        await engine.dispose()


def _contestants(url: str) -> Iterator[Contestant]:
    from benchmarks import database_ways as ways, libraries

    def contestant(name: str, way: Any) -> Contestant:
        return Contestant(name, partial(_build, url, way))

    yield contestant(OURS, ways.resolved(libraries.DLOADER, ways.declared()))
    yield contestant(METHODS, ways.resolved(libraries.DLOADER, ways.with_methods(libraries.DLOADER)))
    yield contestant(ORM, ways.orm)
    yield contestant(JOIN, ways.joined)
    yield contestant(NAIVE, ways.naive)
    if peer := libraries.pydantic_resolve():
        yield contestant(PEER, ways.resolved(peer, ways.with_methods(peer)))


def _targets(contestants: list[Contestant]) -> Iterator[Target]:
    for ours in (OURS, METHODS):
        yield Target(ours, (ORM,), 1.0)
        yield Target(ours, (ORM,), 1.0, of="cpu")
        if any(one.name == PEER for one in contestants):
            yield Target(ours, (PEER,), 1.0)


async def _build(url: str, way: Any, _: None) -> Timed:
    from sqlalchemy import event
    from sqlalchemy.ext.asyncio import create_async_engine

    statements = 0

    def count(*_: object) -> None:
        nonlocal statements
        statements += 1

    engine = create_async_engine(url)
    try:
        async with engine.connect():
            pass  # what a driver asks of a new connection is no part of the response
        event.listen(engine.sync_engine, "before_cursor_execute", count)
        await way(engine)
        event.remove(engine.sync_engine, "before_cursor_execute", count)
        cpu, begun = time.process_time(), time.perf_counter()
        output = await way(engine)
        seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
        return Timed(output, seconds, {"statements": statements}, cpu)
    finally:
        await engine.dispose()


def _dump(output: Any) -> Any:
    """The same fields of all, in whatever class they stand."""

    def office(office: Any) -> Any:
        members = [(m.id, m.name, m.manager_id, m.manager and m.manager.model_dump()) for m in office.members]
        return office.id, office.city, members

    return [(company.id, company.name, [office(one) for one in company.offices]) for company in output]
