"""Loader shapes: what asking a loader costs, beside the peers and beside the cheapest that could do it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from dloader import DataLoader, eager

from benchmarks import loader_ways as ways, peers
from benchmarks.shape import Contestant, Settings, Shape, Target

__all__ = ("shapes",)

OURS, EAGER = "dloader", "dloader, eager()"
NEW_FUTURE, SHARED_FUTURE = "a new done future", "a shared done future"
FUTURES, TASKS, DICT = "bare futures", "bare tasks and futures", "one dict"

MakeLoader = Callable[..., Any]
Ask = Callable[[Any, list[int]], Any]
Keys = Callable[[], list[int]]


def _loaders() -> dict[str, MakeLoader]:
    """How each library makes a loader of `fetch`."""
    found: dict[str, MakeLoader] = {OURS: lambda **options: DataLoader(ways.fetch, **options)}
    if old := peers.old_dloader():
        found["dloader 2025.7"] = lambda **options: old.DataLoader(ways.fetch, **options)
    if aiodataloader := peers.load("aiodataloader"):
        found["aiodataloader"] = lambda **options: aiodataloader.DataLoader(ways.fetch, **options)
    if strawberry := peers.load("strawberry.dataloader"):
        found["Strawberry"] = lambda **options: strawberry.DataLoader(load_fn=ways.fetch, **options)
    return found


def _with_eager(loaders: dict[str, MakeLoader]) -> dict[str, MakeLoader]:
    return {**loaders, EAGER: lambda **options: DataLoader(ways.fetch, dispatch=eager(), **options)}


# -- the shapes ----------------------------------------------------------------------------------------------


def _contest(ask: Ask, loaders: dict[str, MakeLoader], keys: Keys, **options: Any) -> list[Contestant]:
    def contestant(name: str, make: MakeLoader) -> Contestant:
        async def run(given: list[int]) -> Any:
            return await ask(make(**options), given)

        return Contestant(name, run, keys)

    return [contestant(name, make) for name, make in loaders.items()]


def shapes(settings: Settings) -> Iterator[Shape]:
    """All loader shapes."""
    loaders = _loaders()
    others = tuple(name for name in loaders if name != OURS)
    eager_too = _with_eager(loaders)
    hits = {**loaders, NEW_FUTURE: ways.NewFutures, SHARED_FUTURE: ways.SharedFutures}

    def shape(name: str, count: int, contestants: list[Contestant], *targets: Target) -> Shape:
        return Shape("loader", name, count, "load", contestants, targets)

    def fastest(ours: str) -> list[Target]:
        return [Target(ours, others, 1.0)] if others else []

    def beside(ask: Ask, floor: str, way: Any, given: Keys) -> list[Contestant]:
        return [*_contest(ask, loaders, given), Contestant(floor, way, given)]

    n = settings.nodes
    keys, repeated, few = _keys(n), _keys(n // 100, 200), _keys(settings.sequential)
    as_futures, as_tasks, as_dict = (
        Target(OURS, (FUTURES,), 1.1),
        Target(OURS, (TASKS,), 1.05),
        Target(OURS, (DICT,), 1.5),
    )
    yield shape("gather of loads", n, beside(ways.gathered, FUTURES, ways.bare_futures, keys), as_futures)
    yield shape("one task per load", n, beside(ways.in_tasks, TASKS, ways.bare_tasks, keys), as_tasks)
    yield shape("load_many", n, beside(ways.as_a_set, DICT, ways.one_dict, keys), as_dict)
    for ask, how in ((ways.gathered, "gathered"), (ways.one_after_another, "awaited in turn")):
        contestants = _contest(ways.cached(ask), hits, keys)
        yield shape(f"cached hits, {how}", n, contestants, Target(OURS, (SHARED_FUTURE,), 1.2))
    contestants = beside(ways.cached(ways.as_a_set), DICT, ways.one_dict, keys)
    yield shape("cached hits, load_many", n, contestants, as_dict)
    contestants = beside(ways.gathered, FUTURES, ways.bare_futures, repeated)
    yield shape(f"duplicates ({2 * n:,} loads of {n // 100:,} keys)", 2 * n, contestants, as_futures)
    contestants = _contest(ways.one_after_another, eager_too, few)
    yield shape("sequential loads", len(few()), contestants, *fastest(OURS), *fastest(EAGER))
    contestants = _contest(ways.gathered, eager_too, few, max_batch_size=1)
    yield shape("batches of one", len(few()), contestants, *fastest(OURS))
    for count in settings.decades:
        sized = _keys(count)
        contestants = beside(ways.gathered, FUTURES, ways.bare_futures, sized)
        yield shape(f"gather of {count:,} loads", count, contestants, as_futures)
        contestants = beside(ways.as_a_set, DICT, ways.one_dict, sized)
        yield shape(f"load_many of {count:,}", count, contestants, as_dict)


def _keys(count: int, times: int = 1) -> Keys:
    """Fresh lists of fresh numbers: small ones are shared by all of Python, so these are not small."""
    return lambda: [1_000_000 + number for number in range(count)] * times
