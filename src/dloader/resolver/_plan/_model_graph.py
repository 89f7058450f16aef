"""What lies below a class: which classes can follow it, which loaders they use at which depth.

Plans are kept as long as their classes. A class is always part of a reference cycle, so only the garbage collector
frees it: classes that no module holds (made in a function, or defined anew by a reload or in a notebook) are let go at
the start of each full collection and compiled again if they turn out to live on.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from operator import is_
from threading import Lock
from typing import Any

from dloader._params import declared_by, taken_problem
from dloader.lowlevel import is_taken
from dloader.resolver._markers import is_loader_source
from dloader.resolver._plan._annotations import aliases_of, is_importable
from dloader.resolver._plan._compile import compile_plan
from dloader.resolver._plan._depths import LoadersByDepth, PhasedLoader, own_loaders
from dloader.resolver._plan._plan import LoaderUse, NodeField, Plan, Step
from dloader.resolver._plan._row_shape import row_shape_of

__all__ = ("ModelGraph", "Subtree", "model_graph")


@dataclass(frozen=True, eq=False)
class Subtree:
    """What the engine must know of a class before it visits nodes of it."""

    graph: ModelGraph
    plan: Plan
    closure: Mapping[type, Plan]
    """The class and all classes that can follow it, subclasses of those that types name included."""
    named: Mapping[type, Plan]
    """The class and those that types name: these are checked beforehand, others when they turn up."""
    converters: dict[object, Any]
    """By step, how its values are converted and written; kept as long as the plan, and filled when steps are taken."""
    is_idle: bool
    """Whether there is nothing to do in the class or below."""
    is_contextual: bool
    """Whether the answer depends on where a node stands: then each further place gets a copy of its own."""
    wants_ancestors: bool
    """Whether the class or one below takes ``ancestor_context``, or may, as far as types tell."""
    sends: bool
    """Whether the class or one below sends to collectors, or may."""
    is_gated: bool
    """Whether nodes below may have to wait for fields that steps of this class fill."""
    arrives_together: frozenset[type]
    """The classes that only one way of fields leads to: their nodes below a group of this class arrive together."""
    known_subclasses: int
    """A class defined later may follow too: then this subtree is outdated."""

    @cached_property
    def is_nothing(self) -> bool:
        """Whether nothing is done to nodes in this place, nor below: what is filled in others is left out here."""
        plan = self.plan
        return not (plan.steps or plan.posts or plan.final or self.sends or self.node_fields)

    @cached_property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with the classes that types name."""
        return tuple(problem for plan in self.named.values() for problem in plan.problems)

    @cached_property
    def problems_without_rows(self) -> tuple[str, ...]:
        """What is wrong where nodes are given: with the class, and with those that stand in fields that none fills."""
        found: dict[type, Plan] = {}
        unseen = [self.plan.cls]
        while unseen:
            cls = unseen.pop()
            if cls not in found:
                found[cls] = self.named[cls]
                unseen.extend(below for field in found[cls].node_fields for below in field.classes)
        return tuple(problem for plan in found.values() for problem in plan.hidden_keys)

    @cached_property
    def uses(self) -> tuple[LoaderUse, ...]:
        """The loaders of the classes that types name."""
        return tuple(use for plan in self.named.values() for use in plan.uses)

    @cached_property
    def attributes(self) -> list[int]:
        """How many each class in it had."""
        return [plan.attributes for plan in self.closure.values()]

    @cached_property
    def members(self) -> tuple[Sequence[type], Sequence[str], Sequence[Any]]:
        """What stood in the classes for each method: classes, names, and this."""
        every = [(plan.cls, name, member) for plan in self.closure.values() for name, member in plan.members]
        return (
            [cls for cls, _, _ in every],
            [name for _, name, _ in every],
            [member for _, _, member in every],
        )

    @cached_property
    def sources(self) -> tuple[object, ...]:
        """The loader classes and functions among them, each once."""
        return tuple(dict.fromkeys(use.source for use in self.uses if is_loader_source(use.source)))

    @cached_property
    def requests(self) -> dict[object, Any]:
        """By loader class or function, what is wanted of a new loader; filled when loaders are made."""
        return {}

    @cached_property
    def problems_alone(self) -> tuple[str, ...]:
        """What is wrong with them for a resolver that is given nothing; kept, as most resolvers are."""
        taken = [
            taken_problem(source, name)
            for source in self.sources
            for name in declared_by(source)
            if is_taken(name)
        ]
        return (*self.problems, *self.problems_without_context, *taken)

    @cached_property
    def problems_without_context(self) -> tuple[str, ...]:
        """What is wrong where there is no ``context``."""
        return tuple(
            f"{plan.cls.__qualname__}.{method.name} takes context, and this resolver has none: "
            f"pass Resolver(context={{...}})"
            for plan in self.named.values()
            for method in plan.methods
            if "context" in method.injected
        )

    @cached_property
    def phased_loaders(self) -> frozenset[PhasedLoader]:
        """The loaders that are used anywhere in the subtree, as far as types tell."""
        return frozenset[PhasedLoader]().union(*map(own_loaders, self.named.values()))

    @cached_property
    def recurs(self) -> bool:
        """Whether a node may stand below one of its own class, as far as types tell."""
        fields = [field for plan in self.closure.values() for field in plan.all_node_fields]
        return any(field.unknown or self.plan.cls in field.targets() for field in fields)

    @cached_property
    def collected(self) -> frozenset[str]:
        """The names that collectors in the subtree collect."""
        methods = (method for plan in self.closure.values() for method in plan.methods)
        return frozenset(collector.alias for method in methods for _, collector in method.collectors)

    @cached_property
    def written(self) -> frozenset[type]:
        """The classes that methods may write into, or above nodes of which, when they have been filled.

        All below a class with posts, or with methods that need other fields, or one that is given to methods as
        ``parent``, or exposes something to them. With ``object`` among them, classes that types do not name too.
        """
        wants_parent = {cls for cls, plan in self.closure.items() if plan.wants("parent")}
        written: set[type] = set()
        unseen = [
            cls
            for cls, plan in self.closure.items()
            if plan.has_posts
            or plan.has_needs
            or (plan.exposes and self.wants_ancestors)
            or not wants_parent.isdisjoint(plan.following())
        ]
        while unseen:
            cls = unseen.pop()
            if cls not in written:
                written.add(cls)
                unseen.extend(self.closure[cls].following())
        if any(field.unknown for cls in written for field in self.closure[cls].all_node_fields):
            written.add(object)
        return frozenset(written)

    @cached_property
    def node_fields(self) -> tuple[NodeField, ...]:
        """The fields that no step fills and that may hold nodes with something to do."""
        return tuple(field for field in self.plan.node_fields if self.graph.needs_visit(field))

    @cached_property
    def node_steps(self) -> Mapping[Step, tuple[type, ...]]:
        """The steps that may bring nodes with something to do, and the classes of these as far as types tell."""
        graph = self.graph
        return {
            step: tuple(cls for cls in step.field.targets() if not graph.subtree(cls).is_idle)
            for step in self.plan.steps
            if graph.needs_visit(step.field)
        }

    @cached_property
    def names_of_nodes(self) -> Sequence[tuple[str, NodeField, bool]]:
        """Names in rows of the fields that no step fills and that may hold nodes; and whether only mappings have it."""
        cls, shape = self.plan.cls, row_shape_of(self.plan.cls)
        return [
            (name, field, field.name in shape.computed)
            for field in self.plan.node_fields
            for name in {field.name, *aliases_of(cls, field.name), *shape.other_names.get(field.name, ())}
        ]

    @cached_property
    def flat_steps(self) -> frozenset[Step]:
        """The steps whose rows hold no nodes: no field of theirs may."""
        graph = self.graph
        return frozenset(
            step
            for step in self.plan.all_steps
            if not (
                step.field.unknown or any(graph.subtree(cls).plan.node_fields for cls in step.field.targets())
            )
        )

    @cached_property
    def reusable_steps(self) -> frozenset[Step]:
        """The steps that make one model of a row, however many nodes are given it: none asks where it stands."""
        graph = self.graph
        return frozenset(
            step
            for step in (*self.plan.steps, *self.plan.posts)
            if step.field.is_reusable
            and not any(graph.subtree(cls).is_contextual for cls in step.field.targets())
        )


class ModelGraph:
    """Plans and subtrees of classes, made once each; may be used by several threads.

    What is asked for again is looked up without the lock; whatever is made or forgotten is made or forgotten under it.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._plans: dict[type, Plan] = {}
        self._converters: dict[type, dict[object, Any]] = {}
        self._subtrees: dict[type, Subtree] = {}
        self._depths = LoadersByDepth()

    @property
    def known(self) -> Mapping[type, Subtree]:
        """What is known to lie below classes."""
        return self._subtrees

    def plan(self, cls: type) -> Plan:
        """The plan of a model or dataclass."""
        with self._lock:
            return self._plan_of(cls)

    def subtree(self, cls: type) -> Subtree:
        """What lies below a class."""
        subtree = self._subtrees.get(cls)
        if subtree is None:
            with self._lock:
                subtree = self._subtree_of(cls)
        return subtree

    def refresh(self, cls: type) -> Subtree:
        """The subtree of a root class; classes that were defined since are taken in."""
        subtree = self._subtrees.get(cls)
        if subtree is not None and not _is_outdated(subtree):
            return subtree
        with self._lock:
            if subtree is not None:
                self._forget_patched(subtree.closure.values())
            subtree = self._subtree_of(cls)
            # Classes below may have been looked at for another root, when there were fewer of them.
            if any(_is_outdated(known) for kind in subtree.closure if (known := self._subtrees.get(kind))):
                self._forget_subtrees()
                subtree = self._subtree_of(cls)
            return subtree

    def needs_visit(self, field: NodeField) -> bool:
        """Whether a field may hold a node that there is something to do with."""
        return field.unknown or any(not self.subtree(cls).is_idle for cls in field.targets())

    def loaders_at(self, classes: Iterable[type], depth: int) -> frozenset[PhasedLoader]:
        """The loaders, and the phases that use them, of all nodes `depth` levels below nodes of these classes."""
        return frozenset[PhasedLoader]().union(*(self._loaders_at(cls, depth) for cls in classes))

    def _loaders_at(self, cls: type, depth: int) -> frozenset[PhasedLoader]:
        found = self._depths.get(cls, depth)
        if found is None:
            with self._lock:
                found = self._depths.find(cls, depth, self._subtree_of(cls).closure)
        return found

    def forget_temporary(self) -> None:
        """Let go of the classes that no module holds, unless something is being made right now."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            temporary = [cls for cls in self._plans if not is_importable(cls)]
            if temporary:
                self._forget_subtrees()
            for cls in temporary:
                self._forget_plan(cls)
        finally:
            self._lock.release()

    def forget_with_problems(self) -> None:
        """Compile classes with problems again when they are next used: a missing type may exist by then."""
        with self._lock:
            for cls in [cls for cls, plan in self._plans.items() if plan.problems]:
                self._forget_plan(cls)
            self._forget_subtrees()

    # -- under the lock --------------------------------------------------------------------------------------

    def _forget_plan(self, cls: type) -> None:
        del self._plans[cls]
        self._converters.pop(cls, None)

    def _forget_patched(self, plans: Iterable[Plan]) -> None:
        """Compile classes again in which another method stands than when they were compiled, as tests do."""
        patched = [plan.cls for plan in plans if plan.is_patched() and self._plans.get(plan.cls) is plan]
        if patched:
            self._forget_subtrees()
        for cls in patched:
            self._forget_plan(cls)

    def _forget_subtrees(self) -> None:
        self._subtrees, self._depths = {}, LoadersByDepth()

    def _plan_of(self, cls: type) -> Plan:
        plan = self._plans.get(cls)
        if plan is None:
            self._plans[cls] = plan = compile_plan(cls)
        return plan

    def _subtree_of(self, cls: type) -> Subtree:
        subtree = self._subtrees.get(cls)
        if subtree is None:
            self._subtrees[cls] = subtree = self._make_subtree(cls)
        return subtree

    def _make_subtree(self, cls: type) -> Subtree:
        closure = self._closure(cls, NodeField.targets)
        plan, plans = closure[cls], closure.values()
        unknown = any(field.unknown for below in plans for field in below.all_node_fields)
        wants_ancestors = unknown or any(below.wants("ancestor_context") for below in plans)
        sends = unknown or any(below.sends for below in plans)
        return Subtree(
            self,
            plan,
            closure,
            self._closure(cls, lambda field: field.classes),
            self._converters.setdefault(cls, {}),
            is_idle=not unknown and not any(below.has_work or below.problems for below in plans),
            is_contextual=(
                plan.wants("parent") or wants_ancestors or sends or any(below.limits for below in plans)
            ),
            wants_ancestors=wants_ancestors,
            sends=sends,
            is_gated=bool(plan.steps) and (wants_ancestors or any(below.wants("parent") for below in plans)),
            arrives_together=frozenset() if unknown else self._arriving_together(cls, closure),
            known_subclasses=_count_subclasses(closure),
        )

    def _closure(self, cls: type, targets: Callable[[NodeField], Iterable[type]]) -> dict[type, Plan]:
        """A class and all that follow it."""
        closure: dict[type, Plan] = {}
        unseen = [cls]
        while unseen:
            kind = unseen.pop()
            if kind not in closure:
                closure[kind] = plan = self._plan_of(kind)
                unseen.extend(target for field in plan.all_node_fields for target in targets(field))
        return closure

    def _arriving_together(self, cls: type, closure: Mapping[type, Plan]) -> frozenset[type]:
        """The classes that one way of fields leads to, and none else."""
        ways = Counter([cls])
        for plan in closure.values():
            ways.update(plan.following())
        together: set[type] = set()
        unseen = [cls]
        while unseen:
            kind = unseen.pop()
            if ways[kind] == 1:
                together.add(kind)
                unseen.extend(closure[kind].following())
        return frozenset(together)


def _is_outdated(subtree: Subtree) -> bool:
    """Whether classes were defined below since, or methods replaced; looked at by each resolve, so without a loop."""
    classes, names, members = subtree.members
    return (
        subtree.known_subclasses != _count_subclasses(subtree.closure)
        or subtree.attributes != list(map(len, map(vars, subtree.closure)))
        or not all(map(is_, map(getattr, classes, names, repeat(None)), members))
    )


def _count_subclasses(classes: Iterable[type]) -> int:
    return sum(map(len, map(type.__subclasses__, classes)))


model_graph = ModelGraph()
"""Of the process; it holds nothing of any resolve."""


def _let_go(phase: str, info: Mapping[str, int]) -> None:
    if phase == "start" and info["generation"] == 2:
        model_graph.forget_temporary()


gc.callbacks.append(_let_go)
