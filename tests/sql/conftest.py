"""The databases that every law about SQLAlchemy is checked on: SQLite, PostgreSQL by both drivers, MariaDB.

``database`` is one of them, with a namespace of its own that is dropped at the end of the module, so that nothing meets
what other processes do on the same servers. Where there is no server its tests are skipped, but not in CI.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from databases import KINDS, Database, namespace


@pytest.fixture(scope="module", params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """An empty database."""
    yield from namespace(request.param, tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(scope="module", params=[each for each in KINDS if each != "aiosqlite"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """An empty database of those that are servers."""
    yield from namespace(request.param, tmp_path_factory.mktemp("none"))


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """An empty PostgreSQL."""
    yield from namespace("asyncpg", tmp_path_factory.mktemp("none"))


@pytest.fixture(scope="module")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """An empty MariaDB."""
    yield from namespace("asyncmy", tmp_path_factory.mktemp("none"))


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """An empty SQLite."""
    yield from namespace("aiosqlite", tmp_path_factory.mktemp("sqlite"))
