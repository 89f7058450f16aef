"""Nodes that failed, taken out of what holds them: None stands in their place where the type takes it."""

from __future__ import annotations

import types
from collections.abc import Collection, Container, Iterator, Mapping
from itertools import chain, repeat
from typing import Any, Final, Never, TypeAlias, Union, cast, get_args, get_origin

from dloader.resolver._containers import is_container, items_of, labelled, with_items, with_only
from dloader.resolver._plan._annotations import admits_none, split_annotated

__all__ = ("GONE", "alternatives", "item_types", "without", "without_or_shorter")


class _Gone:
    """What is left where nothing can be."""


GONE: Final = _Gone()
MOST_NESTED = 64
Labels: TypeAlias = tuple[Any, ...]
"""A place in a value: the indices and keys that lead to it."""


def without(value: Any, kind: Any, failed: Container[int], nested: int = 0) -> Any:
    """What a field holds, without nodes that failed.

    Args:
        value: What it holds.
        kind: Its type.
        failed: The ids of nodes that failed.
        nested: Inside how many containers.

    Returns:
        The value itself or a copy of its containers, with None in the places of nodes that failed; or `GONE`.
    """
    if nested > MOST_NESTED or not is_container(cast(Any, type(value))):
        return GONE if id(value) in failed else value
    kinds = item_types(kind, value)
    items: list[Any] = []
    for item, of_item in zip(items_of(value), kinds, strict=False):
        kept = without(item, of_item, failed, nested + 1)
        if kept is GONE:
            if not admits_none(of_item):
                return GONE
            kept = None
        items.append(kept)
    if all(one is other for one, other in zip(items, items_of(value), strict=True)):
        return value
    rest = iter(items)
    return with_items(value, lambda _: next(rest))


def without_or_shorter(
    value: Any, kind: Any, failed: Container[int], rows: Container[Labels], labels: Labels = ()
) -> Any:
    """What was resolved, without nodes that failed: they are left out where their place does not take None.

    A tuple is left out as a whole, if its type does not say that it is of any length.

    Args:
        value: The root.
        kind: Its type; None if nobody declared it.
        failed: The ids of nodes that failed.
        rows: The places where there are none, as rows did not fit.
        labels: The place of the value.

    Returns:
        The value itself, where it can be changed; or `GONE`.
    """
    if len(labels) > MOST_NESTED or not is_container(cast(Any, type(value))):
        return GONE if id(value) in failed or labels in rows else value
    kept: dict[Any, Any] = {}
    is_changed = False
    kinds = repeat(Never) if kind is None else item_types(kind, value)
    is_variadic = kind is not None and any(get_args(part)[1:] == (...,) for part in alternatives(kind))
    for (label, item), of_item in zip(labelled(value), kinds, strict=False):
        new = without_or_shorter(item, of_item, failed, rows, (*labels, label))
        if new is GONE and admits_none(of_item):
            new = None
        if new is not GONE:
            kept[label] = new
        elif issubclass(cast(Any, type(value)), tuple) and not is_variadic:
            return GONE  # each of its places means something
        is_changed = is_changed or new is not item
    return with_only(value, kept) if is_changed else value


def item_types(kind: Any, value: Any, is_raw: bool = False) -> Iterator[Any]:
    """The types of the items of a container, as far as the type of the container tells; then that of nothing.

    Args:
        kind: The type of the container.
        value: The container.
        is_raw: Whether it is still to be made into one of the type: a list may become a tuple, then.
    """
    for part in alternatives(kind):
        origin: Any = get_origin(part)
        parts = get_args(part)
        if not (parts and isinstance(origin, type)):
            continue
        becomes_one = is_raw and issubclass(origin, Collection)
        if isinstance(value, origin) or (
            becomes_one and issubclass(origin, Mapping) is isinstance(value, Mapping)
        ):
            if issubclass(origin, tuple) and parts[-1] is not ...:
                return chain(parts, repeat(Never))
            return repeat(parts[1 if issubclass(origin, Mapping) else 0])
    return repeat(Never)


def alternatives(kind: Any) -> Iterator[Any]:
    """The types of a union, or the one type."""
    opened, _ = split_annotated(kind)
    if get_origin(opened) in (Union, types.UnionType):
        for part in get_args(opened):
            yield from alternatives(part)
    else:
        yield opened
