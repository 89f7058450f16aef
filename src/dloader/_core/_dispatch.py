"""When an open batch closes.

A policy is called once with each batch that opens (and its first key in it) and sees to it that
``batch.close()`` is called later; closing twice does no harm. A batch that reaches the loader's
``max_batch_size`` closes without being asked. Policies count turns of the event loop, never
time (`delay` excepted), so that the same program makes the same batches on every run. (Not on every loop: where it can
be seen that the loop is idle, and where tasks begin at once, batches close earlier, and nested loads may meet or not.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from dloader._text import shorten
from dloader.errors import OptionError

__all__ = ("Dispatch", "OpenBatch", "delay", "eager", "manual", "settle")


class OpenBatch(Protocol):
    """The part of a batch that a policy may touch."""

    loop: asyncio.AbstractEventLoop
    """The event loop of the batch."""

    @property
    def size(self) -> int:
        """How many keys were added so far."""
        ...

    @property
    def is_open(self) -> bool:
        """Whether the batch still takes keys."""
        ...

    def close(self) -> None:
        """Take no more keys and run the batch as soon as ``max_concurrency`` allows."""
        ...


class Dispatch(Protocol):
    """What ``dispatch=`` accepts: any callable that takes the batch that has just opened."""

    def __call__(self, batch: OpenBatch, /) -> object:
        """See to it that ``batch.close()`` is called sooner or later; what is returned does not matter."""
        ...


class settle:  # noqa: N801 - reads as a verb: dispatch=settle()
    """Close a batch when the loop has settled: nothing else is ready to run, or some turns brought no new key.

    This is the default. Callers need not arrive in the same turn: tasks that await something short
    before they load, nested ``gather`` calls, the depths of a GraphQL query or a queue at a lock
    still share one batch. A loop that has nothing else to run would only wait for the network or a timer: then
    the batch closes at once. Only asyncio's own loops let that be seen; on others the turns are counted.

    Args:
        turns: The least number of turns of a busy event loop that a batch stays open. Default 2.
        quiet: How many turns in a row must pass without a new key. Default 4: so far apart are the loads of a
            GraphQL query three depths from one another, or one list of async fields.
        most: The number of turns after which the batch closes even if keys keep coming. Default 128.

    Example:
        >>> settle(quiet=2)
        settle(turns=2, quiet=2, most=128)
    """

    __slots__ = ("most", "quiet", "turns")

    def __init__(self, turns: int = 2, *, quiet: int = 4, most: int = 128) -> None:
        for name, value in (("turns", turns), ("quiet", quiet), ("most", most)):
            if type(value) is not int or value < 1:
                raise OptionError(f"settle({name}=) takes a whole number from 1 up, not {shorten(value)}")
        self.turns, self.quiet, self.most = turns, quiet, most

    def __call__(self, batch: OpenBatch, /) -> None:
        batch.loop.call_soon(self._turn, batch, 0, 1, 0)

    def _turn(self, batch: OpenBatch, seen: int, turn: int, quiet: int) -> None:
        # Whether the loop is idle is asked first: most often it is the end of it, and closing twice does no harm. It
        # spares a load that is alone four turns: 21 us instead of 34, measured. The queue is an attribute of asyncio's
        # own loops, all of them; a loop without it is never taken for idle.
        if not getattr(batch.loop, "_ready", True):
            _close(batch, "idle")
            return
        if not batch.is_open:
            return
        size = batch.size
        quiet = quiet + 1 if size == seen else 0
        if turn >= self.turns and quiet >= self.quiet:
            _close(batch, "quiet")
        elif turn >= self.most:
            _close(batch, "most")
        else:
            batch.loop.call_soon(self._turn, batch, size, turn + 1, quiet)

    def __repr__(self) -> str:
        return f"settle(turns={self.turns}, quiet={self.quiet}, most={self.most})"


def _close(batch: OpenBatch, why: str) -> None:
    """Close a batch and say why, for instruments; what stands in for a batch need not know of that."""
    close_because: Callable[[str], None] | None = getattr(batch, "close_because", None)
    if close_because is None:
        batch.close()
    else:
        close_because(why)


class eager:  # noqa: N801
    """Close a batch after one turn of the loop: the least waiting, and more batches than `settle`."""

    __slots__ = ()

    def __call__(self, batch: OpenBatch, /) -> None:
        batch.loop.call_soon(batch.close)

    def __repr__(self) -> str:
        return "eager()"


class delay:  # noqa: N801
    """Close a batch some time after it opened, to gather keys from callers that do not know each other.

    Args:
        seconds: How long a batch stays open, 0 or more.
    """

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        if (
            isinstance(seconds, bool)
            or not isinstance(seconds, (int, float))
            or not 0 <= seconds < float("inf")
        ):
            raise OptionError(f"delay() takes a number of seconds from 0 up, not {shorten(seconds)}")
        self.seconds = seconds

    def __call__(self, batch: OpenBatch, /) -> None:
        batch.loop.call_later(self.seconds, batch.close)

    def __repr__(self) -> str:
        return f"delay({self.seconds!r})"


class manual:  # noqa: N801
    """Leave a batch open until ``loader.dispatch()`` is called."""

    __slots__ = ()

    def __call__(self, batch: OpenBatch, /) -> None:
        """Do nothing: somebody else closes the batch."""

    def __repr__(self) -> str:
        return "manual()"
