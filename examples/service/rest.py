"""REST: response models, and routes of three lines."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from sqlalchemy import func

from dloader.fastapi import ResponseModel
from dloader.resolver import Load, Resolver
from dloader.sqlalchemy import Aggregate, Count, Page, Related, select_for
from examples.service.catalogue import Artists
from examples.service.models import Album, Customer, Employee, Invoice, InvoiceLine, Track
from examples.service.requests import Loaders, Options, Session
from examples.service.shop import buy, find_customer, rename_artist

router = APIRouter()


class NamedOut(ResponseModel):
    id: int
    name: str


class AlbumOut(ResponseModel):
    title: str
    artist: Annotated[NamedOut, Load(Artists, by="artist_id")]


class TrackOut(NamedOut):
    cents: int
    genre: Annotated[NamedOut, Related(Track.genre)]
    album: Annotated[AlbumOut, Related(Track.album)]


class LineOut(ResponseModel):
    quantity: int
    track: Annotated[TrackOut, Related(InvoiceLine.track)]


class InvoiceOut(ResponseModel):
    id: int
    day: date
    reference: str
    lines: Annotated[list[LineOut], Related(Invoice.lines)]


class EmployeeOut(NamedOut):
    manager: Annotated[NamedOut | None, Related(Employee.manager)]


class CustomerOut(NamedOut):
    country: str
    agent: Annotated[EmployeeOut, Related(Customer.agent)]
    spent: Annotated[int | None, Aggregate(Customer.lines, func.sum(InvoiceLine.cents))]
    invoice_count: Annotated[int, Count(Customer.invoices)]
    newest: Annotated[
        Page[InvoiceOut],
        Related(Customer.invoices, order_by=(Invoice.day.desc(), Invoice.id.desc()), limit=3),
    ]


class TrackOfAlbumOut(NamedOut):
    genre: Annotated[NamedOut, Related(Track.genre)]


class AlbumWithTracksOut(AlbumOut):
    id: int
    tracks: Annotated[list[TrackOfAlbumOut], Related(Album.tracks)]


class Purchase(BaseModel):
    track_ids: Annotated[list[int], Field(min_length=1, max_length=100)]
    reference: str = ""


class Name(BaseModel):
    name: Annotated[str, Field(min_length=1, max_length=200)]


First = Annotated[int, Query(ge=1, le=100)]


@router.get("/customers")
async def customers(
    session: Session, options: Options, loaders: Loaders, after: int = 0, first: First = 10
) -> list[CustomerOut]:
    page = select_for(CustomerOut, Customer).where(Customer.id > after).order_by(Customer.id).limit(first)
    rows = await session.execute(page.options(*options))
    return await Resolver(registry=loaders).resolve(rows, into=list[CustomerOut])


@router.get("/customers/{customer_id}/invoices")
async def invoices(
    customer_id: int,
    session: Session,
    options: Options,
    loaders: Loaders,
    after: str | None = None,
    first: First = 10,
) -> Page[InvoiceOut]:
    await find_customer(session, options, customer_id)
    of_customer = loaders.get(Related(Customer.invoices, order_by=Invoice.id))
    page = await of_customer.page(customer_id, first=first, after=after)
    return await Resolver(registry=loaders).resolve(page, into=Page[InvoiceOut])


@router.post("/customers/{customer_id}/invoices", status_code=201)
async def new_invoice(
    customer_id: int, purchase: Purchase, session: Session, options: Options, loaders: Loaders
) -> CustomerOut:
    customer = await buy(session, options, customer_id, purchase.track_ids, purchase.reference)
    return await Resolver(registry=loaders).resolve(customer, into=CustomerOut)


@router.get("/albums")
async def albums(
    session: Session, loaders: Loaders, after: int = 0, first: First = 10
) -> list[AlbumWithTracksOut]:
    page = select_for(AlbumWithTracksOut, Album).where(Album.id > after).order_by(Album.id).limit(first)
    return await Resolver(registry=loaders).resolve(
        await session.execute(page), into=list[AlbumWithTracksOut]
    )


@router.put("/artists/{artist_id}")
async def artist(artist_id: int, name: Name, session: Session, loaders: Loaders) -> NamedOut:
    await rename_artist(session, loaders, artist_id, name.name)
    return NamedOut.model_validate(await loaders.get(Artists).load(artist_id), from_attributes=True)
