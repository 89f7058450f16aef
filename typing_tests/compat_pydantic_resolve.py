"""A program of pydantic-resolve after its import line has changed. Read by the type checkers, never run."""

# mypy: disable-error-code="empty-body"

from typing import Annotated, assert_type

from pydantic import BaseModel

from dloader import DataLoader
from dloader.compat import aiodataloader
from dloader.compat.pydantic_resolve import (
    AutoLoad,
    Collector,
    ErDiagram,
    ExposeAs,
    Loader,
    Resolver,
    SendTo,
    build_list,
    build_object,
    config_resolver,
    copy_dataloader_kls,
    ensure_subset,
    mapper,
    serialization,
)


class User(BaseModel):
    id: int


class UserLoader(aiodataloader.DataLoader[int, User]):
    async def batch_load_fn(self, keys: list[int]) -> list[User]: ...


async def load_names(keys: list[int]) -> list[str]: ...


assert_type(Loader(UserLoader), UserLoader)
assert_type(Loader(load_names), DataLoader[int, str])
assert_type(copy_dataloader_kls("Boss", UserLoader), type[UserLoader])
assert_type(build_list(["a"], [1], len), list[list[str]])
assert_type(build_object(["a"], [1], len), list[str | None])


@serialization
@ensure_subset(User)
class Task(BaseModel):
    id: Annotated[int, ExposeAs("task_id"), SendTo("ids")]
    boss: Annotated[User | None, AutoLoad(origin="owner")] = None
    owner: User | None = None
    name: str = ""
    ids: list[int] = []

    async def resolve_owner(self, loader: UserLoader = Loader(UserLoader)) -> User:
        return await loader.load(self.id)

    @mapper(str.upper)
    async def resolve_name(self, loader: DataLoader[int, str] = Loader(load_names)) -> str:
        return await loader.load(self.id)

    def post_ids(self, ids: Collector[int] = Collector("ids")) -> list[int]:
        return ids.values()


assert_type(Task, type[Task])


async def resolve(task: Task, diagram: ErDiagram) -> None:
    assert_type(await Resolver(context={"tenant": 1}).resolve(task), Task)
    assert_type(await config_resolver("Made", diagram)().resolve([task]), list[Task])
