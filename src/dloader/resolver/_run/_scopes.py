"""What is filled in which place of the tree: a part that was selected, and so many levels.

A group in a place where less is filled is given a plan with less in it. The rest of the engine knows nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from dloader.resolver._blanks import drop_hidden, fill_blanks, has_default
from dloader.resolver._markers import NOTHING
from dloader.resolver._plan._model_graph import Subtree
from dloader.resolver._plan._plan import NodeField, Plan, Step
from dloader.resolver._run._group import NodeGroup
from dloader.resolver._selection import EVERYTHING, NOTHING_BELOW, Selection

__all__ = ("Scopes", "leave_out")


class Scopes:
    """The narrowed plans of one resolve.

    Args:
        selection: What is to be filled; None is all.
        max_depth: How many levels; None is all.
    """

    __slots__ = ("_is_limited", "_max_depth", "_narrowed", "_root", "_selections", "_times")

    def __init__(self, selection: Selection | None, max_depth: int | None) -> None:
        self._root = EVERYTHING if selection is None else selection
        self._max_depth = max_depth
        self._is_limited = selection is not None or max_depth is not None
        self._narrowed: dict[tuple[Subtree, Selection, frozenset[str]], Subtree] = {}
        self._selections: dict[Subtree, Selection] = {}
        """What was selected where a narrowed subtree stands."""
        self._times: dict[tuple[NodeGroup, str, int], int] = {}
        """By group, field and the id of a marker: how often that has filled its field on the way down to there."""

    def fills_nothing(self, subtree: Subtree) -> bool:
        """Whether so much was left out that nothing is done to roots of a class, nor to anything below."""
        plan, takes = subtree.plan, self._root.takes
        return not (
            any(map(takes, plan.filled))
            or plan.final
            or subtree.sends
            or subtree.node_fields
            or (plan.exposing and subtree.wants_ancestors)
        )

    def narrow(self, subtree: Subtree, parent: NodeGroup | None, field: NodeField) -> Subtree:
        """What is done with nodes of a class in a field of some parents, or among the roots."""
        limits = subtree.plan.limits
        if not (self._is_limited or limits):
            return subtree
        selection, depth = self._root, 0
        if parent is not None:
            selection, depth = (
                self._selections.get(parent.subtree, EVERYTHING).below(field.name),
                parent.depth + 1,
            )
        ended = frozenset(step.field.name for step in limits if self._has_ended(step, parent, field))
        if self._max_depth is not None and depth >= self._max_depth:
            selection, ended = NOTHING_BELOW, subtree.plan.filled
        key = (subtree, selection, ended)
        found = self._narrowed.get(key)
        if found is None:
            self._narrowed[key] = found = _narrowed(subtree, selection, ended)
            self._selections[found] = selection
        return found

    def _has_ended(self, step: Step, parent: NodeGroup | None, field: NodeField) -> bool:
        """Whether a marker has filled its field as often as it may, on the way down to here."""
        times, marker = 0, step.marker
        unknown: list[tuple[NodeGroup, NodeField]] = []
        while parent is not None:
            if (found := self._times.get((parent, field.name, id(marker)))) is not None:
                times = found
                break
            unknown.append((parent, field))
            field, parent = parent.field, parent.parent
        for above, filled in reversed(unknown):
            before = above.plan.step_of.get(filled.name)
            times += before is not None and before.marker is marker
            self._times[above, filled.name, id(marker)] = times
        return step.most is not None and times >= step.most


def leave_out(plan: Plan, nodes: Sequence[Any]) -> None:
    """Give nodes of which nothing is filled what they have when a resolve ends: defaults, and no keys of loads."""
    for name in filter(partial(has_default, plan.cls), plan.filled):
        fill_blanks(plan.cls, name, nodes)
    if plan.hidden:
        drop_hidden(plan.hidden, nodes)


def _narrowed(subtree: Subtree, selection: Selection, ended: frozenset[str]) -> Subtree:
    plan = subtree.plan
    taken = _taken(subtree, selection, ended)
    left = {
        step.field.name: None if step.field.name in ended and step.field.admits_none else NOTHING
        for step in (*plan.steps, *plan.posts)
        if step.field.name not in taken
    }
    is_nothing = selection is NOTHING_BELOW
    narrow = replace(
        plan,
        steps=tuple(step for step in plan.steps if step.field.name in taken),
        posts=tuple(step for step in plan.posts if step.field.name in taken),
        final=None if is_nothing else plan.final,
        sends=() if is_nothing else tuple(send for send in plan.sends if not left.keys() & _names(send[0])),
        left_out={
            name: otherwise
            for name, otherwise in left.items()
            if otherwise is not NOTHING or has_default(plan.cls, name)
        },
    )
    return replace(subtree, plan=narrow, is_contextual=True)


def _taken(subtree: Subtree, selection: Selection, ended: frozenset[str]) -> set[str]:
    """The fields that are filled: those that are wanted, and those that they wait for."""
    plan = subtree.plan
    taken = {name for name in plan.filled if selection.takes(name) and name not in ended}
    if taken or selection is not NOTHING_BELOW:  # what nodes below are shown
        taken |= plan.exposing if subtree.wants_ancestors else set()
    return plan.with_needed(taken)


def _names(names: str | Iterable[str]) -> set[str]:
    return {names} if isinstance(names, str) else set(names)
