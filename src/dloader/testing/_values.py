"""Keys and values in words of JSON that give the same back, or are refused; never pickle."""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from inspect import unwrap
from typing import Any, TypeVar, cast, final, get_args, get_origin, get_type_hints

from dloader import DataLoader, MissingKeyError, OptionError
from dloader._text import shorten

__all__ = ("Values", "key_in_words")

TAGS: Mapping[type, tuple[str, Callable[[Any], str], Callable[[Any], Any]]] = {
    dt.datetime: ("datetime", dt.datetime.isoformat, dt.datetime.fromisoformat),
    dt.date: ("date", dt.date.isoformat, dt.date.fromisoformat),
    dt.time: ("time", dt.time.isoformat, dt.time.fromisoformat),
    decimal.Decimal: ("decimal", str, decimal.Decimal),
    uuid.UUID: ("uuid", str, uuid.UUID),
    bytes: ("bytes", lambda value: base64.b64encode(value).decode(), base64.b64decode),
}
READERS: Mapping[str, Callable[[Any], Any]] = {
    "$missing": lambda _: MissingKeyError("there was no value when this was recorded"),
    **{f"${name}": read for name, _, read in TAGS.values()},
}
IMPOSSIBLE = object()
NEWLINE = "\n"
MAPPED = "dloader.sqlalchemy._loader"
"""Where the class of the loaders is that give rows."""
ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def key_in_words(key: object) -> str:
    """What stands for a key in the file: its repr, those of dicts in the order of their keys.

    Raises:
        OptionError: It would be another one in the next run.
    """
    text = repr(_sorted(key))
    if ADDRESS.search(text) or type(key) in {set, frozenset}:
        raise OptionError(f"the key {shorten(key)} cannot be recorded: its repr is another one in each run")
    return text


def _sorted(key: object) -> object:
    if not isinstance(key, dict):
        return key
    return dict(sorted(cast(dict[str, Any], key).items()))


@final
class Values:
    """Writes and reads the values of one loader: what is plain as it is, all else by their type, if Pydantic knows it.

    Args:
        loader: It, with the function that loads.
        function: That function.
    """

    def __init__(self, loader: DataLoader[Any, Any], function: object) -> None:
        self._adapter, self._why_not = _adapter(_value_type(loader, function))
        self._has_rows = any(base.__module__ == MAPPED for base in type(loader).__mro__)

    def write(self, value: object) -> object:
        """As JSON.

        Raises:
            OptionError: It cannot be written, or would not be the same when it is read again.
        """
        if isinstance(value, MissingKeyError):
            return {"$missing": True}
        if isinstance(value, Exception):
            raise OptionError(
                "it is an exception, and a recording holds values: give None, or a mapping without the key"
            )
        written = _plain(value)
        if written is not IMPOSSIBLE and self.read(written) == value:
            return written
        if self._adapter is None:
            raise OptionError(f"it is no JSON, and {self._why_not}")
        try:
            written = {"$value": self._adapter.dump_python(value, mode="json", warnings="error")}
            same = self.read(written) == value
        except Exception as error:
            raise OptionError(f"{type(error).__name__}: {str(error).partition(NEWLINE)[0]}") from error
        if not same:
            raise OptionError("it would be another one when it is read again")
        return written

    def read(self, written: Any) -> Any:
        """What was written."""
        if isinstance(written, dict) and "$value" in written:
            return self._adapter.validate_python(written["$value"])
        return _with_rows(_read(written)) if self._has_rows else _read(written)


def _plain(value: object) -> Any:
    kind = type(value)
    if value is None or kind in {bool, int, float, str}:
        return value
    if kind in TAGS:
        name, write, _ = TAGS[kind]
        return {f"${name}": write(value)}
    if isinstance(value, Mapping):
        fields = {name: _plain(each) for name, each in cast(Mapping[str, Any], value).items()}
        is_plain = all(type(name) is str and not name.startswith("$") for name in fields)
        return fields if is_plain and IMPOSSIBLE not in fields.values() else IMPOSSIBLE
    if kind not in {list, tuple}:
        return IMPOSSIBLE
    items = [_plain(each) for each in cast(Sequence[object], value)]
    if any(item is IMPOSSIBLE for item in items):
        return IMPOSSIBLE
    return items if kind is list else {"$tuple": items}


def _read(written: Any) -> Any:
    if isinstance(written, list):
        return [_read(each) for each in cast(Sequence[Any], written)]
    if not isinstance(written, dict):
        return written
    fields = cast(dict[str, Any], written)
    for name, given in fields.items():
        if name.startswith("$"):
            return tuple(map(_read, given)) if name == "$tuple" else READERS[name](given)
    return {name: _read(each) for name, each in fields.items()}


def _with_rows(value: Any) -> Any:
    """Dicts, or those in a list, as rows: their columns are attributes too."""
    from dloader.sqlalchemy import Row  # noqa: PLC0415 - the loader is from there

    if isinstance(value, list):
        return list(map(_with_rows, cast(Sequence[Any], value)))
    return Row(cast(dict[str, Any], value)) if isinstance(value, dict) else value


def _adapter(kind: Any) -> tuple[Any, str]:
    """What writes values of a type; or None, and why there is nothing."""
    if kind is None:
        return None, "its type is not known: write DataLoader[K, V], or -> list[V]"
    name = kind.__name__ if type(kind) is type else kind
    try:
        from pydantic import TypeAdapter  # noqa: PLC0415 - only for values of declared types

        return TypeAdapter(kind), ""
    except ImportError:
        return None, f"it takes Pydantic to write it as the {name} that it is declared as"
    except Exception:
        words = f"it is declared as {name}, which Pydantic does not know"
        return None, f"{words}: let the batch function return models, dataclasses or dicts"


def _value_type(loader: DataLoader[Any, Any], function: object) -> Any:
    """V, as a loader class or a batch function declares it; None if it does not."""
    for kind in type(loader).__mro__:
        for base in getattr(kind, "__orig_bases__", ()):
            if get_origin(base) is DataLoader and not isinstance(get_args(base)[1], TypeVar):
                return get_args(base)[1]
    function = unwrap(getattr(function, "func", cast(Any, function)))
    try:
        returned = get_type_hints(function).get("return")
    except Exception:
        return None
    arguments = get_args(returned)
    return arguments[-1] if arguments else None
