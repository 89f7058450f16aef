"""The tables of the database cases, the rows in them, and the response that everybody builds from them."""

from __future__ import annotations

import os
from typing import Any, ClassVar

from pydantic import BaseModel, TypeAdapter
from sqlalchemy import Connection, ForeignKey, String, insert
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

PREFIX = f"bench_{os.getpid()}"
"""Runs that use one server at the same time must not meet."""
OFFICES, MEMBERS = 5, 10
"""Offices per company and members per office."""


class Base(DeclarativeBase):
    type_annotation_map: ClassVar = {str: String(100)}


class Company(Base):
    __tablename__ = f"{PREFIX}_company"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    offices: Mapped[list[Office]] = relationship(order_by="Office.id")


class Office(Base):
    __tablename__ = f"{PREFIX}_office"
    id: Mapped[int] = mapped_column(primary_key=True)
    company_id: Mapped[int] = mapped_column(ForeignKey(f"{PREFIX}_company.id"), index=True)
    city: Mapped[str]
    members: Mapped[list[Member]] = relationship(order_by="Member.id")


class Member(Base):
    __tablename__ = f"{PREFIX}_member"
    id: Mapped[int] = mapped_column(primary_key=True)
    office_id: Mapped[int] = mapped_column(ForeignKey(f"{PREFIX}_office.id"), index=True)
    manager_id: Mapped[int | None] = mapped_column(ForeignKey(f"{PREFIX}_member.id"))
    name: Mapped[str]
    manager: Mapped[Member | None] = relationship(remote_side=[id])


class PersonOut(BaseModel):
    id: int
    name: str


class MemberOut(PersonOut):
    manager_id: int | None
    manager: PersonOut | None = None


class OfficeOut(BaseModel):
    id: int
    city: str
    members: list[MemberOut] = []


class CompanyOut(BaseModel):
    id: int
    name: str
    offices: list[OfficeOut] = []


COMPANIES = TypeAdapter(list[CompanyOut])


def rows(companies: int) -> dict[type[Base], list[dict[str, Any]]]:
    """All rows: the first member of an office manages the others, and is managed by nobody."""
    offices = [
        {"id": id, "company_id": (id - 1) // OFFICES + 1, "city": f"city {id}"}
        for id in range(1, companies * OFFICES + 1)
    ]
    members = [
        {
            "id": id,
            "office_id": (id - 1) // MEMBERS + 1,
            "manager_id": None if id % MEMBERS == 1 else (id - 1) // MEMBERS * MEMBERS + 1,
            "name": f"member {id}",
        }
        for id in range(1, len(offices) * MEMBERS + 1)
    ]
    return {
        Company: [{"id": id, "name": f"company {id}"} for id in range(1, companies + 1)],
        Office: offices,
        Member: members,
    }


def nodes(companies: int) -> int:
    """How many objects the response has, managers included."""
    offices = companies * OFFICES
    return companies + offices + offices * MEMBERS + offices * (MEMBERS - 1)


def fill(connection: Connection, companies: int) -> None:
    """Make the tables anew and fill them."""
    Base.metadata.drop_all(connection)
    Base.metadata.create_all(connection)
    for table, values in rows(companies).items():
        connection.execute(insert(table), values)


def drop(connection: Connection) -> None:
    """Leave nothing behind."""
    Base.metadata.drop_all(connection)
