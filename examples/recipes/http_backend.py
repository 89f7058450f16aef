"""An HTTP back end with a batch end point: one request for all users that an answer needs, a hundred at most in each.

python examples/recipes/http_backend.py

The loader is the recipe; the back end that it asks stands below, so that the program runs by itself. A back end that
can only be asked for one thing at a time is served in the same way: send one request for each key in `batch_load_fn`,
with `asyncio.gather`, and let the limits of the client say how many run at once.
"""

import asyncio
import socket
from typing import Annotated, Any

import httpx
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from dloader import DataLoader, LoaderRegistry
from dloader.resolver import Load, Resolver


class UserById(DataLoader[int, dict[str, Any] | None]):
    """Users of the other service; None where it knows none."""

    client: httpx.AsyncClient
    max_batch_size = 100  # what the end point takes
    max_concurrency = 4  # requests at once

    async def batch_load_fn(self, keys: list[int]) -> list[dict[str, Any] | None]:
        """Ask for all of them in one request; one that fails is the error of each."""
        response = await self.client.post("/users/batch", json={"ids": keys})
        response.raise_for_status()
        found = {user["id"]: user for user in response.json()}
        return [found.get(key) for key in keys]


class UserOut(BaseModel):
    name: str


class CommentOut(BaseModel):
    text: str
    author: Annotated[UserOut | None, Load(UserById, by="author_id")]


class Ids(BaseModel):
    ids: list[int]


backend = FastAPI()
requests: list[int] = []


@backend.post("/users/batch")
async def users(wanted: Ids) -> list[dict[str, Any]]:
    """Every tenth user is gone."""
    requests.append(len(wanted.ids))
    return [{"id": id_, "name": f"User {id_}"} for id_ in wanted.ids if id_ % 10]


async def main() -> tuple[list[CommentOut], list[int]]:
    """Answer, and tell how many keys each request had."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(backend, log_level="warning", lifespan="off", ws="none"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        base_url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        transport = httpx.AsyncHTTPTransport(retries=5)  # while the server starts
        async with (
            httpx.AsyncClient(base_url=base_url, transport=transport) as client,
            LoaderRegistry({"client": client}) as loaders,
        ):
            comments = [{"text": f"Comment {n}", "author_id": n % 250} for n in range(500)]
            answer = await Resolver(registry=loaders).resolve(comments, into=list[CommentOut])
        server.should_exit = True
        await serving
    return answer, requests


if __name__ == "__main__":
    answer, counts = asyncio.run(main())
    print(*answer[:3], sep="\n")
    print(f"{len(answer)} comments in {len(counts)} requests of {', '.join(map(str, counts))} users")
