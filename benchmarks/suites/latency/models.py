"""Models whose loaders take real time, for dloader and for pydantic-resolve.

No ``from __future__ import annotations`` here: the classes are local to functions.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from benchmarks.peers.libraries import Library

KIDS = 3


class Slow:
    """A batch function that waits before it answers, and counts its calls."""

    def __init__(self, name: str, seconds: float, calls: "Counter[str]") -> None:
        self.name = name
        self.seconds = seconds
        self.calls = calls

    async def __call__(self, keys: list[int]) -> list[Any]:
        self.calls[self.name] += 1
        await asyncio.sleep(self.seconds)
        return [self.answer(key) for key in keys]

    def answer(self, key: int) -> Any:
        """A text, three nodes below the key, or two nodes for a branch that meets another."""
        if self.name in ("report", "tags", "owner"):
            return f"{self.name} of {key}"
        if self.name in ("quick", "slow"):
            first = 10 if self.name == "quick" else 20
            return [{"id": id} for id in range(first, first + KIDS)]
        return [{"id": key * 10 + number} for number in range(KIDS)]


def _loader(lib: Library, slow: Slow) -> Any:
    class Loader(lib.DataLoader):
        async def batch_load_fn(self, keys):
            return await slow(keys)

    Loader.__name__ = Loader.__qualname__ = f"Loader_{slow.name}"  # pydantic-resolve goes by the name
    return Loader


def skewed(lib: Library, slow: Mapping[str, Slow]) -> Any:
    """A root with a slow report and, beside it, four levels of kids."""
    Report, A, B, C, D = (_loader(lib, slow[name]) for name in ("report", "a", "b", "c", "d"))

    class Level4(BaseModel):
        id: int

    class Level3(BaseModel):
        id: int
        kids: list[Level4] = []

        def resolve_kids(self, loader=lib.Depends(D)):
            return loader.load(self.id)

    class Level2(BaseModel):
        id: int
        kids: list[Level3] = []

        def resolve_kids(self, loader=lib.Depends(C)):
            return loader.load(self.id)

    class Level1(BaseModel):
        id: int
        kids: list[Level2] = []

        def resolve_kids(self, loader=lib.Depends(B)):
            return loader.load(self.id)

    class SkewedRoot(BaseModel):
        id: int
        report: str = ""
        kids: list[Level1] = []

        def resolve_report(self, loader=lib.Depends(Report)):
            return loader.load(self.id)

        def resolve_kids(self, loader=lib.Depends(A)):
            return loader.load(self.id)

    return SkewedRoot


def meeting(lib: Library, slow: Mapping[str, Slow]) -> Any:
    """A root with a quick and a slow branch; the nodes of both need an owner, the quick ones tags too."""
    QuickOnes, SlowOnes, Tags, Owner = (
        _loader(lib, slow[name]) for name in ("quick", "slow", "tags", "owner")
    )

    class QuickNode(BaseModel):
        id: int
        owner: str | None = None
        tags: str | None = None

        def resolve_owner(self, loader=lib.Depends(Owner)):
            return loader.load(self.id)

        def resolve_tags(self, loader=lib.Depends(Tags)):
            return loader.load(self.id)

    class SlowNode(BaseModel):
        id: int
        owner: str | None = None

        def resolve_owner(self, loader=lib.Depends(Owner)):
            return loader.load(self.id)

    class MeetingRoot(BaseModel):
        id: int
        quick: list[QuickNode] = []
        slow: list[SlowNode] = []

        def resolve_quick(self, loader=lib.Depends(QuickOnes)):
            return loader.load(self.id)

        def resolve_slow(self, loader=lib.Depends(SlowOnes)):
            return loader.load(self.id)

    return MeetingRoot
