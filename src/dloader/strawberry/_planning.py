"""Plans are made: from what an operation selects to loaders, columns and objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from strawberry.schema.base import BaseSchema
from strawberry.types.base import StrawberryList, StrawberryOptional
from strawberry.types.lazy_type import LazyType
from strawberry.types.nodes import SelectedField

from dloader import LoaderRegistry, OptionError, PlanError
from dloader._text import did_you_mean
from dloader.sqlalchemy._columns import IDENTITY
from dloader.sqlalchemy._relations import Relation
from dloader.strawberry._planned import Filling, PlannedField
from dloader.strawberry._plans import FILLED, Child, Failed, Pages, Plan, Target
from dloader.strawberry._selection import Selected, is_deferred, selected_in
from dloader.strawberry._types import ObjectType, inner_type, is_abstract, is_object, object_type, type_called

__all__ = ("Planner",)


class Planner:
    """Makes the plans of one operation, and lives as long.

    Args:
        schema: Whose types the rows become.
        registry: Where the loaders are.
    """

    def __init__(self, schema: BaseSchema, registry: LoaderRegistry) -> None:
        self._schema = schema
        self._registry = registry

    def plan(self, field: PlannedField, selected: Sequence[SelectedField], given: Mapping[str, Any]) -> Plan:
        """Plan a field, and all that is filled below it; the loaders read what is selected from now on.

        Args:
            field: The field.
            selected: Where it is selected, under one response name.
            given: Its arguments.

        Raises:
            PlanError: What is selected cannot be filled from the rows.
            OptionError: An argument cannot be used.
            LoaderParamError: The loader lacks a parameter.
        """
        filling = field.filling
        relation = filling.marker.lookup.relation
        loader = self._registry.get(filling.marker)
        pages = None
        held: Any = field.type
        if filling.is_connection:
            held, pages, selected = self._pages(field, inner_type(held), selected, given)
        elif relation.many is not _is_list(held):
            gives = "a list" if relation.many else "one object or none"
            raise PlanError(
                [f"{relation.label} gives {gives}, and the field {field.python_name} holds something else"]
            )
        if not is_object(inner_type(held)):
            raise PlanError([f"{relation.label} gives objects, and the field {field.python_name} holds none"])
        types = self._types(filling, relation, inner_type(held))
        targets: dict[ObjectType, Target] = {}
        problems: list[str] = []
        has_nodes = pages is None or pages.has_nodes
        wanted = {IDENTITY} if has_nodes and len(types) > 1 else set[str]()
        for of in dict.fromkeys(types.values()) if has_nodes else ():
            fields = selected_in(selected, partial(of.meets, schema=self._schema))
            targets[of], names = self._target(of, fields)
            missing = {name for name in names if not (loader.has_column(name) or name in of.defaults)}
            problems += (_no_column(of, name, relation) for name in sorted(missing))
            wanted |= names
        if problems:
            raise PlanError(problems)
        loader.read_also(wanted)
        by_identity = {identity: targets[of] for identity, of in types.items() if has_nodes}
        return Plan(loader, relation, _chooser(by_identity, relation), pages)

    def _target(self, of: ObjectType, selected: Selected) -> tuple[Target, set[str]]:
        """What rows become that are of a type, and which attributes they need."""
        children: list[Child] = []
        names: set[str] = set(of.plain_names) if of.has_post_init else set()
        for name, fields in selected.items():
            field = of.fields.get(fields[0].name)
            if field is None:  # __typename, and what fragments on other types select
                continue
            if isinstance(field, PlannedField):
                names.update(field.filling.marker.lookup.relation.keys)
                if field.extensions:  # it is filled when these were asked, and they may look at the object
                    names.update(of.plain_names)
                elif not is_deferred(fields):  # else when its turn comes: the rest does not wait for it
                    children.append(Child(FILLED + name, self._below(field, fields)))
            elif field.is_basic_field:
                names.add(field.python_name)
            else:
                names.update(of.plain_names)
        return Target(of, children), names

    def _below(self, field: PlannedField, selected: list[SelectedField]) -> Plan | Failed:
        """The plan of a field that is filled beforehand; what is wrong with it is told in its place."""
        given = {name: _plain(value, name) for name, value in selected[0].arguments.items()}
        try:
            return self.plan(field, selected, given)
        except Exception as error:
            return Failed(error)

    def _pages(
        self, field: PlannedField, cls: type[Any], selected: Sequence[SelectedField], given: Mapping[str, Any]
    ) -> tuple[Any, Pages, list[SelectedField]]:
        """The type of the nodes, the pages, and where nodes are selected."""
        filling = field.filling
        relation = filling.marker.lookup.relation
        label = relation.label
        connection = object_type(cls, self._schema) if is_object(cls) else None
        if connection is None or "edges" not in connection.by_name:
            raise PlanError(
                [f"{label}: the field {field.python_name} is a connection, so its type is Connection[...]"]
            )
        if not relation.many:
            raise PlanError(
                [f"{label} gives one object or none, and the field {field.python_name} is a connection"]
            )
        names = self._selected(connection, selected)
        edges = names.get("edges", [])
        edge = object_type(inner_type(connection.by_name["edges"].type), self._schema)
        below = self._selected(edge, edges)
        first, last = given.get("first"), given.get("last")
        most = filling.max_results or self._schema.config.relay_max_results
        for name, count in (("first", first), ("last", last)):
            if count is not None and count > most:
                raise OptionError(f"{label}: {name} takes a number that is {most} or less, not {count}")
        if first is None and last is None:
            first = min(filling.limit or most, most)
        pages = Pages(
            connection.cls,
            edge.cls,
            first,
            given.get("after"),
            last,
            given.get("before"),
            "total_count" in names,
            "cursor" in below,
            bool(names.keys() - {"total_count"}),
            # Fields that a class of the application's has besides may look at them.
            bool(names.keys() - {"edges", "page_info", "total_count"} or below.keys() - {"cursor"}),
        )
        return edge.by_name["node"].type, pages, below.get("node", [])

    def _selected(self, of: ObjectType, selected: Sequence[SelectedField]) -> Selected:
        """What is selected of a type, by the names of its attributes and not by those of the response."""
        found: Selected = {}
        for fields in selected_in(selected, partial(of.meets, schema=self._schema)).values():
            field = of.fields.get(fields[0].name)
            if field is not None:
                found.setdefault(field.python_name, []).extend(fields)
        return found

    def _types(self, filling: Filling, relation: Relation, held: Any) -> Mapping[Any, ObjectType]:
        """What the rows become, by the polymorphic identity of their class; of a single type, whatever it is."""
        if not is_abstract(held):
            return {None: object_type(held, self._schema)}
        found: dict[Any, ObjectType] = {}
        mapper = relation.mapper
        identities = {None: mapper} if mapper.polymorphic_on is None else mapper.polymorphic_map
        for identity, each in identities.items():
            for parent in each.iterate_to_root() if each.isa(mapper) else ():
                cls = filling.types.get(parent.class_) or type_called(
                    parent.class_.__name__, held, self._schema
                )
                if cls is not None:
                    found[identity] = object_type(cls, self._schema)
                    break
        if not found:
            raise PlanError([_no_type(relation, mapper.class_.__name__)])
        return found


def _chooser(by_identity: Mapping[Any, Target], relation: Relation) -> Callable[[Mapping[str, Any]], Target]:
    """What tells the target of a row."""
    if len(by_identity) == 1:
        [target] = by_identity.values()
        return lambda _row: target

    def choose(row: Mapping[str, Any]) -> Target:
        target = by_identity.get(row[IDENTITY])
        if target is None:
            raise PlanError([_no_type(relation, f"{relation.mapper.class_.__name__} {row[IDENTITY]!r}")])
        return target

    return choose


def _no_type(relation: Relation, what: str) -> str:
    return (
        f"{relation.label}: no type of the field is called as the mapped class of its rows, {what}: "
        f"say which it is, types={{MappedClass: ObjectType}}"
    )


def _no_column(of: ObjectType, name: str, relation: Relation) -> str:
    mapper = relation.mapper
    hint = did_you_mean(name, [each.key for each in mapper.column_attrs])
    return f"{of.name}.{name} is filled by no column of {mapper.class_.__name__} ({hint})"


def _is_list(held: Any) -> bool:
    while isinstance(held, (StrawberryOptional, LazyType)):
        held = held.of_type if isinstance(held, StrawberryOptional) else held.resolve_type()
    return isinstance(held, StrawberryList)


def _plain(value: Any, name: str) -> Any:
    """An argument as it is: literals come as the text of the document."""
    return int(value) if name in ("first", "last") and value is not None else value
