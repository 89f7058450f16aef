"""Every example runs: the Python blocks of README.md and docs/, and the ``>>>`` examples of all docstrings.

So do the checks in benchmarks/peers, on dloader: docs/alternatives.md shows their results.

The blocks of a page run in their order, in one module and on one event loop, ``await`` at the top level
included (as in ``python -m asyncio``). A block of ``text`` right below a Python block is what it prints, to
the letter; a block that prints anything must have one.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import doctest
import importlib
import inspect
import io
import json
import pkgutil
import re
import runpy
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType

import pytest
from extras import is_missing, skip_without_extra

import dloader

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT))

from benchmarks.peers import survey  # noqa: E402
from benchmarks.peers.loading import LIBRARIES, LOADING  # noqa: E402
from benchmarks.peers.resolving import RESOLVING, Resolving  # noqa: E402

READMES = [ROOT / "README.md", ROOT / "README.zh-CN.md"]
PAGES = [*READMES, *sorted((ROOT / "docs").glob("*.md"))]
ALTERNATIVES = ROOT / "docs" / "alternatives.md"
LANGUAGES = {"python", "text", "bash", "diff"}

page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)


@dataclass
class Block:
    """A fenced block."""

    language: str
    line: int
    """The number of its first line."""
    text: str
    above: str = ""
    """The language of the block right above it, if there is only empty space between the two."""


def blocks(markdown: str) -> list[Block]:
    """The fenced blocks of a page."""
    found: list[Block] = []
    end = 0
    for match in re.finditer(r"^```([^\n]*)\n(.*?)^```$", markdown, re.MULTILINE | re.DOTALL):
        touching = found and not markdown[end : match.start()].strip()
        line = markdown.count("\n", 0, match.start(2)) + 1
        found.append(Block(match[1], line, match[2], found[-1].language if touching else ""))
        end = match.end()
    return found


def compiled(block: Block, path: Path) -> CodeType:
    tree = ast.parse(block.text, str(path))
    ast.increment_lineno(tree, block.line - 1)
    return compile(tree, str(path), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)


class Page:
    """One module and one event loop for the blocks of a page."""

    def __init__(self, path: Path, runner: asyncio.Runner) -> None:
        self.path, self.runner = path, runner
        self.module = ModuleType(f"example_{path.stem.replace('-', '_')}")
        self.reports: list[dict[str, object]] = []
        self.runner.get_loop().set_exception_handler(lambda _, context: self.reports.append(context))

    def printed_by(self, block: Block) -> str:
        code = compiled(block, self.path)
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            if code.co_flags & inspect.CO_COROUTINE:
                self.runner.run(eval(code, vars(self.module)))
            else:
                exec(code, vars(self.module))
        assert not self.reports, f"{self.path}:{block.line}: reported to the event loop: {self.reports}"
        return printed.getvalue()


@pytest.fixture
def run_page(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    with asyncio.Runner() as runner:

        def run(path: Path) -> None:
            page = Page(path, runner)
            monkeypatch.setitem(sys.modules, page.module.__name__, page.module)
            listed = blocks(path.read_text(encoding="utf-8"))
            for block, below in zip(listed, [*listed, Block("", 0, "")][1:], strict=True):
                if block.language == "python":
                    shown = below.text if (below.language, below.above) == ("text", "python") else ""
                    printed = "".join(f"{line.rstrip()}\n" for line in page.printed_by(block).splitlines())
                    assert printed == shown, f"{path}:{block.line}: printed\n{printed}"

        yield run


@page
def test_the_examples_of_a_page_run_and_print_what_is_shown(path, run_page):
    skip_without_extra(path.stem)
    run_page(path)


@page
def test_every_block_says_what_it_is(path):
    """Nothing hides from this test behind a misspelt language or an option."""
    text = path.read_text(encoding="utf-8")
    assert {block.language for block in blocks(text)} <= LANGUAGES
    assert len(re.findall(r"^\s*(```|~~~)", text, re.MULTILINE)) == 2 * len(blocks(text))


def anchors(path: Path) -> set[str]:
    """The headings of a page, as links name them."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", [*PAGES, *sorted((ROOT / "benchmarks").glob("*.md"))], ids=str)
def test_links_between_pages_lead_somewhere(path):
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", path.read_text(encoding="utf-8")):
        name, _, anchor = target.partition("#")
        linked = path.parent / name if name else path
        if ROOT / "src" in linked.resolve().parents and not (ROOT / "src").exists():
            continue  # the wheel is being tested, beside pages that link to its source
        assert linked.exists(), f"{path.name} links to {target}, which is not there"
        assert not anchor or anchor in anchors(linked), f"{path.name} links to {target}: no such heading"


def test_the_index_lists_every_page():
    listed = set(
        re.findall(r"^- \[.+?\]\((\S+\.md)\)", (ROOT / "docs" / "index.md").read_text("utf-8"), re.MULTILINE)
    )
    assert {path.name for path in PAGES if path not in READMES} - {"index.md"} <= listed


def test_the_example_of_a_script_sends_two_statements(capsys):
    runpy.run_path(str(ROOT / "examples" / "script.py"), run_name="__main__")
    first, second, *lines = capsys.readouterr().out.splitlines()
    assert (first, second) == (
        "SELECT * FROM team", "SELECT * FROM person WHERE team_id IN (1, 2, 3) ORDER BY id",
    )  # fmt: skip
    assert lines == ["Red: Ann, Bob", "Blue: Cid", "Green: nobody"]


def test_the_example_of_a_service_answers(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "examples")
    service, sent = importlib.import_module("plain_service"), []

    async def send(message):
        sent.append(message)

    asyncio.run(service.app({"type": "http"}, None, send))
    start, answer = sent
    assert start["status"] == 200
    red, blue = json.loads(answer["body"])
    assert [(task["title"], task["owner"]["name"]) for task in red["tasks"]] == [
        ("plan", "Ann"),
        ("build", "Bob"),
    ]
    assert [(task["title"], task["owner"]) for task in blue["tasks"]] == [("dry", None)]


def docstring_examples() -> list[doctest.DocTest]:
    """The ``>>>`` examples of all modules, private ones too: public objects are defined there."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    names = [info.name for info in _walk() if not is_missing(info.name)]
    modules = [dloader, *map(importlib.import_module, names)]
    return [example for module in modules for example in finder.find(module) if example.examples]


def _walk() -> Iterator[pkgutil.ModuleInfo]:
    return pkgutil.walk_packages(dloader.__path__, "dloader.")


@pytest.mark.parametrize("example", docstring_examples(), ids=lambda example: example.name)
def test_the_examples_of_docstrings_run(example):
    said = io.StringIO()
    outcome = doctest.DocTestRunner(verbose=False).run(example, out=said.write)
    assert outcome.failed == 0, said.getvalue()


@pytest.mark.parametrize("check", LOADING, ids=lambda check: check.__name__)
def test_what_the_table_says_of_loading_holds(check):
    assert survey.outcome(check, LIBRARIES["dloader"]) == "yes"


@pytest.mark.parametrize("check", RESOLVING, ids=lambda check: check.__name__)
def test_what_the_table_says_of_resolving_holds(check):
    assert survey.outcome(check, Resolving("dloader.resolver", "dloader")) == "yes"


@pytest.mark.parametrize(("heading", "checks"), [("Loading", LOADING), ("Resolving", RESOLVING)])
def test_the_table_has_a_row_for_each_check(heading, checks):
    section = ALTERNATIVES.read_text(encoding="utf-8").partition(f"## {heading}\n")[2].partition("\n#")[0]
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in section.splitlines()
        if line.startswith("|")
    ]
    assert rows[0][1] == "dloader"
    assert [row[:2] for row in rows[2:]] == [[survey.sentence(check), "yes"] for check in checks]
