"""Classes that are told apart by what is no attribute of theirs: an expression, and what concrete classes have."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from databases import Database
from pydantic import BaseModel
from sqlalchemy import ForeignKey, String, case
from sqlalchemy.ext.declarative import ConcreteBase
from sqlalchemy.orm import DeclarativeBase, Mapped, foreign, mapped_column, relationship

from dloader.resolver import Resolver
from dloader.sqlalchemy import ByKey, Count, Page, Related, select_for


class Base(DeclarativeBase):
    """What all classes here share."""


class Yard(Base):
    """Has both."""

    __tablename__ = "yard"
    id: Mapped[int] = mapped_column(primary_key=True)
    dogs: Mapped[list[Dog]] = relationship(order_by="Dog.id")
    staff: Mapped[list[Keeper]] = relationship(
        primaryjoin=lambda: Yard.id == foreign(Keeper.yard_id), order_by=lambda: Keeper.name, viewonly=True
    )


class Dog(Base):
    """Is what its size says."""

    __tablename__ = "dog"
    id: Mapped[int] = mapped_column(primary_key=True)
    yard_id: Mapped[int] = mapped_column(ForeignKey("yard.id"))
    size: Mapped[int] = mapped_column()
    __mapper_args__: Any = {
        "polymorphic_on": case((size > 5, "big"), else_="small"),
        "polymorphic_identity": "dog",
    }


class Hound(Dog):
    """A big one."""

    leash: Mapped[int | None]
    __mapper_args__: Any = {"polymorphic_identity": "big"}


class Pug(Dog):
    """A small one."""

    __mapper_args__: Any = {"polymorphic_identity": "small"}


class Keeper(ConcreteBase, Base):
    """In a table of its own, as each subclass."""

    __tablename__ = "keeper"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(9))
    yard_id: Mapped[int]
    __mapper_args__: Any = {"polymorphic_identity": "keeper", "concrete": True}


class Chief(Keeper):
    """With a table of its own."""

    __tablename__ = "chief"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(9))
    yard_id: Mapped[int]
    __mapper_args__: Any = {"polymorphic_identity": "chief", "concrete": True}


class HoundOut(BaseModel):
    leash: int | None
    size: int


class DogOut(BaseModel):
    size: int


class NameOut(BaseModel):
    name: str


class YardOut(BaseModel):
    dogs: Annotated[list[HoundOut | DogOut], Related(Yard.dogs)]
    plain: Annotated[list[DogOut], Related(Yard.dogs)]
    first: Annotated[Page[DogOut], Related(Yard.dogs, limit=1)]
    staff: Annotated[list[NameOut], Related(Yard.staff)]
    count: Annotated[int, Count(Yard.staff)]


@pytest.fixture(scope="module")
def filled(database: Database) -> Database:
    """A yard with two dogs and two keepers."""
    dogs = [{"id": 1, "yard_id": 1, "size": 9, "leash": 3}, {"id": 2, "yard_id": 1, "size": 2, "leash": None}]
    rows = {
        Keeper.__table__: [{"id": 1, "name": "Ann", "yard_id": 1}],
        Chief.__table__: [{"id": 1, "name": "Bob", "yard_id": 1}],
    }
    database.fill(Base, {Yard: [{"id": 1}], Dog.__table__: dogs, **rows})
    return database


def test_answers(filled):
    """Are those of the relationships."""

    async def law(loaders, session):
        [yard] = await Resolver(registry=loaders).resolve(
            await session.execute(select_for(YardOut, Yard)), into=list[YardOut]
        )
        assert yard.dogs == [HoundOut(leash=3, size=9), DogOut(size=2)]
        assert yard.plain == [DogOut(size=9), DogOut(size=2)]
        assert (yard.first.items, yard.first.has_more) == ([DogOut(size=9)], True)
        assert [each.name for each in yard.staff] == ["Ann", "Bob"]
        assert yard.count == 2

    filled.ask(law)


def test_rows_by_hand(filled):
    """Have the columns that are attributes."""

    async def law(loaders, session):
        assert dict(await loaders.get(ByKey(Dog)).load(2)) == {"id": 2, "yard_id": 1, "size": 2}
        names = [dict(row) for row in await loaders.get(Related(Yard.staff)).load(1)]
        assert names == [{"id": 1, "name": name, "yard_id": 1} for name in ("Ann", "Bob")]

    filled.ask(law)
