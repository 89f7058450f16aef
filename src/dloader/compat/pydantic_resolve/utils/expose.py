"""What nodes below see."""

from __future__ import annotations

from dloader.resolver import ExposeAs

__all__ = ("ExposeAs",)
