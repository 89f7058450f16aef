"""Trees without an end, and trees that are only large."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import pytest
from loops import LoopRunner
from pydantic import BaseModel

import dloader
from dloader import DataLoader, EndlessTreeError
from dloader.resolver import Load, Resolver


class People(DataLoader[int, dict[str, int]]):
    """Two rows that are each other's friend."""

    async def batch_load_fn(self, keys: list[int]) -> list[dict[str, int]]:
        return [{"id": key, "friend_id": 3 - key} for key in keys]


class Person(BaseModel):
    id: int
    friend_id: int
    friend: Annotated[Person | None, Load(People, by="friend_id")] = None


class Doll(BaseModel):
    level: int = 0
    inner: Doll | None = None

    def resolve_inner(self) -> Doll:
        return Doll(level=self.level + 1)


Person.model_rebuild()
Doll.model_rebuild()


class TestTreesWithoutEnd:
    @pytest.mark.parametrize("root", [lambda: Person(id=1, friend_id=2), Doll], ids=["rows", "methods"])
    def test_a_tree_without_end_is_a_clear_error(self, run, root):
        """Rows, or methods, that lead on for ever are named when the tree is deeper than any real one."""

        async def law():
            with pytest.raises(
                EndlessTreeError, match=r"(Person\.friend|Doll\.inner): the tree is more than 10,000 levels"
            ):
                await Resolver().resolve(root())

        if run.kind == "debug":
            pytest.skip("ten thousand levels take long in debug mode")
        run(law)

    @pytest.mark.parametrize("root", [lambda: Person(id=1, friend_id=2), Doll], ids=["rows", "methods"])
    def test_others_get_their_turn_meanwhile(self, run, root):
        """A resolve that has nothing to wait for can be cancelled all the same."""

        async def law():
            task = asyncio.ensure_future(Resolver().resolve(root()))
            for _ in range(3):
                await asyncio.sleep(0)
            assert not task.done()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        run(law)


class TestLargeTrees:
    def test_held_steps_of_many_levels_are_looked_at_a_few_times_each(self):
        """A tree whose every node loads: twice as many levels take twice the calls inside dloader."""

        class Names(DataLoader[int, dict[str, int]]):
            async def batch_load_fn(self, keys: list[int]) -> list[dict[str, int]]:
                return [{"level": key} for key in keys]

        class Leaf(BaseModel):
            level: int
            other: Annotated[int, Load(Levels, by="level")] = 0

        class Node(BaseModel):
            level: int
            below: Node | None = None
            leaf: Annotated[Leaf | None, Load(Names, by="level")] = None

        async def resolve(levels: int) -> None:
            root = None
            for level in range(levels):
                root = Node.model_construct(level=level, below=root, leaf=None)
            assert root is not None
            await Resolver().resolve(root)
            assert root.leaf is not None
            assert root.leaf.other == levels - 1

        calls_of(resolve, 10)
        assert calls_of(resolve, 1000) < 2.2 * calls_of(resolve, 500)


def calls_of(program, size: int) -> int:
    """How many functions of dloader a program calls."""
    calls = 0

    def count(frame, event, _):
        nonlocal calls
        calls += event == "call" and frame.f_code.co_filename.startswith(dloader.__path__[0])

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        LoopRunner("asyncio")(program, size)
    finally:
        sys.setprofile(before)
    return calls


class Levels(DataLoader[int, int]):
    async def batch_load_fn(self, keys: list[int]) -> list[int]:
        return keys
