"""Fail when `import dloader` adds too much to `import asyncio`, or loads more than the standard library.

The cost is what `python -X importtime` says, the least of several runs: a busy machine can only add to it.
"""

import json
import re
import subprocess
import sys

BUDGET_MS = 10.0
RUNS = 10

# Modules that site-packages' own start-up hooks import are there before; they are not dloader's doing.
LIST_FOREIGN = """
import sys
before = set(sys.modules)
import dloader, json
roots = {name.partition(".")[0] for name in set(sys.modules) - before}
print(json.dumps(sorted(roots - set(sys.stdlib_module_names) - {"dloader"})))
"""


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run this Python afresh, with every warning an error."""
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments], capture_output=True, check=True, encoding="utf-8"
    )


def import_ms() -> float:
    """Return the milliseconds of one first `import dloader` in a process that has asyncio already."""
    report = python("-X", "importtime", "-c", "import asyncio, dloader").stderr
    line = re.search(r"^import time: +\d+ \| +(\d+) \| dloader$", report, re.MULTILINE)
    if line is None:
        sys.exit(f"dloader is not in the import report:\n{report}")
    return int(line[1]) / 1000


def main() -> None:
    """Check the imports, then their cost."""
    if foreign := json.loads(python("-c", LIST_FOREIGN).stdout):
        sys.exit(f"import dloader loads more than the standard library: {', '.join(foreign)}")
    best = min(import_ms() for _ in range(RUNS))
    print(f"import dloader: {best:.1f} ms beyond asyncio, of {BUDGET_MS:.0f} ms allowed")
    if best > BUDGET_MS:
        sys.exit("import dloader is too slow; see it with: python -X importtime -c 'import asyncio, dloader'")


if __name__ == "__main__":
    main()
