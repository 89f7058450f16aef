"""Resolver cases at the edges: nothing to do, next to nothing, very deep, very wide."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from benchmarks.harness.case import Case, Settings, Target, Way
from benchmarks.peers.libraries import DLOADER, pydantic_resolve
from benchmarks.suites.resolver import by_hand as hand, data, nodes
from benchmarks.suites.resolver.ways import HAND, PEER, SYNC, Prepare, compared, outcome, roots

DEEP = 200
"""pydantic-resolve's recursion ends not far below."""


def cases(settings: Settings) -> Iterator[Case]:
    """Each edge."""
    depth = min(settings.nodes, DEEP)
    yield _nothing(settings)
    yield _small(settings)
    yield _deep(settings, depth)
    yield _loading_chain(settings, depth)
    yield compared(
        "a wide root",
        settings,
        settings.nodes + 1,
        nodes.wide,
        hand.Root,
        hand.fill_wide,
        lambda model: lambda: model(id=settings.nodes),
    )


def _nothing(settings: Settings) -> Case:
    """Classes in which there is nothing to do are not visited, however many nodes there are."""
    prepare = roots(hand.Company, partial(data.nested, settings.nodes))
    times = 20
    ways = [Way(SYNC, DLOADER.resolve, prepare, times=times)]
    if peer := pydantic_resolve():
        ways.append(Way(PEER, peer.resolve, prepare, times=times))
    ways.append(Way(HAND, hand.nothing, prepare, times=times))
    targets = [Target(SYNC, (PEER,), 0.2)] if peer else []
    name = f"nothing to do in {data.size_of(settings.nodes):,} nodes"
    return Case("resolver", name, 1, "tree", ways, targets, outcome)


def _small(settings: Settings) -> Case:
    """What a resolve costs by itself: one node with one load."""
    few = replace(settings, nodes=max(1, settings.nodes // 50))
    prepare = partial(roots, rows=lambda: [{"id": 1, "owner_id": 1_000_000}])
    return compared("one node", few, 1, nodes.task, hand.Task, hand.fill_owners, prepare, unit="resolve")


def _deep(settings: Settings, depth: int) -> Case:
    """Every node holds the next."""

    def chain(model: Any) -> Prepare:
        def prepare() -> Any:
            link = None
            for id in range(depth, 0, -1):
                link = model(id=id, child=link)
            return link

        return prepare

    case = compared(f"a chain {depth} deep", settings, depth, nodes.chain, hand.Link, hand.fill_chain, chain)
    return replace(case, outcome=_links)


def _loading_chain(settings: Settings, depth: int) -> Case:
    """Every node loads the next: a level is a batch and a wait."""
    case = compared(
        f"a chain of {depth} loads",
        replace(settings, nodes=settings.nodes // 10),
        depth,
        nodes.loading_chain,
        hand.Step,
        hand.fill_steps,
        lambda model: lambda: model(id=depth),
        unit="level",
    )
    return replace(case, outcome=_steps)


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
