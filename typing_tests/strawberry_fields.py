"""Fields of Strawberry's types. Read by the type checkers, never run."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, assert_type

import strawberry
from sqlalchemy import ForeignKey
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from strawberry.relay import PageInfo

from dloader import LoaderRegistry
from dloader.compat.strawberry import AbstractCache, DataLoader, DefaultCache
from dloader.strawberry import Connection, Edge, LoaderExtension, connection, fresh, loaders, related


class Base(DeclarativeBase):
    pass


class OfficeRow(Base):
    __tablename__ = "office"
    id: Mapped[int] = mapped_column(primary_key=True)
    members: Mapped[list["MemberRow"]] = relationship()


class MemberRow(Base):
    __tablename__ = "member"
    id: Mapped[int] = mapped_column(primary_key=True)
    office_id: Mapped[int] = mapped_column(ForeignKey("office.id"))


@strawberry.type
class Member:
    id: int


@strawberry.type
class Office:
    id: int
    members: list[Member] = related(OfficeRow.members, where=MemberRow.id > 1, limit=3)
    page: Connection[Member] = connection(OfficeRow.members, order_by=MemberRow.id, max_results=50)


def reading(office: Office) -> None:
    assert_type(office.members, list[Member])
    assert_type(office.page.edges, list[Edge[Member]])
    assert_type(office.page.edges[0].node, Member)
    assert_type(office.page.page_info, PageInfo)
    assert_type(office.page.total_count, int)


def making() -> None:
    assert_type(Office(id=1), Office)


def in_a_resolver(info: strawberry.Info) -> None:
    assert_type(loaders(info), LoaderRegistry)


def in_a_subscription(info: strawberry.Info, events: AsyncIterator[int]) -> None:
    assert_type(fresh(info, events), AsyncGenerator[int, None])


@asynccontextmanager
async def managed(context: object) -> AsyncGenerator[dict[str, Any], None]:
    yield {"context": context}


async def awaited(context: object) -> dict[str, Any]:
    return {"context": context}


def extensions(make_session: async_sessionmaker[AsyncSession]) -> None:
    LoaderExtension()
    LoaderExtension({"session": make_session}, max_concurrency=3)
    LoaderExtension(lambda context: {"session": context["session"]})
    LoaderExtension(managed)
    LoaderExtension(awaited)
    LoaderExtension(7)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


async def load(keys: list[int]) -> list[str]:
    return [str(key) for key in keys]


async def moved(cache: AbstractCache[int, str]) -> None:
    users = DataLoader(load, cache_map=cache)
    assert_type(await users.load(1), str)
    assert_type(await users.load_many([1, 2]), list[str])
    users.prime(1, "one", force=True)
    DataLoader(load, cache_map=DefaultCache())
