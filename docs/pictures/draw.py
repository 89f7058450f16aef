"""Draw the pictures of "See it" anew: python docs/pictures/draw.py (needs Chromium)."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).parent
sys.path += [str(HERE), str(HERE.parents[1] / "tests")]

from browsers import browser  # noqa: E402
from feed import handler  # noqa: E402

from dloader.demo import comparison, data, show  # noqa: E402
from dloader.demo.models import Continent  # noqa: E402
from dloader.resolver import Resolver  # noqa: E402
from dloader.trace import Trace, record  # noqa: E402


async def trace_of_request() -> Trace:
    """A request with a bit of everything in it."""
    with record("GET /feed/5") as trace:
        await handler()
    return trace


async def trace_of_demo() -> Trace:
    """What `dloader demo --depth 2` loads."""
    course = comparison.Course(data.ensure(data.default_folder(), show.progress), None, 2, 3)
    await comparison.run_batched(course)  # reads the models, once
    with record("dloader demo --depth 2") as trace:
        await comparison.run_batched(course)
    return trace


def main() -> None:
    """Draw both."""
    Resolver.plan(Continent).compare(asyncio.run(trace_of_demo())).save(HERE / "plan.svg")
    with TemporaryDirectory() as folder, browser() as session:
        session.open(asyncio.run(trace_of_request()).save(Path(folder) / "trace.html"), height=1150)
        session.run("document.getElementById('grid').focus()")
        session.press(*["Down"] * 7)
        session.picture(HERE / "trace.png")


if __name__ == "__main__":
    main()
