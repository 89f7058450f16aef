"""Rows of real drivers: sqlite3, aiosqlite, asyncpg and SQLAlchemy, sync and async."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import aiosqlite
import pytest
from pydantic import BaseModel, ValidationError
from resolving import notes_of
from sqlalchemy import ForeignKey, create_engine, event, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from dloader import OptionError, build_object
from dloader.resolver import Load, Resolver

SERVER = os.environ.get("DLOADER_POSTGRES", "postgresql://root@127.0.0.1:5432/test")


async def load_teams(ids):
    return [{"id": id, "name": f"team {id}", "lead": "rubbish"} for id in ids]


class TeamOut(BaseModel):
    id: int
    name: str


class HeroOut(BaseModel):
    id: int
    name: str
    team: Annotated[TeamOut | None, Load(load_teams, by="team_id")]
    count: int

    def resolve_count(self):
        return len(self.name)


WANTED = [
    {"id": 1, "name": "Ann", "team": {"id": 1, "name": "team 1"}, "count": 3},
    {"id": 2, "name": "Bob", "team": None, "count": 3},
]


async def dumped(rows):
    return [hero.model_dump() for hero in await Resolver().resolve(rows, into=list[HeroOut])]


SQL = "SELECT 1 AS id, 'Ann' AS name, 1 AS team_id UNION ALL SELECT 2, 'Bob', NULL ORDER BY 1"


class TestDrivers:
    def test_sqlite3(self, run):
        """Rows that are mappings only in name, and plain tuples, which say nothing of their columns."""

        async def law():
            with sqlite3.connect(":memory:") as connection:
                connection.row_factory = sqlite3.Row
                assert await dumped(connection.execute(SQL).fetchall()) == WANTED
                assert await dumped(connection.execute(SQL)) == WANTED
                one = connection.execute(SQL).fetchone()
                assert (await Resolver().resolve(one, into=HeroOut)).model_dump() == WANTED[0]
                connection.row_factory = None
                with pytest.raises(ValidationError):
                    await dumped(connection.execute(SQL).fetchall())
            connection.close()

        run(law)

    def test_lists_of_rows_beside_nothing(self, run):
        """As a loader gives them for keys that have rows, and for one that has none."""

        async def law():
            with sqlite3.connect(":memory:") as connection:
                connection.row_factory = sqlite3.Row

                async def load_heroes(keys):
                    return [connection.execute(SQL).fetchall() if key else None for key in keys]

                class Page(BaseModel):
                    id: int
                    heroes: Annotated[list[HeroOut] | None, Load(load_heroes, by="id")] = []

                full, empty = await Resolver().resolve([Page(id=1), Page(id=0)])
                assert full.model_dump()["heroes"] == WANTED
                assert empty.heroes is None

        run(law)

    def test_aiosqlite(self):
        """The same from a thread."""

        async def law():
            async with aiosqlite.connect(":memory:") as connection:
                connection.row_factory = aiosqlite.Row
                async with connection.execute(SQL) as cursor:
                    with pytest.raises(OptionError, match="is to be awaited|row async for row"):
                        await dumped(cursor)
                    assert await dumped(await cursor.fetchall()) == WANTED

        asyncio.run(law())

    def test_asyncpg(self):
        """Its records, also nested in lists that a loader gives."""
        asyncpg = pytest.importorskip("asyncpg")

        async def law():
            try:
                connection = await asyncpg.connect(SERVER, timeout=5)
            except (TimeoutError, OSError) as error:
                pytest.skip(f"needs a server: PostgreSQL at {SERVER} ({error!r})")

            async def heroes_of(ids):
                return [await connection.fetch(SQL) for _ in ids]

            class Box(BaseModel):
                id: int
                heroes: Annotated[list[HeroOut], Load(heroes_of, by="id")]

            try:
                assert await dumped(await connection.fetch(SQL)) == WANTED
                box = await Resolver().resolve(await connection.fetchrow("SELECT 5 AS id"), into=Box)
                assert [hero.model_dump() for hero in box.heroes] == WANTED
            finally:
                await connection.close()

        asyncio.run(law())


# -- SQLAlchemy ----------------------------------------------------------------------------------------------


class Base(DeclarativeBase):
    pass


class Team(Base):
    __tablename__ = "team"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    heroes: Mapped[list[Hero]] = relationship(back_populates="team")


class Hero(Base):
    __tablename__ = "hero"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    team_id: Mapped[int | None] = mapped_column(ForeignKey("team.id"))
    team: Mapped[Team | None] = relationship(back_populates="heroes")


def filled(session: Session) -> None:
    session.add(Team(id=1, name="team 1"))
    session.flush()
    session.add_all([Hero(id=1, name="Ann", team_id=1), Hero(id=2, name="Bob")])
    session.commit()
    session.expunge_all()


@pytest.fixture
def session() -> Iterator[tuple[Session, list[str]]]:
    """A sync session, and the statements that it sends."""
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    statements: list[str] = []
    with Session(engine) as session:
        filled(session)
        event.listen(engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
        yield session, statements
    engine.dispose()


@asynccontextmanager
async def async_session(**options: Any) -> AsyncIterator[AsyncSession]:
    engine = create_async_engine("sqlite+aiosqlite://")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    try:
        async with AsyncSession(engine, **options) as session:
            await session.run_sync(filled)
            yield session
    finally:
        await engine.dispose()


COLUMNS = select(Hero.id, Hero.name, Hero.team_id).order_by(Hero.id)
ENTITIES = select(Hero).order_by(Hero.id)


class TestSyncSessions:
    @pytest.mark.parametrize(
        "rows",
        [
            lambda session: session.execute(COLUMNS),
            lambda session: session.execute(COLUMNS).all(),
            lambda session: session.execute(COLUMNS).mappings(),
            lambda session: session.execute(COLUMNS).mappings().all(),
            lambda session: session.scalars(ENTITIES),
            lambda session: session.scalars(ENTITIES).all(),
        ],
        ids=["result", "rows", "mapping result", "mappings", "scalar result", "entities"],
    )
    def test_everything_that_a_session_gives(self, session, rows):
        """One statement: a relationship that is filled by a loader is not touched."""
        opened, statements = session
        assert asyncio.run(dumped(rows(opened))) == WANTED
        assert len(statements) == 1

    def test_one_row(self, session):
        """Of each kind."""
        opened, statements = session

        async def law():
            for row in (
                opened.execute(COLUMNS).first(),
                opened.execute(COLUMNS).mappings().first(),
                opened.get(Hero, 1),
            ):
                assert (await Resolver().resolve(row, into=HeroOut)).model_dump() == WANTED[0]
            with pytest.raises(OptionError, match="gives many rows, and into=HeroOut is of one"):
                await Resolver().resolve(opened.execute(COLUMNS), into=HeroOut)

        asyncio.run(law())
        assert len(statements) == 4

    def test_rows_of_one_entity_are_the_entities(self, session):
        """As `execute(select(Hero))` gives them; where a model has a field of the entity's name it is that."""
        opened, statements = session

        class Named(BaseModel):
            Hero: HeroOut

        async def law():
            assert await dumped(opened.execute(ENTITIES)) == WANTED
            assert await dumped(opened.execute(ENTITIES).all()) == WANTED
            assert (await Resolver().resolve(opened.execute(ENTITIES).first(), into=HeroOut)).count == 3
            named = await Resolver().resolve(opened.execute(ENTITIES), into=list[Named])
            assert [each.Hero.model_dump() for each in named] == WANTED
            rows = opened.execute(select(Hero.id))
            with pytest.raises(ValidationError, match="name") as caught:
                await Resolver().resolve(rows, into=list[HeroOut])
            assert "'team_id' is the key of what is loaded into HeroOut" in notes_of(caught.value)

        asyncio.run(law())
        assert len(statements) == 5

    def test_a_row_of_several_entities_is_a_row(self, session):
        """Its columns are these."""
        opened, _ = session

        class Pair(BaseModel):
            Hero: HeroOut
            Team: TeamOut

        async def law():
            rows = opened.execute(select(Hero, Team).join(Hero.team))
            (pair,) = await Resolver().resolve(rows, into=list[Pair])
            assert (pair.Hero.name, pair.Team.name) == ("Ann", "team 1")

        asyncio.run(law())

    def test_a_column_that_a_row_hides(self, session):
        """`count` and `index` are methods of every tuple."""
        opened, _ = session

        class Counted(BaseModel):
            count: int
            index: str
            team: Annotated[TeamOut | None, Load(load_teams, by="team_id")]

        rows = opened.execute(select(Hero.id.label("count"), Hero.name.label("index"), Hero.team_id))

        async def law():
            made = await Resolver().resolve(rows, into=list[Counted])
            assert [(one.count, one.index) for one in made] == [(1, "Ann"), (2, "Bob")]

        asyncio.run(law())

    def test_rows_in_lazy_relationships_that_are_wanted(self, session):
        """A plain field is read off an entity; what is filled in the entities below is not."""
        opened, statements = session

        class Out(BaseModel):
            id: int
            heroes: list[HeroOut]

        async def law():
            (team,) = await Resolver().resolve(opened.scalars(select(Team)), into=list[Out])
            assert [hero.model_dump() for hero in team.heroes] == WANTED[:1]

        asyncio.run(law())
        assert len(statements) == 2

    def test_a_loader_may_give_entities(self, session):
        """The five lazy loads of before are none."""
        opened, statements = session

        async def heroes_of(ids):
            rows = opened.scalars(select(Hero).where(Hero.team_id.in_(ids)))
            by_team: dict[int, list[Hero]] = {}
            for row in rows:
                by_team.setdefault(row.team_id, []).append(row)
            return [by_team.get(id, []) for id in ids]

        class Out(BaseModel):
            id: int
            heroes: Annotated[list[HeroOut], Load(heroes_of, by="id")]

        async def law():
            (team,) = await Resolver().resolve(opened.scalars(select(Team)), into=list[Out])
            assert [hero.model_dump() for hero in team.heroes] == WANTED[:1]

        asyncio.run(law())
        assert len(statements) == 2


class TestAsyncSessions:
    def test_entities_with_lazy_relationships(self):
        """They are asked for nothing that would have to be loaded."""

        async def law():
            async with async_session() as session:
                assert await dumped(await session.scalars(ENTITIES)) == WANTED
                assert await dumped(await session.execute(COLUMNS)) == WANTED
                with pytest.raises(OptionError, match="is to be awaited|row async for row"):
                    await dumped(await session.stream(COLUMNS))
                rows = (await session.scalars(ENTITIES)).all()
            assert await dumped(rows) == WANTED  # detached by now

        asyncio.run(law())

    def test_the_tutorial_of_models_that_are_called_as_relationships(self):
        """Two levels of entities from loaders, each field named as the relationship it stands for."""

        async def law():
            async with async_session() as session:

                async def teams(ids):
                    return build_object(await session.scalars(select(Team)), ids, lambda row: row.id)

                class Member(BaseModel):
                    id: int
                    team: Annotated[TeamOut | None, Load(teams, by="team_id")]

                made = await Resolver().resolve(await session.scalars(ENTITIES), into=list[Member])
                assert [one.team and one.team.name for one in made] == ["team 1", None]

        asyncio.run(law())

    @pytest.mark.filterwarnings("ignore:coroutine 'Connection.cursor'")  # SQLAlchemy leaves them behind
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    def test_an_expired_entity_says_so(self):
        """After a commit, with the cure."""

        async def law():
            async with async_session() as session:
                rows = (await session.scalars(ENTITIES)).all()
                await session.commit()
                with pytest.raises(ValidationError, match="MissingGreenlet") as caught:
                    await dumped(rows)
                assert "this Hero is expired, by a commit say, and an AsyncSession loads nothing" in notes_of(
                    caught.value
                )
                assert "expire_on_commit=False" in notes_of(caught.value)

        asyncio.run(law())
        gc.collect()

    @pytest.mark.filterwarnings("ignore:coroutine 'Connection.cursor'")
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    @pytest.mark.parametrize("base", [BaseModel, object])
    @pytest.mark.parametrize("errors", [None, []], ids=["whole", "partial"])
    def test_what_an_entity_has_not_loaded_says_so(self, base, errors):
        """Of a model and of a dataclass: a relationship that is a plain field, and a column that was expired."""

        class Out(base):
            team: TeamOut | None
            name: Annotated[str, Load(load_teams, by="id")] = ""
            id: int = 0

        class Short(base):
            name: str
            team: Annotated[TeamOut | None, Load(load_teams, by="team_id")]

        if base is object:
            Out, Short = dataclasses.dataclass(Out), dataclasses.dataclass(Short)

        async def note_of(row, into):
            errors_of = None if errors is None else []
            if errors is None:
                with pytest.raises(ValidationError, match="MissingGreenlet") as caught:
                    await Resolver().resolve([row], into=list[into])
                return notes_of(caught.value)
            assert await Resolver().resolve([row], into=list[into], errors=errors_of) == []
            (error,) = errors_of
            return notes_of(error.error)

        async def law():
            async with async_session() as session:
                row = await session.get(Hero, 1)
                note = "Hero.team is not loaded, and an AsyncSession loads nothing by itself: load it with the rows"
                assert note in await note_of(row, Out)
                session.expire(row, ["name"])
                assert "Hero.name is not loaded, and an AsyncSession" in await note_of(row, Short)
                await session.commit()
                assert "this Hero is expired, by a commit say" in await note_of(row, Short)

        asyncio.run(law())
        gc.collect()

    def test_a_statement_is_to_be_executed(self):
        """It holds no rows."""
        with pytest.raises(OptionError, match="resolve.. takes rows, and Select is a statement: execute it"):
            asyncio.run(dumped(ENTITIES))

    def test_a_detached_entity_says_so(self):
        """Where it lacks something that is wanted."""

        class Out(BaseModel):
            id: int
            team: TeamOut | None

        async def law():
            async with async_session() as session:
                rows = (await session.scalars(ENTITIES)).all()
            with pytest.raises(ValidationError, match="DetachedInstanceError") as caught:
                await Resolver().resolve(rows, into=list[Out])
            assert "this Hero is detached: its session is closed" in notes_of(caught.value)

        asyncio.run(law())
