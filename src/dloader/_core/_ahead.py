"""The closed batches that running batch functions wait for: they come before others, and may be lent places."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, TypeAlias, final

from dloader._core._batch import Batch, Holder

__all__ = ("Ahead",)

AnyBatch: TypeAlias = Batch[Any, Any]
Group: TypeAlias = frozenset[Holder]


@final
class Ahead:
    """Batches in the order in which they came; lives as long as the queue that they are in.

    Those that the same places wait for are a group: what holds for one of them holds for all, so that only the first of
    each group is looked at. There are no more groups than sets of running batches, however many batches wait.
    """

    __slots__ = ("_batches", "_came", "_groups", "_loose")

    def __init__(self) -> None:
        self._batches: OrderedDict[AnyBatch, tuple[int, Group | None]] = OrderedDict()
        """When each came, and its group."""
        self._came = 0
        self._groups: dict[Group, OrderedDict[AnyBatch, None]] = {}
        self._loose: dict[AnyBatch, None] = {}
        """Those that are to be put into a group, which is done once for all that one of them is asked for."""

    def __len__(self) -> int:
        return len(self._batches)

    def __contains__(self, batch: object) -> bool:
        return batch in self._batches

    def __iter__(self) -> Iterator[AnyBatch]:
        return iter(self._batches)

    def add(self, batch: AnyBatch) -> None:
        """Let a batch stand here, as the last, or note that one more place waits for one that does."""
        if batch in self._batches:
            number, _ = self._batches[batch]
            self._leave_group(batch)
        else:
            self._came = number = self._came + 1
        self._batches[batch] = number, None
        self._loose[batch] = None

    def remove(self, batch: AnyBatch) -> None:
        """Take a batch out."""
        self._leave_group(batch)
        del self._batches[batch]

    def take_first(self) -> AnyBatch:
        """Take the batch that came first."""
        first = next(iter(self._batches))
        self.remove(first)
        return first

    def firsts(self) -> list[AnyBatch]:
        """The first batch of each group, in the order in which they came."""
        self._put_into_groups()
        found = [next(iter(group)) for group in self._groups.values()]
        return sorted(found, key=lambda batch: self._batches[batch][0])

    def _put_into_groups(self) -> None:
        for batch in self._loose:
            group = frozenset(batch.awaited_by)
            number, _ = self._batches[batch]
            self._batches[batch] = number, group
            members = self._groups.setdefault(group, OrderedDict())
            is_first = not members or number < self._batches[next(iter(members))][0]
            members[batch] = None
            if is_first:
                members.move_to_end(batch, last=False)
        self._loose.clear()

    def _leave_group(self, batch: AnyBatch) -> None:
        self._loose.pop(batch, None)
        _, group = self._batches[batch]
        if group is None:
            return
        members = self._groups[group]
        del members[batch]
        if not members:
            del self._groups[group]
