"""A plan as one page that needs no network: the picture, what leads where, and the same as a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from dloader._pages import asset, document, table
from dloader.resolver._outline._picture import notes_of, svg
from dloader.resolver._outline._planned_calls import Outline, PlannedCall
from dloader.resolver._outline._runs import CallRun
from dloader.resolver._outline._text import facts, remarks

__all__ = ("page",)

TOOLS = """<div class="tools" hidden role="toolbar" aria-label="View">
<input id="find" type="search" placeholder="Find a field, class or loader ( / )" aria-label="Find" size="34">
<button type="button" id="fit">Fit width</button><button type="button" id="actual">Actual size</button>
<button type="button" id="theme">Light / dark</button>
<span class="grey">Click or <kbd>Enter</kbd>: what leads here and what follows. <kbd>←</kbd> <kbd>→</kbd> along the
lines, <kbd>↑</kbd> <kbd>↓</kbd> within a round, <kbd>Esc</kbd>: all.</span></div>"""

MOST_DRAWN = 300
TOO_MANY = (
    "Too many calls for a picture: the table has all of them. A plan from a class further down shows its part: "
    "dloader plan --from, or Resolver.plan(start=)."
)
NO_PICTURE = 'applyTheme();\ndocument.documentElement.dataset.ready = "true";\n'


def page(outline: Outline, runs: Mapping[PlannedCall, CallRun] | None, run_title: str) -> str:
    """The whole page."""
    title = f"Plan of {' | '.join(outline.roots)}"
    body = [f"<h1>Plan of <code>{escape(' | '.join(outline.roots))}</code></h1>"]
    if runs is not None:
        made = sum(run.calls for run in runs.values())
        body.append(f"<p>The plan, with what one run did: {escape(run_title)} ({made:,} calls made)</p>")
    body.append(f'<p class="facts">{"".join(_fact(words) for words in facts(outline))}</p>')
    body += [f'<p class="grey">{escape(remark)}</p>' for remark in remarks(outline)]
    style, script = (
        asset("dloader.resolver._outline", "plan.css"),
        asset("dloader.resolver._outline", "plan.js"),
    )
    if len(outline.calls) > MOST_DRAWN:
        body.append(f'<p class="box">{TOO_MANY}</p>')
        script = NO_PICTURE
    else:
        body.append(TOOLS)
        body.append(
            f'<div id="picture" tabindex="0" role="group" aria-label="The plan; the table below says the same">'
            f"{svg(outline, runs, standalone=False)}</div>"
        )
        body.append('<div id="detail" class="box" aria-live="polite"></div>')
    body.append(_table(outline, runs))
    return document(title, "\n".join(body), style, script, _data(outline, runs))


def _fact(words: str) -> str:
    number, _, rest = words.removeprefix("at most ").partition(" ")
    before = "at most " if words.startswith("at most ") else ""
    return f"<span>{before}<b>{escape(number)}</b> {escape(rest)}</span>"


def _table(outline: Outline, runs: Mapping[PlannedCall, CallRun] | None) -> str:
    heads = ["round", "loader", "fields", "after", "calls" if runs is None else "in this run"]
    notes = notes_of(outline, runs)
    rows = [
        [
            str(call.round),
            call.name + (" ↻" if call.repeats else ""),
            "; ".join(_row_words(call)),
            ", ".join(dict.fromkeys(before.call.name for row in call.rows for before in row.nearest))
            or " | ".join(outline.roots),
            notes[call],
        ]
        for call in outline.calls
    ]
    return table("Round by round", heads, rows, [0])


def _row_words(call: PlannedCall) -> Iterable[str]:
    for row in call.rows:
        yield f"{row.label}{' → ' + ' | '.join(row.targets) if row.targets else ''} {row.how}"


def _data(outline: Outline, runs: Mapping[PlannedCall, CallRun] | None) -> Mapping[str, object]:
    numbers = {call: number for number, call in enumerate(outline.calls)}
    notes = notes_of(outline, runs)
    described: Sequence[Mapping[str, object]] = [
        {
            "name": call.name,
            "round": call.round,
            "depth": call.depth,
            "note": notes[call],
            "rows": list(_row_words(call)),
            "before": sorted(numbers[before] for before in call.waits_for),
            "repeats": call.repeats,
        }
        for call in outline.calls
    ]
    return {"lanes": described, "roots": list(outline.roots)}
