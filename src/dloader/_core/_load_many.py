"""One future for many keys, which may be cached, under way, or spread over several batches."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, Literal, TypeAlias, final

from dloader._core._batch import Batch
from dloader._core._cache import Cache
from dloader._core._error_copies import copied
from dloader._core._pending import Pending
from dloader._core._types import K, V, kinds_of
from dloader._core._waiters import fail_one, mark_retrieved

__all__ = ("LoadMany", "ask_many")

Source: TypeAlias = Literal["cache", "pending", "batch"]


def ask_many(
    pending: Pending[K, V], cache: Cache, keys: Iterable[K], errors_in_place: bool = False
) -> LoadMany[V]:
    """What ``DataLoader.load_many`` does once it is known that the loader may load here.

    Args:
        pending: The keys that are waited for, and where new ones go.
        cache: Where some may be.
        keys: The keys, which may repeat.
        errors_in_place: Whether errors stand in the list, instead of the first being raised.
    """
    cache_keys, unique = pending.keys.unique(keys, bool(pending.hooks.of_loads))
    if len(unique) < len(cache_keys):
        pending.keys.note_duplicates(len(cache_keys) - len(unique))
    many: LoadMany[V] = LoadMany(pending.new_future(), cache_keys, errors_in_place)
    cached, error = _take_cached(many, unique, cache)
    if error is not None:
        many.future.set_exception(copied(error))
        mark_retrieved(many.future)
        return many
    try:
        joined = _join(many, unique, pending)
        if unique:
            _add(many, unique, pending)
    except BaseException:  # it would wait for itself, or Ctrl-C: nobody is given the future
        many.future.cancel()
        raise
    if not (many.batches or many.future.done()):
        many.finish()
    if pending.hooks.of_loads:  # last: what they do finds everything in its place
        _tell(pending, {"cache": cached, "pending": joined, "batch": list(unique.values())})
    return many


def _take_cached(many: LoadMany[V], unique: dict[Any, K], cache: Cache) -> tuple[list[K], Exception | None]:
    """Move what is cached from `unique` to the set; return these keys, and the error it must fail with, if any."""
    found = cache.get_many(unique)
    cache.count_hits(len(found))
    for kind in kinds_of(found.values()):
        if issubclass(kind, BaseException):
            errors = [value for value in found.values() if issubclass(type(value), BaseException)]
            if not many.errors_in_place:
                return [], errors[0]
            found = {
                key: copied(value) if issubclass(type(value), BaseException) else value
                for key, value in found.items()
            }
            break
    many.found.update(found)
    return [unique.pop(cache_key) for cache_key in found], None


def _join(many: LoadMany[V], unique: dict[Any, K], pending: Pending[K, V]) -> list[K]:
    """Move what others wait for already from `unique` to the set, one part per batch; return these keys."""
    keys: list[K] = []
    if pending.open is None and not pending.under_way:
        return keys
    parts: dict[Batch[K, V], _Part[V]] = {}
    found = ((cache_key, pending.find(cache_key)) for cache_key in unique)
    for cache_key, batch in [(cache_key, batch) for cache_key, batch in found if batch is not None]:
        if batch not in parts:
            parts[batch] = many.part(batch, [], 0)
            batch.join_part(parts[batch])
        pending.join(batch, cache_key, parts[batch])
        parts[batch].cache_keys.append(cache_key)
        keys.append(unique.pop(cache_key))
    return keys


def _add(many: LoadMany[V], unique: dict[Any, K], pending: Pending[K, V]) -> None:
    """Add keys that nobody waits for yet, in as many batches as it takes."""
    cache_keys, limit, position = list(unique), pending.limit, 0
    while position < len(cache_keys):
        batch = pending.batch_for(cache_keys[position], many.future)
        end = len(cache_keys) if limit is None else position + limit - batch.size
        some = cache_keys if limit is None else cache_keys[position:end]
        part = many.part(batch, some, len(some))
        pending.add_part(batch, part, unique if limit is None else {key: unique[key] for key in some})
        position = end


def _tell(pending: Pending[K, Any], keys: Mapping[Source, Sequence[K]]) -> None:
    for source, some in keys.items():
        for key in some:
            pending.hooks.load_requested(key, source)


@final
class LoadMany(Generic[V]):
    """One ``load_many``: one future for the whole set, however many keys and batches it takes."""

    __slots__ = ("_failed", "_unsettled", "batches", "cache_keys", "errors_in_place", "found", "future")

    def __init__(self, future: Future[list[V]], cache_keys: list[Any], errors_in_place: bool) -> None:
        self.future = future
        self.cache_keys = cache_keys
        """In the order of the result; they may repeat."""
        self.errors_in_place = errors_in_place
        self.found: dict[Any, Any] = {}
        self.batches: list[Batch[Any, V]] = []
        """Those that are waited for. They have the parts, until they end; the set refers to none of these itself."""
        self._unsettled = 0
        """How many of the parts are still waited for."""
        self._failed = cache_keys
        """Among which keys the first that failed is."""

    def part(self, batch: Batch[Any, V], cache_keys: list[Any], added: int) -> _Part[V]:
        """Wait for one more batch."""
        self.batches.append(batch)
        self._unsettled += 1
        return _Part(self, cache_keys, added)

    @property
    def has_one_part_left(self) -> bool:
        """Whether all that is wanted comes from one batch."""
        return self._unsettled == 1 and not self.found

    def part_done(self) -> None:
        """Note that all keys of a part have been found; the last one finishes the set."""
        self._unsettled -= 1
        if not self._unsettled:
            self.finish()

    def finish(self) -> None:
        """Put the results in the order of the keys, which may repeat."""
        self.end(list(map(self.found.__getitem__, self.cache_keys)))

    def end(self, values: list[V]) -> None:
        """Complete the future, which is not done yet."""
        self.future.set_result(values)
        self.batches, self.found = [], {}  # they need not live as long as the set

    def fail(self, error: Exception, cache_keys: list[Any]) -> bool:
        """Fail the set, as one of these keys failed; return whether nobody awaits it yet."""
        self._failed = cache_keys
        return fail_one(self.future, error)

    def first_failed_index(self) -> int:
        """The place of the key that the set failed for."""
        failed = set(self._failed)
        return next(i for i, key in enumerate(self.cache_keys) if key in failed and key not in self.found)


@final
class _Part(Generic[V]):
    """The keys that one ``load_many`` wants from one batch; lives until that batch has ended."""

    __slots__ = ("added", "cache_keys", "many")

    def __init__(self, many: LoadMany[V], cache_keys: list[Any], added: int) -> None:
        self.many = many
        self.cache_keys = cache_keys
        self.added = added
        """For how many of them it was the first to wait; fewer once it has left, and the batch forgot some."""

    @property
    def future(self) -> Future[list[V]]:
        """That of the whole set."""
        return self.many.future

    def set_result(self, value: V) -> None:
        """Do nothing: a part takes all of its values at once."""

    def deliver(self, values: Sequence[V], by_key: Callable[[], Mapping[Any, V]]) -> None:
        """Take this part's values out of those of the whole batch."""
        many = self.many
        if many.future.done():
            return
        if self.added == len(values) == len(many.cache_keys):
            many.end(
                list(values)
            )  # one batch for the whole set, with its keys in the same order: nothing to look up
            return
        found = by_key()
        if many.has_one_part_left:
            many.end([found[cache_key] for cache_key in many.cache_keys])
            return
        many.found.update(zip(self.cache_keys, map(found.__getitem__, self.cache_keys), strict=True))
        many.part_done()

    def deliver_mixed(self, results: Mapping[Any, V], errors: Mapping[Any, Exception]) -> Exception | None:
        """The same where some keys of the batch failed: one fails the set, or they stand in their places.

        Returns:
            The error that failed the set, if nobody awaits it yet.
        """
        many = self.many
        if many.future.done():
            return None
        for cache_key in self.cache_keys:
            error = errors.get(cache_key)
            if error is None:
                many.found[cache_key] = results[cache_key]
            elif many.errors_in_place:
                many.found[cache_key] = copied(error)
            else:
                return error if many.fail(error, self.cache_keys) else None
        many.part_done()
        return None

    def fail(self, error: Exception) -> bool:
        """Fail every key of this part, as its batch failed as a whole.

        Returns:
            Whether the set failed, and nobody awaits it yet.
        """
        many = self.many
        if many.future.done():
            return False
        if many.errors_in_place:
            many.found.update(dict.fromkeys(self.cache_keys, copied(error)))
            many.part_done()
            return False
        return many.fail(error, self.cache_keys)
