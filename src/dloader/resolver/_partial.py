"""Partial answers: what `Resolver.resolve` does differently where it goes on after failures."""

from __future__ import annotations

from typing import Any

from dloader.resolver._containers import labels_in
from dloader.resolver._field_errors import FieldError, check_errors
from dloader.resolver._gone import GONE, without_or_shorter
from dloader.resolver._plan._annotations import admits_none
from dloader.resolver._roots import UnfitRows, nodes_that_fit
from dloader.resolver._run._engine import Engine
from dloader.resolver._run._failures import Failures
from dloader.resolver._run._partial_engine import PartialEngine

__all__ = ("PartialAnswer",)


class PartialAnswer:
    """One resolve that goes on after failures; lives as long as it.

    Args:
        errors: Where the failures are put.
        into: The type of the tree, if it is made of rows.

    Raises:
        OptionError: That is no list.
    """

    def __init__(self, errors: list[FieldError], into: Any) -> None:
        check_errors(errors)
        self._errors = errors
        self._into = into
        self._unfit: UnfitRows = {}
        self._failures: Failures | None = None

    def nodes_of(self, rows: Any, converters: dict[object, Any]) -> Any:
        """See `nodes_that_fit`."""
        return nodes_that_fit(rows, self._into, converters, self._unfit)

    def engine(self, root: object, *arguments: Any) -> Engine:
        """What fills a tree; see `Engine`."""
        self._failures = Failures(root)
        return PartialEngine(self._failures, root, *arguments)

    def answer(self, root: Any) -> Any:
        """The tree without what failed.

        Raises:
            Exception: What a root that stands alone failed by.
        """
        failures = self._failures or Failures(root)
        failures.log.add_rows(self._unfit)
        self._errors += failures.log.errors()
        found = without_or_shorter(root, self._into, failures.causes, self._unfit)
        if found is not GONE:
            return found
        if self._into is not None and admits_none(self._into):
            return None
        causes = {labels: error for labels, (_, _, error) in self._unfit.items()}
        for labels, node in labels_in(root):
            if id(node) in failures.causes:
                causes[labels] = failures.causes[id(node)]
        raise next(causes[labels] for labels, _ in labels_in(root) if labels in causes)
