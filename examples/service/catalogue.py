"""What seldom changes, and is asked for all the time: Redis keeps it, where there is one."""

from __future__ import annotations

from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from dloader import DataLoader
from dloader.sqlalchemy import exclusive
from examples.service.models import Artist


class ArtistRow(BaseModel):
    id: int
    name: str


class Artists(DataLoader[int, ArtistRow]):
    """Artists by number. One process asks the database, and for a minute all others need not."""

    session: AsyncSession
    store_ttl = 60.0

    async def batch_load_fn(self, keys: list[int]) -> dict[int, ArtistRow]:
        async with exclusive(self.session):
            rows = await self.session.execute(select(Artist.id, Artist.name).where(Artist.id.in_(keys)))
            return {row.id: ArtistRow(id=row.id, name=row.name) for row in rows}
