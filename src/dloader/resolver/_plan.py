"""Plans: what is to be done with the nodes of a class. Pure data; `_compile` makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from typing import Any

from dloader.resolver._markers import ICollector, Load

__all__ = ("Child", "Method", "Phase", "Plan", "Step")


class Phase(IntEnum):
    """Where nodes stand, and when a step is taken."""

    RESOLVING = 0
    POSTING = 1
    FINISHING = 2
    DONE = 3


@dataclass(frozen=True)
class Method:
    """A ``resolve_`` or ``post_`` method and what it wants to be called with."""

    name: str
    function: Callable[..., Any]
    is_async: bool
    mapper: Any
    loaders: tuple[tuple[str, object], ...]
    """Parameter and loader class, batch function or loader."""
    collectors: tuple[tuple[str, ICollector], ...]
    special: frozenset[str]
    """Which of ``context``, ``parent`` and ``ancestor_context`` it takes."""
    may_take_context: bool = False
    """Whether ``context`` has a default, for resolvers without one."""
    order: tuple[str, ...] = ()
    """The parameters that may be given by position, without ``self``."""

    @cached_property
    def takes_context(self) -> bool:
        """Whether it takes ``context``, where there is one or in any case."""
        return self.may_take_context or "context" in self.special

    @cached_property
    def per_node(self) -> bool:
        """Whether its arguments differ from node to node."""
        return bool(self.collectors or self.special - {"context"})


@dataclass(frozen=True, slots=True)
class Child:
    """A field that may hold nodes."""

    name: str
    classes: tuple[type, ...]
    unknown: bool
    """Whether it may hold classes that its type does not name."""
    is_shareable: bool = False
    """Whether it holds nodes, or one list, set or dict of nodes, and nothing else."""


@dataclass(frozen=True, eq=False)
class Step:
    """One field of one class that is filled: by a method or declaratively."""

    child: Child
    loaders: tuple[object, ...]
    method: Method | None = None
    load: Load | None = None
    phase: Phase = Phase.RESOLVING
    after: str | None = None
    """The field that must be filled first: it holds the key."""

    @cached_property
    def is_post(self) -> bool:
        """Whether the step is taken after the subtree is done."""
        return self.phase is not Phase.RESOLVING

    @property
    def label(self) -> str:
        """The field's name, or the method's that fills none."""
        return self.child.name


@dataclass(eq=False)
class Plan:
    """What is to be done with the nodes of one class; immutable once compiled, kept while the class lives."""

    cls: type
    steps: tuple[Step, ...] = ()
    posts: tuple[Step, ...] = ()
    final: Step | None = None
    """``post_default_handler``."""
    children: tuple[Child, ...] = ()
    """Fields that are not filled by a step and may hold nodes."""
    exposes: tuple[tuple[str, str], ...] = ()
    sends: tuple[tuple[str | tuple[str, ...], str], ...] = ()
    problems: list[str] = field(default_factory=list[str])
    columns: dict[Step, Any] = field(default_factory=dict[Step, Any])
    """By step, how values are converted and written; made by the engine when a step is first taken."""

    @property
    def has_work(self) -> bool:
        """Whether the class itself declares anything."""
        return bool(self.steps or self.posts or self.final or self.sends or self.exposes)

    @cached_property
    def final_steps(self) -> tuple[Step, ...]:
        """``post_default_handler`` if there is one."""
        return () if self.final is None else (self.final,)

    @cached_property
    def first_steps(self) -> tuple[Step, ...]:
        """The steps that wait for no other."""
        return tuple(step for step in self.steps if step.after is None)

    @cached_property
    def followers(self) -> Mapping[str, Sequence[Step]]:
        """By field, the steps that wait for it."""
        fields = {step.after for step in self.steps if step.after is not None}
        return {name: [step for step in self.steps if step.after == name] for name in fields}

    @cached_property
    def exposing(self) -> frozenset[str]:
        """The fields that steps fill and nodes below will see."""
        return frozenset(step.child.name for step in self.steps) & {name for name, _ in self.exposes}

    @cached_property
    def collecting(self) -> Sequence[tuple[Step, str, ICollector]]:
        """The parameters of posts that take collectors."""
        posts = (*self.posts, *self.final_steps)
        return [(step, *taken) for step in posts if step.method for taken in step.method.collectors]

    @cached_property
    def lanes_of_posts(self) -> frozenset[tuple[object, Phase]]:
        """The loaders that posts use, and the phases they use them in."""
        posts = (*self.posts, *self.final_steps)
        return frozenset((loader, step.phase) for step in posts for loader in step.loaders)

    @property
    def all_steps(self) -> tuple[Step, ...]:
        """The steps of all phases."""
        return (*self.steps, *self.posts, *self.final_steps)

    @property
    def methods(self) -> Iterable[Method]:
        """All methods of the plan."""
        for step in self.all_steps:
            if step.method is not None:
                yield step.method

    def wants(self, special: str) -> bool:
        """Whether a method takes ``context``, ``parent`` or ``ancestor_context``."""
        return any(special in method.special for method in self.methods)
