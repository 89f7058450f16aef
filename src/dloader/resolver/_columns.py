"""The steps of one resolve at work: methods are called, keys loaded, values awaited, converted and written.

A column is what one step gives for the nodes of a frame. It waits as a whole: for the batches that its loads are
in, and for the tasks of ``async def`` methods, which are the only tasks that are made.
"""

from __future__ import annotations

import asyncio
import operator
from asyncio import Future
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, repeat
from typing import Any, TypeGuard, cast

from dloader._batch import Batch, State
from dloader._callers import Many, futures_of
from dloader._failure import note
from dloader._loader import DataLoader, ask_many, batches_of
from dloader._tasks import starter
from dloader.resolver._convert import (
    Converter,
    FailedAt,
    Writer,
    convert_distinct,
    converter_of,
    mapper_of,
    writer_of,
)
from dloader.resolver._frame import Column, Frame, path_of
from dloader.resolver._graph import Use
from dloader.resolver._params import Loaders
from dloader.resolver._plan import Method, Plan, Step

__all__ = ("Columns",)

PLAIN = frozenset({bool, dict, float, int, list, str, type(None)})
"""Classes whose instances nobody needs to await."""


class Columns:
    """Takes steps; lives as long as one resolve. A column is in `running` exactly while values of it are awaited."""

    def __init__(
        self,
        root: object,
        loaders: Loaders,
        context: Mapping[str, Any] | None,
        queue: Callable[[Callable[[Column], None], Column], None],
        finished: Callable[[Column, Sequence[Any]], None],
    ) -> None:
        self._root = root
        self._loaders = loaders
        self._context = context
        self._queue = queue
        """Has an action done by the engine, in the task that awaits ``resolve``."""
        self._finished = finished
        """Told when the values of a column have been written."""
        self._loop = asyncio.get_running_loop()
        self.running: set[Column] = set()
        self.failure: BaseException | None = None
        """What a task raised; everything is then stopped."""

    def begin(self, frame: Frame, step: Step) -> list[DataLoader[Any, Any]]:
        """Call a step's method for all nodes, or load their keys; return the loaders to dispatch."""
        if step.load is not None:
            return self._load(frame, step, step.load.by)
        loaders: list[DataLoader[Any, Any]] = []
        if step.loaders:
            loaders = [self._loaders.get(Use(source, frame.plan.cls, step)) for source in step.loaders]
        column = Column(frame, step, frame.every)
        column.values = self._call(column, loaders)
        if PLAIN.issuperset(map(type, column.values)):
            self._write(column)
        else:
            self._receive(column)
        return loaders

    def _load(self, frame: Frame, step: Step, by: str) -> list[DataLoader[Any, Any]]:
        """Load the keys in a field; a loader without keys is not made and needs no parameters."""
        keys = [getattr(node, by) for node in frame.nodes]
        positions: Sequence[int] = frame.every
        if type(None) in set(map(type, keys)):
            positions = [index for index, key in enumerate(keys) if key is not None]
            keys = [keys[index] for index in positions]
        column = Column(frame, step, positions)
        if not keys:
            column.values = []
            self._write(column)
            return []
        loader = self._loaders.get(Use(step.loaders[0], frame.plan.cls, step))
        try:
            if type(loader).load_many is DataLoader.load_many:
                column.values = ask_many(loader, keys)
            else:  # a subclass whose future is of another kind, as that of compat.aiodataloader
                column.values = [loader.load(key) for key in keys]
        except Exception as error:
            self.note(error, column, _first_unusable(loader, keys))
            raise
        self._receive(column)
        return [loader]

    def _call(self, column: Column, loaders: Sequence[DataLoader[Any, Any]]) -> list[Any]:
        method, nodes = column.step.method, iter(column.frame.nodes)
        assert method is not None
        constant = self._constant(method, loaders) if method.loaders or method.takes_context else {}
        call: Callable[..., Any] = partial(method.function, **constant) if constant else method.function
        values: list[Any] = []
        try:
            if method.is_async:
                start = starter(self._loop)
                if method.per_node:
                    each = zip(nodes, self._arguments(column.frame, column.step), strict=True)
                    coroutines: Iterable[Any] = (call(node, **arguments) for node, arguments in each)
                else:
                    coroutines = map(call, nodes)
                for coroutine in coroutines:
                    values.append(task := start(coroutine))
                    if task.done() and not task.cancelled() and task.exception() is not None:
                        task.result()
            elif method.per_node:
                for node, arguments in zip(nodes, self._arguments(column.frame, column.step), strict=True):
                    values.append(call(node, **arguments))
            # By position where possible: a quarter of the time that partial takes.
            elif constant and constant.keys() == set(leading := method.order[: len(constant)]):
                values.extend(map(method.function, nodes, *(repeat(constant[name]) for name in leading)))
            else:
                values.extend(map(call, nodes))
        except BaseException as error:
            column.values = values
            self.running.add(column)  # so that what was started is stopped
            self.note(error, column, len(column.frame.nodes) - operator.length_hint(nodes) - 1)
            raise
        return values

    def _constant(self, method: Method, loaders: Sequence[DataLoader[Any, Any]]) -> dict[str, Any]:
        """The arguments that are the same for all nodes."""
        constant: dict[str, Any] = {
            name: loader for (name, _), loader in zip(method.loaders, loaders, strict=True)
        }
        if method.takes_context and ("context" in method.special or self._context is not None):
            constant["context"] = self._context
        return constant

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
            for argument, collector in zip(arguments, frame.collectors[step, name], strict=True):
                argument[name] = collector
        return arguments

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
                self.running.add(column)
                return
            if not awaited:
                break
            column.values = self._results(column)
        self._write(column)

    def _wait_for(self, column: Column) -> tuple[int, bool]:
        """Arrange to be told when awaitable values are done: how many sources, and whether there are any."""
        values: list[Any] = column.values
        all_kinds = set(map(type, values))
        kinds = {kind for kind in all_kinds if hasattr(kind, "__await__")}
        if not kinds:
            return 0, False
        batches: list[Batch[Any, Any]] = []
        if Future in kinds:
            batch = self._batch_of_all(column) if all_kinds == {Future} else None
            if batch is not None:
                return self._wait_for_batches(column, (batch,)), True
            batches = self._batches_of(column)
        in_batches = {id(future) for batch in batches for future in _futures_in(batch)}
        left = 0
        done = partial(self._future_done, column)
        for index, value in enumerate(values):
            if type(value) in kinds and id(value) not in in_batches:
                future = value
                if not asyncio.isfuture(value):
                    values[index] = future = starter(self._loop)(_awaiting(value))
                if not future.done():
                    left += 1
                    future.add_done_callback(done)
        return left + self._wait_for_batches(column, batches), True

    def _batch_of_all(self, column: Column) -> Batch[Any, Any] | None:
        """The batch that all futures of a column went into, one after another; most often that is so.

        Being told by the batch costs a third less than by each future, and comparing lists of them next to nothing.
        """
        values: list[Any] = column.values
        for loader in self._loaders_of(column):
            batch = batches_of(loader).open
            if batch is not None and list(batch.entries.values())[-len(values) :] == values:
                return batch
        return None

    def _batches_of(self, column: Column) -> list[Batch[Any, Any]]:
        """The batches of the step's loaders that futures of the column are in."""
        pending = {id(value) for value in column.values if type(value) is Future and not value.done()}
        found: list[Batch[Any, Any]] = []
        for loader in self._loaders_of(column):
            batches = batches_of(loader)
            for batch in (*batches.unstarted(), *batches.running):
                if not pending:
                    return found
                mine = pending.intersection(map(id, _futures_in(batch)))
                if mine:
                    pending -= mine
                    found.append(batch)
        return found

    def _loaders_of(self, column: Column) -> list[DataLoader[Any, Any]]:
        frame, step = column.frame, column.step
        return [self._loaders.get(Use(source, frame.plan.cls, step)) for source in step.loaders]

    def _wait_for_batches(self, column: Column, batches: Iterable[Batch[Any, Any]]) -> int:
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

    def _future_done(self, column: Column, future: Future[Any]) -> None:
        column.left -= 1
        if column not in self.running:  # everything is being stopped
            return
        if self.failure is None and (future.cancelled() or future.exception() is not None):
            try:
                future.result()
            except BaseException as error:
                self.note(error, column, next(i for i, value in enumerate(column.values) if value is future))
                self.failure = error
                self._queue(_nothing, column)
        elif not column.left:
            self._go_on(column)

    def _go_on(self, column: Column) -> None:
        if not column.queued:
            column.queued = True
            self._queue(self._resume, column)

    def _resume(self, column: Column) -> None:
        self.running.discard(column)
        column.queued = False
        column.values = self._results(column)
        self._receive(column)

    def _results(self, column: Column) -> list[Any]:
        """The results of the values that are futures; the first failure is raised with its place."""
        values = column.values
        try:
            if _is_many(values):
                return values.future.result()
            kinds = set(map(type, values))
            if len(kinds) == 1 and issubclass(kinds.pop(), Future):
                return [value.result() for value in values]
            return [value.result() if asyncio.isfuture(value) else value for value in values]
        except BaseException:  # others may not be done: what was raised need not be what happened
            self.running.add(column)
            index, failed = _first_failure(values)
        try:
            return cast(list[Any], failed.result())  # raises
        except BaseException as error:
            self.note(error, column, index)
            raise

    def _write(self, column: Column) -> None:
        """Convert the values of a column and write them into the nodes."""
        frame, step, values = column.frame, column.step, column.values
        plan = frame.plan
        if step is not plan.final:
            nodes = column.nodes
            converter, write = plan.columns.get(step) or _column_of(plan, step)
            failed: FailedAt | None = None
            try:
                if step.child.is_shareable and converter.is_of_type_alone and step in frame.outlook.sharing:
                    values = convert_distinct(converter.convert, nodes, values)
                else:
                    values = converter.convert(nodes, values)
            except FailedAt as caught:
                failed = caught
            if failed is not None:  # not as something that happened while FailedAt was handled
                raise self._noted(column, failed)
            write(nodes, values)
        self._finished(column, values)

    def _noted(self, column: Column, failed: FailedAt) -> Exception:
        """Why a value could not be converted, and where it was meant to go."""
        self.note(failed.error, column, failed.index)
        given = cast(object, column.values[failed.index])
        if isinstance(given, list) and any(map(asyncio.isfuture, cast(list[object], given))):
            note(failed.error, "the method gave a list of futures: return loader.load_many(keys) instead")
        return failed.error

    def note(self, error: BaseException, column: Column, index: int) -> None:
        """Add to an error where in the tree it happened, and with which loader."""
        frame, step = column.frame, column.step
        path = path_of(frame, column.positions[index], self._root)
        names = " and ".join(
            repr(self._loaders.get(Use(source, frame.plan.cls, step)).name) for source in step.loaders
        )
        note(error, f"while resolving {path}.{step.label}" + (f" with loader {names}" if names else ""))

    # -- stopping ----------------------------------------------------------------------------------------

    async def end(self) -> None:
        """The tree is filled: loads that a method began and did not return are nobody's, and are ended."""
        for loader in self._loaders.own:
            if not loader.is_idle:
                await loader.shutdown()

    async def stop(self) -> None:
        """Cancel what the tree has under way, and wait until it has ended, also when cancelled once more."""
        running, self.running = self.running, set()
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


def _abandoned(column: Column) -> Iterator[asyncio.Task[Any]]:
    """Cancel what a column waits for; the tasks among it are still to be awaited."""
    for value in (column.values.future,) if _is_many(column.values) else column.values:
        if asyncio.iscoroutine(value):
            value.close()  # a later node's method failed before it was awaited
        elif asyncio.isfuture(value):
            if not value.cancel() and not value.cancelled():
                value.exception()  # looked at: another failure is being raised
            elif isinstance(value, asyncio.Task):
                yield value


def _first_unusable(loader: DataLoader[Any, Any], keys: Sequence[Any]) -> int:
    """The place of the first key that a loader cannot take; 0 if it is not the keys' fault."""
    cache_key: Callable[[Any], Any] = getattr(loader, "_cache_key")  # noqa: B009 - for this error only
    for index, key in enumerate(keys):
        try:
            hash(cache_key(key))
        except Exception:
            return index
    return 0


def _is_many(value: Any) -> TypeGuard[Many[Any]]:
    return isinstance(value, Many)


def _futures_in(batch: Batch[Any, Any]) -> Iterable[Future[Any]]:
    """The futures of the callers of single keys."""
    entries = batch.entries.values()
    return (
        chain.from_iterable(map(futures_of, entries))
        if batch.is_mixed
        else cast(Iterable[Future[Any]], entries)
    )


async def _awaiting(value: Any) -> Any:
    return await value


def _has_failed(value: Any) -> bool:
    if not asyncio.isfuture(value) or not value.done():
        return False
    return value.cancelled() or value.exception() is not None


def _first_failure(values: Any) -> tuple[int, asyncio.Future[Any]]:
    """The first failed future among some values, and the place of the node that it is for."""
    if _is_many(values):
        return _first_failing_key(values), values.future
    return next((index, value) for index, value in enumerate(values) if _has_failed(value))


def _first_failing_key(many: Many[Any]) -> int:
    """The place of the key that a ``load_many`` failed for."""
    failed = {cache_key for share in many.shares if share.batch.failed for cache_key in share.cache_keys}
    wanted = failed or set(many.cache_keys)
    return next(index for index, key in enumerate(many.cache_keys) if key in wanted and key not in many.found)


def _nothing(_column: Column) -> None:
    """Only wakes the engine up."""


def _column_of(plan: Plan, step: Step) -> tuple[Converter, Writer]:
    """How the values of a step are converted and written; made once."""
    name, rule = step.child.name, step.method and step.method.mapper
    converter = converter_of(plan.cls, name) if rule is None else mapper_of(rule)
    plan.columns[step] = column = (converter, writer_of(plan.cls, name))
    return column
