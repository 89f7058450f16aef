"""Generations: what is in the names of all values that are read from one subject, a table say.

To outdate all that anybody has read from a table, its generation is deleted. The next who asks makes another one, and
so nobody finds what was kept under the one before; nobody needs to know the names of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from uuid import uuid4

from dloader._stored._guard import Guard, guards_here
from dloader._stored._names import key_name
from dloader._stored._seconds import LONGEST
from dloader._stored._values import VALUE

__all__ = ("EVERY_GENERATION", "generation_names", "generations", "outdate")

EVERY_GENERATION = "dl:1:{generations}:"
"""What their names begin with, and the name of all of them."""
FIRST_PAUSE, LONGEST_PAUSE = 0.002, 0.05
"""Seconds between two looks at what another one makes."""


def generation_names(subjects: Iterable[str]) -> list[str]:
    """What the generations of subjects are called in a store."""
    return [EVERY_GENERATION + key_name(subject) for subject in subjects]


async def generations(guard: Guard, subjects: Sequence[str]) -> object | None:
    """The generations of some subjects, in JSON's types; None if the store does not tell."""
    loop, pause = asyncio.get_running_loop(), FIRST_PAUSE
    until = loop.time() + guard.wait
    found: dict[str, bytes] = {}
    every = missing = generation_names(subjects)
    while missing:
        got = await guard.get(missing)
        if got is None or loop.time() >= until:
            return None
        made = {name: VALUE + uuid4().hex.encode() for name in got.leases}
        if made:
            # If somebody deletes it before it is there, nobody else has this one: what is kept under it is not found.
            await asyncio.wait([guard.write(made.copy, got.leases, LONGEST)])
        found |= {**got.values, **made}
        missing = [name for name in missing if name not in found]
        if set(missing).difference(got.waiting):
            return None  # there is no room for it
        if missing:
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
    return [found[name].hex() for name in every]


def outdate(subjects: Iterable[str] | None) -> None:
    """Outdate all that was read from some subjects, or from any, in all stores that are used on this event loop."""
    names = [EVERY_GENERATION] if subjects is None else generation_names(subjects)
    for guard in guards_here():
        guard.clear(names, None)
