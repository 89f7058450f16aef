"""The pytest plugin: a fixture, a marker and an option, over `dloader.testing`. PYTEST_DONT_REWRITE.

pytest finds it by itself (``-p no:dloader`` leaves it out), and imports it in every run of every project of the
environment. So it stands outside the package, whose import would bring asyncio and the core along, and imports nothing
until a test uses it. What is public of it has its name in `dloader.pytest_plugin`.

- ``batch_budget``, a fixture: `dloader.testing.batch_budget`, with the test's name as title.
- ``@pytest.mark.batch_budget(rounds=3)``: the same for a whole test, without its fixtures.
- ``--dloader-trace=DIR``: the trace of every test that fails, as a page.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from dloader.testing import BatchBudget, exactly

__all__ = (
    "MakeBudget",
    "batch_budget",
    "pytest_addoption",
    "pytest_configure",
    "pytest_runtest_call",
    "pytest_runtest_makereport",
)


class MakeBudget(Protocol):
    """The type of the fixture ``batch_budget``."""

    def __call__(
        self,
        *,
        rounds: int | exactly | None = None,
        batches: int | exactly | None = None,
        keys: int | exactly | None = None,
        per_loader: Mapping[Any, int | exactly] | None = None,
        findings: int | exactly | None = 0,
        title: str = ...,
    ) -> BatchBudget:
        """See `dloader.testing.batch_budget`."""
        ...


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--dloader-trace``."""
    parser.getgroup("dloader").addoption(
        "--dloader-trace",
        metavar="DIR",
        help="write what a test has loaded as a page into this folder, for every test that fails",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Tell of the marker."""
    config.addinivalue_line(
        "markers",
        "batch_budget(*, rounds=, batches=, keys=, per_loader=, findings=0): "
        "fail the test if its loaders take more batches: see dloader.testing",
    )


@pytest.fixture
def batch_budget(request: pytest.FixtureRequest) -> MakeBudget:
    """`dloader.testing.batch_budget`, with the test's name as title."""
    from functools import partial  # noqa: PLC0415 - see the head of this file

    from dloader.testing import batch_budget  # noqa: PLC0415

    return partial(batch_budget, title=request.node.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Record the test, if a marker or the option says so."""
    marker = item.get_closest_marker("batch_budget")
    if marker is None and item.config.getoption("dloader_trace") is None:
        return (yield)
    from dloader.testing._test_pages import recording  # noqa: PLC0415

    with recording(item, marker):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Write the page of a test that has failed, and say where it is."""
    if call.when == "call" and call.excinfo is not None and "dloader.testing" in sys.modules:
        from dloader.testing._test_pages import keep_page  # noqa: PLC0415

        keep_page(item, call.excinfo.value)
    return (yield)
