"""From what a recorder was told to the data of a trace."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from types import CodeType
from typing import Any, final

from dloader._text import shorten
from dloader.instruments import ObservedLoader, ResolveRecord, StepRecord
from dloader.lowlevel import dispatch_policy_of
from dloader.trace._data import LoaderData, PlaceData, ResolveData, StepData, TraceData, TracedBatch
from dloader.trace._recorder import Entry, Recorder
from dloader.trace._repeats import Repeats
from dloader.trace._rounds import rounds_of
from dloader.trace._rules import find
from dloader.trace._sites import Sites, place_of, shown_file
from dloader.trace._strict import kind_of, source_of

__all__ = ("build", "dotted_name")

MANY_BATCHES = 500
FEW_KEYS = 3
MANY_TIMES = 3_000
"""Of so many batches whole microseconds are kept."""
MOST_LETTERS = 40


def build(recorder: Recorder) -> TraceData:
    """Put what a recorder has seen into columns and words."""
    return _Builder(recorder).build()


@final
class _Builder:
    """Makes the data of one trace."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._seen = seen = recorder.seen
        self._places: dict[tuple[CodeType, int], int] = {}
        self._entries = list(seen.entries)
        self._index = {entry.record: index for index, entry in enumerate(self._entries)}
        by_number = {(record.loader, record.number): index for record, index in self._index.items()}
        self._steps = {step: index for index, step in enumerate(seen.steps)}
        self._resolves = {resolve: index for index, resolve in enumerate(seen.resolves)}
        self._step_batches = {
            step: [by_number[batch] for batch in step.batches if batch in by_number] for step in seen.steps
        }
        for index, entry in enumerate(self._entries):
            if entry.step in self._step_batches and index not in self._step_batches[entry.step]:
                self._step_batches[entry.step].append(index)
        self._loaders: dict[Hashable, int] = {}
        """The place of each kind."""
        self._data: list[LoaderData] = []

    def build(self) -> TraceData:
        """All of it."""
        recorder, seen = self._recorder, self._seen
        self._add_loaders()
        steps = list(map(self._step, seen.steps))
        resolves = [self._resolve(resolve, sites) for resolve, sites in seen.resolves.items()]
        busy = [
            (self._time(start) or 0.0, self._time(end) or 0.0)
            for resolve in seen.resolves
            for start, end in resolve.busy
        ]
        batches = self._batches()
        data = TraceData(
            recorder.options.title,
            self._time(recorder.ended) or 0.0,
            batches,
            self._data,
            [PlaceData(*place_of(*site)) for site in self._places],
            steps,
            resolves,
            busy,
            [],
            seen.skipped_batches,
            seen.skipped_keys,
        )
        return replace(data, findings=find(data))

    # -- times, places, words --------------------------------------------------------------------------------

    def _time(self, when: int) -> float | None:
        if not when:
            return None
        since = (when - self._recorder.started) / 1_000
        return round(since, 1) if len(self._entries) <= MANY_TIMES else float(round(since))

    def _place(self, site: tuple[CodeType, int]) -> int:
        return self._places.setdefault(site, len(self._places))

    def _first_place(self, sites: Sites) -> int | None:
        return self._place(sites[0]) if sites else None

    def _sample(self, values: Sequence[Any]) -> list[str]:
        keys = self._recorder.options.keys
        most = keys if isinstance(keys, int) else 20
        if len(self._entries) > MANY_BATCHES:
            most = min(most, FEW_KEYS)
        return [_in_words(value, keys) for value in values[:most]]

    def _error(self, error: BaseException | None) -> str:
        if error is None:
            return ""
        name = type(error).__name__
        if self._recorder.options.keys == 0 or callable(self._recorder.options.keys):
            return name  # its words may hold keys
        try:
            words = str(error).partition("\n")[0]
        except Exception:
            return name
        return f"{name}: {words[:200]}" if words else name

    # -- loaders ---------------------------------------------------------------------------------------------

    def _add_loaders(self) -> None:
        for made in self._seen.loaders.values():
            loader: Any = made.loader
            kind = kind_of(loader)
            index = self._loaders.get(kind)
            if index is None:
                self._loaders[kind] = index = len(self._data)
                self._data.append(_loader_data(loader, source_of(loader)))
            data = self._data[index]
            keys = data.add(self._recorder.after[made.loader], made.before)
            if made.is_new:
                place = self._first_place(made.sites)
                data.made.append([-1 if place is None else place, keys])

    # -- resolves --------------------------------------------------------------------------------------------

    def _step(self, step: StepRecord) -> StepData:
        root = next(iter(step.resolve.roots)).__name__ if step.resolve.roots else "?"
        return StepData(
            self._resolves[step.resolve],
            step.owner.__name__,
            step.field,
            ".".join((root, *step.path, step.field)),
            step.depth,
            step.phase,
            step.nodes,
            step.keys,
            step.distinct,
            step.hits,
            self._time(step.asked) or 0.0,
            self._time(step.written),
            self._step_batches[step],
        )

    def _resolve(self, resolve: ResolveRecord, sites: Sites) -> ResolveData:
        return ResolveData(
            {kind.__name__: count for kind, count in resolve.roots.items()},
            self._time(resolve.started) or 0.0,
            self._time(resolve.ended),
            self._first_place(sites),
            self._error(resolve.error),
        )

    def _sources_of(self, steps: Sequence[StepRecord]) -> list[int]:
        """The batches that brought what steps work on: those of the steps before, or of those before these."""
        found: dict[int, None] = {}
        unseen = [source for step in steps for source in step.came_from]
        looked_at = set(map(id, unseen))
        while unseen:
            source = unseen.pop()
            batches = self._step_batches.get(source, ())
            found.update(dict.fromkeys(batches))
            if not batches:
                for before in source.came_from:
                    if id(before) not in looked_at:
                        looked_at.add(id(before))
                        unseen.append(before)
        return sorted(found)

    # -- batches ---------------------------------------------------------------------------------------------

    def _batches(self) -> list[TracedBatch]:
        steps: dict[int, list[StepRecord]] = {}
        for step, batches in self._step_batches.items():
            for index in batches:
                steps.setdefault(index, []).append(step)
        came_from = [
            [other for other in self._sources_of(steps.get(index, ())) if other != index]
            for index in range(len(self._entries))
        ]
        rounds = rounds_of(
            [(entry.record.opened, entry.record.ended) for entry in self._entries],
            [
                steps[index][0].resolve.started if index in steps else None
                for index in range(len(self._entries))
            ],
            came_from,
            [{self._steps[step] for step in steps.get(index, ())} for index in range(len(self._entries))],
        )
        repeats = Repeats(self._seen.forgotten)
        instances = self._instances()
        return [
            self._batch(
                index, entry, steps.get(index, ()), came_from[index], rounds[index], repeats, instances
            )
            for index, entry in enumerate(self._entries)
        ]

    def _instances(self) -> Mapping[ObservedLoader, int]:
        found: dict[ObservedLoader, int] = {}
        for entry in self._entries:
            loader = entry.record.loader
            if loader not in found:
                made_at = self._data[self._loaders[kind_of(loader)]].made_at
                found[loader] = len(made_at)
                made_at.append(self._first_place(self._seen.loaders[loader].sites))
        return found

    def _batch(
        self,
        index: int,
        entry: Entry,
        steps: Sequence[StepRecord],
        came_from: list[int],
        round_: int,
        repeats: Repeats,
        instances: Mapping[ObservedLoader, int],
    ) -> TracedBatch:
        record = entry.record
        loader: Any = record.loader
        key, chained = repeats.single(entry)
        return TracedBatch(
            index,
            self._loaders[kind_of(loader)],
            loader.name,
            instances[loader],
            record.number,
            len(record.keys),
            self._time(record.opened) or 0.0,
            self._time(record.closed),
            self._time(record.started),
            self._time(record.ended),
            record.why,
            record.outcome or "unfinished",
            self._error(record.error),
            record.failed,
            record.merged,
            record.statements,
            repeats.again(entry),
            self._sample(record.keys),
            self._sample(entry.values),
            list(map(self._place, entry.sites)),
            [self._steps[step] for step in steps],
            came_from,
            self._index.get(record.inside) if record.inside is not None else None,
            key,
            chained,
            entry.expected,
            round_,
        )


def _in_words(value: object, redact: int | Callable[[Any], object]) -> str:
    if callable(redact):
        try:
            words = str(redact(value))
        except Exception:  # and say nothing of the key
            return "?"
    else:
        words = shorten(value)
    return words if len(words) <= MOST_LETTERS else f"{words[: MOST_LETTERS - 1]}…"


def dotted_name(source: Any) -> str:
    """The module and name of a loader class or batch function."""
    function: Any = inspect.unwrap(getattr(source, "func", source))
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{getattr(function, '__module__', '?')}.{name}"


def _loader_data(loader: Any, source: Any) -> LoaderData:
    function: Any = inspect.unwrap(getattr(source, "func", source))
    fetch: Any = inspect.unwrap(getattr(function, "batch_load_fn", function))  # that of a loader class
    code: CodeType | None = getattr(getattr(fetch, "__func__", fetch), "__code__", None)
    file, line = ("", 0) if code is None else (shown_file(code.co_filename), code.co_firstlineno)
    return LoaderData(
        loader.name,
        dotted_name(source),
        file,
        line,
        loader.max_batch_size,
        repr(dispatch_policy_of(loader)),
        bool(loader.cache),
        bool(getattr(loader, "statements_per_key", False)),
        0,
        0,
        0,
        0,
    )
