"""A gRPC back end: one call for all users that an answer needs.

python examples/recipes/grpc_backend.py

The loader is the recipe. The messages are JSON here, so that the program needs no generated code: with protobuf, a
method of the stub stands in the place of `method` below, and the rest stays. A status other than OK is the error of
each key, and is raised where the user was asked for, as `grpc.aio.AioRpcError` with its code.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

import grpc
from pydantic import BaseModel

from dloader import DataLoader, LoaderRegistry
from dloader.resolver import Load, Resolver

METHOD = "/music.Users/BatchGetUsers"


def encode(message: Any) -> bytes:
    """Write a message."""
    return json.dumps(message).encode()


class UserById(DataLoader[int, dict[str, Any] | None]):
    """Users of the other service; None where it knows none."""

    batch_get_users: Callable[..., Coroutine[Any, Any, Any]]
    max_batch_size = 1_000
    timeout_seconds = 2.0

    async def batch_load_fn(self, keys: list[int]) -> list[dict[str, Any] | None]:
        """Ask for all of them in one call."""
        reply = await self.batch_get_users({"ids": keys}, timeout=self.timeout_seconds)
        found = {user["id"]: user for user in reply["users"]}
        return [found.get(key) for key in keys]


class UserOut(BaseModel):
    name: str


class CommentOut(BaseModel):
    text: str
    author: Annotated[UserOut | None, Load(UserById, by="author_id")]


calls: list[int] = []


async def batch_get_users(request: Any, _: grpc.aio.ServicerContext[Any, Any]) -> Any:
    """Answer in the other service: every tenth user is gone."""
    calls.append(len(request["ids"]))
    return {"users": [{"id": id_, "name": f"User {id_}"} for id_ in request["ids"] if id_ % 10]}


async def main() -> tuple[list[CommentOut], list[int]]:
    """Answer, and tell how many keys each call had."""
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(batch_get_users, json.loads, encode)
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("music.Users", {"BatchGetUsers": handler})]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        method = channel.unary_unary(METHOD, encode, json.loads)
        async with LoaderRegistry({"batch_get_users": method}) as loaders:
            comments = [{"text": f"Comment {n}", "author_id": n % 250} for n in range(500)]
            answer = await Resolver(registry=loaders).resolve(comments, into=list[CommentOut])
    await server.stop(None)
    return answer, calls


if __name__ == "__main__":
    answer, counts = asyncio.run(main())
    print(*answer[:3], sep="\n")
    print(f"{len(answer)} comments in {len(counts)} call of {', '.join(map(str, counts))} users")
