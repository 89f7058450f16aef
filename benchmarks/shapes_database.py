"""End to end: the same nested response from a database, on SQLite and on PostgreSQL, built in several ways.

Each run has an engine of its own (connections belong to an event loop); a first, untimed build opens its
connection and fills its cache of compiled statements.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Iterator
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
    with tempfile.TemporaryDirectory() as folder:
        if peers.load("aiosqlite"):
            yield from _on("SQLite", f"sqlite+aiosqlite:///{Path(folder) / 'bench.db'}", settings.companies)
    if peers.load("asyncpg"):
        yield from _on("PostgreSQL", POSTGRES, settings.companies)


def _on(database: str, url: str, companies: int) -> Iterator[Shape]:
    from benchmarks import database_schema as schema

    try:
        asyncio.run(_at(url, partial(schema.fill, companies=companies)))
    except OSError as error:
        peers.missing[database] = f"needs a server: {error}"
        return
    try:
        contestants = list(_contestants(url))
        nodes = schema.nodes(companies)
        name = f"nested response from {database}"
        yield Shape("database", name, nodes, "node", contestants, list(_targets(contestants)), _dump)
    finally:
        asyncio.run(_at(url, schema.drop))


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
        await way(engine)
        cpu, begun = time.process_time(), time.perf_counter()
        output = await way(engine)
        seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
        event.listen(engine.sync_engine, "before_cursor_execute", count)
        await way(engine)
        return Timed(output, seconds, {"statements": statements}, cpu)
    finally:
        await engine.dispose()


def _dump(output: Any) -> Any:
    """The same fields of all, in whatever class they stand."""

    def office(office: Any) -> Any:
        members = [(m.id, m.name, m.manager_id, m.manager and m.manager.model_dump()) for m in office.members]
        return office.id, office.city, members

    return [(company.id, company.name, [office(one) for one in company.offices]) for company in output]
