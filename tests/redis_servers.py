"""Redis servers of the tests' own, on free ports: started, stopped, killed, filled, and started again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

SERVER = shutil.which("redis-server") or shutil.which("valkey-server")


class Server:
    """One server, without a disk."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self, *options: str) -> None:
        """Start it, empty, and wait until it listens."""
        memory = ("--save", "", "--appendonly", "no")
        self._run("--port", str(self.port), "--bind", "127.0.0.1", *memory, *options)

    def _run(self, *arguments: str) -> None:
        assert SERVER is not None
        self._process = subprocess.Popen([SERVER, *arguments], stdout=subprocess.DEVNULL)
        while True:
            with socket.socket() as tried:
                if not tried.connect_ex(("127.0.0.1", self.port)):
                    return
            if self._process.poll() is not None:
                raise RuntimeError("redis-server has ended")

    def stop(self) -> None:
        """Let it listen and answer nothing."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it answer again."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, with all that it has."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def serving() -> Iterator[Server]:
    """A server for a test."""
    if SERVER is None:
        pytest.skip("needs a server: redis-server")
    server = Server()
    server.start()
    try:
        yield server
    finally:
        server.kill()


class Sentinel(Server):
    """One that watches a server, and has a replica take its place: alone it is a majority."""

    def __init__(self, folder: Path, master: Server) -> None:
        super().__init__()
        self._file = folder / "sentinel.conf"  # it writes into it what it learns
        self._file.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {folder}\n"
            f"sentinel monitor main 127.0.0.1 {master.port} 1\n"
            "sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 5000\n"
        )

    def start(self, *options: str) -> None:
        """Start it, and wait until it listens."""
        self._run(str(self._file), "--sentinel", *options)


class SentinelSet:
    """A server, its replica, and who watches them."""

    def __init__(self, folder: Path) -> None:
        self.master, self.replica = Server(), Server()
        self._folder = folder
        self._sentinel = Sentinel(folder, self.master)
        self.address = "127.0.0.1", self._sentinel.port
        """Of who knows which one is the master of ``main``."""

    def start(self) -> None:
        """Start all of them; the replica may be at its first copy still."""
        self.master.start("--repl-diskless-sync-delay", "0", "--dir", str(self._folder))
        self.replica.start("--replicaof", "127.0.0.1", str(self.master.port), "--dir", str(self._folder))
        self._sentinel.start()

    def kill(self) -> None:
        """End all of them."""
        for each in (self._sentinel, self.replica, self.master):
            each.kill()


def serving_set(folder: Path) -> Iterator[SentinelSet]:
    """A set of servers for a test."""
    if SERVER is None:
        pytest.skip("needs a server: redis-server")
    found = SentinelSet(folder)
    try:
        found.start()
        yield found
    finally:
        found.kill()
