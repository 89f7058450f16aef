"""The drop-in for pydantic-resolve: diagrams out of mapped classes, of whose rows the columns asked for are loaded."""

import asyncio

import pytest
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Column, ForeignKey, ForeignKeyConstraint, Table, event, func
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.pool import StaticPool

from dloader.compat.pydantic_resolve import DefineSubset, ErDiagram, config_resolver
from dloader.compat.pydantic_resolve.integration.mapping import Mapping
from dloader.compat.pydantic_resolve.integration.sqlalchemy import build_relationship


class Base(DeclarativeBase):
    pass


membership = Table(
    "membership",
    Base.metadata,
    Column("user", ForeignKey("user.id"), primary_key=True),
    Column("team", ForeignKey("team.id"), primary_key=True),
)


class User(Base):
    __tablename__ = "user"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    secret: Mapped[str] = mapped_column(default="secret")
    tasks: Mapped[list["Task"]] = relationship(back_populates="owner", order_by="Task.id")
    badge: Mapped["Badge | None"] = relationship(back_populates="user")
    teams: Mapped[list["Team"]] = relationship(secondary=membership, doc="Where they play.")


class Task(Base):
    __tablename__ = "task"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    owner_key: Mapped[int] = mapped_column("owner_id", ForeignKey("user.id"))
    owner: Mapped[User] = relationship(back_populates="tasks")


class Badge(Base):
    __tablename__ = "badge"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    user: Mapped[User] = relationship(back_populates="badge")


class Team(Base):
    __tablename__ = "team"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Model(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: int


class UserOut(Model):
    name: str


class TaskOut(Model):
    title: str
    owner_key: int


class BadgeOut(Model):
    user_id: int


class TeamOut(Model):
    name: str


MAPPINGS = [
    Mapping(entity=entity, orm=orm)
    for entity, orm in ((UserOut, User), (TaskOut, Task), (BadgeOut, Badge), (TeamOut, Team))
]


class Name(DefineSubset):
    __subset__ = (UserOut, ["name"])


class TaskView(TaskOut):
    owner: Name | None = None


class UserView(UserOut):
    tasks: list[TaskOut] = []
    badge: BadgeOut | None = None
    teams: list[TeamOut] = []


def entities(sessions=None, **options):
    return build_relationship(mappings=MAPPINGS, session_factory=sessions, **options)


def resolved(make, ids=(1, 2, 3)):
    """Resolve users with a diagram that `make` gives for sessions; return them, and the statements that loaded them."""

    async def main():
        engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
        sessions = async_sessionmaker(engine)
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with sessions.begin() as session:
            teams = [Team(id=1, name="red"), Team(id=2, name="blue")]
            users = [
                User(id=1, name="Ada", teams=teams),
                User(id=2, name="Bob", teams=teams[:1]),
                User(id=3, name="Eve"),
            ]
            tasks = [Task(id=id, title=f"t{id}", owner_key=1 + id % 2) for id in (1, 2, 3)]
            session.add_all([*users, *tasks, Badge(id=5, user_id=1)])
        statements = []
        event.listen(engine.sync_engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
        made = config_resolver(er_diagram=ErDiagram(entities=make(sessions)))
        resolver = made(enable_from_attribute_in_type_adapter=True, annotation=UserView | TaskView)
        roots = [UserView(id=id, name=f"user {id}") for id in ids]
        found = await resolver.resolve([*roots, TaskView(id=9, title="t9", owner_key=2)])
        await engine.dispose()
        return found, statements, resolver

    return asyncio.run(main())


def test_relationships_of_all_kinds_are_loaded_by_one_statement_each():
    (*users, task), statements, resolver = resolved(entities)
    assert task.owner == Name(name="Bob")
    assert [[task.title for task in user.tasks] for user in users] == [["t2"], ["t1", "t3"], []]
    assert [user.badge and user.badge.id for user in users] == [5, None, None]
    assert [[team.name for team in user.teams] for user in users] == [["red", "blue"], ["red"], []]
    assert len(statements) == 5, "one for each, and one more for the table between users and teams"
    assert not [statement for statement in statements if "secret" in statement]
    names = [name.rpartition(".")[2] for name in resolver.loader_instance_cache]
    assert names == ["SA_User_badge_RO2O", "SA_User_tasks_O2M", "SA_User_teams_M2M", "SA_Task_owner_M2O"]


def test_conditions_hold_for_all_rows_of_a_class():
    mappings = [*MAPPINGS[:3], Mapping(entity=TeamOut, orm=Team, filters=[Team.name == "blue"])]

    def make(sessions):
        default = lambda orm: [orm.id < 3] if orm is Task else None  # noqa: E731
        return build_relationship(mappings=mappings, session_factory=sessions, default_filter=default)

    (*users, _), _, _ = resolved(make)
    assert [[task.title for task in user.tasks] for user in users] == [["t2"], ["t1"], []]
    assert [[team.name for team in user.teams] for user in users] == [["blue"], [], []]


def test_nothing_is_asked_for_teams_where_nobody_has_one():
    def make(sessions):
        return [
            entity.model_copy(
                update={"relationships": [each for each in entity.relationships if each.name == "teams"]}
            )
            for entity in entities(sessions)
            if entity.kls is UserOut
        ]

    (user, _), statements, _ = resolved(make, ids=[3])
    assert user.teams == []
    assert len(statements) == 1, "of the table between the two"


def test_relationships_say_what_they_are(caplog):
    by_name = {each.name: each for entity in entities() for each in entity.relationships}
    assert by_name["tasks"].target == list[TaskOut]
    assert by_name["tasks"].sort_field == "id"
    assert by_name["teams"].description == "Where they play."
    assert (by_name["owner"].fk, by_name["owner"].target) == ("owner_key", UserOut)
    found = build_relationship(mappings=MAPPINGS[1:2], session_factory=None)
    assert found == []
    assert "target ORM User is not in mappings" in caplog.text


class Numbered(Model):
    pass


class NotReading(BaseModel):
    id: int


class Demanding(Model):
    nothing: int


@pytest.mark.parametrize(
    ("mappings", "error", "message"),
    [
        ([Mapping(entity=int, orm=User)], TypeError, "subclass of pydantic.BaseModel"),
        ([Mapping(entity=NotReading, orm=User)], ValueError, "from_attributes=True"),
        (
            [Mapping(entity=UserOut, orm=User), Mapping(entity=Numbered, orm=User)],
            ValueError,
            "already mapped",
        ),
        ([Mapping(entity=Demanding, orm=User)], ValueError, "not found in ORM scalar fields.*nothing"),
    ],
)
def test_mappings_that_cannot_be_are_refused(mappings, error, message):
    with pytest.raises(error, match=message):
        build_relationship(mappings=mappings, session_factory=None)


def test_filters_are_lists():
    with pytest.raises(TypeError, match="must return list, got int"):
        entities(default_filter=lambda orm: 1)


def test_keys_of_several_columns_and_orders_of_several_are_refused():
    class Other(DeclarativeBase):
        pass

    class Place(Other):
        __tablename__ = "place"
        x: Mapped[int] = mapped_column(primary_key=True)
        y: Mapped[int] = mapped_column(primary_key=True)

    class Thing(Other):
        __tablename__ = "thing"
        id: Mapped[int] = mapped_column(primary_key=True)
        x: Mapped[int]
        y: Mapped[int]
        place: Mapped[Place] = relationship()
        __table_args__ = (ForeignKeyConstraint(["x", "y"], ["place.x", "place.y"]),)

    class Owner(Other):
        __tablename__ = "owner"
        id: Mapped[int] = mapped_column(primary_key=True)
        by_two: Mapped[list["Owned"]] = relationship(order_by="(Owned.id, Owned.owner_id)")

    class Owned(Other):
        __tablename__ = "owned"
        id: Mapped[int] = mapped_column(primary_key=True)
        owner_id: Mapped[int] = mapped_column(ForeignKey("owner.id"))

    class PlaceOut(BaseModel):
        model_config = ConfigDict(from_attributes=True)
        x: int

    thing = [Mapping(entity=Numbered, orm=Thing), Mapping(entity=PlaceOut, orm=Place)]
    with pytest.raises(NotImplementedError, match="Composite FK is not supported for MANYTOONE"):
        build_relationship(mappings=thing, session_factory=None)
    owner = [Mapping(entity=Numbered, orm=Owner), Mapping(entity=Model, orm=Owned)]
    with pytest.raises(ValueError, match="Only single-column sorting"):
        build_relationship(mappings=owner, session_factory=None)
    Owner.by_two.property.order_by = [func.lower(Owned.id) + 1]
    (entity,) = build_relationship(mappings=owner, session_factory=None)
    assert entity.relationships[0].sort_field is None
