"""Runs plans over nodes, wave by wave.

The engine works in the task that awaits ``resolve``: it does all that can be done, dispatches the loaders, waits until
something is done, and goes on. It makes a task for each call of an ``async def`` method and none else; whole columns of
values wait for batches, not each value for itself.

Invariants: a frame advances when ``pending`` is 0, and whatever counts in ``pending`` ends by calling
`_one_less`; a column is in ``_running`` exactly while some of its values are awaited; a node
is visited once, or once per position if its plan asks where it stands.
"""

from __future__ import annotations

import asyncio
import operator
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeGuard, cast

from dloader._batch import Batch, State
from dloader._callers import Call, Many
from dloader._failure import note
from dloader._loader import DataLoader
from dloader._tasks import start_task, starts_eagerly
from dloader.resolver._collect import filled_collectors, receive, send
from dloader.resolver._convert import FailedAt, converter_of, mapper_of, writer_of
from dloader.resolver._frame import Column, Frame, path_of
from dloader.resolver._graph import Outlook, Use, graph
from dloader.resolver._lanes import Lanes, Source
from dloader.resolver._params import Loaders
from dloader.resolver._plan import Child, Phase, Plan, Step
from dloader.resolver._shared import SharedNodes
from dloader.resolver._walk import flatten

__all__ = ("Engine",)

batch_of = operator.attrgetter("batch")


class Engine:
    """One ``resolve`` of one tree."""

    def __init__(
        self,
        root: object,
        loaders: Loaders,
        context: Mapping[str, Any] | None,
        admit: Callable[[type], Outlook | None],
    ) -> None:
        self._root = root
        self._loaders = loaders
        self._context = context
        self._admit = admit
        self._loop = asyncio.get_running_loop()
        self._ready: deque[tuple[Callable[[Any], None], Any]] = deque()
        self._lanes = Lanes()
        self._running: set[Column] = set()
        self._delayed: dict[Frame, list[tuple[type, ...]]] = {}
        self._outlooks: dict[type, Outlook | None] = {}
        self._shared = SharedNodes()
        self._sets: list[set[Any]] = []
        self._wake: asyncio.Future[None] | None = None
        self._failure: BaseException | None = None

    async def run(self) -> None:
        """Fill the tree; on the first failure or cancellation stop everything that was started for it."""
        try:
            self._enter(None, Child("", (), unknown=True), [self._root], [0])
            await self._work()
            for mutable in self._sets:  # filling its members may have changed their hashes
                members = list(mutable)
                mutable.clear()
                mutable.update(members)
        except BaseException:
            await self._stop()
            raise

    async def _work(self) -> None:
        while True:
            self._do_what_is_ready()
            if not self._running:
                self._ready.extend((self._advance, frame) for frame in self._shared.untie())
                if not self._ready:
                    return
                continue
            self._wake = self._loop.create_future()
            await self._wake
            self._wake = None
            if self._failure is not None:
                raise self._failure

    def _do_what_is_ready(self) -> None:
        ready = self._ready
        while True:
            while ready:
                action, argument = ready.popleft()
                action(argument)
            free = self._lanes.take_free(self._under_way(), nothing_else=not self._running)
            if not free:
                return
            now: dict[DataLoader[Any, Any], None] = {}
            later: set[DataLoader[Any, Any]] = set()
            for frame, step in free:
                loaders = self._begin(frame, step)
                if step.method is None or not step.method.is_async or starts_eagerly(self._loop):
                    now.update(dict.fromkeys(loaders))
                else:  # tasks that have not come to their loads yet: the loader's own policy closes the batch
                    later.update(loaders)
            for loader in now:
                if loader not in later:
                    loader.dispatch()

    def _under_way(self) -> list[Source]:
        """What may still bring nodes: steps whose values are awaited, and nodes that wait for their parents."""
        sources = [
            (column.frame.depth, tuple(graph.targets(column.step.child)))
            for column in self._running
            if not column.step.is_post
        ]
        sources.extend((frame.depth, classes) for frame, kinds in self._delayed.items() for classes in kinds)
        return sources

    def _wake_up(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def _stop(self) -> None:
        """Cancel what the tree has under way, and wait until it has ended, also when cancelled once more."""
        running, self._running = self._running, set()
        tasks = [task for column in running for task in _abandoned(column)]
        cancelled: asyncio.CancelledError | None = None
        while unfinished := [task for task in tasks if not task.done()]:
            try:
                await asyncio.wait(unfinished)
            except asyncio.CancelledError as error:
                cancelled = error
        for task in tasks:
            if not task.cancelled():
                task.exception()
        for loader in self._loaders.own:
            await loader.shutdown()
        if cancelled is not None:
            raise cancelled

    # -- arriving --------------------------------------------------------------------------------------------

    def _enter(self, frame: Frame | None, child: Child, values: Sequence[Any], owners: Sequence[int]) -> None:
        """Find the nodes in the values of a field and start them, grouped by class."""
        items, owners, sets = flatten(values, owners)
        self._sets.extend(sets)
        replaced: dict[int, Any] = {}
        for kind in dict.fromkeys(map(type, items)):
            outlook = self._outlook_of(kind)
            if outlook is None:
                continue
            chosen = [index for index, item in enumerate(items) if type(item) is kind]
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
        nodes = items if len(chosen) == len(items) else [items[index] for index in chosen]
        if self._shared.all_new(nodes):
            own = owners if len(chosen) == len(items) else [owners[index] for index in chosen]
        else:
            nodes, own, chosen = self._shared.sort_out(frame, outlook, chosen, items, owners, replaced)
            if not nodes:
                return
        new = Frame(outlook, nodes, frame, child.name, own, chosen)
        self._shared.add(new)
        if frame is None:
            self._start_soon(new)
            return
        frame.pending += 1
        frame.below.append(new)
        new.waiters.append(frame)
        if frame.steps_left and outlook.plan.wants("parent"):
            self._delay(new, frame, frame.after_steps)
        elif frame.unexposed and outlook.wants_ancestors:
            self._delay(new, frame, frame.after_exposed)
        else:
            self._start_soon(new)

    def _delay(self, new: Frame, frame: Frame, until: list[Callable[[], None]]) -> None:
        """Start a frame when its parents have what its methods may read."""
        kinds = self._delayed.setdefault(frame, [])
        classes = (new.plan.cls,)
        kinds.append(classes)

        def start() -> None:
            kinds.remove(classes)
            if not kinds:
                self._delayed.pop(frame, None)
            self._start_soon(new)

        until.append(start)

    # -- frames ----------------------------------------------------------------------------------------------

    def _start_soon(self, frame: Frame) -> None:
        """Not within the call: a tree may be deeper than Python's stack."""
        self._ready.append((self._start, frame))

    def _start(self, frame: Frame) -> None:
        if frame.parent is not None and frame.outlook.wants_ancestors:
            contexts = frame.parent.contexts_below()
            frame.contexts = [contexts[owner] for owner in frame.owners]
        self._lanes.watch(frame)
        plan = frame.plan
        frame.pending += len(plan.steps)
        for step in plan.steps:
            if step.after is None:
                self._begin_or_hold(frame, step)
        for child in plan.children:
            if graph.needs_visit(child):
                values = [getattr(node, child.name) for node in frame.nodes]
                self._enter(frame, child, values, range(len(values)))
        self._one_less(frame)

    def _begin_or_hold(self, frame: Frame, step: Step) -> None:
        if step.loaders:
            self._lanes.hold(frame, step)
        else:
            self._begin(frame, step)

    def _one_less(self, frame: Frame) -> None:
        frame.pending -= 1
        if not frame.pending:
            self._ready.append((self._advance, frame))

    def _advance(self, frame: Frame) -> None:
        """Everything of a phase is done: go on to the next, or tell those who wait for the frame."""
        frame.phase = Phase(frame.phase + 1)
        plan = frame.plan
        if frame.phase is Phase.POSTING:
            self._collect(frame)
            self._run_posts(frame, plan.posts)
        elif frame.phase is Phase.FINISHING:
            self._run_posts(frame, _final(plan))
        else:
            if frame.outlook.sends:
                send(frame)
            for waiter in frame.waiters:
                self._one_less(waiter)

    def _collect(self, frame: Frame) -> None:
        """Give the nodes' collectors what was sent from below; all that is below is done."""
        if frame.outlook.sends:
            frame.arrived = receive(frame)
        for step in (*frame.plan.posts, *_final(frame.plan)):
            assert step.method is not None
            for name, proto in step.method.collectors:
                try:
                    frame.collectors[step.method.name, name] = filled_collectors(frame, proto)
                except FailedAt as failed:
                    self._note(failed.error, Column(frame, step, range(len(frame.nodes))), failed.index)
                    error = failed.error
                else:
                    continue
                raise error

    def _run_posts(self, frame: Frame, posts: Sequence[Step]) -> None:
        frame.pending = 1 + len(posts)
        for step in posts:
            self._begin_or_hold(frame, step)
        self._one_less(frame)

    # -- steps -----------------------------------------------------------------------------------------------

    def _begin(self, frame: Frame, step: Step) -> list[DataLoader[Any, Any]]:
        """Call a step's method for all nodes, or load their keys; return the loaders to dispatch."""
        if step.load is not None:
            return self._load(frame, step, step.load.by)
        loaders = [self._loaders.get(Use(source, frame.plan.cls, step)) for source in step.loaders]
        column = Column(frame, step, range(len(frame.nodes)))
        column.values = self._call(column, loaders)
        self._receive(column)
        return loaders

    def _load(self, frame: Frame, step: Step, by: str) -> list[DataLoader[Any, Any]]:
        """Load the keys in a field; a loader without keys is not made and needs no parameters."""
        keys = [getattr(node, by) for node in frame.nodes]
        positions: Sequence[int] = range(len(keys))
        if any(key is None for key in keys):
            positions = [index for index, key in enumerate(keys) if key is not None]
            keys = [keys[index] for index in positions]
        column = Column(frame, step, positions)
        if not keys:
            column.values = []
            self._complete(column)
            return []
        loader = self._loaders.get(Use(step.loaders[0], frame.plan.cls, step))
        try:
            if type(loader).load_many is DataLoader.load_many:
                column.values = loader.load_many(keys)
            else:  # a subclass whose future is of another kind, as that of compat.aiodataloader
                column.values = [loader.load(key) for key in keys]
        except Exception as error:
            self._note(error, column, 0)
            raise
        self._receive(column)
        return [loader]

    def _call(self, column: Column, loaders: Sequence[DataLoader[Any, Any]]) -> list[Any]:
        method, nodes = column.step.method, iter(column.frame.nodes)
        assert method is not None
        constant: dict[str, Any] = dict(zip((name for name, _ in method.loaders), loaders, strict=True))
        if "context" in method.special:
            constant["context"] = self._context
        call: Callable[..., Any] = partial(method.function, **constant) if constant else method.function
        values: list[Any] = []
        try:
            if method.is_async:
                each = self._arguments(column.frame, column.step)
                for node, arguments in zip(nodes, each, strict=True):
                    task = self._start_task(call(node, **arguments))
                    values.append(task)
                    if task.done() and not task.cancelled() and task.exception() is not None:
                        task.result()
            elif method.per_node:
                for node, arguments in zip(nodes, self._arguments(column.frame, column.step), strict=True):
                    values.append(call(node, **arguments))
            else:
                values.extend(map(call, nodes))
        except BaseException as error:
            column.values = values
            self._running.add(column)  # so that what was started is stopped
            self._note(error, column, len(column.frame.nodes) - operator.length_hint(nodes) - 1)
            raise
        return values

    def _arguments(self, frame: Frame, step: Step) -> list[dict[str, Any]]:
        """The arguments that differ from node to node."""
        method = step.method
        assert method is not None
        arguments: list[dict[str, Any]] = [{} for _ in frame.nodes]
        if "parent" in method.special:
            parents = [None] * len(frame.nodes)
            if frame.parent is not None:
                parents = [frame.parent.nodes[owner] for owner in frame.owners]
            for argument, parent in zip(arguments, parents, strict=True):
                argument["parent"] = parent
        if "ancestor_context" in method.special:
            for argument, context in zip(arguments, frame.contexts or arguments, strict=True):
                argument["ancestor_context"] = context if frame.contexts else {}
        for name, _ in method.collectors:
            for argument, collector in zip(arguments, frame.collectors[method.name, name], strict=True):
                argument[name] = collector
        return arguments

    def _start_task(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        return start_task(self._loop, coroutine)

    # -- columns ---------------------------------------------------------------------------------------------

    def _receive(self, column: Column) -> None:
        """Wait for the values that are not there yet; when all are, convert and write them."""
        while True:
            if _is_many(column.values):
                left = self._wait_for_batches(column, (share.batch for share in column.values.shares))
                awaited = True
            else:
                left, awaited = self._wait_for(column)
            if left:
                column.left = left
                self._running.add(column)
                return
            if not awaited:
                break
            column.values = self._results(column)
        self._complete(column)

    def _wait_for(self, column: Column) -> tuple[int, bool]:
        """Arrange to be told when awaitable values are done: how many sources, and whether there are any."""
        values = column.values
        kinds = {kind for kind in set(map(type, values)) if hasattr(kind, "__await__")}
        if not kinds:
            return 0, False
        if kinds == {Call} and all(type(value) is Call for value in values):
            return self._wait_for_batches(column, map(batch_of, values)), True
        left = 0
        calls: list[Call[Any]] = []
        for index, value in enumerate(values):
            if type(value) not in kinds:
                continue
            if _is_call(value):
                calls.append(value)
                continue
            future = value if asyncio.isfuture(value) else self._start_task(_awaiting(value))
            values[index] = future
            if not future.done():
                left += 1
                future.add_done_callback(partial(self._future_done, column, index))
        return left + self._wait_for_batches(column, map(batch_of, calls)), True

    def _wait_for_batches(self, column: Column, batches: Any) -> int:
        left = 0
        for batch in dict.fromkeys(batches):
            if batch.state is not State.ENDED:
                left += 1
                batch.listeners.append(partial(self._batch_ended, column, batch))
        return left

    def _batch_ended(self, column: Column, batch: Batch[Any, Any]) -> None:
        column.left -= 1
        if not column.left or batch.failed:
            self._go_on(column)

    def _future_done(self, column: Column, index: int, future: asyncio.Future[Any]) -> None:
        column.left -= 1
        if column not in self._running:  # everything is being stopped
            return
        if self._failure is None and (future.cancelled() or future.exception() is not None):
            try:
                future.result()
            except BaseException as error:
                self._note(error, column, index)
                self._failure = error
                self._wake_up()
        elif not column.left:
            self._go_on(column)

    def _go_on(self, column: Column) -> None:
        if not column.queued:
            column.queued = True
            self._ready.append((self._resume, column))
            self._wake_up()

    def _resume(self, column: Column) -> None:
        self._running.discard(column)
        column.queued = False
        column.values = self._results(column)
        self._receive(column)

    def _results(self, column: Column) -> list[Any]:
        """The results of the values that are futures; the first failure is raised with its place."""
        values = column.values
        try:
            if asyncio.isfuture(values):
                return cast(list[Any], values.result())
            return [value.result() if asyncio.isfuture(value) else value for value in values]
        except BaseException:  # others may not be done: what was raised need not be what happened
            self._running.add(column)
            index, failed = _first_failure(values)
        try:
            return cast(list[Any], failed.result())  # raises
        except BaseException as error:
            self._note(error, column, index)
            raise

    def _complete(self, column: Column) -> None:
        """Convert the values of a column, write them, and start the nodes among them."""
        frame, step, values = column.frame, column.step, column.values
        nodes = column.nodes
        if step is not frame.plan.final:
            values = self._converted(column, nodes, values)
            _column_of(frame.plan, step)[1](nodes, values)
        if not step.is_post:
            frame.steps_left -= 1
            if frame.unexposed and any(name == step.child.name for name, _ in frame.plan.exposes):
                frame.unexposed -= 1
            if graph.needs_visit(step.child):
                self._enter(frame, step.child, values, column.positions)
            for follower in frame.plan.steps:
                if follower.after == step.child.name:
                    self._begin_or_hold(frame, follower)
            self._release_delayed(frame)
        self._one_less(frame)

    def _release_delayed(self, frame: Frame) -> None:
        for until, delayed in ((frame.unexposed, frame.after_exposed), (frame.steps_left, frame.after_steps)):
            while delayed and not until:
                delayed.pop(0)()

    def _converted(self, column: Column, nodes: Sequence[Any], values: list[Any]) -> list[Any]:
        try:
            converted: list[Any] = _column_of(column.frame.plan, column.step)[0](nodes, values)
        except FailedAt as failed:
            self._note(failed.error, column, failed.index)
            error = failed.error
        else:
            return converted
        raise error

    def _note(self, error: BaseException, column: Column, index: int) -> None:
        """Add to an error where in the tree it happened, and with which loader."""
        frame, step = column.frame, column.step
        path = path_of(frame, column.positions[index], self._root)
        names = " and ".join(
            repr(self._loaders.get(Use(source, frame.plan.cls, step)).name) for source in step.loaders
        )
        note(error, f"while resolving {path}.{step.label}" + (f" with loader {names}" if names else ""))


def _abandoned(column: Column) -> Iterator[asyncio.Task[Any]]:
    """Cancel what a column waits for; the tasks among it are still to be awaited."""
    for value in (column.values,) if asyncio.isfuture(column.values) else column.values:
        if asyncio.iscoroutine(value):
            value.close()  # a later node's method failed before it was awaited
        elif asyncio.isfuture(value):
            if not value.cancel() and not value.cancelled():
                value.exception()  # looked at: another failure is being raised
            elif isinstance(value, asyncio.Task):
                yield value


def _is_many(value: Any) -> TypeGuard[Many[Any]]:
    return isinstance(value, Many)


def _is_call(value: Any) -> TypeGuard[Call[Any]]:
    return isinstance(value, Call)


async def _awaiting(value: Any) -> Any:
    return await value


def _has_failed(value: Any) -> bool:
    if not asyncio.isfuture(value) or not value.done():
        return False
    return value.cancelled() or value.exception() is not None


def _first_failure(values: Any) -> tuple[int, asyncio.Future[Any]]:
    """The first failed future among some values, and the place of the node that it is for."""
    if asyncio.isfuture(values):
        return (_first_failing_key(values) if _is_many(values) else 0), values
    return next((index, value) for index, value in enumerate(values) if _has_failed(value))


def _first_failing_key(many: Many[Any]) -> int:
    """The place of the key that a ``load_many`` failed for."""
    failed = {cache_key for share in many.shares if share.batch.failed for cache_key in share.cache_keys}
    wanted = failed or set(many.cache_keys)
    return next(index for index, key in enumerate(many.cache_keys) if key in wanted and key not in many.found)


def _final(plan: Plan) -> tuple[Step, ...]:
    return () if plan.final is None else (plan.final,)


def _column_of(plan: Plan, step: Step) -> Any:
    """How the values of a step are converted and written; made once."""
    column = plan.columns.get(step)
    if column is None:
        name, rule = step.child.name, step.method and step.method.mapper
        converter = converter_of(plan.cls, name) if rule is None else mapper_of(rule)
        plan.columns[step] = column = (converter, writer_of(plan.cls, name))
    return column
