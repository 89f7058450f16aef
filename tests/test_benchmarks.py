"""The benchmarks work: every way gives the same, and the page shows what was measured.

What dloader makes beside the floors is counted in test_benchmark_counts.py. Nothing is timed here.
"""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import dloader

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT))

from benchmarks.harness import versions  # noqa: E402
from benchmarks.harness.case import Case, Target, Timed, Way  # noqa: E402
from benchmarks.harness.comparison import SMOKE  # noqa: E402
from benchmarks.harness.measure import DifferentOutputsError, Memory, Mode, Result, measure, modes  # noqa: E402
from benchmarks.harness.results import record, worst  # noqa: E402
from benchmarks.harness.versions import Pairs, Row  # noqa: E402
from benchmarks.peers import packages as peers  # noqa: E402
from benchmarks.report import growth, publish  # noqa: E402
from benchmarks.report.chart import chart  # noqa: E402
from benchmarks.suites import GROUPS  # noqa: E402

ASYNCIO = Mode("asyncio", gc=True)


async def one(_: object) -> int:
    return 1


async def two(_: object) -> int:
    return 2


def a_case(*ways: Way, **options: object) -> Case:
    return Case("group", "name", 1, "unit", ways, **options)  # type: ignore[arg-type]


class TestOutputs:
    """Who does other work than the others takes no part."""

    @pytest.mark.parametrize("group", ["loader", "resolver", "latency"])
    def test_all_ways_give_the_same(self, group: str) -> None:
        for case in GROUPS[group](SMOKE):
            assert measure(case, SMOKE, modes()[:1]).samples

    def test_ways_that_give_something_else_are_found_out(self) -> None:
        with pytest.raises(DifferentOutputsError, match="two: 2"):
            measure(a_case(Way("one", one), Way("two", two)), SMOKE, [ASYNCIO])

    def test_whoever_gives_something_else_the_second_time_is_found_out(self) -> None:
        given = iter([1, 1, 2])

        async def other(_: object) -> int:
            return next(given)

        with pytest.raises(DifferentOutputsError, match="other: 2"):
            measure(a_case(Way("other", other, times=3)), SMOKE, [ASYNCIO])

    def test_whoever_gives_something_else_in_another_mode_is_found_out(self) -> None:
        given = iter([1, 2])

        async def other(_: object) -> int:
            return next(given)

        with pytest.raises(DifferentOutputsError, match="other: 2"):
            measure(a_case(Way("other", other)), SMOKE, [ASYNCIO, Mode("asyncio", gc=False)])

    def test_what_times_itself_is_compared_too(self) -> None:
        async def timed(_: object) -> Timed:
            return Timed(2, 0.0)

        with pytest.raises(DifferentOutputsError, match="timed: 2"):
            measure(a_case(Way("one", one), Way("timed", timed)), SMOKE, [ASYNCIO])


class TestDatabases:
    """End to end; the job "benchmarks" of the gate has all that this needs."""

    @pytest.mark.parametrize(("database", "driver"), [("SQLite", "aiosqlite"), ("PostgreSQL", "asyncpg")])
    def test_a_response_takes_one_statement_per_level(self, database: str, driver: str) -> None:
        for package in ("sqlalchemy", "greenlet", driver):
            pytest.importorskip(package)
        statements = self._statements(f"nested response from {database}", database)
        assert statements.pop("dloader, Load") == statements.pop("dloader, sync methods") == 4
        assert statements.pop("SQLAlchemy selectinload") == 4
        assert statements.pop("by hand, one join") == 1
        assert statements.pop("naive, one query per row") > 100
        assert set(statements) <= {"pydantic-resolve"}

    @pytest.mark.parametrize(
        ("database", "driver"), [("SQLite", "aiosqlite"), ("PostgreSQL", "asyncpg"), ("MariaDB", "asyncmy")]
    )
    def test_mapped_classes_do_so_without_a_batch_function(self, database: str, driver: str) -> None:
        for package in ("sqlalchemy", "greenlet", driver):
            pytest.importorskip(package)
        statements = self._statements(f"mapped classes, 2 companies from {database}", database)
        assert statements.pop("dloader, Related") == statements.pop("by hand, one query per level") == 4
        assert statements.pop("SQLAlchemy selectinload") == 4
        assert set(statements.values()) == {1}

    def _statements(self, name: str, database: str) -> dict[str, int]:
        cases = {case.name: case for case in GROUPS["database"](SMOKE)}
        if name not in cases:
            pytest.skip(peers.missing[database])  # it needs a server
        counts = measure(cases[name], SMOKE, modes()[:1]).counts
        return {name: count["statements"] for name, count in counts.items()}


class TestStores:
    """Beside caches; the job "benchmarks" of the gate has all of them."""

    @pytest.mark.parametrize(("state", "most"), [("found", 1), ("missing", 2)])
    def test_a_batch_is_one_round_trip_and_writing_it_another(self, state: str, most: int) -> None:
        cases = {case.name: case for case in GROUPS["store"](SMOKE)}
        if not cases:
            pytest.skip(f"needs {peers.missing.get('Redis', 'redis')}")
        counts = measure(cases[f"10 keys, {state}"], SMOKE, modes()[:1]).counts
        assert counts["dloader"] == counts["by hand, MGET and JSON"] == {"round trips": most}


class TestLatency:
    """Time is not looked at, but who was called how often is."""

    def test_every_loader_is_called_as_seldom_as_can_be(self) -> None:
        cases = [case for case in importlib.import_module("benchmarks.suites.latency.cases").cases(SMOKE)]
        counted = [case for case in cases if case.least]
        assert len(counted) == 2
        for case in counted:
            assert measure(case, SMOKE, modes()[:1]).counts["dloader"] == case.least

    def test_the_ideal_is_the_longest_chain_of_what_needs_one_another(self) -> None:
        longest = importlib.import_module("benchmarks.suites.latency.cases").longest
        needs = {"a": (1.0, ()), "b": (2.0, ("a",)), "c": (5.0, ()), "d": (1.0, ("b", "c"))}
        assert longest(needs) == 6.0
        assert longest({**needs, "c": (0.5, ())}) == 4.0


class TestReports:
    """Tables, JSON, chart and page are made of the same records."""

    def result(self) -> Result:
        targets = [
            Target("dloader", ("by hand", "peer"), 1.5),
            Target("dloader", ("peer",), 1.0, of="memory"),
        ]
        names = ("dloader", "by hand", "peer")
        case = a_case(*(Way(name, one) for name in names), targets=targets)
        result = measure(case, SMOKE, [ASYNCIO])
        for name, seconds in zip(names, ([6.0, 4.0], [2.0, 4.0], [5.0, 5.0]), strict=True):
            result.samples[name][ASYNCIO].seconds[:] = seconds
        result.memory = {"dloader": Memory(5, 30), "by hand": Memory(5, 10), "peer": Memory(5, 40)}
        return result

    def test_a_target_is_a_ratio_of_the_best_runs_and_rounds_are_paired_beside_it(self) -> None:
        time, memory = record(self.result())["targets"]
        assert (time["ratios"], time["verdict"]) == ({str(ASYNCIO): 2.0}, "missed")
        assert time["paired"] == {str(ASYNCIO): 2.0}  # 3 in one round and 1 in the other, against "by hand"
        assert (memory["ratios"], memory["verdict"]) == ({"": 0.75}, "hit")

    def test_losing_cases_come_first(self) -> None:
        losing = record(self.result())
        winning = {**losing, "case": "winning", "targets": losing["targets"][1:]}
        assert worst(losing) == pytest.approx(4 / 3)
        page = "<!-- figures: cases -->\n<!-- end of figures -->"
        written = publish.rendered(page, {"machine": MACHINE, "cases": [winning, losing]})
        assert written.index("### Group: name") < written.index("### Group: winning")
        assert "Farthest from its target: dloader ≤ 1.5 x the best of by hand, peer, at 2.00." in written
        assert "All targets hit; the nearest is memory of dloader ≤ 1 x peer, at 0.75." in written

    def test_growth_is_read_from_the_cases_that_come_in_sizes(self) -> None:
        cases = [{**record(self.result()), "case": f"gather of {size:,} loads"} for size in (1_000, 100)]
        head, *rows = growth.by_size(cases)
        assert head == ["", "100", "1,000"]
        assert [row[0].rpartition(": ")[2] for row in rows] == ["dloader", "by hand"]

    def test_the_pages_show_what_was_measured(self) -> None:
        figures = json.loads(publish.RESULTS.read_text(encoding="utf-8"))
        all_tables, page = (path.read_text(encoding="utf-8") for path in publish.PAGES)
        assert publish.rendered(all_tables, figures) == all_tables
        assert publish.rendered(page, figures) == page
        assert publish.CHART.read_text(encoding="utf-8") == chart(figures["cases"], figures["machine"])
        assert all(
            f"### {case['group'].capitalize()}: {case['case']}\n" in all_tables for case in figures["cases"]
        )


MACHINE = {
    "date": "2026-01-01", "python": "CPython", "system": "", "cpu": "", "cores": 1, "load": None, "versions": {},
}  # fmt: skip


class TestVersions:
    """What became slower is what is so by all measures, and in most of the sittings."""

    def row(self, name: str, *after: list[float]) -> Row:
        return Row("group: case", name, [{ASYNCIO: Pairs([1.0, 2.0, 4.0], seconds)} for seconds in after])

    def test_what_became_slowest_comes_first_and_is_named_again(self) -> None:
        same = self.row("same", [1.0, 2.0, 4.0], [1.0, 2.0, 4.0])
        slower = self.row("slower", [1.1, 2.2, 4.4], [1.1, 2.2, 4.4])
        head, first, second, _, chance, verdict, name, single = versions.report([same, slower])
        assert [line.split()[2:4] for line in (first, second)] == [
            ["slower", "1.100!(1.100)"],
            ["same", "1.000"],
        ]
        assert head.endswith("rounds")
        assert first.endswith("6")
        assert chance.endswith("0.0%")
        assert verdict.endswith(": 1")
        assert name == "  group: case, slower: 1.100"
        assert single.endswith(": 0")

    def test_a_busy_moment_is_not_slower(self) -> None:
        ratio = self.row("busy", [1.0, 18.0, 36.0], [1.0, 18.0, 36.0]).ratio
        assert ratio.paired == pytest.approx(9.0)
        assert ratio.least == 1.0
        assert not ratio.is_slower()

    def test_a_process_that_happens_to_be_slow_is_not_slower(self) -> None:
        ratio = self.row("one of two", [1.3, 2.6, 5.2], [1.03, 2.06, 4.12]).ratio
        assert ratio.paired > ratio.least > 1.02
        assert ratio.chance > 0.1
        assert not ratio.is_slower()


class TestCommand:
    """``python benchmarks/run.py``, with the peers that happen to be here."""

    def test_it_writes_a_table_json_and_a_chart(self, tmp_path: Path) -> None:
        written = self.run(tmp_path, "--json", str(tmp_path / "all.json"), "--svg", str(tmp_path / "all.svg"))
        assert "loader: load_many in batches of 100" in written
        (case,) = json.loads((tmp_path / "all.json").read_text())["cases"]
        assert set(case["ways"]["dloader"]["modes"]) == {str(mode) for mode in modes()}
        assert (tmp_path / "all.svg").read_text().startswith("<svg ")

    def test_another_checkout_can_be_measured(self, tmp_path: Path) -> None:
        package = tmp_path / "src" / "dloader"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("raise RuntimeError('the other checkout')")
        assert "RuntimeError: the other checkout" in self.run(tmp_path, "--src", str(tmp_path), fails=True)
        assert "there is no dloader in" in self.run(tmp_path, "--src", str(package), fails=True)

    def test_two_checkouts_are_compared_in_turn(self, tmp_path: Path) -> None:
        written = self.run(
            tmp_path,
            "--compare",
            str(Path(dloader.__file__).parents[1]),
            "--json",
            str(tmp_path / "all.json"),
        )
        assert "slower by more than 2% and by more than chance (!): " in written
        (row,) = json.loads((tmp_path / "all.json").read_text())
        assert (row["case"], row["way"]) == ("loader: load_many in batches of 100", "dloader")
        assert len(row["sittings"]) == 2
        assert set(row["sittings"][0]) == {str(mode) for mode in modes()}

    def run(self, folder: Path, *options: str, fails: bool = False) -> str:
        command = [sys.executable, str(ROOT / "benchmarks" / "run.py"), "--here", "--smoke", "--only"]
        done = subprocess.run(
            [*command, "in batches of 100", *options], cwd=folder, capture_output=True, text=True, check=False
        )
        assert (done.returncode != 0) == fails, done.stderr
        return done.stdout + done.stderr
