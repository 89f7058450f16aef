"""What the tests of the resolver share: batch functions that keep what they were asked for."""

import asyncio
from collections.abc import Callable
from typing import Any

from loops import Recorder

__all__ = ("Source", "notes_of")


class Source(Recorder):
    """A batch function with a name, which answers for one key at a time; `calls` keeps the key lists.

    Each source is a loader of its own: `LoaderDepend(source)`, `Load(source, by=...)`.
    """

    def __init__(
        self,
        one: Callable[[Any], Any],
        name: str = "source",
        *,
        turns: int = 0,
        gate: asyncio.Event | None = None,
    ) -> None:
        super().__init__(lambda keys: [one(key) for key in keys], turns=turns, gate=gate)
        self.__qualname__ = self.__name__ = name


def notes_of(error: BaseException) -> str:
    """What was noted on an error."""
    return "\n".join(getattr(error, "__notes__", ()))
