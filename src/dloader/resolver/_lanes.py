"""When a step that uses loaders may run: as soon as nothing under way can bring it company, and not before.

The lane of a request is its loader, its depth in the tree and whether it is made by a ``post_`` method. A tree walked
level by level makes one batch per lane. So does this one, without waiting level by level: a step is held
back only while some other step is under way that leads, by the models' own types, to the same lane. All that
become free together run together, and their loaders are dispatched at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dloader.resolver._frame import Frame, Phase
from dloader.resolver._graph import graph
from dloader.resolver._plan import Step

__all__ = ("Lanes", "Source")

Lane = tuple[object, bool, int]
Source = tuple[int, tuple[type, ...]]
"""Something under way at a depth that will bring nodes of these classes one level below."""


class Lanes:
    """The steps that wait for company; lives as long as one resolve."""

    __slots__ = ("_held", "_posting_later")

    def __init__(self) -> None:
        self._held: list[tuple[Frame, Step]] = []
        self._posting_later: dict[Frame, None] = {}
        """Frames whose posts use loaders."""

    def watch(self, frame: Frame) -> None:
        """Note a frame that will use loaders in its posts."""
        if any(step.loaders for step in frame.plan.posts) or (frame.plan.final and frame.plan.final.loaders):
            self._posting_later[frame] = None

    def hold(self, frame: Frame, step: Step) -> None:
        """Keep a step until its lanes are free."""
        self._held.append((frame, step))

    def take_free(self, under_way: Iterable[Source]) -> list[tuple[Frame, Step]]:
        """The held steps that nothing under way can join any more."""
        held = self._held
        if not held:
            return []
        sources = list(under_way)
        nothing_else = not sources
        sources.extend((frame.depth, tuple(graph.targets(step.child))) for frame, step in held if not step.is_post)
        closed = {lane for entry in held for lane in _lanes(entry) if self._may_grow(lane, sources)}
        while True:  # a step with two loaders closes both lanes if it has to wait for one
            coupled = {lane for entry in held if not closed.isdisjoint(_lanes(entry)) for lane in _lanes(entry)}
            if coupled <= closed:
                break
            closed |= coupled
        free = [entry for entry in held if closed.isdisjoint(_lanes(entry))]
        if not free and nothing_else:  # shared nodes wait for one another: nobody else can come
            free = held
        self._held = [entry for entry in held if entry not in free]
        return free

    def _may_grow(self, lane: Lane, sources: Sequence[Source]) -> bool:
        loader, is_post, depth = lane
        if is_post and self._will_post(loader, depth):
            return True
        return any(
            level < depth and (loader, is_post) in graph.loaders_at(classes, depth - level - 1)
            for level, classes in sources
        )

    def _will_post(self, loader: object, depth: int) -> bool:
        self._posting_later = {frame: None for frame in self._posting_later if frame.phase is Phase.RESOLVING}
        return any(
            frame.depth == depth and any(loader in step.loaders for step in frame.plan.posts)
            for frame in self._posting_later
        )


def _lanes(entry: tuple[Frame, Step]) -> list[Lane]:
    frame, step = entry
    return [(loader, step.is_post, frame.depth) for loader in step.loaders]
