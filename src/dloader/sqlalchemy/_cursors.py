"""Cursors: where a page ended, as text that says nothing to anybody else and is refused where it does not belong."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math
import uuid
from base64 import b85decode, b85encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import Any, TypeVar, cast, final

from sqlalchemy import Dialect, Integer, TypeDecorator
from sqlalchemy.engine.default import DefaultDialect

from dloader import CursorError, DloaderError
from dloader._text import shorten
from dloader.sqlalchemy._is_a import is_a
from dloader.sqlalchemy._key_types import Kind, kind_of

__all__ = ("Cursors",)

AS_TEXT: dict[type, tuple[str, Callable[[Any], str], Callable[[str], Any]]] = {
    decimal.Decimal: ("n", str, decimal.Decimal),
    dt.datetime: ("t", dt.datetime.isoformat, dt.datetime.fromisoformat),
    dt.date: ("d", dt.date.isoformat, dt.date.fromisoformat),
    dt.time: ("h", dt.time.isoformat, dt.time.fromisoformat),
    dt.timedelta: (
        "s",
        lambda value: f"{value.days},{value.seconds},{value.microseconds}",
        lambda text: dt.timedelta(*map(int, text.split(","))),
    ),
    uuid.UUID: ("u", str, uuid.UUID),
    bytes: ("b", lambda value: b85encode(value).decode(), b85decode),
}
"""What JSON has no form for."""
FROM_TEXT = {tag: read for tag, _, read in AS_TEXT.values()}
PLAIN = frozenset((bool, int, float, str, *AS_TEXT))
NO_DATABASE = DefaultDialect()
"""What type decorators are given here: a cursor is of no database."""
_Page = TypeVar("_Page")
SUM_SIZE = 6
"""Bytes of the check sum: one altered cursor in 10^14 passes, and then is a position like any other."""


@final
class Cursors:
    """Writes and reads the cursors of one look-up.

    A cursor is bound to the look-up and to the parent: it carries a check sum of both, by which those from elsewhere,
    cut or altered are refused. It is not secret: it holds the values that rows are ordered by.

    Args:
        label: Of the loader, for messages.
        order: What rows are found and ordered by, in words: the same in every process.
        kinds: The types of the columns, which know the classes of enumerations, and how decorated values are stored.
        key_kinds: The types of the parent's key.
    """

    __slots__ = ("_key_kinds", "_kinds", "_label", "_order")

    def __init__(self, label: str, order: str, kinds: Sequence[Any], key_kinds: Sequence[Any] = ()) -> None:
        self._label = label
        self._order = order
        self._kinds = kinds
        self._key_kinds = key_kinds

    def write(self, key: object, values: Sequence[Any]) -> str:
        """The cursor of a row.

        Raises:
            DloaderError: A value is of a type that has no form in a cursor.
        """
        body = json.dumps(list(map(self._plain, values, self._kinds)), separators=(",", ":")).encode()
        return urlsafe_b64encode(self._sum(key, body) + body).decode().rstrip("=")

    def read(self, key: object, cursor: object) -> tuple[Any, ...]:
        """The values in a cursor.

        Raises:
            CursorError: It is not one of this look-up and parent.
        """
        try:
            if not isinstance(cursor, str):
                raise TypeError(cursor)
            raw = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
            body = raw[SUM_SIZE:]
            if (
                raw[:SUM_SIZE] != self._sum(key, body)
                or self.write(key, values := self._values(body)) != cursor
            ):
                raise ValueError(cursor)
        except (TypeError, ValueError, KeyError, AttributeError, ArithmeticError, RecursionError):
            raise self._refusal(cursor) from None
        return values

    def problems(
        self, read: Iterable[tuple[_Page, object, Sequence[Any]]], dialect: Dialect
    ) -> dict[_Page, CursorError]:
        """Find the cursors of values that no column has: nobody writes them but who forges the check sum.

        A database would refuse them itself, with the transaction of whoever asks.

        Args:
            read: Who asks, the parent's key, and the values that `read` gave.
            dialect: Of the database that is asked.

        Returns:
            The errors, by who asks.
        """
        kinds = [kind_of(kind, dialect) for kind in self._kinds]
        return {
            page: self._refusal(self.write(key, values))
            for page, key, values in read
            if not all(
                _may_be_compared(value, kind, dialect) for value, kind in zip(values, kinds, strict=True)
            )
        }

    def _refusal(self, cursor: object) -> CursorError:
        return CursorError(
            f"{self._label}: {shorten(cursor)} is no cursor of this page: pass the start_cursor or end_cursor of "
            f"a page of the same relationship, order and parent, unaltered"
        )

    def _values(self, body: bytes) -> tuple[Any, ...]:
        found = json.loads(body)
        if not is_a(found, list) or any(is_a(each, list) for each in found):
            raise TypeError(found)
        return tuple(self._value(each, kind) for each, kind in zip(found, self._kinds, strict=True))

    def _sum(self, key: object, body: bytes) -> bytes:
        start = f"{self._order}|{self._words(key)}|".encode()
        return blake2b(start + body, digest_size=SUM_SIZE).digest()

    def _words(self, key: object) -> str:
        """A key, the same in every process: objects of a type decorator may have no words but their address."""
        if not any(is_a(kind, TypeDecorator) for kind in self._key_kinds):
            return repr(key)
        try:
            if len(self._key_kinds) == 1:
                return repr(_stored(key, self._key_kinds[0]))
            parts = cast("tuple[Any, ...]", key)
            return repr(tuple(_stored(part, kind) for part, kind in zip(parts, self._key_kinds, strict=True)))
        except Exception:  # of a key that its type does not take; the loader refuses it by name
            return repr(key)

    def _plain(self, value: Any, kind: Any) -> Any:
        if value is None:
            return None
        enum_class = getattr(kind, "enum_class", None)
        if enum_class is not None and is_a(value, enum_class):
            return {"e": value.name}
        if is_a(kind, Integer) and is_a(value, decimal.Decimal) and value == value.to_integral_value():
            return int(value)  # of `extract()`, or a sum: PostgreSQL compares integers with nothing else
        try:
            stored = _stored(value, kind)
        except Exception:
            raise self._not_held(value) from None
        return self._of_json(value) if stored is value else {"c": self._of_json(stored)}

    def _of_json(self, value: Any) -> Any:
        for kind in type(value).__mro__:  # drivers have subclasses of their own
            if kind in (bool, int, float, str):
                return value
            if kind in AS_TEXT:
                tag, write, _ = AS_TEXT[kind]
                return {tag: write(value)}
        raise self._not_held(value)

    def _not_held(self, value: Any) -> DloaderError:
        return DloaderError(
            f"{self._label}: a cursor cannot hold {shorten(value)} ({type(value).__name__}), by which its "
            f"pages are ordered: order by a column of numbers, text, dates or UUIDs"
        )

    def _value(self, plain: Any, kind: Any) -> Any:
        if not is_a(plain, dict):
            return plain
        [(tag, text)] = plain.items()
        if tag == "c":
            return _converted(self._value(text, None), kind)
        return kind.enum_class[text] if tag == "e" else FROM_TEXT[tag](text)


def _stored(value: Any, kind: Any) -> Any:
    """What a column has of a value that only its type decorator can make; any other value as it is."""
    if type(value) in PLAIN or not is_a(kind, TypeDecorator) or not _converts_both_ways(kind):
        return value
    return kind.process_bind_param(value, NO_DATABASE)


def _converted(stored: Any, kind: Any) -> Any:
    try:
        return kind.process_result_value(stored, NO_DATABASE)
    except Exception as error:  # whatever it raises at what nobody stored
        raise ValueError(stored) from error


def _converts_both_ways(kind: TypeDecorator[Any]) -> bool:
    base: Any = TypeDecorator
    return (
        type(kind).process_bind_param is not base.process_bind_param
        and type(kind).process_result_value is not base.process_result_value
    )


def _may_be_compared(value: object, kind: Kind, dialect: Dialect) -> bool:
    if value is None or kind.problem(value, "") is None:
        return True
    # But for PostgreSQL they compare any numbers, and a sum of integers may be a Decimal there.
    is_number = is_a(value, float, decimal.Decimal) and math.isfinite(cast("float", value))
    return is_number and int in kind.classes and dialect.name != "postgresql"
