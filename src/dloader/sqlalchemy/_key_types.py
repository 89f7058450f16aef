"""Keys of a wrong type, found before anything is sent."""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

from sqlalchemy import types

from dloader import KeyTypeError
from dloader._text import shorten
from dloader.sqlalchemy._is_a import is_a

__all__ = ("KeyCheck",)

Kinds: TypeAlias = tuple[type, ...]

KINDS: tuple[tuple[type, Kinds], ...] = (
    (types.Boolean, (bool, int)),
    (types.Integer, (int,)),
    (types.Numeric, (int, float, decimal.Decimal)),
    (types.Enum, ()),
    (types.String, (str,)),
    (types.DateTime, (dt.datetime,)),
)
"""What columns take. A type of a user's own, which is none of these, takes what it converts."""


class KeyCheck:
    """Tells what is wrong with keys for some columns; what a column's own type converts is left to it.

    Args:
        links: The columns, one for each part of a key.
    """

    __slots__ = ("_kinds",)

    def __init__(self, links: Sequence[Any]) -> None:
        self._kinds = [_kinds_of(link.type) for link in links]

    def problems(
        self, label: str, keys: Sequence[Any], plain: Callable[[Any], Any]
    ) -> dict[Any, KeyTypeError]:
        """What is wrong with keys, by those with which something is.

        Args:
            label: Of the loader.
            keys: The keys, or what has them.
            plain: From one of these to the key.
        """
        kinds = self._kinds
        if len(kinds) == 1 and (not kinds[0] or set(map(type, keys)).issubset(kinds[0])):
            return {}
        problems = {key: self._problem(plain(key)) for key in keys}
        return {
            key: KeyTypeError(f"loader {label!r} takes {problem}")
            for key, problem in problems.items()
            if problem is not None
        }

    def _problem(self, key: Any) -> str | None:
        kinds = self._kinds
        if len(kinds) == 1:
            return _problem_of(key, kinds[0], "")
        if not is_a(key, tuple) or len(key) != len(kinds):
            return f"a tuple of {len(kinds)} as its key, not {shorten(key)}"
        found = (
            _problem_of(part, each, f", as part {n} of its key")
            for n, (part, each) in enumerate(zip(key, kinds, strict=True), 1)
        )
        return next(filter(None, found), None)


def _problem_of(value: Any, kinds: Kinds, where: str) -> str | None:
    if not kinds or (is_a(value, *kinds) and not (is_a(value, bool) and bool not in kinds)):
        return None
    wanted = " or ".join(kind.__name__ for kind in kinds)
    return f"{wanted}{where}, not {shorten(value)} ({type(value).__name__})"


def _kinds_of(kind: Any) -> Kinds:
    """The classes of Python that a column's type takes; none if that cannot be told."""
    if isinstance(kind, types.Uuid):
        return (uuid.UUID,) if cast(Any, kind).as_uuid else (str,)
    return next((kinds for cls, kinds in KINDS if isinstance(kind, cls)), ())
