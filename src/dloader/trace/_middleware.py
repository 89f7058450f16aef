"""TraceMiddleware: what each request of an ASGI application has loaded, in a header, and as pages in debug."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias, final

from dloader import OptionError, watch
from dloader.trace._build import build
from dloader.trace._page import page
from dloader.trace._recorder import Options, Recorder
from dloader.trace._requests import LastRequests, server_timing
from dloader.trace._trace import Trace

__all__ = ("TraceMiddleware",)

logger = logging.getLogger("dloader")

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_BATCHES = 2_000
"""So many batches of a request are kept; more are counted."""
HEADERS = [
    (b"content-type", b"text/html; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
]


class TraceMiddleware:
    """Tell with each answer of an ASGI application how many batches it took: ``Server-Timing``, and a page in debug.

    The header says how many batches and rounds there were until the answer began, and how long the five busiest
    loaders took; browsers show it in their network panel. With ``debug=True`` there is a page at ``/__dloader__/``:
    the last requests, each with its trace. Two requests never see each other; WebSockets pass untouched.

    It lives as long as the application, and keeps nothing but, in debug, the last requests (2,000 batches of each at
    most). Names of loaders and paths of requests are shown as they are, keys and queries are not.

    Args:
        app: The application.
        debug: Whether there is a page. **Whoever reaches the application reaches the page**: only where it is
            developed. Without it a warning is logged once, as the header tells its readers of the inside.
        path: Where the page is.
        last: How many requests are kept.
        sample: Called with the scope of a request: whether to look at it; where it raises, that is logged, and the
            request is served without. Default: at all.
        keys: How many keys of each batch are kept in words, or what shows them: see `record`. Default: none.

    Raises:
        OptionError: An argument cannot be used.

    Example:
        >>> async def app(scope, receive, send):
        ...     ...
        >>> app = TraceMiddleware(app, debug=True)

    In Starlette and FastAPI: ``app.add_middleware(TraceMiddleware, debug=settings.debug)``.
    """

    def __init__(
        self,
        app: Application,
        *,
        debug: bool = False,
        path: str = "/__dloader__/",
        last: int = 50,
        sample: Callable[[Scope], object] | None = None,
        keys: int | Callable[[Any], object] = 0,
    ) -> None:
        if type(path) is not str or not (path.startswith("/") and path.endswith("/") and len(path) > 1):
            raise OptionError(
                f"TraceMiddleware(path=) takes a path that begins and ends with a slash, not {path!r}"
            )
        if type(last) is not int or last < 1:
            raise OptionError(f"TraceMiddleware(last=) takes a number from 1 up, not {last!r}")
        if sample is not None and not callable(sample):
            raise OptionError(f"TraceMiddleware(sample=) takes a callable, not {sample!r}")
        if not callable(keys) and (type(keys) is not int or keys < 0):
            raise OptionError(f"TraceMiddleware(keys=) takes a number from 0 up, or a callable, not {keys!r}")
        self._app = app
        self._path = path
        self._sample = sample
        self._keys = keys
        self._last = LastRequests(last) if debug else None
        if not debug:
            logger.warning(
                "dloader.trace.TraceMiddleware is mounted without debug=True: there is no page of the last requests, "
                "but Server-Timing tells all clients the names and times of loaders"
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif self._last is not None and _local_path(scope).startswith(self._path):
            await self._show(self._last, scope, send)
        elif self._sample is not None and not _guarded(self._sample, scope):
            await self._app(scope, receive, send)
        else:
            await self._record(scope, receive, send)

    async def _record(self, scope: Scope, receive: Receive, send: Send) -> None:
        title = f"{scope['method']} {scope['path']}"
        places = self._last is not None
        recorder = Recorder(Options(title, places, self._keys, False, MOST_BATCHES, strict=False))
        answer = _Answer(recorder, send)
        try:
            with watch(recorder):
                await self._app(scope, receive, answer.send)
        finally:
            recorder.end()
            if self._last is not None:
                _guarded(lambda last: last.add(title, answer.status, build(recorder)), self._last)

    async def _show(self, last: LastRequests, scope: Scope, send: Send) -> None:
        name = _local_path(scope).removeprefix(self._path)
        found = last.find(name) if name else None
        if scope["method"] not in {"GET", "HEAD"}:
            status, body = 405, "GET it"
        elif not name:
            status, body = 200, last.page(f"{scope.get('root_path', '')}{self._path}")
        elif found is None:
            status, body = 404, "That request is not kept any more."
        else:
            status, body = 200, page(found)
        data = body.encode(errors="backslashreplace")
        headers = [*HEADERS, (b"content-length", str(len(data)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else data})


@final
class _Answer:
    """The answer to one request, as it is sent."""

    def __init__(self, recorder: Recorder, send: Send) -> None:
        self._recorder = recorder
        self._send = send
        self.status: int | None = None
        """None until it begins."""

    async def send(self, message: Message) -> None:
        """Pass a message on, with a header more in the first."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            timing = _guarded(_timing, self._recorder)
            if timing:
                headers = [*message.get("headers", ()), (b"server-timing", timing.encode())]
                message = {**message, "headers": headers}
        await self._send(message)


def _timing(recorder: Recorder) -> str:
    """What to say now: the recording goes on."""
    recorder.end()
    data = build(recorder)
    recorder.go_on()
    return server_timing(Trace(lambda: data))


def _guarded(do: Callable[[Any], Any], argument: object) -> Any:
    """A request does not fail because it cannot be told of."""
    try:
        return do(argument)
    except Exception:
        logger.exception("a request could not be traced")
        return None


def _local_path(scope: Scope) -> str:
    """The path below where the application is mounted."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))
