"""Six traps that integrations of loaders and mapped classes have fallen into, each with a law of its own."""

from __future__ import annotations

import ast
import asyncio
from pathlib import Path
from typing import Annotated

import pytest
import zoo
from databases import Database, request
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from zoo import Member, Office, Tag

import dloader.sqlalchemy
from dloader.resolver import Resolver
from dloader.sqlalchemy import ByKey, Page, Related, select_for


@pytest.fixture(scope="module")
def filled(database: Database) -> Database:
    """A database with all rows of the zoo."""
    database.fill(zoo.Base, zoo.ROWS)
    return database


def test_a_limit_holds_for_each_parent_and_not_for_the_batch(filled):
    """Two of each of three offices, in one statement."""

    async def law(loaders, session):
        loader = loaders.get(Related(Office.members))
        pages = await asyncio.gather(*(loader.page(office, first=2) for office in (1, 2, 3)))
        assert [len(page.items) for page in pages] == [2, 2, 2]
        assert len(filled.selects) == 1
        lists = await loaders.get(Related(Office.members, limit=2)).load_many([1, 2, 3])
        assert [len(rows) for rows in lists] == [2, 2, 2]
        assert len(filled.selects) == 2

    filled.ask(law)


@pytest.mark.parametrize("name", ["tags", "friends", "likes"])
def test_an_association_table_is_joined_and_not_multiplied(filled, name):
    """Also of a class with itself, and where the table has no key."""

    async def law(loaders, session):
        def lazily(sync):
            members = sync.scalars(select(Member).order_by(Member.id)).all()
            return {each.id: sorted(other.id for other in getattr(each, name)) for each in members}

        wanted = await session.run_sync(lazily)
        assert any(wanted.values())
        filled.statements.clear()
        rows = await loaders.get(Related(getattr(Member, name))).load_many(list(wanted))
        assert [sorted(row.id for row in each) for each in rows] == list(wanted.values())
        assert len(filled.selects) == 1

    filled.ask(law)


def test_nothing_private_of_sqlalchemy_is_used():
    """Its loader strategies least of all: from one version to the next they have other names."""
    for path in Path(dloader.sqlalchemy.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("sqlalchemy"):
                names = [*str(node.module).split("."), *(each.name for each in node.names)]
                assert not [name for name in names if name.startswith("_")], path
                assert "strategies" not in names, path


def test_a_batch_that_is_cancelled_leaves_the_transaction_of_its_caller_alone(filled):
    """While its statement runs: what was written is there, and can be committed."""

    async def law(engine):
        async with request(engine) as (loaders, session):
            session.add(Tag(id=96, word="mine"))
            await session.flush()
            begun = len(filled.statements)
            task = asyncio.ensure_future(loaders.get(Related(Office.members)).load(1))
            while len(filled.statements) == begun:
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            await session.commit()
        async with AsyncSession(engine) as session:
            tag = await session.get(Tag, 96)
            assert tag.word == "mine"
            await session.delete(tag)
            await session.commit()

    filled.run(law)


def test_models_whose_fields_have_aliases(filled):
    """Rows have the names of attributes, whatever the response calls them."""

    class CamelOut(BaseModel):
        model_config = ConfigDict(alias_generator=to_camel)

    class BossOut(CamelOut):
        e_mail: str
        boss_id: int | None

    class MemberOut(CamelOut):
        office_id: int | None
        the_boss: Annotated[BossOut | None, Related(Member.manager)]
        first_reports: Annotated[Page[BossOut], Related(Member.reports, limit=1)]

    async def law(loaders, session):
        rows = await session.execute(select_for(MemberOut, Member).where(Member.id == 2))
        [member] = await Resolver(registry=loaders).resolve(rows, into=list[MemberOut])
        assert member.model_dump(by_alias=True) == {
            "officeId": 3,
            "theBoss": {"eMail": "1@x.org", "bossId": None},
            "firstReports": {
                "items": [{"eMail": "4@x.org", "bossId": 2}],
                "has_more": True,
                "start_cursor": member.first_reports.start_cursor,
                "end_cursor": member.first_reports.end_cursor,
                "total": None,
            },
        }

    filled.ask(law)


def test_a_registry_that_lives_as_long_as_a_socket_can_be_made_fresh(filled):
    """Before each event: what others have committed since is seen then."""

    async def law(engine):
        async with request(engine) as (loaders, session):
            seen = []
            for word in ("v1", "v2"):
                async with AsyncSession(engine) as other:
                    await other.execute(update(Tag).where(Tag.id == 5).values(word=word))
                    await other.commit()
                loaders.clear_all()
                seen.append((await loaders.get(ByKey(Tag)).load(5)).word)
                await session.rollback()
            assert seen == ["v1", "v2"]

    filled.run(law)
