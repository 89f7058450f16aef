"""Planned calls: one loader, in one phase, at one depth, is one batch."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dloader.resolver._plan._plan import Step

__all__ = ("Outline", "PlannedCall", "Row", "short_name")


@dataclass(eq=False, slots=True)
class Row:
    """One field that a call fills."""

    call: PlannedCall
    owner: str
    field: str
    targets: tuple[str, ...]
    """The classes of the nodes that it brings."""
    how: str
    """``by owner_id``, or ``(method)``."""
    sources: dict[Row, None] = dataclasses.field(default_factory=dict["Row", None])
    """What brings its nodes, or their keys; nothing if they are given."""

    @property
    def label(self) -> str:
        """``Feed.posts``."""
        return f"{self.owner}.{self.field}"

    @property
    def nearest(self) -> Sequence[Row]:
        """The sources that are shown: a post waits for all that is below, so what these wait for is left out."""
        if self.call.phase == "resolve":
            return list(self.sources)
        calls = {source.call: None for source in self.sources}
        before = {each for call in calls for each in call.all_before()}
        return [source for source in self.sources if source.call not in before]

    def add_sources(self, sources: Iterable[Row]) -> None:
        """It waits for these too."""
        self.sources.update(dict.fromkeys(sources))


@dataclass(eq=False, slots=True)
class PlannedCall:
    """One batch of one loader, unless it is more than ``max_batch_size`` keys."""

    name: str
    phase: str
    """``resolve`` or ``post``."""
    depth: int
    max_batch_size: int | None
    rows: list[Row] = dataclasses.field(default_factory=list[Row])
    repeats: bool = False
    """Whether it brings nodes of a class that it stands below: once more for each level that the data has."""
    round: int = 0

    @property
    def waits_for(self) -> dict[PlannedCall, None]:
        """The calls that come before."""
        return {source.call: None for row in self.rows for source in row.sources}

    def all_before(self) -> set[PlannedCall]:
        """The calls that come before, and those before these."""
        found: set[PlannedCall] = set()
        unseen = list(self.waits_for)
        while unseen:
            call = unseen.pop()
            if call not in found:
                found.add(call)
                unseen += call.waits_for
        return found

    def repeat(self) -> None:
        """It brings nodes of a class above."""
        self.repeats = True

    def come_after(self, round_: int) -> None:
        """It waits for this round."""
        self.round = round_ + 1

    def row(self, owner: str, step: Step) -> Row:
        """The row of a field."""
        name = step.field.name
        for row in self.rows:
            if row.owner == owner and row.field == name:
                return row
        targets = tuple(map(short_name, step.field.classes))
        row = Row(self, owner, name, targets, _how(step))
        self.rows.append(row)
        return row


@dataclass(frozen=True, slots=True)
class Outline:
    """All calls below some root classes, by round."""

    roots: tuple[str, ...]
    calls: Sequence[PlannedCall]
    classes: int
    """How many classes there are, the roots included."""
    parameters: Mapping[str, Sequence[str]]
    """Parameters that must be given, and the loaders that want them."""
    unknown: Sequence[str]
    """Fields whose types do not tell what they hold."""


def short_name(cls: type) -> str:
    """What a class is called in a plan."""
    return cls.__qualname__.rpartition(".")[2]


def _how(step: Step) -> str:
    return "(method)" if step.key is None else f"by {', '.join(step.key.names)}"
