"""Rows of drivers, as they come: what can be validated as it is, and what is a mapping only in name."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence, Set as AbstractSet, ValuesView
from itertools import chain, islice
from typing import Any, NamedTuple, TypeAlias, cast

from dloader.resolver._plan._annotations import is_node_class
from dloader.resolver._rows._cutting import Form
from dloader.resolver._rows._survey import Survey

__all__ = (
    "Leaves",
    "are_read_as_they_are",
    "form_of",
    "leaves_of",
    "may_hold_rows",
    "readable",
    "state_of_entity",
)

PLAIN = frozenset({bool, bytes, dict, float, int, str, type(None)})
MAPPINGS = frozenset({dict, type(None)})
ONLY_DICTS = frozenset({dict})
MOST_NESTED = 8
MOST_LISTS = 64
"""A list that contains itself must not hang."""
Read: TypeAlias = Callable[[list[Any]], list[Any]]


def readable(
    values: list[Any], survey: Survey, holds_others: bool = False, most: int = MOST_NESTED
) -> list[Any]:
    """Values with mappings for rows that are mappings only in name (``sqlite3.Row``, ``asyncpg.Record``).

    Args:
        values: Rows, or what holds several; also of such that stand in rows, where a class says that there are some.
        survey: Of the type that is made of them.
        holds_others: Whether dicts hold rows, beside being some.
        most: How deep they are looked for.

    Returns:
        The same list if nothing is to be done.
    """
    kinds: set[Any] = set(map(type, values))
    others = kinds - PLAIN
    if not others and not (dict in kinds and (holds_others or survey.inner)):
        return values
    new = values
    converts = {kind: convert for kind in others if (convert := _conversion(kind, values, survey))}
    if converts:
        new = [
            value if (convert := converts.get(type(value))) is None else convert(value) for value in values
        ]
        kinds = set(map(type, new))
    if not most:
        return new
    several = frozenset(filter(_holds_several, kinds - PLAIN))
    if several:
        new = _with_items(new, several, lambda items: readable(items, survey, holds_others, most - 1))
    if holds_others:
        new = _with_values(new, lambda items: readable(items, survey, holds_others, most - 1))
    elif survey.inner:
        new = _with_inner(new, survey, most - 1)
    return new


def are_read_as_they_are(rows: Sequence[Any], survey: Survey) -> bool:
    """Whether `readable` would change nothing about rows, none of which is a node or holds several; in one pass."""
    leaves = Leaves(rows, set[Any](map(type, rows)))
    if may_hold_rows(leaves, survey):
        return False
    for kind in leaves.kinds - PLAIN:
        if is_node_class(kind) or _holds_several(kind) or _conversion(kind, rows, survey) is not None:
            return False
    return True


def may_hold_rows(leaves: Leaves, survey: Survey) -> bool:
    """Whether rows may stand in fields of rows: of those that are no dicts it is not asked."""
    if not survey.inner or not leaves.are_mappings:
        return bool(survey.inner)
    return any(_has(name, leaves.rows) for name in survey.inner)


def _conversion(kind: type[Any], values: Sequence[Any], survey: Survey) -> Callable[[Any], Any] | None:
    """What is done to rows of a class, if anything is."""
    if hasattr(kind, "_mapping"):
        first = next(value for value in values if type(value) is kind)
        return _the_one if _is_of_one_entity(first, survey) else None
    if is_node_class(kind) or issubclass(kind, (Mapping, str, tuple)):
        return None
    return dict if callable(getattr(kind, "keys", None)) and hasattr(kind, "__getitem__") else None


def _is_of_one_entity(row: Any, survey: Survey) -> bool:
    """Whether a ``Row`` is that of ``select(Company)``: all that it has is an entity, which nobody asks for by name."""
    names: Sequence[str] = row._fields
    return len(names) == 1 and names[0] not in survey.names and state_of_entity(row[0]) is not None


def _the_one(row: Any) -> Any:
    return row[0]


def _holds_several(kind: type[Any]) -> bool:
    if kind is list or kind is tuple:
        return True
    is_row = (
        is_node_class(kind) or issubclass(kind, (str, bytes, bytearray, Mapping)) or hasattr(kind, "_fields")
    )
    return not is_row and issubclass(kind, (Sequence, AbstractSet, ValuesView))


def _with_items(values: list[Any], several: frozenset[Any], read: Read) -> list[Any]:
    """The same values with what was read of the items of those that hold several; of a set it is a list."""
    items: list[Any] = list(chain.from_iterable(value for value in values if type(value) in several))
    found = read(items)
    if found is items:
        return values
    rest, new = iter(found), values.copy()
    for index, value in enumerate(values):
        kind = cast(Any, type(value))
        if kind in several:
            new[index] = (tuple if kind is tuple else list)(islice(rest, len(value)))
    return new


def _with_values(values: list[Any], read: Read) -> list[Any]:
    """The same values with what was read of what stands in mappings, under whatever names."""
    mappings: list[tuple[int, Any]] = [
        (index, value) for index, value in enumerate(values) if isinstance(value, Mapping)
    ]
    items: list[Any] = list(chain.from_iterable(value.values() for _, value in mappings))
    found = read(items)
    if found is items:
        return values
    rest, new = iter(found), values.copy()
    for index, value in mappings:
        new[index] = dict(zip(value, islice(rest, len(value)), strict=True))
    return new


def _with_inner(values: list[Any], survey: Survey, most: int) -> list[Any]:
    """The same values with what was read of the rows that stand in mappings."""
    mappings: set[Any] = {kind for kind in set[Any](map(type, values)) if issubclass(kind, Mapping)}
    at = [index for index, value in enumerate(values) if type(value) in mappings]
    changed: dict[int, dict[Any, Any]] = {}
    for name, holds_others in survey.inner.items():
        having = [index for index in at if name in values[index]]
        if not having:
            continue
        items = [values[index][name] for index in having]
        found = readable(items, survey, holds_others, most)
        if found is not items:
            for index, item in zip(having, found, strict=True):
                changed.setdefault(index, dict(values[index]))[name] = item
    return [changed.get(index, value) for index, value in enumerate(values)] if changed else values


def state_of_entity(value: Any) -> Any:
    """What SQLAlchemy knows of an ORM entity; None of anything else."""
    sqlalchemy: Any = sys.modules.get("sqlalchemy")
    state: Any = None if sqlalchemy is None else sqlalchemy.inspect(value, raiseerr=False)
    return state if hasattr(state, "expired_attributes") else None


class Leaves(NamedTuple):
    """What stands in lists."""

    values: Sequence[Any]
    kinds: set[Any]
    """The classes of these."""

    @property
    def are_plain(self) -> bool:
        """Whether `readable` would change nothing about them, where rows hold no others."""
        return self.kinds <= PLAIN

    @property
    def are_mappings(self) -> bool:
        """Whether there are only dicts, and what is missing."""
        return self.kinds <= MAPPINGS

    @property
    def rows(self) -> Sequence[Mapping[Any, Any]]:
        """Those that are not missing, where all are mappings."""
        is_whole = type(None) not in self.kinds
        return self.values if is_whole else [value for value in self.values if value is not None]


def leaves_of(values: Sequence[Any]) -> Leaves:
    """What stands in lists of any depth: in one pass, as there may be many."""
    kinds = set(map(type, values))
    nested = 0
    while list in kinds and nested < MOST_LISTS:
        nested += 1
        lists: Any = values
        if len(kinds) > 1:
            lists = [value if type(value) is list else [value] for value in values]
        values = list(chain.from_iterable(lists))
        kinds = set(map(type, values))
    return Leaves(values, kinds)


def form_of(leaves: Leaves, special: frozenset[str]) -> Form:
    """What rows are.

    Args:
        leaves: The rows.
        special: The names that tell mappings from bare ones.
    """
    kinds = leaves.kinds - {type(None)}
    if kinds != ONLY_DICTS:  # asked first: most often there is nothing else
        if all(map(_is_object, kinds)):
            return Form.OBJECTS
        if not all(issubclass(kind, Mapping) for kind in kinds):
            return Form.EITHER
    if not special:
        return Form.BARE
    return Form.MAPPINGS if any(_has(name, leaves.rows) for name in special) else Form.BARE


def _has(name: str, rows: Sequence[Mapping[Any, Any]]) -> bool:
    for row in rows:  # noqa: SIM110 - a fifth of the time that a generator takes
        if name in row:
            return True
    return False


def _is_object(kind: Any) -> bool:
    """Whether a row has attributes, and holds no other rows: a named tuple, or SQLAlchemy's ``Row``, does."""
    if is_node_class(kind) or not hasattr(kind, "__iter__"):
        return True
    return hasattr(kind, "_mapping") or (hasattr(kind, "_fields") and issubclass(kind, tuple))
