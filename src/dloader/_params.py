"""Values for the parameters of loaders: to which of them each goes, and whether it fits."""

from __future__ import annotations

import sys
import typing
from collections.abc import Callable, Mapping
from importlib import import_module
from types import NoneType, UnionType
from typing import Any, final

from dloader._core._loader import DataLoader
from dloader._sources import StandIn, identity_of, is_loader_class, make_loader, without_types
from dloader._text import did_you_mean, shorten
from dloader.errors import LoaderParamError, OptionError
from dloader.lowlevel import is_taken, parameter_type, parameters_of

__all__ = (
    "GivenParams",
    "checked",
    "declared_by",
    "label_of",
    "make_loader_with",
    "taken_problem",
    "unknown_problem",
)


@final
class GivenParams:
    """What a registry gives to the loaders that it makes; lives as long as the registry.

    Args:
        by_name: Values for every loader that declares a parameter of the name.
        by_source: Values for the loaders of one class, before those by name.
    """

    def __init__(
        self, by_name: Mapping[str, Any] | None, by_source: Mapping[Any, Mapping[str, Any]] | None
    ) -> None:
        self._by_name: Mapping[str, Any] = _mapping("params", by_name)
        self._by_source: dict[Any, Mapping[str, Any]] = {}
        for source, values in _mapping("loader_params", by_source).items():
            if not (is_loader_class(without_types(source)) or callable(source)):
                raise OptionError(
                    f"loader_params: {shorten(source)} is no loader class; write loader_params={{UserLoader: ...}}"
                )
            self._by_source[identity_of(source)] = _mapping(f"loader_params: {label_of(source)}", values)
            declared = declared_by(source)
            for name in values:
                if name not in declared:
                    raise LoaderParamError(unknown_problem(source, name, declared))

    def of(self, source: Any) -> dict[str, Any]:
        """The values for the parameters of a loader class, checked; a function has none.

        Raises:
            LoaderParamError: One does not fit, or cannot be a parameter.
        """
        declared = declared_by(source)
        if not declared:
            return {}
        given = {**self._by_name, **self._by_source.get(identity_of(source), {})}
        problems = [taken_problem(source, name) for name in declared if is_taken(name)]
        values: dict[str, Any] = {}
        for name in (name for name in declared if name in given):
            values[name], problem = checked(source, name, given[name])
            if problem is not None:
                problems.append(problem)
        if problems:
            raise LoaderParamError("; ".join(problems))
        return values


def make_loader_with(source: Any, values: Mapping[str, Any]) -> DataLoader[Any, Any]:
    """Make a loader and give it its parameters.

    Raises:
        LoaderParamError: It lacks one, which its constructor has not set either.
    """
    loader = make_loader(source)
    for name, value in values.items():
        setattr(loader, name, value)
    missing = [
        name
        for name, has_default in declared_by(source).items()
        if not (has_default or hasattr(loader, name))
    ]
    if missing:
        example = ", ".join(f"{name!r}: ..." for name in missing)
        raise LoaderParamError(
            f"loader {loader.name!r} needs its {'parameters' if len(missing) > 1 else 'parameter'} "
            f"{', '.join(map(repr, missing))}, which nobody gave: pass LoaderRegistry(params={{{example}}}), "
            f"or loader_params={{{label_of(source)}: {{{example}}}}}"
        )
    return loader


def declared_by(source: Any) -> Mapping[str, bool]:
    """The parameters of a loader class, and whether each has a default; a function has none."""
    source = without_types(source)
    return parameters_of(source) if is_loader_class(source) else {}


def label_of(source: Any) -> str:
    """The name of a loader class or function, for messages."""
    return source.label if isinstance(source, StandIn) else getattr(source, "__name__", repr(source))


def unknown_problem(source: Any, name: str, declared: Mapping[str, bool]) -> str:
    """What is wrong with a name that a loader class does not declare."""
    return f"loader_params: {label_of(source)} has no parameter {name!r} ({did_you_mean(name, declared)})"


def taken_problem(source: Any, name: str) -> str:
    """What is wrong with a parameter whose name loaders need for themselves."""
    return f"{label_of(source)}.{name} cannot be a parameter: it would overwrite what loaders have under that name"


def checked(source: Any, name: str, value: Any) -> tuple[Any, str | None]:
    """A value as the parameter takes it, and what is wrong with it.

    It is the value itself if that is of the declared type, else what Pydantic makes of it ("7" for an int).
    """
    loader_class: Any = without_types(source)
    annotation = parameter_type(loader_class, name)
    if _verdict(value, annotation):
        return value, None
    fitting, reason = _check()(value, annotation)
    if reason is None:
        return fitting, None
    return value, f"loader parameter {label_of(source)}.{name} cannot be {shorten(value)}: {reason}"


def _check() -> Callable[[Any, Any], tuple[Any, str | None]]:
    """Who checks what is not plain.

    This is the one place that looks up, to a module above: if Pydantic is installed, and only when it is needed.
    """
    try:
        above: Any = import_module("dloader.resolver._params")
    except ModuleNotFoundError:
        return _conforming
    check: Callable[[Any, Any], tuple[Any, str | None]] = above.conforming
    return check


def _conforming(value: Any, annotation: Any) -> tuple[Any, str | None]:
    """Without Pydantic: what is plainly wrong is refused, what cannot be told is taken as it is."""
    return value, f"Input should be {_wanted(annotation)}" if _verdict(value, annotation) is False else None


def _verdict(value: Any, annotation: Any) -> bool | None:
    """Whether a value plainly fits, or plainly does not; ``None`` if it takes Pydantic to tell."""
    origin = typing.get_origin(annotation)
    if annotation is Any or annotation is object:
        return True
    if origin is typing.Literal:
        return any(type(each) is type(value) and each == value for each in typing.get_args(annotation))
    if origin is typing.Union or origin is UnionType:
        verdicts = {_verdict(value, each) for each in typing.get_args(annotation)}
        return True if True in verdicts else None if None in verdicts else False
    annotation = NoneType if annotation is None else annotation
    return _is_of(value, annotation) if origin is None and isinstance(annotation, type) else None


def _is_of(value: Any, kind: type) -> bool | None:
    """The same for a class. Some of the standard library are more to Pydantic: True is no int, a datetime no date."""
    if type(value) is kind:
        return True
    try:
        is_instance = isinstance(value, kind)
    except TypeError:  # a protocol
        return None
    if is_instance:
        return None if kind.__module__.partition(".")[0] in sys.stdlib_module_names else True
    return None if kind is float and type(value) is int else False


def _wanted(annotation: Any) -> str:
    """What an annotation asks for, in Pydantic's words."""
    args = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Literal:
        return " or ".join(map(repr, args))
    if args:
        return " or ".join(map(_wanted, args))
    return "None" if annotation is NoneType else f"an instance of {annotation.__qualname__}"


def _mapping(name: str, given: Any) -> dict[Any, Any]:
    if given is None:
        return {}
    if not _is_mapping(given):
        raise OptionError(f"{name}: a mapping is wanted, not {shorten(given)}")
    return dict(given)


def _is_mapping(given: Any) -> bool:
    return isinstance(given, Mapping)
