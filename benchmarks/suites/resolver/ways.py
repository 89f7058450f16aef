"""Who takes part in the resolver cases, and what all of these cases have in common."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.harness.case import Case, Settings, Target, Way
from benchmarks.peers.libraries import DLOADER, Library, moved, pydantic_resolve

HAND, TASKS, PEER = "by hand", "bare eager tasks", "pydantic-resolve"
SYNC, LOAD, ASYNC = "dloader, sync methods", "dloader, Load", "dloader, async def"
PEER_ASYNC = "pydantic-resolve, async def"
MOVED, MOVED_ASYNC = "pydantic-resolve, import changed", "pydantic-resolve, import changed, async def"

Prepare = Callable[[], Any]
Fill = Callable[[Any], Awaitable[Any]]


def outcome(output: Any) -> list[str]:
    """Trees of any classes as text: exact, and small enough to compare a million nodes."""
    return [node.model_dump_json() for node in (output if isinstance(output, list) else [output])]


def roots(model: Any, rows: Callable[[], list[dict[str, Any]]]) -> Prepare:
    """Makes root nodes from rows."""
    return lambda: [model(**row) for row in rows()]


def beyond_hand(ours: str, at_most: float = 1.15, suffix: str = "", peer: bool = True) -> list[Target]:
    """The targets of nearly every case: at hand-written speed, and five times as fast as the peer."""
    found = [Target(ours + suffix, (HAND + suffix,), at_most)]
    return found + ([Target(ours + suffix, (PEER + suffix,), 0.2)] if peer and pydantic_resolve() else [])


def compared(
    name: str, settings: Settings, units: int, model: Callable[[Library], Any], plain: Any, fill: Fill,
    prepare: Callable[[Any], Prepare], unit: str = "node",
) -> Case:  # fmt: skip
    """dloader, pydantic-resolve and hand-written code, each on its own model of the same input."""
    times = settings.times(units)
    ways = [Way(SYNC, DLOADER.resolve, prepare(model(DLOADER)), times=times)]
    if peer := pydantic_resolve():
        ways.append(Way(PEER, peer.resolve, prepare(model(peer)), times=times))
    targets = beyond_hand(SYNC)
    if after := moved():
        ways.append(Way(MOVED, after.resolve, prepare(model(after)), times=times))
        targets.append(Target(MOVED, (PEER,), 1.0))
    ways.append(Way(HAND, fill, prepare(plain), times=times))
    return Case("resolver", name, units, unit, ways, targets, outcome)
