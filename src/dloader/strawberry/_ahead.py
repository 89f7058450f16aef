"""Looking ahead: what was asked for together is loaded level by level, all that is selected below included."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from dloader import DataLoader
from dloader.lowlevel import ask_many, close_together
from dloader.strawberry._plans import Failed, Nodes, Plan, Target

__all__ = ("LookAhead",)


class LookAhead:
    """Fills the fields of one operation, and lives as long.

    Fields that are asked for close together are filled together. Level after level all loaders are asked at once, so
    that each has one batch of what a level wants of it, whatever fields and aliases want it.
    """

    def __init__(self) -> None:
        self._loader: DataLoader[tuple[Plan, Any], Any] = DataLoader(
            self._fill, cache=False, name="GraphQL look-ahead"
        )

    def load(self, plan: Plan, key: Any) -> asyncio.Future[Any]:
        """Load what one field wants, with all that is selected below it."""
        return self._loader.load((plan, key))

    async def aclose(self) -> None:
        """Cancel what is under way; who waits gets a `LoaderClosedError`."""
        await close_together([self._loader], "was closed with its operation")

    async def _fill(self, asked: Sequence[tuple[Plan, Any]]) -> list[Any]:
        tops: dict[Plan, Level] = {}
        for plan, key in asked:
            tops.setdefault(plan, Level(plan, "")).add({}, key)
        levels: list[Level] = list(tops.values())
        while levels:
            found = await asyncio.gather(*(level.load() for level in levels))
            levels = [
                below for level, values in zip(levels, found, strict=True) for below in level.filled(values)
            ]
        values = {(plan, key): place[""] for plan, level in tops.items() for place, key in level.places}
        return [value.error if type(value) is Failed else value for value in map(values.__getitem__, asked)]


class Level:
    """One field of many objects; lives until they are filled."""

    __slots__ = ("_name", "_plan", "places")

    def __init__(self, plan: Plan, name: str) -> None:
        self._plan = plan
        self._name = name
        self.places: list[tuple[dict[str, Any], Any]] = []
        """Where values are put, and their keys."""

    def add(self, place: dict[str, Any], key: Any) -> None:
        """Fill one object more."""
        self.places.append((place, key))

    def add_all(self, nodes: Sequence[Any]) -> None:
        """Fill objects that were made of rows; without a key there is nothing to load."""
        plan, name = self._plan, self._name
        key_of = key_getter(plan.keys)
        for node in nodes:
            attributes = node.__dict__
            key = key_of(attributes)
            if key is None:
                attributes[name] = plan.nothing()
            else:
                self.places.append((attributes, key))

    async def load(self) -> dict[Any, Any]:
        """What the loader gives for each key, errors included."""
        keys = list(dict.fromkeys(key for _, key in self.places))
        try:
            asked = self._plan.asked(keys)
            wanted = [each for each in asked if not isinstance(each, Exception)]
            found = await ask_many(self._plan.loader, wanted, errors_in_place=True).future
        except Exception as error:
            return dict.fromkeys(keys, error)
        values = iter(found)
        return {
            key: each if isinstance(each, Exception) else next(values)
            for key, each in zip(keys, asked, strict=True)
        }

    def filled(self, values: dict[Any, Any]) -> list[Level]:
        """Make objects of what was loaded and put them into their places; return what is to be filled below."""
        nodes: Nodes = {}
        made = {key: self._made(value, nodes) for key, value in values.items()}
        name = self._name
        for place, key in self.places:
            place[name] = made[key]
        return [level for target, some in nodes.items() for level in below(target, some)]

    def _made(self, value: Any, nodes: Nodes) -> Any:
        if isinstance(value, Exception):
            return Failed(value)
        try:
            return self._plan.made(value, nodes)
        except Exception as error:
            return Failed(error)


def below(target: Target, nodes: Sequence[Any]) -> Iterator[Level]:
    """What is to be filled of some objects."""
    for name, plan in target.children:
        if isinstance(plan, Failed):
            for node in nodes:
                node.__dict__[name] = plan
            continue
        level = Level(plan, name)
        level.add_all(nodes)
        if level.places:
            yield level


def key_getter(names: tuple[str, ...]) -> Callable[[Mapping[str, Any]], Any]:
    """From the attributes of an object to its key: a tuple if it has several parts, None if one of them is None."""
    if len(names) == 1:
        [name] = names
        return lambda attributes: attributes[name]

    def parts(attributes: Mapping[str, Any]) -> Any:
        found = tuple([attributes[name] for name in names])
        return None if None in found else found

    return parts
