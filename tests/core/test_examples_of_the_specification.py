"""The first seed, as it is written: every example of it, and its reference sentence by sentence."""

import asyncio
import inspect
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from typing import Generic, Protocol, TypeVar

import pytest

from dloader import DataLoader

K = TypeVar("K")
V = TypeVar("V")


class User:
    """A row."""

    def __init__(self, id):
        self.id = id

    def __eq__(self, other):
        return isinstance(other, User) and other.id == self.id

    def __hash__(self):
        return hash(self.id)


class Database:
    """The database client of the example."""

    def __init__(self):
        self.queries = []

    async def get_many(self, model, ids):
        self.queries.append(list(ids))
        return [model(id) for id in ids]


class TestQuickStart:
    def test_as_it_is_written(self, run):
        """Verbatim."""
        db_client = Database()

        async def main():
            # Define a batch loading function
            async def batch_load_users(user_ids):
                # Fetch multiple users at once (e.g., from a database)
                users = await db_client.get_many(User, user_ids)
                return users

            # Create a DataLoader instance
            async with DataLoader(batch_load_users) as user_loader:
                # These calls are automatically batched
                user_1, user_2, other_users = await asyncio.gather(
                    user_loader.load(1),
                    user_loader.load(2),
                    user_loader.load_many([3, 4, 5]),
                )
            return user_1, user_2, other_users

        assert run(main) == (User(1), User(2), [User(3), User(4), User(5)])
        assert db_client.queries == [[1, 2, 3, 4, 5]]


class TestReference:
    def test_the_parameters_stand_in_their_order(self):
        """They may be given by position."""
        names = list(inspect.signature(DataLoader).parameters)
        assert names[:5] == ["load_fn", "max_batch_size", "cache", "loop", "cache_map"]

    def test_all_parameters_by_position(self, run):
        """max_batch_size, cache, loop, cache_map."""

        async def law():
            async def load(keys):
                calls.append(keys)
                return keys

            calls: list = []
            cache_map: MutableMapping = {}
            loader = DataLoader(load, 2, True, asyncio.get_running_loop(), cache_map)
            assert await loader.load_many([1, 2, 3]) == [1, 2, 3]
            assert calls == [[1, 2], [3]]
            assert cache_map == {1: 1, 2: 2, 3: 3}

        run(law)

    def test_the_loader_takes_its_types_in_brackets(self):
        """As in ``DataLoader[K, V](...)``."""

        async def load(keys: Sequence[int]) -> Sequence[str | Exception]:
            return [str(key) for key in keys]

        assert isinstance(DataLoader[int, str](load), DataLoader)

    def test_the_methods(self, run):
        """Each does what its sentence says."""

        async def law():
            async def load(keys):
                return [key * 10 for key in keys]

            loader = DataLoader(load)
            future = loader.load(1)
            assert isinstance(future, asyncio.Future)
            assert await future == 10
            keys: Iterable[int] = (key for key in (1, 2))
            many = loader.load_many(keys)
            assert isinstance(many, asyncio.Future)
            assert await many == [10, 20]
            loader.clear(1)
            assert loader.cache_map == {2: 20}
            loader.clear_many([2])
            assert loader.cache_map == {}
            loader.prime(1, 11)
            data: Mapping[int, int] = {2: 22}
            loader.prime_many(data)
            assert await loader.load_many([1, 2]) == [11, 22]
            loader.clear_all()
            assert loader.cache_map == {}
            assert await loader.shutdown() is None

        run(law)

    def test_the_load_function_protocol(self, run):
        """Both of its forms; an exception in the result is set on the future of its key."""

        async def law():
            class LoadFunction(Protocol, Generic[K, V]):
                async def __call__(self, keys: Sequence[K], /) -> Sequence[V | Exception]: ...

            # This is equivalent to:
            async def load_fn(keys: Sequence[K]) -> Sequence[V | Exception]:
                return [ValueError(key) if key == 2 else key for key in keys]

            class Implementation(LoadFunction):
                async def __call__(self, keys, /):
                    return await load_fn(keys)

            for function in (load_fn, Implementation()):
                loader = DataLoader(function)
                one, two = loader.load(1), loader.load(2)
                assert await one == 1
                with pytest.raises(ValueError, match="2"):
                    await two

        run(law)
