"""What somebody seems to have meant whose key or value does not fit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from dloader.resolver._convert import holds_awaitables

__all__ = ("SEVERAL_KEYS", "hint_of")

SEVERAL_KEYS = (
    "a key cannot be a list, set or dict; where a node has several keys, declare what holds them as list[...], "
    "set[...] or tuple[X, ...]"
)


def hint_of(method: str, given: Any) -> str | None:
    """What a method seems to have meant whose value does not fit."""
    if given is None:
        return f"{method} returned None"
    kind: type = cast(Any, type(given))
    if holds_awaitables(given, only_first=False):
        return f"the method gave a {kind.__name__} of futures: return loader.load_many(keys) instead"
    if issubclass(kind, Iterator):
        return f"the method gave a {kind.__name__}: return a list of what it yields"
    return None
