"""What each caller sees of one failure."""

from __future__ import annotations

import copy

__all__ = ("Handout", "note", "twin")


def twin(error: Exception) -> Exception:
    """Make a second exception like `error`, so that two callers do not share one traceback.

    Python writes every ``raise`` into the exception object itself. An exception that cannot be
    copied faithfully is returned as it is.
    """
    try:
        other = _bare_copy(error)
    except Exception:  # an exception class with a constructor of its own: sharing beats failing
        return error
    if type(other) is not type(error) or other.args != error.args:
        return error
    other.__dict__.update(error.__dict__)
    if notes := getattr(error, "__notes__", None):
        other.__notes__ = list(notes)
    other.__cause__, other.__context__ = error.__cause__, error.__context__
    other.__suppress_context__ = error.__suppress_context__
    return other.with_traceback(error.__traceback__)


def _bare_copy(error: Exception) -> Exception:
    kind = type(error)
    # Most exceptions are written in Python and keep everything in args and __dict__: no constructor needs to
    # run. The others (OSError, UnicodeDecodeError, ExceptionGroup...) know how to copy themselves.
    native = next(base for base in kind.__mro__ if base.__module__ == "builtins")
    if native.__basicsize__ == Exception.__basicsize__ and native.__new__ is Exception.__new__:
        return kind.__new__(kind, *error.args)
    return copy.copy(error)


def note(error: BaseException, text: str) -> None:
    """Add `text` to the error's notes, unless it is there: one object may fail again and again."""
    if text not in getattr(error, "__notes__", ()):
        error.add_note(text)


class Handout:
    """Hands an exception to its first taker and twins to all others; lives while one batch is settled."""

    __slots__ = ("_given",)

    def __init__(self) -> None:
        self._given: set[int] = set()

    def take(self, error: Exception) -> Exception:
        """Return `error` or a twin of it, in a form that a future accepts."""
        if isinstance(error, StopIteration):  # futures refuse it, as it would end a generator
            stopped = RuntimeError("the batch function gave StopIteration as the result of a key")
            stopped.__cause__ = error
            return stopped
        if id(error) in self._given:
            return twin(error)
        self._given.add(id(error))
        return error
