"""A GraphQL schema over the zoo, filled by dloader, and in `truth` by the lazy loads of the ORM."""

from __future__ import annotations

import importlib.util
import sys
from typing import Annotated, Any

import strawberry
import zoo
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker
from sqlalchemy.orm import Session
from strawberry.types import ExecutionResult

from dloader.strawberry import Connection, LoaderExtension, connection, related


def lazy(*_: Any, **__: Any) -> Any:
    """In the place of `related`: what the entity itself has."""
    return strawberry.field()


fill = globals().get("FILL", related)
Grade = strawberry.enum(zoo.Grade)


@strawberry.type
class Tag:
    """A word."""

    id: int
    word: str
    members: list[Member] = fill(zoo.Tag.members)


@strawberry.type
class Project:
    """What members have roles in."""

    id: int
    title: str


@strawberry.type
class Role:
    """Of a member."""

    id: int
    since: int
    project: Project = fill(zoo.Role.project)
    member: Member = fill(zoo.Role.member)


@strawberry.type
class Member:
    """Somebody."""

    id: int
    name: str
    e_mail: str
    label: str
    salary: int | None
    grade: Grade
    office_id: strawberry.Private[int | None]
    office: Office | None = fill(zoo.Member.office)
    manager: Member | None = fill(zoo.Member.manager)
    reports: list[Member] = fill(zoo.Member.reports)
    tags: list[Tag] = fill(zoo.Member.tags)
    friends: list[Member] = fill(zoo.Member.friends)
    roles: list[Role] = fill(zoo.Member.roles)

    @strawberry.field
    def hello(self, loudly: bool = False) -> str:
        """May read what is not selected."""
        text = f"{self.name} {self.office_id}"
        return text.upper() if loudly else text


@strawberry.type
class Room:
    """By floor and number."""

    floor: int
    number: str
    office: Office | None = fill(zoo.Room.office)
    desks: list[Desk] = fill(zoo.Room.desks)


@strawberry.type
class Desk:
    """In a room, or in none."""

    id: int
    room: Room | None = fill(zoo.Desk.room)


@strawberry.type
class Badge:
    """One for each office, or none."""

    id: int


@strawberry.type
class Office:
    """Where members are."""

    id: int
    city: str
    headcount: int
    members: list[Member] = fill(zoo.Office.members)
    active: list[Member] = fill(zoo.Office.active)
    below: list[Office] = fill(zoo.Office.below)
    badge: Badge | None = fill(zoo.Office.badge)
    rooms: list[Room] = fill(zoo.Office.rooms)
    oldest: list[Member] = fill(zoo.Office.oldest)
    if fill is related:
        page: Connection[Member] = connection(
            zoo.Office.members, order_by=(zoo.Member.name.desc(), zoo.Member.id)
        )


@strawberry.interface
class Animal:
    """Of some kind."""

    id: int
    kind: str
    owner: Owner | None = fill(zoo.Animal.owner)

    @classmethod
    def resolve_type(cls, obj: Any, *_: Any) -> str:
        """Entities are of the type that is called as their class, and Creature is not."""
        return {zoo.Cat: "Cat", zoo.Dog: "Dog", Cat: "Cat", Dog: "Dog"}.get(type(obj), "Creature")


@strawberry.type
class Creature(Animal):
    """Neither cat nor dog."""

    @classmethod
    def is_type_of(cls, *_: Any) -> bool:
        """`Animal` has looked."""
        return True


@strawberry.type
class Cat(Animal):
    """With lives."""

    lives: int
    toys: list[Toy] = fill(zoo.Cat.toys)

    @classmethod
    def is_type_of(cls, obj: Any, *_: Any) -> bool:
        """For unions."""
        return isinstance(obj, Cat | zoo.Cat)


@strawberry.type
class Dog(Animal):
    """With tricks."""

    tricks: int | None

    @classmethod
    def is_type_of(cls, obj: Any, *_: Any) -> bool:
        """For unions."""
        return isinstance(obj, Dog | zoo.Dog)


@strawberry.type
class Toy:
    """Of a cat."""

    id: int


@strawberry.type
class Owner:
    """Of animals."""

    id: int
    animals: list[Animal] = fill(zoo.Owner.animals, types={zoo.Animal: Creature})
    pets: list[Annotated[Cat | Dog | Creature, strawberry.union("Pet")]] = (
        fill(zoo.Owner.animals, types={zoo.Animal: Creature})
        if fill is related
        else strawberry.field(resolver=lambda root: root.animals)
    )
    cats: list[Cat] = fill(zoo.Owner.cats)
    dogs: list[Dog] = fill(zoo.Owner.dogs)


def entities(info: strawberry.Info, cls: Any) -> list[Any]:
    """All of a class."""
    found: list[Any] = info.context[cls]
    return found


def context_of(session: Session) -> dict[Any, list[Any]]:
    """The roots."""
    return {cls: list(session.scalars(select(cls).order_by(cls.id))) for cls in ROOTS}


ROOTS: tuple[Any, ...] = (zoo.Office, zoo.Member, zoo.Owner, zoo.Desk)


@strawberry.type
class Query:
    """The roots are entities."""

    @strawberry.field
    def offices(self, info: strawberry.Info, first: int = 9) -> list[Office]:
        """All."""
        return entities(info, zoo.Office)[:first]

    @strawberry.field
    def members(self, info: strawberry.Info) -> list[Member]:
        """All."""
        return entities(info, zoo.Member)

    @strawberry.field
    def owners(self, info: strawberry.Info) -> list[Owner]:
        """All."""
        return entities(info, zoo.Owner)

    @strawberry.field
    def desks(self, info: strawberry.Info) -> list[Desk]:
        """All."""
        return entities(info, zoo.Desk)


async def ask(
    engine: AsyncEngine, query: str, variables: dict[str, Any] | None = None, **params: Any
) -> ExecutionResult:
    """Execute an operation."""
    async with async_sessionmaker(engine)() as session:
        context = await session.run_sync(context_of)
    extension = LoaderExtension({"session": async_sessionmaker(engine), **params})
    schema = strawberry.Schema(Query, extensions=[extension], types=[Creature, Cat, Dog])
    return await schema.execute(query, variables, context_value=context)


async def truth(engine: AsyncEngine, query: str, variables: dict[str, Any] | None = None) -> ExecutionResult:
    """Execute an operation by lazy loads."""
    name = "berries_truth"
    if name not in sys.modules:
        spec: Any = importlib.util.spec_from_file_location(name, __file__)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        vars(sys.modules[name])["FILL"] = lazy
        spec.loader.exec_module(sys.modules[name])
    there: Any = sys.modules[name]
    schema = strawberry.Schema(there.Query, types=[there.Creature, there.Cat, there.Dog])

    def execute(session: Session) -> Any:
        return schema.execute_sync(query, variables, context_value=context_of(session))

    async with async_sessionmaker(engine)() as session:
        return await session.run_sync(execute)
