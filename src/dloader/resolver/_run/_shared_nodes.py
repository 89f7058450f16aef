"""Nodes that stand in several places of one tree.

A node is visited once and everybody who holds it waits for that, unless its plan asks where it stands (``parent``,
``ancestor_context``, collectors): then each further place gets a copy of the node as it was when it first arrived.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any

from dloader.resolver._containers import FoundNodes, rebuild
from dloader.resolver._fields import writer_of
from dloader.resolver._plan._model_graph import Subtree
from dloader.resolver._plan._plan import Phase
from dloader.resolver._run._ancestors import Ancestors
from dloader.resolver._run._cycles import split_cycles
from dloader.resolver._run._group import Arrival, NodeGroup
from dloader.resolver._run._states import copy_with, state_of

__all__ = ("SharedNodes",)

NO_VISITS: Mapping[int, NodeGroup] = {}


class SharedNodes:
    """Who visits each node; lives as long as one resolve and keeps its nodes alive, so that ids stay true.

    Args:
        arrives_together: Tells the classes whose nodes arrive all together, as far as is known.
    """

    __slots__ = (
        "_alone",
        "_ancestors",
        "_arrives_together",
        "_first",
        "_groups",
        "_links",
        "_originals",
        "_visits",
        "_waits",
    )

    def __init__(self, arrives_together: Callable[[], Container[type]]) -> None:
        self._arrives_together = arrives_together
        self._groups: list[NodeGroup] = []
        self._visits: dict[type, dict[int, NodeGroup]] = {}
        """By class, which group visits a node."""
        self._alone: dict[type, NodeGroup] = {}
        """The only group of a class, not in `_visits`: for most classes no other comes, and nobody ever asks."""
        self._first: dict[int, Mapping[str, Any]] = {}
        """What nodes of contextual classes held when they first arrived."""
        self._originals: dict[int, int] = {}
        """From a copy's id to the id of the node it stands for."""
        self._ancestors = Ancestors(self._originals)
        self._links: dict[NodeGroup, list[tuple[int, Any]]] = {}
        """Nodes that a group holds and another one visits, each with the index of the node that holds it."""
        self._waits = False
        """Whether groups wait for others than those below them."""

    @property
    def groups(self) -> Sequence[NodeGroup]:
        """All groups, those that are done too."""
        return self._groups

    def is_first(self, kind: type) -> bool:
        """Whether no nodes of a class were seen before."""
        return kind not in self._alone and kind not in self._visits

    def all_new(self, kind: type, nodes: Sequence[Any]) -> bool:
        """Whether no node of a class was seen before, here or elsewhere: by far the most common case."""
        visits = self._visits_of(kind) if kind in self._alone else self._visits.get(kind, NO_VISITS)
        if len(nodes) == 1:
            return id(nodes[0]) not in visits
        ids = set(map(id, nodes))
        return len(ids) == len(nodes) and visits.keys().isdisjoint(ids)

    def add(self, group: NodeGroup) -> None:
        """Take down that a group visits its nodes."""
        subtree, nodes = group.subtree, group.nodes
        kind = subtree.plan.cls
        self._groups.append(group)
        visits = self._visits.get(kind)
        if visits is None:
            self._alone[kind] = group
        else:
            for node in nodes:
                visits[id(node)] = group
        if subtree.is_contextual and kind not in self._arrives_together():
            for node in nodes:
                self._first[id(node)] = state_of(node)

    def _visits_of(self, kind: type) -> Mapping[int, NodeGroup]:
        """Of a class that is about to be added to."""
        alone = self._alone.pop(kind, None)
        if alone is not None:
            self._visits[kind] = dict.fromkeys(map(id, alone.nodes), alone)
        return self._visits.get(kind, NO_VISITS)

    def to_visit(self, arrival: Arrival, subtree: Subtree) -> Arrival:
        """What is to be visited now: the nodes that are new, and copies of others that need an answer of their own."""
        parent, visits = arrival.parent, self._visits_of(subtree.plan.cls)
        new: dict[int, tuple[Any, int, int]] = {}
        links: list[tuple[int, Any]] = []
        visitors: dict[NodeGroup | None, None] = {}
        recurs = subtree.recurs
        for node, parent_index, field_index in zip(*arrival[2:], strict=True):
            found, visitor = node, visits.get(id(node))
            if visitor is not None or id(node) in new:
                if parent is None or (
                    recurs and self._ancestors.find(node, parent, parent_index) is not None
                ):
                    continue  # found below itself, where a cycle ends, or once more among the roots
                if not subtree.is_contextual:
                    links.append((parent_index, node))
                    visitors[visitor] = None
                    continue
                found = self._copy(node)
            new[id(found)] = (found, parent_index, field_index)
        if parent is not None:
            self._link(parent, links, visitors)
        nodes, parent_indices, field_indices = zip(*new.values(), strict=True) if new else ((), (), ())
        return Arrival(parent, arrival.field, nodes, parent_indices, field_indices)

    def _copy(self, node: Any) -> Any:
        original = self._originals.get(id(node), id(node))
        copied = copy_with(node, self._first.get(original))
        self._originals[id(copied)] = original
        return copied

    def _link(
        self, group: NodeGroup, links: Sequence[tuple[int, Any]], visitors: Iterable[NodeGroup | None]
    ) -> None:
        """Have a group wait for the nodes that it holds and others visit."""
        self._links[group] = [*self._links.get(group, ()), *links]
        unfinished = [visitor for visitor in visitors if visitor and visitor.phase is not Phase.DONE]
        self._waits = self._waits or bool(unfinished)
        for visitor in unfinished:
            group.wait_for_group(visitor)

    def put_back(self, group: NodeGroup, found: FoundNodes, arrivals: Sequence[Arrival]) -> None:
        """Put the copies among what arrived into the field they were found in, in containers of their own."""
        copies = {
            index: node
            for arrival in arrivals
            for node, index in zip(arrival.nodes, arrival.field_indices, strict=True)
            if node is not found.items[index]
        }
        new: dict[int, list[Any]] = {found.parent_indices[index]: [] for index in copies}
        for index, parent_index in enumerate(found.parent_indices):
            if parent_index in new:
                new[parent_index].append(copies.get(index, found.items[index]))
        name = arrivals[0].field.name
        write = writer_of(group.plan.cls, name)
        for parent_index, items in new.items():
            node = group.nodes[parent_index]
            write([node], [rebuild(getattr(node, name), iter(items))])

    def let_go(self) -> None:
        """The resolve has ended: leave no groups that refer to each other to the garbage collector."""
        for group in self._groups:
            group.let_go()

    def split_cycles(self) -> Sequence[NodeGroup]:
        """The groups that can go on when all that is left is nodes that wait for each other."""
        return split_cycles(self._groups, self._links) if self._waits else ()
