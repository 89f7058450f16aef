"""Keys that cannot be right, found before anything is sent.

Whatever a database refuses itself fails its whole statement: all other keys of the batch, and on PostgreSQL the
transaction of whoever asked, with what was not committed yet.
"""

from __future__ import annotations

import datetime as dt
import decimal
import math
import re
import sys
import uuid
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import Dialect, types

from dloader import KeyTypeError, OptionError
from dloader._text import shorten
from dloader.sqlalchemy._is_a import is_a

__all__ = ("UUID_TEXT", "KeyCheck", "Kind", "kind_of")

UUID_TEXT = re.compile(r"[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}", re.IGNORECASE)
"""How all databases read a UUID; braces and ``urn:`` some refuse."""

Fit: TypeAlias = Callable[[Sequence[Any]], bool]


class Kind(NamedTuple):
    """What a column takes."""

    classes: tuple[type, ...] = (object,)
    but: tuple[type, ...] = ()
    """Subclasses of these which it does not take: a bool is an int to Python, and a datetime a date."""
    fit: Fit | None = None
    """Whether values of these classes can be sent, all of them."""
    limits: str = ""
    """What is said of those that cannot."""

    def takes_all(self, values: Sequence[Any]) -> bool:
        """Whether all of some values are right, told quickly; else each is looked at."""
        is_of_class = self.classes == (object,) or set(map(type, values)).issubset(self.classes)
        return is_of_class and (self.fit is None or self.fit(values))

    def problem(self, value: Any, where: str) -> str | None:
        """What is wrong with a value."""
        is_of_class = is_a(value, *self.classes) and not is_a(value, *self.but)
        if is_of_class and (self.fit is None or self.fit((value,))):
            return None
        wanted = " or ".join(each.__name__ for each in self.classes if each is not object)
        limits = f"{' ' if wanted else ''}{self.limits}" if is_of_class else ""
        return f"{wanted}{limits}{where}, not {shorten(value)} ({type(value).__name__})"


class KeyCheck:
    """Tells what is wrong with keys for some columns.

    Args:
        links: The columns, one for each part of a key.

    Raises:
        OptionError: One is of a type that databases do not look up by.
    """

    __slots__ = ("_kinds", "_links")

    def __init__(self, links: Sequence[Any]) -> None:
        for link in links:
            if is_a(link.type, types.JSON, types.ARRAY):
                raise OptionError(
                    f"{link} is of {link.type!r}, and no key: look up by a plain column or expression"
                )
        self._links = links
        self._kinds: dict[str, list[Kind]] = {}
        """By the names of dialects."""

    def problems(
        self, label: str, keys: Sequence[Any], plain: Callable[[Any], Any], dialect: Dialect
    ) -> dict[Any, KeyTypeError]:
        """What is wrong with keys, by those with which something is.

        Args:
            label: Of the loader.
            keys: The keys, or what has them.
            plain: From one of these to the key.
            dialect: Of the database that is asked.
        """
        kinds = self._kinds.get(dialect.name)
        if kinds is None:
            self._kinds[dialect.name] = kinds = [kind_of(link.type, dialect) for link in self._links]
        if len(kinds) == 1 and kinds[0].takes_all(keys):
            return {}
        problems = {key: _problem(plain(key), kinds) for key in keys}
        return {
            key: KeyTypeError(f"loader {label!r} takes {problem}")
            for key, problem in problems.items()
            if problem is not None
        }


def _problem(key: Any, kinds: Sequence[Kind]) -> str | None:
    if len(kinds) == 1:
        return kinds[0].problem(key, "")
    if not is_a(key, tuple) or len(key) != len(kinds):
        return f"a tuple of {len(kinds)} as its key, not {shorten(key)}"
    found = (
        each.problem(part, f", as part {n} of its key")
        for n, (part, each) in enumerate(zip(key, kinds, strict=True), 1)
    )
    return next(filter(None, found), None)


def kind_of(kind: Any, dialect: Dialect) -> Kind:  # noqa: C901, PLR0911, PLR0912 - a table, with conditions
    """What a column of a type takes; everything where that cannot be told."""
    is_postgresql = dialect.name == "postgresql"
    if is_a(kind, types.Enum):
        if kind.enum_class is not None:
            return Kind((kind.enum_class,))
        known = frozenset(kind.enums)
        return Kind((str,), (), known.issuperset, f"of {', '.join(map(repr, kind.enums))}")
    if is_a(kind, types.Uuid):
        return (
            Kind((uuid.UUID,)) if kind.as_uuid else Kind((str,), (), _are_uuids, "of a UUID, without braces")
        )
    if is_a(kind, types.Boolean):
        return Kind((bool, int), (), frozenset((0, 1)).issuperset, "of 0 or 1")
    if is_a(kind, types.Integer):
        bits = _bits(kind, dialect)
        fit = None if bits is None else _below(2 ** (bits - 1))
        return Kind((int,), (bool,), fit, f"of at most {bits} bits")
    if is_a(kind, types.Numeric, types.Float):  # in SQLAlchemy 2.0 one is the other
        most: float = sys.float_info.max
        if is_postgresql and not is_a(kind, types.Float) and kind.precision is not None:
            most = 10 ** (kind.precision - (kind.scale or 0))
        return Kind((int, float, decimal.Decimal), (bool,), _smaller(most), f"that {kind!r} has")
    if is_a(kind, types.DateTime):
        has_zone = kind.timezone and is_postgresql
        fit = _with_zone if has_zone else None if kind.timezone else _without_zone
        return Kind((dt.datetime,), (), fit, f"{'with' if has_zone else 'without'} a time zone")
    if is_a(kind, types.Date):
        return Kind((dt.date,), (dt.datetime,))
    if is_a(kind, types.Time):
        return Kind((dt.time,), (), None if kind.timezone else _without_zone, "without a time zone")
    if is_a(kind, types.Interval):
        return Kind((dt.timedelta,), (), _bound_by(kind, dialect), "that can be stored")
    if is_a(kind, types.LargeBinary, types.BINARY, types.VARBINARY):
        return Kind((bytes,))
    if is_a(kind, types.String):
        return Kind((str,), (), _text_without("\0" if is_postgresql else None), "that can be stored")
    if is_a(kind, types.TypeDecorator):
        return Kind(fit=_bound_by(kind, dialect), limits=f"what {type(kind).__name__} converts")
    return Kind()


def _bits(kind: Any, dialect: Dialect) -> int | None:
    """How large numbers of a type can be; None where the database compares any."""
    if dialect.name == "sqlite":
        return 64
    if dialect.name != "postgresql":
        return None
    return 64 if is_a(kind, types.BigInteger) else 16 if is_a(kind, types.SmallInteger) else 32


def _below(bound: int) -> Fit:
    return lambda values: -bound <= min(values) and max(values) < bound


def _smaller(bound: float) -> Fit:
    return lambda values: all(_is_finite(value) and abs(value) < bound for value in values)


def _is_finite(value: Any) -> bool:
    return value.is_finite() if is_a(value, decimal.Decimal) else is_a(value, int) or math.isfinite(value)


def _are_uuids(values: Sequence[Any]) -> bool:
    return all(map(UUID_TEXT.fullmatch, values))


def _with_zone(values: Sequence[Any]) -> bool:
    try:
        return all(value.tzinfo is not None and value.astimezone(dt.UTC) for value in values)
    except OverflowError:  # on the first or the last day that there is
        return False


def _without_zone(values: Sequence[Any]) -> bool:
    return all(value.tzinfo is None for value in values)


def _text_without(refused: str | None) -> Fit:
    def fit(values: Sequence[Any]) -> bool:
        text = "".join(values)
        try:
            text.encode()  # half of a surrogate pair has no bytes
        except UnicodeEncodeError:
            return False
        return refused is None or refused not in text

    return fit


def _bound_by(kind: Any, dialect: Dialect) -> Fit | None:
    """Whether the type converts all: it raises whatever it likes at what it does not take."""
    convert = kind.dialect_impl(dialect).bind_processor(dialect)
    if convert is None:
        return None

    def fit(values: Sequence[Any]) -> bool:
        try:
            for value in values:
                convert(value)
        except Exception:
            return False
        return True

    return fit
