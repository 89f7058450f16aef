"""check_batch_function: whether a batch function keeps the contract that loaders rely on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast, final

from dloader import DataLoader, OptionError
from dloader._sources import make_loader
from dloader._text import shorten
from dloader.lowlevel import BatchFunction, cache_key_of, parameters_of
from dloader.testing._alike import is_alike
from dloader.testing._calls import IN_ORDER, BatchFunctionError, Calls, described, place_of

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ("check_batch_function",)

K = TypeVar("K")
V = TypeVar("V")
MOST_KEYS = 12


def check_batch_function(
    load: BatchFunction[K, V] | DataLoader[K, V] | type[DataLoader[K, V]],
    keys: SearchStrategy[K] | Sequence[K],
    *,
    same: Callable[[V, V], bool] | None = None,
    max_examples: int = 200,
    deadline: float | timedelta | None = None,
) -> None:
    """Check with Hypothesis that a batch function gives each key its own result, whatever it is asked for with.

    Of each example, 1 to 12 different keys: every key's result must be the one that it has alone, also in the reverse
    order; and what is returned must be a list or iterator of the right length, or a mapping. What is found is shrunk to
    the least keys that show it. Also found: what is raised for one key and fails all others, results that nobody can
    await, keys that are changed, one empty list that two keys are given.

    It is called from a plain ``def test_...()`` and runs an event loop of its own.

    Args:
        load: The batch function; or a loader, where it needs one (``UserLoader(db=db)``); or a loader class that can
            be made without arguments. Only its batch function is called.
        keys: A Hypothesis strategy; or the keys there are.
        same: Whether two results are the same. Default: whether they are equal, or, where their class has no ``==``
            (rows of an ORM), whether their attributes are.
        max_examples: How many sets of keys are tried; about three calls each.
        deadline: Hypothesis's, in milliseconds for one set. Default: any time.

    Raises:
        BatchFunctionError: It breaks the contract, an `AssertionError`: the message names it, with file and line.
        OptionError: An argument cannot be used, or an event loop is running here.
        ModuleNotFoundError: Hypothesis is missing.

    Example:
        >>> async def load_users(ids):
        ...     return [f"user {id}" for id in sorted(ids)]  # as many databases do
        >>> try:
        ...     check_batch_function(load_users, [1, 2, 3])
        ... except AssertionError as error:
        ...     print(str(error).partition("): ")[2].partition(";")[0])
        gave key 2 the result of key 1: keys [2, 1] returned ['user 1', 'user 2']
    """
    __tracebackhide__ = True
    loader = cast(DataLoader[Any, Any], load) if isinstance(load, DataLoader) else make_loader(load)
    _check_parameters(loader)
    if same is not None and not callable(same):
        raise OptionError(f"check_batch_function(same=) takes a callable, not {same!r}")
    if type(max_examples) is not int or max_examples < 1:
        raise OptionError(
            f"check_batch_function(max_examples=) takes a number from 1 up, not {max_examples!r}"
        )
    if _is_in_loop():
        raise OptionError("check_batch_function() runs an event loop of its own: call it from a plain def")
    hypothesis = _hypothesis()
    if isinstance(keys, (list, tuple, range)) and keys:
        keys = hypothesis.strategies.sampled_from(cast(Sequence[Any], keys))
    if not isinstance(keys, hypothesis.strategies.SearchStrategy):
        raise OptionError(f"check_batch_function() takes a strategy or a list of keys, not {keys!r}")
    most = min(MOST_KEYS, loader.max_batch_size or MOST_KEYS)
    sets = hypothesis.strategies.lists(
        keys, min_size=1, max_size=most, unique_by=partial(cache_key_of, loader)
    )
    settings = hypothesis.settings(max_examples=max_examples, deadline=deadline, database=None)
    with asyncio.Runner() as runner:
        contract = _Contract(loader, same, runner)
        try:
            hypothesis.find(sets, contract.is_broken_by, settings=settings)
        except hypothesis.errors.NoSuchExample:
            return
        except hypothesis.errors.Flaky as error:
            contract.error.add_note("Not each time: it depends on something else than the keys.")
            raise contract.error from error
    raise contract.error


def _check_parameters(loader: DataLoader[Any, Any]) -> None:
    for name, has_default in parameters_of(type(loader)).items():
        if not has_default and not hasattr(loader, name):
            kind = type(loader).__name__
            raise OptionError(
                f"check_batch_function(): {kind} needs its parameter {name!r}, which nobody gave: make a loader of it, "
                f"set `loader.{name} = ...`, and pass the loader"
            )


def _is_in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _hypothesis() -> Any:
    try:
        import hypothesis  # noqa: PLC0415 - only who checks batch functions needs it
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'check_batch_function() needs Hypothesis: pip install "dloader[testing]"', name="hypothesis"
        ) from error
    return hypothesis


@final
class _Contract:
    """Checks one batch function; lives as long as that takes."""

    def __init__(
        self, loader: DataLoader[Any, Any], same: Callable[[Any, Any], bool] | None, runner: asyncio.Runner
    ) -> None:
        self._calls = Calls(loader, partial(cache_key_of, loader))
        self._name = f"{loader.name}{place_of(loader.load_fn)}"
        self._same_results = same
        self._runner = runner
        self.error = BatchFunctionError("")
        """What was found last."""

    def is_broken_by(self, keys: Sequence[Any]) -> bool:
        """Whether the contract does not hold for some keys."""
        try:
            self._runner.run(self._check(keys))
        except BatchFunctionError as error:
            self.error = BatchFunctionError(f"{self._name}: {error}")
            self.error.__cause__ = error.__cause__
            return True
        return False

    async def _check(self, keys: Sequence[Any]) -> None:
        alone = [await self._calls.alone(key) for key in keys]
        for some, expected in ((keys, alone), (keys[::-1], alone[::-1])):
            results = await self._calls.together(some)
            for index, result in enumerate(results):
                if not self._same(result, expected[index]):
                    again = await self._calls.again(some[index])
                    raise BatchFunctionError(self._difference(some, index, results, expected, again))

    def _difference(
        self, keys: Sequence[Any], index: int, results: Sequence[Any], alone: Sequence[Any], again: Any
    ) -> str:
        key, result = shorten(keys[index]), results[index]
        if not self._same(again, alone[index]):
            return (
                f"gives another result for {key} each time: pass same= if the two are the same\n"
                f"  first {_shown(alone[index])}   then {_shown(again)}"
            )
        for other, expected in zip(keys, alone, strict=True):
            if self._same(result, expected):
                return (
                    f"gave key {key} the result of key {shorten(other)}: keys {shorten(list(keys))} returned "
                    f"{shorten(list(map(_Shown, results)))}; {IN_ORDER}"
                )
        return (
            f"gives another result for {key} together with other keys than alone: keys {shorten(list(keys))}\n"
            f"  together {_shown(result)}   alone {_shown(alone[index])}\n"
            f"  the result of a key must not depend on which others are asked for (a LIMIT for all, `if key`)"
        )

    def _same(self, one: Any, other: Any) -> bool:
        if isinstance(one, Exception) or isinstance(other, Exception):
            return type(one) is type(other) and described(one) == described(other)
        try:
            return one is other or bool((self._same_results or is_alike)(one, other))
        except Exception as error:
            raise BatchFunctionError(
                f"gave {shorten(one)}, which cannot be compared ({described(error)}): pass same="
            ) from error


def _shown(result: Any) -> str:
    return described(result) if isinstance(result, Exception) else shorten(result)


@final
class _Shown:
    """Shown in a list as `_shown` says."""

    def __init__(self, result: Any) -> None:
        self._result = result

    def __repr__(self) -> str:
        return _shown(self._result)
