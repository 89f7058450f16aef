"""Mappings that load in ways of their own, and sessions that choose their database: a look-up is the same."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Annotated, Any

import pytest
from databases import Database, request
from pydantic import BaseModel, ConfigDict
from sqlalchemy import JSON, Column, ForeignKey, Integer, String, Table
from sqlalchemy.exc import InvalidRequestError, UnboundExecutionError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import (
    DeclarativeBase,
    DynamicMapped,
    Mapped,
    Session,
    WriteOnlyMapped,
    composite,
    mapped_column,
    query_expression,
    relationship,
)

from dloader import LoaderRegistry
from dloader.resolver import Resolver
from dloader.sqlalchemy import ByKey, Count, Page, Related, select_for


class Base(DeclarativeBase):
    """What all classes here share."""


@dataclasses.dataclass
class Point:
    """Two columns."""

    x: int
    y: int


leads_to = Table(
    "leads_to",
    Base.metadata,
    Column("one", ForeignKey("node.id"), primary_key=True),
    Column("other", ForeignKey("node.id"), primary_key=True),
    Column("weight", Integer),
)


class Node(Base):
    """With relationships that the ORM loads never, at once, or as queries."""

    __tablename__ = "node"
    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("node.id"))
    name: Mapped[str] = mapped_column(String(20))
    data: Mapped[Any] = mapped_column(JSON)
    x: Mapped[int]
    y: Mapped[int]
    point: Mapped[Point] = composite("x", "y")
    asked: Mapped[int | None] = query_expression()
    parent: Mapped[Node | None] = relationship(remote_side=[id], back_populates="written", lazy="joined")
    written: WriteOnlyMapped[Node] = relationship(back_populates="parent", order_by="Node.id")
    queried: DynamicMapped[Node] = relationship(viewonly=True, order_by="Node.id.desc()")
    never: Mapped[set[Node]] = relationship(viewonly=True, lazy="raise", order_by="Node.id")
    heavy: Mapped[list[Node]] = relationship(
        secondary=leads_to,
        primaryjoin=lambda: Node.id == leads_to.c.one,
        secondaryjoin=lambda: Node.id == leads_to.c.other,
        order_by=leads_to.c.weight.desc(),
        back_populates="light",
    )
    light: Mapped[list[Node]] = relationship(
        secondary=leads_to,
        primaryjoin=lambda: Node.id == leads_to.c.other,
        secondaryjoin=lambda: Node.id == leads_to.c.one,
        order_by=lambda: (leads_to.c.weight, Node.id),
        back_populates="heavy",
    )


class NameOut(BaseModel):
    name: str


class PointOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    x: int
    y: int


class NodeOut(BaseModel):
    point: PointOut
    data: dict[str, int]
    asked: int | None
    parent: Annotated[NameOut | None, Related(Node.parent)]
    written: Annotated[list[NameOut], Related(Node.written)]
    queried: Annotated[list[NameOut], Related(Node.queried)]
    never: Annotated[tuple[NameOut, ...], Related(Node.never)]
    heavy: Annotated[list[NameOut], Related(Node.heavy)]
    light: Annotated[Page[NameOut], Related(Node.light, limit=1, total=True)]
    count: Annotated[int, Count(Node.light)]


def names(found: Any) -> list[str]:
    """Of models."""
    return [each.name for each in found]


@pytest.fixture(scope="module")
def filled(database: Database) -> Database:
    """A tree of seven, and three ways across it."""
    nodes = [
        {"id": n, "parent_id": n // 2 or None, "name": f"n{n}", "data": {"n": n}, "x": n, "y": -n}
        for n in range(1, 8)
    ]
    ways = [(1, 2, 1), (1, 3, 2), (2, 3, 0)]
    rows = [{"one": one, "other": other, "weight": weight} for one, other, weight in ways]
    database.fill(Base, {Node: nodes, leads_to: rows})
    return database


def test_whatever_the_orm_does_by_itself(filled):
    """The response model says what is loaded."""

    async def law(loaders, session):
        statement = select_for(NodeOut, Node).where(Node.id.in_((1, 3))).order_by(Node.id)
        first, third = await Resolver(registry=loaders).resolve(
            await session.execute(statement), into=list[NodeOut]
        )
        assert (first.point.y, first.data, first.asked, first.parent) == (-1, {"n": 1}, None, None)
        assert third.parent == NameOut(name="n1")
        assert names(first.written) == names(first.never) == ["n2", "n3"]
        assert names(first.queried) == names(first.heavy) == ["n3", "n2"]
        assert (names(third.light.items), third.light.total, third.count) == (["n2"], 2, 2)

    filled.ask(law)


def test_sessions_that_choose_their_database(filled):
    """By class, or by a method of their own as of replicas."""

    class Routed(Session):
        """Of two engines."""

        def get_bind(self, mapper: Any = None, clause: Any = None) -> Any:
            return self.info["replica"] if mapper is not None and not self._flushing else self.info["leader"]

    async def law(engine):
        other = filled.engine()
        engines = {"leader": engine.sync_engine, "replica": other.sync_engine}
        sessions = [
            AsyncSession(sync_session_class=Routed, info=engines),
            AsyncSession(binds={Node: engine}),
            async_sessionmaker(sync_session_class=Routed, info=engines),
        ]
        for session in sessions:
            async with LoaderRegistry({"session": session}) as loaders:
                assert (await loaders.get(ByKey(Node)).load(1)).name == "n1"
                assert len(await loaders.get(Related(Node.heavy)).load(1)) == 2
                page = await loaders.get(Related(Node.heavy)).page(1, first=1)
                assert names(page.items) == ["n3"]
        for session in sessions[:2]:
            await session.close()
        await other.dispose()

    filled.run(law)


def test_sessions_that_have_no_database(filled):
    """The error is SQLAlchemy's, and says of which loader."""

    async def law(_engine):
        for session in (AsyncSession(), async_sessionmaker()):
            async with LoaderRegistry({"session": session}) as loaders:
                with pytest.raises(UnboundExecutionError) as caught:
                    await loaders.get(ByKey(Node)).load(1)
                assert caught.value.__notes__ == ["in batch 1 of loader 'Node' (keys: 1)"]

    filled.run(law)


def test_sessions_that_begin_by_hand(filled):
    """Before they have begun nothing is sent."""

    async def law(engine):
        async with (
            AsyncSession(engine, autobegin=False) as session,
            LoaderRegistry({"session": session}) as loaders,
        ):
            nodes = loaders.get(ByKey(Node))
            with pytest.raises(Exception, match="Autobegin is disabled"):
                await nodes.load(1)
            async with session.begin():
                assert (await nodes.load(1)).name == "n1"
        async with request(engine) as (loaders, session):
            await loaders.get(ByKey(Node)).load(1)
            await session.close()
            assert (await loaders.get(ByKey(Node)).load(2)).name == "n2"
            await session.invalidate()
            assert (await loaders.get(ByKey(Node)).load(3)).name == "n3"

    filled.run(law)


def test_a_mapping_that_is_not_complete():
    """A class that was not imported, say: SQLAlchemy tells which, before anything is sent."""

    class Incomplete(DeclarativeBase):
        """Of its own, as one mistake holds for all of a registry."""

    class Alone(Incomplete):
        __tablename__ = "alone"
        id: Mapped[int] = mapped_column(primary_key=True)

    Alone.others = relationship("Elsewhere")
    marker = Related(Alone.others)

    async def law():
        async with LoaderRegistry({"session": AsyncSession()}) as loaders:
            for do in (lambda: loaders.get(marker), lambda: select_for(NameOut, Alone)):
                with pytest.raises(InvalidRequestError, match="'Elsewhere' failed to locate a name"):
                    do()

    try:
        asyncio.run(law())
    finally:
        Incomplete.registry.dispose()
