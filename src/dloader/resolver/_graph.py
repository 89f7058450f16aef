"""What lies below a class: which classes can follow it, which loaders they use at which depth.

Plans are kept as long as their classes. A class is always part of a reference cycle, so only the garbage collector
frees it: classes that no module holds, made in a function say, are let go at the start of each full collection and
compiled again if they turn out to live on.
"""

from __future__ import annotations

import gc
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dloader.resolver._compile import compile_plan
from dloader.resolver._plan import Child, Phase, Plan, Step
from dloader.resolver._types import is_node_class, subclasses

__all__ = ("Graph", "Outlook", "Use", "graph")

Lane = tuple[object, Phase]
Levels = list[dict[type, frozenset[Lane]]]
"""A loader, and the phase in which it is used."""


@dataclass(frozen=True, slots=True)
class Use:
    """A loader that a field wants."""

    source: object
    owner: type
    step: Step


@dataclass(frozen=True, eq=False)
class Outlook:
    """What the engine must know of a class before it visits nodes of it."""

    plan: Plan
    closure: Mapping[type, Plan]
    """The class and all classes that can follow it, subclasses of those that types name included."""
    named: frozenset[type]
    """The class and those that types name: these are checked beforehand, others when they turn up."""
    is_idle: bool
    """Whether there is nothing to do in the class or below."""
    is_positional: bool
    """Whether the answer depends on where a node stands: then every position gets a copy of its own."""
    wants_ancestors: bool
    """Whether the class or one below takes ``ancestor_context``, or may, as far as types tell."""
    sends: bool
    """Whether the class or one below sends to collectors, or may."""
    problems: tuple[str, ...]
    context_users: tuple[str, ...]
    uses: tuple[Use, ...]
    comes_once: frozenset[type]
    """The classes that only one way of fields leads to: their nodes below a frame of this class arrive together."""
    known_subclasses: int
    """A class defined later may follow too: then this outlook is outdated."""

    @cached_property
    def children(self) -> tuple[Child, ...]:
        """The fields that no step fills and that may hold nodes with something to do."""
        return tuple(child for child in self.plan.children if graph.needs_visit(child))

    @cached_property
    def bringing(self) -> Mapping[Step, tuple[type, ...]]:
        """The steps that may bring nodes with something to do, and the classes of these as far as types tell."""
        return {
            step: tuple(cls for cls in graph.targets(step.child) if not graph.outlook(cls).is_idle)
            for step in self.plan.steps
            if graph.needs_visit(step.child)
        }

    @cached_property
    def sharing(self) -> frozenset[Step]:
        """The steps that make one model of a row, however many nodes are given it: none asks where it stands."""
        return frozenset(
            step
            for step in (*self.plan.steps, *self.plan.posts)
            if step.child.is_shareable
            and not any(graph.outlook(cls).is_positional for cls in graph.targets(step.child))
        )


class Graph:
    """Plans and outlooks of classes, compiled once each."""

    def __init__(self) -> None:
        self._plans: dict[type, Plan] = {}
        self._outlooks: dict[type, Outlook] = {}
        self._levels: Levels = []
        self._temporary: set[type] = set()

    def plan(self, cls: type) -> Plan:
        """The plan of a model or dataclass."""
        plan = self._plans.get(cls)
        if plan is None:
            self._plans[cls] = plan = compile_plan(cls)
            if not _held_by_module(cls):
                self._temporary.add(cls)
        return plan

    def outlook(self, cls: type) -> Outlook:
        """What lies below a class."""
        outlook = self._outlooks.get(cls)
        if outlook is None:
            self._outlooks[cls] = outlook = self._look(cls)
        return outlook

    def refresh(self, cls: type) -> Outlook:
        """The outlook of a root class; classes that were defined since are taken in."""
        outlook = self._outlooks.get(cls)
        if outlook is not None:
            known = [outlook]
        else:  # classes below may have been looked at for another root, when there were fewer of them
            outlook = self.outlook(cls)
            outlooks = self._outlooks  # a collection may put a new dict in its place at any moment
            known = [outlooks[kind] for kind in outlook.closure if kind in outlooks]
        if any(map(_is_outdated, known)):
            self._forget_outlooks()
            outlook = self.outlook(cls)
        return outlook

    def targets(self, child: Child) -> Iterator[type]:
        """The classes that a field may hold: those its type names, and their subclasses."""
        for cls in child.classes:
            yield cls
            yield from (kind for kind in subclasses(cls) if is_node_class(kind))

    def needs_visit(self, child: Child) -> bool:
        """Whether a field may hold a node that there is something to do with."""
        return child.unknown or any(not self.outlook(cls).is_idle for cls in self.targets(child))

    def loaders_at(self, classes: Iterable[type], depth: int) -> frozenset[Lane]:
        """The loaders, and the phases that use them, of all nodes `depth` levels below nodes of these classes."""
        levels = self._levels  # a collection may put a new list in its place at any moment
        while len(levels) <= depth:
            levels.append({})
        return frozenset[Lane]().union(*(self._loaders_at(levels, cls, depth) for cls in classes))

    def forget_temporary(self) -> None:
        """Let go of the classes that no module holds."""
        temporary, self._temporary = self._temporary, set()
        if temporary:
            self._forget_outlooks()
            for cls in temporary:
                self._plans.pop(cls, None)

    def forget_mistaken(self) -> None:
        """Compile classes with mistakes again when they are next used: a missing type may exist by then."""
        self._plans = {cls: plan for cls, plan in self._plans.items() if not plan.problems}
        self._temporary &= self._plans.keys()
        self._forget_outlooks()

    def _forget_outlooks(self) -> None:
        self._outlooks, self._levels = {}, []

    def _look(self, cls: type) -> Outlook:
        closure = self._closure(cls, self.targets)
        plan, plans = closure[cls], closure.values()
        named = self._closure(cls, lambda child: child.classes)
        unknown = any(child.unknown for below in plans for child in _fields_below(below))
        wants_ancestors = unknown or any(below.wants("ancestor_context") for below in plans)
        sends = unknown or any(below.sends for below in plans)
        return Outlook(
            plan,
            closure,
            frozenset(named),
            is_idle=not unknown and not any(below.has_work or below.problems for below in plans),
            is_positional=plan.wants("parent") or wants_ancestors or sends,
            wants_ancestors=wants_ancestors,
            sends=sends,
            problems=tuple(problem for below in named.values() for problem in below.problems),
            context_users=tuple(
                f"{below.cls.__qualname__}.{method.name}"
                for below in named.values()
                for method in below.methods
                if "context" in method.special
            ),
            uses=tuple(_uses(named.values())),
            comes_once=frozenset() if unknown else self._coming_once(cls, closure),
            known_subclasses=_count_subclasses(closure),
        )

    def _closure(self, cls: type, targets: Callable[[Child], Iterable[type]]) -> dict[type, Plan]:
        """A class and all that follow it."""
        closure: dict[type, Plan] = {}
        unseen = [cls]
        while unseen:
            kind = unseen.pop()
            if kind not in closure:
                closure[kind] = plan = self.plan(kind)
                unseen.extend(target for child in _fields_below(plan) for target in targets(child))
        return closure

    def _coming_once(self, cls: type, closure: Mapping[type, Plan]) -> frozenset[type]:
        ways = Counter([cls])
        for plan in closure.values():
            ways.update(target for child in _fields_below(plan) for target in self.targets(child))
        once: set[type] = set()
        unseen = [cls]
        while unseen:
            kind = unseen.pop()
            if ways[kind] == 1:
                once.add(kind)
                unseen.extend(
                    target for child in _fields_below(closure[kind]) for target in self.targets(child)
                )
        return frozenset(once)

    def _loaders_at(self, levels: Levels, cls: type, depth: int) -> frozenset[Lane]:
        """Level by level from the nearest not known, so that a chain of any length needs no recursion."""
        nearest = depth
        while nearest and cls not in levels[nearest - 1]:
            nearest -= 1
        for level in range(nearest, depth + 1):
            known = levels[level]
            if cls not in known:
                for kind, plan in self.outlook(cls).closure.items():
                    known[kind] = (
                        self._own_loaders(plan) if level == 0 else self._below(plan, levels[level - 1])
                    )
        return levels[depth][cls]

    def _own_loaders(self, plan: Plan) -> frozenset[Lane]:
        return frozenset((source, step.phase) for step in plan.all_steps for source in step.loaders)

    def _below(self, plan: Plan, nearer: Mapping[type, frozenset[Lane]]) -> frozenset[Lane]:
        found: frozenset[Lane] = frozenset()
        for child in _fields_below(plan):
            for target in self.targets(child):
                found |= nearer.get(target, frozenset())
        return found


def _fields_below(plan: Plan) -> Iterator[Child]:
    yield from (step.child for step in plan.steps)
    yield from plan.children


def _uses(plans: Iterable[Plan]) -> Iterator[Use]:
    for plan in plans:
        for step in plan.all_steps:
            yield from (Use(source, plan.cls, step) for source in step.loaders)


def _is_outdated(outlook: Outlook) -> bool:
    return outlook.known_subclasses != _count_subclasses(outlook.closure)


def _count_subclasses(classes: Iterable[type]) -> int:
    return sum(len(type.__subclasses__(cls)) for cls in classes)


def _held_by_module(cls: type) -> bool:
    """Whether a class can be imported by its name; a generic model counts if its parts can."""
    parts: Mapping[str, Any] = getattr(cls, "__pydantic_generic_metadata__", {})
    origin = parts.get("origin")
    if origin is not None:
        return _held_by_module(origin) and all(
            _held_by_module(part) for part in parts["args"] if isinstance(part, type)
        )
    found: Any = sys.modules.get(cls.__module__)
    for name in cls.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is cls


graph = Graph()
"""Of the process; it holds nothing of any resolve."""


def _let_go(phase: str, info: Mapping[str, int]) -> None:
    if phase == "start" and info["generation"] == 2:
        graph.forget_temporary()


gc.callbacks.append(_let_go)
