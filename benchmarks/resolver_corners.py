"""Resolver shapes at the edges: nothing to do, next to nothing, very deep, very wide."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from benchmarks import resolver_data as data, resolver_hand as hand, resolver_nodes as nodes
from benchmarks.libraries import DLOADER, pydantic_resolve
from benchmarks.resolver_contest import HAND, PEER, SYNC, Prepare, contest, outcome, roots
from benchmarks.shape import Contestant, Settings, Shape, Target

__all__ = ("shapes",)

DEEP = 200
"""pydantic-resolve's recursion ends not far below."""


def shapes(settings: Settings) -> Iterator[Shape]:
    """Each edge."""
    depth = min(settings.nodes, DEEP)
    yield _nothing(settings)
    yield _small(settings)
    yield _deep(settings, depth)
    yield _loading_chain(settings, depth)
    yield contest(
        "a wide root",
        settings,
        settings.nodes + 1,
        nodes.wide,
        hand.Root,
        hand.fill_wide,
        lambda model: lambda: model(id=settings.nodes),
    )


def _nothing(settings: Settings) -> Shape:
    """Classes in which there is nothing to do are not visited, however many nodes there are."""
    prepare = roots(hand.Company, partial(data.nested, settings.nodes))
    times = 20
    contestants = [Contestant(SYNC, DLOADER.resolve, prepare, times=times)]
    if peer := pydantic_resolve():
        contestants.append(Contestant(PEER, peer.resolve, prepare, times=times))
    contestants.append(Contestant(HAND, hand.nothing, prepare, times=times))
    targets = [Target(SYNC, (PEER,), 0.2)] if peer else []
    name = f"nothing to do in {data.size_of(settings.nodes):,} nodes"
    return Shape("resolver", name, 1, "tree", contestants, targets, outcome)


def _small(settings: Settings) -> Shape:
    """What a resolve costs by itself: one node with one load."""
    few = replace(settings, nodes=max(1, settings.nodes // 50))
    prepare = partial(roots, rows=lambda: [{"id": 1, "owner_id": 1_000_000}])
    return contest("one node", few, 1, nodes.task, hand.Task, hand.fill_owners, prepare, unit="resolve")


def _deep(settings: Settings, depth: int) -> Shape:
    """Every node holds the next."""

    def chain(model: Any) -> Prepare:
        def prepare() -> Any:
            link = None
            for id in range(depth, 0, -1):
                link = model(id=id, child=link)
            return link

        return prepare

    shape = contest(f"a chain {depth} deep", settings, depth, nodes.chain, hand.Link, hand.fill_chain, chain)
    return replace(shape, outcome=_links)


def _loading_chain(settings: Settings, depth: int) -> Shape:
    """Every node loads the next: a level is a batch and a wait."""
    shape = contest(
        f"a chain of {depth} loads",
        replace(settings, nodes=settings.nodes // 10),
        depth,
        nodes.loading_chain,
        hand.Step,
        hand.fill_steps,
        lambda model: lambda: model(id=depth),
        unit="level",
    )
    return replace(shape, outcome=_steps)


def _links(link: Any) -> list[tuple[Any, ...]]:
    """A chain is too deep for Pydantic to dump."""
    found = []
    while link is not None:
        found.append((link.id, link.label, link.height))
        link = link.child
    return found


def _steps(step: Any) -> list[int]:
    found = []
    while step is not None:
        found.append(step.id)
        step = step.next
    return found
