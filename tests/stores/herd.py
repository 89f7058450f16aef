"""A process of a herd: it asks for keys at the same moment as the others, and prints what it had to load itself."""

from __future__ import annotations

import asyncio
import json
import sys

import redis.asyncio

from dloader import DataLoader, LoaderRegistry
from dloader.redis import RedisStore


class Users(DataLoader[int, str]):
    store_ttl = 30.0
    calls: list[list[int]]

    async def batch_load_fn(self, keys):
        type(self).calls.append(keys)
        await asyncio.sleep(0.3)
        return [f"user {key}" for key in keys]


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def main(url: str) -> None:
    client = redis.asyncio.from_url(url)
    Users.calls = []
    say("ready")
    await asyncio.to_thread(sys.stdin.readline)
    async with LoaderRegistry(store=RedisStore(client, deadline=10.0, lease=30.0)) as loaders:
        found = await loaders.get(Users).load_many(range(50))
    assert found == [f"user {key}" for key in range(50)]
    say(json.dumps(Users.calls))
    await client.aclose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
