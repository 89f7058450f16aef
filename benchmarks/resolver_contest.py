"""Who takes part in the resolver shapes, and what all of these shapes have in common."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.libraries import DLOADER, Library, pydantic_resolve
from benchmarks.shape import Contestant, Settings, Shape, Target

__all__ = (
    "ASYNC",
    "HAND",
    "LOAD",
    "PEER",
    "PEER_ASYNC",
    "SYNC",
    "TASKS",
    "Fill",
    "Prepare",
    "beyond_hand",
    "contest",
    "outcome",
    "roots",
)

HAND, TASKS, PEER = "by hand", "bare eager tasks", "pydantic-resolve"
SYNC, LOAD, ASYNC = "dloader, sync methods", "dloader, Load", "dloader, async def"
PEER_ASYNC = "pydantic-resolve, async def"

Prepare = Callable[[], Any]
Fill = Callable[[Any], Awaitable[Any]]


def outcome(output: Any) -> list[str]:
    """Trees of any classes as text: exact, and small enough to compare a million nodes."""
    return [node.model_dump_json() for node in (output if isinstance(output, list) else [output])]


def roots(model: Any, rows: Callable[[], list[dict[str, Any]]]) -> Prepare:
    """Makes root nodes from rows."""
    return lambda: [model(**row) for row in rows()]


def beyond_hand(ours: str, at_most: float = 1.15, suffix: str = "", peer: bool = True) -> list[Target]:
    """The targets of nearly every shape: at hand-written speed, and five times as fast as the peer."""
    found = [Target(ours + suffix, (HAND + suffix,), at_most)]
    return found + ([Target(ours + suffix, (PEER + suffix,), 0.2)] if peer and pydantic_resolve() else [])


def contest(
    name: str, settings: Settings, units: int, model: Callable[[Library], Any], plain: Any, fill: Fill,
    prepare: Callable[[Any], Prepare], unit: str = "node",
) -> Shape:  # fmt: skip
    """dloader, pydantic-resolve and hand-written code, each on its own model of the same input."""
    times = settings.times(units)
    contestants = [Contestant(SYNC, DLOADER.resolve, prepare(model(DLOADER)), times=times)]
    if peer := pydantic_resolve():
        contestants.append(Contestant(PEER, peer.resolve, prepare(model(peer)), times=times))
    contestants.append(Contestant(HAND, fill, prepare(plain), times=times))
    return Shape("resolver", name, units, unit, contestants, beyond_hand(SYNC), outcome)
