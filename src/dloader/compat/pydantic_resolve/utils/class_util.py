"""Checks of classes."""

from __future__ import annotations

from dloader.compat.pydantic_resolve._annotations import is_compatible_type
from dloader.compat.pydantic_resolve._subset import ensure_subset

__all__ = ("ensure_subset", "is_compatible_type")
