"""What a terminal may be shown: no text of others acts on it, and no line is wider than it is."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

__all__ = ("WIDTH", "cut", "inert", "wrapped")

WIDTH = 80
"""Columns, where nobody knows how many there are."""


def inert(text: str) -> str:
    r"""The text in one line, with what terminals act on written as a repr has it: ``\x1b``, ``\n``, ``\u202e``.

    That is each character that cannot be printed: controls, ends of lines, marks that turn text, lone surrogates.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def cut(text: str, width: int, ellipsis: str = "…") -> str:
    """The text, inert, in so many columns: what is too long ends with an ellipsis of one."""
    words = inert(text)
    return words if len(words) <= width else f"{words[: max(0, width - 1)]}{ellipsis}"


def wrapped(text: str, width: int = WIDTH, *, indent: int = 0) -> Iterable[str]:
    """The text, inert, in lines of so many columns; from the second on they are indented by some."""
    return textwrap.wrap(inert(text), width, subsequent_indent=" " * indent)
