"""How cost grows: from cases that come in several sizes, and from what is paid once per batch, level or resolve."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from benchmarks.harness.case import kind_of
from benchmarks.harness.results import Record, WayRecord
from benchmarks.report.chart import MODE
from benchmarks.report.table import micros

WITHOUT_GC = MODE.replace("on", "off")
SIZE = re.compile(r"[\d,]*\d")

ONCE = {
    "a batch of one, beside others": "batches of one",
    "a batch of one, alone": "sequential loads",
    "a loader": "making a loader",
    "a loader and one load": "making a loader, for one load",
    "a level of a tree": "a chain of ",
    "a resolve, of one node with one load": "one node",
    "a resolve that has nothing to do": "nothing to do",
}
"""What is paid once, and (the beginning of the name of) the case that shows it."""


def by_size(records: Sequence[Record]) -> Iterator[list[str]]:
    """A row per way of the cases that come in sizes: least microseconds per unit, gc off and on."""
    series: dict[str, dict[int, str]] = {}
    for record in records:
        for name, one in record["ways"].items():
            if record["case"].endswith(", by size"):
                who, _, what = name.rpartition(", ")
                _add(series, f"per node: {who}", what, one)
            elif record["case"].startswith(("gather of ", "load_many of ")) and kind_of(name) != "peer":
                _add(
                    series,
                    f"per {record['unit']}, {record['case'].split()[0]}: {name}",
                    record["case"],
                    one,
                )
    sizes = sorted({size for cells in series.values() for size in cells})
    yield ["", *(f"{size:,}" for size in sizes)]
    for name in sorted(series, key=lambda name: name.partition(":")[0]):
        yield [name, *(series[name].get(size, "") for size in sizes)]


def _add(series: dict[str, dict[int, str]], row: str, text: str, one: WayRecord) -> None:
    if (found := SIZE.search(text)) is None:  # the case that is no part of a series
        return
    chosen = [one["modes"][mode]["least"] for mode in (WITHOUT_GC, MODE) if mode in one["modes"]]
    cell = " / ".join(micros(one, seconds) for seconds in chosen)
    series.setdefault(row, {})[int(found[0].replace(",", ""))] = cell


def once(records: Sequence[Record]) -> Iterator[list[str]]:
    """What is paid once: least microseconds of dloader, of the quickest peer, and of the floor."""
    yield ["once per", "dloader", "quickest peer", "floor, or by hand"]
    for what, beginning in ONCE.items():
        for record in records:
            if record["case"] == beginning or _begins(record, beginning):
                yield [what, *(_least(record, kind) for kind in ("dloader", "peer", "hand"))]
                break


def _begins(record: Record, beginning: str) -> bool:
    """Names with a number in them; of the two chains it is the one of loads."""
    return record["case"].startswith(beginning) and record["unit"] in ("level", "tree")


def _least(record: Record, kind: str) -> str:
    """The first of ours, as it comes without options; the quickest of the others."""
    found = [
        (one, one["modes"][MODE]["least"]) for name, one in record["ways"].items() if kind_of(name) == kind
    ]
    if not found:
        return ""
    one, seconds = found[0] if kind == "dloader" else min(found, key=lambda pair: pair[1])
    return micros(one, seconds)
