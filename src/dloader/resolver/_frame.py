"""Frames: the nodes of one class that arrived together, and how far they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from dloader.resolver._graph import Outlook
from dloader.resolver._markers import ICollector
from dloader.resolver._plan import Phase, Step
from dloader.resolver._walk import locate

__all__ = ("Column", "Frame", "Sent", "path_of")


class Frame:
    """Nodes of one class, at one depth, from one field of one parent frame; lives as long as the resolve."""

    # What few frames need has its first value here: a frame of one node costs what its making costs.
    phase = Phase.RESOLVING
    pending = 1
    """What must be done before the next phase: steps, frames below, shared nodes elsewhere; 1 while starting."""
    after_steps: Sequence[Callable[[], None]] = ()
    """What is to be done when all steps are taken."""
    after_exposed: Sequence[Callable[[], None]] = ()
    links: Sequence[tuple[int, Any]] = ()
    """Nodes of other frames that are held here too, and the index of the node that holds them."""
    contexts: Sequence[Mapping[str, Any]] = ()
    """``ancestor_context`` of each node, if the class or one below takes it."""
    exposed: Sequence[Mapping[str, Any]] | None = None
    collectors: Mapping[tuple[Step, str], list[ICollector]] = {}
    """By post and parameter: for each node, a collector of its own."""
    arrived: Mapping[str, Sent] = {}
    """What was sent from below, by name."""
    sent: Mapping[str, Sent] = {}
    """What is sent up once the frame is done."""

    def __init__(
        self,
        outlook: Outlook,
        nodes: Sequence[Any],
        parent: Frame | None,
        field: str,
        owners: Sequence[int],
        places: Sequence[int] = (),
    ) -> None:
        self.outlook = outlook
        self.plan = plan = outlook.plan
        self.nodes = nodes
        self.every = range(len(nodes))
        """The places of all nodes among the nodes."""
        self.parent = parent
        self.field = field
        """The field of the parent's class that holds these nodes."""
        self.owners = owners
        """For each node, the index of its parent node in the parent frame."""
        self.places = places
        """For each node, its place among all that the field holds, whatever class it has."""
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.steps_left = len(plan.steps)
        self.unexposed = len(plan.exposing)
        """How many steps still have to fill a field that nodes below will see."""
        self.waiters: list[Frame] = []
        """Frames that hold nodes of this one: the parent, and others if nodes are shared."""
        self.below: list[Frame] = []

    def contexts_below(self) -> Sequence[Mapping[str, Any]]:
        """``ancestor_context`` for the children of each node: what is exposed above, and by the node itself."""
        exposes = self.plan.exposes
        empty: Mapping[str, Any] = {}
        contexts = self.contexts or [empty] * len(self.nodes)
        if not exposes:
            return contexts
        if self.exposed is None:
            self.exposed = [
                {**context, **{alias: getattr(node, name) for name, alias in exposes}}
                for node, context in zip(self.nodes, contexts, strict=True)
            ]
        return self.exposed


class Sent(NamedTuple):
    """What the nodes of a frame send to one name."""

    values: list[Any]
    """Of all nodes, one node after the other."""
    ends: Sequence[int]
    """For each node, where its values end and those of the next one begin."""

    def by_node(self) -> Iterator[list[Any]]:
        """The values of each node."""
        values, ends = self
        return (values[start:end] for start, end in pairwise((0, *ends)))


class Column:
    """One step at work on the nodes of a frame: its values, some of which are still awaited."""

    values: Any = ()
    left = 0
    """How many batches, tasks and futures are not done."""
    queued = False
    """Whether the engine has been told to go on with it."""
    keys: Sequence[Any] | None = None
    """Of each node, where some have the same: the values are then those of the distinct keys."""

    def __init__(self, frame: Frame, step: Step, positions: Sequence[int]) -> None:
        self.frame = frame
        self.step = step
        self.positions = positions
        """Which nodes of the frame the values are for."""

    @property
    def nodes(self) -> Sequence[Any]:
        """The nodes that the values are for."""
        nodes, positions = self.frame.nodes, self.positions
        return nodes if positions is self.frame.every else [nodes[position] for position in positions]


def path_of(frame: Frame, index: int, root: object) -> str:
    """Where a node is, seen from the root: ``Company[2].offices[0]``. Searched for only when something fails."""
    path = ""
    while frame.parent is not None:
        node, parent = frame.nodes[index], frame.parent
        index = frame.owners[index]
        place = locate(getattr(parent.nodes[index], frame.field), node)
        path = f".{frame.field}{place or ''}{path}"
        frame = parent
    return f"{type(frame.nodes[index]).__name__}{locate(root, frame.nodes[index]) or ''}{path}"
