"""Tortoise ORM: artists with their albums and tracks, a statement per level.

python examples/recipes/tortoise_orm.py
"""

import asyncio
import logging
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict
from tortoise import Tortoise, fields
from tortoise.models import Model

from dloader import DataLoader, LoaderRegistry, build_list
from dloader.resolver import Load, Resolver


class Artist(Model):
    id = fields.IntField(primary_key=True)
    name = fields.CharField(80)


class Album(Model):
    id = fields.IntField(primary_key=True)
    title = fields.CharField(80)
    artist: fields.ForeignKeyRelation[Artist] = fields.ForeignKeyField("music.Artist", "albums")


class Track(Model):
    id = fields.IntField(primary_key=True)
    name = fields.CharField(80)
    album: fields.ForeignKeyRelation[Album] = fields.ForeignKeyField("music.Album", "tracks")


class Children(DataLoader[int, list[dict[str, Any]]]):
    """The rows of a model by a foreign key, in the order of their ids."""

    model: type[Model]
    key: str

    async def batch_load_fn(self, keys: list[int]) -> list[list[dict[str, Any]]]:
        """Load those of all these parents."""
        rows = await self.model.filter(**{f"{self.key}__in": keys}).order_by("id").values()
        return build_list(rows, keys, lambda row: row[self.key])


class AlbumsOfArtist(Children):
    model, key = Album, "artist_id"


class TracksOfAlbum(Children):
    model, key = Track, "album_id"


class TrackOut(BaseModel):
    name: str


class AlbumOut(BaseModel):
    title: str
    tracks: Annotated[list[TrackOut], Load(TracksOfAlbum, by="id")]


class ArtistOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    name: str
    albums: Annotated[list[AlbumOut], Load(AlbumsOfArtist, by="id")]


class Count(logging.Handler):
    """Counts the statements that Tortoise logs."""

    statements = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.statements += record.getMessage().startswith("SELECT")


async def main() -> tuple[list[ArtistOut], int]:
    """Answer, and count the statements."""
    await Tortoise.init(db_url="sqlite://:memory:", modules={"music": [__name__]})
    await Tortoise.generate_schemas()
    artists = [await Artist.create(name=f"Artist {n}") for n in range(10)]
    albums = [await Album.create(title=f"Album {n}", artist=artists[n % 10]) for n in range(30)]
    await Track.bulk_create([Track(name=f"Track {n}", album=albums[n % 30]) for n in range(120)])
    log, count = logging.getLogger("tortoise.db_client"), Count()
    log.addHandler(count)
    log.setLevel(logging.DEBUG)
    async with LoaderRegistry() as loaders:
        rows = await Artist.all().order_by("id")
        answer = await Resolver(registry=loaders).resolve(rows, into=list[ArtistOut])
    await Tortoise.close_connections()
    return answer, count.statements


if __name__ == "__main__":
    answer, statements = asyncio.run(main())
    print(answer[0].model_dump_json(indent=1))
    print(f"{len(answer)} artists in {statements} statements")
