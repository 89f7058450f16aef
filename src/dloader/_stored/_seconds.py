"""For how many seconds something is kept, as users say it."""

from __future__ import annotations

from dloader._text import shorten
from dloader.errors import OptionError

__all__ = ("LONGEST", "checked_seconds", "is_positive")

LONGEST = 30 * 24 * 3600.0
"""For how many seconds anything is kept at most: longer than a store remembers that all of a loader was cleared."""


def is_positive(number: object) -> bool:
    """Whether something is a number above 0."""
    return isinstance(number, (int, float)) and not isinstance(number, bool) and number > 0


def checked_seconds(label: str, option: str, seconds: float | None) -> float | None:
    """The seconds that an option was given, or None.

    Raises:
        OptionError: They are none, or too many.
    """
    if seconds is None:
        return None
    if not is_positive(seconds) or seconds > LONGEST:
        raise OptionError(
            f"{label}: {option} takes seconds, more than none and no more than 30 days, or None, not {shorten(seconds)}"
        )
    return seconds
