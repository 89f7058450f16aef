"""The database reads no more rows than a page has, where an index fits: forward, backward, and from a cursor on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from databases import Database
from sqlalchemy import ForeignKey, Index, event, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from dloader.sqlalchemy import Related

PARENTS = (1, 2, 3, 4)
CHILDREN = 2000
ROWS = 3


class Base(DeclarativeBase):
    """What all classes here share."""


class Owner(Base):
    """Has five hundred things."""

    __tablename__ = "plan_owner"
    id: Mapped[int] = mapped_column(primary_key=True)
    things: Mapped[list[Thing]] = relationship(order_by=lambda: Thing.rank)


class Thing(Base):
    """With an index that begins with the key and has the order."""

    __tablename__ = "plan_thing"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey("plan_owner.id"))
    rank: Mapped[int]
    note: Mapped[int]
    __table_args__ = (Index("plan_thing_by_rank", "owner_id", "rank", "id"),)


@pytest.fixture(scope="module")
def filled(database: Database) -> Database:
    """Four owners of five hundred things each."""
    things = [{"id": n, "owner_id": n % 4 + 1, "rank": n // 8, "note": n} for n in range(1, CHILDREN + 1)]
    database.fill(Base, {Owner: [{"id": n} for n in PARENTS], Thing: things})
    return database


async def rows_read(database: Database, connection: Any, statement: str, parameters: Any) -> int:
    """How many rows of things the database reads for a statement."""
    if database.kind == "asyncmy":
        await connection.exec_driver_sql("FLUSH STATUS")
        await connection.exec_driver_sql(statement, parameters)
        read = await connection.exec_driver_sql("SHOW SESSION STATUS LIKE 'Handler_read%%'")
        counts = {name: int(count) for name, count in read}
        return sum(counts[f"Handler_read_{how}"] for how in ("key", "next", "prev", "first", "last"))
    if database.kind == "aiosqlite":
        plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        steps = [(parent, step) for _, parent, _, step in plan]
        searches = {parent: step for parent, step in steps if "plan_thing" in step}
        assert all("INDEX plan_thing_by_rank (owner_id=?" in step for step in searches.values()), steps
        # Nothing is sorted beside them, only what they have found: so each ends with the last row of its page.
        assert not [step for parent, step in steps if parent in searches and "TEMP B-TREE" in step], steps
        return 0  # it counts none
    plan = await connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
    found = plan.scalar()
    return in_plan((found if isinstance(found, list) else [found])[0]["Plan"])


def in_plan(plan: dict[str, Any]) -> int:
    is_table = plan.get("Relation Name") == "plan_thing"
    removed = plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
    own = (plan["Actual Rows"] + removed) * plan["Actual Loops"] if is_table else 0
    return int(own + sum(map(in_plan, plan.get("Plans", ()))))


@pytest.mark.parametrize(
    "way", ["first", "last", "after", "before"], ids=["first", "last", "after a cursor", "before a cursor"]
)
def test_no_more_rows_are_read_than_the_pages_have(filled, way):
    """Of five hundred of each parent."""
    seen: list[tuple[str, Any]] = []

    async def law(loaders, session):
        @event.listens_for(session.bind.sync_engine, "before_cursor_execute")
        def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            seen.append((statement, parameters))

        if filled.kind != "aiosqlite":
            await session.execute(
                text("analyze table plan_thing" if filled.kind == "asyncmy" else "analyze plan_thing")
            )
        loader = loaders.get(Related(Owner.things))
        middle = [(await loader.page(parent, first=250)).end_cursor for parent in PARENTS]
        size = "last" if way in ("last", "before") else "first"
        how = [{way: cursor} if way in ("after", "before") else {} for cursor in middle]
        pages = await asyncio.gather(
            *(loader.page(parent, **{size: ROWS}, **each) for parent, each in zip(PARENTS, how, strict=True))
        )
        assert [len(page.items) for page in pages] == [ROWS] * len(PARENTS)
        assert all(page.has_more for page in pages)
        statement, parameters = seen[-1]
        read = await rows_read(filled, await session.connection(), statement, parameters)
        assert read <= len(PARENTS) * (ROWS + 1) * 2

    filled.ask(law)
