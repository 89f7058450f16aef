"""One registry for each request of a FastAPI application, made by a dependency.

Needs FastAPI: ``pip install "dloader[fastapi]"``.
"""

from __future__ import annotations

import sys

try:
    import fastapi as _fastapi
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        'dloader.fastapi needs FastAPI: pip install "dloader[fastapi]"', name="fastapi"
    ) from error

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from inspect import Parameter, Signature
from typing import Annotated, Any, cast, get_origin

from fastapi import Depends, HTTPException, Request, params
from pydantic import BaseModel, ConfigDict
from starlette.requests import ClientDisconnect

from dloader import Instrument, Limit, LoaderRegistry, OptionError
from dloader.lowlevel import checked_instruments
from dloader.store import Store

del _fastapi

__all__ = ("ResponseModel", "cancelled_with", "loaders")

_NAMESPACE = "store_namespace"
"""A value like the parameters of loaders, of which none can have this name: it is an option of theirs."""
_CLIENT_LEFT = 499
"""The status that nginx logs for a client that did not wait. Nobody gets it: it only ends the handler in good order."""


class ResponseModel(BaseModel):
    """A Pydantic model for answers: fields with defaults are required in its schema when it is serialised.

    An answer always has them, so clients should not be told that they may be missing. The schema for input stays as
    Pydantic makes it. FastAPI shows a model that is used for both as two, ``Task-Input`` and ``Task-Output``.

    What takes fields out of an answer breaks the promise: ``response_model_exclude_unset``, ``exclude_none`` and such.

    Example:
        >>> class TaskOut(ResponseModel):
        ...     id: int
        ...     tags: list[str] = []
        >>> TaskOut.model_json_schema(mode="serialization")["required"]
        ['id', 'tags']
    """

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)


def loaders(
    *,
    loader_params: Mapping[Any, Mapping[str, Any]] | None = None,
    instruments: Iterable[Instrument] = (),
    max_concurrency: int | Limit | None = None,
    store: Store | None = None,
    store_namespace: object = None,
    **values: object,
) -> Callable[..., AsyncGenerator[LoaderRegistry]]:
    """Make a dependency that gives each request (or WebSocket) a `LoaderRegistry` of its own.

    The registry is closed when FastAPI ends the request: after the response was sent, streams and background tasks
    included; earlier with ``Depends(..., scope="function")``. It ends before the dependencies that it was made from.
    Within a request it is one object, in handlers and sub-dependencies alike; two dependencies that were made from
    the same arguments are one, too.

    Args:
        loader_params: As of `LoaderRegistry`.
        instruments: As of `LoaderRegistry`.
        max_concurrency: As of `LoaderRegistry`; a number is for each request, a `Limit` for all of them together.
        store: As of `LoaderRegistry`: one for all requests.
        store_namespace: As of `LoaderRegistry`: a dependency, as one of `values`, or the namespace of all requests.
        values: The parameters of loaders, by name. Each is a dependency (a callable, ``Depends(...)``, or a type
            ``Annotated[T, Depends(...)]``), which FastAPI calls for each request, overrides included. Anything that
            cannot be called is the value itself, the same for all requests, and so is an ``async_sessionmaker``.

    Returns:
        What ``Depends`` takes. It adds no parameters to the request but those of its dependencies.

    Raises:
        OptionError: A value is an open ``AsyncSession``, which all requests would share.

    Example:
        >>> from fastapi import FastAPI
        >>> from dloader import DataLoader
        >>> class UserLoader(DataLoader[int, str]):
        ...     tenant: str
        ...     async def batch_load_fn(self, keys):
        ...         return [f"user {key} of {self.tenant}" for key in keys]
        >>> def get_tenant(request: Request) -> str:
        ...     return request.headers.get("tenant", "blue")
        >>> Loaders = Annotated[LoaderRegistry, Depends(loaders(tenant=get_tenant))]
        >>> app = FastAPI()
        >>> @app.get("/users/{user_id}")
        ... async def user(user_id: int, loaders: Loaders) -> str:
        ...     return await loaders.get(UserLoader).load(user_id)
        >>> import httpx
        >>> async def ask():
        ...     transport = httpx.ASGITransport(app)
        ...     async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        ...         print((await client.get("/users/1")).json())
        >>> asyncio.run(ask())
        user 1 of blue
    """
    asked, given = list[Parameter](), dict[str, Any]()
    for name, value in {**values, _NAMESPACE: store_namespace}.items():
        parameter = _dependency(name, value)
        if parameter is None:
            given[name] = value
        else:
            asked.append(parameter)
    return _RegistryOfRequest(
        asked,
        given,
        loader_params,
        tuple(checked_instruments("loaders(instruments=)", instruments)),
        max_concurrency,
        store,
    )


class _RegistryOfRequest:
    """The dependency: FastAPI reads its signature, and calls it with the values that it has for it.

    Equal if made from the same: FastAPI then calls one for all of a request.
    """

    def __init__(
        self,
        asked: list[Parameter],
        given: dict[str, Any],
        loader_params: Mapping[Any, Mapping[str, Any]] | None,
        instruments: tuple[Instrument, ...],
        max_concurrency: int | Limit | None,
        store: Store | None,
    ) -> None:
        self.__signature__ = Signature(asked)
        self._given = given
        self._options: dict[str, Any] = {
            "loader_params": loader_params,
            "instruments": instruments,
            "max_concurrency": max_concurrency,
            "store": store,
        }
        self._registry({})  # a wrong option is told now, not at the first request

    async def __call__(self, **values: object) -> AsyncGenerator[LoaderRegistry]:
        async with self._registry(values) as registry:
            yield registry

    def _registry(self, values: Mapping[str, object]) -> LoaderRegistry:
        every = {**self._given, **values}
        return LoaderRegistry(every, store_namespace=every.pop(_NAMESPACE, None), **self._options)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _RegistryOfRequest):
            return NotImplemented
        return self._made_from() == other._made_from()

    def _made_from(self) -> tuple[object, ...]:
        return self.__signature__, self._given, self._options

    def __hash__(self) -> int:
        return hash((tuple(self.__signature__.parameters), tuple(self._given)))

    def __repr__(self) -> str:
        names = [*self.__signature__.parameters, *self._given]
        return f"loaders({', '.join(name for name in names if name != _NAMESPACE)})"


def _dependency(name: str, value: object) -> Parameter | None:
    """The parameter by which FastAPI finds a dependency; None if `value` is not one, but the value itself."""
    if isinstance(value, params.Depends):
        return Parameter(name, Parameter.KEYWORD_ONLY, default=value, annotation=Any)
    if get_origin(value) is Annotated:
        return Parameter(name, Parameter.KEYWORD_ONLY, annotation=value)
    if inspect.isawaitable(value) or inspect.isgenerator(value) or inspect.isasyncgen(value):
        raise OptionError(
            f"loaders({name}=...) takes a dependency, which is called for each request, not what it returned: "
            f"leave out the parentheses behind {getattr(value, '__name__', value)}"
        )
    if _is_of_sqlalchemy(value, "AsyncSession"):
        raise OptionError(
            f"loaders({name}=...) was given an open AsyncSession, which all requests would share: "
            "give a dependency that makes one for each request, or an async_sessionmaker"
        )
    if not callable(value) or _is_of_sqlalchemy(value, "async_sessionmaker"):
        return None
    return Parameter(name, Parameter.KEYWORD_ONLY, default=Depends(value), annotation=Any)


def _is_of_sqlalchemy(value: object, name: str) -> bool:
    """Whether `value` is an instance of this class of SQLAlchemy, which need not be installed."""
    module = sys.modules.get("sqlalchemy.ext.asyncio")
    return module is not None and isinstance(value, getattr(module, name))


@asynccontextmanager
async def cancelled_with(request: Request) -> AsyncGenerator[None]:
    """Cancel what is inside when the client leaves: the handler, and with it the batches that only it waits for.

    Without it a client that leaves cancels nothing: servers let the handler run to its end. What is cancelled ends as
    ``HTTPException`` with status 499 here, which dependencies see, and nobody else: there is no client to tell, and no
    traceback is logged. A cancellation from elsewhere, a timeout's say, goes through as it is.

    The request's body is read before anything else, since the news that the client left comes behind it: no use for
    handlers that stream a large upload.

    Args:
        request: The handler's own.

    Raises:
        HTTPException: The client left.
        TypeError: ``request`` is not a request.

    Example:
        >>> from fastapi import FastAPI
        >>> app = FastAPI()
        >>> @app.get("/report")
        ... async def report(request: Request) -> str:
        ...     async with cancelled_with(request):
        ...         return "long work"
    """
    if not isinstance(request, Request):
        raise TypeError(f"cancelled_with() takes the handler's Request, not {request!r}")
    handler = cast("asyncio.Task[Any]", asyncio.current_task())
    before = handler.cancelling()
    left = False

    async def watch() -> None:
        nonlocal left
        while (await request.receive())["type"] != "http.disconnect":
            pass
        left = True
        handler.cancel()

    await _read_body(request)
    watcher = asyncio.create_task(watch(), name="dloader: watch the client")
    try:
        try:
            yield
        finally:
            watcher.cancel()
            # Also where a cancellation arrives that was asked for in the last moment. A server that cannot tell
            # whether the client left is no reason to fail: what its `receive` raised is dropped.
            await asyncio.gather(watcher, return_exceptions=True)
    except asyncio.CancelledError:
        if not left or handler.uncancel() > before:
            raise
        raise _client_left() from None


async def _read_body(request: Request) -> None:
    try:
        await request.body()
    except ClientDisconnect:
        raise _client_left() from None
    except RuntimeError:
        pass  # it was read already, as a form for example


def _client_left() -> HTTPException:
    return HTTPException(_CLIENT_LEFT, "the client left before the answer was ready")
