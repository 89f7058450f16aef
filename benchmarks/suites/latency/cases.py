"""Latency cases: loaders that take real time, and how close the whole comes to the least time possible.

The ideal is computed from the plan: the longest chain of loads that need one another, given that a loader is
called once per depth.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from benchmarks.harness.case import Case, Settings, Target, Timed, Way
from benchmarks.peers import libraries
from benchmarks.suites.latency import models as latency_models, stalls as latency_stalls
from benchmarks.suites.latency.models import Slow

OURS, PEER, LEVELS = "dloader", "pydantic-resolve", "by hand, level by level"

Needs = Mapping[str, tuple[float, tuple[str, ...]]]
"""By step: how long it takes and which steps it needs."""


def longest(needs: Needs) -> float:
    """The least time in which all steps can be done."""

    def ends(step: str) -> float:
        takes, before = needs[step]
        return takes + max(map(ends, before), default=0.0)

    return max(map(ends, needs))


def cases(settings: Settings) -> Iterator[Case]:
    """All latency cases."""
    yield _skewed(settings.delay)
    yield _meeting(settings.delay)
    yield from latency_stalls.cases(settings)


def _skewed(quick: float) -> Case:
    """One slow field of the root beside four quick levels: nobody there waits for the slow one."""
    delays = {"report": 5 * quick, "a": quick, "b": quick, "c": quick, "d": quick}
    needs: Needs = {
        "report": (delays["report"], ()),
        "a": (quick, ()), "b": (quick, ("a",)), "c": (quick, ("b",)), "d": (quick, ("c",)),
    }  # fmt: skip
    return _case("a slow field beside a deep branch", delays, needs, latency_models.skewed, _skewed_by_levels)


def _meeting(quick: float) -> Case:
    """Two branches of different speed, whose nodes need one loader at one depth: one batch for both."""
    delays = {"quick": quick, "slow": 3 * quick, "tags": quick, "owner": quick}
    needs: Needs = {
        "quick": (quick, ()),
        "slow": (3 * quick, ()),
        "tags": (quick, ("quick",)),
        "owner": (quick, ("quick", "slow")),
    }
    return _case("two branches meet in one loader", delays, needs, latency_models.meeting, _meeting_by_levels)


Hand = Callable[[Any, Mapping[str, Slow]], Awaitable[Any]]


def _case(name: str, delays: Mapping[str, float], needs: Needs, make: Any, by_levels: Hand) -> Case:
    peer = libraries.pydantic_resolve()
    ways = [_resolved(OURS, libraries.DLOADER, delays, make)]
    ways += [_resolved(PEER, peer, delays, make)] if peer else []
    ways.append(_by_hand(delays, by_levels))
    least = {f"batches of {loader}": 1 for loader in delays}

    targets = [Target(OURS, ("ideal",), 1.05), *(Target(OURS, ("least",), 1.0, of=count) for count in least)]
    return Case("latency", name, 1, "tree", ways, targets, _dump, ideal=longest(needs), least=least)


def _resolved(name: str, lib: libraries.Library, delays: Mapping[str, float], make: Any) -> Way:
    calls: Counter[str] = Counter()
    model = make(lib, {loader: Slow(loader, seconds, calls) for loader, seconds in delays.items()})

    async def run(root: Any) -> Timed:
        calls.clear()
        begun = time.perf_counter()
        output = await lib.resolve(root)
        seconds = time.perf_counter() - begun
        return Timed(output, seconds, {f"batches of {loader}": calls[loader] for loader in delays})

    return Way(name, run, lambda: model(id=1))


def _by_hand(delays: Mapping[str, float], by_levels: Hand) -> Way:
    calls: Counter[str] = Counter()
    slow = {loader: Slow(loader, seconds, calls) for loader, seconds in delays.items()}

    async def run(root: Any) -> Timed:
        calls.clear()
        begun = time.perf_counter()
        output = await by_levels(root, slow)
        seconds = time.perf_counter() - begun
        return Timed(output, seconds, {f"batches of {loader}": calls[loader] for loader in delays})

    return Way(LEVELS, run, lambda: None)


def _dump(output: Any) -> Any:
    return output.model_dump() if isinstance(output, BaseModel) else output


async def _skewed_by_levels(_: Any, slow: Mapping[str, Slow]) -> Any:
    """What one writes by hand: gather each level, then go on to the next."""
    (report,), (kids,) = await asyncio.gather(slow["report"]([1]), slow["a"]([1]))
    root = {"id": 1, "report": report, "kids": kids}
    level = kids
    for name in ("b", "c", "d"):
        found = await slow[name]([node["id"] for node in level])
        for node, below in zip(level, found, strict=True):
            node["kids"] = below
        level = [kid for below in found for kid in below]
    return root


async def _meeting_by_levels(_: Any, slow: Mapping[str, Slow]) -> Any:
    (quick,), (late,) = await asyncio.gather(slow["quick"]([1]), slow["slow"]([1]))
    nodes = [*quick, *late]
    owners, tags = await asyncio.gather(
        slow["owner"]([node["id"] for node in nodes]), slow["tags"]([node["id"] for node in quick])
    )
    for node, owner in zip(nodes, owners, strict=True):
        node["owner"] = owner
    for node, tag in zip(quick, tags, strict=True):
        node["tags"] = tag
    return {"id": 1, "quick": quick, "slow": late}
