"""What a developer brings: the mapped classes of company_api.py.

Each row belongs to a tenant, and may be deleted softly.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import ClassVar

from sqlalchemy import Column, ForeignKey, Index, String, Table
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    type_annotation_map: ClassVar = {str: String(100)}


class Tenanted:
    tenant_id: Mapped[int] = mapped_column(index=True)
    deleted_at: Mapped[datetime | None] = mapped_column(default=None)


class Company(Tenanted, Base):
    __tablename__ = "company"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    offices: Mapped[list[Office]] = relationship(order_by="Office.id")
    projects: Mapped[list[Project]] = relationship(order_by="Project.id")


class Office(Tenanted, Base):
    __tablename__ = "office"
    id: Mapped[int] = mapped_column(primary_key=True)
    city: Mapped[str]
    company_id: Mapped[int] = mapped_column(ForeignKey("company.id"), index=True)
    members: Mapped[list[Member]] = relationship(order_by="Member.id")


member_tag = Table(
    "member_tag",
    Base.metadata,
    Column("member_id", ForeignKey("member.id"), primary_key=True),
    Column("tag_id", ForeignKey("tag.id"), primary_key=True),
)


class Tag(Base):
    __tablename__ = "tag"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Member(Tenanted, Base):
    __tablename__ = "member"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    office_id: Mapped[int] = mapped_column(ForeignKey("office.id"), index=True)
    manager_id: Mapped[int | None] = mapped_column(ForeignKey("member.id"))
    manager: Mapped[Member | None] = relationship(remote_side="Member.id")
    tags: Mapped[list[Tag]] = relationship(secondary=member_tag, order_by="Tag.id")


class Project(Tenanted, Base):
    __tablename__ = "project"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    company_id: Mapped[int] = mapped_column(ForeignKey("company.id"), index=True)
    lead_id: Mapped[int | None] = mapped_column(ForeignKey("member.id"))
    lead: Mapped[Member | None] = relationship()
    tasks: Mapped[list[Task]] = relationship()


class Task(Tenanted, Base):
    __tablename__ = "task"
    __table_args__ = (Index("newest_task", "project_id", "created", "id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    created: Mapped[datetime]
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))


async def fill(engine: AsyncEngine, companies: int = 40, tenants: int = 3, seed: int = 1) -> None:
    """Make the tables anew, with rows of companies of several tenants, one in twenty deleted."""
    draw = random.Random(seed)
    day = datetime(2026, 1, 1)

    def tenanted(tenant: int) -> dict[str, object]:
        return {"tenant_id": tenant, "deleted_at": day if draw.random() < 0.05 else None}

    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
        await connection.run_sync(Base.metadata.create_all)
    async with AsyncSession(engine) as session:
        tags = [Tag(id=n, name=f"tag {n}") for n in range(1, 21)]
        session.add_all(tags)
        for n in range(1, companies + 1):
            of_tenant = n % tenants + 1
            company = Company(id=n, name=f"Company {n}", **tenanted(of_tenant))
            session.add(company)
            people: list[Member] = []
            for _ in range(draw.randrange(4)):
                office = Office(city=draw.choice(["Oslo", "Lima", "Kyiv"]), **tenanted(of_tenant))
                company.offices.append(office)
                for _ in range(draw.randrange(6)):
                    member = Member(name=f"Member {draw.randrange(1000)}", **tenanted(of_tenant))
                    member.manager = draw.choice(people) if people and draw.random() < 0.8 else None
                    member.tags = draw.sample(tags, draw.randrange(4))
                    office.members.append(member)
                    people.append(member)
            for _ in range(draw.randrange(4)):
                project = Project(name=f"Project {draw.randrange(1000)}", **tenanted(of_tenant))
                project.lead = draw.choice(people) if people and draw.random() < 0.9 else None
                company.projects.append(project)
                for t in range(draw.randrange(8)):
                    created = day + timedelta(days=draw.randrange(5))
                    project.tasks.append(Task(title=f"Task {t}", created=created, **tenanted(of_tenant)))
        await session.commit()
