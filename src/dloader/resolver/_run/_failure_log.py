"""What failed where, put in the order of the tree and told with its path when the resolve has ended.

A place is looked up when something fails there: what fields hold is changed later on, by failures themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from dloader.resolver._containers import labels_in
from dloader.resolver._field_errors import FieldError
from dloader.resolver._fields import held_by
from dloader.resolver._run._group import NodeGroup
from dloader.resolver._run._partial_items import FailedItem
from dloader.resolver._run._paths import add_path

__all__ = ("FailureLog",)

Labels = tuple[Any, ...]
UNKNOWN_PLACE: tuple[Labels, int] = ((), 0)


class _Place:
    """A node that failed or stands above something that did; without a name the root."""

    __slots__ = ("below", "labels", "name", "order")

    def __init__(self, name: str, labels: Labels, order: tuple[int, int]) -> None:
        self.name = name
        self.labels = labels
        """Where in its parent's field it stands."""
        self.order = order
        """The field among the parent's fields, and the place in it."""
        self.below: list[_Place | _Failure] = []


class _Failure:
    """Something that failed at a place."""

    __slots__ = ("error", "field", "labels", "loaders", "model", "order")

    def __init__(
        self,
        error: Exception,
        model: type | None,
        field: str | None,
        order: tuple[int, int],
        loaders: str = "",
        labels: Labels = (),
    ) -> None:
        self.error = error
        self.model = model
        self.field = field
        self.order = order
        self.loaders = loaders
        self.labels = labels
        """Where in the field, if not all of it failed."""


class FailureLog:
    """The failures of one resolve; lives as long as it."""

    __slots__ = ("_labels", "_places", "_root", "_top")

    def __init__(self, root: object) -> None:
        self._root = root
        self._top = _Place("", (), (0, 0))
        self._places: dict[int, _Place] = {}
        """By the id of a node, which its group keeps alive."""
        self._labels: dict[tuple[int, str], dict[int, tuple[Labels, int]]] = {}
        """By the id of a node and a field, or of the root: where each node in it stands, and as the how manieth."""

    def add(self, group: NodeGroup, index: int, field: str, error: Exception, loaders: str = "") -> None:
        """Note that a field of a node failed, and with which loaders."""
        order = (_order_of(group, field), -1)
        self._place(group, index).below.append(_Failure(error, group.plan.cls, field, order, loaders))

    def add_items(
        self, group: NodeGroup, index: int, field: str, items: Iterable[FailedItem], loaders: str
    ) -> None:
        """Note that items in a field of a node failed, which has None in their places."""
        place = self._place(group, index)
        for position, (labels, error) in enumerate(items):
            order = (_order_of(group, field), position)
            place.below.append(_Failure(error, group.plan.cls, field, order, loaders, labels))

    def add_set(self, group: NodeGroup | None, index: int, field: str, error: Exception) -> None:
        """Note that a set in a field of a node, or the root, cannot find its members any more."""
        if group is not None:
            self.add(group, index, field, error)
        else:
            self._top.below.append(_Failure(error, None, None, (-1, -1)))

    def add_rows(self, rows: Mapping[Labels, tuple[str, type | None, Exception]]) -> None:
        """Note which rows of the root are no nodes, by their places: what they were to be, and why they are not."""
        positions = {labels: position for position, (labels, _) in enumerate(labels_in(self._root))}
        for labels, (name, model, error) in rows.items():
            place = _Place(name, labels, (0, positions.get(labels, 0)))
            place.below.append(_Failure(error, model, None, (-1, -1)))
            self._top.below.append(place)

    def _place(self, group: NodeGroup, index: int) -> _Place:
        unknown: list[tuple[NodeGroup, int]] = []
        place: _Place | None = None
        while (place := self._places.get(id(group.nodes[index]))) is None:
            unknown.append((group, index))
            if group.parent is None:
                place = self._top
                break
            group, index = group.parent, group.parent_indices[index]
        for below, at in reversed(unknown):
            place.below.append(new := self._new_place(below, at))
            self._places[id(below.nodes[at])] = place = new
        return place

    def _new_place(self, group: NodeGroup, index: int) -> _Place:
        node, parent = group.nodes[index], group.parent
        if parent is None:
            labels, position = self._where(0, "", self._root).get(id(node), UNKNOWN_PLACE)
            return _Place(type(node).__name__, labels, (0, position))
        above, name = parent.nodes[group.parent_indices[index]], group.field.name
        (held,) = held_by((above,), name)
        labels, position = self._where(id(above), name, held).get(id(node), UNKNOWN_PLACE)
        return _Place(f".{name}", labels, (_order_of(parent, name), position))

    def _where(self, owner: int, name: str, value: Any) -> dict[int, tuple[Labels, int]]:
        found = self._labels.get((owner, name))
        if found is None:
            found = self._labels[owner, name] = dict[int, tuple[Labels, int]]()
            for position, (labels, item) in enumerate(labels_in(value)):
                found.setdefault(id(item), (labels, position))
        return found

    def errors(self) -> Iterator[FieldError]:
        """All failures in the order of the tree; each error is noted with its first place."""
        noted: dict[int, Exception] = {}
        todo: list[tuple[_Place | _Failure, str, Labels]] = [(self._top, "", ())]
        while todo:
            what, path, loc = todo.pop()
            if isinstance(what, _Place):
                path += what.name + "".join(f"[{label!r}]" for label in what.labels)
                loc = (*loc, *((what.name[1:],) if what.name.startswith(".") else ()), *what.labels)
                todo += [(below, path, loc) for below in sorted(what.below, key=_order, reverse=True)]
                continue
            if what.field is not None:
                path, loc = (f"{path}.{what.field}" if path else what.field), (*loc, what.field, *what.labels)
                path += "".join(f"[{label!r}]" for label in what.labels)
            if id(what.error) not in noted:
                noted[id(what.error)] = what.error
                add_path(what.error, (path or "the root") + what.loaders)
            yield FieldError(path or "the root", what.error, loc, what.model, what.field)


def _order(what: _Place | _Failure) -> tuple[int, int]:
    return what.order


def _order_of(group: NodeGroup, field: str) -> int:
    fields: Sequence[str] = group.plan.fields
    return fields.index(field) if field in fields else len(fields)
