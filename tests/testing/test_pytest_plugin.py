"""The pytest plugin: fixture, marker, option, and that it costs nothing where it is not used."""

from __future__ import annotations

import asyncio
import importlib.util
import re
import sys

import pytest

import _dloader_pytest_plugin as plugin
import dloader
from dloader import pytest_plugin as public_names
from dloader.instruments import everywhere
from dloader.testing import _test_pages
from dloader.trace import _page, record
from dloader.trace._record import record_everywhere

LOADING = """
import asyncio
import pytest
from dloader import DataLoader

class Likes(DataLoader[int, int]):
    async def batch_load_fn(self, keys):
        return [key * 1000 for key in keys]

async def in_a_loop(count):
    loader = Likes()
    for key in range(count):
        await loader.load(key)
"""
PLUGIN = (
    "-p",
    "no:dloader",
    "-p",
    "_dloader_pytest_plugin",
    "-p",
    "no:randomly",
    "-p",
    "no:hypothesispytest",
)
del _page  # imported here, so that no run of pytest inside of this one is the first


@pytest.fixture
def ask(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    """Runs pytest on a test module, with the plugin, whether or not it is installed."""
    # A module is compiled anew if its size or the second of its change differs: neither may.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")

    def ask(module: str, *options: str, subprocess: bool = False) -> pytest.RunResult:
        pytester.makepyfile(test_feed=LOADING + module)
        run = pytester.runpytest_subprocess if subprocess else pytester.runpytest_inprocess
        return run(*PLUGIN, *options)

    return ask


def pages(pytester: pytest.Pytester, folder: str) -> list[str]:
    return sorted(each.name for each in (pytester.path / folder).glob("*"))


EXCEEDED = """
def test_feed(batch_budget):
    async def law():
        async with batch_budget(rounds=3, batches=5) as trace:
            await in_a_loop(6)
    asyncio.run(law())
"""


class TestTheFixture:
    def test_a_failure_is_told_with_loader_place_and_page(self, ask, pytester):
        result = ask(EXCEEDED)
        result.assert_outcomes(failed=1)
        lines = [
            "E *BatchBudgetExceeded: 6 batches, 5 allowed; 6 rounds, 3 allowed; 1 warning, 0 allowed",
            "E * Likes  6 batches of 1 key  test_feed.py:12 in in_a_loop   <- N+1",
            "E * loop: 6 times one key of Likes*: ask for all with load_many, or gather",
            "E * trace: .pytest_cache/dloader/test_feed.py-test_feed.html",
            "test_feed.py:16: BatchBudgetExceeded",
        ]
        result.stdout.fnmatch_lines(lines)
        page = pytester.path / ".pytest_cache" / "dloader" / "test_feed.py-test_feed.html"
        assert "test_feed.py::test_feed" in page.read_text(encoding="utf-8")
        assert (pytester.path / ".pytest_cache" / ".gitignore").exists()

    def test_without_a_cache_no_page_is_kept(self, ask):
        result = ask(EXCEEDED, "-p", "no:cacheprovider")
        result.assert_outcomes(failed=1)
        result.stdout.no_fnmatch_line("*trace: *")

    def test_what_fits_passes(self, ask, pytester):
        ask(EXCEEDED.replace("6)", "3)")).assert_outcomes(passed=1)
        assert not pages(pytester, ".pytest_cache/dloader")

    def test_growth_is_kept_as_a_page_too(self, ask, pytester):
        result = ask("""
from dloader.testing import assert_scales
def test_scales():
    asyncio.run(assert_scales(in_a_loop))
""")
        result.assert_outcomes(failed=1)
        assert pages(pytester, ".pytest_cache/dloader") == ["test_feed.py-test_scales.html"]


MARKED = """
@pytest.fixture
def data():
    return asyncio.run(in_a_loop(4))

@pytest.mark.batch_budget(rounds=3)
def test_sync(data):
    asyncio.run(in_a_loop({count}))

@pytest.mark.batch_budget(rounds=3)
class TestThem:
    def test_one(self):
        asyncio.run(in_a_loop({count}))

    @pytest.mark.batch_budget(rounds=9, findings=None)
    def test_another(self):
        asyncio.run(in_a_loop(9))
"""


class TestTheMarker:
    def test_it_is_about_what_the_test_itself_loads(self, ask, pytester):
        result = ask(MARKED.format(count=4))
        result.assert_outcomes(failed=2, passed=1)
        result.stdout.fnmatch_lines(["E *BatchBudgetExceeded: 4 rounds, 3 allowed", "E * trace: *"])
        assert pages(pytester, ".pytest_cache/dloader") == [
            "test_feed.py-TestThem-test_one.html",
            "test_feed.py-test_sync.html",
        ]
        ask(MARKED.format(count=3)).assert_outcomes(passed=3)

    def test_a_failure_shows_the_line_of_the_marker_and_none_of_the_plugin(self, ask):
        result = ask(MARKED.format(count=4))
        result.stdout.fnmatch_lines(
            [
                "> *@pytest.mark.batch_budget(rounds=3)",
                "E *BatchBudgetExceeded: 4 rounds, 3 allowed",
                "test_feed.py:18: BatchBudgetExceeded",
                "FAILED test_feed.py::test_sync - *BatchBudget*",
            ]
        )
        for hidden in ("*_plugin.py*", "*_test_pages.py*", "*contextlib.py*"):
            result.stdout.no_fnmatch_line(hidden)

    @pytest.mark.parametrize("said", ["batch=3", "rounds=-3", "3"])
    def test_a_marker_that_is_no_budget_is_shown_where_it_stands(self, ask, said):
        result = ask(MARKED.format(count=3).replace("rounds=3", said))
        result.assert_outcomes(failed=2, passed=1)
        result.stdout.fnmatch_lines([f"> *@pytest.mark.batch_budget({said})", "E * batch_budget(*"])
        result.stdout.no_fnmatch_line("*_test_pages.py*")

    def test_it_sees_contexts_that_are_older_than_the_test_and_those_that_are_watched(self, ask):
        result = ask("""
import contextvars
from dloader import Instrument, watch
before = contextvars.copy_context()
watching = watch(Instrument())

@pytest.mark.batch_budget(batches=1)
def test_older():
    before.run(asyncio.run, in_a_loop(2))

@pytest.fixture(scope="session", autouse=True)
def watched():
    with watching:
        yield

@pytest.mark.batch_budget(batches=1)
def test_watched():
    asyncio.run(in_a_loop(2))
""")
        result.assert_outcomes(failed=2)
        result.stdout.fnmatch_lines(["E *2 batches, 1 allowed"] * 2)

    def test_a_test_that_raises_is_told_with_its_own_error(self, ask, pytester):
        result = ask("""
@pytest.mark.batch_budget(rounds=1)
def test_it():
    asyncio.run(in_a_loop(2))
    raise ZeroDivisionError
""")
        result.assert_outcomes(failed=1)
        result.stdout.no_fnmatch_line("*BatchBudgetExceeded*")
        assert not pages(pytester, ".pytest_cache/dloader")

    def test_what_is_no_budget_fails_the_test(self, ask):
        result = ask("""
@pytest.mark.batch_budget(rounds="3")
def test_it(): pass
""")
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(["*batch_budget(rounds=) takes a number from 0 up*"])

    def test_it_is_known_to_strict_markers_and_shown(self, ask):
        ask(MARKED.format(count=1), "--strict-markers").assert_outcomes(passed=3)
        ask("", "--markers").stdout.fnmatch_lines(["@pytest.mark.batch_budget(*"])


FAILING = """
@pytest.mark.parametrize("name", ["a/b", "a:b", "x" * 300])
def test_fails(name):
    asyncio.run(in_a_loop(2))
    assert False

def test_loads_nothing():
    assert False

def test_passes():
    asyncio.run(in_a_loop(2))

def test_skips():
    asyncio.run(in_a_loop(2))
    pytest.skip()

def test_xfails():
    asyncio.run(in_a_loop(2))
    pytest.xfail()
"""


class TestTheOption:
    def test_it_writes_the_page_of_each_test_that_fails(self, ask, pytester):
        result = ask(FAILING, "--dloader-trace=traces")
        result.assert_outcomes(failed=4, passed=1, skipped=1, xfailed=1)
        result.stdout.fnmatch_lines(["E * trace: traces/test_feed.py-test_fails-a-b-*.html"])
        names = pages(pytester, "traces")
        assert len(names) == 3, "each parameter has its own"
        assert all(
            re.fullmatch(r"test_feed\.py-test_fails-.{1,110}-[0-9a-f]{8}\.html", name) for name in names
        )

    def test_a_folder_elsewhere_is_shown_as_it_is(self, ask, tmp_path_factory):
        folder = tmp_path_factory.mktemp("elsewhere")
        ask(EXCEEDED, f"--dloader-trace={folder}").stdout.fnmatch_lines(
            [f"E * trace: {folder}/test_feed.py-*"]
        )

    def test_a_folder_that_cannot_be_written_hides_no_failure(self, ask, pytester):
        (pytester.path / "traces").write_text("a file")
        result = ask(EXCEEDED, "--dloader-trace=traces")
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(["E *6 batches, 5 allowed*", "E * trace: it could not be written: *"])

    def test_nothing_is_written_without_it(self, ask, pytester):
        ask(FAILING)
        assert not pages(pytester, "traces")
        assert not pages(pytester, ".pytest_cache/dloader")

    @pytest.mark.skipif(importlib.util.find_spec("xdist") is None, reason="needs pytest-xdist")
    def test_with_xdist_each_process_writes_its_own(self, ask, pytester):
        result = ask(FAILING, "--dloader-trace=traces", "-n2", subprocess=True)
        result.assert_outcomes(failed=4, passed=1, skipped=1, xfailed=1)
        assert len(pages(pytester, "traces")) == 3


IMPORTED = """
import sys

def pytest_unconfigure():
    print("imported:", sorted(set(sys.modules).intersection(("dloader", "pydantic", "hypothesis"))))
"""


class TestItsCost:
    @pytest.mark.parametrize("options", [("--collect-only",), ()], ids=["collecting", "running"])
    def test_a_run_that_does_not_use_it_imports_nothing(self, pytester, options):
        pytester.makeconftest(IMPORTED)
        pytester.makepyfile("def test_passes(): pass\ndef test_fails(): assert False\n")
        result = pytester.runpytest_subprocess(*PLUGIN, "-s", *options)
        result.stdout.fnmatch_lines(["*imported: []"])

    def test_its_public_names_are_those_of_the_module_that_pytest_imports(self):
        assert public_names.__all__ == plugin.__all__
        assert [getattr(public_names, name) for name in plugin.__all__] == [
            getattr(plugin, name) for name in plugin.__all__
        ]

    def test_without_it_nothing_is_missed(self, pytester):
        pytester.makepyfile("def test_passes(): pass")
        result = pytester.runpytest_subprocess("-p", "no:dloader", "-W", "error")
        result.assert_outcomes(passed=1)

    def test_with_it_there_is_no_warning(self, ask):
        result = ask(MARKED.format(count=3), "-W", "error", subprocess=True)
        result.assert_outcomes(passed=3)


def test_nobody_watches_when_a_recording_is_over():
    def fail():
        assert len(everywhere) == len(before) + 1
        raise ZeroDivisionError

    before = list(everywhere)
    with pytest.raises(ZeroDivisionError), record_everywhere("x"):
        fail()
    assert everywhere == before


def test_a_recording_of_everything_and_one_of_a_block_see_a_batch_once_each():
    async def load(keys):
        return keys

    async def law():
        with record_everywhere("x") as outer, record() as inner:
            await dloader.DataLoader(load, name="x").load(1)
        return outer.summary(), inner.summary()

    assert asyncio.run(law()) == ({"x": [1]}, {"x": [1]})
    assert _test_pages.TRACE is not None
