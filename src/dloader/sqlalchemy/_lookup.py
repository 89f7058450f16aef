"""Look-ups: what is selected for some keys, and what of it belongs to each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Select

from dloader import OptionError
from dloader._text import shorten
from dloader.sqlalchemy._columns import RowColumns
from dloader.sqlalchemy._equal_keys import Naming, by_equal_key, naming_of
from dloader.sqlalchemy._expressions import Same
from dloader.sqlalchemy._keys import ForKeys, for_keys
from dloader.sqlalchemy._orders import in_words_of
from dloader.sqlalchemy._relations import Relation
from dloader.sqlalchemy._rows import each_once, firsts, grouped, key_getter, named, only_ones, row_maker

__all__ = ("Lookup", "RowSelect", "refuse_strangers", "with_options")


class Lookup(NamedTuple):
    """What a loader loads: a relation, and what was said beside it."""

    relation: Relation
    where: Any
    order_by: tuple[Any, ...]
    limit: int | None
    session: str
    pages: str | None

    @property
    def identity(self) -> tuple[object, ...]:
        """Equal for those that load the same."""
        relation = self.relation
        return (
            relation.identity,
            relation.many,
            None if self.where is None else Same(self.where),
            tuple(map(Same, self.order_by)),
            self.limit,
            self.session,
            self.pages,
        )

    def select_from(self, relation: Relation, row: RowColumns | None, columns: Sequence[Any]) -> Select[Any]:
        """A select of columns where the relation finds its targets, in no order."""
        statement: Select[Any] = relation.found.select(columns)
        if row is not None:
            statement = row.apply(statement)
        return statement if self.where is None else statement.where(self.where)


def refuse_strangers(label: str, relation: Relation, **said: Sequence[Any]) -> None:
    """Refuse expressions of tables that a look-up does not read: each row would be met with each of theirs.

    Raises:
        OptionError: One is.
    """
    select = relation.found.select(list(relation.found.links))
    known = len(select.get_final_froms())
    for name, expressions in said.items():
        for each in expressions:
            if len(select.where(each).get_final_froms()) > known:
                target = getattr(relation.entity, "__name__", relation.entity)
                raise OptionError(
                    f"{label}: {name}={shorten(str(each))} is of a table that is not read here: take a column of "
                    f"{target}, which is, or ask for others in a subquery, as relationship.any() and exists()"
                )


class RowSelect:
    """The select of all rows of some keys."""

    __slots__ = ("_collect", "_for_keys", "_identity_of", "_key_of", "_make", "_naming")

    def __init__(self, lookup: Lookup, columns: RowColumns, kind: type[dict[str, Any]], dialect: str) -> None:
        relation = lookup.relation
        selected = list(columns.expressions)
        one = only_ones if relation.may_be_ambiguous else firsts
        self._collect: Callable[[Any, Any], dict[Any, Any]] = grouped if relation.many else one
        self._naming = naming_of(relation.found.links, dialect)
        self._key_of = key_getter(_places(selected, relation.found.links))
        self._identity_of = None
        if relation.repeats and not relation.keeps_repeats:
            self._identity_of = key_getter(_places(selected, (*relation.between, *relation.primary_key)))
        statement = lookup.select_from(relation, columns, selected)
        if lookup.order_by:
            statement = statement.order_by(*in_words_of(dialect, lookup.order_by))
        self._for_keys: ForKeys = for_keys(statement, relation.found.links, dialect)
        self._make = row_maker(kind, columns.names, columns.discriminator, columns.by_identity)

    async def values(self, reader: Any, keys: Sequence[Any], options: Sequence[Any]) -> Mapping[Any, Any]:
        """The row, or rows, of each key that has some; `Several` for one that can have one row and has more."""

        async def read(some: Sequence[Any], naming: Naming) -> dict[Any, Any]:
            values: dict[Any, Any] = {}
            key_of = named(self._key_of, naming)
            for statement, params in self._for_keys(some):
                found = await reader.rows(with_options(statement, options), params)
                if self._identity_of is not None:
                    found = each_once(found, key_of, self._identity_of)
                values.update(self._collect(list(map(key_of, found)), self._make(found)))
            return values

        return await by_equal_key(read, keys, self._naming)


def with_options(statement: Any, options: Sequence[Any]) -> Any:
    """A statement with the options of a request."""
    return statement.options(*options) if options else statement


def _places(selected: list[Any], columns: Sequence[Any]) -> list[int]:
    """Where columns stand among those that are selected; those that do not are added."""
    places: list[int] = []
    for column in columns:
        at = next((i for i, each in enumerate(selected) if each is column), len(selected))
        if at == len(selected):
            selected.append(column)
        places.append(at)
    return places
