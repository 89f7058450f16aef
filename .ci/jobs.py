"""The gate's jobs: one function each, in the order in which they start, the longest first.

A job gets a `Place` (see gate.py): a fresh copy of the tree, in which it makes its environment and runs commands. The
first that fails ends it. The first line of its docstring is what `.ci/run --list` says.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from peer_suites import SUITES
from readme_command import command

if TYPE_CHECKING:
    from gate import Place

SUPPORTED = ("3.11", "3.12", "3.13", "3.14")
QUICK = ("quick-tests", "types", "lint")
ON_REQUEST = ("quick-tests", "prereleases", "explore")
"""What other jobs do better, if more slowly; or what may fail; or takes very long."""
MAY_FAIL = ("prereleases",)
"""What is told, and does not fail the gate: it is about what does not exist yet."""
AT_LAST = ("import-time",)
"""What needs a quiet machine: run one by one when the others are done."""

WITHOUT_BROWSER = (
    "benchmarks",
    "types",
    "lint",
    "peer-suites",
    "release",
    "recipes",
    "site",
    "newcomer-demo",
    "json-demo",
    *AT_LAST,
)
"""What does not run the tests that look at pages."""

PYTEST = ("-m", "pytest", "-q", "-rfEs", "--durations=5")
FEW = {"HYPOTHESIS_PROFILE": "quick"}
"""Few random examples: `properties` draws many."""
SLOW = (
    "tests/sql/test_cancelled_at_each_await.py",
    "tests/sql/test_company_api.py",
    "tests/sql/test_growth.py",
    "tests/sql/test_service.py",
    "tests/stores/test_redis.py",
    "tests/test_benchmarks.py",
    "tests/test_house.py",
    "tests/test_long_work.py",
    "tests/test_public_names.py",
    "tests/testing/test_contract.py",
    "tests/testing/test_pytest_plugin.py",
)
"""What takes most of the time: servers, processes, and requests by the hundred."""
LOOKED_AT = (
    "tests/resolver/test_outline.py",
    "tests/test_demo.py",
    "tests/trace/test_middleware.py",
    "tests/trace/test_page.py",
)
"""What is seen by somebody: pages, in a browser, and the demo. Too slow for every day."""
ELSEWHERE = ("tests/test_benchmarks.py", "tests/test_house.py")
"""What `benchmarks` and `lint` run, or do, on the newest Python too."""

SQLITE_ALONE = "not asyncpg and not psycopg and not asyncmy"
NO_LONG_COUNTS = "not TestNestedLoads"
"""It counts Python's steps, for long: they are the same on any event loop, with any dependencies, in any order."""
OF_ALL_DRIVERS = (
    "test_bad_keys",
    "test_cut_connections",
    "test_equal_keys",
    "test_lookups",
    "test_pages",
    "test_sessions",
)
"""What tells whether a driver does what we need of it."""
WITHOUT_DEPENDENCIES = (
    "tests/resolver/test_cost.py",
    "tests/resolver/test_outline.py",
    "tests/resolver/test_threads.py",
    "tests/sql/test_cancelled_at_each_await.py",
    "tests/sql/test_company_api.py",
    "tests/sql/test_growth.py",
    "tests/sql/test_service.py",
    "tests/test_benchmarks.py",
    "tests/test_house.py",
    "tests/test_long_work.py",
    "tests/test_public_names.py",
    "tests/trace/test_page.py",
)
"""What needs none, or none in another way than other tests."""
LINT = ("--editable", ".[test]", "--group", "lint")


def install_browser(place: Place) -> None:
    """Install Debian's Chromium where there is none and we may: the tests look at pages with it, or are skipped."""
    if shutil.which("chromium") or not shutil.which("apt-get") or os.geteuid() != 0:
        return
    with suppress(subprocess.CalledProcessError):  # in CI the tests say then that they need it
        apt = ("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300")
        place.run(*apt, "update")
        place.run(
            *apt, "install", "-y", "--no-install-recommends", "chromium", DEBIAN_FRONTEND="noninteractive"
        )


def tests(place: Place, version: str) -> None:
    """The tests against the built wheel on this Python; on the newest they are measured: they run every line."""
    place.install_wheel(version)
    if version == place.newest:
        measured_tests(place)
    else:
        place.run("python", *PYTEST)


def measured_tests(place: Place) -> None:
    """Run the tests, and see that they run all lines and branches.

    Measuring makes tests slow, and other jobs run them on all kinds of event loops and search longer: so here is one
    kind, one driver for each database, few random examples, and nothing that `properties` runs in full.
    """
    left_out = (f"--ignore={path}" for path in ELSEWHERE)
    few = FEW | {"DLOADER_TEST_LOOPS": "asyncio"}
    place.run("coverage", "run", *PYTEST, *left_out, "-k", "not psycopg", "-m", "not in_full", **few)
    place.run("coverage", "report", "--precision=2", "--fail-under=100")


def newcomer_test(place: Place) -> None:
    """README's command for the tests, as a newcomer's first command, on the oldest Python, on one kind of event loop.

    `lowest` has uvloop on that Python, `any-order` the other two kinds.
    """
    readme(place, "pytest", DLOADER_TEST_LOOPS="asyncio")


def properties(place: Place) -> None:
    """The tests that draw programs and trees at random, with many more examples; and long ones, in full.

    Without loops that debug, which take several times as long: `any-order` has them.
    """
    place.install_wheel(place.newest)
    found = tests_with(place, "from hypothesis", "in_full")
    long = ("-m", "hypothesis or in_full")
    place.run(
        "python", *PYTEST, *found, *long, HYPOTHESIS_PROFILE="ci", DLOADER_TEST_LOOPS="asyncio,uvloop,eager"
    )


def explore(place: Place) -> None:
    """The random tests with other draws each time, and up to a thousand of them, on the oldest Python: very long.

    In all other jobs the same is drawn each time, so that they fail when something has changed.
    """
    place.install_wheel(place.oldest)
    for path in tests_with(place, "from hypothesis"):
        place.run("python", *PYTEST, "--timeout=0", path, HYPOTHESIS_PROFILE="explore")


def tests_with(place: Place, *words: str) -> list[Path]:
    """The files of tests in which one of these is written."""
    return [
        path for path in place.glob("tests/**/test_*.py") if any(map(path.read_text().__contains__, words))
    ]


def benchmarks(place: Place) -> None:
    """The benchmarks with all peers, in a size that says nothing about speed: equal outputs, and counts."""
    python = place.folder / "benchmarks/.venv/bin/python"  # which the first run makes
    place.run(place.pythons[place.newest], "benchmarks/run.py", "--smoke", "--json=s.json", "--svg=s.svg")
    place.uv("pip", "install", "--python", python, "--editable", ".[test]")
    place.run(python, *PYTEST, *place.glob("tests/test_benchmark*.py"))


def lowest(place: Place) -> None:
    """The tests with the oldest dependencies that pyproject.toml allows, on the oldest Python."""
    python = place.pythons[place.oldest]
    every = ("--resolution=lowest-direct", "--all-extras", "pyproject.toml", "--output-file=lowest.txt")
    place.uv("pip", "compile", "--python", python, *every)
    place.install_wheel(place.oldest, "--constraints", "lowest.txt")
    left_out = (f"--ignore={path}" for path in WITHOUT_DEPENDENCIES)
    some = f"(({SQLITE_ALONE}) or {' or '.join(OF_ALL_DRIVERS)}) and {NO_LONG_COUNTS}"
    few = FEW | {"DLOADER_TEST_LOOPS": "uvloop"}  # no other loop is a dependency
    place.run("python", *PYTEST, *left_out, "-k", some, **few)


def any_order(place: Place) -> None:
    """The tests in a random order, in two processes, on a Python between oldest and newest; the log says the seed.

    On SQLite, and on two kinds of event loop: others run all of them in their order, and what takes long.
    """
    place.install_wheel(place.between, "--group", "any-order")
    seed = f"--randomly-seed={int(time.time())}"
    few = FEW | {"DLOADER_TEST_LOOPS": "debug,eager"}
    left_out = [f"--ignore={path}" for path in SLOW]
    some = f"{SQLITE_ALONE} and {NO_LONG_COUNTS}"
    place.run("python", *PYTEST, "-n", "2", *left_out, "-k", some, seed, **few)


def prereleases(place: Place) -> None:
    """The tests with pre-releases of Pydantic and SQLAlchemy, where these are newer than releases; they may fail."""
    wanted = (f"{name}>=2.0.0a0" for name in ("pydantic", "pydantic-core", "sqlalchemy"))
    place.install_wheel(place.newest, "--group", "any-order", *wanted)
    place.uv("pip", "list", "--python", ".venv/bin/python", quiet=False)
    folders = ("tests/resolver", "tests/sql", "tests/compat", "tests/integrations")  # the core knows neither
    place.run("python", *PYTEST, "-n", "2", "-p", "no:randomly", *folders, **FEW)


def quick_tests(place: Place) -> None:
    """Most tests on the newest Python, in two processes: on one event loop and SQLite, with few random examples."""
    place.install_wheel(place.newest, "--group", "any-order")
    left_out = [f"--ignore={path}" for path in (*SLOW, *LOOKED_AT)]
    few = FEW | {"DLOADER_TEST_LOOPS": "asyncio"}
    place.run("python", *PYTEST, "-n", "2", "-p", "no:randomly", *left_out, "-k", SQLITE_ALONE, **few)


def types(place: Place) -> None:
    """The type checkers, mypy and pyright."""
    place.install(place.newest, *LINT)
    place.run_all("mypy", "mypy --python-version 3.13", "pyright")


def lint(place: Place) -> None:
    """Style, layers, the limits of the house, and the changelog's lines."""
    place.install(place.newest, *LINT)
    changelog = "towncrier build --draft --version next"
    place.run_all(
        changelog, "ruff check", "ruff format --check", "lint-imports", "python .ci/house.py --check"
    )


def peer_suites(place: Place) -> None:
    """The tests of the libraries that dloader.compat takes the place of, with nothing but import lines changed."""
    place.install_wheel(
        place.newest, "pip", *dict.fromkeys(need for suite in SUITES.values() for need in suite.needs)
    )
    place.run_all(*(f"python .ci/peer_suites.py {name}" for name in SUITES))
    place.uv("pip", "install", "--python", ".venv/bin/python", *(suite.release for suite in SUITES.values()))
    place.run("python", ".ci/peer_programs.py", "150")


def real_data(place: Place) -> None:
    """Answers of mapped classes over real data, which a source package has: what lazy loads give."""
    place.install_wheel(place.newest, "pip")
    place.run("python", ".ci/real_data.py")


def release(place: Place) -> None:
    """What would be released: the archives are whole, each installs by pip alone into nothing, and works."""
    place.uv("build", "--python", place.pythons[place.newest], "--out-dir", "dist")
    for version in (place.oldest, place.newest):
        for archive in place.glob("dist/dloader-*"):
            environment = f"try-{version}{archive.suffix}"
            place.run(place.pythons[version], "-m", "venv", environment)
            place.run(f"{environment}/bin/pip", "install", "--quiet", archive)
            place.run(f"{environment}/bin/dloader", "--version")
            place.run(f"{environment}/bin/python", "-I", "-W", "error", ".ci/release_program.py")
    place.install(place.newest, "twine")
    place.run("twine", "check", "--strict", *place.glob("dist/dloader-*"))


def recipes(place: Place) -> None:
    """The recipes: Django's ORM, Tortoise, HTTP, gRPC, Logfire."""
    place.install_wheel(place.newest, "--group", "recipes")
    place.run("python", *PYTEST, "tests/test_recipes.py", DLOADER_TEST_RECIPES="needed")


def site(place: Place) -> None:
    """The documentation as a site: warnings are errors, and every link leads somewhere."""
    place.install(place.newest, "--editable", ".[example]", "--group", "docs")
    place.run("python", ".ci/site.py", NO_COLOR="1")


def newcomer_demo(place: Place) -> None:
    """README's command for the demo, as a newcomer's first command."""
    readme(place, "dloader demo")


def readme(place: Place, ending: str, **env: str) -> None:
    """Run the command of README.md that ends in these words."""
    text = (place.folder / "README.md").read_text(encoding="utf-8")
    python = f'export PATH="{Path(place.pythons[place.oldest]).parent}:$PATH"\n'
    env |= FEW | {"PYTEST_ADDOPTS": "-rfEs --durations=5"}
    place.run("bash", "-euc", python + command(text, ending), **env)


def json_demo(place: Place) -> None:
    """The demo's JSON is JSON."""
    place.install_wheel(place.newest, extra="demo")
    line = "dloader demo --json | python -m json.tool --no-indent | cut -c 1-200"
    place.run("bash", "-euo", "pipefail", "-c", line)


def import_time(place: Place) -> None:
    """`import dloader` loads only the standard library, and costs little."""
    place.install_wheel(place.newest, extra="resolver")
    place.run("python", ".ci/importtime.py")


JOBS = (
    newcomer_test,
    lowest,
    any_order,
    properties,
    benchmarks,
    quick_tests,
    prereleases,
    explore,
    types,
    lint,
    peer_suites,
    real_data,
    release,
    recipes,
    site,
    newcomer_demo,
    json_demo,
    import_time,
)
"""All but `tests`, of which there is one for each Python here, run on request where another job is for that Python."""
