"""A proxy before a database, that holds back what the server says, or cuts connections in the middle of it."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Self

from sqlalchemy import URL, make_url

__all__ = ("Proxy",)


class Proxy:
    """Listens on a port of its own, in the event loop of the test; `url` is the database's through it."""

    def __init__(self, url: str) -> None:
        self._to = make_url(url)
        self._tasks: set[asyncio.Task[None] | None] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._left: int | None = None
        self._may_pass = asyncio.Event()
        self._may_pass.set()
        self.has_held = asyncio.Event()
        self.refuses = False

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()
        self._server.close()
        self.cut()
        await self._server.wait_closed()
        while asyncio.all_tasks() & self._tasks:
            await asyncio.sleep(0)

    @property
    def url(self) -> URL:
        """Where the proxy is."""
        return self._to.set(host="127.0.0.1", port=self._server.sockets[0].getsockname()[1])

    def hold_after(self, count: int) -> None:
        """Let so many of the server's messages pass, and none from then on."""
        self._left = count
        self.has_held.clear()

    def release(self) -> None:
        """Let all pass again."""
        self._left = None
        self._may_pass.set()

    def cut(self) -> None:
        """End all connections, without a word."""
        for writer in self._writers:
            writer.transport.abort()
        self._may_pass.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.current_task())
        if self.refuses:
            writer.transport.abort()
            return
        there = await asyncio.open_connection(self._to.host, self._to.port)
        ends = {writer, there[1]}
        self._writers |= ends
        with contextlib.suppress(OSError):
            ways = (self._pass(reader, there[1], is_held=False), self._pass(there[0], writer, is_held=True))
            await asyncio.gather(*ways)
        for each in ends:
            each.transport.abort()
        self._writers -= ends

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_held: bool) -> None:
        with contextlib.suppress(OSError):
            while said := await reader.read(65536):
                if is_held and self._left is not None:
                    self._left -= 1
                    if self._left < 0:
                        self._may_pass.clear()
                        self.has_held.set()
                        await self._may_pass.wait()
                writer.write(said)
                await writer.drain()
        writer.transport.abort()
