"""Finding nodes inside values, and values inside trees."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set as AbstractSet
from itertools import chain
from typing import Any, TypeAlias, cast

from dloader.resolver._types import is_node_class

__all__ = ("Found", "flatten", "is_container", "locate", "rebuild")

MOST_NESTED = 64
"""Containers nested deeper than this are not data; a list that contains itself must not hang."""
LEAVES = frozenset({bool, bytes, float, int, str, type(None)})
NOTHING_KNOWN: Mapping[type, object | None] = {}


Found: TypeAlias = tuple[Sequence[Any], Sequence[int], Collection[type], Sequence[set[Any]]]
"""What was found by looking into containers: all items in their order; for each item, the owner of the value that it
was found in; the classes of the items, in the order in which they first occur; the sets that were looked into."""


def is_container(kind: type[Any]) -> bool:
    """Whether values of a class are looked into: sequences, sets, and mappings for their values."""
    if kind is list:
        return True
    if kind in LEAVES:  # a fourteenth of the time of asking abstract classes
        return False
    if issubclass(kind, (str, bytes, bytearray, memoryview, range)) or is_node_class(kind):
        return False
    return issubclass(kind, (Sequence, Mapping, AbstractSet))


def flatten(
    values: Sequence[Any], owners: Sequence[int], known: Mapping[type, object | None] = NOTHING_KNOWN
) -> Found:
    """Look into containers until there are none.

    Args:
        values: One value per owner.
        owners: Which node each value belongs to.
        known: Something for each class that is known to be of nodes.
    """
    sets: list[set[Any]] = []
    kinds = dict.fromkeys(map(type, values))
    nested = 0
    while containers := {kind for kind in kinds if known.get(kind) is None and is_container(kind)}:
        nested += 1
        if nested > MOST_NESTED:
            break
        if len(kinds) == 1 and list in kinds:
            opened = values
        else:
            if set in kinds:
                sets.extend(filter(_is_set, values))
            opened = [list(_items(value)) if type(value) in containers else [value] for value in values]
        owners = [owner for owner, items in zip(owners, opened, strict=True) for _ in items]
        values = list(chain.from_iterable(opened))
        kinds = dict.fromkeys(map(type, values))
    return values, owners, kinds, sets


def _items(value: Any) -> Iterable[Any]:
    items: Iterable[Any] = value.values() if _is_mapping(value) else value
    return items


def _is_set(value: Any) -> bool:
    return type(value) is set


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


def rebuild(value: Any, items: Iterator[Any]) -> Any:
    """A copy of a value's containers with other items, in the order in which `flatten` finds them."""
    kind: Any = cast(Any, type(value))
    if not is_container(kind):
        return next(items)
    if _is_mapping(value):
        return {key: rebuild(item, items) for key, item in value.items()}
    rebuilt = [rebuild(item, items) for item in value]
    if hasattr(kind, "_make"):
        return kind._make(rebuilt)
    return kind(rebuilt) if _is_rebuildable(kind) else rebuilt


def _is_rebuildable(kind: Any) -> bool:
    return kind in (tuple, set, frozenset)


def locate(value: Any, node: object) -> str | None:
    """Where in a value a node is: ``""`` if it is the value, ``"[2]"`` in a list, ``"['eu']"`` in a dict."""
    if value is node:
        return ""
    if not is_container(cast(Any, type(value))):
        return None
    for label, item in _labelled(value):
        place = locate(item, node)
        if place is not None:
            return f"[{label!r}]{place}"
    return None


def _labelled(value: Any) -> Iterator[tuple[object, Any]]:
    yield from value.items() if _is_mapping(value) else enumerate(value)
