"""What an operation selects: fields by their response names, through fragments, aliases and directives."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from strawberry.types.nodes import SelectedField, Selection

__all__ = ("Selected", "selected_in")

Selected = dict[str, list[SelectedField]]
"""By response name, the fields that were merged into it."""


def selected_in(fields: Iterable[SelectedField], applies: Callable[[str], bool]) -> Selected:
    """What is selected of objects of one type.

    Args:
        fields: The fields that hold the objects; their selections are merged.
        applies: Whether a type condition is met by the type.
    """
    found: Selected = {}
    todo: list[Selection] = [
        selection for field in reversed(list(fields)) for selection in reversed(field.selections)
    ]
    while todo:
        selection = todo.pop()
        if _is_left_out(selection):
            continue
        if isinstance(selection, SelectedField):
            found.setdefault(selection.alias or selection.name, []).append(selection)
        elif selection.type_condition is None or applies(selection.type_condition):
            todo += reversed(selection.selections)
    return found


def _is_left_out(selection: Selection) -> bool:
    """Whether ``@skip`` or ``@include`` leaves it out; variables were put in already."""
    directives = selection.directives
    return bool(directives.get("skip", {}).get("if", False)) or not directives.get("include", {}).get(
        "if", True
    )
