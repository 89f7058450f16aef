"""The same nested response from mapped classes, by `dloader.sqlalchemy` and by what one writes without it.

Each gets the session of a request and returns the companies.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Annotated, Any

from dloader import LoaderRegistry
from dloader.resolver import Resolver
from dloader.sqlalchemy import Related, select_for
from pydantic import BaseModel
from sqlalchemy import Select, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased, selectinload

from benchmarks.suites.database.schema import COMPANIES, Company, CompanyOut, Member, Office, PersonOut


class RelatedMember(PersonOut):
    manager_id: int | None
    manager: Annotated[PersonOut | None, Related(Member.manager)]


class RelatedOffice(BaseModel):
    id: int
    city: str
    members: Annotated[list[RelatedMember], Related(Office.members)]


class RelatedCompany(BaseModel):
    id: int
    name: str
    offices: Annotated[list[RelatedOffice], Related(Company.offices)]


async def related(session: AsyncSession) -> list[RelatedCompany]:
    """dloader: the models above, nothing else."""
    rows = await session.execute(select_for(RelatedCompany, Company).order_by(Company.id))
    async with LoaderRegistry({"session": session}) as loaders:
        return await Resolver(registry=loaders).resolve(rows, into=list[RelatedCompany])


async def orm(session: AsyncSession) -> list[CompanyOut]:
    """Mapped objects with `selectinload`, validated from their attributes."""
    eagerly = selectinload(Company.offices).selectinload(Office.members).selectinload(Member.manager)
    companies = await session.scalars(select(Company).options(eagerly).order_by(Company.id))
    return [CompanyOut.model_validate(company, from_attributes=True) for company in companies]


async def fetch(session: AsyncSession, statement: Select[Any]) -> list[dict[str, Any]]:
    """The rows of a statement as dicts."""
    result = await session.execute(statement)
    names = tuple(result.keys())
    return [dict(zip(names, row, strict=True)) for row in result]


def grouped(rows: Iterable[dict[str, Any]], key: str) -> dict[Any, list[dict[str, Any]]]:
    """Rows by the value of one of their columns."""
    found = defaultdict(list)
    for row in rows:
        found[row[key]].append(row)
    return found


async def by_level(session: AsyncSession) -> list[CompanyOut]:
    """A statement for each level, rows as dicts put together by hand, one validation."""
    companies = await fetch(session, select(Company.id, Company.name).order_by(Company.id))
    ids = [row["id"] for row in companies]
    columns = select(Office.id, Office.city, Office.company_id)
    offices = await fetch(session, columns.where(Office.company_id.in_(ids)).order_by(Office.id))
    ids = [row["id"] for row in offices]
    columns = select(Member.id, Member.name, Member.manager_id, Member.office_id)
    members = await fetch(session, columns.where(Member.office_id.in_(ids)).order_by(Member.id))
    ids = list({row["manager_id"] for row in members} - {None})
    managers = await fetch(session, select(Member.id, Member.name).where(Member.id.in_(ids)))
    by_id = {row["id"]: row for row in managers}
    for row in members:
        row["manager"] = by_id.get(row["manager_id"])
    by_office, by_company = grouped(members, "office_id"), grouped(offices, "company_id")
    for row in offices:
        row["members"] = by_office[row["id"]]
    for row in companies:
        row["offices"] = by_company[row["id"]]
    return COMPANIES.validate_python(companies)


async def joined(session: AsyncSession) -> list[CompanyOut]:
    """One statement, its rows put together by hand, one validation."""
    manager = aliased(Member)
    columns = (Company.id, Company.name, Office.id, Office.city, Member.id, Member.name, Member.manager_id)
    statement = (
        select(*columns, manager.name)
        .outerjoin(Office, Office.company_id == Company.id)
        .outerjoin(Member, Member.office_id == Office.id)
        .outerjoin(manager, manager.id == Member.manager_id)
        .order_by(Company.id, Office.id, Member.id)
    )
    return COMPANIES.validate_python(nested((await session.execute(statement)).all()))


def nested(rows: Iterable[Any]) -> list[dict[str, Any]]:
    """The companies in the rows of a join that is in their order."""
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
    return companies


IN_JSON = text(f"""
    SELECT json_agg(json_build_object('id', c.id, 'name', c.name, 'offices', coalesce(o.found, '[]'))
                    ORDER BY c.id)::text
    FROM {Company.__tablename__} c LEFT JOIN (
        SELECT o.company_id, json_agg(json_build_object(
                   'id', o.id, 'city', o.city, 'members', coalesce(m.found, '[]')) ORDER BY o.id) AS found
        FROM {Office.__tablename__} o LEFT JOIN (
            SELECT m.office_id, json_agg(json_build_object(
                       'id', m.id, 'name', m.name, 'manager_id', m.manager_id, 'manager',
                       CASE WHEN b.id IS NOT NULL THEN json_build_object('id', b.id, 'name', b.name) END)
                       ORDER BY m.id) AS found
            FROM {Member.__tablename__} m LEFT JOIN {Member.__tablename__} b ON b.id = m.manager_id
            GROUP BY m.office_id
        ) m ON m.office_id = o.id
        GROUP BY o.company_id
    ) o ON o.company_id = c.id
""")


async def in_json(session: AsyncSession) -> list[CompanyOut]:
    """PostgreSQL puts the whole answer together as one document, which is validated as it is."""
    return COMPANIES.validate_json(await session.scalar(IN_JSON))
