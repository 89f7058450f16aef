"""Sets of nodes: filling its members may have changed their hashes, and a set must find them."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from dloader.lowlevel import add_note_once
from dloader.resolver._containers import rehash
from dloader.resolver._plan._plan import NodeField
from dloader.resolver._run._group import NodeGroup
from dloader.resolver._run._paths import path_of

__all__ = ("FoundSets", "SetError")


class SetError(NamedTuple):
    """What a member of a set raised, and of which node's field that is; without a group the root's."""

    group: NodeGroup | None
    node: int
    field: str
    error: Exception


class FoundSets:
    """Where sets were found; lives as long as one resolve.

    Args:
        root: What is resolved.
    """

    __slots__ = ("_found", "_root")

    def __init__(self, root: object) -> None:
        self._root = root
        self._found: list[tuple[NodeGroup | None, NodeField]] = []

    def add(self, group: NodeGroup | None, field: NodeField) -> None:
        """Take down that the values of a field hold sets; without a group the root does."""
        self._found.append((group, field))

    def rehash(self) -> None:
        """Rehash all sets, the innermost first; a frozenset is replaced, except in the root.

        Raises:
            TypeError: A member of a set cannot be hashed any more. The set is as it was, the others are rehashed.
        """
        errors = list(self.errors()) if self._found else ()
        if errors:
            raise errors[0].error

    def rehash_what_can_be(self) -> None:
        """The same when something else has failed."""
        with contextlib.suppress(Exception):
            deque(self.errors(), maxlen=0)

    def errors(self) -> Iterator[SetError]:
        """Rehash all sets, and yield what cannot be rehashed."""
        found, self._found = self._found, []
        for group, field in reversed(found):
            values = [self._root] if group is None else [getattr(node, field.name) for node in group.nodes]
            for index, value in enumerate(values):
                try:
                    new = rehash(value)
                except Exception as error:  # what a __hash__ or __eq__ raises
                    where = (
                        "the root" if group is None else f"{path_of(group, index, self._root)}.{field.name}"
                    )
                    add_note_once(error, f"while rehashing the members of {where}")
                    yield SetError(group, index, field.name, error)
                else:
                    if group is not None and new is not value:
                        object.__setattr__(group.nodes[index], field.name, new)  # no more set than it was
