"""Dispatch policies. Read by the type checkers, never run."""

# mypy: disable-error-code="empty-body"

import asyncio
from typing import assert_type

from dloader import DataLoader, Dispatch, OpenBatch, delay, eager, manual, settle


async def load_users(keys: list[int]) -> list[str]: ...


def at_ten(batch: OpenBatch) -> None:
    """A policy is any callable that takes the batch which has just opened."""
    assert_type(batch.loop, asyncio.AbstractEventLoop)
    assert_type(batch.size, int)
    assert_type(batch.is_open, bool)
    if batch.is_open and batch.size < 10:
        batch.loop.call_soon(at_ten, batch)
    else:
        batch.close()


class Patient:
    def __init__(self, turns: int) -> None:
        self.turns = turns

    def __call__(self, batch: OpenBatch) -> asyncio.TimerHandle:
        return batch.loop.call_later(self.turns, batch.close)


policies: list[Dispatch] = [
    settle(),
    settle(3, quiet=2, most=9),
    eager(),
    delay(0.01),
    manual(),
    at_ten,
    Patient(3),
]

for policy in policies:
    assert_type(DataLoader(load_users, dispatch=policy), DataLoader[int, str])
assert_type(DataLoader(load_users, dispatch=settle(4)), DataLoader[int, str])
assert_type(DataLoader(load_users, dispatch=at_ten), DataLoader[int, str])
assert_type(DataLoader(load_users, dispatch=Patient(3)), DataLoader[int, str])
DataLoader(load_users, dispatch=lambda batch: batch.loop.call_soon(batch.close))


def of_no_batch() -> None: ...
def of_a_number(batch: int) -> None: ...


DataLoader(load_users, dispatch=of_no_batch)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
DataLoader(load_users, dispatch=of_a_number)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
DataLoader(load_users, dispatch="eager")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
DataLoader(load_users, dispatch=eager)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
delay("1s")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
settle(quiet=0.5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
