"""Run the checks of `loading` and `resolving` on every library: the two tables of docs/alternatives.md.

    python benchmarks/run.py --smoke                            # makes the environment with the peers
    benchmarks/.venv/bin/python benchmarks/peers/survey.py

It installs nothing; a library that is not there is left out. Each check runs in a process of its own. It says
"yes" when its sentence held in this run, "no" when it did not, and "hangs" when nothing happened any more.
With PEERS_TRACE set, it shows why a check says "no".
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import inspect
import json
import os
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path[:1] = [str(ROOT)]

from benchmarks.peers.loading import LIBRARIES, LOADING, Check  # noqa: E402
from benchmarks.peers.packages import OLD_DLOADER  # noqa: E402
from benchmarks.peers.resolving import RESOLVING, Resolving  # noqa: E402

PATIENCE = 2.0


def outcome(check: Check, lib: Any) -> str:
    """Run one check on an event loop of its own."""
    if not inspect.iscoroutinefunction(check):
        return _said(lambda: check(lib))
    return _said(lambda: asyncio.run(_watched(check, lib)))


def _said(run: Callable[[], Any]) -> str:
    try:
        return "yes" if run() else "no"
    except TimeoutError:
        return "hangs"
    except (Exception, asyncio.CancelledError):
        if os.environ.get("PEERS_TRACE"):
            traceback.print_exc()
        return "no"
    finally:
        gc.collect()


async def _watched(check: Check, lib: Any) -> bool:
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    # What never gives the loop a turn is stopped from outside: see `survey_apart`.
    task = asyncio.ensure_future(check(lib))
    done, _ = await asyncio.wait([task], timeout=PATIENCE)
    if not done:
        task.cancel()
        raise TimeoutError
    return task.result()


def sentence(check: Check) -> str:
    """What a check promises."""
    return (check.__doc__ or "").strip().removesuffix(".")


def survey(kind: str, name: str, number: int | None = None) -> dict[str, str]:
    """Run the checks of one kind on one library, in this process."""
    warnings.simplefilter("ignore")
    checks = LOADING if kind == "loading" else RESOLVING
    lib: Any = LIBRARIES[name] if kind == "loading" else Resolving(*_modules(name))
    chosen = checks if number is None else [checks[number]]
    return {sentence(check): outcome(check, lib) for check in chosen}


def _modules(name: str) -> tuple[str, str]:
    return (
        ("pydantic_resolve", "aiodataloader")
        if name == "pydantic-resolve"
        else ("dloader.resolver", "dloader")
    )


def survey_apart(kind: str, name: str) -> dict[str, str] | None:
    """Run them in processes of their own; None if the library is not there."""
    module = _modules(name)[0] if kind == "resolving" else LIBRARIES[name].module
    env = {**os.environ, "PYTHONPATH": str(OLD_DLOADER if name == "old" else ROOT / "src")}
    probe = [sys.executable, "-c", f"import {module}"]
    if subprocess.run(probe, env=env, check=False, capture_output=True).returncode:
        return None
    results: dict[str, str] = {}
    for number, check in enumerate(LOADING if kind == "loading" else RESOLVING):
        command = [sys.executable, __file__, "--survey", kind, name, str(number)]
        try:
            run = subprocess.run(
                command,
                env=env,
                check=False,
                stdout=subprocess.PIPE,
                stderr=None if os.environ.get("PEERS_TRACE") else subprocess.DEVNULL,
                timeout=PATIENCE * 5,
            )
            results.update(json.loads(run.stdout) if run.returncode == 0 else {sentence(check): "no"})
        except subprocess.TimeoutExpired:
            results[sentence(check)] = "hangs"
    return results


def table(kind: str, columns: dict[str, dict[str, str]]) -> str:
    """A Markdown table: a row for each check."""
    checks = LOADING if kind == "loading" else RESOLVING
    lines = ["| | " + " | ".join(columns) + " |", "| --- |" + " --- |" * len(columns)]
    lines += [
        f"| {sentence(check)} | " + " | ".join(column[sentence(check)] for column in columns.values()) + " |"
        for check in checks
    ]
    return "\n".join(lines)


def main() -> None:
    """Print the tables of what is installed."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--survey", nargs=3, help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.survey:
        kind, name, number = chosen.survey
        print(json.dumps(survey(kind, name, int(number))))
        return
    names = [name for name in LIBRARIES if name != "old" or OLD_DLOADER.is_dir()]
    for kind, libraries in (("loading", names), ("resolving", ["dloader", "pydantic-resolve"])):
        columns: dict[str, dict[str, str]] = {}
        for name in libraries:
            found = survey_apart(kind, name)
            title = (
                f"{LIBRARIES[name].title} {LIBRARIES[name].version}".strip()
                if name in LIBRARIES
                else f"{name} 6.3.0"
            )
            if found is None:
                print(f"{title}: not installed, left out", file=sys.stderr)
            else:
                columns[title] = found
        print(table(kind, columns), end="\n\n")


if __name__ == "__main__":
    main()
