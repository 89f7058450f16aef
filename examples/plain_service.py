"""A service that answers with nested data: three statements per request, however many teams there are.

    pip install "dloader[resolver]" aiosqlite uvicorn
    uvicorn --app-dir examples plain_service:app
    curl http://127.0.0.1:8000/

Any ASGI server runs it. In a framework, `teams` is the body of a route, and the registry and the connection are
dependencies of the request.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import aiosqlite
from pydantic import BaseModel, TypeAdapter

from dloader import DataLoader, LoaderRegistry, build_list, build_object
from dloader.resolver import Load, Resolver

SCHEMA = """
CREATE TABLE team (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE task (id INTEGER PRIMARY KEY, team_id INTEGER, owner_id INTEGER, title TEXT);
CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT);
INSERT INTO team VALUES (1, 'Red'), (2, 'Blue');
INSERT INTO person VALUES (1, 'Ann'), (2, 'Bob');
INSERT INTO task VALUES (1, 1, 1, 'plan'), (2, 1, 2, 'build'), (3, 2, NULL, 'dry');
"""

Row = dict[str, Any]


async def rows(db: aiosqlite.Connection, sql: str, values: list[int]) -> list[Row]:
    """The rows of a statement, in which IN (?) stands for all the values."""
    async with db.execute(sql.replace("(?)", f"({', '.join('?' * len(values))})"), values) as cursor:
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()]


class TasksOfTeam(DataLoader[int, list[Row]]):
    """The tasks of a team."""

    db: aiosqlite.Connection

    async def batch_load_fn(self, keys: list[int]) -> list[list[Row]]:
        """Load the tasks of all these teams."""
        found = await rows(self.db, "SELECT * FROM task WHERE team_id IN (?) ORDER BY id", keys)
        return build_list(found, keys, lambda row: row["team_id"])


class PersonById(DataLoader[int, Row | None]):
    """A person."""

    db: aiosqlite.Connection

    async def batch_load_fn(self, keys: list[int]) -> list[Row | None]:
        """Load all these people."""
        return build_object(
            await rows(self.db, "SELECT * FROM person WHERE id IN (?)", keys), keys, lambda row: row["id"]
        )


class Person(BaseModel):
    """As the answer has it."""

    name: str


class Task(BaseModel):
    """With its owner, if it has one."""

    title: str
    owner_id: int | None
    owner: Annotated[Person | None, Load(PersonById, by="owner_id")] = None


class Team(BaseModel):
    """With its tasks."""

    id: int
    name: str
    tasks: Annotated[list[Task], Load(TasksOfTeam, by="id")] = []


async def teams(db: aiosqlite.Connection, loaders: LoaderRegistry) -> list[Team]:
    """All teams, with everything below them."""
    found = [Team(**row) for row in await rows(db, "SELECT * FROM team ORDER BY id", [])]
    return await Resolver(registry=loaders, global_loader_param={"db": db}).resolve(found)


Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def app(scope: dict[str, Any], _receive: Receive, send: Send) -> None:
    """One connection and one set of loaders per request."""
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    async with aiosqlite.connect(":memory:") as db, LoaderRegistry() as loaders:
        await db.executescript(SCHEMA)
        body = TypeAdapter(list[Team]).dump_json(await teams(db, loaders))
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
