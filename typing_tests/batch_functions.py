"""`DataLoader(fn)` infers K and V from every kind of batch function. Read by the type checkers, never run."""

# mypy: disable-error-code="empty-body"

from asyncio import Future
from collections.abc import AsyncIterator, Awaitable, Generator, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, assert_type

from dloader import BatchResult, DataLoader, LoadFunction, build_list, build_object


class Session: ...


class User:
    id: int
    team: str


async def from_list(keys: list[int]) -> list[User]: ...
async def from_sequence(keys: Sequence[int]) -> Sequence[User]: ...
async def from_iterable(keys: Iterable[str]) -> tuple[User, ...]: ...
async def to_list_or_errors(keys: list[int]) -> list[User | Exception]: ...
async def to_sequence_or_errors(keys: Sequence[int]) -> Sequence[User | Exception]: ...
async def to_optionals(keys: list[int]) -> list[User | None]: ...
async def to_optionals_or_errors(keys: Sequence[int]) -> Sequence[User | Exception | None]: ...
async def to_lists(keys: list[int]) -> list[list[User]]: ...
async def to_dict(keys: list[int]) -> dict[int, User]: ...
async def to_mapping(keys: Sequence[str]) -> Mapping[str, User]: ...
async def to_dict_or_errors(keys: list[int]) -> dict[int, User | Exception]: ...
async def to_mapping_or_errors(keys: Sequence[int]) -> Mapping[int, User | Exception]: ...
async def to_optional_by_key(keys: list[int]) -> dict[int, User | None]: ...
async def to_iterator(keys: list[int]) -> Iterator[User]: ...
async def to_iterator_or_errors(keys: list[int]) -> Iterator[User | Exception]: ...
async def to_generator(keys: list[int]) -> Generator[User, None, None]: ...
async def to_either(keys: list[int]) -> BatchResult[int, User]: ...
def to_awaitable(keys: list[int]) -> Awaitable[list[User]]: ...
def to_future(keys: list[tuple[str, int]]) -> Future[list[User]]: ...


# The form of the keys and of the results does not matter, and exceptions do not leak into V.

assert_type(DataLoader(from_list), DataLoader[int, User])
assert_type(DataLoader(from_sequence), DataLoader[int, User])
assert_type(DataLoader(from_iterable), DataLoader[str, User])
assert_type(DataLoader(to_list_or_errors), DataLoader[int, User])
assert_type(DataLoader(to_sequence_or_errors), DataLoader[int, User])
assert_type(DataLoader(to_optionals), DataLoader[int, User | None])
assert_type(DataLoader(to_optionals_or_errors), DataLoader[int, User | None])
assert_type(DataLoader(to_lists), DataLoader[int, list[User]])
assert_type(DataLoader(to_dict), DataLoader[int, User])
assert_type(DataLoader(to_mapping), DataLoader[str, User])
assert_type(DataLoader(to_dict_or_errors), DataLoader[int, User])
assert_type(DataLoader(to_mapping_or_errors), DataLoader[int, User])
assert_type(DataLoader(to_optional_by_key), DataLoader[int, User | None])
assert_type(DataLoader(to_iterator), DataLoader[int, User])
assert_type(DataLoader(to_iterator_or_errors), DataLoader[int, User])
assert_type(DataLoader(to_generator), DataLoader[int, User])
assert_type(DataLoader(to_either), DataLoader[int, User])
assert_type(DataLoader(to_awaitable), DataLoader[int, User])
assert_type(DataLoader(to_future), DataLoader[tuple[str, int], User])
assert_type(DataLoader(batch_load_fn=from_list), DataLoader[int, User])
assert_type(DataLoader(batch_load_fn=to_mapping), DataLoader[str, User])


# Rows brought into the order of the keys.


async def users_by_team(teams: list[str]) -> list[list[User]]:
    rows: list[User] = []
    return build_list(rows, teams, lambda user: user.team)


async def users_by_id(ids: Sequence[int]) -> Sequence[User | None]:
    rows: list[User] = []
    return build_object(rows, ids, lambda user: user.id)


assert_type(DataLoader(users_by_team), DataLoader[str, list[User]])
assert_type(DataLoader(users_by_id), DataLoader[int, User | None])
assert_type(build_list([User()], [1], lambda user: user.id), list[list[User]])
assert_type(build_object([User()], [1], lambda user: user.id), list[User | None])


# Any callable will do.


class Table:
    async def __call__(self, ids: list[int]) -> list[User]: ...
    async def rows(self, ids: Sequence[int]) -> dict[int, User]: ...
    @classmethod
    async def of_class(cls, ids: list[int]) -> list[User]: ...
    @staticmethod
    async def of_nobody(ids: list[int]) -> list[User]: ...


assert_type(DataLoader(Table()), DataLoader[int, User])
assert_type(DataLoader(Table().rows), DataLoader[int, User])
assert_type(DataLoader(Table.of_class), DataLoader[int, User])
assert_type(DataLoader(Table.of_nobody), DataLoader[int, User])


async def with_session(session: Session, keys: list[int]) -> list[User]: ...
async def in_language(keys: Sequence[int], *, language: str) -> dict[int, User]: ...


# mypy forgets which parameters a partial still has: it infers V, and takes K from where the loader is put.
first: DataLoader[int, User] = DataLoader(partial(with_session, Session()))
second: DataLoader[int, User] = DataLoader(partial(in_language, language="cs"))
assert_type(DataLoader(partial(with_session, Session())).load(1), Future[User])
assert_type(DataLoader(partial(in_language, language="cs")).load(1), Future[User])

# A lambda has no annotations: K comes from where the loader is put.
third: DataLoader[int, User] = DataLoader(lambda keys: with_session(Session(), keys))
assert_type(DataLoader[int, User](lambda keys: with_session(Session(), keys)), DataLoader[int, User])


# The protocol: what one writes for a function that is passed on.


def cached(function: LoadFunction[int, User]) -> DataLoader[int, User]:
    return DataLoader(function, cache_errors=True)


assert_type(cached(from_sequence), DataLoader[int, User])
assert_type(cached(to_dict_or_errors), DataLoader[int, User])
cached(from_iterable)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# Without annotations nothing is known, and nothing is wrong. (Not `Never`: it would hide the code after it.)


async def untyped(keys):  # type: ignore[no-untyped-def]  # pyright: ignore  # noqa: ANN001, ANN201, PGH003
    return [User() for _ in keys]  # pyright: ignore[reportUnknownVariableType]


async def half_typed(keys: list[int]) -> Any: ...  # noqa: ANN401


assert_type(DataLoader(half_typed), DataLoader[int, Any])
unknown: DataLoader[Any, Any] = DataLoader(untyped)  # pyright: ignore[reportUnknownArgumentType]


# Options fit the types of the batch function.

assert_type(DataLoader(from_list, 20, True, None, {}), DataLoader[int, User])
assert_type(DataLoader(to_dict, default=User()), DataLoader[int, User])
assert_type(DataLoader(to_dict, default=None), DataLoader[int, User | None])
assert_type(DataLoader(from_list, cache_key_fn=lambda key: -key), DataLoader[int, User])

users: dict[int, User] = {}
numbers: dict[int, int] = {}
assert_type(DataLoader(from_list, cache_map=users), DataLoader[int, User])
DataLoader[int, User](from_list, cache_map=numbers)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
DataLoader[int, User](from_list, default="none")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
DataLoader[str, User](from_list)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
DataLoader[int, str](from_list)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
DataLoader(from_list, dispatch=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# What is no batch function is refused.


def not_async(keys: list[int]) -> list[User]: ...
async def to_set(keys: list[int]) -> set[User]: ...
async def to_nothing(keys: list[int]) -> None: ...
async def to_stream(keys: list[int]) -> AsyncIterator[User]: ...
async def of_one_key(key: int) -> User: ...


DataLoader(not_async)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
DataLoader(to_set)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
DataLoader(to_nothing)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
DataLoader(to_stream)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
DataLoader(of_one_key)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
