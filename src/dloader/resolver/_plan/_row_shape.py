"""What a row of a class carries: its fields without those that are filled, and the keys that only rows have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from dloader.resolver._markers import FieldMarker, FillMarker, MarkedField, is_ignored
from dloader.resolver._plan._annotations import FieldType, field_types
from dloader.resolver._plan._keys import is_in_class
from dloader.resolver._plan._loads import filling_marker
from dloader.resolver._plan._methods import methods_of_fields

__all__ = ("RowShape", "row_shape_of")


class RowShape(NamedTuple):
    """What rows of one class carry, and what they do not."""

    columns: tuple[str, ...]
    """The fields that are read from a row."""
    computed: frozenset[str]
    """Of these, the fields that methods fill: a mapping may have them, and an object is not asked for them."""
    filled: frozenset[str]
    """The fields that markers fill: never read."""
    hidden: tuple[str, ...]
    """The keys of loads that the class does not have: a row must have them, and nodes keep them until they are read."""
    other_names: Mapping[str, tuple[str, ...]]
    """By field, the names that markers give it in rows."""


def row_shape_of(cls: type[Any]) -> RowShape:
    """Read a model or dataclass. It asks markers for their keys, and for no loaders.

    Raises:
        NameError: An annotation names something that does not exist.
    """
    fields = field_types(cls)
    if is_ignored(cls):
        return RowShape(tuple(fields), frozenset(), frozenset(), (), {})
    by_method = methods_of_fields(cls, fields)
    resolved = {name.partition("_")[2] for name in by_method if name.startswith("resolve_")}
    markers = {name: filling_marker(cls, name, fields, resolved) for name in fields}
    filled = {name: marker for name, marker in markers.items() if marker is not None}
    computed = frozenset(name.partition("_")[2] for name in by_method) - filled.keys()
    return RowShape(
        tuple(name for name in fields if name not in filled),
        computed,
        frozenset(filled),
        tuple(dict.fromkeys(_hidden_keys(cls, fields, filled))),
        {name: names for name, declared in fields.items() if (names := _other_names(cls, name, declared))},
    )


def _hidden_keys(cls: type, fields: Mapping[str, FieldType], filled: Mapping[str, FillMarker]) -> list[str]:
    found: list[str] = []
    for name, marker in filled.items():
        key = marker.key(MarkedField(cls, name, fields[name].annotation))
        names = key if isinstance(key, tuple) else (key,)
        found += [each for each in names if each not in fields and not is_in_class(cls, each)]
    return found


def _other_names(cls: type, name: str, declared: FieldType) -> tuple[str, ...]:
    field = MarkedField(cls, name, declared.annotation)
    markers = [marker for marker in declared.metadata if isinstance(marker, FieldMarker)]
    return tuple(each for marker in markers for each in marker.row_names(field))
