"""Shortened reprs for messages: a key or value may be of any size."""

from __future__ import annotations

from reprlib import Repr

__all__ = ("shorten",)

_repr = Repr()
_repr.maxstring = _repr.maxother = 60


def shorten(value: object) -> str:
    """The repr of `value`, cut to about a line; a repr that raises does not matter."""
    return _repr.repr(value)
