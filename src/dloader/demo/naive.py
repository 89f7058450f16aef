"""The same tree as one writes it without loaders: every field asks the database for itself.

Each function is good code when it is read alone. Together they send a statement per node and field: the N+1
problem. Gathering the calls would not help: the statements stay the same, and here they share one connection.
"""

from .database import Database, Row
from .models import City, Continent, Country, CountrySummary, County, Currency, State, share


async def continents(db: Database, roots: list[Row], *, depth: int, cities: int) -> list[Continent]:
    """Fill the tree below `roots`, field by field."""
    return [await continent(db, row, depth, cities) for row in roots]


async def continent(db: Database, row: Row, depth: int, limit: int) -> Continent:
    sql = "SELECT * FROM country WHERE continent_code = ? ORDER BY population DESC, iso"
    filled = Continent(**row)
    rows = await db.rows(sql, filled.code)
    filled.countries = [await country(db, row, filled, depth, limit) for row in rows]
    return filled


async def country(db: Database, row: Row, parent: Continent, depth: int, limit: int) -> Country:
    filled = Country(**row, population_share=share(row["population"], parent.population))
    filled.capital = await capital(db, filled)
    filled.currency = await currency(db, filled.currency_code)
    if depth >= 2:
        filled.cities = await largest_cities(db, filled, limit)
        filled.neighbours = await neighbours(db, filled.iso)
    if depth >= 3:
        filled.states = await states(db, filled, depth, limit)
    return filled


async def capital(db: Database, of: CountrySummary) -> City | None:
    if of.capital_id is None:
        return None
    [row] = await db.rows("SELECT * FROM city WHERE id = ?", of.capital_id)
    return city(row, of)


async def currency(db: Database, code: str | None) -> Currency | None:
    if code is None:
        return None
    [row] = await db.rows("SELECT * FROM currency WHERE code = ?", code)
    return Currency(**row)


async def largest_cities(db: Database, of: Country, limit: int) -> list[City]:
    sql = "SELECT * FROM city WHERE country_iso = ? ORDER BY population DESC, id LIMIT ?"
    return [city(row, of) for row in await db.rows(sql, of.iso, limit)]


async def neighbours(db: Database, iso: str) -> list[CountrySummary]:
    sql = """
        SELECT country.* FROM neighbour JOIN country ON iso = neighbour_iso
        WHERE country_iso = ? ORDER BY iso
    """
    found = [CountrySummary(**row) for row in await db.rows(sql, iso)]
    for neighbour in found:
        neighbour.capital = await capital(db, neighbour)
    return found


async def states(db: Database, of: Country, depth: int, limit: int) -> list[State]:
    sql = "SELECT * FROM state WHERE country_iso = ? ORDER BY name"
    return [await state(db, row, of, depth, limit) for row in await db.rows(sql, of.iso)]


async def state(db: Database, row: Row, of: Country, depth: int, limit: int) -> State:
    sql = "SELECT * FROM city WHERE state_code = ? ORDER BY population DESC, id LIMIT ?"
    filled = State(**row, cities=[city(row, of) for row in await db.rows(sql, row["code"], limit)])
    if depth >= 4:
        sql = "SELECT * FROM county WHERE state_code = ? ORDER BY name, fips"
        filled.counties = [County(**row) for row in await db.rows(sql, filled.code)]
    return filled


def city(row: Row, of: CountrySummary) -> City:
    return City(**row, population_share=share(row["population"], of.population))
