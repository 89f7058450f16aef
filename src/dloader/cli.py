"""The command `dloader`, with the standard library alone: a subcommand imports its extra when it runs."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

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
        code = demo(chosen)
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


def parser() -> argparse.ArgumentParser:
    """The grammar of the command line: one subparser per command."""
    top = argparse.ArgumentParser(prog="dloader", description="Batch what asynchronous code loads.")
    top.add_argument("--version", action="version", version=f"dloader {version()}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    add_demo(
        commands.add_parser("demo", help="load a tree of real data naively and with dloader, and compare")
    )
    return top


def add_demo(command: argparse.ArgumentParser) -> None:
    """The options of `dloader demo`."""
    command.description = "Load a tree of real data, naively and with dloader, and compare what it takes."
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
        help="largest cities per country (default: %(default)s)",
    )
    add("--json", action="store_true", help="print the whole tree as JSON, and nothing else")
    add("--cache-dir", type=Path, metavar="PATH", help="keep the data here (default: your cache folder)")


def version() -> str:
    """The version of the installed distribution."""
    try:
        return metadata.version("dloader")
    except metadata.PackageNotFoundError:
        return "(not installed)"


def count(text: str) -> int:
    """Read a number of things."""
    number = int(text) if text.isascii() and text.isdecimal() else 0
    if not 1 <= number <= 1_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 1000")
    return number


def demo(chosen: argparse.Namespace) -> int:
    """Run `dloader demo`."""
    try:
        from .demo import DemoError, run  # noqa: PLC0415 (it needs the extra `demo`)
    except ModuleNotFoundError as missing:
        sys.stderr.write(f"dloader: {missing}\n")
        return 2
    try:
        run(
            continent=chosen.continent,
            depth=chosen.depth,
            cities=chosen.cities,
            as_json=chosen.json,
            cache_dir=chosen.cache_dir,
        )
    except DemoError as error:
        sys.stderr.write(f"dloader: {error}\n")
        return 1
    return 0
