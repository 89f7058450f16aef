"""assert_scales: the proof that there is no N+1, by doing the work for few things and for many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from inspect import isawaitable
from math import ceil
from typing import Any, cast

from dloader import DloaderError, OptionError
from dloader._printed import inert
from dloader.testing._report import cures, place_of, sizes
from dloader.trace import Trace, record

__all__ = ("CallsGrowError", "assert_scales")

Source = tuple[str, str, int]


class CallsGrowError(DloaderError, AssertionError):
    """The calls of a batch function grow with what is asked for: see `assert_scales`.

    Args:
        message: Whose, from where, and what to do.
        trace: What was loaded for the largest number.
    """

    def __init__(self, message: str, trace: Trace) -> None:
        super().__init__(message)
        self.trace = trace


@dataclass(frozen=True, slots=True)
class Grown:
    """One loader, for few and for many things."""

    name: str
    calls: int
    """How many more calls there were than its keys and max_batch_size make necessary."""
    is_n_plus_1: bool
    where: str
    counts: str


async def assert_scales(work: Callable[[int], Awaitable[object]], sizes: Sequence[int] = (5, 40)) -> None:
    """Fail if work for many things takes more calls of a batch function than work for few.

    Calls that ``max_batch_size`` makes necessary do not count: 40 keys go in two calls of 20. Rules that look at one
    run must guess what is a loop; this need not. What is loaded in one run and cached for the next hides calls: make
    loaders in ``work``, as a request does.

    Args:
        work: Does the work for so many things: rows, the page's size, whatever grows.
        sizes: Two numbers or more; it is done for each, in this order, and the least is compared with the largest.

    Raises:
        OptionError: An argument cannot be used.
        CallsGrowError: The calls of a loader grow, an `AssertionError`. The message says "N+1" if there is one more for
            every second thing at least, else "grows"; it names the loader, the place, and the cure.

    Example:
        >>> import asyncio
        >>> from dloader import DataLoader
        >>> async def load_users(ids):
        ...     return [f"user {id}" for id in ids]
        >>> async def handler(page_size):
        ...     users = DataLoader(load_users)
        ...     return [await users.load(id) for id in range(page_size)]
        >>> try:
        ...     asyncio.run(assert_scales(lambda n: handler(page_size=n), sizes=(5, 40)))
        ... except AssertionError as error:
        ...     print(str(error).splitlines()[0])
        N+1: load_users is called 35 times more for 40 than for 5
    """
    __tracebackhide__ = True
    checked = _checked(sizes)
    traces = {size: await _traced(work, size) for size in checked}
    least, most = min(checked), max(checked)
    few, many = traces[least], traces[most]
    if not many.keys:
        raise CallsGrowError(
            f"nothing was loaded for {most}: this proves nothing. Await the work that loads, with loaders of its own",
            many,
        )
    grown = sorted(_grown(few, many, most - least), key=lambda one: -one.calls)
    if grown:
        lines = [
            f"{'N+1' if one.is_n_plus_1 else 'grows'}: {one.name} is called {one.calls} "
            f"{'time' if one.calls == 1 else 'times'} more for {most} than for {least}"
            for one in grown
        ]
        lines += ["", *(f"{one.name}  {one.counts}  {one.where}".rstrip() for one in grown)]
        advice = list(cures(many)) or [
            "what it is asked for is known only one batch after the other: ask for all with load_many, or gather"
        ]
        raise CallsGrowError("\n".join(map(inert, [*lines, "", *advice])), many)


def _checked(sizes: object) -> list[int]:
    given = list(cast(Sequence[Any], sizes)) if isinstance(sizes, (list, tuple, range)) else []
    if len(set(given)) < 2 or not all(type(size) is int and size > 0 for size in given):
        raise OptionError(
            f"assert_scales(sizes=) takes two different numbers or more, from 1 up, not {sizes!r}"
        )
    return given


async def _traced(work: Callable[[int], Awaitable[object]], size: int) -> Trace:
    with record(f"for {size}") as trace:
        doing: object = work(size)
        if not isawaitable(doing):
            raise OptionError(f"assert_scales() takes an async callable; it returned {doing!r} for {size}")
        await doing
    return trace


def _grown(few: Trace, many: Trace, more: int) -> Iterable[Grown]:
    before = _excess(few)
    for source, (necessary, full) in _excess(many).items():
        necessary_before, full_before = before.get(source, (0, 0))
        # Rounding up for several depths may look like growth in one of the two, but hardly in both.
        calls = min(necessary - necessary_before, full - full_before)
        if calls > 0:
            batches = [batch for batch in many.batches if _source(many, batch.loader) == source]
            where = Counter(place_of(many, batch) for batch in batches).most_common(1)[0][0]
            yield Grown(batches[0].name, calls, calls * 2 >= more, where, sizes(batches))


def _excess(trace: Trace) -> dict[Source, tuple[int, int]]:
    """Of each loader: how many batches there were beyond what its keys make necessary, and how many were not full."""
    excess: dict[Source, tuple[int, int]] = {}
    for index, loader in enumerate(trace.sources):
        batches = [batch for batch in trace.batches if batch.loader == index]
        keys = sum(batch.keys for batch in batches)
        necessary = ceil(keys / (loader.max_batch_size or max(keys, 1)))
        not_full = sum(batch.why != "full" for batch in batches)
        source = _source(trace, index)
        others = excess.get(source, (0, 0))
        excess[source] = others[0] + len(batches) - necessary, others[1] + not_full
    return excess


def _source(trace: Trace, index: int) -> Source:
    loader = trace.sources[index]
    return loader.source, loader.file, loader.line
