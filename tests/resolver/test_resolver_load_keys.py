"""Where the key of a `Load` comes from."""

from __future__ import annotations

import asyncio
from typing import Annotated

import pytest
from pydantic import BaseModel

from dloader import DataLoader, PlanError
from dloader.resolver import Load, LoaderDepend, Resolver


class Names(DataLoader[int, str]):
    async def batch_load_fn(self, keys: list[int]) -> list[str]:
        return [f"name {key}" for key in keys]


class Successors(DataLoader[int, int]):
    async def batch_load_fn(self, keys: list[int]) -> list[int]:
        return [key + 1 for key in keys]


class Strict(DataLoader[int, str]):
    needed: str

    async def batch_load_fn(self, keys: list[int]) -> list[str]:
        raise AssertionError(keys)


class TestKeysOfLoad:
    def test_a_key_that_a_method_fills_is_waited_for(self, run):
        """The key is read after `resolve_` has filled it, be it slow."""

        class Row(BaseModel):
            id: int
            key: int = 0
            name: Annotated[str, Load(Names, by="key")] = ""

            async def resolve_key(self) -> int:
                await asyncio.sleep(0)
                return self.id * 10

        async def law():
            rows = await Resolver().resolve([Row(id=1), Row(id=2)])
            assert [row.name for row in rows] == ["name 10", "name 20"]

        run(law)

    def test_keys_may_be_loaded_one_from_the_other(self, run):
        """A chain of loads is followed in its order, not in that of the fields."""

        class Row(BaseModel):
            id: int
            name: Annotated[str, Load(Names, by="third")] = ""
            third: Annotated[int, Load(Successors, by="second")] = 0
            second: int = 0

            def resolve_second(self, loader=LoaderDepend(Successors)):
                return loader.load(self.id)

        async def law():
            assert (await Resolver().resolve(Row(id=1))).name == "name 3"

        run(law)

    def test_keys_that_need_each_other_are_a_problem_of_the_plan(self, run):
        """A circle of keys, or a key that only a post computes, is reported before anything is loaded."""

        class Row(BaseModel):
            a: Annotated[int, Load(Successors, by="b")] = 0
            b: Annotated[int, Load(Successors, by="a")] = 0
            own: Annotated[int, Load(Successors, by="own")] = 0
            late: int = 0
            name: Annotated[str, Load(Names, by="late")] = ""

            def post_late(self) -> int:
                return 1

        async def law():
            with pytest.raises(PlanError) as caught:
                await Resolver().resolve(Row())
            text = str(caught.value)
            assert len(caught.value.problems) == 4
            assert "Row.a: Load(by='b') needs a key that is itself loaded by 'a'" in text
            assert "Row.own: Load(by='own') needs a key that is itself loaded by 'own'" in text
            assert "Row.name: Load(by='late') needs the key before post_late computes it" in text

        run(law)

    def test_a_loader_without_keys_is_not_made(self, run):
        """Null keys load nothing, so the loader's parameters are not needed, and nothing below hangs."""

        class Row(BaseModel):
            key: int | None = None
            name: Annotated[str, Load(Strict, by="key")] = "kept"

        async def law():
            resolver = Resolver()
            rows = await resolver.resolve([Row(), Row()])
            assert [row.name for row in rows] == ["kept", "kept"]
            assert dict(resolver.loader_instance_cache) == {}

        run(law)
