"""What a compiled core would bring: the same modules as they stand, through Cython, beside themselves.

    python benchmarks/compiled.py                     # core and resolver
    python benchmarks/compiled.py --only core         # only the core compiled
    python benchmarks/compiled.py --src ../other      # the modules of another checkout
    python benchmarks/compiled.py --compiler mypyc    # reports what mypyc says to them

It copies the package into a temporary folder under the name `dloader_compiled`, compiles there what compiles,
says what does not, and measures both packages in turn, in one process, beside the floors and hand-written code.
It needs a C compiler; Cython (or mypyc) goes into an environment in the temporary folder. Run on demand: no
part of CI.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path[:] = [path for path in sys.path if Path(path).resolve() != HERE]
    sys.path.insert(0, str(HERE.parent))

from benchmarks import run  # noqa: E402
from benchmarks.compiling import Compiled, compile_package  # noqa: E402


def main() -> None:
    """Parse the command line, compile and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--src", metavar="DIR", type=Path, default=HERE.parent, help="the checkout to compile"
    )
    parser.add_argument("--compiler", choices=("cython", "mypyc"), default="cython")
    parser.add_argument("--only", choices=("core", "resolver"), help="compile only that part of the package")
    parser.add_argument("--seconds", type=float, default=10.0, help="seconds per shape")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all figures there")
    parser.add_argument("--here", action="store_true", help="use this Python and what it has installed")
    options = parser.parse_args()
    if not options.here and Path(sys.prefix) != run.ENVIRONMENT:
        python = run.environment()
        sys.exit(subprocess.run([str(python), __file__, *sys.argv[1:]], check=False).returncode)
    source = run.source(options.src)
    sys.path.insert(0, str(source))
    with tempfile.TemporaryDirectory() as folder:
        compiled = compile_package(source / "dloader", Path(folder), options.compiler, options.only)
        _say(compiled)
        if not compiled.modules:
            sys.exit("nothing to measure")
        sys.path.insert(0, folder)
        from benchmarks.compiled_shapes import contest  # needs the compiled package

        contest(options.seconds, options.json, compiled)


def _say(compiled: Compiled) -> None:
    print(f"compiled with {compiled.compiler}: {', '.join(compiled.modules) or 'nothing'}")
    for module, why in compiled.failed.items():
        print(f"  not {module}: {why}")


if __name__ == "__main__":
    main()
