"""What the open transactions of sessions have written, as far as others share what is read from the same tables.

Who keeps rows in a store must know of each transaction from its beginning. So all sessions are followed, from the first
marker on that has ``store_ttl``: before that nobody needs it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Insert, Table, TextClause, UpdateBase
from sqlalchemy.orm import Session
from sqlalchemy.sql import visitors

from dloader._stored._generations import outdate

__all__ = ("begins", "ended", "mark_of", "tables_written", "wrote")

_written: WeakKeyDictionary[Session, dict[str, Table | None]] = WeakKeyDictionary()
"""Of the sessions whose transactions are followed: the tables by their names, each with None if it only grew."""
_counts: WeakKeyDictionary[Session, int] = WeakKeyDictionary()
"""How often each session has written."""

ANY = ""
"""Stands for all tables."""
READS = re.compile(
    r"\s*(select|values|show|explain|describe|pragma|set|begin|start|savepoint|release|rollback|commit)\b",
    re.IGNORECASE,
)
"""Text that writes to no table; what a function does that is selected nobody can see."""


def begins(session: Session) -> None:
    """A transaction begins, and is followed from now on."""
    _written[session] = {}


def wrote(sessions: Iterable[Session], tables: dict[str, Table | None]) -> None:
    """Something was written in the transaction of sessions."""
    for session in sessions if tables else ():
        _counts[session] = _counts.get(session, 0) + 1
        known = _written.setdefault(session, {})
        known |= {name: known.get(name) if table is None else table for name, table in tables.items()}


def tables_written(compiled: Any, text: str) -> dict[str, Table | None]:
    """The tables that a statement writes to, as `wrote` takes them; rather too many."""
    statement = None if compiled is None else compiled.statement
    if statement is None or isinstance(statement, TextClause):
        return {} if READS.match(text) else {ANY: None}
    found: dict[str, Any] = {
        each.fullname: each for each in visitors.iterate(statement) if isinstance(each, Table)
    }
    if isinstance(statement, Insert):
        return dict.fromkeys(found)
    return {**found} if isinstance(statement, UpdateBase) or found else {ANY: None}


def mark_of(session: Session) -> int | None:
    """None while a session may see what it has not committed; else a number that grows when it writes."""
    if session.new or session.dirty or session.deleted:
        return None
    if session.in_transaction() and _written.get(session) != {}:
        return None  # it has written, or nobody knows how the transaction began
    return _counts.get(session, 0)


def ended(session: Session) -> None:
    """A transaction has ended: others must not find any more what was read before it.

    Whether it was committed is not asked: what failed in the middle of a commit may have been.
    """
    tables = _written.pop(session, {})
    if ANY in tables:
        outdate(None)
    elif tables:
        outdate(sorted(_with_dependents(tables)))


def _with_dependents(tables: dict[str, Table | None]) -> set[str]:
    """Tables, and those in which the database itself changes rows that refer to theirs."""
    found = set(tables)
    todo = [table for table in tables.values() if table is not None]
    while todo:
        table = todo.pop()
        for other in table.metadata.tables.values():
            if other.fullname not in found and _follows(other, table):
                found.add(other.fullname)
                todo.append(other)
    return found


def _follows(other: Table, table: Table) -> bool:
    return any(
        (key.ondelete or key.onupdate) and key.target_fullname.rpartition(".")[0] == table.fullname
        for key in other.foreign_keys
    )
