"""What look-ups keep in a store: what must be the same for those who share a value, and what outdates it.

A statement says what it finds: its text with all values in it, criteria of a tenant included, is a part of the names of
all that is kept. Where an option, an event or an engine may have a say that no text shows, nothing is kept, but in a
namespace that the application gives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, cached_property
from typing import Any, NamedTuple, final
from uuid import uuid4
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, Table
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import LoaderCriteriaOption
from sqlalchemy.sql import visitors

from dloader import DataLoader, OptionError
from dloader._stored._names import NoName, identified, key_name
from dloader._stored._values import Values
from dloader._text import shorten
from dloader.sqlalchemy._criteria import everywhere
from dloader.sqlalchemy._pages import PageKey
from dloader.sqlalchemy._transactions import watch
from dloader.sqlalchemy._written import mark_of

__all__ = ("Keepable", "KeptLookup")

_memories: WeakKeyDictionary[Engine, str] = WeakKeyDictionary()
"""Names for databases that no URL names: those in this process."""


@cache
def _words_of(dialect: Any) -> Any:
    """A dialect for words alone: one that is used remembers what it makes of types before it has met its server."""
    return dialect()


class Said(NamedTuple):
    """What a statement says."""

    words: object
    """In JSON's types: the same in every process, and for nothing else that could be found."""
    tables: tuple[str, ...]


class Keepable:
    """What is kept of one look-up with some columns; lives as long as its statements.

    Args:
        statement: What finds it, without the options of a request.
        values: Makes what makes bytes of it, or raises an `OptionError`.
        shape: In JSON's types, what is made of the rows that are found.
    """

    def __init__(self, statement: Any, values: Callable[[], Values], shape: object) -> None:
        self._statement = statement
        self._values = values
        self._shape = shape
        self._said: dict[type, Said] = {}

    @cached_property
    def values(self) -> Values:
        """What makes bytes of it."""
        return self._values()

    def said(self, dialect: Any, options: Sequence[Any]) -> Said:
        """What the statement says with some options.

        Raises:
            NoName: There is no stable text for a value in it.
        """
        if options:
            return self._read(self._statement.options(*options), dialect)
        if type(dialect) not in self._said:
            self._said[type(dialect)] = self._read(self._statement, dialect)
        return self._said[type(dialect)]

    def _read(self, statement: Any, dialect: Any) -> Said:
        compiled = statement.compile(dialect=_words_of(dialect.__class__))
        binds = compiled.bind_names
        if any(bind.callable is not None for bind in binds):
            raise NoName("a value that is asked for when it is used")
        params = compiled.params
        values = [[name, repr(bind.type), identified(params[name])] for bind, name in binds.items()]
        read = visitors.iterate(compiled.compile_state.statement)
        tables = {each.fullname for each in read if isinstance(each, Table)}
        return Said([self._shape, compiled.string, values], tuple(sorted(tables)))


@final
class KeptLookup:
    """What one loader keeps; see `dloader._stored._kept.Kept`. Made whenever it is asked for.

    Args:
        loader: The loader.
        source: Its session, or the maker of these.
        mapper: Whose database is asked.
        options: Of its statements.
        keepable: What is wanted now.
        memory: What of it is found out once.
    """

    def __init__(
        self,
        loader: DataLoader[Any, Any],
        source: Any,
        mapper: Any,
        options: Sequence[Any],
        keepable: Keepable,
        memory: Memory,
    ) -> None:
        self._loader = loader
        self._source = source
        self._mapper = mapper
        self._options = options
        self._keepable = keepable
        self._memory = memory

    def check(self, is_covered: bool) -> None:
        """See `Kept.check`."""
        if is_covered:
            return
        for option in self._options:
            if not isinstance(option, LoaderCriteriaOption):
                raise self._unknown(f"what the statement option {shorten(option)} does")
        if self._session.dispatch.do_orm_execute:
            raise self._unknown("what the do_orm_execute events of its session do")
        url = self._bind.engine.url
        if not (url.database or url.get_backend_name() == "sqlite"):
            raise self._unknown(f"which database {url} is")

    def mark(self) -> object | None:
        """See `Kept.mark`."""
        if not isinstance(self._source, AsyncSession):
            return 0  # a session for each batch sees what all see
        watch(self._session, self._loader)
        return None if isinstance(self._bind, Connection) else mark_of(self._session)

    def takes(self, key: object) -> bool:
        """See `Kept.takes`: pages that are asked for by hand are not kept, nor what has a key of an unusual type."""
        if type(key) is PageKey:
            return False
        try:
            key_name(key)
        except NoName:
            return False
        return True

    def values(self) -> Values:
        """See `Kept.values`."""
        return self._keepable.values

    def identity(self, is_covered: bool) -> object:  # noqa: ARG002 - as `check` has it
        """See `Kept.identity`."""
        return [self._database, self._said.words]

    def subjects(self) -> Sequence[str]:
        """See `Kept.subjects`."""
        return self._said.tables

    @property
    def _said(self) -> Said:
        known = self._memory.said
        if known is None or known[0] is not self._keepable:
            try:
                said = self._keepable.said(self._bind.dialect, everywhere(self._options))
            except NoName as error:
                raise self._unknown(
                    f"what its statement finds, for want of a stable text of {error}"
                ) from error
            self._memory.said = known = (self._keepable, said)
        return known[1]

    @property
    def _session(self) -> Any:
        if self._memory.session is None:
            made = self._source if isinstance(self._source, AsyncSession) else self._source()
            self._memory.session = made.sync_session
        return self._memory.session

    @property
    def _bind(self) -> Any:
        if self._memory.bind is None:
            self._memory.bind = self._session.get_bind(self._mapper)
        return self._memory.bind

    @property
    def _database(self) -> object:
        bind = self._bind
        engine: Engine = bind.engine
        translated = [
            options.get("schema_translate_map")
            for options in (bind.get_execution_options(), getattr(self._session, "execution_options", {}))
        ]
        try:
            schemas = identified(translated)
        except NoName as error:
            raise self._unknown("its schema_translate_map") from error
        return [engine.url.render_as_string(), _memory_name(engine), schemas]

    def _unknown(self, what: str) -> OptionError:
        return OptionError(
            f"loader {self._loader.name!r} has store_ttl, and nobody can tell {what}, by which others may find "
            f"something else: say for whom its values are, LoaderRegistry(store_namespace=...)"
        )


class Memory:
    """What of a loader's store is found out once; lives as long as the loader."""

    __slots__ = ("bind", "said", "session")

    def __init__(self) -> None:
        self.session: Any = None
        self.bind: Any = None
        self.said: tuple[Keepable, Said] | None = None


def _memory_name(engine: Engine) -> str | None:
    """What tells databases apart that are in this process alone."""
    url = str(engine.url)
    if engine.dialect.name != "sqlite" or (engine.url.database and "memory" not in url):
        return None
    return _memories.setdefault(engine, uuid4().hex)
