"""isinstance, for values of which type checkers know nothing."""

from __future__ import annotations

__all__ = ("is_a",)


def is_a(value: object, *kinds: type) -> bool:
    """Whether a value is of one of some classes; a type checker draws no conclusions, of unknown generics say."""
    return isinstance(value, kinds)
