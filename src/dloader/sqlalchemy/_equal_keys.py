"""Keys that the database takes for equal and Python does not: ``'Bob'`` and ``'bob'``, where case does not count.

What a database finds by ``'Bob'`` may say ``'bob'`` in its own row, and must not be lost for that. Which texts are
equal only the database knows; so no two keys that might be are sent together, and then each row is of the one key that
it might equal.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

from sqlalchemy import Enum, String, Uuid, make_url

from dloader.sqlalchemy._is_a import is_a
from dloader.sqlalchemy._key_types import UUID_TEXT

__all__ = ("Named", "Naming", "by_equal_key", "naming_of")

Naming: TypeAlias = Callable[[Any], Any] | None
"""From a key to what is the same for all that may equal it; None where only it itself does."""
Named: TypeAlias = Callable[[Sequence[Any], Naming], Awaitable[Mapping[Any, Any]]]
"""From keys to their values, by what the naming makes of the key that the database returned."""

EXACT = ("c", "posix", "ucs_basic", "binary")
EXACT_ENDINGS = ("_bin", "_bin2", "_cs")
WITHOUT_CASE = ("mysql", "mariadb", "mssql")
"""Unless a column says otherwise."""


async def by_equal_key(read: Named, keys: Sequence[Any], naming: Naming) -> Mapping[Any, Any]:
    """The values of keys, also where the database returns other keys than it was asked for.

    Args:
        read: Reads the values of some keys.
        keys: The keys.
        naming: As `naming_of` has it. When it meets a key that it does not know, the next takes its place; at last each
            key is read alone.
    """
    found = await _read_named(read, keys, naming)
    if found is None and naming is None:
        found = await _read_named(read, keys, _folded)
    if found is None:
        alone: dict[Any, Any] = {}
        for key in keys:
            value = (await read([key], _only)).get(None)
            if value is not None:
                alone[key] = value
        found = alone
    return found


def _only(_: Any) -> None:
    """The name of a key that is read alone."""


async def _read_named(read: Named, keys: Sequence[Any], naming: Naming) -> Mapping[Any, Any] | None:
    """The values of keys; None if the database returned one that nobody asked for."""
    if naming is None:
        found = await read(keys, None)
        return None if found.keys() - set(keys) else found
    values: dict[Any, Any] = {}
    for names in _rounds(keys, naming):
        found = await read(list(names.values()), naming)
        if found.keys() - names.keys():
            return None
        values.update({names[name]: value for name, value in found.items()})
    return values


def _rounds(keys: Sequence[Any], naming: Callable[[Any], Any]) -> list[dict[Any, Any]]:
    """The keys by their names, as often as a name is there twice."""
    found: list[dict[Any, Any]] = []
    for key in keys:
        name = naming(key)
        free = next((each for each in found if name not in each), None)
        if free is None:
            found.append(free := {})
        free[name] = key
    return found


def naming_of(links: Sequence[Any], dialect: str) -> Naming:
    """How keys of some columns are named, as far as the mapping tells."""
    return _folded if any(_has_equals(link.type, dialect) for link in links) else None


def _has_equals(given: Any, dialect: str) -> bool:
    """Whether different texts may be equal in a column of a type."""
    if is_a(given, Uuid):
        return not given.as_uuid  # in text it may be written in several ways
    kind: Any = given.dialect_impl(make_url(f"{dialect}://").get_dialect()())
    kind = getattr(kind, "impl_instance", kind)
    if kind.__visit_name__ == "CITEXT":
        return True
    if not is_a(kind, String) or is_a(kind, Enum):
        return False
    collation: str | None = kind.collation
    if collation is None:
        return dialect in WITHOUT_CASE
    return collation.lower() not in EXACT and not collation.lower().endswith(EXACT_ENDINGS)


def _folded(key: Any) -> Any:
    """The same for all texts that may be equal: without case, accents and spaces at the end, dashes of UUIDs."""
    if is_a(key, tuple):
        return tuple(map(_folded, key))
    if not is_a(key, str):
        return key
    text: str = key
    if not text.isascii():
        parts = unicodedata.normalize("NFKD", text.casefold())
        text = "".join(part for part in parts if not unicodedata.combining(part))
    text = text.casefold().rstrip()
    return text.replace("-", "") if UUID_TEXT.fullmatch(text) else text
