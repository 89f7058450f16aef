"""Store cases: batches of keys that Redis has, or has not, beside the caches and beside a client used by hand.

The server is one of its own, in memory, on a free port. Each run has a client of its own, which has asked once before
it is measured. Round trips are what the client sends: a pipeline is one.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import Any

from benchmarks.harness.case import Case, Settings, Target, Timed, Way
from benchmarks.peers import packages as peers

OURS, HAND, CASHEWS, AIOCACHE = "dloader", "by hand, MGET and JSON", "cashews", "aiocache"


def cases(settings: Settings) -> Iterator[Case]:
    """Hits and misses, where there are a server and its client."""
    server = shutil.which("redis-server") or shutil.which("valkey-server")
    if server is None:
        peers.missing["Redis"] = "needs a server: redis-server"
    if server is None or not (peers.load("redis") and peers.load("dloader.redis")):
        return
    for keys in settings.stored:
        for name, is_miss in (("found", False), ("missing", True)):
            yield _case(server, settings, keys, name, is_miss)


def _case(server: str, settings: Settings, keys: int, name: str, is_miss: bool) -> Case:
    address: dict[str, str] = {}
    times = max(1, settings.times(keys) // 5)  # short runs, of which some meet a calm moment
    ways = [Way(way, partial(_ask, address, opened, keys, times, is_miss)) for way, opened in _ways()]
    targets, around = list(_targets(ways, is_miss)), partial(_serving, server, address)
    return Case("store", f"{keys:,} keys, {name}", keys, "key", ways, targets, around=around)


def _targets(ways: list[Way], is_miss: bool) -> Iterator[Target]:
    """A batch is one round trip, and writing it another; registry, loader and store may cost once more and a half."""
    yield Target(OURS, (HAND,), 1.0, of="round trips")
    if any(way.name == CASHEWS for way in ways):
        yield Target(OURS, (CASHEWS,), 1.0, of="cpu")
    if not is_miss:
        yield Target(OURS, (HAND,), 2.5, of="cpu")


def _ways() -> Iterator[tuple[str, Any]]:
    from benchmarks.suites.store import ways

    yield OURS, ways.ours
    yield HAND, ways.by_hand
    if peers.load("cashews"):
        yield CASHEWS, ways.with_cashews
    if peers.load("aiocache"):
        yield AIOCACHE, ways.with_aiocache


@contextmanager
def _serving(server: str, address: dict[str, str]) -> Iterator[None]:
    """A server, for as long as a case is measured."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [server, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            while process.poll() is None:
                with socket.socket() as tried:
                    if not tried.connect_ex(("127.0.0.1", port)):
                        break
            address["url"] = f"redis://127.0.0.1:{port}"
            yield
        finally:
            process.kill()


_fresh = count(1)
"""Each run that is to miss asks for keys that nobody has asked for: from the next million on."""


async def _ask(address: dict[str, str], opened: Any, keys: int, times: int, is_miss: bool, _: None) -> Timed:
    """Ask for so many batches one after the other, once everything is warm."""
    from benchmarks.suites.store.ways import user

    first = next(_fresh) * 1_000_000 if is_miss else 0
    batches = [range(first + n * keys, first + (n + 1) * keys) for n in range(times + 2)]
    if not is_miss:
        batches = batches[:1] * (times + 2)
    async with opened(address["url"]) as ask:
        await ask(
            batches.pop()
        )  # opens the connection, teaches the server its scripts, and fills what is to be found
        with _counted() as sent:
            await ask(batches.pop())
        cpu, begun = time.process_time(), time.perf_counter()
        for batch in batches:
            output = await ask(batch)
        seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    found = [(each.id - batch.start, each == user(each.id)) for each in output]
    return Timed(found, seconds / times, {"round trips": len(sent)}, cpu / times)


@contextmanager
def _counted() -> Iterator[list[None]]:
    """What all clients of redis-py send meanwhile."""
    from redis.asyncio.connection import AbstractConnection

    sent: list[None] = []
    send = AbstractConnection.send_packed_command

    async def noting(self: Any, *arguments: Any, **options: Any) -> None:
        sent.append(None)
        await send(self, *arguments, **options)

    AbstractConnection.send_packed_command = noting
    try:
        yield sent
    finally:
        AbstractConnection.send_packed_command = send
