"""The keys of nodes: read from their fields, those of nodes without one left out."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from itertools import chain
from types import NoneType
from typing import Any, NamedTuple

from dloader import KeyTypeError
from dloader.resolver._blanks import fill_blanks, write_blanks
from dloader.resolver._convert import Convert
from dloader.resolver._fields import FailedAt, values_of
from dloader.resolver._markers import NOTHING
from dloader.resolver._plan._plan import Key
from dloader.resolver._run._step_run import StepRun

__all__ = ("NodeKeys", "distinct", "fill_keyless", "give_keyless", "null_key", "read_keys")

LISTS: frozenset[Any] = frozenset({frozenset, list, set})


class NodeKeys(NamedTuple):
    """The keys of the nodes of a group."""

    keys: list[Any]
    """One for each node that has one; all of all nodes, where a node may have many."""
    indices: Sequence[int] | None
    """Which nodes have a key, or a list of keys; None if all have."""
    counts: Sequence[int] | None
    """How many keys each of these nodes has, where a node may have many."""


def read_keys(key: Key, nodes: Sequence[Any]) -> NodeKeys:
    """Read the keys of nodes.

    Raises:
        FailedAt: A key cannot be read.
    """
    values = _read(key, nodes)
    indices: Sequence[int] | None = None
    if NoneType in set(map(type, values)):
        indices = [index for index, value in enumerate(values) if value is not None]
        values = [values[index] for index in indices]
    if key.may_be_list and not LISTS.isdisjoint(map(type, values)):
        values = [value if type(value) in LISTS else [value] for value in values]
    elif not key.is_list:
        return NodeKeys(values, indices, None)
    lists = [[item for item in value if item is not None] for value in values]
    return NodeKeys(list(chain.from_iterable(lists)), indices, list(map(len, lists)))


def fill_keyless(run: StepRun, convert: Convert) -> FailedAt | None:
    """Give the nodes without a key what they get instead: what they have, the field's default, what is empty, or None.

    Args:
        run: Of the nodes that have a key.
        convert: What makes a value one of the field's type.

    Returns:
        What is wrong with a node that gets nothing.
    """
    group, keyed = run.group, set(run.indices)
    blank = give_keyless(run, [node for index, node in enumerate(group.nodes) if index not in keyed], convert)
    if not blank:
        return None
    index = next(index for index, node in enumerate(group.nodes) if node is blank[0])
    return FailedAt(index, null_key(run))


def give_keyless(run: StepRun, nodes: Sequence[Any], convert: Convert) -> Sequence[Any]:
    """The same for the nodes of a step that are known to have no key.

    Returns:
        Those that get nothing.
    """
    cls, step = run.group.plan.cls, run.step
    name = step.field.name
    if step.empty is NOTHING:
        return fill_blanks(cls, name, nodes, None if step.field.admits_none else NOTHING)
    blank = fill_blanks(cls, name, nodes)
    if blank:
        try:
            values = convert(blank, [step.empty] * len(blank), None)
        except FailedAt:  # the type takes nothing empty
            return blank
        if values[0] is step.empty:  # it was of the type: else it would be one object in all nodes
            values = [deepcopy(value) for value in values]
        write_blanks(cls, name, blank, values)
    return ()


def null_key(run: StepRun) -> KeyTypeError:
    """What is wrong with a node that gets nothing."""
    names = ", ".join(map(repr, run.step.key.names if run.step.key else ()))
    return KeyTypeError(
        f"{run.group.plan.cls.__qualname__}.{run.step.field.name} has no default and takes no None, and its key "
        f"({names}) is null: give it a default, or a type with `| None`"
    )


def _read(key: Key, nodes: Sequence[Any]) -> list[Any]:
    """What holds the key, of each node; None where a part of it is null."""
    columns = [values_of(nodes, name) for name in key.names]
    if not key.is_composite:
        return columns[0]
    return [None if any(part is None for part in parts) else parts for parts in zip(*columns, strict=True)]


def distinct(keys: list[Any]) -> list[Any]:
    """The different keys, or all of them where some cannot be told from others."""
    try:
        return list(dict.fromkeys(keys))
    except TypeError:
        return keys  # the loader will say what is wrong with one of them
