"""Operations: what lives as long as one query, mutation or subscription."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable
from contextvars import ContextVar
from typing import Any, TypeVar, cast
from weakref import WeakSet

from strawberry.types import Info
from strawberry.types.nodes import SelectedField

from dloader import DloaderError, LoaderRegistry, OptionError, PlanError
from dloader._text import shorten
from dloader.strawberry._ahead import LookAhead
from dloader.strawberry._planned import PlannedField
from dloader.strawberry._planning import Planner
from dloader.strawberry._plans import Plan

__all__ = ("Operation", "fresh", "loaders", "operation_of")

T = TypeVar("T")

current: ContextVar[Operation | None] = ContextVar(
    "dloader.strawberry: the operation that runs here", default=None
)
open_operations: WeakSet[Operation] = WeakSet()


class Operation:
    """One operation: its registry, what is planned for it, and what is being filled.

    Args:
        context: The context value that it was given; several operations may have one, on a WebSocket say.
        registry: Its loaders.
    """

    def __init__(self, context: object, registry: LoaderRegistry) -> None:
        self.context = context
        self.registry = registry
        self.is_open = True
        self._ahead = LookAhead()
        self._plans: dict[tuple[tuple[str, str | None], ...], Plan] = {}

    def ask(self, field: PlannedField, source: Any, info: Info[Any, Any], given: dict[str, Any]) -> Any:
        """What fills a field: a future, or the value where the key is None.

        Raises:
            PlanError: It cannot be filled.
        """
        place = _place_of(info.path)
        plan = self._plans.get(place)
        if plan is None:
            selected = [each for each in info.selected_fields if isinstance(each, SelectedField)]
            self._plans[place] = plan = Planner(info.schema, self.registry).plan(field, selected, given)
        key = _key_of(field, source, plan.keys)
        return plan.nothing() if key is None else self._ahead.load(plan, key)

    async def aclose(self) -> None:
        """End what is under way."""
        self.is_open = False
        open_operations.discard(self)
        await self._ahead.aclose()


def loaders(info: Info[Any, Any]) -> LoaderRegistry:
    """Return the registry of the operation that a resolver runs in.

    Args:
        info: What Strawberry gives to resolvers.

    Returns:
        The registry, which is closed with the operation.

    Raises:
        DloaderError: The schema has no `LoaderExtension`.

    Example:
        >>> import asyncio, strawberry
        >>> from dloader.strawberry import LoaderExtension, loaders
        >>> async def load_names(ids):
        ...     return [f"user {id}" for id in ids]
        >>> @strawberry.type
        ... class Query:
        ...     @strawberry.field
        ...     async def name(self, id: int, info: strawberry.Info) -> str:
        ...         return await loaders(info).get(load_names).load(id)
        >>> schema = strawberry.Schema(Query, extensions=[LoaderExtension()])
        >>> asyncio.run(schema.execute("{ a: name(id: 1) b: name(id: 2) }")).data
        {'a': 'user 1', 'b': 'user 2'}
    """
    return operation_of(info).registry


def operation_of(info: Info[Any, Any]) -> Operation:
    """The operation that a resolver runs in.

    Raises:
        DloaderError: There is none, or one of several that cannot be told apart.
    """
    operation = current.get()
    if operation is not None and operation.is_open and operation.context is info.context:
        return operation
    # A task may take the events of several subscriptions in turn: then the context tells.
    found = [each for each in open_operations if each.context is info.context]
    if len(found) == 1:
        return found[0]
    if found:
        raise DloaderError("several operations of one context run in this task: give each a task of its own")
    raise DloaderError(
        "no LoaderExtension has opened a registry for this operation: "
        "strawberry.Schema(..., extensions=[LoaderExtension(params=...)])"
    )


async def fresh(info: Info[Any, Any], source: AsyncIterable[T]) -> AsyncGenerator[T]:
    """Give the events of a subscription on, each after all that loaders have cached was forgotten.

    The events of a subscription are one operation, with one registry: without this each event sees what the first one
    loaded.

    Args:
        info: What Strawberry gives to the subscription.
        source: The events; it is closed with the subscription.

    Returns:
        The same events.

    Raises:
        OptionError: The source is none.

    Example:
        ``async for event in fresh(info, events()): yield event``
    """
    if not isinstance(cast(object, source), AsyncIterable):
        raise OptionError(f"fresh takes info and what `async for` takes, which {shorten(source)} is not")
    operation = operation_of(info)
    iterator = aiter(source)
    try:
        async for item in iterator:
            operation.registry.clear_all()
            current.set(operation)  # whose task takes the events may have run another operation meanwhile
            yield item
    finally:
        if isinstance(iterator, AsyncGenerator):
            await iterator.aclose()


def _place_of(path: Any) -> tuple[tuple[str, str | None], ...]:
    """Where in an operation a field is: response names with the types that have them, whatever the indexes."""
    found: list[tuple[str, str | None]] = []
    while path is not None:
        if isinstance(path.key, str):
            found.append((path.key, path.typename))
        path = path.prev
    return tuple(found)


def _key_of(field: PlannedField, source: Any, names: tuple[str, ...]) -> Any:
    """The key of an object that somebody else made; None if a part of it is."""
    try:
        parts = [field.default_resolver(source, name) for name in names]
    except (AttributeError, KeyError) as error:
        owner = type(source).__name__
        missing = ", ".join(f"{name}: strawberry.Private[...]" for name in names)
        raise PlanError(
            [
                f"{owner}.{field.python_name} is filled by {' and '.join(names)}, and {owner} has none: add {missing}"
            ]
        ) from error
    if any(part is None for part in parts):
        return None
    return parts[0] if len(parts) == 1 else tuple(parts)
