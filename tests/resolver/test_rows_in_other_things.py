"""Rows that are mappings only in name, wherever they stand: in containers, in rows, in dicts of rows."""

from __future__ import annotations

import sqlite3
from collections import UserDict, UserList, deque
from collections.abc import Iterator
from types import MappingProxyType, SimpleNamespace
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, ValidationInfo, field_validator
from resolving import Source

from dloader.resolver import Load, Resolver

people = Source(lambda key: f"name {key}", "people")


class Task(BaseModel):
    id: int = 0
    owner: Annotated[str | None, Load(people, by="owner_id")]


class Plain(BaseModel):
    id: int = 0


TASKS = [Task(id=1, owner="name 7"), Task(id=2, owner=None)]


@pytest.fixture
def rows() -> Iterator[list[Any]]:
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    yield connection.execute("SELECT 1 AS id, 7 AS owner_id UNION ALL SELECT 2, NULL ORDER BY 1").fetchall()
    connection.close()


class TestContainers:
    @pytest.mark.parametrize(
        "hold",
        [list, tuple, deque, UserList, iter, lambda rows: dict(enumerate(rows)).values()],
        ids=["list", "tuple", "deque", "user list", "iterator", "values of a dict"],
    )
    def test_of_any_kind(self, run, rows, hold):
        async def law():
            assert await Resolver().resolve(hold(rows), into=list[Task]) == TASKS
            assert await Resolver().resolve(hold(rows), into=list[Plain]) == [Plain(id=1), Plain(id=2)]

        run(law)

    @pytest.mark.parametrize("hold", [set, frozenset])
    def test_sets(self, run, rows, hold):
        async def law():
            found = await Resolver().resolve(hold(rows), into=list[Task])
            assert sorted(task.id for task in found) == [1, 2]

        run(law)

    def test_what_is_made_is_of_the_declared_type(self, run, rows):
        async def law():
            assert await Resolver().resolve(tuple(rows), into=tuple[Task, ...]) == tuple(TASKS)
            assert await Resolver().resolve(deque(rows), into=deque[Task]) == deque(TASKS)
            assert await Resolver().resolve({"a": rows[0]}, into=dict[str, Task]) == {"a": TASKS[0]}
            assert await Resolver().resolve({"a": tuple(rows)}, into=dict[str, list[Task]]) == {"a": TASKS}
            found = await Resolver().resolve({"a": {"b": rows[0]}, "c": {}}, into=dict[str, dict[str, Task]])
            assert found == {"a": {"b": TASKS[0]}, "c": {}}
            other = [({"id": 1, "owner_id": 7},), tuple(rows[1:])]
            assert await Resolver().resolve(other, into=list[list[Task]]) == [TASKS[:1], TASKS[1:]]

        run(law)

    def test_they_are_not_looked_for_without_end(self, run, rows):
        deep: Any = {"id": 1, "first": rows[0]}
        for number in range(9):
            deep = {"id": number, "below": [deep]}

        async def law():
            shelf = await Resolver().resolve(deep, into=Shelf, exclude={"name", "below.name"})
            for _ in range(9):
                (shelf,) = shelf.below
            assert shelf.id == 1

        run(law)

    def test_what_loaders_give(self, run, rows):
        async def load(keys: list[int]) -> list[Any]:
            return [tuple(rows), (), None][: len(keys)]

        class Project(BaseModel):
            id: int
            tasks: Annotated[list[Task] | None, Load(load, by="id")]

        async def law():
            found = await Resolver().resolve([{"id": 1}, {"id": 2}, {"id": 3}], into=list[Project])
            assert [project.tasks for project in found] == [TASKS, [], None]

        run(law)


class Shelf(BaseModel):
    id: int
    tasks: list[Task] = Field([], validation_alias="someTasks")
    first: Plain | None = None
    by_name: dict[str, Task] = {}
    pairs: list[tuple[str, Task]] = []
    name: Annotated[str, Load(people, by="id")]
    below: list[Shelf] = []


class TestRowsInRows:
    @pytest.mark.parametrize("kind", [dict, UserDict, MappingProxyType])
    @pytest.mark.parametrize("name", ["tasks", "someTasks"])
    def test_in_fields_that_hold_models(self, run, rows, kind, name):
        row = kind(
            {
                "id": 1,
                name: rows,
                "first": rows[0],
                "by_name": {"x": rows[0]},
                "pairs": [("y", rows[1])],
                "below": [{"id": 2, "first": rows[1]}],
            }
        )

        async def law():
            (shelf,) = await Resolver().resolve([row], into=list[Shelf])
            assert shelf.tasks == TASKS
            assert shelf.first == Plain(id=1)
            assert shelf.by_name == {"x": TASKS[0]}
            assert shelf.pairs == [("y", TASKS[1])]
            assert (shelf.below[0].first, shelf.below[0].name) == (Plain(id=2), "name 2")
            assert row["first"] is rows[0]

        run(law)

    def test_beside_rows_that_need_nothing(self, run, rows):
        async def law():
            given = [
                {"id": 1},
                {"id": 2, "first": rows[0]},
                {"id": 3, "first": {"id": 4}},
                {"id": 5, "below": []},
            ]
            shelves = await Resolver().resolve(given, into=list[Shelf])
            assert [shelf.first and shelf.first.id for shelf in shelves] == [None, 1, 4, None]

        run(law)

    def test_among_the_other_fields_that_a_validator_looks_at(self, run, rows):
        source = Source(lambda key: rows)

        class Holder(BaseModel):
            id: int
            tasks: Annotated[list[Task], Load(source, by="id")]

            @field_validator("tasks")
            @classmethod
            def checked(cls, tasks: list[Task], info: ValidationInfo) -> list[Task]:
                assert info.data["id"] == 1
                return tasks

        async def law():
            assert (await Resolver().resolve({"id": 1}, into=Holder)).tasks == TASKS

        run(law)

    def test_what_no_model_is_made_of_stays_what_it_is(self, run, rows):
        class Holder(BaseModel):
            id: int
            any: Any
            task: Task

        async def law():
            row = {"id": 1, "any": rows[0], "task": rows[0]}
            assert (await Resolver().resolve(row, into=Holder)).any is rows[0]

        run(law)

    def test_objects_hold_objects_and_dicts(self, run):
        async def law():
            row = SimpleNamespace(
                id=1, tasks=[{"id": 1, "owner_id": 7}, SimpleNamespace(id=2, owner_id=None)]
            )
            assert (await Resolver().resolve(row, into=Shelf)).tasks == TASKS

        run(law)
