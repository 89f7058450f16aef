"""Connections to the demo's file that count their statements: all ways of loading go through them."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiosqlite
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

Row = dict[str, Any]
"""A row as it comes from SQL: nobody knows its types until a model has validated it."""


class Database:
    """A read-only connection, open for one run of the demo."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection
        self.statements = 0

    async def rows(self, sql: str, *parameters: str | int) -> list[Row]:
        """Send one statement and fetch all of its rows."""
        self.statements += 1
        return [dict(row) for row in await self._connection.execute_fetchall(sql, parameters)]


@asynccontextmanager
async def connect(path: Path) -> AsyncGenerator[Database, None]:
    """Open `path` for reading, and close it at the end."""
    async with aiosqlite.connect(f"{path.as_uri()}?mode=ro", uri=True) as connection:
        connection.row_factory = aiosqlite.Row
        yield Database(connection)


@asynccontextmanager
async def engine(path: Path) -> AsyncGenerator[AsyncEngine, None]:
    """SQLAlchemy's engine for all runs, as a service has one: it keeps the statements that it has compiled."""
    created = create_async_engine(f"sqlite+aiosqlite:///{path}")
    try:
        yield created
    finally:
        await created.dispose()


@asynccontextmanager
async def session(of: AsyncEngine) -> AsyncGenerator[tuple[AsyncSession, list[str]], None]:
    """A session for one run, and the list of the statements that it sends."""
    sent: list[str] = []

    def add(*told: Any) -> None:
        sent.append(told[2])

    async with of.connect() as connection, AsyncSession(connection) as opened:
        event.listen(connection.sync_connection, "before_cursor_execute", add)
        yield opened, sent
