"""A plan in a terminal, 80 bands wide."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence

from dloader.resolver._outline._planned_calls import Outline, PlannedCall, Row
from dloader.resolver._outline._runs import CallRun

__all__ = ("chain_words", "facts", "head", "remarks", "show")

NAME = 25
WIDTH = 80


def show(outline: Outline, runs: Mapping[PlannedCall, CallRun] | None, run_title: str) -> str:
    """All of it."""
    lines = [head(outline)]
    if runs is not None:
        made = sum(run.calls for run in runs.values())
        lines += textwrap.wrap(f"In the run {run_title!r}: {_count(made, 'call')}", WIDTH)
    lines.append("")
    for number in sorted({call.round for call in outline.calls}):
        lines.append(f"Round {number}")
        for call in outline.calls:
            if call.round == number:
                lines += _call(call, None if runs is None else runs[call])
    notes = list(remarks(outline))
    if notes:
        lines.append("")
        lines += [line for note in notes for line in textwrap.wrap(note, WIDTH)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def head(outline: Outline) -> str:
    """The first line: ``Plan of Feed: 4 rounds, at most 6 calls, 5 loaders, 6 classes``."""
    return f"Plan of {' | '.join(outline.roots)}: {', '.join(facts(outline))}"


def facts(outline: Outline) -> Sequence[str]:
    """What can be counted."""
    rounds = max((call.round for call in outline.calls), default=0)
    loaders = len({call.name for call in outline.calls})
    return (
        _count(rounds, "round"),
        f"at most {_count(len(outline.calls), 'call')}",
        _count(loaders, "loader"),
        _count(outline.classes, "class", "classes"),
    )


def _call(call: PlannedCall, run: CallRun | None) -> Iterable[str]:
    name = call.name + (" ↻" if call.repeats else "")
    for row in call.rows:
        arrow = f" → {' | '.join(row.targets)}" if row.targets else ""
        post = "  after all below" if call.phase == "post" else ""
        yield f"  {name:<{NAME - 1}} {row.label}{arrow}  {row.how}{post}"
        name = ""
    if run is not None:
        yield f"  {'':<{NAME - 1}} {run}"


def remarks(outline: Outline) -> Iterable[str]:
    """What only a reader can judge."""
    depths: dict[str, dict[int, None]] = {}
    for call in outline.calls:
        depths.setdefault(call.name, {})[call.depth] = None
    for name, several in depths.items():
        if len(several) > 1:
            listed = ", ".join(map(str, sorted(several)))
            yield f"{name} is called once at each of the depths {listed}; keys seen before come from its cache."
    again = {target for call in outline.calls if call.repeats for row in call.rows for target in row.targets}
    for target in sorted(again):
        yield f"↻ {target} leads to {target} again: one more call for each level that the data has."
    sizes: dict[int, dict[str, None]] = {}
    for call in outline.calls:
        if call.max_batch_size is not None:
            sizes.setdefault(call.max_batch_size, {})[call.name] = None
    for size, names in sizes.items():
        yield f"More calls above {size:,} keys (max_batch_size): {_loaders(outline, list(names))}."
    if outline.parameters:
        yield f"Parameters to give: {', '.join(_parameters(outline))}"
    if outline.unknown:
        yield f"Not in the plan: what {', '.join(outline.unknown)} may hold, as the type does not tell."


def _parameters(outline: Outline) -> Iterable[str]:
    for name, wanted in outline.parameters.items():
        yield f"{name} ({_loaders(outline, wanted)})"


def _loaders(outline: Outline, names: Sequence[str]) -> str:
    every = {call.name for call in outline.calls}
    return "all loaders" if len(every) > 1 and set(names) == every else ", ".join(names)


def chain_words(chain: Sequence[Row]) -> str:
    """The chain that makes the rounds: loaders, and the fields they fill."""
    loaders = " → ".join(row.call.name for row in chain)
    return f"The chain that makes {len(chain)}: {loaders}\n  ({', '.join(row.label for row in chain)})"


def _count(number: int, word: str, many: str | None = None) -> str:
    return f"{number:,} {word if number == 1 else many or word + 's'}"
