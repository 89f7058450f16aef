"""The extension that gives each operation its registry."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from inspect import isawaitable
from typing import Any, NoReturn, TypeAlias, cast
from weakref import finalize

from strawberry.extensions import SchemaExtension

from dloader import Instrument, Limit, LoaderRegistry, OptionError
from dloader._text import shorten
from dloader.lowlevel import checked_instruments
from dloader.store import Store
from dloader.strawberry._operations import Operation, current, open_operations

__all__ = ("LoaderExtension",)

Values: TypeAlias = Mapping[str, Any]
Params: TypeAlias = (
    Values | Callable[[Any], Values | Awaitable[Values] | AbstractAsyncContextManager[Values]] | None
)


_NO_PARENTHESES = "strawberry.Schema(extensions=[LoaderExtension()]) wants the parentheses"


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
        self._closing: set[asyncio.Task[None]] = set()
        self._given: Params = params
        self._namespace = store_namespace
        self._options: dict[str, Any] = {
            "loader_params": loader_params,
            "instruments": checked_instruments("LoaderExtension(instruments=)", instruments),
            "max_concurrency": max_concurrency,
            "store": store,
        }
        LoaderRegistry(**self._options)  # a wrong option is told now, not at the first operation

    def __call__(self) -> SchemaExtension:
        """Make the extension of one operation, as Strawberry wants it of what is in ``extensions=``."""
        extension = _OperationExtension()
        extension.open_registry, extension.closing = self._open, self._closing
        return extension

    @property
    def execution_context(self) -> NoReturn:
        """What Strawberry gives to extensions, and to this if it made it itself.

        Raises:
            OptionError: Always.
        """
        raise OptionError(_NO_PARENTHESES)

    @execution_context.setter
    def execution_context(self, _: object) -> NoReturn:
        raise OptionError(_NO_PARENTHESES)

    async def _open(self, stack: AsyncExitStack, context: object) -> LoaderRegistry:
        given = self._given
        values: Any = given(context) if callable(given) else given
        if hasattr(values, "__aenter__"):
            values = await stack.enter_async_context(values)
        elif isawaitable(values):
            values = await values
        if not (values is None or isinstance(cast(object, values), Mapping)):
            raise OptionError(
                f"LoaderExtension(params=) gave {shorten(values)} for the context, and takes a mapping, an awaitable "
                f"of one or an async context manager: a function that yields wants @asynccontextmanager above it"
            )
        named = self._namespace
        namespace: object = named(context) if callable(named) else named
        registry = LoaderRegistry(values, store_namespace=namespace, **self._options)
        return await stack.enter_async_context(registry)


class _OperationExtension(SchemaExtension):
    """What Strawberry calls at the beginning and at the end of an operation."""

    open_registry: Callable[[AsyncExitStack, object], Awaitable[LoaderRegistry]]
    closing: set[asyncio.Task[None]]
    """Of all operations."""

    def __repr__(self) -> str:
        return "LoaderExtension (which needs `await schema.execute(...)`)"  # Strawberry says so if it was not

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
                # What `execute` returns of an operation with ``@defer``: Strawberry calls this ended.
                deferred = getattr(self.execution_context.result, "subsequent_results", None)
                if deferred is None:
                    # No token: a subscription may be closed by another task than began it.
                    current.set(before)
                else:
                    close_with(deferred, stack.pop_all(), self.closing)


def close_with(parts: AsyncGenerator[Any], stack: AsyncExitStack, closing: set[asyncio.Task[None]]) -> None:
    """Close an operation when the parts of its answer that are still to come have come, or nobody wants them.

    Whoever delivers them has them already, and they cannot be wrapped: so they are watched until they are let go of.
    """
    loop = asyncio.get_running_loop()

    def close() -> None:
        task = loop.create_task(stack.aclose())
        closing.add(task)
        task.add_done_callback(closing.discard)

    def gone() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(close)  # garbage is collected in any thread

    finalize(parts, gone).atexit = False
