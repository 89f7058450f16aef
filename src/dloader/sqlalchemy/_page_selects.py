"""The first rows of each parent: three ways to read no more than these where the database can.

*lateral*: for each key a limited select, by which PostgreSQL reads the rows of the page alone, if an index begins with
the key and has the order. *union*: the same in one statement, where there is no LATERAL. *row_number*: all rows of the
parents are numbered; the way where no index is known, in which the others would read the whole table for each parent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import Integer, and_, bindparam, column, func, or_, select, true, union_all

from dloader.sqlalchemy._keys import ForKeys, array_type, arrays_of, for_keys, parts_of
from dloader.sqlalchemy._orders import Order

__all__ = ("Part", "PartSelect", "has_fitting_index", "part_select")

Statements: TypeAlias = Iterator[tuple[Any, dict[str, Any]]]
PartSelect: TypeAlias = Callable[["Sequence[Any]", "Sequence[Sequence[Any]] | None", int], Statements]
"""From keys, the values where each begins and ends, and how many rows: statements and their parameters."""

UNION_SIZES = (1, 10, 100)
"""SQLite takes 500 selects in one; these are few texts, filled up with keys that nothing has."""
MOST_IN_ARRAY = 30_000


class Part(NamedTuple):
    """What is read: some rows of each parent."""

    select_from: Callable[[Sequence[Any]], Any]
    """From columns to a select of all rows of all parents."""
    columns: tuple[Any, ...]
    """What is selected: those of the row first, then those of the order."""
    links: tuple[Any, ...]
    order: Order
    has_start: bool
    """Whether each parent's rows begin after values of its own for the terms of the order."""
    has_end: bool
    """Whether they end before values of its own, which come after those where they begin."""
    options: Sequence[Any]

    @property
    def order_at(self) -> int:
        """Where the columns of the order begin."""
        return len(self.columns) - len(self.order.terms)

    @property
    def bounds(self) -> list[Any]:
        """What the values where rows begin and end are compared with."""
        return [each.expression for each in self.order.terms] * (self.has_start + self.has_end)

    @property
    def bound_types(self) -> list[Any]:
        """The types of these values."""
        return [each.type for each in self.bounds]

    def within(self, values: Sequence[Any], dialect: str) -> list[Any]:
        """The conditions that a row comes after the first of some values, and before the others."""
        count = len(self.order.terms)
        conditions: list[Any] = []
        if self.has_start:
            conditions.append(self.order.is_after(values[:count], dialect))
        if self.has_end:
            conditions.append(self.order.reversed().is_after(values[-count:], dialect))
        return conditions

    def labelled(self) -> list[Any]:
        """The columns and the key under names of their own: a subquery has each once."""
        every = (*self.columns, *self.links)
        return [each.label(f"c{i}") for i, each in enumerate(every)]

    def outer(self, inner: Any) -> list[Any]:
        """The same columns of a subquery."""
        return [inner.c[f"c{i}"] for i in range(len(self.columns) + len(self.links))]

    def outer_order(self, inner: Any, dialect: str) -> list[Any]:
        """What ORDER BY says outside of a subquery."""
        expressions = self.outer(inner)[self.order_at : len(self.columns)]
        return self.order.clauses(dialect, expressions)


def part_select(part: Part, way: str, dialect: str) -> PartSelect:
    """The statements of a part; each gives its columns, then the key."""
    if way == "lateral":
        return _by_lateral(part) if dialect == "postgresql" else _by_union(part, dialect)
    return _by_row_number(part, dialect)


def has_fitting_index(links: Sequence[Any], dialect: str) -> bool:
    """Whether the mapping shows an index that begins with the columns of the key."""
    columns = [_table_column(link) for link in links]
    if any(each is None for each in columns) or len({each.table for each in columns}) > 1:
        return False
    table = columns[0].table
    wanted = set(columns)
    indexes = [list(each.expressions) for each in getattr(table, "indexes", ())]
    indexes += [list(each.columns) for each in getattr(table, "constraints", ()) if _is_index(each, dialect)]
    return any(set(index[: len(wanted)]) == wanted for index in indexes if _are_columns(index[: len(wanted)]))


def _table_column(link: Any) -> Any:
    clause: Any = getattr(link, "__clause_element__", lambda: link)()
    table = getattr(clause, "table", None)
    found = None if table is None else table.c.get(clause.key)
    return found if hasattr(table, "indexes") else None


def _is_index(constraint: Any, dialect: str) -> bool:
    """Primary keys and unique constraints are; InnoDB has one for each foreign key too."""
    kinds = {"primary_key_constraint", "unique_constraint"}
    if dialect in ("mysql", "mariadb"):
        kinds.add("foreign_key_constraint")
    return constraint.__visit_name__ in kinds


def _are_columns(index: Sequence[Any]) -> bool:
    return all(hasattr(each, "table") for each in index)


def _by_lateral(part: Part) -> PartSelect:
    kinds = part.bound_types
    arrays = [bindparam(f"dloader_keys_{i}", type_=array_type(link)) for i, link in enumerate(part.links)]
    arrays += [bindparam(f"dloader_bound_{i}", type_=array_type(each)) for i, each in enumerate(part.bounds)]
    names = [column(f"k{i}", link.type) for i, link in enumerate(part.links)]
    names += [column(f"b{i}", kind) for i, kind in enumerate(kinds)]
    unnest: Any = func.unnest(*arrays)
    keys = unnest.table_valued(*names).render_derived(name="dloader_keys")
    count = len(part.links)
    inner = part.select_from(part.labelled()).where(*map(_equal, part.links, list(keys.c)[:count]))
    inner = inner.where(*part.within(list(keys.c)[count:], "postgresql"))
    limited = inner.order_by(*part.order.clauses("postgresql")).limit(
        bindparam("dloader_rows", type_=Integer)
    )
    found = limited.lateral("dloader_part")
    statement = (
        select(*part.outer(found))
        .select_from(keys)
        .join(found, true())
        .order_by(*part.outer_order(found, "postgresql"))
        .options(*part.options)
    )

    def statements(keys: Sequence[Any], bounds: Sequence[Sequence[Any]] | None, rows: int) -> Statements:
        for some, their_bounds in _together(keys, bounds, MOST_IN_ARRAY):
            params = arrays_of(_as_tuples(some, count), part.links)
            params |= {
                f"dloader_bound_{i}": list(each) for i, each in enumerate(zip(*their_bounds, strict=True))
            }
            yield statement, params | {"dloader_rows": rows}

    return statements


def _by_union(part: Part, dialect: str) -> PartSelect:
    built: dict[int, Any] = {}

    def one(n: int) -> Any:
        keys = [bindparam(f"dloader_key_{n}_{i}", type_=link.type) for i, link in enumerate(part.links)]
        inner = part.select_from(part.labelled()).where(*map(_equal, part.links, keys))
        inner = inner.where(*part.within(_bounds(part, n), dialect))
        limited = inner.order_by(*part.order.clauses(dialect)).limit(bindparam("dloader_rows", type_=Integer))
        return select(limited.options(*part.options).subquery(f"part_{n}"))

    def statement(size: int) -> Any:
        if size not in built:
            found = union_all(*map(one, range(size))).subquery("dloader_part")
            ordered = select(*part.outer(found)).order_by(*part.outer_order(found, dialect))
            built[size] = ordered.options(*part.options)
        return built[size]

    def statements(keys: Sequence[Any], bounds: Sequence[Sequence[Any]] | None, rows: int) -> Statements:
        for some, their_bounds in _together(keys, bounds, UNION_SIZES[-1]):
            size = next(size for size in UNION_SIZES if size >= len(some))
            params = _numbered(part, some, their_bounds, size)
            yield statement(size), params | {"dloader_rows": rows}

    return statements


def _by_row_number(part: Part, dialect: str) -> PartSelect:
    number = func.row_number().over(partition_by=part.links, order_by=part.order.clauses(dialect))
    numbered = part.select_from([*part.labelled(), number.label("dloader_number")])

    def limited(statement: Any) -> Any:
        found = statement.options(*part.options).subquery("dloader_part")
        first = found.c.dloader_number <= bindparam("dloader_rows", type_=Integer)
        return select(*part.outer(found)).where(first).order_by(found.c.dloader_number).options(*part.options)

    if part.bound_types:
        return _by_terms(part, numbered, limited, dialect)
    for_some: ForKeys = for_keys(numbered, part.links, dialect)
    built: dict[int, tuple[Any, Any]] = {}

    def statements(keys: Sequence[Any], _bounds: Sequence[Sequence[Any]] | None, rows: int) -> Statements:
        for statement, params in for_some(keys):
            if id(statement) not in built:
                built[id(statement)] = (statement, limited(statement))
            yield built[id(statement)][1], params | {"dloader_rows": rows}

    return statements


def _by_terms(part: Part, numbered: Any, limited: Callable[[Any], Any], dialect: str) -> PartSelect:
    """Each key with its own beginning, as one condition of many."""
    built: dict[int, Any] = {}

    def one(n: int) -> Any:
        keys = [bindparam(f"dloader_key_{n}_{i}", type_=link.type) for i, link in enumerate(part.links)]
        return and_(*map(_equal, part.links, keys), *part.within(_bounds(part, n), dialect))

    def statements(keys: Sequence[Any], bounds: Sequence[Sequence[Any]] | None, rows: int) -> Statements:
        for some, their_bounds in _together(keys, bounds, UNION_SIZES[-1]):
            size = next(size for size in UNION_SIZES if size >= len(some))
            if size not in built:
                built[size] = limited(numbered.where(or_(*map(one, range(size)))))
            yield built[size], _numbered(part, some, their_bounds, size) | {"dloader_rows": rows}

    return statements


def _bounds(part: Part, n: int) -> list[Any]:
    return [bindparam(f"dloader_bound_{n}_{i}", type_=kind) for i, kind in enumerate(part.bound_types)]


def _numbered(part: Part, keys: Sequence[Any], bounds: Sequence[Sequence[Any]], size: int) -> dict[str, Any]:
    """The parameters of some keys; those that a statement has too many are NULL, which equals nothing."""
    params: dict[str, Any] = {
        f"dloader_key_{n}_{i}": value
        for n, key in enumerate(_as_tuples(keys, len(part.links)))
        for i, value in enumerate(key)
    }
    params |= {
        f"dloader_bound_{n}_{i}": value for n, each in enumerate(bounds) for i, value in enumerate(each)
    }
    for n in range(len(keys), size):
        params |= {f"dloader_key_{n}_{i}": None for i in range(len(part.links))}
        params |= {f"dloader_bound_{n}_{i}": None for i in range(len(part.bound_types))}
    return params


def _together(
    keys: Sequence[Any], bounds: Sequence[Sequence[Any]] | None, size: int
) -> Iterator[tuple[Sequence[Any], Sequence[Sequence[Any]]]]:
    """Parts of the keys, each with where these begin and end."""
    every = parts_of(keys, size)
    if bounds is None:
        return ((some, ()) for some in every)
    return zip(every, parts_of(bounds, size), strict=True)


def _as_tuples(keys: Sequence[Any], count: int) -> Sequence[Any]:
    return [(key,) for key in keys] if count == 1 else keys


def _equal(one: Any, other: Any) -> Any:
    return one == other
