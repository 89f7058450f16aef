"""Values of which some cannot be had, or not be converted: `Failed` stands for those.

All of them are waited for to the end.
"""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Sequence
from typing import Any

from dloader.lowlevel import LoadMany, kinds_of
from dloader.resolver._convert import Convert, Converter, convert_for_nodes
from dloader.resolver._field_errors import ends
from dloader.resolver._fields import Failed, FailedAt
from dloader.resolver._run._partial_items import Items, Mended
from dloader.resolver._run._values import PLAIN, Countdown, ListOfValues, ManyValues, Told

__all__ = ("PartialList", "PartialMany", "convert_what_fits")


class PatientCountdown(Countdown):
    """Waits to the end, unless something ends the resolve."""

    __slots__ = ()

    def _is_enough(self, future: Future[Any]) -> bool:
        return _ending(future) is not None


class PartialList(ListOfValues):
    """See `ListOfValues`; what fails is a `Failed` among the values."""

    __slots__ = ()

    _countdown = PatientCountdown

    def _first_failure(self) -> FailedAt | None:
        """The first that ends the resolve."""
        for index, value in enumerate(self._values):
            if asyncio.isfuture(value) and value.done() and (error := _ending(value)) is not None:
                return FailedAt(index, error)
        return None

    def _results(self, kinds: set[type]) -> list[Any]:  # noqa: ARG002
        failed = self._first_failure()
        if failed is not None:
            raise failed
        return [_outcome(value) if asyncio.isfuture(value) else value for value in self._values]


class PartialMany(ManyValues):
    """See `ManyValues`; the errors of keys stand in their places."""

    __slots__ = ("_count",)

    def __init__(self, many: LoadMany[Any], loop: asyncio.AbstractEventLoop, count: int) -> None:
        super().__init__(many, loop)
        self._count = count
        """How many values there will be."""

    def get(self, told: Told) -> list[Any] | None:
        """See `Values.get`."""
        if self._rows is None and self._many.future.done():
            rows = self._loaded()
            if PLAIN.issuperset(kinds_of(rows)):
                return rows
            self._rows = PartialList(rows, self._loop)
        return super().get(told) if self._rows is None else self._rows.get(told)

    def _loaded(self) -> list[Any]:
        try:
            rows = self._many.future.result()
        except Exception as error:  # the loader was closed
            return [Failed(error)] * self._count
        except BaseException as error:
            raise FailedAt(0, error) from None
        if any(issubclass(kind, Exception) for kind in kinds_of(rows)):
            return [Failed(row) if isinstance(row, Exception) else row for row in rows]
        return rows


def convert_what_fits(
    converter: Converter,
    nodes: Sequence[Any],
    values: list[Any],
    keys: Sequence[Any] | None,
    is_reused: bool,
    items: Items | None,
) -> list[Any]:
    """Do what `convert_for_nodes` does, with something else in the places of what cannot be converted.

    Args:
        converter: See `convert_for_nodes`, as for the others.
        nodes: Whose field it is.
        values: What is converted.
        keys: Of the nodes.
        is_reused: Whether nodes may share what becomes of a value.
        items: Of the field, if they may fail one by one.

    Returns:
        The values; in the place of one of which only items failed a `Mended`, in that of any other a `Failed`.
    """
    try:
        return convert_for_nodes(converter, nodes, values, keys, is_reused)
    except FailedAt:
        pass
    patient = Converter(_one_by_one(converter.convert, items), converter.is_of_type_alone)
    return convert_for_nodes(patient, nodes, values, keys, is_reused)


def _one_by_one(convert: Convert, items: Items | None) -> Convert:
    def convert_each(nodes: Sequence[Any], values: list[Any], _leaves: object = None) -> list[Any]:
        # Of distinct values there may be fewer.
        return [_converted(convert, node, value, items) for node, value in zip(nodes, values, strict=False)]

    return convert_each


def _converted(convert: Convert, node: Any, value: Any, items: Items | None) -> Any:
    try:
        return convert([node], [value], None)[0]
    except FailedAt as failed:
        error = failed.error
    if items is not None and (mended := items.mended(value)).failed:
        try:
            return Mended(convert([node], [mended.value], None)[0], mended.failed)
        except FailedAt as failed:
            error = failed.error
    return Failed(error)


def _ending(future: Future[Any]) -> BaseException | None:
    """What ends the resolve, of a future that is done."""
    if future.cancelled():
        return asyncio.CancelledError()
    error = future.exception()
    return error if error is not None and ends(error) else None


def _outcome(future: Future[Any]) -> Any:
    error = future.exception()
    return future.result() if error is None else Failed(error)
