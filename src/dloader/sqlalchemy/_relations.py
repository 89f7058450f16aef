"""Where the targets of many parents are found by a key; what a look-up needs to know of a relationship."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import Select, and_, inspect, select
from sqlalchemy.orm import Mapper, QueryableAttribute

from dloader import OptionError
from dloader._text import shorten
from dloader.sqlalchemy._expressions import Same, as_value
from dloader.sqlalchemy._is_a import is_a

__all__ = (
    "AnyMapper",
    "Found",
    "Relation",
    "attribute_of",
    "by_columns",
    "by_statement",
    "mapper_of",
    "name_by_key",
)

AnyMapper: TypeAlias = Mapper[Any]


class Found(NamedTuple):
    """Where targets are found: what to select from, and what in it equals the key of the parent."""

    start: tuple[Any, ...]
    """What `Select.select_from` takes, then pairs for `Select.join`: a target and its ON clause or None."""
    links: tuple[Any, ...]
    statement: Any = None
    """A select that somebody wrote, whose columns are exchanged; `start` is empty then."""

    def select(self, columns: Sequence[Any]) -> Any:
        """A select of columns, from there."""
        if self.statement is not None:
            return self.statement.with_only_columns(*columns, maintain_column_froms=True)
        first, *joins = self.start
        statement = select(*columns).select_from(first)
        for target, on in joins:
            statement = statement.join(target) if on is None else statement.join(target, on)
        return statement


class Relation(NamedTuple):
    """What a look-up needs to know of a relationship, or of columns that rows are looked up by."""

    label: str
    parent: AnyMapper | None
    """Whose rows have the key; None where anybody may have it."""
    keys: tuple[str, ...]
    """The attributes of the parent that make the key."""
    mapper: AnyMapper
    """Of the target; of a select of columns, whose session's database is asked."""
    entity: Any
    """The class of the target, or an alias of it."""
    many: bool
    found: Found
    identity: tuple[Any, ...]
    """Equal for those that find the same targets by the same keys."""
    order_by: tuple[Any, ...] = ()
    repeats: bool = False
    """Whether one target may be found twice for one parent."""
    keeps_repeats: bool = False
    """Whether a list has it as often as it is found."""
    between: tuple[Any, ...] = ()
    """What tells apart those by whom a target is found, of which each has it once in a list."""
    secondary: Any = None
    """The association table, whose columns an order may name."""
    named: Mapping[str, Any] | None = None
    """The columns of a select that somebody wrote, if it is not of a mapped class."""

    @property
    def primary_key(self) -> tuple[Any, ...]:
        """The attributes of the target that tell its rows apart."""
        return tuple(attribute_of(self.entity, self.mapper, column) for column in self.mapper.primary_key)

    @property
    def is_by_columns(self) -> bool:
        """Whether rows of a class are looked up by columns of their own."""
        return self.identity[0] is self.mapper

    @property
    def may_be_ambiguous(self) -> bool:
        """Whether a key of one row might have several, as the columns are not those of the primary key."""
        return self.is_by_columns and self.identity[1] != primary_names(self.mapper)

    @property
    def origin(self) -> str:
        """Where targets are found, in words that are the same in every process and for all that is one look-up."""
        if not self.is_by_columns:
            return self.label
        return f"{self.mapper.class_.__name__} by {', '.join(self.identity[1])}"

    def distinct(self) -> Relation:
        """The same, so that each target is found once for each parent."""
        if not self.repeats:
            return self
        count = len(self.found.links)
        # Under names of their own: to many a database `id` and `ID` are one.
        named = [each.label(f"c{i}") for i, each in enumerate([*self.found.links, *self.primary_key])]
        pairs = self.found.select(named).distinct().subquery()
        columns = list(pairs.c)
        on = and_(*(key == column for key, column in zip(self.primary_key, columns[count:], strict=True)))
        return self._replace(
            found=Found((pairs, (self.entity, on)), tuple(columns[:count])), repeats=False, secondary=None
        )


def mapper_of(cls: object, label: str) -> AnyMapper:
    """The mapper of a class."""
    found: Any = inspect(cls, raiseerr=False)
    if not is_a(found, Mapper):
        raise OptionError(f"{label} takes a mapped class, not {shorten(cls)}")
    mapper: AnyMapper = found
    return mapper


def attribute_of(entity: Any, mapper: AnyMapper, column: Any) -> Any:
    """The mapped attribute of a column."""
    return getattr(entity, mapper.get_property_by_column(column).key)


def by_columns(given: Any, label: str) -> Relation:
    """Look-ups of a mapped class by its primary key, or by one attribute of it."""
    if is_a(given, type):
        mapper = mapper_of(given, label)
        return _by(mapper, mapper.primary_key)
    wanted = f"{label} takes a mapped class or an attribute of it that is a column, as Member.e_mail"
    if not is_a(given, QueryableAttribute):
        raise OptionError(f"{wanted}, not {shorten(given)}")
    owner: Any = given.parent
    found: Any = None
    if is_a(owner, Mapper):
        synonym = owner.synonyms.get(given.key)
        found = owner.column_attrs.get(given.key if synonym is None else synonym.name)
    if found is None:
        raise OptionError(f"{wanted}, and {given} is none")
    return _by(owner, found.columns[:1])


def primary_names(mapper: AnyMapper) -> tuple[str, ...]:
    """The attributes of a class that are its primary key."""
    return tuple(mapper.get_property_by_column(column).key for column in mapper.primary_key)


def name_by_key(mapper: AnyMapper, names: tuple[str, ...]) -> str:
    """What a look-up of rows by a key is called, whoever looks up: as the class, and the key if it is not its own."""
    name: str = mapper.class_.__name__
    return name if names == primary_names(mapper) else f"{name}.{', '.join(names)}"


def _by(mapper: AnyMapper, columns: Sequence[Any]) -> Relation:
    entity = mapper.class_
    links = tuple(attribute_of(entity, mapper, column) for column in columns)
    names = tuple(link.key for link in links)
    return Relation(
        name_by_key(mapper, names),
        None,
        (),
        mapper,
        entity,
        False,
        Found((entity,), links),
        (mapper, names),
    )


def by_statement(statement: Any, key: Any, many: bool, label: str) -> Relation:
    """Look-ups of what somebody's own select finds, by what they call the key.

    Raises:
        OptionError: It is no select, or one whose rows are not those of each key.
    """
    if not is_a(statement, Select):
        raise OptionError(
            f"{label} takes a select, as select(Task).where(Task.open), not {shorten(statement)}"
        )
    if statement.get_final_froms() and _is_cut(statement):
        raise OptionError(
            f"{label}: a LIMIT or OFFSET would hold for all keys together: look up a relationship with limit="
        )
    described = statement.column_descriptions
    entities = [each.get("entity") for each in described]
    mappers = [inspect(each).mapper for each in entities if each is not None]
    if not mappers:
        raise OptionError(
            f"{label}: the select names no mapped class, so that criteria and sessions cannot know it"
        )
    keys = tuple(as_value(f"{label}: key", each) for each in (key if is_a(key, tuple) else (key,)))
    entity = entities[0]
    is_entity = len(described) == 1 and described[0]["expr"] is entity
    named = None
    if not is_entity:
        named = {str(name): each for name, each in statement.selected_columns.items()}
    found = Found((), tuple(key if is_a(key, tuple) else (key,)), statement)
    with_keys = statement.with_only_columns(*keys, maintain_column_froms=True)
    if len(with_keys.get_final_froms()) > len(statement.get_final_froms()):
        raise OptionError(
            f"{label}: key={', '.join(map(str, keys))} is of a table that the select does not read: take a column of "
            "one that it does, or join the other"
        )
    identity = (Same(statement), *map(Same, keys))
    names = [getattr(each, "key", None) or str(each) for each in found.links]
    name = f"{mappers[0].class_.__name__} by {', '.join(names)}"
    return Relation(name, None, (), mappers[0], entity, many, found, identity, named=named)


def _is_cut(statement: Any) -> bool:
    """Whether a select gives some of its rows alone."""
    uncut = statement.limit(None).offset(None)
    return not bool(uncut.compare(statement))
