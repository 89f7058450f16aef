"""The findings that can be told while the program runs: the load that makes the case is refused."""

from __future__ import annotations

import inspect
from collections.abc import Hashable, Iterable, Mapping
from itertools import pairwise, takewhile
from typing import Any, Protocol, final

from dloader import DataLoader
from dloader.instruments import BatchRecord, ObservedLoader, Statistics, StepRecord
from dloader.trace._gaps import Busy, Span, gap_is_long
from dloader.trace._sites import Sites

__all__ = ("ENOUGH", "StrictCases", "kind_of", "source_of", "stands_in")

ENOUGH = 5
"""So many make a case."""


class SeenLoader(Protocol):
    """What the recorder knows of a loader."""

    @property
    def loader(self) -> ObservedLoader:
        """The loader itself."""
        ...

    @property
    def sites(self) -> Sites:
        """Where it was made."""
        ...

    @property
    def is_new(self) -> bool:
        """Whether it was made in the block."""
        ...

    @property
    def before(self) -> Statistics:
        """What it had done when it was first seen."""
        ...


@final
class StrictCases:
    """Watches the batches of each loader and place; lives as long as a strict recorder."""

    def __init__(self) -> None:
        self._cases: dict[tuple[object, object], list[BatchRecord]] = {}
        self._found: dict[BatchRecord, frozenset[Any]] = {}

    def problem_with(
        self,
        record: BatchRecord,
        sites: Sites,
        step: StepRecord | None,
        loaders: Mapping[ObservedLoader, SeenLoader],
    ) -> tuple[str, str] | None:
        """What is wrong with opening one more batch here, if something is, and the cure."""
        name, kind = record.loader.name, kind_of(record.loader)
        alike = self._alike(kind, loaders[record.loader], loaders.values())
        if alike >= ENOUGH:
            return f"{alike} loaders {name} made, one for each item", "make one per request"
        where: object = sites[:1] if step is None else (step.owner, step.field, step.depth, step.phase)
        case = self._cases.setdefault((kind, where), [])
        if len(case) >= ENOUGH - 1 and self._is_loop(case[-(ENOUGH - 1) :]):
            return (
                f"{ENOUGH} times one key of {name}, one after the other",
                "ask for all with load_many, or gather",
            )
        case.append(record)
        return None

    def _alike(self, kind: Hashable, made: SeenLoader, others: Iterable[SeenLoader]) -> int:
        """How many loaders of a class were made at the same place, and hardly used."""
        return sum(
            other.is_new
            and other.sites == made.sites
            and kind_of(other.loader) == kind
            and other.loader.statistics.keys <= 2
            for other in others
            if made.is_new
        )

    def note_ended(self, record: BatchRecord, found: frozenset[Any]) -> None:
        """A batch has ended, and these plain values stand in its result."""
        self._found[record] = found

    def _since(self, first: BatchRecord) -> Iterable[Span]:
        """The batches that have ended since then: the latest are the last."""
        latest = takewhile(lambda record: record.ended >= first.ended, reversed(self._found))
        return map(_span, latest)

    def _is_loop(self, records: list[BatchRecord]) -> bool:
        keys: list[Any] = []
        for record in records:
            if len(record.keys) != 1 or record.outcome != "returned" or record.failed:
                return False
            keys.append(record.keys[0])
        if any(key in keys[:index] for index, key in enumerate(keys)):
            return False
        if any(after.opened < before.ended for before, after in pairwise(records)):
            return False
        if gap_is_long([_span(record) for record in records], Busy(self._since(records[0]))):
            return False
        return not all(
            stands_in(key, self._found.get(before, frozenset()))
            for before, key in zip(records, keys[1:], strict=False)
        )


def _span(record: BatchRecord) -> Span:
    return Span(record.opened / 1e6, record.started / 1e6, record.ended / 1e6)


def stands_in(key: Any, found: frozenset[Any]) -> bool:
    """Whether a key stands among plain values; one that cannot be hashed does not."""
    try:
        return key in found
    except Exception:
        return False


def source_of(loader: Any) -> object:
    """What a loader is made of: its class, or its batch function."""
    kind: Any = loader.__class__
    return loader.load_fn if kind is DataLoader else kind


def kind_of(loader: Any) -> Hashable:
    """What all loaders have in common that are made of the same.

    Closures, partials and bound methods are others each time that they are made, and their code is one and the same.
    """
    source: Any = source_of(loader)
    if isinstance(source, type):
        return id(source)
    function: Any = inspect.unwrap(getattr(source, "func", source))
    code = getattr(getattr(function, "__func__", function), "__code__", source)
    return loader.name, id(code)
