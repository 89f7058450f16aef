"""Response models over drawn schemas, and what the ORM's own lazy loads fill them with."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Annotated, Any, Literal, Union

from drawn_schemas import Draw, Drawn, Way
from hypothesis import strategies as st
from pydantic import Field, create_model
from sqlalchemy import Integer, func, inspect, or_

from dloader.resolver import MarkedField
from dloader.sqlalchemy import Aggregate, Count, From, Page, Related

__all__ = ("Filled", "Model", "draw_model")

Condition = tuple[Callable[[Any], Any], Callable[[Any], bool]]
CONDITIONS: list[Condition] = [
    (lambda of: of.rank >= 1, lambda row: row.rank is not None and row.rank >= 1),
    (lambda of: of.word == "a", lambda row: row.word == "a"),
    (lambda of: of.rank.is_(None), lambda row: row.rank is None),
    (
        lambda of: or_(of.word == "b", of.rank < 2),
        lambda row: row.word == "b" or (row.rank is not None and row.rank < 2),
    ),
]
SMALL_NULLS = ("sqlite", "mysql", "mariadb")


@dataclasses.dataclass
class Fill:
    """A field that is filled from a relationship."""

    name: str
    way: Way
    attribute: str
    marker: Any
    kind: str
    condition: Callable[[Any], bool]
    terms: list[tuple[str, bool, bool | None]]
    limit: int | None
    models: dict[type, Model]
    """By the class of a target; by the class of the relationship if all targets have the same model."""


@dataclasses.dataclass
class Model:
    """A response model for rows of a class."""

    cls: Any
    columns: dict[str, str]
    """The attributes that its fields have the values of."""
    fills: list[Fill]
    made: Any = None

    def row_of(self, entity: Any) -> dict[str, Any]:
        """The fields that are columns."""
        return {name: getattr(entity, attribute) for name, attribute in self.columns.items()}


def draw_model(draw: Draw, drawn: Drawn, cls: Any, depth: int, is_of_union: bool = False) -> Model:
    """Draw a response model for a class, and those below."""
    mapper = inspect(cls)
    columns: dict[str, str] = {}
    fields: dict[str, Any] = {}
    for attribute in mapper.column_attrs:
        key = attribute.key
        of = int if isinstance(attribute.columns[0].type, Integer) else str
        is_needed = key == "kind" and is_of_union
        if is_needed:
            fields[key] = (Literal[mapper.polymorphic_identity], ...)
            columns[key] = key
        elif draw(st.integers(0, 2)) == 0:
            columns[key] = key
            fields[key] = (of | None, ...)
        elif draw(st.integers(0, 4)) == 0:
            columns[f"{key}_too"] = key
            fields[f"{key}_too"] = (Annotated[of | None, From(getattr(cls, key))], ...)
    fills: list[Fill] = []
    ways = list(drawn.ways_from(cls).items())
    if depth > 0 and ways:
        for n, (attribute, way) in enumerate(draw(st.lists(st.sampled_from(ways), min_size=1, max_size=3))):
            fill, annotation = _draw_fill(draw, drawn, cls, f"f{n}_{attribute}", attribute, way, depth)
            fills.append(fill)
            fields[fill.name] = (Annotated[annotation, fill.marker], ...)
    model = Model(cls, columns, fills)
    model.made = create_model(f"{cls.__name__}Out{depth}", **fields)
    return model


def _draw_fill(
    draw: Draw, drawn: Drawn, cls: Any, name: str, attribute: str, way: Way, depth: int
) -> tuple[Fill, Any]:
    mapped = getattr(cls, attribute)
    target = way.target
    sql, condition = draw(st.sampled_from([(None, lambda row: True), *CONDITIONS]))
    how: dict[str, Any] = {} if sql is None else {"where": sql(target)}
    kinds = ["rows", "rows", "limit", "page"] if way.many else ["rows"]
    kind = draw(st.sampled_from([*kinds, "count", "sum", "most"]))
    models: dict[type, Model] = {}
    terms: list[tuple[str, bool, bool | None]] = []
    limit = None
    marker: Any
    annotation: Any
    if kind == "count":
        marker, annotation = Count(mapped, **how), int
    elif kind == "sum":
        marker, annotation = Aggregate(mapped, func.sum(target.rank), **how), int | None
    elif kind == "most":
        marker, annotation = Aggregate(mapped, func.max(target.word), **how), str | None
    else:
        models, annotation = _draw_models(draw, drawn, target, depth - 1)
        is_ordered = bool(Related(mapped).lookup.relation.order_by) and not way.is_proxy
        if way.many and (draw(st.booleans()) or (kind != "rows" and not is_ordered)):
            terms = _draw_terms(draw, drawn, target)
            said = terms if kind == "rows" else terms[: draw(st.integers(1, len(terms)))]
            how["order_by"] = tuple(_term(target, *term) for term in said)
            if len(said) < len(terms):
                terms = [*said, *((each, said[-1][1], None) for each in drawn.keys[_class(target)])]
        if kind != "rows":
            how["limit"] = limit = draw(st.integers(1, 3))
            how["pages"] = draw(st.sampled_from([None, "lateral", "row_number"]))
        if kind == "page":
            how["total"] = draw(st.booleans())
        marker = Related(mapped, **how)
        annotation = (
            Page[annotation] if kind == "page" else list[annotation] if way.many else annotation | None
        )
    return Fill(name, way, attribute, marker, kind, condition, terms, limit, models), annotation


def _class(target: Any) -> Any:
    return inspect(target).mapper.class_


def _draw_models(draw: Draw, drawn: Drawn, target: Any, depth: int) -> tuple[dict[type, Model], Any]:
    """One model for all targets, or one for each class of them."""
    cls = _class(target)
    classes = drawn.subclasses_of(cls)
    is_union = isinstance(target, type) and len(classes) > 1 and draw(st.booleans())
    if not is_union:
        model = draw_model(draw, drawn, cls, depth)
        if not isinstance(target, type):  # a column of the class is none of its alias
            while any(name.endswith("_too") for name in model.columns):
                model = draw_model(draw, drawn, cls, depth)
        return {cls: model}, model.made
    models = {each: draw_model(draw, drawn, each, depth, is_of_union=True) for each in classes}
    union = Union[tuple(model.made for model in models.values())]
    return models, Annotated[union, Field(discriminator="kind")]


def _draw_terms(draw: Draw, drawn: Drawn, target: Any) -> list[tuple[str, bool, bool | None]]:
    """An order that ends in the primary key."""
    names = draw(st.lists(st.sampled_from(["rank", "word", "code"]), max_size=2, unique=True))
    keys = [each for each in drawn.keys[_class(target)] if each not in names]
    nulls = st.sampled_from([None, None, True, False])
    return [
        *((each, draw(st.booleans()), draw(nulls) if each == "rank" else None) for each in names),
        *((each, draw(st.booleans()), None) for each in keys),
    ]


def _term(target: Any, name: str, descends: bool, nulls_first: bool | None) -> Any:
    found = getattr(target, name)
    found = found.desc() if descends else found.asc()
    return found if nulls_first is None else found.nulls_first() if nulls_first else found.nulls_last()


# ------------------------------------------------------------------------------------------ what lazy loads would give


class Filled:
    """Fills models by lazy loads, node by node; counts the statements that are to be expected of batches."""

    def __init__(self, drawn: Drawn, dialect: str) -> None:
        self._drawn = drawn
        self._dialect = dialect
        self._asked: dict[tuple[int, Any], set[Any]] = {}
        self._counted: set[Any] = set()

    @property
    def statements(self) -> int:
        """One for each look-up and level at which there are keys that were not asked for above."""
        known: dict[Any, set[Any]] = {}
        count = 0
        for (_, loader), keys in sorted(self._asked.items(), key=lambda item: item[0][0]):
            before = known.setdefault(loader, set())
            if keys - before:
                count += 1 + (loader in self._counted)
            before |= keys
        return count

    def fill(self, model: Model, entity: Any, level: int = 0) -> dict[str, Any]:
        """What a model's fields have, of an entity and all below."""
        found = model.row_of(entity)
        for each in model.fills:
            found[each.name] = self._value(each, model, entity, level)
        return found

    def _value(self, fill: Fill, model: Model, entity: Any, level: int) -> Any:
        field = MarkedField(model.made, fill.name, model.made.model_fields[fill.name].annotation)
        self._note(fill, field, entity, level)
        loaded = getattr(entity, fill.attribute)
        targets = list(loaded or ()) if fill.way.many else [loaded]
        targets = [each for each in targets if each is not None]  # also where a proxy ends at no row
        targets = [each for each in targets if fill.condition(each)]
        if fill.kind != "rows":
            targets = list({id(each): each for each in targets}.values())
        ranks = [each.rank for each in targets if each.rank is not None]
        words = [each.word for each in targets]
        if fill.kind in ("count", "sum", "most"):
            return {
                "count": len(targets),
                "sum": sum(ranks) if ranks else None,
                "most": max(words, default=None),
            }[fill.kind]
        for term in reversed(fill.terms):
            self._sort(targets, *term)
        total = len(targets)
        cut = targets[: fill.limit]
        rows = [self.fill(self._model_of(fill, each), each, level + 1) for each in cut]
        if fill.kind == "page":
            has_total = fill.marker._total
            return {"items": rows, "has_more": total > len(rows), "total": total if has_total else None}
        if not fill.way.many:
            return rows[0] if rows else None
        is_ordered = fill.terms or (fill.marker.lookup.relation.order_by and not fill.way.is_proxy)
        return rows if is_ordered else Unordered(rows)

    def _note(self, fill: Fill, field: MarkedField, entity: Any, level: int) -> None:
        names = fill.marker.key(field)
        key = tuple(getattr(entity, name) for name in (names if isinstance(names, tuple) else (names,)))
        if None not in key:
            loader = fill.marker.loader(field)
            self._asked.setdefault((level, loader), set()).add(key)
            if fill.kind == "page" and fill.marker._total:
                self._counted.add(loader)

    def _model_of(self, fill: Fill, target: Any) -> Model:
        return fill.models.get(type(target)) or next(iter(fill.models.values()))

    def _sort(self, rows: list[Any], name: str, descends: bool, said: bool | None) -> None:
        nulls_first = (descends != (self._dialect in SMALL_NULLS)) if said is None else said
        null_is_great = nulls_first == descends

        def place(row: Any) -> Any:
            value = getattr(row, name)
            return (null_is_great, 0) if value is None else (not null_is_great, value)

        rows.sort(key=place, reverse=descends)


class Unordered(list[Any]):
    """Equal to lists that have the same in any order."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, list) or len(self) != len(other):
            return False
        left = list(other)
        for each in self:
            if each not in left:
                return False
            left.remove(each)
        return True
