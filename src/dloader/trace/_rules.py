"""What a reader of a trace should look at: loads that make no batches, and the like, with few false alarms.

A *case* is what one loader class or function was asked for by one field (class, field, depth, phase), or outside of
resolves at one place. The rules are asked in their order; batches that one explains are left out of the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from math import ceil
from typing import TypeAlias, final

from dloader.trace._data import Finding, PlaceData, TraceData, TracedBatch
from dloader.trace._gaps import Busy, Span, gap_is_long
from dloader.trace._strict import ENOUGH

__all__ = ("RULES", "find")

RULES = (
    "resolve-per-item",
    "loader-per-item",
    "limit-of-one",
    "loop",
    "chain",
    "split",
    "staggered",
    "inside",
    "again",
)
"""What `Finding.rule` may be."""

Case: TypeAlias = tuple[object, ...]


def find(data: TraceData) -> list[Finding]:
    """Ask all rules."""
    rules = _Rules(data)
    found: list[Finding] = []
    asked: list[Callable[[], Iterable[Finding]]] = [
        rules.resolve_per_item,
        rules.loader_per_item,
        rules.limit_of_one,
        rules.loop,
        rules.split,
        rules.staggered,
        rules.inside,
        rules.again,
    ]
    for rule in asked:
        some = list(rule())
        rules.explained.update(index for finding in some for index in finding.batches)
        found += some
    order = {"warning": 0, "info": 1, "hint": 2}
    return sorted(found, key=lambda finding: (finding.expected is not None, order[finding.severity]))


@final
class _Rules:
    """Looks at one trace."""

    def __init__(self, data: TraceData) -> None:
        self._data = data
        self.explained: set[int] = set()
        """The batches that a rule has explained."""

    @cached_property
    def _busy(self) -> Busy:
        return Busy(map(_span, self._data.batches))

    def _batches(self) -> Iterable[TracedBatch]:
        return (batch for batch in self._data.batches if batch.index not in self.explained)

    def _cases(self, *more: Callable[[TracedBatch], object]) -> dict[Case, list[TracedBatch]]:
        cases: dict[Case, list[TracedBatch]] = {}
        for batch in self._batches():
            case = (batch.loader, self._asker(batch), *(part(batch) for part in more))
            cases.setdefault(case, []).append(batch)
        return cases

    def _asker(self, batch: TracedBatch) -> object:
        if batch.steps:
            step = self._data.steps[batch.steps[0]]
            return step.owner, step.field, step.depth, step.phase
        place = self._place(batch)
        return place and (place.file, place.line, place.function)

    def _place(self, batch: TracedBatch) -> PlaceData | None:
        return self._data.places[batch.places[0]] if batch.places else None

    def _where(self, batch: TracedBatch) -> str:
        if batch.steps:
            step = self._data.steps[batch.steps[0]]
            return f"for {step.owner}.{step.field}"
        place = self._place(batch)
        return f"at {place}" if place is not None else "at a place that is not known"

    def _finding(self, rule: str, severity: str, message: str, batches: Sequence[TracedBatch]) -> Finding:
        reasons = [batch.expected for batch in batches if batch.expected is not None]
        expected = reasons[0] if reasons and len(reasons) * 2 > len(batches) else None
        return Finding(rule, severity, message, [batch.index for batch in batches], expected)

    # -- one of something for each item ----------------------------------------------------------------------

    def resolve_per_item(self) -> Iterable[Finding]:
        """One resolve for each of many things: none of them can share a batch."""
        data = self._data
        groups: dict[tuple[object, ...], list[int]] = {}
        for index, resolve in enumerate(data.resolves):
            if sum(resolve.roots.values()) == 1:
                place = None if resolve.place is None else data.places[resolve.place]
                groups.setdefault((place, *resolve.roots), []).append(index)
        for (at, *roots), indices in groups.items():
            if len(indices) >= ENOUGH:
                mine = set(indices)
                batches = [
                    b for b in self._batches() if any(data.steps[step].resolve in mine for step in b.steps)
                ]
                where = "" if at is None else f" at {at}"
                yield self._finding(
                    "resolve-per-item",
                    "warning",
                    f"{len(indices):,} resolves of one {' and '.join(map(str, roots))} each{where}: "
                    f"resolve the list in one call",
                    batches,
                )

    def loader_per_item(self) -> Iterable[Finding]:
        """One loader for each of many things: none of them can share a batch."""
        for index, loader in enumerate(self._data.loaders):
            places: dict[int, list[int]] = {}
            for place, keys in loader.made:
                places.setdefault(place, []).append(keys)
            for place, counts in places.items():
                made_here = {
                    each for each, at in enumerate(loader.made_at) if at == (None if place < 0 else place)
                }
                batches = [b for b in self._batches() if b.loader == index and b.instance in made_here]
                if len(counts) >= ENOUGH and max(counts) <= 2 and len(batches) >= ENOUGH:
                    where = "" if place < 0 else f" at {self._data.places[place]}"
                    yield self._finding(
                        "loader-per-item",
                        "warning",
                        f"{len(counts):,} loaders {loader.name} made{where}, each given at most {max(counts)} "
                        f"{'key' if max(counts) == 1 else 'keys'}: make one per request",
                        batches,
                    )

    def limit_of_one(self) -> Iterable[Finding]:
        """A loader that may not make batches."""
        by_loader: dict[int, list[TracedBatch]] = {}
        for batch in self._batches():
            by_loader.setdefault(batch.loader, []).append(batch)
        for index, batches in by_loader.items():
            loader = self._data.loaders[index]
            if loader.max_batch_size == 1 and len(batches) >= ENOUGH:
                keys = sum(batch.keys for batch in batches)
                message = (
                    f"{keys:,} keys of {loader.name} in {len(batches):,} calls: its max_batch_size is 1, "
                    f"so nothing is batched"
                )
                yield self._finding("limit-of-one", "warning", message, batches)

    # -- one after the other ---------------------------------------------------------------------------------

    def loop(self) -> Iterable[Finding]:
        """One key after the other."""
        for batches in self._cases().values():
            single = [batch for batch in batches if batch.keys == 1]
            if len(single) < ENOUGH or len(single) < 0.8 * len(batches):
                continue
            keys = {batch.key for batch in single}
            failed = sum(batch.failed > 0 or batch.outcome != "returned" for batch in single)
            if len(keys) < 0.8 * len(single) or failed > 0.2 * len(single) or _overlapping(single) > 0.5:
                continue
            yield self._loop(single)

    def _loop(self, single: list[TracedBatch]) -> Finding:
        first = single[0]
        chained = sum(batch.chained for batch in single[1:])
        if chained >= 0.8 * (len(single) - 1):
            message = (
                f"{len(single):,} keys of {first.name} one after the other {self._where(first)}, each from the result "
                f"before: nothing to batch; a recursive query would do it in one call"
            )
            return self._finding("chain", "info", message, single)
        severity = "info" if gap_is_long(list(map(_span, single)), self._busy) else "warning"
        message = (
            f"{len(single):,} times one key of {first.name}, one after the other, {self._where(first)}: "
            f"ask for all with load_many, or gather"
        )
        return self._finding("loop", severity, message, single)

    def split(self) -> Iterable[Finding]:
        """In a resolve one batch is promised for each loader and depth."""
        lanes: dict[tuple[object, ...], list[TracedBatch]] = {}
        for batch in self._batches():
            if batch.steps:
                step = self._data.steps[batch.steps[0]]
                lane = (batch.loader, batch.instance, step.resolve, step.depth, step.phase)
                lanes.setdefault(lane, []).append(batch)
        for batches in lanes.values():
            loader = self._data.loaders[batches[0].loader]
            keys, size = sum(batch.keys for batch in batches), loader.max_batch_size
            fewest = 1 if size is None else ceil(keys / size)
            is_sparse = size is None or keys < len(batches) * size / 2
            if len(batches) > fewest + 1 and is_sparse:
                step = self._data.steps[batches[0].steps[0]]
                message = (
                    f"{keys:,} keys of {loader.name} at depth {step.depth} went in {len(batches):,} batches where "
                    f"{fewest} would do (field {step.owner}.{step.field}): its method waits for something else first"
                )
                yield self._finding("split", "warning", message, batches)

    def staggered(self) -> Iterable[Finding]:
        """Keys that come while others are being loaded."""
        for batches in self._cases(lambda batch: batch.instance).values():
            few = [batch for batch in batches if batch.why != "full"]
            if len(few) >= ENOUGH and _overlapping(few) >= 0.7:
                keys = sum(batch.keys for batch in few)
                message = (
                    f"{keys:,} keys of {few[0].name} came one at a time while others were loading, "
                    f"{self._where(few[0])}: delay() or one load_many would put them together"
                )
                yield self._finding("staggered", "hint", message, few)

    # -- inside and again ------------------------------------------------------------------------------------

    def inside(self) -> Iterable[Finding]:
        """A batch function that sends one statement for each key."""
        by_loader: dict[int, list[TracedBatch]] = {}
        for batch in self._batches():
            if batch.keys >= ENOUGH and batch.statements >= batch.keys:
                by_loader.setdefault(batch.loader, []).append(batch)
        for index, batches in by_loader.items():
            loader = self._data.loaders[index]
            if not loader.statements_per_key:
                most = max(batches, key=lambda batch: batch.statements)
                message = (
                    f"{loader.name} sent {most.statements} statements for {most.keys} keys: the N+1 is inside the "
                    f"batch function ({loader.file}:{loader.line})"
                )
                yield self._finding("inside", "warning", message, batches)

    def again(self) -> Iterable[Finding]:
        """Keys that were there already."""
        by_loader: dict[int, list[TracedBatch]] = {}
        for batch in self._batches():
            by_loader.setdefault(batch.loader, []).append(batch)
        for index, batches in by_loader.items():
            loader = self._data.loaders[index]
            keys, again = sum(batch.keys for batch in batches), sum(batch.again for batch in batches)
            if again >= ENOUGH and again >= 0.2 * keys:
                how = f"by {loader.instances} loaders" if loader.instances > 1 else "without a cache"
                message = f"{again} of {keys:,} keys of {loader.name} were loaded before, {how}"
                yield self._finding("again", "info", message, [batch for batch in batches if batch.again])


def _overlapping(batches: Sequence[TracedBatch]) -> float:
    """How many of the batches opened while one before them ran, as a share."""
    overlapping, latest = 0, 0.0
    for index, batch in enumerate(batches):
        overlapping += index > 0 and batch.opened < latest
        latest = max(latest, batch.ended if batch.ended is not None else float("inf"))
    return overlapping / max(1, len(batches) - 1)


def _span(batch: TracedBatch) -> Span:
    opened, started, ended = batch.opened, batch.started, batch.ended
    if started is None or ended is None:  # it never ran
        started = ended = opened
    return Span(opened / 1e3, started / 1e3, ended / 1e3)
