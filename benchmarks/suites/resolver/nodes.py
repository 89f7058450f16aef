"""The models of the other resolver cases.

No ``from __future__ import annotations`` here: the classes are local to functions.
"""

from functools import cache
from typing import Annotated, Any

from dloader.resolver import Load
from pydantic import BaseModel

from benchmarks.peers.libraries import DLOADER, Library, publish
from benchmarks.suites.resolver.loaders import loaders


class Owner(BaseModel):
    id: int
    name: str


@cache
def task(lib: Library) -> Any:
    """One owner, by a sync method."""
    Owners = loaders(lib)[2]

    @publish
    class Task(BaseModel):
        id: int
        owner_id: int
        owner: Owner | None = None

        def resolve_owner(self, loader=lib.Depends(Owners)):
            return loader.load(self.owner_id)

    return Task


@cache
def async_task(lib: Library) -> Any:
    """One owner, by an ``async def`` method."""
    Owners = loaders(lib)[2]

    @publish
    class AsyncTask(BaseModel):
        id: int
        owner_id: int
        owner: Owner | None = None

        async def resolve_owner(self, loader=lib.Depends(Owners)):
            return await loader.load(self.owner_id)

    return AsyncTask


@cache
def declared_task() -> Any:
    """One owner, by `Load`."""
    Owners = loaders(DLOADER)[2]

    @publish
    class DeclaredTask(BaseModel):
        id: int
        owner_id: int
        owner: Annotated[Owner | None, Load(Owners, by="owner_id")] = None

    return DeclaredTask


@cache
def labelled(lib: Library) -> Any:
    """A sync method that loads nothing."""

    @publish
    class Labelled(BaseModel):
        id: int
        label: str = ""

        def resolve_label(self):
            return f"node {self.id}"

    return Labelled


@cache
def posting(lib: Library) -> Any:
    """A post, and nothing else."""

    @publish
    class Posting(BaseModel):
        id: int
        label: str = ""

        def post_label(self):
            return f"node {self.id}"

    return Posting


@cache
def chain(lib: Library) -> Any:
    """Each node holds the next; a method on the way down, a post on the way up."""

    @publish
    class Link(BaseModel):
        id: int
        child: "Link | None" = None
        label: str = ""
        height: int = 0

        def resolve_label(self):
            return f"node {self.id}"

        def post_height(self):
            return 1 + (self.child.height if self.child is not None else 0)

    Link.model_rebuild()
    return Link


@cache
def loading_chain(lib: Library) -> Any:
    """Each node loads the next."""
    Steps = loaders(lib)[4]

    @publish
    class Step(BaseModel):
        id: int
        next: "Step | None" = None

        def resolve_next(self, loader=lib.Depends(Steps)):
            return loader.load(self.id)

    Step.model_rebuild()
    return Step


@cache
def wide(lib: Library) -> Any:
    """One root, whose only load brings all other nodes."""
    Items = loaders(lib)[3]

    @publish
    class Item(BaseModel):
        id: int
        label: str = ""

        def resolve_label(self):
            return f"node {self.id}"

    @publish
    class Root(BaseModel):
        id: int
        items: list[Item] = []

        def resolve_items(self, loader=lib.Depends(Items)):
            return loader.load(self.id)

    return Root
