"""What users write on their models: which loader fills a field, what goes down the tree, what comes up.

Markers are read when a model class is compiled into a plan; they hold no state of any resolve.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, cast, overload

from dloader import DataLoader, OptionError
from dloader._loader import BatchFunction, K, V

__all__ = (
    "Collector",
    "Depends",
    "ExposeAs",
    "ICollector",
    "Load",
    "Loader",
    "LoaderDepend",
    "SendTo",
    "copy_dataloader_kls",
    "mapper",
)

L = TypeVar("L", bound=DataLoader[Any, Any])
F = TypeVar("F", bound=Callable[..., object])
if TYPE_CHECKING:
    from typing_extensions import TypeVar as DefaultTypeVar

    T = DefaultTypeVar("T", default=Any)
else:
    T = TypeVar("T")

LoaderSource: TypeAlias = type[DataLoader[Any, Any]] | DataLoader[Any, Any] | BatchFunction[Any, Any]
"""Where loaders come from: a loader class, a batch function, or a loader that was made already."""


class Depends:
    """What `LoaderDepend` leaves in a signature: the loader class, batch function or loader to hand in."""

    __slots__ = ("dependency",)

    def __init__(self, dependency: object) -> None:
        self.dependency = dependency

    def __repr__(self) -> str:
        return f"LoaderDepend({getattr(self.dependency, '__qualname__', self.dependency)})"


@overload
def LoaderDepend() -> Depends: ...
@overload
def LoaderDepend(dependency: type[L], /) -> L: ...
@overload
def LoaderDepend(dependency: L, /) -> L: ...
@overload
def LoaderDepend(dependency: BatchFunction[K, V], /) -> DataLoader[K, V]: ...
def LoaderDepend(  # noqa: N802 - the name pydantic-resolve's users know
    dependency: LoaderSource | None = None, /
) -> object:
    """Ask for a loader in a ``resolve_`` or ``post_`` method, under any parameter name.

    Args:
        dependency: A `DataLoader` subclass, or an async batch function. May be left out inside ``Annotated``.

    Returns:
        A marker; a type checker takes it for the loader that the method will get.

    Example:
        >>> from typing import Annotated
        >>> from pydantic import BaseModel
        >>> class OfficeLoader(DataLoader[int, list[dict]]):
        ...     async def batch_load_fn(self, keys): ...
        >>> class Company(BaseModel):
        ...     id: int
        ...     offices: list[dict] = []
        ...     def resolve_offices(self, loader=LoaderDepend(OfficeLoader)):
        ...         return loader.load(self.id)
        ...     branches: list[dict] = []
        ...     def resolve_branches(self, loader: Annotated[OfficeLoader, LoaderDepend()]):
        ...         return loader.load(self.id)

    The form is pydantic-resolve's, which has it from FastAPI's ``Depends``.
    """
    return Depends(dependency)


Loader = LoaderDepend


class Load:
    """Fill a field from a loader, by the key in another field: the shortest form, and the fastest.

    Args:
        loader: A `DataLoader` subclass, a batch function or a loader.
        by: The field of the same model that holds the key. A null key loads nothing: the field keeps its default.

    Example:
        >>> from typing import Annotated
        >>> from pydantic import BaseModel
        >>> class UserLoader(DataLoader[int, dict]):
        ...     async def batch_load_fn(self, keys): ...
        >>> class Task(BaseModel):
        ...     owner_id: int | None
        ...     owner: Annotated[dict | None, Load(UserLoader, by="owner_id")] = None
    """

    __slots__ = ("by", "loader")

    def __init__(self, loader: LoaderSource, *, by: str) -> None:
        if not isinstance(by, str):
            raise OptionError(f"Load(by=) takes the name of a field, not {by!r}")
        self.loader = loader
        self.by = by

    def __repr__(self) -> str:
        return f"Load({getattr(self.loader, '__qualname__', self.loader)}, by={self.by!r})"


@dataclass(frozen=True, slots=True)
class ExposeAs:
    """Let everything below see this field, as ``ancestor_context[alias]``.

    Example:
        ``name: Annotated[str, ExposeAs("company_name")]``
    """

    alias: str


@dataclass(frozen=True, slots=True)
class SendTo:
    """Send this field's value up to the `Collector` of that name (or those names) in any ancestor.

    Example:
        ``author: Annotated[User | None, SendTo("people")] = None``
    """

    names: str | tuple[str, ...]


class ICollector(abc.ABC):
    """Gathers what descendants send; each node that asks for it gets a copy of its own.

    Subclass it for other shapes than a list: a set, a count.
    """

    def __init__(self, alias: str) -> None:
        self.alias = alias

    @abc.abstractmethod
    def add(self, val: Any) -> None:
        """Take one value that a descendant sends; called in the order of the tree."""

    @abc.abstractmethod
    def values(self) -> Any:
        """Return what was gathered."""


class Collector(ICollector, Generic[T]):
    """Gathers what descendants send to `alias` in a list.

    Args:
        alias: The name that `SendTo` uses.
        flat: Each value sent is a list, whose items are gathered.

    Example:
        ``def post_people(self, people=Collector("people")): return people.values()``
    """

    def __init__(self, alias: str, flat: bool = False) -> None:
        super().__init__(alias)
        self.flat = flat
        self.val: list[T] = []

    def add(self, val: T | list[T]) -> None:
        """Add a value, or the items of a list when the collector is flat."""
        if not self.flat:
            self.val.append(cast(T, val))
        elif isinstance(val, list):
            self.val.extend(cast(list[T], val))
        else:
            raise TypeError(f"Collector({self.alias!r}, flat=True) takes lists, not {type(val).__name__}")

    def values(self) -> list[T]:
        """Return the list gathered so far."""
        return self.val


@overload
def mapper(rule: type) -> Callable[[F], F]: ...
@overload
def mapper(rule: Callable[[Any], object]) -> Callable[[F], F]: ...
def mapper(rule: Callable[[Any], object]) -> Callable[[F], F]:
    """Convert what a ``resolve_`` method gives by a function or into a class, instead of into the field's type.

    Args:
        rule: A function, applied to the awaited value (not to ``None``), or a Pydantic model or dataclass, into which
            the value, or each item of a list, is validated.

    Example:
        ``@mapper(lambda user: user["name"])``
    """

    def mark(method: F) -> F:
        setattr(method, "__dloader_mapper__", rule)  # noqa: B010 - checkers know no attributes of functions
        return method

    return mark


def copy_dataloader_kls(name: str, loader_kls: type[L]) -> type[L]:
    """Clone a loader class, to use it twice in one resolve with different parameters.

    Args:
        name: The name of the new class.
        loader_kls: A `DataLoader` subclass.

    Returns:
        A subclass that differs in nothing else.
    """
    namespace = {"__module__": loader_kls.__module__, "__qualname__": name}
    return cast(type[L], type(name, (loader_kls,), namespace))
