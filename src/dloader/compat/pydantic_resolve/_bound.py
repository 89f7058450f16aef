"""Plans with what one resolve gives to their methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

from dloader.compat.pydantic_resolve._loaders import Loaders
from dloader.compat.pydantic_resolve._mapper import MAPPED, Mapped
from dloader.compat.pydantic_resolve._plan import Plan, Step

__all__ = ("BoundPlan", "BoundStep", "Visit")


class Visit(NamedTuple):
    """A node in one of its places."""

    node: Any
    bound: BoundPlan
    parent: Any
    """The node that holds it; None for a root."""
    above: Mapping[str, Any]
    """What nodes above expose."""


Collected: TypeAlias = Callable[[Visit, "BoundStep"], Mapping[str, Any]]


class BoundStep:
    """A step with the arguments that are the same for all nodes; lives as long as one resolve.

    Args:
        step: The step.
        context: The resolver's.
        loaders: Of this resolve.
        collected: Gives a node's collectors.
    """

    __slots__ = ("_arguments", "_collected", "_per_node", "brings_nodes", "field", "function", "name", "step")

    def __init__(
        self, step: Step, context: Mapping[str, Any] | None, loaders: Loaders, collected: Collected
    ) -> None:
        self.step = step
        self.name = step.name
        self.field = step.field
        self.function = step.function
        self.brings_nodes = step.brings_nodes
        self._arguments: dict[str, Any] = {
            name: loaders.get(source, step.types) for name, source in step.loaders
        }
        if "context" in step.takes:
            self._arguments["context"] = context
        self._collected = collected if step.collectors else None
        self._per_node = bool(self._collected or step.takes - {"context"})

    def call(self, visit: Visit) -> tuple[Any, Mapped[Any] | None]:
        """Call the method of a node; return what it gives, and the rule of its ``mapper`` if it has one."""
        node = visit[0]
        arguments = self._arguments if not self._per_node else self._arguments_for(visit)
        if self.function is not None:
            return self.function(node, **arguments), None
        method = getattr(node, self.name)
        mapped: Mapped[Any] | None = getattr(method, MAPPED, None)
        if mapped is not None:
            return mapped.method(node, **arguments), mapped
        return method(**arguments), None

    def lacks_annotations(self, node: Any) -> bool:
        """Whether the method of a node says nothing of its types."""
        return self.function is None and not getattr(node, self.name).__annotations__

    def _arguments_for(self, visit: Visit) -> Mapping[str, Any]:
        arguments = dict(self._arguments)
        if "parent" in self.step.takes:
            arguments["parent"] = visit.parent
        if "ancestor_context" in self.step.takes:
            arguments["ancestor_context"] = MappingProxyType(visit.above)
        if self._collected is not None:
            arguments.update(self._collected(visit, self))
        return arguments


class BoundPlan:
    """A plan whose steps are bound."""

    __slots__ = ("final", "plan", "posts", "steps")

    def __init__(self, plan: Plan, bind: Callable[[Step], BoundStep]) -> None:
        self.plan = plan
        self.steps = list(map(bind, plan.steps))
        self.posts = list(map(bind, plan.posts))
        self.final = None if plan.final is None else bind(plan.final)
