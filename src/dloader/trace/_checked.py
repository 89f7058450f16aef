"""Whether plain values are what the fields of dataclasses say: a file of a trace may be anything."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from dloader._text import shorten

__all__ = ("checked", "within")

MOST = 2**53
"""No number of a trace is larger: all are exact as floats."""

NO_ITEM = object()
"""Fits nothing."""

T = TypeVar("T")


def checked(cls: type[T], values: Mapping[str, Any]) -> T:
    """Make an object of a dataclass, if all values are of the types of its fields.

    Raises:
        TypeError: One is missing or unknown.
        ValueError: One is of another type.
    """
    kinds = _kinds_of(cast(Any, cls))
    for name, value in values.items():
        if name in kinds and not _fits(value, kinds[name]):
            raise ValueError(f"{name!r} of {cls.__name__} is {shorten(value)}")
    return cls(**values)


def within(places: Iterable[int | None], count: int, what: str) -> None:
    """See to it that places in a list of so many are there.

    Raises:
        ValueError: One is not.
    """
    for place in places:
        if place is not None and not 0 <= place < count:
            raise ValueError(f"there is no {what} {place}")


@cache
def _kinds_of(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _fits(value: Any, kind: Any) -> bool:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return any(_fits(value, each) for each in arguments)
    if origin is dict:
        items: Iterable[Any] = cast(Mapping[str, Any], value).values() if type(value) is dict else (NO_ITEM,)
        return all(_fits(each, arguments[1]) for each in items)
    if origin is list:
        return type(value) is list and all(_fits(each, arguments[0]) for each in cast(Sequence[Any], value))
    if kind in (int, float):
        return type(value) in (int, kind) and math.isfinite(value) and abs(value) < MOST
    return type(value) is (origin or (NoneType if kind is None else kind))
