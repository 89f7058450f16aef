"""The instruments of one loader, and those that watch the context, called behind a guard.

Who has something to tell looks first whether anybody wants to hear it: without instruments it costs no call, and a
hook that no instrument overrides costs none either.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, MutableSequence, Sequence
from time import perf_counter_ns
from typing import Any, Literal, final

from dloader._core._batch import Batch, Outcome
from dloader._core._wait_graph import batch_here, current_place
from dloader.errors import RepeatedLoadError
from dloader.instruments import BatchInfo, BatchRecord, Instrument, ObservedLoader, everywhere, watching

__all__ = ("Hooks", "current_batch", "record_here", "tell_of_resolve", "tell_watchers")

logger = logging.getLogger("dloader")

BATCH_HOOKS = ("batch_opened", "batch_started", "batch_finished")
RECORD_HOOKS = ("record_opened", "batch_ended")


@final
class Hooks:
    """Calls the hooks of all instruments; one that raises is logged and removed. Lives as long as the loader."""

    __slots__ = (
        "_instruments",
        "has_lost_one",
        "kept",
        "loader",
        "of_batches",
        "of_loads",
        "of_records",
        "records",
    )

    def __init__(self, loader: Callable[[], ObservedLoader], instruments: list[Instrument]) -> None:
        self.loader = loader
        """A weak reference: whoever has something to tell keeps the loader alive."""
        self.kept: object = None
        """The loader, while keys are pending: it must not be freed before they are loaded."""
        self._instruments = instruments
        self.has_lost_one = False
        """Whether an instrument was removed: perhaps nobody wants to hear of loads any more."""
        self.of_loads = self.of_batches = self.of_records = False
        """Whether somebody wants to hear of loads, of batches as they go on, of whole batches."""
        self.records: dict[Batch[Any, Any], BatchRecord] = {}
        """Of the batches that somebody watches and that have not ended."""
        if instruments:
            self._look()

    def add(self, instruments: Iterable[Instrument]) -> None:
        """Let more instruments watch."""
        self._instruments += instruments
        self._look()

    def _look(self) -> None:
        self.of_loads = self._override("load_requested")
        self.of_batches = self._override(*BATCH_HOOKS)
        self.of_records = self._override(*RECORD_HOOKS)

    def _override(self, *hooks: str) -> bool:
        return any(_overrides(instrument, hook) for hook in hooks for instrument in self._instruments)

    # -- loads, and batches as they go on --------------------------------------------------------------------

    def info(self, batch: Batch[Any, Any]) -> BatchInfo[Any, Any]:
        """Describe a batch to instruments."""
        return BatchInfo(self.loader(), batch.number, tuple(batch.keys))

    def load_requested(self, key: object, source: Literal["cache", "pending", "batch"]) -> None:
        """A caller asked for a key."""
        self._call("load_requested", self.loader(), key, source)

    def batch_opened(self, batch: Batch[Any, Any]) -> None:
        """A batch was opened."""
        info: BatchInfo[Any, Any] = BatchInfo(self.loader(), batch.number, ())
        self._call("batch_opened", info)

    def batch_started(self, batch: Batch[Any, Any]) -> BatchInfo[Any, Any]:
        """A batch function is about to be called; return what the instruments are told."""
        info = self.info(batch)
        self._call("batch_started", info)
        return info

    def batch_finished(self, info: BatchInfo[Any, Any], error: BaseException | None) -> None:
        """It has ended."""
        self._call("batch_finished", info, error)

    def _call(self, hook: str, *args: object) -> None:
        for instrument in tuple(self._instruments):
            if not _call_one(instrument, hook, self.loader().name, args):
                _remove(self._instruments, instrument)
                self._look()
                self.has_lost_one = True

    # -- records: one for each batch, told when it opens and when it has ended -------------------------------

    def record_opened(self, batch: Batch[Any, Any]) -> None:
        """A batch is about to be opened, and somebody wants its record.

        Raises:
            RepeatedLoadError: A strict instrument refuses it.
        """
        told = _watchers()
        if self.of_records:
            told = (self._instruments, *told)
        loader = self.loader()
        record = BatchRecord(loader, batch.number, record_here(), told, perf_counter_ns())
        _tell(told, "record_opened", loader.name, record)
        self.records[batch] = record

    def record_closed(self, batch: Batch[Any, Any], why: str) -> None:
        """A batch has closed."""
        record = self.records.get(batch)
        if record is not None:
            record.note_closed(why, perf_counter_ns())

    def record_started(self, batch: Batch[Any, Any]) -> None:
        """A batch function is about to be called."""
        record = self.records.get(batch)
        if record is not None:
            record.note_started(perf_counter_ns())

    def record_ended(self, batch: Batch[Any, Any], outcome: Outcome, values: Sequence[Any]) -> None:
        """A batch has ended, and nobody was answered yet."""
        record = self.records.pop(batch, None)
        if record is None:
            return
        word = "lost" if outcome.word == "left" and batch.loop.is_closed() else outcome.word
        merged = sum(map(len, batch.joined.values())) if batch.joined else 0
        record.note_ended(word, outcome.raised, tuple(batch.keys), merged, values, perf_counter_ns())
        _tell(record.told, "batch_ended", record.loader.name, record)
        record.forget_values()


def _overrides(instrument: Instrument, hook: str) -> bool:
    found = getattr(instrument, hook, None)
    return found is not None and getattr(found, "__func__", found) is not getattr(Instrument, hook)


def record_here() -> BatchRecord | None:
    """The record of the batch whose function runs the code that calls this, if somebody watches it."""
    place = current_place.get()
    if place is None or place.batch is None:
        return None
    records: dict[Batch[Any, Any], BatchRecord] = place.queue.fetch.hooks.records
    return records.get(place.batch)


def current_batch() -> BatchInfo[Any, Any] | None:
    """Return the batch whose function runs the code that calls this, also in tasks that it has made; else None.

    Example:
        >>> import asyncio
        >>> from dloader import DataLoader, current_batch
        >>> async def load_users(ids):
        ...     batch = current_batch()
        ...     print(f"batch {batch.number} of {batch.loader.name}: {batch.keys}")
        ...     return ids
        >>> async def main():
        ...     return await DataLoader(load_users).load_many([1, 2])
        >>> asyncio.run(main())
        batch 1 of load_users: (1, 2)
        [1, 2]
    """
    place, batch = current_place.get(), batch_here()
    if place is None or batch is None:
        return None
    hooks: Hooks = place.queue.fetch.hooks
    return hooks.info(batch)


def tell_watchers(hook: str, loader: ObservedLoader, *args: object) -> None:
    """Tell the instruments that watch this context, and only these, something about a loader."""
    if watching.get():
        _tell(_watchers(), hook, loader.name, loader, *args)


def tell_of_resolve(hook: str, record: object) -> None:
    """Tell the instruments that watch this context something about a resolve."""
    _tell(_watchers(), hook, "resolver", record)


def _watchers() -> tuple[MutableSequence[Instrument], ...]:
    """Those that watch this context, and those that watch all."""
    here = watching.get()
    return (here,) if here is everywhere or not everywhere else (here, everywhere)


def _tell(lists: Sequence[MutableSequence[Instrument]], hook: str, name: str, *args: object) -> None:
    """Call a hook of all instruments in some lists, of each once."""
    told: list[Instrument] = []
    for instruments in lists:
        for instrument in tuple(instruments):
            if told and any(instrument is other for other in told):
                continue
            told.append(instrument)
            if not _call_one(instrument, hook, name, args):
                _remove(instruments, instrument)


def _call_one(instrument: Instrument, hook: str, name: str, args: tuple[object, ...]) -> bool:
    """Call a hook; return False if it raised, which was logged."""
    try:
        method: Callable[..., object] = getattr(instrument, hook)
        method(*args)
    except (KeyboardInterrupt, SystemExit, RepeatedLoadError):
        raise
    except BaseException:  # pytest.fail and CancelledError are no Exception: no load may fail by them
        message = "instrument %r of loader %r raised in %s and was removed"
        logger.exception(message, instrument, name, hook)
        return False
    return True


def _remove(instruments: MutableSequence[Instrument], broken: Instrument) -> None:
    instruments[:] = [other for other in instruments if other is not broken]
