"""Rows of loaders, and to which keys they belong."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple, TypeAlias

__all__ = (
    "Row",
    "RowMaker",
    "Several",
    "each_once",
    "firsts",
    "grouped",
    "key_getter",
    "named",
    "only_ones",
    "row_maker",
)

RowMaker: TypeAlias = Callable[[Iterable[Sequence[Any]]], list[Any]]


class Several(NamedTuple):
    """Stands in the place of the one row of a key that has several."""

    rows: int


class Row(dict[str, Any]):
    """A row: its columns by the names of the mapped attributes, as items and as attributes.

    A column that is called as a method of dicts, ``items`` say, is an item alone. Columns cannot be set as attributes;
    others can, as ``strawberry.cast`` and Relay's ``node`` do.

    Example:
        >>> row = Row(id=1, name="Ann")
        >>> row["name"], row.name
        ('Ann', 'Ann')
    """

    __slots__ = ("__dict__",)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self:  # an item and an attribute of one name would differ
            raise AttributeError(f"the row is what was read: {name!r} cannot be set")
        super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"the row has no column {name!r}; it has {', '.join(self)}") from None


def row_maker(
    kind: type[dict[str, Any]],
    names: Sequence[str],
    discriminator: int | None,
    by_identity: Mapping[Any, Sequence[int]],
) -> RowMaker:
    """Make the function from what the database returned to rows.

    Args:
        kind: What rows are made of: `Row`, or where only a resolver reads them ``dict``, which costs less.
        names: Of the first columns.
        discriminator: Which column tells the class of a row, if its classes have different columns.
        by_identity: The columns of each class; all where none is known.
    """
    if discriminator is None:
        return lambda found: [kind(zip(names, values)) for values in found]  # noqa: B905 - keys follow, without names
    at = discriminator
    every = range(len(names))

    def of_classes(found: Iterable[Sequence[Any]]) -> list[Any]:
        return [kind({names[i]: values[i] for i in by_identity.get(values[at], every)}) for values in found]

    return of_classes


def key_getter(places: Sequence[int]) -> Callable[[Sequence[Any]], Any]:
    """From what the database returned to the key: a tuple if it has several parts."""
    return itemgetter(*places)


def named(
    key_of: Callable[[Sequence[Any]], Any], naming: Callable[[Any], Any] | None
) -> Callable[[Sequence[Any]], Any]:
    """From what the database returned to what names the key."""
    return key_of if naming is None else lambda values: naming(key_of(values))


def grouped(keys: Iterable[Any], rows: Iterable[Any]) -> dict[Any, list[Any]]:
    """The rows of each key, in their order."""
    groups: defaultdict[Any, list[Any]] = defaultdict(list)
    for key, row in zip(keys, rows, strict=True):
        groups[key].append(row)
    return groups


def firsts(keys: Sequence[Any], rows: Sequence[Any]) -> dict[Any, Any]:
    """The first row of each key."""
    return dict(zip(reversed(keys), reversed(rows), strict=True))


def only_ones(keys: Sequence[Any], rows: Sequence[Any]) -> dict[Any, Any]:
    """The one row of each key, or `Several`."""
    found: dict[Any, Any] = dict(zip(keys, rows, strict=True))
    if len(found) < len(keys):
        found.update((key, Several(count)) for key, count in Counter(keys).items() if count > 1)
    return found


def each_once(
    found: Iterable[Sequence[Any]],
    key_of: Callable[[Sequence[Any]], Any],
    identity_of: Callable[[Sequence[Any]], Any],
) -> list[Sequence[Any]]:
    """Without the rows that are met again for one key."""
    by_identity = {(key_of(values), identity_of(values)): values for values in found}
    return list(by_identity.values())
