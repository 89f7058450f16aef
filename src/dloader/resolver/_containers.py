"""Finding nodes inside values, and values inside trees."""

from __future__ import annotations

import copy
from collections.abc import (
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    MutableSequence,
    MutableSet,
    Sequence,
    Set as AbstractSet,
)
from itertools import chain, repeat
from typing import Any, NamedTuple, cast

from dloader.resolver._plan._annotations import is_node_class

__all__ = (
    "FoundNodes", "flatten", "is_container", "items_of", "labelled", "labels_in", "locate", "rebuild", "rehash",
    "with_items", "with_only",
)  # fmt: skip

MOST_NESTED = 64
"""Containers nested deeper than this are not data; a list that contains itself must not hang."""
LEAVES = frozenset({bool, bytes, float, int, str, type(None)})
MADE_OF_ITEMS: frozenset[Any] = frozenset({frozenset, set, tuple})
NOTHING_KNOWN: Mapping[type, object | None] = {}


class FoundNodes(NamedTuple):
    """What was found by looking into containers."""

    items: Sequence[Any]
    """All items in their order."""
    parent_indices: Sequence[int]
    """For each item, which node's value it was found in."""
    classes: Collection[type]
    """Of the items, in the order in which they first occur."""
    has_sets: bool
    """Whether sets were looked into: see `rehash`."""


def flatten(
    values: Sequence[Any], parent_indices: Sequence[int], known: Mapping[type, object | None] = NOTHING_KNOWN
) -> FoundNodes:
    """Look into containers until there are none.

    Args:
        values: One value per node.
        parent_indices: Which node each value belongs to.
        known: Something for each class that is known to be of nodes.
    """
    has_sets = False
    kinds = dict.fromkeys(map(type, values))
    nested = 0
    while containers := {kind for kind in kinds if known.get(kind) is None and is_container(kind)}:
        nested += 1
        if nested > MOST_NESTED:
            break
        if len(kinds) == 1 and list in kinds:
            opened = values
        else:
            has_sets = has_sets or any(issubclass(kind, (set, frozenset)) for kind in containers)
            opened = [list(items_of(value)) if type(value) in containers else [value] for value in values]
        # By ``repeat``, which takes a third of the time of a loop.
        parent_indices = list(chain.from_iterable(map(repeat, parent_indices, map(len, opened))))
        values = list(chain.from_iterable(opened))
        kinds = dict.fromkeys(map(type, values))
    return FoundNodes(values, parent_indices, kinds, has_sets)


def rebuild(value: Any, items: Iterator[Any]) -> Any:
    """A copy of a value's containers with other items, in the order in which `flatten` finds them."""
    if not is_container(cast(Any, type(value))):
        return next(items)
    return with_items(value, lambda item: rebuild(item, items))


def with_items(value: Any, change: Callable[[Any], Any]) -> Any:
    """A container of the same kind, with something else in the place of each item.

    Where a kind can only be made in a way of its own, a list, or a dict, takes its place.
    """
    kind: Any = cast(Any, type(value))
    if _is_mapping(value):
        named: dict[Any, Any] = {key: change(item) for key, item in value.items()}
        return named if kind is dict else _refilled(value, named)
    items: list[Any] = [change(item) for item in value]
    if kind is list:
        return items
    if hasattr(kind, "_make"):
        return kind._make(items)
    return kind(items) if kind in MADE_OF_ITEMS else _refilled(value, items)


def _refilled(value: Any, items: Any) -> Any:
    """A copy that keeps what its class keeps beside the items: a default factory, a greatest length."""
    kind: Any = cast(Any, type(value))
    try:
        if not issubclass(kind, (MutableSequence, MutableMapping, MutableSet)):
            return kind(items)
        new: Any = copy.copy(value)
        new.clear()
        if issubclass(kind, MutableSequence):
            new.extend(items)
        elif issubclass(kind, MutableMapping):
            new.update(items)
        else:
            new |= set(items)
    except Exception:  # whatever a class makes of being copied
        return items
    return new


def rehash(value: Any, nested: int = 0) -> Any:
    """Let sets find their members, whose hashes have changed.

    Returns:
        The value itself, with its lists, dicts and sets set right; or a new one where a frozenset or a tuple has to
        be another object.

    Raises:
        TypeError: A member of a set cannot be hashed. The set is as it was.
    """
    kind: Any = cast(Any, type(value))
    if not is_container(kind) or nested > MOST_NESTED:
        return value
    if issubclass(kind, (set, frozenset)):
        members = {rehash(member, nested + 1) for member in value}
        if issubclass(kind, frozenset):
            return cast(Any, kind)(members)
        value.clear()
        value |= members  # takes over the hashes: nothing can fail any more
        return value
    new = {place: rehash(item, nested + 1) for place, item in labelled(value)}
    changed = {place: item for place, item in new.items() if item is not value[place]}
    if not changed:
        return value
    if kind in (list, dict):
        for place, item in changed.items():
            value[place] = item
        return value
    make = getattr(kind, "_make", tuple if kind is tuple else None)
    return value if make is None else make(new.values())


def locate(value: Any, node: object) -> str | None:
    """Where in a value a node is: ``""`` if it is the value, ``"[2]"`` in a list, ``"['eu']"`` in a dict."""
    if value is node:
        return ""
    if not is_container(cast(Any, type(value))):
        return None
    for label, item in labelled(value):
        place = locate(item, node)
        if place is not None:
            return f"[{label!r}]{place}"
    return None


def labels_in(value: Any, labels: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """What stands in a value, in the order in which `flatten` finds it, after the indices and keys that lead to it."""
    if not is_container(cast(Any, type(value))) or len(labels) > MOST_NESTED:
        yield labels, value
        return
    for label, item in labelled(value):
        yield from labels_in(item, (*labels, label))


def with_only(value: Any, kept: Mapping[Any, Any]) -> Any:
    """A container with some of its items alone: lists, dicts and sets themselves, and a new one of any other kind.

    Args:
        value: The container.
        kept: By index or key, what is to stand there.
    """
    kind: Any = cast(Any, type(value))
    if kind is dict:
        value.clear()
        value.update(kept)
        return value
    if _is_mapping(value):
        return _refilled(value, dict(kept))
    items = list(kept.values())
    if kind is list:
        value[:] = items
        return value
    if kind is set:
        value.clear()
        value.update(items)
        return value
    return kind(items) if kind in MADE_OF_ITEMS else _refilled(value, items)


def is_container(kind: type[Any]) -> bool:
    """Whether values of a class are looked into: sequences, sets, and mappings for their values."""
    if kind is list:
        return True
    if kind in LEAVES:  # a fourteenth of the time of asking abstract classes
        return False
    if issubclass(kind, (str, bytes, bytearray, memoryview, range)) or is_node_class(kind):
        return False
    return issubclass(kind, (Sequence, Mapping, AbstractSet))


def items_of(value: Any) -> Iterable[Any]:
    """The items of a container, or its values."""
    items: Iterable[Any] = value.values() if _is_mapping(value) else value
    return items


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


def labelled(value: Any) -> Iterator[tuple[object, Any]]:
    """The items of a container, each with its key, or index."""
    yield from value.items() if _is_mapping(value) else enumerate(value)
