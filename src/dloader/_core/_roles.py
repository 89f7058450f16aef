"""Those whom a batch knows, each by what the batch tells it or asks: it knows nothing else of them.

All of them are of one type of batches, `B`, which stands above: see `dloader._core._batch`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from enum import Enum, auto
from typing import Any, Protocol, TypeVar

__all__ = ("Holder", "KeyIndex", "Outcome", "Standing", "Watcher")

B = TypeVar("B")
B_contra = TypeVar("B_contra", contravariant=True)


class Standing(Enum):
    """Where a batch stands that waits for no other, as far as is known."""

    GOES_ON = auto()
    """It works, or waits for one that is open, which closes by itself."""
    IS_LOOKED_AT = auto()
    """Its queue is about to look whether it may start."""


class Watcher(Protocol[B_contra]):
    """Who waits, by way of others, for a batch to go on."""

    def has_moved(self, batch: B_contra, /) -> None:
        """It has started, ended, or given its place back."""
        ...

    def waits(self, batch: B_contra, /) -> None:
        """It runs, and waits for others now."""
        ...


class KeyIndex(Protocol[B]):
    """What a batch tells: which keys are to be found in it."""

    def batch_closed(self, batch: B, why: str, /) -> None:
        """The batch takes no more keys; `why` is a word for instruments."""
        ...

    def keys_gone(self, batch: B, cache_keys: Iterable[Hashable], /) -> None:
        """Everybody has left these keys, which the batch forgets now."""
        ...

    def before(self, batch: B, /) -> Iterable[B] | Standing:
        """Of which batches one has to end, or go on, before a batch that has closed can; see `_way_on`."""
        ...

    def start(self, batch: B, /) -> None:
        """Start a batch that has closed and waits, though there is no place for it."""
        ...

    def add_watcher(self, batch: B, watcher: Watcher[B], /) -> None:
        """Have somebody told when a batch that has closed moves, or waits."""
        ...

    def remove_watcher(self, batch: B, watcher: Watcher[B], /) -> None:
        """Tell that one nothing more."""
        ...

    def batch_ended(self, batch: B, outcome: Outcome[B], values: Sequence[Any], /) -> None:
        """Nobody may join the batch any more; it still has its entries, and nobody was answered yet."""
        ...


class Holder(Protocol[B]):
    """A place under ``max_concurrency``, which a batch holds until its task has ended."""

    @property
    def batch(self) -> B | None:
        """That batch, until then."""
        ...

    def closed(self, batch: B, /) -> None:
        """A batch that it asked for keys has closed."""
        ...

    def answered(self, batch: B, /) -> None:
        """A batch that it asked for keys has ended."""
        ...

    def wake(self) -> None:
        """Have the queue look whether it may start another batch: this one waits, or what it waits for has closed."""
        ...


class Outcome(Protocol[B_contra]):
    """How a batch ends."""

    word: str
    """For instruments: see `dloader.BatchRecord.outcome`."""

    @property
    def raised(self) -> BaseException | None:
        """What the batch failed with as a whole."""
        ...

    def deliver(self, batch: B_contra, values: Sequence[Any], /) -> bool:
        """Complete all who wait, and remember what is to be remembered; return whether some were given errors.

        Args:
            batch: One that nobody can join any more.
            values: What the batch function returned, for the outcome that gives it out.
        """
        ...
