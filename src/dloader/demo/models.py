"""The tree that the demo shows: models say what each field is, and how a missing one is loaded or computed.

Nothing here loads by itself: `Resolver` reads the declarations, and fills all nodes of a level together.
"""

from collections.abc import Awaitable
from typing import Annotated, Any, TypedDict

from pydantic import BaseModel

from dloader.resolver import ExposeAs, Load, LoaderDepend

from .database import Row
from .loaders import (
    CityById,
    CountiesOfState,
    CountriesOfContinent,
    CurrencyByCode,
    LargestCities,
    LargestCitiesOfState,
    NeighboursOfCountry,
    StatesOfCountry,
)

Rows = Awaitable[list[Row]] | list[Row]
"""What a `resolve_` method returns here: rows, now or later. The resolver makes the field's type of them."""


class Context(TypedDict):
    """What one request asks for; the resolver hands it to every method with a parameter `context`."""

    depth: int


def share(part: int, whole: int) -> float:
    """The part as a fraction of the whole; 0.0 where there is no whole (nobody lives on Bouvet Island)."""
    return round(part / whole, 4) if whole else 0.0


class City(BaseModel):
    """A city. It hangs at several places of the tree, so it does not know its parent."""

    id: int
    name: str
    population: int

    population_share: float = 0.0

    # `post_` methods run when everything below is there, and may look at what ancestors expose.
    def post_population_share(self, ancestor_context: dict[str, Any]) -> float:
        return share(self.population, ancestor_context["country_population"])


class Currency(BaseModel):
    """A currency."""

    code: str
    name: str


class County(BaseModel):
    """A county of a state."""

    fips: str
    name: str


class State(BaseModel):
    """A state of a country."""

    code: str
    name: str

    cities: list[City] = []

    # A loader is a parameter like in FastAPI. The method returns the loader's future without awaiting it: the
    # resolver waits for those of all states at once, and that is why they share one statement.
    def resolve_cities(self, loader: Annotated[LargestCitiesOfState, LoaderDepend()]) -> Rows:
        return loader.load(self.code)

    counties: list[County] = []

    def resolve_counties(self, context: Context, loader: Annotated[CountiesOfState, LoaderDepend()]) -> Rows:
        return loader.load(self.code) if context["depth"] >= 4 else []


class CountrySummary(BaseModel):
    """A country with its capital and nothing further: a neighbour, where the tree ends."""

    iso: str
    name: str
    population: Annotated[int, ExposeAs("country_population")]
    capital_id: int | None
    currency_code: str | None

    # The shortest form, without a method: the key is in that field, and None loads nothing.
    capital: Annotated[City | None, Load(CityById, by="capital_id")] = None


class Country(CountrySummary):
    """A country with all that the demo knows about it."""

    currency: Annotated[Currency | None, Load(CurrencyByCode, by="currency_code")] = None

    cities: list[City] = []

    def resolve_cities(self, context: Context, loader: Annotated[LargestCities, LoaderDepend()]) -> Rows:
        return loader.load(self.iso) if context["depth"] >= 2 else []

    neighbours: list[CountrySummary] = []

    def resolve_neighbours(
        self, context: Context, loader: Annotated[NeighboursOfCountry, LoaderDepend()]
    ) -> Rows:
        return loader.load(self.iso) if context["depth"] >= 2 else []

    states: list[State] = []

    def resolve_states(self, context: Context, loader: Annotated[StatesOfCountry, LoaderDepend()]) -> Rows:
        return loader.load(self.iso) if context["depth"] >= 3 else []

    population_share: float = 0.0

    def post_population_share(self, parent: "Continent") -> float:
        return share(self.population, parent.population)


class Continent(BaseModel):
    """A continent: the root of the tree."""

    code: str
    name: str
    population: int

    countries: Annotated[list[Country], Load(CountriesOfContinent, by="code")] = []
