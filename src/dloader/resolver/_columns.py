"""The steps of one resolve at work: methods are called, keys loaded, values awaited, converted and written.

A column is what one step gives for the nodes of a frame. It waits as a whole: for the batches that its loads are
in, and for the tasks of ``async def`` methods, which are the only tasks that are made.
"""

from __future__ import annotations

import asyncio
import operator
from asyncio import Future
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import repeat
from types import NoneType
from typing import Any, cast

from dloader._batch import Batch, State
from dloader._failure import note
from dloader._loader import DataLoader, ask_many, batches_of
from dloader._tasks import starter
from dloader.resolver._awaiting import (
    abandon,
    are_done,
    first_failure,
    has_failure,
    is_many,
    result_of,
    results,
)
from dloader.resolver._convert import (
    Converter,
    FailedAt,
    Writer,
    convert_by_key,
    convert_distinct,
    converter_of,
    mapper_of,
    spread,
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
        before = [batches_of(loader).mark for loader in loaders]
        column.values = self._call(column, loaders)
        if PLAIN.issuperset(map(type, column.values)):
            self._write(column)
        else:
            pairs = zip(loaders, before, strict=True)
            self._receive(
                column, [batch for loader, mark in pairs for batch in batches_of(loader).since(mark)]
            )
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
                asked = _distinct(keys) if batches_of(loader).plain_keys else keys
                if len(asked) < len(keys):
                    column.keys = keys
                column.values = ask_many(loader, asked)
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

    def _receive(self, column: Column, touched: Sequence[Batch[Any, Any]] = ()) -> None:
        """Wait for the values that are not there yet; when all are, convert and write them.

        Args:
            column: The values.
            touched: The batches that took keys while the values were asked for.
        """
        while True:
            if is_many(column.values):
                left = self._wait_for_batches(column, [share.batch for share in column.values.shares])
                awaited = True
            else:
                left, awaited = self._wait_for(column, touched)
            if left:
                column.left = left
                self.running.add(column)
                return
            if not awaited:
                break
            column.values = self._results(column)
        self._write(column)

    def _wait_for(self, column: Column, touched: Sequence[Batch[Any, Any]]) -> tuple[int, bool]:
        """Arrange to be told when awaitable values are done: how many sources, and whether there are any.

        Most often all values are futures of loads. Then it is their batches that are waited for, and no future needs
        a callback; what is not done when these have ended is then waited for by itself.
        """
        values: list[Any] = column.values
        all_kinds = set(map(type, values))
        if touched and all_kinds <= {Future, NoneType} and (left := self._wait_for_batches(column, touched)):
            return left, True
        kinds = {kind for kind in all_kinds if hasattr(kind, "__await__")}
        if not kinds:
            return 0, False
        left = 0
        done = partial(self._future_done, column)
        for index, value in enumerate(values):
            if type(value) in kinds:
                future = value
                if not asyncio.isfuture(value):
                    values[index] = future = starter(self._loop)(result_of(value))
                if not future.done():
                    left += 1
                    future.add_done_callback(done)
        return left, True

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
        if are_done(column.values) or has_failure(column.values):
            column.values = self._results(column)
        self._receive(column)

    def _results(self, column: Column) -> list[Any]:
        """The results of the values that are futures; the first failure is raised with its place."""
        values = column.values
        try:
            return results(values)
        except BaseException:  # others may not be done: what was raised need not be what happened
            self.running.add(column)
            index, failed = first_failure(values)
            if column.keys is not None:
                index = column.keys.index(values.cache_keys[index])
        try:
            return cast(list[Any], failed.result())  # raises
        except BaseException as error:
            self.note(error, column, index)
            raise

    def _write(self, column: Column) -> None:
        """Convert the values of a column and write them into the nodes."""
        frame, step = column.frame, column.step
        values: list[Any] = column.values
        if step is not frame.plan.final:
            converter, write = frame.plan.columns.get(step) or _column_of(frame.plan, step)
            nodes = column.nodes
            failed: FailedAt | None = None
            try:
                values = self._converted(column, converter, nodes)
            except FailedAt as caught:
                failed = caught
            if failed is not None:  # not as something that happened while FailedAt was handled
                raise self._noted(column, failed)
            write(nodes, values)
        self._finished(column, values)

    def _converted(self, column: Column, converter: Converter, nodes: Sequence[Any]) -> list[Any]:
        """The values in the field's type; nodes that were given the same share what becomes of it, where they may."""
        step, keys = column.step, column.keys
        may_share = (
            step.child.is_shareable and converter.is_of_type_alone and step in column.frame.outlook.sharing
        )
        if may_share and keys is not None:
            return convert_by_key(converter.convert, nodes, keys, column.values)
        if keys is not None:
            column.values = spread(keys, column.values)
        if may_share and step.load is None:
            return convert_distinct(converter.convert, nodes, column.values)
        return converter.convert(nodes, column.values)

    def _noted(self, column: Column, failed: FailedAt) -> Exception:
        """Why a value could not be converted, and where it was meant to go."""
        self.note(failed.error, column, failed.index)
        given: Any = () if column.keys is not None else column.values[failed.index]
        kind: type = type(given)  # pyright: ignore[reportUnknownVariableType]
        if kind is list and any(map(asyncio.isfuture, given)):
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
        tasks = [task for column in running for task in abandon(column.values)]
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


def _distinct(keys: list[Any]) -> list[Any]:
    try:
        return list(dict.fromkeys(keys))
    except TypeError:
        return keys  # the loader will say what is wrong with one of them


def _first_unusable(loader: DataLoader[Any, Any], keys: Sequence[Any]) -> int:
    """The place of the first key that a loader cannot take; 0 if it is not the keys' fault."""
    cache_key: Callable[[Any], Any] = getattr(loader, "_cache_key")  # noqa: B009 - for this error only
    for index, key in enumerate(keys):
        try:
            hash(cache_key(key))
        except Exception:
            return index
    return 0


def _nothing(_column: Column) -> None:
    """Only wakes the engine up."""


def _column_of(plan: Plan, step: Step) -> tuple[Converter, Writer]:
    """How the values of a step are converted and written; made once."""
    name, rule = step.child.name, step.method and step.method.mapper
    converter = converter_of(plan.cls, name) if rule is None else mapper_of(rule)
    plan.columns[step] = column = (converter, writer_of(plan.cls, name))
    return column
