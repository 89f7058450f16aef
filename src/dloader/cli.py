"""The command `dloader`, with the standard library alone: a subcommand imports its extra when it runs."""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from importlib import import_module, metadata
from pathlib import Path
from typing import NoReturn, TypedDict

from ._printed import inert, wrapped
from .errors import OptionError, PlanError

__all__ = ("main",)

DEPTHS = """\
depth of the tree:
  1  continents, and their countries with capital and currency
  2  and the largest cities of the countries, and their neighbours with capitals
  3  and the states of the United States with their largest cities
  4  and the counties of those states
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line.

    Args:
        arguments: What follows the program's name; by default the process's own arguments.

    Returns:
        The exit code.
    """
    chosen = parser().parse_args(arguments)
    if reconfigure := getattr(sys.stdout, "reconfigure", None):
        reconfigure(errors="replace")  # a terminal that cannot show "é" shows "?"
    try:
        code = int(chosen.run(chosen))
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.stderr.write("dloader: interrupted\n")
        return 130
    except BrokenPipeError:
        # The reader has left (`dloader demo | head`): what is still buffered has nowhere to go.
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        return 1
    return code


class Parser(argparse.ArgumentParser):
    """Refuses a command line without letting it act on the terminal."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with it, and end."""
        super().error(inert(message))


def parser() -> argparse.ArgumentParser:
    """The grammar of the command line: one subparser per command."""
    top = Parser(prog="dloader", description="Batch what asynchronous code loads.")
    top.add_argument("--version", action="version", version=f"dloader {version()}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    add_demo(commands.add_parser("demo", help="load a tree of real data in three ways, and compare"))
    add_trace(commands.add_parser("trace", help="print or convert a saved trace, or compare two"))
    add_plan(commands.add_parser("plan", help="show what a resolve of a model will load, and check it"))
    return top


def add_demo(command: argparse.ArgumentParser) -> None:
    """The options of `dloader demo`."""
    command.set_defaults(run=demo)
    command.description = "Load a tree of real data in three ways, one of them dloader, and compare."
    command.epilog = DEPTHS
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    add = command.add_argument
    add("--continent", metavar="NAME", help="only this one, by its code or name (EU, europe)")
    add("--depth", type=int, choices=range(1, 5), default=2, help="how far down (default: %(default)s)")
    add(
        "--cities",
        type=count,
        metavar="N",
        default=3,
        help="largest cities per country, at most 20 (default: %(default)s)",
    )
    either = command.add_mutually_exclusive_group().add_argument
    either("--json", action="store_true", help="print the whole tree as JSON, and nothing else")
    either(
        "--trace",
        nargs="?",
        const="",
        metavar="FILE",
        help="print what dloader loaded and when; also write it to FILE (.html, .json, .chrome.json)",
    )


def add_trace(command: argparse.ArgumentParser) -> None:
    """The options of `dloader trace`."""
    command.set_defaults(run=trace)
    command.description = "Print a trace that was saved as .json, write it in another form, or compare two."
    add = command.add_argument
    add("files", nargs="+", metavar="FILE", help="one trace, or two to be compared")
    add(
        "-o", "--output", metavar="FILE", help="write it here (.html, .json, .chrome.json), and print nothing"
    )
    add("-v", "--verbose", action="store_true", help="show each batch, however many there are")


def add_plan(command: argparse.ArgumentParser) -> None:
    """The options of `dloader plan`."""
    command.set_defaults(run=plan)
    command.description = (
        "Show what a resolve of a model will load, without loading it. Ends with 0 if the plan fits, with 1 if it has "
        "more rounds or calls than allowed, with 2 if the models have mistakes."
    )
    add = command.add_argument
    add("model", metavar="MODULE:MODEL", help="the class of the nodes, e.g. app.models:Feed")
    add("--from", dest="start", metavar="CLASS", help="only what nodes of this class of the tree need")
    add("--max-rounds", type=int, metavar="N", help="end with 1 if one has to wait more often")
    add("--max-calls", type=int, metavar="N", help="end with 1 if there may be more calls")
    add("--trace", type=Path, metavar="FILE", help="put the numbers of a saved trace into it")
    add(
        "-o",
        "--output",
        metavar="FILE",
        help="write it here (.html, .svg, .mmd, .json, .txt), and print nothing",
    )
    add("--mermaid", action="store_const", dest="form", const=".mmd", help="print it as Mermaid")
    add("--json", action="store_const", dest="form", const=".json", help="print it as JSON")
    add("--svg", action="store_const", dest="form", const=".svg", help="print it as SVG")


def version() -> str:
    """The version of the installed distribution."""
    try:
        return metadata.version("dloader")
    except metadata.PackageNotFoundError:
        return "(not installed)"


def count(text: str) -> int:
    """Read a number of cities: the data has twenty of each country."""
    number = int(text) if text.isascii() and text.isdecimal() else 0
    if not 1 <= number <= 20:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 20")
    return number


def demo(chosen: argparse.Namespace) -> int:
    """Run `dloader demo`."""
    try:
        from .demo import DemoError, Traced, run  # noqa: PLC0415 (it needs the extra `demo`)
    except ModuleNotFoundError as missing:
        return failed(missing, 2)
    try:
        run(
            continent=chosen.continent,
            depth=chosen.depth,
            cities=chosen.cities,
            as_json=chosen.json,
            trace=None if chosen.trace is None else Traced(chosen.trace, terminal()),
        )
    except (DemoError, OptionError, OSError) as error:
        return failed(error)
    return 0


def trace(chosen: argparse.Namespace) -> int:
    """Run `dloader trace`."""
    from .trace import Trace  # noqa: PLC0415 - who runs the demo needs none of it

    try:
        if len(chosen.files) > 2 or (len(chosen.files) == 2 and chosen.output):
            raise OptionError("dloader trace takes one file, or two to be compared")
        traces = [Trace.load(file) for file in chosen.files]
        if chosen.output:
            written(traces[0].save(chosen.output))
        elif len(traces) == 2:
            sys.stdout.write(f"{traces[0].compare(traces[1])}\n")
        else:
            sys.stdout.write(traces[0].text(**terminal(), verbose=chosen.verbose))
    except (OptionError, OSError) as error:
        return failed(error)
    return 0


def plan(chosen: argparse.Namespace) -> int:
    """Run `dloader plan`."""
    try:
        from .resolver import Resolver  # noqa: PLC0415 - it needs the extra `resolver`

        found = Resolver.plan(model_named(chosen.model), start=chosen.start)
    except PlanError as error:
        for problem in error.problems:
            failed(problem)
        return 2
    except (ImportError, OptionError) as error:
        return failed(error, 2)
    try:
        if chosen.trace is not None:
            from .trace import Trace  # noqa: PLC0415

            found = found.compare(Trace.load(chosen.trace))
        excess = [
            f"at most {most:,} {what if most == 1 else what + 's'}"
            for most, number, what in (
                (chosen.max_rounds, found.rounds, "round"),
                (chosen.max_calls, found.calls, "call"),
            )
            if most is not None and number > most
        ]
        if chosen.output:
            written(found.save(chosen.output))
        elif chosen.form:
            sys.stdout.write(found.written_as(chosen.form))
        elif not excess:
            sys.stdout.write(str(found))
    except (OptionError, OSError) as error:
        return failed(error, 2)
    if excess:
        said = wrapped(f"{found.head}. Wanted: {', '.join(excess)}.", indent=2)
        sys.stderr.write("\n".join([*said, found.chain, ""]))
    return 1 if excess else 0


def model_named(name: str) -> object:
    """What ``package.module:Model`` names, found from the working directory too.

    Raises:
        OptionError: There is no such thing.
    """
    module, _, path = name.partition(":")
    if not module or not path:
        raise OptionError(f"{name!r} names no model: write package.module:Model")
    sys.path.insert(0, "")
    try:
        found: object = import_module(module)
    except ModuleNotFoundError as error:
        raise OptionError(f"{name!r}: {error}") from error
    finally:
        sys.path.remove("")
    for part in path.split("."):
        if not hasattr(found, part):
            raise OptionError(f"{name!r}: {module} has no {path}")
        found = getattr(found, part)
    return found


def written(path: Path) -> None:
    """Say where something is now."""
    sys.stdout.write(f"Written: {inert(str(path))}\n")


def failed(error: Exception | str, code: int = 1) -> int:
    """Say what is wrong, in one line and without a traceback."""
    if isinstance(error, BrokenPipeError):
        raise error  # `main` knows what it means
    sys.stderr.write(f"dloader: {inert(str(error))}\n")
    return code


class Display(TypedDict):
    """What a terminal can show."""

    width: int
    color: bool
    ascii_only: bool


def terminal() -> Display:
    """What that of this process can show; in a pipe 80 columns without colours."""
    is_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size((80, 24)).columns if is_terminal else 80
    try:
        "\u2591\u2588\u2581".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        ascii_only = True
    else:
        ascii_only = False
    return Display(width=width, color=is_terminal and "NO_COLOR" not in os.environ, ascii_only=ascii_only)
