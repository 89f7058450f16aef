"""Rows of drivers, as they come: what can be validated as it is, and what is a mapping only in name."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, cast

from pydantic import ValidationError

from dloader._text import did_you_mean
from dloader.lowlevel import add_note_once
from dloader.resolver._plan._annotations import is_node_class
from dloader.resolver._rows._cutting import Form
from dloader.resolver._rows._schemas import RowSchemas

__all__ = ("explain", "form_of", "readable")

PLAIN = frozenset({bool, bytes, dict, float, int, list, str, type(None)})
MOST_NESTED = 8


def readable(values: list[Any], most: int = MOST_NESTED) -> list[Any]:
    """Values with mappings for rows that are mappings only in name (``sqlite3.Row``, ``asyncpg.Record``).

    Args:
        values: Rows, or lists of them.
        most: How deep lists are looked into.

    Returns:
        The same list if nothing is to be done.
    """
    kinds = set(map(type, values))
    if kinds <= PLAIN and list not in kinds:
        return values
    others: set[Any] = kinds - PLAIN
    convert = {kind: _to_mapping(kind) for kind in others}
    new = values
    if any(convert.values()):
        new = [value if (make := convert.get(type(value))) is None else make(value) for value in values]
    if list in kinds and most:
        lists: list[list[Any]] = [value for value in new if type(value) is list]
        flat = list(chain.from_iterable(lists))
        if readable(flat, most - 1) is not flat:
            new = [readable(value, most - 1) if type(value) is list else value for value in new]
    return new


def _to_mapping(kind: type[Any]) -> Callable[[Any], Any] | None:
    """How rows of a class become mappings, if they have to."""
    if is_node_class(kind) or issubclass(kind, (Mapping, str, tuple)):
        return None
    return dict if callable(getattr(kind, "keys", None)) and hasattr(kind, "__getitem__") else None


def form_of(values: Sequence[Any], special: frozenset[str]) -> Form:
    """What rows are, in lists of any depth.

    Args:
        values: Rows, or lists of them.
        special: The names that tell mappings from bare ones.
    """
    kinds = set(map(type, values))
    while list in kinds:
        lists: list[list[Any]] = [value if type(value) is list else [value] for value in values]
        values = list(chain.from_iterable(lists))
        kinds = set(map(type, values))
    kinds.discard(type(None))
    if all(map(_is_object, kinds)):
        return Form.OBJECTS
    if not all(issubclass(kind, Mapping) for kind in kinds):
        return Form.EITHER
    rows = cast(Sequence[Mapping[Any, Any]], [value for value in values if value is not None])
    return Form.MAPPINGS if any(not special.isdisjoint(row) for row in rows) else Form.BARE


def _is_object(kind: Any) -> bool:
    """Whether a row has attributes, and holds no other rows: a named tuple, or SQLAlchemy's ``Row``, does."""
    if is_node_class(kind) or not hasattr(kind, "__iter__"):
        return True
    return hasattr(kind, "_mapping") or (hasattr(kind, "_fields") and issubclass(kind, tuple))


# -- what is wrong with rows ---------------------------------------------------------------------------------


def explain(error: Exception, schemas: RowSchemas) -> None:
    """Say of an error what Pydantic cannot know: which key a column is, and why an entity has no value."""
    if not isinstance(error, ValidationError):
        return
    for each in error.errors(include_url=False, include_context=False):
        name, row = each["loc"][-1] if each["loc"] else None, each["input"]
        if each["type"] == "missing" and name in schemas.survey.hidden:
            cls = schemas.survey.hidden[cast(str, name)]
            hint = did_you_mean(cast(str, name), _names_in(row))
            add_note_once(
                error,
                f"{name!r} is the key of what is loaded into {cls.__qualname__}: rows must have it ({hint})",
            )
        if each["type"] in {"get_attribute_error", "missing"} and (state := _state_of_entity(row)):
            add_note_once(error, state)


def _names_in(row: Any) -> Iterable[str]:
    kind: Any = cast(Any, type(row))
    names: Any = row if issubclass(kind, Mapping) else getattr(row, "_fields", dir(kind))
    found: Iterable[Any] = names
    return [name for name in found if isinstance(name, str) and not name.startswith("_")]


def _state_of_entity(row: Any) -> str | None:
    """Why an ORM entity cannot be asked for all its attributes, if it is one."""
    sqlalchemy: Any = sys.modules.get("sqlalchemy")
    state: Any = None if sqlalchemy is None else sqlalchemy.inspect(row, raiseerr=False)
    if not hasattr(state, "expired_attributes"):
        return None
    name = type(row).__name__
    if state.detached and (state.expired or state.unloaded):
        return f"this {name} is detached: its session is closed, and what it had not loaded cannot be loaded any more"
    if state.expired:
        return (
            f"this {name} is expired, by a commit say, and an AsyncSession loads nothing by itself: "
            f"make the session with expire_on_commit=False, or await session.refresh(row)"
        )
    return None
