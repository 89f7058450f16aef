"""The extension that gives each operation its registry."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from inspect import isawaitable
from typing import Any, TypeAlias

from strawberry.extensions import SchemaExtension

from dloader import Instrument, Limit, LoaderRegistry, OptionError
from dloader._text import shorten
from dloader.store import Store
from dloader.strawberry._operations import Operation, current, open_operations

__all__ = ("LoaderExtension",)

Values: TypeAlias = Mapping[str, Any]
Params: TypeAlias = (
    Values | Callable[[Any], Values | Awaitable[Values] | AbstractAsyncContextManager[Values]] | None
)


class LoaderExtension:
    """Gives each operation of a schema a `LoaderRegistry`: each query, mutation and subscription, over WebSockets too.

    The registry is open until the operation has ended, of a subscription after its last event. Resolvers reach it by
    `loaders`; fields made by `related` and `connection` load from it. The schema executes asynchronously.

    Args:
        params: The parameters of loaders, by name; or what is called with the context of each operation and returns
            them, an awaitable of them, or an async context manager that is open as long as the operation. An
            ``async_sessionmaker`` is a value like any other: then each batch has a session of its own.
        loader_params: As of `LoaderRegistry`.
        instruments: As of `LoaderRegistry`.
        max_concurrency: As of `LoaderRegistry`; a number is for each operation, a `Limit` for all of them together.
        store: As of `LoaderRegistry`: one for all operations.
        store_namespace: As of `LoaderRegistry`; or what is called with the context of each operation and returns it.

    Raises:
        OptionError: An argument cannot be used.

    Example:
        ``schema = strawberry.Schema(Query, extensions=[LoaderExtension(params={"session": make_session})])``
    """

    def __init__(
        self,
        params: Params = None,
        *,
        loader_params: Mapping[Any, Mapping[str, Any]] | None = None,
        instruments: Iterable[Instrument] = (),
        max_concurrency: int | Limit | None = None,
        store: Store | None = None,
        store_namespace: object | Callable[[Any], object] = None,
    ) -> None:
        if not (params is None or isinstance(params, Mapping) or callable(params)):
            raise OptionError(
                f"LoaderExtension(params=) takes a mapping, or what makes one of the context, not {shorten(params)}"
            )
        self._given: Params = params
        self._namespace = store_namespace
        self._options: dict[str, Any] = {
            "loader_params": loader_params,
            "instruments": tuple(instruments),
            "max_concurrency": max_concurrency,
            "store": store,
        }
        LoaderRegistry(**self._options)  # a wrong option is told now, not at the first operation

    def __call__(self) -> SchemaExtension:
        """Make the extension of one operation, as Strawberry wants it of what is in ``extensions=``."""
        extension = _OperationExtension()
        extension.open_registry = self._open
        return extension

    async def _open(self, stack: AsyncExitStack, context: object) -> LoaderRegistry:
        given = self._given
        values: Any = given(context) if callable(given) else given
        if hasattr(values, "__aenter__"):
            values = await stack.enter_async_context(values)
        elif isawaitable(values):
            values = await values
        named = self._namespace
        namespace: object = named(context) if callable(named) else named
        registry = LoaderRegistry(values, store_namespace=namespace, **self._options)
        return await stack.enter_async_context(registry)


class _OperationExtension(SchemaExtension):
    """What Strawberry calls at the beginning and at the end of an operation."""

    open_registry: Callable[[AsyncExitStack, object], Awaitable[LoaderRegistry]]

    async def on_operation(self) -> AsyncGenerator[None]:
        """Open the registry; close it when the operation has ended, however it did."""
        context = self.execution_context.context
        async with AsyncExitStack() as stack:
            operation = Operation(context, await self.open_registry(stack, context))
            stack.push_async_callback(operation.aclose)
            before = current.get()
            current.set(operation)
            open_operations.add(operation)
            try:
                yield
            finally:
                open_operations.discard(operation)
                current.set(before)  # no token: a subscription may be closed by another task than began it
