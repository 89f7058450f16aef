"""What the demo prints: readable in 80 columns, in a pipe, and without colours."""

import inspect
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter
from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from dloader._printed import inert
from dloader.trace import Trace

from .comparison import RUNS, Run
from .loaders import CityById
from .models import City, Continent, Country, CountrySummary, State

NODES, VALUES = 2, 3
"""How many continents and countries are printed, and how many values of one field."""

NEXT = """\
Next: dloader demo --trace    what was loaded when, and for which fields
      docs/start.md           your own models, in ten minutes
Data: GeoNames (geonames.org), CC BY 4.0"""


def json(batched: Run) -> None:
    """Print the whole tree on stdout: as UTF-8, whatever the terminal's encoding."""
    sys.stdout.buffer.write(TypeAdapter(list[Continent]).dump_json(batched.tree, indent=2) + b"\n")


def trace(recorded: Trace, file: str, display: Mapping[str, Any]) -> None:
    """Print what was loaded and when, and write it to a file if there is to be one."""
    sys.stdout.write(recorded.text(**display))
    if file:
        sys.stdout.write(f"Written: {inert(str(recorded.save(file)))}\n")


def comparison(naive: Run, eager: Run, batched: Run) -> None:
    """Print the code, a part of the tree, what each way cost, what the loaders did, and what follows from it."""
    console = Console()
    console.print(Text("The code that fills the capitals (other fields are alike)", style="bold"))
    console.print(Text(f"{code(CityById)}\n\n{code(CountrySummary)}"))
    console.print(Text("\nA part of the tree (--json: all of it)", style="bold"))
    for continent in batched.tree[:NODES]:
        console.print(continent_tree(continent))
    for rest in more(batched.tree, NODES, "more continents"):
        console.print(rest)
    console.print(Text("\nOne tree, loaded three ways", style="bold"), costs(naive, eager, batched), sep="\n")
    console.print(
        Text("\nWhat dloader asked for, after the continents", style="bold"), loaders(batched), sep="\n"
    )
    console.print(Text(f"\n{conclusion(naive, eager, batched)}"))
    console.print(Text(f"\n{NEXT}"))


def code(declared: type) -> str:
    """The source of a class, without what only explains it: so what is shown is what has run."""
    source = inspect.getsource(declared).replace(f'"""{declared.__doc__}"""', "")
    lines = (line.rstrip() for line in source.splitlines())
    return "\n".join(line for line in lines if line and not line.lstrip().startswith("#"))


def costs(naive: Run, eager: Run, batched: Run) -> Table:
    """Statements and time, a line per way."""
    table = columns("way", "SQL statements", f"median of {RUNS}")
    for way, run in (
        ("one statement per field", naive),
        ("SQLAlchemy's selectinload", eager),
        ("dloader", batched),
    ):
        table.add_row(way, f"{run.statements:,}", milliseconds(run.seconds))
    return table


def loaders(batched: Run) -> Table:
    """Batches and keys, a line per loader."""
    table = columns("loader", "batches", "keys")
    for used in batched.loaders:
        table.add_row(used.name, f"{used.batches:,}", f"{used.keys:,}")
    return table


def columns(words: str, *numbers: str) -> Table:
    """An empty table with one column of words, and the rest of numbers."""
    table = Table(words)
    for number in numbers:
        table.add_column(number, justify="right")
    return table


def continent_tree(continent: Continent) -> Tree:
    """A continent with its first countries."""
    tree = Tree(Text.assemble((continent.name, "bold"), f"  {continent.population:,} people"))
    for country in continent.countries[:NODES]:
        add_country(tree, country, continent)
    for rest in more(continent.countries, NODES, "more countries"):
        tree.add(rest)
    return tree


def add_country(tree: Tree, country: Country, continent: Continent) -> None:
    """A country with a line for each of its fields that is not empty."""
    numbers = f"  {country.population:,} people, {country.population_share:.1%} of {continent.name}"
    branch = tree.add(Text.assemble((country.name, "bold"), numbers))
    fields = {
        "capital": [with_share(country.capital)] if country.capital else [],
        "currency": [f"{country.currency.name} ({country.currency.code})"] if country.currency else [],
        "cities": [with_share(city) for city in country.cities],
        "neighbours": [with_capital(neighbour) for neighbour in country.neighbours],
        "states": [with_parts(state) for state in country.states],
    }
    for field, values in fields.items():
        if values:
            rest = f" +{len(values) - VALUES}" if len(values) > VALUES else ""
            branch.add(Text.assemble((field, "dim"), f": {', '.join(values[:VALUES])}{rest}"))


def with_share(city: City) -> str:
    """A city and its share of the country's people."""
    return f"{city.name} {city.population_share:.1%}"


def with_capital(neighbour: CountrySummary) -> str:
    """A country and its capital, if it has one."""
    return f"{neighbour.name} ({neighbour.capital.name})" if neighbour.capital else neighbour.name


def with_parts(state: State) -> str:
    """A state with its largest city and, where they are loaded, its counties."""
    parts = [city.name for city in state.cities[:1]]
    parts += [f"{len(state.counties)} counties"] if state.counties else []
    return f"{state.name} ({', '.join(parts)})"


def more(values: Sequence[object], shown: int, what: str) -> list[str]:
    """How many of the values are not shown: an empty list if there are none."""
    return [f"... {len(values) - shown:,} {what}"] if len(values) > shown else []


def conclusion(naive: Run, eager: Run, batched: Run) -> str:
    """What the numbers mean, also for a database that is not inside this process."""
    added = [milliseconds(run.statements / 1_000) for run in (naive, eager, batched)]
    return (
        f"All trees are equal. A statement per field took {naive.statements:,} statements, selectinload "
        f"{eager.statements:,}, dloader {batched.statements:,}: selectinload has no limit per country, so it "
        "reads all cities, and it makes objects of all rows. SQLite answers from inside this process; a server "
        f"one millisecond away would add {', '.join(added)}."
    )


def milliseconds(seconds: float) -> str:
    """A span of time, for people."""
    return f"{seconds * 1_000:,.0f} ms"
