"""The route of company_api.py by SQLAlchemy's own eager loading, to compare: the same answers from more work.

Each relationship is named a second time, the criteria are given to each statement, counts and latest tasks are queries
of their own that are put into place by hand.
"""

from collections import defaultdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import FastAPI, Header
from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import load_only, selectinload, with_loader_criteria

from examples.company_models import Company, Member, Office, Project, Tag, Task, Tenanted

app = FastAPI()
open_session = async_sessionmaker(create_async_engine("sqlite+aiosqlite:///companies.db"))


class Out(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class PersonOut(Out):
    id: int
    name: str


class TagOut(Out):
    name: str


class MemberOut(PersonOut):
    manager: PersonOut | None
    tags: list[TagOut]


class OfficeOut(Out):
    city: str
    members: list[MemberOut]


class TaskOut(Out):
    title: str
    created: datetime


class ProjectOut(Out):
    id: int
    name: str
    lead: PersonOut | None
    task_count: int = 0
    latest_tasks: list[TaskOut] = []


class CompanyOut(PersonOut):
    offices: list[OfficeOut]
    projects: list[ProjectOut]
    headcount: int = 0


def eager() -> list[Any]:
    person = load_only(Member.id, Member.name)
    members = selectinload(Company.offices).load_only(Office.city).selectinload(Office.members)
    return [
        members.load_only(Member.id, Member.name),
        members.selectinload(Member.manager).options(person),
        members.selectinload(Member.tags).options(load_only(Tag.name)),
        selectinload(Company.projects).load_only(Project.name),
        selectinload(Company.projects).selectinload(Project.lead).options(person),
    ]


async def add_tasks(session: AsyncSession, mine: Any, projects: dict[int, ProjectOut]) -> None:
    of_projects = Task.project_id.in_(projects)
    counts = select(Task.project_id, func.count()).where(of_projects).group_by(Task.project_id)
    for project_id, count in await session.execute(counts.options(mine)):
        projects[project_id].task_count = count
    newest_first = (Task.created.desc(), Task.id.desc())
    rank = func.row_number().over(partition_by=Task.project_id, order_by=newest_first)
    ranked = select(Task.id, rank.label("rank")).where(of_projects).options(mine).subquery()
    latest = (
        select(Task).join(ranked, Task.id == ranked.c.id).where(ranked.c.rank <= 3).order_by(*newest_first)
    )
    tasks = defaultdict[int, list[TaskOut]](list)
    for task in await session.scalars(latest.options(mine)):
        tasks[task.project_id].append(TaskOut.model_validate(task))
    for project_id, project in projects.items():
        project.latest_tasks = tasks[project_id]


@app.get("/companies", response_model_exclude={"__all__": {"projects": {"__all__": {"id"}}}})
async def companies(tenant: Annotated[int, Header()], after: int = 0, first: int = 10) -> list[CompanyOut]:
    mine = with_loader_criteria(
        Tenanted, lambda cls: (cls.tenant_id == tenant) & cls.deleted_at.is_(None), include_aliases=True
    )
    page = select(Company).where(Company.id > after).order_by(Company.id).limit(first)
    async with open_session() as session:
        rows = await session.scalars(page.options(mine, load_only(Company.id, Company.name), *eager()))
        answer = [CompanyOut.model_validate(row) for row in rows]
        await add_tasks(session, mine, {p.id: p for company in answer for p in company.projects})
    for company in answer:
        company.headcount = sum(len(office.members) for office in company.offices)
    return answer
