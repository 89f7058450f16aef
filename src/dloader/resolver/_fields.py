"""Reading and writing fields of nodes, of many nodes at once.

Past what their classes make of attributes: a deprecated field gives no warning, and a lazy one is not loaded.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

__all__ = ("Failed", "FailedAt", "Writer", "held_by", "values_of", "writer_of")

Writer: TypeAlias = Callable[[Sequence[Any], Sequence[Any]], None]
"""Puts values into a field of nodes."""


TAKEN = BaseException()
"""What is left of an error that was given away."""


class FailedAt(Exception):  # noqa: N818 - never seen by users
    """Internal: what was done for the node at `index` raised `error`, which is what the caller gets."""

    def __init__(self, index: int, error: BaseException) -> None:
        super().__init__()  # else its args keep the error
        self.index = index
        self.error = _let_out(error)

    def take(self) -> BaseException:
        """Give the error away, to be raised by who has caught this, whose frame it will refer to: no cycle is left."""
        error, self.error = self.error, TAKEN
        self.__traceback__ = self.__context__ = None
        return error


class Failed:
    """Stands in the place of a value that could not be had, where a resolve goes on after failures."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = _let_out(error)


def _let_out(error: BaseException) -> BaseException:
    """A ``StopIteration`` as a ``RuntimeError``, as in a coroutine: else it would end a loop somewhere above."""
    if not isinstance(error, StopIteration):
        return error
    explained = RuntimeError("a method or validator raised StopIteration; next() takes a default, too")
    explained.__cause__ = error
    return explained


def values_of(nodes: Sequence[Any], name: str) -> list[Any]:
    """What nodes have in a field.

    Raises:
        FailedAt: A node has no such attribute: ``model_construct`` made it, say.
    """
    try:
        return [node.__dict__[name] for node in nodes]
    except (AttributeError, KeyError):  # slots, descriptors
        pass
    values: list[Any] = []
    try:
        values.extend(getattr(node, name) for node in nodes)
    except Exception as error:
        failed = FailedAt(len(values), error)
    else:
        return values
    raise failed


def held_by(nodes: Sequence[Any], name: str) -> list[Any]:
    """What nodes have in a field, or None."""
    try:
        return [node.__dict__[name] for node in nodes]
    except (AttributeError, KeyError):
        return [None if _is_mapped(node) else getattr(node, name, None) for node in nodes]


def _is_mapped(node: Any) -> bool:
    """Whether a node is a row of SQLAlchemy's: what it does not hold would be loaded by looking."""
    return hasattr(cast(Any, type(node)), "__mapper__")


def writer_of(cls: type, name: str) -> Writer:
    """Make the function that puts values into a field of the nodes."""
    if dataclasses.is_dataclass(cls):

        def set_attributes(nodes: Sequence[Any], values: Sequence[Any]) -> None:
            for node, value in zip(nodes, values, strict=True):
                object.__setattr__(node, name, value)  # a frozen dataclass is filled too

        return set_attributes

    def set_fields(nodes: Sequence[Any], values: Sequence[Any]) -> None:
        # What BaseModel.__setattr__ comes down to; a resolved field counts as set.
        for node, value in zip(nodes, values):  # noqa: B905 - strict takes 40 % of the time for a single node
            node.__dict__[name] = value
            fields_set = node.__pydantic_fields_set__
            if name not in fields_set:
                fields_set.add(name)

    return set_fields
