"""Random work without end, to see that nothing grows: ``python tests/long_work.py --seconds 240``.

Twenty clients do in minutes what a service does in an hour, on one event loop, PostgreSQL with a pool of five, and
Redis with one of ten: they fill trees, load, leave, run into timeouts and failing batches, write and clear; registries
open and close all the time. Every answer is checked. Ten times all of them finish what they are at; then it is counted
what there is: bytes of the process, objects, tasks, futures, sessions, connections. It ends with code 1 if any of it
grows.

`test_long_work.py` runs it for some seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Annotated, Any, NamedTuple

import redis.asyncio
import redis_servers
import zoo
from databases import Database, namespace
from pydantic import BaseModel
from sqlalchemy import func, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.pool import AsyncAdaptedQueuePool
from zoo import Member, Office, Tag

from dloader import DataLoader, Limit, LoaderRegistry
from dloader.redis import RedisStore
from dloader.resolver import Load, Resolver
from dloader.sqlalchemy import Aggregate, ByKey, Count, Page, Related, select_for

CLIENTS = 20
SAMPLES = 10
OFFICES, MEMBERS, TAGS = range(1, 5), range(1, 16), range(1, 6)


class Nicks(DataLoader[int, str]):
    """Kept in Redis; what is not there is loaded from the database."""

    store_ttl = 3.0
    session: AsyncSession

    async def batch_load_fn(self, keys):
        async with LoaderRegistry({"session": self.session}) as loaders:
            members = await loaders.get(ByKey(Member)).load_many(keys)
        return [f"{member['name']} of {member['id']}" for member in members]


class Words(DataLoader[int, str]):
    """The same of what is written all the time, and of nobody's session."""

    store_ttl = 3.0
    work: Work
    store_ignore = ("work",)

    async def batch_load_fn(self, keys):
        async with LoaderRegistry({"session": self.work.maker}) as loaders:
            return [tag["word"] for tag in await loaders.get(ByKey(Tag)).load_many(keys)]


class MemberOut(BaseModel):
    """Below an office."""

    id: int
    nick: Annotated[str, Load(Nicks, by="id")] = ""


class OfficeOut(BaseModel):
    """A root."""

    id: int
    city: str
    members: Annotated[list[MemberOut], Related(Office.members)]
    newest: Annotated[Page[MemberOut], Related(Office.members, order_by=Member.id.desc(), limit=2)]
    count: Annotated[int, Count(Office.members)]


FAULTY = Aggregate(Office.members, func.no_such_function(Member.id))


class Boom(Exception):
    """A batch fails."""


async def failing(keys: list[int]) -> list[int]:
    """A batch function that fails, for all or for some."""
    await asyncio.sleep(0)
    if len(keys) > 2:
        raise Boom
    return [key if key % 2 else Boom() for key in keys]  # type: ignore[misc]


class Sample(NamedTuple):
    """What there was at one moment, while nobody worked."""

    requests: int
    megabytes: float
    objects: int
    tasks: int
    futures: int
    sessions: int
    loaders: int
    sql: int
    redis: int


class Work:
    """What the clients share; lives as long as a run.

    Args:
        engine: Of the database.
        connections: The pool of the Redis client.
        seed: Of what they do.
        also: What every request does too.
    """

    def __init__(
        self, engine: AsyncEngine, connections: Any, seed: int, also: Callable[[AsyncSession], object]
    ) -> None:
        self.engine = engine
        self.maker = async_sessionmaker(engine)
        self.connections = connections
        self.client = redis.asyncio.Redis(connection_pool=connections)
        # Who holds a connection may wait for what another loads who waits for a connection: no longer than a lease.
        self.store = RedisStore(self.client, deadline=10.0, lease=0.1)
        self.random = Random(seed)
        self.also = also
        self.written = Counter[int]()
        self.cleared = Counter[int]()
        self.requests = 0
        self.done = Counter[str]()
        self.limit = Limit(10)
        self.words = Words(store=self.store)
        self.words.work = self
        self.kinds: Sequence[Callable[[LoaderRegistry, AsyncSession], Awaitable[None]]] = (
            self.tree,
            self.tree,
            self.some_keys,
            self.leave,
            self.hurry,
            self.fail,
            self.fail_in_the_database,
            self.write,
            self.read_words,
            self.a_session_for_each_batch,
        )

    async def client_until(self, end: float) -> None:
        """One client, until a time; it does something in any case."""
        is_first = True
        while is_first or time.monotonic() < end:
            is_first = False
            kind = self.random.choice(self.kinds)
            async with self.maker() as session:
                given = {"session": session, "work": self}
                limit = self.random.choice(
                    (None, 2)
                )  # a shared one would be waited for with a connection in hand
                async with LoaderRegistry(given, store=self.store, max_concurrency=limit) as loaders:
                    self.also(session)
                    await kind(loaders, session)
            self.requests += 1
            self.done[kind.__name__] += 1

    # -- what a request may do -------------------------------------------------------------------------------

    async def tree(self, loaders: LoaderRegistry, session: AsyncSession) -> None:
        """Fill a tree."""
        rows = await session.execute(select_for(OfficeOut, Office))
        for office in await Resolver(registry=loaders).resolve(rows, into=list[OfficeOut]):
            right = [n for n in MEMBERS if (1, 2, 3, None, 1)[n % 5] == office.id]
            assert sorted(each.id for each in office.members) == right
            assert [each.id for each in office.newest.items] == right[:-3:-1]
            assert office.count == len(right)
            for member in office.members:
                assert member.nick == f"m{member.id % 4} of {member.id}"

    async def some_keys(self, loaders: LoaderRegistry, _: AsyncSession) -> None:
        """Load this and that at once."""
        keys = self.random.choices(MEMBERS, k=8)
        nicks, *members = await asyncio.gather(
            loaders.get(Nicks).load_many(keys), *map(loaders.get(ByKey(Member)).load, keys)
        )
        assert nicks == [f"m{key % 4} of {key}" for key in keys]
        assert [member["id"] for member in members] == keys

    async def leave(self, loaders: LoaderRegistry, session: AsyncSession) -> None:
        """Be cancelled somewhere on the way, beside one who is not."""
        for loader in (Nicks, self.random.choice((Related(Office.members), Count(Office.rooms)))):
            futures = [loaders.get(loader).load(1) for _ in range(2)]  # type: ignore[call-overload]
            for _ in range(self.random.randrange(30)):
                await asyncio.sleep(0)
            futures[0].cancel()
            await asyncio.wait(futures)
            assert not futures[1].cancelled()
        task = asyncio.ensure_future(self.tree(loaders, session))
        await asyncio.sleep(self.random.random() / 20)
        task.cancel()
        await asyncio.wait([task])

    async def hurry(self, loaders: LoaderRegistry, session: AsyncSession) -> None:
        """Run into a timeout, or not."""
        try:
            async with asyncio.timeout(self.random.random() / 20):
                await self.tree(loaders, session)
        except TimeoutError:
            pass

    async def fail(self, loaders: LoaderRegistry, _: AsyncSession) -> None:
        """Load what cannot be loaded."""
        loader = loaders.get(failing)
        answers = await loader.load_many(range(self.random.randrange(1, 5)), return_exceptions=True)
        assert any(isinstance(answer, Boom) for answer in answers)

    async def fail_in_the_database(self, loaders: LoaderRegistry, session: AsyncSession) -> None:
        """Send a statement that is refused."""
        try:
            await loaders.get(FAULTY).load(1)
        except DBAPIError:
            await session.rollback()

    async def write(self, loaders: LoaderRegistry, session: AsyncSession) -> None:
        """Write a row, commit, and clear it."""
        tag = self.random.choice(TAGS)
        self.written[tag] += 1
        version = self.written[tag]
        word = f"x{version:08}"  # after those that were there at the beginning
        await session.execute(update(Tag).where(Tag.id == tag, Tag.word < word).values(word=word))
        await session.commit()
        loaders.get(Words).clear(tag)
        self.cleared[tag] = max(self.cleared[tag], version)

    async def read_words(self, loaders: LoaderRegistry, _: AsyncSession) -> None:
        """Read what is written, by a loader of the request or by one that lives long."""
        tag = self.random.choice(TAGS)
        least = self.cleared[tag]
        loader = self.random.choice((loaders.get(Words), self.words))
        word = await loader.load(tag)
        version = 0 if word.startswith("w") else int(word[1:])
        assert least <= version <= self.written[tag], (tag, least, version)

    async def a_session_for_each_batch(self, _: LoaderRegistry, __: AsyncSession) -> None:
        """Load several things at once, each on a connection of its own."""
        async with LoaderRegistry({"session": self.maker}, max_concurrency=self.limit) as loaders:
            await asyncio.gather(
                loaders.get(Related(Office.members)).load(1), loaders.get(Count(Office.rooms)).load(1)
            )

    # -- what there is ---------------------------------------------------------------------------------------

    def sample(self) -> Sample:
        """Count; nobody works."""
        gc.collect()
        every = gc.get_objects()
        pool: Any = self.engine.pool
        return Sample(
            self.requests,
            _resident(),
            len(every),
            len(asyncio.all_tasks()),
            sum(isinstance(each, asyncio.Future) for each in every),
            sum(isinstance(each, AsyncSession) for each in every),
            sum(isinstance(each, DataLoader) for each in every),
            pool.checkedout(),
            len(self.connections._in_use_connections),
        )


def say(line: str) -> None:
    """Show it at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _resident() -> float:
    """Megabytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGESIZE") / 2**20, 1)


def grown(samples: Sequence[Sample]) -> list[str]:
    """What there is more of at the end than there was in the first half.

    Tasks, sessions, loaders and connections in use may not be one more than the most of then. Futures may, as drivers
    keep one or two for each connection of a pool; and a little of objects and bytes: caches of Python, SQLAlchemy and
    drivers fill, and memory falls apart.
    """
    first, last = samples[: len(samples) // 2], samples[-1]
    allowed = {"megabytes": (1.05, 4), "objects": (1.01, 500), "futures": (1, 15)}
    found = []
    for name in Sample._fields[1:]:
        most, now = max(getattr(each, name) for each in first), getattr(last, name)
        factor, more = allowed.get(name, (1, 0))
        if now > most * factor + more:
            found.append(f"{name}: {most}, and {now} at the end")
    return found


async def work(
    engine: AsyncEngine,
    url: str,
    seconds: float,
    seed: int,
    number_of_clients: int,
    also: Callable[[AsyncSession], object],
) -> list[Sample]:
    """Work for so long; count and print as it goes."""
    connections = redis.asyncio.BlockingConnectionPool.from_url(url, max_connections=10, timeout=60)
    state, samples = Work(engine, connections, seed, also), list[Sample]()
    say(f"{'':>5}" + "".join(f"{name:>11}" for name in Sample._fields))
    await state.words.load(1)  # from now on it listens
    start = time.monotonic()
    for number in range(1, SAMPLES + 1):
        end = start + seconds * number / SAMPLES
        async with asyncio.TaskGroup() as clients:
            for _ in range(number_of_clients):
                clients.create_task(state.client_until(end))
        samples.append(state.sample())
        say(f"{number * 100 // SAMPLES:>4}%" + "".join(f"{n:>11,}" for n in samples[-1]))
    say(", ".join(f"{name} {count:,}" for name, count in sorted(state.done.items())))
    await state.words.aclose()
    await state.client.aclose()
    await connections.aclose()
    return samples


@contextmanager
def servers() -> Iterator[tuple[Database, str]]:
    """A PostgreSQL with the rows of the zoo in a namespace of its own, and a Redis."""
    with tempfile.TemporaryDirectory() as folder:
        databases, stores = namespace("asyncpg", Path(folder)), redis_servers.serving()
        database, server = next(databases), next(stores)
        try:
            database.fill(zoo.Base, zoo.ROWS)
            yield database, server.url
        finally:
            for each in (databases, stores):
                next(each, None)


def run(
    seconds: float,
    seed: int,
    number_of_clients: int = CLIENTS,
    also: Callable[[AsyncSession], object] = lambda session: None,
) -> list[str]:
    """Work for so long; say what has grown."""

    async def main() -> list[Sample]:
        pool: Any = {
            "poolclass": AsyncAdaptedQueuePool,
            "pool_size": 5,
            "max_overflow": 0,
            "pool_timeout": 60,
        }
        engine = database.engine(**pool)
        try:
            return await work(engine, url, seconds, seed, number_of_clients, also)
        finally:
            await engine.dispose()

    with servers() as (database, url):
        database.statements = Forgetful()
        return grown(asyncio.run(main()))


class Forgetful(list[str]):
    """The statements of a database that nobody looks at."""

    def append(self, _: str) -> None:
        """Keep nothing."""


def main() -> int:
    """Run it; 1 if something has grown."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=240.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    found = run(options.seconds, options.seed)
    say("\n".join(found) or "nothing has grown")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
