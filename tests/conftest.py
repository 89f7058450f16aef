"""What all tests share.

``run`` runs a coroutine function on every kind of event loop::

    def test_the_law(self, run):
        async def law():
            ...
        run(law)

It fails the test when the function hangs, when a task is left running, and when something reached the loop's
exception handler that the test did not take out with ``run.take_reports()``. ``run.kind`` is the kind of the loop.
For tests in pytest's ``asyncio`` style or with loops of their own see loops.py.

Which law stands where: a folder for each part of the package, a file for each object or subject.

- core/      How a loader is made: construction. What it is given: batch_function, rows, dispatch, instruments. What it
             promises: load_many, cache, hits, failures, cancellation, shutdown, loops_and_contexts, nested_batches,
             resources; all of it at random beside a model: state_machine. LoaderRegistry: registry.
- resolver/  What is walked: walking, shared_nodes, shared_rows, endless. What is done there: methods, load_keys,
             forms, parameters, ancestors_and_collectors, values. What is left alone: ignore. In which batches:
             batches, awaiting. What goes wrong: plans and mistakes before anything is loaded, errors later, and
             partial_answers where a resolve goes on. At random beside a naive walk: properties, and
             partial_answers_of_random_trees.
- sql/       dloader.sqlalchemy on four databases (databases.py), with mapped classes of every kind (zoo.py): relations,
             lookups, equal_keys, pages, page_plans, models, sessions, cut_connections (through proxies.py), criteria,
             odd_mappings, sqlmodel, traps; with Redis, cancelled_at_each_await;
             schemas and models at random beside lazy loads: properties (of
             drawn_schemas.py and drawn_models.py); a shop's data: chinook.
- stores/    What loaders keep in stores: the laws of all of them, and Redis; at random beside a model: state_machine.
- compat/    The other libraries' classes.
- here       What is seen from outside: public_names, cli, demo, docs, benchmarks; how the source is built: house.
             All parts at random beside a model: everything_together; for minutes: long_work.

In both folders examples_of_the_specification holds the examples of the documents that the project began with, verbatim.
Helpers: loops.py (loops, Recorder), resolving.py (Source), counting.py (futures, tasks, turns),
suspensions.py (awaits), amounts.py (how much of a long test is done).
"""

from __future__ import annotations

import gc
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, settings
from loops import KINDS, LoopRunner, watched_runner

pytest_plugins = ["pytester"]

settings.register_profile(
    "default",
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.register_profile("quick", settings.get_profile("default"), max_examples=8)
settings.register_profile("ci", settings.get_profile("default"), max_examples=60, print_blob=True)
settings.register_profile("explore", settings.get_profile("ci"), max_examples=1000, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(params=KINDS)
def run(request: pytest.FixtureRequest) -> Iterator[LoopRunner]:
    """Runs a coroutine function on a new loop, once for each kind of loop; see the head of this file."""
    yield from watched_runner(request.param)


def pytest_configure(config: pytest.Config) -> None:
    """Make warnings errors, also where pyproject.toml is not read (the tests of the built wheel); know all markers."""
    if not config.getini("filterwarnings"):
        config.addinivalue_line("filterwarnings", "error")
    if not config.pluginmanager.hasplugin("dloader"):  # not installed anew since it has a plugin
        config.addinivalue_line("markers", "batch_budget: docs/testing.md shows it")


def _fail_if_something_is_missing(report: pytest.TestReport | pytest.CollectReport) -> None:
    """In CI servers and a browser are there: a test that is skipped for want of one is a test that is not run."""
    if (
        report.skipped
        and os.environ.get("CI")
        and re.search("needs a (server|browser)", str(report.longrepr))
    ):
        report.outcome = "failed"
        report.longrepr = f"skipped although CI is set: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    report = yield
    _fail_if_something_is_missing(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[None]:
    report = yield
    _fail_if_something_is_missing(report)
    return report


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of loop, for tests that make their loops themselves (`loops.new_loop`)."""
    return request.param


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let SIGINT interrupt, also where the shell started us in the background, and so with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module", autouse=True)
def _nothing_old_to_collect() -> None:
    """Collect what the last module left, before `run` takes what there is out of the garbage collector's sight."""
    gc.collect()
    gc.freeze()


def _parent_of(name: str) -> object:
    """Return the package in whose attributes a module stands too."""
    return sys.modules.get(name.rpartition(".")[0])


@pytest.fixture
def imported_anew() -> Iterator[Callable[..., None]]:
    """Let packages be imported anew in this test: ``imported_anew("dloader.demo", without="rich")``.

    ``without`` cannot be imported at all. `sys.modules` is half of what an import leaves: a module is an attribute of
    its package too. Both are as before afterwards, so that no later test finds two copies of a module.
    """
    packages: list[str] = []
    before = dict(sys.modules)

    def of_these() -> list[str]:
        return [name for name in sys.modules if any(f"{name}.".startswith(f"{each}.") for each in packages)]

    def forget(*names: str, without: str) -> None:
        packages.extend((*names, without))
        for name in of_these():
            del sys.modules[name]
        sys.modules[without] = None  # type: ignore[assignment]

    yield forget
    for name in (found := of_these()):
        del sys.modules[name]
    sys.modules.update(before)
    for name in {*found, *of_these()}:
        parent, last = _parent_of(name), name.rpartition(".")[2]
        if name in before and parent is not None:
            setattr(parent, last, before[name])
        elif parent is not None and last in vars(parent):
            delattr(parent, last)


@pytest.fixture(scope="module", autouse=True)
def _no_module_twice() -> Iterator[None]:
    """Fail where the tests of a file have left two copies of a module."""
    yield
    for name, module in list(sys.modules.items()):
        if name.startswith(("dloader.", "pydantic.")) and module is not None:
            there = getattr(_parent_of(name), name.rpartition(".")[2], None)
            assert there is module, f"a test of this file left two copies of {name}: see `imported_anew`"
