"""Mappings that few have: the look-up goes the way that is left, and is right all the same."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import pytest
from databases import Database
from sqlalchemy import (
    Column,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    String,
    Table,
    Uuid,
    and_,
    bindparam,
    column,
    func,
    select,
)
from sqlalchemy.ext.associationproxy import AssociationProxy, association_proxy
from sqlalchemy.orm import DeclarativeBase, Mapped, aliased, foreign, mapped_column, relationship

from dloader import OptionError
from dloader.sqlalchemy import ByKey, Related, select_for
from dloader.sqlalchemy._keys import for_keys
from dloader.sqlalchemy._orders import order_of
from dloader.sqlalchemy._page_selects import has_fitting_index


class Base(DeclarativeBase):
    """What all classes here share."""


class Day(Base):
    """With a key of a date and a UUID."""

    __tablename__ = "day"
    on: Mapped[dt.date] = mapped_column("date", Date, primary_key=True)
    mark: Mapped[uuid.UUID] = mapped_column(Uuid(), primary_key=True)
    events: Mapped[list[Event]] = relationship(back_populates="day", order_by="Event.id")


class Event(Base):
    """Of a day; its owner's column is no attribute."""

    __tablename__ = "event"
    __table__ = Table(
        "event",
        Base.metadata,
        Column("id", Integer, primary_key=True),
        Column("date", Date),
        Column("mark", Uuid()),
        Column("owner_id", Integer, ForeignKey("keeper.id")),
        Column("kind", String(10)),
        ForeignKeyConstraint(["date", "mark"], ["day.date", "day.mark"]),
    )
    __mapper_args__ = {"exclude_properties": ["owner_id"]}
    day: Mapped[Day | None] = relationship(back_populates="events")
    owner: Mapped[Keeper | None] = relationship(
        primaryjoin=lambda: Event.__table__.c.owner_id == Keeper.id, back_populates="events"
    )


class Keeper(Base):
    """Of events, by a column that is mapped nowhere."""

    __tablename__ = "keeper"
    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(10), unique=True)
    events: Mapped[list[Event]] = relationship(
        primaryjoin=lambda: Event.__table__.c.owner_id == Keeper.id,
        back_populates="owner",
        order_by=lambda: Event.id,
    )
    feasts: Mapped[list[Event]] = relationship(
        primaryjoin=lambda: and_(
            foreign(Event.__table__.c.owner_id) == Keeper.id, Event.kind == "feast"
        ).self_group(),
        viewonly=True,
        order_by=lambda: Event.id,
    )
    itself: Mapped[list[Keeper]] = relationship(
        secondary=lambda: links,
        primaryjoin=lambda: Keeper.code == links.c.one,
        secondaryjoin=lambda: Keeper.code == links.c.two,
    )
    twice: Mapped[list[Link]] = relationship(
        primaryjoin=lambda: and_(foreign(Link.one) == Keeper.code, foreign(Link.two) == Keeper.code),
        viewonly=True,
    )
    links_: Mapped[list[Link]] = relationship(
        primaryjoin=lambda: foreign(Link.one) == Keeper.code, viewonly=True
    )
    again: AssociationProxy[list[Link]] = association_proxy("links_", "other")


links = Table(
    "links",
    Base.metadata,
    Column("id", Integer, primary_key=True),
    Column("one", String(10)),
    Column("two", String(10)),
)


class Link(Base):
    """A row of the table that is an association table as well."""

    __table__ = links
    other: Mapped[Link | None] = relationship(
        primaryjoin=lambda: foreign(links.c.one) == Link.two, remote_side=lambda: [links.c.two], viewonly=True
    )


other_keeper = aliased(Keeper)
Keeper.others = relationship(
    other_keeper,
    secondary=links,
    primaryjoin=Keeper.code == links.c.one,
    secondaryjoin=other_keeper.code == links.c.two,
    viewonly=True,
)
Keeper.same = relationship(
    Event,
    primaryjoin=and_(
        foreign(Event.__table__.c.owner_id) == Keeper.id, Event.__table__.c.kind == Event.__table__.c.kind
    ),
    viewonly=True,
)

DAYS = [(dt.date(2026, 1, n), uuid.UUID(int=n % 2)) for n in range(1, 5)]
ROWS: dict[Any, list[dict[str, Any]]] = {
    Day: [{"on": on, "mark": mark} for on, mark in DAYS],
    Keeper: [{"id": n, "code": f"k{n}"} for n in (1, 2, 3)],
    Event.__table__: [
        {
            "id": n,
            "date": DAYS[n % 4][0],
            "mark": DAYS[n % 4][1],
            "owner_id": n % 3 + 1 if n % 5 else None,
            "kind": "feast" if n % 2 else "fast",
        }
        for n in range(1, 13)
    ],
    links: [
        {"one": "k1", "two": "k2"},
        {"one": "k1", "two": "k2"},
        {"one": "k1", "two": "k1"},
        {"one": "k2", "two": "k3"},
    ],
}


@pytest.fixture(scope="module")
def filled(database: Database) -> Database:
    """A database with all of these rows."""
    database.fill(Base, ROWS)
    return database


def test_keys_of_dates_and_uuids(filled):
    """Of two columns, in any number."""

    async def law(loaders, session):
        every = await loaders.get(Related(Day.events)).load_many(DAYS)
        assert [[row.id for row in rows] for rows in every] == [[4, 8, 12], [1, 5, 9], [2, 6, 10], [3, 7, 11]]
        many = [(dt.date(2020, 1, 1) + dt.timedelta(n), uuid.UUID(int=1)) for n in range(3000)]
        found = await loaders.get(ByKey(Day)).load_many(many)
        assert [row for row in found if row] == [{"on": DAYS[n][0], "mark": DAYS[n][1]} for n in (0, 2)]
        page = await loaders.get(Related(Day.events)).page(DAYS[0], first=2)
        assert [
            row.id
            for row in (
                await loaders.get(Related(Day.events)).page(DAYS[0], first=2, after=page.end_cursor)
            ).items
        ] == [12]

    filled.ask(law)


@pytest.mark.parametrize(
    ("marker", "key", "wanted"),
    [
        (Related(Keeper.events), 1, [3, 6, 9, 12]),
        (Related(Keeper.feasts), 1, [3, 9]),
        (Related(Keeper.itself), "k1", [1, 2]),
        (Related(Keeper.twice), 1, [3]),
        (Related(Keeper.same), 1, [3, 6, 9, 12]),
        (Related(Keeper.others), 1, [1, 2]),
    ],
)
def test_columns_that_are_no_attributes_and_conditions_in_brackets(filled, marker, key, wanted):
    """The parent is joined, or the association table is asked; no pair counts twice."""

    async def law(loaders, session):
        assert sorted(row.id for row in await loaders.get(marker).load(key)) == wanted

    filled.ask(law)


def test_many_to_one_by_a_column_that_is_no_attribute(filled):
    """By the key of the row that has it."""

    async def law(loaders, session):
        owners = await loaders.get(Related(Event.owner)).load_many([1, 3, 5])
        assert [owner and owner.id for owner in owners] == [2, 1, None]

    filled.ask(law)


def test_a_proxy_through_its_own_target():
    """Would need two names for one class in an order and a condition."""
    with pytest.raises(OptionError, match="Keeper.again leads through the class that it leads to"):
        Related(Keeper.again).lookup


class TestOtherDatabases:
    """What nobody here can run says at least what it should."""

    @pytest.mark.parametrize("dialect", ["oracle", "mssql", "sqlite"])
    def test_keys_of_several_columns(self, dialect):
        """A condition for each key, of few sizes."""
        statement = for_keys(select(Day.on), [Day.on, Day.mark], dialect)
        found = list(statement([(day, 1) for day in range(12)]))
        assert len(found) == 1
        text = str(found[0][0])
        assert text.count("day.date = ") == 100
        assert found[0][1]["dloader_key_99_0"] == 11
        assert list(statement([])) == []

    def test_keys_of_one_column(self):
        """A list below their limits."""
        found = list(for_keys(select(Keeper.id), [Keeper.id], "mssql")(range(1200)))
        assert [len(params["dloader_keys"]) for _, params in found] == [500, 500, 200]

    @pytest.mark.parametrize(
        ("dialect", "has_rows"),
        [("mssql", False), ("mariadb", False), ("sqlite", True), ("postgresql", True)],
    )
    def test_row_values(self, dialect, has_rows):
        """Are compared where the database can."""
        order = order_of([Keeper.id, Keeper.code], [])
        text = str(order.is_after([bindparam("a", type_=Integer), bindparam("b", type_=String)], dialect))
        assert (") > (" in text) == has_rows

    def test_nulls_first_where_there_are_no_such_words(self):
        """The order has a term more."""
        order = order_of([Event.kind.nulls_first(), Event.kind.desc().nulls_last()], [])
        text = [str(clause) for clause in order.clauses("mysql")]
        assert text[0] == "event.kind IS NULL DESC"
        assert text[2] == "event.kind IS NULL ASC"

    def test_an_order_that_is_no_column(self):
        """May be null, for all that the mapping tells."""
        [term, key] = order_of([func.lower(Keeper.code), Keeper.id], [Keeper.id]).terms
        assert term.is_nullable
        assert not key.is_nullable

    def test_an_order_by_an_operator(self):
        """Is a term like any other."""
        [term] = order_of([-Keeper.id], []).terms
        assert not term.descends
        assert "-keeper.id" in str(term.expression)

    def test_keys_of_columns_of_no_known_type(self):
        """Go one by one."""
        [(statement, params)] = for_keys(select(Keeper.id), [column("x"), Keeper.id], "sqlite")(
            [(object(), 1)]
        )
        assert "x = " in str(statement)
        assert len(params) == 2

    def test_indexes(self):
        """Those that begin with the key."""
        assert has_fitting_index([Keeper.code], "sqlite")
        assert not has_fitting_index([links.c.one], "sqlite")
        assert not has_fitting_index([Keeper.id, links.c.id], "sqlite")
        assert not has_fitting_index([column("x")], "sqlite")
        mark, date = Event.__table__.c.mark, Event.__table__.c.date
        assert has_fitting_index([date, mark], "mysql")
        assert not has_fitting_index([date, mark], "postgresql")


def test_select_for_leaves_relationships_alone(filled):
    """It is a plain select, which may be changed."""
    from pydantic import BaseModel

    class DayOut(BaseModel):
        on: dt.date

    async def law(loaders, session):
        statement = (
            select_for(DayOut, Day).join(Day.events).where(Event.kind == "feast").distinct().order_by(Day.on)
        )
        assert [row.on.day for row in await session.execute(statement)] == [2, 4]

    filled.ask(law)
