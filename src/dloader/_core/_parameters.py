"""Which parameters a loader class declares: annotated attributes of its own that are no options of loaders."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator
from functools import partial
from types import UnionType
from typing import Any
from weakref import WeakKeyDictionary, ref

__all__ = ("declared_names", "declared_parameters", "declared_type")

NAMES: WeakKeyDictionary[type, tuple[str, ...]] = WeakKeyDictionary()
"""Of the parameters of loader classes. Annotations are not kept: they may refer to the class, which would then stay."""
TYPES: WeakKeyDictionary[type, dict[str, Callable[[], Any]]] = WeakKeyDictionary()
"""Of these what parameters are annotated with, where it is a class, to which a weak reference is kept, or plain."""
PLAIN = frozenset({bool, bytes, float, int, str, type(None)})


def declared_names(cls: type, base: type) -> tuple[str, ...]:
    """The names of the parameters of a loader class, its own and inherited.

    Args:
        cls: A subclass of `base`.
        base: The class of all loaders; what it annotates are options, which a subclass may annotate anew.
    """
    names = NAMES.get(cls)
    if names is None:
        NAMES[cls] = names = tuple(dict(declared_parameters(cls, base)))
    return names


def declared_parameters(cls: type, base: type) -> Iterator[tuple[str, Any]]:
    """The same names with what each is annotated with; one that a subclass declares anew comes twice."""
    options = {name for each in base.__mro__[:-1] for name in inspect.get_annotations(each)}
    for each in reversed(cls.__mro__[: cls.__mro__.index(base)]):
        for name, written in inspect.get_annotations(each).items():
            annotation = _evaluated(name, written, each)
            if not _is_class_variable(annotation) and name not in options:
                yield name, annotation


def declared_type(cls: type, base: type, name: str) -> Any:
    """What one of the parameters is annotated with. To evaluate an annotation takes a fifth of a resolve."""
    kept = TYPES.get(cls, {}).get(name)
    annotation = None if kept is None else kept()
    if annotation is None:
        annotation = dict(declared_parameters(cls, base))[name]
        if isinstance(annotation, type):
            TYPES.setdefault(cls, {})[name] = ref(annotation)
        elif _is_plain(annotation):
            TYPES.setdefault(cls, {})[name] = partial(_same, annotation)
    return annotation


def _is_plain(annotation: Any) -> bool:
    """Whether it refers to no class but to those of plain values: ``str | None``, ``Literal["open"]``."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return all(type(part) in PLAIN for part in parts)
    return origin in (typing.Union, UnionType) and all(part in PLAIN or _is_plain(part) for part in parts)


def _same(annotation: Any) -> Any:
    return annotation


def _is_class_variable(annotation: Any) -> bool:
    if typing.get_origin(annotation) is typing.Annotated:
        annotation = annotation.__origin__
    return typing.ClassVar in (annotation, typing.get_origin(annotation))


def _evaluated(name: str, annotation: Any, cls: type) -> Any:
    """An annotation of a class; what cannot be evaluated, a name under TYPE_CHECKING say, still is a parameter."""
    probe = type(cls.__name__, (), {"__annotations__": {name: annotation}, "__module__": cls.__module__})
    try:
        return typing.get_type_hints(probe, localns=dict(vars(cls)), include_extras=True)[name]
    except Exception:
        return Any
