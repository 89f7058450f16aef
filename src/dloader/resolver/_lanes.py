"""When a step that uses loaders may run: as soon as nothing under way can bring it company, and not before.

The lane of a request is its loader, its depth in the tree and the phase it is made in. A tree walked
level by level makes one batch per lane. So does this one, without waiting level by level: a step is held
back only while some other step is under way that leads, by the models' own types, to the same lane. All that
become free together run together, and their loaders are dispatched at once.

Each group of held steps watches one source that keeps it from running, and is looked at again only when that
source is gone: a tree of many levels costs no more for each of them.
"""

from __future__ import annotations

from collections.abc import Iterable

from dloader.resolver._frame import Frame
from dloader.resolver._graph import graph
from dloader.resolver._plan import Phase, Step

__all__ = ("Lanes", "Source")

Lane = tuple[object, Phase, int]
Source = tuple[int, tuple[type, ...]]
"""Something under way at a depth that will bring nodes of these classes one level below."""


class Group:
    """Held steps that want the same lanes."""

    __slots__ = ("entries", "lanes", "sources")

    def __init__(self, lanes: tuple[Lane, ...]) -> None:
        self.lanes = lanes
        self.entries: list[tuple[Frame, Step]] = []
        self.sources: dict[Source, None] = {}
        """What the steps will bring when they are taken."""


class Lanes:
    """The steps that wait for company; lives as long as one resolve."""

    __slots__ = (
        "_by_lane",
        "_groups",
        "_held",
        "_leading",
        "_posting_later",
        "_to_look_at",
        "_under_way",
        "_watchers",
    )

    def __init__(self) -> None:
        self._groups: dict[tuple[Lane, ...], Group] = {}
        self._by_lane: dict[Lane, dict[Group, None]] = {}
        self._held: dict[tuple[type, ...], dict[int, int]] = {}
        """The classes that held steps will bring, and at which depths how many groups will."""
        self._leading: dict[tuple[tuple[type, ...], object, Phase], bool] = {}
        self._under_way: set[Source] = set()
        self._watchers: dict[Source, dict[Group, None]] = {}
        self._to_look_at: dict[Group, None] = {}
        self._posting_later: dict[Frame, None] = {}
        """Frames whose posts use loaders."""

    def watch(self, frame: Frame) -> None:
        """Note a frame that will use loaders in its posts."""
        self._posting_later[frame] = None

    def hold(self, frame: Frame, step: Step) -> None:
        """Keep a step until its lanes are free."""
        lanes = tuple((loader, step.phase, frame.depth) for loader in step.loaders)
        group = self._groups.get(lanes)
        if group is None:
            self._groups[lanes] = group = Group(lanes)
            self._to_look_at[group] = None
            for lane in lanes:
                self._by_lane.setdefault(lane, {})[group] = None
        group.entries.append((frame, step))
        classes = frame.outlook.bringing.get(step, ())
        source = (frame.depth, classes)
        if classes and source not in group.sources:
            group.sources[source] = None
            counts = self._held.setdefault(classes, {})
            counts[frame.depth] = counts.get(frame.depth, 0) + 1

    def take_free(self, under_way: Iterable[Source], nothing_else: bool) -> list[tuple[Frame, Step]]:
        """The held steps that nothing under way can join any more.

        Args:
            under_way: What will bring nodes.
            nothing_else: Whether nothing but held steps is left to be done.
        """
        if not self._groups:
            return []
        before, self._under_way = self._under_way, set(under_way)
        self._look_again(before - self._under_way)
        free = self._uncoupled(
            {group: None for group in tuple(self._to_look_at) if not self._is_blocked(group)}
        )
        if not free and nothing_else:  # shared nodes wait for one another: nobody else can come
            free = dict.fromkeys(self._groups.values())
            self._watchers = {}
        for group in free:
            self._take(group)
        return [entry for group in free for entry in group.entries]

    def _is_blocked(self, group: Group) -> bool:
        """Whether another may join a step of the group; the group then watches that one."""
        for lane in group.lanes:
            if lane[1] is not Phase.RESOLVING and self._will_post(*lane):
                return True  # until the phases of other frames change: looked at each time
            source = self._source_of(lane)
            if source is not None:
                del self._to_look_at[group]
                self._watchers.setdefault(source, {})[group] = None
                return True
        return False

    def _source_of(self, lane: Lane) -> Source | None:
        """Something that leads to a lane, the nearest first: in a deep tree it is the level above."""
        loader, phase, depth = lane
        for source in self._under_way:
            if self._leads(source, loader, phase, depth):
                return source
        for classes, levels in self._held.items():
            if not self._ever_leads(classes, loader, phase):
                continue
            for level in range(depth - 1, min(levels) - 1, -1):
                if level in levels and self._leads((level, classes), loader, phase, depth):
                    return level, classes
        return None

    def _leads(self, source: Source, loader: object, phase: Phase, depth: int) -> bool:
        level, classes = source
        return (
            level < depth
            and self._ever_leads(classes, loader, phase)
            and (loader, phase) in graph.loaders_at(classes, depth - level - 1)
        )

    def _ever_leads(self, classes: tuple[type, ...], loader: object, phase: Phase) -> bool:
        """Whether these classes, or any that can follow them, use the loader at all."""
        key = (classes, loader, phase)
        found = self._leading.get(key)
        if found is None:
            uses = {(use.source, use.step.phase) for cls in classes for use in graph.outlook(cls).uses}
            self._leading[key] = found = (loader, phase) in uses
        return found

    def _uncoupled(self, free: dict[Group, None]) -> dict[Group, None]:
        """Without the groups that share a lane with one that has to wait: a step with two loaders needs both."""
        while True:
            coupled = [
                group
                for group in free
                if any(other not in free for lane in group.lanes for other in self._by_lane[lane])
            ]
            if not coupled:
                return free
            for group in coupled:
                del free[group]

    def _take(self, group: Group) -> None:
        del self._groups[group.lanes]
        self._to_look_at.pop(group, None)
        for lane in group.lanes:
            self._by_lane[lane].pop(group, None)
        for source in group.sources:
            level, classes = source
            counts = self._held[classes]
            counts[level] -= 1
            if not counts[level]:
                del counts[level]
                self._look_again((source,))
            if not counts:
                del self._held[classes]

    def _look_again(self, gone: Iterable[Source]) -> None:
        for source in gone:
            self._to_look_at.update(self._watchers.pop(source, {}))

    def _will_post(self, loader: object, phase: Phase, depth: int) -> bool:
        """Whether a frame at this depth has yet to come to the phase and will use the loader in it."""
        self._posting_later = {frame: None for frame in self._posting_later if frame.phase < Phase.FINISHING}
        return any(
            frame.depth == depth and frame.phase < phase and (loader, phase) in frame.plan.lanes_of_posts
            for frame in self._posting_later
        )
