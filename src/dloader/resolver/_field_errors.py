"""What failed while the rest of a tree was filled: one record for each place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dloader import LoaderParamError, OptionError, PlanError
from dloader._text import shorten

__all__ = ("FieldError", "check_errors", "ends")


@dataclass(frozen=True, slots=True, repr=False)
class FieldError:
    """One failure in a tree that was filled nevertheless: ``resolve(tree, errors=errors)`` puts them into ``errors``.

    A plain record, which lives as long as you keep it, with the error, its traceback and what that refers to.

    Example:
        >>> import asyncio
        >>> from typing import Annotated
        >>> from pydantic import BaseModel
        >>> from dloader.resolver import FieldError, Load, Resolver
        >>> async def load_names(ids):
        ...     return [LookupError("who is 2?") if id == 2 else f"user {id}" for id in ids]
        >>> class Task(BaseModel):
        ...     owner_id: int
        ...     owner: Annotated[str | None, Load(load_names, by="owner_id")] = None
        >>> errors: list[FieldError] = []
        >>> asyncio.run(Resolver().resolve([Task(owner_id=1), Task(owner_id=2)], errors=errors))
        [Task(owner_id=1, owner='user 1'), Task(owner_id=2, owner=None)]
        >>> print(errors[0])
        Task[1].owner: LookupError: who is 2?
        >>> errors[0].loc
        (1, 'owner')
    """

    path: str
    """Where it happened, as in the notes of errors: ``Company[2].offices[0].members``. The places in lists are those of
    what was given or loaded, also where rows that failed were left out."""
    error: Exception
    """What was raised: by the batch function, the method, the validator. Places that wait for one key of one batch may
    share one object."""
    loc: tuple[Any, ...] = ()
    """The path in parts, as in Pydantic's errors: ``(2, "offices", 0, "members")``."""
    model: type | None = None
    """The class whose field failed; None for rows of which it cannot be told."""
    field: str | None = None
    """The field's name, ``post_default_handler``, or None for a row that is no node of the model."""

    def __str__(self) -> str:
        text = str(self.error)
        return f"{self.path}: {type(self.error).__name__}" + (f": {text}" if text else "")

    def __repr__(self) -> str:
        return f"FieldError({self.path!r}, {shorten(self.error)})"


def ends(error: BaseException) -> bool:
    """Whether something ends a resolve that goes on after failures: cancellation, and mistakes in the program."""
    return not isinstance(error, Exception) or isinstance(error, (PlanError, OptionError, LoaderParamError))


def check_errors(errors: object) -> None:
    """See to it that failures can be put into what was given for them.

    Raises:
        OptionError: It is no list.
    """
    if not isinstance(errors, list):
        raise OptionError(
            f"resolve(errors=) takes a list, which failures are added to, not {shorten(errors)}: "
            f"write errors: list[FieldError] = [], and give that"
        )
