"""Runs plans over nodes, wave by wave.

The engine works in the task that awaits ``resolve``: it does all that can be done, dispatches the loaders, waits until
something is done, and goes on.

Invariants: a frame advances when ``pending`` is 0, and whatever counts in ``pending`` ends by calling `_one_less`;
a node is visited once, or once per position if its plan asks where it stands.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dloader._loader import DataLoader
from dloader._tasks import starts_eagerly
from dloader.errors import EndlessTreeError
from dloader.resolver._collect import filled_collectors, receive, send
from dloader.resolver._columns import Columns
from dloader.resolver._convert import FailedAt
from dloader.resolver._frame import Column, Frame
from dloader.resolver._graph import Outlook
from dloader.resolver._lanes import Lanes, Source
from dloader.resolver._params import Loaders
from dloader.resolver._plan import Child, Phase, Step
from dloader.resolver._shared import SharedNodes
from dloader.resolver._walk import Found, flatten

__all__ = ("Engine",)

MOST_LEVELS = 10_000
"""A tree that goes deeper has no end."""
MOST_ACTIONS = 1_000
"""After so many without a wait others on the event loop get their turn: timeouts and cancellation work."""


class Engine:
    """One ``resolve`` of one tree."""

    def __init__(
        self,
        root: object,
        roots: Found,
        loaders: Loaders,
        context: Mapping[str, Any] | None,
        admit: Callable[[type], Outlook | None],
    ) -> None:
        self._roots = roots
        self._admit = admit
        self._columns = Columns(root, loaders, context, self._queue, self._finished)
        self._loop = asyncio.get_running_loop()
        self._ready: deque[tuple[Callable[[Any], None], Any]] = deque()
        self._lanes = Lanes()
        self._delayed: dict[Frame, list[tuple[type, ...]]] = {}
        self._outlooks: dict[type, Outlook | None] = {}
        self._shared = SharedNodes()
        self._sets: list[set[Any]] = []
        self._wake: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """Fill the tree; on the first failure or cancellation stop everything that was started for it."""
        try:
            self._start_roots()
            await self._work()
            await self._columns.end()
            for mutable in self._sets:  # filling its members may have changed their hashes
                members = list(mutable)
                mutable.clear()
                mutable.update(members)
        except BaseException:
            await self._columns.stop()
            raise

    async def _work(self) -> None:
        while True:
            if not self._do_what_is_ready():
                await asyncio.sleep(0)
                continue
            if not self._columns.running:
                self._ready.extend((self._advance, frame) for frame in self._shared.untie())
                if not self._ready:
                    return
                continue
            self._wake = self._loop.create_future()
            await self._wake
            self._wake = None
            if self._columns.failure is not None:
                raise self._columns.failure

    def _do_what_is_ready(self) -> bool:
        """Do what can be done without waiting; return whether that is all there is."""
        ready = self._ready
        for _ in range(MOST_ACTIONS):
            if ready:
                action, argument = ready.popleft()
                action(argument)
                continue
            free = self._lanes.take_free(self._under_way(), nothing_else=not self._columns.running)
            if not free:
                return True
            now: dict[DataLoader[Any, Any], None] = {}
            later: set[DataLoader[Any, Any]] = set()
            for frame, step in free:
                loaders = self._columns.begin(frame, step)
                if step.method is None or not step.method.is_async or starts_eagerly(self._loop):
                    now.update(dict.fromkeys(loaders))
                else:  # tasks that have not come to their loads yet: the loader's own policy closes the batch
                    later.update(loaders)
            for loader in now:
                if loader not in later:
                    loader.dispatch()
        return False

    def _under_way(self) -> list[Source]:
        """What may still bring nodes: steps whose values are awaited, and nodes that wait for their parents."""
        sources = [
            (column.frame.depth, column.frame.outlook.bringing.get(column.step, ()))
            for column in self._columns.running
        ]
        sources.extend((frame.depth, classes) for frame, kinds in self._delayed.items() for classes in kinds)
        return sources

    def _queue(self, action: Callable[[Column], None], column: Column) -> None:
        self._ready.append((action, column))
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    # -- arriving --------------------------------------------------------------------------------------------

    def _start_roots(self) -> None:
        _, _, kinds, _ = self._roots
        outlooks = [outlook for kind in kinds if (outlook := self._outlook_of(kind))]
        if len(outlooks) == 1:
            self._shared.comes_once = outlooks[0].comes_once
        self._enter(None, Child("", (), unknown=True), self._roots)

    def _enter(self, frame: Frame | None, child: Child, found: Found) -> None:
        """Start the nodes that were found in a field, grouped by class."""
        items, owners, kinds, sets = found
        if sets:
            self._sets.extend(sets)
        replaced: dict[int, Any] = {}
        for kind in kinds:
            outlook = self._outlook_of(kind)
            if outlook is None:
                continue
            chosen: Sequence[int] = range(len(items))
            if len(kinds) > 1:
                chosen = [index for index in chosen if type(items[index]) is kind]
            self._arrive(frame, child, outlook, chosen, items, owners, replaced)
        if replaced and frame is not None:
            self._shared.put_back(frame, child.name, owners, items, replaced)

    def _outlook_of(self, kind: type) -> Outlook | None:
        """What to do with nodes of a class; None for anything that is not visited."""
        try:
            return self._outlooks[kind]
        except KeyError:
            outlook = self._admit(kind)
            self._outlooks[kind] = found = None if outlook is None or outlook.is_idle else outlook
            return found

    def _arrive(
        self,
        frame: Frame | None,
        child: Child,
        outlook: Outlook,
        chosen: Sequence[int],
        items: Sequence[Any],
        owners: Sequence[int],
        replaced: dict[int, Any],
    ) -> None:
        nodes, own = items, owners
        if len(chosen) < len(items):
            nodes, own = [items[index] for index in chosen], [owners[index] for index in chosen]
        if not self._shared.all_new(outlook.plan.cls, nodes):
            nodes, own, chosen = self._shared.sort_out(frame, outlook, chosen, items, owners, replaced)
            if not nodes:
                return
        new = Frame(outlook, nodes, frame, child.name, own, chosen)
        self._shared.add(new)
        if frame is None:
            self._ready.append((self._start, new))
            return
        if new.depth > MOST_LEVELS:
            raise EndlessTreeError(
                f"{frame.plan.cls.__qualname__}.{child.name}: the tree is more than {MOST_LEVELS:,} levels deep; rows "
                f"that lead back to each other make a tree without end: load keys instead of rows there"
            )
        frame.pending += 1
        frame.below.append(new)
        new.waiters.append(frame)
        if frame.steps_left and outlook.plan.wants("parent"):
            frame.after_steps = [*frame.after_steps, self._delayed_start(new, frame)]
        elif frame.unexposed and outlook.wants_ancestors:
            frame.after_exposed = [*frame.after_exposed, self._delayed_start(new, frame)]
        else:
            self._ready.append((self._start, new))

    def _delayed_start(self, new: Frame, frame: Frame) -> Callable[[], None]:
        """What starts a frame when its parents have what its methods may read."""
        kinds = self._delayed.setdefault(frame, [])
        classes = (new.plan.cls,)
        kinds.append(classes)

        def start() -> None:
            kinds.remove(classes)
            if not kinds:
                self._delayed.pop(frame, None)
            self._ready.append((self._start, new))

        return start

    # -- frames ----------------------------------------------------------------------------------------------

    def _start(self, frame: Frame) -> None:
        """Begin the steps of a frame. Called by nobody but the queue: a tree may be deeper than Python's stack."""
        if frame.parent is not None and frame.outlook.wants_ancestors:
            contexts = frame.parent.contexts_below()
            frame.contexts = [contexts[owner] for owner in frame.owners]
        plan = frame.plan
        if plan.lanes_of_posts:
            self._lanes.watch(frame)
        frame.pending += len(plan.steps)
        for step in plan.first_steps:
            self._begin_or_hold(frame, step)
        for child in frame.outlook.children:
            values = [getattr(node, child.name) for node in frame.nodes]
            self._enter(frame, child, flatten(values, frame.every, self._outlooks))
        self._one_less(frame)

    def _begin_or_hold(self, frame: Frame, step: Step) -> None:
        if step.loaders:
            self._lanes.hold(frame, step)
        else:
            self._columns.begin(frame, step)

    def _one_less(self, frame: Frame) -> None:
        frame.pending -= 1
        if not frame.pending:
            self._ready.append((self._advance, frame))

    def _advance(self, frame: Frame) -> None:
        """Everything of a phase is done: go on to the next, or tell those who wait for the frame."""
        plan = frame.plan
        if frame.phase is Phase.RESOLVING:
            if frame.outlook.sends or plan.collecting:
                self._collect(frame)
            frame.phase = Phase.POSTING
            if plan.posts and not self._run_posts(frame, plan.posts):
                return
        if frame.phase is Phase.POSTING:
            frame.phase = Phase.FINISHING
            if plan.final is not None and not self._run_posts(frame, plan.final_steps):
                return
        frame.phase = Phase.DONE
        if frame.outlook.sends:
            send(frame)
        for waiter in frame.waiters:
            self._one_less(waiter)

    def _collect(self, frame: Frame) -> None:
        """Give the nodes' collectors what was sent from below; all that is below is done."""
        frame.arrived = receive(frame)
        for step, name, proto in frame.plan.collecting:
            try:
                filled = filled_collectors(frame, proto)
            except FailedAt as failed:
                self._columns.note(failed.error, Column(frame, step, frame.every), failed.index)
                error = failed.error
            else:
                frame.collectors = {**frame.collectors, (step, name): filled}
                continue
            raise error

    def _run_posts(self, frame: Frame, posts: Sequence[Step]) -> bool:
        """Begin the posts of a phase; return whether all are done."""
        frame.pending = 1 + len(posts)
        for step in posts:
            self._begin_or_hold(frame, step)
        frame.pending -= 1
        return not frame.pending

    # -- steps -----------------------------------------------------------------------------------------------

    def _finished(self, column: Column, values: Sequence[Any]) -> None:
        """A step has been taken: start the nodes among its values, and what waited for it."""
        frame, step = column.frame, column.step
        if not step.is_post:
            name = step.child.name
            frame.steps_left -= 1
            if name in frame.plan.exposing:
                frame.unexposed -= 1
            if step in frame.outlook.bringing:
                self._enter(frame, step.child, flatten(values, column.positions, self._outlooks))
            if name in frame.plan.followers:
                for follower in frame.plan.followers[name]:
                    self._begin_or_hold(frame, follower)
            if frame.after_steps or frame.after_exposed:
                self._release_delayed(frame)
        self._one_less(frame)

    def _release_delayed(self, frame: Frame) -> None:
        ready: list[Callable[[], None]] = []
        if not frame.unexposed:
            ready, frame.after_exposed = [*frame.after_exposed], ()
        if not frame.steps_left:
            ready, frame.after_steps = [*ready, *frame.after_steps], ()
        for start in ready:
            start()
