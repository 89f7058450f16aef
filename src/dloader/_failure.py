"""What each caller sees of one failure."""

from __future__ import annotations

import copy
from typing import cast

from dloader.errors import DloaderError

__all__ = ("note", "own")

_PLAIN_SIZES = {Exception.__basicsize__, DloaderError.__basicsize__}
"""Of exception objects with no fields of their own in C, without and with room for weak references."""


def note(error: BaseException, text: str) -> None:
    """Add `text` to the error's notes, unless it is there: one object may fail again and again."""
    if text not in getattr(error, "__notes__", ()):
        error.add_note(text)


def own(error: Exception, text: str = "") -> Exception:
    """Make the exception that one caller gets, in a form that a future accepts, with `text` as a note.

    The original stays as the batch function gave it: it may be given again, for another key or years later,
    and Python writes every ``raise`` into the object. What cannot be copied faithfully is returned as it is.
    """
    if isinstance(error, StopIteration):  # futures refuse it, as it would end a generator
        stopped = RuntimeError("the batch function gave StopIteration as the result of a key")
        stopped.__cause__ = error
        return stopped
    try:
        twin = _bare_twin(error) if _is_plain(type(error)) else _copy(error)
    except Exception:  # an exception class with a constructor of its own: sharing beats failing
        return error
    twin.__dict__.update(error.__dict__)
    twin.__cause__, twin.__context__ = error.__cause__, error.__context__
    twin.__suppress_context__ = error.__suppress_context__
    twin.__notes__ = [*getattr(error, "__notes__", ()), *((text,) if text else ())]
    return twin.with_traceback(error.__traceback__)


def _is_plain(kind: type[Exception]) -> bool:
    """Whether exceptions of this class keep everything in ``args`` and ``__dict__``, as nearly all do."""
    return kind.__basicsize__ in _PLAIN_SIZES and not _has_slots(kind)


def _has_slots(kind: type[Exception]) -> bool:
    return any(vars(base).get("__slots__") for base in kind.__mro__)


def _bare_twin(error: Exception) -> Exception:
    """Copy without running the constructor, which may take anything."""
    kind = type(error)
    native = cast(type[Exception], next(base for base in kind.__mro__ if base.__module__ == "builtins"))
    twin = native.__new__(kind)
    twin.args = error.args
    return twin


def _copy(error: Exception) -> Exception:
    """Copy as the class itself can: OSError, UnicodeDecodeError, ExceptionGroup, those of C extensions."""
    twin = copy.copy(error)
    if type(twin) is not type(error) or twin.args != error.args or _has_slots(type(error)):
        raise TypeError("the copy lacks something")
    return twin
