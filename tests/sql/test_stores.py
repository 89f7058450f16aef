"""What look-ups keep in a store: found by whoever would find the same, and outdated by what is written."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import enum
import uuid
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Annotated, Any

import pytest
import redis_servers
import strawberry
from databases import Database
from pydantic import BaseModel
from sqlalchemy import (
    ARRAY,
    JSON,
    DateTime,
    Enum,
    ForeignKey,
    Interval,
    LargeBinary,
    Numeric,
    PickleType,
    String,
    Text,
    TypeDecorator,
    bindparam,
    column,
    create_engine,
    delete,
    event,
    func,
    insert,
    select,
    table,
    text,
    type_coerce,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    UserDefinedOption,
    deferred,
    mapped_column,
    relationship,
    with_loader_criteria,
)

from dloader import LoaderRegistry, MissingKeyError, OptionError, PlanError
from dloader._stored import _guard
from dloader._stored._generations import EVERY_GENERATION
from dloader._stored._values import VALUE
from dloader.resolver import Resolver
from dloader.sqlalchemy import Aggregate, ByKey, Count, From, Page, Query, Related, _written
from dloader.store import Got, MemoryStore
from dloader.strawberry import LoaderExtension, related

pytest.importorskip("redis", reason="install the extra test again")

import redis.asyncio

from dloader.redis import RedisStore


class Base(DeclarativeBase):
    pass


class Grade(enum.Enum):
    LOW = "low"
    HIGH = 2


class Money(TypeDecorator[Decimal]):
    """Cents, of which the database has whole ones."""

    impl = Numeric(10, 0)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return None if value is None else value * 100

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return None if value is None else value / 100

    @property
    def python_type(self) -> type[Any]:
        return Decimal


class Trimmed(TypeDecorator[str]):
    """Converts what goes in and nothing that comes out."""

    impl = String(20)
    cache_ok = True


class Team(Base):
    __tablename__ = "team"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))
    members: Mapped[list[Player]] = relationship(order_by="Player.id", back_populates="team")


class Player(Base):
    __tablename__ = "player"
    id: Mapped[int] = mapped_column(primary_key=True)
    nick: Mapped[str] = mapped_column(Trimmed, unique=True)
    tenant: Mapped[int]
    pay: Mapped[Decimal | None] = mapped_column(Money)
    grade: Mapped[Grade] = mapped_column(Enum(Grade, native_enum=False, length=10))
    born: Mapped[dt.date | None]
    seen: Mapped[dt.datetime | None]
    woken: Mapped[dt.time | None]
    played: Mapped[dt.timedelta | None] = mapped_column(Interval(native=False))
    key: Mapped[uuid.UUID | None]
    photo: Mapped[bytes | None] = mapped_column(LargeBinary)
    score: Mapped[float | None]
    extra: Mapped[Any] = mapped_column(JSON, nullable=True)
    opaque: Mapped[Any] = deferred(mapped_column(PickleType, nullable=True))
    team_id: Mapped[int | None] = mapped_column(ForeignKey("team.id"))
    team: Mapped[Team | None] = relationship(back_populates="members")
    medals: Mapped[list[Medal]] = relationship(secondary="won", order_by="Medal.id")


class Medal(Base):
    __tablename__ = "medal"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))


class Won(Base):
    __tablename__ = "won"
    id: Mapped[int] = mapped_column(primary_key=True)
    player_id: Mapped[int] = mapped_column(ForeignKey("player.id", ondelete="CASCADE"))
    medal_id: Mapped[int] = mapped_column(ForeignKey("medal.id"))


class Animal(Base):
    __tablename__ = "animal"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))
    owner_id: Mapped[int]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}


class Cat(Animal):
    __tablename__ = "cat"
    id: Mapped[int] = mapped_column(ForeignKey("animal.id"), primary_key=True)
    lives: Mapped[int]
    __mapper_args__ = {"polymorphic_identity": "cat"}


FULL = {
    "pay": Decimal("12.34"),
    "born": dt.date(1999, 2, 3),
    "seen": dt.datetime(2026, 1, 2, 3, 4, 5),  # noqa: DTZ001
    "woken": dt.time(6, 30),
    "played": dt.timedelta(hours=1, seconds=2),
    "key": uuid.UUID(int=7),
    "photo": b"\xff\x00\xfe",
    "score": 0.1,
    "extra": {"list": [1, None, "x"], "map": {"a": 1.5}},
    "opaque": {1, 2},
}
ROWS: dict[Any, list[dict[str, Any]]] = {
    Team: [{"id": n, "name": f"team {n}"} for n in (1, 2, 3)],
    Player: [
        {
            **(FULL if n == 1 else dict.fromkeys(FULL)),
            "id": n,
            "nick": f"p{n}",
            "tenant": n % 2,
            "grade": Grade.HIGH if n % 3 else Grade.LOW,
            "team_id": n % 2 + 1,
        }
        for n in range(1, 7)
    ],
    Medal: [{"id": 1, "name": "gold"}, {"id": 2, "name": "tin"}],
    Won: [
        {"id": n, "player_id": player, "medal_id": medal}
        for n, (player, medal) in enumerate(((1, 1), (1, 1), (1, 2), (2, 2)), 1)
    ],
    Animal: [{"id": 1, "kind": "animal", "owner_id": 1}],
    Cat: [{"id": 2, "kind": "cat", "owner_id": 1, "lives": 9}],
}

TEAM = Related(Team.members, store_ttl=30)
PLAYER = ByKey(Player, store_ttl=30, store_negative_ttl=10)
SIZE = Count(Team.members, store_ttl=30)
EVERY = {
    "to many": TEAM,
    "filtered": Related(
        Team.members, where=Player.grade == Grade.HIGH, order_by=Player.id.desc(), store_ttl=30
    ),
    "the first": Related(Team.members, limit=2, store_ttl=30),
    "to one": Related(Player.team, store_ttl=30),
    "many to many": Related(Player.medals, store_ttl=30),
    "by key": PLAYER,
    "count": SIZE,
    "sum": Aggregate(Team.members, func.sum(Player.tenant), store_ttl=30),
    "largest": Aggregate(Team.members, func.max(Player.born), store_ttl=30, store_negative_ttl=30),
    "query": Query(
        select(Player).where(Player.id > 2).order_by(Player.id), key=Player.team_id, many=True, store_ttl=30
    ),
    "columns": Query(select(Player.id, Player.nick, Player.tenant), key=Player.id, store_ttl=30),
}


@pytest.fixture(scope="module")
def filled(database: Database) -> Database:
    """With all rows; tests undo what they write."""
    database.fill(Base, ROWS)
    return database


@pytest.fixture(scope="module")
def server() -> Iterator[redis_servers.Server]:
    """A Redis."""
    yield from redis_servers.serving()


@pytest.fixture(autouse=True)
def never_in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no slow store."""
    monkeypatch.setattr(_guard, "DEADLINE", 30.0)


@contextlib.asynccontextmanager
async def request(
    engine: Any, store: Any, **options: Any
) -> AsyncIterator[tuple[LoaderRegistry, AsyncSession]]:
    """What one request has."""
    namespace = options.pop("namespace", None)
    async with (
        AsyncSession(engine, expire_on_commit=False) as session,
        LoaderRegistry({"session": session, **options}, store=store, store_namespace=namespace) as loaders,
    ):
        yield loaders, session


async def load(engine: Any, store: Any, marker: Any, *keys: Any, **options: Any) -> Any:
    """What one request finds."""
    async with request(engine, store, **options) as (loaders, _):
        return await loaders.get(marker).load_many(keys)


def nicks(teams: Any) -> list[list[str]]:
    """The names of players in lists."""
    return [[player.nick for player in team] for team in teams]


class TestSharing:
    @pytest.mark.parametrize("name", EVERY)
    def test_what_one_request_finds_the_next_one_asks_no_database_for(self, filled, name):
        """Of the same types, and equal."""

        async def law(engine):
            store = MemoryStore()
            first = await load(engine, store, EVERY[name], 1, 2, 3)
            sent = len(filled.selects)
            assert await load(engine, store, EVERY[name], 3, 1, 2) == [first[2], *first[:2]]
            missing = 0 if name == "largest" else first.count(None)
            assert len(filled.selects) == sent + (missing > 0 and name != "by key")
            assert [type(each) for each in await load(engine, store, EVERY[name], 1)] == [type(first[0])]
            return first

        first = filled.run(law)
        assert filled.run(lambda engine: load(engine, None, EVERY[name], 1, 2, 3)) == first

    def test_processes_share_what_redis_has(self, filled, server):
        async def law(engine):
            async with redis.asyncio.from_url(server.url) as one, redis.asyncio.from_url(server.url) as other:
                await one.flushall()
                here, there = (RedisStore(client, deadline=30) for client in (one, other))
                first = await load(engine, here, TEAM, 1, 2)
                filled.statements.clear()
                assert await load(engine, there, TEAM, 2, 1) == first[::-1]
                assert filled.statements == []
                async with request(engine, there) as (_, session):
                    (await session.get_one(Player, 2)).nick = "new"
                    await session.commit()
                assert nicks(await load(engine, here, TEAM, 1)) == [["new", "p4", "p6"]]
                async with request(engine, here) as (_, session):
                    await session.execute(update(Player).where(Player.id == 2).values(nick="p2"))
                    await session.commit()
                assert await load(engine, there, TEAM, 2, 1) == first[::-1]
                return [key async for key in one.scan_iter("*")]

        names = filled.run(law)
        assert all(name.startswith((b"dl:1:{Team.members:", b"dl:1:{generations}:")) for name in names)
        assert EVERY_GENERATION.encode() + b'"player"' in names

    def test_all_values_come_back_as_they_were(self, filled):
        """Also in the first request of an engine, which does not know its server yet."""

        async def law(engine):
            store = MemoryStore()
            first = await load(engine, store, PLAYER, 1)
            filled.statements.clear()
            return first, await load(engine, store, PLAYER, 1)

        [one], [other] = filled.run(law)
        assert filled.statements == []
        assert one == other
        assert [type(value) for value in one.values() if not isinstance(value, uuid.UUID)] == [
            type(value) for value in other.values() if type(value) is not uuid.UUID
        ]
        assert other.photo == FULL["photo"]
        assert other.grade is Grade.HIGH

    def test_rows_of_several_classes(self, filled):
        """Each has the columns of its own."""

        class AnimalOut(BaseModel):
            id: int

        class CatOut(AnimalOut):
            lives: int

        zoo = Related(Owner.animals, store_ttl=30)

        class OwnerOut(BaseModel):
            id: int
            animals: Annotated[list[CatOut | AnimalOut], zoo]

        async def law(engine):
            store = MemoryStore()
            found = []
            for _ in range(2):
                async with request(engine, store) as (loaders, _):
                    found.append(await Resolver(registry=loaders).resolve([{"id": 1}], into=list[OwnerOut]))
            return found

        first, again = filled.run(law)
        assert first == again
        assert [type(each) for each in again[0].animals] == [AnimalOut, CatOut]
        assert len(filled.selects) == 1

    @pytest.mark.parametrize("marker", [Related(Team.members), TEAM])
    def test_without_store_ttl_nothing_is_kept(self, filled, marker):
        """Be it that the marker has none, or that a loader is told so later."""

        async def law(engine):
            store = MemoryStore()
            for _ in range(2):
                async with request(engine, store) as (loaders, _session):
                    loader = loaders.get(marker)
                    loader.store_ttl = None
                    await loader.load(1)
                    loader.clear(1).clear_all()
            assert not len(store)

        filled.run(law)
        assert len(filled.selects) == 2

    def test_negatives_are_kept_where_that_is_said(self, filled):
        class Strict(BaseModel):
            nick: str

        class Holder(BaseModel):
            id: int
            player: Annotated[Strict, ByKey(Player, by="id", store_ttl=30, store_negative_ttl=10)]

        async def law(engine):
            store = MemoryStore()
            for _ in range(2):
                assert await load(engine, store, PLAYER, 99) == [None]
                assert await load(engine, store, Related(Player.team, store_ttl=30), 99) == [None]
                async with request(engine, store) as (loaders, _):
                    with pytest.raises(MissingKeyError):
                        await Resolver(registry=loaders).resolve(Holder.model_construct(id=99))

        filled.run(law)
        assert [each.split("FROM")[1].split()[0] for each in filled.selects] == [
            "player",
            "team",
            "player",
            "team",
        ]

    def test_a_maker_of_sessions(self, filled):
        async def law(engine):
            store, found = MemoryStore(), []
            for _ in range(2):
                async with LoaderRegistry({"session": async_sessionmaker(engine)}, store=store) as loaders:
                    found.append(await loaders.get(TEAM).load(1))
            return found

        first, again = filled.run(law)
        assert first == again
        assert len(filled.selects) == 1

    def test_of_requests_at_one_time_one_asks_the_database(self, filled):
        async def law(engine):
            store = MemoryStore()
            found = await asyncio.gather(*(load(engine, store, TEAM, 1, 2) for _ in range(5)))
            assert all(each == found[0] for each in found)

        filled.run(law)
        assert len(filled.selects) == 1


class Owner(Base):
    __tablename__ = "owner"
    id: Mapped[int] = mapped_column(primary_key=True)
    animals: Mapped[list[Animal]] = relationship(
        primaryjoin="Owner.id == foreign(Animal.owner_id)", order_by="Animal.id", viewonly=True
    )


class TestColumns:
    def test_few_never_answer_for_more(self, filled):
        class Nick(BaseModel):
            nick: str

        class More(Nick):
            pay: Decimal | None
            shout: Annotated[str, From(func.upper(Player.nick, type_=String))]

        class Narrow(BaseModel):
            id: int
            members: Annotated[list[Nick], TEAM]

        class Wide(BaseModel):
            id: int
            members: Annotated[list[More], TEAM]
            page: Annotated[Page[More], Related(Team.members, limit=1, total=True, store_ttl=30)]
            size: Annotated[int, SIZE]

        async def law(engine):
            store, found = MemoryStore(), []
            for model in (Narrow, Wide, Wide, Narrow):
                async with request(engine, store) as (loaders, _):
                    found.append(await Resolver(registry=loaders).resolve([{"id": 1}], into=list[model]))
            async with request(engine, store) as (loaders, _):
                one = await loaders.get(TEAM).load(2)
                narrow = await Resolver(registry=loaders).resolve([{"id": 2}], into=list[Narrow])
            return found, one, narrow

        (narrow, wide, again, last), one, other = filled.run(law)
        assert wide == again
        assert narrow == last
        assert [each.shout for each in wide[0].members] == ["P2", "P4", "P6"]
        assert (wide[0].page.total, wide[0].page.has_more, wide[0].size) == (3, True, 3)
        assert one[0].pay == FULL["pay"]
        assert [each.nick for each in other[0].members] == ["p1", "p3", "p5"]
        assert sum("ORDER BY player.id" in each for each in filled.selects) == 5

    def test_what_json_does_not_carry_is_refused_with_its_column(self, filled):
        class Out(BaseModel):
            id: int
            opaque: Any

        class Holder(BaseModel):
            id: int
            players: Annotated[list[Out], TEAM]
            youngest: Annotated[Any, Aggregate(Team.members, func.mystery(Player.id), store_ttl=1)]
            rows: Annotated[list[dict[str, Any]], Related(Opaque.more, store_ttl=1)]

        with pytest.raises(PlanError) as raised:
            Resolver().plan(Holder)
        assert "does not carry Player.opaque of type PickleType()" in str(raised.value)
        assert "does not carry mystery(player.id) of type NullType()" in str(raised.value)
        assert "does not carry Opaque.what of type PickleType()" in str(raised.value)

        async def law(engine):
            with pytest.raises(OptionError, match=r"carry Opaque\.what of type PickleType\(\): leave it out"):
                await load(engine, MemoryStore(), ByKey(Opaque, store_ttl=1), 1)
            with pytest.raises(OptionError, match=r"carry mystery\(player\.id\) of type NullType"):
                await load(
                    engine, MemoryStore(), Aggregate(Team.members, func.mystery(Player.id), store_ttl=1), 1
                )

        filled.run(law)

    def test_another_schema_finds_nothing(self, filled):
        """After a deployment that has changed the type of a column, say."""

        def mapped(kind: Any) -> Any:
            class Own(DeclarativeBase):
                pass

            class Team(Own):
                __tablename__ = "team"
                id: Mapped[int] = mapped_column(primary_key=True)
                name: Mapped[str] = mapped_column(kind)

            return ByKey(Team, store_ttl=30)

        async def law(engine):
            store = MemoryStore()
            for kind in (String(20), Text(), String(20)):
                assert (await load(engine, store, mapped(kind), 1))[0].name == "team 1"

        filled.run(law)
        assert len(filled.selects) == 2

    def test_what_is_there_and_no_row_is_a_miss(self, filled):
        async def law(engine):
            store = MemoryStore()
            first = await load(engine, store, TEAM, 1)
            for bad in (b'V[{"0":"1"}]', b"V[]x", b"", b"V7"):
                for name, (until, _, is_value) in list(store._entries.items()):
                    if "generations" not in name:
                        store._entries[name] = (until, bad, is_value)
                assert await load(engine, store, TEAM, 1) == first

        filled.run(law)
        assert len(filled.selects) == 5

    def test_arrays(self, postgresql):
        class Own(DeclarativeBase):
            pass

        class Listed(Own):
            __tablename__ = "listed"
            id: Mapped[int] = mapped_column(primary_key=True)
            words: Mapped[list[str]] = mapped_column(ARRAY(Text))
            dates: Mapped[list[Any]] = mapped_column(ARRAY(DateTime, dimensions=2))

        class Bad(Own):
            __tablename__ = "bad"
            id: Mapped[int] = mapped_column(primary_key=True)
            what: Mapped[list[Any]] = mapped_column(ARRAY(Strange))

        dates = [[dt.datetime(2026, 1, 2), None]]  # noqa: DTZ001
        postgresql.fill(Own, {Listed: [{"id": 1, "words": ["a", "b"], "dates": dates}]})

        async def law(engine):
            store = MemoryStore()
            first = await load(engine, store, ByKey(Listed, store_ttl=9), 1)
            assert first == await load(engine, store, ByKey(Listed, store_ttl=9), 1)
            assert first[0].dates == dates
            with pytest.raises(OptionError, match=r"Bad\.what of type ARRAY"):
                await load(engine, store, ByKey(Bad, store_ttl=9), 1)
            with pytest.raises(OptionError, match=r"bad\.what.* of type Old"):
                await load(
                    engine, store, Query(select(type_coerce(Bad.what, Old())), key=Bad.id, store_ttl=9), 1
                )

        postgresql.run(law)
        assert len(postgresql.selects) == 1


class Unknown:
    """Nothing that Pydantic knows."""


class Strange(TypeDecorator[Any]):
    """Says that it has what Pydantic does not know."""

    impl = Text
    cache_ok = True
    python_type = Unknown


class Old(Strange):
    """As SQLAlchemy 2.0 says that a type has nothing."""

    cache_ok = True

    @property
    def python_type(self):
        raise NotImplementedError

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return value


class Opaque(Base):
    __tablename__ = "opaque"
    id: Mapped[int] = mapped_column(primary_key=True)
    what: Mapped[Any] = mapped_column(PickleType)
    parent_id: Mapped[int] = mapped_column(ForeignKey("opaque.id"))
    more: Mapped[list[Opaque]] = relationship()


class Mine(UserDefinedOption):
    """Of the application, for an event."""


class TestWhoseItIs:
    @pytest.mark.parametrize("way", ["lambda", "expression", "subquery", "mixed"])
    def test_tenants_are_apart(self, filled, way):
        """Their criteria stand in the statement, and so in the names of what is kept."""

        def options(tenant: int) -> list[Any]:
            def criterion(cls: Any) -> Any:
                return cls.tenant == tenant

            own = {
                "lambda": lambda cls: cls.tenant == tenant,
                "expression": Player.tenant == tenant,
                "subquery": Player.id.in_(select(Player.id).where(Player.tenant == tenant)),
                "mixed": criterion,
            }[way]
            return [with_loader_criteria(Player, own), with_loader_criteria(Medal, Medal.id < tenant)]

        async def law(engine):
            store = MemoryStore()
            for _ in range(2):
                for tenant in (0, 1):
                    found = await load(engine, store, SIZE, 1, 2, options=options(tenant))
                    assert found == ([3, 0] if tenant == 0 else [0, 3])
                    found = nicks(await load(engine, store, TEAM, 1, 2, options=options(tenant)))
                    assert found == ([["p2", "p4", "p6"], []] if tenant == 0 else [[], ["p1", "p3", "p5"]])
            assert nicks(await load(engine, store, TEAM, 1)) == [["p2", "p4", "p6"]]

        filled.run(law)
        assert len(filled.selects) == 5

    def test_criteria_of_other_tables_make_no_difference(self, filled):
        async def law(engine):
            store = MemoryStore()
            for n in (1, 2):
                await load(engine, store, TEAM, 1, options=[with_loader_criteria(Medal, Medal.id == n)])

        filled.run(law)
        assert len(filled.selects) == 1

    @pytest.mark.parametrize(
        ("option", "what"),
        [
            (Mine(), "what the statement option"),
            (
                with_loader_criteria(Player, Player.tenant == bindparam("t", callable_=lambda: 1)),
                "asked for when",
            ),
            (with_loader_criteria(Player, Player.woken == dt.time(1)), "stable text of time"),
        ],
    )
    def test_what_nobody_can_tell_is_refused_without_a_namespace(self, filled, option, what):
        async def law(engine):
            store = MemoryStore()
            with pytest.raises(OptionError, match=f"{what}.*store_namespace"):
                await load(engine, store, TEAM, 1, options=[option])

        filled.run(law)
        assert filled.selects == []

    def test_a_namespace_says_it(self, filled):
        async def law(engine):
            store = MemoryStore()
            for namespace in ("a", "a", "b"):
                await load(engine, store, TEAM, 1, options=[Mine()], namespace=namespace)

        filled.run(law)
        assert len(filled.selects) == 2

    def test_events_of_the_session_are_refused_without_a_namespace(self, filled):
        async def law(engine):
            store = MemoryStore()

            class Own(Session):
                pass

            @event.listens_for(Own, "do_orm_execute")
            def only(state: Any) -> None:
                state.statement = state.statement.options(with_loader_criteria(Player, Player.tenant == 0))

            for make in (async_sessionmaker(engine, sync_session_class=Own),):
                async with LoaderRegistry({"session": make}, store=store) as loaders:
                    with pytest.raises(OptionError, match="do_orm_execute"):
                        loaders.get(TEAM)
                async with LoaderRegistry({"session": make}, store=store, store_namespace=0) as loaders:
                    assert nicks(await loaders.get(TEAM).load_many([1, 2])) == [["p2", "p4", "p6"], []]

        filled.run(law)

    def test_databases_are_apart(self):
        """Also those that have the same URL, as they are in the memory of the process."""

        async def law():
            store = MemoryStore()
            for word in ("one", "two"):
                engine = create_async_engine("sqlite+aiosqlite://")
                async with engine.begin() as connection:
                    await connection.run_sync(Medal.__table__.create)
                    await connection.execute(insert(Medal).values(id=1, name=word))
                for _ in range(2):
                    assert (await load(engine, store, ByKey(Medal, store_ttl=9), 1))[0].name == word
                await engine.dispose()

        asyncio.run(law())

    def test_a_url_that_names_no_database_is_refused(self):
        async def law():
            engine = create_async_engine("postgresql+asyncpg://somewhere")
            async with request(engine, MemoryStore()) as (loaders, _):
                with pytest.raises(OptionError, match="nobody can tell which database postgresql"):
                    loaders.get(TEAM)

        asyncio.run(law())

    def test_translated_schemas_are_apart(self, sqlite):
        sqlite.fill(Base, ROWS)

        async def law(engine):
            store = MemoryStore()
            for schema in (None, "main", "main"):
                translated = engine.execution_options(schema_translate_map={None: schema})
                assert nicks(await load(translated, store, TEAM, 1)) == [["p2", "p4", "p6"]]
            translated = engine.execution_options(schema_translate_map={None: object()})
            with pytest.raises(OptionError, match="schema_translate_map"):
                await load(translated, store, TEAM, 1)

        sqlite.run(law)
        assert len(sqlite.selects) == 2


WRITES = {
    "orm": lambda session: _rename(session, "new"),
    "bulk": lambda session: session.execute(update(Player).where(Player.id == 2).values(nick="new")),
    "core": lambda session: session.execute(
        update(Player.__table__).where(Player.id == 2).values(nick="new")
    ),
    "text": lambda session: session.execute(text("UPDATE player SET nick = 'new' WHERE id = 2")),
    "connection": lambda session: _on_connection(session),
}


async def _rename(session: AsyncSession, nick: str) -> None:
    player = await session.get_one(Player, 2)
    player.nick = nick
    await session.flush()


async def _on_connection(session: AsyncSession) -> None:
    connection = await session.connection()
    await connection.execute(update(Player).where(Player.id == 2).values(nick="new"))


async def _back(engine: Any, store: Any) -> None:
    async with request(engine, store) as (_, session):
        await session.execute(update(Player).where(Player.id == 2).values(nick="p2"))
        await session.commit()


class TestWriting:
    @pytest.mark.parametrize("way", WRITES)
    def test_what_is_committed_others_find(self, filled, way):
        """Also who has loaded before; and nobody finds it before it is."""

        async def law(engine):
            store = MemoryStore()
            assert nicks(await load(engine, store, TEAM, 1)) == [["p2", "p4", "p6"]]
            async with request(engine, store) as (long, _), request(engine, store) as (loaders, session):
                await long.get(TEAM).load(1)
                assert nicks([await loaders.get(TEAM).load(1)]) == [["p2", "p4", "p6"]]
                await WRITES[way](session)
                assert nicks([await loaders.get(TEAM).load(1)]) == [["new", "p4", "p6"]]
                if filled.kind != "aiosqlite":  # which lets nobody read meanwhile
                    assert nicks(await load(engine, store, TEAM, 1)) == [["p2", "p4", "p6"]]
                await session.commit()
                assert nicks([await loaders.get(TEAM).load(1)]) == [["new", "p4", "p6"]]
                if filled.kind == "asyncpg":  # elsewhere its transaction may see what was before
                    assert nicks([await long.get(TEAM).load(1)]) == [["new", "p4", "p6"]]
            assert nicks(await load(engine, store, TEAM, 1)) == [["new", "p4", "p6"]]
            await _back(engine, store)
            assert nicks(await load(engine, store, TEAM, 1)) == [["p2", "p4", "p6"]]

        filled.run(law)

    @pytest.mark.parametrize("way", WRITES)
    @pytest.mark.parametrize("savepoint", [False, True])
    def test_what_is_rolled_back_nobody_finds(self, filled, way, savepoint):
        async def law(engine):
            store = MemoryStore()
            async with request(engine, store) as (loaders, session):
                nested = await session.begin_nested() if savepoint else session
                await WRITES[way](session)
                assert nicks([await loaders.get(TEAM).load(1)]) == [["new", "p4", "p6"]]
                await nested.rollback()
                assert nicks([await loaders.get(TEAM).load(1)]) == [["p2", "p4", "p6"]]
            assert nicks(await load(engine, store, TEAM, 1)) == [["p2", "p4", "p6"]]

        filled.run(law)

    def test_what_is_not_flushed_is_seen_as_ever(self, filled):
        async def law(engine):
            store = MemoryStore()
            await load(engine, store, TEAM, 1, 3)
            async with request(engine, store) as (loaders, session):
                (await session.get_one(Player, 2)).nick = "new"
                assert nicks([await loaders.get(TEAM).load(1)]) == [["new", "p4", "p6"]]
            async with request(engine, store) as (loaders, session):
                session.add(Player(id=90, nick="p90", tenant=0, grade=Grade.LOW, team_id=3))
                assert nicks([await loaders.get(TEAM).load(3)]) == [["p90"]]
            async with request(engine, store) as (loaders, session):
                await session.delete(await session.get_one(Player, 4))
                assert nicks([await loaders.get(TEAM).load(1)]) == [["p2", "p6"]]
            assert nicks(await load(engine, store, TEAM, 1, 3)) == [["p2", "p4", "p6"], []]

        filled.run(law)

    def test_what_is_written_while_a_batch_is_under_way_is_not_kept(self, filled):
        """It has read what is not committed, or may have."""

        class Slow(Wrapped):
            async def get_many(self, keys):
                got = await self.inner.get_many(keys)
                if EVERY_GENERATION not in keys[0] and self.then is not None:
                    then, self.then = self.then, None
                    await then()
                return got

        async def law(engine):
            store = Slow()
            async with request(engine, store) as (loaders, session):
                store.then = lambda: WRITES["bulk"](session)
                assert nicks([await loaders.get(TEAM).load(1)]) == [["new", "p4", "p6"]]
                await session.rollback()
            assert nicks(await load(engine, store, TEAM, 1)) == [["p2", "p4", "p6"]]
            assert len(filled.selects) == 2

        filled.run(law)

    def test_other_tables_are_left_alone(self, filled):
        """And statements that write nothing."""

        async def law(engine):
            store = MemoryStore()
            await load(engine, store, TEAM, 1)
            async with request(engine, store) as (long, _), request(engine, store) as (loaders, session):
                first = await long.get(TEAM).load(1)
                await session.execute(text("SELECT 1"))
                await session.execute(insert(Medal).values(id=9, name="x"))
                await session.execute(delete(Medal).where(Medal.id == 9))
                await session.commit()
                filled.statements.clear()
                assert nicks([await loaders.get(TEAM).load(1)]) == [["p2", "p4", "p6"]]
                assert await long.get(TEAM).load(1) is first

        filled.run(law)
        assert filled.selects == []

    def test_all_tables_that_a_look_up_reads_count(self, filled):
        """The table of links, and that of a condition."""
        medals = Related(Player.medals, store_ttl=30)
        winners = Related(Team.members, where=Player.medals.any(), store_ttl=30)

        async def law(engine):
            store = MemoryStore()

            async def found() -> Any:
                [[*won], [*team]] = (
                    (await load(engine, store, medals, 2)),
                    (await load(engine, store, winners, 1)),
                )
                return [each.name for each in won[0]], nicks(team)

            assert await found() == (["tin"], [["p2"]])
            for write, then in (
                (insert(Won).values(id=9, player_id=4, medal_id=1), (["tin"], [["p2", "p4"]])),
                (delete(Won).where(Won.id == 9), (["tin"], [["p2"]])),
                (update(Medal).where(Medal.id == 2).values(name="can"), (["can"], [["p2"]])),
                (update(Medal).where(Medal.id == 2).values(name="tin"), (["tin"], [["p2"]])),
            ):
                async with request(engine, store) as (_, session):
                    await session.execute(write)
                    await session.commit()
                assert await found() == then

        filled.run(law)

    def test_what_the_database_changes_by_itself_counts(self, filled):
        """Where a foreign key says so: rows that refer to one that is deleted."""
        links = Query(select(Won).order_by(Won.id), key=Won.medal_id, many=True, store_ttl=30)

        async def law(engine):
            store = MemoryStore()
            async with request(engine, store) as (_, session):
                if filled.kind == "aiosqlite":
                    await session.execute(text("PRAGMA foreign_keys = ON"))
                    await session.commit()
                session.add(Player(id=80, nick="p80", tenant=0, grade=Grade.LOW))
                await session.flush()
                session.add(Won(id=80, player_id=80, medal_id=1))
                await session.commit()
            assert len((await load(engine, store, links, 1))[0]) == 3
            async with request(engine, store) as (_, session):
                if filled.kind == "aiosqlite":
                    await session.execute(delete(Won).where(Won.id == 80))
                await session.execute(delete(Player).where(Player.id == 80))
                await session.commit()
            return len((await load(engine, store, links, 1))[0])

        assert filled.run(law) == 2
        found = _written._with_dependents({"player": Player.__table__, "medal": None})  # type: ignore[dict-item]
        assert found == {"player", "medal", "won"}

    def test_clear_is_for_all_that_is_read_from_the_tables(self, filled):
        """Whoever has kept it, with whichever columns."""

        async def law(engine):
            store = MemoryStore()
            for clear in (lambda loader: loader.clear(1), lambda loader: loader.clear_all()):
                await load(engine, store, TEAM, 1)
                async with engine.begin() as connection:  # not by a session
                    await connection.execute(update(Player).where(Player.id == 2).values(nick="new"))
                assert nicks(await load(engine, store, TEAM, 1)) == [["p2", "p4", "p6"]]
                async with request(engine, store) as (loaders, _):
                    clear(loaders.get(PLAYER))
                assert nicks(await load(engine, store, TEAM, 1)) == [["new", "p4", "p6"]]
                async with engine.begin() as connection:
                    await connection.execute(update(Player).where(Player.id == 2).values(nick="p2"))
                async with request(engine, store) as (loaders, _):
                    loaders.clear_all()
                    loaders.get(PLAYER).clear_all()

        filled.run(law)

    def test_a_session_that_nobody_followed_from_the_beginning(self, filled):
        """Its transaction may have written before."""

        async def law(engine):
            store = MemoryStore()
            await load(engine, store, TEAM, 1)
            async with request(engine, store) as (loaders, session):
                await WRITES["bulk"](session)
                _written._written.pop(session.sync_session)
                assert nicks([await loaders.get(TEAM).load(1)]) == [["new", "p4", "p6"]]

        filled.run(law)

    def test_a_session_in_somebody_elses_transaction(self, filled):
        """Which may have written, and may be rolled back, whatever the session does."""

        async def law(engine):
            store = MemoryStore()
            await load(engine, store, TEAM, 1)
            async with engine.connect() as connection, connection.begin() as outer:
                await connection.execute(update(Player).where(Player.id == 2).values(nick="new"))
                async with request(connection, store) as (loaders, session):
                    assert nicks([await loaders.get(TEAM).load(1)]) == [["new", "p4", "p6"]]
                    await session.commit()
                await outer.rollback()
            assert nicks(await load(engine, store, TEAM, 1)) == [["p2", "p4", "p6"]]

        filled.run(law)

    def test_a_session_without_asyncio(self, tmp_path):
        """Is followed like all, and tells no store."""
        engine = create_engine(f"sqlite:///{tmp_path}/x.db")
        Base.metadata.create_all(engine)
        with Session(engine) as session:
            session.add(Medal(id=1, name="x"))
            session.commit()
        engine.dispose()

    @pytest.mark.parametrize(
        ("words", "found"),
        [
            ("select 1", False),
            ("  BEGIN", False),
            ("SAVEPOINT a", False),
            ("selectable", True),
            ("WITH a AS (INSERT INTO b VALUES (1)) SELECT 1", True),
            ("CALL f()", True),
        ],
    )
    def test_text_that_may_write(self, words, found):
        assert bool(_written.tables_written(None, words)) is found

    def test_what_statements_write(self):
        class Compiled:
            def __init__(self, statement: Any) -> None:
                self.statement = statement

        def written(statement: Any) -> Any:
            return _written.tables_written(Compiled(statement), "")

        assert written(insert(Medal)) == {"medal": None}
        assert written(delete(Medal)) == {"medal": Medal.__table__}
        assert written(select(insert(Medal).returning(Medal.id).cte())) == {"medal": Medal.__table__}
        assert written(delete(table("light", column("x")))) == {}
        assert written(text("x")) == {"": None}


class Wrapped:
    """A store around another, with something to do in between."""

    wait = 2.0

    def __init__(self) -> None:
        self.inner = MemoryStore()
        self.then: Any = None

    async def get_many(self, keys):
        return await self.inner.get_many(keys)

    async def set_many(self, values, leases, ttl):
        await self.inner.set_many(values, leases, ttl)

    async def delete_many(self, keys):
        await self.inner.delete_many(keys)

    def cleared(self):
        return self.inner.cleared()


class TestStoresThatFail:
    def test_one_that_has_no_room(self, filled):
        class Full(Wrapped):
            async def get_many(self, keys):
                return Got({}, {})

        assert nicks(filled.run(lambda engine: load(engine, Full(), TEAM, 1))) == [["p2", "p4", "p6"]]

    def test_one_that_raises(self, filled, caplog):
        class Broken(Wrapped):
            async def get_many(self, keys):
                raise OSError

        assert nicks(filled.run(lambda engine: load(engine, Broken(), TEAM, 1))) == [["p2", "p4", "p6"]]
        assert len(caplog.records) == 1

    @pytest.mark.parametrize("is_made", [True, False])
    def test_a_generation_that_somebody_else_makes(self, filled, is_made):
        """Is waited for, and not for long."""

        class Asked(Wrapped):
            def __init__(self):
                super().__init__()
                self.inner = MemoryStore(lease=300)
                self.asked = []

            async def get_many(self, keys):
                self.asked += keys
                return await self.inner.get_many(keys)

        async def law(engine):
            store = Asked()
            store.wait = 30.0 if is_made else 0.0
            name = EVERY_GENERATION + '"player"'
            got = await store.inner.get_many([name])

            task = asyncio.ensure_future(load(engine, store, TEAM, 1))
            while is_made and len(store.asked) < 2:  # until the loader has looked in vain
                await asyncio.sleep(0)
            if is_made:
                await store.inner.set_many({name: VALUE + b"abc"}, got.leases, 30)
            assert nicks(await task) == [["p2", "p4", "p6"]]
            kept = [each for each in store.inner._entries if "Team.members" in each]
            assert len(kept) == is_made
            if is_made:
                assert (await store.inner.get_many([name])).values == {name: VALUE + b"abc"}

        filled.run(law)

    def test_columns_that_are_wanted_meanwhile_read_another_table(self, filled):
        """What is found then is not kept as what was asked for."""

        class Late(Wrapped):
            async def get_many(self, keys):
                if EVERY_GENERATION in keys[0] and self.then is not None:
                    self.then()
                return await self.inner.get_many(keys)

        async def law(engine):
            store = Late()
            async with request(engine, store) as (loaders, _):
                loader = loaders.get(Related(Owner.animals, store_ttl=30))
                loader.read_also(["id"])
                store.then = lambda: loader.read_also(["lives"])
                batch = loader.page_keys  # noqa: F841 - the loader is asked by an engine
                from dloader.lowlevel import ask_many

                [found] = await ask_many(loader, [1]).future
                assert [each.get("lives") for each in found] == [None, 9]
            assert not [each for each in store.inner._entries if "Owner" in each]

        filled.run(law)


@strawberry.type
class PlayerType:
    nick: str


@strawberry.type
class TeamType:
    id: int
    members: list[PlayerType] = related(Team.members, store_ttl=30, store_negative_ttl=3)


@strawberry.type
class Root:
    @strawberry.field
    def team(self, n: int) -> TeamType:
        return TeamType(id=n)


def test_fields_of_strawberry_may_be_kept(filled):
    async def law(engine):
        params = {"session": async_sessionmaker(engine)}
        schema = strawberry.Schema(Root, extensions=[LoaderExtension(params, store=MemoryStore())])
        for _ in range(2):
            result = await schema.execute("{ team(n: 1) { members { nick } } }")
            assert result.errors is None
            assert result.data == {"team": {"members": [{"nick": f"p{n}"} for n in (2, 4, 6)]}}

    filled.run(law)
    assert len(filled.selects) == 1


@pytest.mark.parametrize("by", ["value", "context"])
def test_operations_of_strawberry_have_namespaces(filled, by):
    async def law(engine):
        params = {"session": async_sessionmaker(engine), "options": [Mine()]}
        store, found = MemoryStore(), []
        for tenant in (1, 2, 1):
            named = tenant if by == "value" else lambda context: context["tenant"]
            extension = LoaderExtension(params, store=store, store_namespace=named)
            schema = strawberry.Schema(Root, extensions=[extension])
            query = "{ team(n: 1) { members { nick } } }"
            found.append((await schema.execute(query, context_value={"tenant": tenant})).errors)
        assert found == [None] * 3

    filled.run(law)
    assert len(filled.selects) == 2


class TestPages:
    def test_pages_by_hand_are_read_each_time(self, filled):
        async def law(engine):
            store = MemoryStore()
            for _ in range(2):
                async with request(engine, store) as (loaders, _):
                    page = await loaders.get(TEAM).page(1, first=2)
                    assert [each.nick for each in page.items] == ["p2", "p4"]

        filled.run(law)
        assert len(filled.selects) == 2

    def test_keys_that_have_no_name_in_a_store(self, filled):
        by_grade = Query(select(Player).order_by(Player.id), key=Player.grade, many=True, store_ttl=30)

        async def law(engine):
            store = MemoryStore()
            for _ in range(2):
                assert nicks(await load(engine, store, by_grade, Grade.LOW)) == [["p3", "p6"]]

        filled.run(law)
        assert len(filled.selects) == 2


class TestWhatMarkersTake:
    @pytest.mark.parametrize("given", [0, -1, True, "1", 1e9])
    def test_seconds(self, given):
        with pytest.raises(OptionError, match="Related: store_ttl takes seconds"):
            Related(Team.members, store_ttl=given)
        with pytest.raises(OptionError, match="ByKey: store_negative_ttl takes seconds"):
            ByKey(Team, store_ttl=1, store_negative_ttl=given)

    def test_negatives_alone(self):
        with pytest.raises(OptionError, match="store_negative_ttl goes with store_ttl"):
            Query(select(Team), key=Team.id, store_negative_ttl=1)

    def test_without_a_store_nothing_is_kept(self, filled):
        async def law(engine):
            assert nicks(await load(engine, None, TEAM, 1)) == [["p2", "p4", "p6"]]
            assert nicks(await load(engine, MemoryStore(), Related(Team.members), 1)) == [["p2", "p4", "p6"]]
            async with request(engine, None) as (loaders, _):
                same = Related(Team.members, store_ttl=30)
                assert loaders.get(TEAM) is loaders.get(same)
                assert loaders.get(TEAM) is not loaders.get(Related(Team.members, store_ttl=31))
                assert loaders.get(TEAM) is not loaders.get(Related(Team.members))

        filled.run(law)
