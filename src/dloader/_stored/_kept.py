"""What loaders of dloader's own say of their values in a store, which classes of users say by their options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from dloader._stored._values import Values

__all__ = ("Kept",)


class Kept(Protocol):
    """What one loader keeps; asked anew for each batch, as what is wanted of its values may change."""

    def check(self, is_covered: bool, /) -> None:
        """Find what is wrong with what the loader was given.

        Args:
            is_covered: Whether a namespace says what nobody can tell.

        Raises:
            OptionError: Something cannot be told apart from what others load.
        """
        ...

    def mark(self) -> object | None:
        """None while the loader may see what nobody else does; else what is equal until something is written."""
        ...

    def takes(self, key: object, /) -> bool:
        """Whether the value of a key is kept."""
        ...

    def values(self) -> Values:
        """What makes bytes of the values that are wanted now."""
        ...

    def identity(self, is_covered: bool, /) -> object:
        """In JSON's types, what values depend on beside the loader's parameters; see `check`."""
        ...

    def subjects(self) -> Sequence[str]:
        """What they are read from, tables say: when one of these is written, all values of it are outdated."""
        ...
