"""Pages as Relay's clients read them: https://relay.dev/graphql/connections.htm."""

from __future__ import annotations

from typing import Generic, TypeVar

import strawberry
from strawberry.relay import PageInfo

__all__ = ("Connection", "Edge")

T = TypeVar("T")


@strawberry.type(description="An edge in a connection.")
class Edge(Generic[T]):
    """One item of a page, and where it stands."""

    cursor: str = strawberry.field(description="A cursor for use in pagination")
    node: T = strawberry.field(description="The item at the end of the edge")


@strawberry.type(description="A connection to a list of items.")
class Connection(Generic[T]):
    """A page of one parent's targets, as Relay has it; the type of the fields that `connection` makes.

    Example:
        ``tasks: Connection[Task] = connection(Project.tasks, order_by=Project.created.desc())``
    """

    page_info: PageInfo = strawberry.field(description="Pagination data for this connection")
    edges: list[Edge[T]] = strawberry.field(description="Contains the nodes in this connection")
    total_count: int = strawberry.field(description="How many items there are, all pages together")
