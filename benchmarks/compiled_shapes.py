"""The shapes in which the compiled package is measured beside the one that it was made from."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import (
    loader_floors as floors,
    loader_ways as ways,
    report,
    resolver_data as data,
    resolver_hand as hand,
    resolver_nodes as nodes,
    resolver_trees as trees,
)
from benchmarks.compiling import MINIMAL, NAME, Compiled
from benchmarks.harness import measure, modes
from benchmarks.libraries import DLOADER, Library
from benchmarks.machine import machine
from benchmarks.resolver_contest import outcome, roots
from benchmarks.results import record
from benchmarks.shape import Contestant, Settings, Shape, Target

__all__ = ("contest",)

PURE, COMPILED, FEWEST, HAND = "dloader", "dloader, compiled", "a minimal loader in Cython", "by hand"
N = 10_000


def contest(seconds: float, file: Path | None, compiled: Compiled) -> None:
    """Measure all shapes, and print what compiling brings."""
    for module in compiled.modules:
        _check(module)
    settings = replace(Settings(), budget=seconds)
    records = [record(measure(shape, settings, modes())) for shape in (*_loading(), *_resolving())]
    for one in records:
        print(report.table(one))
    print(f"\n{report.machine_line(machine())}")
    if file is not None:
        text = json.dumps({"machine": machine(), **asdict(compiled), "shapes": records}, indent=1)
        file.write_text(text + "\n", encoding="utf-8")


def _check(module: str) -> None:
    """See that it is the compiled module that is measured."""
    name = MINIMAL if module == MINIMAL else f"{NAME}.{module}"
    file = str(importlib.import_module(name).__file__)
    if file.endswith(".py"):
        raise ImportError(f"{name} was compiled, but {file} is what is imported")


def _loading() -> Iterator[Shape]:
    keys = [1_000_000 + number for number in range(N)]
    packages = {
        PURE: importlib.import_module("dloader"),
        COMPILED: importlib.import_module(NAME),
        FEWEST: importlib.import_module(MINIMAL),
    }
    repeated, few = keys[:100] * 200, keys[:1000]

    def shape(name: str, ask: ways.Ask, given: list[int], floor: Any) -> Shape:
        def contestant(package: Any) -> Any:
            async def run(keys: list[int]) -> Any:
                return await ask(package.DataLoader(ways.fetch), keys)

            return run

        found = [
            Contestant(name, contestant(package), lambda: list(given))
            for name, package in packages.items()
            if name != FEWEST or ask is not ways.as_a_set
        ]
        found.append(Contestant("floor", floor, lambda: list(given)))
        return Shape("compiled", name, len(given), "load", found, [Target(COMPILED, (PURE,), 1.0)])

    async def hits(make: Any, keys: list[int]) -> Any:
        return await ways.warmed(ways.as_a_set, ways.gathered)(make(), keys)

    yield shape("gather of loads", ways.gathered, keys, floors.bare_futures)
    yield shape("load_many", ways.as_a_set, keys, floors.one_dict)
    yield shape("duplicates", ways.gathered, repeated, floors.few_bare_futures)
    yield shape(
        "cached hits, gathered, after load",
        ways.warmed(ways.gathered, ways.gathered),
        keys,
        partial(hits, floors.SharedFutures),
    )
    yield shape("sequential loads", ways.one_after_another, few, floors.bare_futures_in_turn)


def _resolving() -> Iterator[Shape]:
    packages = {PURE: DLOADER, COMPILED: _library()}
    companies = partial(data.companies, N)

    def shape(name: str, units: int, model: Any, plain: Any, fill: Any, rows: Any) -> Shape:
        found = [Contestant(name, lib.resolve, roots(model(lib), rows)) for name, lib in packages.items()]
        found.append(Contestant(HAND, fill, roots(plain, rows)))
        return Shape("compiled", name, units, "node", found, [Target(COMPILED, (PURE,), 1.0)], outcome)

    def tasks() -> list[dict[str, int]]:
        return [{"id": id, "owner_id": 1_000_000 + id} for id in range(N)]

    yield shape("three levels", data.size_of(N), trees.tree, hand.Company, hand.fill_tree, companies)
    yield shape("owners", N, nodes.task, hand.Task, hand.fill_owners, tasks)
    yield shape("sync methods", N, nodes.labelled, hand.Labelled, hand.fill_labels, tasks)


def _library() -> Library:
    core, resolver = importlib.import_module(NAME), importlib.import_module(f"{NAME}.resolver")
    return Library(
        COMPILED, resolver.Resolver, resolver.LoaderDepend, core.DataLoader,
        resolver.build_list, resolver.build_object, resolver.Collector, resolver.SendTo,
    )  # fmt: skip
