"""Where in the user's program something happened: read off the stack once per batch, put into words later."""

from __future__ import annotations

import asyncio
import sys
from functools import lru_cache
from pathlib import Path
from types import CodeType, FrameType
from typing import NamedTuple, TypeAlias

import dloader

__all__ = ("Place", "Sites", "place_of", "shown_file", "sites_here")

Sites: TypeAlias = tuple[tuple[CodeType, int], ...]
"""The innermost first: a function's code, and how far it has got."""

MOST_SITES = 3
PACKAGE = str(Path(dloader.__file__).parent)
DEMO = str(Path(PACKAGE, "demo"))
RESOLVER = str(Path(PACKAGE, "resolver"))
ASYNCIO = str(Path(asyncio.__file__).parent)
LOOPS = frozenset({"Handle._run", "Runner.run", "run", "BaseEventLoop.run_forever"})
"""Below these nobody has asked for anything: they run whatever is ready."""

USER, SKIPPED, RESOLVING, BOTTOM = range(4)
_kinds: dict[int, tuple[int, CodeType]] = {}
"""By the id of a code object, which is kept alive here: hashing one takes as long as walking over several."""
MOST_KINDS = 10_000


def sites_here(skip: int = 1) -> tuple[Sites, bool]:
    """The functions of the user's that have led here, and whether a resolver is among those that it went through.

    Args:
        skip: How many callers are not looked at.
    """
    found: list[tuple[CodeType, int]] = []
    by_resolver = False
    frame: FrameType | None = sys._getframe(skip)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - `inspect` costs ten times as much
    while frame is not None and len(found) < MOST_SITES:
        code = frame.f_code
        known = _kinds.get(id(code))
        kind = _remember(code) if known is None else known[0]
        if kind == USER:
            found.append((code, frame.f_lasti))
        elif kind == RESOLVING:
            by_resolver = by_resolver or not found
        elif kind == BOTTOM:
            break
        frame = frame.f_back
    return tuple(found), by_resolver


def _remember(code: CodeType) -> int:
    if len(_kinds) >= MOST_KINDS:  # code that is made at run time is not kept for ever
        _kinds.clear()
    kind = _kind_of(code)
    _kinds[id(code)] = kind, code
    return kind


def _kind_of(code: CodeType) -> int:
    file = code.co_filename
    if file.startswith(ASYNCIO):
        return BOTTOM if code.co_qualname in LOOPS else SKIPPED
    if file.startswith(RESOLVER):
        return RESOLVING
    if file.startswith(PACKAGE) and not file.startswith(DEMO):
        return SKIPPED
    return USER


class Place(NamedTuple):
    """A line of a program."""

    file: str
    """Relative to the working directory or to the folder of installed packages."""
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.short} in {self.function}"

    @property
    def short(self) -> str:
        """The file's name and the line."""
        return f"{self.file.rpartition('/')[2]}:{self.line}"


def place_of(code: CodeType, offset: int) -> Place:
    """Where a function had got to."""
    line = next(
        (line for start, end, line in code.co_lines() if start <= offset < end and line is not None),
        code.co_firstlineno,
    )
    function = code.co_qualname.rpartition("<locals>.")[2]
    return Place(shown_file(code.co_filename), line, function)


@lru_cache(maxsize=1_000)
def shown_file(file: str) -> str:
    """A file's name without what is private about it, or of no interest."""
    path = Path(file)
    try:
        return path.relative_to(Path.cwd()).as_posix()
    except ValueError:
        parts = path.parts
        for folder in ("site-packages", "dist-packages"):
            if folder in parts:
                return "/".join(parts[parts.index(folder) + 1 :])
        return "/".join(parts[-2:])
