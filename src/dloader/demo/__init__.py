"""`dloader demo`: real data, loaded naively and with dloader. The code is meant to be read, and copied.

Start with `models.py` (what is wanted) and `loaders.py` (how it is fetched); `batched.py` runs them.
`naive.py` makes the same tree without loaders. The rest sets the stage: `data.py` and `database.py` (real
data in SQLite), `contest.py` (both ways, timed), `show.py` (what is printed).
"""

import asyncio
from pathlib import Path

try:
    from . import show
    from .contest import Course, find_continent, run_batched, run_naive, same
    from .data import DemoError, default_folder, ensure
except ModuleNotFoundError as error:
    message = f'dloader.demo needs {error.name}: pip install "dloader[demo]"'
    raise ModuleNotFoundError(message, name=error.name) from error

__all__ = ("DemoError", "run")


def run(*, continent: str | None, depth: int, cities: int, as_json: bool, cache_dir: Path | None) -> None:
    """Prepare the data, load the tree, and print the comparison, or the tree as JSON.

    Args:
        continent: The code or the name of the only continent wanted; None for all of them.
        depth: How far down the tree goes, from 1 to 4.
        cities: How many of each country's largest cities are loaded.
        as_json: Print the whole tree on stdout, and nothing else.
        cache_dir: The folder for the data; None for the user's cache folder.

    Raises:
        DemoError: if there is no such continent, or no place for the data.
    """
    path = ensure(cache_dir or default_folder(), show.progress)
    asyncio.run(present(path, continent, depth, cities, as_json=as_json))


async def present(path: Path, continent: str | None, depth: int, cities: int, *, as_json: bool) -> None:
    """Load the tree from the database at `path`, and print it."""
    code = None if continent is None else await find_continent(path, continent)
    course = Course(path, code, depth, cities)
    if as_json:
        show.json(await run_batched(course))
    else:
        show.comparison(*same(await run_naive(course), await run_batched(course)))
