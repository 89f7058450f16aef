"""Which markers are one loader, what its statements say, which keys it takes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import zoo
from databases import Database
from sqlalchemy import bindparam, event, exists, func
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased, sessionmaker, with_loader_criteria
from zoo import Cat, Desk, Grade, Member, Office, Owner, Room, Tag

from dloader import AmbiguousKeyError, DataLoader, KeyTypeError, LoaderParamError, LoaderRegistry, OptionError
from dloader.sqlalchemy import Aggregate, ByKey, Count, Related


@pytest.fixture(scope="module")
def filled(database: Database) -> Database:
    """A database with all rows of the zoo."""
    database.fill(zoo.Base, zoo.ROWS)
    return database


class TestOneLoader:
    """What means the same look-up shares batches and cache."""

    def test_many_to_one_and_the_key_of_its_target(self):
        """Whoever points at a member asks for a member by its key."""
        loaders = LoaderRegistry({"session": session_of_nothing()})
        assert loaders.get(Related(Member.manager)) is loaders.get(ByKey(Member))
        assert loaders.get(Related(Cat.owner)) is loaders.get(ByKey(Owner))
        assert loaders.get(Related(Desk.room)) is loaders.get(ByKey(Room))
        assert loaders.get(ByKey(Member.e_mail)) is not loaders.get(ByKey(Member))
        assert len(loaders) == 4

    @pytest.mark.parametrize(
        "make",
        [
            pytest.param(lambda: Related(Office.members), id="relationship"),
            pytest.param(lambda: Related(Office.members, order_by=Member.name.desc()), id="order"),
            pytest.param(
                lambda: Related(Office.members, order_by=(Member.name, Member.id.desc())), id="orders"
            ),
            pytest.param(lambda: Related(Office.members, where=Member.active), id="column"),
            pytest.param(lambda: Related(Office.members, where=Member.name == "x"), id="comparison"),
            pytest.param(lambda: Related(Office.members, where=Member.id.in_([1, 2])), id="list"),
            pytest.param(lambda: Related(Office.members, limit=3), id="limit"),
            pytest.param(lambda: Related(Member.projects), id="proxy"),
            pytest.param(lambda: ByKey(Member, where=func.lower(Member.name) == "x"), id="function"),
        ],
    )
    def test_written_twice(self, make):
        """It is told by what it says."""
        loaders = LoaderRegistry({"session": session_of_nothing()})
        assert loaders.get(make()) is loaders.get(make())
        assert isinstance(loaders.get(make()), DataLoader)

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (Related(Office.members), Related(Office.active)),
            (Related(Office.members), Related(Office.members, where=Member.active)),
            (Related(Office.members, where=Member.id == 1), Related(Office.members, where=Member.id == 2)),
            (
                Related(Office.members, where=Member.active),
                Related(Office.members, where=Member.active == 1),
            ),
            (Related(Office.members, order_by=Member.id), Related(Office.members, order_by=Member.id.desc())),
            (Related(Office.members, limit=1), Related(Office.members, limit=2)),
            (Related(Office.members, limit=1), Related(Office.members, limit=1, pages="row_number")),
            (Related(Member.tags), Related(Member.likes)),
            (Related(Member.manager), Related(Member.reports)),
        ],
    )
    def test_what_differs_is_another(self, one, other):
        """In a condition, an order, a number."""
        loaders = LoaderRegistry({"session": session_of_nothing()})
        assert loaders.get(one) is not loaders.get(other)

    def test_another_session_is_another(self):
        """A replica answers for itself."""
        loaders = LoaderRegistry({"session": session_of_nothing(), "replica": session_of_nothing()})
        assert loaders.get(Related(Office.members)) is not loaders.get(
            Related(Office.members, session="replica")
        )

    def test_what_cannot_be_compared_is_one_with_itself(self):
        """A subquery of mapped classes; a value that a function gives when it is used."""
        has_reports = lambda: exists().where(aliased(Member).boss_id == Member.id)  # noqa: E731
        one = has_reports()
        called = Member.id == bindparam("x", callable_=lambda: 1)
        loaders = LoaderRegistry({"session": session_of_nothing()})
        for condition, again in (
            (one, has_reports()),
            (called, Member.id == bindparam("x", callable_=lambda: 1)),
        ):
            loader = loaders.get(Related(Office.members, where=condition))
            assert loaders.get(Related(Office.members, where=condition)) is loader
            assert loaders.get(Related(Office.members, where=again)) is not loader

    @pytest.mark.parametrize(
        ("markers", "name"),
        [
            ([Related(Office.members)], "Office.members"),
            ([Related(Member.tags)], "Member.tags"),
            ([Related(Member.projects)], "Member.projects"),
            ([Related(Member.manager), ByKey(Member)], "Member"),
            ([Related(Desk.room), ByKey(Room)], "Room"),
            ([ByKey(Member.login), ByKey(Member.name)], "Member.name"),
            ([ByKey(Member.e_mail)], "Member.e_mail"),
            ([Count(Member.manager)], "Member count"),
        ],
    )
    def test_it_has_one_name(self, markers, name):
        """In tables, messages and traces, whichever was asked for first: of a row by its key, that of its class."""
        for order in (markers, markers[::-1]):
            for marker in order:
                loader = LoaderRegistry({"session": session_of_nothing()}).get(marker)
                assert (loader.name, marker.label, type(loader).__name__) == (name, name, name)

    def test_cursors_are_those_of_the_look_up(self, filled):
        """Whatever its loader is called."""

        async def law(loaders, session):
            loader = loaders.get(Related(Office.members))
            cursor = (await loader.page(1, first=1)).end_cursor
            named = type("Mine", (type(loader),), {"name": "mine"})
            assert (await loaders.get(named).page(1, first=1, after=cursor)).items

        filled.ask(law)


class TestStatements:
    """What is sent."""

    def test_no_keys_no_statement(self, filled):
        """There is nothing to ask."""

        async def law(loaders, session):
            assert await loaders.get(Related(Office.members)).load_many([]) == []

        filled.ask(law)
        assert filled.statements == []

    def test_columns_that_are_deferred_are_left_out(self, filled):
        """All others are there, as items and as attributes."""

        async def law(loaders, session):
            row = await loaders.get(ByKey(Member)).load(3)
            assert set(row) == {
                "id", "name", "e_mail", "active", "salary", "grade", "office_id", "boss_id",
            }  # fmt: skip
            assert row["grade"] is row.grade is Grade.HIGH
            with pytest.raises(AttributeError, match="has no column 'notes'; it has id"):
                row.notes

        filled.ask(law)
        assert "notes" not in filled.selects[0]
        assert filled.selects[0].count("member.id") == 2  # selected once, and compared

    def test_a_row_may_be_marked_and_is_what_was_read(self, filled):
        """By who hands it on, as Strawberry's `cast` does; its columns cannot be set where items would not follow."""

        async def main(engine):
            async with AsyncSession(engine) as session, LoaderRegistry({"session": session}) as loaders:
                return await loaders.get(ByKey(Office)).load(1)

        row = filled.run(main)
        row.__as_strawberry_type__ = Office
        assert row.__as_strawberry_type__ is Office
        assert "__as_strawberry_type__" not in row
        with pytest.raises(AttributeError, match="the row is what was read: 'city' cannot be set"):
            row.city = "Bergen"
        assert (row.city, row["city"]) == ("Oslo", "Oslo")

    def test_few_texts_for_all_numbers_of_keys(self, filled):
        """One on PostgreSQL; one for each size elsewhere."""

        async def law(loaders, session):
            for count in (1, 2, 3, 7, 10, 11, 60):
                loaders.clear_all()
                await loaders.get(ByKey(Member)).load_many(range(count))
                await loaders.get(Related(Room.desks)).load_many([(n, "a") for n in range(count)])

        filled.ask(law)
        assert len(filled.selects) == 14
        assert len(set(filled.selects)) == {"asyncmy": 12, "aiosqlite": 7}.get(filled.kind, 2)

    def test_any_number_of_keys(self, filled):
        """Below every limit of the database; each key has its answer."""

        async def law(loaders, session):
            keys = range(-50_000, 50_000)
            found = await loaders.get(ByKey(Tag)).load_many(keys)
            assert [key for key, row in zip(keys, found, strict=True) if row] == [1, 2, 3, 4, 5]
            pairs = [(n, "b") for n in range(-20_000, 20_000)]
            found = await loaders.get(ByKey(Room)).load_many(pairs)
            assert [key for key, row in zip(pairs, found, strict=True) if row] == [
                (n, "b") for n in (1, 2, 3)
            ]

        filled.ask(law)

    def test_keys_of_other_types(self, filled):
        """As the column has them."""

        async def law(loaders, session):
            assert (await loaders.get(ByKey(Member.e_mail)).load("3@x.org"))["id"] == 3
            graded = await loaders.get(ByKey(Member.grade, where=Member.id == 2)).load(Grade.LOW)
            assert graded.id == 2

        filled.ask(law)

    def test_a_key_that_several_rows_have_is_an_error(self, filled):
        """Which of them would be meant? The other keys of the batch are answered."""

        async def law(loaders, session):
            loader = loaders.get(ByKey(Member.grade, where=Member.id.in_([1, 2, 4])))
            low, high = await loader.load_many([Grade.LOW, Grade.HIGH], return_exceptions=True)
            assert isinstance(low, AmbiguousKeyError)
            assert "2 rows have the key <Grade.LOW: 'low'>" in str(low)
            assert "Query(select(Member), key=Member.grade, many=True)" in str(low)
            assert high.id == 1

        filled.ask(law)

    def test_conditions_orders_and_options_hold(self, filled):
        """Those of the marker, and those that all statements of the request have."""
        only_even = with_loader_criteria(Member, lambda cls: cls.id % 2 == 0)

        async def law(loaders, session):
            marker = Related(Office.members, where=Member.active, order_by=Member.id.desc())
            assert [row.id for row in await loaders.get(marker).load(1)] == [14, 10, 4]
            odd, even = await loaders.get(ByKey(Member)).load_many([3, 4])
            assert odd is None
            assert even.id == 4
            likes = await loaders.get(Related(Tag.members)).load(1)
            assert {row.id % 2 for row in likes} == {0}

        filled.ask(law, options=[only_even])

    def test_events_of_the_session_hold(self, filled):
        """Its statements are those of mapped classes, so that criteria said once meet them."""

        async def law(loaders, session):
            @event.listens_for(session.sync_session, "do_orm_execute")
            def soft_deleted(state: Any) -> None:
                state.statement = state.statement.options(with_loader_criteria(Member, Member.id != 4))

            rows = await loaders.get(Related(Office.members)).load(1)
            assert 4 not in {row.id for row in rows}

        filled.ask(law)

    def test_an_order_may_name_the_association_table(self, filled):
        """As the relationship's own does."""

        async def law(loaders, session):
            up = await loaders.get(Related(Member.tags)).load(1)
            down = await loaders.get(Related(Member.tags, order_by=zoo.tagged.c.place.desc())).load(1)
            assert len(up) > 1
            assert down == up[::-1]

        filled.ask(law)


class TestKeys:
    """Keys that cannot be right are refused before anything is sent, each for itself."""

    @pytest.mark.parametrize(
        ("marker", "key", "message"),
        [
            (ByKey(Member), "7", r"loader 'Member' takes int, not '7' \(str\)"),
            (ByKey(Member), True, r"takes int, not True \(bool\)"),
            (ByKey(Member.e_mail), 7, r"loader 'Member.e_mail' takes str, not 7 \(int\)"),
            (ByKey(Room), 7, "loader 'Room' takes a tuple of 2 as its key, not 7"),
            (ByKey(Room), (7,), "takes a tuple of 2"),
            (ByKey(Room), (7, 7), r"takes str, as part 2 of its key, not 7 \(int\)"),
        ],
    )
    def test_of_a_wrong_type(self, filled, marker, key, message):
        """The others of the batch are answered."""
        right = {"Member": 2, "Member.e_mail": "2@x.org", "Room": (1, "a")}[marker.label]

        async def law(loaders, session):
            loader = loaders.get(marker)
            good, bad = await asyncio.gather(loader.load(right), loader.load(key), return_exceptions=True)
            assert good is not None
            with pytest.raises(KeyTypeError, match=message):
                raise bad
            with pytest.raises(KeyTypeError, match=message):
                await loader.load(key)

        filled.ask(law)
        assert len(filled.selects) == 1


class TestMistakes:
    """What a marker cannot work with is told when it is written, or when it is first used."""

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: Related(Office), "Related takes a relationship of a mapped class, as Office.members, not"),
            (lambda: Related("members"), "not 'members'"),
            (lambda: Related(Office.members, where=True), "where takes an SQL expression as Member.active, not True"),
            (lambda: Related(Office.members, where="x = 1"), "where takes"),
            (lambda: Related(Office.members, order_by="name"), "order_by takes an SQL expression as Member.name"),
            (lambda: Related(Office.members, order_by=(Member.name, 3)), "or a tuple of them, not 3"),
            (lambda: Related(Office.members, limit=0), "limit takes a whole number that is 1 or more, not 0"),
            (lambda: Related(Office.members, limit=True), "not True"),
            (lambda: Related(Office.members, session=object()), "session=. takes the name of the loader parameter"),
            (lambda: Related(Office.members, pages="offset"), "pages takes 'lateral' or 'row_number', not 'offset'"),
            (lambda: Related(Office.city).lookup, r"Office.city is no relationship .*; a look-up by a column is ByKey"),
            (lambda: Related(Office.members.and_(Member.active)).lookup, "conditions go into where="),
            (lambda: Related(aliased(Office).members).lookup, "the relationship as the class has it"),
            (lambda: Related(Member.since).lookup, "Member.since is an association proxy that leads to no entity"),
            (lambda: Related(Office.members, where=Tag.word == "x").lookup, "where=.* a table that is not read here"),
            (lambda: Related(Office.members, order_by=Tag.word.desc()).lookup, "order_by=.*a column of Member"),
            (lambda: Related(Office.oldest, where=Member.active).lookup, "take a column of .*others in a subquery"),
            (lambda: Related(Owner.animals, where=Cat.lives > 1).lookup, "a column of Animal"),
            (lambda: ByKey(Member, where=Tag.word == "x").lookup, r"ByKey\(Member\): where="),
            (lambda: Aggregate(Office.members, func.sum(Tag.id)).lookup, r"expression=.sum\(tag.id\)"),
            (lambda: Count(Office.members, where=Tag.id == 1).lookup, "Count.*where="),
            (lambda: ByKey(3).lookup, "ByKey takes a mapped class or an attribute of it that is a column, as"),
            (lambda: ByKey(int).lookup, "ByKey takes a mapped class, not <class 'int'>"),
            (lambda: ByKey(Office.members).lookup, "Office.members is none"),
            (lambda: ByKey(Member, where=3), "where takes"),
            (lambda: ByKey(aliased(Member).id).lookup, "id is none"),
        ],
    )  # fmt: skip
    def test_in_a_marker(self, make, message):
        """The message says what was given and what is taken."""
        with pytest.raises(OptionError, match=message):
            make()

    @pytest.mark.parametrize("session", [None, 3, "session", lambda: None, sessionmaker(class_=AsyncSession)])
    def test_a_session_that_is_none(self, session):
        """An engine, a connection, a synchronous session neither."""
        with pytest.raises(
            LoaderParamError, match=r"Office.members.session cannot be .*: pass an AsyncSession"
        ):
            LoaderRegistry({"session": session}).get(Related(Office.members))

    def test_no_session(self):
        """The parameter is named."""
        with pytest.raises(LoaderParamError, match="'Office.members' needs its parameter 'replica'"):
            LoaderRegistry({"session": 3}).get(Related(Office.members, session="replica"))

    @pytest.mark.parametrize("options", [3, [3], "x"])
    def test_options_that_are_none(self, options):
        """A single one is no sequence either."""
        with pytest.raises(
            LoaderParamError, match=r"options cannot be .*: pass a sequence of statement options"
        ):
            LoaderRegistry({"session": session_of_nothing(), "options": options}).get(Related(Office.members))


def session_of_nothing() -> Any:
    from sqlalchemy.ext.asyncio import AsyncSession

    return AsyncSession()
