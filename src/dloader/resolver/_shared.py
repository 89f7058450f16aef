"""Nodes that stand in several places of one tree.

A node is visited once and everybody who holds it waits for that, unless its plan asks where it stands (``parent``,
``ancestor_context``, collectors): then each further place gets a copy of the node as it was when it first arrived.
"""

from __future__ import annotations

import copy
from collections.abc import Container, Sequence
from typing import Any

from dloader.resolver._convert import writer_of
from dloader.resolver._frame import Frame
from dloader.resolver._graph import Outlook
from dloader.resolver._knots import untie
from dloader.resolver._plan import Phase
from dloader.resolver._walk import rebuild

__all__ = ("SharedNodes",)


NO_VISITS: dict[int, Frame] = {}


class SharedNodes:
    """Who visits each node; lives as long as one resolve and keeps its nodes alive, so that ids stay true."""

    __slots__ = ("_alone", "_first", "_frames", "_is_tied", "_originals", "_visits", "comes_once")

    def __init__(self) -> None:
        self.comes_once: Container[type] = ()
        """The classes whose nodes arrive all together, as far as is known."""
        self._frames: list[Frame] = []
        self._visits: dict[type, dict[int, Frame]] = {}
        """By class, which frame visits a node."""
        self._alone: dict[type, Frame] = {}
        """The only frame of a class, not in `_visits`: for most classes no other comes, and nobody ever asks."""
        self._first: dict[int, Any] = {}
        """Copies of positional nodes as they first arrived."""
        self._originals: dict[int, int] = {}
        """From a copy's id to the id of the node it stands for."""
        self._is_tied = False
        """Whether frames wait for others than those below them."""

    def all_new(self, kind: type, nodes: Sequence[Any]) -> bool:
        """Whether no node of a class was seen before, here or elsewhere."""
        visits = self._visits_of(kind) if kind in self._alone else self._visits.get(kind, NO_VISITS)
        if len(nodes) == 1:
            return id(nodes[0]) not in visits
        ids = set(map(id, nodes))
        return len(ids) == len(nodes) and visits.keys().isdisjoint(ids)

    def add(self, frame: Frame) -> None:
        """Note that a frame visits its nodes."""
        kind = frame.plan.cls
        self._frames.append(frame)
        visits = self._visits.get(kind)
        if visits is None:
            self._alone[kind] = frame
        else:
            for node in frame.nodes:
                visits[id(node)] = frame
        if frame.outlook.is_positional and kind not in self.comes_once:  # a copy costs more than all the rest
            for node in frame.nodes:
                self._first.setdefault(id(node), copy.copy(node))

    def _visits_of(self, kind: type) -> dict[int, Frame]:
        """Of a class that is about to be added to."""
        alone = self._alone.pop(kind, None)
        if alone is not None:
            self._visits[kind] = dict.fromkeys(map(id, alone.nodes), alone)
        return self._visits.get(kind, NO_VISITS)

    def sort_out(
        self,
        frame: Frame | None,
        outlook: Outlook,
        chosen: Sequence[int],
        items: Sequence[Any],
        owners: Sequence[int],
        replaced: dict[int, Any],
    ) -> tuple[list[Any], list[int], list[int]]:
        """Which of the chosen nodes are to be visited now: new ones, and copies in `replaced` for known ones."""
        nodes: dict[int, Any] = {}
        own: list[int] = []
        places: list[int] = []
        waits_for: dict[Frame, None] = {}
        links: list[tuple[int, Any]] = []
        visits = self._visits_of(outlook.plan.cls)
        for index in chosen:
            node, owner = items[index], owners[index]
            known = visits.get(id(node))
            if known is not None or id(node) in nodes:
                if frame is None or self._is_above(node, frame, owner):
                    continue
                if not outlook.is_positional:
                    links.append((owner, node))
                    waits_for.update({} if known is None or known.phase is Phase.DONE else {known: None})
                    continue
                node = replaced[index] = self._copy(node)
            nodes[id(node)] = node
            own.append(owner)
            places.append(index)
        if frame is not None:
            frame.links = [*frame.links, *links]
            for other in waits_for:
                self._is_tied = True
                other.waiters.append(frame)
                frame.pending += 1
        return list(nodes.values()), own, places

    def put_back(
        self, frame: Frame, name: str, owners: Sequence[int], items: Sequence[Any], replaced: dict[int, Any]
    ) -> None:
        """Put copies into the field of the parents they were made for, in containers of their own."""
        write = writer_of(frame.plan.cls, name)
        new: dict[int, list[Any]] = {owners[index]: [] for index in replaced}
        for index, owner in enumerate(owners):
            if owner in new:
                new[owner].append(replaced.get(index, items[index]))
        for owner, found in new.items():
            node = frame.nodes[owner]
            write([node], [rebuild(getattr(node, name), iter(found))])

    def untie(self) -> Sequence[Frame]:
        """The frames that can go on when all that is left is nodes that wait for each other."""
        return untie(self._frames) if self._is_tied else ()

    def _copy(self, node: Any) -> Any:
        original = self._originals.get(id(node), id(node))
        copied = copy.copy(self._first.get(original, node))
        self._originals[id(copied)] = original
        return copied

    def _is_above(self, node: Any, frame: Frame, index: int) -> bool:
        """Whether a node is found below itself: a cycle ends there."""
        original = self._originals.get(id(node), id(node))
        above: Frame | None = frame
        while above is not None:
            here = id(above.nodes[index])
            if self._originals.get(here, here) == original:
                return True
            index = above.owners[index]
            above = above.parent
        return False
