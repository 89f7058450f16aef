"""Criteria that hold in each statement, whatever it is made of."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from typing import Any

from sqlalchemy.orm import LoaderCriteriaOption

__all__ = ("everywhere",)


def everywhere(options: Iterable[Any]) -> list[Any]:
    """The options of a loader, its ``with_loader_criteria`` with ``include_aliases=True``.

    SQLAlchemy gives criteria of a class that is not mapped, a mixin with the tenant say, to no statement at all
    without it, and criteria of a mapped class to no alias. Nobody notices; and which statements of ours use aliases
    nobody outside can know.
    """
    return [_of_aliases_too(option) for option in options]


def _of_aliases_too(option: Any) -> Any:
    if not isinstance(option, LoaderCriteriaOption) or option.include_aliases:
        return option
    wider = copy(option)
    wider.include_aliases = (
        True  # an attribute that its documentation does not name: test_criteria.py watches it
    )
    return wider
