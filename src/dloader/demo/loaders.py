"""One loader per relationship: each answers the keys of a whole batch with a single statement.

Read one of them and you have read them all: `IN (:keys)` asks for every key at once, and `build_list` (many
rows per key) or `build_object` (at most one) puts the rows in the order of the keys.
"""

from typing import TypeVar

from dloader import DataLoader, build_list, build_object

from .database import Database, Row

K = TypeVar("K", str, int)
V = TypeVar("V")


class SqlLoader(DataLoader[K, V]):
    """What all loaders here share. They live as long as their resolver, so no cache outlives a request."""

    db: Database  # annotated and without a value: a parameter, filled by the resolver
    max_batch_size = 500  # SQLite takes at most 999 parameters per statement in its older builds

    async def select(self, sql: str, keys: list[K], *more: int) -> list[Row]:
        """Send one statement, with as many question marks in the place of `:keys` as there are keys."""
        return await self.db.rows(sql.replace(":keys", ", ".join("?" * len(keys))), *more, *keys)


class CountriesOfContinent(SqlLoader[str, list[Row]]):
    """From a continent's code to its countries."""

    async def batch_load_fn(self, keys: list[str]) -> list[list[Row]]:
        sql = "SELECT * FROM country WHERE continent_code IN (:keys) ORDER BY population DESC, iso"
        return build_list(await self.select(sql, keys), keys, lambda row: row["continent_code"])


class CityById(SqlLoader[int, Row | None]):
    """From a city's id to the city."""

    async def batch_load_fn(self, keys: list[int]) -> list[Row | None]:
        sql = "SELECT * FROM city WHERE id IN (:keys)"
        rows = await self.select(sql, keys)
        return build_object(rows, keys, lambda row: row["id"])


class CurrencyByCode(SqlLoader[str, Row | None]):
    """From a currency's code to the currency."""

    async def batch_load_fn(self, keys: list[str]) -> list[Row | None]:
        sql = "SELECT * FROM currency WHERE code IN (:keys)"
        return build_object(await self.select(sql, keys), keys, lambda row: row["code"])


class NeighboursOfCountry(SqlLoader[str, list[Row]]):
    """From a country to its neighbours: many to many, so each row brings the key that it belongs to."""

    async def batch_load_fn(self, keys: list[str]) -> list[list[Row]]:
        sql = """
            SELECT country.*, country_iso FROM neighbour JOIN country ON iso = neighbour_iso
            WHERE country_iso IN (:keys) ORDER BY iso
        """
        return build_list(await self.select(sql, keys), keys, lambda row: row["country_iso"])


class LargestCities(SqlLoader[str, list[Row]]):
    """From a country to its `limit` largest cities.

    One `LIMIT` for the whole batch would count the cities of all countries together. So each country gets its
    own, which an index answers; where a database refuses such a subquery, rank with `ROW_NUMBER()` instead.
    """

    limit: int

    async def batch_load_fn(self, keys: list[str]) -> list[list[Row]]:
        sql = """
            SELECT city.* FROM country JOIN city ON city.id IN (
                SELECT id FROM city WHERE country_iso = iso ORDER BY population DESC, id LIMIT ?
            ) WHERE iso IN (:keys) ORDER BY city.population DESC, city.id
        """
        return build_list(await self.select(sql, keys, self.limit), keys, lambda row: row["country_iso"])


class StatesOfCountry(SqlLoader[str, list[Row]]):
    """From a country to its states; only those of the United States are in the data."""

    async def batch_load_fn(self, keys: list[str]) -> list[list[Row]]:
        sql = "SELECT * FROM state WHERE country_iso IN (:keys) ORDER BY name"
        return build_list(await self.select(sql, keys), keys, lambda row: row["country_iso"])


class LargestCitiesOfState(SqlLoader[str, list[Row]]):
    """From a state to its `limit` largest cities."""

    limit: int

    async def batch_load_fn(self, keys: list[str]) -> list[list[Row]]:
        sql = """
            SELECT city.* FROM state JOIN city ON city.id IN (
                SELECT id FROM city WHERE state_code = code ORDER BY population DESC, id LIMIT ?
            ) WHERE code IN (:keys) ORDER BY city.population DESC, city.id
        """
        return build_list(await self.select(sql, keys, self.limit), keys, lambda row: row["state_code"])


class CountiesOfState(SqlLoader[str, list[Row]]):
    """From a state to its counties."""

    async def batch_load_fn(self, keys: list[str]) -> list[list[Row]]:
        sql = "SELECT * FROM county WHERE state_code IN (:keys) ORDER BY name, fips"
        return build_list(await self.select(sql, keys), keys, lambda row: row["state_code"])
