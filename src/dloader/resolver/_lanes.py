"""When a step that uses loaders may run: as soon as nothing under way can bring it company, and not before.

The lane of a request is its loader, its depth in the tree and the phase it is made in. A tree walked
level by level makes one batch per lane. So does this one, without waiting level by level: a step is held
back only while some other step is under way that leads, by the models' own types, to the same lane. All that
become free together run together, and their loaders are dispatched at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dloader.resolver._frame import Frame
from dloader.resolver._graph import graph
from dloader.resolver._plan import Phase, Step

__all__ = ("Lanes", "Source")

Lane = tuple[object, Phase, int]
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
        if _later(frame):
            self._posting_later[frame] = None

    def hold(self, frame: Frame, step: Step) -> None:
        """Keep a step until its lanes are free."""
        self._held.append((frame, step))

    def take_free(self, under_way: Iterable[Source], nothing_else: bool) -> list[tuple[Frame, Step]]:
        """The held steps that nothing under way can join any more.

        Args:
            under_way: What will bring nodes.
            nothing_else: Whether nothing but held steps is left to be done.
        """
        held = self._held
        if not held:
            return []
        sources = list(under_way)
        sources.extend(
            (frame.depth, tuple(graph.targets(step.child))) for frame, step in held if not step.is_post
        )
        closed = {lane for entry in held for lane in _lanes(entry) if self._may_grow(lane, sources)}
        while True:  # a step with two loaders closes both lanes if it has to wait for one
            coupled = {
                lane for entry in held if not closed.isdisjoint(_lanes(entry)) for lane in _lanes(entry)
            }
            if coupled <= closed:
                break
            closed |= coupled
        free = [entry for entry in held if closed.isdisjoint(_lanes(entry))]
        if not free and nothing_else:  # shared nodes wait for one another: nobody else can come
            free = held
        self._held = [entry for entry in held if entry not in free]
        return free

    def _may_grow(self, lane: Lane, sources: Sequence[Source]) -> bool:
        loader, phase, depth = lane
        if phase is not Phase.RESOLVING and self._will_post(loader, phase, depth):
            return True
        return any(
            level < depth and (loader, phase) in graph.loaders_at(classes, depth - level - 1)
            for level, classes in sources
        )

    def _will_post(self, loader: object, phase: Phase, depth: int) -> bool:
        """Whether a frame at this depth has yet to come to the phase and will use the loader in it."""
        self._posting_later = {frame: None for frame in self._posting_later if frame.phase < Phase.FINISHING}
        return any(
            frame.depth == depth and frame.phase < phase and (loader, phase) in _later(frame)
            for frame in self._posting_later
        )


def _later(frame: Frame) -> set[tuple[object, Phase]]:
    steps = (*frame.plan.posts, *([frame.plan.final] if frame.plan.final is not None else []))
    return {(loader, step.phase) for step in steps for loader in step.loaders}


def _lanes(entry: tuple[Frame, Step]) -> list[Lane]:
    frame, step = entry
    return [(loader, step.phase, frame.depth) for loader in step.loaders]
