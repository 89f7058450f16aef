"""Keys that cannot be right: refused before anything is sent, the others answered, and nothing of the caller lost."""

from __future__ import annotations

import asyncio
import datetime as dt
import enum
import uuid
from decimal import Decimal
from typing import Any

import pytest
from databases import Database
from sqlalchemy import (
    ARRAY,
    BINARY,
    JSON,
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Enum,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    Interval,
    LargeBinary,
    Numeric,
    SmallInteger,
    String,
    Time,
    TypeDecorator,
    Uuid,
    column,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from dloader import KeyTypeError, OptionError
from dloader.sqlalchemy import ByKey, Count, Related
from dloader.sqlalchemy._key_types import KeyCheck


class Base(DeclarativeBase):
    """What all classes here share."""


class Grade(enum.Enum):
    """How somebody is paid."""

    LOW = "low"
    HIGH = "high"


class Code(TypeDecorator[str]):
    """Texts that are stored as numbers; says nothing of what it takes."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return int(value.removeprefix("c"))

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return f"c{value}"


class AsItIs(TypeDecorator[int]):
    """Converts nothing."""

    impl = Integer
    cache_ok = True


DAY = dt.datetime(2026, 1, 2)  # noqa: DTZ001 - what is tested
ZONE = dt.timezone(dt.timedelta(hours=14))
KINDS: dict[str, tuple[Any, Any, list[Any]]] = {
    "whole": (Integer(), 1, ["1", 1.5, False]),
    "small": (SmallInteger(), 1, []),
    "big": (BigInteger(), 1, [1.5]),
    "text": (String(20), "a", [1, b"a", "\ud800"]),
    "id": (Uuid(), uuid.UUID(int=1), ["x", str(uuid.UUID(int=1)), 1]),
    "id_text": (Uuid(as_uuid=False), str(uuid.UUID(int=1)), ["x", "", 1, uuid.UUID(int=1)]),
    "price": (Numeric(10, 2), Decimal("1.50"), ["1.5", Decimal("NaN"), Decimal("Infinity"), float("inf")]),
    "ratio": (Float(), 1.5, ["1", float("nan"), 10**400]),
    "day": (Date(), DAY.date(), ["2026-01-02", DAY, 1]),
    "moment": (DateTime(), DAY, ["2026-01-02", DAY.date(), DAY.replace(tzinfo=dt.UTC)]),
    "hour": (Time(), dt.time(1), ["01:00", 1, dt.time(1, tzinfo=dt.UTC)]),
    "span": (Interval(), dt.timedelta(1), [1, "1 day"]),
    "grade": (Enum(Grade, length=10), Grade.LOW, ["LOW", "low", 1]),
    "letter": (Enum("x", "y", name="letter", length=10), "x", ["z", "x\0", 1]),
    "flag": (Boolean(), True, [2, "yes"]),
    "blob": (LargeBinary(2).with_variant(BINARY(2), "mysql", "mariadb"), b"ab", ["ab", 1]),
    "code": (Code(), "c1", ["d1", 1]),
    "plain": (AsItIs(), 1, []),
}
ON_POSTGRESQL: dict[str, list[Any]] = {
    "whole": [2**31, -(2**31) - 1],
    "small": [2**15],
    "text": ["a\0b"],
    "price": [Decimal("1e40"), 10**8],
    "big": [2**63],
    "zoned": [DAY, dt.datetime(1, 1, 1, tzinfo=ZONE)],
}
ON_SQLITE: dict[str, list[Any]] = {"whole": [2**63, 10**30], "small": [-(2**64)], "big": [2**63]}
MORE = {"aiosqlite": ON_SQLITE, "asyncpg": ON_POSTGRESQL, "psycopg": ON_POSTGRESQL, "asyncmy": {}}
"""What others compare with anything, or store as it is."""
RIGHT: dict[str, list[Any]] = {
    "whole": [2**31 - 1, -(2**31)],
    "small": [2**15 - 1],
    "big": [2**63 - 1, -(2**63)],
    "text": ["", "\U0001f600", "a" * 5000],
    "price": [1, 2.5, Decimal("99999999.99")],
    "ratio": [1, Decimal("1.5"), 1e300],
    "flag": [0],
    "letter": ["y"],
    "code": ["c12"],
}


def _class(name: str, kind: Any) -> Any:
    attributes = {
        "__tablename__": f"by_{name}",
        "id": mapped_column(Integer, primary_key=True),
        "key": mapped_column(kind, nullable=False),
    }
    return type(name.title(), (Base,), attributes)


KINDS["zoned"] = (DateTime(timezone=True), DAY.replace(tzinfo=dt.UTC), ["x"])
CLASSES = {name: _class(name, kind) for name, (kind, _, _) in KINDS.items()}


class Shelf(Base):
    """Has books."""

    __tablename__ = "shelf"
    floor: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[int] = mapped_column(primary_key=True)
    books: Mapped[list[Book]] = relationship(order_by="Book.id")


class Book(Base):
    """On a shelf."""

    __tablename__ = "book"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("owner.id"))
    floor: Mapped[int]
    shelf_id: Mapped[int]
    __table_args__ = (ForeignKeyConstraint(["floor", "shelf_id"], ["shelf.floor", "shelf.id"]),)


class Owner(Base):
    """Of books."""

    __tablename__ = "owner"
    id: Mapped[int] = mapped_column(primary_key=True)
    books: Mapped[list[Book]] = relationship(order_by="Book.id")


@pytest.fixture(scope="module")
def filled(database: Database) -> Database:
    """A row of each class."""
    rows: dict[Any, list[dict[str, Any]]] = {
        cls: [{"id": 1, "key": KINDS[name][1]}] for name, cls in CLASSES.items()
    }
    rows |= {Owner: [{"id": 1}], Shelf: [{"floor": 1, "id": 1}]}
    rows[Book] = [{"id": 1, "owner_id": 1, "floor": 1, "shelf_id": 1}]
    database.fill(Base, rows)
    return database


@pytest.mark.parametrize("name", CLASSES)
def test_each_alone_is_refused(filled, name):
    """Of every type; the row that the caller has not committed yet is still there, and so is its transaction."""
    cls, (_, good, wrong) = CLASSES[name], KINDS[name]
    wrong = [*wrong, *MORE[filled.kind].get(name, [])]

    async def law(loaders, session):
        session.add(Owner(id=2))
        await session.flush()
        loader = loaders.get(ByKey(cls.key))
        for key in wrong:
            found, error = await loader.clear_all().load_many([good, key], return_exceptions=True)
            assert found.key in (good, DAY)  # SQLite and MariaDB have no time zones
            assert type(error) is KeyTypeError, key
            assert str(error).startswith(f"loader '{name.title()}.key' takes ")
            filled.statements.clear()
            with pytest.raises(KeyTypeError):
                await loader.load(key)
            assert not filled.statements
        assert await session.scalar(select(func.count(Owner.id))) == 2

    filled.ask(law)


@pytest.mark.parametrize("name", RIGHT)
def test_what_may_be_is_asked_for(filled, name):
    """At the very limits, and of several classes in one batch."""
    cls, good = CLASSES[name], KINDS[name][1]

    async def law(loaders, session):
        found = await loaders.get(ByKey(cls.key)).load_many([good, *RIGHT[name]])
        keys = [good, *RIGHT[name]]
        assert [row is not None for row in found] == [key == good for key in keys]

    filled.ask(law)


@pytest.mark.parametrize("key", [1.5, "1"])
def test_in_lists_pages_and_numbers(filled, key):
    """Each look-up asks the same."""

    async def law(loaders, session):
        books, shelf, count = (
            loaders.get(each) for each in (Related(Owner.books), Related(Shelf.books), Count(Owner.books))
        )
        answers = await asyncio.gather(
            books.load(1), books.page(1, first=1), shelf.load((1, 1)), shelf.page((1, 1), first=1), count.load(1),
            books.load(key), books.page(key, first=1), shelf.load((1, key)), shelf.page((1, key), first=1),
            count.load(key),
            return_exceptions=True,
        )  # fmt: skip
        for answer in answers[5:]:
            assert type(answer) is KeyTypeError
        rows, page, of_shelf, page_of_shelf, number = answers[:5]
        assert [row.id for row in (*rows, *page.items, *of_shelf, *page_of_shelf.items)] == [1, 1, 1, 1]
        assert number == 1

    filled.ask(law)


@pytest.mark.parametrize("kind", [JSON(), JSONB(), ARRAY(Integer)])
def test_columns_that_are_no_keys(kind):
    """Not every database compares them, nor Python."""
    with pytest.raises(OptionError, match=r"x is of .*, and no key: look up by a plain column"):
        KeyCheck([column("x", kind)])
