"""Groups: the nodes of one class that arrived together, and how far they are.

Invariants: a group goes on when it waits for nothing; whatever it waits for ends by `NodeGroup.done_one`. A gate opens
when its steps have been taken, and is passed by the groups below that wait for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from dloader.resolver._fields import values_of
from dloader.resolver._plan._model_graph import Subtree
from dloader.resolver._plan._plan import NodeField, Phase, Plan

__all__ = ("Arrival", "NodeGroup")


class Arrival(NamedTuple):
    """Nodes of one class that arrive together, and where from; see the same attributes of `NodeGroup`."""

    parent: NodeGroup | None
    field: NodeField
    nodes: Sequence[Any]
    parent_indices: Sequence[int]
    field_indices: Sequence[int]


class Gate:
    """Holds back groups until some steps of their parents have been taken."""

    __slots__ = ("_groups", "_steps_left")

    def __init__(self, steps: int) -> None:
        self._steps_left = steps
        self._groups: list[NodeGroup] = []

    def hold(self, group: NodeGroup) -> bool:
        """Keep a group until the gate opens; return whether it is closed."""
        if self._steps_left:
            self._groups.append(group)
        return self._steps_left > 0

    def done_one(self) -> Sequence[NodeGroup]:
        """One of the steps has been taken: the groups that may go on, if it was the last."""
        self._steps_left -= 1
        return () if self._steps_left else self._groups


class Gates:
    """What holds back groups until their parents have what methods below read: all of it, or what they expose."""

    __slots__ = ("_all_fields", "_exposed_fields", "_exposing")

    def __init__(self, plan: Plan) -> None:
        self._exposing = plan.exposing
        self._all_fields = Gate(len(plan.steps))
        self._exposed_fields = Gate(len(plan.exposing))

    def hold(self, group: NodeGroup) -> bool:
        """Keep a group that must wait; return whether it must."""
        subtree = group.subtree
        if subtree.plan.wants("parent") and self._all_fields.hold(group):
            return True
        return subtree.wants_ancestors and self._exposed_fields.hold(group)

    def filled(self, field: str) -> Sequence[NodeGroup]:
        """A step has filled a field: the groups that may go on."""
        passing = self._all_fields.done_one()
        return (*self._exposed_fields.done_one(), *passing) if field in self._exposing else passing


class NodeGroup:
    """Nodes of one class, at one depth, from one field of one parent group; lives as long as the resolve."""

    # What few groups need has its first value here: a group of one node costs what its making costs.
    phase = Phase.RESOLVING
    waits_for = 1
    """What must be done before the next phase: steps, groups below, shared nodes elsewhere; 1 while starting."""
    contexts: Sequence[Mapping[str, Any]] = ()
    """``ancestor_context`` of each node, if the class or one below takes it."""
    _contexts_below: Sequence[Mapping[str, Any]] | None = None

    def __init__(
        self,
        subtree: Subtree,
        parent: NodeGroup | None,
        field: NodeField,
        nodes: Sequence[Any],
        parent_indices: Sequence[int],
        field_indices: Sequence[int],
    ) -> None:
        self.subtree = subtree
        self.parent = parent
        self.field = field
        """The field of the parent's class that holds these nodes."""
        self.nodes = nodes
        self.parent_indices = parent_indices
        """For each node, the index of its parent node in the parent group."""
        self.field_indices = field_indices
        """For each node, its index among all that the field holds, whatever class it has."""
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.gates = Gates(subtree.plan) if subtree.is_gated else None
        self.waiters: list[NodeGroup] = []
        """Groups that hold nodes of this one: the parent, and others if nodes are shared."""
        self.below: list[NodeGroup] = []

    @property
    def plan(self) -> Plan:
        """What is to be done with the nodes."""
        return self.subtree.plan

    def add_below(self, group: NodeGroup) -> None:
        """Take in a group of nodes from a field of these nodes, and wait for it."""
        self.below.append(group)
        group.waiters.append(self)
        self.waits_for += 1

    def wait_for(self, count: int) -> None:
        """Wait for so many things more."""
        self.waits_for += count

    def wait_for_group(self, other: NodeGroup) -> None:
        """Wait until a group is done."""
        other.waiters.append(self)
        self.waits_for += 1

    def done_one(self) -> bool:
        """Something that the group waits for is done; return whether it waits for nothing any more."""
        self.waits_for -= 1
        return not self.waits_for

    def let_go(self) -> None:
        """The resolve has ended: forget the groups that refer to this one."""
        self.waiters, self.below, self.gates = [], [], None

    def enter(self, phase: Phase) -> None:
        """Go on to a phase."""
        self.phase = phase

    def inherit_contexts(self, parent: NodeGroup) -> None:
        """Take over what the nodes above expose, as it is now."""
        contexts = parent.contexts_below()
        self.contexts = [contexts[index] for index in self.parent_indices]

    def contexts_below(self) -> Sequence[Mapping[str, Any]]:
        """``ancestor_context`` for the nodes below each node: what is exposed above, and by the node itself."""
        exposes = self.plan.exposes
        empty: Mapping[str, Any] = {}
        contexts = self.contexts or [empty] * len(self.nodes)
        if not exposes:
            return contexts
        if self._contexts_below is None:
            aliases = [alias for _, alias in exposes]
            columns = [values_of(self.nodes, name) for name, _ in exposes]
            self._contexts_below = [
                {**context, **dict(zip(aliases, values, strict=True))}
                for context, values in zip(contexts, zip(*columns, strict=True), strict=True)
            ]
        return self._contexts_below
