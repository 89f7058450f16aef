"""Code written for aiodataloader, its import line changed. Read by the type checkers, never run."""

# mypy: disable-error-code="empty-body"

import asyncio
from collections.abc import Hashable, MutableMapping
from typing import Any, assert_type

import dloader
from dloader.compat.aiodataloader import DataLoader


class User: ...


async def load_users(keys: list[int]) -> list[User]: ...
async def load_users_or_errors(keys: list[int]) -> list[User | Exception]: ...


class UserLoader(DataLoader[int, User]):
    max_batch_size = 20

    async def batch_load_fn(self, keys: list[int]) -> list[User]: ...


class ByName(DataLoader[str, User]):
    cache = False

    def get_cache_key(self, key: str) -> Hashable:
        return key.lower()

    async def batch_load_fn(self, names: list[str]) -> list[User | Exception]: ...


class Unparametrised(DataLoader):
    async def batch_load_fn(self, keys: list[int]) -> list[User]: ...


assert_type(DataLoader(load_users), DataLoader[int, User])
assert_type(DataLoader(load_users_or_errors), DataLoader[int, User])
assert_type(DataLoader(load_users, True, 20, True, lambda key: -key, {}, None), DataLoader[int, User])
assert_type(UserLoader().load(1), asyncio.Future[User])
assert_type(UserLoader(cache=False).load_many([1]), asyncio.Future[list[User]])
assert_type(UserLoader().load_many([1], return_exceptions=True), asyncio.Future[list[User | Exception]])
assert_type(UserLoader().clear(1).clear_all().prime(1, User()).prime(2, KeyError()), UserLoader)
assert_type(ByName().load("Ada"), asyncio.Future[User])
assert_type(Unparametrised().load(1), asyncio.Future[Any])

cache_map: MutableMapping[int, asyncio.Future[User]] = {}
DataLoader(load_users, cache_map=cache_map)
loader: dloader.DataLoader[int, User] = DataLoader(load_users)

UserLoader().load("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
UserLoader().prime(1, "Ada")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
DataLoader(load_users, 20)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
