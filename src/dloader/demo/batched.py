"""The tree with dloader: `models.py` and `loaders.py` declare all of it, so this is the whole program."""

from dloader.resolver import Resolver

from .database import Database, Row
from .loaders import LargestCities, LargestCitiesOfState
from .models import Context, Continent


async def continents(
    db: Database, roots: list[Row], *, depth: int, cities: int
) -> tuple[list[Continent], Resolver]:
    """Fill the tree below `roots`, level by level; the resolver that did it knows what was loaded."""
    resolver = Resolver(
        global_loader_param={"db": db},
        loader_params={LargestCities: {"limit": cities}, LargestCitiesOfState: {"limit": cities}},
        context=Context(depth=depth),
    )
    return await resolver.resolve([Continent(**row) for row in roots]), resolver
