"""Which loaders the methods of some classes need, under which names, and for which models; worked out once."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from pydantic import BaseModel

from dloader.compat.pydantic_resolve._annotations import declared_parameters

__all__ = ("Need", "Types", "Use", "full_name", "key_of", "needs_of")

Types: TypeAlias = tuple[type[BaseModel], ...]
Use: TypeAlias = tuple[Any, Types]
"""A loader class or batch function that a method takes, and the models that its field holds."""


class Need(NamedTuple):
    """One loader."""

    source: Any
    """The loader class or batch function."""
    types: Types
    """The models that it serves, if there is a loader for each set of these."""
    name: str
    """The key of ``loader_instance_cache``."""
    parameters: Mapping[str, bool] | None
    """Of a class, the parameters, and whether each has a value."""
    models: Types
    """The models that it fills."""

    @property
    def fields(self) -> Sequence[str]:
        """The fields of these models."""
        return list(dict.fromkeys(name for model in self.models for name in model.model_fields))


def full_name(source: Any) -> str:
    """The dotted name of a class or function.

    Raises:
        AttributeError: It has none.
    """
    return f"{source.__module__}.{source.__qualname__}"


def key_of(source: Any, types: Sequence[type[BaseModel]], by_type: bool) -> tuple[Any, Types]:
    """What is served by one loader."""
    return source, tuple(sorted(types, key=full_name)) if by_type else ()


def needs_of(uses: Iterable[Use], by_type: bool) -> list[Need]:
    """The loaders that methods need.

    Args:
        uses: In the order of the methods.
        by_type: Whether there is a loader for each set of models.
    """
    models: dict[tuple[Any, Types], dict[type[BaseModel], None]] = {}
    for source, types in uses:
        models.setdefault(key_of(source, types, by_type), {}).update(dict.fromkeys(types))
    names = _names(source for source, _ in models)
    return [
        Need(
            source,
            types,
            names[source],
            declared_parameters(source) if inspect.isclass(source) else None,
            tuple(sorted(wanted, key=full_name)),
        )
        for (source, types), wanted in models.items()
    ]


def _names(sources: Iterable[Any]) -> dict[Any, str]:
    """A name for each; where another one has it, with a number."""
    names: dict[Any, str] = {}
    counts: dict[str, int] = {}
    for source in dict.fromkeys(sources):
        name = full_name(source)
        counts[name] = number = counts.get(name, 0) + 1
        names[source] = name if number == 1 else f"{name}#{number}"
    return names
