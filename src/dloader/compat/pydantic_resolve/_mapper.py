"""``mapper``: a function or class makes something of what a method gives, in the place of the field's type."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from inspect import iscoroutine
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from dloader._text import shorten
from dloader.compat.pydantic_resolve.constant import HAS_MAPPER_FUNCTION

__all__ = ("MAPPED", "Mapped", "all_awaited", "is_awaited", "mapper")

R = TypeVar("R")
MAPPED = "__dloader_mapped__"


class Mapped(Generic[R]):
    """A method, and the rule for what it gives."""

    __slots__ = ("method", "rule")

    def __init__(self, method: Callable[..., Any], rule: Callable[[Any], R]) -> None:
        self.method = method
        self.rule = rule

    def convert(self, value: Any, _from_attributes: bool | None = None) -> Any:
        """Apply the rule: a function to the value, a class to each item of a list; None stays None."""
        if value is None:
            return None
        if not isinstance(self.rule, type):
            return self.rule(value)
        if isinstance(value, list):
            items: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
            make = _rule_of(self.rule, items[0]) if items else None
            return items if make is None else [make(item) for item in items]
        make = _rule_of(self.rule, value)
        return value if make is None else make(value)


def mapper(func_or_class: Callable[[Any], R] | type[R]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make something of what a method gives, instead of converting it to the field's type.

    Args:
        func_or_class: A function, which is given the awaited value (not None); or a Pydantic model, into which the
            value, or each item of a list, is validated: from dicts, or with ``from_attributes`` from objects.

    Example:
        >>> @mapper(lambda user: user["name"])
        ... async def resolve_name():
        ...     return {"name": "Ada"}
        >>> asyncio.run(resolve_name())
        'Ada'
    """

    def wrap(method: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
        mapped = Mapped(method, func_or_class)

        @functools.wraps(method)
        async def wrapped(*args: Any, **kwargs: Any) -> Any:
            return mapped.convert(await all_awaited(method(*args, **kwargs)))

        for function in (method, wrapped):
            setattr(function, HAS_MAPPER_FUNCTION, True)
        setattr(wrapped, MAPPED, mapped)
        return wrapped

    return wrap


def is_awaited(value: object) -> bool:
    """Whether a value stands for another one that is still to come: other awaitables are values."""
    return asyncio.isfuture(value) or iscoroutine(value)


async def all_awaited(value: Any) -> Any:
    """What is there in the end, where coroutines and futures may give further ones."""
    while is_awaited(value):
        value = await value
    return value


def _rule_of(target: type[Any], source: Any) -> Callable[[Any], Any] | None:
    """How a value is made into a model; None if it is one.

    Raises:
        AttributeError: The model cannot be made of it.
        NotImplementedError: `target` is no model.
    """
    if isinstance(source, target):
        return None
    if not issubclass(target, BaseModel):
        raise NotImplementedError(
            f"mapper({target.__name__}): only Pydantic models are made of values by their class; pass a function "
            f"that takes {shorten(source)}"
        )
    model: type[BaseModel] = target
    reads_attributes = bool(model.model_config.get("from_attributes"))
    if isinstance(source, dict) and reads_attributes:
        raise AttributeError(f"mapper({target.__name__}): with from_attributes it takes objects and no dict")
    if isinstance(source, dict) or reads_attributes:
        return model.model_validate
    if not isinstance(source, BaseModel):
        raise AttributeError(  # noqa: TRY004 - as it always was
            f"mapper({target.__name__}) cannot read {shorten(source)}: give dicts, or set from_attributes=True"
        )
    if source.model_config.get("from_attributes"):
        return model.model_validate
    return lambda given: model(**given.model_dump())
