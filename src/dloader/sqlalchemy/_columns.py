"""Which columns are wanted of a mapped class, by the names that its rows have them under."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from sqlalchemy import select
from sqlalchemy.ext.associationproxy import AssociationProxyExtensionType
from sqlalchemy.ext.hybrid import HybridExtensionType
from sqlalchemy.sql import coercions, roles, visitors

from dloader._text import did_you_mean
from dloader.resolver._plan._annotations import aliases_of, field_types
from dloader.resolver._plan._row_shape import row_shape_of
from dloader.sqlalchemy._expressions import columns_in
from dloader.sqlalchemy._models import From, OfRelation, from_of, has_default, models_in
from dloader.sqlalchemy._relations import AnyMapper, Relation

__all__ = (
    "IDENTITY",
    "ModelColumn",
    "RowColumns",
    "all_columns",
    "column_named",
    "columns_of",
    "fields_of",
    "missing_columns",
)

IDENTITY = "polymorphic identity"
"""The name of the column that tells the class of a row, for who asks for it; no attribute can be called that."""

NO_COLUMNS = {AssociationProxyExtensionType.ASSOCIATION_PROXY, HybridExtensionType.HYBRID_METHOD}


class ModelColumn(NamedTuple):
    """A column that a model needs."""

    field: str | None
    """None for what is only a key."""
    name: str
    subclasses: tuple[AnyMapper, ...]
    """Those of the class that was asked for which have it, if that has not."""
    expression: Any


_read: WeakKeyDictionary[type, dict[tuple[AnyMapper, Any], tuple[ModelColumn, ...]]] = WeakKeyDictionary()
"""By models, what each needs of the mapped classes that its rows come from."""


class RowColumns(NamedTuple):
    """The columns of a row."""

    names: tuple[str, ...]
    expressions: tuple[Any, ...]
    """Those that have a name first."""
    joins: tuple[tuple[Any, Any], ...] = ()
    """The tables of subclasses with their ON clauses: a row may be of any of these classes, or of none."""
    discriminator: int | None = None
    """Which column tells the class of a row, if not all classes have all columns."""
    by_identity: Mapping[Any, tuple[int, ...]] = {}
    """By what the discriminator says: which of the columns such rows have."""

    def and_others(self, others: RowColumns) -> RowColumns:
        """These and others, which rows of all classes have."""
        more = [name for name in others.names if name not in self.names]
        named = [
            *self.expressions[: len(self.names)],
            *(others.expressions[others.names.index(each)] for each in more),
        ]
        names = (*self.names, *more)
        if self.discriminator is None:
            return self._replace(names=names, expressions=tuple(named))
        added = range(len(self.names), len(names))
        by_identity = {identity: (*places, *added) for identity, places in self.by_identity.items()}
        return RowColumns(names, (*named, self.expressions[-1]), self.joins, len(names), by_identity)

    def apply(self, statement: Any) -> Any:
        """A select, with the tables that these columns need."""
        for table, on in self.joins:
            statement = statement.outerjoin(table, on)
        return statement


def all_columns(relation: Relation) -> RowColumns:
    """All that are mapped and not deferred."""
    if relation.named is not None:
        return RowColumns(tuple(relation.named), tuple(relation.named.values()))
    mapper = relation.mapper
    every = (each.key for each in mapper.column_attrs if not each.deferred)
    # What SQLAlchemy maps for itself, the expression of a discriminator, is no attribute.
    names = tuple(key for key in every if key in mapper.all_orm_descriptors)
    return RowColumns(names, tuple(getattr(relation.entity, name) for name in names))


def column_named(name: str, relation: Relation) -> ModelColumn | None:
    """The column of an attribute of a mapped class, or of a subclass of it; None if there is none."""
    mapper = relation.mapper
    if name == IDENTITY:
        return ModelColumn(None, name, (), mapper.polymorphic_on)
    found = _attribute([name], mapper)
    return None if found is None else _column(None, relation.entity, mapper, *found)


def columns_of(types: Iterable[type], relation: Relation, named: Iterable[ModelColumn] = ()) -> RowColumns:
    """What response models need of a mapped class: the columns of their fields, and the keys of what fills others.

    Args:
        types: The models.
        relation: What the rows are of.
        named: Columns that are wanted beside these.
    """
    if relation.named is not None:
        return all_columns(relation)
    mapper, entity = relation.mapper, relation.entity
    wanted: dict[str, Any] = {}
    owners: dict[AnyMapper, None] = {}
    of_models = (column for model in models_in(types) for column in _found(model, mapper, entity))
    for _, name, subclasses, expression in (*of_models, *named):
        wanted.setdefault(name, expression)
        owners |= dict.fromkeys(subclasses)
    names, expressions = tuple(wanted), list(wanted.values())
    if not owners:
        return RowColumns(names, tuple(expressions))
    expressions.append(mapper.polymorphic_on)
    by_identity = {
        identity: tuple(
            i for i, name in enumerate(names) if _has(each, name) or not _is_of_subclass(mapper, name)
        )
        for identity, each in mapper.polymorphic_map.items()
    }
    return RowColumns(names, tuple(expressions), _joins(mapper, owners), len(names), by_identity)


def fields_of(model: type, mapper: AnyMapper, entity: Any) -> RowColumns:
    """The columns of one model, by its fields, and by their attributes those that are only keys."""
    found = _found(model, mapper, entity)
    columns = {field or name: expression for field, name, _, expression in found}
    owners = dict.fromkeys(each for _, _, subclasses, _ in found for each in subclasses)
    return RowColumns(tuple(columns), tuple(columns.values()), _joins(mapper, owners))


def missing_columns(model: type, mapper: AnyMapper, named: Collection[str] | None = None) -> Iterator[str]:
    """What is wrong with a model for the rows of a mapped class: fields, and keys, that nothing of it fills.

    Args:
        model: The response model.
        mapper: Of the class.
        named: The columns, if rows are not those of a mapped class.
    """
    shape = row_shape_of(model)
    for name in (*shape.columns, *shape.hidden):
        is_field = name in shape.columns
        may_lack = is_field and (name in shape.computed or from_of(model, name) or has_default(model, name))
        has = _attribute_of(model, name, mapper) is not None if named is None else name in named
        if not (may_lack or has):
            what = "is filled by no column" if is_field else "is needed as a key, and is no column"
            every = (key for each in mapper.self_and_descendants for key in _column_names(each))
            known = [key for key in every if not key.startswith("_")]
            hint = did_you_mean(name, dict.fromkeys(known if named is None else named))
            yield f"{model.__qualname__}.{name} {what} of {mapper.class_.__name__} ({hint})"
    if named is None:
        yield from _misplaced(model, mapper)


def _misplaced(model: type, mapper: AnyMapper) -> Iterator[str]:
    """Markers of other classes: their keys, or columns, may have a name that this class has as well."""
    shape = row_shape_of(model)
    for name, declared in field_types(model).items():
        for marker in declared.metadata:
            is_filled = isinstance(marker, OfRelation) and name in shape.filled
            parent = marker.parent if is_filled else None
            is_own = parent is None or _are_of_one(mapper, parent)
            if not is_own or (isinstance(marker, From) and not _is_read(marker, mapper)):
                what = f"is not of {mapper.class_.__name__}, whose rows these are"
                yield f"{model.__qualname__}.{name}: {marker!r} {what}"


def _are_of_one(one: AnyMapper, other: AnyMapper) -> bool:
    """Whether two classes are one above the other, or of one table."""
    return one.isa(other) or other.isa(one) or one.local_table is other.local_table


def _is_read(marker: From, mapper: AnyMapper) -> bool:
    """Whether an expression is of nothing but the class: of another table, each row would meet each of theirs."""
    if marker.owner is not None:
        return _are_of_one(mapper, marker.owner)
    owners, expression = _with_subclasses(marker.expression, mapper)
    select_ = select(expression).select_from(mapper.class_)
    for table, on in _joins(mapper, owners):
        select_ = select_.outerjoin(table, on)
    return len(select_.get_final_froms()) == 1


def _found(model: type, mapper: AnyMapper, entity: Any) -> Sequence[ModelColumn]:
    """The columns of a model, read once."""
    known = _read.setdefault(model, {})
    found = known.get((mapper, entity))
    if found is None:
        known[mapper, entity] = found = tuple(_columns_in(model, mapper, entity))
    return found


def _columns_in(model: type, mapper: AnyMapper, entity: Any) -> Iterator[ModelColumn]:
    shape = row_shape_of(model)
    for name in (*shape.columns, *shape.hidden):
        field = name if name in shape.columns else None
        marker = None if field is None else from_of(model, name)
        if marker is not None:
            key = marker.row_name
            if _has(mapper, key):
                yield ModelColumn(field, key, (), getattr(entity, key))
            else:
                yield ModelColumn(field, key, *_with_subclasses(marker.expression, mapper))
            continue
        found = _attribute_of(model, name, mapper)
        if found is not None:
            yield _column(field, entity, mapper, *found)


def _column(field: str | None, entity: Any, mapper: AnyMapper, key: str, owner: AnyMapper) -> ModelColumn:
    """The column of an attribute that the class has, or one of its subclasses."""
    if owner is mapper:
        return ModelColumn(field, key, (), getattr(entity, key))
    return ModelColumn(field, key, (owner,), owner.column_attrs[key].columns[0])


def _attribute_of(model: type, name: str, mapper: AnyMapper) -> tuple[str, AnyMapper] | None:
    """The attribute that a field is read from, and whose it is."""
    return _attribute(
        [name, *(aliases_of(model, name) if name in row_shape_of(model).columns else ())], mapper
    )


def _attribute(names: Iterable[str], mapper: AnyMapper) -> tuple[str, AnyMapper] | None:
    """The first of these attributes that there is, and whose it is: of the class, or of one of its subclasses."""
    for key in names:
        if _has(mapper, key):
            return key, mapper
    if mapper.polymorphic_on is not None:
        for key in names:
            for each in mapper.self_and_descendants:
                if key in each.column_attrs:
                    return key, each
    return None


def _with_subclasses(expression: Any, mapper: AnyMapper) -> tuple[tuple[AnyMapper, ...], Any]:
    """The subclasses whose tables an expression needs, and the expression in columns of these."""
    said = coercions.expect(roles.ColumnsClauseRole, expression)
    theirs = {column for each in mapper.self_and_descendants for column in each.columns}
    named = theirs.difference(mapper.columns).intersection(columns_in(said))
    if not named:
        return (), expression

    def plain(element: Any, **_: Any) -> Any:
        """A column of the table: an attribute of a subclass would bring the subclass, and its rows alone."""
        return element.table.c[element.key] if element in named else None

    tables = {column.table for column in named}.difference(mapper.tables)
    owners = tuple(each for each in mapper.self_and_descendants if each.local_table in tables)
    return owners, visitors.replacement_traverse(said, {}, plain)


def _has(mapper: AnyMapper, key: str) -> bool:
    return key in _column_names(mapper)


def _is_of_subclass(mapper: AnyMapper, key: str) -> bool:
    return any(_has(each, key) for each in mapper.self_and_descendants) and not _has(mapper, key)


def _column_names(mapper: AnyMapper) -> set[str]:
    """The attributes of a mapped class that can be selected as columns."""
    relationships = {each.key for each in mapper.relationships}
    every = mapper.all_orm_descriptors.items()
    return {str(name) for name, each in every if each.extension_type not in NO_COLUMNS} - relationships


def _joins(mapper: AnyMapper, owners: Iterable[AnyMapper]) -> tuple[tuple[Any, Any], ...]:
    """The tables of subclasses that are not those of the class itself, from the top down."""
    found: dict[Any, Any] = {}
    for owner in owners:
        way = [each for each in owner.iterate_to_root() if each.isa(mapper) and each is not mapper]
        for each in reversed(way):
            if each.local_table not in mapper.tables and each.inherit_condition is not None:
                found[each.local_table] = each.inherit_condition
    return tuple(found.items())
