"""Which loaders are used how many levels below nodes of a class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from dloader.resolver._plan._plan import Phase, Plan

__all__ = ("LoadersByDepth", "PhasedLoader", "own_loaders")

PhasedLoader: TypeAlias = tuple[object, Phase]
"""A loader, and the phase in which it is used."""
Level: TypeAlias = dict[type, frozenset[PhasedLoader]]


class LoadersByDepth:
    """The loaders, and the phases that use them, of all nodes so many levels below nodes of a class.

    Lives until classes are defined or forgotten. A level is filled for all classes below one together, after all
    levels above it: an entry that is there is complete.
    """

    __slots__ = ("_levels",)

    def __init__(self) -> None:
        self._levels: list[Level] = []

    def get(self, cls: type, depth: int) -> frozenset[PhasedLoader] | None:
        """What is known."""
        return self._levels[depth].get(cls) if depth < len(self._levels) else None

    def find(self, cls: type, depth: int, closure: Mapping[type, Plan]) -> frozenset[PhasedLoader]:
        """Level by level from the nearest not known, so that a chain of any length needs no recursion."""
        levels = self._levels
        levels.extend({} for _ in range(depth + 1 - len(levels)))
        nearest = depth
        while nearest and cls not in levels[nearest - 1]:
            nearest -= 1
        for level in range(nearest, depth + 1):
            levels[level].update(
                {
                    kind: own_loaders(plan) if level == 0 else _loaders_below(plan, levels[level - 1])
                    for kind, plan in closure.items()
                }
            )
        return levels[depth][cls]


def own_loaders(plan: Plan) -> frozenset[PhasedLoader]:
    """The loaders that a class itself uses."""
    return frozenset((use.source, use.step.phase) for use in plan.uses)


def _loaders_below(plan: Plan, above: Level) -> frozenset[PhasedLoader]:
    return frozenset[PhasedLoader]().union(*(above.get(kind, ()) for kind in plan.following()))
