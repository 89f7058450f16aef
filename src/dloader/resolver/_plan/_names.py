"""Evaluating annotations: what stands in them as text, or behind an alias, and what of it nobody can evaluate."""

from __future__ import annotations

import builtins
import sys
import typing
from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ("Evaluated", "evaluate", "evaluate_what_can_be", "name_of_unknown", "namespace_of", "unknown")


class Evaluated(NamedTuple):
    """A type, and what is wrong with its text: a class takes the place of each name that does not exist at run time."""

    annotation: Any
    missing: tuple[str, ...] = ()


def evaluate(annotation: Any, *namespaces: Mapping[str, Any]) -> Evaluated:
    """Evaluate an annotation, which may be text or hold some; a name that nobody knows may mean anything.

    Args:
        annotation: As it was written.
        namespaces: Where names are looked up, one after the other; then among the builtins.

    Raises:
        NameError: It cannot be evaluated whatever its names may mean.
    """
    names = _Names(namespaces)
    probe = type("probe", (), {"__annotations__": {"value": annotation}})
    try:
        hints = typing.get_type_hints(probe, {}, names, include_extras=True)
    except Exception as error:  # what an expression raises
        raise NameError(str(error)) from error
    return Evaluated(hints["value"], tuple(dict.fromkeys(names.missing)))


def evaluate_what_can_be(annotation: Any, *namespaces: Mapping[str, Any]) -> Evaluated:
    """The same, where the annotation as a whole may mean anything."""
    try:
        return evaluate(annotation, *namespaces)
    except NameError as error:
        return Evaluated(unknown("unknown"), (str(error),))


def namespace_of(owner: Any) -> Mapping[str, Any]:
    """The names of the module that a class, function or alias was made in."""
    return vars(sys.modules.get(owner.__module__, builtins))


def unknown(name: str) -> type:
    """A class that takes the place of one that cannot be evaluated."""
    return _Unknown(name, (), {})


def name_of_unknown(kind: object) -> str | None:
    """The name for which a class only takes the place; None for any other object."""
    return kind.__name__ if isinstance(kind, _Unknown) else None


class _Unknown(type):
    """The class of what stands for a missing name: it takes any arguments, and has any attribute."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return unknown(name)

    def __getitem__(cls, _arguments: object) -> Any:
        return cls

    def __call__(cls, *_arguments: object, **_named: object) -> Any:
        return cls


class _Names(dict[str, Any]):
    """The names that an annotation sees; those that it wants and nobody has are in `missing`."""

    def __init__(self, namespaces: tuple[Mapping[str, Any], ...]) -> None:
        super().__init__()
        self._namespaces = (*namespaces, vars(builtins))
        self.missing: list[str] = []

    def __missing__(self, name: str) -> Any:
        for namespace in self._namespaces:
            if name in namespace:
                return namespace[name]
        self.missing.append(f"name {name!r} is not defined")
        return unknown(name)
