"""Entities and their relationships."""

from __future__ import annotations

from dloader.compat.pydantic_resolve._diagram import ErDiagram, base_entity
from dloader.compat.pydantic_resolve._markers import AutoLoad, LoaderInfo
from dloader.compat.pydantic_resolve._relationship import Entity, MutationConfig, QueryConfig, Relationship

__all__ = (
    "AutoLoad",
    "Entity",
    "ErDiagram",
    "LoaderInfo",
    "MutationConfig",
    "QueryConfig",
    "Relationship",
    "base_entity",
)
