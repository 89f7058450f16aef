"""Fields that a relationship fills: what was said of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple, Self

from strawberry.types.field import StrawberryField

from dloader.sqlalchemy import Related

__all__ = ("Filling", "PlannedField")


class Filling(NamedTuple):
    """What fills a field."""

    marker: Related
    types: Mapping[Any, Any]
    """By mapped class, the type of its rows, where they are not called the same."""
    is_connection: bool
    limit: int | None
    """Of a connection: how many items it has if nobody says."""
    max_results: int | None
    """Of a connection: how many items it may have; None is what the schema says."""


class PlannedField(StrawberryField):
    """A field whose value is planned and loaded, also beforehand, and not made by a resolver."""

    filling: Filling

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)  # pyright: ignore[reportUnknownMemberType]
        self.init = self.repr = self.compare = False  # as a field with a resolver: nobody gives its value

    def __copy__(self) -> Self:
        return super().__copy__().filled_by(self.filling)

    def filled_by(self, filling: Filling) -> Self:
        """Say what fills it."""
        self.filling = filling
        return self

    @property
    def is_basic_field(self) -> bool:
        """No: what fills it needs the operation."""
        return False

    @cached_property
    def is_async(self) -> bool:
        """Whether it is always awaited: where extensions may await it, who could not if it were there already."""
        return bool(self.extensions) and all(each.supports_async for each in self.extensions)
