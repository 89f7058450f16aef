"""Sessions: one statement at a time on a session that others use too, or a session for each batch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Any, final
from weakref import WeakKeyDictionary

from pydantic_core import PydanticCustomError, core_schema
from sqlalchemy import select
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session

from dloader import DloaderError, OptionError
from dloader.lowlevel import note_statement, task_starter
from dloader.sqlalchemy._is_a import is_a
from dloader.sqlalchemy._transactions import begins, connect, ends, is_connected

__all__ = ("Options", "Reader", "SessionSource", "exclusive", "reading", "refuse_if_held")

_locks: WeakKeyDictionary[Session, asyncio.Lock] = WeakKeyDictionary()
"""Whoever asks, and in whichever registry: of one session all have the same lock."""
_held: ContextVar[tuple[_Hold, ...]] = ContextVar("dloader.sqlalchemy.held", default=())
"""What the code which runs here has for itself; tasks that it begins inherit it, also for when it is over."""


class _Hold:
    """That a session is somebody's alone; of nothing when it is over."""

    __slots__ = ("session",)

    def __init__(self, session: Session) -> None:
        self.session: Session | None = session


class _Checked(type):
    """The class of parameters that are no class: what they take is told by `takes`."""

    def __instancecheck__(cls, value: object) -> bool:
        return cls.takes(value)

    takes: Callable[[Any], bool]
    """Whether a value fits."""


class _Parameter(metaclass=_Checked):
    """What a loader parameter is annotated with, with words of its own for what it refuses."""

    wanted: str

    @classmethod
    def __get_pydantic_core_schema__(cls, *_: object) -> core_schema.CoreSchema:
        def refuse(_value: object) -> object:
            raise PydanticCustomError("dloader", "{wanted}", {"wanted": cls.wanted})

        return core_schema.no_info_plain_validator_function(refuse)


class SessionSource(_Parameter):
    """An `AsyncSession`, or an `async_sessionmaker`."""

    wanted = (
        "pass an AsyncSession, or an async_sessionmaker for a session of its own for each batch "
        "(of an engine: async_sessionmaker(engine); in the place of sessionmaker(class_=AsyncSession): "
        "async_sessionmaker; of a scoped session: the session that calling it gives)"
    )

    @classmethod
    def takes(cls, value: Any) -> bool:
        """Whether it is one of these."""
        return isinstance(value, (AsyncSession, async_sessionmaker))


class Options(_Parameter):
    """A sequence of options for statements."""

    wanted = "pass a sequence of statement options, as [with_loader_criteria(...)]"

    @classmethod
    def takes(cls, value: Any) -> bool:
        """Whether a statement takes them all."""
        if not is_a(value, Sequence):
            return False
        try:
            select(1).options(*value)
        except ArgumentError:
            return False
        return True


@final
class exclusive:  # noqa: N801 - used as a function
    """Have a session for oneself: no loader of `dloader.sqlalchemy` uses it meanwhile.

    For batch functions written by hand that share an `AsyncSession` with loaders, which can run one statement at a
    time. Whoever holds it must not load from such a loader: that is refused, as it would never end.

    Args:
        session: The session.

    Raises:
        OptionError: It is no `AsyncSession`.
        DloaderError: The code that asks has the session already.

    Example:
        >>> async def tags_of(session, task_ids):
        ...     async with exclusive(session):
        ...         result = await session.execute(statement, {"ids": task_ids})
        ...     return result.all()
    """

    __slots__ = ("_hold", "_session")

    _hold: _Hold

    def __init__(self, session: AsyncSession) -> None:
        if not isinstance(session, AsyncSession):
            raise OptionError(f"exclusive() takes an AsyncSession, not {session!r}")
        self._session = session

    async def __aenter__(self) -> AsyncSession:
        session = self._session.sync_session
        refuse_if_held(session)
        await lock_of(session).acquire()
        self._hold = _Hold(session)
        _held.set((*(each for each in _held.get() if each.session is not None), self._hold))
        return self._session

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._hold.session = None
        lock_of(self._session.sync_session).release()


def lock_of(session: Session) -> asyncio.Lock:
    """The lock of a session."""
    lock = _locks.get(session)
    if lock is None:
        _locks[session] = lock = asyncio.Lock()
    return lock


def refuse_if_held(session: Session) -> None:
    """Refuse to wait for a session that the code which runs here has for itself.

    Raises:
        DloaderError: It has.
    """
    if any(each.session is session for each in _held.get()):
        raise DloaderError(
            "the code inside `async with exclusive(session)` asks for the same session again, by a loader or by "
            "exclusive(): it would wait for itself; load before, or after"
        )


def reading(
    source: AsyncSession | async_sessionmaker[Any], mapper: Any
) -> AbstractAsyncContextManager[Reader]:
    """Have a session for the statements of one batch, whatever its loader was given."""
    return _own(source, mapper) if isinstance(source, async_sessionmaker) else _Turn(source, mapper)


@asynccontextmanager
async def _own(source: async_sessionmaker[Any], mapper: Any) -> AsyncGenerator[Reader]:
    """A session for this batch alone.

    Its statements are free to be cancelled. Connecting and closing are let finish: a pool that is cancelled in the
    middle may lose the connection (SQLAlchemy 2.0), and one that closes behind our back is not yet whole.
    """
    own = source()
    try:
        reader = Reader(own, mapper, is_shared=False)
        await _finished(own.connection(bind_arguments={"bind": reader.bind}))
        yield reader
    finally:
        await _finished(own.close())


async def _finished(work: Coroutine[Any, Any, object]) -> None:
    """Await something to its end, however often we are cancelled meanwhile; then be cancelled."""
    task = task_starter(asyncio.get_running_loop())(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    failed = task.exception()  # asked for also where nobody is told, or asyncio logs it
    if cancelled is not None:
        raise cancelled
    if failed is not None:
        raise failed


@final
class _Turn:
    """One batch's turn with a session that others use too. No generator: its machinery costs as much as the rest."""

    __slots__ = ("_mapper", "_reader", "_session")

    _reader: Reader

    def __init__(self, session: AsyncSession, mapper: Any) -> None:
        self._session = session
        self._mapper = mapper

    async def __aenter__(self) -> Reader:
        session = self._session.sync_session
        refuse_if_held(session)
        lock = lock_of(session)
        await lock.acquire()
        try:
            self._reader = Reader(self._session, self._mapper, is_shared=True)
        except BaseException:  # the mapper has no bind, say
            lock.release()
            raise
        return self._reader

    async def __aexit__(self, *_: object) -> None:
        self._reader.when_idle(lock_of(self._session.sync_session).release)


@final
class Reader:
    """Executes the selects of one batch, one after the other.

    On a session that others use too, a statement is shielded: who is cancelled leaves when it has ended, since
    cancelling it would break the connection, and with it the caller's transaction.
    """

    __slots__ = ("_is_shared", "_mapper", "_session", "_task", "bind")

    def __init__(self, session: AsyncSession, mapper: Any, is_shared: bool) -> None:
        self._session = session
        self._mapper = mapper
        self.bind: Any = session.sync_session.get_bind(mapper)
        self._is_shared = is_shared
        self._task: asyncio.Task[None] | None = None

    @property
    def dialect(self) -> str:
        """The name of the database's dialect."""
        name: str = self.bind.dialect.name
        return name

    async def rows(self, statement: Any, params: dict[str, Any]) -> Sequence[Any]:
        """Execute a select and return all its rows."""
        if not self._is_shared:
            return await self._execute(statement, params)
        answer: asyncio.Future[Sequence[Any]] = asyncio.get_running_loop().create_future()
        start = task_starter(answer.get_loop())
        self._task = task = start(self._answer(answer, statement, params))
        if not task.done():  # it is where an error came before there was anything to wait for
            begins(self._session.sync_session, task)
        try:
            return await answer
        except asyncio.CancelledError:
            await asyncio.wait([task])
            raise

    async def _answer(self, answer: asyncio.Future[Any], statement: Any, params: dict[str, Any]) -> None:
        """Execute for somebody who may have left when there is an answer; nobody waits for this itself."""
        session = self._session
        try:
            if not is_connected(session, self.bind):
                # While a session connects it refuses everything else, also what its owner does beside us.
                await connect(session, self.bind)
            rows = await self._execute(statement, params)
        except Exception as error:
            if not answer.done():
                answer.set_exception(error)
        else:
            if not answer.done():
                answer.set_result(rows)
        finally:
            ends(session.sync_session)
            answer.cancel()  # where the statement itself was cancelled

    async def _execute(self, statement: Any, params: dict[str, Any]) -> Sequence[Any]:
        note_statement()
        session, arguments = self._session, {"mapper": self._mapper}
        if hasattr(
            type(session).execute, "__deprecated__"
        ):  # SQLModel's is only meant to be called by another name
            result = await AsyncSession.execute(session, statement, params, bind_arguments=arguments)
        else:
            result = await session.execute(statement, params, bind_arguments=arguments)
        return result.all()

    def when_idle(self, do: Callable[[], None]) -> None:
        """Do something when no statement runs any more, which is now unless somebody was cancelled twice."""
        if self._task is None or self._task.done():
            do()
        else:
            self._task.add_done_callback(lambda _: do())
