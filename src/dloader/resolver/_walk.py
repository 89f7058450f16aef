"""Finding nodes inside values, and values inside trees."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set as AbstractSet
from itertools import chain
from typing import Any, cast

from dloader.resolver._types import is_node_class

__all__ = ("flatten", "is_container", "locate", "rebuild")

MOST_NESTED = 64
"""Containers nested deeper than this are not data; a list that contains itself must not hang."""


def is_container(kind: type[Any]) -> bool:
    """Whether values of a class are looked into: sequences, sets, and mappings for their values."""
    if kind is list:
        return True
    if issubclass(kind, (str, bytes, bytearray, memoryview, range)) or is_node_class(kind):
        return False
    return issubclass(kind, (Sequence, Mapping, AbstractSet))


def flatten(
    values: Sequence[Any], owners: Sequence[int]
) -> tuple[Sequence[Any], Sequence[int], list[set[Any]]]:
    """Look into containers until there are none.

    Args:
        values: One value per owner.
        owners: Which node each value belongs to.

    Returns:
        All items in their order, the owner of each, and the sets that were looked into.
    """
    sets: list[set[Any]] = []
    for _ in range(MOST_NESTED):
        kinds = set(map(type, values))
        containers = {kind for kind in kinds if is_container(kind)}
        if not containers:
            break
        if kinds == {list}:
            owners = [owner for owner, value in zip(owners, values, strict=True) for _ in value]
            values = list(chain.from_iterable(values))
            continue
        if set in kinds:
            sets.extend(filter(_is_set, values))
        opened = [list(_items(value)) if type(value) in containers else [value] for value in values]
        owners = [owner for owner, items in zip(owners, opened, strict=True) for _ in items]
        values = list(chain.from_iterable(opened))
    return values, owners, sets


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
