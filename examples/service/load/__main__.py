"""Serve the shop from processes of its own, send it clients, take its servers away, and say what was seen."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import redis.asyncio
from sqlalchemy import URL, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from examples.service.load.clients import MIXED, Client, Outages, Report
from examples.service.load.truth import Truth

ROOT = Path(__file__).parents[3]


class Behind:
    """A server behind a proxy."""

    def __init__(self, port: int) -> None:
        line = [sys.executable, "-m", "examples.service.load.proxy", str(port)]
        self._process = subprocess.Popen(
            line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def tell(self, word: str) -> None:
        """``away`` or ``back``."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()

    async def away(self, seconds: float, periods: list[list[float]]) -> None:
        """Take it away for a while."""
        period = [time.monotonic(), float("inf")]
        periods.append(period)
        self.tell("away")
        await asyncio.sleep(seconds)
        self.tell("back")
        period[1] = time.monotonic()

    def close(self) -> None:
        self._process.terminate()
        self._process.communicate()


@asynccontextmanager
async def new_database(url: URL) -> AsyncIterator[URL]:
    """A database of our own, dropped afterwards."""
    name = f"shop_{uuid4().hex[:12]}"
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            await connection.execute(text(f"CREATE DATABASE {name}"))
        yield url.set(database=name)
        async with engine.connect() as connection:
            await connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    finally:
        await engine.dispose()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Processes:
    """The service's processes."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def numbers(self) -> list[int]:
        """The process that was started, and its children."""
        mine = str(self._process.pid)
        parents = {path.parent.name: stat(path)[1] for path in Path("/proc").glob("[0-9]*/stat")}
        return [int(number) for number, parent in parents.items() if mine in (number, parent)]

    def seconds(self) -> float:
        """CPU time that they have used."""
        ticks = 0
        for number in self.numbers():
            values = stat(Path(f"/proc/{number}/stat"))
            ticks += int(values[11]) + int(values[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def megabytes(self) -> float:
        """Memory of the largest."""
        return max(
            int(match[1]) / 1024
            for number in self.numbers()
            if (match := re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{number}/status").read_text()))
        )


def stat(path: Path) -> list[str]:
    """The fields of /proc/N/stat after the name; none of a process that has ended."""
    try:
        return path.read_text().rpartition(")")[2].split()
    except OSError:
        return ["", "", *["0"] * 20]


@contextmanager
def serving(workers: int, database: URL, redis_url: str) -> Iterator[tuple[str, Processes]]:
    """The service, in processes of its own."""
    port = free_port()
    line = [sys.executable, "-m", "examples.service", f"--port={port}", f"--workers={workers}"]
    env = {
        "DATABASE_URL": database.render_as_string(hide_password=False),
        "REDIS_URL": redis_url,
        "TRACE": "none",
        "POOL_SIZE": str(max(5, 40 // workers)),
    }
    process = subprocess.Popen(
        line, cwd=ROOT, env={**os.environ, **env}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield f"http://127.0.0.1:{port}", Processes(process)
    finally:
        process.terminate()
        process.wait(30)


async def ready(http: httpx.AsyncClient) -> None:
    """Wait until the service answers."""
    for _ in range(600):
        try:
            await http.get("/albums", params={"first": 1}, headers={"tenant": "3"})
        except httpx.TransportError:
            await asyncio.sleep(0.1)
        else:
            return
    raise SystemExit("the service does not answer")


async def run(
    options: argparse.Namespace, workers: int, kinds: dict[str, int], seconds: float, outages: bool
) -> bool:
    """Serve, ask, and print one line; return whether all was right."""
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(new_database(make_url(options.postgresql)))
        redis_url = options.redis
        cuts = Outages()
        if outages:
            behind = Behind(database.port or 5432)
            stack.callback(behind.close)
            database = database.set(host="127.0.0.1", port=behind.port)
            there = re.search(r":(\d+)", options.redis)
            cache = Behind(int(there[1]) if there else 6379)
            stack.callback(cache.close)
            redis_url = f"redis://127.0.0.1:{cache.port}/{options.redis.rpartition('/')[2]}"
        async with redis.asyncio.from_url(options.redis) as client:
            await client.flushdb()
        url, processes = stack.enter_context(serving(workers, database, redis_url))
        most = options.clients
        limits = httpx.Limits(max_connections=most, max_keepalive_connections=most, keepalive_expiry=30)
        http = await stack.enter_async_context(
            httpx.AsyncClient(base_url=url, limits=limits, timeout=60, trust_env=False)
        )
        await ready(http)
        truth, report = Truth(), Report()
        clients = [Client(http, truth, report, cuts, number) for number in range(options.clients)]
        start, used, memory = time.monotonic(), processes.seconds(), []

        async def disturb() -> None:
            await asyncio.sleep(seconds * 0.25)
            memory.append(processes.megabytes())
            if outages:
                await cache.away(seconds * 0.1, cuts.redis)
                await asyncio.sleep(seconds * 0.15)
                await behind.away(seconds * 0.05, cuts.database)

        await asyncio.gather(disturb(), *(client.run(start + seconds, kinds) for client in clients))
        took, used = time.monotonic() - start, processes.seconds() - used
        memory.append(processes.megabytes())
    tell(report, workers, kinds, took, used, memory)
    return not report.wrong


def tell(
    report: Report, workers: int, kinds: dict[str, int], took: float, used: float, memory: list[float]
) -> None:
    """Print what was seen."""
    times = sorted(report.seconds)
    p50, p99 = statistics.median(times), times[int(len(times) * 0.99)]
    what = "mixed" if len(kinds) > 1 else next(iter(kinds))
    print(
        f"{what}, {workers} process{'es'[: 2 * (workers > 1)]}: {len(times):,} requests in {took:.0f} s, "
        f"{len(times) / took:.0f} a second; p50 {1e3 * p50:.0f} ms, p99 {1e3 * p99:.0f} ms; "
        f"CPU {1e3 * used / len(times):.1f} ms a request; memory {memory[0]:.0f} then {memory[-1]:.0f} MB"
    )
    print(
        f"  {report.sales:,} purchases, {report.names:,} new names; {report.errors:,} errors while a server was away; "
        f"{len(report.wrong)} wrong answers"
    )
    for kind, statements in sorted(report.statements.items()):
        print(f"  {kind}: {min(statements)} to {max(statements)} statements, whatever the page size")
    for wrong in report.wrong[:10]:
        print(f"  WRONG {wrong}")
    sys.stdout.flush()


async def run_all(options: argparse.Namespace) -> int:
    right = True
    if options.only != "compare":
        for workers in options.workers:
            right &= await run(options, workers, MIXED, options.seconds, outages=True)
    if options.only != "mixed":
        for kind in ("customers", "customers_by_selectinload"):
            right &= await run(options, 1, {kind: 1}, options.seconds / 3, outages=False)
    return 0 if right else 1


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m examples.service.load",
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each run")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4], help="processes of the service")
    parser.add_argument("--only", choices=["mixed", "compare"], help="one half of it")
    parser.add_argument(
        "--postgresql",
        default="postgresql+asyncpg://root@127.0.0.1:5432/test",
        help="where databases are made",
    )
    parser.add_argument(
        "--redis", default="redis://127.0.0.1:6379/15", help="a database that is emptied first"
    )
    return asyncio.run(run_all(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
