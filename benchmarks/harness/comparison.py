"""All cases, measured one after the other, and written as table, JSON, chart and page."""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

from benchmarks.harness.case import Case, Settings
from benchmarks.harness.machine import machine
from benchmarks.harness.measure import Mode, measure, modes
from benchmarks.harness.results import Record, record
from benchmarks.peers import packages as peers
from benchmarks.report import publish, table
from benchmarks.report.chart import chart
from benchmarks.suites import GROUPS, all_cases

QUICK = replace(
    Settings(),
    decades=(100, 1_000, 10_000), delay=0.02, companies=10, roots=(1, 10, 40), rounds=(2, 15), budget=3.0,
)  # fmt: skip
SMOKE = Settings(
    nodes=200,
    decades=(100, 200),
    sequential=20,
    delay=0.01,
    companies=2,
    roots=(1, 2),
    stored=(10,),
    rounds=(1, 1),
    budget=0.0,
)


def settings_of(options: argparse.Namespace) -> Settings:
    """How much work, as the command line has it."""
    return SMOKE if options.smoke else QUICK if options.quick else Settings()


def compared_settings(options: argparse.Namespace) -> Settings:
    """For two checkouts, in many short rounds: without the million, which takes minutes, unless it is asked for."""
    settings = replace(settings_of(options), settled=1)
    if any("1,000,000" in part for part in options.only or ()):
        return settings
    return replace(settings, decades=tuple(decade for decade in settings.decades if decade < 1_000_000))


def chosen_modes(options: argparse.Namespace) -> list[Mode]:
    """The modes that were asked for."""
    return [
        mode
        for mode in modes()
        if options.loop in (None, mode.loop) and options.gc in (None, "on" if mode.gc else "off")
    ]


def wanted(settings: Settings, only: Sequence[str] | None) -> list[Case]:
    """The cases that were asked for, by group or by a part of their names."""
    found = [
        case
        for case in all_cases(settings)
        if not only or any(case.group == part if part in GROUPS else part in case.name for part in only)
    ]
    return found or sys.exit(f"no case is called so: {only}")


def run(options: argparse.Namespace) -> None:
    """Measure what was asked for and write the reports."""
    settings, about = settings_of(options), machine()
    cases = wanted(settings, options.only)
    records: list[Record] = []
    begun = time.perf_counter()
    for case in cases:
        print(_progress(case, len(records), len(cases), time.perf_counter() - begun), file=sys.stderr)
        gc.collect()
        gc.freeze()  # so that collecting before each run looks at what the runs made, and not at all of SQLAlchemy
        records.append(record(measure(case, settings, chosen_modes(options))))
        print(table.of_case(records[-1]), flush=True)
    print(table.targets(records))
    for name, why in peers.missing.items():
        print(f"not taking part: {name} ({why})")
    print(f"\n{table.machine_line(about)}\n{minutes(time.perf_counter() - begun)} in all")
    text = json.dumps({"machine": about, "cases": records}, indent=1) + "\n"
    if options.json:
        options.json.write_text(text, encoding="utf-8")
    if options.svg:
        options.svg.write_text(chart(records, about), encoding="utf-8")
    if options.publish:
        publish.RESULTS.write_text(text, encoding="utf-8")
        publish.publish()


def _progress(case: Case, done: int, of: int, elapsed: float) -> str:
    left = f", about {minutes(elapsed / done * (of - done))} left" if done else ""
    return f"[{done + 1} of {of}, {minutes(elapsed)} so far{left}] {case.group}: {case.name}"


def minutes(seconds: float) -> str:
    """Minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
