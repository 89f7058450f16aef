"""What is written, by REST and by GraphQL alike. What loaders have cached of it is forgotten by itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from dloader import LoaderRegistry
from examples.service.catalogue import Artists
from examples.service.models import Artist, Customer, Invoice, InvoiceLine, Track


class NotThereError(LookupError):
    """It is not there, or is another tenant's."""


async def find_customer(session: AsyncSession, options: Sequence[Any], customer_id: int) -> Customer:
    """Return one of the tenant's customers."""
    statement = select(Customer).where(Customer.id == customer_id).options(*options)
    customer = (await session.execute(statement)).scalar_one_or_none()
    if customer is None:
        raise NotThereError(f"no customer {customer_id}")
    return customer


async def buy(
    session: AsyncSession, options: Sequence[Any], customer_id: int, track_ids: Sequence[int], reference: str
) -> Customer:
    """Write an invoice for one of the tenant's customers."""
    customer = await find_customer(session, options, customer_id)
    rows = await session.execute(select(Track.id, Track.cents).where(Track.id.in_(track_ids)))
    prices = {row.id: row.cents for row in rows}
    if missing := set(track_ids) - set(prices):
        raise NotThereError(f"no tracks {sorted(missing)}")
    tenant = customer.tenant_id
    lines = [InvoiceLine(track_id=n, quantity=1, cents=prices[n], tenant_id=tenant) for n in track_ids]
    today = datetime.now(UTC).date()
    session.add(
        Invoice(customer_id=customer_id, day=today, reference=reference, lines=lines, tenant_id=tenant)
    )
    await session.commit()
    return customer


async def rename_artist(session: AsyncSession, loaders: LoaderRegistry, artist_id: int, name: str) -> None:
    """Give an artist another name, here and in Redis."""
    artist = await session.get(Artist, artist_id)
    if artist is None:
        raise NotThereError(f"no artist {artist_id}")
    artist.name = name
    await session.commit()
    loaders.get(Artists).clear(artist_id)  # after the commit: what is read from now on is the new name
