"""Where in the tree something is. Searched for only when something fails."""

from __future__ import annotations

from dloader.lowlevel import add_note_once
from dloader.resolver._containers import locate
from dloader.resolver._run._group import NodeGroup

__all__ = ("add_path", "path_of")

WHILE = "while resolving "
MOST_PATHS = 8
"""An error object that is raised again and again keeps the latest of its paths; nested resolves add one each."""


def add_path(error: BaseException, path: str) -> None:
    """Note on an error where it happened."""
    notes: list[str] = getattr(error, "__notes__", None) or []
    paths = [note for note in notes if note.startswith(WHILE)]
    if len(paths) >= MOST_PATHS:
        notes.remove(paths[0])
    add_note_once(error, WHILE + path)


def path_of(group: NodeGroup, index: int, root: object) -> str:
    """Where a node is, seen from the root: ``Company[2].offices[0]``."""
    path = ""
    while group.parent is not None:
        node, parent, name = group.nodes[index], group.parent, group.field.name
        index = group.parent_indices[index]
        place = locate(getattr(parent.nodes[index], name), node)
        path = f".{name}{place or ''}{path}"
        group = parent
    return f"{type(group.nodes[index]).__name__}{locate(root, group.nodes[index]) or ''}{path}"
