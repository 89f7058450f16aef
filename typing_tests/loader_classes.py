"""Subclasses of `DataLoader`. Read by the type checkers, never run."""

# mypy: disable-error-code="empty-body"

from asyncio import Future
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Generic, Literal, TypeVar, assert_type

from dloader import DataLoader, Dispatch, build_list, eager

T = TypeVar("T")
tenant: ContextVar[str] = ContextVar("tenant")


class User:
    id: int


class UserLoader(DataLoader[int, User]):
    max_batch_size = 20
    max_concurrency = 2
    cache = False
    cache_errors = True
    batch = True
    dispatch_policy: Dispatch | None = eager()
    default = None

    async def batch_load_fn(self, keys: list[int]) -> list[User]: ...


class BySequence(DataLoader[int, User]):
    async def batch_load_fn(self, keys: Sequence[int]) -> Sequence[User | Exception]: ...


class ByMapping(DataLoader[str, User | None]):
    async def batch_load_fn(self, names: list[str]) -> Mapping[str, User | None]: ...


class ByIterator(DataLoader[int, User]):
    async def batch_load_fn(self, company_ids: Sequence[int]) -> Iterator[User]: ...


class NestedLists(DataLoader[int, list[User]]):
    async def batch_load_fn(self, keys: list[int]) -> list[list[User]]:
        rows: list[User] = []
        return build_list(rows, keys, lambda user: user.id)


class WithParameters(DataLoader[int, User]):
    """Annotations without a value are the parameters that a resolver fills in."""

    status: Literal["open", "closed"]
    tenant: int

    async def batch_load_fn(self, keys: list[int]) -> list[User]:
        assert_type(self.status, Literal["open", "closed"])
        assert_type(self.tenant, int)
        return []


class WithKeyMethod(DataLoader[dict[str, int], User]):
    def get_cache_key(self, key: dict[str, int]) -> Hashable:
        return tuple(key.items())

    async def batch_load_fn(self, keys: list[dict[str, int]]) -> list[User]: ...


class InPartitions(DataLoader[int, User]):
    partition = tenant.get

    async def batch_load_fn(self, keys: list[int]) -> list[User]: ...


class InPartitionsByMethod(DataLoader[int, User]):
    def partition(self) -> str:
        return tenant.get()

    async def batch_load_fn(self, keys: list[int]) -> list[User]: ...


class AnyTable(DataLoader[int, T], Generic[T]):
    """A class of loaders, for values of any one type."""

    def __init__(self, table: type[T]) -> None:
        super().__init__(name=table.__name__)
        self.table = table

    async def batch_load_fn(self, keys: list[int]) -> dict[int, T]: ...


class Unparametrised(DataLoader):
    """The form of many introductions: strict checkers accept it, and know nothing of its values."""

    async def batch_load_fn(self, keys: list[int]) -> list[User]: ...


async def users_of(tenant: int, ids: list[int]) -> list[User]: ...


def by_tenant(tenant: int) -> type[DataLoader[int, User]]:
    class TenantLoader(DataLoader[int, User]):
        async def batch_load_fn(self, keys: list[int]) -> list[User]:
            return await users_of(tenant, keys)

    return TenantLoader


assert_type(UserLoader().load(1), Future[User])
assert_type(UserLoader(max_batch_size=3, cache=True, name="users").load_many([1]), Future[list[User]])
assert_type(BySequence().load(1), Future[User])
assert_type(ByMapping().load("Ada"), Future[User | None])
assert_type(ByIterator().load_many({1, 2}), Future[list[User]])
assert_type(NestedLists().load(1), Future[list[User]])
assert_type(WithKeyMethod().load({"id": 1}), Future[User])
assert_type(AnyTable(User).load(1), Future[User])
assert_type(AnyTable(User), AnyTable[User])
assert_type(Unparametrised().load(1), Future[Any])
assert_type(by_tenant(7)().load(1), Future[User])
assert_type(UserLoader().prime(1, User()).clear(1).clear_all(), UserLoader)

UserLoader().load("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
UserLoader().load(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
UserLoader().load_many(["1"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
UserLoader().prime("1", User())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class WrongKeys(DataLoader[int, User]):
    async def batch_load_fn(self, keys: list[str]) -> list[User]: ...  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]


class WrongValues(DataLoader[int, User]):
    async def batch_load_fn(self, keys: list[int]) -> list[str]: ...  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]


class NotAsync(DataLoader[int, User]):
    def batch_load_fn(self, keys: list[int]) -> list[User]: ...  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]


class WrongAttribute(DataLoader[int, User]):
    max_batch_size = "20"  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]


assert_type(InPartitions().load(1), Future[User])
assert_type(InPartitionsByMethod(partition=tenant.get).load(1), Future[User])
