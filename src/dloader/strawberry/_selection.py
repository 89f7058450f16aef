"""What an operation selects: fields by their response names, through fragments, aliases and directives."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from strawberry.types.nodes import SelectedField, Selection

__all__ = ("Selected", "is_deferred", "selected_in")

Selected = dict[str, list[SelectedField]]
"""By response name, the fields that were merged into it."""


class DeferredField(SelectedField):
    """A field that ``@defer`` keeps for later."""


def is_deferred(fields: Iterable[SelectedField]) -> bool:
    """Whether the fields under one response name are all kept for later: what is selected once without is not."""
    return all(isinstance(field, DeferredField) for field in fields)


def selected_in(fields: Iterable[SelectedField], applies: Callable[[str], bool]) -> Selected:
    """What is selected of objects of one type.

    Args:
        fields: The fields that hold the objects; their selections are merged.
        applies: Whether a type condition is met by the type.
    """
    found: Selected = {}
    todo: list[tuple[Selection, bool]] = [
        (selection, isinstance(field, DeferredField))
        for field in reversed(list(fields))
        for selection in reversed(field.selections)
    ]
    while todo:
        selection, is_later = todo.pop()
        if _is_left_out(selection):
            continue
        if isinstance(selection, SelectedField):
            field = DeferredField(**vars(selection)) if is_later else selection
            found.setdefault(field.alias or field.name, []).append(field)
        elif selection.type_condition is None or applies(selection.type_condition):
            is_later = is_later or _is_kept_for_later(selection)
            todo += ((each, is_later) for each in reversed(selection.selections))
    return found


def _is_kept_for_later(fragment: Selection) -> bool:
    directive = fragment.directives.get("defer")
    return directive is not None and bool(directive.get("if", True))


def _is_left_out(selection: Selection) -> bool:
    """Whether ``@skip`` or ``@include`` leaves it out; variables were put in already."""
    directives = selection.directives
    return bool(directives.get("skip", {}).get("if", False)) or not directives.get("include", {}).get(
        "if", True
    )
