"""Resolvers with a diagram."""

from __future__ import annotations

from dloader.compat.pydantic_resolve.resolver import (
    config_global_resolver,
    config_resolver,
    reset_global_resolver,
)

__all__ = ("config_global_resolver", "config_resolver", "reset_global_resolver")
