"""When a step that uses loaders may run: as soon as nothing under way can bring it company, and not before.

The slot of a request is its loader, the phase it is made in and its depth in the tree. A tree walked
level by level makes one batch per slot. So does this one, without waiting level by level: a step is held at its
barrier only while something is under way that can reach, by the models' own types, the same slot. All that
are released together are one wave, and their loaders are dispatched at once.

All held steps of the same slots watch one producer that keeps them from running, and are looked at again only when
that producer is gone: a tree of many levels costs no more for each of them. So it is with posts: those that wait for
others to come to the same slot watch that slot.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from dloader.resolver._plan._model_graph import ModelGraph
from dloader.resolver._plan._plan import Phase, Step
from dloader.resolver._run._group import NodeGroup

__all__ = ("Barriers", "Producer")

Slot: TypeAlias = tuple[object, Phase, int]
"""A loader, the phase that uses it, and the depth: what makes requests one batch."""
Producer: TypeAlias = tuple[int, tuple[type, ...]]
"""Something under way at a depth that will bring nodes of these classes one level below."""
Watched: TypeAlias = Producer | Slot
"""What keeps steps from running: a producer, or the posts of other groups at the same slot."""


class HeldSteps:
    """Steps that are held at the same barrier: they want the same slots."""

    __slots__ = ("entries", "producers", "slots")

    def __init__(self, slots: tuple[Slot, ...]) -> None:
        self.slots = slots
        self.entries: list[tuple[NodeGroup, Step]] = []
        self.producers: dict[Producer, None] = {}
        """What the steps will be when they are taken, as far as they bring nodes."""


class Barriers:
    """The steps that wait for company; lives as long as one resolve."""

    __slots__ = (
        "_by_slot",
        "_graph",
        "_held",
        "_held_producers",
        "_posting",
        "_reachable",
        "_to_look_at",
        "_under_way",
        "_watchers",
    )

    def __init__(self, graph: ModelGraph) -> None:
        self._graph = graph
        self._held: dict[tuple[Slot, ...], HeldSteps] = {}
        self._by_slot: dict[Slot, dict[HeldSteps, None]] = {}
        self._held_producers: dict[tuple[type, ...], dict[int, int]] = {}
        """The classes that held steps will bring, and at which depths how many of `HeldSteps` will."""
        self._reachable: dict[tuple[tuple[type, ...], object, Phase], bool] = {}
        self._under_way: dict[Producer, int] = {}
        """What will bring nodes, and how many of the kind."""
        self._watchers: dict[Watched, dict[HeldSteps, None]] = {}
        """The steps that something keeps from running. All others are to be looked at."""
        self._to_look_at: dict[HeldSteps, None] = {}
        self._posting: dict[Slot, list[NodeGroup]] = {}
        """By slot, the groups that will use the loader in their posts; some may have come to it since."""

    def expect(self, producer: Producer) -> None:
        """Something is under way that will bring nodes."""
        self._under_way[producer] = self._under_way.get(producer, 0) + 1

    def came(self, producer: Producer) -> None:
        """It has brought them."""
        self._under_way[producer] -= 1
        if not self._under_way[producer]:
            del self._under_way[producer]
            self._look_again((producer,))

    def expect_posts(self, group: NodeGroup) -> None:
        """Take in a group that will use loaders in its posts."""
        for loader, phase in group.plan.post_loaders:
            self._posting.setdefault((loader, phase, group.depth), []).append(group)

    def entered(self, group: NodeGroup) -> None:
        """A group whose posts use loaders has come to another phase."""
        self._look_again([(loader, phase, group.depth) for loader, phase in group.plan.post_loaders])

    def phases_changed(self) -> None:
        """The same of any groups."""
        self._look_again(list(self._posting))

    def hold(self, group: NodeGroup, step: Step) -> None:
        """Keep a step until nothing can reach its slots any more."""
        depth = group.depth
        slots = tuple([(loader, step.phase, depth) for loader in step.loaders])
        held = self._held.get(slots)
        if held is None:
            self._held[slots] = held = HeldSteps(slots)
            self._to_look_at[held] = None
            for slot in slots:
                self._by_slot.setdefault(slot, {})[held] = None
        held.entries.append((group, step))
        classes = group.subtree.node_steps.get(step, ())
        producer = (depth, classes)
        if classes and producer not in held.producers:
            held.producers[producer] = None
            counts = self._held_producers.setdefault(classes, {})
            counts[depth] = counts.get(depth, 0) + 1

    def release(self, nothing_else: bool) -> list[tuple[NodeGroup, Step]]:
        """The held steps that nothing under way can join any more: the next wave.

        Args:
            nothing_else: Whether nothing but held steps is left to be done.
        """
        if not self._held:
            return []
        free = self._only_complete(self._unblocked())
        if not free and nothing_else:  # shared nodes wait for one another: nobody else can come
            free = dict.fromkeys(self._held.values())
            self._watchers = {}
        for held in free:
            self._remove(held)
        return [entry for held in free for entry in held.entries]

    # -- who blocks whom -------------------------------------------------------------------------------------

    def _unblocked(self) -> dict[HeldSteps, None]:
        """The steps that nothing can join; the others watch what may bring them company."""
        free: dict[HeldSteps, None] = {}
        for held in tuple(self._to_look_at):
            blocker = self._blocker_of(held)
            if blocker is None:
                free[held] = None
            else:
                del self._to_look_at[held]
                self._watchers.setdefault(blocker, {})[held] = None
        return free

    def _blocker_of(self, held: HeldSteps) -> Watched | None:
        """What may bring company to one of the steps."""
        for slot in held.slots:
            if slot[1] is not Phase.RESOLVING and self._will_post(slot):
                return slot
            producer = self._producer_for(slot)
            if producer is not None:
                return producer
        return None

    def _will_post(self, slot: Slot) -> bool:
        """Whether a group at this depth has yet to come to the phase and will use the loader in it."""
        expected = self._posting.get(slot, [])
        while expected and expected[-1].phase >= slot[1]:
            expected.pop()
        return bool(expected)

    def _producer_for(self, slot: Slot) -> Producer | None:
        """Something that can reach a slot, the nearest first: in a deep tree it is the level above."""
        for producer in self._under_way:
            if self._can_reach(producer, slot):
                return producer
        depth = slot[2]
        for classes, counts in self._held_producers.items():
            if self._can_ever_reach(classes, slot):
                for level in range(depth - 1, min(counts) - 1, -1):
                    if level in counts and self._can_reach((level, classes), slot):
                        return level, classes
        return None

    def _can_reach(self, producer: Producer, slot: Slot) -> bool:
        """Whether the nodes that it will bring, or others that follow them, may use the loader at the depth."""
        (level, classes), (loader, phase, depth) = producer, slot
        return (
            level < depth
            and self._can_ever_reach(classes, slot)
            and (loader, phase) in self._graph.loaders_at(classes, depth - level - 1)
        )

    def _can_ever_reach(self, classes: tuple[type, ...], slot: Slot) -> bool:
        """Whether these classes, or any that can follow them, use the loader at all."""
        loader, phase, _ = slot
        key = (classes, loader, phase)
        found = self._reachable.get(key)
        if found is None:
            graph = self._graph
            found = any((loader, phase) in graph.subtree(cls).phased_loaders for cls in classes)
            self._reachable[key] = found
        return found

    # -- letting go ------------------------------------------------------------------------------------------

    def _only_complete(self, free: dict[HeldSteps, None]) -> dict[HeldSteps, None]:
        """Without those that share a slot with one that has to wait: a step with two loaders needs both."""
        while len(free) < len(self._held):
            coupled = [
                held
                for held in free
                if any(other not in free for slot in held.slots for other in self._by_slot[slot])
            ]
            if not coupled:
                return free
            for held in coupled:
                del free[held]
        return free

    def _remove(self, held: HeldSteps) -> None:
        del self._held[held.slots]
        self._to_look_at.pop(held, None)
        for slot in held.slots:
            self._by_slot[slot].pop(held, None)
        for producer in held.producers:
            level, classes = producer
            counts = self._held_producers[classes]
            counts[level] -= 1
            if not counts[level]:
                del counts[level]
                self._look_again((producer,))
            if not counts:
                del self._held_producers[classes]

    def _look_again(self, gone: Iterable[Watched]) -> None:
        for watched in gone:
            self._to_look_at.update(self._watchers.pop(watched, {}))
