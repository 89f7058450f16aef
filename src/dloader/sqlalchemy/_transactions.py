"""The transactions of sessions: what they write is read, and their end waits for the statement that runs in them.

*Read your writes*: whatever may write on the connection of a session, and each end of a transaction, clears what the
session's loaders have cached. *The end waits*: a statement of a batch goes on for a while when its callers have left,
and these may roll back at once, for which the same connection is needed.

The engine tells of both, by listeners that it gets once: those of a session would have to be made for each request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import Any, cast
from weakref import WeakKeyDictionary, WeakSet

from sqlalchemy import Connection, Engine, SelectBase, UpdateBase, event
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, SessionTransaction

from dloader import DataLoader
from dloader.lowlevel import forget_without_store
from dloader.sqlalchemy import _written

__all__ = ("begins", "connect", "ends", "follow_all", "is_connected", "watch")

_tasks: WeakKeyDictionary[Session, asyncio.Task[Any]] = WeakKeyDictionary()
"""The statement of a session that runs."""
_loaders: WeakKeyDictionary[Session, WeakSet[DataLoader[Any, Any]]] = WeakKeyDictionary()
"""Those that have read from a session."""
_sessions: WeakKeyDictionary[Connection, WeakSet[Session]] = WeakKeyDictionary()
"""Those whose transactions are on a connection."""
_binds: WeakKeyDictionary[SessionTransaction, WeakSet[Any]] = WeakKeyDictionary()
"""Through which engines or connections a transaction is known to be connected."""
_engines: WeakSet[Engine] = WeakSet()
"""Those that have the listeners."""

ENDS = (
    "commit",
    "commit_twophase",
    "rollback",
    "rollback_twophase",
    "rollback_savepoint",
    "release_savepoint",
)


async def connect(session: AsyncSession, bind: Any) -> None:
    """Connect a session, and follow what happens to its transaction."""
    connected: Any = await session.connection(bind_arguments={"bind": bind})
    sync = session.sync_session
    _follow(sync, connected.sync_connection)
    transaction = cast("SessionTransaction", sync.get_transaction())  # it has one now
    _binds.setdefault(transaction, WeakSet()).add(bind)


def _follow(session: Session, connection: Connection) -> None:
    if connection.engine not in _engines:
        _engines.add(connection.engine)
        event.listen(connection.engine, "after_cursor_execute", _executed)
        for name in ENDS:
            event.listen(connection.engine, name, _ending)
    _sessions.setdefault(connection, WeakSet()).add(session)


def follow_all() -> None:
    """Follow the transactions of all sessions from now on: who keeps rows in a store must know what they write."""
    if not event.contains(Session, "after_begin", _has_begun):
        event.listen(Session, "after_transaction_create", _begins)
        event.listen(Session, "after_begin", _has_begun)
        event.listen(Session, "after_transaction_end", _has_ended)


def _begins(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is None:
        _written.begins(session)


def _has_begun(session: Session, _transaction: SessionTransaction, connection: Connection) -> None:
    if connection.dialect.is_async:  # others may be in any thread, and no store is told from there
        _follow(session, connection)


def _has_ended(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is None:
        _written.ended(session)


def is_connected(session: AsyncSession, bind: Any) -> bool:
    """Whether a session is connected there, and its transaction is followed."""
    transaction = session.sync_session.get_transaction()
    return transaction is not None and bind in _binds.get(transaction, ())


def watch(session: Session, loader: DataLoader[Any, Any]) -> None:
    """Clear a loader whenever the session has written, committed or rolled back; also to a savepoint."""
    _loaders.setdefault(session, WeakSet()).add(loader)


def begins(session: Session, task: asyncio.Task[Any]) -> None:
    """Note that a statement runs."""
    _tasks[session] = task


def ends(session: Session) -> None:
    """Note that it has ended."""
    _tasks.pop(session, None)


def _executed(connection: Connection, *arguments: Any) -> None:
    """Anything but a SELECT may write, text too."""
    sessions = _sessions.get(connection)
    if sessions:
        compiled = arguments[3].compiled
        if compiled is None or not isinstance(compiled.statement, SelectBase) or _writes(compiled.ctes):
            _clear(sessions)
            _written.wrote(sessions, _written.tables_written(compiled, arguments[1]))


def _writes(ctes: Iterable[Any] | None) -> bool:
    """Whether an INSERT, UPDATE or DELETE stands in the WITH of a SELECT."""
    return any(isinstance(each.element, UpdateBase) for each in ctes or ())


def _ending(connection: Connection, *_: object) -> None:
    sessions = _sessions.get(connection)
    if not sessions:
        return
    for session in sessions:
        if (
            _tasks.get(session) is asyncio.current_task()
        ):  # a flush before the statement failed: nobody waits for itself
            ends(session)
    running = [task for session in sessions if (task := _tasks.get(session)) is not None]
    if running:
        adapted: Any = connection.connection.dbapi_connection
        adapted.run_async(partial(_all_ended, running))
    _clear(sessions)


async def _all_ended(tasks: list[asyncio.Task[Any]], _connection: object) -> None:
    await asyncio.wait(tasks)


def _clear(sessions: Iterable[Session]) -> None:
    for session in list(sessions):
        for loader in list(_loaders.get(session, ())):
            forget_without_store(loader)
