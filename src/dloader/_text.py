"""The words of messages: reprs of any size in a line, and what somebody may have meant."""

from __future__ import annotations

from collections.abc import Iterable
from reprlib import Repr

__all__ = ("did_you_mean", "shorten")

_repr = Repr()
_repr.maxstring = _repr.maxother = 60


def shorten(value: object) -> str:
    """The repr of `value`, cut to about a line; a repr that raises does not matter."""
    try:
        return _repr.repr(value)
    except (
        BaseException
    ):  # reprlib guards some itself, but no huge number, nor a class that is named as Python's
        return f"<{type(value).__name__} object>"


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """`` (did you mean 'offices'?)`` or the names there are."""
    known = list(names)
    from difflib import get_close_matches  # noqa: PLC0415 - a twentieth of what `import dloader` may cost

    close = get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"there is {', '.join(map(repr, known))}" if known else "there is none"
