"""What users write for one number of many rows."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from sqlalchemy.ext.associationproxy import AssociationProxyInstance
from sqlalchemy.orm import QueryableAttribute

from dloader import OptionError
from dloader.resolver._markers import MarkedField
from dloader.sqlalchemy._expressions import Same, as_condition, as_value
from dloader.sqlalchemy._json_types import refused
from dloader.sqlalchemy._loader import AggregateLoader
from dloader.sqlalchemy._lookup import Lookup, refuse_strangers
from dloader.sqlalchemy._markers import LookupMarker, given
from dloader.sqlalchemy._relationships import relation_of

__all__ = ("Aggregate", "Count")


class Aggregate(LookupMarker[AggregateLoader]):
    """An aggregate of the targets of a relationship, of which each counts once; None where there are none.

    Args:
        attribute: The relationship, as ``Office.members``.
        expression: An SQL expression, as ``func.sum(Member.salary)``.
        where: An SQL expression that targets must meet.
        session: The loader parameter that has the session.
        store_ttl: For how many seconds a store keeps what is found; see docs/redis.md. Default: not at all.
        store_ttl: For how many seconds a store keeps what is found; see docs/redis.md. Default: not at all.
        store_negative_ttl: The same for values that are None. Default: not at all.

    Raises:
        OptionError: An argument cannot be used.

    Example:
        ``payroll: Annotated[Decimal | None, Aggregate(Office.members, func.sum(Member.salary))]``
    """

    def __init__(
        self,
        attribute: Any,
        expression: Any,
        *,
        where: Any = None,
        session: str = "session",
        store_ttl: float | None = None,
        store_negative_ttl: float | None = None,
    ) -> None:
        super().__init__(attribute, session, store_ttl, store_negative_ttl)
        if not isinstance(attribute, (QueryableAttribute, AssociationProxyInstance)):
            raise OptionError(f"{self!r}: it takes a relationship of a mapped class, as Office.members")
        self._where = as_condition(repr(self), where)
        self._expression = None if expression is None else as_value(repr(self), expression)

    @property
    def lookup(self) -> Lookup:
        """What is looked up."""
        return self._lookup

    @cached_property
    def _lookup(self) -> Lookup:
        relation = relation_of(self._given, type(self).__name__)
        said = given(self._where), given(self._expression)
        refuse_strangers(repr(self), relation, where=said[0], expression=said[1])
        return Lookup(relation, self._where, (), None, self._session, None)

    @property
    def loader_class(self) -> type[AggregateLoader]:
        """The class of its loaders."""
        return self._class

    @cached_property
    def _class(self) -> type[AggregateLoader]:
        expression = self._expression
        identity = None if expression is None else Same(expression)
        return self._class_of(AggregateLoader, identity, _expression=expression)

    def loader(self, field: MarkedField, /) -> type[AggregateLoader]:  # noqa: ARG002 - see the base
        """See `FillMarker.loader`."""
        return self._class

    def problems(self, field: MarkedField, /) -> Iterable[str]:
        """See `FieldMarker.problems`."""
        yield from super().problems(field)
        if self._kept and self._expression is not None:
            yield from map(self._not_json, refused(self._expression))

    @property
    def label(self) -> str:
        """The name of its loaders."""
        what = "count" if self._expression is None else str(self._expression)
        return f"{self.lookup.relation.label} {what}"


class Count(Aggregate):
    """How many targets a relationship has, each counted once.

    Args:
        attribute: The relationship, as ``Office.members``.
        where: An SQL expression that targets must meet.
        session: The loader parameter that has the session.
        store_ttl: For how many seconds a store keeps what is found; see docs/redis.md. Default: not at all.

    Raises:
        OptionError: An argument cannot be used.

    Example:
        ``headcount: Annotated[int, Count(Office.members)]``
    """

    def __init__(
        self,
        attribute: Any,
        *,
        where: Any = None,
        session: str = "session",
        store_ttl: float | None = None,
    ) -> None:
        super().__init__(attribute, None, where=where, session=session, store_ttl=store_ttl)

    def empty(self, field: MarkedField, /) -> object:  # noqa: ARG002 - see the base
        """See `FillMarker.empty`."""
        return 0
