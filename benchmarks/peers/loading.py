"""What holds in which loader: each check is a few lines, and the sentence in its docstring is what it checks.

Where libraries spell a thing differently, each is used in its way: see `LIBRARIES`.
"""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Check = Callable[[Any], Awaitable[bool]]

LOADING: list[Check] = []


@dataclass
class Library:
    """How one library is used."""

    title: str
    version: str
    module: str
    options: Mapping[str, str] = field(default_factory=dict)
    """Option names that differ from dloader's."""
    prime: Callable[[Any, Any, Any], object] = lambda loader, key, value: loader.prime(key, value)
    """Put a value over what is there."""

    def make(self, function: Callable[..., Any], **options: Any) -> Any:
        """A loader of the library."""
        named = {self.options.get(name, name): value for name, value in options.items()}
        return importlib.import_module(self.module).DataLoader(function, **named)


LIBRARIES = {
    "dloader": Library("dloader", "", "dloader"),
    "old": Library("dloader", "2025.7", "dloader"),
    "aiodataloader": Library(
        "aiodataloader",
        "0.4.3",
        "aiodataloader",
        {"cache_key_fn": "get_cache_key"},
        lambda loader, key, value: loader.clear(key).prime(key, value),
    ),
    "strawberry": Library(
        "Strawberry",
        "0.341",
        "strawberry.dataloader",
        prime=lambda loader, key, value: loader.prime(key, value, force=True),
    ),
}


async def turns(number: int) -> None:
    """Let the event loop turn some times."""
    for _ in range(number):
        await asyncio.sleep(0)


class Batches:
    """A batch function that keeps its calls; with a gate it waits until the gate is open."""

    def __init__(self, *, gated: bool = False) -> None:
        self.calls: list[list[Any]] = []
        self.gate = asyncio.Event()
        if not gated:
            self.gate.set()

    async def load(self, keys: Any) -> list[Any]:
        """Answer each key with the key and the number of the call."""
        self.calls.append(list(keys))
        number = len(self.calls)
        await self.gate.wait()
        return [(key, number) for key in keys]


@LOADING.append
async def same_turn(lib: Library) -> bool:
    """Callers in one `gather` share one batch."""
    batches = Batches()
    loader = lib.make(batches.load)
    await asyncio.gather(*(loader.load(key) for key in range(5)))
    return batches.calls == [[0, 1, 2, 3, 4]]


@LOADING.append
async def staggered(lib: Library) -> bool:
    """Callers that arrive one to three `await`s later still share that batch."""
    batches = Batches()
    loader = lib.make(batches.load)

    async def caller(number: int) -> None:
        await turns(number)
        await loader.load(number)

    await asyncio.gather(*map(caller, range(4)))
    return len(batches.calls) == 1


@LOADING.append
async def cancel_one(lib: Library) -> bool:
    """Cancelling one caller leaves the other callers of that key alone."""
    batches = Batches(gated=True)
    loader = lib.make(batches.load)
    one, other = (asyncio.ensure_future(_await(loader.load(1))) for _ in range(2))
    await turns(10)
    one.cancel()
    await turns(2)
    batches.gate.set()
    return await other == (1, 1)


@LOADING.append
async def nobody_waits(lib: Library) -> bool:
    """A running batch that everybody has left is cancelled."""
    batches = Batches(gated=True)
    stopped: list[bool] = []

    async def load(keys: Any) -> list[Any]:
        try:
            return await batches.load(keys)
        except asyncio.CancelledError:
            stopped.append(True)
            raise

    future = lib.make(load).load(1)
    await turns(10)
    future.cancel()
    await turns(5)
    return bool(stopped)


@LOADING.append
async def short_result(lib: Library) -> bool:
    """A result list that is too short is an error for every caller."""

    async def load(keys: Any) -> list[Any]:
        return list(keys)[:-1]

    loader = lib.make(load)
    results = await asyncio.gather(loader.load(1), loader.load(2), return_exceptions=True)
    return all(isinstance(result, Exception) for result in results)


@LOADING.append
async def keys_emptied(lib: Library) -> bool:
    """A batch function that empties its list of keys keeps nobody waiting."""

    async def load(keys: Any) -> list[Any]:
        results = []
        while keys:
            results.append(keys.pop())
        return results

    loader = lib.make(load)
    await asyncio.gather(loader.load(1), loader.load(2), return_exceptions=True)
    return True


@LOADING.append
async def batch_cancelled(lib: Library) -> bool:
    """A batch function that is cancelled from outside keeps nobody waiting."""

    async def load(keys: Any) -> list[Any]:
        raise asyncio.CancelledError

    await asyncio.gather(_await(lib.make(load).load(1)), return_exceptions=True)
    return True


@LOADING.append
async def own_key(lib: Library) -> bool:
    """A batch function that loads its own key gets an error, and does not wait for itself."""

    async def load(keys: Any) -> list[Any]:
        return [await loader.load(key) for key in keys]

    loader = lib.make(load)
    (result,) = await asyncio.gather(_await(loader.load(1)), return_exceptions=True)
    return isinstance(result, Exception)


@LOADING.append
async def bad_key(lib: Library) -> bool:
    """`load_many` with a key that cannot be used requests none of the others."""
    batches = Batches()
    loader = lib.make(batches.load)
    try:
        await loader.load_many([1, {}, 2])
    except TypeError:
        await turns(10)
    return not batches.calls


@LOADING.append
async def clear_during_load(lib: Library) -> bool:
    """`clear` during a load: later callers load afresh, and the old result is not cached."""
    batches = Batches(gated=True)
    loader = lib.make(batches.load)
    first = asyncio.ensure_future(_await(loader.load(1)))
    await turns(10)
    loader.clear(1)
    second = asyncio.ensure_future(_await(loader.load(1)))
    await turns(10)
    batches.gate.set()
    return (await first, await second, await loader.load(1)) == ((1, 1), (1, 2), (1, 2))


@LOADING.append
async def prime_during_load(lib: Library) -> bool:
    """A value primed during a load is not overwritten by its result."""
    batches = Batches(gated=True)
    loader = lib.make(batches.load)
    first = asyncio.ensure_future(_await(loader.load(1)))
    await turns(10)
    lib.prime(loader, 1, "primed")
    batches.gate.set()
    await first
    return await loader.load(1) == "primed"


@LOADING.append
async def merge_uncached(lib: Library) -> bool:
    """With `cache=False`, callers of one key at one time still share one key of the batch."""
    batches = Batches()
    loader = lib.make(batches.load, cache=False)
    await asyncio.gather(loader.load(1), loader.load(1))
    return batches.calls == [[1]]


@LOADING.append
async def errors_not_cached(lib: Library) -> bool:
    """A key that failed once is loaded again."""
    calls = 0

    async def load(keys: Any) -> list[Any]:
        nonlocal calls
        calls += 1
        return [LookupError(key) if calls == 1 else key for key in keys]

    loader = lib.make(load)
    await asyncio.gather(_await(loader.load(1)), return_exceptions=True)
    return await loader.load(1) == 1


@LOADING.append
async def plain_cache_map(lib: Library) -> bool:
    """`cache_map` takes a mapping and holds plain values."""
    kept: dict[Any, Any] = {}
    await lib.make(Batches().load, cache_map=kept).load(1)
    return kept == {1: (1, 1)}


@LOADING.append
async def dict_keys(lib: Library) -> bool:
    """Keys that are dicts work, with a function that makes a cache key."""
    loader = lib.make(Batches().load, cache_key_fn=lambda key: key["id"])
    return await loader.load({"id": 7}) == ({"id": 7}, 1)


@LOADING.append
async def contexts(lib: Library) -> bool:
    """Each batch sees the context variables of its own first caller, the second chunk too."""
    variable = contextvars.ContextVar("variable", default="")
    seen: list[str] = []

    async def load(keys: Any) -> list[Any]:
        seen.append(variable.get())
        return list(keys)

    loader = lib.make(load, max_batch_size=1)

    async def caller(name: str) -> None:
        variable.set(name)
        await loader.load(name)

    await asyncio.gather(caller("a"), caller("b"))
    return sorted(seen) == ["a", "b"]


@LOADING.append
async def own_traceback(lib: Library) -> bool:
    """Callers of a failed batch see their own traceback, not one another's."""

    async def load(keys: Any) -> list[Any]:
        raise LookupError

    loader = lib.make(load)

    async def ann() -> Any:
        return await loader.load(1)

    async def bob() -> Any:
        return await loader.load(2)

    errors = await asyncio.gather(ann(), bob(), return_exceptions=True)
    frames = [{frame.name for frame in traceback.extract_tb(error.__traceback__)} for error in errors]
    return "bob" not in frames[0] and "ann" not in frames[1]


@LOADING.append
def several_loops(lib: Library) -> Any:
    """One loader, made at import time, serves several `asyncio.run`."""

    async def load(keys: Any) -> list[Any]:
        return list(keys)

    loader = lib.make(load, cache=False)

    async def use(key: int) -> Any:
        return await asyncio.wait_for(_await(loader.load(key)), 1)

    return [asyncio.run(use(key)) for key in (1, 2)] == [1, 2]


@LOADING.append
async def mapping_result(lib: Library) -> bool:
    """A batch function may return a mapping."""

    async def load(keys: Any) -> dict[Any, Any]:
        return {key: key * 10 for key in reversed(keys)}

    loader = lib.make(load)
    return await asyncio.gather(loader.load(1), loader.load(2)) == [10, 20]


@LOADING.append
async def end(lib: Library) -> bool:
    """`async with` ends the loader: nothing keeps running."""
    batches = Batches(gated=True)
    async with lib.make(batches.load) as loader:
        future = loader.load(1)
        await turns(10)
    return future.cancelled()


async def _await(awaitable: Any) -> Any:
    return await awaitable
