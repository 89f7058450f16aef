"""How methods ask for loaders."""

from __future__ import annotations

from dloader.compat.pydantic_resolve._markers import Depends, Loader

__all__ = ("Depends", "Loader")
