"""`dloader demo`: real data, loaded naively, with `selectinload` and with dloader.

The code is meant to be read, and copied. Start with `models.py` (what is wanted) and `loaders.py` (how it is
fetched); `batched.py` runs them.
`naive.py` makes the same tree without loaders, `eager.py` with SQLAlchemy's `selectinload` on `mapped.py`. The
rest sets the stage: `data.py` and `database.py` (real data in SQLite), `comparison.py` (all ways, timed),
`show.py` (what is printed).
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

try:
    from dloader.trace import record

    from . import show
    from .comparison import Course, compare, find_continent, run_batched
    from .data import DemoError, data_file
except ModuleNotFoundError as error:
    message = f'dloader.demo needs {error.name}: pip install "dloader[demo]"'
    raise ModuleNotFoundError(message, name=error.name) from error

__all__ = ("DemoError", "Traced", "run")


class Traced(NamedTuple):
    """How a trace is shown."""

    file: str
    """Where it is written too; empty for nowhere."""
    display: Mapping[str, Any]
    """What the terminal can show: see `dloader.trace.Trace.text`."""


def run(
    *,
    continent: str | None,
    depth: int,
    cities: int,
    as_json: bool,
    trace: Traced | None = None,
) -> None:
    """Prepare the data, load the tree, and print the comparison, or the tree as JSON.

    Args:
        continent: The code or the name of the only continent wanted; None for all of them.
        depth: How far down the tree goes, from 1 to 4.
        cities: How many of each country's largest cities are loaded.
        as_json: Print the whole tree on stdout, and nothing else.
        trace: Print what dloader loaded instead.

    Raises:
        DemoError: if there is no such continent.
    """
    with data_file() as path:
        asyncio.run(present(path, continent, depth, cities, as_json=as_json, trace=trace))


async def present(
    path: Path, continent: str | None, depth: int, cities: int, *, as_json: bool, trace: Traced | None
) -> None:
    """Load the tree from the database at `path`, and print it."""
    code = None if continent is None else await find_continent(path, continent)
    course = Course(path, code, depth, cities)
    if trace is not None:
        with record(f"dloader demo --depth {depth}: Resolver().resolve(list[Continent])") as recorded:
            await run_batched(course)
        show.trace(recorded, trace.file, trace.display)
    elif as_json:
        show.json(await run_batched(course))
    else:
        show.comparison(*await compare(course))
