"""One number for each parent, of all its targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import func

from dloader.sqlalchemy._equal_keys import Naming, by_equal_key, naming_of
from dloader.sqlalchemy._keys import ForKeys, for_keys
from dloader.sqlalchemy._lookup import Lookup, with_options
from dloader.sqlalchemy._rows import key_getter, named

__all__ = ("AggregateSelect",)


class AggregateSelect:
    """The select of an aggregate of some keys.

    Each target counts once for a parent, also where a relationship finds it several times.
    """

    __slots__ = ("_for_keys", "_key_of", "_naming")

    def __init__(self, lookup: Lookup, expression: Any, dialect: str) -> None:
        relation = lookup.relation.distinct()
        links = relation.found.links
        value = func.count() if expression is None else expression
        statement = lookup.select_from(relation, None, [value, *links]).group_by(*links)
        self._for_keys: ForKeys = for_keys(statement, links, dialect)
        self._key_of = key_getter(range(1, 1 + len(links)))
        self._naming = naming_of(links, dialect)

    async def values(self, reader: Any, keys: Sequence[Any], options: Sequence[Any]) -> Mapping[Any, Any]:
        """The value of each key that has targets."""

        async def read(some: Sequence[Any], naming: Naming) -> dict[Any, Any]:
            found: dict[Any, Any] = {}
            key_of = named(self._key_of, naming)
            for statement, params in self._for_keys(some):
                rows = await reader.rows(with_options(statement, options), params)
                found.update((key_of(row), row[0]) for row in rows)
            return found

        return await by_equal_key(read, keys, self._naming)
