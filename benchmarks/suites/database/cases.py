"""End to end: the same nested response from a database, built in several ways.

The loaders are written by hand, on SQLite and PostgreSQL, or those of mapped classes (`mapped`), on MariaDB too, for
one company and for many. Each run has an engine of its own (connections belong to an event loop); a first, untimed
build opens its connection, fills its cache of compiled statements and counts the statements.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness.case import Case, Settings, Target, Timed, Way
from benchmarks.peers import packages as peers

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

OURS, METHODS, ORM, PEER = (
    "dloader, Load",
    "dloader, sync methods",
    "SQLAlchemy selectinload",
    "pydantic-resolve",
)
JOIN, NAIVE = "by hand, one join", "naive, one query per row"
RELATED, BY_LEVEL = "dloader, Related", "by hand, one query per level"
IN_JSON = "json_agg, one document"
FIELDS, LOADERS = "dloader, related", "Strawberry's DataLoaders, by hand"
POSTGRES = os.environ.get("DLOADER_POSTGRES", "postgresql+asyncpg://postgres@127.0.0.1:5432/test")
MARIADB = os.environ.get("DLOADER_MARIADB", "mysql+asyncmy://root@127.0.0.1:3306/test")


def cases(settings: Settings) -> Iterator[Case]:
    """Cases for each database that is there."""
    if not (peers.load("sqlalchemy") and peers.load("greenlet")):
        return
    mapped = peers.load("dloader.sqlalchemy") is not None
    for database, url in _databases():
        if database != "MariaDB":
            yield _on(database, url, settings.companies)
        for companies in settings.roots if mapped else ():
            yield _mapped_on(database, url, companies)
        if mapped and peers.load("strawberry"):
            yield _graphql_on(database, url, settings.companies)


def _databases() -> Iterator[tuple[str, str]]:
    """Names and addresses."""
    if peers.load("aiosqlite"):
        yield (
            "SQLite",
            f"sqlite+aiosqlite:///{Path(tempfile.gettempdir()) / f'dloader-bench-{os.getpid()}.db'}",
        )
    for name, driver, url in (("PostgreSQL", "asyncpg", POSTGRES), ("MariaDB", "asyncmy", MARIADB)):
        if peers.load(driver):
            try:
                asyncio.run(_at(url, lambda _: None))
            except Exception as error:  # no server, no such user, no such database
                peers.missing[name] = f"needs a server: {error}"
            else:
                yield name, url


def _on(database: str, url: str, companies: int) -> Case:
    from benchmarks.suites.database import schema

    ways, nodes = list(_ways(url)), schema.nodes(companies)
    name, targets = f"nested response from {database}", list(_targets(ways))
    return Case("database", name, nodes, "node", ways, targets, _dump, around=_tables(url, companies))


def _mapped_on(database: str, url: str, companies: int) -> Case:
    from benchmarks.suites.database import schema

    nodes = schema.nodes(companies)
    # One of a hundred nodes takes some milliseconds: as many in a row as make a figure of it.
    ways = list(_mapped_ways(url, times=max(1, 4_000 // nodes)))
    name = f"mapped classes, {companies:,} {'company' if companies == 1 else 'companies'} from {database}"
    most = 1.0 if companies < 10 else 0.6
    targets = [
        Target(RELATED, (other,), at_most, of)
        for other, at_most in ((ORM, most), (BY_LEVEL, 1.25))
        for of in ("time", "cpu")
    ]
    return Case("database", name, nodes, "node", ways, targets, _dump, around=_tables(url, companies))


def _graphql_on(database: str, url: str, companies: int) -> Case:
    from benchmarks.suites.database import graphql, schema

    ways = [
        Way(name, partial(_build, url, build))
        for name, build in ((FIELDS, graphql.filled), (LOADERS, graphql.loaded))
    ]
    targets = [Target(FIELDS, (LOADERS,), 0.6, of="cpu")]
    return Case(
        "database",
        f"nested GraphQL answer from {database}",
        schema.nodes(companies),
        "node",
        ways,
        targets,
        around=_tables(url, companies),
    )


def _tables(url: str, companies: int) -> Callable[[], AbstractContextManager[None]]:
    """The tables, filled, for as long as a case is measured."""
    from benchmarks.suites.database import schema

    @contextmanager
    def tables() -> Iterator[None]:
        asyncio.run(_at(url, partial(schema.fill, companies=companies)))
        try:
            yield
        finally:
            asyncio.run(_at(url, schema.drop))
            if url.startswith("sqlite"):
                Path(url.partition("///")[2]).unlink()

    return tables


async def _at(url: str, work: Any) -> None:
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(url)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(work)
    finally:
        await engine.dispose()


def _ways(url: str) -> Iterator[Way]:
    from benchmarks.peers import libraries
    from benchmarks.suites.database import builds

    def way(name: str, build: Any) -> Way:
        return Way(name, partial(_build, url, build))

    yield way(OURS, builds.resolved(libraries.DLOADER, builds.declared()))
    yield way(METHODS, builds.resolved(libraries.DLOADER, builds.with_methods(libraries.DLOADER)))
    yield way(ORM, builds.orm)
    yield way(JOIN, builds.joined)
    yield way(NAIVE, builds.naive)
    if peer := libraries.pydantic_resolve():
        yield way(PEER, builds.resolved(peer, builds.with_methods(peer)))


def _targets(ways: list[Way]) -> Iterator[Target]:
    for ours in (OURS, METHODS):
        yield Target(ours, (ORM,), 1.0)
        yield Target(ours, (ORM,), 1.0, of="cpu")
        if any(one.name == PEER for one in ways):
            yield Target(ours, (PEER,), 1.0)


def _mapped_ways(url: str, times: int) -> Iterator[Way]:
    from benchmarks.suites.database import mapped

    def way(name: str, build: Any) -> Way:
        return Way(name, partial(_build, url, partial(_of_session, build), times=times))

    yield way(RELATED, mapped.related)
    yield way(ORM, mapped.orm)
    yield way(BY_LEVEL, mapped.by_level)
    yield way(JOIN, mapped.joined)
    if url.startswith("postgresql"):
        yield way(IN_JSON, mapped.in_json)


async def _of_session(build: Any, engine: AsyncEngine) -> Any:
    """As a request does it."""
    from sqlalchemy.ext.asyncio import AsyncSession

    async with AsyncSession(engine) as session:
        return await build(session)


async def _build(url: str, build: Any, _: None, *, times: int = 1) -> Timed:
    """Build the response, so many times one after the other, once everything is warm."""
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
        await build(engine)
        event.remove(engine.sync_engine, "before_cursor_execute", count)
        cpu, begun = time.process_time(), time.perf_counter()
        for _time in range(times):
            output = await build(engine)
        seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
        return Timed(output, seconds / times, {"statements": statements}, cpu / times)
    finally:
        await engine.dispose()


def _dump(output: Any) -> Any:
    """The same fields of all, in whatever class they stand."""

    def office(office: Any) -> Any:
        members = [(m.id, m.name, m.manager_id, m.manager and m.manager.model_dump()) for m in office.members]
        return office.id, office.city, members

    return [(company.id, company.name, [office(one) for one in company.offices]) for company in output]
