"""What the loader cases do with a loader, whichever library it is from."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.harness.case import Timed

Ask = Callable[[Any, list[int]], Awaitable[Any]]
"""A way to ask a loader for keys."""


async def fetch(keys: list[int]) -> list[int]:
    """The batch function of all loaders and floors: next to no work."""
    return [key + 1 for key in keys]


async def gathered(loader: Any, keys: list[int]) -> Any:
    return await asyncio.gather(*[loader.load(key) for key in keys])


async def in_tasks(loader: Any, keys: list[int]) -> Any:
    async def caller(key: int) -> int:
        return await loader.load(key)

    return await asyncio.gather(*[asyncio.create_task(caller(key)) for key in keys])


async def as_a_set(loader: Any, keys: list[int]) -> Any:
    return await loader.load_many(keys)


async def one_after_another(loader: Any, keys: list[int]) -> Any:
    return [await loader.load(key) for key in keys]


async def made(loader: Any, _: list[int]) -> Any:
    """Nothing: making the loader is all that is measured."""
    return loader is not None


def warmed(warm: Ask, ask: Ask) -> Ask:
    """Fill the cache in one way, then ask in another; only the asking is timed."""

    async def timed(loader: Any, keys: list[int]) -> Timed:
        await warm(loader, keys)
        begun = time.perf_counter()
        output = await ask(loader, keys)
        return Timed(output, time.perf_counter() - begun)

    return timed
