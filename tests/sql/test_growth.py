"""A thousand requests leave nothing behind: counted are the objects that there are, not bytes of the process."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections import Counter
from itertools import pairwise
from typing import Annotated, Any

import pytest
import zoo
from amounts import IN_FULL
from databases import Database, request
from loops import HANG
from pydantic import BaseModel
from sqlalchemy import func, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker
from sqlalchemy.pool import AsyncAdaptedQueuePool
from zoo import Member, Office

from dloader import LoaderRegistry
from dloader.resolver import Resolver
from dloader.sqlalchemy import Aggregate, Count, Page, Related, select_for

pytestmark = pytest.mark.in_full

FEW = 50
"""What caches of SQLAlchemy, the driver and Python may still take in, in each half: a leak leaves 71 there, one of each
request of some kind. What is taken in once, in one half, is no leak."""


class MemberOut(BaseModel):
    """Of a level below."""

    id: int
    name: str


class OfficeOut(BaseModel):
    """With a statement of every kind."""

    id: int
    members: Annotated[list[MemberOut], Related(Office.members)]
    newest: Annotated[Page[MemberOut], Related(Office.members, order_by=Member.id.desc(), limit=2)]
    count: Annotated[int, Count(Office.members)]


FAULTY = Aggregate(Office.members, func.no_such_function(Member.id))


@pytest.fixture(scope="module")
def filled(database: Database) -> Database:
    """A database with all rows of the zoo."""
    if not IN_FULL and database.kind != "aiosqlite":
        pytest.skip("takes long: HYPOTHESIS_PROFILE=ci runs it")
    database.fill(zoo.Base, zoo.ROWS)
    return database


async def answer(engine: AsyncEngine) -> None:
    """Most requests."""
    async with request(engine) as (loaders, session):
        rows = await session.execute(select_for(OfficeOut, Office))
        assert len(await Resolver(registry=loaders).resolve(rows, into=list[OfficeOut])) == 4


async def page_by_page(engine: AsyncEngine) -> None:
    """One that follows cursors."""
    async with request(engine) as (loaders, _session):
        loader = loaders.get(Related(Office.members, order_by=Member.id))
        page = await loader.page(1, first=1)
        assert (await loader.page(1, first=1, after=page.end_cursor)).items


async def write_and_roll_back(engine: AsyncEngine) -> None:
    """One that writes between loads."""
    async with request(engine) as (loaders, session):
        loader = loaders.get(Related(Office.members))
        await loader.load(1)
        await session.execute(update(Member).values(name="other"))
        assert {row.name for row in await loader.load(1)} == {"other"}
        await session.rollback()


async def fail(engine: AsyncEngine) -> None:
    """One whose statement the database refuses."""
    async with request(engine) as (loaders, session):
        with pytest.raises(DBAPIError):
            await loaders.get(FAULTY).load(1)
        await session.rollback()


async def leave(engine: AsyncEngine) -> None:
    """One that nobody waits for any more."""
    async with request(engine) as (loaders, _session):
        task = asyncio.ensure_future(loaders.get(Related(Office.members)).load(1))
        for _ in range(3):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])


async def a_session_for_each_batch(engine: AsyncEngine) -> None:
    """One that gives a sessionmaker."""
    async with LoaderRegistry({"session": async_sessionmaker(engine)}) as loaders:
        await asyncio.gather(
            loaders.get(Related(Office.members)).load(1), loaders.get(Count(Office.rooms)).load(1)
        )


KINDS = [answer, page_by_page, write_and_roll_back, fail, leave, answer, a_session_for_each_batch]


def objects() -> Counter[str]:
    """How many there are of each class."""
    gc.collect()
    return Counter(f"{type(each).__module__}.{type(each).__qualname__}" for each in gc.get_objects())


def test_a_thousand_requests_leave_nothing(filled):
    """No session, connection, task, loader or anything else, whether they succeed, fail or are given up."""
    engine = filled.engine(poolclass=AsyncAdaptedQueuePool)
    pool: Any = engine.pool

    async def hundred() -> int:
        """Some of the requests; each part has its own time to hang."""
        async with asyncio.timeout(HANG):
            for at in range(100):
                await KINDS[at % len(KINDS)](engine)
        filled.statements.clear()
        assert len(asyncio.all_tasks()) == 1
        assert pool.checkedout() == 0
        return pool.checkedin()

    with asyncio.Runner() as runner:
        connections = runner.run(hundred())
        counts, blocks = [objects()], [sys.getallocatedblocks()]
        for _ in range(2):
            assert {runner.run(hundred()) for _ in range(5)} == {connections}
            counts.append(objects())
            blocks.append(sys.getallocatedblocks())
        runner.run(engine.dispose())
    halves = [after - before for before, after in pairwise(counts)]
    assert {kind: more for kind, more in (halves[0] & halves[1]).items() if more > FEW} == {}
    assert min(after - before for before, after in pairwise(blocks)) < 1_000
    assert not [
        kind for kind in counts[-1] if kind.endswith("Session") and counts[-1][kind] > counts[0][kind]
    ]
