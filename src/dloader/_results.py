"""What a batch function returned, checked and matched to the keys."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence, Set as AbstractSet, ValuesView
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar, cast

from dloader._failure import own
from dloader._shorten import shorten
from dloader.errors import BatchAbortedError, BatchResultError, MissingKeyError

if TYPE_CHECKING:
    from dloader._batch import Batch
    from dloader._loader import DataLoader

__all__ = ("MISSING", "align", "failures")

K = TypeVar("K")
V = TypeVar("V")


class _Missing:
    """The type of `MISSING`: stands where there is no value, as ``None`` may be one."""

    def __repr__(self) -> str:
        return "..."


MISSING = _Missing()


def align(loader: DataLoader[K, V], batch: Batch[K, V], returned: object) -> Sequence[V]:
    """Put what the batch function returned in the order of the keys; exceptions stand among the values.

    Raises:
        BatchResultError: It is not a sequence, iterator or mapping, or has the wrong length.
    """
    count = len(batch.entries)
    if isinstance(returned, Mapping):
        mapping = cast(Mapping[Any, V], returned)
        pairs = zip(batch.keys, batch.entries, strict=True)
        return [_of_key(loader, mapping, key, cache_key) for key, cache_key in pairs]
    return _checked(loader, returned, count)


def failures(
    loader: DataLoader[K, V], keys: Iterable[K], cache_keys: Iterable[Hashable], values: Iterable[object]
) -> dict[Hashable, Exception]:
    """The exceptions among the values of a batch, by cache key."""
    return {
        cache_key: _explain(loader, key, value)
        for cache_key, key, value in zip(cache_keys, keys, values, strict=True)
        if isinstance(value, BaseException)
    }


def _checked(loader: DataLoader[Any, V], returned: object, count: int) -> Sequence[V]:
    kind = type(returned).__name__
    if isinstance(returned, Iterator):
        returned = list(islice(cast(Iterator[V], returned), count + 1))  # it may be endless
    elif isinstance(returned, ValuesView):
        returned = list(cast(ValuesView[V], returned))
    if not _is_sequence(returned):
        raise BatchResultError(
            f"Wrong number of results returned by load_fn of loader {loader.name!r}: expected a list of {count} "
            f"results in the order of the keys, or a mapping from key to result, got {_describe(returned)}"
        )
    values = list(cast(Sequence[V], returned))  # it may not be what it says
    if len(values) != count:
        raise BatchResultError(
            f"Wrong number of results returned by load_fn of loader {loader.name!r}: "
            f"{len(values)} results ({kind}) for {count} keys"
        )
    return values


def _is_sequence(returned: object) -> bool:
    if isinstance(returned, (str, bytes, bytearray, memoryview, AbstractSet)):
        return False
    # numpy arrays, SQLAlchemy results and the like are sequences without saying so
    return isinstance(returned, Sequence) or (
        hasattr(returned, "__len__") and hasattr(returned, "__getitem__")
    )


def _describe(returned: object) -> str:
    kind = type(returned).__name__
    return kind if returned is None else f"{kind}: {shorten(returned)}"


def _of_key(loader: DataLoader[K, V], mapping: Mapping[Any, V], key: K, cache_key: Hashable) -> V:
    try:
        try:
            return mapping[key if isinstance(key, Hashable) else cache_key]
        except TypeError:  # it is hashable by its type, but holds something that is not
            return mapping[cache_key]
    except KeyError:
        pass
    default = loader.default
    if default is not MISSING:
        return cast(V, default)
    missing = MissingKeyError(
        f"the batch function of loader {loader.name!r} returned no value for key {shorten(key)}; "
        f"pass default= to give one to keys that are missing from the mapping"
    )
    return cast(V, missing)


def _explain(loader: DataLoader[Any, Any], key: object, error: BaseException) -> Exception:
    if not isinstance(error, Exception):
        wrapped = BatchAbortedError(
            f"the batch function of loader {loader.name!r} gave {error!r} for key {shorten(key)}"
        )
        wrapped.__cause__ = error
        return wrapped
    return own(
        error,
        "" if isinstance(error, MissingKeyError) else f"for key {shorten(key)} of loader {loader.name!r}",
    )
