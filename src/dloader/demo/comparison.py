"""The three ways of loading the tree, each run several times on connections of its own."""

import difflib
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from time import perf_counter

from sqlalchemy.ext.asyncio import AsyncEngine

from . import batched, eager, naive
from .data import DemoError
from .database import Database, Row, connect, engine, session
from .models import Continent

RUNS = 5
"""How often each way is run: the times shown are the medians."""


@dataclass(frozen=True, slots=True)
class LoaderUse:
    """What one loader did."""

    name: str
    batches: int
    keys: int


@dataclass(frozen=True, slots=True)
class Run:
    """A tree and what it cost."""

    tree: list[Continent]
    statements: int
    seconds: float
    loaders: tuple[LoaderUse, ...] = ()


@dataclass(frozen=True, slots=True)
class Course:
    """What is to be loaded: from where, which continent (None: all), how deep, how many cities."""

    path: Path
    continent: str | None
    depth: int
    cities: int

    async def roots(self, db: Database) -> list[Row]:
        """The first statement of two of the ways."""
        if self.continent is None:
            return await db.rows("SELECT * FROM continent ORDER BY population DESC")
        return await db.rows("SELECT * FROM continent WHERE code = ?", self.continent)


async def run_naive(course: Course) -> Run:
    """Load the tree with one statement per field."""
    async with connect(course.path) as db:
        started = perf_counter()
        tree = await naive.continents(db, await course.roots(db), depth=course.depth, cities=course.cities)
        return Run(tree, db.statements, perf_counter() - started)


async def run_eager(course: Course, of: AsyncEngine) -> Run:
    """Load the tree with `selectinload`."""
    async with session(of) as (opened, sent):
        started = perf_counter()
        tree = await eager.continents(opened, course.continent, depth=course.depth, cities=course.cities)
        return Run(tree, len(sent), perf_counter() - started)


async def run_batched(course: Course) -> Run:
    """Load the tree with dloader; the first run also reads the models' declarations."""
    async with connect(course.path) as db:
        started = perf_counter()
        roots = await course.roots(db)
        tree, resolver = await batched.continents(db, roots, depth=course.depth, cities=course.cities)
        seconds = perf_counter() - started
    statistics = [(loader.name, loader.statistics) for loader in resolver.loader_instance_cache.values()]
    used = tuple(LoaderUse(name, done.batches, done.keys) for name, done in statistics if done.batches)
    return Run(tree, db.statements, seconds, used)


async def find_continent(path: Path, wanted: str) -> str:
    """The code of the continent with this code or name.

    Raises:
        DemoError: if there is none, with those that are meant most likely.
    """
    async with connect(path) as db:
        rows = await db.rows("SELECT code, name FROM continent ORDER BY code")
    codes = {spelling.casefold(): row["code"] for row in rows for spelling in (row["code"], row["name"])}
    if (code := codes.get(wanted.strip().casefold())) is not None:
        return str(code)
    close = difflib.get_close_matches(wanted.strip().casefold(), codes)
    likely = {codes[spelling] for spelling in close} or set(codes.values())
    names = ", ".join(f"{row['code']} ({row['name']})" for row in rows if row["code"] in likely)
    raise DemoError(
        f"no continent {wanted!r}: " + (f"did you mean {names}?" if close else f"there are {names}")
    )


async def compare(course: Course) -> tuple[Run, ...]:
    """Run each way several times, in turns, so that what else the machine does slows all of them down.

    Returns:
        A run of each way, with the median of its times.
    """
    async with engine(course.path) as of:
        rounds = [
            (await run_naive(course), await run_eager(course, of), await run_batched(course))
            for _ in range(RUNS)
        ]
    times = [median(run.seconds for run in runs) for runs in zip(*rounds, strict=True)]
    return same(*(replace(run, seconds=time) for run, time in zip(rounds[-1], times, strict=True)))


def same(*runs: Run) -> tuple[Run, ...]:
    """Return them, after making sure that they loaded the same tree.

    Raises:
        AssertionError: if they did not, and so cannot be compared.
    """
    if any(run.tree != runs[0].tree for run in runs):
        raise AssertionError("the ways loaded different trees")
    return runs
