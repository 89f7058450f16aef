"""The types that a loader is described with: its keys and values, its batch function, what that may return."""

from __future__ import annotations

from asyncio import Future
from collections.abc import (
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
    Set as AbstractSet,
    ValuesView,
)
from types import CoroutineType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, TypeVar

from dloader._text import shorten
from dloader.errors import OptionError

__all__ = (
    "MISSING",
    "TO_AWAIT",
    "BatchFunction",
    "BatchResult",
    "K",
    "LoadFunction",
    "Requested",
    "V",
    "kinds_of",
    "refuse_to_await",
)

# TypeVar takes defaults at run time since Python 3.13. With them checkers infer Any from functions without
# annotations (mypy would infer Never), and `class UserLoader(DataLoader)` needs no parameters.
if TYPE_CHECKING:
    from typing_extensions import TypeVar as DefaultTypeVar

    K = DefaultTypeVar("K", default=Any)
    V = DefaultTypeVar("V", default=Any)
    V_co = DefaultTypeVar("V_co", default=Any, covariant=True)
else:
    K = TypeVar("K")
    V = TypeVar("V")
    V_co = TypeVar("V_co", covariant=True)

BatchResult: TypeAlias = (
    Mapping[K, V | Exception] | Sequence[V | Exception] | Iterator[V | Exception] | ValuesView[V | Exception]
)
"""What a batch function may return: one result per key in the order of the keys, or a mapping."""

BatchFunction: TypeAlias = Callable[[list[K]], Awaitable[BatchResult[K, V]]]
"""What parameters are annotated with: mypy 2.4 takes any function for the protocol `LoadFunction` after a right one."""


class LoadFunction(Protocol[K, V_co]):
    """A batch function: gets a list of keys of its own, returns one result or exception per key."""

    def __call__(self, keys: list[K], /) -> Awaitable[BatchResult[K, V_co]]:
        """Load `keys`, each of which is there once."""
        ...


class Requested(NamedTuple):
    """Which fields and types a resolve wants from a loader, so that it may read no more than these.

    ``types`` are the models of the fields that the loader fills, ``fields`` what a row has to have for them: the names,
    or aliases, of all their fields that nothing in the model loads or computes. Both are empty outside a resolver.
    They live as long as the loader.
    """

    types: tuple[type, ...] = ()
    fields: tuple[str, ...] = ()

    def with_types(self, types: tuple[type, ...], fields: Iterable[str]) -> Requested:
        """The same with more types, and what a row has to have for them."""
        return Requested(
            tuple(dict.fromkeys((*self.types, *types))), tuple(dict.fromkeys((*self.fields, *fields)))
        )

    def by_type(self) -> dict[str, list[Any]]:
        """All fields, in the form and under the names that users of pydantic-resolve know."""
        types = [{"name": cls, "fields": list(_fields_of(cls))} for cls in self.types]
        return {
            "fields": list(dict.fromkeys(name for cls in self.types for name in _fields_of(cls))),
            "request_types": types,
        }


def _fields_of(cls: type) -> Mapping[str, object]:
    """The fields of a Pydantic model or a dataclass."""
    return getattr(cls, "model_fields", None) or getattr(cls, "__dataclass_fields__", {})


def kinds_of(values: Iterable[object]) -> AbstractSet[type]:
    """The classes of some values: much cheaper than a look at each value."""
    try:
        return set(map(type, values))
    except TypeError:  # a class whose metaclass has no hash
        kinds = list(map(type, values))
        odd = {BaseException if issubclass(kind, BaseException) else object for kind in kinds}
        return odd | {kind for kind in kinds if type(kind) is type}


TO_AWAIT = (CoroutineType, Future)
"""What stands for a value that nobody has awaited."""


def refuse_to_await(where: str, key: object, value: object) -> None:
    """Refuse to keep what would have to be awaited first.

    Raises:
        OptionError: It is a coroutine or a future.
    """
    if issubclass(type(value), TO_AWAIT):
        raise OptionError(
            f"{where}: the value of key {shorten(key)} cannot be {shorten(value)}: await it first"
        )


class _Missing:
    """The type of `MISSING`: stands where there is no value, as ``None`` may be one."""

    def __repr__(self) -> str:
        return "..."


MISSING = _Missing()
