"""A server's port that can be taken away and given back: a process of its own, told by its standard input."""

from __future__ import annotations

import asyncio
import contextlib
import sys


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def main(port: int) -> None:
    """Print the own port; then read ``away`` and ``back``, a line each, until the input ends."""
    is_away = False
    writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if is_away:
            writer.transport.abort()
            return
        there, to = await asyncio.open_connection("127.0.0.1", port)
        writers.update((writer, to))
        await asyncio.gather(pipe(reader, to), pipe(there, writer))
        writers.difference_update((writer, to))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    loop = asyncio.get_running_loop()
    while line := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
        is_away = line == "away"
        if is_away:
            for writer in writers:
                writer.transport.abort()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
