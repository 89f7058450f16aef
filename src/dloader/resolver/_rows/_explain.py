"""What is wrong with rows, where Pydantic cannot know it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from pydantic import ValidationError

from dloader._text import did_you_mean
from dloader.lowlevel import add_note_once
from dloader.resolver._rows._kinds import state_of_entity
from dloader.resolver._rows._schemas import RowSchemas

__all__ = ("explain",)

NO_ROW = frozenset({"dataclass_type", "model_attributes_type", "model_type"})


def explain(error: Exception, schemas: RowSchemas) -> None:
    """Say of an error which key a column is, why an entity has no value, and what names the columns of tuples."""
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
        if each["type"] in {"get_attribute_error", "missing"} and (why := _why_it_is_not_there(row, name)):
            add_note_once(error, why)
        if each["type"] in NO_ROW and type(row) is tuple:
            add_note_once(
                error,
                "a tuple does not say which columns it has: have the driver give rows with names "
                "(sqlite3.Row, psycopg.rows.dict_row, .mappings() of a SQLAlchemy result)",
            )


def _names_in(row: Any) -> Iterable[str]:
    kind: Any = cast(Any, type(row))
    names: Any = row if issubclass(kind, Mapping) else getattr(row, "_fields", dir(kind))
    found: Iterable[Any] = names
    return [name for name in found if isinstance(name, str) and not name.startswith("_")]


def _why_it_is_not_there(row: Any, name: object) -> str | None:
    """Why an ORM entity cannot be asked for an attribute, if it is one."""
    state = state_of_entity(row)
    if state is None:
        return None
    entity = type(row).__name__
    if state.detached and (state.expired or state.unloaded):
        return f"this {entity} is detached: its session is closed, and what it had not loaded cannot be loaded any more"
    if state.async_session is None or name not in state.unloaded:
        return None
    if state.expired:
        return (
            f"this {entity} is expired, by a commit say, and an AsyncSession loads nothing by itself: "
            f"make the session with expire_on_commit=False, or await session.refresh(row)"
        )
    return (
        f"{entity}.{name} is not loaded, and an AsyncSession loads nothing by itself: load it with the rows "
        f"(selectinload, undefer), or have it filled by a marker, which asks no entity for it"
    )
