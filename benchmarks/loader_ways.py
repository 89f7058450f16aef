"""What the loader shapes do with a loader, and the floors: the cheapest things that could do the same."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from benchmarks.shape import Timed

__all__ = (
    "NewFutures",
    "SharedFutures",
    "as_a_set",
    "bare_futures",
    "bare_tasks",
    "cached",
    "fetch",
    "gathered",
    "in_tasks",
    "one_after_another",
    "one_dict",
)


async def fetch(keys: list[int]) -> list[int]:
    """The batch function of all loaders and floors: next to no work."""
    return [key + 1 for key in keys]


# -- what is done with a loader ------------------------------------------------------------------------------


async def gathered(loader: Any, keys: list[int]) -> list[int]:
    return list(await asyncio.gather(*[loader.load(key) for key in keys]))


async def in_tasks(loader: Any, keys: list[int]) -> list[int]:
    async def caller(key: int) -> int:
        return await loader.load(key)

    return list(await asyncio.gather(*[asyncio.create_task(caller(key)) for key in keys]))


async def as_a_set(loader: Any, keys: list[int]) -> list[int]:
    return list(await loader.load_many(keys))


async def one_after_another(loader: Any, keys: list[int]) -> list[int]:
    return [await loader.load(key) for key in keys]


def cached(ask: Callable[[Any, list[int]], Any]) -> Callable[[Any, list[int]], Any]:
    """Time only what is asked when everything is cached."""

    async def warm(loader: Any, keys: list[int]) -> Timed:
        await as_a_set(loader, keys)
        begun = time.perf_counter()
        output = await ask(loader, keys)
        return Timed(output, time.perf_counter() - begun)

    return warm


# -- the floors ----------------------------------------------------------------------------------------------


async def bare_futures(keys: list[int]) -> list[int]:
    """A future per key, and one callback that completes them all."""
    loop = asyncio.get_running_loop()
    futures = [loop.create_future() for _ in keys]
    answers = await fetch(keys)

    def complete() -> None:
        for future, answer in zip(futures, answers, strict=True):
            future.set_result(answer)

    loop.call_soon(complete)
    return list(await asyncio.gather(*futures))


async def bare_tasks(keys: list[int]) -> list[int]:
    """A task per key, each of which awaits a bare future."""
    loop = asyncio.get_running_loop()
    futures: list[asyncio.Future[int]] = []
    answers = await fetch(keys)

    def complete() -> None:
        for future, answer in zip(futures, answers, strict=True):
            future.set_result(answer)

    async def caller() -> int:
        if not futures:
            loop.call_soon(complete)
        futures.append(future := loop.create_future())
        return await future

    return list(await asyncio.gather(*[asyncio.create_task(caller()) for _ in keys]))


async def one_dict(keys: list[int]) -> list[int]:
    """One dict from keys to answers, and the answers in the order of the keys."""
    unique = list(dict.fromkeys(keys))
    found = dict(zip(unique, await fetch(unique), strict=True))
    return [found[key] for key in keys]


class NewFutures:
    """The least that a cache of values can do: a new future for each hit, already done."""

    def __init__(self) -> None:
        self._found: dict[int, int] = {}
        self._loop = asyncio.get_running_loop()

    async def load_many(self, keys: list[int]) -> list[int]:
        self._found.update(zip(keys, answers := await fetch(keys), strict=True))
        return answers

    def load(self, key: int) -> asyncio.Future[int]:
        future: asyncio.Future[int] = self._loop.create_future()
        future.set_result(self._found[key])
        return future


class SharedFutures(NewFutures):
    """The least that a cache of futures can do. Safe to share, as nobody can cancel a future that is done."""

    async def load_many(self, keys: list[int]) -> list[int]:
        answers = await super().load_many(keys)
        self._futures = {key: NewFutures.load(self, key) for key in keys}
        return answers

    def load(self, key: int) -> asyncio.Future[int]:
        return self._futures[key]
