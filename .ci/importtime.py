"""Fail when `import dloader` adds too much to `import asyncio`, or loads more than the standard library.

The cost is what `python -X importtime` says. A busy machine can only add to it, so one run within the budget is enough.
The budget is 10 ms, or a quarter of what `import asyncio` takes where that is more: a machine that reads and runs
modules slowly is slow at both.
"""

import json
import re
import subprocess
import sys

BUDGET_MS = 10.0
BUDGET_SHARE = 0.25
RUNS = 50

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


def import_ms() -> tuple[float, float]:
    """Return the milliseconds of `import asyncio` in a new process, and those of `import dloader` after it."""
    report = python("-X", "importtime", "-c", "import asyncio, dloader").stderr
    lines = re.findall(r"^import time: +\d+ \| +(\d+) \| (asyncio|dloader)$", report, re.MULTILINE)
    found = {name: int(microseconds) / 1000 for microseconds, name in lines}
    if found.keys() != {"asyncio", "dloader"}:
        sys.exit(f"asyncio or dloader is not in the import report:\n{report}")
    return found["asyncio"], found["dloader"]


def main() -> None:
    """Check the imports, then their cost."""
    if foreign := json.loads(python("-c", LIST_FOREIGN).stdout):
        sys.exit(f"import dloader loads more than the standard library: {', '.join(foreign)}")
    for _ in range(RUNS):
        asyncio_ms, cost = import_ms()
        budget = max(BUDGET_MS, BUDGET_SHARE * asyncio_ms)
        print(
            f"import dloader: {cost:.1f} ms beyond asyncio ({asyncio_ms:.0f} ms), of {budget:.1f} ms allowed"
        )
        if cost <= budget:
            break
    else:
        sys.exit("import dloader is too slow; see it with: python -X importtime -c 'import asyncio, dloader'")


if __name__ == "__main__":
    main()
