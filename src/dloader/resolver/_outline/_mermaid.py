"""A plan as Mermaid text, for pages that draw it."""

from __future__ import annotations

from dloader import OptionError
from dloader.resolver._outline._planned_calls import Outline, PlannedCall

__all__ = ("mermaid",)

MOST_EDGES = 200
"""GitHub draws no more."""


def mermaid(outline: Outline) -> str:
    """A flowchart, a subgraph for each round.

    Raises:
        OptionError: There is more than Mermaid draws.
    """
    names = {call: f"l{number}" for number, call in enumerate(outline.calls)}
    edges = list(
        dict.fromkeys(
            (source.call, call) for call in outline.calls for row in call.rows for source in row.nearest
        )
    )
    if len(edges) > MOST_EDGES:
        raise OptionError(
            f"this plan has {len(edges)} lines, and Mermaid draws at most {MOST_EDGES}: save it as .svg or .html"
        )
    lines = ["flowchart LR", f'  given["{_words(" | ".join(outline.roots))}"]']
    for number in sorted({call.round for call in outline.calls}):
        lines.append(f'  subgraph round{number}["round {number}"]')
        lines += [f'    {names[call]}["{_box(call)}"]' for call in outline.calls if call.round == number]
        lines.append("  end")
    for call in outline.calls:
        if not call.waits_for:
            lines.append(f"  given --> {names[call]}")
    lines += [
        f"  {names[source]} {'-.->' if call.phase == 'post' else '-->'} {names[call]}"
        for source, call in edges
    ]
    return "\n".join(lines) + "\n"


def _box(call: PlannedCall) -> str:
    rows = [_words(row.label + (f" → {' | '.join(row.targets)}" if row.targets else "")) for row in call.rows]
    return "<br/>".join([f"<b>{_words(call.name)}</b>{' ↻' if call.repeats else ''}", *rows])


def _words(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")
