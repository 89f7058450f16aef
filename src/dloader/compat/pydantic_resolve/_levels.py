"""The walk: all ``resolve_`` methods level by level from the root down, then all ``post_`` methods from below up.

In pydantic-resolve's order: on a level, the methods of one node before those of the next, and each node's by name.
What is there at once is written before the next method is called.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

from pydantic import BaseModel

from dloader.compat.pydantic_resolve._bound import BoundPlan, BoundStep, Visit
from dloader.compat.pydantic_resolve._calls import Calls, Job, Rules
from dloader.compat.pydantic_resolve._collecting import Collecting
from dloader.compat.pydantic_resolve._mapper import all_awaited
from dloader.compat.pydantic_resolve._plan import Step
from dloader.compat.pydantic_resolve._profile import Profile, Timer
from dloader.compat.pydantic_resolve._scan import Scan

__all__ = ("Levels",)


class Levels:
    """One resolve of one tree.

    Args:
        scan: What is to be done for the classes of the tree.
        context: The resolver's.
        rules: What holds for all methods.
        profile: Where to note how long nodes took, if anybody asks.
    """

    def __init__(
        self, scan: Scan, context: Mapping[str, Any] | None, rules: Rules, profile: Profile | None
    ) -> None:
        self._scan = scan
        self._context = context
        self._profile = profile
        self._rules = rules if profile is None else rules._replace(timer=self._timer)
        self._collecting = Collecting()
        self._bound: dict[type, BoundPlan | None] = {}
        """By class; None for what is no node, or one for which nothing is to be done."""
        self._levels: list[list[Visit]] = []
        self._paths: dict[int, str] = {}
        """By the id of a node, the names of the classes from the root down; if there is a profile."""

    async def fill(self, root: Any) -> None:
        """Fill a tree: a node, or a list or tuple of nodes."""
        level: list[Visit] = []
        self._find(root, None, {}, level)
        while level:
            self._levels.append(level)
            level = await self._resolve(level)
            if (
                len(level) > 100 or len(self._levels) % 8 == 0
            ):  # others get their turn, also in a tree that waits for nothing
                await asyncio.sleep(0)
        if self._scan.collects:
            self._collecting.prepare(self._levels)
        for depth in reversed(range(len(self._levels))):
            await self._post(depth)

    # -- down ------------------------------------------------------------------------------------------------

    async def _resolve(self, level: Sequence[Visit]) -> list[Visit]:
        """Call the ``resolve_`` methods of a level; return the nodes below."""
        jobs: list[Job] = [(visit, step) for visit in level for step in visit[1].steps]
        # What a field holds is read before any method of the level may put something else there.
        held = [
            (visit, [getattr(visit[0], name) for name in visit[1].plan.walked])
            for visit in level
            if visit[1].plan.walked
        ]
        values = await Calls(jobs, self._rules).run() if jobs else []
        found: list[Visit] = []
        for (visit, step), value in zip(jobs, values, strict=True):
            above = _seen_from_below(visit)
            if step.brings_nodes:
                self._find(value, visit[0], above, found)
        for visit, in_fields in held:
            above = _seen_from_below(visit)
            for value in in_fields:
                self._find(value, visit[0], above, found)
        return found

    def _find(self, value: Any, parent: Any, above: Mapping[str, Any], found: list[Visit]) -> None:
        """Add the nodes in a value, which may be one, or a list or tuple of them, to those found."""
        bound = self._bound
        items = cast(Sequence[Any], value if isinstance(value, (list, tuple)) else (value,))
        for item in items:
            kind: type = type(item)  # pyright: ignore[reportUnknownVariableType]
            plan = bound[kind] if kind in bound else self._bind(kind)
            if plan is not None:
                found.append(Visit(item, plan, parent, above))
                if self._profile is not None:
                    path = self._paths.get(id(parent))
                    self._paths[id(item)] = f"{path}.{kind.__name__}" if path else kind.__name__

    def _bind(self, kind: type) -> BoundPlan | None:
        plan = None
        if issubclass(kind, BaseModel):
            plan = self._scan.plans.get(kind)
            if plan is None:
                raise KeyError(
                    f"{kind.__module__}.{kind.__qualname__}: a node of a class that no field names; name it in the "
                    f"field's type, or in Resolver(annotation=...)"
                )
        is_met = plan is not None and (self._profile is not None or not plan.is_idle)
        self._bound[kind] = bound = BoundPlan(plan, self._bind_step) if plan is not None and is_met else None
        return bound

    def _bind_step(self, step: Step) -> BoundStep:
        return BoundStep(step, self._context, self._rules.loaders, self._collecting.of)

    # -- up --------------------------------------------------------------------------------------------------

    async def _post(self, depth: int) -> None:
        """Call the ``post_`` methods of a level, then what comes last for each node; then send what is sent up."""
        level = self._levels[depth]
        since = time.perf_counter()
        jobs: list[Job] = [(visit, step) for visit in level for step in visit[1].posts]
        if jobs:
            await Calls(jobs, self._rules._replace(hooks=(), ensures_type=False, timer=None)).run()
        for visit in level:
            if visit[1].final is not None:
                await all_awaited(visit[1].final.call(visit)[0])
        if self._profile is not None:
            for visit in level:
                self._timer(visit).add(since)
        if self._scan.collects:
            self._collecting.send(depth, level)

    def _timer(self, visit: Visit) -> Timer:
        assert self._profile is not None  # noqa: S101 - nobody asks without
        return self._profile.timer(self._paths[id(visit[0])])


def _seen_from_below(visit: Visit) -> Mapping[str, Any]:
    """What nodes below a node see of it and those above, as it is now.

    Raises:
        AttributeError: A field that is to be exposed is not there.
    """
    exposes = visit[1].plan.exposes
    if not exposes:
        return visit[3]
    above = dict(visit[3])
    for field, alias in exposes.items():
        try:
            above[alias] = getattr(visit[0], field)
        except AttributeError as error:
            raise AttributeError(f"{field} does not exist: {type(visit[0]).__name__} exposes it") from error
    return above
