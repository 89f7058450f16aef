"""Who stands in line for the places of a limit."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import Any, final

__all__ = ("Line",)


@final
class Line:
    """Queues, each with the number of its first batch that lacks only a place; lives as long as the limit."""

    __slots__ = ("_numbers", "_order")

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}
        self._order: list[tuple[int, int, Any]] = []
        """A heap of the same. Entries that are true no more are dropped when they come up."""

    def __len__(self) -> int:
        return len(self._numbers)

    def put(self, queue: Any, number: int) -> None:
        """Let a queue stand here with a batch, unless it does with one that came earlier."""
        if number < self._numbers.get(queue, number + 1):
            self._numbers[queue] = number
            heappush(self._order, (number, id(queue), queue))

    def remove(self, queue: Any, number: int | None = None) -> None:
        """Let a queue go, if it stands here, with the batch of that number if one is given."""
        found = self._numbers.get(queue)
        if found is None or (number is not None and found != number):
            return
        del self._numbers[queue]
        if len(self._order) > 2 * len(self._numbers):  # what is true no more would keep loaders
            self._order = [(number, id(each), each) for each, number in self._numbers.items()]
            heapify(self._order)

    @property
    def first(self) -> Any:
        """The queue whose batch came first; there is one."""
        self._drop_untrue()
        return self._order[0][2]

    @property
    def first_number(self) -> int:
        """The number of that batch."""
        return self._numbers[self.first]

    def in_order(self) -> Iterator[Any]:
        """Those that stand here now, one after another; each may go or come back meanwhile."""
        self._drop_untrue()
        order = self._order.copy()  # of ten thousand it takes as long as starting one batch
        last: Any = None
        while order:
            number, _, queue = heappop(order)
            if queue is not last and self._numbers.get(queue) == number:
                last = queue
                yield queue

    def _drop_untrue(self) -> None:
        """See that the first entry is true."""
        while self._order and self._numbers.get(self._order[0][2]) != self._order[0][0]:
            heappop(self._order)
