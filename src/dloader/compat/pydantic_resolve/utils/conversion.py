"""How values are converted."""

from __future__ import annotations

from dloader.compat.pydantic_resolve._mapper import mapper

__all__ = ("mapper",)
