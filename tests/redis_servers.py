"""Redis servers of the tests' own, on free ports: started, stopped, killed, filled, and started again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator

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
        assert SERVER is not None
        command = [
            SERVER,
            "--port",
            str(self.port),
            "--save",
            "",
            "--appendonly",
            "no",
            "--bind",
            "127.0.0.1",
            *options,
        ]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
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
