"""What the tests of the resolver share: batch functions that keep what they were asked for."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from loops import LoopRunner, Recorder

from dloader import PlanError
from dloader.resolver import Resolver

__all__ = ("Source", "notes_of", "problems_of")


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


def problems_of(run: LoopRunner, root: object, **arguments: Any) -> tuple[str, ...]:
    """What a resolve of `root` is refused for."""

    async def law() -> tuple[str, ...]:
        with pytest.raises(PlanError) as caught:
            await Resolver(**arguments).resolve(root)
        assert isinstance(caught.value, TypeError)
        assert all(problem in str(caught.value) for problem in caught.value.problems)
        return caught.value.problems

    return run(law)
