"""Recording a block of code, and saying that something in it is meant to be as it is."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from contextvars import Token
from types import TracebackType
from typing import Any

from dloader import OptionError, watch
from dloader.instruments import everywhere, watching
from dloader.trace._build import build
from dloader.trace._data import TraceData
from dloader.trace._middleware import TraceMiddleware
from dloader.trace._recorder import Options, Recorder, expected_here
from dloader.trace._trace import Trace

__all__ = ("expected", "record", "record_everywhere")


class record:  # noqa: N801 - reads as a verb: with record() as trace
    """Record what a block of code loads, with all loaders that it uses, wherever they were made.

    It costs nothing per load, and some microseconds per batch; see "See it" in the documentation. Batches are seen by
    who opened them: two requests that share a loader at the same time each see their own.

    Args:
        title: Shown on top: a request's method and path, say.
        places: Whether to note the lines that asked: more than half of what recording costs.
        keys: How many keys of each batch are kept in words. **Keys may be personal data.** 0 keeps none, and none in
            the texts of errors; a callable is given each key and returns what may be shown.
        values: Whether to keep in words what was loaded for these.
        limit: How many batches are kept; above that, they are only counted.
        strict: Raise `RepeatedLoadError` in the caller who asks for one key after another (rules ``loop`` and
            ``loader-per-item``), at the fifth.

    Example:
        >>> import asyncio
        >>> from dloader import DataLoader
        >>> async def load_users(ids):
        ...     return [f"user {id}" for id in ids]
        >>> async def main():
        ...     users = DataLoader(load_users)
        ...     with record("GET /users") as trace:
        ...         for id in range(6):
        ...             await users.load(id)
        ...     [finding] = trace.findings
        ...     print(finding.rule, len(finding.batches))
        >>> asyncio.run(main())
        loop 6

    Raises:
        OptionError: An argument cannot be used.
    """

    middleware = TraceMiddleware
    """The same for each request of an ASGI application: ``app = record.middleware(app, debug=True)``."""

    def __init__(
        self,
        title: str = "",
        *,
        places: bool = True,
        keys: int | Callable[[Any], object] = 20,
        values: bool = False,
        limit: int = 100_000,
        strict: bool = False,
    ) -> None:
        if not isinstance(title, str):
            raise OptionError(f"record() takes a title, not {title!r}")
        if not callable(keys) and (type(keys) is not int or keys < 0):
            raise OptionError(f"record(keys=) takes a number from 0 up, or a callable, not {keys!r}")
        if type(limit) is not int or limit < 0:
            raise OptionError(f"record(limit=) takes a number from 0 up, not {limit!r}")
        self._options = Options(title, places, keys, values, limit, strict)
        self._open: list[tuple[Recorder, watch, Trace]] = []

    def __enter__(self) -> Trace:
        """Begin; what is returned can be read when the block is left."""
        recorder = Recorder(self._options)
        watched = watch(recorder)
        watched.__enter__()
        trace = Trace(lambda: _read(recorder))
        self._open.append((recorder, watched, trace))
        return trace

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop; batches that are still open are followed until the trace is first read."""
        self.leave()

    def leave(self) -> Trace:
        """Do what the end of the block does, and return its trace."""
        # Tasks may be in one block at the same time, and leave in any order.
        here = set(map(id, watching.get()))
        mine = [index for index, (recorder, *_) in enumerate(self._open) if id(recorder) in here]
        recorder, watched, trace = self._open.pop(mine[-1] if mine else -1)
        watched.__exit__(None, None, None)
        recorder.end()
        return trace


@contextmanager
def record_everywhere(title: str) -> Generator[Trace]:
    """Record what a block of code loads, and all other code of the process in the meantime, in whichever context.

    For who does not know in which context the code will run that the block is about; a pytest plugin, say.
    """
    recorder = Recorder(Options(title, places=True, keys=20, values=False, limit=100_000, strict=False))
    everywhere.append(recorder)
    try:
        with watch(recorder):  # somebody may watch this context already, and so not look everywhere
            yield Trace(lambda: _read(recorder))
    finally:
        everywhere.remove(recorder)
        recorder.end()


def _read(recorder: Recorder) -> TraceData:
    if not recorder.ended:
        raise OptionError("this trace is still being recorded: read it after the `with record()` block")
    return build(recorder)


class expected:  # noqa: N801 - reads as an adjective: with expected("computed keys")
    """Say why the loads in a block are meant to be as they are: no finding counts them, child tasks included.

    A loader class may say the same of itself: ``expected = "the service has no bulk call"``.

    Args:
        reason: Shown with the finding.

    Raises:
        OptionError: It is no reason.

    Example:
        >>> with expected("each key is computed from the last"):
        ...     pass
    """

    def __init__(self, reason: str) -> None:
        if not isinstance(reason, str) or not reason:
            raise OptionError(f"expected() takes the reason, in words, not {reason!r}")
        self._reason = reason
        self._tokens: list[Token[str | None]] = []

    def __enter__(self) -> None:
        """From here on."""
        self._tokens.append(expected_here.set(self._reason))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Up to here."""
        for token in reversed(self._tokens):
            with suppress(ValueError):  # that of another task, which is in the block too
                expected_here.reset(token)
                self._tokens.remove(token)
                return
