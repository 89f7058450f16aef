"""The demo: real data in a real SQLite file, and three ways to load one tree from it."""

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

from dloader.demo import DemoError, run
from dloader.demo.comparison import Course, compare, find_continent, run_batched, run_naive, same
from dloader.demo.data import data_file, read
from dloader.demo.database import connect
from dloader.demo.loaders import CityById, LargestCities


@pytest.fixture(scope="session")
def path() -> Iterator[Path]:
    """The demo's database, built once for all tests."""
    with data_file() as path:
        yield path


def world(path: Path, continent: str | None = None, depth: int = 2, cities: int = 3) -> Course:
    """A course through the data, as the command line's defaults have it."""
    return Course(path, continent, depth, cities)


class TestData:
    def test_holds_every_row_of_the_extract(self, path: Path) -> None:
        """No row is lost on the way into SQLite."""
        with closing(sqlite3.connect(path)) as connection:
            found = {t: connection.execute(f"SELECT COUNT(*) FROM {t}").fetchone()[0] for t in read()}
        assert found == {table: len(rows) for table, rows in read().items()}
        assert found["country"] == 252

    def test_refers_to_nothing_that_is_missing(self, path: Path) -> None:
        """Every foreign key of the extract leads to a row."""
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []

    def test_is_small_and_names_its_source(self) -> None:
        """The extract has to be downloaded by everybody, and its licence asks for an attribution."""
        folder = files("dloader.demo")
        assert len(folder.joinpath("geonames.json.gz").read_bytes()) < 250_000
        assert "Creative Commons Attribution 4.0" in folder.joinpath("geonames.txt").read_text("utf-8")

    @pytest.mark.parametrize(
        ("iso", "capital"),
        [
            pytest.param("FR", "Paris", id="the same spelling"),
            pytest.param("BR", "Brasília", id="another spelling, which smaller cities know too"),
            pytest.param("BQ", None, id="no capital"),
        ],
    )
    def test_knows_capitals(self, path: Path, iso: str, capital: str | None) -> None:
        """A country's capital is the city that GeoNames means by its name."""
        sql = "SELECT city.name FROM country LEFT JOIN city ON city.id = capital_id WHERE iso = ?"
        with closing(sqlite3.connect(path)) as database:
            assert database.execute(sql, (iso,)).fetchone() == (capital,)

    def test_of_several_capitals_of_one_name_takes_the_largest(self, path: Path) -> None:
        """Of the cities called Washington in the United States, the capital is not one of the small ones."""
        sql = "SELECT city.population FROM country JOIN city ON city.id = capital_id WHERE iso = 'US'"
        with closing(sqlite3.connect(path)) as database:
            assert database.execute(sql).fetchone()[0] > 500_000

    def test_goes_when_the_demo_ends(self) -> None:
        """The file leaves nothing behind, also where the block fails."""
        seen: list[Path] = []
        with pytest.raises(KeyError), data_file() as path:  # noqa: PT012
            seen.append(path)
            raise KeyError
        assert not seen[0].parent.exists()


class TestTrees:
    @pytest.mark.parametrize("depth", [1, 2, 3, 4])
    def test_all_ways_load_the_same_tree(self, path: Path, depth: int) -> None:
        """At every depth, what the loaders bring is what the other ways bring."""
        course = world(path, "NA", depth)
        naive, eager, batched = asyncio.run(compare(course))
        assert batched.statements == 1 + sum(used.batches for used in batched.loaders)
        assert batched.statements <= eager.statements < naive.statements / 10

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
        """If the ways ever disagree, the demo fails instead of praising a wrong tree."""
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

    def show(self, continent: str | None, depth: int, *, as_json: bool = False) -> None:
        run(continent=continent, depth=depth, cities=3, as_json=as_json)

    def test_shows_costs_loaders_a_part_of_the_tree_and_a_conclusion(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """What the demo promises to print is there, as plain text that fits 80 columns; stderr is empty."""
        self.show(None, 2)
        printed = capsys.readouterr()
        assert "1,659 statements, selectinload 7, dloader 6:" in " ".join(printed.out.split())
        assert "capital: Annotated[City | None, Load(CityById" in printed.out
        assert "dloader demo --trace" in printed.out
        assert "docs/start.md" in printed.out
        assert "LargestCities" in printed.out
        assert "India (New Delhi)" in printed.out
        assert "more continents" in printed.out
        assert "\x1b" not in printed.out
        assert max(map(len, printed.out.splitlines())) <= 80
        assert printed.err == ""

    def test_shows_only_what_was_loaded(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A shallow tree of one continent has no line for what nobody asked for."""
        self.show("AN", 1)
        shallow = capsys.readouterr().out
        assert "neighbours" not in shallow
        assert "more continents" not in shallow

    @pytest.mark.parametrize(
        ("depth", "state"), [(3, "Alabama (Huntsville)"), (4, "Alabama (Huntsville, 67 counties)")]
    )
    def test_shows_states_where_the_depth_asks_for_them(
        self, capsys: pytest.CaptureFixture[str], depth: int, state: str
    ) -> None:
        """States come at depth 3, their counties at depth 4."""
        self.show("na", depth)
        assert state in " ".join(capsys.readouterr().out.split()).replace("│ ", "")

    def test_json_is_the_whole_tree_and_nothing_else(
        self, capsysbinary: pytest.CaptureFixture[bytes]
    ) -> None:
        """With `as_json`, stdout is one document in UTF-8."""
        run(continent="SA", depth=2, cities=3, as_json=True)
        printed = capsysbinary.readouterr()
        (tree,) = json.loads(printed.out.decode())
        assert {country["capital"]["name"] for country in tree["countries"]} > {"Brasília", "Bogotá"}
        assert printed.err == b""
