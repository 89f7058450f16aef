"""Which fields and nodes failed in a resolve that goes on after failures, and what they have instead.

A field that failed keeps what it held before, or its default, or None where its type has it. Where it has none of
these, its node fails: a place that takes None gets None, and any other makes the field that holds the node fail, and
so on up. Nodes are told by their ids: their groups keep them alive.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

from dloader.resolver._blanks import fill_blanks, lacking
from dloader.resolver._containers import flatten
from dloader.resolver._fields import held_by
from dloader.resolver._gone import GONE, without
from dloader.resolver._plan._annotations import field_types
from dloader.resolver._plan._plan import NodeField, Step
from dloader.resolver._run._failure_log import FailureLog
from dloader.resolver._run._group import NodeGroup
from dloader.resolver._run._partial_items import FailedItem
from dloader.resolver._run._step_run import StepRun

__all__ = ("Changed", "Failures")


class Instead(IntEnum):
    """What a field that failed has, in the order in which it is tried."""

    WHAT_IT_HELD = 0
    DEFAULT = 1
    NONE = 2
    NOTHING = 3


class Changed(NamedTuple):
    """A field that lost what was found in it, as nodes in there failed."""

    field: NodeField
    indices: Sequence[int]
    """Of the nodes whose field it is."""


class Failures:
    """What failed; lives as long as one resolve."""

    __slots__ = ("_before", "_buried", "_causes", "_instead", "_types", "_why", "log")

    def __init__(self, root: object) -> None:
        self.log = FailureLog(root)
        self._instead: dict[tuple[int, str], Instead] = {}
        """By the id of a node and a field that failed."""
        self._why: dict[tuple[int, str], Exception] = {}
        """Of these, what fields failed by before they were filled."""
        self._before: dict[tuple[int, str], Any] = {}
        """What fields held that steps have filled with nodes."""
        self._causes: dict[int, Exception] = {}
        """By the id of a node that failed, why."""
        self._buried: set[int] = set()
        """The nodes that nothing is done for: they stand below one that failed and wanted something of it."""
        self._types: dict[tuple[type, str], Any] = {}

    @property
    def any(self) -> bool:
        """Whether anything has failed."""
        return bool(self._instead)

    @property
    def causes(self) -> Mapping[int, Exception]:
        """Why nodes failed, by their ids."""
        return self._causes

    def failed_among(self, group: NodeGroup) -> Sequence[int]:
        """Which nodes of a group failed."""
        if not self._causes:
            return ()
        return [index for index, node in enumerate(group.nodes) if id(node) in self._causes]

    # -- steps -----------------------------------------------------------------------------------------------

    def taken(self, group: NodeGroup, step: Step) -> list[int] | None:
        """The nodes that a step is taken for; None if for all.

        Not for those where a field has failed that it waits for, or, in a post, the node itself.
        """
        if not self._instead:
            return None
        gone = self._causes.keys() if step.is_post else self._buried
        taken: list[int] = []
        for index, node in enumerate(group.nodes):
            if id(node) in gone or (id(node), step.field.name) in self._instead:
                continue
            lost = next((key for name in step.after if (key := (id(node), name)) in self._instead), None)
            if lost is None:
                taken.append(index)
            else:
                self._lose(group, index, step, self._why[lost])
        return None if len(taken) == len(group.nodes) else taken

    def keep(self, run: StepRun) -> None:
        """Keep what was set in fields that a step is about to fill."""
        cls, name, nodes = run.group.plan.cls, run.step.field.name, run.nodes
        for node, value in zip(nodes, held_by(nodes, name), strict=True):
            is_set = name in getattr(node, "__pydantic_fields_set__", (name,))
            if is_set and not lacking(cls, name, (node,)):
                self._before[id(node), name] = value

    def add(self, run: StepRun, index: int, error: Exception, loaders: str) -> None:
        """A step failed for a node of its group; the field has what it held before."""
        group, field = run.group, run.step.field
        node = group.nodes[index]
        if (id(node), field.name) in self._instead:  # two collectors of one post
            return
        self.log.add(group, index, run.step.label, error, loaders)
        self._lose(group, index, run.step, error)

    def add_items(self, run: StepRun, index: int, items: Iterable[FailedItem], loaders: str) -> None:
        """Some of what a step brings for a node of its group failed; the field has None in those places."""
        self.log.add_items(run.group, index, run.step.label, items, loaders)

    def _lose(self, group: NodeGroup, index: int, step: Step, cause: Exception) -> None:
        """The same without an entry of its own."""
        node, field = group.nodes[index], step.field
        self._instead[id(node), field.name] = Instead.WHAT_IT_HELD
        self._why[id(node), field.name] = cause
        if step is not group.plan.final and lacking(group.plan.cls, field.name, (node,)):
            self._fall_back(group.plan.cls, field, node, cause)

    def _fall_back(self, cls: type, field: NodeField, node: Any, cause: Exception) -> None:
        """Give a node that lacks a field the next best."""
        instead = Instead.NOTHING
        if self._instead[id(node), field.name] < Instead.DEFAULT and not fill_blanks(
            cls, field.name, (node,)
        ):
            instead = Instead.DEFAULT
        else:
            object.__setattr__(node, field.name, None)  # of a node that fails somebody may still read it
            if field.admits_none and self._instead[id(node), field.name] < Instead.NONE:
                instead = Instead.NONE
            else:
                self._causes.setdefault(id(node), cause)
        self._instead[id(node), field.name] = instead

    # -- nodes -----------------------------------------------------------------------------------------------

    def bury(self, group: NodeGroup) -> None:
        """Give up nodes that want to know of what stands above them, where that has failed."""
        parent, subtree = group.parent, group.subtree
        if parent is None or not (self._causes and subtree.is_contextual):
            return
        read = [step.field.name for step in parent.plan.steps] if subtree.plan.wants("parent") else []
        read += [name for name, _ in parent.plan.exposes] if subtree.wants_ancestors else []
        for node, at in zip(group.nodes, group.parent_indices, strict=True):
            above = parent.nodes[at]
            if id(above) in self._buried or any(
                self._instead.get((id(above), name)) is Instead.NOTHING for name in read
            ):
                self._buried.add(id(node))
                self._causes[id(node)] = self._causes[id(above)]
                self._give_none(subtree.plan.cls, node, _read_of(group))

    def _give_none(self, cls: type, node: Any, names: Iterable[str]) -> None:
        for name in names:
            if lacking(cls, name, (node,)):
                object.__setattr__(node, name, None)

    def settle(self, group: NodeGroup, at_end: bool = False) -> Sequence[Changed]:
        """Take nodes that failed out of the fields of those that hold them.

        Args:
            group: Those that may hold some.
            at_end: Whether nothing can be filled any more, so that what fields held before is of no use.

        Returns:
            The fields that had to be given something else.
        """
        if not self._causes:
            return ()
        subtree = group.subtree
        fields = [*(step.field for step in subtree.node_steps), *subtree.node_fields]
        return [changed for field in fields if (changed := self._settle_field(group, field, at_end)).indices]

    def _settle_field(self, group: NodeGroup, field: NodeField, at_end: bool) -> Changed:
        cls, values = group.plan.cls, held_by(group.nodes, field.name)
        items, parent_indices, *_ = flatten(values, range(len(values)))
        lost: list[int] = []
        if self._causes.keys().isdisjoint(map(id, items)):
            return Changed(field, lost)
        causes: dict[int, Exception] = {}
        for item, index in zip(items, parent_indices, strict=True):
            if id(item) in self._causes:
                causes.setdefault(index, self._causes[id(item)])
        for index, cause in causes.items():
            node = group.nodes[index]
            value = without(values[index], self._type_of(cls, field.name), self._causes.keys())
            if value is not GONE:
                object.__setattr__(node, field.name, value)
                continue
            lost.append(index)
            key = id(node), field.name
            if key in self._instead or at_end or key not in self._before:
                self._instead.setdefault(key, Instead.WHAT_IT_HELD)
                _empty(node, field.name)
                self._fall_back(cls, field, node, cause)
            else:
                self._instead[key] = Instead.WHAT_IT_HELD
                object.__setattr__(node, field.name, self._before[key])
        return Changed(field, lost)

    def _type_of(self, cls: type, name: str) -> Any:
        found = self._types.get((cls, name))
        if found is None:
            self._types[cls, name] = found = field_types(cls)[name].annotation
        return found


def _read_of(group: NodeGroup) -> Iterable[str]:
    """The fields of nodes that others read when these have been given up."""
    plan = group.plan
    yield from (name for name, _ in plan.exposes)
    for names, _ in plan.sends:
        yield from (names,) if isinstance(names, str) else names


def _empty(node: Any, name: str) -> None:
    """Take from a node what it has in a field."""
    if name in getattr(node, "__dict__", {}):
        del node.__dict__[name]
    else:
        object.__delattr__(node, name)  # of a dataclass with slots
    getattr(node, "__pydantic_fields_set__", set[str]()).discard(name)
