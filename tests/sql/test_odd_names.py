"""Names that mean something elsewhere: in SQL, to drivers, in our own statements, to dicts; schemas of tenants."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from databases import Database, request
from pydantic import BaseModel
from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, String, and_, func
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, foreign, mapped_column, relationship, remote

from dloader.resolver import Resolver
from dloader.sqlalchemy import Aggregate, ByKey, Count, Page, Related, select_for


class Base(DeclarativeBase):
    """What all classes here share."""


class Parent(Base):
    """With quotes, what drivers take for parameters, and our own words."""

    __tablename__ = 'odd "table" %s :x ?'
    number: Mapped[int] = mapped_column("the key % (x)", primary_key=True, autoincrement=False)
    keys: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kids: Mapped[list[Kid]] = relationship(order_by="Kid.dloader_bound")


class Kid(Base):
    """With words of SQL."""

    __tablename__ = "select"
    id: Mapped[int] = mapped_column("from:", primary_key=True)
    number: Mapped[int] = mapped_column("group")
    other: Mapped[int] = mapped_column("order`%")
    keys: Mapped[int]
    key: Mapped[int] = mapped_column("key_0_0")
    keys_0: Mapped[int]
    dloader_bound: Mapped[int] = mapped_column("bound")
    c0: Mapped[int]
    items: Mapped[int]
    __table_args__ = (
        ForeignKeyConstraint(["group", "order`%"], [Parent.number, Parent.keys]),
        Index("by_parent", "group", "order`%", "bound"),
    )


class Word(Base):
    """With a key that differs from that of its targets in case alone, which many databases overlook."""

    __tablename__ = "word"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(String(10))
    people: Mapped[list[Person]] = relationship(
        primaryjoin=lambda: func.lower(Word.text) == func.lower(remote(foreign(Person.name))), viewonly=True
    )


class Person(Base):
    """Found by name."""

    __tablename__ = "person"
    ID: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(10))


class KidOut(BaseModel):
    id: int
    keys: int
    key: int
    items: int
    c0: int


WHERE = and_(Kid.keys > 0, Kid.key > -1, Kid.keys_0 > 0, Kid.dloader_bound > 0, Kid.dloader_bound < 100)


class ParentOut(BaseModel):
    keys: int
    kids: Annotated[list[KidOut], Related(Parent.kids, where=WHERE)]
    page: Annotated[Page[KidOut], Related(Parent.kids, where=WHERE, limit=1, total=True)]
    count: Annotated[int, Count(Parent.kids, where=WHERE)]
    sum: Annotated[int, Aggregate(Parent.kids, func.sum(Kid.keys + 1), where=WHERE)]


@pytest.fixture(scope="module")
def filled(database: Database) -> Database:
    """Two parents with four kids each."""
    same = ("keys", "key", "keys_0", "dloader_bound", "c0", "items")
    kids = [{"id": n, "number": 1 + n % 2, "other": 1, **dict.fromkeys(same, n)} for n in range(1, 9)]
    parents = [{"number": n, "keys": 1} for n in (1, 2)]
    words = [{"id": n, "text": text} for n, text in ((1, "Ann"), (2, "BOB"), (3, "none"))]
    people = [{"ID": n, "name": name} for n, name in ((1, "bob"), (2, "ann"), (3, "bob"), (4, "x"))]
    database.fill(Base, {Parent: parents, Kid: kids, Word: words, Person: people})
    return database


def test_names_that_mean_something(filled):
    """In every kind of look-up."""

    async def law(loaders, session):
        rows = await session.execute(select_for(ParentOut, Parent).order_by(Parent.number))
        first, _ = await Resolver(registry=loaders).resolve(rows, into=list[ParentOut])
        assert [kid.items for kid in first.kids] == [2, 4, 6, 8]
        assert [kid.id for kid in first.page.items] == [2]
        assert (first.count, first.page.total, first.sum) == (4, 4, 24)
        row = await loaders.get(ByKey(Kid)).load(3)
        assert (row["items"], row.c0) == (3, 3)

    filled.ask(law)


def test_names_that_differ_in_case_alone(filled):
    """Keys of parents and of targets stand in one subquery where a target may be found twice."""

    async def law(loaders, session):
        ids = [1, 2, 3]
        assert await loaders.get(Count(Word.people)).load_many(ids) == [1, 2, 0]
        assert await loaders.get(Aggregate(Word.people, func.max(Person.ID))).load_many(ids) == [2, 3, None]
        limited = await loaders.get(Related(Word.people, order_by=Person.ID, limit=1)).load_many(ids)
        assert [[person.ID for person in people] for people in limited] == [[2], [1], []]

    filled.ask(law)


@pytest.mark.parametrize("pages", ["lateral", "row_number"])
@pytest.mark.parametrize("order_by", [None, (Kid.keys.desc(), Kid.dloader_bound)])
def test_pages_from_cursors(filled, pages, order_by):
    """Their parameters have names of their own."""
    marker = Related(Parent.kids, where=WHERE, pages=pages, order_by=order_by)
    ids = [8, 6, 4, 2] if order_by else [2, 4, 6, 8]

    async def law(loaders, session):
        loader = loaders.get(marker)
        page = await loader.page((1, 1), first=2)
        after = await loader.page((1, 1), first=1, after=page.end_cursor, total=True)
        before = await loader.page((1, 1), last=2, before=after.start_cursor)
        between = await loader.page((1, 1), first=2, after=page.start_cursor, before=after.end_cursor)
        assert [[kid.id for kid in each.items] for each in (page, after, before, between)] == [
            ids[:2], ids[2:3], ids[:2], ids[1:2]
        ]  # fmt: skip
        assert after.total == 4

    filled.ask(law)


class OfTenants(DeclarativeBase):
    """What all classes in schemas share."""


class Office(OfTenants):
    """Has members."""

    __tablename__ = "translated_office"
    __table_args__ = {"schema": "of the tenant"}
    id: Mapped[int] = mapped_column(primary_key=True)
    members: Mapped[list[Member]] = relationship(order_by="Member.id")


class Member(OfTenants):
    """Of an office."""

    __tablename__ = "translated_member"
    __table_args__ = {"schema": "of the tenant"}
    id: Mapped[int] = mapped_column(primary_key=True)
    office_id: Mapped[int] = mapped_column(ForeignKey("of the tenant.translated_office.id"))


def test_schemas_that_are_translated(database):
    """By the engine or by the connection of a session, as for the ORM."""
    options: dict[str, Any] = {"schema_translate_map": {"of the tenant": None}}

    async def law(engine):
        translated = engine.execution_options(**options)
        async with translated.begin() as connection:
            await connection.run_sync(OfTenants.metadata.create_all)
        async with AsyncSession(translated) as session, session.begin():
            session.add(Office(id=1, members=[Member(id=2)]))
        for bind, own in ((translated, {}), (engine, options)):
            async with request(bind) as (loaders, session):
                await session.connection(execution_options=own)
                members = loaders.get(Related(Office.members, limit=1))
                assert [row.id for row in await members.load(1)] == [2]
                assert await loaders.get(Count(Office.members)).load(1) == 1
                session.add(Member(id=3, office_id=1))
                await session.flush()
                assert await loaders.get(Count(Office.members)).load(1) == 2

    database.run(law)
