"""Loader cases: what asking a loader costs, beside the peers and beside the cheapest that could do it.

Each run makes its loader, as each request of a service does, so that is part of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from dloader import DataLoader, eager

from benchmarks.harness.case import Case, Settings, Target, Way
from benchmarks.peers import packages as peers
from benchmarks.suites.loader import asking, floors

OURS, EAGER = "dloader", "dloader, eager()"
FUTURES, TASKS, DICT = "bare futures", "bare tasks and futures", "one dict"
NEW_FUTURE, SHARED_FUTURE, FILLED_DICT = "a new done future", "a shared done future", "a filled dict"

MakeLoader = Callable[..., Any]
Keys = Callable[[], list[int]]


def loaders() -> dict[str, MakeLoader]:
    """How each library makes a loader; the batch function is `asking.fetch` unless another is passed."""
    found: dict[str, MakeLoader] = {OURS: lambda fn=asking.fetch, **options: DataLoader(fn, **options)}
    if old := peers.old_dloader():
        found["dloader 2025.7"] = lambda fn=asking.fetch, **options: old.DataLoader(fn, **options)
    if aiodataloader := peers.load("aiodataloader"):
        found["aiodataloader"] = lambda fn=asking.fetch, **options: aiodataloader.DataLoader(fn, **options)
    if strawberry := peers.load("strawberry.dataloader"):
        found["Strawberry"] = lambda fn=asking.fetch, **options: strawberry.DataLoader(load_fn=fn, **options)
    return found


def _with_eager(libraries: dict[str, MakeLoader]) -> dict[str, MakeLoader]:
    return {**libraries, EAGER: lambda **options: DataLoader(asking.fetch, dispatch=eager(), **options)}


def _fastest_peer(ours: str) -> list[Target]:
    others = tuple(name for name in loaders() if name != OURS)
    return [Target(ours, others, 1.0)] if others else []


# -- the cases ----------------------------------------------------------------------------------------------


def _ask(
    ask: asking.Ask, libraries: dict[str, MakeLoader], keys: Keys, times: int = 1, **options: Any
) -> list[Way]:
    """Each library's loader is made and asked in that way."""

    def way(name: str, make: MakeLoader) -> Way:
        async def run(given: list[int]) -> Any:
            return await ask(make(**options), given)

        return Way(name, run, keys, times=times)

    return [way(name, make) for name, make in libraries.items()]


def _case(name: str, count: int, ways: list[Way], *targets: Target, unit: str = "load") -> Case:
    return Case("loader", name, count, unit, ways, targets)


def cases(settings: Settings) -> Iterator[Case]:
    """All loader cases."""
    n = settings.nodes
    yield _gather(n, settings, "gather of loads")
    ways = [*_ask(asking.in_tasks, loaders(), _keys(n)), Way(TASKS, floors.bare_tasks, _keys(n))]
    yield _case("one task per load", n, ways, Target(OURS, (TASKS,), 1.05))
    yield _load_many(n, settings, "load_many")
    ways = _ask(asking.as_a_set, loaders(), _keys(n), max_batch_size=100)
    yield _case("load_many in batches of 100", n, ways, *_fastest_peer(OURS))
    yield from _hits(n)
    repeated = _keys(max(1, n // 100), 200)
    ways = [
        *_ask(asking.gathered, loaders(), repeated),
        Way(FUTURES, floors.few_bare_futures, repeated),
    ]
    name = f"duplicates ({len(repeated()):,} loads of {len(set(repeated())):,} keys)"
    yield _case(name, len(repeated()), ways, Target(OURS, (FUTURES,), 1.1))
    yield from _one_by_one(settings)
    for count in settings.decades:
        yield _gather(count, settings, f"gather of {count:,} loads")
        yield _load_many(count, settings, f"load_many of {count:,}")


def _gather(count: int, settings: Settings, name: str) -> Case:
    keys, times = _keys(count), settings.times(count)
    floor = Way(FUTURES, floors.bare_futures, keys, times=times)
    ways = [*_ask(asking.gathered, loaders(), keys, times), floor]
    return _case(name, count, ways, Target(OURS, (FUTURES,), 1.1))


def _load_many(count: int, settings: Settings, name: str) -> Case:
    keys, times = _keys(count), settings.times(count)
    ways = [
        *_ask(asking.as_a_set, loaders(), keys, times),
        Way(DICT, floors.one_dict, keys, times=times),
    ]
    return _case(name, count, ways, Target(OURS, (DICT,), 1.5))


def _hits(count: int) -> Iterator[Case]:
    """Hits of keys that `load` has loaded may share its future; after `load_many` there is none to share yet."""
    again = {**loaders(), SHARED_FUTURE: floors.SharedFutures, NEW_FUTURE: floors.NewFutures}
    for ask, how in ((asking.gathered, "gathered"), (asking.one_after_another, "awaited in turn")):
        # The floors are filled by load_many in any case: what they do then is not timed.
        ways = [
            one
            for name, make in again.items()
            for one in _ask(
                asking.warmed(asking.as_a_set if make in _FLOORS else asking.gathered, ask),
                {name: make},
                _keys(count),
            )
        ]
        target = Target(OURS, (SHARED_FUTURE,), 1.2)
        yield _case(f"cached hits, {how}, after load", count, ways, target)
    first = {**loaders(), NEW_FUTURE: floors.NewFutures}
    for ask, how in ((asking.gathered, "gathered"), (asking.one_after_another, "awaited in turn")):
        ways = _ask(asking.warmed(asking.as_a_set, ask), first, _keys(count))
        target = Target(OURS, (NEW_FUTURE,), 1.2)
        yield _case(f"first hits, {how}, after load_many", count, ways, target)
    ways = _ask(
        asking.warmed(asking.as_a_set, asking.as_a_set),
        {**loaders(), FILLED_DICT: floors.FilledDict},
        _keys(count),
    )
    yield _case("cached hits, load_many", count, ways, Target(OURS, (FILLED_DICT,), 1.5))


_FLOORS = (floors.SharedFutures, floors.NewFutures)


def _one_by_one(settings: Settings) -> Iterator[Case]:
    """Loads that no other load can join, and what there is once per loader."""
    few, count = _keys(settings.sequential), settings.sequential
    eager_too = _with_eager(loaders())
    floor = Way(FUTURES, floors.bare_futures_in_turn, few)
    ways = [*_ask(asking.one_after_another, eager_too, few), floor]
    yield _case("sequential loads", count, ways, *_fastest_peer(OURS), *_fastest_peer(EAGER))
    floor = Way("bare tasks", floors.bare_tasks_of_one, few)
    ways = [*_ask(asking.gathered, eager_too, few, max_batch_size=1), floor]
    yield _case("batches of one", count, ways, *_fastest_peer(OURS))
    one, times = _keys(1), max(1, settings.sequential // 2)
    ways = _ask(asking.made, loaders(), one, times)
    yield _case("making a loader", 1, ways, unit="loader")
    ways = _ask(asking.gathered, _with_eager(loaders()), one, times)
    yield _case("making a loader, for one load", 1, ways, unit="loader")


def _keys(count: int, times: int = 1) -> Keys:
    """Fresh lists of fresh numbers: small ones are shared by all of Python, so these are not small."""
    return lambda: [1_000_000 + number for number in range(count)] * times
