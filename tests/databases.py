"""Databases for the tests of `dloader.sqlalchemy`: each with a namespace of its own, and a list of what it was sent."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from loops import HANG, new_loop
from sqlalchemy import event, insert, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool

from dloader import LoaderRegistry

KINDS = ["aiosqlite", "asyncpg", "psycopg", "asyncmy"]

POSTGRESQL = os.environ.get("DLOADER_TEST_POSTGRESQL", "root@127.0.0.1:5432/test")
MARIADB = os.environ.get("DLOADER_TEST_MARIADB", "root@127.0.0.1:3306")


class Database:
    """One database; `statements` is what it was sent since it was emptied last."""

    def __init__(self, kind: str, url: str, connect_args: dict[str, Any]) -> None:
        self.kind = kind
        self.url = url
        self.connect_args = connect_args
        self.statements: list[str] = []

    @property
    def selects(self) -> list[str]:
        """The SELECTs among the statements."""
        return [each for each in self.statements if each.lstrip().startswith(("SELECT", "WITH"))]

    def engine(self, **options: Any) -> AsyncEngine:
        """A new engine."""
        options.setdefault("poolclass", NullPool)
        engine = create_async_engine(self.url, connect_args=self.connect_args, **options)

        @event.listens_for(engine.sync_engine, "before_cursor_execute")
        def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            self.statements.append(statement)

        if self.kind == "aiosqlite":
            _make_transactions_real(engine)
        return engine

    def fill(self, base: Any, rows: dict[Any, list[dict[str, Any]]]) -> None:
        """Make the tables and put rows into them."""

        async def fill(engine: AsyncEngine) -> None:
            async with engine.begin() as connection:
                await connection.run_sync(base.metadata.create_all)
            async with AsyncSession(engine) as session, session.begin():
                for table, values in rows.items():
                    await session.execute(insert(table), values)

        self.run(fill)

    def run(
        self,
        function: Callable[[AsyncEngine], Coroutine[Any, Any, Any]],
        kind: str = "asyncio",
        **options: Any,
    ) -> Any:
        """Run a coroutine function with an engine; no task may be left running."""

        async def guarded() -> Any:
            engine = self.engine(**options)
            try:
                async with asyncio.timeout(HANG):
                    result = await function(engine)
                left = asyncio.all_tasks() - {asyncio.current_task()}
                assert not left, f"left running: {left}"
                return result
            finally:
                await engine.dispose()

        self.statements.clear()
        with asyncio.Runner(loop_factory=lambda: new_loop(kind)) as runner:
            return runner.run(guarded())

    def ask(
        self, function: Callable[[LoaderRegistry, AsyncSession], Coroutine[Any, Any, Any]], **params: Any
    ) -> Any:
        """Run a coroutine function with a registry and its session."""

        async def asked(engine: AsyncEngine) -> Any:
            async with request(engine, **params) as (loaders, session):
                return await function(loaders, session)

        return self.run(asked)


@contextlib.asynccontextmanager
async def request(engine: AsyncEngine, **params: Any) -> AsyncIterator[tuple[LoaderRegistry, AsyncSession]]:
    """What one request has."""
    async with (
        AsyncSession(engine) as session,
        LoaderRegistry({"session": session, **params}) as loaders,
    ):
        yield loaders, session


def _make_transactions_real(engine: AsyncEngine) -> None:
    """Python's sqlite3 begins late, and not for savepoints: SQLAlchemy's documentation has this cure."""

    @event.listens_for(engine.sync_engine, "connect")
    def begin_by_hand(connection: Any, _record: Any) -> None:
        connection.isolation_level = None

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN")


def namespace(kind: str, folder: Path) -> Iterator[Database]:
    """A database for a module of tests; skips them if there is none."""
    name = f"dloader_{uuid4().hex[:12]}"
    if kind == "aiosqlite":
        yield Database(kind, f"sqlite+aiosqlite:///{folder / name}.db", {})
    elif kind == "asyncmy":
        server = Database(kind, f"mysql+asyncmy://{MARIADB}/", {})
        made = _made(server, f"CREATE DATABASE {name}")
        yield from made
        yield Database(kind, f"mysql+asyncmy://{MARIADB}/{name}?charset=utf8mb4", {})
        _execute(server, f"DROP DATABASE {name}")
    else:
        url = f"postgresql+{kind}://{POSTGRESQL}"
        server = Database(kind, url, {})
        yield from _made(server, f"CREATE SCHEMA {name}")
        path = (
            {"server_settings": {"search_path": name}}
            if kind == "asyncpg"
            else {"options": f"-csearch_path={name}"}
        )
        yield Database(kind, url, path)
        _execute(server, f"DROP SCHEMA {name} CASCADE")


def _made(server: Database, statement: str) -> Iterator[Database]:
    try:
        _execute(server, statement)
    except Exception as error:
        pytest.skip(f"needs a server: {server.url}: {type(error).__name__}")
    return iter(())


def _execute(server: Database, statement: str) -> None:
    async def execute(engine: AsyncEngine) -> None:
        async with engine.begin() as connection:
            await connection.execute(text(statement))

    server.run(execute)
