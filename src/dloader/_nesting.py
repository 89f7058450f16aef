"""Which batch waits for which: the loads that are made inside a batch function.

Two things follow from it. A load that would wait for the batch that makes it, directly or through other
batches and loaders, is refused, as it would never end. And a batch that a running batch of the same
loader waits for may take that one's place under ``max_concurrency``.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from dloader.errors import RecursiveLoadError

if TYPE_CHECKING:
    from dloader._batch import Batch

__all__ = ("inside", "wait_for", "waiters_of")

inside: ContextVar[Batch[Any, Any] | None] = ContextVar("dloader_inside", default=None)
"""The batch whose function is running here, also in tasks that it has made."""


def wait_for(batch: Batch[Any, Any], key: object) -> bool:
    """Note that the code that runs here asked `batch` for `key`; return whether a running batch waits for it now.

    Raises:
        RecursiveLoadError: `batch` waits for this very code.
    """
    waiter = inside.get()
    if waiter is None or not waiter.is_running:
        return False
    if batch.is_running and (batch is waiter or batch in waiters_of(waiter)):
        raise RecursiveLoadError(batch.loader_name, key)
    if not isinstance(batch.awaited_by, set):
        batch.awaited_by = set()
    batch.awaited_by.add(waiter)
    waiter.waits = True
    return True


def waiters_of(batch: Batch[Any, Any]) -> set[Batch[Any, Any]]:
    """The running batches that wait for `batch`, directly or through others."""
    found: set[Batch[Any, Any]] = set()
    todo = [batch]
    while todo:
        for waiter in todo.pop().awaited_by - found:
            if waiter.is_running:
                found.add(waiter)
                todo.append(waiter)
    return found
