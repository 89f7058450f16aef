"""Fills a tree and goes on after failures; nodes that failed are taken out of it from below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dloader.resolver._containers import FoundNodes, flatten
from dloader.resolver._fields import held_by
from dloader.resolver._loaders import ResolveLoaders
from dloader.resolver._plan._plan import Phase
from dloader.resolver._plan._subtrees import Subtrees
from dloader.resolver._run._engine import Engine
from dloader.resolver._run._failures import Failures
from dloader.resolver._run._group import NodeGroup
from dloader.resolver._run._partial_steps import PartialSteps
from dloader.resolver._run._scopes import Scopes
from dloader.resolver._run._sets import FoundSets
from dloader.resolver._run._step_run import StepRun
from dloader.resolver._run._watch import ResolveWatch

__all__ = ("PartialEngine",)


class PartialEngine(Engine):
    """One ``resolve`` of one tree that goes on after failures: all that fails is told to `failures`."""

    def __init__(
        self,
        failures: Failures,
        root: object,
        roots: FoundNodes,
        loaders: ResolveLoaders,
        context: Mapping[str, Any] | None,
        subtrees: Subtrees,
        scopes: Scopes,
        watch: ResolveWatch | None = None,
    ) -> None:
        super().__init__(root, roots, loaders, context, subtrees, scopes, watch)
        self._failures = failures
        given = (root, loaders, context, self._collectors, self._copies, self, watch)
        self._steps: PartialSteps = PartialSteps(*given, failures=failures)
        self._sets = PartialSets(root, failures)

    async def _work(self) -> None:
        await super()._work()
        # Who stands in a circle, or found itself above, may have been done before what it holds failed.
        while sum(len(self._failures.settle(group, at_end=True)) for group in self._shared.groups):
            pass

    def _start(self, group: NodeGroup) -> None:
        self._failures.bury(group)
        super()._start(group)

    def _advance(self, group: NodeGroup) -> None:
        if group.phase is Phase.RESOLVING and self._failures.any and not self._settle(group):
            return
        super()._advance(group)
        if group.phase is Phase.DONE and group.subtree.sends:
            self._collectors.forget(group, self._failures.failed_among(group))

    def _settle(self, group: NodeGroup) -> bool:
        """See to it that a group holds no nodes that failed; return whether it can go on."""
        for field, indices in self._failures.settle(group):
            self._forget_below(group, field.name, frozenset(indices))
            values = held_by([group.nodes[index] for index in indices], field.name)
            self._nodes_found(group, field, flatten(values, indices, self._subtrees))
        return not group.waits_for

    def _put_in_order(self, fields: tuple[str, ...], nodes: Sequence[Any]) -> None:
        if not self._failures.any:
            super()._put_in_order(fields, nodes)
            return
        for node in nodes:  # some were filled in another order than others
            super()._put_in_order(fields, (node,))

    def _forget_below(self, group: NodeGroup, name: str, lost: frozenset[int]) -> None:
        """What nodes have sent that are in the tree no more is not there."""
        for below in group.below:
            if below.field.name == name:
                indices = [index for index, parent in enumerate(below.parent_indices) if parent in lost]
                self._collectors.forget(below, indices)

    def _collect(self, group: NodeGroup) -> None:
        self._collectors.receive(group)
        for step, name, collector in group.plan.collecting:
            for failed in self._collectors.fill_each(group, step, name, collector):
                self._steps.fail(StepRun(group, step), failed.index, failed.error)


class PartialSets(FoundSets):
    """See `FoundSets`; a set that cannot be rehashed is a failure of its field."""

    __slots__ = ("_failures",)

    def __init__(self, root: object, failures: Failures) -> None:
        super().__init__(root)
        self._failures = failures

    def rehash(self) -> None:
        """See `FoundSets.rehash`."""
        for group, index, name, error in self.errors():
            self._failures.log.add_set(group, index, name, error)
