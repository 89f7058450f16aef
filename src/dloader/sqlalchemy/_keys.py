"""Keys in statements: few texts for any number of keys, below every limit of the database."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, TypeAlias

from sqlalchemy import (
    ARRAY,
    Enum,
    Float,
    Integer,
    Numeric,
    String,
    and_,
    any_,
    bindparam,
    column,
    func,
    or_,
    tuple_,
)
from sqlalchemy.types import NullType

from dloader import OptionError

__all__ = ("ForKeys", "Keys", "array_type", "arrays_of", "for_keys", "parts_of", "unnested")

Keys: TypeAlias = Sequence[Any]
ForKeys: TypeAlias = Callable[[Keys], Iterator[tuple[Any, dict[str, Any]]]]
"""The statements that some keys take, each with its parameters; none for no keys."""

MOST_IN_ARRAY = 30_000
"""For the time to the first row, and memory: the database has no limit of its own."""
SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)
"""Keys are filled up to one of these with the last, so that there are ten texts and not a thousand.

A place that is filled up costs as much as a key: with four sizes, 200 keys took a seventh of a request's CPU more.
"""
OTHER_SIZES = SIZES[:-1]
"""Of databases that were not measured: SQL Server takes 2,100 parameters, Oracle 1,000 in a list."""
TERM_SIZES = (1, 10, 100, 400)
"""SQLite's expressions are at most 1,000 deep."""


def for_keys(statement: Any, links: Sequence[Any], dialect: str) -> ForKeys:
    """A select that is restricted to the keys which stand in some columns, in the way of a dialect."""
    if dialect == "postgresql":
        return (_by_array if len(links) == 1 else _by_arrays)(statement, links)
    is_known = dialect in ("sqlite", "mysql", "mariadb")
    if len(links) == 1:
        return _by_list(statement, links[0], SIZES if is_known else OTHER_SIZES)
    if dialect == "sqlite" and all(map(_is_plain_in_json, links)):
        return _by_json(statement, links)
    if is_known and dialect != "sqlite":
        return _by_list(statement, tuple_(*links), SIZES)
    return _by_terms(statement, links)


def unnested(links: Sequence[Any]) -> Any:
    """PostgreSQL: keys as a table, from an array for each of their columns."""
    arrays = [bindparam(f"dloader_keys_{i}", type_=array_type(link)) for i, link in enumerate(links)]
    unnest: Any = func.unnest(*arrays)
    columns = [column(f"k{i}", link.type) for i, link in enumerate(links)]
    return unnest.table_valued(*columns).render_derived(name="dloader_keys")


def array_type(expression: Any) -> Any:
    """The type of an array of what an expression is.

    Raises:
        OptionError: Nobody knows it, as of many functions.
    """
    if isinstance(expression.type, NullType):
        function = expression.element if expression.__visit_name__ == "label" else expression
        raise OptionError(
            f"{expression} has no type that SQLAlchemy knows, which PostgreSQL needs for keys and cursors: "
            f"say it by type_coerce(..., Integer), or func.{getattr(function, 'name', 'abs')}(..., type_=Integer)"
        )
    return ARRAY(expression.type)


def arrays_of(keys: Iterable[tuple[Any, ...]], links: Sequence[Any]) -> dict[str, Any]:
    """The parameters of `unnested`: the keys by their columns."""
    return {
        f"dloader_keys_{i}": array_of(each, link.type)
        for i, (each, link) in enumerate(zip(zip(*keys, strict=True), links, strict=True))
    }


def array_of(values: Iterable[Any], kind: Any) -> list[Any]:
    """Values of one class, where keys may be of several: psycopg takes no array of ints and floats."""
    if isinstance(kind, Float):
        return list(map(float, values))
    return list(map(Decimal, values) if isinstance(kind, Numeric) else values)


def parts_of(keys: Keys, size: int) -> Iterator[Keys]:
    """The keys in parts of at most a size."""
    return (keys[start : start + size] for start in range(0, len(keys), size))


def _by_array(statement: Any, links: Sequence[Any]) -> ForKeys:
    array: Any = bindparam("dloader_keys", type_=array_type(links[0]))
    restricted = statement.where(links[0] == any_(array))
    kind = links[0].type
    return lambda keys: (
        (restricted, {"dloader_keys": array_of(part, kind)}) for part in parts_of(keys, MOST_IN_ARRAY)
    )


def _by_arrays(statement: Any, links: Sequence[Any]) -> ForKeys:
    table = unnested(links)
    restricted = statement.join(table, and_(*map(_equal, links, table.c)))

    def statements(keys: Keys) -> Iterator[tuple[Any, dict[str, Any]]]:
        for part in parts_of(keys, MOST_IN_ARRAY):
            yield restricted, arrays_of(part, links)

    return statements


def _by_list(statement: Any, link: Any, sizes: Sequence[int]) -> ForKeys:
    restricted = statement.where(link.in_(bindparam("dloader_keys", expanding=True)))
    return lambda keys: ((restricted, {"dloader_keys": part}) for part in _filled(keys, sizes))


def _by_json(statement: Any, links: Sequence[Any]) -> ForKeys:
    """SQLite scans the table for a list of tuples (200 times slower for ten keys); this uses the index."""
    each: Any = func.json_each(bindparam("dloader_keys")).table_valued("value", name="dloader_keys")
    parts = [func.json_extract(each.c.value, f"$[{i}]", type_=link.type) for i, link in enumerate(links)]
    restricted = statement.join(each, and_(*map(_equal, links, parts)))
    return lambda keys: (
        (restricted, {"dloader_keys": json.dumps(part)}) for part in parts_of(keys, MOST_IN_ARRAY)
    )


def _is_plain_in_json(link: Any) -> bool:
    """Whether the keys of a column go through JSON and come back as they were."""
    return isinstance(link.type, (Integer, String)) and not isinstance(link.type, Enum)


def _by_terms(statement: Any, links: Sequence[Any]) -> ForKeys:
    """A condition for each key."""
    restricted: dict[int, Any] = {}

    def restricted_to(count: int) -> Any:
        if count not in restricted:
            terms = [
                and_(
                    *(
                        link == bindparam(f"dloader_key_{n}_{i}", type_=link.type)
                        for i, link in enumerate(links)
                    )
                )
                for n in range(count)
            ]
            restricted[count] = statement.where(or_(*terms))
        return restricted[count]

    def statements(keys: Keys) -> Iterator[tuple[Any, dict[str, Any]]]:
        for part in _filled(keys, TERM_SIZES):
            values = {
                f"dloader_key_{n}_{i}": value for n, key in enumerate(part) for i, value in enumerate(key)
            }
            yield restricted_to(len(part)), values

    return statements


def _equal(one: Any, other: Any) -> Any:
    return one == other


def _filled(keys: Keys, sizes: Sequence[int]) -> Iterator[list[Any]]:
    """Parts of the keys, each filled up to a size with its last key."""
    for part in parts_of(keys, sizes[-1]):
        size = next(size for size in sizes if size >= len(part))
        yield [*part, *[part[-1]] * (size - len(part))]
