"""The options of a loader, checked when it is made: a mistake is an error there and then."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterable, MutableMapping
from types import FunctionType
from typing import TYPE_CHECKING, TypeVar

from dloader._dispatch import settle
from dloader.errors import OptionError

if TYPE_CHECKING:
    from dloader._dispatch import Dispatch
    from dloader.instruments import Instrument

__all__ = (
    "check_class",
    "checked_batch_function",
    "checked_cache_map",
    "checked_callable",
    "checked_flag",
    "checked_instruments",
    "checked_loop",
    "checked_policy",
    "checked_size",
    "name_of",
    "name_of_class",
)

T = TypeVar("T")

DEFAULT_POLICY = settle()
"""It has no state: all loaders may have the same."""


def name_of(function: object) -> str:
    """The name that errors and pictures show for the loader of a batch function."""
    if function is None:
        return "DataLoader"
    inner = getattr(function, "func", function)  # a partial has no name of its own
    return getattr(inner, "__qualname__", None) or type(inner).__qualname__


def name_of_class(cls: type, base: type, function: object) -> str:
    """The name of a loader that was given none: the ``name`` of its class, or that of the class or function."""
    default = getattr(cls, "name", None)
    return default or (cls.__name__ if cls is not base else name_of(function))


_OPTIONS = {
    "batch",
    "cache",
    "cache_errors",
    "default",
    "dispatch_policy",
    "max_batch_size",
    "max_concurrency",
    "requested",
}
"""Options that classes may set to any value; what is wrong with it is told when a loader is made."""

_CURES = {
    "cache_map": "pass cache_map= to the constructor: all loaders of the class would share it",
    "dispatch": "write `dispatch_policy = ...`: `dispatch` is a method",
    "instruments": "pass instruments= to the constructor",
    "load_fn": "define `async def batch_load_fn(self, keys)`",
    "loop": "pass loop= to the constructor",
    "name": "the name of a loader is a str",
}


def check_class(cls: type, base: type) -> None:
    """Refuse class attributes that would be ignored, or hide what loaders have; methods may be overridden."""
    for attribute, value in vars(cls).items():
        if attribute == "name" and isinstance(value, str):
            continue
        cure = _CURES.get(attribute)
        if cure is None:
            if attribute.startswith("_") or attribute in _OPTIONS or not _taken(attribute, base):
                continue
            cure = "loaders have something else of this name: take another"
        if attribute == "load_fn" or not _is_method(value):
            raise OptionError(f"class {cls.__qualname__}: {attribute} = {value!r} cannot work; {cure}")


def _taken(attribute: str, base: type) -> bool:
    return attribute == "closed" or hasattr(base, attribute)


def _is_method(value: object) -> bool:
    """Whether it is a function, a property or the like."""
    return hasattr(value, "__get__")


def checked_batch_function(name: str, given: T | None, other: T | None, has_method: bool) -> T | None:
    """The one batch function of a loader, or ``None`` when its class has a ``batch_load_fn``."""
    if given is not None and other is not None:
        raise OptionError(
            f"loader {name!r} was given load_fn and batch_load_fn: they are two names of one option"
        )
    function = other if given is None else given
    if function is None:
        if not has_method:
            raise OptionError(
                f"loader {name!r} has no batch function: pass one, as in DataLoader(load_users), "
                f"or define `async def batch_load_fn(self, keys)` in a subclass"
            )
        return None
    if has_method:
        raise OptionError(
            f"loader {name!r} has a batch_load_fn method and was given a function too: keep one"
        )
    if isinstance(function, FunctionType) and function.__code__.co_flags & inspect.CO_COROUTINE:
        return (
            function  # as most are: what follows takes two thirds of the time that the rest of a loader does
        )
    if not callable(function):
        raise OptionError(f"the batch function of a loader must be an async callable, not {function!r}")
    if (
        inspect.isclass(function)
        or inspect.isgeneratorfunction(function)
        or inspect.isasyncgenfunction(function)
    ):
        raise OptionError(
            f"the batch function of a loader must be an `async def` that returns its results, not {function!r}"
        )
    return function


def checked_size(name: str, option: str, value: object) -> int | None:
    """A number of keys or batches: ``None`` means any."""
    if value is None:
        return None
    if isinstance(value, bool):
        raise OptionError(
            f"loader {name!r}: {option} takes a whole number or None, not {value!r} (in some other libraries "
            f"the second argument is `batch`: here say batch={value!r} by name)"
        )
    if not isinstance(value, int):
        raise OptionError(f"loader {name!r}: {option} takes a whole number or None, not {value!r}")
    if value < 1:
        raise OptionError(f"loader {name!r}: {option} must be 1 or more, not {value}; None means no limit")
    return value


def checked_flag(name: str, option: str, value: object) -> bool:
    """A switch: True or False."""
    if not isinstance(value, bool):
        raise OptionError(f"loader {name!r}: {option} takes True or False, not {value!r}")
    return value


def checked_callable(name: str, first: T | None, second: T | None) -> T | None:
    """``cache_key_fn``, also spelt ``get_cache_key``."""
    if first is not None and second is not None:
        raise OptionError(
            f"loader {name!r} was given cache_key_fn and get_cache_key: they are two names of one option"
        )
    function = second if first is None else first
    if function is not None and not callable(function):
        raise OptionError(
            f"loader {name!r}: cache_key_fn takes a function from key to cache key, not {function!r}"
        )
    return function


def checked_cache_map(name: str, cache_map: T | None) -> T | None:
    """Any mutable mapping, a cachetools cache say."""
    if cache_map is not None and not _is_mutable_mapping(cache_map):
        raise OptionError(f"loader {name!r}: cache_map takes a mutable mapping, not {cache_map!r}")
    return cache_map


def _is_mutable_mapping(value: object) -> bool:
    methods = ("__getitem__", "__setitem__", "keys", "pop", "clear")
    if isinstance(value, MutableMapping):
        return True
    return not isinstance(value, type) and all(hasattr(value, method) for method in methods)


def checked_loop(name: str, loop: object) -> asyncio.AbstractEventLoop | None:
    """The loop for ``load()`` outside a coroutine."""
    if loop is not None and not isinstance(loop, asyncio.AbstractEventLoop):
        raise OptionError(f"loader {name!r}: loop takes an asyncio event loop, not {loop!r}")
    return loop


def checked_policy(name: str, policy: object) -> Dispatch:
    """A dispatch policy: `settle` unless another is given."""
    if policy is None:
        return DEFAULT_POLICY
    if inspect.isclass(policy) or inspect.iscoroutinefunction(policy) or not callable(policy):
        raise OptionError(
            f"loader {name!r}: dispatch takes settle(), eager(), delay(seconds), manual() or a function "
            f"of the open batch, not {policy!r}"
        )
    return policy


def checked_instruments(name: str, instruments: Iterable[Instrument]) -> list[Instrument]:
    """Objects with the hooks of `Instrument`."""
    checked = list(instruments)
    for instrument in checked:
        if inspect.isclass(instrument) or not hasattr(instrument, "batch_started"):
            raise OptionError(
                f"loader {name!r}: instruments takes objects of a subclass of Instrument, not {instrument!r}"
            )
    return checked
