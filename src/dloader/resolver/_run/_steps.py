"""The steps of one resolve at work: methods are called, keys loaded, values awaited, converted and written.

A step run waits for all its values together: for the batches that its loads are in, and for the tasks of
``async def`` methods, which are the only tasks that are made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeAlias, cast

from dloader import DataLoader, KeyTypeError
from dloader.lowlevel import (
    AskedSince,
    add_note_once,
    first_unusable_index,
    note_duplicates,
    task_starter,
)
from dloader.resolver._convert import (
    Converter,
    convert_for_nodes,
    converter_of,
    mapper_of,
)
from dloader.resolver._fields import FailedAt, Writer, writer_of
from dloader.resolver._loaders import ResolveLoaders
from dloader.resolver._plan._plan import Key, LoaderUse, Method, Step
from dloader.resolver._rows._kinds import Leaves, leaves_of
from dloader.resolver._run._calls import BoundCall, bind, call_all, start_all
from dloader.resolver._run._collectors import Collectors
from dloader.resolver._run._copies import Copies
from dloader.resolver._run._group import NodeGroup
from dloader.resolver._run._hints import SEVERAL_KEYS, hint_of
from dloader.resolver._run._keys import fill_keyless, read_keys
from dloader.resolver._run._paths import add_path, path_of
from dloader.resolver._run._step_run import StepRun
from dloader.resolver._run._values import PLAIN, ListOfValues, Values, ask
from dloader.resolver._run._watch import ResolveWatch, StepWatch

__all__ = ("Driver", "Steps", "all_have_asked", "is_reused")

AnyLoader: TypeAlias = DataLoader[Any, Any]


class Driver(Protocol):
    """The part of the engine that steps use."""

    def queue(self, action: Callable[[StepRun], None], run: StepRun, /) -> None:
        """Have something done for a step run, in the task that awaits ``resolve``."""
        ...

    def waits(self, run: StepRun, /) -> None:
        """Note that the values of a step are waited for."""
        ...

    def came(self, run: StepRun, /) -> None:
        """Note that they are there."""
        ...

    def finished(self, run: StepRun, values: Sequence[Any], are_whole: bool = False, /) -> None:
        """Take the values of a step, which have been written; nodes made of mappings alone are whole."""
        ...


class Steps:
    """Takes steps; lives as long as one resolve."""

    def __init__(
        self,
        root: object,
        loaders: ResolveLoaders,
        context: Mapping[str, Any] | None,
        collectors: Collectors,
        copies: Copies,
        driver: Driver,
        watch: ResolveWatch | None = None,
    ) -> None:
        self._root = root
        self._loaders = loaders
        self._context = context
        self._collectors = collectors
        self._copies = copies
        self._driver = driver
        self.watch = watch
        """What tells of the resolve, if somebody wants to know."""
        self._loop = asyncio.get_running_loop()
        self.running: dict[StepRun, Values] = {}
        """The step runs that wait for values, and these."""
        self._begun: list[StepRun] = []
        """Those among them that `look` has not seen."""

    def begin(self, group: NodeGroup, step: Step) -> tuple[Sequence[AnyLoader], bool]:
        """Call a step's method for all nodes, or load their keys.

        Returns:
            The loaders that were asked, and whether they have been asked for all that is to come.
        """
        if step.key is not None:
            return self._load(group, step, step.key), True
        loaders = [self._loader_of(group, step, source) for source in step.loaders]
        run = StepRun(group, step)
        asked = AskedSince(loaders) if loaders else None
        watch = self._watch_step(group, step, loaders)
        values = self._call(run, loaders)
        if watch is not None:
            watch.asked()
        if PLAIN.issuperset(map(type, values)):
            self._write(run, values)
        else:
            self._wait_for(run, ListOfValues(values, self._loop, asked.batches() if asked else ()))
            if not loaders:
                self.look()
        return loaders, asked is None or all_have_asked(values, asked)

    def _watch_step(self, group: NodeGroup, step: Step, loaders: Sequence[AnyLoader]) -> StepWatch | None:
        """What tells instruments of a step, before anything is asked."""
        if self.watch is None:
            return None
        watch = self.watch.begins(group, step)
        watch.asks(loaders)
        return watch

    def _loader_of(self, group: NodeGroup, step: Step, source: object) -> AnyLoader:
        use = LoaderUse(source, group.subtree.plan.cls, step)
        try:
            return self._loaders.get(use)
        except Exception as error:  # what the class's constructor raises
            self.with_path(error, StepRun(group, step), 0)
            raise

    # -- loading ---------------------------------------------------------------------------------------------

    def _load(self, group: NodeGroup, step: Step, key: Key) -> Sequence[AnyLoader]:
        """Load the keys of all nodes; a loader without keys is not made and needs no parameters."""
        try:
            keys, indices, counts = read_keys(key, group.nodes)
        except FailedAt as caught:
            failed = caught
        else:
            run = StepRun(group, step, indices, counts=counts)
            if keys:
                return self._ask(run, keys)
            if (watch := self._watch_step(group, step, ())) is not None:
                watch.asked()
            self._write(run, [[] for _ in counts or ()])
            return ()
        raise self.with_path(failed.take(), StepRun(group, step), failed.index)

    def _ask(self, run: StepRun, keys: list[Any]) -> Sequence[AnyLoader]:
        """Ask a step's loader for keys."""
        group, step = run.group, run.step
        loader = self._loader_of(group, step, step.loaders[0])
        watch = self._watch_step(group, step, (loader,))
        try:
            values, asked = ask(loader, keys, self._loop)
        except Exception as error:
            if isinstance(error, KeyTypeError):
                add_note_once(error, SEVERAL_KEYS)
            self.with_path(error, run, run.index_of_value(first_unusable_index(loader, keys)))
            raise
        if len(asked) < len(keys):
            note_duplicates(loader, len(keys) - len(asked))
            run = StepRun(group, step, run.indices_of_some, keys, run.counts)
        if watch is not None:
            watch.asked()
        self._wait_for(run, values)
        return (loader,)

    # -- calling ---------------------------------------------------------------------------------------------

    def _call(self, run: StepRun, loaders: Sequence[AnyLoader]) -> list[Any]:
        """Call the method of a step for all nodes."""
        method, nodes = run.step.method, run.group.nodes
        assert method is not None
        if method.takes_loaders_alone:
            bound: BoundCall = method.function, tuple(loaders)
        else:
            bound = bind(method, self._same_for_all(method, loaders))
        per_node = self._per_node(method, run.group, run.step) if method.per_node else None
        values: list[Any] = []
        try:
            if method.is_async:
                start_all(bound, nodes, per_node, values, task_starter(self._loop))
            else:
                call_all(bound, nodes, per_node, values)
        except FailedAt as caught:
            failed = caught
        else:
            return values
        self.running[run] = ListOfValues(values, self._loop)  # so that what was started is stopped
        del values  # see `_advance`
        raise self.with_path(failed.take(), run, failed.index)

    def _same_for_all(self, method: Method, loaders: Sequence[AnyLoader]) -> Mapping[str, Any]:
        """The arguments that are the same for all nodes."""
        arguments: dict[str, Any] = {
            name: loader for (name, _), loader in zip(method.loaders, loaders, strict=True)
        }
        if method.takes_context and ("context" in method.injected or self._context is not None):
            arguments["context"] = self._context
        return arguments

    def _per_node(self, method: Method, group: NodeGroup, step: Step) -> Sequence[Mapping[str, Any]]:
        """The arguments that differ from node to node."""
        each: list[dict[str, Any]] = [{} for _ in group.nodes]
        if "parent" in method.injected:
            parents = [None] * len(each)
            if group.parent is not None:
                nodes = group.parent.nodes
                parents = [nodes[index] for index in group.parent_indices]
            for arguments, parent in zip(each, parents, strict=True):
                arguments["parent"] = parent
        if "ancestor_context" in method.injected:
            for arguments, context in zip(each, group.contexts or each, strict=True):
                arguments["ancestor_context"] = context if group.contexts else {}
        for name, _ in method.collectors:
            for arguments, collector in zip(each, self._collectors.take(group, step, name), strict=True):
                arguments[name] = collector
        return each

    # -- values ----------------------------------------------------------------------------------------------

    def _wait_for(self, run: StepRun, values: Values) -> None:
        """Have `look` go on with a step."""
        self.running[run] = values  # so that they are stopped if another step fails before
        self._begun.append(run)

    def look(self) -> None:
        """Go on with the steps that were begun. Called when their loaders have been dispatched.

        What is loaded in the first step of a task is there by then, and nobody needs to be told.
        """
        begun, self._begun = self._begun, []
        for run in begun:
            self._advance(run, self.running[run], has_waited=False)

    def _advance(self, run: StepRun, values: Values, has_waited: bool) -> None:
        """Write the values of a step if they are there, and else wait for them."""
        try:
            there = values.get(partial(self._driver.queue, self._go_on, run))
        except FailedAt as caught:
            failed = caught
        else:
            if there is not None:
                del values  # the futures go before as many values are made: 3 % of a large load
                del self.running[run]
                if has_waited:
                    self._driver.came(run)
                self._write(run, run.grouped(there))
            elif not has_waited:
                self._driver.waits(run)
            return
        del values  # the error will refer to this frame, and must not by way of its task refer to itself
        raise self.with_path(failed.take(), run, run.index_of_value(failed.index))

    def _go_on(self, run: StepRun) -> None:
        self._advance(run, self.running[run], has_waited=True)

    def _write(self, run: StepRun, values: list[Any]) -> None:
        """Convert the values of a step and write them into the nodes."""
        subtree, step = run.group.subtree, run.step
        leaves: Leaves | None = None
        if step is not subtree.plan.final:
            converter, write = subtree.converters.get(step) or self._make_converter(run)
            nodes = run.nodes
            failed: FailedAt | None = None
            try:
                shared = step.field.is_reusable and is_reused(run) and self._copies.shares(run)
                keys = run.keys if run.counts is None else None
                leaves = leaves_of(values) if step.field.holds_nodes else None
                converted = convert_for_nodes(converter, nodes, values, keys, shared, leaves)
            except FailedAt as caught:
                failed = caught
                converted = values
            if failed is not None:  # not as something that happened while FailedAt was handled
                raise self._explained(run, values, failed)
            if step.loaders:
                converted = self._copies.own(run, values, converted, leaves)
            write(nodes, converted)
            if run.indices_of_some is not None and (keyless := fill_keyless(run, converter.convert)):
                raise self.with_path(keyless.take(), StepRun(run.group, step), keyless.index)
            values = converted
        if self.watch is not None:
            self.watch.written(run)
        are_whole = leaves is not None and leaves.are_mappings and not step.field.may_hold_mappings
        self._driver.finished(run, values, are_whole)

    def _make_converter(self, run: StepRun) -> tuple[Converter, Writer]:
        """How the values of a step are converted and written; made once."""
        subtree, step = run.group.subtree, run.step
        cls, name, rule = subtree.plan.cls, step.field.name, step.method and step.method.mapper
        try:
            converter = (
                converter_of(cls, name) if rule is None else mapper_of(rule, step in subtree.node_steps)
            )
        except Exception as error:  # a type of which Pydantic makes nothing
            self.with_path(error, run, 0)
            raise
        subtree.converters[step] = made = (converter, writer_of(cls, name))
        return made

    # -- failing ---------------------------------------------------------------------------------------------

    def _explained(self, run: StepRun, values: Sequence[Any], failed: FailedAt) -> BaseException:
        """Why a value could not be converted, and where it was meant to go."""
        error = self.with_path(failed.take(), run, failed.index)
        if run.step.method is not None and (hint := hint_of(run.step.method.name, values[failed.index])):
            add_note_once(error, hint)
        return error

    def with_path(self, error: BaseException, run: StepRun, index: int) -> BaseException:
        """Add to an error for which of a step's nodes it happened, and with which loader; return it."""
        group, step = run.group, run.step
        path = path_of(group, run.indices[index], self._root)
        add_path(error, f"{path}.{step.label}{self.with_loaders(run)}")
        return error

    def with_loaders(self, run: StepRun) -> str:
        """Which loaders a step uses, to be read after its path."""
        step, cls = run.step, run.group.subtree.plan.cls
        names = " and ".join(
            repr(self._loaders.name_of(LoaderUse(source, cls, step))) for source in step.loaders
        )
        return f" with loader {names}" if names else ""

    def with_place(self, error: BaseException, group: NodeGroup, index: int, name: str = "") -> BaseException:
        """Add to an error at which node of a group, or which field of it, it happened; return it."""
        add_path(error, path_of(group, index, self._root) + (f".{name}" if name else ""))
        return error

    # -- stopping --------------------------------------------------------------------------------------------

    async def end(self) -> None:
        """The tree is filled: loads that a method began and did not return are nobody's, and are ended."""
        for loader in self._loaders.own:
            if not loader.is_idle:
                await loader.shutdown()

    def let_go(self) -> None:
        """Forget the engine, which has ended: to collect what refers to each other takes a tenth of a resolve."""
        self._driver = cast(Any, None)

    async def stop(self) -> None:
        """Cancel what the tree has under way, and wait until it has ended, also when cancelled once more."""
        running, self.running = self.running, {}
        tasks = [task for values in running.values() for task in values.abandon()]
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


def all_have_asked(values: Sequence[Any], asked: AskedSince) -> bool:
    """Whether each task among the values of a step has come to a load: some may await something else before."""
    if asyncio.Task not in map(type, values):
        return True
    unfinished = sum(asyncio.isfuture(value) and not value.done() for value in values)
    return not unfinished or asked.count() == unfinished


def is_reused(run: StepRun) -> bool:
    """Whether nodes that were given the same may share what becomes of it."""
    step = run.step
    is_given_the_same = run.keys is not None or step.key is None
    return is_given_the_same and run.counts is None and step in run.group.subtree.reusable_steps
