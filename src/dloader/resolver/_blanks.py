"""What nodes lack that were made of rows: the fields that nobody has filled yet get their defaults where it matters."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from dloader.resolver._markers import NOTHING

__all__ = (
    "drop_hidden",
    "fill_all_blanks",
    "fill_blanks",
    "has_default",
    "lacking",
    "put_in_order",
    "write_blanks",
)

PLAIN = frozenset({bool, bytes, float, int, str, type(None)})
COPIED = frozenset({dict, list, set})
Default: TypeAlias = Callable[[Any], Any]
"""From a node to a default for one of its fields."""


def lacking(cls: type[Any], name: str, nodes: Iterable[Any]) -> list[Any]:
    """The nodes that have no value in a field."""
    if issubclass(cls, BaseModel):
        return [node for node in nodes if name not in node.__dict__]
    return [node for node in nodes if not hasattr(node, name)]


def fill_all_blanks(cls: type[Any], names: Mapping[str, None], nodes: Sequence[Any]) -> None:
    """Give nodes the defaults of the fields that they lack."""
    if len(names) > ONE_BY_ONE and issubclass(cls, BaseModel):  # one look for all fields: 130 ns a node
        wanted = names.keys()
        nodes = [node for node in nodes if not wanted <= node.__dict__.keys()]
    for name in names if nodes else ():
        fill_blanks(cls, name, nodes)


ONE_BY_ONE = 3
"""Of so many fields each is looked for by itself, at 35 ns a node."""


def put_in_order(fields: tuple[str, ...], nodes: Sequence[Any]) -> None:
    """Have models list their fields as their class does, in whichever order they were filled: JSON is written so.

    All nodes of a group are filled in the same order, so that the first tells for all.
    """
    own: dict[str, Any] = nodes[0].__dict__
    if tuple(own) == fields or list(own) == [name for name in fields if name in own]:
        return
    for node in nodes:
        own = node.__dict__
        own.update([(name, own.pop(name)) for name in fields if name in own])


def fill_blanks(cls: type[Any], name: str, nodes: Iterable[Any], otherwise: Any = NOTHING) -> Sequence[Any]:
    """Give nodes that lack a field its default, which counts as not set.

    Args:
        cls: Their class.
        name: The field.
        nodes: All of them, or some.
        otherwise: For a field that has no default.

    Returns:
        The nodes that lack it still.
    """
    blank: Sequence[Any] = lacking(cls, name, nodes)
    if not blank:
        return blank
    default = _default_of(cls, name)
    if default is None:
        if otherwise is NOTHING:
            return blank
        default = _same(otherwise)
    write_blanks(cls, name, blank, map(default, blank))
    return ()


def write_blanks(cls: type[Any], name: str, nodes: Iterable[Any], values: Iterable[Any]) -> None:
    """Give nodes what counts as not set."""
    if issubclass(cls, BaseModel):
        for node, value in zip(nodes, values, strict=True):
            node.__dict__[name] = value
    else:
        for node, value in zip(nodes, values, strict=True):
            object.__setattr__(node, name, value)


def has_default(cls: type[Any], name: str) -> bool:
    """Whether a field has a default, for nodes that lack it."""
    return _default_of(cls, name) is not None


def _same(value: Any) -> Default:
    copies = type(value) in COPIED
    return lambda _: value.copy() if copies else value


def _default_of(cls: type[Any], name: str) -> Default | None:
    infos: Any = cls.model_fields if issubclass(cls, BaseModel) else getattr(cls, "__pydantic_fields__", {})
    if name in infos:
        return _default_by(infos[name])
    field: dataclasses.Field[Any] = cls.__dataclass_fields__[name]
    if field.default_factory is not dataclasses.MISSING:
        factory = field.default_factory
        return lambda _: factory()
    return None if field.default is dataclasses.MISSING else _same(field.default)


def _default_by(info: FieldInfo) -> Default | None:
    if info.is_required():
        return None
    factory: Any = info.default_factory
    if getattr(info, "default_factory_takes_validated_data", False):
        return lambda node: factory(node.__dict__)
    if factory is not None:
        return lambda _: factory()
    default: Any = info.default
    if type(default) in PLAIN or (
        type(default) in COPIED and not default
    ):  # what Pydantic makes of it takes 1 us
        return _same(default)
    return lambda _: info.get_default(call_default_factory=True)


def drop_hidden(names: Iterable[str], nodes: Sequence[Any]) -> None:
    """Take the keys that only rows have from nodes, which have been loaded by them."""
    tells_what_is_set = hasattr(next(iter(nodes), None), "__pydantic_fields_set__")
    for name in names:
        for node in nodes:
            if node.__dict__.pop(name, NOTHING) is not NOTHING and tells_what_is_set:
                node.__pydantic_fields_set__.discard(name)
