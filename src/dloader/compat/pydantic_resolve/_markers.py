"""What users write on their models: markers that `dloader.resolver` has too, under pydantic-resolve's names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, overload

from dloader import DataLoader, resolver
from dloader.lowlevel import BatchFunction, K, V

__all__ = ("AutoLoad", "Depends", "Loader", "LoaderInfo", "SendTo")

L = TypeVar("L", bound=DataLoader[Any, Any])

Depends: type[Any] = type(resolver.LoaderDepend())
"""What a parameter has as its default that asks for a loader."""


@overload
def Loader(dependency: type[L]) -> L: ...
@overload
def Loader(dependency: BatchFunction[K, V]) -> DataLoader[K, V]: ...
@overload
def Loader(dependency: Callable[..., Any] | None = None) -> Any: ...
def Loader(dependency: Any = None) -> Any:  # noqa: N802 - pydantic-resolve's name
    """Ask for a loader in a ``resolve_`` or ``post_`` method: the default of a parameter of any name.

    Args:
        dependency: A loader class, of dloader or aiodataloader, or an async batch function.

    Example:
        >>> async def load_users(ids):
        ...     return [f"user {id}" for id in ids]
        >>> Loader(load_users)
        LoaderDepend(load_users)
    """
    return resolver.LoaderDepend(dependency)


class SendTo(resolver.SendTo):
    """Send a field's value up to the collectors of that name (or those names) in ancestors.

    Fields that send to the same name are sent together, as a list.

    Example:
        ``name: Annotated[str, SendTo("names")]``
    """

    def __init__(self, name: str | tuple[str, ...]) -> None:
        super().__init__(name)

    @property
    def collector_name(self) -> str | tuple[str, ...]:
        """The name, or names."""
        return self.names


class LoaderInfo:
    """A field that a relationship fills; see `AutoLoad`."""

    __slots__ = ("origin",)

    def __init__(self, origin: str | None = None) -> None:
        self.origin = origin
        """The name of the relationship, where the field has another."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LoaderInfo) and self.origin == other.origin

    def __hash__(self) -> int:
        return hash(self.origin)

    def __repr__(self) -> str:
        return f"AutoLoad(origin={self.origin!r})"


def AutoLoad(origin: str | None = None) -> LoaderInfo:  # noqa: N802 - pydantic-resolve's name
    """Fill a field by a relationship of the diagram: a marker for ``Annotated``.

    Args:
        origin: The relationship's name, where the field has another.

    Example:
        ``writer: Annotated[User | None, AutoLoad(origin="author")] = None``
    """
    return LoaderInfo(origin)
