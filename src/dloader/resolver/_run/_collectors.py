"""What nodes send up, given to the collectors above them in the order of the tree.

A group that is done passes on what its nodes send and what came from below them: each node before those below it,
fields in the order of the class, items in the order of their list, whatever was loaded first.

What is sent to one name is one list for all nodes of a group, however many there are, and is handed up as it is
where it can be: nodes in a field stand in the order of those that hold them. What many nodes below have sent is not
copied from level to level: it stays where it is, and is looked up when somebody collects it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from itertools import chain, pairwise
from typing import Any, NamedTuple

from dloader.resolver._fields import FailedAt, values_of
from dloader.resolver._markers import Collector, ICollector
from dloader.resolver._plan._plan import Step
from dloader.resolver._run._group import NodeGroup

__all__ = ("Collectors",)

FEW = 8
"""So many values are copied from level to level: that costs less than to look them up."""


class Collectors:
    """What has been sent and not passed on yet; lives as long as one resolve. Only groups that take part are in it.

    Args:
        is_collected: Whether anybody collects what is sent to a name.
    """

    __slots__ = ("_arrived", "_filled", "_is_collected", "_sent")

    def __init__(self, is_collected: Callable[[str], bool]) -> None:
        self._is_collected = is_collected
        self._arrived: dict[NodeGroup, Mapping[str, _Sent]] = {}
        """What was sent from below the nodes of a group, by name."""
        self._sent: dict[NodeGroup, Mapping[str, _Sent]] = {}
        """What a group that is done sends up, by name."""
        self._filled: dict[tuple[NodeGroup, Step, str], list[ICollector]] = {}
        """By group, post and parameter: for each node, a collector of its own."""

    def receive(self, group: NodeGroup) -> None:
        """Take what was sent from below the nodes of a group; all that is below is done."""
        arrived = _arrived(group, {below: self._sent.pop(below, {}) for below in group.below})
        if arrived:
            self._arrived[group] = arrived

    def fill(self, group: NodeGroup, step: Step, name: str, collector: ICollector) -> None:
        """Make the collectors that a post takes: for each node a copy, with what was sent to the node.

        Raises:
            FailedAt: A collector refused a value.
        """
        sent = self._arrived.get(group, {}).get(collector.alias) or _Sent([], [0] * len(group.nodes))
        self._filled[group, step, name] = _filled(collector, sent)

    def fill_each(self, group: NodeGroup, step: Step, name: str, collector: ICollector) -> Sequence[FailedAt]:
        """The same where a collector that refuses a value is none to the others; return those that did."""
        try:
            self.fill(group, step, name, collector)
        except FailedAt:
            pass
        else:
            return ()
        failed: list[FailedAt] = []
        filled: list[ICollector] = []
        for index, values in enumerate(self._arrived[group][collector.alias].by_node()):
            try:
                filled += _filled(collector, _Sent(values, [len(values)]))
            except FailedAt as caught:
                failed.append(FailedAt(index, caught.error))
                filled.append(collector)  # nobody takes it
        self._filled[group, step, name] = filled
        return failed

    def forget(self, group: NodeGroup, indices: Sequence[int]) -> None:
        """Drop what some nodes of a group that is done have sent, and what came from below them."""
        sent = self._sent.get(group)
        if indices and sent:
            gone = frozenset(indices)
            self._sent[group] = {alias: _without(values, gone) for alias, values in sent.items()}

    def take(self, group: NodeGroup, step: Step, name: str) -> Sequence[ICollector]:
        """Those that a post takes by this name."""
        return self._filled.pop((group, step, name))

    def send(self, group: NodeGroup) -> None:
        """Pass on what came from below, after what the nodes themselves send."""
        own: dict[str, list[list[Any]]] = {}
        for names, alias in group.plan.sends:
            if self._is_collected(alias):
                own.setdefault(alias, []).append(_fields_of(group.nodes, names))
        sent = {alias: _of_nodes(fields) for alias, fields in own.items()}
        for alias, arrived in self._arrived.pop(group, {}).items():
            if alias in sent:
                sent[alias] = _both(sent[alias], arrived)
            else:
                sent[alias] = arrived
        if sent:
            self._sent[group] = sent


class _Sent(NamedTuple):
    """What the nodes of a group send to one name."""

    values: list[Any]
    """Of all nodes, one node after the other."""
    ends: Sequence[int]
    """For each node, where its values end and those of the next one begin."""
    has_slices: bool = False
    """Whether some of the values are `_Slice`s."""

    def by_node(self) -> Iterator[list[Any]]:
        """The values of each node."""
        values = self.values
        slices = (values[start:end] for start, end in pairwise((0, *self.ends)))
        return map(_flat, slices) if self.has_slices else slices

    def parts(self) -> tuple[list[list[Any]], bool]:
        """For each node what is to be passed on, a few values or a slice; and whether there are slices."""
        values, bounds = self.values, pairwise((0, *self.ends))
        found = [
            values[start:end] if end - start <= FEW else [_Slice(self, start, end)] for start, end in bounds
        ]
        return found, self.has_slices or sum(map(len, found)) < len(values)


class _Slice(NamedTuple):
    """Stands for values where they are."""

    sent: _Sent
    start: int
    end: int


def _flat(values: list[Any]) -> list[Any]:
    """The values, and in the place of each slice those that it stands for, however deep."""
    found: list[Any] = []
    todo = [iter(values)]
    while todo:
        for value in todo[-1]:
            if type(value) is not _Slice:
                found.append(value)
                continue
            part = value.sent.values[value.start : value.end]
            if value.sent.has_slices:
                todo.append(iter(part))
                break
            found += part
        else:
            todo.pop()
    return found


def _both(own: _Sent, arrived: _Sent) -> _Sent:
    """What nodes send themselves, each before what came from below it."""
    parts, have_slices = arrived.parts()
    return _joined([first + then for first, then in zip(own.by_node(), parts, strict=True)], have_slices)


def _without(sent: _Sent, gone: Container[int]) -> _Sent:
    """What nodes send, but for some of them."""
    parts, have_slices = sent.parts()
    return _joined([[] if index in gone else part for index, part in enumerate(parts)], have_slices)


def _arrived(group: NodeGroup, sent_by: Mapping[NodeGroup, Mapping[str, _Sent]]) -> Mapping[str, _Sent]:
    """What the groups below send, by the nodes that hold the senders."""
    senders = [below for below in group.below if sent_by[below]]
    if not senders:
        return {}
    if len(senders) == 1:
        parent_indices, count = senders[0].parent_indices, len(group.nodes)
        return {
            alias: _of_parents(sent, parent_indices, count) for alias, sent in sent_by[senders[0]].items()
        }
    parts = {below: {alias: sent.parts() for alias, sent in sent_by[below].items()} for below in senders}
    names = dict.fromkeys(alias for below in senders for alias in parts[below])
    have_slices = any(have for by_name in parts.values() for _, have in by_name.values())
    arrived: dict[str, list[list[Any]]] = {alias: [[] for _ in group.nodes] for alias in names}
    for parent_index, index, below in _in_order(group, senders):
        for alias, (values, _) in parts[below].items():
            arrived[alias][parent_index] += values[index]
    return {alias: _joined(values, have_slices) for alias, values in arrived.items()}


def _in_order(group: NodeGroup, senders: Sequence[NodeGroup]) -> Iterator[tuple[int, int, NodeGroup]]:
    """The nodes of several groups in the order of the tree: parent index, index, group."""
    order = {name: index for index, name in enumerate(_field_names(group))}
    found = [
        (parent_index, order[below.field.name], field_index, index, below)
        for below in senders
        for index, (parent_index, field_index) in enumerate(
            zip(below.parent_indices, below.field_indices, strict=True)
        )
    ]
    found.sort(key=lambda node: node[:3])
    return ((parent_index, index, below) for parent_index, _, _, index, below in found)


def _field_names(group: NodeGroup) -> list[str]:
    cls: Any = group.plan.cls
    return list(getattr(cls, "model_fields", None) or cls.__dataclass_fields__)


def _of_parents(sent: _Sent, parent_indices: Sequence[int], count: int) -> _Sent:
    """The same values, by the nodes that hold the senders."""
    last_ends = dict(zip(parent_indices, sent.ends, strict=True))  # of a parent's nodes the last one stays
    ends: list[int] = []
    end = 0
    for index in range(count):
        end = last_ends.get(index, end)
        ends.append(end)
    return _Sent(sent.values, ends, sent.has_slices)


def _joined(per_node: Sequence[list[Any]], have_slices: bool) -> _Sent:
    ends: list[int] = []
    values: list[Any] = []
    for part in per_node:
        values += part
        ends.append(len(values))
    return _Sent(values, ends, have_slices)


def _fields_of(nodes: Sequence[Any], names: str | tuple[str, ...]) -> list[Any]:
    if isinstance(names, str):
        return values_of(nodes, names)
    return list(map(list, zip(*(values_of(nodes, name) for name in names), strict=True)))


def _of_nodes(fields: Sequence[list[Any]]) -> _Sent:
    """What nodes send themselves: as many values each as they have fields for the name."""
    each, count = len(fields), len(fields[0])
    values = fields[0] if each == 1 else list(chain.from_iterable(zip(*fields, strict=True)))
    return _Sent(values, range(each, each * count + 1, each))


def _filled(prototype: ICollector, sent: _Sent) -> list[ICollector]:
    if type(prototype) is Collector and not prototype.flat:  # for 100 values a twelfth of the time of `add`
        return [_with(prototype, values) for values in sent.by_node()]
    collectors: list[ICollector] = []
    for index, values in enumerate(sent.by_node()):
        try:
            collectors.append(collector := _fresh(prototype))
            for value in values:
                collector.add(value)
        except Exception as error:
            raise FailedAt(index, error) from None
    return collectors


def _with(prototype: Collector[Any], values: list[Any]) -> ICollector:
    collector: Collector[Any] = Collector(prototype.alias)
    collector.val.extend(values)
    return collector


def _fresh(prototype: ICollector) -> ICollector:
    """A collector of a node's own; a deep copy knows how to copy any subclass, but costs twenty times as much."""
    if type(prototype) is Collector:
        return Collector(prototype.alias, prototype.flat)
    return copy.deepcopy(prototype)
