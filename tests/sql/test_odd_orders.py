"""Orders by expressions: what has a label, constants, text, and numbers of another class than the type says."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

import pytest
from databases import Database
from pydantic import BaseModel
from sqlalchemy import BigInteger, DateTime, ForeignKey, String, extract, func, literal, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, mapped_column, relationship

from dloader import OptionError, PlanError
from dloader.resolver import Resolver
from dloader.sqlalchemy import Page, Related


class Base(DeclarativeBase):
    """What all classes here share."""


class Shelf(Base):
    """Has books."""

    __tablename__ = "shelf"
    id: Mapped[int] = mapped_column(primary_key=True)
    books: Mapped[list[Book]] = relationship(order_by=lambda: Book.loud.desc())


class Loan(Base):
    """Of a book."""

    __tablename__ = "loan"
    id: Mapped[int] = mapped_column(primary_key=True)
    book_id: Mapped[int] = mapped_column(ForeignKey("book.id"))
    days: Mapped[int] = mapped_column(BigInteger)


class Book(Base):
    """Has a column property, which SQLAlchemy gives a label."""

    __tablename__ = "book"
    id: Mapped[int] = mapped_column(primary_key=True)
    shelf_id: Mapped[int] = mapped_column(ForeignKey("shelf.id"))
    title: Mapped[str] = mapped_column(String(10))
    bought: Mapped[dt.datetime] = mapped_column(DateTime())
    loud: Mapped[str] = column_property(func.upper(title, type_=String(10)))
    untyped: Mapped[Any] = column_property(func.upper(title))


DAYS: Any = select(func.sum(Loan.days)).where(Loan.book_id == Book.id).scalar_subquery()
TITLES = "cAbBaCd"
BY_DAY = [2, 4, 6, 1, 3, 5, 7]
BY_LOAN = [3, 6, 1, 4, 7, 2, 5]


@pytest.fixture(scope="module")
def filled(database: Database) -> Database:
    """A shelf of seven books, each with two loans."""
    ids = range(1, 8)
    books = [
        {"id": n, "shelf_id": 1, "title": TITLES[n - 1], "bought": dt.datetime(2026, 1, 1 + n % 2)}  # noqa: DTZ001 - as the column has it
        for n in ids
    ]
    loans = [{"id": 2 * n + part, "book_id": n, "days": n % 3 + 1} for n in ids for part in (0, 1)]
    database.fill(Base, {Shelf: [{"id": 1}], Book: books, Loan: loans})
    return database


orders = pytest.mark.parametrize(
    ("order_by", "wanted"),
    [
        ((Book.loud, Book.id), [2, 5, 3, 4, 1, 6, 7]),
        (Book.loud.desc(), [7, 6, 1, 4, 3, 5, 2]),
        (Book.loud.desc().nulls_last(), [7, 6, 1, 4, 3, 5, 2]),
        (func.lower(Book.title, type_=String(10)).label("low").desc(), [7, 6, 1, 4, 3, 5, 2]),
        (extract("day", Book.bought), BY_DAY),
        (DAYS, BY_LOAN),
        (DAYS.label("days").asc().nulls_first(), BY_LOAN),
        (None, [7, 6, 1, 4, 3, 5, 2]),
        ((literal(3), Book.loud.desc()), [7, 6, 1, 4, 3, 5, 2]),
        (literal(3).desc(), [7, 6, 5, 4, 3, 2, 1]),
    ],
    ids=[
        "labels",
        "descending",
        "nulls last",
        "own label",
        "extract",
        "sum",
        "labelled sum",
        "its own",
        "constant",
        "constant alone",
    ],
)


@pytest.mark.parametrize("pages", ["lateral", "row_number"])
@orders
def test_pages_by_expressions(filled, order_by, wanted, pages):
    """From each cursor on, forward and back."""

    async def law(loaders, session):
        loader = loaders.get(Related(Shelf.books, order_by=order_by, pages=pages))
        met, back, after = [], [], None
        for _ in wanted:
            page = await loader.page(1, first=1, after=after)
            met += [row["id"] for row in page.items]
            after = page.end_cursor
        assert met == wanted
        for _ in wanted[1:]:
            page = await loader.page(1, last=1, before=after)
            back += [row["id"] for row in page.items]
            after = page.start_cursor
        assert back == wanted[-2::-1]

    filled.ask(law)


@orders
def test_all_rows_by_expressions(filled, order_by, wanted):
    """As pages do: also where there are no such words, and a number is no place of a column."""
    terms = order_by if isinstance(order_by, tuple) else (Book.loud.desc() if order_by is None else order_by,)

    async def law(loaders, session):
        ways = []
        for tie in (Book.id, Book.id.desc()):  # a page ends its order by one of these
            rows = await loaders.get(Related(Shelf.books, order_by=(*terms, tie))).load(1)
            ways.append([row["id"] for row in rows])
        assert wanted in ways

    filled.ask(law)


@pytest.mark.parametrize("said", ["title DESC, id", "lower(title) DESC, id"])
def test_text_orders_all_rows_and_no_part_of_them(filled, said):
    """Which is said before anything is read."""

    async def law(loaders, session):
        rows = await loaders.get(Related(Shelf.books, order_by=text(said))).load(1)
        assert [row["id"] for row in rows][-1] in (2, 5)
        for where in (list[Any], Page[Any]):

            class Out(BaseModel):
                id: int
                books: Annotated[where, Related(Shelf.books, order_by=text(said), limit=2)]

            with pytest.raises(PlanError, match=r"order_by has text, .*: take an expression as Member\.name"):
                await Resolver(registry=loaders).resolve([{"id": 1}], into=list[Out])
        with pytest.raises(OptionError, match="order_by has text"):
            await loaders.get(Related(Shelf.books, order_by=text(said))).page(1, first=1)

    filled.ask(law)


def test_a_label_is_not_told_for_the_function(filled):
    """Where PostgreSQL needs the type of what a column property says."""
    if filled.kind in ("aiosqlite", "asyncmy"):
        return

    async def law(loaders, session):
        loader = loaders.get(Related(Shelf.books, order_by=Book.untyped, pages="lateral"))
        page = await loader.page(1, first=1)
        with pytest.raises(OptionError, match=r"func\.upper\(\.\.\., type_=Integer\)"):
            await loader.page(1, first=1, after=page.end_cursor)

    filled.ask(law)
