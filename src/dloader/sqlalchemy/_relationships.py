"""Relationships of mapped classes, read once, in one of three ways.

*target*: the key of the parent stands in the target's own row. *secondary*: it stands in the association table. *join*:
the parent is joined, for whatever else a relationship may say.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.ext.associationproxy import AssociationProxyInstance
from sqlalchemy.orm import RelationshipProperty, aliased
from sqlalchemy.orm.exc import UnmappedColumnError
from sqlalchemy.schema import PrimaryKeyConstraint, UniqueConstraint
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import BinaryExpression, BooleanClauseList, ColumnClause, Grouping

from dloader import OptionError
from dloader._text import did_you_mean
from dloader.sqlalchemy._is_a import is_a
from dloader.sqlalchemy._relations import AnyMapper, Found, Relation, attribute_of, mapper_of, name_by_key

__all__ = ("relation_of",)


def relation_of(given: Any, label: str) -> Relation:
    """Read what ``Related(Office.members)`` names.

    Raises:
        OptionError: It is no relationship of a mapped class, nor an association proxy to entities.
    """
    if is_a(given, AssociationProxyInstance):
        return _of_proxy(given, label)
    attribute: Any = given
    parent: Any = attribute.parent
    is_own = inspect(parent).is_mapper and getattr(parent.class_, attribute.key, None) is attribute
    if not is_own:
        raise OptionError(
            f"{label} takes the relationship as the class has it, not one of an alias, with of_type() or and_(): "
            f"{attribute}; conditions go into where="
        )
    prop: Any = attribute.property
    if not isinstance(prop, RelationshipProperty):
        names = [each.key for each in parent.relationships]
        raise OptionError(
            f"{label}: {attribute} is no relationship ({did_you_mean(attribute.key, names)}); "
            f"a look-up by a column is ByKey({attribute})"
        )
    return _of_relationship(prop)


def _of_relationship(prop: Any) -> Relation:
    """Of the class that has it, also where it was named by a subclass: what is one loader depends on nothing else."""
    parent: AnyMapper = prop.parent
    name = f"{parent.class_.__name__}.{prop.key}"
    target: Any = prop.entity
    entity: Any = target.entity
    mapper: AnyMapper = prop.mapper
    many = bool(prop.uselist)
    order = tuple(prop.order_by) if prop.order_by else ()
    pairs = _pairs(prop, prop.primaryjoin)
    if pairs is not None and _names(parent, pairs, local=0) is not None:
        pairs = _in_mapped_order(parent, mapper, pairs)
        keys = _names(parent, pairs, local=0) or ()
        if prop.secondary is not None:
            if not target.is_aliased_class:
                links = tuple(remote for _, remote in pairs)
                where = Found((prop.secondary, (entity, prop.secondaryjoin)), links)
                repeats = not _is_unique(prop.secondary, prop)
                return Relation(
                    name,
                    parent,
                    keys,
                    mapper,
                    entity,
                    many,
                    where,
                    (prop,),
                    order,
                    repeats,
                    secondary=prop.secondary,
                )
        elif not target.is_aliased_class and _names(mapper, pairs, local=1) is not None:
            links = tuple(attribute_of(entity, mapper, remote) for _, remote in pairs)
            identity = (mapper, tuple(link.key for link in links))
            if not many:
                name = name_by_key(mapper, identity[1])
            return Relation(
                name, parent, keys, mapper, entity, many, Found((entity,), links), identity, order
            )
    start = aliased(parent.class_)
    where = Found((start, (getattr(start, prop.key), None)), _key_of(start, parent))
    keys = tuple(parent.get_property_by_column(column).key for column in parent.primary_key)
    return Relation(name, parent, keys, mapper, entity, many, where, (prop,), order, many)


def _of_proxy(proxy: Any, label: str) -> Relation:
    """An association proxy to entities is two relationships, one after the other."""
    first: Any = mapper_of(proxy.owning_class, label).relationships[proxy.target_collection]
    owner: AnyMapper = first.parent
    every = mapper_of(proxy.owning_class, label).all_orm_descriptors
    found = [name for name, each in every.items() if each is proxy.parent]
    name = f"{owner.class_.__name__}.{(found or [proxy.target_collection])[0]}"
    second: Any = first.mapper.relationships.get(proxy.value_attr)
    if second is None:
        raise OptionError(
            f"{label}: {name} is an association proxy that leads to no entity; take a relationship, or From() a column"
        )
    if first.mapper is second.mapper:
        raise OptionError(f"{label}: {name} leads through the class that it leads to; take the relationships")
    start = aliased(owner.class_)
    where = Found(
        (start, (getattr(start, first.key), None), (getattr(first.entity.entity, second.key), None)),
        _key_of(start, owner),
    )
    keys = tuple(owner.get_property_by_column(column).key for column in owner.primary_key)
    order = (*(first.order_by or ()), *(second.order_by or ()))
    many = bool(first.uselist) or bool(second.uselist)
    return Relation(
        name,
        owner,
        keys,
        second.mapper,
        second.entity.entity,
        many,
        where,
        (first, second),
        order,
        repeats=True,
        keeps_repeats=first.secondary is None and second.secondary is None,
        between=_key_of(first.entity.entity, first.mapper),
    )


def _key_of(entity: Any, mapper: AnyMapper) -> tuple[Any, ...]:
    return tuple(attribute_of(entity, mapper, column) for column in mapper.primary_key)


def _pairs(prop: Any, condition: Any) -> list[tuple[Any, Any]] | None:
    """The (local, remote) columns of a condition that is nothing but ``column = column``, each column once."""
    parts = _parts(condition)
    local = {column: column for column in prop.local_columns}
    remote = {column: column for column in prop.remote_side}
    if not all(map(_is_pair, parts)) or not local.keys().isdisjoint(remote):
        return None
    pairs: list[tuple[Any, Any]] = []
    for each in parts:
        here = local.get(each.left, local.get(each.right))
        there = remote.get(each.right, remote.get(each.left))
        if here is None or there is None:
            return None
        pairs.append((here, there))
    is_plain = all(len(set(side)) == len(pairs) for side in zip(*pairs, strict=True))
    return pairs if is_plain else None


def _parts(condition: Any) -> list[Any]:
    if is_a(condition, Grouping):
        return _parts(condition.element)
    if is_a(condition, BooleanClauseList) and condition.operator is operators.and_:
        return [part for each in condition.clauses for part in _parts(each)]
    return [condition]


def _is_pair(each: Any) -> bool:
    return (
        isinstance(each, BinaryExpression)
        and each.operator is operators.eq
        and isinstance(each.left, ColumnClause)
        and isinstance(each.right, ColumnClause)
    )


def _names(mapper: AnyMapper, pairs: Sequence[tuple[Any, Any]], local: int) -> tuple[str, ...] | None:
    """The attributes of one side of the pairs; None if one of them is not mapped."""
    try:
        return tuple(mapper.get_property_by_column(pair[local]).key for pair in pairs)
    except UnmappedColumnError:
        return None


def _in_mapped_order(
    parent: AnyMapper, mapper: AnyMapper, pairs: list[tuple[Any, Any]]
) -> list[tuple[Any, Any]]:
    """As the primary key has them that they refer to, so that `ByKey` is the same; else as the parent has them."""
    for side, owner in ((1, mapper), (0, parent)):
        by_column = {pair[side]: pair for pair in pairs}
        if set(by_column) == set(owner.primary_key):
            return [by_column[column] for column in owner.primary_key]
    names = list(parent.column_attrs.keys())
    return sorted(pairs, key=lambda pair: names.index(parent.get_property_by_column(pair[0]).key))


def _is_unique(secondary: Any, prop: Any) -> bool:
    """Whether the association table can have each pair only once."""
    constraints = getattr(secondary, "constraints", ())
    return any(
        len(each.columns) > 0 and set(each.columns) <= prop.remote_side
        for each in constraints
        if isinstance(each, (PrimaryKeyConstraint, UniqueConstraint))
    )
