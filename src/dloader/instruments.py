"""Hooks to watch loaders with: override what you need, pass ``instruments=[...]`` to a loader.

A loader without instruments pays nothing. An instrument that raises is logged and removed; it
never fails a load. The idea and the manners are trio's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from dloader._events import BatchInfo, Statistics

if TYPE_CHECKING:
    from dloader._loader import DataLoader

__all__ = ("BatchInfo", "Instrument", "Statistics")


class Instrument:
    """No-op hooks that a loader calls; it may serve any number of loaders, for as long as they live.

    Hooks are called from the event loop's thread and must not block.

    Example:
        >>> class Print(Instrument):
        ...     def batch_started(self, batch):
        ...         print(f"{batch.loader.name} loads {list(batch.keys)}")
    """

    def load_requested(
        self, loader: DataLoader[Any, Any], key: object, source: Literal["cache", "pending", "batch"], /
    ) -> None:
        """A caller asked for `key`, in the caller's context; `source` tells where its answer will come from."""

    def batch_opened(self, batch: BatchInfo[Any, Any], /) -> None:
        """A batch was opened for a first key, in the context of the caller who asked for it."""

    def batch_started(self, batch: BatchInfo[Any, Any], /) -> None:
        """The batch function is about to be called, in the task and the context that it will run in."""

    def batch_finished(self, batch: BatchInfo[Any, Any], error: BaseException | None, /) -> None:
        """The batch function has ended, in the same task; `error` is what the batch failed with as a whole."""
