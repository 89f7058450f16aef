"""The batches of one loader that have closed and wait to be started, in their order."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeAlias

from dloader._core._ahead import Ahead
from dloader._core._batch import Batch

__all__ = ("NO_BATCHES", "ClosedBatches")

AnyBatch: TypeAlias = Batch[Any, Any]

NO_BATCHES: OrderedDict[AnyBatch, None] = OrderedDict()
"""Never changed. Making another waits until it is needed: two would take a tenth of the time of making a loader."""


class ClosedBatches:
    """Which batch comes next: those that running batch functions wait for, then the others.

    `RunQueue` extends it, and does not hold one: a step less on the way of each load.
    """

    __slots__ = ("_ahead", "_ready")

    # Set by `RunQueue`: a call less for each loader.
    _ready: OrderedDict[AnyBatch, None]
    _ahead: Ahead | tuple[()]
    """Batches that running batch functions wait for: they come before those that are ready."""

    @property
    def waiting(self) -> list[AnyBatch]:
        """The batches that are still to be started."""
        return [*self._ahead, *self._ready]

    def _add_ready(self, batch: AnyBatch) -> None:
        if self._ready is NO_BATCHES:
            self._ready = OrderedDict()
        self._ready[batch] = None

    def _add_ahead(self, batch: AnyBatch) -> None:
        if not isinstance(self._ahead, Ahead):
            self._ahead = Ahead()
        self._ahead.add(batch)

    def _take_first(self) -> AnyBatch:
        return self._ahead.take_first() if self._ahead else self._ready.popitem(last=False)[0]

    def _take_first_that(self, may_start: Callable[[AnyBatch], bool]) -> AnyBatch | None:
        found = self._ahead.take_first_that(may_start) if isinstance(self._ahead, Ahead) else None
        if found is None and self._ready and may_start(next(iter(self._ready))):
            found, _ = self._ready.popitem(last=False)
        return found
