"""Print the line of README.md's code blocks that ends in the given words: what is written is what is tested.

    python .ci/readme_command.py pytest
    python .ci/readme_command.py dloader demo

Lines for uv are the same commands said for another tool; the gate needs nothing but Python, so it skips them.
"""

import sys
from collections.abc import Iterator
from pathlib import Path


def fenced_lines(markdown: str) -> Iterator[str]:
    """Yield the lines inside the fenced blocks of a Markdown text."""
    inside = False
    for line in markdown.splitlines():
        if line.lstrip().startswith("```"):
            inside = not inside
        elif inside:
            yield line.strip()


def command(markdown: str, ending: str) -> str:
    """Return the only line made for plain pip that ends in `ending`, with its trailing comment cut off."""
    lines = (line.split("  #")[0].rstrip() for line in fenced_lines(markdown))
    found = {line for line in lines if line.startswith("python3 -m venv ") and line.endswith(ending)}
    if len(found) != 1:
        sys.exit(f"README.md needs one line `python3 -m venv ... {ending}` in a code block, not {len(found)}")
    return found.pop()


if __name__ == "__main__":
    print(command(Path("README.md").read_text(encoding="utf-8"), " ".join(sys.argv[1:])))
