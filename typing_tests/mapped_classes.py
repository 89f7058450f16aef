"""Loaders of mapped classes. Read by the type checkers, never run."""

from asyncio import Future
from decimal import Decimal
from typing import Annotated, Any, assert_type

from pydantic import BaseModel
from sqlalchemy import ForeignKey, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from dloader import LoaderRegistry
from dloader.resolver import Resolver
from dloader.sqlalchemy import (
    Aggregate,
    ByKey,
    Count,
    From,
    Page,
    Query,
    Related,
    Row,
    exclusive,
    select_for,
)


class Base(DeclarativeBase):
    pass


class Office(Base):
    __tablename__ = "office"
    id: Mapped[int] = mapped_column(primary_key=True)
    members: Mapped[list["Member"]] = relationship()


class Member(Base):
    __tablename__ = "member"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    office_id: Mapped[int] = mapped_column(ForeignKey("office.id"))


class MemberOut(BaseModel):
    full_name: Annotated[str, From(Member.name)]


class OfficeOut(BaseModel):
    members: Annotated[list[MemberOut], Related(Office.members, where=Member.name != "", order_by=Member.id)]
    newest: Annotated[
        Page[MemberOut], Related(Office.members, order_by=(Member.id.desc(), Member.name), limit=3)
    ]
    headcount: Annotated[int, Count(Office.members)]
    most: Annotated[Decimal | None, Aggregate(Office.members, func.max(Member.id))]


async def in_a_route(session: AsyncSession) -> list[OfficeOut]:
    async with LoaderRegistry({"session": session}) as loaders:
        statement = select_for(OfficeOut, Office).where(Office.id > 3).order_by(Office.id)
        assert_type(statement, Select[Any])
        rows = await session.execute(statement)
        offices = await Resolver(registry=loaders).resolve(rows, into=list[OfficeOut])
        assert_type(offices, list[OfficeOut])
        return offices


async def by_hand(loaders: LoaderRegistry, session: AsyncSession) -> None:
    related = loaders.get(Related(Office.members))
    assert_type(related.load(1), Future[Any])
    assert_type(related.page(1, first=3, after=None), Future[Page[Row]])
    page = await related.page(1, last=3, total=True)
    assert_type(page.items[0].name, Any)
    assert_type(page.end_cursor, str | None)
    loaders.get(ByKey(Member)).load_many([1, 2])
    loaders.get(Query(select(Member), key=Member.office_id, many=True)).load(1)
    loaders.get(Count(Office.members)).load(1)
    kept = loaders.get(Related(Office.members, store_ttl=30, store_negative_ttl=2.5))
    assert_type(kept.load(1), Future[Any])
    ByKey(Member, store_ttl=30, store_negative_ttl=5)
    Query(select(Member), key=Member.office_id, store_ttl=30, store_negative_ttl=5)
    Count(Office.members, store_ttl=30)
    Aggregate(Office.members, func.max(Member.id), store_ttl=30, store_negative_ttl=5)
    Related(Office.members, store_ttl="30")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    async with exclusive(session) as same:
        assert_type(same, AsyncSession)
