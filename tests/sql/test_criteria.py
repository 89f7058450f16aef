"""Criteria that a request says once hold in each statement of its loaders: of mixins, and of aliases."""

from __future__ import annotations

import pytest
from databases import Database
from sqlalchemy import ForeignKey, select
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    aliased,
    load_only,
    mapped_column,
    relationship,
    with_loader_criteria,
)

from dloader.sqlalchemy import ByKey, Count, Page, Query, Related
from dloader.sqlalchemy._criteria import everywhere


class Base(DeclarativeBase):
    pass


class Tenanted:
    """Not mapped: what SQLAlchemy's documentation calls a mixin."""

    tenant_id: Mapped[int] = mapped_column()


class Person(Tenanted, Base):
    __tablename__ = "person"
    id: Mapped[int] = mapped_column(primary_key=True)
    boss_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    boss: Mapped[Person | None] = relationship(remote_side=[id], back_populates="team")
    team: Mapped[list[Person]] = relationship(back_populates="boss", order_by="Person.id")


Boss = aliased(Person)
Person.teamed = relationship(  # type: ignore[attr-defined]
    Boss, primaryjoin=Person.id == Boss.boss_id, viewonly=True, foreign_keys=Boss.boss_id, uselist=True
)


@pytest.fixture(scope="module")
def filled(database: Database) -> Database:
    """Persons 1 to 8, the odd ones of tenant 1, the even ones of tenant 2; each has 1 as boss, but 1 has 2."""
    database.fill(
        Base,
        {
            Person: [{"id": 1, "tenant_id": 1, "boss_id": None}]
            + [{"id": n, "tenant_id": 2 - n % 2, "boss_id": 1} for n in range(2, 9)]
        },
    )
    return database


@pytest.mark.parametrize("aliases", [True, False])
@pytest.mark.parametrize("of", [Tenanted, Person])
def test_they_hold_in_each_kind_of_look_up(filled, of, aliases):
    """With and without ``include_aliases``, whose absence SQLAlchemy takes for "not in aliases, not for a mixin"."""
    mine = with_loader_criteria(of, lambda cls: cls.tenant_id == 1, include_aliases=aliases)

    async def law(loaders, session):
        assert [each.id for each in await loaders.get(Related(Person.team)).load(1)] == [3, 5, 7]
        assert [each.id for each in await loaders.get(Related(Person.teamed)).load(1)] == [3, 5, 7]
        assert [each.id for each in await loaders.get(Related(Person.team, limit=2)).load(1)] == [3, 5]
        assert await loaders.get(Count(Person.team)).load(1) == 3
        one, two = await loaders.get(ByKey(Person)).load_many([1, 2])
        assert (one.id, two) == (1, None)
        by_query = loaders.get(Query(select(Person).where(Person.id > 2), key=Person.boss_id, many=True))
        assert [each.id for each in await by_query.load(1)] == [3, 5, 7]
        for pages in ("lateral", "row_number"):
            loader = loaders.get(Related(Person.team, pages=pages))
            page = await loader.page(1, first=2, total=True)
            assert isinstance(page, Page)
            assert ([each.id for each in page.items], page.total) == ([3, 5], 3)
            assert [each.id for each in (await loader.page(1, first=2, after=page.end_cursor)).items] == [7]

    filled.ask(law, options=[mine])


def test_the_options_themselves_are_left_alone():
    """The request has them for statements of its own too."""
    criteria = with_loader_criteria(Tenanted, lambda cls: cls.tenant_id == 1)
    wide = with_loader_criteria(Tenanted, lambda cls: cls.tenant_id == 1, include_aliases=True)
    other = load_only(Person.id)
    wider, same, kept = everywhere([criteria, wide, other])
    assert (criteria.include_aliases, wider.include_aliases) == (False, True)
    assert same is wide
    assert kept is other


def test_what_sqlalchemy_does_with_the_attribute_that_is_set():
    """If this fails SQLAlchemy has changed what `_criteria` relies on."""
    criteria = with_loader_criteria(Tenanted, lambda cls: cls.tenant_id == 1)
    assert "tenant_id =" not in str(select(Person.id).options(criteria))
    assert "tenant_id =" in str(select(Person.id).options(*everywhere([criteria])))
