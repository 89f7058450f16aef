"""The ways to build the nested response. Each gets an engine, opens one connection and returns the companies.

No ``from __future__ import annotations`` here: some of the classes are local to functions.
"""

from typing import Annotated, Any

from dloader.resolver import Load
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from sqlalchemy.orm import aliased, selectinload

from benchmarks.peers.libraries import DLOADER, Library, publish
from benchmarks.suites.database.schema import (
    COMPANIES,
    Company,
    CompanyOut,
    Member,
    MemberOut,
    Office,
    OfficeOut,
    PersonOut,
)

ALL_COMPANIES = select(Company.id, Company.name).order_by(Company.id)


async def fetch(connection: AsyncConnection, statement: Select[Any]) -> list[dict[str, Any]]:
    """The rows of a statement as dicts."""
    result = await connection.execute(statement)
    names = tuple(result.keys())
    return [dict(zip(names, row, strict=True)) for row in result.all()]


def loaders(lib: Library) -> Any:
    """Loaders of any library; all use the connection of the request."""

    class FromDatabase(lib.DataLoader):
        connection: Any

    class Offices(FromDatabase):
        async def batch_load_fn(self, keys):
            columns = select(Office.id, Office.company_id, Office.city)
            rows = await fetch(
                self.connection, columns.where(Office.company_id.in_(keys)).order_by(Office.id)
            )
            return lib.build_list(rows, keys, lambda row: row["company_id"])

    class Members(FromDatabase):
        async def batch_load_fn(self, keys):
            columns = select(Member.id, Member.office_id, Member.manager_id, Member.name)
            rows = await fetch(self.connection, columns.where(Member.office_id.in_(keys)).order_by(Member.id))
            return lib.build_list(rows, keys, lambda row: row["office_id"])

    class People(FromDatabase):
        async def batch_load_fn(self, keys):
            rows = await fetch(self.connection, select(Member.id, Member.name).where(Member.id.in_(keys)))
            return lib.build_object(rows, keys, lambda row: row["id"])

    return Offices, Members, People


def declared() -> Any:
    """The models as one writes them for dloader."""
    Offices, Members, People = loaders(DLOADER)

    @publish
    class LoadedMember(MemberOut):
        manager: Annotated[PersonOut | None, Load(People, by="manager_id")] = None

    @publish
    class LoadedOffice(OfficeOut):
        members: Annotated[list[LoadedMember], Load(Members, by="id")] = []

    @publish
    class LoadedCompany(CompanyOut):
        offices: Annotated[list[LoadedOffice], Load(Offices, by="id")] = []

    return LoadedCompany


def with_methods(lib: Library) -> Any:
    """The models as one writes them for both libraries."""
    Offices, Members, People = loaders(lib)

    @publish
    class ResolvedMember(MemberOut):
        manager: PersonOut | None = None

        def resolve_manager(self, loader=lib.Depends(People)):
            return None if self.manager_id is None else loader.load(self.manager_id)

    @publish
    class ResolvedOffice(OfficeOut):
        members: list[ResolvedMember] = []

        def resolve_members(self, loader=lib.Depends(Members)):
            return loader.load(self.id)

    @publish
    class ResolvedCompany(CompanyOut):
        offices: list[ResolvedOffice] = []

        def resolve_offices(self, loader=lib.Depends(Offices)):
            return loader.load(self.id)

    return ResolvedCompany


def resolved(lib: Library, model: Any) -> Any:
    """One query for the companies, then a resolver."""

    async def build(engine: AsyncEngine) -> Any:
        async with engine.connect() as connection:
            companies = [model(**row) for row in await fetch(connection, ALL_COMPANIES)]
            return await lib.Resolver(global_loader_param={"connection": connection}).resolve(companies)

    return build


async def orm(engine: AsyncEngine) -> Any:
    """Mapped objects with `selectinload`, validated from their attributes."""
    eagerly = selectinload(Company.offices).selectinload(Office.members).selectinload(Member.manager)
    async with AsyncSession(engine) as session:
        companies = await session.scalars(select(Company).options(eagerly).order_by(Company.id))
        return [CompanyOut.model_validate(company, from_attributes=True) for company in companies]


async def joined(engine: AsyncEngine) -> Any:
    """One statement written by hand, its rows put together by hand, one validation."""
    manager = aliased(Member)
    statement = (
        select(
            Company.id,
            Company.name,
            Office.id,
            Office.city,
            Member.id,
            Member.name,
            Member.manager_id,
            manager.name,
        )
        .outerjoin(Office, Office.company_id == Company.id)
        .outerjoin(Member, Member.office_id == Office.id)
        .outerjoin(manager, manager.id == Member.manager_id)
        .order_by(Company.id, Office.id, Member.id)
    )
    async with engine.connect() as connection:
        rows = (await connection.execute(statement)).all()
    companies: list[dict[str, Any]] = []
    company_id = office_id = None
    offices: list[dict[str, Any]] = []
    members: list[dict[str, Any]] = []
    for company, company_name, office, city, member, name, boss, boss_name in rows:
        if company != company_id:
            company_id, offices = company, []
            companies.append({"id": company, "name": company_name, "offices": offices})
        if office != office_id and office is not None:
            office_id, members = office, []
            offices.append({"id": office, "city": city, "members": members})
        if member is not None:
            person = None if boss is None else {"id": boss, "name": boss_name}
            members.append({"id": member, "name": name, "manager_id": boss, "manager": person})
    return COMPANIES.validate_python(companies)


async def naive(engine: AsyncEngine) -> Any:
    """One statement per company, office and member."""
    async with engine.connect() as connection:
        companies = [CompanyOut(**row) for row in await fetch(connection, ALL_COMPANIES)]
        for company in companies:
            offices = (
                select(Office.id, Office.city).where(Office.company_id == company.id).order_by(Office.id)
            )
            company.offices = [OfficeOut(**row) for row in await fetch(connection, offices)]
            for office in company.offices:
                members = select(Member.id, Member.name, Member.manager_id).where(
                    Member.office_id == office.id
                )
                office.members = [
                    MemberOut(**row) for row in await fetch(connection, members.order_by(Member.id))
                ]
                for member in office.members:
                    if member.manager_id is not None:
                        people = select(Member.id, Member.name).where(Member.id == member.manager_id)
                        (row,) = await fetch(connection, people)
                        member.manager = PersonOut(**row)
        return companies
