"""Pages of one file: markup, style, script and data in one, and nothing that is fetched from anywhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files

__all__ = ("asset", "document", "table")

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


TURNING = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Marks that turn the direction of text: a key with one could show what is not there."""


def asset(package: str, name: str) -> str:
    """A file that lies beside the modules of a package."""
    return files(package).joinpath(name).read_text("utf-8")


def document(title: str, body: str, style: str, script: str, data: object) -> str:
    """A whole page.

    Args:
        title: Plain text.
        body: Markup, in which everything foreign is escaped.
        style: What the page adds to the common style.
        script: What it adds to the common script; it reads `data` as ``DATA``, and writes texts as texts only.
        data: Plain values.
    """
    # "<" is all that could end the element before its end; JSON.parse takes U+2028 and its like.
    words = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    words = _straight(words, "\\\\")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(_straight(title))}</title>\n"
        f"<style>\n{asset('dloader._pages', 'page.css')}{style}</style></head>\n"
        f"<body><main>\n{_straight(body)}\n</main>\n"
        f'<script type="application/json" id="data">{words}</script>\n'
        f"<script>\n{asset('dloader._pages', 'page.js')}{script}</script></body></html>\n"
    )


def _straight(text: str, backslash: str = "\\") -> str:
    return TURNING.sub(lambda found: f"{backslash}u{ord(found[0]):04x}", text)


def table(
    caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[int] = ()
) -> str:
    """A table of plain texts.

    Args:
        caption: Its heading, and the prefix of its id.
        heads: Those of the columns.
        rows: Texts, which are escaped here.
        numbers: The columns that hold numbers.
    """
    right = set(numbers)
    kinds = [' class="n"' if index in right else "" for index in range(len(heads))]
    head = "".join(
        f'<th scope="col"{kind}>{escape(text)}</th>' for text, kind in zip(heads, kinds, strict=True)
    )
    lines = [
        "<tr>"
        + "".join(f"<td{kind}>{escape(text)}</td>" for text, kind in zip(row, kinds, strict=True))
        + "</tr>"
        for row in rows
    ]
    name = escape(caption.lower().replace(" ", "-"), quote=True)
    return (
        f'<h2>{escape(caption)}</h2><div class="wide"><table id="{name}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )
