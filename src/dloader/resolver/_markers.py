"""What users write on their models: which loader fills a field, what goes down the tree, what comes up.

Markers are read when a model class is compiled into a plan; they hold no state of any resolve.
"""

from __future__ import annotations

import abc
import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeAlias, TypeGuard, TypeVar, cast, overload

from dloader import DataLoader, OptionError
from dloader._sources import StandIn
from dloader.lowlevel import BatchFunction, K, V

__all__ = (
    "NOTHING",
    "Collector",
    "Depends",
    "ExposeAs",
    "FieldMarker",
    "FillMarker",
    "ICollector",
    "Load",
    "Loader",
    "LoaderDepend",
    "LoaderSource",
    "MarkedField",
    "SendTo",
    "copy_dataloader_kls",
    "ignore",
    "is_hashable",
    "is_ignored",
    "is_loader_class",
    "is_loader_source",
    "is_mapper_decorator",
    "mapper",
    "needs",
    "needs_of",
)

L = TypeVar("L", bound=DataLoader[Any, Any])
F = TypeVar("F", bound=Callable[..., object])
KeyTuple = TypeVar("KeyTuple", bound=tuple[Any, ...])
if TYPE_CHECKING:
    from typing_extensions import TypeVar as DefaultTypeVar

    T = DefaultTypeVar("T", default=Any)
else:
    T = TypeVar("T")

LoaderSource: TypeAlias = type[DataLoader[Any, Any]] | DataLoader[Any, Any] | BatchFunction[Any, Any]
"""Where loaders come from: a loader class, a batch function, or a loader that was made already."""

NOTHING: Any = object()
"""No value, where ``None`` is one."""

NEEDS = "__dloader_needs__"
"""The mark of `needs`."""
IGNORED = "__dloader_ignored__"
"""The mark of `ignore`, in the object's own namespace: a class made anew from another's, for slots say, has it too."""


MOST_PARTS = 64
"""A mock has any part, without end."""


def is_loader_source(source: Any) -> bool:
    """Whether loaders can come from an object that stands in a marker."""
    if isinstance(source, type) or hasattr(
        source, "__origin__"
    ):  # Users[int] can be called, and is only a type
        return is_loader_class(source)
    if inspect.isgeneratorfunction(source) or inspect.isasyncgenfunction(source):
        return False
    return is_hashable(source) and (
        callable(source) or isinstance(cast(object, source), (DataLoader, StandIn))
    )


def is_hashable(source: object) -> bool:
    """Whether a loader can be found again by an object."""
    try:
        hash(source)
    except TypeError:
        return False
    return True


def is_loader_class(source: object) -> TypeGuard[type[DataLoader[Any, Any]]]:
    """Whether loaders can be made by calling an object without arguments, or at least by a subclass."""
    return isinstance(source, type) and issubclass(source, DataLoader)


class Depends:
    """What `LoaderDepend` leaves in a signature: the loader class, batch function or loader to hand in."""

    __slots__ = ("dependency",)

    def __init__(self, dependency: object) -> None:
        self.dependency = dependency

    def __getattr__(self, name: str) -> NoReturn:
        """What is asked of the loader is asked in vain: nobody has handed it in."""
        if name == "dependency" or name.startswith("__"):  # of a copy that is being made
            raise AttributeError(name)
        raise AttributeError(
            f"{self!r} is what stands in the signature, not the loader, so it has no {name!r}: if a decorator stands "
            f"around the method, it needs functools.wraps; if you call the method by hand, pass it a loader",
            name=name,
            obj=self,
        )

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


@dataclass(frozen=True, slots=True)
class MarkedField:
    """The field that a marker stands at, as it is told when a model class is compiled into a plan."""

    owner: type
    """The model or dataclass."""
    name: str
    annotation: Any
    """The field's type without ``Annotated``, so that a loader may be chosen by the response model in it."""

    def __str__(self) -> str:
        return f"{self.owner.__qualname__}.{self.name}"


class FieldMarker:
    """The base of all markers that stand in ``Annotated`` and say where a field's value comes from.

    A marker is asked once for each class whose field it stands at, when that class is compiled into a plan. It must
    answer from its own arguments and the classes alone: it holds no state of any resolve. A `DloaderError` that one
    of its methods raises is a mistake in the model, and is reported with all others before anything is loaded.

    Example:
        >>> class From(FieldMarker):
        ...     def __init__(self, column):
        ...         self.column = column
        ...     def row_names(self, field):
        ...         return (self.column,)
    """

    def row_names(self, field: MarkedField, /) -> tuple[str, ...]:  # noqa: ARG002 - for those who override it
        """Under which other names a row may have the field, beside the field's own and its aliases."""
        return ()

    def problems(self, field: MarkedField, /) -> Iterable[str]:  # noqa: ARG002
        """What is wrong with the marker at this field; each is a sentence without the field's name."""
        return ()


class FillMarker(FieldMarker, abc.ABC):
    """The base of all markers that fill a field from a loader: `Load`, and those of other packages.

    The field is no part of what a row carries: it is never read from one, and needs no default.

    Example:
        >>> class Lead(FillMarker):
        ...     def key(self, field):
        ...         return "lead_id"
        ...     def loader(self, field):
        ...         return load_people
        >>> async def load_people(ids): ...
    """

    depth: int | None = None
    """How often the marker may fill its field on one way from a root down; None is without end."""

    @abc.abstractmethod
    def key(self, field: MarkedField, /) -> str | tuple[str, ...]:
        """What holds the key: a name, or a tuple of names for a key that is a tuple.

        A name that the class does not have is a column that rows must carry; it is no part of the node. Called also
        while other classes are compiled: it must not look at the classes of `field`'s type.
        """

    @abc.abstractmethod
    def loader(self, field: MarkedField, /) -> LoaderSource:
        """The loader class, batch function or loader; equal ones are one loader for all fields of a resolve."""

    def empty(self, field: MarkedField, /) -> object:  # noqa: ARG002
        """What a field without a default gets for a key that is null; `NOTHING` says: None, if the type allows it.

        It is converted into the type of the field, as what is loaded is, and each node gets one of its own. Where it
        does not fit the type, a null key is a `KeyTypeError`.
        """
        return NOTHING


class Load(FillMarker):
    """Fill a field from a loader, by the key in another field: the shortest form, and the fastest.

    Args:
        loader: A `DataLoader` subclass, a batch function or a loader.
        by: What holds the key: a field of the same model, a property, a private attribute, or a column of the row that
            the model does not have. A tuple of names makes a key of several parts: ``by=("country", "number")`` loads
            ``(country, number)``. Where it is declared as a list, set or ``tuple[X, ...]``, each item is a key, and the
            field gets a list of what is loaded. A null key, or part of one, loads nothing: the field keeps its
            default, or is None if it has no default.
        depth: How often the field may be filled on one way from a root down, for models that hold themselves; below, it
            keeps its default, or is None if it has none and its type allows that. None is without end.

    Raises:
        OptionError: `by` is neither a name nor names, or `depth` no positive number.

    Example:
        >>> from typing import Annotated
        >>> from pydantic import BaseModel
        >>> class UserLoader(DataLoader[int, dict]):
        ...     async def batch_load_fn(self, keys): ...
        >>> class Task(BaseModel):
        ...     owner_id: int | None
        ...     owner: Annotated[dict | None, Load(UserLoader, by="owner_id")] = None
        ...     helper_ids: list[int] = []
        ...     helpers: Annotated[list[dict], Load(UserLoader, by="helper_ids")] = []
    """

    @overload
    def __init__(self, loader: LoaderSource, *, by: str, depth: int | None = None) -> None: ...
    @overload
    def __init__(
        self,
        loader: type[DataLoader[KeyTuple, Any]] | DataLoader[KeyTuple, Any] | BatchFunction[KeyTuple, Any],
        *,
        by: tuple[str, ...],
        depth: int | None = None,
    ) -> None: ...
    def __init__(self, loader: LoaderSource, *, by: str | tuple[str, ...], depth: int | None = None) -> None:
        names = by if isinstance(by, tuple) else (by,)
        if not names or not all(isinstance(name, str) for name in names):
            raise OptionError(f"Load(by=) takes the name of a field, or a tuple of names, not {by!r}")
        if depth is not None and (type(depth) is not int or depth < 1):
            raise OptionError(f"Load(depth=) takes a positive number of levels, not {depth!r}")
        self.source = loader
        self.by = by
        self.depth = depth

    def key(self, field: MarkedField, /) -> str | tuple[str, ...]:  # noqa: ARG002
        """See `FillMarker.key`."""
        return self.by

    def loader(self, field: MarkedField, /) -> LoaderSource:  # noqa: ARG002
        """See `FillMarker.loader`."""
        return self.source

    def __repr__(self) -> str:
        return f"Load({getattr(self.source, '__qualname__', self.source)}, by={self.by!r})"


def needs(*fields: str) -> Callable[[F], F]:
    """Have a ``resolve_`` method wait until other fields of its node are filled.

    Args:
        fields: Their names.

    Raises:
        OptionError: A name is none.

    Example:
        >>> from pydantic import BaseModel
        >>> class Issue(BaseModel):
        ...     body: str = ""
        ...     async def resolve_body(self):
        ...         return "text"
        ...     html: str = ""
        ...     @needs("body")
        ...     def resolve_html(self):
        ...         return f"<p>{self.body}</p>"
    """
    _check_names("needs", *fields)

    def mark(method: F) -> F:
        setattr(method, NEEDS, fields)
        return method

    return mark


def needs_of(method: Callable[..., object]) -> tuple[str, ...]:
    """The fields that a method waits for."""
    names: tuple[str, ...] = getattr(method, NEEDS, ())
    return names


@dataclass(frozen=True, slots=True)
class ExposeAs:
    """Let everything below see this field, as ``ancestor_context[alias]``.

    Example:
        ``name: Annotated[str, ExposeAs("company_name")]``
    """

    alias: str

    def __post_init__(self) -> None:
        _check_names("ExposeAs", self.alias)


@dataclass(frozen=True, slots=True)
class SendTo:
    """Send this field's value up to the `Collector` of that name (or those names) in any ancestor.

    Example:
        ``author: Annotated[User | None, SendTo("people")] = None``
    """

    names: str | tuple[str, ...]

    def __post_init__(self) -> None:
        several = isinstance(self.names, (tuple, list))
        _check_names("SendTo", *(self.names if several else (self.names,)))


def _check_names(marker: str, *names: object) -> None:
    if not names:
        raise OptionError(f"{marker} takes a name")
    for name in names:
        if not isinstance(name, str):
            raise OptionError(f"{marker} takes a name, not {name!r}")


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

    Raises:
        OptionError: `rule` is neither.

    Example:
        ``@mapper(lambda user: user["name"])``
    """
    if not callable(rule):
        raise OptionError(f"mapper takes a function or a class, not {rule!r}")

    def mark(method: F) -> F:
        setattr(method, "__dloader_mapper__", rule)  # noqa: B010 - checkers know no attributes of functions
        return method

    return mark


def is_mapper_decorator(function: Callable[..., object]) -> bool:
    """Whether a method is what ``@mapper`` without a rule leaves of it."""
    return function.__module__ == __name__ and function.__qualname__.startswith("mapper.")


def ignore(target: T, /) -> T:
    """Take a method or a class out: whatever it is called and says, it is none of the resolver's business.

    A method that is ignored is never called, and no mistake where it fills no field. Nodes of a class that is ignored
    are not visited, nor what they hold; methods that other classes inherit from it are ignored there too, while a
    subclass has its own fields and methods read as ever. In ``Annotated``, it says that a field drops the markers
    that it has in a base class.

    Args:
        target: A method or a property, of a model or dataclass or of a base class; or a class, also one of another
            library: before the first resolve that meets it.

    Returns:
        The same object, with a mark.

    Raises:
        OptionError: `target` cannot be marked.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Link:
        ...     path: str
        ...     name: str = ""
        ...     def resolve_name(self):
        ...         return self.path.rpartition("/")[2]
        ...     @ignore
        ...     def resolve_url(self, host):
        ...         return f"https://{host}/{self.path}"
    """
    marked = next((part for part in _parts_of(target) if hasattr(part, "__dict__")), None)
    if not callable(marked) and not hasattr(marked, "__get__"):
        raise OptionError(f"ignore takes a method or a class, not {target!r}")
    try:
        setattr(marked, IGNORED, True)
    except TypeError as error:
        raise OptionError(f"ignore cannot mark {target!r}: {error}") from error
    return target


def is_ignored(target: object) -> bool:
    """Whether a class, which does not inherit the mark, or what stands in a class was marked by `ignore`."""
    if isinstance(target, type):
        generic: Any = getattr(target, "__pydantic_generic_metadata__", {})
        return IGNORED in vars(target) or IGNORED in getattr(generic.get("origin"), "__dict__", ())
    return any(IGNORED in getattr(part, "__dict__", ()) for part in _parts_of(target))


def _parts_of(target: object) -> Iterator[object]:
    """An object, and the function in it if it is a property, classmethod or another wrapper."""
    part = target
    for _ in range(MOST_PARTS):
        if part is None:
            break
        yield part
        names = () if isinstance(part, type) else ("fget", "func", "__func__", "wrapped", "__wrapped__")
        part = next((found for name in names if (found := getattr(part, name, None)) is not None), None)


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
