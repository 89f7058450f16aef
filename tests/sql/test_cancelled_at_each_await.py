"""A resolve over SQLAlchemy and Redis at once, cancelled at each await of any of its tasks, one after the other."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Annotated, Any

import pytest
import redis_servers
import zoo
from databases import Database, request
from loops import turns
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlalchemy.pool import AsyncAdaptedQueuePool
from suspensions import at_suspension
from zoo import Member, Office, Tag

from dloader import DataLoader, LoaderRegistry
from dloader.resolver import Load, Resolver
from dloader.sqlalchemy import ByKey, Related

redis = pytest.importorskip("redis.asyncio", reason="install the extra test again")

from dloader.redis import RedisStore  # noqa: E402 - needs it

MOST = 5
"""Connections of each pool."""
SO_MANY = 9
"""A resolve stops at more awaits than this."""

registry: ContextVar[LoaderRegistry] = ContextVar("registry")


class Nicks(DataLoader[int, str]):
    """Kept in the store; what is not there is loaded by another loader, and so by the session."""

    store_ttl = 30.0

    async def batch_load_fn(self, keys):
        members = await registry.get().get(ByKey(Member)).load_many(keys)
        return [f"{member['name']} of {member['id']}" for member in members]


class MemberOut(BaseModel):
    """Below an office."""

    id: int
    nick: Annotated[str, Load(Nicks, by="id")] = ""


class OfficeOut(BaseModel):
    """A root."""

    id: int
    members: Annotated[list[MemberOut], Related(Office.members)] = []


RIGHT = {
    office: sorted(f"m{n % 4} of {n}" for n in range(1, 16) if (1, 2, 3, None, 1)[n % 5] == office)
    for office in (1, 2)
}


@pytest.fixture(scope="module")
def filled(database: Database) -> Database:
    """A database with all rows of the zoo."""
    database.fill(zoo.Base, zoo.ROWS)
    return database


@pytest.fixture(scope="module")
def server():
    """A Redis of these tests."""
    yield from redis_servers.serving()


async def answer(loaders: LoaderRegistry, *offices: int) -> None:
    """Resolve, and find all as it must be."""
    registry.set(loaders)
    roots = [OfficeOut(id=office) for office in offices]
    await Resolver(registry=loaders).resolve(roots)
    for root in roots:
        assert sorted(each.nick for each in root.members) == RIGHT[root.id]


def cancel_caller(caller: asyncio.Task[Any]) -> None:
    """Who asked leaves."""
    caller.cancel()


def cancel_batch(_caller: asyncio.Task[Any]) -> None:
    """A batch that runs is cancelled by somebody else."""
    batches = [
        each for each in asyncio.all_tasks() if each.get_name().startswith(("Nicks-", "Related", "By"))
    ]
    if batches:
        max(batches, key=asyncio.Task.get_name).cancel()


@pytest.mark.parametrize(
    ("victim", "by_maker", "eager"),
    [
        pytest.param(cancel_caller, False, True, id="caller-one session-eager"),
        pytest.param(cancel_caller, True, False, id="caller-a session for each batch"),
        pytest.param(cancel_batch, False, False, id="batch-one session"),
        pytest.param(cancel_batch, True, True, id="batch-a session for each batch-eager"),
    ],
)
def test_wherever_it_is_cancelled_all_is_whole(filled, server, victim, by_maker, eager):
    """The caller's transaction lives, the pools are whole, no task is left, and the next resolve is right."""

    async def law(engine):
        pool: Any = engine.pool
        connections = redis.BlockingConnectionPool.from_url(server.url, max_connections=MOST, timeout=30)
        client = redis.Redis(connection_pool=connections)
        # A short lease: a batch that is cancelled while it takes leases leaves them, and others wait so long.
        store = RedisStore(client, deadline=30.0, lease=0.2)
        maker = async_sessionmaker(engine)
        number, was_called = 0, True
        while was_called:
            namespace = f"{filled.kind}{by_maker}{victim.__name__}{eager}{number}"
            async with request(engine) as (_, session):
                session.add(Tag(id=90, word="mine"))
                await session.flush()
                given = {"session": maker if by_maker else session}
                async with LoaderRegistry(given, store=store, store_namespace=namespace) as loaders:
                    was_called = await cancelled(loaders, number, victim, eager)
                    await answer(loaders, 1, 2)  # by the same loaders
                await turns(2)
                assert asyncio.all_tasks() == {asyncio.current_task()}
                assert pool.checkedout() == 1
                assert not connections._in_use_connections
                assert await session.scalar(select(Tag.word).where(Tag.id == 90)) == "mine"
                async with LoaderRegistry(given, store=store, store_namespace=namespace) as loaders:
                    await answer(loaders, 1, 2)  # by what is in the store, or not
                await session.rollback()
            assert pool.checkedout() == 0
            number += 1
        assert number > SO_MANY
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})  # the last rollback's deletes
        await client.aclose()
        await connections.aclose()

    filled.run(law, poolclass=AsyncAdaptedQueuePool, pool_size=MOST, max_overflow=0, pool_timeout=30)


async def cancelled(loaders: LoaderRegistry, number: int, victim: Any, eager: bool) -> bool:
    """Resolve twice at once and inject; whether the resolve had so many awaits."""
    tasks: list[asyncio.Task[Any]] = []
    with at_suspension(number, lambda: tasks and victim(tasks[0]), eager=eager) as was_called:
        tasks += [asyncio.create_task(answer(loaders, 1))]
        tasks += [asyncio.create_task(answer(loaders, 1, 2))]
        mine, other = await asyncio.gather(*tasks, return_exceptions=True)
    if victim is cancel_caller:
        assert mine is None or isinstance(mine, asyncio.CancelledError)
        assert other is None
    for error in (mine, other):
        assert not isinstance(error, AssertionError)
    return was_called()
