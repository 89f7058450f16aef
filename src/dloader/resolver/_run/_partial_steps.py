"""The steps of a resolve that goes on after failures.

What failed for some nodes is left out on the way: a step run goes on with the nodes that are left. What fails for many
values at once, a method's calls or the validation of a list, is done once more one by one.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any, TypeAlias

from dloader import DataLoader, KeyTypeError
from dloader.lowlevel import (
    AskedSince,
    add_note_once,
    ask_many,
    keys_are_cache_keys,
    may_ask_many,
    note_duplicates,
    task_starter,
    unusable_keys,
)
from dloader.resolver._field_errors import ends
from dloader.resolver._fields import Failed, FailedAt
from dloader.resolver._plan._plan import Key, Step
from dloader.resolver._run._calls import bind, call_all, start_each
from dloader.resolver._run._failures import Failures
from dloader.resolver._run._group import NodeGroup
from dloader.resolver._run._hints import SEVERAL_KEYS, hint_of
from dloader.resolver._run._keys import NodeKeys, distinct, give_keyless, null_key, read_keys
from dloader.resolver._run._partial_items import Items, Mended
from dloader.resolver._run._partial_values import PartialList, PartialMany, convert_what_fits
from dloader.resolver._run._step_run import StepRun
from dloader.resolver._run._steps import Steps, all_have_asked, is_reused
from dloader.resolver._run._values import PLAIN, Values

__all__ = ("PartialSteps",)

AnyLoader: TypeAlias = DataLoader[Any, Any]


class PartialSteps(Steps):
    """See `Steps`; lives as long as one resolve."""

    def __init__(self, *arguments: Any, failures: Failures) -> None:
        super().__init__(*arguments)
        self._failures = failures
        self._items: dict[tuple[type, str], Items] = {}

    def begin(self, group: NodeGroup, step: Step) -> tuple[Sequence[AnyLoader], bool]:
        """See `Steps.begin`."""
        run = StepRun(group, step, self._failures.taken(group, step))
        if step.key is not None:
            return self._load_keys(run, step.key), True
        loaders = self._loaders_of(run)
        if loaders is None:
            return (), True
        asked = AskedSince(loaders) if loaders else None
        watch = self._watch_step(group, step, loaders)
        values = self._call_each(run, loaders)
        if watch is not None:
            watch.asked()
        if PLAIN.issuperset(map(type, values)):
            self._write(run, values)
        else:
            self._wait_for(run, PartialList(values, self._loop, asked.batches() if asked else ()))
            if not loaders:
                self.look()
        return loaders, asked is None or all_have_asked(values, asked)

    def _loaders_of(self, run: StepRun) -> Sequence[AnyLoader] | None:
        """The loaders of a step, or None if one cannot be made: the step has failed then."""
        made = self._made(run)
        if not isinstance(made, Failed):
            return made
        self._watch_nothing(run)
        self._write(run, [made] * len(run.nodes))
        return None

    def _made(self, run: StepRun) -> Sequence[AnyLoader] | Failed:
        try:
            return [self._loader_of(run.group, run.step, source) for source in run.step.loaders]
        except Exception as error:
            return Failed(error)

    def _watch_nothing(self, run: StepRun) -> None:
        if (watch := self._watch_step(run.group, run.step, ())) is not None:
            watch.asked()

    # -- loading ---------------------------------------------------------------------------------------------

    def _load_keys(self, run: StepRun, key: Key) -> Sequence[AnyLoader]:
        """Load the keys of those nodes whose keys can be read."""
        run, (keys, indices, counts) = self._read_keys(run, key)
        if indices is not None:
            keyless = sorted(set(run.indices).difference(indices))
            nodes = run.group.nodes
            converter, _ = run.group.subtree.converters.get(run.step) or self._make_converter(run)
            left = give_keyless(run, [nodes[index] for index in keyless], converter.convert)
            blank = set(map(id, left))
            self._fail(run, [(index, null_key(run)) for index in keyless if id(nodes[index]) in blank])
        run = StepRun(
            run.group, run.step, indices if indices is not None else run.indices_of_some, counts=counts
        )
        if keys:
            return self._ask_for(run, keys)
        self._watch_nothing(run)
        self._write(run, [[] for _ in counts or ()])
        return ()

    def _read_keys(self, run: StepRun, key: Key) -> tuple[StepRun, NodeKeys]:
        """The keys of nodes by their indices in the group, and the run without those whose keys cannot be read."""
        try:
            found = read_keys(key, run.nodes)
        except FailedAt:
            pass
        else:
            indices = found.indices
            if indices is not None and run.indices_of_some is not None:
                indices = [run.indices_of_some[index] for index in indices]
            return run, found._replace(indices=indices)
        keys: list[Any] = []
        with_keys: list[int] = []
        counts: list[int] = []
        has_many = key.is_list
        failed: list[tuple[int, BaseException]] = []
        for index in run.indices:
            try:
                own = read_keys(key, (run.group.nodes[index],))
            except FailedAt as caught:
                failed.append((index, caught.error))
                continue
            keys += own.keys
            counts += [1] * len(own.keys) if own.counts is None else own.counts
            has_many = has_many or own.counts is not None
            with_keys += [index] if own.indices is None else []
        self._fail(run, failed)
        left = sorted(set(run.indices).difference(index for index, _ in failed))
        return StepRun(run.group, run.step, left), NodeKeys(keys, with_keys, counts if has_many else None)

    def _ask_for(self, run: StepRun, keys: list[Any]) -> Sequence[AnyLoader]:
        """Ask a step's loader for keys, but for those that it cannot take."""
        loaders = self._loaders_of(run)
        if loaders is None:
            return ()
        (loader,) = loaders
        watch = self._watch_step(run.group, run.step, (loader,))
        values: Values | None = None
        while keys and values is None:
            try:
                run, values = self._asked(run, loader, keys)
            except Exception as error:
                bad = unusable_keys(loader, keys) or dict.fromkeys(range(len(keys)), error)
                run, keys = self._without_keys(run, keys, bad)
        if watch is not None:
            watch.asked()
        if values is None:
            self._write(run, [[] for _ in run.counts or ()])
        else:
            self._wait_for(run, values)
        return (loader,)

    def _asked(self, run: StepRun, loader: AnyLoader, keys: list[Any]) -> tuple[StepRun, Values]:
        if not may_ask_many(loader):  # see `Steps`
            return run, PartialList([_loaded(loader, key) for key in keys], self._loop)
        asked = distinct(keys) if keys_are_cache_keys(loader) else keys
        many = ask_many(loader, asked, errors_in_place=True)
        if len(asked) < len(keys):
            note_duplicates(loader, len(keys) - len(asked))
            run = StepRun(run.group, run.step, run.indices_of_some, keys, run.counts)
        return run, PartialMany(many, self._loop, len(asked))

    def _without_keys(
        self, run: StepRun, keys: list[Any], bad: Mapping[int, Exception]
    ) -> tuple[StepRun, list[Any]]:
        """The run without the nodes that have keys which cannot be loaded."""
        counts = run.counts if run.counts is not None else [1] * len(keys)
        left: list[int] = []
        kept: list[Any] = []
        failed: list[tuple[int, BaseException]] = []
        for index, end, count in zip(run.indices, accumulate(counts), counts, strict=True):
            error = next((bad[at] for at in range(end - count, end) if at in bad), None)
            if error is None:
                left.append(index)
                kept += keys[end - count : end]
                continue
            if isinstance(error, KeyTypeError):
                add_note_once(error, SEVERAL_KEYS)
            failed.append((index, error))
        self._fail(run, failed)
        stayed = set(left)
        some = [count for index, count in zip(run.indices, counts, strict=True) if index in stayed]
        return StepRun(run.group, run.step, left, counts=None if run.counts is None else some), kept

    # -- calling ---------------------------------------------------------------------------------------------

    def _call_each(self, run: StepRun, loaders: Sequence[AnyLoader]) -> list[Any]:
        """Call the method of a step for its nodes, also for those after one that it fails for."""
        method, nodes = run.step.method, run.nodes
        assert method is not None
        bound = bind(method, self._same_for_all(method, loaders))
        per_node: Iterable[Mapping[str, Any]] | None = None
        if method.per_node:
            each = self._per_node(method, run.group, run.step)
            per_node = iter([each[index] for index in run.indices])
        left, values = iter(nodes), list[Any]()
        while len(values) < len(nodes):
            try:
                if method.is_async:
                    start_each(bound, left, per_node, values, task_starter(self._loop))
                else:
                    call_all(bound, left, per_node, values)
            except FailedAt as caught:
                values.append(Failed(caught.error))
                ending = caught.error if ends(caught.error) else None
            else:
                break
            if ending is not None:
                self.running[run] = PartialList(values, self._loop)  # so that what was started is stopped
                raise self.with_path(ending, run, len(values) - 1)
        return values

    # -- values ----------------------------------------------------------------------------------------------

    def _write(self, run: StepRun, values: list[Any]) -> None:
        """Write what there is into the nodes."""
        group, step = run.group, run.step
        subtree = group.subtree
        items = self._items_of(run)
        if run.counts is not None:
            pairs = zip(run.indices, values, strict=True)
            values = [self._of_several_keys(run, index, value, items) for index, value in pairs]
        run, values = self._without_failed(run, values)
        if run.nodes and step is not subtree.plan.final:
            converter, write = subtree.converters.get(step) or self._make_converter(run)
            shared = step.field.is_reusable and is_reused(run) and self._copies.shares(run)
            keys = run.keys if run.counts is None else None
            converted = convert_what_fits(converter, run.nodes, values, keys, shared, items)
            _explain(run, values, converted)
            run, converted = self._without_failed(StepRun(group, step, run.indices_of_some), converted)
            converted = self._unpacked(run, converted)
            if step.loaders:
                converted = self._copies.own(run, values, converted)
            if step in subtree.node_steps:
                self._failures.keep(run)
            write(run.nodes, converted)
            values = converted
        if self.watch is not None:
            self.watch.written(run)
        self._driver.finished(run, values)

    def _items_of(self, run: StepRun) -> Items | None:
        """What may stand in a step's field, if what it brings is converted into the type of the field."""
        step, cls = run.step, run.group.plan.cls
        if step is run.group.subtree.plan.final or (
            step.method is not None and step.method.mapper is not None
        ):
            return None
        key = cls, step.field.name
        if key not in self._items:
            self._items[key] = Items(*key)
        return self._items[key]

    def _of_several_keys(self, run: StepRun, index: int, values: Any, items: Items | None) -> Any:
        """The values of one node's keys, with None for those that failed where the field takes it, or a `Failed`."""
        if type(values) is Failed or Failed not in set(map(type, values)):
            return values
        mended = Mended(values, []) if items is None else items.mended(values)
        failed = next((value for value in mended.value if type(value) is Failed), None)
        if failed is not None:
            return failed
        self._failures.add_items(run, index, mended.failed, self.with_loaders(run))
        return mended.value

    def _unpacked(self, run: StepRun, values: list[Any]) -> list[Any]:
        """The values that were converted; what failed in some is told."""
        if Mended not in set(map(type, values)):
            return values
        loaders = self.with_loaders(run)
        unpacked = list(values)
        for at, (index, value) in enumerate(zip(run.indices, values, strict=True)):
            if type(value) is Mended:
                self._failures.add_items(run, index, value.failed, loaders)
                unpacked[at] = copy.copy(value.value)  # several nodes may have been given the same
        return unpacked

    def _without_failed(self, run: StepRun, values: list[Any]) -> tuple[StepRun, list[Any]]:
        """The run without the nodes whose values could not be had, and the other values."""
        if Failed not in set(map(type, values)):
            return run, values
        keys = run.keys if run.counts is None else None
        of_nodes = values
        if keys is not None:
            by_key = dict(zip(dict.fromkeys(keys), values, strict=True))
            of_nodes = list(map(by_key.__getitem__, keys))
        places = list(zip(run.indices, of_nodes, strict=True))
        self._fail(run, [(index, value.error) for index, value in places if type(value) is Failed])
        left = [at for at, value in enumerate(of_nodes) if type(value) is not Failed]
        kept = StepRun(
            run.group,
            run.step,
            _at(run.indices, left),
            keys and _at(keys, left),
            run.counts and _at(run.counts, left),
        )
        return kept, [value for value in values if type(value) is not Failed]

    def fail(self, run: StepRun, index: int, error: BaseException) -> None:
        """A step failed for a node of its group before it was taken."""
        self._fail(run, [(index, error)])

    def _fail(self, run: StepRun, failed: Collection[tuple[int, BaseException]]) -> None:
        """A step failed for some nodes, by their indices in the group."""
        if not failed:
            return
        loaders = self.with_loaders(run)
        for index, error in failed:
            if not isinstance(error, Exception) or ends(error):
                raise self.with_path(error, StepRun(run.group, run.step), index)
            self._failures.add(run, index, error, loaders)


def _loaded(loader: AnyLoader, key: Any) -> Any:
    try:
        return loader.load(key)
    except Exception as error:
        if isinstance(error, KeyTypeError):
            add_note_once(error, SEVERAL_KEYS)
        return Failed(error)


def _explain(run: StepRun, values: Sequence[Any], converted: Sequence[Any]) -> None:
    """Note on what failed in the conversion of what a method gave, what it may have meant."""
    if run.step.method is None or Failed not in set(map(type, converted)):
        return
    for given, value in zip(values, converted, strict=True):
        if type(value) is Failed and (hint := hint_of(run.step.method.name, given)):
            add_note_once(value.error, hint)


def _at(values: Sequence[Any], places: Iterable[int]) -> list[Any]:
    return [values[place] for place in places]
