"""What a loader says of stores, read and checked, and what its keys are called there."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, final
from weakref import WeakKeyDictionary

from dloader._core._parameters import declared_names
from dloader._stored._kept import Kept
from dloader._stored._names import NoName, identified, key_name, tag_of
from dloader._stored._seconds import checked_seconds
from dloader._stored._values import Values, value_type_of
from dloader._text import shorten
from dloader.errors import OptionError

__all__ = ("StorePolicy",)

_values: WeakKeyDictionary[type, tuple[Any, Values]] = WeakKeyDictionary()
"""By loader class, its `store_type` and what follows from it: to read a type takes far longer than a request."""


@final
class StorePolicy:
    """Reads what a loader says; lives as long as the loader.

    Args:
        loader: A weak reference to it.
        base: The class of all loaders.
        namespace: What its registry said of all its keys.
    """

    __slots__ = ("_base", "_namespace", "loader")

    def __init__(self, loader: Callable[[], Any], base: type, namespace: object) -> None:
        self.loader = loader
        self._base = base
        self._namespace = namespace

    def check(self) -> None:
        """Find what is wrong with what the loader says of the store, before it loads.

        Raises:
            OptionError: Something is.
        """
        _ = self.negative_ttl
        kept = self.kept
        if kept is not None:
            kept.check(self._is_covered)
        elif self.ttl is not None:
            self.tag(None)

    @property
    def kept(self) -> Kept | None:
        """What a loader of our own says of its values."""
        kept: Kept | None = getattr(self.loader(), "_store_kept")  # noqa: B009 - it is no option of users
        return kept

    @property
    def _namespaces(self) -> tuple[object, object]:
        return self.loader().store_namespace, self._namespace

    @property
    def _is_covered(self) -> bool:
        """Whether a namespace says what values depend on, where nobody could tell."""
        return self._namespaces != (None, None)

    @property
    def ttl(self) -> float | None:
        """For how many seconds values are kept; None for a loader that wants no store."""
        return _seconds(self.loader(), "store_ttl")

    @property
    def negative_ttl(self) -> float | None:
        """For how many seconds it is kept that a key has no value; None keeps nothing."""
        return _seconds(self.loader(), "store_negative_ttl")

    def values(self) -> Values:
        """What makes bytes of its values.

        Raises:
            OptionError: It does not say what they are, or there is no JSON for them.
        """
        loader, kept = self.loader(), self.kept
        if kept is not None:
            return kept.values()
        cls: type = loader.__class__
        kind, found = _values.get(cls, (None, None))
        if found is None or loader.store_type is not kind:
            kind = loader.store_type
            of = value_type_of(cls, self._base) if kind is None else kind
            if of is None:
                raise OptionError(
                    f"loader {loader.name!r} has store_ttl, and does not say what its values are: "
                    f"write DataLoader[key, value], or store_type = ... in its class"
                )
            found = Values(of, f"what loader {loader.name!r} loads")
            _values[cls] = kind, found
        return found

    def tag(self, partition: Hashable, generation: object = None) -> str:
        """What the names of its keys begin with, for all keys of a partition.

        Args:
            partition: The partition.
            generation: That of what they are read from, of loaders of our own.
        """
        loader, kept = self.loader(), self.kept
        cls: type = loader.__class__
        said: list[object] = [
            self.values().schema,
            None if kept is None else kept.identity(self._is_covered),
            generation,
            _identified(loader, "store_namespace", self._namespaces, is_covered=False),
            _identified(loader, "partition", partition, is_covered=False),
        ]
        for name in declared_names(cls, self._base):
            value = getattr(loader, name, None)
            if name not in loader.store_ignore and not _is_resource(value):
                said.append([name, _identified(loader, name, value, is_covered=self._is_covered)])
        return tag_of(loader.name, cls, said)

    def name(self, tag: str, key: Any, cache_key: Hashable) -> str:
        """The name of a key.

        Raises:
            OptionError: It has none.
        """
        loader = self.loader()
        key_fn: Callable[[Any], Hashable] | None = loader.store_key
        named = cache_key if key_fn is None else key_fn(key)
        try:
            return tag + key_name(named)
        except NoName:
            whose = f"key {shorten(key)} of type {type(key).__name__}"
            what = (
                f"its {whose}: define store_key(self, key), which returns"
                if key_fn is None
                else f"{shorten(named)}, which its store_key returned for {whose}: let it return"
            )
            raise OptionError(
                f"loader {loader.name!r} has store_ttl, and there is no stable text for {what} a str, a number, a UUID "
                f"or a tuple"
            ) from None


def _seconds(loader: Any, option: str) -> float | None:
    return checked_seconds(f"loader {loader.name!r}", option, getattr(loader, option))


def _identified(loader: Any, name: str, value: object, is_covered: bool) -> object:
    """What stands for something that values depend on."""
    try:
        return identified(value)
    except NoName:
        if is_covered:
            return None
        raise OptionError(
            f"loader {loader.name!r} has store_ttl, and there is no stable text for its {name}, {shorten(value)}: "
            f"if values do not depend on it, write store_ignore = ({name!r},) in its class; if they do, say on what: "
            f"LoaderRegistry(store_namespace=...)"
        ) from None


RESOURCES = frozenset(
    (
        "aiohttp",
        "aiomysql",
        "aiosqlite",
        "asyncio",
        "asyncmy",
        "asyncpg",
        "grpc",
        "httpx",
        "motor",
        "psycopg",
        "psycopg_pool",
        "pymongo",
        "redis",
        "sqlite3",
        "valkey",
    )
)
"""Packages whose objects are ways to a source, and no part of what is asked for."""


def _is_resource(value: object) -> bool:
    modules = [cls.__module__ for cls in type(value).__mro__]
    return any(
        module.partition(".")[0] in RESOURCES
        or module.startswith(("sqlalchemy.ext.asyncio", "sqlalchemy.orm.session", "sqlalchemy.engine"))
        for module in modules
    )
