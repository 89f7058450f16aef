"""Models made of some fields of another."""

from __future__ import annotations

from dloader.compat.pydantic_resolve._subset import DefineSubset, SubsetConfig, create_subset, ensure_subset

__all__ = ("DefineSubset", "SubsetConfig", "create_subset", "ensure_subset")
