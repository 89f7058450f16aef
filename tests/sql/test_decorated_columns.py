"""Columns of type decorators that make objects of their own, as keys and in the order of pages."""

from __future__ import annotations

import enum
from typing import Any

import pytest
from databases import Database
from sqlalchemy import ForeignKey, ForeignKeyConstraint, Integer, String, TypeDecorator
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from dloader import CursorError, DloaderError
from dloader.sqlalchemy import Related
from dloader.sqlalchemy._cursors import Cursors


class Level(enum.IntEnum):
    """Stored as a number."""

    LOW = 1
    HIGH = 2


class Mood(enum.Enum):
    """Stored as a text."""

    CALM = "a"
    WILD = "b"


class Slug:
    """Has no words but its address, as most classes."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Slug) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)


class Decorated(TypeDecorator[Any]):
    """Stores what `unpack` makes of a value, of which `pack` makes it again."""

    impl = String(10)
    cache_ok = True
    pack: Any = Slug

    @staticmethod
    def unpack(value: Any) -> Any:
        """What is stored."""
        return value.text

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return None if value is None else self.unpack(value)

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return None if value is None else type(self).pack(value)


class Moods(Decorated):
    """Of an enumeration that SQLAlchemy does not know."""

    cache_ok = True
    pack = Mood

    @staticmethod
    def unpack(value: Any) -> Any:
        """What is stored."""
        return value.value


class Levels(Moods):
    """The same, of numbers."""

    impl = Integer
    cache_ok = True
    pack = Level


class OneWay(TypeDecorator[Any]):
    """Makes objects that nobody can store."""

    impl = String(10)
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return Slug(value)


class Base(DeclarativeBase):
    """What all classes here share."""


class Place(Base):
    """With a key that only its type can read."""

    __tablename__ = "place"
    slug: Mapped[Slug] = mapped_column(Decorated, primary_key=True)
    visits: Mapped[list[Visit]] = relationship()


class Visit(Base):
    """With values that only their types can read."""

    __tablename__ = "visit"
    id: Mapped[int] = mapped_column(primary_key=True)
    of: Mapped[Slug] = mapped_column(Decorated, unique=True)
    place: Mapped[Slug] = mapped_column(Decorated, ForeignKey(Place.slug))
    mood: Mapped[Mood | None] = mapped_column(Moods)
    level: Mapped[Level] = mapped_column(Levels)
    lone: Mapped[Any] = mapped_column(OneWay)


class Stay(Base):
    """With a key of two columns, one of which only its type can read."""

    __tablename__ = "stay"
    of: Mapped[Slug] = mapped_column(Decorated, primary_key=True)
    night: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    bills: Mapped[list[Bill]] = relationship()


class Bill(Base):
    """Of a stay."""

    __tablename__ = "bill"
    id: Mapped[int] = mapped_column(primary_key=True)
    of: Mapped[Slug] = mapped_column(Decorated)
    night: Mapped[int]
    __table_args__ = (ForeignKeyConstraint(["of", "night"], [Stay.of, Stay.night]),)


def visit(n: int) -> dict[str, Any]:
    mood = (None, Mood.CALM, Mood.WILD)[n % 3]
    values = {"id": n, "of": Slug(f"v{n * 5 % 8}"), "place": Slug("oslo"), "mood": mood}
    return {**values, "level": Level(1 + n % 2), "lone": "x"}


VISITS = [visit(n) for n in range(1, 8)]


@pytest.fixture(scope="module")
def filled(database: Database) -> Database:
    """A place with seven visits, and a stay with three bills."""
    bills = [{"id": n, "of": Slug("s"), "night": 1} for n in (1, 2, 3)]
    places, stays = [{"slug": Slug("oslo")}], [{"of": Slug("s"), "night": 1}]
    database.fill(Base, {Place: places, Visit: VISITS, Stay: stays, Bill: bills})
    return database


@pytest.mark.parametrize("pages", ["lateral", "row_number"])
@pytest.mark.parametrize("name", ["of", "mood", "level"])
def test_pages_go_on_from_each_value(filled, name, pages):
    """Forward and back; the key of each request is an object of its own."""

    async def law(loaders, session):
        loader = loaders.get(Related(Place.visits, order_by=getattr(Visit, name), pages=pages))
        wanted = [row["id"] for row in (await loader.page(Slug("oslo"), first=9)).items]
        assert sorted(wanted) == [row["id"] for row in VISITS]
        met, back, after = [], [], None
        for _ in wanted:
            page = await loader.page(Slug("oslo"), first=1, after=after)
            met += [row["id"] for row in page.items]
            after = page.end_cursor
        assert met == wanted
        for _ in wanted[1:]:
            page = await loader.page(Slug("oslo"), last=1, before=after)
            back += [row["id"] for row in page.items]
            after = page.start_cursor
        assert back == wanted[-2::-1]
        with pytest.raises(CursorError, match="no cursor of this page"):
            await loader.page(Slug("rome"), first=1, after=after)
        with pytest.raises(CursorError, match="no cursor of this page"):
            await loader.page(7, first=1, after=after)

    filled.ask(law)


def test_a_part_of_a_key(filled):
    """Is the same in each request, too."""

    async def law(loaders, session):
        loader = loaders.get(Related(Stay.bills, order_by=Bill.id))
        page = await loader.page((Slug("s"), 1), first=1)
        page = await loader.page((Slug("s"), 1), first=9, after=page.end_cursor)
        assert [row["id"] for row in page.items] == [2, 3]
        with pytest.raises(CursorError):
            await loader.page(Slug("s"), first=9, after=page.end_cursor)

    filled.ask(law)


def test_what_cannot_be_stored_is_in_no_cursor(filled):
    """Its type says how it is read, and not how it is written."""

    async def law(loaders, session):
        with pytest.raises(DloaderError, match=r"cannot hold <.*Slug\).*order by a column of numbers"):
            await loaders.get(Related(Place.visits, order_by=Visit.lone)).page(Slug("oslo"), first=1)

    filled.ask(law)


def test_what_nobody_stored_is_no_cursor():
    """Also where the type says so by an error of its own; what it cannot store is in no cursor."""

    class Picky(Decorated):
        cache_ok = True

        @staticmethod
        def pack(value: str) -> Slug:
            if value == "bad":
                raise LookupError(value)
            return Slug(value)

    cursors = Cursors("Place.visits", "x", [Picky()])
    with pytest.raises(CursorError, match="no cursor of this page"):
        cursors.read(1, cursors.write(1, [Slug("bad")]))
    with pytest.raises(DloaderError, match="cannot hold <object object"):
        cursors.write(1, [object()])
    with pytest.raises(DloaderError, match=r"cannot hold <Mood\.CALM: 'a'> \(Mood\)"):
        Cursors("Place.visits", "x", [None]).write(1, [Mood.CALM])
