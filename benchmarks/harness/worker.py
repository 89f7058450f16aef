"""One checkout's dloader in a process of its own, which does what `versions` tells it, a line of JSON at a time."""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import os
import random
import sys
from collections.abc import Iterator
from typing import Any

from benchmarks.harness.case import Case, kind_of
from benchmarks.harness.comparison import compared_settings, wanted
from benchmarks.harness.measure import Mode, run_once

BALLAST = [bytes(random.randrange(500)) for _ in range(random.randrange(100_000))]
"""So that objects lie elsewhere in each process: else their places, and their luck, are the same in all sittings."""


def serve(options: argparse.Namespace) -> None:
    """Say which cases and ways there are; then, for each number of a case that comes, run its ways as told."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what the cases print is no answer

    def say(answer: Any) -> None:
        print(json.dumps(answer), file=answers, flush=True)

    cases = wanted(compared_settings(options), options.only)
    say(
        [
            [case.group, case.name, [way.name for way in case.ways if kind_of(way.name) == "dloader"]]
            for case in cases
        ]
    )
    orders = (json.loads(line) for line in sys.stdin)
    for number in orders:
        with cases[number].around():
            gc.collect()
            gc.freeze()
            say("ready")
            for answer in _runs(cases[number], orders):
                say(answer)
        say("done")


def _runs(case: Case, orders: Iterator[Any]) -> Iterator[dict[str, Any]]:
    """Until the order is None: seconds, and at the first run of a way what its output comes to."""
    ways = {way.name: way for way in case.ways}
    for order in iter(lambda: next(orders), None):
        name, loop, with_gc, with_output = order
        try:
            timed = run_once(ways[name], Mode(loop, with_gc))
            text = repr([case.outcome(output) for output in timed.output]) if with_output else ""
        except Exception as error:
            yield {"error": f"{type(error).__name__}: {error}"}
        else:
            seconds = timed.seconds if timed.cpu is None else timed.cpu
            yield {"seconds": seconds, "output": hashlib.sha256(text.encode()).hexdigest()}
