"""Companies with their offices, members, managers and tags, projects, leads, latest tasks and counts: one route.

One statement for each relationship and level, however many companies; only the columns of the response; the tenant and
the soft deletion said once. company_api_selectinload.py is the same by SQLAlchemy's own means.

    uvicorn examples.company_api:app
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import with_loader_criteria

from dloader import LoaderRegistry
from dloader.fastapi import ResponseModel, loaders
from dloader.resolver import Resolver
from dloader.sqlalchemy import Count, Related, select_for
from examples.company_models import Company, Member, Office, Project, Task, Tenanted

app = FastAPI()
open_session = async_sessionmaker(create_async_engine("sqlite+aiosqlite:///companies.db"))


class PersonOut(ResponseModel):
    id: int
    name: str


class TagOut(ResponseModel):
    name: str


class MemberOut(PersonOut):
    manager: Annotated[PersonOut | None, Related(Member.manager)]
    tags: Annotated[list[TagOut], Related(Member.tags)]


class OfficeOut(ResponseModel):
    city: str
    members: Annotated[list[MemberOut], Related(Office.members)]


class TaskOut(ResponseModel):
    title: str
    created: datetime


class ProjectOut(ResponseModel):
    name: str
    lead: Annotated[PersonOut | None, Related(Project.lead)]
    task_count: Annotated[int, Count(Project.tasks)]
    latest_tasks: Annotated[list[TaskOut], Related(Project.tasks, order_by=Task.created.desc(), limit=3)]


class CompanyOut(PersonOut):
    offices: Annotated[list[OfficeOut], Related(Company.offices)]
    projects: Annotated[list[ProjectOut], Related(Company.projects)]
    headcount: int = 0

    def post_headcount(self) -> int:
        return sum(len(office.members) for office in self.offices)


async def get_session() -> AsyncIterator[AsyncSession]:
    async with open_session() as session:
        yield session


async def get_options(tenant: Annotated[int, Header()]) -> list[Any]:
    def is_mine(cls: Any) -> Any:
        return (cls.tenant_id == tenant) & cls.deleted_at.is_(None)

    return [with_loader_criteria(Tenanted, is_mine, include_aliases=True)]


Session = Annotated[AsyncSession, Depends(get_session)]
Options = Annotated[list[Any], Depends(get_options)]
Loaders = Annotated[LoaderRegistry, Depends(loaders(session=Session, options=Options))]


@app.get("/companies")
async def companies(
    session: Session, options: Options, loaders: Loaders, after: int = 0, first: int = 10
) -> list[CompanyOut]:
    page = select_for(CompanyOut, Company).where(Company.id > after).order_by(Company.id).limit(first)
    rows = await session.execute(page.options(*options))
    return await Resolver(registry=loaders).resolve(rows, into=list[CompanyOut])
