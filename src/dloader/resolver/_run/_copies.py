"""What loaders gave, as it is in their caches: the tree gets copies, so that nothing in a cache is changed.

Rows that are dicts need none: nodes are made of them. Rows that are nodes already, or hold some, are copied: once for
the whole tree, or for each node that is given them where a method above could write into them. The same goes for
lists, dicts and sets in fields of values.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, TypeAlias, cast

from pydantic import BaseModel

from dloader.resolver._containers import is_container, items_of, with_items
from dloader.resolver._plan._annotations import is_node_class
from dloader.resolver._plan._subtrees import Subtrees
from dloader.resolver._rows._kinds import Leaves, leaves_of
from dloader.resolver._run._ancestors import Ancestors
from dloader.resolver._run._group import NodeGroup
from dloader.resolver._run._nodes_in_rows import ROWS, holds_nodes
from dloader.resolver._run._step_run import StepRun

__all__ = ("Copies",)

CONTAINERS = frozenset({dict, frozenset, list, set, tuple})
Memo: TypeAlias = dict[int, tuple[Any, Any]]
"""By the id of a node: the node, so that the id stays true, and its copy."""


class Copies:
    """The copies in one tree; lives as long as the resolve."""

    __slots__ = ("_ancestors", "_kept", "_originals", "_shared", "_subtrees")

    def __init__(self, subtrees: Subtrees) -> None:
        self._subtrees = subtrees
        self._shared: Memo = {}
        """Of nodes that no method above writes into."""
        self._originals: dict[int, int] = {}
        """By the id of a copy that is not shared, the id of the node it stands for."""
        self._kept: list[tuple[Any, Any]] = []
        """Both of these, so that the ids stay true: what was made of a row of some other kind has no other owner."""
        self._ancestors = Ancestors(self._originals)

    def own(
        self, run: StepRun, raw: Sequence[Any], values: list[Any], leaves: Leaves | None = None
    ) -> list[Any]:
        """The values that loaders gave for a step, with copies of what they have in their caches.

        Args:
            run: The step.
            raw: What was given: for each node, or each distinct key.
            values: What became of it, for each node.
            leaves: What stood in lists in what was given, if somebody has looked.
        """
        step, field = run.step, run.step.field
        is_shared = self.shares(run)
        if is_shared and step not in run.group.subtree.node_steps:
            return values  # nothing is done to what it brings
        if field.holds_nodes:
            if not holds_nodes(leaves or leaves_of(raw), run, self._subtrees.graph):
                return values
        elif CONTAINERS.isdisjoint(map(type, values)):
            return values
        if is_shared:
            return [self._copied(value, self._shared) for value in values]
        indices = run.indices
        return [
            self._copied(value, self._above(run.group, index, value))
            for index, value in zip(indices, values, strict=True)
        ]

    def shares(self, run: StepRun) -> bool:
        """Whether the nodes of a step may share what is made of one row."""
        return self._subtrees.shares(run.group.plan.cls)

    def of_default(self, value: Any) -> Any:
        """A copy of a field's default, which all nodes share."""
        return self._copied(value, {})

    # -- copying ---------------------------------------------------------------------------------------------

    def _above(self, group: NodeGroup, index: int, value: Any) -> Memo:
        """What a copy is made with: a node that stands above already is not copied, a cycle ends there."""
        kind = cast(Any, type(value))
        if not (is_node_class(kind) and self._subtrees.graph.subtree(kind).recurs):
            return {}
        above = self._ancestors.find(value, group, index)
        return {} if above is None else {id(value): (value, above)}

    def _copied(self, value: Any, memo: Memo) -> Any:
        todo: list[Any] = []
        copied = self._of(value, memo, todo)
        while todo:  # not by recursion: a tree may be deeper than Python's stack
            node = todo.pop()
            for name in _names(node):
                own = getattr(node, name, None)
                new = self._of(own, memo, todo)
                if new is not own:
                    object.__setattr__(node, name, new)
        return copied

    def _of(self, value: Any, memo: Memo, todo: list[Any]) -> Any:
        kind = cast(Any, type(value))
        if kind in ROWS and kind is not dict:
            return value
        if kind is list or kind is set or kind is frozenset or kind is tuple:
            if ROWS.issuperset(kinds := set(map(type, value))) and dict not in kinds:
                return copy.copy(value)
            return cast(Any, kind)([self._of(item, memo, todo) for item in value])
        if kind is dict:
            return {key: self._of(item, memo, todo) for key, item in value.items()}
        if not is_node_class(kind):
            return self._of_container(value, memo, todo) if is_container(kind) else value
        if id(value) not in memo:
            copied = copy.copy(value)
            memo[id(value)] = pair = (value, copied)
            self._kept.append(pair)
            self._originals[id(copied)] = self._originals.get(id(value), id(value))
            todo.append(copied)
        return memo[id(value)][1]

    def _of_container(self, value: Any, memo: Memo, todo: list[Any]) -> Any:
        """A container of another kind: one that holds no nodes may be of any make, and stays what it is."""
        new = with_items(value, lambda item: self._of(item, memo, todo))
        is_changed = any(one is not other for one, other in zip(items_of(value), items_of(new), strict=True))
        return new if is_changed or type(new) is type(value) else value


def _names(node: Any) -> list[str]:
    cls = cast(Any, type(node))
    return list(cls.model_fields if issubclass(cls, BaseModel) else cls.__dataclass_fields__)
