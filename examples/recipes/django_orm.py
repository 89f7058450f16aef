"""Django's async ORM: artists with their albums and tracks, a statement per level.

python examples/recipes/django_orm.py

A Django project has the settings, the tables and the connections already: only the loaders and the response models are
new to it. Django's async ORM runs its statements in one thread, one after another, so nothing has to be locked. Async
code cannot open transactions: what must be read in one belongs into one `sync_to_async` function.
"""

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated, Any

import django
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connection, connections, models, reset_queries
from pydantic import BaseModel, ConfigDict

from dloader import DataLoader, LoaderRegistry, build_list
from dloader.resolver import Load, Resolver

FOLDER = tempfile.TemporaryDirectory()
DATABASE = {"ENGINE": "django.db.backends.sqlite3", "NAME": Path(FOLDER.name) / "music.db"}
settings.configure(
    DEBUG=True, DATABASES={"default": DATABASE}, DEFAULT_AUTO_FIELD="django.db.models.AutoField"
)
django.setup()


class Artist(models.Model):
    name = models.CharField(max_length=80)

    class Meta:
        app_label = "music"


class Album(models.Model):
    title = models.CharField(max_length=80)
    artist = models.ForeignKey(Artist, models.CASCADE, related_name="albums")

    class Meta:
        app_label = "music"


class Track(models.Model):
    name = models.CharField(max_length=80)
    album = models.ForeignKey(Album, models.CASCADE, related_name="tracks")

    class Meta:
        app_label = "music"


class Children(DataLoader[int, list[Any]]):
    """The rows of a model by a foreign key, in the order of their ids."""

    model: type[models.Model]
    key: str

    async def batch_load_fn(self, keys: list[int]) -> list[list[Any]]:
        """Load those of all these parents."""
        rows = [row async for row in self.model.objects.filter(**{f"{self.key}__in": keys}).order_by("pk")]
        return build_list(rows, keys, lambda row: getattr(row, self.key))


class AlbumsOfArtist(Children):
    model, key = Album, "artist_id"


class TracksOfAlbum(Children):
    model, key = Track, "album_id"


class TrackOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    name: str


class AlbumOut(BaseModel):
    title: str
    tracks: Annotated[list[TrackOut], Load(TracksOfAlbum, by="id")]


class ArtistOut(BaseModel):
    name: str
    albums: Annotated[list[AlbumOut], Load(AlbumsOfArtist, by="id")]


@sync_to_async
def fill() -> None:
    """What migrations and users have done already in a project."""
    with connection.schema_editor() as editor:
        for model in (Artist, Album, Track):
            editor.create_model(model)
    artists = Artist.objects.bulk_create([Artist(name=f"Artist {n}") for n in range(10)])
    albums = Album.objects.bulk_create([Album(title=f"Album {n}", artist=artists[n % 10]) for n in range(30)])
    Track.objects.bulk_create([Track(name=f"Track {n}", album=albums[n % 30]) for n in range(120)])


async def main() -> tuple[list[ArtistOut], int]:
    """Answer, and count the statements."""
    await fill()
    await sync_to_async(reset_queries)()
    async with LoaderRegistry() as loaders:
        artists = [row async for row in Artist.objects.order_by("pk")]
        answer = await Resolver(registry=loaders).resolve(artists, into=list[ArtistOut])
    statements = await sync_to_async(lambda: len(connection.queries))()
    await sync_to_async(connections.close_all)()
    FOLDER.cleanup()
    return answer, statements


if __name__ == "__main__":
    answer, statements = asyncio.run(main())
    print(answer[0].model_dump_json(indent=1))
    print(f"{len(answer)} artists in {statements} statements")
