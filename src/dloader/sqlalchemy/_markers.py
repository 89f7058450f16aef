"""What users write: which look-up a field, or a caller, wants."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from functools import cached_property
from types import UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin

from sqlalchemy.ext.associationproxy import AssociationProxyInstance
from sqlalchemy.orm import QueryableAttribute

from dloader import OptionError
from dloader._sources import StandIn
from dloader._stored._seconds import checked_seconds
from dloader._text import shorten
from dloader.resolver._markers import MarkedField
from dloader.resolver._plan._annotations import admits_none, classes_in
from dloader.sqlalchemy._columns import all_columns, columns_of, missing_columns
from dloader.sqlalchemy._expressions import as_condition, as_order, order_terms
from dloader.sqlalchemy._is_a import is_a
from dloader.sqlalchemy._json_types import refused_columns
from dloader.sqlalchemy._loader import (
    LookupLoader,
    PageLoader,
    RequiredLoader,
    RowLoader,
    loader_class,
)
from dloader.sqlalchemy._lookup import Lookup, refuse_strangers
from dloader.sqlalchemy._models import OfRelation, from_of, has_page, models_in, takes_rows
from dloader.sqlalchemy._pages import Page
from dloader.sqlalchemy._parts import part_order
from dloader.sqlalchemy._relations import AnyMapper, by_columns, by_statement
from dloader.sqlalchemy._relationships import relation_of
from dloader.sqlalchemy._transactions import follow_all

__all__ = ("ByKey", "LookupMarker", "Query", "Related")

L = TypeVar("L", bound=LookupLoader)


class LookupMarker(StandIn[L], OfRelation):
    """What all markers of look-ups have in common.

    The mapping is read when it is first needed: markers may be written before all mapped classes are.
    """

    def __init__(
        self,
        given: Any,
        session: str,
        store_ttl: float | None = None,
        store_negative_ttl: float | None = None,
    ) -> None:
        if not isinstance(session, str) or not session.isidentifier():
            raise OptionError(
                f"{type(self).__name__}(session=) takes the name of the loader parameter that has the session, "
                f"'session' or 'replica' say, not {shorten(session)}"
            )
        self._given = given
        self._session = session
        label = type(self).__name__
        ttl = checked_seconds(label, "store_ttl", store_ttl)
        negative_ttl = checked_seconds(label, "store_negative_ttl", store_negative_ttl)
        if ttl is None and negative_ttl is not None:
            raise OptionError(f"{label}: store_negative_ttl goes with store_ttl, which is missing")
        self._kept: dict[str, Any] = {}
        if ttl is not None:
            self._kept = {"store_ttl": ttl, "store_negative_ttl": negative_ttl}
            follow_all()

    @property
    @abstractmethod
    def lookup(self) -> Lookup:
        """What is looked up."""

    @property
    def parent(self) -> AnyMapper | None:
        """Whose rows have its key; None where anybody's may."""
        return self.lookup.relation.parent

    @property
    def label(self) -> str:
        """The name of its loaders: that of the relationship or class."""
        return self.lookup.relation.label

    def _class_of(self, base: type[Any], *identity: object, **attributes: Any) -> type[Any]:
        """The class of the loaders of its look-up."""
        kept = self._kept
        return loader_class(base, self.label, self.lookup, *identity, *kept.items(), **attributes, **kept)

    def key(self, field: MarkedField, /) -> str | tuple[str, ...]:  # noqa: ARG002 - see the base
        """See `FillMarker.key`."""
        keys = self.lookup.relation.keys
        return keys[0] if len(keys) == 1 else keys

    def problems(self, field: MarkedField, /) -> Iterable[str]:
        """See `FieldMarker.problems`."""
        relation = self.lookup.relation
        for key in relation.keys:
            marker = from_of(field.owner, key) if key in _fields_of(field.owner) else None
            if marker is not None and marker.row_name != key:
                yield (
                    f"{self!r} needs the column {key} as its key, and the field {key} of {field.owner.__qualname__} "
                    f"is {marker!r}: give that field another name"
                )

    def _not_json(self, what: str) -> str:
        return f"{self!r}: store_ttl keeps values as JSON, which does not carry {what}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({getattr(self._given, '__name__', self._given)})"


def given(expression: Any) -> list[Any]:
    """What there is of an expression that may be left out."""
    return [] if expression is None else [expression]


def _fields_of(model: Any) -> Iterable[str]:
    return getattr(model, "model_fields", None) or getattr(model, "__dataclass_fields__", {})


class RowMarker(LookupMarker[RowLoader]):
    """What markers of look-ups of rows have in common."""

    @property
    def loader_class(self) -> type[RowLoader]:
        """The class of its loaders."""
        return self._class

    @cached_property
    def _class(self) -> type[RowLoader]:
        return self._class_of(RowLoader)

    def loader(self, field: MarkedField, /) -> type[RowLoader]:
        """See `FillMarker.loader`."""
        return self._class_for(field, RowLoader)

    def _class_for(
        self, field: MarkedField, base: type[RowLoader], *identity: object, **attributes: Any
    ) -> type[Any]:
        """The class of the loaders of a field: of whole rows where no model says which columns it wants."""
        if _holds_models(field):
            return self._class_of(base, *identity, **attributes)
        return self._class_of(base, "whole", *identity, _is_whole=True, **attributes)

    def problems(self, field: MarkedField, /) -> Iterable[str]:
        """See `FieldMarker.problems`."""
        yield from super().problems(field)
        relation = self.lookup.relation
        is_list = _is_list(field.annotation)
        may_be_list = is_list or field.annotation in (Any, object) or has_page(field.annotation)
        if relation.many and not may_be_list:
            yield f"{self!r} gives a list, and the field holds one: declare it as list[...]"
        if not relation.many and is_list:
            yield f"{self!r} gives one row or none, and the field is a list of them"
        if not (_holds_models(field) or takes_rows(field.annotation)):
            yield f"{self!r} gives rows, and the field holds no model of them: declare one with the columns wanted"
        models = models_in(classes_in(field.annotation)[0])
        missing = [
            each for model in models for each in missing_columns(model, relation.mapper, relation.named)
        ]
        yield from missing
        if self._kept and not missing:
            columns = columns_of(models, relation) if _holds_models(field) else all_columns(relation)
            yield from map(self._not_json, refused_columns(columns))


def _holds_models(field: MarkedField) -> bool:
    """Whether the type of a field says what its rows become."""
    classes, is_open = classes_in(field.annotation)
    return is_open or bool(models_in(classes))


def _is_list(annotation: Any) -> bool:
    """Whether a type is a collection of something."""
    origin: Any = get_origin(annotation)
    if origin in (Union, UnionType):
        return any(map(_is_list, get_args(annotation)))
    if isinstance(origin, type):
        return not issubclass(origin, (Mapping, Page)) and hasattr(cast(Any, origin), "__iter__")
    return annotation in (list, tuple, set, frozenset)


class Related(RowMarker):
    """The targets of a relationship: of any kind that a mapped class may have, and of association proxies to entities.

    At a field it fills it, by a key that the row has: the model need not. In a registry it stands for the loader of
    the relationship, which loads by the value of the foreign key (many-to-one), of the column that the foreign key
    refers to (to-many), or by the parent's primary key (custom joins). Markers that mean the same are one loader.

    Args:
        attribute: The relationship, as ``Office.members``.
        where: An SQL expression that targets must meet.
        order_by: An expression or a tuple of them. Default: the relationship's own order.
        limit: The most targets for each parent; of a field that holds a `Page`, how many it has.
        total: Whether a field that holds a `Page` counts all targets, which is another statement.
        session: The loader parameter that has the session.
        store_ttl: For how many seconds a store keeps what is found; see docs/redis.md. Default: not at all.
        store_negative_ttl: The same for keys that nothing has. Default: not at all.
        pages: How a part of each parent's targets is read: "lateral" or "row_number". Default: "lateral" where the
            mapping shows an index that fits.

    Raises:
        OptionError: An argument cannot be used.

    Example:
        ``members: Annotated[list[MemberOut], Related(Office.members, order_by=Member.name)]``
    """

    def __init__(
        self,
        attribute: Any,
        *,
        where: Any = None,
        order_by: Any = None,
        limit: int | None = None,
        total: bool = False,
        session: str = "session",
        pages: str | None = None,
        store_ttl: float | None = None,
        store_negative_ttl: float | None = None,
    ) -> None:
        if not isinstance(attribute, (QueryableAttribute, AssociationProxyInstance)):
            raise OptionError(
                f"Related takes a relationship of a mapped class, as Office.members, not {shorten(attribute)}"
            )
        super().__init__(attribute, session, store_ttl, store_negative_ttl)
        self._where = as_condition(repr(self), where)
        self._order_by = None if order_by is None else as_order(repr(self), order_by)
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
            raise OptionError(f"{self!r}: limit takes a whole number that is 1 or more, not {shorten(limit)}")
        if pages not in (None, "lateral", "row_number"):
            raise OptionError(f"{self!r}: pages takes 'lateral' or 'row_number', not {shorten(pages)}")
        self._limit = limit
        self._total = total
        self._pages = pages

    @property
    def lookup(self) -> Lookup:
        """What is looked up."""
        return self._lookup

    @cached_property
    def _lookup(self) -> Lookup:
        relation = relation_of(self._given, "Related")
        terms = [term for term, _, _ in order_terms(self._order_by or ())]
        refuse_strangers(repr(self), relation, where=given(self._where), order_by=terms)
        order = relation.order_by if self._order_by is None else self._order_by
        return Lookup(relation, self._where, order, self._limit, self._session, self._pages)

    def loader(self, field: MarkedField, /) -> type[RowLoader]:
        """See `FillMarker.loader`."""
        if not has_page(field.annotation):
            return super().loader(field)
        if self._limit is None:
            raise OptionError(f"{self!r}: how many? a field that holds a Page needs Related(..., limit=)")
        return self._class_for(field, PageLoader, self._total, _has_total=self._total)

    def problems(self, field: MarkedField, /) -> Iterable[str]:
        """See `FieldMarker.problems`."""
        yield from super().problems(field)
        lookup = self.lookup
        is_page = has_page(field.annotation)
        if is_page and not lookup.relation.many:
            yield f"{self!r} gives one row at most, and the field holds a Page"
        elif is_page or lookup.limit is not None:
            part_order(lookup, repr(self))

    def empty(self, field: MarkedField, /) -> object:
        """See `FillMarker.empty`."""
        if has_page(field.annotation):
            return Page[Any](items=[], has_more=False, total=0 if self._total else None)
        return [] if self.lookup.relation.many else super().empty(field)


class ByKey(RowMarker):
    """The row of a mapped class by its primary key, or by another column that is unique.

    Where a field cannot be None, a key that nothing has is a `MissingKeyError`.

    Args:
        target: The class, or an attribute of it as ``Member.e_mail``.
        by: At a field: what holds the key, a field or a column of the row; names for a key of several parts.
        where: An SQL expression that the row must meet.
        session: The loader parameter that has the session.
        store_ttl: For how many seconds a store keeps what is found; see docs/redis.md. Default: not at all.
        store_negative_ttl: The same for keys that nothing has. Default: not at all.

    Raises:
        OptionError: An argument cannot be used.

    Example:
        ``author: Annotated[UserOut | None, ByKey(User, by="author_id")]``
    """

    def __init__(
        self,
        target: Any,
        *,
        by: str | tuple[str, ...] | None = None,
        where: Any = None,
        session: str = "session",
        store_ttl: float | None = None,
        store_negative_ttl: float | None = None,
    ) -> None:
        super().__init__(target, session, store_ttl, store_negative_ttl)
        names = by if isinstance(by, tuple) else (by,)
        if by is not None and not (names and all(isinstance(name, str) for name in names)):
            raise OptionError(
                f"{self!r}: by takes the name of a field or column, or a tuple of names, not {by!r}"
            )
        self._by = by
        self._where = as_condition(repr(self), where)

    @property
    def lookup(self) -> Lookup:
        """What is looked up."""
        return self._lookup

    @cached_property
    def _lookup(self) -> Lookup:
        relation = by_columns(self._given, "ByKey")
        refuse_strangers(repr(self), relation, where=given(self._where))
        return Lookup(relation, self._where, (), None, self._session, None)

    def key(self, field: MarkedField, /) -> str | tuple[str, ...]:
        """See `FillMarker.key`."""
        return said_key(self, field, self._by)

    def loader(self, field: MarkedField, /) -> type[RowLoader]:
        """See `FillMarker.loader`."""
        return self._class_for(field, RowLoader if admits_none(field.annotation) else RequiredLoader)


class Query(RowMarker):
    """What your own select finds, by any key.

    Args:
        statement: A select of a mapped class, of which the wanted columns are read, or of named columns. Its
            conditions, joins and order hold; it cannot have a LIMIT, which would hold for all keys together.
        key: The column of the key, or a tuple of several.
        many: Whether a key has a list of rows, or the first and else None.
        by: At a field: what holds the key, as `ByKey` has it.
        session: The loader parameter that has the session.
        store_ttl: For how many seconds a store keeps what is found; see docs/redis.md. Default: not at all.
        store_negative_ttl: The same for keys that nothing has. Default: not at all.

    Raises:
        OptionError: An argument cannot be used.

    Example:
        ``loaders.get(Query(select(Task).where(Task.open), key=Task.project_id, many=True))``
    """

    def __init__(
        self,
        statement: Any,
        *,
        key: Any,
        many: bool = False,
        by: str | tuple[str, ...] | None = None,
        session: str = "session",
        store_ttl: float | None = None,
        store_negative_ttl: float | None = None,
    ) -> None:
        super().__init__(statement, session, store_ttl, store_negative_ttl)
        self._key = key
        self._many = many
        self._by = checked_names(self, by)

    @property
    def lookup(self) -> Lookup:
        """What is looked up."""
        return self._lookup

    @cached_property
    def _lookup(self) -> Lookup:
        relation = by_statement(self._given, self._key, bool(self._many), "Query")
        return Lookup(relation, None, (), None, self._session, None)

    def key(self, field: MarkedField, /) -> str | tuple[str, ...]:
        """See `FillMarker.key`."""
        return said_key(self, field, self._by)

    def empty(self, field: MarkedField, /) -> object:
        """See `FillMarker.empty`."""
        return [] if self._many else super().empty(field)

    def __repr__(self) -> str:
        return f"Query(select {shorten(str(self._given))}, key={self._key})"


def checked_names(marker: object, by: Any) -> str | tuple[str, ...] | None:
    """What ``by=`` was given."""
    names: tuple[Any, ...] = by if is_a(by, tuple) else (by,)
    if by is not None and not (names and all(isinstance(name, str) for name in names)):
        raise OptionError(
            f"{marker!r}: by takes the name of a field or column, or a tuple of names, not {by!r}"
        )
    found: str | tuple[str, ...] | None = by
    return found


def said_key(marker: object, field: MarkedField, by: str | tuple[str, ...] | None) -> str | tuple[str, ...]:
    """The key of a marker that no relationship tells it of."""
    if by is None:
        raise OptionError(f"{field}: {marker!r} at a field needs the name of its key: by='author_id', say")
    return by
