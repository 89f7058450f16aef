"""What loaders of look-ups have for engines without models: columns by name, and cursors of all items."""

from __future__ import annotations

import pytest
import zoo
from databases import Database

from dloader import OptionError
from dloader.lowlevel import ask_many
from dloader.sqlalchemy import Related
from dloader.sqlalchemy._columns import IDENTITY
from dloader.sqlalchemy._pages import CursorPage


@pytest.fixture(scope="module")
def filled(database: Database) -> Database:
    """With the rows of the zoo."""
    database.fill(zoo.Base, zoo.ROWS)
    return database


class TestColumns:
    def test_those_that_were_named_are_read(self, filled):
        """Of the class and of its subclasses, and what tells these apart; names that are no columns are left out."""

        async def main(loaders, session):
            pets = loaders.get(Related(zoo.Owner.animals))
            pets.read_also({"lives", "tricks", IDENTITY, "nothing"})
            assert pets.has_column("lives")
            assert not pets.has_column("nothing")
            return await ask_many(pets, [1]).future

        assert filled.ask(main) == [
            [
                {"lives": 9, IDENTITY: "cat"},
                {"tricks": 4, IDENTITY: "dog"},
                {IDENTITY: "animal"},
            ]
        ]

    def test_more_names_forget_what_was_read_with_fewer(self, filled):
        """And names that are read already forget nothing."""

        async def main(loaders, session):
            members = loaders.get(Related(zoo.Office.members))
            members.read_also({"name"})
            first = await ask_many(members, [2]).future
            members.read_also({"name"})
            again = await ask_many(members, [2]).future
            members.read_also({"id"})
            wider = await ask_many(members, [2]).future
            every = await members.load(2)
            members.read_also({"e_mail"})
            assert await members.load(2) is every
            members.read_also({"notes"})
            deferred = await members.load(2)
            return first, again, wider, every, deferred

        first, again, wider, every, deferred = filled.ask(main)
        assert first == [[{"name": "m1"}, {"name": "m2"}, {"name": "m3"}]]
        assert again[0] is first[0]
        assert [set(row) for row in wider[0]] == [{"id", "name"}] * 3
        assert "notes" not in every[0]
        assert deferred[0].notes == "note 1"
        assert {**every[0]} == {name: value for name, value in deferred[0].items() if name != "notes"}
        assert len(filled.selects) == 4

    def test_no_name_at_all_reads_how_many_there_are(self, filled):
        """As GraphQL's __typename does."""

        async def main(loaders, session):
            members = loaders.get(Related(zoo.Office.members))
            members.read_also(())
            return await ask_many(members, [2, 4]).future

        assert filled.ask(main) == [[{}, {}, {}], []]


class TestPages:
    def test_all_items_have_a_cursor(self, filled):
        """The first and the last are those of the page; a page without cursors is another one."""

        async def main(loaders, session):
            members = loaders.get(Related(zoo.Office.members))
            members.read_also({"id"})
            with_cursors = members.page_keys([1, 4], first=3, has_cursors=True)
            without = members.page_keys([1], first=3)
            pages = await ask_many(members, with_cursors + without).future
            after = [members.page_keys([1], 1, cursor, has_cursors=True)[0] for cursor in pages[0].cursors]
            return pages, await ask_many(members, after).future

        (full, empty, plain), after = filled.ask(main)
        assert isinstance(full, CursorPage)
        assert [full.cursors[0], full.cursors[-1]] == [full.start_cursor, full.end_cursor]
        assert full.cursors == [plain.start_cursor, after[0].cursors[0], plain.end_cursor]
        assert plain.items == full.items
        assert not isinstance(plain, CursorPage)
        assert empty.cursors == []
        assert empty.start_cursor is None

    def test_a_cursor_of_another_parent_is_the_error_of_its_key(self, filled):
        """What cannot be for any key is raised."""

        async def main(loaders, session):
            members = loaders.get(Related(zoo.Office.members))
            page = await members.page(1, first=1)
            right, wrong = members.page_keys([1, 2], first=1, after=page.end_cursor)
            assert right.key == 1
            assert isinstance(wrong, OptionError)
            with pytest.raises(OptionError, match="not both"):
                members.page_keys([1], first=1, last=1)
            with pytest.raises(OptionError, match="one row at most"):
                loaders.get(Related(zoo.Member.office)).page_keys([1], first=1)

        filled.ask(main)
