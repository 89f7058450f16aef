"""Draw the pictures of "See it" anew: python docs/pictures/draw.py (needs Chromium)."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

HERE = Path(__file__).parent
sys.path += [str(HERE), str(HERE.parents[1] / "tests")]

from browsers import browser  # noqa: E402
from feed import LikesOfPost, PhotoById, PostsOfFeed, Slow, TeamById, UserById, handler  # noqa: E402

from dloader.demo import comparison, data  # noqa: E402
from dloader.demo.models import Continent  # noqa: E402
from dloader.resolver import Resolver  # noqa: E402
from dloader.trace import Trace, record  # noqa: E402

SIZES: dict[str, dict[str, Any]] = {
    "trace": {"height": 1150},
    "trace-dark": {"height": 700, "dark": True},
    "trace-narrow": {"width": 400, "height": 1000},
}


class Votes(Slow):
    """Votes; those of some posts cannot be read."""

    def row(self, key: Any) -> int:
        """A number."""
        if key[0] == 42:
            raise ConnectionError("votes.example: connection reset by peer")
        return key[1]


class Tags(Slow):
    """Tags."""

    milliseconds = 3


async def trace_of_request() -> Trace:
    """A request with a bit of everything in it."""
    with record("GET /feed/5") as trace:
        await handler()
    return trace


async def trace_of_demo() -> Trace:
    """What `dloader demo --depth 2` loads."""
    with data.data_file() as path:
        course = comparison.Course(path, None, 2, 3)
        await comparison.run_batched(course)  # reads the models, once
        with record("dloader demo --depth 2") as trace:
            await comparison.run_batched(course)
    return trace


async def trace_of_many() -> Trace:
    """10,000 batches of seven loaders, some of which fail."""
    kinds = (UserById, TeamById, PhotoById, LikesOfPost, PostsOfFeed, Votes, Tags)

    async def ask(number: int) -> None:
        loaders = [kind() for kind in kinds]
        for key in range(100):
            await asyncio.gather(
                *(loaders[(number + key) % 7].load((number, 2 * key + n)) for n in range(2)),
                return_exceptions=True,
            )

    with record("A job of 10,000 batches") as trace:
        for group in range(5):
            await asyncio.gather(*(ask(20 * group + number) for number in range(20)))
    return trace


def main() -> None:
    """Draw all of them."""
    demo = asyncio.run(trace_of_demo())
    Resolver.plan(Continent).compare(demo).save(HERE / "plan.svg")
    with TemporaryDirectory() as folder, browser() as session:
        request = asyncio.run(trace_of_request()).save(Path(folder) / "request.html")
        for name, size in SIZES.items():
            session.open(request, **size)
            session.run("document.getElementById('grid').focus()")
            session.press(*["Down"] * 7)
            session.picture(HERE / f"{name}.png")
        session.open(demo.save(Path(folder) / "demo.html"), height=480)
        session.picture(HERE / "trace-demo.png")
        session.open(asyncio.run(trace_of_many()).save(Path(folder) / "many.html"), height=620)
        session.picture(HERE / "trace-many.png")


if __name__ == "__main__":
    main()
