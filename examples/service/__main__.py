"""Fill the database where it is empty, and serve."""

from __future__ import annotations

import argparse
import asyncio
import os

import uvicorn


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m examples.service",
        description="A music shop by REST and GraphQL. The environment says where: DATABASE_URL, REDIS_URL, TRACE.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    os.environ.setdefault("TRACE", "pages" if options.workers == 1 and options.host == "127.0.0.1" else "")
    from examples.service import models, settings  # noqa: PLC0415 - they read the environment

    async def fill() -> None:
        await models.fill(settings.engine)
        await settings.engine.dispose()

    asyncio.run(fill())
    uvicorn.run(
        "examples.service.app:app",
        host=options.host,
        port=options.port,
        workers=options.workers,
        timeout_keep_alive=75,  # longer than clients keep a connection: else one may send when it has just been closed
    )


if __name__ == "__main__":
    main()
