"""How long the event loop gets no turn while a large batch completes.

The floor completes as many bare futures in one callback. The longest turn of a run is what is measured; the
least of all runs is what the batch needs, and not what else the machine was doing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from dloader import DataLoader

from benchmarks.harness.case import Case, Settings, Target, Timed, Way
from benchmarks.suites.loader.cases import FUTURES, OURS

Futures = list["asyncio.Future[int]"]
Fetch = Callable[[list[int]], Awaitable[list[int]]]
Start = Callable[[Fetch, list[int]], Futures]
"""Begins to load some keys; the answers come out of the `Fetch`."""

_held: set[asyncio.Task[None]] = set()
"""The loop holds its tasks weakly."""
QUIET = 5
"""Turns between the moment that the answers are there and the moment that the batch function returns them."""


def cases(settings: Settings) -> Iterator[Case]:
    """Futures that nobody awaits yet, so that completing them is all there is; and futures in a gather."""
    count = settings.nodes * 10
    for gathered, how in ((False, "no caller waits yet"), (True, "callers wait in a gather")):
        ways = [
            Way(name, partial(_longest_turn, start, gathered), lambda: _keys(count))
            for name, start in _starts().items()
        ]
        name = f"the longest turn while a batch of {count:,} completes, {how}"
        yield Case("latency", name, 1, "batch", ways, [Target(OURS, (FUTURES,), 1.0)])


def _keys(count: int) -> list[int]:
    return [1_000_000 + number for number in range(count)]


def _starts() -> dict[str, Start]:
    def with_loader(fetch: Fetch, keys: list[int]) -> Futures:
        loader = DataLoader(fetch)
        return [loader.load(key) for key in keys]

    return {OURS: with_loader, FUTURES: _bare_futures}


def _bare_futures(fetch: Fetch, keys: list[int]) -> Futures:
    """All completed in one turn by a task that calls the batch function."""
    loop = asyncio.get_running_loop()
    futures: Futures = [loop.create_future() for _ in keys]

    async def complete() -> None:
        for future, answer in zip(futures, await fetch(keys), strict=True):
            future.set_result(answer)

    _held.add(task := asyncio.create_task(complete()))
    task.add_done_callback(_held.discard)
    return futures


async def _longest_turn(start: Start, gathered: bool, keys: list[int]) -> Timed:
    arrived = asyncio.Event()

    async def fetch(asked: list[int]) -> list[int]:
        answers = [key + 1 for key in asked]
        arrived.set()
        for _ in range(QUIET):
            await asyncio.sleep(0)
        return answers

    futures = start(fetch, keys)
    waiting = asyncio.gather(*futures) if gathered else futures[-1]
    await arrived.wait()
    longest, before = 0.0, time.perf_counter()
    while not waiting.done():
        await asyncio.sleep(0)
        now = time.perf_counter()
        longest, before = max(longest, now - before), now
    return Timed([future.result() for future in futures], longest)
