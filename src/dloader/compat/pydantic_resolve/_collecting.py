"""What nodes send up, gathered by the collectors of their ancestors."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias, cast

from dloader.compat.pydantic_resolve._bound import BoundStep, Visit
from dloader.resolver import ICollector

__all__ = ("Collecting",)

Sign: TypeAlias = tuple[type, str, str]
"""Class, method and parameter that a collector stands at."""
Collectors: TypeAlias = dict[str, dict[Sign, ICollector]]
"""By the name that is sent to."""
NO_COLLECTORS: Mapping[Sign, ICollector] = {}
NONE: Mapping[str, Mapping[Sign, ICollector]] = {}


class Collecting:
    """The collectors of one resolve, a copy for each node; a node's own and those above it get what it sends."""

    def __init__(self) -> None:
        self._own: dict[int, Collectors] = {}
        """By the id of a node, which the levels keep alive."""
        self._reached: dict[int, Mapping[str, Mapping[Sign, ICollector]]] = {}
        """By the id of a node, its own collectors and those above."""
        self._by_place: list[list[Mapping[str, Mapping[Sign, ICollector]]]] = []
        """The same by level and place."""

    def prepare(self, levels: Iterable[Sequence[Visit]]) -> None:
        """Make the collectors of all nodes, from the roots down."""
        for level in levels:
            for visit in level:
                own = _made_for(visit)
                reached = self._reached.get(id(visit.parent), NONE) if visit.parent is not None else NONE
                if own:
                    self._own[id(visit.node)] = own
                    names = dict.fromkeys((*reached, *own))
                    reached = {name: {**reached.get(name, {}), **own.get(name, {})} for name in names}
                self._reached[id(visit.node)] = reached
            self._by_place.append([self._reached[id(visit.node)] for visit in level])

    def of(self, visit: Visit, step: BoundStep) -> Mapping[str, ICollector]:
        """The collectors that a method of a node takes, by parameter."""
        own = self._own[id(visit.node)]
        plan = visit.bound.plan
        return {
            name: own[collector.alias][plan.cls, step.name, name] for name, collector in step.step.collectors
        }

    def send(self, depth: int, level: Sequence[Visit]) -> None:
        """Send what the nodes of a level have for the collectors that they reach."""
        for visit, reached in zip(level, self._by_place[depth], strict=True):
            for fields, names in visit.bound.plan.sends.items():
                for name in names if isinstance(names, (tuple, list)) else (names,):
                    for collector in reached.get(cast(str, name), NO_COLLECTORS).values():
                        collector.add(_sent(visit.node, fields))


def _made_for(visit: Visit) -> Collectors:
    made: Collectors = {}
    plan = visit.bound.plan
    for step in plan.all_posts:
        for name, collector in step.collectors:
            made.setdefault(collector.alias, {})[plan.cls, step.name, name] = copy.deepcopy(collector)
    return made


def _sent(node: Any, fields: str | tuple[str, ...]) -> Any:
    return [getattr(node, name) for name in fields] if isinstance(fields, tuple) else getattr(node, fields)
