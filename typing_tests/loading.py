"""What the methods of a loader take and return. Read by the type checkers, never run."""

# mypy: disable-error-code="empty-body"

import asyncio
from collections.abc import Mapping, MutableMapping
from typing import Any, Self, assert_type

from dloader import BatchInfo, DataLoader, Instrument, LoaderRegistry, Statistics


class User: ...


async def load_users(keys: list[int]) -> list[User | Exception]: ...


async def load_by_name(keys: list[str]) -> dict[str, User]: ...


class UserLoader(DataLoader[int, User]):
    async def batch_load_fn(self, keys: list[int]) -> list[User]: ...


users = DataLoader(load_users)


async def loading(flag: bool) -> None:
    assert_type(users.load(1), asyncio.Future[User])
    assert_type(await users.load(1), User)
    assert_type(await users.load_many([1, 2]), list[User])
    assert_type(await users.load_many(range(9)), list[User])
    assert_type(await users.load_many(key for key in (1, 2)), list[User])
    assert_type(await users.load_many([1], return_exceptions=False), list[User])
    assert_type(await users.load_many([1], return_exceptions=True), list[User | Exception])
    assert_type(
        users.load_many([1], return_exceptions=flag),
        asyncio.Future[list[User]] | asyncio.Future[list[User | Exception]],
    )
    assert_type(await asyncio.gather(users.load(1), users.load_many([2])), tuple[User, list[User]])
    await users.load("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await users.load_many(["1"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    await users.load_many(1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]


async def caching() -> None:
    assert_type(users.prime(1, User()), DataLoader[int, User])
    assert_type(users.prime(1, ValueError()), DataLoader[int, User])
    assert_type(users.clear(1).prime(1, User()), DataLoader[int, User])
    assert_type(users.prime_many({1: User()}).prime_many({1: User(), 2: KeyError()}), DataLoader[int, User])
    assert_type(users.clear_many({1, 2}).clear_all(), DataLoader[int, User])
    assert_type(UserLoader().prime(1, User()).prime_many({}).clear(1).clear_many([]).clear_all(), UserLoader)
    assert_type(users.cache_map, MutableMapping[Any, User])
    users.prime(1, "Ada")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    users.prime_many({"1": User()})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    users.clear("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    users.clear_many(["1"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]


async def ending() -> None:
    async with UserLoader() as loader:
        assert_type(loader, UserLoader)
    async with DataLoader(load_users) as plain:
        assert_type(plain, DataLoader[int, User])
    assert_type(await users.shutdown(), ExceptionGroup[Exception] | None)
    await users.aclose(drain=True)
    assert_type(users.statistics, Statistics)


class Chained(UserLoader):
    def warm(self) -> Self:
        return self.clear_all().prime(1, User())


assert_type(Chained().warm().clear(1), Chained)


async def registry() -> None:
    async with LoaderRegistry() as loaders:
        assert_type(loaders, LoaderRegistry)
        assert_type(loaders.get(UserLoader), UserLoader)
        assert_type(loaders.get(load_users), DataLoader[int, User])
        assert_type(loaders.get(load_by_name), DataLoader[str, User])
        assert_type(loaders.find(UserLoader), DataLoader[Any, Any] | None)
        assert_type(loaders.add(UserLoader, UserLoader().prime(1, User())), UserLoader)
        assert_type(list(loaders), list[DataLoader[Any, Any]])
        assert_type(loaders.clear_all(), LoaderRegistry)
        assert_type(loaders.params_of(UserLoader), Mapping[str, Any])
        assert_type(len(loaders), int)
        await loaders.aclose(drain=True)
        loaders.get(User)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType, reportCallIssue]
        loaders.get("UserLoader")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


LoaderRegistry({"tenant": 7}, loader_params={UserLoader: {"order": "asc"}})
LoaderRegistry(["tenant"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class Print(Instrument):
    def batch_started(self, batch: BatchInfo[Any, Any]) -> None: ...


DataLoader(load_users, instruments=[Print()])
DataLoader(load_users, instruments=[User()])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
