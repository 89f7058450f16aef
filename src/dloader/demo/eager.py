"""The same tree as one writes it with SQLAlchemy's `selectinload`: one statement per relationship and level.

As few statements as with loaders. But it has no limit for each parent: all cities of a country are loaded, as
objects with all of their columns, and what is wanted is then copied out of them, field by field.
"""

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from . import mapped
from .models import City, Continent, Country, CountrySummary, County, Currency, State, share


async def continents(session: AsyncSession, code: str | None, *, depth: int, cities: int) -> list[Continent]:
    """Load the tree below one continent, or below all."""
    of_state = [selectinload(mapped.State.cities)]
    if depth >= 4:
        of_state.append(selectinload(mapped.State.counties))
    of_country = [selectinload(mapped.Country.capital), selectinload(mapped.Country.currency)]
    if depth >= 2:
        neighbours = selectinload(mapped.Country.neighbours).selectinload(mapped.Country.capital)
        of_country += [selectinload(mapped.Country.cities), neighbours]
    if depth >= 3:
        of_country.append(selectinload(mapped.Country.states).options(*of_state))
    statement = select(mapped.Continent).order_by(mapped.Continent.population.desc())
    if code is not None:
        statement = statement.where(mapped.Continent.code == code)
    statement = statement.options(selectinload(mapped.Continent.countries).options(*of_country))
    return [continent(row, depth, cities) for row in await session.scalars(statement)]


def continent(row: mapped.Continent, depth: int, limit: int) -> Continent:
    countries = [country(below, row, depth, limit) for below in row.countries]
    return Continent(code=row.code, name=row.name, population=row.population, countries=countries)


def country(row: mapped.Country, parent: mapped.Continent, depth: int, limit: int) -> Country:
    filled = Country(**fields(row), population_share=share(row.population, parent.population))
    if row.currency is not None:
        filled.currency = Currency(code=row.currency.code, name=row.currency.name)
    if depth >= 2:
        filled.cities = [city(below, row) for below in row.cities[:limit]]
        filled.neighbours = [CountrySummary(**fields(below)) for below in row.neighbours]
    if depth >= 3:
        filled.states = [state(below, row, depth, limit) for below in row.states]
    return filled


def fields(row: mapped.Country) -> dict[str, Any]:
    """What a country and a neighbour have in common."""
    names = "iso", "name", "population", "capital_id", "currency_code"
    capital = None if row.capital is None else city(row.capital, row)
    return {name: getattr(row, name) for name in names} | {"capital": capital}


def state(row: mapped.State, of: mapped.Country, depth: int, limit: int) -> State:
    filled = State(code=row.code, name=row.name, cities=[city(below, of) for below in row.cities[:limit]])
    if depth >= 4:
        filled.counties = [County(fips=below.fips, name=below.name) for below in row.counties]
    return filled


def city(row: mapped.City, of: mapped.Country) -> City:
    share_of_country = share(row.population, of.population)
    return City(id=row.id, name=row.name, population=row.population, population_share=share_of_country)
