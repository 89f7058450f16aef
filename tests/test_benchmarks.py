"""The benchmarks work: every contestant gives the same, and the page shows what was measured.

What dloader makes beside the floors is counted in test_benchmark_counts.py. Nothing is timed here.
"""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT))

from benchmarks import growth, peers, publish  # noqa: E402
from benchmarks.chart import chart  # noqa: E402
from benchmarks.contest import GROUPS, SMOKE  # noqa: E402
from benchmarks.harness import DifferentOutputsError, Memory, Mode, Result, measure, modes  # noqa: E402
from benchmarks.results import record, worst  # noqa: E402
from benchmarks.shape import Contestant, Shape, Target, Timed  # noqa: E402

ASYNCIO = Mode("asyncio", gc=True)


async def one(_: object) -> int:
    return 1


async def two(_: object) -> int:
    return 2


def a_shape(*contestants: Contestant, **options: object) -> Shape:
    return Shape("group", "name", 1, "unit", contestants, **options)  # type: ignore[arg-type]


class TestOutputs:
    """Who does other work than the others takes no part."""

    @pytest.mark.parametrize("group", ["loader", "resolver", "latency"])
    def test_all_contestants_give_the_same(self, group: str) -> None:
        for shape in GROUPS[group].shapes(SMOKE):
            assert measure(shape, SMOKE, modes()[:1]).samples

    def test_contestants_that_give_something_else_are_found_out(self) -> None:
        with pytest.raises(DifferentOutputsError, match="two: 2"):
            measure(a_shape(Contestant("one", one), Contestant("two", two)), SMOKE, [ASYNCIO])

    def test_whoever_gives_something_else_the_second_time_is_found_out(self) -> None:
        given = iter([1, 1, 2])

        async def other(_: object) -> int:
            return next(given)

        with pytest.raises(DifferentOutputsError, match="other: 2"):
            measure(a_shape(Contestant("other", other, times=3)), SMOKE, [ASYNCIO])

    def test_whoever_gives_something_else_in_another_mode_is_found_out(self) -> None:
        given = iter([1, 2])

        async def other(_: object) -> int:
            return next(given)

        with pytest.raises(DifferentOutputsError, match="other: 2"):
            measure(a_shape(Contestant("other", other)), SMOKE, [ASYNCIO, Mode("asyncio", gc=False)])

    def test_what_times_itself_is_compared_too(self) -> None:
        async def timed(_: object) -> Timed:
            return Timed(2, 0.0)

        with pytest.raises(DifferentOutputsError, match="timed: 2"):
            measure(a_shape(Contestant("one", one), Contestant("timed", timed)), SMOKE, [ASYNCIO])


class TestDatabases:
    """End to end; the job "benchmarks" of the gate has all that this needs."""

    @pytest.mark.parametrize(("database", "driver"), [("SQLite", "aiosqlite"), ("PostgreSQL", "asyncpg")])
    def test_a_response_takes_one_statement_per_level(self, database: str, driver: str) -> None:
        for package in ("sqlalchemy", "greenlet", driver):
            pytest.importorskip(package)
        shapes = {shape.name.rpartition(" ")[2]: shape for shape in GROUPS["database"].shapes(SMOKE)}
        if database not in shapes:
            pytest.skip(peers.missing[database])  # it needs a server
        counts = measure(shapes[database], SMOKE, modes()[:1]).counts
        statements = {name: count["statements"] for name, count in counts.items()}
        assert statements.pop("dloader, Load") == statements.pop("dloader, sync methods") == 4
        assert statements.pop("SQLAlchemy selectinload") == 4
        assert statements.pop("by hand, one join") == 1
        assert statements.pop("naive, one query per row") > 100
        assert set(statements) <= {"pydantic-resolve"}


class TestLatency:
    """Time is not looked at, but who was called how often is."""

    def test_every_loader_is_called_as_seldom_as_can_be(self) -> None:
        shapes = [shape for shape in importlib.import_module("benchmarks.shapes_latency").shapes(SMOKE)]
        counted = [shape for shape in shapes if shape.least]
        assert len(counted) == 2
        for shape in counted:
            assert measure(shape, SMOKE, modes()[:1]).counts["dloader"] == shape.least

    def test_the_ideal_is_the_longest_chain_of_what_needs_one_another(self) -> None:
        longest = importlib.import_module("benchmarks.shapes_latency").longest
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
        shape = a_shape(*(Contestant(name, one) for name in names), targets=targets)
        result = measure(shape, SMOKE, [ASYNCIO])
        for name, seconds in zip(names, ([6.0, 4.0], [2.0, 4.0], [5.0, 5.0]), strict=True):
            result.samples[name][ASYNCIO].seconds[:] = seconds
        result.memory = {"dloader": Memory(5, 30), "by hand": Memory(5, 10), "peer": Memory(5, 40)}
        return result

    def test_a_target_is_a_ratio_of_the_best_runs_and_rounds_are_paired_beside_it(self) -> None:
        time, memory = record(self.result())["targets"]
        assert (time["ratios"], time["verdict"]) == ({str(ASYNCIO): 2.0}, "missed")
        assert time["paired"] == {str(ASYNCIO): 2.0}  # 3 in one round and 1 in the other, against "by hand"
        assert (memory["ratios"], memory["verdict"]) == ({"": 0.75}, "hit")

    def test_losing_shapes_come_first_on_the_page(self) -> None:
        losing = record(self.result())
        winning = {**losing, "shape": "winning", "targets": losing["targets"][1:]}
        assert worst(losing) == pytest.approx(4 / 3)
        page = "<!-- figures: shapes -->\n<!-- end of figures -->"
        written = publish.rendered(page, {"machine": MACHINE, "shapes": [winning, losing]}, COMPILED)
        assert written.index("### Group: name") < written.index("### Group: winning")
        assert "Farthest from its target: dloader ≤ 1.5 x the best of by hand, peer, at 2.00." in written
        assert "All targets hit; the nearest is memory of dloader ≤ 1 x peer, at 0.75." in written

    def test_growth_is_read_from_the_shapes_that_come_in_sizes(self) -> None:
        shapes = [{**record(self.result()), "shape": f"gather of {size:,} loads"} for size in (1_000, 100)]
        head, *rows = growth.by_size(shapes)
        assert head == ["", "100", "1,000"]
        assert [row[0].rpartition(": ")[2] for row in rows] == ["dloader", "by hand"]

    def test_the_page_shows_what_was_measured(self) -> None:
        figures, compiled = (json.loads(file.read_text()) for file in (publish.RESULTS, publish.COMPILED))
        page = publish.PAGE.read_text(encoding="utf-8")
        assert publish.rendered(page, figures, compiled) == page
        assert publish.CHART.read_text(encoding="utf-8") == chart(figures["shapes"], figures["machine"])
        assert all(
            f"### {shape['group'].capitalize()}: {shape['shape']}\n" in page for shape in figures["shapes"]
        )


MACHINE = {
    "date": "2026-01-01", "python": "CPython", "system": "", "cpu": "", "cores": 1, "load": None, "versions": {},
}  # fmt: skip
COMPILED = {"machine": MACHINE, "compiler": "", "modules": [], "failed": {}, "shapes": []}


class TestCommand:
    """``python benchmarks/run.py``, with the peers that happen to be here."""

    def test_it_writes_a_table_json_and_a_chart(self, tmp_path: Path) -> None:
        written = self.run(tmp_path, "--json", str(tmp_path / "all.json"), "--svg", str(tmp_path / "all.svg"))
        assert "loader: load_many in batches of 100" in written
        (shape,) = json.loads((tmp_path / "all.json").read_text())["shapes"]
        assert set(shape["contestants"]["dloader"]["modes"]) == {str(mode) for mode in modes()}
        assert (tmp_path / "all.svg").read_text().startswith("<svg ")

    def test_another_checkout_can_be_measured(self, tmp_path: Path) -> None:
        package = tmp_path / "src" / "dloader"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("raise RuntimeError('the other checkout')")
        assert "RuntimeError: the other checkout" in self.run(tmp_path, "--src", str(tmp_path), fails=True)
        assert "there is no dloader in" in self.run(tmp_path, "--src", str(package), fails=True)

    def run(self, folder: Path, *options: str, fails: bool = False) -> str:
        command = [sys.executable, str(ROOT / "benchmarks" / "run.py"), "--here", "--smoke", "--only"]
        done = subprocess.run(
            [*command, "in batches of 100", *options], cwd=folder, capture_output=True, text=True, check=False
        )
        assert (done.returncode != 0) == fails, done.stderr
        return done.stdout + done.stderr
