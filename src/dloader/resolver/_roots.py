"""What `Resolver.resolve` is given: rows are made into nodes of the type that was declared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set as AbstractSet
from types import GenericAlias
from typing import Any, TypeAlias, cast, get_args, get_origin

from pydantic import BaseModel, RootModel

from dloader import OptionError
from dloader._text import shorten
from dloader.lowlevel import add_note_once
from dloader.resolver._containers import FoundNodes, is_container
from dloader.resolver._convert import InBulk
from dloader.resolver._fields import Failed, FailedAt
from dloader.resolver._gone import alternatives
from dloader.resolver._plan._annotations import (
    admits_none,
    classes_in,
    is_node_class,
    names_in,
    split_annotated,
)
from dloader.resolver._rows._kinds import are_read_as_they_are

__all__ = ("UnfitRows", "declared_classes", "nodes_of", "nodes_that_fit")

SEVERAL = frozenset[Any]({frozenset, list, set, Sequence})
Labels: TypeAlias = tuple[Any, ...]
UnfitRows: TypeAlias = dict[Labels, tuple[str, type | None, Exception]]
"""By the places of rows that do not fit: what they were to be, its class if there is but one, and why they are not."""


def declared_classes(annotation: Any, argument: str) -> tuple[type, ...]:
    """The classes that a type names.

    Raises:
        OptionError: It names none, or only a name of one.
    """
    cls = _class_alone(annotation)
    if cls is not None:
        return (cls,)
    classes, unknown = classes_in(annotation)
    for name in names_in(annotation):
        raise OptionError(f"{argument} takes a type, and {name!r} in it is only a name: give the class")
    if not classes and not unknown:
        kind = cast(Any, type(annotation))
        cure = f"; give its class, {kind.__name__}" if is_node_class(kind) else ""
        raise OptionError(f"{argument} names no model or dataclass: {annotation!r}{cure}")
    return classes


def _class_alone(annotation: Any) -> type | None:
    """The class that a type of nodes is, or is a list of: most are, and to look into others takes 10 us."""
    is_list = isinstance(annotation, GenericAlias) and annotation.__origin__ is list
    cls: Any = annotation.__args__[0] if is_list else annotation
    return cls if is_node_class(cls) and cls not in (BaseModel, RootModel) else None


def nodes_of(rows: Any, into: Any, converters: dict[object, Any]) -> tuple[Any, FoundNodes | None]:
    """Make nodes of rows.

    Args:
        rows: One row, or what holds several.
        into: The type of what is made.
        converters: Where what converts rows into a type is kept: with the plan of a class that it names.

    Returns:
        What was made, and the nodes in it, where they are known without a look at each.

    Raises:
        OptionError: The rows are still to be awaited.
        Exception: A row does not fit, with a note that tells which.
    """
    rows = _listed(rows, into)
    converter = _converter_into(into, converters)
    try:
        found = converter.convert_at_once(rows)
        if found is None:
            return converter.convert(rows), None
        return found.items if converter.is_list else found.items[0], found
    except FailedAt as caught:
        failed = caught
    if hint := _hint_of_number(rows, into):
        add_note_once(failed.error, hint)
    add_note_once(failed.error, f"while making {_name_of(into)} of rows")
    raise failed.take()


def _hint_of_number(rows: Any, into: Any) -> str | None:
    """What to say where one row was meant and several are given, or the other way round."""
    is_many, name = isinstance(rows, (list, AbstractSet)), _name_of(into)
    if is_many and is_node_class(split_annotated(into)[0]):
        return f"several rows were given, and into={name} is of one: write into=list[{name}]"
    is_one = hasattr(rows, "keys") or hasattr(rows, "_fields") or is_node_class(cast(Any, type(rows)))
    if is_one and get_origin(into) in SEVERAL:
        return f"one row was given, and into={name} is of several: write into={_name_of(get_args(into)[0])}"
    return None


def nodes_that_fit(rows: Any, into: Any, converters: dict[object, Any], unfit: UnfitRows) -> Any:
    """Make nodes of the rows that fit, with None in the places of those that do not.

    Args:
        rows: One row, or what holds several.
        into: The type of what is made.
        converters: See `nodes_of`.
        unfit: Where those are put that do not fit.

    Returns:
        The nodes, or None where there can be none at all.

    Raises:
        OptionError: The rows are still to be awaited.
    """
    return _Rows(converters, unfit).one(_listed(rows, into), into, ())


class _Rows:
    """Rows that are made into nodes, and one by one where some do not fit.

    Args:
        converters: See `nodes_of`.
        unfit: Where those are put that do not fit.
    """

    def __init__(self, converters: dict[object, Any], unfit: UnfitRows) -> None:
        self._converters = converters
        self._unfit = unfit

    def _made(self, rows: Any, into: Any, labels: Labels) -> Any:
        try:
            return _converter_into(into, self._converters).convert(rows)
        except FailedAt as caught:
            error = cast(Exception, caught.error)
        before = len(self._unfit)
        made = self._each(rows, into, labels)
        if made is None or len(self._unfit) == before:  # not for rows that it holds
            classes, unknown = classes_in(into)
            model = classes[0] if len(classes) == 1 and not unknown else None
            self._unfit[labels] = (_name_of(into) if model is None else model.__name__, model, error)
            return Failed(error)
        return made

    def _each(self, rows: Any, into: Any, labels: Labels) -> Any:
        """A container with what becomes of each of its rows; None if it is no container of rows."""
        kind = cast(Any, type(rows))
        if not is_container(kind):
            return None
        for part in alternatives(into):
            origin, parts = get_origin(part), get_args(part)
            if issubclass(kind, Mapping):
                if origin in (dict, Mapping):
                    return self._each_value(rows, parts, labels)
            elif origin in (list, Sequence) or (origin is tuple and parts[1:] == (...,)):
                made = [self.one(row, parts[0], (*labels, at)) for at, row in enumerate(rows)]
                return tuple(made) if origin is tuple else made
            elif origin in (set, frozenset):
                found: set[Any] = {self.one(row, parts[0], (*labels, at)) for at, row in enumerate(rows)}
                nodes = found if admits_none(parts[0]) else found - {None}
                return nodes if origin is set else frozenset(nodes)
        return None

    def _each_value(self, rows: Mapping[Any, Any], kinds: Sequence[Any], labels: Labels) -> Any:
        try:
            many: Any = list
            keys = _converter_into(many[kinds[0]], self._converters).convert(list(rows))
        except FailedAt:
            return None
        values = zip(keys, rows.values(), strict=True)
        return {key: self.one(row, kinds[1], (*labels, key)) for key, row in values}

    def one(self, row: Any, into: Any, labels: Labels) -> Any:
        """What becomes of rows that stand in some place; None where nothing can."""
        made = self._made(row, into, labels)
        return None if type(made) is Failed else made


def _listed(rows: Any, into: Any) -> Any:
    """The rows of an iterator, of a SQLAlchemy ``Result`` for example, as a list."""
    kind: Any = cast(Any, type(rows))
    if hasattr(kind, "__await__"):
        raise OptionError(
            f"resolve() takes rows, and {kind.__name__} is to be awaited: await it, and give the result"
        )
    if hasattr(kind, "__aiter__"):
        raise OptionError(
            f"resolve() takes rows, and {kind.__name__} gives them one at a time, asynchronously: make a list of them, "
            "[row async for row in rows]"
        )
    if hasattr(kind, "column_descriptions"):
        raise OptionError(
            f"resolve() takes rows, and {kind.__name__} is a statement: execute it, and give the result"
        )
    if not issubclass(kind, Iterator):
        return rows
    if is_node_class(split_annotated(into)[0]):
        raise OptionError(
            f"a {kind.__name__} gives many rows, and into={_name_of(into)} is of one: "
            f"write into=list[{_name_of(into)}], or give a single row"
        )
    return list(rows)


def _converter_into(into: Any, converters: dict[object, Any]) -> _ConverterInto:
    key = ("into", into)
    try:
        found: _ConverterInto | None = converters.get(key)
    except TypeError:  # what stands in Annotated cannot be hashed
        return _make_converter(into)
    if found is None:
        converters[key] = found = _make_converter(into)
    return found


def _make_converter(into: Any) -> _ConverterInto:
    return _ConverterInto(into, _name_of(into), _class_alone(into))


class _ConverterInto:
    """Converts rows into a type, all those of a tree at once; kept with the plan of a class that the type names.

    Args:
        kind: The type.
        title: What it is called.
        cls: The class of all nodes there, where the type is that class or a list of it.
    """

    __slots__ = ("_in_bulk", "_made", "is_list")

    def __init__(self, kind: Any, title: str, cls: type | None) -> None:
        self._in_bulk = InBulk(kind, {"arbitrary_types_allowed": True, "title": title})
        self._made = None if cls is None else self._in_bulk.schemas.class_made
        self.is_list = kind is not cls
        """Whether the type is a list of nodes, if all are of one class."""

    def convert(self, rows: Any) -> Any:
        """What is made of rows.

        Raises:
            FailedAt: They do not fit.
        """
        return self._in_bulk.convert((None,), [rows])[0]

    def convert_at_once(self, rows: Any) -> FoundNodes | None:
        """Nodes made of rows, where all are of one class as nothing else can come of such rows.

        Returns:
            None where that is not known: `convert` takes any.

        Raises:
            FailedAt: They do not fit.
        """
        kind: Any = cast(Any, type(rows))
        if self._made is None or (self.is_list and kind is not list):
            return None
        schemas = self._in_bulk.schemas
        if not are_read_as_they_are(rows if self.is_list else (rows,), schemas.survey):
            return None
        made = self._in_bulk.validated([rows])
        nodes = made[0] if self.is_list else made
        return FoundNodes(nodes, [0] * len(nodes), (self._made,), has_sets=False)


def _name_of(into: Any) -> str:
    """A type as it is written, without modules."""
    arguments: tuple[Any, ...] = get_args(into)
    if len(parts := list(alternatives(into))) > 1:
        return " | ".join(map(_name_of, parts))
    if arguments and isinstance(get_origin(into), type) and not is_node_class(into):
        return f"{get_origin(into).__name__}[{', '.join(map(_name_of, arguments))}]"
    if into is type(None):
        return "None"
    return into.__name__ if isinstance(into, type) else shorten(into)
