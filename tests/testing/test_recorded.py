"""recorded: what was loaded once is loaded again from a file, through the real loaders."""

from __future__ import annotations

import asyncio
import datetime as dt
import decimal
import json
import re
import sys
import uuid
from collections import UserDict
from collections.abc import Sequence
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import pytest
from pydantic import BaseModel
from sqlalchemy import ForeignKey
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from dloader import DataLoader, LoaderRegistry, MissingKeyError, OptionError
from dloader.sqlalchemy import ByKey, Count, Related
from dloader.testing import NotRecordedError, batch_budget, recorded

V = TypeVar("V")
CALLS: list[list[Any]] = []


@pytest.fixture(autouse=True)
def _no_mode(monkeypatch):
    monkeypatch.delenv("DLOADER_RECORD", raising=False)
    CALLS.clear()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "feed.json"


async def load_users(keys):
    CALLS.append(list(keys))
    return {key: f"user {key}" for key in keys if key != 404}


class User(BaseModel):
    id: int


@dataclass
class Point:
    x: int


class Thing:
    """Nobody can write it."""


class Users(DataLoader[int, str]):
    tenant: str = "blue"

    async def batch_load_fn(self, keys):
        CALLS.append(list(keys))
        return [f"{self.tenant} {key}" for key in keys]


def twice(work, path):
    """What work gives when it is recorded, and then from the file."""

    async def law():
        async with recorded(path):
            first = await work()
        calls = len(CALLS)
        async with recorded(path):
            second = await work()
        assert len(CALLS) == calls, "nothing is loaded again"
        return first, second

    return asyncio.run(law())


def written(path):
    return json.loads(path.read_text(encoding="utf-8"))["loaders"]


def test_the_second_run_is_answered_from_the_file_by_the_same_batches(path):
    async def work():
        loader = DataLoader(load_users)
        with batch_budget(batches=2) as trace:
            values = await loader.load_many([10, 9, "9", (1, "x")])
            values.append(await loader.load(1))
        return values, trace.summary()

    first, second = twice(work, path)
    assert (
        first
        == second
        == (["user 10", "user 9", "user 9", "user (1, 'x')", "user 1"], {"load_users": [4, 1]})
    )
    assert list(written(path)["load_users"]) == ["1", "9", "10", "'9'", "(1, 'x')"]


def test_the_file_is_the_same_whatever_the_order(path):
    async def forth():
        await asyncio.gather(Users().load_many([1, 2]), DataLoader(load_users).load_many([3, 4]))

    async def back():
        await asyncio.gather(DataLoader(load_users).load_many([4, 3]), Users().load_many([2, 1]))

    texts = []
    for work in (forth, back):
        path.unlink(missing_ok=True)
        twice(work, path)
        texts.append(path.read_text(encoding="utf-8"))
    assert texts[0] == texts[1]
    assert [each.name for each in path.parent.iterdir()] == ["feed.json"]


def test_loaders_with_other_parameters_are_others(path):
    class Tenant(Users):
        pass

    async def work():
        red = Tenant()
        red.tenant = "red"
        return await Tenant().load(1), await red.load(1)

    first, second = twice(work, path)
    assert first == second == ("blue 1", "red 1")
    assert list(written(path)) == ["Tenant(tenant='blue')", "Tenant(tenant='red')"]


def test_parameters_that_are_no_words_are_left_out(path):
    class Session(DataLoader[int, int]):
        session: object

        async def batch_load_fn(self, keys):
            return keys

    async def work():
        loader = Session()
        loader.session = object()
        return await loader.load(1)

    assert twice(work, path) == (1, 1)
    assert list(written(path)) == ["Session"]


def test_loaders_of_one_name_are_told_apart_by_their_order(path):
    async def load_other(keys):
        return [key * 2 for key in keys]

    async def work():
        one, other = DataLoader(load_users, name="x"), DataLoader(load_other, name="x")
        return await one.load(1), await other.load(1), await DataLoader(load_users, name="x").load(1)

    first, second = twice(work, path)
    assert first == second == ("user 1", 2, "user 1")
    assert list(written(path)) == ["x", "x #2"]


class Typed(DataLoader[Any, Any]):
    value: Any

    async def batch_load_fn(self, keys):
        return [self.value for _ in keys]


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        1.5,
        "ä\n",
        "\ud800",
        [1, ["x"]],
        {"a": {"b": [None]}},
        (1, (2, [3])),
        dt.datetime(2026, 11, 26, 12, tzinfo=dt.UTC),
        dt.date(2026, 11, 26),
        dt.time(12, 30),
        decimal.Decimal("1.50"),
        uuid.UUID(int=7),
        b"\x00\xff",
    ],
    ids=ascii,
)
def test_plain_values_and_their_like_need_no_type(path, value):
    async def load(keys):
        return [value for _ in keys]

    first, second = twice(lambda: DataLoader(load).load(1), path)
    assert first == second == value
    assert type(second) is type(value)


def test_rows_become_dicts(path):
    async def load(keys):
        return [UserDict(id=key) for key in keys]

    assert twice(lambda: DataLoader(load).load(1), path)[1] == {"id": 1}


class Base(DeclarativeBase):
    pass


class Office(Base):
    __tablename__ = "office"
    id: Mapped[int] = mapped_column(primary_key=True)
    members: Mapped[list[Member]] = relationship()


class Member(Base):
    __tablename__ = "member"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    office_id: Mapped[int] = mapped_column(ForeignKey("office.id"))


def test_rows_of_mapped_classes_are_rows_again(path):
    async def work():
        engine = create_async_engine("sqlite+aiosqlite://")
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with AsyncSession(engine) as session:
            if not path.exists():  # the second time there is nothing to be loaded
                session.add(Office(id=1, members=[Member(id=2, name="Ada")]))
                await session.commit()
            async with LoaderRegistry({"session": session}) as loaders:
                ada = await loaders.get(ByKey(Member)).load(2)
                members = await loaders.get(Related(Office.members)).load(1)
                count = await loaders.get(Count(Office.members)).load(1)
        await engine.dispose()
        return ada.name, [member.name for member in members], count

    async def law():
        for _ in range(2):
            async with recorded(path):
                assert await work() == ("Ada", ["Ada"], 1)

    asyncio.run(law())


def test_entities_are_refused(path):
    async def load(keys) -> list[Member]:
        return [Member(id=key) for key in keys]

    async def law():
        async with recorded(path):
            with pytest.raises(
                OptionError, match=r"which Pydantic does not know: let the batch function return"
            ):
                await DataLoader(load).load(1)

    asyncio.run(law())


class Models(DataLoader[int, list[User]]):
    async def batch_load_fn(self, keys):
        return [[User(id=key)] for key in keys]


T = TypeVar("T")


class Points(DataLoader[T, Point], Generic[T]):
    async def batch_load_fn(self, keys):
        return [Point(1) for _ in keys]


async def load_points(keys: list[int]) -> Sequence[Point]:
    return [Point(key) for key in keys]


async def point_by_key(keys: list[int], more: int) -> dict[int, Point]:
    return {key: Point(key + more) for key in keys}


@pytest.mark.parametrize(
    ("make", "value"),
    [
        (Models, [User(id=1)]),
        (Points, Point(1)),
        (lambda: DataLoader(load_points), Point(1)),
        (lambda: DataLoader(partial(point_by_key, more=3), name="partial"), Point(4)),
    ],
    ids=["class", "generic", "function", "partial"],
)
def test_other_values_are_written_by_the_type_that_is_declared(path, make, value):
    first, second = twice(lambda: make().load(1), path)
    assert first == second == value
    assert type(first) is type(second)


def refused(path, loader, key=1):
    async def law():
        with recorded(path):
            await loader.load(key)

    with pytest.raises(OptionError) as caught:
        asyncio.run(law())
    assert not path.exists()
    return str(caught.value)


class TestValuesThatCannotBeWritten:
    @pytest.mark.parametrize(
        "value", [Thing(), {1: 2}, {"$x": 1}, [Thing()], {"a": Thing()}, {1}, float("nan")]
    )
    def test_are_told_with_loader_and_key(self, path, value):
        async def load_things(keys):
            return [value for _ in keys]

        said = refused(path, DataLoader(load_things))
        assert said.startswith("recorded() cannot write ")
        assert "load_things gave for key 1: it is no JSON, and its type is not known" in said

    def test_nor_errors(self, path):
        async def load_errors(keys) -> list[int | ValueError]:
            return [ValueError("no") for _ in keys]

        assert "ValueError('no')" in refused(path, DataLoader(load_errors))

    def test_nor_what_does_not_fit_its_type(self, path):
        async def load_models(keys) -> list[User]:
            return [Point(1) for _ in keys]

        assert "ValidationError: 1 validation error for User" in refused(path, DataLoader(load_models))

    def test_nor_what_is_another_one_when_it_is_read(self, path):
        class Same(BaseModel):
            id: int

            def __eq__(self, other):
                return self is other

            __hash__ = None

        async def load_same(keys):
            return [Same(id=1) for _ in keys]

        load_same.__annotations__["return"] = list[Same]
        assert "it would be another one when it is read again" in refused(path, DataLoader(load_same))

    def test_nor_those_of_a_type_that_pydantic_does_not_know(self, path):
        class Things(DataLoader[int, list[Thing]]):
            async def batch_load_fn(self, keys):
                return [[Thing()] for _ in keys]

        said = refused(path, Things())
        assert re.search(
            r"it is declared as list\[.*Thing\], which Pydantic does not know: let the batch", said
        )

    def test_nor_those_of_a_type_that_is_not_there(self, path):
        async def load_odd(keys) -> list[NotThere]:  # noqa: F821
            return [Thing() for _ in keys]

        assert "its type is not known" in refused(path, DataLoader(load_odd))

    def test_nor_others_without_pydantic(self, path, monkeypatch):
        monkeypatch.setitem(sys.modules, "pydantic", None)
        assert "it takes Pydantic to write it as the Point that it is" in refused(
            path, DataLoader(load_points)
        )

    def test_nor_two_for_one_key(self, path):
        values = iter(range(5))

        async def load_next(keys):
            return [next(values) for _ in keys]

        async def law():
            with recorded(path):
                loader = DataLoader(load_next, cache=False)
                await loader.load(1)
                await loader.load(1)

        with pytest.raises(OptionError, match="two different values"):
            asyncio.run(law())


def test_exceptions_are_refused_with_the_cure(path):
    async def load(keys) -> list[int]:
        return [LookupError(key) for key in keys]

    said = refused(path, DataLoader(load), 1)
    assert said.endswith(
        "it is an exception, and a recording holds values: give None, or a mapping without the key"
    )


def test_keys_of_another_repr_in_each_run_are_refused(path):
    assert "its repr is another one in each run" in refused(path, DataLoader(load_users), Thing())
    assert "its repr is another one in each run" in refused(path, DataLoader(load_users), frozenset({1}))


def test_keys_that_are_dicts_are_one_in_any_order(path):
    async def load(keys):
        return [sorted(key.items()) == [("a", 1), ("b", 2)] for key in keys]

    keys = iter([{"a": 1, "b": 2}, {"b": 2, "a": 1}])
    assert twice(lambda: DataLoader(load, cache_key_fn=str).load(next(keys)), path) == (True, True)


def test_what_a_mapping_lacked_is_missing_again(path):
    async def work():
        with pytest.raises(MissingKeyError):
            await DataLoader(load_users).load(404)

    twice(work, path)


class TestWhatIsNotThere:
    def ask(self, path, *loads):
        async def law():
            with recorded(path):
                return await asyncio.gather(
                    *(make().load(key) for make, key in loads), return_exceptions=True
                )

        return asyncio.run(law())

    def test_a_key_fails_alone_and_the_nearest_are_named(self, path):
        loader = Users()
        self.ask(path, (lambda: loader, 12), (lambda: loader, 99))
        other = Users()
        value, error = self.ask(path, (lambda: other, 12), (lambda: other, 13))
        assert value == "blue 12"
        assert isinstance(error, NotRecordedError)
        assert isinstance(error, LookupError)
        assert f"{path} has no key 13 of Users(tenant='blue'); the nearest there are 12, 99." in str(error)
        assert "DLOADER_RECORD=all" in str(error)

    def test_a_loader_is_told_as_well(self, path):
        self.ask(path, (Users, 1))
        [error] = self.ask(path, (lambda: DataLoader(load_users), 1))
        assert "has no loader load_users; the nearest there are Users(tenant='blue')" in str(error)

    def test_an_empty_file_has_nothing(self, path):
        self.ask(path)
        [error] = self.ask(path, (Users, 1))
        assert "there is none" in str(error)


class TestModes:
    async def work(self):
        return await DataLoader(load_users).load(1)

    def run(self, path):
        async def law():
            with recorded(path):
                return await self.work()

        return asyncio.run(law())

    def test_all_records_anew(self, path, monkeypatch):
        self.run(path)
        monkeypatch.setenv("DLOADER_RECORD", "all")
        self.run(path)
        assert len(CALLS) == 2

    def test_none_never_records(self, path, monkeypatch):
        monkeypatch.setenv("DLOADER_RECORD", "none")
        with pytest.raises(OptionError, match="DLOADER_RECORD=none"):
            self.run(path)
        monkeypatch.setenv("DLOADER_RECORD", "once")
        self.run(path)
        monkeypatch.setenv("DLOADER_RECORD", "none")
        assert self.run(path) == "user 1"

    def test_another_one_is_refused(self, path, monkeypatch):
        monkeypatch.setenv("DLOADER_RECORD", "always")
        with pytest.raises(OptionError, match="once, all, none, not 'always'"):
            self.run(path)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "[]",
            "{}",
            '{"format": "x"}',
            '{"format": "dloader recording 1"}',
            '{"format": "dloader recording 1", "loaders": []}',
            '{"format": "dloader recording 1", "loaders": {"Users": [1]}}',
        ],
    )
    def test_another_file_is_refused(self, tmp_path, text):
        path = tmp_path / "feed.json"
        path.write_text(text)
        with pytest.raises(OptionError, match="is no recording"):
            self.run(path)


def test_nothing_is_written_when_the_block_raises(path):
    async def law():
        with recorded(path):
            await Users().load(1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(law())
    assert not path.exists()


def test_loaders_get_their_batch_functions_back(path):
    async def law():
        plain, own = DataLoader(load_users), Users()
        with recorded(path):
            await plain.load(1)
            await own.load(1)
        assert plain.load_fn is load_users
        assert "load_fn" not in vars(own)
        return await plain.load(2), await own.load(2)

    assert asyncio.run(law()) == ("user 2", "blue 2")


def test_others_who_use_the_loader_at_the_same_time_are_not_recorded(path):
    async def law():
        loader = DataLoader(load_users)
        outside = copy_context()
        with recorded(path):
            await loader.load(1)
            other = outside.run(lambda: asyncio.ensure_future(loader.load(2)))
            assert await other == "user 2"
            with recorded(path.with_name("inner.json")):
                assert await loader.load(3) == "user 3"
        assert list(written(path)["load_users"]) == ["1"]
        assert list(written(path.with_name("inner.json"))["load_users"]) == ["3"]

    asyncio.run(law())
