"""Which batch functions wait for keys of a batch, and with what: see `dloader._core._wait_graph`."""

from __future__ import annotations

from typing import Any, Generic

from dloader._core._roles import Holder
from dloader._core._types import V
from dloader._core._waiters import Waiter, is_gone

__all__ = ("NOBODY", "Awaited")

NOBODY: dict[Any, Any] = {}
"""Never changed."""


class Awaited(Generic[V]):
    """What a batch knows of those who asked for its keys inside of batch functions; lives as long as the batch.

    `Batch` extends it, and does not hold one: most batches have none of this.
    """

    awaited_by: dict[Holder[Any], list[Waiter[V] | None]] = NOBODY
    """The places of batches, of any loader, whose functions asked for keys of this one, and with what they wait for
    these."""

    def be_awaited_by(self, holder: Holder[Any], waiter: Waiter[V] | None = None) -> None:
        """Note that the function of another batch, which holds a place, waits for keys of this one.

        Args:
            holder: That place.
            waiter: What it waits with; None if that cannot be given up.
        """
        if self.awaited_by is NOBODY:
            self.awaited_by = {}
        waiters = self.awaited_by.setdefault(holder, [])
        while waiters and _has_given_up(waiters[-1]):  # one that tries again and again
            waiters.pop()
        waiters.append(waiter)

    def is_wanted_by(self, holder: Holder[Any]) -> bool:
        """Whether a holder has not given up all that it waits for here."""
        return not all(map(_has_given_up, reversed(self.awaited_by[holder])))

    def be_left_by(self, holder: Holder[Any]) -> None:
        """Note that a holder waits for nothing here any more."""
        del self.awaited_by[holder]


def _has_given_up(waiter: Waiter[Any] | None) -> bool:
    return waiter is not None and is_gone(waiter)
