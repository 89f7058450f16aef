"""Measure the house: how the source of dloader is built, in one table, and the few limits that it must keep.

    python .ci/house.py                               # print the table
    python .ci/house.py --check                       # fail where a limit is passed, and say where
    python .ci/house.py --write docs/architecture.md  # put the table and the path of a load between the page's comments

What is counted, all of it in the package that `import dloader` finds:

- Lines of a function: from `def` to its end, without its docstring. Branches: if, for, while, try, with,
  conditional expressions, chains of `and`/`or`, and loops of comprehensions.
- Lines of a module: all of them. Lines of code: those that hold a token that is no comment and no docstring.
- Writes into another object: assignments, augmented ones and deletes whose target is an attribute of anything but
  `self` or `cls` (`other.x = 1`, `self.other.x = 1`); per 1,000 lines that are not blank.
- Attributes of a class: the names in `__slots__`, those set on `self`, and defaults and annotations in its body.
- Moves: calls of functions in dloader (no comprehensions) from when a caller asks until it has its value; a move is a
  call in another file than the one before. The loader has answered before, and the plan is there. Python 3.12 starts
  tasks at once and so makes fewer of them than 3.11.

Commit b4c4539 had 14.3 writes, 24 attributes (`Batches`), and on 3.11 for one load 41 calls, 9 files, 24 moves.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import gc
import io
import sys
import tokenize
from collections.abc import Awaitable, Callable, Iterator
from itertools import groupby, pairwise
from pathlib import Path
from statistics import median
from types import CodeType, FrameType
from typing import Annotated, NamedTuple, TypeGuard

from pydantic import BaseModel

import dloader.resolver
from dloader.resolver import Load, Resolver

PACKAGE = Path(dloader.__file__).parent
MARKERS = {
    "table": ("<!-- house:start -->\n", "<!-- house:end -->"),
    "path": ("<!-- path:start -->\n", "<!-- path:end -->"),
}

MOST_WRITES = 4.0
MOST_ATTRIBUTES = 14
MOST_MOVES = 12
MOST_CODE = 300
LONG = {
    "_core/_loader.py": "the reference: every public method of a loader, in the order of the documentation",
}
"""The modules that may be longer, two at most, and why."""

OLD_WORDS = {
    "Batches": "Pending",
    "Column": "StepRun",
    "Columns": "Steps",
    "Crowd": "Batch.joined",
    "Frame": "NodeGroup",
    "Lane": "Slot",
    "Lanes": "Barriers",
    "NOWHERE": "None",
    "NoCache": "Cache",
    "Outlook": "Subtree",
    "OwnCache": "FutureCache",
    "Share": "Part",
    "UsersCache": "MappingCache",
    "Watch": "Abandonment",
    "_awaiting": "_values",
    "_callers": "_waiters",
    "_failure": "_error_copies",
    "_knot": "_in_cycles",
    "_knots": "_cycles",
    "_lanes": "_barriers",
    "_leads": "can_reach",
    "_load_with_care": "_load_checked",
    "_nesting": "_wait_graph",
    "_one_less": "NodeGroup.done_one",
    "_shorten": "_text",
    "_shutdown": "_lifecycle",
    "_sole": "UnderWay",
    "_uncoupled": "only_complete",
    "_walk": "_containers",
    "bringing": "node_steps",
    "choose_way": "_update_fast_loop",
    "comes_once": "arrives_together",
    "forget_mistaken": "forget_with_problems",
    "has_crowds": "Batch.joined",
    "hurry": "move_ahead",
    "is_of_sets": "Batch.has_parts_only",
    "is_positional": "is_contextual",
    "must_ask": "is_opaque",
    "outlook": "subtree",
    "plain_loop": "_fast_loop",
    "take_free": "release",
    "untie": "split_cycles",
}
"""Names that nobody but their author could guess, and what is said now: see the words of docs/architecture.md."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
BRANCHES = (
    ast.If, ast.For, ast.AsyncFor, ast.While, ast.Try, ast.With, ast.IfExp, ast.BoolOp, ast.comprehension,
)  # fmt: skip

# --------------------------------------------------------------------------------------------------- what is written


class Module:
    """One file: its syntax, and what its lines hold."""

    def __init__(self, path: Path) -> None:
        self.name = path.relative_to(PACKAGE).as_posix()
        self.text = path.read_text(encoding="utf-8")
        self.tree = ast.parse(self.text)
        self.nodes = list(ast.walk(self.tree))
        self.functions = [node for node in self.nodes if isinstance(node, Function)]
        self.classes = [node for node in self.nodes if isinstance(node, ast.ClassDef)]
        self.lines = self.text.splitlines()
        self.tokens = list(tokenize.generate_tokens(io.StringIO(self.text).readline))
        self.docstrings = {line for node in self.nodes if is_text(node) for line in lines_of(node)}
        self.comments = {token.start[0] for token in self.tokens if token.type == tokenize.COMMENT}
        no_code = {
            tokenize.COMMENT,
            tokenize.NL,
            tokenize.NEWLINE,
            tokenize.INDENT,
            tokenize.DEDENT,
            tokenize.ENDMARKER,
        }
        code = [range(token.start[0], token.end[0] + 1) for token in self.tokens if token.type not in no_code]
        self.code = {line for lines in code for line in lines} - self.docstrings

    def writes(self) -> Iterator[str]:
        """Yield the places that write into an attribute of another object."""
        for target in (target for node in self.nodes for target in targets(node)):
            if isinstance(target, ast.Attribute) and not is_own(target):
                yield f"{self.name}:{target.lineno}: {ast.unparse(target)}"


def is_text(node: ast.AST) -> TypeGuard[ast.Expr]:
    """Whether a statement is a docstring, also one below an attribute."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def lines_of(node: ast.stmt) -> range:
    """Return the numbers of the lines of a statement."""
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


def is_own(target: ast.Attribute) -> bool:
    """Whether the attribute is one of `self` or `cls`."""
    return isinstance(target.value, ast.Name) and target.value.id in ("self", "cls")


def targets(node: ast.AST) -> Iterator[ast.expr]:
    """Yield what a statement writes to."""
    match node:
        case ast.Assign(targets=given) | ast.Delete(targets=given):
            todo = list(given)
        case ast.AugAssign(target=given) | ast.AnnAssign(target=given) | ast.For(target=given):
            todo = [given]
        case _:
            return
    while todo:
        target = todo.pop()
        if isinstance(target, ast.Tuple | ast.List):
            todo += target.elts
        elif isinstance(target, ast.Starred):
            todo.append(target.value)
        else:
            yield target


def length(function: Function) -> int:
    """Return the lines of a function, without its docstring."""
    return len(lines_of(function)) - (len(lines_of(function.body[0])) if is_text(function.body[0]) else 0)


def parameters(function: Function) -> int:
    """Return how many parameters a function has, `self` included."""
    given = function.args
    rest = (given.vararg is not None) + (given.kwarg is not None)
    return len(given.posonlyargs) + len(given.args) + len(given.kwonlyargs) + rest


def parameters_of_private(modules: list[Module]) -> Iterator[tuple[int, str]]:
    """Yield how many parameters private functions have, and those that make private classes, with their names."""
    public = {*dloader.__all__, *dloader.resolver.__all__}
    for module in modules:
        makers = [(cls.name, node) for cls in module.classes if cls.name not in public for node in cls.body]
        for name, node in [*makers, *((node.name, node) for node in module.functions)]:
            if isinstance(node, Function) and (
                is_private(node.name) or (node.name == "__init__" and name != node.name)
            ):
                yield parameters(node), name


def is_private(name: str) -> bool:
    """Whether a name begins with an underscore and is none of Python's own."""
    return name.startswith("_") and not name.endswith("__")


def attributes(cls: ast.ClassDef) -> set[str]:
    """Return the names of the attributes of a class's instances; an enumeration's members are none."""
    if any("Enum" in ast.unparse(base) for base in cls.bases):
        return set()
    names: set[str] = set()
    for node in cls.body:
        found = {target.id for target in targets(node) if isinstance(target, ast.Name)}
        if "__slots__" in found and isinstance(node, ast.Assign):
            names |= {each for each in ast.literal_eval(node.value) if isinstance(each, str)}
        names |= {name for name in found if not name.startswith("__")}
    for node in ast.walk(cls):
        names |= {
            target.attr for target in targets(node) if isinstance(target, ast.Attribute) and is_own(target)
        }
    return names


# ------------------------------------------------------------------------------------------------------ what is run


class Trace(NamedTuple):
    """The functions of dloader that were called, in order."""

    calls: list[CodeType]

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        """Note a call; this is what `sys.setprofile` takes."""
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(str(PACKAGE)) and not code.co_name.startswith("<"):
            self.calls.append(code)

    def figures(self) -> tuple[int, int, int, int]:
        """Return calls, distinct functions, files, and moves from file to file."""
        files = [code.co_filename for code in self.calls]
        moves = sum(here != there for here, there in pairwise(files))
        return len(files), len(set(self.calls)), len(set(files)), moves

    def path(self) -> str:
        """Return the functions in the order of their calls, a line for each stay in a file."""
        stays = groupby(self.calls, key=lambda code: Path(code.co_filename).relative_to(PACKAGE).as_posix())
        return "".join(f"{name:<22}{', '.join(code.co_name for code in codes)}\n" for name, codes in stays)


async def load_keys(keys: list[int]) -> list[int]:
    """A batch function."""
    return keys


async def load_names(keys: list[int]) -> list[str]:
    """Another one."""
    return [str(key) for key in keys]


class Node(BaseModel):
    """A model with one field to load."""

    id: int
    name: Annotated[str, Load(load_names, by="id")] = ""


def traced(make: Callable[[], Callable[[list[int]], Awaitable[object]]]) -> Trace:
    """Ask once, and trace the second time."""

    async def program() -> None:
        ask = make()
        await ask([7, 8])
        gc.disable()  # the graph of models has a callback in it
        sys.setprofile(trace)
        try:
            await ask([1, 2])
        finally:
            sys.setprofile(None)
            gc.enable()

    trace = Trace([])
    asyncio.run(program())
    return trace


def trace_load() -> Trace:
    """One load that misses."""
    loader = dloader.DataLoader(load_keys)
    return traced(lambda: lambda keys: loader.load(keys[0]))


def trace_load_many() -> Trace:
    """A load_many of two keys."""
    loader = dloader.DataLoader(load_keys)
    return traced(lambda: loader.load_many)


def trace_resolve() -> Trace:
    """A resolve of two nodes with one Load."""
    return traced(lambda: lambda keys: Resolver().resolve([Node(id=key) for key in keys]))


# ----------------------------------------------------------------------------------------------- the table, the limits


class House:
    """All figures."""

    def __init__(self) -> None:
        self.modules = [Module(path) for path in sorted(PACKAGE.rglob("*.py"))]
        self.writes = [place for module in self.modules for place in module.writes()]
        self.solid = sum(bool(line.strip()) for module in self.modules for line in module.lines)
        classes = [(len(attributes(cls)), cls.name) for module in self.modules for cls in module.classes]
        self.classes = sorted(classes, reverse=True)
        self.load = trace_load()

    @property
    def writes_per_thousand(self) -> float:
        """Writes into other objects per 1,000 lines that are not blank."""
        return len(self.writes) / self.solid * 1000

    def static_rows(self) -> Iterator[tuple[str, str, str]]:
        """Yield label, figures and limit of what is written; the same on every Python."""
        functions = [function for module in self.modules for function in module.functions]
        lengths = sorted(map(length, functions))
        branches = sorted(
            sum(isinstance(node, BRANCHES) for node in ast.walk(function)) for function in functions
        )
        lines = [len(module.lines) for module in self.modules]
        code = sum(len(module.code) for module in self.modules)
        docs = sum(len(module.docstrings) for module in self.modules) / code
        comments = sum(len(module.comments) for module in self.modules) / code
        most, whose = max(parameters_of_private(self.modules))
        widest = [f"{count} (`{name}`)" for count, name in self.classes][:3]
        longest = max(len(module.code) for module in self.modules if module.name not in LONG)
        p95 = len(functions) * 95 // 100
        yield (
            "function: median / p95 / longest (lines)",
            f"{median(lengths):.0f} / {lengths[p95]} / {lengths[-1]}",
            "",
        )
        yield "branches in a function: p95 / most", f"{branches[p95]} / {branches[-1]}", ""
        yield "module: median / longest (lines)", f"{median(lines):.0f} / {max(lines)}", ""
        yield (
            f"longest module but {', '.join(f'`{name}`' for name in LONG)} (lines of code)",
            f"{longest}",
            f"{MOST_CODE}",
        )
        yield "comments, docstrings per line of code", f"{comments:.2f}, {docs:.2f}", ""
        yield (
            "writes into another object's attributes, per 1,000 lines",
            f"{self.writes_per_thousand:.1f}",
            f"{MOST_WRITES:.0f}",
        )
        yield (
            "most attributes in one class",
            ", ".join(widest),
            f"{MOST_ATTRIBUTES}",
        )
        yield "most parameters of a private function", f"{most} (`{whose}`)", ""

    def traced_rows(self) -> Iterator[tuple[str, str, str]]:
        """Yield the same of what is run, which depends on the Python."""
        what = f"calls / functions / files / moves on Python {sys.version_info[0]}.{sys.version_info[1]}"
        yield f"one `load` that misses: {what}", say(self.load.figures()), f"{MOST_MOVES} moves"
        yield f"a `load_many` of two keys: {what}", say(trace_load_many().figures()), ""
        yield f"a resolve of two nodes with one `Load`: {what}", say(trace_resolve().figures()), ""

    def table(self) -> str:
        """Return all of it as Markdown."""
        rows = [("", "dloader", "limit"), ("---", "---:", "---:"), *self.static_rows(), *self.traced_rows()]
        return "".join(f"| {' | '.join(row)} |\n" for row in rows)

    def path(self) -> str:
        """Return the way of one load through the files, as Markdown."""
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        return f"```text\nOne load that misses, on Python {version}\n\n{self.load.path()}```\n"

    def parts(self) -> dict[str, str]:
        """Return what stands between the markers of a page."""
        return {"table": self.table(), "path": self.path()}

    def problems(self) -> Iterator[str]:
        """Yield each limit that is passed, and where."""
        if self.writes_per_thousand > MOST_WRITES:
            where = "\n  ".join(self.writes)
            yield f"{self.writes_per_thousand:.1f} writes into other objects per 1,000 lines:\n  {where}"
        for count, name in self.classes:
            if count > MOST_ATTRIBUTES:
                yield f"class {name} has {count} attributes"
        for module in self.modules:
            if len(module.code) > MOST_CODE and module.name not in LONG:
                yield f"{module.name} has {len(module.code)} lines of code"
            for token in module.tokens:
                if token.type == tokenize.NAME and token.string in OLD_WORDS:
                    yield f"{module.name}:{token.start[0]}: {token.string} is called {OLD_WORDS[token.string]} now"
        *_, moves = self.load.figures()
        if moves > MOST_MOVES:
            yield f"one load moves {moves} times from file to file"


def say(figures: tuple[int, ...]) -> str:
    """Figures as a cell."""
    return " / ".join(map(str, figures))


def main() -> None:
    """Print, check or write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="fail where a limit is passed")
    parser.add_argument("--write", metavar="PAGE", type=Path, help="put the table into a page")
    options = parser.parse_args()
    house = House()
    print(house.table())
    if options.write:
        page = options.write.read_text(encoding="utf-8")
        for part, text in house.parts().items():
            begin, end = MARKERS[part]
            before, _, rest = page.partition(begin)
            _, found, after = rest.partition(end)
            if not found:
                sys.exit(f"{options.write} has no lines {begin.strip()} and {end}")
            page = f"{before}{begin}{text}{end}{after}"
        options.write.write_text(page, encoding="utf-8")
    if options.check and (problems := list(house.problems())):
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
