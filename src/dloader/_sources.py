"""Sources: what a loader is made of, and when two of them are one."""

from __future__ import annotations

import abc
import typing
from collections.abc import Hashable
from functools import partial
from types import FunctionType
from typing import Any, Generic, TypeGuard, TypeVar, cast

from dloader._core._loader import DataLoader
from dloader._core._types import BatchFunction
from dloader.errors import OptionError

__all__ = ("StandIn", "identity_of", "is_loader_class", "make_loader", "without_types")

L_co = TypeVar("L_co", bound=DataLoader[Any, Any], covariant=True)


class StandIn(abc.ABC, Generic[L_co]):
    """What stands for a loader class: a registry, say, takes the one for the other. Packages of loaders subclass it."""

    @property
    @abc.abstractmethod
    def loader_class(self) -> type[L_co]:
        """The class; the same one for those that mean the same."""

    @property
    @abc.abstractmethod
    def label(self) -> str:
        """Its name in messages, and that of the loaders which are made of it."""


def make_loader(source: object) -> DataLoader[Any, Any]:
    """Make a loader of a loader class or a batch function."""
    if _is_stand_in(source):
        return source.loader_class(name=source.label)
    source = without_types(source)
    if is_loader_class(source):
        return source()
    if callable(source) and not isinstance(source, type):
        # The type in quotes: making it takes as long as a load.
        return DataLoader(cast("BatchFunction[Any, Any]", source))
    raise OptionError(
        f"a loader is made of a DataLoader subclass or an async batch function, not of {source!r}"
    )


def identity_of(source: Any) -> Hashable:
    """What a source is known by: equal for those that share a loader."""
    if isinstance(source, (type, FunctionType)):
        return source
    if type(source) is partial:
        return _partial_identity(source)
    if not _is_hashable(source):
        raise OptionError(
            f"a registry keeps loaders by their source, and {source!r} cannot be hashed: "
            f"give it a __hash__, or pass one of its methods"
        )
    return without_types(source)


def _partial_identity(source: Any) -> Hashable:
    """Its function and arguments; with arguments that cannot be hashed a partial is equal to nothing but itself."""
    values: tuple[object, ...] = source.args
    named: dict[str, object] = source.keywords
    identity = (
        partial,
        source.func,
        tuple((type(value), value) for value in values),
        frozenset((name, type(value), value) for name, value in named.items()),
    )
    return identity if _is_hashable(identity) else source


def _is_hashable(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def without_types(source: object) -> object:
    """The class of ``Users[str]``, or what something stands for; anything else is itself."""
    if isinstance(source, (type, FunctionType)):
        return source
    if _is_stand_in(source):
        return source.loader_class
    origin = typing.get_origin(source)
    return origin if is_loader_class(origin) else source


def is_loader_class(source: object) -> TypeGuard[type[DataLoader[Any, Any]]]:
    """Whether it is a `DataLoader` subclass."""
    return isinstance(source, type) and issubclass(source, DataLoader)


def _is_stand_in(source: object) -> TypeGuard[StandIn[DataLoader[Any, Any]]]:
    return isinstance(source, StandIn)
