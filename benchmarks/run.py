"""Measure dloader beside its peers and beside code written by hand.

    python benchmarks/run.py                    # everything, some twenty minutes on a quiet machine
    python benchmarks/run.py --quick            # smaller and fewer runs: a few minutes
    python benchmarks/run.py --only loader,"three levels" --json results.json --svg results.svg

The first run makes an environment in benchmarks/.venv, of the Python that runs it, and installs the peers
there. dloader itself is taken from this checkout.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
ENVIRONMENT = HERE / ".venv"


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, see that the peers are there, and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="smaller and fewer runs")
    size.add_argument(
        "--smoke", action="store_true", help="tiny runs, which say nothing about speed: does it work?"
    )
    parser.add_argument(
        "--only",
        metavar="SHAPES",
        help="groups (loader, resolver, latency, database) or parts of shapes' names",
    )
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), help="only on this event loop")
    parser.add_argument("--gc", choices=("on", "off"), help="only with the garbage collector on or off")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all figures there")
    parser.add_argument("--svg", metavar="FILE", type=Path, help="write a chart there")
    parser.add_argument(
        "--here", action="store_true", help="use this Python and whatever peers it has; install nothing"
    )
    options = parser.parse_args(arguments)
    if not options.here and Path(sys.prefix) != ENVIRONMENT:
        sys.exit(_run_in_environment(sys.argv[1:] if arguments is None else arguments))
    # After whatever PYTHONPATH says, so that another checkout can be measured.
    sys.path[:] = [path for path in sys.path if Path(path).resolve() != HERE]
    sys.path += [str(HERE.parent / "src"), str(HERE.parent)]
    from benchmarks.contest import hold  # needs the environment

    hold(options)


def _run_in_environment(arguments: Sequence[str]) -> int:
    python = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    sys.path.insert(0, str(HERE.parent))
    from benchmarks.peers import PACKAGES

    wanted = "\n".join(PACKAGES)
    marker = ENVIRONMENT / "installed.txt"
    if not marker.is_file() or marker.read_text(encoding="utf-8") != wanted:
        print(f"Installing the peers into {ENVIRONMENT}", file=sys.stderr)
        venv.create(ENVIRONMENT, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *PACKAGES], check=True)
        old = ["--no-deps", "--target", str(ENVIRONMENT / "dloader-2025.7"), "dloader==2025.7"]
        subprocess.run([*pip, *old], check=True)
        marker.write_text(wanted, encoding="utf-8")
    return subprocess.run([str(python), str(Path(__file__).resolve()), *arguments], check=False).returncode


if __name__ == "__main__":
    main()
