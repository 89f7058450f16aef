"""What the pytest plugin does once it is used: record a test, check its marker, keep the page of one that failed."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from zlib import crc32

import pytest

from dloader import OptionError
from dloader.testing._budget import BatchBudgetExceeded, batch_budget
from dloader.testing._scale import CallsGrowError
from dloader.trace import Trace
from dloader.trace._record import record_everywhere

__all__ = ("keep_page", "recording")

TRACE = pytest.StashKey[Trace]()
MOST_LETTERS = 120


@contextmanager
def recording(item: pytest.Item, marker: pytest.Mark | None) -> Generator[None]:
    """Record one test, in whichever context or thread its runner has it run, and check its budget.

    Raises:
        BatchBudgetExceeded: It took more than its marker allows.
        OptionError: What the marker says is no budget.
        TypeError: It has words that no budget has.
    """
    budget = None
    try:
        if marker is not None:
            budget = batch_budget(*marker.args, **marker.kwargs)
    except (TypeError, OptionError) as error:
        _raise_at(item, error)
    with record_everywhere(item.nodeid) as trace:
        item.stash[TRACE] = trace
        yield
    if budget is not None:
        try:
            budget.check(trace)
        except BatchBudgetExceeded as error:
            _raise_at(item, error)


def _raise_at(item: pytest.Item, error: Exception) -> None:
    """Raise as if the test's first line did it: pytest shows that line, where markers are, and none of ours."""
    code = compile("raise error", str(item.path), "exec").replace(co_firstlineno=(item.location[1] or 0) + 1)
    exec(code, {"error": error.with_traceback(None)})  # noqa: S102 - a frame can be made in no other way


def keep_page(item: pytest.Item, error: BaseException) -> None:
    """Write the trace of a test that has failed, if there is one and a place for it, and add a note to the error."""
    if isinstance(error, (pytest.skip.Exception, pytest.xfail.Exception)):
        return
    own = error.trace if isinstance(error, (BatchBudgetExceeded, CallsGrowError)) else None
    trace = own or item.stash.get(TRACE, None)
    folder = _folder(item.config, is_asked_for=own is not None)
    if trace is None or folder is None or not trace.loads:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        page = trace.save(folder / f"{_file_name(item.nodeid)}.html")
    except OSError as problem:
        error.add_note(f"trace: it could not be written: {problem}")
    else:
        here = item.config.invocation_params.dir
        error.add_note(f"trace: {page.relative_to(here) if page.is_relative_to(here) else page}")


def _folder(config: pytest.Config, *, is_asked_for: bool) -> Path | None:
    chosen: str | None = config.getoption("dloader_trace")
    if chosen is not None:
        return Path(config.invocation_params.dir, chosen)
    cache = getattr(config, "cache", None)  # there is none with -p no:cacheprovider
    if cache is None or not is_asked_for:
        return None
    # Asked for by its public name, the folder is made with all that pytest puts there, a .gitignore say.
    return Path(cache.mkdir("dloader")).parents[1] / "dloader"


def _file_name(node: str) -> str:
    """``tests-test_feed.py-test_feed``; names that lose something get a number."""
    name = re.sub(r"[^\w.-]+", "-", node)
    is_whole = len(name) <= MOST_LETTERS and node.replace("/", "-").replace("::", "-") == name
    return name if is_whole else f"{name[:MOST_LETTERS].strip('-')}-{crc32(node.encode()):08x}"
