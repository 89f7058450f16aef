"""Which part of a tree is filled: ``include=`` and ``exclude=``, in the shapes of ``model_dump`` or by dotted names.

Both may come from a URL: whatever stands there is read in a time that grows with its length, and without recursion.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set as AbstractSet
from typing import Any, NamedTuple, TypeAlias, cast

from dloader import OptionError
from dloader._text import did_you_mean, shorten
from dloader.resolver._plan._model_graph import ModelGraph

__all__ = ("EVERYTHING", "NOTHING_BELOW", "Selection", "selection_of")

Shape: TypeAlias = dict[str, "Shape"]
"""Names, and of what stands in these fields further names; none mean all of it."""
Made: TypeAlias = tuple[Shape, str, Shape]
"""A shape, in which other one it was made, and by which name."""
ALL = "__all__"
ALL_OF_IT = ""
"""No name of a field: says of a shape in the making that all is meant, whatever else is named."""

MOST_TOLD = 5
"""So many mistakes are told, and how many more there are."""
MOST_LETTERS = 120


class Selection:
    """Which fields of the nodes in one place are filled; lives as long as one resolve.

    Args:
        include: The fields to fill; None is all.
        exclude: The fields to leave out, if they have no names of their own, and else what to leave out below them.
    """

    __slots__ = ("_below", "_exclude", "_include")

    def __init__(self, include: Shape | None, exclude: Shape) -> None:
        self._include = include
        self._exclude = exclude
        self._below: dict[str, Selection] = {}

    def takes(self, name: str) -> bool:
        """Whether a field is filled."""
        is_included = self._include is None or name in self._include
        return is_included and self._exclude.get(name, EVERY) != {}

    def below(self, name: str) -> Selection:
        """What is filled of the nodes in a field; the same object each time."""
        found = self._below.get(name)
        if found is None:
            self._below[name] = found = self._find_below(name)
        return found

    def _find_below(self, name: str) -> Selection:
        if not self.takes(name):
            return NOTHING_BELOW
        include = None if self._include is None else self._include[name] or None
        exclude = self._exclude.get(name, {})
        return Selection(include, exclude) if include or exclude else EVERYTHING


EVERY: Shape = {"": {}}
EVERYTHING = Selection(None, {})
NOTHING_BELOW = Selection({}, {})


def selection_of(include: Any, exclude: Any, classes: Iterable[type], graph: ModelGraph) -> Selection | None:
    """Read what was given, and check it against the classes of the roots.

    Returns:
        None for all of the tree.

    Raises:
        OptionError: It has another shape, or names a field that does not exist; all mistakes at once.
    """
    if include is None and exclude is None:
        return None
    wanted = None if include is None else _shape_of(include, "include")
    unwanted: Shape = {} if exclude is None else _shape_of(exclude, "exclude")
    if ALL_OF_IT in unwanted:
        return NOTHING_BELOW
    if wanted is not None and ALL_OF_IT in wanted:
        wanted = None
    roots = list(classes)
    problems = [
        *_problems("include", wanted or {}, roots, graph),
        *_problems("exclude", unwanted, roots, graph),
    ]
    if problems:
        more = f"; and {len(problems) - MOST_TOLD} more" if len(problems) > MOST_TOLD else ""
        raise OptionError("; ".join(problems[:MOST_TOLD]) + more)
    return Selection(wanted, unwanted)


def _shape_of(given: Any, argument: str) -> Shape:
    """The names that were given, as a tree; made without recursion, as a URL may give names of any length."""
    shape: Shape = {}
    made: list[Made] = []
    todo: list[tuple[Shape, Any]] = [(shape, given)]
    while todo:
        at, some = todo.pop()
        for name, below in _named(some, argument):
            under = _place_of(name, at, made)
            if not _is_leaf(below):
                todo.append((under, below))
            elif below or argument == "include":  # `model_dump` has what include= names, though it says False
                under[ALL_OF_IT] = {}
    for made_in, part, under in reversed(made):
        if ALL_OF_IT in under:
            under.clear()
        elif not under:
            del made_in[part]  # nothing was said of it but False
    return shape


def _place_of(name: str, shape: Shape, made: list[Made]) -> Shape:
    """What is said of the names below a dotted name; new shapes are added to `made`."""
    for part in name.split("."):
        if part != ALL:
            below = shape.get(part)
            if below is None:
                below = shape[part] = dict[str, Any]()
                made.append((shape, part, below))
            shape = below
    return shape


def _is_leaf(below: object) -> bool:
    return below is None or below is ... or isinstance(below, bool)


def _named(given: Any, argument: str) -> Iterator[tuple[str, Any]]:
    """The names on one level, and what is said of what stands below each."""
    if isinstance(given, Mapping):
        named: Mapping[Any, Any] = cast(Any, given)
        for name, below in named.items():
            _check_name(name, argument)
            if not (below or _is_leaf(below)):
                raise OptionError(
                    f"resolve({argument}=) says nothing of what is below {shorten(name)}: True means all of it"
                )
            yield name, below
        return
    if isinstance(given, str):
        given = [given] if given.strip() else []
    if not isinstance(given, (AbstractSet, list, tuple)):
        raise OptionError(
            f"resolve({argument}=) takes names in a set, or in a dict with what is meant below each, or in a string "
            f"with commas between them, not {shorten(given)}"
        )
    for names in cast(Iterable[Any], given):
        for name in map(str.strip, names.split(",")) if isinstance(names, str) else (names,):
            _check_name(name, argument)
            yield name, True


def _check_name(name: object, argument: str) -> None:
    if isinstance(name, int):
        raise OptionError(
            f"resolve({argument}=) names fields, and those of all nodes of a list are filled alike: {name!r} is no name"
        )
    if not isinstance(name, str) or not all(name.split(".")):
        raise OptionError(f"resolve({argument}=) takes the names of fields, not {shorten(name)}")


def _problems(argument: str, shape: Shape, classes: list[type], graph: ModelGraph) -> Iterator[str]:
    """The names that are of no field, where the types tell which classes there are."""
    todo: list[tuple[Way | None, Shape, list[type]]] = [(None, shape, classes)]
    while todo:
        way, names, kinds = todo.pop()
        plans = [graph.plan(cls) for cls in kinds]
        known = dict.fromkeys(name for plan in plans for name in plan.fields)
        further: list[tuple[Way | None, Shape, list[type]]] = []
        for name, below in names.items():
            if name not in known:
                of = " or ".join(cls.__qualname__ for cls in kinds)
                meant = did_you_mean(name, known)
                yield f"resolve({argument}=): {_short(f'{_path(way)}{name}')} is no field of {of} ({meant})"
                continue
            fields = [field for plan in plans for field in plan.all_node_fields if field.name == name]
            if not below or any(field.unknown for field in fields):
                continue
            targets = list(dict.fromkeys(target for field in fields for target in field.targets()))
            if targets:
                further.append((Way(way, name), below, targets))
            else:
                held, path = _short(", ".join(below)), _short(f"{_path(way)}{name}")
                yield f"resolve({argument}=): {path} holds no models, and {held} is nothing in it"
        todo += reversed(further)


class Way(NamedTuple):
    """The names that lead somewhere, the last one first."""

    before: Way | None
    name: str


def _short(names: str) -> str:
    """Names as a message quotes them: a client may have sent a megabyte of them."""
    return names if len(names) <= MOST_LETTERS else f"{names[:60]}...{names[-40:]}"


def _path(way: Way | None) -> str:
    names: list[str] = []
    while way is not None:
        names.append(f"{way.name}.")
        way = way.before
    return "".join(reversed(names))
