"""A real uvicorn on a free port of this machine, in the loop of the test."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import uvicorn
from loops import HANG


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Serve an ASGI application over HTTP; gives a client for it, whose ``base_url`` has the port."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", ws="websockets-sansio"))
    serve = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started and not serve.done():
        await asyncio.sleep(0)
    if serve.done():
        serve.result()
        raise RuntimeError("uvicorn ended before it served")
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    try:
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=HANG) as client:
            yield client
    finally:
        server.should_exit = True
        await serve
