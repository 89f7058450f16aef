"""Stores: what may stand behind the protocol, and who takes it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from dloader import DataLoader, LoaderRegistry
from dloader.redis import RedisStore
from dloader.store import Got, MemoryStore, Store


class Users(DataLoader[int, str]):
    store_ttl = 30.0
    store_ignore = ("client",)

    async def batch_load_fn(self, keys: list[int]) -> list[str]:
        return [str(key) for key in keys]


class Other:
    async def get_many(self, keys: Sequence[str], /) -> Got:
        return Got({}, {}, keys)

    async def set_many(
        self, values: Mapping[str, bytes], leases: Mapping[str, bytes], ttl: float, /
    ) -> None: ...

    async def delete_many(self, keys: Sequence[str], /) -> None: ...

    def cleared(self) -> AsyncIterator[Sequence[str] | None]:
        return MemoryStore().cleared()


def stores(redis: RedisStore, store: Store) -> None:
    LoaderRegistry(store=redis)
    LoaderRegistry(store=store, store_namespace=7)
    Users(store=MemoryStore())
    Users(store=Other())
    LoaderRegistry(store="redis://")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
