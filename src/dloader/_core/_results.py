"""What a batch function returned, checked and matched to the keys."""

from __future__ import annotations

from collections.abc import (
    Collection,
    Hashable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
    Set as AbstractSet,
    ValuesView,
)
from copy import deepcopy
from itertools import islice
from types import CoroutineType
from typing import Any, cast

from dloader._core._error_copies import copied
from dloader._core._types import MISSING, TO_AWAIT
from dloader._text import shorten
from dloader.errors import BatchAbortedError, BatchResultError, MissingKeyError

__all__ = ("WRONG", "errors_among", "in_order")

WRONG = (BaseException, *TO_AWAIT)
"""What a result may be that is no value."""


def in_order(
    name: str, default: object, keys: Iterable[object], cache_keys: Collection[Hashable], returned: object
) -> Sequence[Any]:
    """Put what the batch function returned in the order of the keys; exceptions stand among the values.

    Args:
        name: The loader's, for messages.
        default: The value of keys that a mapping lacks, or MISSING.
        keys: As they were given to the batch function.
        cache_keys: What stands for them in the cache.
        returned: What the batch function returned.

    Raises:
        BatchResultError: It is not a sequence, iterator or mapping, or has the wrong length.
    """
    if isinstance(returned, Mapping):
        mapping = cast(Mapping[object, Any], returned)
        pairs = zip(keys, cache_keys, strict=True)
        return [_of_key(name, default, mapping, key, cache_key) for key, cache_key in pairs]
    return _checked(name, returned, len(cache_keys))


def errors_among(name: str, keys: Iterable[object], values: Iterable[object]) -> list[Exception | None]:
    """For each value of a batch, the exception that those who wait for it are given, or None."""
    return [
        _explained(name, key, value) if issubclass(type(value), WRONG) else None
        for key, value in zip(keys, values, strict=True)
    ]


def _checked(name: str, returned: object, count: int) -> Sequence[Any]:
    kind = type(returned).__name__
    if isinstance(returned, Iterator):
        returned = list(islice(cast(Iterator[object], returned), count + 1))  # it may be endless
    elif isinstance(returned, ValuesView):
        returned = list(cast(ValuesView[object], returned))
    if not _is_sequence(returned):
        raise BatchResultError(
            f"Wrong number of results returned by load_fn of loader {name!r}: expected a list of {count} "
            f"results in the order of the keys, or a mapping from key to result, got {_described(returned)}"
        )
    values = list(cast(Sequence[Any], returned))  # it may not be what it says
    if len(values) != count:
        raise BatchResultError(
            f"Wrong number of results returned by load_fn of loader {name!r}: "
            f"{len(values)} results ({kind}) for {count} keys"
        )
    return values


def _is_sequence(returned: object) -> bool:
    if isinstance(returned, (str, bytes, bytearray, memoryview, AbstractSet)):
        return False
    if hasattr(returned, "keys") and not isinstance(returned, Sequence):
        return False  # a pandas frame, say: as a sequence it would give its keys for the values
    # numpy arrays, SQLAlchemy results and the like are sequences without saying so
    return isinstance(returned, Sequence) or (
        hasattr(returned, "__len__") and hasattr(returned, "__getitem__")
    )


def _described(returned: object) -> str:
    kind = type(returned).__name__
    if hasattr(returned, "keys"):
        return f"{kind}, which has keys and is no Mapping: return dict(...) or list(...) of it"
    return kind if returned is None else f"{kind}: {shorten(returned)}"


def _of_key(
    name: str, default: object, mapping: Mapping[object, Any], key: object, cache_key: Hashable
) -> Any:
    try:
        try:
            return mapping[key if isinstance(key, Hashable) else cache_key]
        except TypeError:  # it is hashable by its type, but holds something that is not
            return mapping[cache_key]
    except KeyError:
        pass
    if default is not MISSING:
        # What one caller adds to a list must not reach the callers of other keys.
        return deepcopy(default) if issubclass(type(default), (list, dict, set)) else default
    return MissingKeyError(
        f"the batch function of loader {name!r} returned no value for key {shorten(key)}; "
        f"pass default=, or write default = ... in a loader class, for keys that are missing from the mapping"
    )


def _explained(name: str, key: object, given: object) -> Exception:
    if issubclass(type(given), TO_AWAIT):
        text = shorten(given)
        if type(given) is CoroutineType:
            given.close()
        return BatchResultError(
            f"the batch function of loader {name!r} gave {text} for key {shorten(key)}, which nobody awaits: "
            f"return await asyncio.gather(...) of what there is to await"
        )
    error = cast(BaseException, given)
    if not issubclass(type(error), Exception):
        wrapped = BatchAbortedError(
            f"the batch function of loader {name!r} gave {shorten(error)} for key {shorten(key)}"
        )
        wrapped.__cause__ = error
        return wrapped
    text = "" if issubclass(type(error), MissingKeyError) else f"for key {shorten(key)} of loader {name!r}"
    return copied(cast(Exception, error), text)
