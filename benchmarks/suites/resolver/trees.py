"""The models of the cases with three levels.

No ``from __future__ import annotations`` here: the classes are local to functions.
"""

from functools import cache
from typing import Annotated, Any

from dloader.resolver import Load
from pydantic import BaseModel

from benchmarks.peers.libraries import DLOADER, Library, publish
from benchmarks.suites.resolver.loaders import loaders


class Member(BaseModel):
    id: int
    office_id: int
    name: str


@cache
def tree(lib: Library) -> Any:
    """Three levels, loaded by sync methods."""
    Offices, Members, *_ = loaders(lib)

    @publish
    class Office(BaseModel):
        id: int
        company_id: int
        city: str
        members: list[Member] = []

        def resolve_members(self, loader=lib.Depends(Members)):
            return loader.load(self.id)

    @publish
    class Company(BaseModel):
        id: int
        name: str
        offices: list[Office] = []

        def resolve_offices(self, loader=lib.Depends(Offices)):
            return loader.load(self.id)

    return Company


@cache
def declared_tree() -> Any:
    """Three levels, loaded by `Load`."""
    Offices, Members, *_ = loaders(DLOADER)

    @publish
    class Office(BaseModel):
        id: int
        company_id: int
        city: str
        members: Annotated[list[Member], Load(Members, by="id")] = []

    @publish
    class Company(BaseModel):
        id: int
        name: str
        offices: Annotated[list[Office], Load(Offices, by="id")] = []

    return Company


@cache
def posting_tree(lib: Library) -> Any:
    """Three levels, and a post on every node."""
    Offices, Members, *_ = loaders(lib)

    @publish
    class PostingMember(BaseModel):  # no subclass of Member, which would then have to be visited
        id: int
        office_id: int
        name: str
        label: str = ""

        def post_label(self):
            return f"{self.name}!"

    @publish
    class PostingOffice(BaseModel):
        id: int
        company_id: int
        city: str
        members: list[PostingMember] = []
        size: int = 0

        def resolve_members(self, loader=lib.Depends(Members)):
            return loader.load(self.id)

        def post_size(self):
            return len(self.members)

    @publish
    class PostingCompany(BaseModel):
        id: int
        name: str
        offices: list[PostingOffice] = []
        size: int = 0

        def resolve_offices(self, loader=lib.Depends(Offices)):
            return loader.load(self.id)

        def post_size(self):
            return sum(office.size for office in self.offices)

    return PostingCompany


@cache
def collecting_tree(lib: Library) -> Any:
    """Members send their names up to their company; nothing is loaded."""

    @publish
    class SendingMember(BaseModel):
        id: int
        office_id: int
        name: Annotated[str, lib.SendTo("names")]

    @publish
    class SendingOffice(BaseModel):
        id: int
        company_id: int
        city: str
        members: list[SendingMember]

    @publish
    class CollectingCompany(BaseModel):
        id: int
        name: str
        offices: list[SendingOffice]
        names: list[str] = []

        def post_names(self, collector=lib.Collector("names")):
            return collector.values()

    return CollectingCompany
