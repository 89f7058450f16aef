"""Loaders with partitions in a resolve: tenants in one worker-wide loader stay apart."""

import asyncio
from contextvars import ContextVar
from typing import Annotated

from pydantic import BaseModel

from dloader import DataLoader, LoaderRegistry
from dloader.resolver import Load, LoaderDepend, Resolver

tenant: ContextVar[str] = ContextVar("tenant")


class DocumentLoader(DataLoader[int, str]):
    partition = tenant.get
    calls = []

    async def batch_load_fn(self, keys):
        self.calls.append((tenant.get(), keys))
        await asyncio.sleep(0)
        return [f"{tenant.get()}'s {key}" for key in keys]


class Page(BaseModel):
    document_id: int
    document: Annotated[str, Load(DocumentLoader, by="document_id")] = ""
    again: str = ""
    later: str = ""

    def resolve_again(self, loader=LoaderDepend(DocumentLoader)):
        return loader.load(self.document_id)

    async def resolve_later(self, loader=LoaderDepend(DocumentLoader)):
        await asyncio.sleep(0)
        return await loader.load(self.document_id)


def test_each_request_gets_its_own_in_one_batch_of_its_own(run):
    async def request(name, loaders):
        tenant.set(name)
        pages = [Page(document_id=key) for key in (1, 2, 1)]
        return await Resolver(registry=loaders).resolve(pages)

    async def law():
        DocumentLoader.calls.clear()
        async with LoaderRegistry() as loaders:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(request(name, loaders)) for name in ("blue", "red")]
            for name, task in zip(("blue", "red"), tasks, strict=True):
                for page, key in zip(task.result(), (1, 2, 1), strict=True):
                    assert page.document == page.again == page.later == f"{name}'s {key}"
            assert sorted(DocumentLoader.calls) == [("blue", [1, 2]), ("red", [1, 2])]
            assert loaders.get(DocumentLoader).is_idle

    run(law)
