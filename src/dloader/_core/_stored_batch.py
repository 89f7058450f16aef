"""One batch on its way through a store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, final

from dloader._stored._guard import Guard
from dloader._stored._values import Values
from dloader.store import Got

__all__ = ("Keeping", "StoredBatch")

FIRST_PAUSE, LONGEST_PAUSE = 0.002, 0.05
"""Seconds between two looks at what others load."""


class Keeping(NamedTuple):
    """How the values of one batch are kept: as the loader said when it began, whatever it says meanwhile."""

    of: Values
    """What makes bytes of them."""
    ttl: float
    is_right: Callable[[], bool]
    """Whether what was loaded is what others would load, too."""


class Level(Protocol):
    """What reads and writes values."""

    def read(self, found: Mapping[str, bytes], of: Values, /) -> dict[str, Any]:
        """The values of what the store had."""
        ...

    def write(self, values: Mapping[str, Any], leases: Mapping[str, bytes], keeping: Keeping, /) -> None:
        """Begin to write what was loaded, and give back the leases of the rest."""
        ...


@final
class StoredBatch:
    """One batch on its way through a store; lives until it has its values."""

    __slots__ = ("_call", "_guard", "_keeping", "_level", "_places", "values")

    def __init__(
        self,
        level: Level,
        guard: Guard,
        keeping: Keeping,
        places: Mapping[str, tuple[Any, Hashable]],
        call: Callable[[Sequence[tuple[Any, Hashable]]], Awaitable[Sequence[Any]]],
    ) -> None:
        self._level = level
        self._guard = guard
        self._keeping = keeping
        self._places = places
        """By name, the keys as they are given to the batch function, and what stands for them in its results."""
        self._call = call
        self.values: dict[str, Any] = {}
        """By name, what there is so far."""

    async def fill(self) -> None:
        """Find or load all values."""
        loop, pause = asyncio.get_running_loop(), FIRST_PAUSE
        waiting = await self._take(list(self._places), None)
        until = loop.time() + self._guard.wait
        while waiting:
            is_late = loop.time() >= until
            if not is_late:
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            waiting = await self._take(waiting, Got({}, {}) if is_late else None)

    async def _take(self, names: Sequence[str], got: Got | None) -> list[str]:
        """Take what the store has, load what nobody else does, and return the names of what others load."""
        got = got or await self._guard.get(names) or Got({}, {})
        found = self._level.read(got.values, self._keeping.of) if got.values else {}
        self.values.update(found)
        waiting = set(got.waiting)
        missing = [name for name in names if name not in found and name not in waiting]
        if missing:
            await self._load(missing, got.leases)
        return [name for name in names if name in waiting]

    async def _load(self, names: Sequence[str], leases: Mapping[str, bytes]) -> None:
        values: Sequence[Any] = ()
        try:
            values = await self._call([self._places[name] for name in names])
        except Exception as error:
            if not self.values:
                raise
            values = [error] * len(names)  # the others have theirs
        finally:
            kept = dict(zip(names, values, strict=False)) if self._keeping.is_right() else {}
            self._level.write(kept, leases, self._keeping)
        self.values.update(zip(names, values, strict=True))
