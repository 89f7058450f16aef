"""What a terminal may be shown: no text of others acts on it, and no line is wider than it is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import accumulate
from unicodedata import combining, east_asian_width

__all__ = ("WIDTH", "columns", "cut", "inert", "padded", "wrapped")

WIDTH = 80
"""Columns, where nobody knows how many there are."""


def inert(text: str) -> str:
    r"""The text in one line, with what terminals act on written as a repr has it: ``\x1b``, ``\n``, ``\u202e``.

    That is each character that cannot be printed: controls, ends of lines, marks that turn text, lone surrogates.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def columns(text: str) -> int:
    """How many columns a text takes: of CJK and emoji each two, of marks on the letter before none."""
    return len(text) if text.isascii() else sum(map(_width, text))


def padded(text: str, width: int) -> str:
    """The text, and spaces up to so many columns."""
    return text + " " * (width - columns(text))


def cut(text: str, width: int, ellipsis: str = "…") -> str:
    """The text, inert, in so many columns: what is too long ends with an ellipsis of one."""
    words = inert(text)
    return words if columns(words) <= width else f"{_first(words, width - 1)}{ellipsis}"


def wrapped(text: str, width: int = WIDTH, *, indent: int = 0) -> Iterable[str]:
    """The text, inert, in lines of so many columns; from the second on they are indented by some."""
    line = ""
    for word in re.findall(" *[^ ]+", inert(text)):
        line += word
        if columns(line) > width and line[: -len(word)].strip():
            yield line[: -len(word)]
            line = " " * indent + word.lstrip()
        while columns(line) > width:
            head = _first(line, width)
            yield head
            line = " " * indent + line[len(head) :]
    if line.strip():
        yield line


def _first(text: str, width: int) -> str:
    """As much of the beginning as so many columns have."""
    return text[: sum(taken <= width for taken in accumulate(map(_width, text)))]


def _width(letter: str) -> int:
    return 0 if combining(letter) else 2 if east_asian_width(letter) in "WF" else 1
