"""What users write: fields of Strawberry's types that mapped relationships fill."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, cast

from strawberry.annotation import StrawberryAnnotation
from strawberry.extensions import FieldExtension
from strawberry.permission import BasePermission
from strawberry.types import Info
from strawberry.types.arguments import StrawberryArgument
from strawberry.utils.await_maybe import await_maybe

from dloader import OptionError
from dloader._text import shorten
from dloader.sqlalchemy import Related
from dloader.strawberry._operations import operation_of
from dloader.strawberry._planned import Filling, PlannedField
from dloader.strawberry._plans import FILLED, Failed

__all__ = ("RelatedField", "connection", "related")


class RelatedField(PlannedField):
    """The field that `related` and `connection` make."""

    def get_result(
        self,
        source: Any,
        info: Info[Any, Any] | None,
        args: list[Any],  # noqa: ARG002 - Strawberry's signature
        kwargs: dict[str, Any],
    ) -> Awaitable[Any] | Any:
        """The value if it was filled beforehand, else a future of it."""
        assert info is not None  # noqa: S101 - only basic fields are given none
        try:
            value = source.__dict__[f"{FILLED}{info.path.key}"]
        except (AttributeError, KeyError):
            asked = operation_of(info).ask(self, source, info, kwargs)
            return await_maybe(asked) if self.is_async else asked
        return value.again() if type(value) is Failed else value


def related(
    attribute: Any,
    *,
    where: Any = None,
    order_by: Any = None,
    limit: int | None = None,
    types: Mapping[Any, Any] | None = None,
    session: str = "session",
    pages: str | None = None,
    name: str | None = None,
    description: str | None = None,
    deprecation_reason: str | None = None,
    permission_classes: Sequence[type[BasePermission]] = (),
    directives: Sequence[object] = (),
    extensions: Sequence[FieldExtension] = (),
    store_ttl: float | None = None,
    store_negative_ttl: float | None = None,
) -> Any:
    """Make a field that is filled with the targets of a relationship.

    Of the targets the columns are read that the operation selects. They become objects of the field's type: a plain
    field is the attribute of its name. Where a field with a resolver of its own is selected, all plain fields are
    read, `strawberry.Private` ones included, as the resolver may look at them. What is selected below is filled level
    by level before any of it is completed, so that nothing is awaited there; fields with permissions or extensions
    excepted, which are filled when these were asked.

    The object that has the field needs the attribute that is the key: the foreign key (many-to-one), the referenced
    column (to-many), else the primary key, as `Related` says. It may be ``strawberry.Private``; entities have it.

    Args:
        attribute: The relationship, as ``Office.members``.
        where: An SQL expression that targets must meet.
        order_by: An expression or a tuple of them. Default: the relationship's own order.
        limit: The most targets for each parent.
        types: If the field's type is an interface or a union, the types by mapped class; those of the same name need
            not be told.
        session: The loader parameter that has the session.
        pages: How a limited part of each parent's targets is read; see `Related`.
        name: See ``strawberry.field``.
        description: See ``strawberry.field``.
        deprecation_reason: See ``strawberry.field``.
        permission_classes: See ``strawberry.field``.
        directives: See ``strawberry.field``.
        extensions: See ``strawberry.field``.
        store_ttl: For how many seconds a store keeps what is found; see `Related`.
        store_negative_ttl: The same for keys that nothing has.

    Returns:
        A field.

    Raises:
        OptionError: An argument cannot be used.

    Example:
        ``members: list[Member] = related(models.Office.members)``
    """
    marker = Related(
        attribute,
        where=where,
        order_by=order_by,
        limit=limit,
        session=session,
        pages=pages,
        store_ttl=store_ttl,
        store_negative_ttl=store_negative_ttl,
    )
    field = RelatedField(
        graphql_name=name,
        description=description,
        deprecation_reason=deprecation_reason,
        permission_classes=list(permission_classes),
        directives=list(directives),
        extensions=list(extensions),
    )
    return field.filled_by(Filling(marker, _checked_types(types), False, None, None))


def connection(
    attribute: Any,
    *,
    where: Any = None,
    order_by: Any = None,
    limit: int | None = None,
    max_results: int | None = None,
    types: Mapping[Any, Any] | None = None,
    session: str = "session",
    pages: str | None = None,
    name: str | None = None,
    description: str | None = None,
    deprecation_reason: str | None = None,
    permission_classes: Sequence[type[BasePermission]] = (),
    directives: Sequence[object] = (),
    extensions: Sequence[FieldExtension] = (),
) -> Any:
    """Make a field that is filled with pages of a relationship, with the arguments and cursors of Relay.

    Its type is `Connection`. Pages of all parents are one statement, also where each goes on from a cursor of its own;
    the number of all items is counted only if ``totalCount`` is selected, and cursors are written only if they are. If
    nothing but ``totalCount`` is selected no page is read, and for ``pageInfo`` no columns but those of the order.

    Args:
        attribute: The relationship, as ``Project.tasks``.
        where: An SQL expression that targets must meet.
        order_by: An expression or a tuple of them, ended by the primary key. Default: the relationship's own order.
        limit: How many items a page has if a client gives neither ``first`` nor ``last``. Default: `max_results`.
        max_results: The most items that a client may ask for. Default: the schema's ``relay_max_results``.
        types: See `related`.
        session: The loader parameter that has the session.
        pages: How pages are read; see `Related`.
        name: See ``strawberry.field``.
        description: See ``strawberry.field``.
        deprecation_reason: See ``strawberry.field``.
        permission_classes: See ``strawberry.field``.
        directives: See ``strawberry.field``.
        extensions: See ``strawberry.field``.

    Returns:
        A field.

    Raises:
        OptionError: An argument cannot be used.

    Example:
        ``tasks: Connection[Task] = connection(models.Project.tasks, order_by=models.Task.created.desc())``
    """
    for option, given in (("limit", limit), ("max_results", max_results)):
        if given is not None and (isinstance(given, bool) or not isinstance(given, int) or given < 1):
            raise OptionError(
                f"connection({option}=) takes a whole number that is 1 or more, not {shorten(given)}"
            )
    field = RelatedField(
        graphql_name=name,
        description=description,
        deprecation_reason=deprecation_reason,
        permission_classes=list(permission_classes),
        directives=list(directives),
        extensions=list(extensions),
    )
    field.arguments = [
        _argument("before", str, "Returns the items in the list that come before the specified cursor."),
        _argument("after", str, "Returns the items in the list that come after the specified cursor."),
        _argument("first", int, "Returns the first n items from the list."),
        _argument("last", int, "Returns the items in the list that come before the end, n of them."),
    ]
    marker = Related(attribute, where=where, order_by=order_by, session=session, pages=pages)
    return field.filled_by(Filling(marker, _checked_types(types), True, limit, max_results))


def _checked_types(types: Mapping[Any, Any] | None) -> Mapping[Any, Any]:
    if not (types is None or isinstance(cast(object, types), Mapping)):
        raise OptionError(
            f"types= takes object types by mapped class, {{MappedClass: ObjectType}}, not {shorten(types)}"
        )
    return types or {}


def _argument(name: str, kind: type, description: str) -> StrawberryArgument:
    return StrawberryArgument(
        name, None, StrawberryAnnotation(kind | None), description=description, default=None
    )
