"""Nodes among rows, and in the fields of rows: they stay themselves when nodes are made of the rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any, cast

from dloader.resolver._containers import is_container
from dloader.resolver._plan._annotations import is_node_class
from dloader.resolver._plan._model_graph import ModelGraph
from dloader.resolver._plan._plan import NodeField
from dloader.resolver._rows._kinds import Leaves, leaves_of
from dloader.resolver._run._step_run import StepRun

__all__ = ("ROWS", "holds_nodes")

ROWS = frozenset({bool, bytes, dict, float, int, str, type(None)})
"""Rows, and items of rows, that are no nodes."""


def holds_nodes(given: Leaves, run: StepRun, graph: ModelGraph) -> bool:
    """Whether there may be nodes among the rows that were given for a step, or in fields of them.

    Args:
        given: The rows.
        run: The step.
        graph: Tells which fields may hold some.
    """
    is_flat = run.step in run.group.subtree.flat_steps
    todo: list[tuple[Leaves, NodeField]] = [(given, run.step.field)]
    while todo:
        found, field = todo.pop()
        kinds = _with_mappings(found.kinds)
        if any(map(_may_be_nodes, kinds - ROWS)) or (field.unknown and dict in kinds):
            return True
        if field.may_hold_mappings and dict in kinds:
            todo.append((leaves_of(list(chain.from_iterable(map(_values_of, found.values)))), field))
        if not is_flat and not kinds <= ATOMS:
            todo += ((leaves_of(rows), below) for rows, below in _columns(found.values, field, graph))
    return False


ATOMS = ROWS - {dict}


def _with_mappings(kinds: set[Any]) -> set[Any]:
    """Classes of rows; that of a mapping is ``dict``, as nodes are made of it."""
    mappings = set(filter(_is_mapping, kinds - ROWS))
    return kinds if not mappings else kinds - mappings | {dict}


def _is_mapping(kind: Any) -> bool:
    return issubclass(kind, Mapping) and not is_node_class(cast(Any, kind))


def _may_be_nodes(kind: Any) -> bool:
    """Whether values of a class are nodes, or hold some: rows that are objects with attributes are and do not."""
    is_row = hasattr(kind, "_mapping") or hasattr(kind, "_fields")  # SQLAlchemy's ``Row``, and named tuples
    return is_node_class(kind) or (is_container(kind) and not is_row)


def _is_row_mapping(row: Any) -> bool:
    return isinstance(row, Mapping)


def _values_of(row: Any) -> Iterable[Any]:
    values: Iterable[Any] = row.values() if _is_row_mapping(row) else ()
    return values


def _columns(
    rows: Sequence[Any], field: NodeField, graph: ModelGraph
) -> Iterator[tuple[list[Any], NodeField]]:
    """What rows have in the fields that may hold nodes, by all names that these may have there."""
    names = chain.from_iterable(graph.subtree(cls).names_of_nodes for cls in field.targets())
    for name, below, only_mappings in dict.fromkeys(names):
        yield [_value_of(row, name, only_mappings) for row in rows], below


def _value_of(row: Any, name: str, only_mappings: bool) -> Any:
    value: Any = None
    if _is_row_mapping(row):
        value = row.get(name)
    elif not only_mappings:
        with suppress(Exception):  # what was read by another name may have nothing, or raise, by this one
            value = getattr(row, name, None)
    return value
