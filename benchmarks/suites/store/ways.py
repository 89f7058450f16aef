"""A batch of keys whose values are in Redis, or are loaded and written there: by dloader, by caches, by hand.

Each is opened on an event loop, with a connection of its own, and asked for batches of keys. All give models with five
fields, which take some 300 bytes as JSON. The caches pickle them, as they do by themselves.
"""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import redis.asyncio
from dloader import DataLoader, LoaderRegistry
from dloader.redis import RedisStore
from pydantic import BaseModel, TypeAdapter

from benchmarks.peers import packages as peers

Ask: TypeAlias = Callable[[Sequence[int]], Awaitable[list[Any]]]
TTL = 60


class User(BaseModel):
    id: int
    name: str
    email: str
    city: str | None
    about: str


def user(key: int) -> User:
    return User(id=key, name=f"User {key}", email=f"user{key}@example.com", city=None, about="about " * 36)


class Users(DataLoader[int, User]):
    store_ttl = TTL

    async def batch_load_fn(self, keys: list[int]) -> list[User]:
        return list(map(user, keys))


@asynccontextmanager
async def ours(url: str) -> AsyncIterator[Ask]:
    """As a request does it: a registry, a loader; the registry waits for what is written."""
    client = redis.asyncio.from_url(url)
    store = RedisStore(client, deadline=60.0)

    async def ask(keys: Sequence[int]) -> list[Any]:
        async with LoaderRegistry(store=store) as loaders:
            return await loaders.get(Users).load_many(keys)

    yield ask
    await client.aclose()


@asynccontextmanager
async def by_hand(url: str) -> AsyncIterator[Ask]:
    """MGET, and a pipeline of SET for what is missing: without leases."""
    client, adapter = redis.asyncio.from_url(url), TypeAdapter(User)

    async def ask(keys: Sequence[int]) -> list[Any]:
        names = [f"by-hand:{key}" for key in keys]
        found = [None if text is None else adapter.validate_json(text) for text in await client.mget(names)]
        if missing := [place for place, value in enumerate(found) if value is None]:
            async with client.pipeline(transaction=False) as pipeline:
                for place in missing:
                    found[place] = value = user(keys[place])
                    pipeline.set(names[place], adapter.dump_json(value), ex=TTL)
                await pipeline.execute()
        return found

    yield ask
    await client.aclose()


@asynccontextmanager
async def with_cashews(url: str) -> AsyncIterator[Ask]:
    cache = peers.load("cashews").Cache()
    cache.setup(url)
    await cache.init()

    async def ask(keys: Sequence[int]) -> list[Any]:
        names = [f"cashews:{key}" for key in keys]
        found = list(await cache.get_many(*names))
        if missing := [place for place, value in enumerate(found) if value is None]:
            loaded = {place: user(keys[place]) for place in missing}
            await cache.set_many({names[place]: value for place, value in loaded.items()}, expire=TTL)
            found = [loaded.get(place, value) for place, value in enumerate(found)]
        return found

    yield ask
    await _closed(cache)


@asynccontextmanager
async def with_aiocache(url: str) -> AsyncIterator[Ask]:
    aiocache, serializers = peers.load("aiocache"), peers.load("aiocache.serializers")
    host, _, port = url.rpartition("/")[2].partition(":")
    serializer = serializers.PickleSerializer()
    cache = aiocache.Cache(aiocache.Cache.REDIS, endpoint=host, port=int(port), serializer=serializer)

    async def ask(keys: Sequence[int]) -> list[Any]:
        names = [f"aiocache:{key}" for key in keys]
        found = await cache.multi_get(names)
        if missing := [place for place, value in enumerate(found) if value is None]:
            loaded = {place: user(keys[place]) for place in missing}
            await cache.multi_set([(names[place], value) for place, value in loaded.items()], ttl=TTL)
            found = [loaded.get(place, value) for place, value in enumerate(found)]
        return found

    yield ask
    await _closed(cache)


async def _closed(cache: Any) -> None:
    """Close a peer's cache, be it by a method of redis-py that is called otherwise by now."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        await cache.close()
