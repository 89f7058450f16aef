"""The closed batches that running batch functions wait for: they come before others, and may be lent places."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
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

    __slots__ = ("_batches", "_came", "_firsts", "_groups", "_loose")

    def __init__(self) -> None:
        self._batches: OrderedDict[AnyBatch, tuple[int, Group | None]] = OrderedDict()
        """When each came, and its group."""
        self._came = 0
        self._groups: dict[Group, OrderedDict[AnyBatch, None]] = {}
        self._firsts: list[tuple[int, int, Group]] = []
        """A heap: when the first of each group came. Entries that are true no more are dropped when they come up."""
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

    def take_first_that(self, may_start: Callable[[AnyBatch], bool]) -> AnyBatch | None:
        """Take the first batch that may start; of each group the first is asked for."""
        self._put_into_groups()
        refused: list[tuple[int, int, Group]] = []
        found: AnyBatch | None = None
        while found is None and self._firsts:
            entry = heappop(self._firsts)
            first = self._first_of(entry)
            if first is not None:
                refused.append(entry)
                found = first if may_start(first) else None
        for entry in refused:
            heappush(self._firsts, entry)
        if found is not None:
            self.remove(found)
        return found

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
                self._note_first(group)
        self._loose.clear()

    def _note_first(self, group: Group) -> None:
        first = next(iter(self._groups[group]))
        heappush(self._firsts, (self._batches[first][0], id(group), group))

    def _first_of(self, entry: tuple[int, int, Group]) -> AnyBatch | None:
        number, _, group = entry
        members = self._groups.get(group)
        first = None if members is None else next(iter(members))
        return first if first is not None and self._batches[first][0] == number else None

    def _leave_group(self, batch: AnyBatch) -> None:
        self._loose.pop(batch, None)
        _, group = self._batches[batch]
        if group is None:
            return
        members = self._groups[group]
        was_first = next(iter(members)) is batch
        del members[batch]
        if not members:
            del self._groups[group]
        elif was_first:
            self._note_first(group)
