"""Values as JSON, by the type that a loader says its values have; never pickle.

A value goes into the store only if it comes back as it was: JSON has fewer types than Python, and an application may
have told Pydantic to leave things out.
"""

from __future__ import annotations

import inspect
import json
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from hashlib import sha256
from importlib import import_module
from typing import Any, final
from uuid import UUID

from dloader._text import shorten
from dloader.errors import MissingKeyError, OptionError

__all__ = ("ABSENT", "NOTHING", "Values", "value_type_of")

VALUE, NOTHING, ABSENT = b"V", b"N", b"M"
"""The first byte says what it is: JSON; None; or that the key was missing."""


@final
class Values:
    """Makes bytes of values of one type and reads them again; lives as long as the loader class that it is for.

    Args:
        kind: The type.
        where: Whose it is, for messages.
        config: How Pydantic writes it, if it is no type that says that itself.
        described: What is another text for what is written in another way. Default: what Pydantic says of it.

    Raises:
        OptionError: Pydantic knows no way to write it as JSON, or is not installed.
    """

    __slots__ = ("_many", "_one", "schema")

    def __init__(
        self,
        kind: Any,
        where: str,
        config: Mapping[str, Any] | None = None,
        described: str | None = None,
    ) -> None:
        try:
            pydantic: Any = import_module("pydantic")
        except ModuleNotFoundError as error:
            raise OptionError(
                f'{where} is kept in a store, which takes Pydantic: pip install "dloader[resolver]"'
            ) from error
        try:
            self._one: Any = pydantic.TypeAdapter(kind, config=config)
        except pydantic.errors.PydanticUserError as error:
            raise OptionError(
                f"{where} cannot be kept in a store: Pydantic cannot read {shorten(kind)}, the type of its values; "
                f"name another in DataLoader[key, value] or store_type = ..."
            ) from error
        try:
            if described is None:
                schema = self._one.json_schema(mode="serialization", schema_generator=_quiet_schemas())
                described = json.dumps(schema, sort_keys=True)
        except pydantic.errors.PydanticUserError:  # a type of the application's that says nothing of schemas
            described = repr(kind)
        self.schema = sha256(described.encode()).hexdigest()
        """Another one for types that are written in another way."""

    def texts(self, values: Mapping[str, Any]) -> dict[str, bytes]:
        """The JSON of those values that there is some for, as they are now."""
        return {name: text for name, value in values.items() if (text := self._text(value)) is not None}

    def checked(self, texts: Mapping[str, bytes], values: Mapping[str, Any]) -> dict[str, bytes]:
        """The bytes of those that come back as they were; also of values that somebody has changed since nothing is."""
        again = self._read(texts.values())
        return {
            name: VALUE + text
            for (name, text), back in zip(texts.items(), again, strict=True)
            if _is_same(back, values[name])
        }

    def _text(self, value: Any) -> bytes | None:
        try:
            text: bytes = self._one.dump_json(value, by_alias=True, round_trip=True, warnings="error")
        except Exception:  # what the value, or a serializer of the application's, makes of it
            return None
        return text

    def read(self, found: Mapping[str, bytes], loader: str) -> dict[str, Any]:
        """The values of those that hold one; an error, which names the loader, for keys that were missing."""
        values: dict[str, Any] = {name: None for name, data in found.items() if data == NOTHING}
        for name in (name for name, data in found.items() if data == ABSENT):
            key = name.rpartition("}:")[2]
            values[name] = MissingKeyError(
                f"loader {loader!r} has no value for key {key}: its store has noted that the batch function returned "
                f"none (store_negative_ttl); pass default=, or write default = ... in a loader class"
            )
        texts = {name: data[1:] for name, data in found.items() if data[:1] == VALUE}
        read = zip(texts, self._read(texts.values()), strict=True)
        return values | {name: value for name, value in read if value is not _UNREADABLE}

    def _read(self, texts: Iterable[bytes]) -> list[Any]:
        # Each by itself: of what somebody else wrote two texts may be one, or one two, if they are read together.
        return list(map(self._read_one, texts))

    def _read_one(self, text: bytes) -> Any:
        try:
            return self._one.validate_json(text)
        except Exception:  # of Pydantic's, or of a validator of the application's
            return _UNREADABLE


_UNREADABLE: Any = object()


@cache
def _quiet_schemas() -> Any:
    """What makes schemas that are shown to nobody: a default that has no JSON is nothing to warn of, or to fail for."""
    pydantic: Any = import_module("pydantic.json_schema")
    has_no_json: Any = import_module("pydantic_core").PydanticSerializationError

    def encode_default(self: Any, default: Any) -> Any:
        try:
            return pydantic.GenerateJsonSchema.encode_default(self, default)
        except Exception as error:  # of Pydantic 2.9, or of a serializer of the application's
            raise has_no_json(str(error)) from error

    ignored = {"skipped-choice", "non-serializable-default"}
    members = {"encode_default": encode_default, "ignored_warning_kinds": ignored}
    return type("QuietJsonSchema", (pydantic.GenerateJsonSchema,), members)


def _is_same(back: Any, value: Any) -> bool:
    """Whether two values are equal, and of the same types as far down as they can be looked into."""
    try:
        return _is_alike(back, value) and bool(back == value)
    except Exception:  # what they make of being compared
        return False


def _is_alike(back: Any, value: Any) -> bool:
    kind: Any = value.__class__
    if type(back) is not kind:
        return type(back) is UUID and isinstance(
            value, UUID
        )  # asyncpg has a class of its own, which is the same
    if issubclass(kind, (list, tuple)):
        return len(back) == len(value) and all(map(_is_alike, back, value))
    if issubclass(kind, dict):
        return back.keys() == value.keys() and all(_is_alike(back[key], each) for key, each in value.items())
    inside = getattr(value, "__dict__", None)
    return not inside or _is_alike(vars(back), inside)


def value_type_of(loader_class: type, base: type) -> Any:
    """The type of a loader class's values, as ``DataLoader[key, value]`` or its batch function says; else None."""
    found = _argument(loader_class, base, 1)
    if found is not None and not isinstance(found, typing.TypeVar):
        return found
    function = getattr(loader_class, "batch_load_fn", None)
    return (
        None if function is None or function is getattr(base, "batch_load_fn", None) else _returned(function)
    )


def _argument(cls: Any, base: type, index: int) -> Any:
    """What a class, or a generic alias of one, gives for a type variable of one of its bases."""
    origin = typing.get_origin(cls) or cls
    arguments = typing.get_args(cls)
    if origin is base:
        return arguments[index] if len(arguments) > index else None
    for each in getattr(origin, "__orig_bases__", origin.__bases__):
        if issubclass(typing.get_origin(each) or each, base):
            found = _argument(each, base, index)
            names: Sequence[Any] = getattr(origin, "__parameters__", ())
            return arguments[names.index(found)] if arguments and found in names else found
    return None


def _returned(function: Any) -> Any:
    """The type of the values that a batch function is annotated with."""
    try:
        annotation = typing.get_type_hints(function, include_extras=True).get("return")
    except Exception:  # a name that is not there at run time
        return None
    arguments = typing.get_args(annotation)
    if not arguments or not inspect.isclass(typing.get_origin(annotation)):
        return None
    return _without_errors(arguments[-1])


def _without_errors(kind: Any) -> Any:
    """A type without the exceptions that may stand in the place of values."""
    if typing.get_origin(kind) not in (typing.Union, types.UnionType):
        return kind
    parts = [
        part for part in typing.get_args(kind) if not (inspect.isclass(part) and issubclass(part, Exception))
    ]
    return typing.Union[tuple(parts)]  # noqa: UP007 - of as many as there are
