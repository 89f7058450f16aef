"""What each caller sees of one failure."""

from __future__ import annotations

import copy
from contextlib import suppress
from types import MemberDescriptorType
from typing import Any, cast

from dloader.errors import DloaderError

__all__ = ("add_note_once", "copied", "without_traceback")

_PLAIN_SIZES = {Exception.__basicsize__, DloaderError.__basicsize__}
"""Of exception objects with no fields of their own in C, without and with room for weak references."""
_POINTER = tuple.__itemsize__
"""The size of one more field."""


# What Python itself keeps in an exception, read and written past whatever its class makes of attributes.
_FIELDS = vars(BaseException)
_args_of = _FIELDS["args"].__get__
_set_args = _FIELDS["args"].__set__
_dict_of = _FIELDS["__dict__"].__get__
_traceback_of = _FIELDS["__traceback__"].__get__
_LINKS = [
    (_FIELDS[name].__get__, _FIELDS[name].__set__)
    for name in ("__cause__", "__context__", "__suppress_context__")
]


def add_note_once(error: BaseException, text: str) -> None:
    """Add `text` to the error's notes, unless it is there: one object may fail again and again."""
    if text not in _notes_of(error):
        with suppress(
            Exception
        ):  # a class that takes no notes: an error without them is better than another one
            error.add_note(text)


def copied(error: Exception, text: str = "") -> Exception:
    """Make the exception that one caller gets, in a form that a future accepts, with `text` as a note.

    The original stays as the batch function gave it: it may be given again, for another key or years later,
    and Python writes every ``raise`` into the object. What cannot be copied faithfully is returned as it is. Nothing
    that the object or its class does can make this fail: somebody waits for the answer.
    """
    kind = type(error)
    if issubclass(kind, StopIteration):  # futures refuse it, as it would end a generator
        stopped = RuntimeError("the batch function gave StopIteration as the result of a key")
        stopped.__cause__ = error
        return stopped
    try:
        fields = () if kind.__basicsize__ in _PLAIN_SIZES else _fields_of(kind)
        is_plain = kind.__basicsize__ - len(fields) * _POINTER in _PLAIN_SIZES
        twin = _bare_twin(error) if is_plain else _copy(error)
        if twin is error:
            return error
        for field in fields:
            with suppress(AttributeError):  # it was never set
                field.__set__(twin, field.__get__(error))
        _dict_of(twin).update(_dict_of(error))
        for get, set_ in _LINKS:
            set_(twin, get(error))
        _dict_of(twin)["__notes__"] = [*_notes_of(error), *((text,) if text else ())]
        BaseException.with_traceback(twin, _traceback_of(error))
    except BaseException:  # an exception class with a constructor of its own, say: sharing beats failing
        return error
    else:
        return twin


def _notes_of(error: BaseException) -> list[str]:
    notes: object = _dict_of(error).get("__notes__")
    return cast(list[str], notes) if type(notes) is list else []


def without_traceback(error: Exception) -> Exception:
    """A copy to keep: a traceback would keep the frames of the failed batch, and the rows in them."""
    twin = copied(error)
    if twin is not error:
        BaseException.with_traceback(twin, None)
    return twin


def _fields_of(kind: type[Exception]) -> list[Any]:
    """What exceptions of a class keep elsewhere than in ``args`` and ``__dict__``, as far as it can be copied."""
    bases = [base for base in kind.__mro__ if "__slots__" in vars(base) or base is AttributeError]
    return [
        field for base in bases for field in vars(base).values() if isinstance(field, MemberDescriptorType)
    ]


def _bare_twin(error: Exception) -> Exception:
    """Copy without running the constructor, which may take anything."""
    kind = type(error)
    native = cast(type[Exception], next(base for base in kind.__mro__ if base.__module__ == "builtins"))
    twin = native.__new__(kind)
    _set_args(twin, _args_of(error))
    return twin


def _copy(error: Exception) -> Exception:
    """Copy as the class itself can: OSError, UnicodeDecodeError, ExceptionGroup, those of C extensions."""
    twin = copy.copy(error)
    if type(twin) is not type(error) or _args_of(twin) != _args_of(error):
        raise TypeError("the copy lacks something")
    return twin
