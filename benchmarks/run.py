"""Measure dloader beside its peers and beside code written by hand.

    python benchmarks/run.py                    # everything, some twenty minutes on a quiet machine
    python benchmarks/run.py --quick            # smaller and fewer runs: a few minutes
    python benchmarks/run.py --only loader --only "three levels" --json results.json --svg results.svg
    python benchmarks/run.py --src ../other     # the dloader of another checkout, by the same cases
    python benchmarks/run.py --compare ../other # what became slower since that checkout: ten minutes
    python benchmarks/run.py --publish          # everything, written into results.md and docs/performance.md

The first run makes an environment in benchmarks/.venv, of the Python that runs it, and installs the peers
there. dloader itself is taken from this checkout. The database cases use SQLite in a temporary file, and
PostgreSQL and MariaDB where DLOADER_POSTGRES and DLOADER_MARIADB say (SQLAlchemy URLs), in tables of their own. The
store cases start a Redis server on a free port, if one is installed.
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
        metavar="CASES",
        action="append",
        help="a group (loader, resolver, latency, database, store) or a part of cases' names; may be repeated",
    )
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), help="only on this event loop")
    parser.add_argument("--gc", choices=("on", "off"), help="only with the garbage collector on or off")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all figures there")
    parser.add_argument("--svg", metavar="FILE", type=Path, help="write a chart there")
    parser.add_argument(
        "--publish",
        action="store_true",
        help="write all figures to benchmarks/results.json, and from them results.md and docs/performance",
    )
    parser.add_argument(
        "--src", metavar="DIR", type=Path, help="measure the dloader of that checkout, or of its src folder"
    )
    parser.add_argument(
        "--compare",
        metavar="DIR",
        type=Path,
        help="beside that checkout, in turn: only dloader's own ways, and only the ratios of their times",
    )
    parser.add_argument(
        "--minutes", type=float, help="how long --compare takes, about (10; 3 with --quick, 0 with --smoke)"
    )
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument(
        "--here", action="store_true", help="use this Python and whatever peers it has; install nothing"
    )
    options = parser.parse_args(arguments)
    for folder in filter(None, (options.src, options.compare)):
        if not (source(folder) / "dloader").is_dir():
            parser.error(f"there is no dloader in {folder}")
    if options.minutes is None:
        options.minutes = 0 if options.smoke else 3 if options.quick else 10
    if not options.here and Path(sys.prefix) != ENVIRONMENT:
        command = [
            str(environment()),
            str(HERE / "run.py"),
            *(sys.argv[1:] if arguments is None else arguments),
        ]
        sys.exit(subprocess.run(command, check=False).returncode)
    if options.publish and (options.only or options.smoke or options.quick or options.loop or options.gc):
        parser.error("--publish publishes a whole run: every case in every mode")
    sys.path[:] = [path for path in sys.path if Path(path).resolve() != HERE]
    sys.path[:0] = [str(source(options.src or HERE.parent)), str(HERE.parent)]
    from benchmarks.harness import comparison, versions, worker  # need the environment

    job = worker.serve if options.serve else versions.compare if options.compare else comparison.run
    job(options)


def source(folder: Path) -> Path:
    """The folder that has the package in it; where there is none, as beside a wheel, an installed one is found."""
    return folder.resolve() / "src" if (folder / "src").is_dir() else folder.resolve()


def environment() -> Path:
    """The Python of the environment that has the peers, which are installed when they are not there or others."""
    python = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    sys.path.insert(0, str(HERE.parent))
    from benchmarks.peers.packages import PACKAGES

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
    return python


if __name__ == "__main__":
    main()
