"""SQLModel: its classes are mapped classes, and response models too."""

import asyncio
from typing import Annotated

import pytest
from databases import Database
from pydantic import BaseModel, ValidationError
from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlmodel import Field, Relationship, SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession as SQLModelSession

from dloader import LoaderRegistry
from dloader.resolver import Resolver
from dloader.sqlalchemy import ByKey, Count, Page, Related, select_for


class Team(SQLModel, table=True):  # type: ignore[call-arg]
    """Has heroes."""

    __tablename__ = "sqlmodel_team"
    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(max_length=20)
    heroes: list["Hero"] = Relationship(back_populates="team")


class Hero(SQLModel, table=True):  # type: ignore[call-arg]
    """Of a team, or of none."""

    __tablename__ = "sqlmodel_hero"
    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(max_length=20)
    team_id: int | None = Field(default=None, foreign_key="sqlmodel_team.id")
    team: Team | None = Relationship(back_populates="heroes")


class TeamName(BaseModel):
    name: str


class HeroOut(BaseModel):
    name: str
    team: Annotated[TeamName | None, Related(Hero.team)]


class TeamOut(BaseModel):
    name: str
    heroes: Annotated[list[HeroOut], Related(Team.heroes, order_by=Hero.name)]
    first: Annotated[Page[HeroOut], Related(Team.heroes, order_by=Hero.name, limit=1)]
    count: Annotated[int, Count(Team.heroes)]


@pytest.fixture(scope="module")
def filled(database: Database) -> Database:
    """Two teams, three heroes."""
    heroes = [{"id": n, "name": f"h{n}", "team_id": n % 2 or None} for n in (1, 2, 3)]
    database.fill(SQLModel, {Team: [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}], Hero: heroes})
    return database


def test_its_classes_are_mapped_classes(filled):
    """With nothing to be said."""

    async def law(loaders, session):
        rows = await session.execute(select_for(TeamOut, Team).order_by(Team.id))
        teams = await Resolver(registry=loaders).resolve(rows, into=list[TeamOut])
        heroes = [{"name": "h1", "team": {"name": "a"}}, {"name": "h3", "team": {"name": "a"}}]
        assert [team.model_dump(exclude={"first"}) for team in teams] == [
            {"name": "a", "heroes": heroes, "count": 2},
            {"name": "b", "heroes": [], "count": 0},
        ]
        assert [each.name for each in teams[0].first.items] == ["h1"]
        assert await loaders.get(ByKey(Hero)).load(2) == {"id": 2, "name": "h2", "team_id": None}

    filled.ask(law)


class HeroRead(SQLModel):
    """A response model of SQLModel's own kind."""

    name: str = Field(max_length=20)
    team: Annotated[TeamName | None, Related(Hero.team)]


class TeamRead(SQLModel):
    name: str
    heroes: Annotated[list[HeroRead], Related(Team.heroes, order_by=Hero.name)]
    count: Annotated[int, Count(Team.heroes)]
    motto: str = "none"


@pytest.mark.parametrize("many", [False, True])
def test_its_classes_are_response_models(filled, many):
    """Filled fields need no default, whatever the rows are."""

    async def law(loaders, session):
        hero = {"name": "h2", "team": None}
        heroes = [{"name": "h1", "team": {"name": "a"}}, {"name": "h3", "team": {"name": "a"}}]
        teams = (await session.execute(select_for(TeamRead, Team).order_by(Team.id))).all()
        if many:
            found = await Resolver(registry=loaders).resolve(teams, into=list[TeamRead])
        else:
            found = [await Resolver(registry=loaders).resolve(each, into=TeamRead) for each in teams]
        assert [each.model_dump() for each in found] == [
            {"name": "a", "heroes": heroes, "count": 2, "motto": "none"},
            {"name": "b", "heroes": [], "count": 0, "motto": "none"},
        ]
        assert found[0].model_fields_set == {"name", "heroes", "count"}
        assert found[0] == TeamRead(name="a", heroes=found[0].heroes, count=2)
        entity = await session.get(Hero, 2)
        read = await Resolver(registry=loaders).resolve(entity, into=HeroRead)
        assert (read.model_dump(), type(read)) == (hero, HeroRead)
        read.name = "new"  # it is a whole one
        with pytest.raises(ValidationError, match="at most 20"):
            await Resolver(registry=loaders).resolve({"name": "n" * 21, "team_id": None}, into=HeroRead)

    filled.ask(law)


@pytest.mark.parametrize("of_maker", [False, True])
def test_its_own_session(filled, of_maker):
    """Which tells everybody not to call `execute`."""

    async def law(engine):
        async with SQLModelSession(engine) as session:
            source = async_sessionmaker(engine, class_=SQLModelSession) if of_maker else session
            async with LoaderRegistry({"session": source}) as loaders:
                rows = await session.exec(select_for(TeamOut, Team).order_by(Team.id))
                teams = await Resolver(registry=loaders).resolve(rows, into=list[TeamOut])
                heroes = await Resolver(registry=loaders).resolve(
                    await session.exec(select(Hero).order_by(Hero.id)), into=list[HeroOut]
                )
        assert [team.count for team in teams] == [2, 0]
        assert [hero.name for hero in heroes] == ["h1", "h2", "h3"]

    filled.run(law)


def test_what_makes_itself_is_left_alone():
    """A class with an `__init__` of its own is made by it."""

    class Own(SQLModel):
        name: str

        def __init__(self, **values):
            super().__init__(**{"name": "own", **values})

    assert asyncio.run(Resolver().resolve([{}], into=list[Own])) == [Own()]
