"""The tables, and the rows of the Chinook database."""

from __future__ import annotations

import gzip
import json
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import ForeignKey, Identity, Index, insert, inspect
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

FIRST_NEW = 100_000
"""The first number of rows that are written here, on a database that counts by itself."""


class Base(DeclarativeBase):
    pass


class Tenanted:
    """Rows of one sales agent's customers. Whoever asks for another agent sees none of them."""

    tenant_id: Mapped[int] = mapped_column(ForeignKey("employee.id"), index=True)


class Employee(Base):
    __tablename__ = "employee"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    title: Mapped[str]
    manager_id: Mapped[int | None] = mapped_column(ForeignKey("employee.id"))
    manager: Mapped[Employee | None] = relationship(remote_side="Employee.id")


class Genre(Base):
    __tablename__ = "genre"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Artist(Base):
    __tablename__ = "artist"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Album(Base):
    __tablename__ = "album"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    artist_id: Mapped[int] = mapped_column(ForeignKey("artist.id"), index=True)
    artist: Mapped[Artist] = relationship()
    tracks: Mapped[list[Track]] = relationship(back_populates="album", order_by="Track.id")


class Track(Base):
    __tablename__ = "track"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    album_id: Mapped[int] = mapped_column(ForeignKey("album.id"), index=True)
    genre_id: Mapped[int] = mapped_column(ForeignKey("genre.id"))
    milliseconds: Mapped[int]
    cents: Mapped[int]
    album: Mapped[Album] = relationship(back_populates="tracks")
    genre: Mapped[Genre] = relationship()


class Customer(Tenanted, Base):
    __tablename__ = "customer"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    country: Mapped[str]
    email: Mapped[str]
    agent: Mapped[Employee] = relationship()
    invoices: Mapped[list[Invoice]] = relationship(back_populates="customer", order_by="Invoice.id")
    lines: Mapped[list[InvoiceLine]] = relationship(secondary="invoice", viewonly=True)


class Invoice(Tenanted, Base):
    __tablename__ = "invoice"
    __table_args__ = (Index("newest_invoice", "customer_id", "day", "id"),)
    id: Mapped[int] = mapped_column(Identity(start=FIRST_NEW), primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id"))
    day: Mapped[date]
    reference: Mapped[str]
    customer: Mapped[Customer] = relationship(back_populates="invoices")
    lines: Mapped[list[InvoiceLine]] = relationship(back_populates="invoice", order_by="InvoiceLine.id")


class InvoiceLine(Tenanted, Base):
    __tablename__ = "invoice_line"
    id: Mapped[int] = mapped_column(Identity(start=FIRST_NEW), primary_key=True)
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoice.id"), index=True)
    track_id: Mapped[int] = mapped_column(ForeignKey("track.id"))
    quantity: Mapped[int]
    cents: Mapped[int]
    invoice: Mapped[Invoice] = relationship(back_populates="lines")
    track: Mapped[Track] = relationship()


def chinook() -> dict[type[Base], list[dict[str, Any]]]:
    """Return all rows, parents first."""
    data = json.loads(gzip.decompress(Path(__file__).with_name("chinook.json.gz").read_bytes()))
    tenant_of = {number: agent for number, _, _, _, agent in data["customer"]}
    customer_of = {number: customer for number, customer, _, _ in data["invoice"]}

    def rows(table: str, *names: str) -> list[dict[str, Any]]:
        return [dict(zip(names, row, strict=True)) for row in data[table]]

    found: dict[type[Base], list[dict[str, Any]]] = {
        Employee: rows("employee", "id", "name", "title", "manager_id"),
        Genre: rows("genre", "id", "name"),
        Artist: rows("artist", "id", "name"),
        Album: rows("album", "id", "title", "artist_id"),
        Track: rows("track", "id", "name", "album_id", "genre_id", "milliseconds", "cents"),
        Customer: rows("customer", "id", "name", "country", "email", "tenant_id"),
        Invoice: rows("invoice", "id", "customer_id", "day", "reference"),
        InvoiceLine: rows("invoice_line", "id", "invoice_id", "track_id", "quantity", "cents"),
    }
    for row in found[Invoice]:
        row["day"] = date.fromisoformat(row["day"])
        row["tenant_id"] = tenant_of[row["customer_id"]]
    for row in found[InvoiceLine]:
        row["tenant_id"] = tenant_of[customer_of[row["invoice_id"]]]
    return found


async def fill(engine: AsyncEngine) -> None:
    """Make the tables and put the rows into them, unless they are there."""
    async with engine.begin() as connection:
        if await connection.run_sync(lambda sync: inspect(sync).has_table("artist")):
            return
        await connection.run_sync(Base.metadata.create_all)
        for table, rows in chinook().items():
            await connection.execute(insert(table), rows)
