"""LoaderRegistry: the loaders of one request."""

from __future__ import annotations

from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self, TypeGuard, TypeVar, cast, overload

from dloader._loader import BatchFunction, DataLoader, K, V
from dloader.errors import LoaderClosedError, OptionError

__all__ = ("LoaderRegistry",)

L = TypeVar("L", bound=DataLoader[Any, Any])


class LoaderRegistry:
    """Makes each loader once and keeps it; lives as long as a request, and closes its loaders with it.

    Loaders are told apart by the class or function object itself, never by its name. A `Resolver` that is
    given a registry takes its loaders from it, so that everything in one request shares batches and caches.

    Example:
        >>> import asyncio
        >>> class UserLoader(DataLoader[int, str]):
        ...     async def batch_load_fn(self, keys):
        ...         return [f"user {key}" for key in keys]
        >>> async def handle_request():
        ...     async with LoaderRegistry() as loaders:
        ...         assert loaders.get(UserLoader) is loaders.get(UserLoader)
        ...         return await loaders.get(UserLoader).load(1)
        >>> asyncio.run(handle_request())
        'user 1'
    """

    def __init__(self) -> None:
        self._loaders: dict[object, DataLoader[Any, Any]] = {}
        self._closed = False

    @overload
    def get(self, source: type[L], /) -> L: ...
    @overload
    def get(self, source: BatchFunction[K, V], /) -> DataLoader[K, V]: ...
    def get(self, source: object, /) -> DataLoader[Any, Any]:
        """Return the loader of a loader class or batch function, made on first use.

        Args:
            source: A `DataLoader` subclass that can be made without arguments, or a batch function.

        Raises:
            OptionError: `source` is neither.
            LoaderClosedError: The registry was closed.
        """
        loader = self._loaders.get(source)
        return self.add(source, make_loader(source)) if loader is None else loader

    def find(self, source: object, /) -> DataLoader[Any, Any] | None:
        """Return the loader of a class or function if it was made already."""
        return self._loaders.get(source)

    def add(self, source: object, loader: L, /) -> L:
        """Use `loader`, primed or with options of its own, for a loader class or function."""
        if self._closed:
            raise LoaderClosedError("this LoaderRegistry was closed with its request; make a new one")
        self._loaders[source] = loader
        return loader

    async def aclose(self) -> None:
        """Shut down every loader."""
        self._closed = True
        async with (
            AsyncExitStack() as stack
        ):  # every one is closed, also when closing another fails or is cancelled
            for loader in self._loaders.values():
                stack.push_async_callback(loader.aclose)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"LoaderRegistry({', '.join(map(repr, self._loaders.values()))})"


def make_loader(source: object) -> DataLoader[Any, Any]:
    """Make a loader of a loader class or a batch function."""
    if _is_loader_class(source):
        return source()
    if callable(source) and not isinstance(source, type):
        return DataLoader(cast(BatchFunction[Any, Any], source))
    raise OptionError(
        f"a loader is made of a DataLoader subclass or an async batch function, not of {source!r}"
    )


def _is_loader_class(source: object) -> TypeGuard[type[DataLoader[Any, Any]]]:
    return isinstance(source, type) and issubclass(source, DataLoader)
