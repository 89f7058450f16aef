"""What pages and terminals say of a batch: in words, once, so that all of them agree."""

from __future__ import annotations

from typing import final

from dloader.trace._data import TraceData, TracedBatch

__all__ = (
    "N_PLUS_1",
    "Words",
    "asked_by",
    "closed_because",
    "duration",
    "ended_how",
    "is_bad",
    "plural",
    "rows_of",
)


N_PLUS_1 = frozenset({"resolve-per-item", "loader-per-item", "limit-of-one", "loop", "inside"})
"""The rules that say that there are N calls where one would do."""


def duration(microseconds: float) -> str:
    """A span of time: ``870 us``, ``12.3 ms``, ``1.20 s``."""
    if microseconds < 1_000:
        return f"{microseconds:.0f} us"
    if microseconds < 999_950:
        return f"{microseconds / 1e3:,.1f} ms"
    return f"{microseconds / 1e6:,.2f} s"


def plural(count: int, word: str, many: str | None = None) -> str:
    """``1 batch``, ``2 batches``."""
    return f"{count:,} {word if count == 1 else many or word + 's'}"


@final
class Words:
    """What is said of the batches of one trace, and takes all of them to know."""

    def __init__(self, data: TraceData) -> None:
        self._data = data
        counts: dict[int, int] = {}
        last: dict[int, TracedBatch] = {}
        numbers: list[int] = []
        self._before: list[TracedBatch | None] = []
        for batch in data.batches:
            counts[batch.loader] = counts.get(batch.loader, 0) + 1
            numbers.append(counts[batch.loader])
            self._before.append(last.get(batch.loader))
            last[batch.loader] = batch
        self._labels = [
            f"{batch.name} {number}" if counts[batch.loader] > 1 else batch.name
            for batch, number in zip(data.batches, numbers, strict=True)
        ]

    def label(self, batch: TracedBatch) -> str:
        """The loader's name, with a number if it has several batches."""
        return self._labels[batch.index]

    def before(self, batch: TracedBatch) -> TracedBatch | None:
        """The batch of the same class that opened before it."""
        return self._before[batch.index]

    def why_not_before(self, batch: TracedBatch) -> str:  # noqa: PLR0911 - the first of five reasons that holds
        """Why its keys were not in the batch of the same class that opened before it; empty for the first."""
        before, data = self.before(batch), self._data
        if before is None:
            return ""
        name = self.label(before)
        if before.instance != batch.instance:
            made_at = dict(enumerate(data.loaders[before.loader].made_at)).get(before.instance)
            where = "" if made_at is None else f", made at {data.places[made_at].short}"
            return f"{name} belongs to another loader of the same class{where}"
        if before.why == "full":
            size = data.loaders[batch.loader].max_batch_size
            return f"{name} was full at {plural(before.keys, 'key')} (max_batch_size {size})"
        closed = before.closed if before.closed is not None else before.ended
        if closed is None or closed > batch.opened:
            return f"{name} was still open, for another partition"
        sources = [data.batches[index] for index in batch.came_from]
        late = [source for source in sources if source.ended is not None and source.ended > closed]
        if late:
            source = max(late, key=lambda source: source.ended or 0.0)
            after = duration((source.ended or 0.0) - closed)
            return (
                f"{name} had closed {duration(batch.opened - closed)} earlier: these keys came from "
                f"{self.label(source)}, which ended {after} after that"
            )
        if batch.steps and before.steps:
            mine, other = data.steps[batch.steps[0]], data.steps[before.steps[0]]
            if mine.resolve == other.resolve and mine.depth != other.depth:
                return f"{name} was for depth {other.depth} of the tree, this is for depth {mine.depth}"
        why = closed_because(before, data)
        return f"{name} had closed ({why}); this key came {duration(batch.opened - closed)} later"


def asked_by(batch: TracedBatch, data: TraceData, *, with_function: bool = False) -> str:
    """The field, or the place, that asked first."""
    if batch.steps:
        step = data.steps[batch.steps[0]]
        return f"{step.owner}.{step.field}"
    if not batch.places:
        return "?"
    place = data.places[batch.places[0]]
    return f"{place.short} {place.function}" if with_function else place.short


def closed_because(batch: TracedBatch, data: TraceData) -> str:
    """Why it took no more keys."""
    loader = data.loaders[batch.loader]
    return {
        "resolver": "the resolver closed it: nothing under way could bring more keys",
        "idle": "nothing else was ready to run",
        "quiet": "some turns of the loop brought no new key",
        "most": "many turns had passed and keys kept coming",
        "full": f"it was full (max_batch_size {loader.max_batch_size})",
        "manual": "loader.dispatch() was called",
        "draining": "the loader was being closed, and finished what was open",
        "policy": f"its dispatch policy closed it: {loader.policy}",
    }.get(batch.why, "it never closed")


def ended_how(batch: TracedBatch) -> str:
    """What became of it, if that is not the usual."""
    started = batch.started is not None
    if batch.outcome == "returned":
        return f"{plural(batch.failed, 'key')} failed" if batch.failed else ""
    return {
        "failed": batch.error,
        "left": "left by everybody" if started else "left by everybody before it started",
        "shut_down": "shut down" if started else "shut down before it started",
        "lost": "its event loop was closed",
        "unfinished": "had not ended",
    }.get(batch.outcome, batch.outcome)


def rows_of(data: TraceData) -> list[list[TracedBatch]]:
    """The rows that are shown: a batch each, but those of a finding with five and more are one."""
    folded: dict[int, int] = {}
    for place, finding in enumerate(data.findings):
        if len(finding.batches) >= MANY:
            for index in finding.batches:
                folded.setdefault(index, place)
    rows: dict[object, list[TracedBatch]] = {}
    for batch in data.batches:
        number = folded.get(batch.index)
        rows.setdefault(("batch", batch.index) if number is None else (number, batch.loader), []).append(
            batch
        )
    return list(rows.values())


MANY = 5


def is_bad(batch: TracedBatch) -> bool:
    """Whether somebody did not get what they had asked for."""
    return batch.outcome not in {"returned", "unfinished"} or batch.failed > 0
