"""What keys are called in a store: text that is the same in every process, and from which keys can be read again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from hashlib import sha256
from typing import Any, cast
from uuid import UUID

__all__ = ("NoName", "identified", "key_name", "key_of", "tag_of")

MOST = 200
"""Longer names of keys are hashed."""

LARGE_DIGITS = 4000
LARGE = 10**LARGE_DIGITS

_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""Made once: `json.dumps` would make one for each key."""


class NoName(Exception):  # noqa: N818 - it is caught where it is made an error of
    """There is no stable text for an object."""


def key_name(key: object) -> str:
    """The name of a key: keys that are equal have one name, and others have another.

    Raises:
        NoName: It is of a type whose objects have none.
    """
    try:
        name = repr(key) if type(key) is int else _json(_plain_key(key))  # as most keys are: it is the same
    except ValueError:  # Python writes no number of so many digits
        name = _json(_plain_key(key))
    return name if len(name) <= MOST else "#" + sha256(name.encode()).hexdigest()


def _plain_key(key: object) -> object:  # noqa: PLR0911 - one for each type
    """A key in JSON's types; what has none of its own is an object of one item, which no other key is."""
    if isinstance(key, str):
        return _text(str.__str__(key))
    if isinstance(key, (int, float, Decimal)):
        return _number(key)
    if isinstance(key, tuple):
        return [_plain_key(part) for part in cast(tuple[object, ...], key)]
    if isinstance(key, UUID):
        return {"uuid": key.hex}
    if isinstance(key, bytes):
        return {"bytes": key.hex()}
    if isinstance(key, datetime):
        return {"time": _utc(key).isoformat()}
    if isinstance(key, date):
        return {"date": key.isoformat()}
    if key is None:
        return None
    raise NoName(type(key).__name__)


def _text(key: str) -> object:
    """Half of a pair of surrogates, which JSON of a stranger may have, cannot be sent as text."""
    if not key.isascii():
        try:
            key.encode()
        except UnicodeEncodeError:
            return {"text": key.encode("utf-8", "surrogatepass").hex()}
    return key


def _utc(key: datetime) -> datetime:
    try:
        return key if key.tzinfo is None else key.astimezone(UTC)
    except OverflowError:  # of the first day there is, or of the last
        return key


def _number(key: int | float | Decimal) -> object:
    """Equal numbers are one key, whatever their types: but those of so many digits that nobody means them."""
    if isinstance(key, int):
        number = int(key)
        return number if -LARGE < number < LARGE else {"number": hex(number)}  # which is hashed
    if key != key:  # noqa: PLR0124 - not a number, and equal to nothing
        raise NoName("nan")
    if key in (float("inf"), float("-inf")):
        return {"number": str(float(key))}
    if isinstance(key, float):
        return int(key) if key == int(key) else float(key)
    sign, digits, exponent = key.as_tuple()
    end = len(digits)
    while end > 1 and digits[end - 1] == 0:
        end -= 1
    places = cast(int, exponent) + len(digits) - end
    if key.adjusted() < LARGE_DIGITS:  # an integer of more takes minutes to be made, and is no float
        if places >= 0:
            return int(key)
        if key == float(key):
            return float(key)
    return {"number": str(Decimal((sign, digits[:end], places)))}  # exact: `normalize` would round


def key_of(name: str) -> Any:
    """The key of a name, or one that is equal to it.

    Raises:
        NoName: The name was made of a hash.
    """
    if name.startswith("#"):
        raise NoName(name)
    return _key(json.loads(name))


def _text_again(plain: str) -> str:
    return bytes.fromhex(plain).decode("utf-8", "surrogatepass")


_READERS: Mapping[str, Any] = {
    "text": _text_again,
    "uuid": UUID,
    "bytes": bytes.fromhex,
    "time": datetime.fromisoformat,
    "date": date.fromisoformat,
    "number": Decimal,
}


def _key(plain: object) -> Any:
    if isinstance(plain, list):
        return tuple(map(_key, cast(list[object], plain)))
    if isinstance(plain, dict):
        [(kind, text)] = cast(dict[str, str], plain).items()
        return _READERS[kind](text)
    return plain


def identified(value: object) -> object:  # noqa: PLR0911
    """A value of a parameter in JSON's types, with the names of other types: equal only for those that mean the same.

    Raises:
        NoName: It is of a type that may hold anything.
    """
    if isinstance(value, (set, frozenset)):
        return ["set", sorted(json.dumps(identified(item)) for item in cast(set[object], value))]
    if isinstance(value, (list, tuple)):
        return ["list", [identified(item) for item in cast(list[object], value)]]
    if isinstance(value, Mapping):
        pairs = cast(Mapping[object, object], value).items()
        return ["map", sorted(json.dumps([identified(key), identified(item)]) for key, item in pairs)]
    if isinstance(value, type):
        return ["class", _full_name(value)]
    if isinstance(value, Enum):
        return ["enum", _full_name(type(value)), value.name]
    if is_dataclass(value):
        return [_full_name(type(value)), [identified(getattr(value, each.name)) for each in fields(value)]]
    if isinstance(value, bool):
        return value
    return _plain_key(value)


def _full_name(cls: type) -> str:
    # A process that multiprocessing has spawned knows the main module by another name.
    module = "__main__" if cls.__module__ == "__mp_main__" else cls.__module__
    return f"{module}.{cls.__qualname__}"


def tag_of(name: str, cls: type, said: object) -> str:
    """What all names of keys begin with that are loaded alike.

    Args:
        name: The loader's, which is shown.
        cls: Its class.
        said: All else that values depend on, of which only a hash is shown.
    """
    text = json.dumps([name, _full_name(cls), said], sort_keys=True)
    plain = "".join(letter for letter in name if letter.isalnum() or letter in "._-<>[]")[:60]
    return f"dl:1:{{{plain}:{sha256(text.encode()).hexdigest()[:16]}}}:"
