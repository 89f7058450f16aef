"""Calling a batch function with some keys, and what is wrong with what it gave, whatever the keys were."""

from __future__ import annotations

from asyncio import CancelledError, current_task
from collections.abc import Callable, Hashable, Iterator, Sequence
from copy import deepcopy
from inspect import isawaitable, unwrap
from itertools import islice
from types import CodeType, CoroutineType
from typing import Any, cast, final

from dloader import BatchResultError, DataLoader, DloaderError, MissingKeyError
from dloader._printed import inert
from dloader._text import shorten
from dloader.lowlevel import call_batch_function
from dloader.trace._sites import shown_file

__all__ = ("BatchFunctionError", "Calls", "described")

AnyLoader = DataLoader[Any, Any]
IN_ORDER = "return a list in the order of the keys, or a dict"
IN_PLACE = "put the exception in the place of the key's result (or leave the key out of a dict)"


class BatchFunctionError(DloaderError, AssertionError):
    """A batch function breaks the contract that loaders rely on: see `check_batch_function`."""


@final
class Calls:
    """Calls one batch function; lives as long as its check."""

    def __init__(self, loader: AnyLoader, cache_key: Callable[[Any], Hashable]) -> None:
        self._loader = loader
        self._cache_key = cache_key
        self._alone: dict[Hashable, Any] = {}

    async def alone(self, key: Any) -> Any:
        """The result of one key; asked for once.

        Raises:
            BatchFunctionError: There is none that anybody could use.
        """
        cache_key = self._cache_key(key)
        if cache_key not in self._alone:
            self._alone[cache_key] = await self.again(key)
        return self._alone[cache_key]

    async def again(self, key: Any) -> Any:
        """The same, asked for anew."""
        try:
            [result] = await self._call([key])
        except _RaisedError as error:
            raise BatchFunctionError(
                f"raised {error} for key {shorten(key)}: it fails all others too: {IN_PLACE}"
            ) from error
        return result

    async def together(self, keys: Sequence[Any]) -> Sequence[Any]:
        """The results of some keys, each of which has one alone.

        Raises:
            BatchFunctionError: They cannot be told apart, or there are none.
        """
        try:
            results = await self._call(keys)
        except _RaisedError as error:
            raise BatchFunctionError(
                f"{error} ({len(keys)} keys): set max_batch_size, if these are too many"
            ) from error
        self._check_shared(keys, results)
        return results

    async def _call(self, keys: Sequence[Any]) -> Sequence[Any]:
        given = list(keys)
        before = _copies(keys)
        try:
            returned: object = self._loader.load_fn(given)
            if isawaitable(returned):
                returned = await returned
            else:
                raise BatchFunctionError(
                    f"returned {type(returned).__name__}, which nobody can await: declare it with async def"
                )
            if isinstance(returned, Iterator):
                returned = list(islice(cast(Iterator[object], returned), len(keys) + 1))  # it may be endless
        except (DloaderError, GeneratorExit):
            raise
        except (Exception, CancelledError) as error:
            if _is_cancelled():  # Ctrl-C, say
                raise
            raise _RaisedError(described(error)) from error
        results = await self._matched(keys, returned)
        for key, result in zip(keys, results, strict=True):
            if isawaitable(cast(object, result)):
                _close(result)
                raise BatchFunctionError(
                    f"gave {shorten(result)} for key {shorten(key)}, which nobody awaits: await it (asyncio.gather)"
                )
        for key, copy in zip(keys, before, strict=True):
            if copy is not None and not _is_equal(key, copy[0]):
                raise BatchFunctionError(
                    f"changed the key {copy[0]!r} to {key!r}: others wait for it; work on a copy"
                )
        return results

    async def _matched(self, keys: Sequence[Any], returned: object) -> Sequence[Any]:
        async def give(_: list[Any]) -> Any:
            return returned

        try:
            return await call_batch_function(self._loader, give, list(keys))
        except BatchResultError as error:
            if isinstance(returned, Sequence) and not isinstance(returned, (str, bytes, bytearray)):
                found = cast(Sequence[object], returned)
                raise BatchFunctionError(
                    f"returned {len(found)} results for {len(keys)} keys: keys {shorten(keys)}; {IN_ORDER}"
                ) from error
            raise BatchFunctionError(
                f"returned {type(returned).__name__}; a list in the order of the keys, or a dict, is wanted"
            ) from error

    def _check_shared(self, keys: Sequence[Any], results: Sequence[Any]) -> None:
        """One empty list for two keys: what one caller adds to it, the other one has."""
        seen: dict[int, Any] = {}
        for key, result in zip(keys, results, strict=True):
            if type(result) in {list, dict, set} and not result:
                if id(result) in seen:
                    raise BatchFunctionError(
                        f"gave keys {shorten(seen[id(result)])} and {shorten(key)} the same {type(result).__name__}: "
                        f"what is added to one is added to both; make one for each"
                    )
                seen[id(result)] = key


class _RaisedError(Exception):
    """The batch function raised."""


def _is_cancelled() -> bool:
    """Whether the check itself is cancelled, and not something that the batch function waits for."""
    task = current_task()
    return task is not None and task.cancelling() > 0


def described(error: BaseException) -> str:
    """A class's name, and what was said."""
    if isinstance(error, MissingKeyError):
        return "no value"
    said = inert(str(error).partition("\n")[0])
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def place_of(function: Any) -> str:
    """Where a batch function stands: ``(app.py:12)``, or nothing."""
    function = unwrap(getattr(function, "func", function))
    code: CodeType | None = getattr(getattr(function, "__func__", function), "__code__", None)
    return "" if code is None else f" ({shown_file(code.co_filename)}:{code.co_firstlineno})"


def _copies(keys: Sequence[Any]) -> list[tuple[Any] | None]:
    """Copies of the keys that may be changed."""
    copies: list[tuple[Any] | None] = []
    for key in keys:
        try:
            copies.append(None if isinstance(key, (str, int, bytes, float)) else (deepcopy(key),))
        except Exception:
            copies.append(None)
    return copies


def _close(result: object) -> None:
    """Nobody will await it: that is told, and need not be warned of."""
    if type(result) is CoroutineType:
        result.close()


def _is_equal(one: object, other: object) -> bool:
    # Keys without == are never equal to their copies.
    return type(one).__eq__ is object.__eq__ or bool(one == other)
