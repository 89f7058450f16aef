"""A plan in a terminal, 80 columns wide."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from dloader._printed import WIDTH, columns, cut, inert, padded, wrapped
from dloader.resolver._outline._planned_calls import Outline, PlannedCall, Row
from dloader.resolver._outline._runs import CallRun

__all__ = ("chain_words", "facts", "head", "remarks", "show")

FIELDS = 27
"""The column where the fields of a call begin, after its name."""


def show(outline: Outline, runs: Mapping[PlannedCall, CallRun] | None, run_title: str) -> str:
    """All of it."""
    lines = [*wrapped(f"{head(outline)}, {', '.join(facts(outline)[2:])}", indent=2)]
    if runs is not None:
        made = sum(run.calls for run in runs.values())
        run = f"In the run {run_title!r}" if run_title else "In the run"
        lines += wrapped(f"{run}: {_count(made, 'call')}", indent=2)
    lines.append("")
    for number in sorted({call.round for call in outline.calls}):
        lines.append(f"Round {number}")
        for call in outline.calls:
            if call.round == number:
                lines += _call(call, None if runs is None else runs[call])
    notes = list(remarks(outline))
    if notes:
        lines.append("")
        lines += [line for note in notes for line in wrapped(note)]
    return "\n".join(lines) + "\n"


def head(outline: Outline) -> str:
    """What it costs: ``Plan of Feed: 4 rounds, at most 6 calls``."""
    return f"Plan of {' | '.join(outline.roots)}: {', '.join(facts(outline)[:2])}"


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
    name = inert(call.name) + (" ↻" if call.repeats else "")
    said = [_field(row) for row in call.rows] + ([] if run is None else [str(run)])
    lines = [line for words in said for line in wrapped(words, WIDTH - FIELDS, indent=2)]
    if columns(name) > FIELDS - 3:
        yield f"  {cut(name, WIDTH - 2)}"
        name = ""
    for line in lines:
        yield f"  {padded(name, FIELDS - 2)}{line}"
        name = ""


def _field(row: Row) -> str:
    arrow = f" → {' | '.join(row.targets)}" if row.targets else ""
    post = "  after all below" if row.call.phase == "post" else ""
    return f"{row.label}{arrow}  {row.how}{post}"


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
    fields = f"({', '.join(row.label for row in chain)})"
    lines = [*wrapped(f"The chain that makes {len(chain)}: {loaders}", indent=2)]
    return "\n".join([*lines, *(f"  {line}" for line in wrapped(fields, WIDTH - 2))])


def _count(number: int, word: str, many: str | None = None) -> str:
    return f"{number:,} {word if number == 1 else many or word + 's'}"
