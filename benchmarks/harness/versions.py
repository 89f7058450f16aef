"""Two checkouts on one machine in one run: what did a change do to dloader's own ways of every case?

Each checkout has a process of its own; the two take turns, run by run, and which of them begins changes with every
round. There are several sittings, each with new processes that begin with something random in their memory, and in
every second one the other is started first: how the objects of a process happen to lie there was seen to be worth
ten percent of a case, in all rounds alike. Compared are CPU seconds where a way has them, as other programs add to
the clock's seconds; of the latency cases it is the clock's.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.harness.comparison import chosen_modes, minutes
from benchmarks.harness.measure import Mode

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "benchmarks" / "run.py"
SITTINGS = 6
MOST_ROUNDS = 20
"""Of one way in one sitting."""
ALLOWED = 0.02


class Worker:
    """The process of one checkout."""

    def __init__(self, folder: Path | None, options: argparse.Namespace) -> None:
        size = ["--quick"] * options.quick + ["--smoke"] * options.smoke
        only = [word for part in options.only or () for word in ("--only", part)]
        source = [] if folder is None else ["--src", str(folder)]
        self._process = subprocess.Popen(
            [sys.executable, str(RUN), "--here", "--serve", *source, *size, *only],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": str(random.randrange(2**32))},
        )
        self._name = "this checkout" if folder is None else str(folder)

    def answer(self) -> Any:
        """What the worker says next."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        return (
            json.loads(line)
            if line
            else sys.exit(f"the dloader of {self._folder or 'this checkout'} cannot be measured")
        )

    def ask(self, order: Any) -> Any:
        """Send an order, and wait for the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self.answer()

    def end(self) -> None:
        """No more orders."""
        self._process.communicate()


@dataclass(slots=True)
class Pairs:
    """Seconds before and after, of one way in one mode and sitting; the same place is the same round."""

    before: list[float] = field(default_factory=list)
    after: list[float] = field(default_factory=list)

    def paired(self) -> float:
        """The median of the ratios of each round."""
        return statistics.median(
            after / before for before, after in zip(self.before, self.after, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Ratio:
    """After / before."""

    least: float
    """Of the least seconds of all sittings, to which other programs cannot have added."""
    chance: float
    """Twice the standard error of the same by sitting: how far processes that are alike were apart."""
    paired: float
    """The mean over the sittings of the median over their rounds."""

    @classmethod
    def of(cls, sittings: Sequence[Sequence[Pairs]]) -> Ratio:
        """Some modes of all sittings."""
        by_sitting = [_least([sitting]) for sitting in sittings]
        error = statistics.stdev(by_sitting) / math.sqrt(len(by_sitting)) if by_sitting[1:] else math.inf
        paired = statistics.mean(math.log(pairs.paired()) for modes in sittings for pairs in modes)
        return cls(math.exp(_least(sittings)), 2 * error, math.exp(paired))

    def is_slower(self) -> bool:
        """By more than is allowed and by more than chance, and not against what the rounds say."""
        return self.least > 1 + max(ALLOWED, self.chance) and self.paired > 1

    def __str__(self) -> str:
        return f"{self.least:.3f}{'!' if self.is_slower() else ' '}({self.paired:.3f})"


def _least(sittings: Sequence[Sequence[Pairs]]) -> float:
    """The logarithm of the ratio of the least seconds, the mean of some modes."""
    return statistics.mean(
        math.log(min(min(pairs.after) for pairs in mode) / min(min(pairs.before) for pairs in mode))
        for mode in zip(*sittings, strict=True)
    )


@dataclass(slots=True)
class Row:
    """One way of one case: its pairs by mode, a dict of them for each sitting."""

    case: str
    way: str
    sittings: list[dict[Mode, Pairs]] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.case}, {self.way}"

    @property
    def ratio(self) -> Ratio:
        """Over all modes."""
        return Ratio.of([list(sitting.values()) for sitting in self.sittings])

    @property
    def modes(self) -> dict[Mode, Ratio]:
        """By mode."""
        return {mode: Ratio.of([[sitting[mode]] for sitting in self.sittings]) for mode in self.sittings[0]}


def compare(options: argparse.Namespace) -> None:
    """Run both, and print what became slower and what became faster."""
    folders = options.compare, options.src or (ROOT if (ROOT / "src").is_dir() else None)
    rows: dict[tuple[str, str], Row] = {}
    left_out: dict[str, str] = {}
    begun = time.perf_counter()
    sittings = 2 if options.smoke else SITTINGS
    for sitting in range(sittings):
        until = begun + options.minutes * 60 * (sitting + 1) / sittings
        turns = [1, 0] if sitting % 2 else [0, 1]
        workers = {turn: Worker(folders[turn], options) for turn in turns}
        _sitting(workers, chosen_modes(options), rows, left_out, until)
        for worker in workers.values():
            worker.end()
        print(f"sitting {sitting + 1} of {sittings}: {minutes(time.perf_counter() - begun)}", file=sys.stderr)
    found = list(rows.values())
    print(f"{options.src or 'this checkout'} / {options.compare}, {sittings} sittings\n")
    for line in report(found) if found else ():
        print(line)
    for what, why in left_out.items():
        print(f"not compared: {what}: {why}")
    print(f"{minutes(time.perf_counter() - begun)} in all")
    if options.json:
        options.json.write_text(
            json.dumps([_record(row) for row in found], indent=1) + "\n", encoding="utf-8"
        )


def _sitting(
    workers: Mapping[int, Worker], modes: Sequence[Mode], rows: dict[tuple[str, str], Row],
    left_out: dict[str, str], until: float,
) -> None:  # fmt: skip
    """Every way of every case, in the time that there is."""
    cases, others = (worker.answer() for worker in workers.values())
    if cases != others:
        sys.exit("the two checkouts do not have the same cases here")
    ways_left = sum(len(ways) for *_, ways in cases)
    for number, (group, name, ways) in enumerate(cases):
        for worker in workers.values():
            worker.ask(number)
        for way in ways:
            what = f"{group}: {name}, {way}"
            share = max(0.0, until - time.perf_counter()) / ways_left
            try:
                found = _rounds(workers, modes, way, time.perf_counter() + share)
            except ValueError as error:
                left_out[what] = str(error)
            else:
                rows.setdefault((what, way), Row(f"{group}: {name}", way)).sittings.append(found)
            ways_left -= 1
        for worker in workers.values():
            worker.ask(None)


def _rounds(
    workers: Mapping[int, Worker], modes: Sequence[Mode], way: str, until: float
) -> dict[Mode, Pairs]:
    """All modes in turn, until the time is used up; the first run is not counted, but its output is compared."""
    outputs = {_run(worker, way, modes[0], with_output=True)["output"] for worker in workers.values()}
    if len(outputs) > 1:
        raise ValueError("the two do not give the same")
    found = {mode: Pairs() for mode in modes}
    turns = list(workers.items())
    for _ in range(MOST_ROUNDS):
        begun = time.perf_counter()
        for mode in modes:
            for which, worker in turns:
                seconds = found[mode].after if which else found[mode].before
                seconds.append(_run(worker, way, mode)["seconds"])
        turns.reverse()
        now = time.perf_counter()
        if now + (now - begun) / 2 > until:  # another round would end later than this
            break
    return found


def _run(worker: Worker, way: str, mode: Mode, *, with_output: bool = False) -> dict[str, Any]:
    answer = worker.ask([way, mode.loop, mode.gc, with_output])
    if "error" in answer:
        raise ValueError(answer["error"])
    return answer


def report(rows: Sequence[Row]) -> Iterator[str]:
    """A line per way, what became slowest first; then those that became slower by more than is allowed."""
    rows = sorted(rows, key=lambda row: -row.ratio.least)
    width = max(len(str(row)) for row in rows)
    modes = "  ".join(f"{mode!s:>16}" for mode in rows[0].modes)
    yield f"{'':{width}}  {'all modes':>14}  chance  {modes}  rounds"
    for row in rows:
        cells = "  ".join(f"{ratio!s:>16}" for ratio in row.modes.values())
        rounds = min(sum(len(one[mode].before) for one in row.sittings) for mode in row.modes)
        yield f"{row!s:{width}}  {row.ratio!s:>14}  {row.ratio.chance:6.1%}  {cells}  {rounds:6}"
    slower = [row for row in rows if row.ratio.is_slower()]
    chance = statistics.median(row.ratio.chance for row in rows)
    yield ""
    yield f"{len(rows)} ways; chance (twice the standard error) moves the median way by {chance:.1%}"
    yield f"slower by more than {ALLOWED:.0%} and by more than chance (!): {len(slower)}"
    yield from (f"  {row}: {row.ratio.least:.3f}" for row in slower)
    single = [
        (row, *pair) for row in rows if row not in slower for pair in row.modes.items() if pair[1].is_slower()
    ]
    yield f"only in single modes: {len(single)}"
    yield from (f"  {row}, {mode}: {ratio.least:.3f}" for row, mode, ratio in single)


def _record(row: Row) -> dict[str, Any]:
    pairs = [{str(mode): asdict(pairs) for mode, pairs in sitting.items()} for sitting in row.sittings]
    ratios = {"all modes": row.ratio, **{str(mode): ratio for mode, ratio in row.modes.items()}}
    return {
        "case": row.case,
        "way": row.way,
        "ratios": {name: asdict(ratio) for name, ratio in ratios.items()},
        "sittings": pairs,
    }
