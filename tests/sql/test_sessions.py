"""Sessions: one statement at a time on one that others use, of which nothing is lost; or one for each batch."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import pytest
import zoo
from asyncpg import InternalClientError
from databases import Database, request
from loops import KINDS as LOOPS
from pydantic import BaseModel
from sqlalchemy import delete, event, func, insert, select, text, update
from sqlalchemy.exc import (
    DBAPIError,
    IntegrityError,
    InvalidRequestError,
    PendingRollbackError,
    SQLAlchemyError,
    UnboundExecutionError,
)
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.pool import AsyncAdaptedQueuePool
from zoo import Office, Room, Tag

from dloader import DataLoader, DloaderError, LoaderRegistry, OptionError
from dloader.resolver import FieldError, Resolver
from dloader.sqlalchemy import ByKey, Related, exclusive
from dloader.sqlalchemy._sessions import lock_of, reading
from dloader.trace import record

FIVE = [Related(Office.members), Related(Office.badge), Related(Office.rooms), ByKey(Tag), ByKey(Office)]


@pytest.fixture(scope="module")
def filled(database: Database) -> Database:
    """A database with all rows of the zoo."""
    database.fill(zoo.Base, zoo.ROWS)
    return database


@pytest.mark.parametrize("kind", LOOPS)
def test_a_cold_session_and_five_loaders_at_once(filled, kind):
    """The session has not even connected."""

    async def law(engine):
        for _ in range(5):
            async with request(engine) as (loaders, _session):
                await asyncio.gather(*(loaders.get(marker).load(1) for marker in FIVE))

    filled.run(law, kind)
    assert len(filled.selects) == 25


def test_loaders_of_two_registries_share_the_lock_of_a_session(filled):
    """It belongs to the session."""
    most = running = 0

    async def law(engine):
        @event.listens_for(engine.sync_engine, "before_cursor_execute")
        def begins(*_: Any) -> None:
            nonlocal most, running
            running += 1
            most = max(most, running)

        @event.listens_for(engine.sync_engine, "after_cursor_execute")
        def ends(*_: Any) -> None:
            nonlocal running
            running -= 1

        async with request(engine) as (loaders, session), LoaderRegistry({"session": session}) as others:
            await asyncio.gather(*(each.get(marker).load(1) for each in (loaders, others) for marker in FIVE))

    filled.run(law)
    assert most == 1
    assert len(filled.selects) == 10


@pytest.mark.parametrize("when", range(8))
def test_cancelling_leaves_the_transaction_alone(filled, when):
    """At every await on the way: what the caller has not committed is still there, and the session works."""

    async def law(loaders, session):
        session.add(Tag(id=90, word="mine"))
        await session.flush()
        task = asyncio.ensure_future(loaders.get(Related(Office.members)).load(1))
        others = [asyncio.ensure_future(loaders.get(marker).load(1)) for marker in FIVE[1:]]
        for _ in range(when * when):
            await asyncio.sleep(0)
        task.cancel()
        for other in others[::2]:
            other.cancel()
        await asyncio.gather(task, *others, return_exceptions=True)
        assert all(not each.cancelled() for each in others[1::2])
        await loaders.aclose()
        assert await session.scalar(select(Tag.word).where(Tag.id == 90)) == "mine"
        assert await session.scalar(select(func.count()).select_from(Office)) == 4

    filled.ask(law)


def test_closing_waits_for_the_statement_that_runs(filled):
    """So that the session can be closed next."""

    async def law(engine):
        async with AsyncSession(engine) as session:
            async with LoaderRegistry({"session": session}) as loaders:
                future = loaders.get(Related(Office.members)).load(1)
                for _ in range(12):
                    await asyncio.sleep(0)
            assert future.done()
            await session.execute(select(1))
            await session.rollback()

    filled.run(law)


def test_a_session_of_its_own_for_each_batch(filled):
    """Of a pool; nothing is left checked out, also where batches were cancelled."""

    async def law(engine):
        maker = async_sessionmaker(engine)
        for turn in range(6):
            async with LoaderRegistry({"session": maker}, max_concurrency=3) as loaders:
                futures = [loaders.get(marker).load(1) for marker in FIVE]
                if turn % 2:
                    for _ in range(turn * 3):
                        await asyncio.sleep(0)
                    for future in futures:
                        future.cancel()
                await asyncio.gather(*futures, return_exceptions=True)
        assert engine.pool.checkedout() == 0
        async with LoaderRegistry({"session": maker}) as loaders:
            assert await loaders.get(ByKey(Tag)).load(1) == {"id": 1, "word": "w1"}

    filled.run(law, poolclass=AsyncAdaptedQueuePool, pool_size=3, max_overflow=0, pool_timeout=10)


def test_wherever_a_batch_is_cancelled_its_connection_is_back_at_the_end(filled):
    """While the pool connects, while a statement runs, while the session closes; and cancelled again by the end."""

    async def law(engine):
        maker = async_sessionmaker(engine)
        for turns in range(60):
            async with LoaderRegistry({"session": maker}, max_concurrency=3) as loaders:
                futures = [loaders.get(marker).load(1) for marker in FIVE]
                for _ in range(turns):
                    await asyncio.sleep(0)
                for future in futures:
                    future.cancel()
                await asyncio.gather(*futures, return_exceptions=True)
            assert engine.pool.checkedout() == 0, turns
            await engine.dispose()  # so that the next ones connect

    filled.run(law, poolclass=AsyncAdaptedQueuePool, pool_size=3, max_overflow=0, pool_timeout=10)


def test_a_pool_of_five_serves_twenty_clients(filled):
    """Each has one session, and five loaders on it."""

    async def law(engine):
        async def client():
            async with request(engine) as (loaders, _session):
                await asyncio.gather(*(loaders.get(marker).load(1) for marker in FIVE))

        await asyncio.gather(*(client() for _ in range(20)))
        assert engine.pool.checkedout() == 0

    filled.run(law, poolclass=AsyncAdaptedQueuePool, pool_size=5, max_overflow=0, pool_timeout=30)


def test_sqlalchemys_recipe_for_tests(filled):
    """One connection with an outer transaction, sessions in savepoints, all of it rolled back."""

    async def law(engine):
        async with engine.connect() as connection:
            transaction = await connection.begin()
            async with (
                AsyncSession(connection, join_transaction_mode="create_savepoint") as session,
                LoaderRegistry({"session": session}) as loaders,
            ):
                session.add(Tag(id=91, word="new"))
                await session.commit()
                values = await asyncio.gather(*(loaders.get(marker).load(1) for marker in FIVE))
                assert all(values)
                assert (await loaders.get(ByKey(Tag)).load(91))["word"] == "new"
                await session.rollback()
            await transaction.rollback()
        async with AsyncSession(engine) as session:
            assert await session.get(Tag, 91) is None

    filled.run(law)


async def written_past(session: AsyncSession) -> None:
    """On the connection of a session, which does not know of it."""
    connection = await session.connection()
    await connection.exec_driver_sql("update tag set word = 'x' where id = 1")


class TestReadYourWrites:
    """What a session writes clears what its loaders have cached."""

    WRITES = {
        "flush": lambda session: session.flush(),
        "bulk update": lambda session: session.execute(update(Tag).where(Tag.id == 1).values(word="x")),
        "bulk insert": lambda session: session.execute(insert(Tag), [{"id": 92, "word": "x"}]),
        "delete": lambda session: session.execute(delete(Tag).where(Tag.id == 5)),
        "table": lambda session: session.execute(Tag.__table__.update().where(Tag.id == 1).values(word="x")),
        "text": lambda session: session.execute(text("update tag set word = 'x' where id = 1")),
        "connection": lambda session: written_past(session),
        "commit": lambda session: session.commit(),
        "rollback": lambda session: session.rollback(),
    }

    @pytest.mark.parametrize("name", WRITES)
    def test_what_is_written_is_read(self, filled, name):
        """By every loader that reads by the session, and by no other."""

        async def law(engine):
            async with (
                request(engine) as (loaders, session),
                AsyncSession(engine) as other,
                LoaderRegistry({"session": other}) as others,
            ):
                every = [each.get(ByKey(Tag)) for each in (loaders, others)]
                for loader in every:
                    await loader.load(1)
                await other.rollback()
                if filled.kind == "aiosqlite":
                    await other.close()
                for loader in every[1:]:
                    loader.prime(1, "still there")
                if name == "flush":
                    (await session.get(Tag, 1)).word = "x"
                await self.WRITES[name](session)
                word = await session.scalar(select(Tag.word).where(Tag.id == 1))
                assert (await every[0].load(1))["word"] == word
                assert every[0].statistics.batches == 2
                assert await every[1].load(1) == "still there"
                await session.rollback()

        filled.run(law)

    def test_a_savepoint_that_is_rolled_back(self, filled):
        """What was read in it is forgotten."""

        async def law(loaders, session):
            tags = loaders.get(ByKey(Tag))
            async with session.begin_nested() as savepoint:
                session.add(Tag(id=93, word="inner"))
                assert (await tags.load(93))["word"] == "inner"
                await savepoint.rollback()
            assert await tags.load(93) is None

        filled.ask(law)

    def test_what_the_with_of_a_select_writes_is_read(self, postgresql):
        """As PostgreSQL allows."""
        postgresql.fill(zoo.Base, zoo.ROWS)

        async def law(loaders, session):
            tags = loaders.get(ByKey(Tag))
            written = update(Tag).where(Tag.id == 1).values(word="written").returning(Tag.id).cte("written")
            await tags.load(1)
            await session.execute(select(written.c.id))
            assert (await tags.load(1)).word == "written"

        postgresql.ask(law)

    def test_a_read_clears_nothing(self, filled):
        """Of the session or of its loaders."""

        async def law(loaders, session):
            await loaders.get(ByKey(Tag)).load(1)
            await session.execute(select(Tag))
            await session.execute(select(select(Tag.id).cte("read")))
            await loaders.get(ByKey(Office)).load(1)
            await loaders.get(ByKey(Tag)).load(1)
            assert loaders.get(ByKey(Tag)).statistics.cache_hits == 1

        filled.ask(law)

    def test_nothing_is_kept_of_sessions_that_have_gone(self, filled):
        """A thousand requests leave nothing behind."""
        import gc

        from dloader.sqlalchemy import _sessions, _transactions as followed

        kept = (_sessions._locks, followed._loaders, followed._tasks, followed._sessions, followed._binds)

        async def law(engine):
            for _ in range(3):
                async with request(engine) as (loaders, _session):
                    await loaders.get(ByKey(Tag)).load(1)

        gc.collect()
        before = [len(each) for each in kept]  # of other tests, whose garbage was frozen
        filled.run(law)
        gc.collect()
        assert [len(each) for each in kept] == before


def test_a_statement_whose_caller_is_cancelled_twice(filled):
    """Keeps the lock until it ends."""

    async def law(engine):
        async with AsyncSession(engine) as session:
            await session.connection()
            async with reading(session, Tag) as reader:
                task = asyncio.ensure_future(reader.rows(select(Tag.id), {}))
                await asyncio.sleep(0)
                running = reader._task
                for _ in range(2):
                    task.cancel()
                    await asyncio.sleep(0)
                assert task.done()
                was_running = not running.done()
            assert lock_of(session.sync_session).locked() == was_running
            await asyncio.wait([running])
            await asyncio.sleep(0)
            assert not lock_of(session.sync_session).locked()

    filled.run(law)


class TestExclusive:
    """Batch functions written by hand have the same lock."""

    def test_it_keeps_loaders_out(self, filled):
        """Until it is left."""

        async def law(loaders, session):
            async def by_hand(keys):
                async with exclusive(session) as same:
                    assert same is session
                    await session.connection()
                    begun = len(filled.statements)
                    await session.execute(select(1))
                    for _ in range(30):
                        await asyncio.sleep(0)
                    assert len(filled.statements) == begun + 1
                return keys

            hand = DataLoader(by_hand)
            await asyncio.gather(
                hand.load(1), loaders.get(ByKey(Tag)).load(1), loaders.get(ByKey(Office)).load(1)
            )

        filled.ask(law)

    def test_loading_inside_is_refused(self, filled):
        """It would wait for itself."""

        async def law(loaders, session):
            async with exclusive(session):
                for load in (
                    loaders.get(ByKey(Tag)).load,
                    lambda key: loaders.get(ByKey(Tag)).load_many([key]),
                ):
                    with pytest.raises(DloaderError, match="would wait for itself"):
                        load(1)
                with pytest.raises(DloaderError, match="would wait for itself"):
                    async with exclusive(session):
                        raise AssertionError
            assert await loaders.get(ByKey(Tag)).load(1)

        filled.ask(law)

    def test_who_began_inside_may_load_when_it_is_over(self, filled):
        """A task knows what it was begun in, and that it is over; so does who leaves in another context."""

        async def law(loaders, session):
            over = asyncio.Event()

            async def later():
                await over.wait()
                return await loaders.get(ByKey(Tag)).load(1)

            async with exclusive(session):
                task = asyncio.create_task(later())
                await asyncio.sleep(0)
            over.set()
            assert (await task).id == 1
            mine = exclusive(session)
            await asyncio.create_task(mine.__aenter__())
            await mine.__aexit__(None, None, None)
            async with exclusive(session), exclusive(AsyncSession()):
                with pytest.raises(DloaderError, match="would wait for itself"):
                    loaders.get(ByKey(Tag)).load(2)
            assert await loaders.get(ByKey(Tag)).load(2)

        filled.ask(law)

    def test_a_session_that_is_none(self):
        """The message says what it takes."""
        with pytest.raises(OptionError, match=r"exclusive\(\) takes an AsyncSession, not 3"):
            exclusive(3)


def test_errors_of_the_database_keep_their_type(filled):
    """And say which loader and keys; after a rollback the same registry works on."""

    async def law(loaders, session):
        broken = Related(Office.members, where=text("nowhere = 1"))
        with pytest.raises(DBAPIError) as caught:
            await loaders.get(broken).load(1)
        assert "Office.members" in "\n".join(caught.value.__notes__)
        await session.rollback()
        assert await loaders.get(ByKey(Tag)).load(1)

    filled.ask(law)


@pytest.mark.parametrize("in_savepoint", [False, True])
def test_a_flush_that_fails_before_a_statement(filled, in_savepoint):
    """The statement's own task ends the transaction: it does not wait for itself, and who loads has the error."""

    async def law(loaders, session):
        tags = loaders.get(ByKey(Tag))
        await tags.load(1)
        transaction = await session.begin_nested() if in_savepoint else session
        session.add_all([Tag(id=1, word="twice"), Tag(id=90, word="new")])
        errors = await asyncio.gather(
            tags.load(2), loaders.get(ByKey(Office)).load(1), return_exceptions=True
        )
        assert isinstance(errors[0], IntegrityError)
        assert "in batch 2 of loader 'Tag' (keys: 1)" in errors[0].__notes__
        assert isinstance(errors[1], PendingRollbackError)
        with pytest.raises(PendingRollbackError):
            await tags.load(3)
        await transaction.rollback()
        assert (await tags.load_many([2, 90]))[1] is None

    filled.ask(law)


def test_flushes_that_fail_on_one_connection(filled):
    """Two sessions whose statements end their transactions at once do not wait for one another."""

    async def law(engine):
        async with (
            engine.connect() as connection,
            connection.begin(),
            AsyncSession(connection, join_transaction_mode="create_savepoint") as one,
            AsyncSession(connection, join_transaction_mode="create_savepoint") as two,
            LoaderRegistry({"session": one, "other": two}) as loaders,
        ):
            first, second = loaders.get(ByKey(Tag)), loaders.get(ByKey(Tag, session="other"))
            await first.load(1)
            await second.load(1)
            for session in (one, two):
                session.add(Tag(id=1, word="twice"))
            for error in await asyncio.gather(first.load(2), second.load(2), return_exceptions=True):
                assert isinstance(error, Exception)

    filled.run(law)


def test_after_a_failed_resolve_the_session_rolls_back_at_once(filled):
    """And works on, with the same registry: whatever ran beside what failed has ended."""

    class Broken(BaseModel):
        id: int
        first: Annotated[list[Any], Related(Office.members, order_by=text("nowhere"))]
        members: Annotated[list[Any], Related(Office.members)]
        badge: Annotated[Any, Related(Office.badge)]
        rooms: Annotated[list[Any], Related(Office.rooms)]

    async def law(loaders, session):
        for _ in range(3):
            with pytest.raises(DBAPIError) as caught:
                await Resolver(registry=loaders).resolve([{"id": 1}, {"id": 2}], into=list[Broken])
            assert "resolving" in "\n".join(caught.value.__notes__)
            await session.rollback()
            assert await loaders.get(ByKey(Tag)).load(1)

    filled.ask(law)


def test_who_leaves_by_a_timeout_may_roll_back_at_once(filled):
    """Or commit, or close: also without a resolver, and without closing the registry."""

    async def law(engine):
        for end in ("rollback", "commit", "close"):
            async with AsyncSession(engine) as session, LoaderRegistry({"session": session}) as loaders:
                session.add(Tag(id=95, word="x"))
                await session.flush()
                for turns in range(0, 30, 3):
                    task = asyncio.ensure_future(loaders.get(Related(Office.members)).load(turns))
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    task.cancel()
                    if turns == 27:
                        await getattr(session, end)()
                    else:
                        async with session.begin_nested() as savepoint:
                            await savepoint.rollback()
                assert await session.scalar(select(Tag.id).where(Tag.id == 95)) == (
                    95 if end == "commit" else None
                )
                if end == "commit":
                    await session.execute(delete(Tag).where(Tag.id == 95))
                    await session.commit()

    filled.run(law)


def test_a_connection_that_is_cut(filled):
    """A clear error; the pool is whole afterwards."""
    if filled.kind == "aiosqlite":
        return
    kill = {"asyncmy": "kill {}"}.get(filled.kind, "select pg_terminate_backend({})")
    own = {"asyncmy": "select connection_id()"}.get(filled.kind, "select pg_backend_pid()")
    alive = {"asyncmy": "select count(*) from information_schema.processlist where id = {}"}.get(
        filled.kind, "select count(*) from pg_stat_activity where pid = {}"
    )

    async def law(engine):
        async with request(engine) as (loaders, session):
            number = await session.scalar(text(own))
            async with engine.connect() as other:
                await other.execute(text(kill.format(number)))
                # The server comes round to it, which no transaction sees that runs already.
                while await other.scalar(text(alive.format(number))):
                    await other.rollback()
            futures = [loaders.get(marker).load(1) for marker in FIVE]
            outcomes = await asyncio.gather(*futures, return_exceptions=True)
            # Old asyncpg may see the cut while it begins, and says so with an error of its own.
            kinds = (SQLAlchemyError, InternalClientError)
            assert all(isinstance(each, kinds) for each in outcomes), outcomes
            assert "Office.members" in "\n".join(outcomes[0].__notes__)
            await session.rollback()
            assert await loaders.get(ByKey(Tag)).load(1)
        async with request(engine) as (loaders, session):
            assert await loaders.get(ByKey(Tag)).load(2)
        assert engine.pool.checkedout() == 0

    filled.run(law, poolclass=AsyncAdaptedQueuePool, pool_size=2, max_overflow=0, pool_timeout=10)


def test_a_session_that_was_closed_for_good(filled):
    """SQLAlchemy says so."""

    async def law(engine):
        session = AsyncSession(engine, close_resets_only=False)
        await session.close()
        async with LoaderRegistry({"session": session}) as loaders:
            with pytest.raises(InvalidRequestError, match="permanently closed"):
                await loaders.get(ByKey(Tag)).load(1)

    filled.run(law)


class MemberOut(BaseModel):
    id: int


class OfficeOut(BaseModel):
    id: int
    members: Annotated[list[MemberOut], Related(Office.members)] = []


@pytest.mark.parametrize("shared", [True, False], ids=["a session", "a sessionmaker"])
def test_a_trace_tells_how_many_statements_each_batch_has_sent(filled, shared):
    """Not those of others on the same session."""

    async def law(engine):
        params = {} if shared else {"session": async_sessionmaker(engine)}
        async with request(engine, **params) as (loaders, session):
            await session.execute(text("SELECT 1"))
            filled.statements.clear()
            with record() as trace:
                await Resolver(registry=loaders).resolve([OfficeOut(id=1), OfficeOut(id=2)])
                await loaders.get(ByKey(Tag)).load(1)
            assert [batch.statements for batch in trace.batches] == [1, 1]
            assert len(filled.selects) == 2

    filled.run(law)


class BadgeOut(BaseModel):
    id: int


class RoomOut(BaseModel):
    number: int


class PartlyOut(BaseModel):
    id: int
    rooms: Annotated[list[RoomOut] | None, Related(Office.rooms, where=func.no_such_function(Room.number))]
    badge: Annotated[BadgeOut | None, Related(Office.badge)]


@pytest.mark.parametrize("of_maker", [True, False])
def test_a_partial_answer_has_what_other_sessions_could_load(filled, of_maker):
    """On one session a statement that fails ends the transaction of PostgreSQL: what comes after it fails too."""
    errors: list[FieldError] = []

    async def law(engine):
        async with AsyncSession(engine) as session:
            given = async_sessionmaker(engine) if of_maker else session
            async with LoaderRegistry({"session": given}) as loaders:
                rows = [{"id": 1}, {"id": 2}]
                answer = await Resolver(registry=loaders).resolve(rows, into=list[PartlyOut], errors=errors)
                await session.rollback()
                assert (await loaders.get(ByKey(Office)).load(1))["id"] == 1
        return answer

    answer = filled.run(law)
    assert [office.rooms for office in answer] == [None, None]
    paths = {error.path for error in errors}
    assert paths >= {"PartlyOut[0].rooms", "PartlyOut[1].rooms"}
    if of_maker or filled.kind not in ("asyncpg", "psycopg"):
        assert len(errors) == 2
        assert answer[0].badge
    assert all(isinstance(error.error, SQLAlchemyError) for error in errors)


def test_a_session_that_does_not_know_the_database_does_not_hang(filled):
    """Who finds out leaves its turn to the next."""

    async def law(engine):
        async with AsyncSession() as session, LoaderRegistry({"session": session}) as loaders:
            for marker in (ByKey(Tag), ByKey(Tag), Related(Office.members)):
                with pytest.raises(UnboundExecutionError):
                    await loaders.get(marker).load(1)

    filled.run(law)


def test_an_error_before_anything_is_sent(filled):
    """Of an event of the session, say: there is nothing to wait for, and the transaction goes on."""

    async def law(loaders, session):
        session.add(Tag(id=91, word="mine"))
        await session.flush()
        with event_of(session, "do_orm_execute", refuse), pytest.raises(ZeroDivisionError):
            await loaders.get(ByKey(Office)).load(1)
        assert (await loaders.get(ByKey(Office)).load(1)).id == 1
        await session.rollback()
        assert await session.scalar(select(Tag.word).where(Tag.id == 91)) is None

    filled.ask(law)


def refuse(_: Any) -> None:
    raise ZeroDivisionError


@contextmanager
def event_of(session: AsyncSession, name: str, listener: Any) -> Iterator[None]:
    event.listen(session.sync_session, name, listener)
    try:
        yield
    finally:
        event.remove(session.sync_session, name, listener)
