"""What descendants send up, given to the collectors of the nodes above them in the order of the tree."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from dloader.resolver._frame import Frame
from dloader.resolver._markers import Collector, ICollector

__all__ = ("give_collectors",)

Bins = Mapping[str, Sequence[ICollector]]
"""The collectors of one node, by the name that descendants send to."""


def give_collectors(frame: Frame) -> None:
    """Make the collectors of each node and fill them with what the nodes below send; their subtrees are done."""
    wanted = [(method.name, name, proto) for method in frame.plan.methods for name, proto in method.collectors]
    if not wanted:
        return
    bins: list[Bins] = []
    for _ in frame.nodes:
        own = {(method, name): _fresh(proto) for method, name, proto in wanted}
        frame.collectors.append(own)
        by_alias: dict[str, list[ICollector]] = {}
        for collector in own.values():
            by_alias.setdefault(collector.alias, []).append(collector)
        bins.append(by_alias)
    _gather(frame, bins)


def _gather(frame: Frame, bins: Sequence[Bins]) -> None:
    # Frames arrive as their loads return; the order of fields in the class is the same on every run.
    stack = [(frame, bins)]
    while stack:
        above, above_bins = stack.pop()
        order = {name: index for index, name in enumerate(_field_names(above))}
        found: list[tuple[Frame, Sequence[Bins]]] = []
        for below in sorted(above.below, key=lambda below: order[below.field]):
            if below.outlook.sends:
                below_bins = [above_bins[owner] for owner in below.owners]
                _send(below, below_bins)
                found.append((below, below_bins))
        stack.extend(reversed(found))


def _send(frame: Frame, bins: Sequence[Bins]) -> None:
    for names, alias in frame.plan.sends:
        for node, by_alias in zip(frame.nodes, bins, strict=True):
            for collector in by_alias.get(alias, ()):
                value = getattr(node, names) if isinstance(names, str) else [getattr(node, name) for name in names]
                collector.add(value)


def _fresh(proto: ICollector) -> ICollector:
    """A collector of a node's own; a deep copy knows how to copy any subclass, but costs twenty times as much."""
    if type(proto) is Collector:
        return Collector(proto.alias, proto.flat)
    return copy.deepcopy(proto)


def _field_names(frame: Frame) -> list[str]:
    cls: Any = frame.plan.cls
    return list(getattr(cls, "model_fields", None) or cls.__dataclass_fields__)
