"""The demo's data: an extract of GeoNames (CC BY 4.0, see geonames.txt), written into an SQLite file."""

import gzip
import json
import sqlite3
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

SCHEMA = """
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

Table = Sequence[Sequence[str | int | None]]


class DemoError(Exception):
    """The demo cannot go on, and the user can do something about it: the message says what."""


@contextmanager
def data_file() -> Generator[Path, None, None]:
    """A file with all of the data, for as long as the block takes."""
    with TemporaryDirectory(prefix="dloader-demo-") as folder:
        path = Path(folder) / "geonames.sqlite3"
        build(path)
        yield path


def build(path: Path) -> None:
    """Write every table into a new file."""
    with closing(sqlite3.connect(path)) as connection:
        # No journal: the file is thrown away at the end, whole or not.
        connection.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {SCHEMA}")
        for table, rows in read().items():
            marks = ", ".join("?" * len(rows[0]))
            connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608 (our own names)
        connection.commit()
        connection.executescript(INDEXES)


def read() -> dict[str, Table]:
    """The rows of each table, as the package ships them."""
    shipped = files("dloader.demo").joinpath("geonames.json.gz")
    tables: dict[str, Table] = json.loads(gzip.decompress(shipped.read_bytes()))
    return tables
