"""One call of the batch function in one task; then the batch ends."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Hashable
from inspect import isawaitable
from types import CoroutineType
from typing import Any, Protocol, final

from dloader._core._batch import RUNNING, Batch
from dloader._core._cache import Cache
from dloader._core._deliver import ABORTED, LOST, Failure, FetchingLoader, Results, explained
from dloader._core._hooks import Hooks
from dloader._core._results import in_order
from dloader._core._wait_graph import Place, current_place
from dloader.errors import BatchResultError
from dloader.instruments import BatchInfo

__all__ = ("Fetch", "not_awaitable")

AnyBatch = Batch[Any, Any]


class Store(Protocol):
    """What has values that need not be loaded: `SecondLevel`."""

    @property
    def hits(self) -> int:
        """How many keys it has answered."""
        ...

    def clear(self, key: Any, cache_key: Hashable, /) -> None:
        """Delete a key."""
        ...

    def clear_all(self) -> None:
        """Delete all keys of loaders like this one."""
        ...

    async def aclose(self) -> None:
        """Finish what is being written and deleted."""
        ...

    def load(
        self, batch: AnyBatch, keys: list[Any], function: Callable[[list[Any]], Any], /
    ) -> Awaitable[Any]:
        """Call the batch function for the keys that are not there; return as it does."""
        ...


@final
class OwnBatchFunction:
    """What a loader's ``load_fn`` is where none was passed: its own method, which must not keep it alive."""

    def __get__(self, loader: Any, _: type) -> Any:
        return self if loader is None else loader.batch_load_fn


@final
class Fetch(Results):
    """Calls the batch function of one loader, and counts the calls; lives as long as the loader.

    It extends the `Results` of its calls, and does not hold them: an object less, of eight that a loader is made of.
    """

    __slots__ = ("batches", "errors", "hooks", "keys", "store")

    def __init__(self, loader: Callable[[], FetchingLoader], cache: Cache, hooks: Hooks) -> None:
        self.loader = loader
        self.cache = cache
        self.hooks = hooks
        self.batches = self.keys = self.errors = 0
        self.store: Store | None = None
        """Where values are looked for before the batch function is called: see `_second_level`."""

    def look_first_in(self, store: Store) -> None:
        """Look for values there, and call the batch function for the others."""
        self.store = store

    async def run(  # noqa: C901 - all the ways out of one call, in their order
        self, batch: AnyBatch, place: Place, release: Callable[[AnyBatch], None]
    ) -> Exception | None:
        """Call the batch function for a batch and end it, in a task of its own.

        Args:
            batch: A batch that has closed.
            place: What it holds under ``max_concurrency``.
            release: Called with the batch at the very end: its place is free.

        Returns:
            What the batch function raised after everybody had left, which nobody else will see.
        """
        # The class of what was raised is asked for by type(): an exception may answer anything when it is asked itself.
        loader, hooks = self.loader(), self.hooks
        info: BatchInfo[Any, Any] | None = None
        raised: BaseException | None = None
        keys: list[Any] | None = None
        try:
            keys = batch.begin()
            if keys is None:  # nobody waits any more
                batch.end(LOST)
                return None
            self.batches += 1
            self.keys += len(keys)
            if hooks.records:
                hooks.record_started(batch)
            info = hooks.batch_started(batch) if hooks.of_batches else None
            current_place.set(place)
            store = self.store
            returned: Any = loader.load_fn(keys) if store is None else store.load(batch, keys, loader.load_fn)
            # isawaitable takes three times as long
            if type(returned) is not CoroutineType and not isawaitable(returned):
                raise not_awaitable(loader.name, returned)
            values: Any = await returned  # pyright: ignore[reportUnknownVariableType]
            if batch.state is RUNNING:
                # As nearly every batch function returns: `in_order` is for the others.
                if type(values) is not list or len(values) != len(batch.entries):  # pyright: ignore[reportUnknownArgumentType]
                    values = in_order(loader.name, loader.default, batch.keys, batch.result_keys, values)  # pyright: ignore[reportUnknownArgumentType]
                batch.end(self, values)  # pyright: ignore[reportUnknownArgumentType]
        except BaseException as error:
            raised = error
            if issubclass(type(error), (KeyboardInterrupt, SystemExit, CancelledError)):
                self._fail(batch, loader, error)
                raise
            return self._fail(batch, loader, error)
        finally:
            if batch.entries:  # it has not ended: what ends batches raised itself
                batch.end(ABORTED)
            if raised is not None and not issubclass(type(raised), CancelledError):
                self.errors += 1
            try:
                if hooks.of_batches and keys is not None:
                    hooks.batch_finished(info or hooks.info(batch), raised)
            finally:
                release(batch)
                # Its traceback refers to this frame: leave nothing that only the garbage collector can free.
                raised = None
        return None

    def _fail(self, batch: AnyBatch, loader: FetchingLoader, raised: BaseException) -> Exception | None:
        """Fail everybody who waits; if nobody does, tell the event loop, and return the error."""
        if batch.loop.is_closed():  # a task that was never finished is being freed: nobody can be told
            batch.end(LOST)
            return None
        error = explained(batch, raised)
        cache = self.cache if loader.cache_errors else None
        if batch.end(Failure(raised, error, cache)) or issubclass(type(raised), CancelledError):
            return None
        if not loader.closed:  # else `shutdown` returns it
            name = batch.loader_name
            message = f"Batch {batch.number} of loader {name!r} failed after all its callers had left"
            batch.loop.call_exception_handler({"message": message, "exception": error})
        return error


def not_awaitable(name: str, returned: object) -> BatchResultError:
    """What is wrong with a batch function that is not async."""
    return BatchResultError(
        f"the batch function of loader {name!r} returned {type(returned).__name__} instead of an "
        f"awaitable: declare it with `async def`"
    )
