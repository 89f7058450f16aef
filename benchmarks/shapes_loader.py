"""Loader shapes: what asking a loader costs, beside the peers and beside the cheapest that could do it.

Each run makes its loader, as each request of a service does, so that is part of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from dloader import DataLoader, eager

from benchmarks import loader_floors as floors, loader_ways as ways, peers
from benchmarks.shape import Contestant, Settings, Shape, Target

__all__ = ("OURS", "loaders", "shapes")

OURS, EAGER = "dloader", "dloader, eager()"
FUTURES, TASKS, DICT = "bare futures", "bare tasks and futures", "one dict"
NEW_FUTURE, SHARED_FUTURE, FILLED_DICT = "a new done future", "a shared done future", "a filled dict"

MakeLoader = Callable[..., Any]
Keys = Callable[[], list[int]]


def loaders() -> dict[str, MakeLoader]:
    """How each library makes a loader; the batch function is `ways.fetch` unless another is passed."""
    found: dict[str, MakeLoader] = {OURS: lambda fn=ways.fetch, **options: DataLoader(fn, **options)}
    if old := peers.old_dloader():
        found["dloader 2025.7"] = lambda fn=ways.fetch, **options: old.DataLoader(fn, **options)
    if aiodataloader := peers.load("aiodataloader"):
        found["aiodataloader"] = lambda fn=ways.fetch, **options: aiodataloader.DataLoader(fn, **options)
    if strawberry := peers.load("strawberry.dataloader"):
        found["Strawberry"] = lambda fn=ways.fetch, **options: strawberry.DataLoader(load_fn=fn, **options)
    return found


def _with_eager(libraries: dict[str, MakeLoader]) -> dict[str, MakeLoader]:
    return {**libraries, EAGER: lambda **options: DataLoader(ways.fetch, dispatch=eager(), **options)}


def _fastest_peer(ours: str) -> list[Target]:
    others = tuple(name for name in loaders() if name != OURS)
    return [Target(ours, others, 1.0)] if others else []


# -- the shapes ----------------------------------------------------------------------------------------------


def _ask(
    ask: ways.Ask, libraries: dict[str, MakeLoader], keys: Keys, times: int = 1, **options: Any
) -> list[Contestant]:
    """Each library's loader is made and asked in that way."""

    def contestant(name: str, make: MakeLoader) -> Contestant:
        async def run(given: list[int]) -> Any:
            return await ask(make(**options), given)

        return Contestant(name, run, keys, times=times)

    return [contestant(name, make) for name, make in libraries.items()]


def _shape(
    name: str, count: int, contestants: list[Contestant], *targets: Target, unit: str = "load"
) -> Shape:
    return Shape("loader", name, count, unit, contestants, targets)


def shapes(settings: Settings) -> Iterator[Shape]:
    """All loader shapes."""
    n = settings.nodes
    yield _gather(n, settings, "gather of loads")
    contestants = [*_ask(ways.in_tasks, loaders(), _keys(n)), Contestant(TASKS, floors.bare_tasks, _keys(n))]
    yield _shape("one task per load", n, contestants, Target(OURS, (TASKS,), 1.05))
    yield _load_many(n, settings, "load_many")
    contestants = _ask(ways.as_a_set, loaders(), _keys(n), max_batch_size=100)
    yield _shape("load_many in batches of 100", n, contestants, *_fastest_peer(OURS))
    yield from _hits(n)
    repeated = _keys(max(1, n // 100), 200)
    contestants = [
        *_ask(ways.gathered, loaders(), repeated),
        Contestant(FUTURES, floors.few_bare_futures, repeated),
    ]
    name = f"duplicates ({len(repeated()):,} loads of {len(set(repeated())):,} keys)"
    yield _shape(name, len(repeated()), contestants, Target(OURS, (FUTURES,), 1.1))
    yield from _one_by_one(settings)
    for count in settings.decades:
        yield _gather(count, settings, f"gather of {count:,} loads")
        yield _load_many(count, settings, f"load_many of {count:,}")


def _gather(count: int, settings: Settings, name: str) -> Shape:
    keys, times = _keys(count), settings.times(count)
    floor = Contestant(FUTURES, floors.bare_futures, keys, times=times)
    contestants = [*_ask(ways.gathered, loaders(), keys, times), floor]
    return _shape(name, count, contestants, Target(OURS, (FUTURES,), 1.1))


def _load_many(count: int, settings: Settings, name: str) -> Shape:
    keys, times = _keys(count), settings.times(count)
    contestants = [
        *_ask(ways.as_a_set, loaders(), keys, times),
        Contestant(DICT, floors.one_dict, keys, times=times),
    ]
    return _shape(name, count, contestants, Target(OURS, (DICT,), 1.5))


def _hits(count: int) -> Iterator[Shape]:
    """Hits of keys that `load` has loaded may share its future; after `load_many` there is none to share yet."""
    again = {**loaders(), SHARED_FUTURE: floors.SharedFutures, NEW_FUTURE: floors.NewFutures}
    for ask, how in ((ways.gathered, "gathered"), (ways.one_after_another, "awaited in turn")):
        # The floors are filled by load_many in any case: what they do then is not timed.
        contestants = [
            one
            for name, make in again.items()
            for one in _ask(
                ways.warmed(ways.as_a_set if make in _FLOORS else ways.gathered, ask),
                {name: make},
                _keys(count),
            )
        ]
        target = Target(OURS, (SHARED_FUTURE,), 1.2)
        yield _shape(f"cached hits, {how}, after load", count, contestants, target)
    first = {**loaders(), NEW_FUTURE: floors.NewFutures}
    for ask, how in ((ways.gathered, "gathered"), (ways.one_after_another, "awaited in turn")):
        contestants = _ask(ways.warmed(ways.as_a_set, ask), first, _keys(count))
        target = Target(OURS, (NEW_FUTURE,), 1.2)
        yield _shape(f"first hits, {how}, after load_many", count, contestants, target)
    contestants = _ask(
        ways.warmed(ways.as_a_set, ways.as_a_set), {**loaders(), FILLED_DICT: floors.FilledDict}, _keys(count)
    )
    yield _shape("cached hits, load_many", count, contestants, Target(OURS, (FILLED_DICT,), 1.5))


_FLOORS = (floors.SharedFutures, floors.NewFutures)


def _one_by_one(settings: Settings) -> Iterator[Shape]:
    """Loads that no other load can join, and what there is once per loader."""
    few, count = _keys(settings.sequential), settings.sequential
    eager_too = _with_eager(loaders())
    floor = Contestant(FUTURES, floors.bare_futures_in_turn, few)
    contestants = [*_ask(ways.one_after_another, eager_too, few), floor]
    yield _shape("sequential loads", count, contestants, *_fastest_peer(OURS), *_fastest_peer(EAGER))
    floor = Contestant("bare tasks", floors.bare_tasks_of_one, few)
    contestants = [*_ask(ways.gathered, eager_too, few, max_batch_size=1), floor]
    yield _shape("batches of one", count, contestants, *_fastest_peer(OURS))
    one, times = _keys(1), max(1, settings.sequential // 2)
    contestants = _ask(ways.made, loaders(), one, times)
    yield _shape("making a loader", 1, contestants, unit="loader")
    contestants = _ask(ways.gathered, _with_eager(loaders()), one, times)
    yield _shape("making a loader, for one load", 1, contestants, unit="loader")


def _keys(count: int, times: int = 1) -> Keys:
    """Fresh lists of fresh numbers: small ones are shared by all of Python, so these are not small."""
    return lambda: [1_000_000 + number for number in range(count)] * times
