"""The closed batches of one loader: which of them runs next, and how many at once."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine, Iterable
from contextvars import Context
from functools import partial
from inspect import CORO_CREATED, getcoroutinestate
from itertools import chain
from typing import Any, TypeAlias, cast, final

from dloader._core._ahead import Ahead
from dloader._core._batch import CLOSED, Batch, Watcher
from dloader._core._closed_batches import NO_BATCHES, ClosedBatches
from dloader._core._deliver import LOST, Failure, explained
from dloader._core._fetch import Fetch
from dloader._core._limit import Limit, Places, places_of
from dloader._core._roles import Standing
from dloader._core._wait_graph import Place

__all__ = ("RunQueue",)

AnyBatch: TypeAlias = Batch[Any, Any]


NO_WATCHERS: dict[AnyBatch, dict[Watcher, None]] = {}
"""Never changed, as `NO_BATCHES`."""


@final
class RunQueue(ClosedBatches):
    """Starts batches in the order in which they closed, as far as ``max_concurrency`` allows.

    Lives as long as its loader.
    """

    __slots__ = (
        "_is_starting",
        "_limit",
        "_shared",
        "_will_start",
        "fetch",
        "running",
        "watchers",
    )

    def __init__(self, limit: int | Limit | None, fetch: Fetch) -> None:
        self._shared: tuple[Places, ...] = ()
        """Of the limits that other loaders have too, and of its own from when one of its batches waits for another."""
        self._limit: int | None = None
        if limit is not None and isinstance(limit, Limit):
            self._shared = (places_of(limit),)
        else:
            self._limit = limit
        self.fetch = fetch
        self._ready, self._ahead = NO_BATCHES, ()
        self._is_starting = self._will_start = False
        self.running: dict[AnyBatch, Place] = {}
        """Batches whose task has not ended."""
        self.watchers: dict[AnyBatch, dict[Watcher, None]] = NO_WATCHERS
        """Who is told when one of its batches moves, or waits: see `_way_on`."""

    def tasks(self) -> set[asyncio.Task[Exception | None]]:
        """The tasks that run batch functions, but for the present one."""
        tasks = (place.task for place in self.running.values())
        return {task for task in tasks if task is not None} - {asyncio.current_task()}

    def add(self, batch: AnyBatch) -> None:
        """Queue a batch that was closed."""
        if batch.awaited_by:
            self._add_ahead(batch)
            for holder in batch.awaited_by:
                holder.wake()
        else:
            self._add_ready(batch)
        if self._shared:
            for places in self._shared:
                places.queue_up([batch])

    def move_ahead(self, batch: AnyBatch) -> None:
        """A running batch function waits for this one, if it is queued at all."""
        if batch in self._ready:
            del self._ready[batch]
            self._add_ahead(batch)
            self.start_soon(batch.loop)
        elif batch in self._ahead:
            self._add_ahead(batch)

    def run(self, batch: AnyBatch) -> None:
        """Start a batch that was closed, at once if nothing comes before it and there is a place."""
        if (
            self._is_starting
            or self._ready
            or self._ahead
            or self._shared
            or (self._limit is not None and len(self.running) >= self._limit)
        ):
            self.add(batch)
            self.start()
        else:
            self.start(batch)

    def run_soon(self, batch: AnyBatch) -> None:
        """The same in the next turn of the loop."""
        self.add(batch)
        if self._shared:  # those that close later come later, also where they could start now
            self._shared[0].stand_in_line(self, batch)
        if not self._will_start:
            self.start_soon(batch.loop)

    def start(self, first: AnyBatch | None = None) -> None:
        """Start what there is a place for."""
        if self._is_starting:
            return  # a batch ended in its first step: the loop below goes on, however many there are
        self._is_starting = True
        try:
            if first is not None:
                self._start(first)
            while (self._ready or self._ahead) and (batch := self._next()) is not None:
                if batch.state is CLOSED:  # and not abandoned meanwhile
                    self._start(batch)
        except BaseException:  # KeyboardInterrupt, SystemExit: if the loop runs on, so do the other batches
            self.start_soon(asyncio.get_running_loop())
            raise
        finally:
            self._is_starting = False

    def start_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        """The same in the next turn of the loop."""
        if not self._will_start:
            self._will_start = True
            loop.call_soon(self._start_now)

    def wake(self) -> None:
        """Look in the next turn whether a batch may start now that one more waits."""
        if self._ready or self._ahead:
            self.start_soon(asyncio.get_running_loop())
        for places in self._shared:
            places.wake_soon(asyncio.get_running_loop())

    def _start_now(self) -> None:
        self._will_start = False
        for places in self._shared:  # others may have closed before
            places.wake()
        self.start()

    def _next(self) -> AnyBatch | None:
        """Take the next batch that there is a place for; there is one that waits."""
        if self._shared:
            return self._next_shared()
        if self._limit is None or len(self.running) < self._limit:
            return self._take_first()
        return None

    # -- places that are shared with other loaders: see `_limit` ----------------------------------------------

    def share(self, limit: Limit) -> None:
        """Have the batches of this loader need places of `limit` too."""
        places = places_of(limit)
        if places not in self._shared:
            self._need(places)
            self._need_own()

    def _need_own(self) -> None:
        """Count the loader's own batches in the same way, if they are limited."""
        if self._limit is not None:
            own, self._limit = Places(self._limit), None
            self._need(own)

    def _need(self, places: Places) -> None:
        for batch, place in self.running.items():
            places.take(self, batch, place)
        places.queue_up(self.waiting)
        self._shared += (places,)

    def look_at(self, place: Place) -> None:
        """Note what one of those that run waits for now: from then on places are lent."""
        self._need_own()
        for places in self._shared:
            places.look_at(place)
        if self.watchers and place.batch is not None and place.is_stuck:
            for watcher in [*self.watchers.get(place.batch, ())]:
                watcher.waits(place.batch)

    def before(self, batch: AnyBatch) -> Iterable[AnyBatch] | Standing:
        """What one of its batches waits for, or, if it has no place, who holds the places that it needs."""
        place = self.running.get(batch)
        if place is not None:
            return place.before()
        full = [places for places in self._shared if not places.has_room]
        if self._will_start or not (full or self._limit is not None):
            return Standing.IS_LOOKED_AT
        return chain(*(places.batches for places in full)) if full else self.running

    def start_next(self, batch: AnyBatch) -> None:
        """Start a batch that another waits for, though there is no place for it."""
        cast(Ahead, self._ahead).remove(batch)
        self.start(batch)

    def add_watcher(self, batch: AnyBatch, watcher: Watcher) -> None:
        """Have somebody told when a batch moves, or waits."""
        if self.watchers is NO_WATCHERS:
            self.watchers = {}
        self.watchers.setdefault(batch, {})[watcher] = None

    def remove_watcher(self, batch: AnyBatch, watcher: Watcher) -> None:
        """Tell that one nothing more."""
        watchers = self.watchers[batch]
        del watchers[watcher]
        if not watchers:
            del self.watchers[batch]

    def tell_moved(self, batch: AnyBatch) -> None:
        """Tell those who watch a batch that it has started, ended, or given its place back."""
        for watcher in [*self.watchers.get(batch, ())]:
            watcher.has_moved(batch)

    def _next_shared(self) -> AnyBatch | None:
        """Take the next batch that there is a place for wherever it needs one.

        Those which a running batch waits for may be lent different places; of the others the first goes first.
        """
        return self._take_first_that(self._has_places)

    def _has_places(self, batch: AnyBatch) -> bool:
        """Whether there is a place for a batch wherever it needs one; where not, wait for one."""
        if batch.loop.is_closed():  # forgotten with the next load
            return False
        is_wanted = batch.state is CLOSED  # and not abandoned meanwhile
        full = next((places for places in self._shared if is_wanted and not places.admits(batch)), None)
        if full is not None:
            full.wait(self, batch)
        return full is None

    def _start(self, batch: AnyBatch) -> None:
        """Run a batch in a task of its own, at once where Python can."""
        self.running[batch] = place = Place()
        place.batch, place.queue, place.task = batch, self, None
        place.asked = place.hopes = ()
        if self.watchers:
            self.tell_moved(batch)
        if self._shared:
            for places in self._shared:
                places.take(self, batch, place)
        coroutine = self.fetch.run(batch, place, self.release)
        name = f"{batch.loader_name}-{batch.number}"
        first = next(iter(batch.entries.values()), None)
        # Most often who opened the batch waits still: a call would be felt.
        opener = first if first is None or isinstance(first, asyncio.Future) else first.future
        has_opener = opener is not None and not opener.done()
        context = batch.context if has_opener else batch.starting_context()
        first = opener = None  # an error of the first step keeps this frame; its future would keep the error
        try:
            task = _start_task(batch.loop, coroutine, name, context)
        except BaseException as error:  # the application's task factory raised
            if not batch.is_closed:  # it had begun: who runs it will end it
                raise
            coroutine.close()
            self._fail(batch, error)
            if issubclass(type(error), (KeyboardInterrupt, SystemExit)):
                raise
            return
        if task.done():
            return
        place.task = task
        if batch.state is CLOSED:
            batch.loop.call_soon(self._after_first_step, batch, task)
        else:
            self._watch(batch, task)

    def _after_first_step(self, batch: AnyBatch, task: asyncio.Task[Any]) -> None:
        """Go on with a batch whose task did not begin at once: its first step was queued before this."""
        if batch not in self.running:
            return
        if task.done():
            self._sweep(batch)
        elif batch.is_running:
            self._watch(batch, task)
        else:  # a task factory of the application's wraps the coroutine in another, which takes its time
            task.add_done_callback(partial(self._sweep, batch))

    def _watch(self, batch: AnyBatch, task: asyncio.Task[Any]) -> None:
        """See that everybody leaves a batch that did not end in the first step of its task."""
        batch.watch(partial(self._abandon, batch, task))

    def _abandon(self, batch: AnyBatch, task: asyncio.Task[Any]) -> None:
        reason = f"nobody waits for {batch!r} any more"
        if batch.end(LOST):
            task.cancel(reason)

    def _sweep(self, batch: AnyBatch, _task: object = None) -> None:
        """End a batch whose task was cancelled before its first step: its coroutine never ran."""
        if batch in self.running:
            self._fail(batch, asyncio.CancelledError())

    def _fail(self, batch: AnyBatch, error: BaseException) -> None:
        batch.end(Failure(error, explained(batch, error), None))
        self.release(batch)

    def release(self, batch: AnyBatch) -> None:
        """Let go of a batch whose task has ended, and start what waits for its place."""
        place = self.running.pop(batch, None)
        if place is None:
            return  # it was forgotten
        if place.asked:
            place.stop_waiting()
        if self.watchers:
            self.tell_moved(batch)
        place.batch = place.queue = place.task = None  # as `Place.end` does: a load goes through few hands
        if self._shared:
            for places in self._shared:
                places.release(batch)
        if (self._ready or self._ahead) and not self._is_starting:
            if batch.loop.is_closed():
                self.forget()
            else:
                self.start()

    def forget(self) -> None:
        """Drop all of it: the event loop was closed."""
        waiting, running = self.waiting, self.running
        self._ready, self._ahead = NO_BATCHES, ()
        self.running = {}  # first: a task that is let go of below ends its coroutine, which releases its batch
        self._will_start = False
        for batch in [*running, *waiting]:
            for places in self._shared:
                places.forget(batch)
            batch.end(LOST)
        for place in running.values():
            place.end()


def _start_task(
    loop: asyncio.AbstractEventLoop,
    coroutine: Coroutine[Any, Any, Exception | None],
    name: str,
    context: Context | None,
) -> asyncio.Task[Exception | None]:
    """Make a task of the running loop and start it: a turn of the loop is saved, and often the whole task.

    A task factory that the application has set is respected, eager or not.
    """
    if sys.version_info >= (3, 12) and loop.get_task_factory() is None:
        return asyncio.Task(coroutine, loop=loop, name=name, context=context, eager_start=True)
    try:
        return loop.create_task(coroutine, name=name, context=context)
    except TypeError:  # a factory of the old form: it takes nothing but the loop and the coroutine
        make: Any = loop.get_task_factory()
        if make is None or context is None or getcoroutinestate(coroutine) != CORO_CREATED:
            raise
    task: asyncio.Task[Exception | None] = context.run(make, loop, coroutine)
    task.set_name(name)
    return task
