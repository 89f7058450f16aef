"""A request with a bit of everything in it, for the picture of a trace; every back end here is a sleep."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Annotated, Any

from pydantic import BaseModel

from dloader import DataLoader
from dloader.resolver import Load, Resolver


class Slow(DataLoader[Any, Any]):
    """Answers after some milliseconds."""

    milliseconds = 8

    async def batch_load_fn(self, keys: list[Any]) -> list[Any]:
        """Wait, and make a row for each key."""
        await asyncio.sleep(self.milliseconds / 1000)
        return [self.row(key) for key in keys]

    def row(self, key: Any) -> Any:
        """One row."""
        return {"id": key, "team_id": hash(key) % 9}


class UserById(Slow):
    """Users."""


class TeamById(Slow):
    """Teams."""


class PhotoById(Slow):
    """Photos, few at a time."""

    milliseconds = 18
    max_batch_size = 20
    max_concurrency = 2


class LikesOfPost(Slow):
    """How many likes a post has."""

    milliseconds = 5

    def row(self, key: Any) -> Any:
        """A number."""
        return key * 3


class WeatherOfCity(Slow):
    """A service that is down."""

    milliseconds = 18

    def row(self, _key: str) -> Any:
        """Nothing."""
        raise ConnectionError("weather.example: connection reset by peer")


class PostsOfFeed(Slow):
    """Eighty posts."""

    milliseconds = 14

    def row(self, _key: Any) -> list[dict[str, int]]:
        """All of them."""
        return [{"id": n, "author_id": n % 59, "photo_id": 500 + n} for n in range(80)]


class Team(BaseModel):
    """A team."""

    id: int


class User(BaseModel):
    """A user of it."""

    id: int
    team_id: int
    team: Annotated[Team | None, Load(TeamById, by="team_id")] = None


class Photo(BaseModel):
    """A photo."""

    id: int


class Post(BaseModel):
    """A post."""

    id: int
    author_id: int
    photo_id: int
    author: Annotated[User | None, Load(UserById, by="author_id")] = None
    photo: Annotated[Photo | None, Load(PhotoById, by="photo_id")] = None


class Feed(BaseModel):
    """A feed."""

    id: int
    posts: Annotated[list[Post], Load(PostsOfFeed, by="id")] = []


async def likes(loader: LikesOfPost, posts: list[Post]) -> None:
    """Ask for one after the other."""
    for post in posts[:24]:
        await loader.load(post.id)


async def weather(loader: WeatherOfCity) -> None:
    """Ask a service that is down."""
    await asyncio.gather(loader.load("Berlin"), return_exceptions=True)


async def handler() -> None:
    """Answer the request."""
    users, teams = UserById(), TeamById()
    await asyncio.gather(users.load(7), weather(WeatherOfCity()))
    resolver = Resolver(loader_instances={UserById: users, TeamById: teams})
    feed = await resolver.resolve(Feed(id=5))
    await likes(LikesOfPost(), feed.posts)
    with suppress(TimeoutError):
        await asyncio.wait_for(teams.load(77), 0.003)
    await asyncio.gather(*(users.load(number) for number in range(100, 110)))
