"""Mapped classes with relationships of every kind, and rows of them with holes, ties and duplicates."""

from __future__ import annotations

import enum
from typing import Any

from sqlalchemy import (
    Column,
    Enum,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    String,
    Table,
    func,
    select,
)
from sqlalchemy.ext.associationproxy import AssociationProxy, association_proxy
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    aliased,
    column_property,
    deferred,
    foreign,
    mapped_column,
    relationship,
    remote,
    synonym,
)


class Base(DeclarativeBase):
    """What all classes of the zoo share."""


Name = String(40)


class Grade(enum.Enum):
    """How somebody is paid."""

    LOW = "low"
    HIGH = "high"


tagged = Table(
    "tagged",
    Base.metadata,
    Column("member_id", ForeignKey("member.id"), primary_key=True),
    Column("tag_id", ForeignKey("tag.id"), primary_key=True),
    Column("place", Integer, nullable=False),
)
liked = Table(
    "liked",  # no key: somebody may like a tag twice
    Base.metadata,
    Column("member_id", ForeignKey("member.id"), nullable=False),
    Column("tag_id", ForeignKey("tag.id"), nullable=False),
)
friends = Table(
    "friends",
    Base.metadata,
    Column("one_id", ForeignKey("member.id"), primary_key=True),
    Column("other_id", ForeignKey("member.id"), primary_key=True),
)


class Office(Base):
    """Where members are."""

    __tablename__ = "office"
    id: Mapped[int] = mapped_column(primary_key=True)
    city: Mapped[str] = mapped_column(Name)
    path: Mapped[str] = mapped_column(Name)
    members: Mapped[list[Member]] = relationship(back_populates="office", order_by="Member.name, Member.id")
    active: Mapped[list[Member]] = relationship(
        primaryjoin="and_(Office.id == Member.office_id, Member.active == True)",
        order_by="Member.id",
        viewonly=True,
    )
    below: Mapped[list[Office]] = relationship(
        primaryjoin=lambda: remote(foreign(Office.path)).like(Office.path.concat("/%")),
        order_by=lambda: Office.id,
        viewonly=True,
    )
    badge: Mapped[Badge | None] = relationship(back_populates="office", uselist=False)
    via: Mapped[list[Tag]] = relationship(
        secondary=lambda: Member.__table__.join(tagged, Member.__table__.c.id == tagged.c.member_id),
        primaryjoin=lambda: Office.id == Member.__table__.c.office_id,
        secondaryjoin=lambda: tagged.c.tag_id == Tag.id,
        order_by="Tag.id",
        viewonly=True,
    )
    rooms: Mapped[list[Room]] = relationship(back_populates="office", order_by="Room.floor, Room.number")


class Badge(Base):
    """One for each office, or none."""

    __tablename__ = "badge"
    id: Mapped[int] = mapped_column(primary_key=True)
    office_id: Mapped[int] = mapped_column(ForeignKey("office.id"), unique=True)
    office: Mapped[Office] = relationship(back_populates="badge")


class Member(Base):
    """Somebody."""

    __tablename__ = "member"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Name)
    e_mail: Mapped[str] = mapped_column(Name, unique=True)
    active: Mapped[bool]
    salary: Mapped[int | None]
    grade: Mapped[Grade] = mapped_column(Enum(Grade, native_enum=False, length=10))
    notes: Mapped[str] = deferred(mapped_column(Name))
    office_id: Mapped[int | None] = mapped_column(ForeignKey("office.id"), index=True)
    boss_id: Mapped[int | None] = mapped_column("manager", ForeignKey("member.id"))
    office: Mapped[Office | None] = relationship(back_populates="members")
    manager: Mapped[Member | None] = relationship(remote_side=[id], back_populates="reports")
    reports: Mapped[list[Member]] = relationship(back_populates="manager", order_by=lambda: Member.id)
    tags: Mapped[list[Tag]] = relationship(
        secondary=tagged, order_by=tagged.c.place, back_populates="members"
    )
    likes: Mapped[list[Tag]] = relationship(secondary=liked, order_by="Tag.id")
    friends: Mapped[list[Member]] = relationship(
        secondary=friends,
        primaryjoin=lambda: Member.id == friends.c.one_id,
        secondaryjoin=lambda: Member.id == friends.c.other_id,
        order_by=lambda: Member.id,
    )
    roles: Mapped[list[Role]] = relationship(order_by="Role.since, Role.id", back_populates="member")
    projects: AssociationProxy[list[Project]] = association_proxy("roles", "project")
    since: AssociationProxy[list[int]] = association_proxy("roles", "since")
    login = synonym("name")

    @hybrid_property
    def label(self) -> str:
        """Name and address."""
        return f"{self.name} <{self.e_mail}>"

    @label.inplace.expression
    @classmethod
    def _label(cls) -> Any:
        return cls.name.concat(" <").concat(cls.e_mail).concat(">")


class Tag(Base):
    """A word."""

    __tablename__ = "tag"
    id: Mapped[int] = mapped_column(primary_key=True)
    word: Mapped[str] = mapped_column(Name)
    members: Mapped[list[Member]] = relationship(secondary=tagged, order_by=Member.id, back_populates="tags")


class Project(Base):
    """What members have roles in."""

    __tablename__ = "project"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(Name)


class Role(Base):
    """An association object."""

    __tablename__ = "role"
    id: Mapped[int] = mapped_column(primary_key=True)
    member_id: Mapped[int] = mapped_column(ForeignKey("member.id"))
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    since: Mapped[int]
    member: Mapped[Member] = relationship(back_populates="roles")
    project: Mapped[Project] = relationship()
    likes: AssociationProxy[list[Tag]] = association_proxy("member", "likes")


class Room(Base):
    """By floor and number."""

    __tablename__ = "room"
    floor: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[str] = mapped_column(String(4), primary_key=True)
    office_id: Mapped[int | None] = mapped_column(ForeignKey("office.id"))
    office: Mapped[Office | None] = relationship(back_populates="rooms")
    desks: Mapped[list[Desk]] = relationship(back_populates="room", order_by="Desk.id")


class Desk(Base):
    """In a room, or in none: with a key of two parts."""

    __tablename__ = "desk"
    id: Mapped[int] = mapped_column(primary_key=True)
    floor: Mapped[int | None]
    number: Mapped[str | None] = mapped_column(String(4))
    room: Mapped[Room | None] = relationship(back_populates="desks")
    __table_args__ = (ForeignKeyConstraint(["floor", "number"], ["room.floor", "room.number"]),)


class Animal(Base):
    """Joined inheritance."""

    __tablename__ = "animal"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(Name)
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("owner.id"))
    owner: Mapped[Owner | None] = relationship(back_populates="animals")
    older: Mapped[list[Animal]] = relationship(
        primaryjoin=lambda: remote(foreign(Animal.id)) < Animal.id, order_by=lambda: Animal.id, viewonly=True
    )
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}


class Cat(Animal):
    """With a table of its own."""

    __tablename__ = "cat"
    id: Mapped[int] = mapped_column(ForeignKey("animal.id"), primary_key=True)
    lives: Mapped[int]
    toys: Mapped[list[Toy]] = relationship(order_by="Toy.id", back_populates="cat")
    __mapper_args__ = {"polymorphic_identity": "cat"}


class Dog(Animal):
    """In the table of animals."""

    tricks: Mapped[int | None]
    __mapper_args__ = {"polymorphic_identity": "dog"}


class Toy(Base):
    """Of a cat."""

    __tablename__ = "toy"
    id: Mapped[int] = mapped_column(primary_key=True)
    cat_id: Mapped[int] = mapped_column(ForeignKey("cat.id"))
    cat: Mapped[Cat] = relationship(back_populates="toys")


class Owner(Base):
    """Of animals."""

    __tablename__ = "owner"
    id: Mapped[int] = mapped_column(primary_key=True)
    animals: Mapped[list[Animal]] = relationship(back_populates="owner", order_by="Animal.id")
    cats: Mapped[list[Cat]] = relationship(viewonly=True, order_by="Cat.id")
    dogs: Mapped[list[Dog]] = relationship(viewonly=True, order_by="Dog.id")


_numbered = (
    select(Member, func.row_number().over(partition_by=Member.office_id, order_by=Member.id).label("place"))
    .where(Member.office_id.is_not(None))
    .subquery()
)
OLDEST = aliased(Member, select(_numbered).where(_numbered.c.place <= 2).subquery(), name="oldest")
Office.oldest = relationship(
    OLDEST, primaryjoin=Office.id == foreign(OLDEST.office_id), viewonly=True, uselist=True
)
Office.headcount = column_property(
    select(func.count(Member.id))
    .where(Member.office_id == Office.id)
    .correlate_except(Member)
    .scalar_subquery()
)

ROWS: dict[Any, list[dict[str, Any]]] = {
    Office: [
        {"id": 1, "city": "Oslo", "path": "a"},
        {"id": 2, "city": "Rome", "path": "a/b"},
        {"id": 3, "city": "Bonn", "path": "a/b/c"},
        {"id": 4, "city": "Kyiv", "path": "d"},
    ],
    Badge: [{"id": 5, "office_id": 1}, {"id": 6, "office_id": 3}],
    Member: [
        {
            "id": n,
            "name": f"m{n % 4}",
            "e_mail": f"{n}@x.org",
            "active": n % 3 != 0,
            "salary": None if n % 5 == 0 else 100 * n,
            "grade": Grade.HIGH if n % 2 else Grade.LOW,
            "notes": f"note {n}",
            "office_id": (1, 2, 3, None, 1)[n % 5],
            "boss_id": n // 2 or None,
        }
        for n in range(1, 16)
    ],
    Tag: [{"id": n, "word": f"w{n}"} for n in range(1, 6)],
    tagged: [
        {"member_id": m, "tag_id": t, "place": (m * 7 + t * 5) % 11}
        for m in range(1, 12)
        for t in (1, 3, 4)
        if (m + t) % 3
    ],
    liked: [{"member_id": 1, "tag_id": t} for t in (2, 1, 2, 3, 2)] + [{"member_id": 4, "tag_id": 2}],
    friends: [{"one_id": a, "other_id": b} for a in (1, 2, 3) for b in (1, 2, 5) if a != b],
    Project: [{"id": n, "title": f"p{n}"} for n in (1, 2, 3)],
    Role: [
        {"id": 1, "member_id": 1, "project_id": 2, "since": 3},
        {"id": 2, "member_id": 1, "project_id": 1, "since": 2},
        {"id": 3, "member_id": 1, "project_id": 2, "since": 1},
        {"id": 4, "member_id": 2, "project_id": 3, "since": 1},
    ],
    Room: [
        {"floor": f, "number": n, "office_id": f if f < 3 else None} for f in (1, 2, 3) for n in ("a", "b")
    ],
    Desk: [
        {"id": 1, "floor": 1, "number": "a"},
        {"id": 2, "floor": 1, "number": "a"},
        {"id": 3, "floor": 2, "number": "b"},
        {"id": 4, "floor": None, "number": "b"},
        {"id": 5, "floor": None, "number": None},
    ],
    Owner: [{"id": 1}, {"id": 2}, {"id": 3}],
    Animal.__table__: [
        {"id": 1, "kind": "cat", "owner_id": 1, "tricks": None},
        {"id": 2, "kind": "dog", "owner_id": 1, "tricks": 4},
        {"id": 3, "kind": "animal", "owner_id": 1, "tricks": None},
        {"id": 4, "kind": "cat", "owner_id": 2, "tricks": None},
        {"id": 5, "kind": "dog", "owner_id": None, "tricks": 0},
    ],
    Cat.__table__: [{"id": 1, "lives": 9}, {"id": 4, "lives": 7}],
    Toy: [{"id": 1, "cat_id": 1}, {"id": 2, "cat_id": 1}, {"id": 3, "cat_id": 4}],
}
