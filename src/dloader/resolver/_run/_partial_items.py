"""Items of a field that could not be had, or do not fit, where the field's type takes None in their place.

A list that is loaded as a whole is converted as a whole; only where that fails its items are looked at one by one.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias, cast

from dloader.resolver._containers import is_container, labelled, with_items
from dloader.resolver._convert import InBulk, config_of
from dloader.resolver._field_errors import ends
from dloader.resolver._fields import Failed, FailedAt
from dloader.resolver._gone import item_types
from dloader.resolver._plan._annotations import admits_none, field_types

__all__ = ("FailedItem", "Items", "Mended")

MOST_NESTED = 64
Labels: TypeAlias = tuple[Any, ...]


class FailedItem(NamedTuple):
    """An item that failed."""

    labels: Labels
    """The indices and keys that lead to it."""
    error: Exception


class Mended:
    """Stands in the place of a value that has None in the places of items that failed.

    Args:
        value: The value.
        failed: What failed, in its order.
    """

    __slots__ = ("failed", "value")

    def __init__(self, value: Any, failed: list[FailedItem]) -> None:
        self.value = value
        self.failed = failed


class Items:
    """What may stand in a field's containers; lives as long as the resolve.

    Args:
        cls: The class that has the field.
        name: The field.
    """

    def __init__(self, cls: type, name: str) -> None:
        self._cls = cls
        self._name = name
        self._converters: dict[int, tuple[Any, InBulk]] = {}
        """By the ids of types, which are kept alive here: not every type can be hashed."""

    def mended(self, value: Any) -> Mended:
        """A raw value with None for each item that is a `Failed` or does not fit, where the type takes that."""
        failed: list[FailedItem] = []
        kind = field_types(self._cls)[self._name].annotation
        return Mended(self._each(value, kind, (), failed), failed)

    def _each(self, value: Any, kind: Any, labels: Labels, failed: list[FailedItem]) -> Any:
        if len(labels) > MOST_NESTED or not is_container(cast(Any, type(value))):
            return value
        pairs = zip(labelled(value), item_types(kind, value, is_raw=True), strict=False)
        items = [self._one(item, of_item, (*labels, label), failed) for (label, item), of_item in pairs]
        rest = iter(items)
        return with_items(value, lambda _: next(rest))

    def _one(self, item: Any, kind: Any, labels: Labels, failed: list[FailedItem]) -> Any:
        item = self._each(item, kind, labels, failed)
        if not admits_none(kind) or (error := self._why_not(item, kind)) is None:
            return item
        failed.append(FailedItem(labels, error))
        return None

    def _why_not(self, item: Any, kind: Any) -> Exception | None:
        """Why there is no such item; None if there is one."""
        error: BaseException | None = None
        if type(item) is Failed:
            error = item.error
        else:
            try:
                self._converter(kind).convert((None,), [item])
            except FailedAt as caught:
                error = caught.error
        return error if isinstance(error, Exception) and not ends(error) else None

    def _converter(self, kind: Any) -> InBulk:
        if id(kind) not in self._converters:
            config = config_of(self._cls, f"{self._cls.__name__}.{self._name}")
            self._converters[id(kind)] = kind, InBulk(kind, config)
        return self._converters[id(kind)][1]
