"""Plans: what a place in an operation loads, and what its rows become."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, NoReturn

from strawberry.relay import PageInfo

from dloader.lowlevel import copied
from dloader.sqlalchemy._loader import RowLoader
from dloader.sqlalchemy._pages import CursorPage
from dloader.sqlalchemy._relations import Relation
from dloader.strawberry._types import ObjectType

__all__ = ("FILLED", "Child", "Failed", "Nodes", "Pages", "Plan", "Target")

FILLED = "filled: "
"""What is filled beforehand stands among an object's attributes, by its response name after this."""


class Failed(NamedTuple):
    """In the place of a value that could not be loaded."""

    error: Exception

    def again(self) -> NoReturn:
        """Raise the error, a copy for each field that failed by it."""
        raise copied(self.error)


class Child(NamedTuple):
    """A field that is filled beforehand."""

    name: str
    """Under which attribute."""
    plan: Plan | Failed


class Target:
    """What rows of one class become: objects, and what of these is filled."""

    __slots__ = ("_cls", "_factories", "_has_post_init", "children")

    def __init__(self, of: ObjectType, children: list[Child]) -> None:
        self._cls = of.cls
        self._factories = of.factories
        self._has_post_init = of.has_post_init
        self.children = children

    def made(self, row: Mapping[str, Any]) -> Any:
        """Make an object. Its class is not called: a row has what is selected, not all that the class wants."""
        node = object.__new__(self._cls)
        attributes = node.__dict__
        attributes.update(row)
        for name, factory in self._factories.items():
            if name not in attributes:
                attributes[name] = factory()
        if self._has_post_init:
            node.__post_init__()
        return node


Nodes = dict[Target, list[Any]]
"""The objects that were made, by what they are."""


class Pages(NamedTuple):
    """Which pages a connection wants, and what of them."""

    connection: type[Any]
    edge: type[Any]
    first: int | None
    after: str | None
    last: int | None
    before: str | None
    has_total: bool
    has_cursors: bool
    has_rows: bool
    """Whether anything is selected but how many there are."""
    has_nodes: bool
    """Whether anything is selected that takes the items themselves, and not only their number and cursors."""

    def made(self, page: Any, nodes: list[Any]) -> Any:
        """The connection of a page.

        A page knows whether there is more in its own direction. In the other one there is what the cursor is of.
        """
        is_backward = self.last is not None
        cursors = page.cursors if self.has_cursors else [None] * len(nodes)
        edges = [self.edge(cursor=cursor, node=node) for cursor, node in zip(cursors, nodes, strict=True)]
        info = PageInfo(
            has_next_page=self.before is not None if is_backward else page.has_more,
            has_previous_page=page.has_more if is_backward else self.after is not None,
            start_cursor=page.start_cursor,
            end_cursor=page.end_cursor,
        )
        made = object.__new__(self.connection)
        made.__dict__.update(edges=edges, page_info=info, total_count=page.total)
        return made


class Plan:
    """What one place in an operation loads; lives as long as the operation."""

    __slots__ = ("_label", "_many", "_pages", "_target_of", "keys", "loader")

    def __init__(
        self,
        loader: RowLoader,
        relation: Relation,
        target_of: Callable[[Mapping[str, Any]], Target],
        pages: Pages | None,
    ) -> None:
        self._label = relation.label
        self.loader = loader
        self.keys = relation.keys
        """The attributes that make the key."""
        self._many = relation.many
        self._target_of = target_of
        self._pages = pages

    def __repr__(self) -> str:
        return self._label  # it is part of a key, and so of what errors say

    def asked(self, keys: list[Any]) -> list[Any]:
        """What the loader is asked for; errors stand in the places of keys that cannot be.

        Raises:
            OptionError: The arguments of a page do not go together, or it has no order.
        """
        pages = self._pages
        if pages is None:
            return keys
        asked: list[Any] = self.loader.page_keys(
            keys,
            pages.first,
            pages.after,
            pages.last,
            pages.before,
            pages.has_total,
            pages.has_cursors,
            pages.has_rows,
        )
        return asked

    def made(self, value: Any, nodes: Nodes) -> Any:
        """What the field has, of what the loader gave; the objects that are made for it are added to `nodes`."""
        if self._pages is not None:
            items = self._nodes(value.items, nodes) if self._pages.has_nodes else [None] * len(value.items)
            return self._pages.made(value, items)
        if self._many:
            return self._nodes(value, nodes)
        return None if value is None else self._nodes([value], nodes)[0]

    def nothing(self) -> Any:
        """What the field has where a part of the key is None."""
        if self._pages is not None:
            return self._pages.made(CursorPage[Any](items=[], has_more=False, total=0, cursors=[]), [])
        return [] if self._many else None

    def _nodes(self, rows: Iterable[Mapping[str, Any]], nodes: Nodes) -> list[Any]:
        made: list[Any] = []
        for row in rows:
            target = self._target_of(row)
            node = target.made(row)
            nodes.setdefault(target, []).append(node)
            made.append(node)
        return made
