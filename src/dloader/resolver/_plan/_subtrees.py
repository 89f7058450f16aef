"""What one resolve knows of the classes of its nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from dloader.resolver._plan._model_graph import ModelGraph, Subtree

__all__ = ("Subtrees",)


class Subtrees(dict[type, Subtree | None]):
    """By class, what lies below the nodes that one resolve meets; None for what is not visited.

    Args:
        graph: Whose they are.
        admit: Checks a class that turns up, and tells what lies below it; None for a class that is not of nodes.
        accepted: What lies below the roots, and below classes that turned up.
        share: Whether nodes may share what is made of one row.
    """

    def __init__(
        self,
        graph: ModelGraph,
        admit: Callable[[type], Subtree | None],
        accepted: Sequence[Subtree],
        share: bool,
    ) -> None:
        super().__init__()
        self.graph = graph
        self._admit = admit
        self._accepted = accepted
        self._share = share
        self._sharing: dict[type, bool] = {}
        """What `shares` has answered; forgotten when a class turns up."""
        for subtree in accepted:
            self[subtree.plan.cls] = None if subtree.is_idle else subtree

    def __missing__(self, kind: type) -> Subtree | None:
        subtree = self._admit(kind)
        self._sharing = {}
        self[kind] = found = None if subtree is None or subtree.is_idle else subtree
        return found

    def arrives_together(self, roots: Iterable[type]) -> frozenset[type]:
        """The classes whose nodes arrive all together; unknown where there are roots of several classes."""
        subtrees = [subtree for kind in roots if (subtree := self[kind])]
        return subtrees[0].arrives_together if len(subtrees) == 1 else frozenset()

    def collects(self, name: str) -> bool:
        """Whether a collector, of any class in the tree, collects what is sent to a name."""
        return any(name in subtree.collected for subtree in self._accepted)

    def shares(self, cls: type) -> bool:
        """Whether nodes of a class may share what is made of one row: no method can write into it."""
        shares = self._sharing.get(cls)
        if shares is None:
            written = (subtree.written for subtree in self._accepted)
            shares = self._share and not any(cls in some or object in some for some in written)
            self._sharing[cls] = shares
        return shares
