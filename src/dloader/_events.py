"""What a loader tells about itself: immutable records for people and for instruments.

Named tuples: frozen dataclasses would take half of the time of `import dloader`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from dloader._loader import DataLoader

__all__ = ("BatchInfo", "Requested", "Statistics")

K = TypeVar("K")
V = TypeVar("V")


class Statistics(NamedTuple):
    """What a loader has done since it was made; a snapshot that does not change any more."""

    batches: int
    """How often the batch function was called."""
    keys: int
    """How many keys those calls were given."""
    cache_hits: int
    """How many keys were answered from ``cache_map``."""
    merged: int
    """How many keys joined a load of the same key that was already under way."""
    errors: int
    """How many batches failed as a whole."""

    @property
    def loads(self) -> int:
        """How many keys were asked for and sent, joined or answered."""
        return self.keys + self.cache_hits + self.merged


class BatchInfo(NamedTuple, Generic[K, V]):
    """One batch, as an `Instrument` sees it."""

    loader: DataLoader[K, V]
    """The loader that the batch belongs to."""
    number: int
    """1 for the loader's first batch, counted in the order in which they opened."""
    keys: tuple[K, ...]
    """The keys gathered so far: empty when the batch opens, final when it starts."""


class Requested(NamedTuple):
    """Which fields and types a resolve wants from a loader, so that it may read no more than these.

    ``types`` are the models of the fields that the loader fills, ``fields`` the names of all their fields.
    Both are empty outside a resolver. They live as long as the loader.
    """

    types: tuple[type, ...] = ()
    fields: tuple[str, ...] = ()
