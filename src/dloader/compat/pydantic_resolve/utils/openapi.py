"""Response models in OpenAPI."""

from __future__ import annotations

from dloader.compat.pydantic_resolve._openapi import serialization

__all__ = ("serialization",)
