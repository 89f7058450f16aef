"""What the environment says: DATABASE_URL, REDIS_URL and TRACE. One engine and one store for each process."""

from __future__ import annotations

import os

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine

from dloader.redis import RedisStore
from dloader.store import Store

DATABASE_URL = os.environ.get("DATABASE_URL", "sqlite+aiosqlite:///shop.db")
"""SQLite in the current folder, or postgresql+asyncpg://..."""
REDIS_URL = os.environ.get("REDIS_URL")
"""Where artists are kept for all processes; none where it is not set."""
TRACE = os.environ.get("TRACE", "")
"""``pages`` for the last requests at /__dloader__/, ``spans`` for spans of OpenTelemetry; both by a comma."""
POOL_SIZE = int(os.environ.get("POOL_SIZE", "20"))
"""Connections of one process to PostgreSQL."""


def make_engine(url: str) -> AsyncEngine:
    """A pool that looks whether a connection is alive before it gives it to a request."""
    if make_url(url).get_backend_name() == "sqlite":
        return create_async_engine(url)
    return create_async_engine(url, pool_size=POOL_SIZE, max_overflow=0, pool_pre_ping=True)


def make_store(url: str | None) -> Store | None:
    """One try for each call: a store that is away is done without, and asked again by and by."""
    return RedisStore(redis.asyncio.from_url(url, retry=Retry(NoBackoff(), 0))) if url else None


engine = make_engine(DATABASE_URL)
make_session = async_sessionmaker(engine, expire_on_commit=False)
store = make_store(REDIS_URL)
