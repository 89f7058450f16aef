"""From rows, as a database returns them, to results in the order of the keys."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

__all__ = ("build_list", "build_object")

K = TypeVar("K", bound=Hashable)
Row = TypeVar("Row")


def build_list(rows: Iterable[Row], keys: Iterable[K], get_key: Callable[[Row], K]) -> list[list[Row]]:
    """Group `rows` by `get_key`: one list per key, in the order of `keys`.

    Args:
        rows: The rows of one query, in any order; each group keeps theirs.
        keys: The keys of the batch.
        get_key: Tells which key a row belongs to, e.g. ``lambda row: row["company_id"]``.

    Returns:
        As many lists as keys, a new empty list where there is no row. Rows of other keys are dropped.

    Example:
        >>> offices = [{"id": 7, "company_id": 2}, {"id": 8, "company_id": 1}, {"id": 9, "company_id": 2}]
        >>> [[o["id"] for o in group] for group in build_list(offices, [1, 2, 3], lambda o: o["company_id"])]
        [[8], [7, 9], []]

    The name and the arguments are those of pydantic-resolve.
    """
    groups: defaultdict[K, list[Row]] = defaultdict(list)
    for row in rows:
        groups[get_key(row)].append(row)
    return [groups.get(key) or [] for key in keys]


def build_object(rows: Iterable[Row], keys: Iterable[K], get_key: Callable[[Row], K]) -> list[Row | None]:
    """Find the one row of each key, in the order of `keys`.

    Args:
        rows: The rows of one query, in any order. Of several rows with one key the last one counts.
        keys: The keys of the batch.
        get_key: Tells which key a row belongs to, e.g. ``lambda row: row["id"]``.

    Returns:
        As many items as keys, ``None`` where there is no row.

    Example:
        >>> users = [{"id": 2, "name": "Bob"}, {"id": 1, "name": "Alice"}]
        >>> build_object(users, [1, 3], lambda u: u["id"])
        [{'id': 1, 'name': 'Alice'}, None]

    The name and the arguments are those of pydantic-resolve.
    """
    found = {get_key(row): row for row in rows}
    return list(map(found.get, keys))
