"""Pages of each parent: slices of what it has in its order, whatever else is asked for in the same statement."""

from __future__ import annotations

import asyncio
import datetime as dt
import decimal
import enum
import uuid
from base64 import urlsafe_b64encode
from typing import Any

import pytest
import zoo
from amounts import at_most
from databases import Database
from hypothesis import given, strategies as st
from sqlalchemy import (
    DateTime,
    Enum,
    ForeignKey,
    Index,
    Integer,
    Numeric,
    String,
    case,
    delete,
    func,
    insert,
    select,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, with_loader_criteria
from zoo import Member, Office, Room, Tag

from dloader import CursorError, DloaderError, OptionError
from dloader.sqlalchemy import ByKey, Page, Query, Related
from dloader.sqlalchemy._cursors import Cursors
from dloader.sqlalchemy._pages import PageKey, Shape
from dloader.sqlalchemy._parts import cursors_of


class Base(DeclarativeBase):
    """What all classes here share."""


class Color(enum.Enum):
    """Sorted as its name is."""

    BLUE = 1
    RED = 2


class Parent(Base):
    """Has children."""

    __tablename__ = "parent"
    id: Mapped[int] = mapped_column(primary_key=True)
    children: Mapped[list[Child]] = relationship(order_by=lambda: Child.rank)
    unordered: Mapped[list[Child]] = relationship(viewonly=True)


class Child(Base):
    """Has ties, nulls and values of many types."""

    __tablename__ = "child"
    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int] = mapped_column(ForeignKey("parent.id"))
    rank: Mapped[int]
    maybe: Mapped[int | None]
    name: Mapped[str] = mapped_column(String(10))
    price: Mapped[decimal.Decimal] = mapped_column(Numeric(8, 2))
    at: Mapped[dt.datetime] = mapped_column(DateTime())
    on: Mapped[dt.date] = mapped_column("day")
    color: Mapped[Color] = mapped_column(Enum(Color, native_enum=False, length=10))
    mark: Mapped[uuid.UUID]
    note: Mapped[bytes]
    ratio: Mapped[float]
    __table_args__ = (Index("child_by_rank", "parent_id", "rank", "id"),)


def child(n: int) -> dict[str, Any]:
    return {
        "id": n,
        "parent_id": n % 3 + 1,
        "rank": n * 7 % 5,
        "maybe": None if n % 4 == 0 else n * 3 % 4,
        "name": f"n{n * 5 % 6}",
        "price": decimal.Decimal(n * 11 % 7) / 4,
        "at": dt.datetime(2026, 1, 1 + n % 5, 12, 30, n % 2),  # noqa: DTZ001 - as the column has it
        "on": dt.date(2026, 1, 1 + n % 3),
        "color": Color.RED if n % 3 else Color.BLUE,
        "mark": uuid.UUID(int=n * 13 % 8),
        "note": bytes([n * 17 % 9]),
        "ratio": n * 19 % 6 / 8,
    }


CHILDREN = [child(n) for n in range(1, 31)]
SMALL_NULLS = {"aiosqlite", "asyncmy"}
"""Where nulls sort as if they were smaller than any value."""


@pytest.fixture(scope="module")
def filled(database: Database) -> Database:
    """A database with three parents of ten children each, and one without."""
    database.fill(Base, {Parent: [{"id": n} for n in range(1, 5)], Child: CHILDREN})
    return database


@pytest.fixture(scope="module")
def zoological(database: Database) -> Database:
    """A database with all rows of the zoo."""
    database.fill(zoo.Base, zoo.ROWS)
    return database


def sorted_rows(kind: str, parent: int, terms: tuple[tuple[str, bool, bool | None], ...]) -> list[int]:
    """The ids of a parent's children in an order, ended by the id in the direction of the last term."""
    return in_order(kind, terms, [row for row in CHILDREN if row["parent_id"] == parent])


def in_order(
    kind: str, terms: tuple[tuple[str, bool, bool | None], ...], rows: list[dict[str, Any]]
) -> list[int]:
    """The ids of some children in an order."""
    rows.sort(key=lambda row: row["id"], reverse=terms[-1][1])
    for name, descends, said in reversed(terms):
        nulls_first = descends != (kind in SMALL_NULLS) if said is None else said

        def place(
            row: dict[str, Any], name: str = name, null_is_great: bool = nulls_first == descends
        ) -> Any:
            value = row[name].name if name == "color" else row[name]
            return (null_is_great, 0) if value is None else (not null_is_great, value)

        rows.sort(key=place, reverse=descends)
    return [row["id"] for row in rows]


NAMES = ["rank", "maybe", "name", "price", "at", "on", "color", "mark", "note", "ratio", "id"]
TERMS = st.lists(
    st.tuples(st.sampled_from(NAMES), st.booleans(), st.sampled_from([None, None, True, False])),
    min_size=1,
    max_size=3,
    unique_by=lambda term: term[0],
).map(tuple)


def expression(name: str, descends: bool, nulls_first: bool | None) -> Any:
    found: Any = getattr(Child, name)
    found = found.desc() if descends else found.asc()
    return found if nulls_first is None else found.nulls_first() if nulls_first else found.nulls_last()


@at_most(25)
@given(data=st.data())
def test_pages_are_slices(filled, data):
    """Forward and back, of any size, with a cursor of its own for each parent; ties, nulls, mixed directions."""
    terms = data.draw(TERMS)
    ways = data.draw(st.sampled_from([None, "lateral", "row_number"]))
    marker = Related(Parent.children, order_by=tuple(expression(*term) for term in terms), pages=ways)
    wanted = {parent: sorted_rows(filled.kind, parent, terms) for parent in (1, 2, 3, 4)}
    size = data.draw(st.integers(1, 12))
    is_backward = data.draw(st.booleans())
    cuts = {parent: data.draw(st.integers(0, len(ids))) for parent, ids in wanted.items()}

    async def law(loaders: Any, session: Any) -> None:
        loader = loaders.get(marker)
        whole = await asyncio.gather(*(loader.page(parent, first=50) for parent in wanted))
        for page, ids in zip(whole, wanted.values(), strict=True):
            assert [row.id for row in page.items] == ids
            assert not page.has_more
        firsts = await asyncio.gather(*(loader.page(parent, first=cuts[parent]) for parent in wanted))
        rests = await asyncio.gather(
            *(
                loader.page(parent, first=size, after=page.end_cursor, total=True)
                for parent, page in zip(wanted, firsts, strict=True)
            )
        )
        for (parent, ids), first, rest in zip(wanted.items(), firsts, rests, strict=True):
            cut = cuts[parent]
            assert [row.id for row in first.items] == ids[:cut]
            assert first.has_more == (cut < len(ids))
            assert [row.id for row in rest.items] == ids[cut : cut + size]
            assert rest.has_more == (cut + size < len(ids))
            assert rest.total == len(ids)
            if is_backward and first.items:
                back = await loader.page(parent, last=size, before=first.end_cursor)
                assert [row.id for row in back.items] == ids[: cut - 1][-size:]
                assert back.has_more == (cut - 1 > size)
            if first.items and rest.items:
                between = await loader.page(
                    parent, last=2, after=first.start_cursor, before=rest.start_cursor
                )
                assert [row.id for row in between.items] == ids[1:cut][-2:]

    filled.ask(law)


def test_rows_that_come_and_go_between_pages(filled):
    """Neither repeat nor hide others."""

    async def law(loaders, session):
        loader = loaders.get(Related(Parent.children))
        first = await loader.page(1, first=4)
        ids = [row.id for row in (await loader.page(1, first=50)).items]
        await session.execute(delete(Child).where(Child.id == ids[3]))
        await session.execute(delete(Child).where(Child.id == ids[5]))
        await session.execute(insert(Child), [{**child(90), "rank": -1, "parent_id": 1}])
        second = await loader.page(1, first=50, after=first.end_cursor)
        assert [row.id for row in second.items] == [*ids[4:5], *ids[6:]]

    filled.ask(law)


@at_most(15)
@given(data=st.data())
def test_any_rows_that_come_and_go_between_pages(filled, data):
    """From each cursor on, forward and back, come those that are there now; all that stayed are met, and none twice."""
    terms, size = data.draw(TERMS), data.draw(st.integers(2, 5))
    ways = data.draw(st.sampled_from([None, "lateral", "row_number"]))
    marker = Related(Parent.children, order_by=tuple(expression(*term) for term in terms), pages=ways)
    (many, since, step) = data.draw(st.sampled_from([("first", "after", 1), ("last", "before", -1)]))
    there = {n: {row["id"]: row for row in CHILDREN if row["parent_id"] == n} for n in (1, 2, 3, 4)}
    stayed = {parent: set(rows) for parent, rows in there.items()}
    met: dict[int, list[int]] = {parent: [] for parent in there}
    new = st.lists(st.tuples(st.integers(100, 999), st.sampled_from([1, 2, 3, 4])), max_size=3)

    async def law(loaders: Any, session: Any) -> None:
        loader = loaders.get(marker)
        cursors: dict[int, str] = {}
        last: dict[int, dict[str, Any]] = {}
        left = list(there)
        for round_ in range(20):
            pages = await asyncio.gather(
                *(loader.page(parent, **{many: size, since: cursors.get(parent)}) for parent in left)
            )
            for parent, page in list(zip(left, pages, strict=True)):
                rows = {**there[parent], **({last[parent]["id"]: last[parent]} if parent in last else {})}
                ids = in_order(filled.kind, terms, list(rows.values()))[::step]
                rest = ids[ids.index(last[parent]["id"]) + 1 :] if parent in last else ids
                found = [row.id for row in page.items][::step]
                assert found == rest[:size]
                assert page.has_more == (len(rest) > size)
                met[parent] += found
                if page.has_more:
                    cursors[parent] = page.end_cursor if since == "after" else page.start_cursor
                    last[parent] = rows[found[-1]]
                else:
                    left.remove(parent)
            if not left:
                break
            if round_ < 4:
                await change(session)
        assert not left
        for parent, ids in met.items():
            assert len(set(ids)) == len(ids)
            assert stayed[parent] <= set(ids)

    async def change(session: Any) -> None:
        """Delete some, where a cursor stands too, and insert others."""
        for parent, rows in there.items():
            if rows:
                gone = data.draw(st.sets(st.sampled_from(sorted(rows)), max_size=3))
                await session.execute(delete(Child).where(Child.id.in_(gone)))
                stayed[parent] -= gone
                for id in gone:
                    del rows[id]
        for id, parent in data.draw(new):
            if not any(id in rows for rows in there.values()) and id not in met[parent]:
                there[parent][id] = row = {**child(id), "parent_id": parent}
                await session.execute(insert(Child), [row])

    filled.ask(law)


@pytest.mark.parametrize("pages", [None, "lateral", "row_number"])
def test_one_statement_for_all_cursors(filled, pages):
    """And one text for all numbers of parents that are filled up to the same."""

    async def law(loaders, session):
        loader = loaders.get(Related(Parent.children, pages=pages))
        filled.statements.clear()
        pages_ = await asyncio.gather(*(loader.page(parent, first=3) for parent in (1, 2, 3, 4)))
        assert len(filled.selects) == 1
        await asyncio.gather(
            *(loader.page(n, first=3, after=page.end_cursor) for n, page in enumerate(pages_[:3], 1))
        )
        assert len(filled.selects) == 2
        same = await asyncio.gather(*(loader.page(1, first=3, after=pages_[0].end_cursor) for _ in range(3)))
        assert len(filled.selects) == 2
        assert same[0] is same[1] or same[0] == same[1]

    filled.ask(law)


def test_one_parent_at_two_places(filled):
    """Two cursors of one parent at once are two statements."""

    async def law(loaders, session):
        loader = loaders.get(Related(Parent.children))
        whole = await loader.page(1, first=10)
        one, two = [(await loader.page(1, first=n)).end_cursor for n in (2, 5)]
        pages = await asyncio.gather(loader.page(1, first=2, after=one), loader.page(1, first=2, after=two))
        ids = [row.id for row in whole.items]
        assert [[row.id for row in page.items] for page in pages] == [ids[2:4], ids[5:7]]

    filled.ask(law)


def test_a_limit_is_the_first_of_each_parent(filled):
    """In the relationship's own order, or in another."""

    async def law(loaders, session):
        own, other = await asyncio.gather(
            loaders.get(Related(Parent.children, limit=2)).load_many([1, 2, 3, 4]),
            loaders.get(Related(Parent.children, limit=2, order_by=Child.id.desc())).load_many([1, 4]),
        )
        ranks = [sorted_rows(filled.kind, parent, (("rank", False, None),))[:2] for parent in (1, 2, 3, 4)]
        assert [[row.id for row in rows] for rows in own] == ranks
        assert [[row.id for row in rows] for rows in other] == [[30, 27], []]
        assert [
            row.id for row in (await loaders.get(Related(Parent.children, limit=2)).page(1)).items
        ] == ranks[0]

    filled.ask(law)
    assert len(filled.selects) == 3


@pytest.mark.parametrize("pages", ["lateral", "row_number"])
@pytest.mark.parametrize("nulls_first", [True, False])
def test_nulls_where_the_order_says(filled, nulls_first, pages):
    """From every cursor on, also one that stands at a null."""
    term = ("maybe", True, nulls_first)
    wanted = sorted_rows(filled.kind, 1, (term,))

    async def law(loaders, session):
        loader = loaders.get(Related(Parent.children, order_by=expression(*term), pages=pages))
        met, after = [], None
        while len(met) < len(wanted):
            page = await loader.page(1, first=1, after=after)
            met.append(page.items[0].id)
            after = page.end_cursor
        assert met == wanted

    filled.ask(law)


def test_a_cursor_holds_what_can_be_compared_again():
    """Anything else is refused; drivers' own subclasses are what they are of."""
    cursors = Cursors("Parent.children", "x", [None])
    with pytest.raises(
        DloaderError, match="a cursor cannot hold <object object.*order by a column of numbers"
    ):
        cursors.write(1, [object()])
    strange = type("Text", (str,), {})("x")
    assert cursors.read(1, cursors.write(1, [strange])) == ("x",)


def test_a_key_of_a_page_says_which():
    """In notes on errors."""
    assert repr(PageKey(7, Shape(3, True, False, False))) == "page(7, last=3)"


def test_an_empty_page(filled):
    """Has no cursors; of no rows at all it still tells whether there are any."""

    async def law(loaders, session):
        loader = loaders.get(Related(Parent.children))
        assert await loader.page(4, first=3, total=True) == Page[Any](items=[], has_more=False, total=0)
        assert await loader.page(1, first=0) == Page[Any](items=[], has_more=True)
        assert await loader.page(1, last=0) == Page[Any](items=[], has_more=True)

    filled.ask(law)


@pytest.mark.parametrize("pages", ["lateral", "row_number"])
@pytest.mark.parametrize(
    ("marker", "key"),
    [
        pytest.param(lambda **how: Related(Member.tags, **how), 1, id="secondary"),
        pytest.param(lambda **how: Related(Tag.members, **how), 3, id="other side"),
        pytest.param(lambda **how: Related(Member.likes, **how), 1, id="pairs twice"),
        pytest.param(lambda **how: Related(Member.friends, **how), 1, id="itself"),
        pytest.param(lambda **how: Related(Office.via, **how), 1, id="joined secondary"),
        pytest.param(lambda **how: Related(Office.active, **how), 1, id="condition"),
        pytest.param(lambda **how: Related(Office.below, **how), 1, id="own columns"),
        pytest.param(lambda **how: Related(Room.desks, **how), (1, "a"), id="two columns"),
        pytest.param(lambda **how: Related(Member.projects, order_by=zoo.Project.id, **how), 1, id="proxy"),
        pytest.param(lambda **how: Related(Office.oldest, order_by=zoo.OLDEST.id, **how), 1, id="alias"),
        pytest.param(lambda **how: Related(zoo.Owner.cats, **how), 1, id="subclass"),
        pytest.param(lambda **how: Related(zoo.Owner.dogs, **how), 1, id="one table"),
    ],
)
def test_pages_of_relationships_of_every_kind(zoological, marker, key, pages):
    """Each target once, in the order of the whole list; criteria hold inside."""

    async def law(loaders, session):
        loader = loaders.get(marker(pages=pages))
        whole = list({row.id: None for row in await loader.load(key)})
        met, after = [], None
        while True:
            page = await loader.page(key, first=1, after=after, total=True)
            assert page.total == len(whole)
            met += [row.id for row in page.items]
            if not page.has_more:
                break
            after = page.end_cursor
        assert met == whole

    zoological.ask(law)
    odd = with_loader_criteria(Member, lambda cls: cls.id % 2 == 1, include_aliases=True)

    async def with_criteria(loaders, session):
        loader = loaders.get(marker(pages=pages))
        whole = list({row.id: None for row in await loader.load(key)})
        page = await loader.page(key, first=50, total=True)
        assert [row.id for row in page.items] == whole
        assert page.total == len(whole)

    zoological.ask(with_criteria, options=[odd])


class TestMistakes:
    """Told before anything is sent."""

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (
                {},
                r"Parent.children.page\(\): how many\? pass first= or last=, or give Related\(..., limit=\)",
            ),
            ({"first": -1}, "first takes a whole number that is 0 or more, not -1"),
            ({"last": -1}, "last takes a whole number that is 0 or more, not -1"),
            ({"first": True}, "not True"),
            ({"first": "3"}, "not '3'"),
            ({"first": 1, "last": 1}, "of the first or of the last, not both"),
            (
                {"first": 1, "after": "x"},
                "'x' is no cursor of this page: pass the start_cursor or end_cursor",
            ),
            ({"first": 1, "after": ""}, "'' is no cursor"),
            ({"last": 1, "before": 3}, "3 is no cursor"),
        ],
    )
    def test_arguments(self, filled, arguments, message):
        """Each is named."""

        async def law(loaders, session):
            with pytest.raises(OptionError, match=message):
                loaders.get(Related(Parent.children)).page(1, **arguments)

        filled.ask(law)
        assert filled.statements == []

    def test_cursors_from_elsewhere(self, filled):
        """Of another parent, order or relationship; cut or altered anywhere."""

        async def law(loaders, session):
            loader = loaders.get(Related(Parent.children))
            other = loaders.get(Related(Parent.children, order_by=Child.id.desc()))
            cursor = (await loader.page(1, first=2)).end_cursor
            wrong = [(loader, 2, cursor), (other, 1, cursor)]
            letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
            for i, letter in enumerate(cursor):
                wrong.append((loader, 1, cursor[:i]))
                wrong += [
                    (loader, 1, cursor[:i] + each + cursor[i + 1 :])
                    for each in letters[i % 7 :: 7]
                    if each != letter
                ]
            wrong += [(loader, 1, cursor + each) for each in ("=", "A", "AA", "é")]
            filled.statements.clear()
            for each, parent, text_ in wrong:
                with pytest.raises(CursorError, match="is no cursor of this page"):
                    each.page(parent, first=1, after=text_)
            assert filled.statements == []
            assert (await loader.page(1, first=1, after=cursor)).items

        filled.ask(law)

    @pytest.mark.parametrize(
        "body",
        [
            '["x"]', "[true]", "[[1]]", '[{"t":"2026-01-01T00:00:00"}]', "[1,2]", "[]", "{}", "3", "[" * 100_000,
            "[" + "9" * 30 + "]", '[{"u":"3"}]', '[{"e":"x"}]', '[{"b":"é"}]', "[NaN]",
        ],
        ids=lambda body: body[:20],
    )  # fmt: skip
    def test_a_cursor_with_a_forged_check_sum(self, filled, body):
        """Who knows how it is made can make one: of values that no column has it reaches no database."""
        if filled.kind == "asyncmy" and body.startswith("[9"):
            return  # MariaDB compares numbers of any size

        async def law(loaders, session):
            loader = loaders.get(Related(Parent.children, order_by=Child.id))
            cursors = cursors_of(loader._lookup, loader.name)
            forged = urlsafe_b64encode(cursors._sum(1, body.encode()) + body.encode()).decode().rstrip("=")
            await session.execute(select(1))
            filled.statements.clear()
            with pytest.raises(CursorError, match="is no cursor of this page"):
                await loader.page(1, first=1, after=forged)
            with pytest.raises(CursorError, match="is no cursor of this page"):
                await loader.page(1, last=1, before=forged)
            assert filled.statements == []
            other = loader.page(1, first=1, total=True)  # beside one that is right
            assert (await other).items

        filled.ask(law)

    def test_a_number_that_no_database_has_is_refused_before_it_meets_others(self, filled):
        """A client's page of 2**63 items is no error of the pages beside it."""

        async def law(loaders, session):
            loader = loaders.get(Related(Parent.children, order_by=Child.id))
            beside = loader.page(1, first=1)
            for number in (2**31 - 1, 2**63, 10**400):
                for which in ("first", "last"):
                    with pytest.raises(OptionError, match="takes a number up to 2,147,483,646"):
                        loader.page(1, **{which: number})
            whole = await loader.page(2, first=2**31 - 2)
            assert not whole.has_more
            assert len((await beside).items) == 1

        filled.ask(law)

    def test_cursors_of_other_constants_and_huge_ones(self, filled):
        """An order is told by the values in it as well; what is no cursor is not read for long."""
        orders = [case((Child.id == n, 0), else_=1) for n in (1, 2)]
        first, second = (Related(Parent.children, order_by=order) for order in orders)

        async def law(loaders, session):
            cursor = (await loaders.get(first).page(1, first=1)).end_cursor
            again = Related(Parent.children, order_by=case((Child.id == 1, 0), else_=1))
            assert (await loaders.get(again).page(1, first=1, after=cursor)).items
            for text_ in (cursor, cursor * 100_000, "A" * 1_000_000):
                with pytest.raises(CursorError, match="is no cursor of this page") as caught:
                    loaders.get(second).page(1, first=1, after=text_)
                assert len(str(caught.value)) < 400

        filled.ask(law)

    def test_an_order_of_no_known_type(self, filled):
        """PostgreSQL needs it for cursors, as for keys; what is refused is refused before anything is sent."""
        unknown, known = func.abs(Child.id), func.abs(Child.id, type_=Integer)

        async def law(loaders, session):
            for pages in ("lateral", "row_number"):
                typed = loaders.get(Related(Parent.children, order_by=known, pages=pages))
                cursor = (await typed.page(1, first=2)).end_cursor
                rest = (await typed.page(1, first=50, after=cursor)).items
                assert rest == (await typed.load(1))[2:]
            untyped = loaders.get(Related(Parent.children, order_by=unknown, pages="lateral"))
            page = await untyped.page(1, first=2)
            by_key = loaders.get(Query(select(Parent), key=func.abs(Parent.id)))
            filled.statements.clear()
            if filled.kind not in ("asyncpg", "psycopg"):
                assert (await untyped.page(1, first=50, after=page.end_cursor)).items == rest
                assert (await by_key.load(1)).id == 1
                return
            for asked in (untyped.page(1, first=1, after=page.end_cursor), by_key.load(1)):
                with pytest.raises(OptionError, match=r"abs.* has no type that SQLAlchemy knows, .*func.abs"):
                    await asked
            assert filled.statements == []

        filled.ask(law)

    def test_without_an_order(self, filled):
        """Nobody could say which are the first."""

        async def law(loaders, session):
            with pytest.raises(
                OptionError, match=r"Parent.unordered: which rows are the first\? pass order_by="
            ):
                loaders.get(Related(Parent.unordered)).page(1, first=1)
            with pytest.raises(OptionError, match="which rows are the first"):
                await loaders.get(Related(Parent.unordered, limit=3)).load(1)
            with pytest.raises(OptionError, match="there is one row at most; load"):
                loaders.get(ByKey(Parent)).page(1, first=1)

        filled.ask(law)
        assert filled.statements == []

    def test_an_order_by_a_table_that_repeats_itself(self, zoological):
        """It has no one place for a target."""

        async def law(loaders, session):
            loader = loaders.get(Related(Member.likes, order_by=zoo.liked.c.tag_id))
            with pytest.raises(OptionError, match="liked may have one pair twice"):
                loader.page(1, first=1)
            assert len(await loader.load(1)) == 3

        zoological.ask(law)


def test_the_database_reads_no_more_than_the_page(postgresql):
    """Where an index fits: of five hundred children of each parent."""
    rows = 3
    many = [{**child(n), "id": n, "parent_id": n % 4 + 1, "rank": n} for n in range(1, 2001)]
    postgresql.fill(Base, {Parent: [{"id": n} for n in range(1, 5)], Child: many})
    seen: list[tuple[str, Any]] = []

    async def law(loaders, session):
        from sqlalchemy import event

        await session.execute(text("analyze child"))

        @event.listens_for(session.bind.sync_engine, "before_cursor_execute")
        def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            seen.append((statement, parameters))

        loader = loaders.get(Related(Parent.children))
        pages = await asyncio.gather(*(loader.page(parent, first=rows) for parent in (1, 2, 3, 4)))
        assert [len(page.items) for page in pages] == [rows] * 4
        statement, parameters = seen[-1]
        connection = await session.connection()
        plan = await connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
        assert rows_read(plan.scalar()[0]["Plan"]) <= 4 * (rows + 1)

    postgresql.ask(law)


def rows_read(plan: dict[str, Any]) -> int:
    """How many rows of the table were read."""
    own = plan["Actual Rows"] * plan["Actual Loops"] if plan.get("Relation Name") == "child" else 0
    return own + sum(map(rows_read, plan.get("Plans", ())))
