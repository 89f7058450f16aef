"""Rows into models: beside one ``TypeAdapter`` of the columns alone; and a branch of a tree that is left out.

No ``from __future__ import annotations`` here: the classes are local to functions.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from typing import Annotated, Any

from dloader.resolver import Load, Resolver
from pydantic import BaseModel, TypeAdapter

from benchmarks.harness.case import Case, Settings, Target, Way
from benchmarks.peers.libraries import DLOADER
from benchmarks.suites.resolver import data
from benchmarks.suites.resolver.loaders import loaders
from benchmarks.suites.resolver.ways import outcome

INTO, KEYED, COLUMNS = "dloader, into=", "dloader, into=, a key that only rows have", "by hand, a TypeAdapter"
LEFT_OUT, WITHOUT = "dloader, exclude= of a branch", "dloader, models without the branch"
SIZES = (10, 1_000, 100_000)

Rows = Sequence[Any]


class Columns(BaseModel):
    """What the rows have, but for ``owner_id``."""

    id: int
    name: str
    city: str


class Item(BaseModel):
    """The same with a field that is filled."""

    id: int
    name: str
    city: str
    owner: Annotated[int, Load(data.owners, by="id")]


class KeyedItem(BaseModel):
    """The same with one that is filled by a column which is no field."""

    id: int
    name: str
    city: str
    owner: Annotated[int, Load(data.owners, by="owner_id")]


COLUMNS_OF_ROWS = TypeAdapter(list[Columns])


def cases(settings: Settings) -> Iterator[Case]:
    """Rows of each kind, and the branch."""
    sizes = [size for size in SIZES if size <= max(settings.decades)]
    for kind, make in kinds().items():
        yield _into(kind, make, sizes, settings)
    yield _left_out(settings)


def _dicts(count: int) -> Rows:
    return [
        {"id": id, "name": f"name {id}", "city": f"city {id}", "owner_id": id} for id in range(1, count + 1)
    ]


def kinds() -> dict[str, Callable[[int], Rows]]:
    """What makes rows of each kind; those of SQLAlchemy where it is."""
    try:
        import sqlalchemy as sa
        from sqlalchemy import orm
    except ModuleNotFoundError:
        return {"dicts": _dicts}
    base: Any = orm.declarative_base()

    class Entity(base):
        __tablename__ = "entity"
        id = sa.Column(sa.Integer, primary_key=True)
        name = sa.Column(sa.String)
        city = sa.Column(sa.String)
        owner_id = sa.Column(sa.Integer)

    def selected(count: int, what: Sequence[Any], is_entity: bool) -> Rows:
        engine = sa.create_engine("sqlite://")
        base.metadata.create_all(engine)
        with orm.Session(engine, expire_on_commit=False) as session:
            session.execute(sa.insert(Entity), _dicts(count))
            result = session.execute(sa.select(*what).order_by(Entity.id))
            rows: Rows = (result.scalars() if is_entity else result).all()
            session.expunge_all()
        engine.dispose()
        return rows

    columns = (Entity.id, Entity.name, Entity.city, Entity.owner_id)
    return {
        "dicts": _dicts,
        "Row": partial(selected, what=columns, is_entity=False),
        "entities": partial(selected, what=(Entity,), is_entity=True),
    }


async def _columns(rows: Rows) -> list[Columns]:
    return COLUMNS_OF_ROWS.validate_python(rows, from_attributes=True)


async def _items(rows: Rows, into: Any) -> Any:
    return await Resolver().resolve(rows, into=into, exclude={"owner"})


def _into(kind: str, make: Callable[[int], Rows], sizes: Sequence[int], settings: Settings) -> Case:
    """What making nodes of rows costs: the field is left out, so that nothing is loaded."""
    make = cache(make)
    ways: list[Way] = []
    targets: list[Target] = []
    found = {
        INTO: partial(_items, into=list[Item]),
        KEYED: partial(_items, into=list[KeyedItem]),
        COLUMNS: _columns,
    }
    for size in sizes:
        suffix = f", {size:,} rows"
        ways += [
            Way(name + suffix, run, partial(make, size), units=size, times=settings.times(size))
            for name, run in found.items()
        ]
        targets += [Target(name + suffix, (COLUMNS + suffix,), 1.05) for name in (INTO, KEYED)]
    return Case("resolver", f"rows into models: {kind}", 1, "row", ways, targets, outcome)


@cache
def _branches() -> tuple[Any, Any]:
    """Companies with offices with members, and without members."""
    Offices, Members, *_ = loaders(DLOADER)

    class Member(BaseModel):
        id: int

    class Place(BaseModel):
        id: int
        city: str

    class Office(Place):
        members: Annotated[list[Member], Load(Members, by="id")]

    class Company(BaseModel):
        id: int
        offices: Annotated[list[Office], Load(Offices, by="id")]

    class Firm(BaseModel):
        id: int
        offices: Annotated[list[Place], Load(Offices, by="id")]

    return Company, Firm


def _left_out(settings: Settings) -> Case:
    """Whatever is left out costs what it costs not to have it."""
    count = max(1, settings.nodes // (1 + data.FANOUT))
    company, firm = _branches()

    async def left_out(rows: Rows) -> Any:
        return await Resolver().resolve(rows, into=list[company], exclude={"offices.members"})

    async def without(rows: Rows) -> Any:
        return await Resolver().resolve(rows, into=list[firm])

    def prepare() -> Rows:
        return [{"id": id} for id in range(1, count + 1)]

    ways = [Way(LEFT_OUT, left_out, prepare), Way(WITHOUT, without, prepare)]
    units = count * (1 + data.FANOUT)
    return Case(
        "resolver", "a branch left out", units, "node", ways, [Target(LEFT_OUT, (WITHOUT,), 1.05)], outcome
    )
