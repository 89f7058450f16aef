"""What dloader itself raises: one base class, flat below it.

Errors of your own code (a batch function, a ``resolve_`` method, a validator) are never wrapped:
they reach the caller with their own type and gain a note that says where they happened.
"""

from __future__ import annotations

from collections.abc import Sequence

from dloader._text import shorten

__all__ = (
    "AmbiguousKeyError",
    "BatchAbortedError",
    "BatchResultError",
    "CursorError",
    "DloaderError",
    "EndlessTreeError",
    "KeyTypeError",
    "LoaderClosedError",
    "LoaderParamError",
    "MissingKeyError",
    "OptionError",
    "PlanError",
    "RecursiveLoadError",
    "RepeatedLoadError",
    "WrongLoopError",
)


class DloaderError(Exception):
    """The base of every error that dloader raises itself."""

    # KeyError would print the repr of its message; every error here prints the message.
    __str__ = Exception.__str__


class OptionError(DloaderError, TypeError, ValueError):
    """A loader, policy or resolver was given an option that it cannot work with. Nothing was created."""


class CursorError(OptionError):
    """A cursor is none of the page that is asked for: of another one, cut, or altered. Nothing was requested."""


class KeyTypeError(DloaderError, TypeError):
    """A key is ``None`` or unhashable and the loader has no ``cache_key_fn``, or its column cannot hold it.

    Nothing was requested.
    """


class MissingKeyError(DloaderError, KeyError):
    """The batch function returned a mapping without this key, and the loader has no ``default``."""


class AmbiguousKeyError(DloaderError, LookupError):
    """Several rows have a key of which there can be one at most, as ``ByKey`` takes it. The message has the cure."""


class BatchResultError(DloaderError, ValueError, TypeError):
    """The batch function returned something other than one result per key.

    It is both a ``ValueError`` and a ``TypeError``, as the older libraries raise one or the other.
    """


class BatchAbortedError(DloaderError):
    """The batch function was cancelled from outside, or left by a ``BaseException`` (its ``__cause__``).

    The keys may or may not have been read. The loader works on: loading again is safe.
    """


class LoaderClosedError(DloaderError, RuntimeError):
    """The loader was shut down; it takes no more loads."""


class WrongLoopError(DloaderError, RuntimeError):
    """A load came from outside an event loop, or from a loop other than the one with open batches."""


class RecursiveLoadError(DloaderError, RuntimeError):
    """A batch function asked for a key of a batch that waits for this very batch function. It would hang."""

    def __init__(self, name: str, key: object) -> None:
        super().__init__(
            f"a batch function asked loader {name!r} for key {shorten(key)} while that key's batch waits for it: "
            f"the load would never end. Keys of one batch wait for each other: let each have its own "
            f"(max_batch_size=1), or load what a key needs inside the batch function"
        )


class RepeatedLoadError(DloaderError):
    """Under ``dloader.trace.record(strict=True)`` a loader is asked for one key after another, which makes no batches.

    The message has the loader, the place and the cure. What was asked for before has been loaded.
    """


class EndlessTreeError(DloaderError, RecursionError):
    """A tree went deeper than any real one: rows that lead back to each other are loaded again and again.

    What was resolved until then is in the tree.
    """


class LoaderParamError(DloaderError, TypeError):
    """A loader lacks a parameter that it really needs, or a registry was given one that does not fit."""


class PlanError(DloaderError, TypeError):
    """Models and the resolver's arguments do not fit together.

    All mistakes of one model tree are reported at once, before anything is loaded.
    ``problems`` holds them one by one.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        head = "1 problem" if count == 1 else f"{count} problems"
        super().__init__("\n  - ".join((f"{head} found before resolving:", *self.problems)))
