"""Rows of classes that few have: unions with tags, recursive roots, columns that hide methods, classes left alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Discriminator, RootModel, Tag, ValidationError
from resolving import Source
from sqlalchemy import create_engine, literal, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from dloader.resolver import Load, Resolver, ignore, mapper
from dloader.resolver._blanks import drop_hidden
from dloader.resolver._rows import _building

people = Source(lambda key: f"person {key}", "people")


class Task(BaseModel):
    id: int
    owner: Annotated[str, Load(people, by="owner_id")]


class Note(BaseModel):
    text: str
    writer: Annotated[str, Load(people, by="writer_id")]


Tagged = Annotated[Task, Tag("task")] | Annotated[Note, Tag("note")]


class Board(BaseModel):
    parts: list[Tagged]


class Tree(BaseModel):
    task: Task
    below: Forest | None = None


class Forest(RootModel[list[Tree]]):
    pass


class Plain(BaseModel):
    name: str
    next: Plain | None = None


class Sized(BaseModel):
    id: int
    size: int

    def resolve_size(self) -> int:
        return self.id + 1


class Labelled(BaseModel):
    id: int
    label: Annotated[str, Load(people, by="id")] = ""


class Own(BaseModel):
    id: int
    labelled: Labelled

    def __init__(self, id: int, **more: Any) -> None:
        super().__init__(id=id, **more)


class Holder(BaseModel):
    plain: Plain
    task: Task
    sized: Sized
    own: Own
    below: Holder | None = None


@ignore
class Foreign(BaseModel):
    id: int
    owner: Annotated[str, Load(people, by="owner_id")] = "nobody"


class Counted(BaseModel):
    count: int
    owner: Annotated[str, Load(people, by="index")]


@dataclass
class Made:
    id: int
    owner: Annotated[str | None, Load(people, by="owner_id")] = field(default_factory=lambda: "nobody")
    tags: list[str] = field(default_factory=lambda: ["new"])


TASK = {"id": 1, "owner_id": 2}


class TestClasses:
    def test_unions_with_tags(self, run):
        async def law():
            rows = [{"parts": [TASK, {"text": "t", "writer_id": 3}]}]
            [board] = await Resolver().resolve(rows, into=list[Board])
            assert [type(part) for part in board.parts] == [Task, Note]
            assert (board.parts[0].owner, board.parts[1].writer) == ("person 2", "person 3")

        run(law)

    def test_unions_with_tags_that_a_function_tells(self, run):
        Told = Annotated[Tagged, Discriminator(lambda row: "note" if "text" in row else "task")]

        class Told_(BaseModel):
            part: Told

        Told_.__annotations__["part"] = Told
        Told_.model_rebuild(force=True, _types_namespace={"Told": Told})

        async def law():
            found = await Resolver().resolve(
                [{"part": TASK}, {"part": {"text": "t", "writer_id": 3}}], into=list[Told_]
            )
            assert [type(each.part) for each in found] == [Task, Note]

        run(law)

    def test_recursive_roots(self, run):
        async def law():
            row = {"task": TASK, "below": [{"task": TASK, "below": [{"task": TASK}]}]}
            forest = await Resolver().resolve([row], into=Forest)
            assert forest.root[0].below.root[0].below.root[0].task.owner == "person 2"

        run(law)

    def test_classes_without_work_in_classes_that_have_some(self, run):
        async def law():
            plain = {"name": "a", "next": {"name": "b"}}
            row = {"plain": plain, "task": TASK, "sized": {"id": 1}, "own": {"id": 3, "labelled": {"id": 4}}}
            [holder] = await Resolver().resolve([{**row, "below": row}], into=list[Holder])
            for each in (holder, holder.below):
                assert each.plain.next.name == "b"
                assert each.task.owner == "person 2"
                assert (each.sized.size, each.own.id, each.own.labelled.label) == (2, 3, "person 4")

        run(law)

    def test_classes_that_are_left_alone(self, run):
        class Within(BaseModel):
            foreign: Foreign
            task: Task

        Within.model_rebuild(_types_namespace=globals())

        async def law():
            row = {"foreign": {"id": 1}, "task": TASK}
            [within] = await Resolver().resolve([row], into=list[Within])
            assert (within.foreign.owner, within.task.owner) == ("nobody", "person 2")

        run(law)

    def test_dataclasses_whose_defaults_are_made(self, run):
        async def law():
            rows = [{"id": 1, "owner_id": None}, {**TASK, "tags": ["old"]}]
            one, two = await Resolver().resolve(rows, into=list[Made])
            assert (one.owner, one.tags) == ("nobody", ["new"])
            assert (two.owner, two.tags) == ("person 2", ["old"])
            [left_out] = await Resolver().resolve([TASK], into=list[Made], exclude={"owner"})
            assert left_out.owner == "nobody"

        run(law)

    def test_a_mapper_that_fails_in_a_class_that_is_filled(self, run):
        class Mapped_(BaseModel):
            task: Task | None = None

            @mapper(Task)
            def resolve_task(self):
                return {"id": "one", "owner_id": 2}

        async def law():
            with pytest.raises(ValidationError, match="Input should be a valid integer"):
                await Resolver().resolve(Mapped_())

        run(law)


class TestRows:
    def test_columns_that_hide_the_methods_of_a_tuple(self, run):
        statement = select(literal(3).label("count"), literal(4).label("index"))

        async def law():
            engine = create_engine("sqlite://")
            with engine.connect() as connection:
                rows = connection.execute(statement).all()
            engine.dispose()
            [counted] = await Resolver().resolve(rows, into=list[Counted])
            assert (counted.count, counted.owner) == (3, "person 4")

        run(law)

    def test_an_entity_that_has_all_it_can_have(self, run):
        class Base(DeclarativeBase):
            pass

        class Row(Base):
            __tablename__ = "row"
            id: Mapped[int] = mapped_column(primary_key=True)

        async def law():
            with pytest.raises(ValidationError, match="owner_id") as caught:
                await Resolver().resolve([Row(id=1)], into=list[Task])
            assert not any("expired" in note or "detached" in note for note in caught.value.__notes__)

        run(law)


def test_hidden_keys_are_dropped_once():
    """Also of nodes that do not have them."""
    one, other = Task.model_construct(id=1), Task.model_construct(id=2)
    one.__dict__["owner_id"] = 3
    drop_hidden(["owner_id"], [one, one, other])
    assert "owner_id" not in one.__dict__
    assert other.__dict__ == {"id": 2}


class TestPydanticOfOtherVersions:
    """What this version does not do; the gate's oldest dependencies do it in fact."""

    def test_that_cannot_be_told_to_take_schemas_alone(self, monkeypatch):
        def make(schema: Any) -> None:
            """Takes no options."""

        monkeypatch.setattr(_building, "SchemaValidator", make)
        assert _building.takes_schemas_alone.__wrapped__() == {}

    def test_that_insists_on_the_validators_of_classes(self, monkeypatch):
        class Insisting:
            def validate_python(self, value: Any) -> None:
                raise ValueError("given: Field required")

        monkeypatch.setattr(_building, "build", lambda schema: Insisting())
        assert _building.insists_on_classes_own.__wrapped__() is True
