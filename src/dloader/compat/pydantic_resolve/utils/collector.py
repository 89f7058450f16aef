"""What gathers values from below."""

from __future__ import annotations

from dloader.compat.pydantic_resolve._markers import SendTo
from dloader.resolver import Collector, ICollector

__all__ = ("Collector", "ICollector", "SendTo")
