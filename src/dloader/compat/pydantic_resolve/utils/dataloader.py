"""Rows in the order of keys, copies of loader classes, and loaders that load nothing."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, TypeVar

import dloader
from dloader.compat.aiodataloader import DataLoader
from dloader.resolver import copy_dataloader_kls

__all__ = (
    "ListEmptyLoader",
    "SingleEmptyLoader",
    "StrictEmptyLoader",
    "build_list",
    "build_object",
    "copy_dataloader_kls",
    "generate_list_empty_loader",
    "generate_single_empty_loader",
    "generate_strict_empty_loader",
)

T = TypeVar("T")
H = TypeVar("H", bound=Hashable)


def build_list(items: Iterable[T], keys: Sequence[H], get_pk: Callable[[T], H]) -> list[list[T]]:
    """Give each key a list of the items that have it, in the order of the keys.

    Args:
        items: Rows, in any order.
        keys: What a batch function was given.
        get_pk: The key of an item.

    Example:
        >>> build_list(["apple", "pear", "avocado"], ["p", "a", "x"], lambda name: name[0])
        [['pear'], ['apple', 'avocado'], []]
    """
    return dloader.build_list(items, keys, get_pk)


def build_object(items: Iterable[T], keys: Sequence[H], get_pk: Callable[[T], H]) -> list[T | None]:
    """Give each key the last item that has it, or None, in the order of the keys.

    Args:
        items: Rows, in any order.
        keys: What a batch function was given.
        get_pk: The key of an item.

    Example:
        >>> build_object(["apple", "pear"], ["p", "a", "x"], lambda name: name[0])
        ['pear', 'apple', None]
    """
    return dloader.build_object(items, keys, get_pk)


class StrictEmptyLoader(DataLoader[Any, Any]):
    """Has what it is primed with, and loads nothing: an error."""

    async def batch_load_fn(self, keys: list[Any]) -> list[Any]:
        """Refuse to load."""
        raise ValueError(
            f"EmptyLoader should load from pre loaded data: {self.name} was not primed with {keys!r}"
        )


class ListEmptyLoader(DataLoader[Any, Any]):
    """Has what it is primed with, and empty lists for other keys."""

    async def batch_load_fn(self, keys: list[Any]) -> list[Any]:
        """Give an empty list for each key."""
        return [[] for _ in keys]


class SingleEmptyLoader(DataLoader[Any, Any]):
    """Has what it is primed with, and None for other keys."""

    async def batch_load_fn(self, keys: list[Any]) -> list[Any]:
        """Give None for each key."""
        return [None for _ in keys]


def generate_strict_empty_loader(name: str) -> type[StrictEmptyLoader]:
    """Make a class like `StrictEmptyLoader` of that name."""
    return copy_dataloader_kls(name, StrictEmptyLoader)


def generate_list_empty_loader(name: str) -> type[ListEmptyLoader]:
    """Make a class like `ListEmptyLoader` of that name."""
    return copy_dataloader_kls(name, ListEmptyLoader)


def generate_single_empty_loader(name: str) -> type[SingleEmptyLoader]:
    """Make a class like `SingleEmptyLoader` of that name."""
    return copy_dataloader_kls(name, SingleEmptyLoader)
