"""Runs plans over nodes, wave by wave.

The engine works in the task that awaits ``resolve``: it does all that can be done, releases the held steps that nothing
can join any more as one wave, dispatches their loaders, waits until something is done, and goes on.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

from dloader import DataLoader
from dloader.errors import EndlessTreeError
from dloader.lowlevel import close_open_batch, close_when_settled
from dloader.resolver._blanks import drop_hidden, fill_all_blanks, fill_blanks, put_in_order
from dloader.resolver._containers import FoundNodes, flatten
from dloader.resolver._fields import FailedAt, held_by
from dloader.resolver._loaders import ResolveLoaders
from dloader.resolver._plan._model_graph import Subtree
from dloader.resolver._plan._plan import NodeField, Phase, Step
from dloader.resolver._plan._subtrees import Subtrees
from dloader.resolver._run._barriers import Barriers
from dloader.resolver._run._collectors import Collectors
from dloader.resolver._run._copies import Copies
from dloader.resolver._run._group import Arrival, NodeGroup
from dloader.resolver._run._scopes import Scopes
from dloader.resolver._run._sets import FoundSets
from dloader.resolver._run._shared_nodes import SharedNodes
from dloader.resolver._run._step_run import StepRun
from dloader.resolver._run._steps import Steps
from dloader.resolver._run._watch import ResolveWatch

__all__ = ("Engine",)

MOST_LEVELS = 10_000
"""A tree that goes deeper has no end."""
MOST_ACTIONS = 1_000
"""After so many without a wait others on the event loop get their turn: timeouts and cancellation work."""


class Engine:
    """One ``resolve`` of one tree."""

    def __init__(
        self,
        root: object,
        roots: FoundNodes,
        loaders: ResolveLoaders,
        context: Mapping[str, Any] | None,
        subtrees: Subtrees,
        scopes: Scopes,
        watch: ResolveWatch | None = None,
    ) -> None:
        self._roots = roots
        self._scopes = scopes
        self._subtrees = subtrees
        self._loaders = loaders
        self._collectors = Collectors(subtrees.collects)
        self._copies = Copies(subtrees)
        self._steps = Steps(root, loaders, context, self._collectors, self._copies, self, watch)
        self._barriers = Barriers(subtrees.graph)
        self._shared = SharedNodes(partial(subtrees.arrives_together, roots.classes))
        self._loop = asyncio.get_running_loop()
        self._ready: deque[tuple[Callable[[Any], None], Any]] = deque()
        self._waiting: dict[tuple[NodeGroup, Step], int] = {}
        """Steps that wait for more than one field: for how many still."""
        self._sets = FoundSets(root)
        self._wake: asyncio.Future[None] | None = None

    async def run(self, are_whole: bool = False) -> None:
        """Fill the tree; on the first failure or cancellation stop everything that was started for it.

        Args:
            are_whole: See `_nodes_found`.
        """
        try:
            self._nodes_found(None, NodeField("", (), unknown=True), self._roots, are_whole)
            await self._work()
            await self._steps.end()
            self._sets.rehash()
        except BaseException:
            try:
                await self._steps.stop()
            finally:
                self._sets.rehash_what_can_be()
            raise
        finally:
            self._steps.let_go()
            self._shared.let_go()

    # -- waves -----------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        watch = self._steps.watch
        while True:
            if watch is not None:
                watch.wakes()
            is_all = self._do_what_is_ready()
            if watch is not None:
                watch.sleeps()
            if not is_all:
                await asyncio.sleep(0)
            elif self._steps.running:
                self._wake = self._loop.create_future()
                await self._wake
                self._wake = None
            else:
                self._ready.extend((self._advance, group) for group in self._shared.split_cycles())
                if not self._ready:
                    return
                self._barriers.phases_changed()

    def _do_what_is_ready(self) -> bool:
        """Do what can be done without waiting; return whether that is all there is."""
        ready = self._ready
        for _ in range(MOST_ACTIONS):
            if ready:
                action, argument = ready.popleft()
                action(argument)
                continue
            released = self._barriers.release(nothing_else=not self._steps.running)
            if not released:
                return True
            self._start_wave(released)
        return False

    def _start_wave(self, released: Sequence[tuple[NodeGroup, Step]]) -> None:
        now: dict[DataLoader[Any, Any], None] = {}
        later: set[DataLoader[Any, Any]] = set()
        for group, step in released:
            loaders, has_asked = self._steps.begin(group, step)
            now.update(dict.fromkeys(loaders))
            if not has_asked:
                later.update(loaders)
        for loader in now:
            if loader in later or not self._loaders.is_own(loader):  # others may be about to add keys
                close_when_settled(loader)
            else:
                close_open_batch(loader, "resolver")
        self._steps.look()

    def waits(self, run: StepRun) -> None:
        """A step run waits for its values; it may bring nodes."""
        if classes := run.group.subtree.node_steps.get(run.step, ()):
            self._barriers.expect((run.group.depth, classes))

    def came(self, run: StepRun) -> None:
        """The values of a step run that waited for them are there."""
        if classes := run.group.subtree.node_steps.get(run.step, ()):
            self._barriers.came((run.group.depth, classes))

    def queue(self, action: Callable[[StepRun], None], run: StepRun) -> None:
        """Have something done for a step run, in the task that awaits ``resolve``."""
        self._ready.append((action, run))
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    # -- nodes -----------------------------------------------------------------------------------------------

    def _nodes_found(
        self, parent: NodeGroup | None, field: NodeField, found: FoundNodes, are_whole: bool = False
    ) -> None:
        """Start the nodes that were found in a field, a group for each class.

        Args:
            parent: The group whose field it is; None for the roots.
            field: The field.
            found: The nodes.
            are_whole: Whether they lack nothing that a mapping would give: they are given, or made of mappings.
        """
        items, parent_indices, kinds, has_sets = found
        if has_sets:
            self._sets.add(parent, field)
        partly_known: list[Arrival] = []
        indices_of: Mapping[type, Sequence[int]] = {}
        for kind in kinds:
            subtree = self._subtree_of(kind, parent, field, found)
            if subtree is None:
                continue
            subtree = self._scopes.narrow(subtree, parent, field)
            nodes, own_parents = items, parent_indices
            indices: Sequence[int] = range(len(items))
            if len(kinds) > 1:
                indices_of = indices_of or _by_class(items)  # not for classes below which nothing is filled
                indices = indices_of[kind]
                nodes = [items[index] for index in indices]
                own_parents = [parent_indices[index] for index in indices]
            # Where nothing is done to nodes it is of no account whether one stands there twice.
            if not (subtree.is_nothing and self._shared.is_first(kind)) and not self._shared.all_new(
                kind, nodes
            ):
                arrival = Arrival(parent, field, nodes, own_parents, indices)
                partly_known.append(arrival := self._shared.to_visit(arrival, subtree))
                _, _, nodes, own_parents, indices = arrival
            if nodes:
                self._add_group(NodeGroup(subtree, parent, field, nodes, own_parents, indices))
                if lacking := subtree.plan.unread if are_whole else subtree.plan.may_lack:
                    fill_all_blanks(kind, lacking, nodes)
        if partly_known and parent is not None:
            self._shared.put_back(parent, found, partly_known)

    def _subtree_of(
        self, kind: type, parent: NodeGroup | None, field: NodeField, found: FoundNodes
    ) -> Subtree | None:
        """What lies below a class, which below the roots may be met for the first time."""
        if parent is None:
            return self._subtrees[kind]
        try:
            return self._subtrees[kind]
        except Exception as error:  # it has mistakes
            index = next(index for index, item in enumerate(found.items) if type(item) is kind)
            self._steps.with_place(error, parent, found.parent_indices[index], field.name)
            raise

    def _add_group(self, group: NodeGroup) -> None:
        self._shared.add(group)
        parent = group.parent
        if parent is None:
            self._ready.append((self._start, group))
            return
        if group.depth > MOST_LEVELS:
            raise EndlessTreeError(
                f"{parent.plan.cls.__qualname__}.{group.field.name}: the tree is more than {MOST_LEVELS:,} levels "
                f"deep; rows that lead back to each other make a tree without end: load keys instead of rows there"
            )
        parent.add_below(group)
        if parent.gates is not None and parent.gates.hold(group):
            self._barriers.expect((parent.depth, (group.subtree.plan.cls,)))
        else:
            self._ready.append((self._start, group))

    def _start(self, group: NodeGroup) -> None:
        """Begin the steps of a group. Called by nobody but the queue: a tree may be deeper than Python's stack."""
        subtree = group.subtree
        plan = subtree.plan
        if subtree.wants_ancestors and group.parent is not None:
            self._read(group.inherit_contexts, group.parent)
        for name, otherwise in plan.left_out.items():
            fill_blanks(plan.cls, name, group.nodes, otherwise)
        if plan.post_loaders:
            self._barriers.expect_posts(group)
        if plan.steps:
            group.wait_for(len(plan.steps))
        for step in plan.first_steps:
            self._begin_or_hold(group, step)
        for field in subtree.node_fields:
            values = self._present(group, field)
            self._nodes_found(group, field, flatten(values, range(len(values)), self._subtrees))
        if group.done_one():
            self._ready.append((self._advance, group))

    def _present(self, group: NodeGroup, field: NodeField) -> Sequence[Any]:
        """What nodes hold in a field that was not loaded; each has a default of its own."""
        values = held_by(group.nodes, field.name)
        if field.default is not None:
            for index, value in enumerate(values):
                if value is field.default:
                    values[index] = own = self._copies.of_default(value)
                    object.__setattr__(group.nodes[index], field.name, own)  # no more set than it was
        return values

    def _advance(self, group: NodeGroup) -> None:
        """Everything of a phase is done: go on to the next, or tell those who wait for the group."""
        subtree = group.subtree
        plan = subtree.plan
        if group.phase is Phase.RESOLVING:
            if plan.hidden:
                drop_hidden(plan.hidden, group.nodes)
            if subtree.sends or plan.collecting:
                self._collect(group)
            if plan.posts and not self._begin_posts(group, Phase.POSTING, plan.posts):
                return
        if plan.ordered and group.phase < Phase.FINISHING:
            self._put_in_order(plan.ordered, group.nodes)
        final = plan.final_steps
        if final and group.phase < Phase.FINISHING and not self._begin_posts(group, Phase.FINISHING, final):
            return
        self._enter(group, Phase.DONE)
        if subtree.sends:
            self._read(self._collectors.send, group)
        for waiter in group.waiters:
            if waiter.done_one():
                self._ready.append((self._advance, waiter))

    def _put_in_order(self, fields: tuple[str, ...], nodes: Sequence[Any]) -> None:
        put_in_order(fields, nodes)

    def _enter(self, group: NodeGroup, phase: Phase) -> None:
        group.enter(phase)
        if group.plan.post_loaders:
            self._barriers.entered(group)

    def _read(self, read: Callable[[NodeGroup], None], group: NodeGroup) -> None:
        """Read fields of nodes, which ``model_construct`` may have left out."""
        try:
            read(group)
        except FailedAt as caught:
            failed = caught
        else:
            return
        raise self._steps.with_place(failed.take(), group, failed.index)

    def _collect(self, group: NodeGroup) -> None:
        """Give the nodes' collectors what was sent from below; all that is below is done."""
        self._collectors.receive(group)
        for step, name, collector in group.plan.collecting:
            try:
                self._collectors.fill(group, step, name, collector)
            except FailedAt as caught:
                failed = caught
            else:
                continue
            raise self._steps.with_path(failed.take(), StepRun(group, step), failed.index)

    # -- steps -----------------------------------------------------------------------------------------------

    def _begin_or_hold(self, group: NodeGroup, step: Step) -> None:
        if step.loaders:
            self._barriers.hold(group, step)
        else:
            self._steps.begin(group, step)

    def _has_all(self, group: NodeGroup, step: Step) -> bool:
        """A field that a step waits for has been filled; return whether it was the last."""
        if len(step.after) == 1:
            return True
        left = self._waiting.pop((group, step), len(step.after)) - 1
        if left:
            self._waiting[group, step] = left
        return not left

    def _begin_posts(self, group: NodeGroup, phase: Phase, posts: Sequence[Step]) -> bool:
        """Begin the posts of a phase; return whether all are done."""
        self._enter(group, phase)
        group.wait_for(1 + len(posts))
        for step in posts:
            self._begin_or_hold(group, step)
        return group.done_one()

    def finished(self, run: StepRun, values: Sequence[Any], are_whole: bool = False) -> None:
        """A step has been taken: start the nodes among its values, and what waited for it."""
        group, step = run.group, run.step
        if not step.is_post:
            subtree, name = group.subtree, step.field.name
            plan = subtree.plan
            passing = () if group.gates is None else group.gates.filled(name)
            if step in subtree.node_steps:
                if len(values) < len(group.nodes):  # null keys load nothing: what is there is walked
                    values, are_whole = self._present(group, step.field), False
                found = flatten(values, range(len(values)), self._subtrees)
                self._nodes_found(group, step.field, found, are_whole)
            for follower in plan.followers.get(name, ()):
                if self._has_all(group, follower):
                    self._begin_or_hold(group, follower)
            for below in passing:
                self._barriers.came((group.depth, (below.subtree.plan.cls,)))
                self._ready.append((self._start, below))
        if group.done_one():
            self._ready.append((self._advance, group))


def _by_class(items: Sequence[Any]) -> Mapping[type, Sequence[int]]:
    """By class, the indices of its instances."""
    found: dict[type, list[int]] = {}
    for index, item in enumerate(items):
        found.setdefault(cast(Any, type(item)), []).append(index)
    return found
