"""The options of a loader, checked when it is made: a mistake is an error there and then."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Hashable, Iterable, MutableMapping
from contextvars import ContextVar
from types import FunctionType, MethodType
from typing import Any, TypeVar, cast, final
from weakref import WeakMethod

from dloader._core._dispatch import Dispatch, settle
from dloader._text import shorten
from dloader.errors import OptionError
from dloader.instruments import Instrument

__all__ = ("OptionReader", "check_class", "checked_instruments", "not_keeping")

T = TypeVar("T")

HOOKS = [name for name in vars(Instrument) if not name.startswith("_")]

DEFAULT_POLICY = settle()
"""It has no state: all loaders may have the same."""

_OPTIONS = {
    "batch",
    "cache",
    "cache_errors",
    "cache_key_fn",
    "default",
    "dispatch_policy",
    "get_cache_key",
    "max_batch_size",
    "max_concurrency",
    "partition",
    "requested",
    "store_ignore",
    "store_key",
    "store_namespace",
    "store_negative_ttl",
    "store_ttl",
    "store_type",
}
"""Options that classes may set to any value; what is wrong with it is told when a loader is made."""

_ASSIGNED = ("cache", "cache_errors", "max_batch_size", "max_concurrency", "name")
"""Options that are set on each loader."""

_CURES = {
    "cache_map": "pass cache_map= to the constructor: all loaders of the class would share it",
    "dispatch": "write `dispatch_policy = ...`: `dispatch` is a method",
    "instruments": "pass instruments= to the constructor",
    "load_fn": "define `async def batch_load_fn(self, keys)`",
    "store": "pass store= to the constructor, or to the registry",
    "loop": "pass loop= to the constructor",
    "name": "the name of a loader is a str",
}


def check_class(cls: type, base: type) -> None:
    """Refuse class attributes that would be ignored, or hide what loaders have; methods may be overridden."""
    for attribute, value in vars(cls).items():
        if attribute == "name" and isinstance(value, str):
            continue
        cure = _CURES.get(attribute)
        if attribute in _ASSIGNED and isinstance(value, property) and value.fset is None:
            raise OptionError(
                f"class {cls.__qualname__}: {attribute} cannot be a property without a setter: loaders set it when "
                f"they are made; give it a value, or pass {attribute}= to super().__init__()"
            )
        if cure is None:
            if attribute.startswith("_") or attribute in _OPTIONS or not hasattr(base, attribute):
                continue
            cure = "loaders have something else of this name: take another"
        if attribute == "load_fn" or not _is_method(value):
            raise OptionError(f"class {cls.__qualname__}: {attribute} = {shorten(value)} cannot work; {cure}")


def _is_method(value: object) -> bool:
    """Whether it is a function, a property or the like."""
    return hasattr(value, "__get__")


@final
class OptionReader:
    """Checks one option after another, and returns it. Lives while a loader is made.

    Args:
        cls: The class of the loader in the making.
        base: The class of loaders without options of their own.
        name: The name that it was given, if any.
        function: The batch function that it was given, whose name is the loader's if nobody names one.
    """

    __slots__ = ("name",)

    def __init__(self, cls: type, base: type, name: str | None, function: object) -> None:
        if name is None and cls is base and type(function) is FunctionType:
            name = function.__qualname__  # most often
        self.name: str = name or _default_name(cls, base, function)

    def batch_function(self, given: T | None, other: T | None, has_method: bool) -> T | None:
        """The one batch function, or ``None`` when the class has a ``batch_load_fn``."""
        if given is not None and other is not None:
            raise OptionError(
                f"loader {self.name!r} was given load_fn and batch_load_fn: they are two names of one option"
            )
        function = other if given is None else given
        if function is None:
            if has_method:
                return None
            raise OptionError(
                f"loader {self.name!r} has no batch function: pass one, as in DataLoader(load_users), "
                f"or define `async def batch_load_fn(self, keys)` in a subclass"
            )
        if has_method:
            raise OptionError(
                f"loader {self.name!r} has a batch_load_fn method and was given a function too: keep one"
            )
        if not (isinstance(function, FunctionType) and function.__code__.co_flags & inspect.CO_COROUTINE):
            _check_async_callable(function)  # two thirds of the time of the rest of making a loader
        return function

    def size(self, option: str, value: object) -> int | None:
        """A number of keys or batches: ``None`` means any."""
        if value is None:
            return None
        if isinstance(value, bool):
            raise OptionError(
                f"loader {self.name!r}: {option} takes a whole number or None, not {shorten(value)} (in some other "
                f"libraries the second argument is `batch`: here say batch={shorten(value)} by name)"
            )
        if not isinstance(value, int):
            raise OptionError(
                f"loader {self.name!r}: {option} takes a whole number or None, not {shorten(value)}"
            )
        if value < 1:
            raise OptionError(
                f"loader {self.name!r}: {option} must be 1 or more, not {value}; None means no limit"
            )
        return value

    def flag(self, option: str, value: object) -> bool:
        """A switch: True or False."""
        if not isinstance(value, bool):
            raise OptionError(f"loader {self.name!r}: {option} takes True or False, not {shorten(value)}")
        return value

    def key_function(self, first: T | None, second: T | None, owner: Any) -> T | None:
        """``cache_key_fn``, also spelt ``get_cache_key``; where none is given, the owner's method of either name."""
        if first is not None and second is not None:
            raise OptionError(
                f"loader {self.name!r} was given cache_key_fn and get_cache_key: they are two names of one option"
            )
        function = second if first is None else first
        if function is None:
            method = owner and (owner.get_cache_key or owner.cache_key_fn)
            return not_keeping(owner, method) if method else None
        if not callable(function) or inspect.iscoroutinefunction(function):
            raise OptionError(
                f"loader {self.name!r}: cache_key_fn takes a function from key to cache key that is not async, "
                f"not {shorten(function)}"
            )
        return function

    def partition(self, given: object, loader: Any) -> Callable[[], Hashable] | None:
        """A function without arguments, such as a context variable's ``get``, or that of the loader's class."""
        if given is None:
            if loader.partition is None:
                return None
            given = _function_of(loader.partition, 0)
        if not callable(given) or inspect.iscoroutinefunction(given):
            cure = ": pass its get" if _is_context_variable(given) else ""
            raise OptionError(
                f"loader {self.name!r}: partition takes a function without arguments that is not async, "
                f"not {shorten(given)}{cure}"
            )
        return cast(Callable[[], Hashable], not_keeping(loader, given))

    def mapping(self, cache_map: T | None) -> T | None:
        """Any mutable mapping, a cachetools cache say."""
        if cache_map is None:
            return None
        if not _is_mutable_mapping(cache_map):
            raise OptionError(
                f"loader {self.name!r}: cache_map takes a mutable mapping, not {shorten(cache_map)}"
            )
        if inspect.iscoroutinefunction(getattr(cache_map, "__getitem__", None)):
            raise OptionError(f"loader {self.name!r}: cache_map {shorten(cache_map)} must not be async")
        return cache_map

    def loop(self, given: object) -> asyncio.AbstractEventLoop | None:
        """The loop for ``load()`` outside a coroutine."""
        if given is not None and not isinstance(given, asyncio.AbstractEventLoop):
            raise OptionError(f"loader {self.name!r}: loop takes an asyncio event loop, not {shorten(given)}")
        return given

    def policy(self, policy: object, loader: Any) -> Dispatch:
        """A dispatch policy: `settle` unless another is given, or the loader's class has one."""
        if policy is None:
            if loader.dispatch_policy is None:
                return DEFAULT_POLICY
            policy = _function_of(loader.dispatch_policy, 1)
        if inspect.isclass(policy) or inspect.iscoroutinefunction(policy) or not callable(policy):
            raise OptionError(
                f"loader {self.name!r}: dispatch takes settle(), eager(), delay(seconds), manual() or a function "
                f"of the open batch, not {shorten(policy)}"
            )
        return cast(Dispatch, not_keeping(loader, policy))

    def instruments(self, given: Iterable[Instrument]) -> list[Instrument]:
        """Objects with the hooks of `Instrument`, in a new list."""
        return checked_instruments(f"loader {self.name!r}: instruments", given)


def _function_of(found: Any, takes: int) -> Any:
    """A function that a loader's class has as an option, or None.

    A method takes the loader first; a function that takes no more than it is called with, such as a lambda in the
    class body, is no method.

    Args:
        found: The attribute of the loader in the making.
        takes: How many arguments it is called with.
    """
    if isinstance(found, MethodType) and isinstance(function := found.__func__, FunctionType):
        required = function.__code__.co_argcount - len(function.__defaults__ or ())
        return function if required == takes else found
    return found


def checked_instruments(where: str, given: Iterable[Instrument]) -> list[Instrument]:
    """Objects with the hooks of `Instrument`, in a new list.

    Raises:
        OptionError: They are none.
    """
    if not isinstance(cast(object, given), Iterable):
        raise OptionError(f"{where} takes a list of instruments, not {shorten(given)}")
    every = list(given)
    for instrument in every:
        _check_instrument(where, instrument)
    return every


def _check_instrument(where: str, given: object) -> None:
    """Refuse what has no hooks, and hooks that nobody would await."""
    if inspect.isclass(given) or not hasattr(given, "batch_started"):
        raise OptionError(f"{where} takes objects of a subclass of Instrument, not {shorten(given)}")
    for hook in HOOKS:
        if inspect.iscoroutinefunction(getattr(given, hook, None)):
            raise OptionError(f"{where}: {hook} of {shorten(given)} must not be async: nobody would await it")


def _is_context_variable(given: object) -> bool:
    return isinstance(given, ContextVar)


def _default_name(cls: type, base: type, function: object) -> str:
    """The name that errors and pictures show for a loader: that of its class, or of its batch function."""
    if cls is not base:
        return getattr(cls, "name", None) or cls.__name__
    if function is None:
        return "DataLoader"
    name: str | None = getattr(function, "__qualname__", None)
    if name is not None:
        return name
    inner = getattr(function, "func", function)  # a partial has no name of its own
    return getattr(inner, "__qualname__", None) or type(inner).__qualname__


def _check_async_callable(function: object) -> None:
    if not callable(function):
        raise OptionError(
            f"the batch function of a loader must be an async callable, not {shorten(function)}"
        )
    if (
        inspect.isclass(function)
        or inspect.isgeneratorfunction(function)
        or inspect.isasyncgenfunction(function)
    ):
        raise OptionError(
            f"the batch function of a loader must be an `async def` that returns its results, not {shorten(function)}"
        )


def _is_mutable_mapping(value: object) -> bool:
    if isinstance(value, MutableMapping):
        return True
    methods = ("__getitem__", "__setitem__", "keys", "pop", "clear")
    return not isinstance(value, type) and all(hasattr(value, method) for method in methods)


def not_keeping(owner: object, function: T) -> T:
    """The same function; if it is a method of `owner`, in a form that does not keep it alive, to be a part of it."""
    if getattr(function, "__self__", None) is not owner:
        return function
    method = cast(Any, function)
    weak = cast(Callable[[], Any], WeakMethod(method))

    def call(*arguments: Any) -> Any:
        return weak()(*arguments)

    call.__qualname__ = method.__qualname__  # for messages
    return cast(T, call)
