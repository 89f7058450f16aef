"""The floors of the loader cases: the cheapest things that could do the same, without any loader."""

from __future__ import annotations

import asyncio
from typing import Any

from benchmarks.suites.loader.asking import fetch


async def bare_futures(keys: list[int]) -> Any:
    """A future per key, and one callback that completes them all."""
    loop = asyncio.get_running_loop()
    futures = [loop.create_future() for _ in keys]
    answers = await fetch(keys)

    def complete() -> None:
        for future, answer in zip(futures, answers, strict=True):
            future.set_result(answer)

    loop.call_soon(complete)
    return await asyncio.gather(*futures)


async def few_bare_futures(keys: list[int]) -> Any:
    """The same for keys that repeat: a future per load, an answer per key."""
    loop = asyncio.get_running_loop()
    futures = [loop.create_future() for _ in keys]
    unique = list(dict.fromkeys(keys))
    found = dict(zip(unique, await fetch(unique), strict=True))

    def complete() -> None:
        for future, key in zip(futures, keys, strict=True):
            future.set_result(found[key])

    loop.call_soon(complete)
    return await asyncio.gather(*futures)


async def bare_tasks(keys: list[int]) -> Any:
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

    return await asyncio.gather(*[asyncio.create_task(caller()) for _ in keys])


async def bare_tasks_of_one(keys: list[int]) -> Any:
    """A task per key, each of which calls the batch function for that key alone."""

    async def one(key: int) -> int:
        return (await fetch([key]))[0]

    return await asyncio.gather(*[asyncio.create_task(one(key)) for key in keys])


async def bare_futures_in_turn(keys: list[int]) -> Any:
    """A future at a time, each completed in the next turn of the loop."""
    loop = asyncio.get_running_loop()
    found: list[int] = []
    for key in keys:
        future: asyncio.Future[int] = loop.create_future()
        loop.call_soon(future.set_result, (await fetch([key]))[0])
        found.append(await future)
    return found


async def one_dict(keys: list[int]) -> Any:
    """One dict from keys to answers, and the answers in the order of the keys."""
    unique = list(dict.fromkeys(keys))
    found = dict(zip(unique, await fetch(unique), strict=True))
    return [found[key] for key in keys]


class FilledDict:
    """The least that a cache of values can do for a set: read it."""

    def __init__(self) -> None:
        self._found: dict[int, int] = {}

    async def load_many(self, keys: list[int]) -> Any:
        if not self._found:
            self._found.update(zip(keys, await fetch(keys), strict=True))
        return [self._found[key] for key in keys]


class NewFutures(FilledDict):
    """The least that a cache of values can do for one key: a new future, already done."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()

    def load(self, key: int) -> asyncio.Future[int]:
        future: asyncio.Future[int] = self._loop.create_future()
        future.set_result(self._found[key])
        return future


class SharedFutures(NewFutures):
    """The least that a cache of futures can do. Safe to share, as nobody can cancel a future that is done."""

    async def load_many(self, keys: list[int]) -> Any:
        answers = await super().load_many(keys)
        self._futures = {key: super(SharedFutures, self).load(key) for key in keys}
        return answers

    def load(self, key: int) -> asyncio.Future[int]:
        return self._futures[key]
