"""The same nested GraphQL answer, by fields that `dloader.strawberry` fills and by Strawberry's own DataLoaders.

The loaders are those that one writes: the selected columns, by the keys of the batch, made into the types at once.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

import strawberry
from dloader.strawberry import LoaderExtension, related
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from strawberry.dataloader import DataLoader

from benchmarks.suites.database.schema import Company, Member, Office

QUERY = "{ companies { id name offices { id city members { id name manager { id name } } } } }"


@strawberry.type(name="Person")
class RelatedPerson:
    id: int
    name: str
    manager: "RelatedPerson | None" = related(Member.manager)


@strawberry.type(name="Office")
class RelatedOffice:
    id: int
    city: str
    members: list[RelatedPerson] = related(Office.members)


@strawberry.type(name="Company")
class RelatedCompany:
    id: int
    name: str
    offices: list[RelatedOffice] = related(Company.offices)


@strawberry.type
class RelatedQuery:
    @strawberry.field
    async def companies(self, info: strawberry.Info) -> list[RelatedCompany]:
        return [RelatedCompany(id=id, name=name) for id, name in await _companies(info)]


@strawberry.type
class Person:
    id: int
    name: str
    manager_id: strawberry.Private[int | None]

    @strawberry.field
    async def manager(self, info: strawberry.Info) -> "Person | None":
        if self.manager_id is None:
            return None
        return await info.context["managers"].load(self.manager_id)


@strawberry.type(name="Office")
class LoadedOffice:
    id: int
    city: str

    @strawberry.field
    async def members(self, info: strawberry.Info) -> list[Person]:
        return await info.context["members"].load(self.id)


@strawberry.type(name="Company")
class LoadedCompany:
    id: int
    name: str

    @strawberry.field
    async def offices(self, info: strawberry.Info) -> list[LoadedOffice]:
        return await info.context["offices"].load(self.id)


@strawberry.type
class LoadedQuery:
    @strawberry.field
    async def companies(self, info: strawberry.Info) -> list[LoadedCompany]:
        return [LoadedCompany(id=id, name=name) for id, name in await _companies(info)]


async def _companies(info: strawberry.Info) -> Any:
    async with info.context["make_session"]() as session:
        return (await session.execute(select(Company.id, Company.name).order_by(Company.id))).all()


def _loads_lists(
    make_session: async_sessionmaker[AsyncSession],
    statement: Select[Any],
    key: Any,
    make: Callable[..., Any],
) -> Callable[[list[int]], Awaitable[list[Any]]]:
    """A batch function: the last column of a row is its key."""

    async def load(keys: list[int]) -> list[Any]:
        found = defaultdict[int, list[Any]](list)
        async with make_session() as session:
            for *values, parent in await session.execute(statement.where(key.in_(keys))):
                found[parent].append(make(*values))
        return [found[key] for key in keys]

    return load


def _loaders(make_session: async_sessionmaker[AsyncSession]) -> dict[str, Any]:
    offices = select(Office.id, Office.city, Office.company_id).order_by(Office.id)
    members = select(Member.id, Member.name, Member.manager_id, Member.office_id).order_by(Member.id)

    async def managers(keys: list[int]) -> list[Person]:
        statement = select(Member.id, Member.name, Member.manager_id).where(Member.id.in_(keys))
        async with make_session() as session:
            rows = await session.execute(statement)
            found = {id: Person(id=id, name=name, manager_id=manager) for id, name, manager in rows}
        return [found[key] for key in keys]

    def office(id: int, city: str) -> LoadedOffice:
        return LoadedOffice(id=id, city=city)

    def person(id: int, name: str, manager: int | None) -> Person:
        return Person(id=id, name=name, manager_id=manager)

    return {
        "offices": DataLoader(_loads_lists(make_session, offices, Office.company_id, office)),
        "members": DataLoader(_loads_lists(make_session, members, Member.office_id, person)),
        "managers": DataLoader(managers),
    }


RELATED = strawberry.Schema(
    RelatedQuery, extensions=[LoaderExtension(lambda context: {"session": context["make_session"]})]
)
LOADED = strawberry.Schema(LoadedQuery)


async def filled(engine: AsyncEngine) -> Any:
    """dloader: the types, nothing else."""
    context = {"make_session": async_sessionmaker(engine)}
    return _data(await RELATED.execute(QUERY, context_value=context))


async def loaded(engine: AsyncEngine) -> Any:
    """Strawberry's own DataLoaders."""
    make_session = async_sessionmaker(engine)
    context = {"make_session": make_session, **_loaders(make_session)}
    return _data(await LOADED.execute(QUERY, context_value=context))


def _data(result: Any) -> Any:
    assert result.errors is None, result.errors
    return result.data
