"""A service that says nothing of traces: `opentelemetry-instrument` has its requests and batches traced.

    pip install "dloader[fastapi,opentelemetry]" uvicorn opentelemetry-distro opentelemetry-instrumentation-fastapi
    opentelemetry-instrument --traces_exporter console uvicorn --app-dir examples traced_service:app
    curl 'http://127.0.0.1:8000/squares?of=2&of=3'

docs/opentelemetry.md has the command with all that it prints.
"""

import asyncio
from typing import Annotated

from fastapi import Depends, FastAPI, Query

from dloader import DataLoader, LoaderRegistry
from dloader.fastapi import loaders

app = FastAPI()


class Squares(DataLoader[int, int]):
    """The square of a number."""

    async def batch_load_fn(self, keys: list[int]) -> list[int]:
        """Work out all of them at once."""
        return [key * key for key in keys]


Loaders = Annotated[LoaderRegistry, Depends(loaders())]


@app.get("/squares")
async def squares(of: Annotated[list[int], Query()], loaders: Loaders) -> list[int]:
    """Squares of some numbers, in one batch."""
    return await asyncio.gather(*map(loaders.get(Squares).load, of))
