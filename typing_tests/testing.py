"""What type checkers infer of the testing kit, and refuse."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import assert_type

from hypothesis import strategies as st

from dloader import DataLoader
from dloader.testing import assert_scales, batch_budget, check_batch_function, exactly, recorded
from dloader.trace import Trace


class UserLoader(DataLoader[int, str]):
    async def batch_load_fn(self, keys: list[int]) -> list[str]:
        return [str(key) for key in keys]


async def load_users(keys: list[int]) -> Sequence[str]:
    return [str(key) for key in keys]


async def budgets() -> None:
    async with batch_budget(
        rounds=3, batches=exactly(5), per_loader={UserLoader: 1, "x": exactly(2)}
    ) as trace:
        assert_type(trace, Trace)
    with batch_budget(findings=None) as trace:
        assert_type(trace.summary(), dict[str, list[int]])
    batch_budget(rounds="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    batch_budget(3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def handler(page_size: int) -> list[str]:
    return await UserLoader().load_many(range(page_size))


async def scales() -> None:
    await assert_scales(lambda n: handler(page_size=n), sizes=(5, 40))
    await assert_scales(handler)
    await assert_scales(lambda n: n)  # type: ignore[arg-type, return-value]  # pyright: ignore[reportArgumentType]


def contracts() -> None:
    check_batch_function(load_users, st.integers(1, 500))
    check_batch_function(UserLoader, [1, 2])
    check_batch_function(UserLoader(), [1, 2], same=lambda one, other: one.lower() == other.lower())
    check_batch_function(load_users, ["a"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def recordings() -> None:
    with recorded("feed.json"):
        pass
    async with recorded(Path("feed.json")):
        pass
    recorded(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
