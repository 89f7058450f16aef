"""Whether two results are the same, where their classes do not say: rows of an ORM, other plain objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

__all__ = ("is_alike",)

MOST_LEVELS = 4
"""Rows lead to rows, and back: how far that is followed."""


def is_alike(one: object, other: object, levels: int = MOST_LEVELS) -> bool:
    """Whether two things are equal; of objects without ``==`` (rows of an ORM), whether they hold the same.

    Args:
        one: A result.
        other: That of the same key in another call.
        levels: How far down attributes are looked at.
    """
    kind = type(one)
    if one is other or kind is not type(other):
        return one is other or bool(one == other)
    if kind in {list, tuple}:
        items, others = cast(Sequence[object], one), cast(Sequence[object], other)
        return len(items) == len(others) and all(
            is_alike(*each, levels) for each in zip(items, others, strict=True)
        )
    if kind is dict:
        return _are_alike(cast(Mapping[Any, object], one), cast(Mapping[Any, object], other), levels)
    held = _held(one)
    if kind.__eq__ is not object.__eq__ or not held:
        return bool(one == other)
    return not levels or _are_alike(held, _held(other), levels - 1)


def _are_alike(one: Mapping[Any, object], other: Mapping[Any, object], levels: int) -> bool:
    return one.keys() == other.keys() and all(is_alike(one[key], other[key], levels) for key in one)


def _held(thing: object) -> Mapping[str, object]:
    """Its attributes, without private ones, where libraries keep their own."""
    held: Mapping[str, object] = getattr(thing, "__dict__", {})
    return {name: value for name, value in held.items() if not name.startswith("_")}
