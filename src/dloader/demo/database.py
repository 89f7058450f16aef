"""One connection to the demo's file that counts its statements: both ways of loading go through it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiosqlite

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
