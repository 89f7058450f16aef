"""Mapped classes drawn at random, with relationships of every kind, and rows of them.

`schema` draws up to four classes: keys of one or two parts, of numbers or text, attributes named unlike their columns,
subclasses with and without a table of their own. Between them it draws references (many-to-one, one-to-one, to a
primary key or a unique column, with their other sides), association tables (with and without a key), and what is
read alone: joins with conditions, of equal values, of one column with itself, through another class or a join,
to aliased classes, association proxies.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import strategies as st
from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    and_,
    select,
)
from sqlalchemy.ext.associationproxy import association_proxy
from sqlalchemy.orm import (
    aliased,
    backref,
    configure_mappers,
    declarative_base,
    foreign,
    mapped_column,
    relationship,
    remote,
)

__all__ = ("Drawn", "schema")

Draw = Callable[[st.SearchStrategy[Any]], Any]
WORDS = ["a", "b", "c"]
RANKS = st.one_of(st.none(), st.integers(0, 3))


@dataclasses.dataclass
class Link:
    """A reference that rows have: its columns by attribute, and the attributes that they refer to."""

    name: str
    source: type
    target: type
    attributes: list[str]
    refers_to: list[str]
    is_unique: bool
    is_nullable: bool
    many: bool = False


@dataclasses.dataclass
class Way:
    """A relationship or association proxy, as the tests need to know it."""

    target: Any
    """A class, or an alias of one."""
    many: bool
    is_proxy: bool = False


@dataclasses.dataclass
class Drawn:
    """A schema with rows."""

    base: Any
    classes: list[type] = dataclasses.field(default_factory=list)
    """Subclasses come after the class that they are of."""
    keys: dict[type, list[str]] = dataclasses.field(default_factory=dict)
    ways: dict[type, dict[str, Way]] = dataclasses.field(default_factory=dict)
    """By the class that has them, and their name."""
    links: list[Link] = dataclasses.field(default_factory=list)
    tables: list[Table] = dataclasses.field(default_factory=list)
    """Association tables."""
    rows: list[tuple[Table, list[dict[str, Any]]]] = dataclasses.field(default_factory=list)

    def ways_from(self, cls: type) -> dict[str, Way]:
        """Those of a class and of the classes above."""
        return {name: way for each in reversed(cls.__mro__) for name, way in self.ways.get(each, {}).items()}

    def subclasses_of(self, cls: type) -> list[type]:
        """Those that its rows may be of."""
        return [each for each in self.classes if issubclass(each, cls)]


@st.composite
def schema(draw: Draw) -> Drawn:
    """Draw a schema and its rows."""
    drawn = Drawn(declarative_base())
    for n in range(draw(st.integers(1, 3))):
        _add_class(draw, drawn, f"C{n}")
    for n in range(draw(st.integers(1, 4))):
        _add_reference(draw, drawn, f"r{n}")
    for n in range(draw(st.integers(0, 2))):
        _add_association(draw, drawn, f"m{n}")
    for n in range(draw(st.integers(0, 3))):
        draw(st.sampled_from(VIEWS))(draw, drawn, f"v{n}")
    configure_mappers()
    _draw_rows(draw, drawn)
    return drawn


# ------------------------------------------------------------------------------------------------------------ classes


def _add_class(draw: Draw, drawn: Drawn, name: str) -> None:
    kinds = draw(st.sampled_from([[Integer], [String(5)], [Integer, String(5)], [String(5), Integer]]))
    names = [f"id{i}" for i in range(len(kinds))]
    is_base = draw(st.booleans())
    key = {
        each: mapped_column(
            f"{name}_{each}" if draw(st.booleans()) else each, kind, primary_key=True, autoincrement=False
        )
        for each, kind in zip(names, kinds, strict=True)
    }
    others: dict[str, Any] = {
        "rank": mapped_column(Integer),
        "word": mapped_column("wort", String(5), nullable=False, index=draw(st.booleans())),
        "code": mapped_column(String(9), unique=True, nullable=False),
    }
    if is_base:
        others["kind"] = mapped_column(String(9), nullable=False)
        others["__mapper_args__"] = {"polymorphic_on": "kind", "polymorphic_identity": name}
    cls = type(name, (drawn.base,), {"__tablename__": name.lower(), **key, **others})
    _known(drawn, cls, names)
    if is_base:
        for sub in draw(st.lists(st.sampled_from(["Joined", "Single"]), max_size=2)):
            _add_subclass(drawn, cls, f"{name}{sub}{len(drawn.classes)}", sub == "Joined")


def _known(drawn: Drawn, cls: type, keys: list[str]) -> None:
    drawn.classes.append(cls)
    drawn.keys[cls] = keys
    drawn.ways[cls] = {}


def _add_subclass(drawn: Drawn, cls: Any, name: str, has_table: bool) -> None:
    own: dict[str, Any] = {"__mapper_args__": {"polymorphic_identity": name}}
    keys = drawn.keys[cls]
    own[f"own_{name}"] = mapped_column(Integer, nullable=not has_table)
    if has_table:
        columns = [getattr(cls, each).property.columns[0] for each in keys]
        own["__tablename__"] = name.lower()
        for each, column in zip(keys, columns, strict=True):
            own[each] = mapped_column(column.name, column.type, primary_key=True, autoincrement=False)
        own["__table_args__"] = (ForeignKeyConstraint([c.name for c in columns], columns),)
    _known(drawn, type(name, (cls,), own), keys)


def _columns(cls: Any, names: list[str]) -> list[Any]:
    return [getattr(cls, each) for each in names]


def _order(draw: Draw, drawn: Drawn, target: Any, columns: list[Any] | None = None) -> Any:
    """An order in which no two targets are equal, or none at all."""
    if not draw(st.booleans()):
        return None
    first = draw(st.sampled_from([None, "rank", "word", *(["place"] if columns else [])]))
    keys = _columns(target, drawn.keys[target])
    if first is not None:
        keys.insert(0, columns[0] if first == "place" and columns else getattr(target, first))
    return [each.desc() if draw(st.booleans()) else each for each in keys]


# --------------------------------------------------------------------------------------------------- what rows refer to


def _pair(draw: Draw, drawn: Drawn) -> tuple[Any, Any]:
    """A class, and one before it or itself, so that tables can be made in order."""
    source = draw(st.integers(0, len(drawn.classes) - 1))
    target = draw(st.integers(0, source))
    one, other = drawn.classes[source], drawn.classes[target]
    if _root(one) is _root(other) and one.__table__ is not other.__table__:  # type: ignore[attr-defined]
        other = one
    return one, other


def _add_reference(draw: Draw, drawn: Drawn, name: str) -> None:
    source, target = _pair(draw, drawn)
    to_code = draw(st.integers(0, 3)) == 0
    refers_to = ["code"] if to_code else drawn.keys[target]
    is_single = source.__table__ is getattr(source.__base__, "__table__", None)
    is_nullable = draw(st.booleans()) or is_single or source.__table__ is target.__table__
    is_unique = draw(st.integers(0, 3)) == 0
    attributes = [f"{name}_key{i}" for i in range(len(refers_to))]
    columns = [getattr(target, each).property.columns[0] for each in refers_to]
    for attribute, column in zip(attributes, columns, strict=True):
        setattr(source, attribute, mapped_column(f"{attribute}_c", column.type, nullable=is_nullable))
    table = source.__table__
    own = [table.c[f"{attribute}_c"] for attribute in attributes]
    table.append_constraint(ForeignKeyConstraint(own, columns))
    if draw(st.booleans()):
        from sqlalchemy import Index

        Index(f"{name}_index", *own)
    parts = [here == there for here, there in zip(own, columns, strict=True)]
    if draw(st.booleans()):
        parts = [there == here for here, there in zip(own, columns, strict=True)]
    if draw(st.booleans()):
        parts.reverse()
    other = f"{name}_of"
    order = None if is_unique else _order(draw, drawn, source)
    setattr(
        source,
        name,
        relationship(
            target,
            primaryjoin=and_(*parts) if len(parts) > 1 else parts[0],
            foreign_keys=own,
            remote_side=columns,
            backref=backref(other, uselist=not is_unique, order_by=order or False),
        ),
    )
    drawn.ways[source][name] = Way(target, many=False)
    drawn.ways[target][other] = Way(source, many=not is_unique)
    drawn.links.append(Link(name, source, target, attributes, refers_to, is_unique, is_nullable))


def _add_association(draw: Draw, drawn: Drawn, name: str) -> None:
    source, target = _pair(draw, drawn)
    sides = [
        [(f"{side}{i}", getattr(cls, each).property.columns[0]) for i, each in enumerate(drawn.keys[cls])]
        for side, cls in (("one", source), ("other", target))
    ]
    has_key = draw(st.booleans())
    columns = [Column(each, column.type, nullable=False) for side in sides for each, column in side]
    table = Table(
        name,
        drawn.base.metadata,
        *columns,
        Column("place", Integer, nullable=False),
        *([PrimaryKeyConstraint(*columns)] if has_key else [CheckConstraint("place >= 0")]),
        *(ForeignKeyConstraint([each for each, _ in side], [c for _, c in side]) for side in sides),
    )
    one, other = (and_(*(table.c[each] == column for each, column in side)) for side in sides)
    places = [table.c.place] if has_key else None
    setattr(
        source,
        name,
        relationship(
            target,
            secondary=table,
            primaryjoin=one,
            secondaryjoin=other,
            order_by=_order(draw, drawn, target, places) or False,
            backref=backref(f"{name}_of", order_by=_order(draw, drawn, source, places) or False),
        ),
    )
    drawn.ways[source][name] = Way(target, many=True)
    drawn.ways[target][f"{name}_of"] = Way(source, many=True)
    drawn.tables.append(table)
    drawn.links.append(Link(name, source, target, [], [], is_unique=has_key, is_nullable=False, many=True))


# ------------------------------------------------------------------------------------------------ what is read alone


def _add_view(drawn: Drawn, cls: Any, name: str, target: Any, uselist: bool = True, **how: Any) -> None:
    how["order_by"] = how.get("order_by") or False
    setattr(cls, name, relationship(target, viewonly=True, uselist=uselist, **how))
    drawn.ways[cls][name] = Way(target, uselist)


def _conditional(draw: Draw, drawn: Drawn, name: str) -> None:
    """A reference or its other side, with a condition."""
    link = draw(st.sampled_from([each for each in drawn.links if not each.many]))
    least = draw(st.integers(0, 2))
    is_back = draw(st.booleans())
    here, there = (link.target, link.source) if is_back else (link.source, link.target)
    own, others = _columns(link.source, link.attributes), _columns(link.target, link.refers_to)
    is_one_table = link.source.__table__ is link.target.__table__
    if is_one_table:
        own, others = ([*map(remote, own)], others) if is_back else (own, [*map(remote, others)])
    parts = [foreign(a) == b for a, b in zip(own, others, strict=True)]
    ranked = remote(there.rank) if is_one_table else there.rank
    _add_view(
        drawn, here, name, there,
        primaryjoin=and_(*parts, ranked >= least),
        uselist=is_back and not link.is_unique,
        order_by=_order(draw, drawn, there) if is_back else None,
    )  # fmt: skip


def _of_equal_values(draw: Draw, drawn: Drawn, name: str) -> None:
    """By columns that are no keys."""
    source, target = draw(st.sampled_from(drawn.classes)), draw(st.sampled_from(drawn.classes))
    column = draw(st.sampled_from(["rank", "word"]))
    there = remote(foreign(getattr(target, column)))
    _add_view(
        drawn, source, name, target,
        primaryjoin=there == getattr(source, column), order_by=_order(draw, drawn, target),
    )  # fmt: skip


def _of_less(draw: Draw, drawn: Drawn, name: str) -> None:
    """By another comparison than equality."""
    source, target = draw(st.sampled_from(drawn.classes)), draw(st.sampled_from(drawn.classes))
    _add_view(
        drawn, source, name, target,
        primaryjoin=remote(foreign(target.rank)) < source.rank, order_by=_order(draw, drawn, target),
    )  # fmt: skip


def _through(draw: Draw, drawn: Drawn, name: str) -> None:
    """By the table of a class that refers to both, or by a join of it with an association table."""
    single = [
        each for each in drawn.links if not each.many and each.target.__table__ is not each.source.__table__
    ]
    ways = [
        (one, other)
        for one in single
        for other in drawn.links
        if other.source is one.source
        and other is not one
        and other.target.__table__ is not other.source.__table__
        and other.target.__table__ is not one.target.__table__
    ]
    if not ways:
        return
    one, other = draw(st.sampled_from(ways))
    middle = one.source.__table__
    own = [middle.c[f"{each}_c"] for each in one.attributes]
    primary = and_(*(a == b for a, b in zip(_plain(one), own, strict=True)))
    if other.many:
        table = drawn.base.metadata.tables[other.name]
        keys = drawn.keys[other.source]
        on = and_(
            *(middle.c[_column(other.source, each).name] == table.c[f"one{i}"] for i, each in enumerate(keys))
        )
        secondary: Any = middle.join(table, on)
        second = and_(
            *(
                table.c[f"other{i}"] == _column(other.target, each)
                for i, each in enumerate(drawn.keys[other.target])
            )
        )
    else:
        secondary = middle
        second = and_(
            *(middle.c[f"{a}_c"] == b for a, b in zip(other.attributes, _plain(other), strict=True))
        )
    _add_view(
        drawn, one.target, name, other.target,
        secondary=secondary, primaryjoin=primary, secondaryjoin=second,
        order_by=_order(draw, drawn, other.target),
    )  # fmt: skip


def _column(cls: Any, name: str) -> Any:
    return getattr(cls, name).property.columns[0]


def _plain(link: Link) -> list[Any]:
    return [_column(link.target, each) for each in link.refers_to]


def _to_alias(draw: Draw, drawn: Drawn, name: str) -> None:
    """To some of the rows of a class alone."""
    link = draw(st.sampled_from([each for each in drawn.links if not each.many]))
    if link.source.__mapper__.inherits is not None or link.source.__mapper__.polymorphic_on is not None:
        return
    target = aliased(link.source, select(link.source).where(link.source.word != "b").subquery(), name=name)
    pairs = zip(_columns(target, link.attributes), _columns(link.target, link.refers_to), strict=True)
    _add_view(
        drawn, link.target, name, target,
        primaryjoin=and_(*(foreign(a) == b for a, b in pairs)),
    )  # fmt: skip


def _by_proxy(draw: Draw, drawn: Drawn, name: str) -> None:
    """Two relationships, one after the other."""
    found = [
        (cls, first, second, Way(then.target, way.many or then.many, is_proxy=True))
        for cls in drawn.classes
        for first, way in drawn.ways[cls].items()
        if isinstance(way.target, type) and not way.is_proxy
        for second, then in drawn.ways_from(way.target).items()
        if isinstance(then.target, type) and not then.is_proxy and not (way.many and then.many)
        and _root(way.target) is not _root(then.target)
    ]  # fmt: skip
    if found:
        cls, first, second, way = draw(st.sampled_from(found))
        setattr(cls, name, association_proxy(first, second))
        drawn.ways[cls][name] = way


def _root(cls: Any) -> Any:
    return cls.__mapper__.base_mapper


VIEWS = [_conditional, _of_equal_values, _of_less, _through, _to_alias, _by_proxy]


# ---------------------------------------------------------------------------------------------------------------- rows


def _draw_rows(draw: Draw, drawn: Drawn) -> None:
    numbers: Iterator[int] = iter(range(1000))
    objects: dict[type, list[dict[str, Any]]] = {each: [] for each in drawn.classes}
    taken: set[Any] = set()
    for cls in drawn.classes:
        mapper: Any = cls.__mapper__
        for _ in range(draw(st.sampled_from([3, 0, 1, 2, 4, 5]))):
            number = next(numbers)
            values: dict[str, Any] = {
                each: number % 3 if len(drawn.keys[cls]) > 1 and i == 0 and not _is_text(cls, each)
                else f"k{number}" if _is_text(cls, each) else number
                for i, each in enumerate(drawn.keys[cls])
            }  # fmt: skip
            values |= {"rank": draw(RANKS), "word": draw(st.sampled_from(WORDS)), "code": f"c{number}"}
            if mapper.polymorphic_on is not None:
                values["kind"] = mapper.polymorphic_identity
            for each in mapper.iterate_to_root():
                if each.inherits is not None:
                    values[f"own_{each.class_.__name__}"] = draw(st.integers(0, 2))
            fits = True
            for link in drawn.links:
                if not link.many and issubclass(cls, link.source):
                    fits &= _refer(draw, link, objects, values, taken)
            if fits:
                for each in mapper.iterate_to_root():
                    objects[each.class_].append(values)
    _as_rows(drawn, objects)
    _draw_associations(draw, drawn, objects)


def _is_text(cls: Any, name: str) -> bool:
    return isinstance(_column(cls, name).type, String)


def _refer(draw: Draw, link: Link, objects: Any, values: dict[str, Any], taken: set[Any]) -> bool:
    """Refer to a row, or to none; false if that cannot be."""
    found = [tuple(each[name] for name in link.refers_to) for each in objects[link.target]]
    if link.is_unique:
        found = [each for each in found if (link.name, each) not in taken]
    nulls: list[Any] = [(None,) * len(link.attributes)] if link.is_nullable else []
    if link.is_nullable and len(link.attributes) > 1 and found:
        nulls.append((found[0][0], None))
    choices = [*found, *nulls]
    if not choices:
        return False
    chosen = draw(st.sampled_from(choices))
    taken.add((link.name, chosen))
    values.update(zip(link.attributes, chosen, strict=True))
    return True


def _as_rows(drawn: Drawn, objects: dict[type, list[dict[str, Any]]]) -> None:
    """Each table's rows; those of a class may refer to earlier ones alone."""
    done: set[Any] = set()
    for cls in drawn.classes:
        table = cls.__table__  # type: ignore[attr-defined]
        if table in done:
            continue
        done.add(table)
        mapper: Any = cls.__mapper__  # type: ignore[attr-defined]
        rows = []
        for values in objects[cls]:
            row = dict.fromkeys((column.name for column in table.c), None)
            for each in mapper.self_and_descendants:
                for attribute in each.column_attrs:
                    for column in attribute.columns:
                        if column.table is table and attribute.key in values:
                            row[column.name] = values[attribute.key]
            rows.append(row)
        drawn.rows.append((table, rows))


def _draw_associations(draw: Draw, drawn: Drawn, objects: dict[type, list[dict[str, Any]]]) -> None:
    for table, link in zip(drawn.tables, [each for each in drawn.links if each.many], strict=True):
        pairs = [
            (
                *(one[each] for each in drawn.keys[link.source]),
                *(other[each] for each in drawn.keys[link.target]),
            )
            for one in objects[link.source]
            for other in objects[link.target]
        ]
        if not pairs:
            continue
        chosen = draw(st.lists(st.sampled_from(pairs), max_size=6, unique=link.is_unique))
        names = [column.name for column in table.c]
        drawn.rows.append(
            (table, [dict(zip(names, (*pair, draw(st.integers(0, 2))), strict=True)) for pair in chosen])
        )
