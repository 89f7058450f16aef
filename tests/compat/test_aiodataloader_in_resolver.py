"""Loader classes written for aiodataloader fill models, their import line changed."""

import asyncio
from typing import Annotated

import pytest
from pydantic import BaseModel

from dloader.compat.aiodataloader import DataLoader
from dloader.resolver import Load, LoaderDepend, Resolver


class BoomError(Exception):
    """A failure of the user's own."""


class User(BaseModel):
    id: int
    name: str


class UserLoader(DataLoader):
    prefix: str

    async def batch_load_fn(self, keys):
        self.calls = [*getattr(self, "calls", []), keys]
        return [BoomError(key) if key < 0 else {"id": key, "name": f"{self.prefix} {key}"} for key in keys]


class ByMethod(BaseModel):
    user_id: int
    user: User | None = None

    def resolve_user(self, loader=LoaderDepend(UserLoader)):
        return loader.load(self.user_id)


class ByAsyncMethod(BaseModel):
    user_id: int
    user: User | None = None

    async def resolve_user(self, loader: Annotated[UserLoader, LoaderDepend()]):
        return await loader.load(self.user_id)


class ByLoad(BaseModel):
    user_id: int
    user: Annotated[User | None, Load(UserLoader, by="user_id")] = None


MODELS = [ByMethod, ByAsyncMethod, ByLoad]


@pytest.mark.parametrize("model", MODELS)
def test_a_level_is_one_batch_of_unique_keys(run, model):
    async def law():
        resolver = Resolver(loader_params={UserLoader: {"prefix": "user"}})
        nodes = await resolver.resolve([model(user_id=1), model(user_id=2), model(user_id=1)])
        assert [node.user.name for node in nodes] == ["user 1", "user 2", "user 1"]
        assert resolver.loader_instance_cache[UserLoader].calls == [[1, 2]]

    run(law)


@pytest.mark.parametrize("model", MODELS)
def test_a_primed_instance_is_asked_for_the_rest(run, model):
    class Plain(UserLoader):
        prefix = "user"

    async def law():
        loader = Plain().prime(1, User(id=1, name="primed"))
        nodes = await Resolver(loader_instances={UserLoader: loader}).resolve(
            [model(user_id=1), model(user_id=2)]
        )
        assert [node.user.name for node in nodes] == ["primed", "user 2"]
        assert loader.calls == [[2]]

    run(law)


@pytest.mark.parametrize("model", MODELS)
def test_the_error_of_a_key_names_its_place(run, model):
    async def law():
        resolver = Resolver(loader_params={UserLoader: {"prefix": "user"}})
        with pytest.raises(BoomError) as caught:
            await resolver.resolve([model(user_id=1), model(user_id=-1)])
        assert any("[1].user" in note for note in caught.value.__notes__)

    run(law)


@pytest.mark.parametrize("model", MODELS)
def test_cancelling_resolve_ends_its_batches(run, model):
    class Slow(UserLoader):
        prefix = "user"

        async def batch_load_fn(self, keys):
            await asyncio.get_running_loop().create_future()

    async def law():
        resolving = asyncio.ensure_future(
            Resolver(loader_instances={UserLoader: Slow()}).resolve(model(user_id=1))
        )
        for _ in range(9):
            await asyncio.sleep(0)
        resolving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await resolving

    run(law)


def test_loaders_are_told_what_is_wanted_of_them_if_that_are_models(run):
    class Names(DataLoader):
        async def batch_load_fn(self, keys):
            assert not hasattr(self, "_query_meta")
            return [f"user {key}" for key in keys]

    class Named(BaseModel):
        user: Annotated[User | None, Load(UserLoader, by="id")] = None
        name: Annotated[str, Load(Names, by="id")] = ""
        id: int = 1

    async def law():
        resolver = Resolver(loader_params={UserLoader: {"prefix": "user"}})
        assert await resolver.resolve(Named()) == Named(user=User(id=1, name="user 1"), name="user 1")
        assert resolver.loader_instance_cache[UserLoader]._query_meta == {
            "fields": ["id", "name"],
            "request_types": [{"name": User, "fields": ["id", "name"]}],
        }

    run(law)
