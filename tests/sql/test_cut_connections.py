"""Databases that fall silent, cut connections and come back: clear errors, nothing lost but what was on its way."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from importlib.metadata import version
from typing import Any

import pytest
import zoo
from databases import Database, request
from proxies import Proxy
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool
from zoo import Office, Tag

from dloader import LoaderRegistry
from dloader.sqlalchemy import ByKey, Related

MARKERS = [Related(Office.members), Related(Office.badge), ByKey(Tag)]


@pytest.fixture(scope="module")
def filled(server: Database) -> Database:
    """A database with all rows of the zoo."""
    server.fill(zoo.Base, zoo.ROWS)
    return server


@contextlib.asynccontextmanager
async def behind_proxy(database: Database) -> AsyncIterator[tuple[Proxy, AsyncEngine]]:
    """A proxy, and an engine with a pool of two connections through it."""
    async with Proxy(database.url) as proxy:
        engine = create_async_engine(
            proxy.url,
            connect_args=database.connect_args,
            poolclass=AsyncAdaptedQueuePool,
            pool_size=2,
            max_overflow=0,
            pool_timeout=10,
        )
        try:
            yield proxy, engine
            assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
        finally:
            await engine.dispose()


async def is_held(proxy: Proxy, *futures: asyncio.Future[Any]) -> bool:
    """Wait until the server's word is held back; false if all was said before."""
    held = asyncio.ensure_future(proxy.has_held.wait())
    done = asyncio.gather(*futures, return_exceptions=True)
    await asyncio.wait([held, done], return_when=asyncio.FIRST_COMPLETED)
    held.cancel()
    return proxy.has_held.is_set()


async def cancelled(futures: list[asyncio.Future[Any]]) -> None:
    for future in futures:
        future.cancel()


async def timed_out(futures: list[asyncio.Future[Any]]) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0):
            await asyncio.gather(*futures)


@pytest.mark.parametrize("leave", [cancelled, timed_out])
def test_who_leaves_at_any_word_of_the_server_loses_nothing(filled, leave):
    """What the caller of a batch has not committed is there still, whichever of its messages was on the way."""

    async def law(_engine):
        async with behind_proxy(filled) as (proxy, engine):
            count = 0
            while True:
                async with request(engine) as (loaders, session):
                    session.add(Tag(id=90, word="mine"))
                    await session.flush()
                    proxy.hold_after(count)
                    futures = [loaders.get(marker).load(1) for marker in MARKERS]
                    was_held = await is_held(proxy, *futures)
                    await leave(futures)
                    proxy.release()
                    await asyncio.gather(*futures, return_exceptions=True)
                    assert await session.scalar(select(Tag.word).where(Tag.id == 90)) == "mine"
                    assert (await loaders.get(ByKey(Tag)).load(2)).word == "w2"
                if not was_held:
                    break
                count += 1
            assert count >= len(MARKERS)

    filled.run(law)


def test_batches_with_sessions_of_their_own_are_free_to_be_cancelled(filled):
    """At any word of the server, that of the connection's beginning too; the pool is whole afterwards."""

    async def law(_engine):
        count = 0
        while True:
            async with behind_proxy(filled) as (proxy, engine):
                maker = async_sessionmaker(engine)
                if version("sqlalchemy").startswith("2.0."):
                    # There a connection that is cancelled while it begins is left to the garbage collector.
                    async with engine.connect(), engine.connect():
                        pass
                proxy.hold_after(count)
                async with LoaderRegistry({"session": maker}) as loaders:
                    futures = [loaders.get(marker).load(1) for marker in MARKERS[:2]]
                    was_held = await is_held(proxy, *futures)
                    await cancelled(futures)
                    proxy.release()
                    await asyncio.gather(*futures, return_exceptions=True)
                async with LoaderRegistry({"session": maker}) as loaders:
                    assert (await loaders.get(ByKey(Tag)).load(2)).word == "w2"
            if not was_held:
                break
            count += 1 + count // 3
        assert count > 1

    filled.run(law)


def test_connections_that_are_cut_at_any_word(filled):
    """All who wait have a clear error that names loader and keys; after a rollback all is right again."""

    async def law(_engine):
        async with behind_proxy(filled) as (proxy, engine):
            count = 0
            while True:
                async with request(engine) as (loaders, session):
                    await session.connection()
                    proxy.hold_after(count)
                    futures = [loaders.get(marker).load(1) for marker in MARKERS]
                    was_held = await is_held(proxy, *futures)
                    if not was_held:
                        proxy.release()
                        break
                    proxy.cut()
                    outcomes = await asyncio.gather(*futures, return_exceptions=True)
                    proxy.release()
                    errors = [each for each in outcomes if isinstance(each, BaseException)]
                    assert errors
                    assert all(isinstance(each, SQLAlchemyError) for each in errors), errors
                    for each in errors:
                        notes = "\n".join(each.__notes__)
                        assert any(f"of loader {marker.label!r} (keys: 1)" in notes for marker in MARKERS)
                    await session.rollback()
                    assert (await loaders.get(ByKey(Tag)).load(2)).word == "w2"
                count += 1
            assert count >= len(MARKERS)

    filled.run(law)


def test_a_server_that_is_away_and_comes_back(filled):
    """The request meanwhile fails, and says so; those before and after are right."""

    async def law(_engine):
        async with behind_proxy(filled) as (proxy, engine):
            async with request(engine) as (loaders, _session):
                assert await loaders.get(ByKey(Tag)).load(1)
            proxy.refuses = True
            proxy.cut()
            for _ in range(3):
                async with request(engine) as (loaders, session):
                    outcomes = await asyncio.gather(
                        *(loaders.get(marker).load(1) for marker in MARKERS), return_exceptions=True
                    )
                    assert all(isinstance(each, (SQLAlchemyError, OSError)) for each in outcomes), outcomes
                    await session.rollback()
            proxy.refuses = False
            for _ in range(3):
                async with request(engine) as (loaders, _session):
                    values = await asyncio.gather(*(loaders.get(marker).load(1) for marker in MARKERS))
                    assert values[2].word == "w1"

    filled.run(law)
