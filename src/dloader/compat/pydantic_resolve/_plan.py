"""What is to be done for nodes of a class: its methods in pydantic-resolve's order, and what they take."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import FunctionType
from typing import Any, TypeAlias

from pydantic import BaseModel, TypeAdapter, ValidationError

from dloader.compat.pydantic_resolve._annotations import (
    core_types,
    marked_fields,
    models_in,
    plain_classes,
)
from dloader.compat.pydantic_resolve._diagram import ErDiagram, filled_by_diagram
from dloader.compat.pydantic_resolve._mapper import MAPPED
from dloader.compat.pydantic_resolve._markers import Depends, SendTo
from dloader.compat.pydantic_resolve._relationship import Relationship
from dloader.compat.pydantic_resolve.constant import (
    COLLECTOR_CONFIGURATION,
    EXPOSE_TO_DESCENDANT,
    POST_DEFAULT_HANDLER,
    POST_PREFIX,
    RESOLVE_PREFIX,
)
from dloader.compat.pydantic_resolve.exceptions import ResolverTargetAttrNotFound
from dloader.resolver import ExposeAs, ICollector

__all__ = ("Plan", "Sends", "Step")

logger = logging.getLogger("dloader")
Sends: TypeAlias = Mapping[str | tuple[str, ...], str | Iterable[str]]
"""From field, or fields, to the names of collectors."""
NO_NODES = (int, str, float, bool, bytes)


class Step:
    """One method of a class, or a relationship in its place.

    Args:
        cls: The class.
        name: The method's name.
        field: The field that it fills; None for ``post_default_handler``.
        function: The method.
        relationship: What fills the field, if there is no method.
    """

    __slots__ = (
        "_adapter",
        "_classes",
        "_lets_none_through",
        "_type",
        "brings_nodes",
        "collectors",
        "field",
        "function",
        "loaders",
        "name",
        "takes",
        "types",
    )
    loaders: Sequence[tuple[str, Any]]
    """The parameters that take loaders, each with the loader class or batch function."""
    collectors: Sequence[tuple[str, ICollector]]
    """The parameters that take collectors."""

    def __init__(
        self,
        cls: type[BaseModel],
        name: str,
        field: str | None,
        function: Callable[..., Any] | None,
        relationship: Relationship | None = None,
    ) -> None:
        info = cls.model_fields[field] if field is not None else None
        self.name = name
        self.field = field or ""
        self.function = None if relationship is None else relationship.load
        """What is called with a node, where there is no method to be looked up at it."""
        self.types = models_in(info.annotation) if info else ()
        """The models that the field may hold, as its annotation says."""
        self._type: Any = info.annotation if info else None
        self._classes = plain_classes(self._type)
        self._lets_none_through = info is None or not info.is_required()
        self._adapter: TypeAdapter[Any] | None = None
        self.brings_nodes = hasattr(function, MAPPED) or not all(
            found in NO_NODES for found in core_types(self._type)
        )
        """Whether there may be nodes in what is written into the field."""
        defaults = _defaults_of(function)
        self.takes = frozenset({"context", "parent", "ancestor_context"} & defaults.keys())
        """Which of these the method takes."""
        self.loaders = [
            (each, default.dependency) for each, default in defaults.items() if isinstance(default, Depends)
        ]
        if relationship is not None:
            self.loaders = [("loader", relationship.loader)]
        if name == POST_DEFAULT_HANDLER:
            self.loaders = []
        self.collectors = [
            (each, default) for each, default in defaults.items() if isinstance(default, ICollector)
        ]

    def convert(self, value: Any, from_attributes: bool | None) -> Any:
        """Make a value of the field's type, as its annotation says without what ``Annotated`` adds.

        Raises:
            ValidationError: It cannot be one.
        """
        if value is None and self._lets_none_through:
            return None
        if self._classes and isinstance(value, self._classes):
            return value
        if self._adapter is None:
            self._adapter = TypeAdapter(self._type)
        try:
            return self._adapter.validate_python(value, from_attributes=from_attributes)
        except ValidationError:
            logger.warning('Type mismatch for field "%s", expected: %s', self.field, self._type)
            raise


def _defaults_of(function: Callable[..., Any] | None) -> dict[str, Any]:
    """The parameters of a method, and their defaults."""
    if function is None:
        return {}
    return {name: parameter.default for name, parameter in inspect.signature(function).parameters.items()}


class Plan:
    """What is to be done for nodes of a class, in this order.

    Args:
        cls: The class.
        diagram: Relationships that fill fields.

    Raises:
        ResolverTargetAttrNotFound: A method fills no field.
        AttributeError, TypeError, ValueError: Something else is wrong with the class.
    """

    __slots__ = ("cls", "exposes", "final", "posts", "sends", "steps", "walked", "wants_nodes")

    def __init__(self, cls: type[BaseModel], diagram: ErDiagram | None) -> None:
        self.cls = cls
        filled = dict(filled_by_diagram(cls, diagram)) if diagram is not None else {}
        self.exposes = _exposes_of(cls)
        """From field to the name that nodes below see it by."""
        self.sends = _sends_of(cls)
        methods = {
            name: getattr(cls, name) for name in dir(cls) if name.startswith((RESOLVE_PREFIX, POST_PREFIX))
        }
        functions = {name: found for name, found in methods.items() if isinstance(found, FunctionType)}
        self.final: Step | None = None
        """``post_default_handler``."""
        handler = functions.pop(POST_DEFAULT_HANDLER, None)
        steps = {name: _step_of(cls, name, function) for name, function in functions.items()}
        for field, relationship in filled.items():
            name = f"{RESOLVE_PREFIX}{field}"
            steps[name] = Step(cls, name, field, None, relationship)
        self.steps = [steps[name] for name in sorted(steps) if name.startswith(RESOLVE_PREFIX)]
        self.posts = [steps[name] for name in sorted(steps) if name.startswith(POST_PREFIX)]
        if handler is not None:
            self.final = _final_of(cls, handler)
        for step in self.steps:
            if step.collectors:
                raise AttributeError(
                    f"{cls.__name__}.{step.name}: Collector is not available in resolve_method; what is below is "
                    f"not there yet"
                )
        self.walked: list[str] = []
        """The fields, filled by no method, below which there is something to do."""
        self.wants_nodes = bool(self.steps or self.posts or self.sends or self.exposes or self.final)
        """Whether there is something to do for the class itself."""

    @property
    def all_posts(self) -> list[Step]:
        """The posts, and what comes last."""
        return self.posts if self.final is None else [*self.posts, self.final]

    @property
    def is_idle(self) -> bool:
        """Whether nothing is done for nodes of the class, nor below."""
        return not (self.steps or self.posts or self.sends or self.final or self.walked)

    def node_fields(self) -> list[tuple[str, tuple[type[BaseModel], ...]]]:
        """The fields that may hold models, and which; those that no method fills first."""
        found = [(name, models_in(field.annotation)) for name, field in self.cls.model_fields.items()]
        filled = {step.field for step in self.steps}
        return sorted(
            ((name, models) for name, models in found if models), key=lambda each: each[0] in filled
        )


def _step_of(cls: type[BaseModel], name: str, function: Callable[..., Any]) -> Step:
    field = name.removeprefix(RESOLVE_PREFIX if name.startswith(RESOLVE_PREFIX) else POST_PREFIX)
    if field not in cls.model_fields:
        raise ResolverTargetAttrNotFound(
            f"attribute {field} not found: {cls.__name__}.{name} has no field to fill"
        )
    return Step(cls, name, field, function)


def _final_of(cls: type[BaseModel], handler: Callable[..., Any]) -> Step:
    if "default_handler" in cls.model_fields:
        raise ValueError(
            f"Conflict on {cls.__name__}: method `post_default_handler` runs last and fills no field, but there is a "
            f"field `default_handler`: rename one of them"
        )
    return Step(cls, POST_DEFAULT_HANDLER, None, handler)


def _exposes_of(cls: type[BaseModel]) -> Mapping[str, str]:
    marked = {name: marker.alias for name, marker in marked_fields(cls, ExposeAs)}
    given: object = getattr(cls, EXPOSE_TO_DESCENDANT, None)
    if marked and given is not None:
        raise AttributeError(
            f"{EXPOSE_TO_DESCENDANT} already exists; cannot use ExposeAs annotations at the same time"
        )
    if given is not None and not isinstance(given, dict):
        raise TypeError(f"{EXPOSE_TO_DESCENDANT} is not dict: {cls.__name__} has {given!r}")
    return marked if given is None else given  # pyright: ignore[reportUnknownVariableType]


def _sends_of(cls: type[BaseModel]) -> Sends:
    """What fields send; those of one name together. A dict that stands in a base class is none of the subclass's."""
    by_names: dict[str | tuple[str, ...], list[str]] = {}
    for name, marker in marked_fields(cls, SendTo):
        by_names.setdefault(marker.collector_name, []).append(name)
    if by_names and hasattr(cls, COLLECTOR_CONFIGURATION):
        raise AttributeError(
            f"{COLLECTOR_CONFIGURATION} already exists; cannot use SendTo annotations at the same time"
        )
    given: Any = vars(cls).get(COLLECTOR_CONFIGURATION, {})
    kind: type = type(given)  # pyright: ignore[reportUnknownVariableType]
    if kind is not dict:
        raise AttributeError(f"{COLLECTOR_CONFIGURATION} is not dict: {cls.__name__} has {given!r}")
    return given or {
        fields[0] if len(fields) == 1 else tuple(fields): names for names, fields in by_names.items()
    }
