"""The loaders of look-ups: one class for each look-up, one loader in each registry."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakValueDictionary

from sqlalchemy.ext.asyncio import AsyncSession

from dloader import AmbiguousKeyError, DataLoader, MissingKeyError, OptionError, Requested
from dloader._text import shorten
from dloader.lowlevel import for_callers_alone, forget_without_store
from dloader.sqlalchemy._columns import RowColumns
from dloader.sqlalchemy._criteria import everywhere
from dloader.sqlalchemy._kept import Keepable, KeptLookup, Memory
from dloader.sqlalchemy._key_types import KeyCheck
from dloader.sqlalchemy._lookup import Lookup
from dloader.sqlalchemy._pages import Page, PageKey, Shape, shape_of
from dloader.sqlalchemy._parts import Parts, bounds_of, cursors_of, page_of, rounds
from dloader.sqlalchemy._rows import Row, Several
from dloader.sqlalchemy._sessions import Options, SessionSource, reading, refuse_if_held
from dloader.sqlalchemy._statements import Statements
from dloader.sqlalchemy._transactions import watch

if TYPE_CHECKING:
    import asyncio

__all__ = ("LookupLoader", "RowLoader", "loader_class")


class LookupLoader(DataLoader[Any, Any], abc.ABC):
    """What all loaders of look-ups have: a session, options for their statements, a check of their keys."""

    if TYPE_CHECKING:
        options: Sequence[Any] = ()
        _memory: Memory | None
    else:
        options: Options = ()
        _memory = None  # not annotated: it would be a parameter

    store_ignore = ("options",)  # what they do stands in the statements
    _session_name: ClassVar[str]
    _lookup: ClassVar[Lookup]
    _check: ClassVar[KeyCheck]
    _mapper: ClassVar[Any]
    _statements: ClassVar[Statements]

    async def batch_load_fn(self, keys: list[Any], /) -> Any:
        """Read the keys that can be read; each of the others has its error in its place."""
        found: Mapping[Any, Any] = {}
        source = self._source
        if isinstance(source, AsyncSession):
            watch(source.sync_session, self)
        async with reading(source, self._mapper) as reader:
            wrong = self._check.problems(self.name, keys, _plain, reader.bind.dialect)
            right = [key for key in keys if key not in wrong] if wrong else keys
            if right:
                found = await self._read(reader, right)
        return list(map({**found, **wrong}.__getitem__ if wrong else found.__getitem__, keys))

    @abc.abstractmethod
    async def _read(self, reader: Any, keys: list[Any]) -> dict[Any, Any]:
        """The value of each key."""

    @abc.abstractmethod
    def _keepable(self) -> Keepable:
        """What is kept in a store, of what is wanted now."""

    @property
    def _store_kept(self) -> KeptLookup | None:
        if self.store_ttl is None:
            return None
        if self._memory is None:
            self._memory = Memory()
        return KeptLookup(self, self._source, self._mapper, self.options, self._keepable(), self._memory)

    @property
    def _source(self) -> Any:
        return getattr(self, self._session_name)

    @property
    def _options(self) -> list[Any]:
        return everywhere(self.options)

    def load(self, key: Any) -> asyncio.Future[Any]:
        """Load one key; see `DataLoader.load`."""
        self._check_free()
        return super().load(key)

    @for_callers_alone
    def load_many(self, keys: Iterable[Any], *, return_exceptions: Any = False) -> Any:
        """Load many keys; see `DataLoader.load_many`."""
        self._check_free()
        return super().load_many(keys, return_exceptions=return_exceptions)

    def _check_free(self) -> None:
        source = self._source
        if isinstance(source, AsyncSession):
            refuse_if_held(source.sync_session)


def _plain(key: Any) -> Any:
    return key.key if type(key) is PageKey else key


class RowLoader(LookupLoader):
    """Loads rows: one for each key, or a list of them, or pages of it."""

    _is_whole: ClassVar[bool] = False
    """Whether its fields hold no models, which would say what they want."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._requested = DataLoader.requested  # itself: by it a resolve knows that nobody has asked before
        self._names: set[str] = set()
        self._wants_all = self._is_whole
        self._wanted: RowColumns | None = None
        self._parts: dict[str, Parts] = {}
        super().__init__(*args, **options)

    def load(self, key: Any) -> asyncio.Future[Any]:
        """Load all columns of one key's rows; see `DataLoader.load`."""
        self._want_all()
        return super().load(key)

    @for_callers_alone
    def load_many(self, keys: Iterable[Any], *, return_exceptions: Any = False) -> Any:
        """Load all columns of the rows of many keys; see `DataLoader.load_many`."""
        self._want_all()
        return super().load_many(keys, return_exceptions=return_exceptions)

    def page(
        self,
        key: Any,
        *,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        total: bool = False,
    ) -> asyncio.Future[Page[Row]]:
        """Load a part of one key's rows, which are in the order of the look-up, ended by the primary key.

        Pages that are asked for together, with a cursor for each parent, are one statement for each `first` or `last`.

        Args:
            key: As for `load`.
            first: How many from the beginning, or from `after` on. Default: the ``limit`` of the look-up.
            after: The ``end_cursor`` of another page of this key.
            last: How many from the end, or from `before` back.
            before: The ``start_cursor`` of another page of this key.
            total: Whether to count all rows of the key, which is another statement.

        Returns:
            A future of the page. Rows that are inserted or deleted between two pages neither repeat nor hide others.

        Raises:
            OptionError: The arguments do not go together, or there is no order.
            CursorError: A cursor is not one of this key.
        """
        [asked] = self.page_keys([key], first, after, last, before, bool(total))
        if isinstance(asked, OptionError):
            raise asked
        return self.load(asked)

    def page_keys(
        self,
        keys: Iterable[Any],
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        has_total: bool = False,
        has_cursors: bool = False,
        has_rows: bool = True,
    ) -> list[PageKey | OptionError]:
        """What an engine asks for to be given pages, with or without the cursors of all items; see `page`.

        Without rows a page is empty, and has its total alone: no statement reads it.

        Returns:
            For each key what is to be loaded, or the error of a cursor that is not one of this key.

        Raises:
            OptionError: The arguments do not go together, or there is no order.
        """
        lookup = self._lookup
        label = f"{self.name}.page()"
        if not lookup.relation.many:
            raise OptionError(f"{label}: there is one row at most; load() it")
        cursors = cursors_of(lookup, self.name)
        shape = shape_of(label, first, last, lookup.limit, after, before)
        asked: list[PageKey | OptionError] = []
        for key in keys:
            try:
                start = None if after is None else cursors.read(key, after)
                end = None if before is None else cursors.read(key, before)
            except OptionError as error:
                asked.append(error)
            else:
                asked.append(PageKey(key, shape, start, end, has_total, has_cursors, has_rows))
        return asked

    def has_column(self, name: str) -> bool:
        """Whether rows can have a column of this name."""
        return self._statements.has(name)

    def read_also(self, names: Iterable[str]) -> None:
        """Read these columns too from now on, as an engine wants that has no models; what it asks for gets them.

        Args:
            names: Of attributes of the mapped class or of its subclasses; those that it has not are left out.
        """
        known = () if self._wanted is None else self._wanted.names
        new = self._names.union(names).difference(known)
        if new or self._wanted is None:
            self._names |= new
            self._want_anew()

    def _want_all(self) -> None:
        if not self._wants_all:
            self._wants_all = True
            self._want_anew()

    if TYPE_CHECKING:
        requested: Requested = Requested()
    else:

        @property
        def requested(self) -> Requested:
            """What a resolver wants; see `DataLoader.requested`."""
            return self._requested

        @requested.setter
        def requested(self, requested: Requested) -> None:
            self._requested = requested
            if not self._wants_all:
                self._want_anew()
            elif self._columns_wanted().names != self._columns.names:  # deferred ones, hybrids, expressions
                self._wanted = self._columns
                self._want_anew()

    def _want_anew(self) -> None:
        """Read from now on what is wanted now; what was read with fewer columns is forgotten."""
        if self._wanted is not None:
            self._parts.clear()
            forget_without_store(self)
        self._wanted = self._columns_wanted()

    def _columns_wanted(self) -> RowColumns:
        """All of the class if anybody wants that, and what models and engines want."""
        every = self._statements.every_column
        if self._wants_all and not (self._requested.types or self._names):
            return every
        wanted = self._statements.columns(self._requested.types, sorted(self._names))
        return wanted.and_others(every) if self._wants_all else wanted

    async def _read(self, reader: Any, keys: list[Any]) -> dict[Any, Any]:
        plain = [key for key in keys if type(key) is not PageKey]
        found = await self._rows(reader, plain) if plain else {}
        paged = [key for key in keys if type(key) is PageKey]
        return found | await self._pages(reader, paged) if paged else found

    async def _rows(self, reader: Any, keys: list[Any]) -> dict[Any, Any]:
        if self._lookup.limit is not None:
            shape = Shape(self._lookup.limit, False, False, False)
            parts = await self._parts_of(reader.dialect).rows(reader, shape, keys, None, shape.rows)
            return {key: [row for row, _ in parts.get(key, ())] for key in keys}
        select = self._statements.rows(self._columns, self._kind, reader.dialect)
        values = await select.values(reader, keys, self._options)
        if self._lookup.relation.many:
            return {key: values.get(key) or [] for key in keys}
        return {key: self._one(key, values.get(key)) for key in keys}

    def _one(self, key: Any, row: Any) -> Any:
        if type(row) is not Several:
            return row
        names = ", ".join(map(str, self._lookup.relation.found.links))
        return AmbiguousKeyError(
            f"loader {self.name!r}: {row.rows} rows have the key {shorten(key)}, and one at most is expected: look up "
            f"what is unique, or all of them: Query(select({self._mapper.class_.__name__}), key={names}, many=True)"
        )

    async def _pages(self, reader: Any, keys: list[PageKey]) -> dict[Any, Any]:
        parts, cursors = self._parts_of(reader.dialect), cursors_of(self._lookup, self.name)
        read = [(key, key.key, values) for key in keys for values in (key.after, key.before) if values]
        pages: dict[Any, Any] = dict(cursors.problems(read, reader.bind.dialect)) if read else {}
        keys = [key for key in keys if key not in pages]
        counted = list({key.key: None for key in keys if key.has_total})
        totals: Mapping[Any, int] = {}
        if counted:
            count = self._statements.aggregate(None, reader.dialect)
            totals = await count.values(reader, counted, self._options)
        for key in keys:
            if not key.has_rows:
                pages[key] = page_of(key, [], cursors, totals.get(key.key, 0) if key.has_total else None)
        for shape, together in rounds(key for key in keys if key.has_rows):
            bounds = list(map(bounds_of, together)) if shape.has_after or shape.has_before else None
            parents = [key.key for key in together]
            rows = await parts.rows(reader, shape, parents, bounds, shape.rows + 1)
            for key in together:
                total = totals.get(key.key, 0) if key.has_total else None
                pages[key] = page_of(key, rows.get(key.key, []), cursors, total)
        return pages

    def _parts_of(self, dialect: str) -> Parts:
        options = self._options
        if not options:
            return self._statements.parts(self._columns, self._kind, dialect)
        parts = self._parts.get(dialect)
        if parts is None:
            parts = Parts(self._lookup, self._columns, self._kind, dialect, options)
            self._parts[dialect] = parts
        return parts

    def _keepable(self) -> Keepable:
        return self._statements.kept_rows(self._columns, self._kind, self.name, None)

    @property
    def _kind(self) -> type[dict[str, Any]]:
        """What rows are made of."""
        return Row if self._wants_all else dict

    @property
    def _columns(self) -> RowColumns:
        return self._statements.every_column if self._wanted is None else self._wanted


class RequiredLoader(RowLoader):
    """Loads one row for each key, and has none for a key that nothing has."""

    async def _read(self, reader: Any, keys: list[Any]) -> dict[Any, Any]:
        found = await super()._read(reader, keys)
        return {
            key: MissingKeyError(f"loader {self.name!r}: nothing has the key {shorten(key)}")
            if row is None
            else row
            for key, row in found.items()
        }


class PageLoader(RowLoader):
    """Loads the first page of each key, for fields that hold one."""

    _has_total: ClassVar[bool]

    def _keepable(self) -> Keepable:
        return self._statements.kept_rows(self._columns, self._kind, self.name, self._has_total)

    async def _read(self, reader: Any, keys: list[Any]) -> dict[Any, Any]:
        rows = self._lookup.limit or 0
        paged = {
            key: PageKey(key, Shape(rows, False, False, False), has_total=self._has_total) for key in keys
        }
        found = await self._pages(reader, list(paged.values()))
        return {key: dict(found[page]) for key, page in paged.items()}


class AggregateLoader(LookupLoader):
    """Loads a number for each key."""

    _expression: ClassVar[Any]

    def _keepable(self) -> Keepable:
        return self._statements.kept_aggregate(self._expression, self.name)

    async def _read(self, reader: Any, keys: list[Any]) -> dict[Any, Any]:
        select = self._statements.aggregate(self._expression, reader.dialect)
        values = await select.values(reader, keys, self._options)
        nothing = 0 if self._expression is None else None
        return {key: values.get(key, nothing) for key in keys}


_classes: WeakValueDictionary[tuple[object, ...], type[LookupLoader]] = WeakValueDictionary()
"""Alive as long as a marker, a plan or a loader has them."""


def loader_class(
    base: type[LookupLoader], label: str, lookup: Lookup, *identity: object, **attributes: Any
) -> type[Any]:
    """The class of all loaders for a look-up, and for what else has this identity."""
    session, relation = lookup.session, lookup.relation
    key = (base, *lookup.identity, *identity)
    found = _classes.get(key)
    if found is None:
        namespace = {
            "__annotations__": {session: SessionSource},
            "__module__": __name__,
            "__doc__": f"The loader of {label}.",
            "name": label,
            "_session_name": session,
            "_lookup": lookup,
            "_check": KeyCheck(relation.found.links),
            "_mapper": relation.mapper,
            "_statements": Statements(lookup),
            **attributes,
        }
        _classes[key] = found = type(label, (base,), namespace)
    return found
