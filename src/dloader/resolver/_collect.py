"""What nodes send up, given to the collectors above them in the order of the tree.

A frame that is done passes on what its nodes send and what came from below them: each node before those below it,
fields in the order of the class, items in the order of their list, whatever was loaded first.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from dloader.resolver._convert import FailedAt
from dloader.resolver._frame import Frame
from dloader.resolver._markers import Collector, ICollector

__all__ = ("Sent", "filled_collectors", "receive", "send")

Sent = Mapping[str, list[list[Any]]]
"""By the name that is sent to: for each node of a frame, the values."""


def receive(frame: Frame) -> Sent:
    """What was sent from below each node of a frame; those below are done."""
    senders = [below for below in frame.below if below.sent]
    arrived: dict[str, list[list[Any]]] = {}
    if len(senders) == 1:
        for alias, column in senders[0].sent.items():
            gathered = arrived[alias] = [[] for _ in frame.nodes]
            for owner, values in zip(senders[0].owners, column, strict=True):
                gathered[owner] += values
        return arrived
    order = {name: index for index, name in enumerate(_field_names(frame))}
    places = (
        (owner, order[below.field], place, index, below)
        for below in senders
        for index, (owner, place) in enumerate(zip(below.owners, below.places, strict=True))
    )
    for owner, _, _, index, below in sorted(places, key=lambda place: place[:3]):
        for alias, column in below.sent.items():
            arrived.setdefault(alias, [[] for _ in frame.nodes])[owner] += column[index]
    return arrived


def send(frame: Frame) -> None:
    """Pass on what came from below, after what the nodes themselves send."""
    sent: dict[str, list[list[Any]]] = {}
    for names, alias in frame.plan.sends:
        own = sent.setdefault(alias, [[] for _ in frame.nodes])
        for node, values in zip(frame.nodes, own, strict=True):
            values.append(
                getattr(node, names) if isinstance(names, str) else [getattr(node, name) for name in names]
            )
    for alias, column in frame.arrived.items():
        if alias not in sent:
            sent[alias] = column
        else:
            sent[alias] = [own + below for own, below in zip(sent[alias], column, strict=True)]
    frame.sent = sent
    for below in frame.below:
        below.sent = {}


def filled_collectors(frame: Frame, proto: ICollector) -> list[ICollector]:
    """For each node, a collector of its own with what was sent to it.

    Raises:
        FailedAt: A collector refused a value.
    """
    column = frame.arrived.get(proto.alias) or [[] for _ in frame.nodes]
    collectors: list[ICollector] = []
    for index, values in enumerate(column):
        try:
            collectors.append(collector := _fresh(proto))
            for value in values:
                collector.add(value)
        except Exception as error:
            raise FailedAt(index, error) from None
    return collectors


def _fresh(proto: ICollector) -> ICollector:
    """A collector of a node's own; a deep copy knows how to copy any subclass, but costs twenty times as much."""
    if type(proto) is Collector:
        return Collector(proto.alias, proto.flat)
    return copy.deepcopy(proto)


def _field_names(frame: Frame) -> list[str]:
    cls: Any = frame.plan.cls
    return list(getattr(cls, "model_fields", None) or cls.__dataclass_fields__)
