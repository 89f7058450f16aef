"""GraphQL: types whose fields name relationships, over the loaders of the request."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

import strawberry
from sqlalchemy import select
from strawberry.fastapi import GraphQLRouter

from dloader.strawberry import Connection, LoaderExtension, connection, loaders, related
from examples.service import models, settings, shop
from examples.service.catalogue import Artists
from examples.service.requests import Options, Session


@strawberry.type
class Artist:
    id: int
    name: str


@strawberry.type
class Genre:
    id: int
    name: str


@strawberry.type
class Album:
    id: int
    title: str
    artist_id: strawberry.Private[int]
    tracks: list[Annotated[Track, strawberry.lazy("examples.service.graph")]] = related(models.Album.tracks)

    @strawberry.field
    async def artist(self, info: strawberry.Info) -> Artist:
        row = await loaders(info).get(Artists).load(self.artist_id)
        return Artist(id=row.id, name=row.name)


@strawberry.type
class Track:
    id: int
    name: str
    cents: int
    genre: Genre = related(models.Track.genre)
    album: Album = related(models.Track.album)


@strawberry.type
class Line:
    quantity: int
    track: Track = related(models.InvoiceLine.track)


@strawberry.type
class Invoice:
    id: int
    day: date
    reference: str
    lines: list[Line] = related(models.Invoice.lines)


@strawberry.type
class Employee:
    id: int
    name: str
    manager: Employee | None = related(models.Employee.manager)


@strawberry.type
class Customer:
    id: int
    name: str
    country: str
    agent: Employee = related(models.Customer.agent)
    invoices: Connection[Invoice] = connection(models.Customer.invoices, order_by=models.Invoice.id)


@strawberry.type
class Query:
    @strawberry.field
    async def customers(self, info: strawberry.Info, after: int = 0, first: int = 10) -> list[Customer]:
        page = select(models.Customer).where(models.Customer.id > after).order_by(models.Customer.id)
        page = page.limit(min(first, 100)).options(*info.context["options"])
        found: Any = await info.context["session"].scalars(page)
        return list(found)

    @strawberry.field
    async def albums(self, info: strawberry.Info, after: int = 0, first: int = 10) -> list[Album]:
        page = select(models.Album).where(models.Album.id > after).order_by(models.Album.id)
        found: Any = await info.context["session"].scalars(page.limit(min(first, 100)))
        return list(found)


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def buy(
        self, info: strawberry.Info, customer_id: int, track_ids: list[int], reference: str = ""
    ) -> Customer:
        session, options = info.context["session"], info.context["options"]
        bought: Any = await shop.buy(session, options, customer_id, track_ids, reference)
        return bought

    @strawberry.mutation
    async def rename_artist(self, info: strawberry.Info, artist_id: int, name: str) -> Artist:
        await shop.rename_artist(info.context["session"], loaders(info), artist_id, name)
        row = await loaders(info).get(Artists).load(artist_id)
        return Artist(id=row.id, name=row.name)


async def context(session: Session, options: Options) -> dict[str, Any]:
    """What resolvers and loaders share with the rest of the request."""
    return {"session": session, "options": options}


def params(context: dict[str, Any]) -> dict[str, Any]:
    return {"session": context["session"], "options": context["options"]}


schema = strawberry.Schema(Query, Mutation, extensions=[LoaderExtension(params, store=settings.store)])
router: GraphQLRouter[dict[str, Any]] = GraphQLRouter(schema, context_getter=context)
