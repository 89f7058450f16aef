"""What all tests share.

``run`` runs a coroutine function on every kind of event loop::

    def test_the_law(self, run):
        async def law():
            ...
        run(law)

It fails the test when the function hangs, when a task is left running, and when something reached the loop's
exception handler that the test did not take out with ``run.take_reports()``. ``run.kind`` is the kind of the loop.
For tests in pytest's ``asyncio`` style or with loops of their own see loops.py.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from loops import KINDS, LoopRunner

settings.register_profile(
    "default",
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.register_profile("ci", settings.get_profile("default"), max_examples=150, print_blob=True)
settings.register_profile("explore", settings.get_profile("ci"), max_examples=2000, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(params=KINDS)
def run(request: pytest.FixtureRequest) -> Iterator[LoopRunner]:
    """Runs a coroutine function on a new loop, once for each kind of loop; see the head of this file."""
    runner = LoopRunner(request.param)
    yield runner
    unexpected = runner.take_reports()
    assert not unexpected, f"reported to the event loop's exception handler: {unexpected}"


def pytest_configure(config: pytest.Config) -> None:
    """Make warnings errors, also where pyproject.toml is not read (the tests of the built wheel)."""
    if not config.getini("filterwarnings"):
        config.addinivalue_line("filterwarnings", "error")


def _fail_if_a_server_is_missing(report: pytest.TestReport | pytest.CollectReport) -> None:
    """In CI the servers are there: a test that is skipped for want of one is a test that is not run."""
    if report.skipped and os.environ.get("CI") and "needs a server" in str(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"skipped although CI is set: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    report = yield
    _fail_if_a_server_is_missing(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[None]:
    report = yield
    _fail_if_a_server_is_missing(report)
    return report


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of loop, for tests that make their loops themselves (`loops.new_loop`)."""
    return request.param


@pytest.fixture(scope="module", autouse=True)
def _nothing_old_to_collect() -> None:
    """Take what there is by now out of the garbage collector's sight: `run` collects after each test."""
    gc.collect()
    gc.freeze()
