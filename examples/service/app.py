"""The application: REST at /, GraphQL at /graphql, three queries to click at /."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine

from dloader import CursorError
from dloader.opentelemetry import DloaderInstrumentor
from dloader.trace import TraceMiddleware
from examples.service import by_selectinload, graph, rest, settings
from examples.service.shop import NotThereError

statements: ContextVar[list[int]] = ContextVar("statements")


def count_statements(engine: AsyncEngine) -> None:
    """Note each statement of the request that it is sent for."""

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def note(*_: object) -> None:
        if counted := statements.get([]):
            counted[0] += 1


class StatementCount:
    """Tells in a header how many statements an answer took."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        counted = [0]
        statements.set(counted)

        async def counting(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-statements", str(counted[0]).encode())]
            await send(message)

        await self.app(scope, receive, counting if scope["type"] == "http" else send)


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    yield
    await settings.engine.dispose()


app = FastAPI(title="A music shop", lifespan=lifespan)
app.include_router(rest.router)
app.include_router(graph.router, prefix="/graphql")
app.include_router(by_selectinload.router, prefix="/by_selectinload")
app.add_middleware(StatementCount)
count_statements(settings.engine)
if "pages" in settings.TRACE:
    app.add_middleware(TraceMiddleware, debug=True)
if "spans" in settings.TRACE:
    DloaderInstrumentor().instrument()


@app.get("/", include_in_schema=False)
async def page() -> FileResponse:
    return FileResponse(Path(__file__).with_name("page.html"))


@app.exception_handler(NotThereError)
async def not_there(_request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 404)


@app.exception_handler(CursorError)
async def wrong_cursor(_request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 422)


@app.exception_handler(DBAPIError)
@app.exception_handler(PoolTimeoutError)
@app.exception_handler(OSError)
async def away(_request: Request, _error: Exception) -> JSONResponse:
    """The database is."""
    return JSONResponse({"detail": "the database is away; try again"}, 503)
