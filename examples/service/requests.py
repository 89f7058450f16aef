"""What one request has: a session, the tenant, and the loaders."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends, Header
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import with_loader_criteria

from dloader import LoaderRegistry
from dloader.fastapi import loaders
from examples.service import settings
from examples.service.models import Tenanted


async def get_session() -> AsyncIterator[AsyncSession]:
    async with settings.make_session() as session:
        yield session


async def get_options(tenant: Annotated[int, Header()]) -> list[Any]:
    """The tenant, said once: no statement of a request sees another's rows."""
    return [with_loader_criteria(Tenanted, lambda cls: cls.tenant_id == tenant, include_aliases=True)]


Session = Annotated[AsyncSession, Depends(get_session)]
Options = Annotated[list[Any], Depends(get_options)]
Loaders = Annotated[LoaderRegistry, Depends(loaders(session=Session, options=Options, store=settings.store))]
