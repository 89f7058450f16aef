"""How methods are called: what their parameters are annotated with, and which of them go by position or by name.

A decorated method is read as what it wraps, and called as its wrapper can be.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from dloader.resolver._plan._names import Evaluated, evaluate_what_can_be, namespace_of

__all__ = ("annotations_of", "call_by_name", "is_mock", "names_by_position", "parameters_of")

BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def is_mock(member: object) -> bool:
    """Whether a test has put a mock in the place of a method: it is called without the node."""
    mocks: Any = sys.modules.get("unittest.mock")
    return mocks is not None and isinstance(member, mocks.NonCallableMock)


def parameters_of(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters of a method as they are declared, ``self`` among them; a mock takes what it is given."""
    if is_mock(function):
        return [inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)]
    return list(inspect.signature(function).parameters.values())


def annotations_of(
    function: Callable[..., Any], parameters: Sequence[inspect.Parameter], cls: Any
) -> dict[str, Evaluated]:
    """The evaluated annotations of a method's parameters, by their names."""
    names: dict[str, Any] = {}
    parents: Mapping[str, Any] = getattr(cls, "__pydantic_parent_namespace__", None) or {}
    for name, value in parents.items():
        names[name] = value() if type(value).__name__ == "_PydanticWeakRef" else value
    # What was wrapped before what wraps it: a decorator may be of another module.
    namespaces = [getattr(part, "__globals__", None) or namespace_of(part) for part in _layers(function)][
        ::-1
    ]
    return {
        parameter.name: evaluate_what_can_be(parameter.annotation, names, *namespaces)
        for parameter in parameters
        if parameter.annotation is not parameter.empty
    }


def _layers(function: Any) -> Iterator[Any]:
    """A function, and what it wraps, and so on."""
    layer = function
    while layer is not None:
        yield layer
        layer = getattr(layer, "__wrapped__", None)


def names_by_position(function: Callable[..., Any]) -> tuple[str, ...]:
    """The parameters that a function itself, whatever it wraps, takes by position after ``self``."""
    code: Any = getattr(function, "__code__", None)
    names: tuple[str, ...] = code.co_varnames[1 : code.co_argcount]
    return names


def call_by_name(function: Callable[..., Any], parameters: Sequence[inspect.Parameter]) -> Callable[..., Any]:
    """A function that takes the node, and all parameters by their names.

    Args:
        function: The function itself will do, unless it takes some by position alone.
        parameters: Of what it wraps, without ``self``.
    """
    if is_mock(function):

        def call_mock(_node: Any, **arguments: Any) -> Any:
            return function(**arguments)

        return call_mock
    code: Any = getattr(function, "__code__", None)
    by_name = code.co_varnames[code.co_posonlyargcount : code.co_argcount + code.co_kwonlyargcount]
    takes_all = bool(code.co_flags & inspect.CO_VARKEYWORDS)
    only_by_position = [
        index
        for index, parameter in enumerate(parameters)
        if parameter.kind in BY_POSITION
        and (parameter.kind is parameter.POSITIONAL_ONLY or not (takes_all or parameter.name in by_name))
    ]
    if not only_by_position:
        return function
    leading = [(each.name, each.default) for each in parameters[: only_by_position[-1] + 1]]

    def call(node: Any, **arguments: Any) -> Any:
        values = [arguments.pop(name, default) for name, default in leading]
        return function(node, *values, **arguments)

    return call
