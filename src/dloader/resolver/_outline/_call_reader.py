"""Reads the planned calls off the plans of the classes, and which of them bring what others need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias, final

from dloader import OptionError
from dloader._params import label_of
from dloader._text import did_you_mean
from dloader.lowlevel import parameters_of
from dloader.resolver._outline._planned_calls import Outline, PlannedCall, Row, short_name
from dloader.resolver._plan._model_graph import ModelGraph, Subtree
from dloader.resolver._plan._plan import Phase, Plan, Step

__all__ = ("read_outline",)

CallKey: TypeAlias = tuple[object, Phase, int, int]
Way: TypeAlias = tuple[tuple[type, bool], ...]
"""The classes above, and of each whether the step that led on from it may do so only so often (``Load(depth=)``)."""
Times: TypeAlias = frozenset[tuple[int, int]]
"""By the id of a marker that may fill so often: how often it has, on the way down."""

MOST_LEVELS = 50
"""A model that holds itself so often at most is read level by level; any other is one call that repeats."""
MOST_VISITS = 5_000
"""Several such fields in one model make ever more ways down."""


def read_outline(graph: ModelGraph, roots: Sequence[type], start: type | str | None = None) -> Outline:
    """Read off what a resolve of nodes of these classes does.

    Args:
        graph: The plans of the classes.
        roots: The classes of what is resolved.
        start: A class of the tree, or its name: only what its nodes need, from where they first stand.

    Raises:
        OptionError: There is no such class in the tree, or several have the name.
    """
    reader = _Reader(graph)
    for cls in roots:
        reader.visit(cls, 0, {})
    if start is not None:
        roots = (_found(start, reader.classes),)
        depth = reader.classes[roots[0]]
        reader = _Reader(graph)
        reader.visit(roots[0], depth, {})
    calls = list(reader.calls.values())
    for call in calls:
        _set_round(call)
    calls.sort(key=lambda call: call.round)
    names = tuple(map(short_name, roots))
    return Outline(names, calls, len(reader.classes), _parameters(reader.sources), list(reader.unknown))


def _found(start: type | str, classes: Iterable[type]) -> type:
    """A class of the tree, by itself or by its name, short or with its module."""
    by_name: dict[str, list[type]] = {}
    for cls in classes:
        for name in {short_name(cls), cls.__qualname__, f"{cls.__module__}.{cls.__qualname__}"}:
            by_name.setdefault(name, []).append(cls)
    wanted = start if isinstance(start, str) else f"{start.__module__}.{start.__qualname__}"
    found = [cls for cls in by_name.get(wanted, ()) if isinstance(start, str) or cls is start]
    if not found:
        shown = wanted if isinstance(start, str) else short_name(start)
        raise OptionError(
            f"there is no class {shown!r} in this plan: {did_you_mean(shown, map(short_name, classes))}"
        )
    if len(found) > 1:
        names = ", ".join(f"{cls.__module__}.{cls.__qualname__}" for cls in found)
        raise OptionError(f"{len(found)} classes of this plan are named {wanted!r}: {names}")
    return found[0]


def _set_round(call: PlannedCall) -> int:
    """Calls wait for those above in the tree, posts for those below: there is no circle."""
    if not call.round:
        call.come_after(max(map(_set_round, call.waits_for), default=0))
    return call.round


@final
class _Reader:
    """Walks from the root classes down, as nodes will."""

    def __init__(self, graph: ModelGraph) -> None:
        self._graph = graph
        self.calls: dict[CallKey, PlannedCall] = {}
        self.classes: dict[type, int] = {}
        """How deep each stands at least."""
        self.sources: dict[object, None] = {}
        self.unknown: dict[str, None] = {}
        self._seen: dict[tuple[type, int, frozenset[Row], Times], dict[Row, None]] = {}

    def visit(
        self,
        cls: type,
        depth: int,
        bringers: Mapping[Row, None],
        way: Way = (),
        times: Times = frozenset(),
    ) -> dict[Row, None]:
        """Take in nodes of a class; return all rows that lie below."""
        known = (cls, depth, frozenset(bringers), times)
        if known in self._seen:
            return self._seen[known]
        self._seen[known] = below = dict[Row, None]()
        self._note(cls, depth)
        plan = self._graph.plan(cls)
        filled: dict[str, Mapping[Row, None]] = {}
        taken = _taken(self._graph.subtree(cls), times)
        for step, order in _in_order(plan):
            if step.field.name not in taken:
                continue
            before = {row: None for name in step.after for row in filled.get(name, {})}
            waits = {**bringers, **before}
            mine = self._rows(cls, step, depth, order, waits)
            filled[step.field.name] = mine or waits
            below.update(mine)
            filled_by = mine or waits
            further = (*way, (cls, _is_limited(step, times)))
            counted = _counted(step, times)
            self._go_down(step.field.classes, depth, filled_by, further, counted, below, mine)
            if step.field.unknown:
                self.unknown[f"{cls.__name__}.{step.field.name}"] = None
        for held in plan.node_fields:
            self._go_down(held.classes, depth, bringers, (*way, (cls, False)), times, below, {})
            if held.unknown:
                self.unknown[f"{cls.__name__}.{held.name}"] = None
        for posts in (plan.posts, plan.final_steps):
            done = {**bringers, **below}
            for step in posts:
                below.update(self._rows(cls, step, depth, 0, done))
        return below

    def _go_down(
        self,
        targets: Iterable[type],
        depth: int,
        bringers: Mapping[Row, None],
        way: Way,
        times: Times,
        below: dict[Row, None],
        mine: Mapping[Row, None],
    ) -> None:
        for target in targets:
            if _leads_back(way, target) or (len(self._seen) > MOST_VISITS and _stands_in(way, target)):
                for row in mine:
                    row.call.repeat()
            elif not self._graph.subtree(target).is_idle:
                below.update(self.visit(target, depth + 1, bringers, way, times))
            else:
                self._note(target, depth + 1)

    def _note(self, cls: type, depth: int) -> None:
        self.classes[cls] = min(depth, self.classes.get(cls, depth))

    def _rows(
        self, cls: type, step: Step, depth: int, order: int, waits: Mapping[Row, None]
    ) -> dict[Row, None]:
        rows: dict[Row, None] = {}
        for source in step.loaders:
            self.sources[source] = None
            key = (source, step.phase, depth, order)
            call = self.calls.get(key)
            if call is None:
                phase = "post" if step.is_post else "resolve"
                self.calls[key] = call = PlannedCall(label_of(source), phase, depth, _size(source))
            row = call.row(short_name(cls), step)
            row.add_sources(waits)
            rows[row] = None
        return rows


def _stands_in(way: Way, target: type) -> bool:
    return any(cls is target for cls, _ in way)


def _leads_back(way: Way, target: type) -> bool:
    """Whether a class stands above, and nothing since then says how often it may come again."""
    for cls, is_limited in reversed(way):
        if is_limited:
            return False
        if cls is target:
            return True
    return False


def _is_limited(step: Step, times: Times) -> bool:
    return step.most is not None and _times(step, times) < step.most <= MOST_LEVELS


def _times(step: Step, times: Times) -> int:
    return dict(times).get(id(step.marker), 0)


def _counted(step: Step, times: Times) -> Times:
    """With one time more for the marker of a step."""
    if step.most is None or step.most > MOST_LEVELS:
        return times
    return frozenset({**dict(times), id(step.marker): _times(step, times) + 1}.items())


def _taken(subtree: Subtree, times: Times) -> set[str]:
    """The fields that are filled: not those that were filled as often as they may, unless others wait for them."""
    plan = subtree.plan
    ended = {step.field.name for step in plan.limits if step.most and _times(step, times) >= step.most}
    taken = {name for name in plan.filled if name not in ended}
    return plan.with_needed(taken | (plan.exposing if subtree.wants_ancestors else set()))


def _in_order(plan: Plan) -> Sequence[tuple[Step, int]]:
    """The steps, each after those that it waits for, and how many these are one after the other."""
    orders: dict[str, int] = {}
    left = list(plan.steps)
    names = {step.field.name for step in left}
    found: list[tuple[Step, int]] = []
    while left:
        ready = [step for step in left if all(name in orders for name in step.after & names)] or left
        for step in ready:
            order = max((orders.get(name, 0) + 1 for name in step.after & names), default=0)
            orders[step.field.name] = order
            found.append((step, order))
        left = [step for step in left if step not in ready]
    return found


def _size(source: Any) -> int | None:
    size = getattr(source, "max_batch_size", None)
    return size if isinstance(size, int) else None


def _parameters(sources: Iterable[Any]) -> Mapping[str, Sequence[str]]:
    wanted: dict[str, list[str]] = {}
    for source in sources:
        if isinstance(source, type):
            for name, has_default in parameters_of(source).items():
                if not has_default and name != "_context":
                    wanted.setdefault(name, []).append(label_of(source))
    return wanted
