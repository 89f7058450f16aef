"""What the classes in a schema want of rows."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, cast

from pydantic import BaseModel

from dloader.resolver._plan._annotations import is_node_class
from dloader.resolver._plan._row_shape import RowShape, row_shape_of
from dloader.resolver._rows._building import Schema

__all__ = (
    "PARTS",
    "NodeSchema",
    "Survey",
    "class_made",
    "holds_others",
    "is_node",
    "is_of_atoms",
    "is_required",
)

PARTS = (
    "schema", "items_schema", "values_schema", "lax_schema", "strict_schema", "python_schema", "steps", "choices",
)  # fmt: skip
"""Where in a schema others stand, whose values are looked into for nodes."""
INTO_LISTS = {"definitions": "schema", "list": "items_schema"}
"""Where in a schema stands what is made of one row."""
AROUND_ATOMS = frozenset({"default", "list", "nullable"})
ATOMS = frozenset({"bool", "float", "int", "str"})
NODES = frozenset({"dataclass", "model"})


class Survey:
    """What the classes in a schema want of rows."""

    def __init__(self, schema: Schema, definitions: Mapping[str, Schema]) -> None:
        self.nodes = list(_nodes_in(schema, definitions, set()))
        self._definitions = definitions

    @cached_property
    def is_needed(self) -> bool:
        """Whether rows carry less than the classes say, or are to be read otherwise."""
        return any(node.has_work for node in self.nodes)

    @cached_property
    def forms_differ(self) -> bool:
        """Whether it makes a difference what rows are."""
        return any(node.is_read_by_form for node in self.nodes)

    @cached_property
    def special(self) -> frozenset[str]:
        """The names that tell mappings from bare ones."""
        return frozenset[str]().union(*(node.special for node in self.nodes))

    @cached_property
    def names(self) -> frozenset[str]:
        """All names by which rows have fields, and keys."""
        return frozenset(name for node in self.nodes for name in node.names)

    @cached_property
    def inner(self) -> Mapping[str, bool]:
        """The names by which rows have other rows, and whether these stand in what looks like a row."""
        return {
            name: holds_others(node.own_names[field]["schema"], self._definitions)
            for node in self.nodes
            for field in self._fields_with_nodes(node)
            for name in node.names_of(field)
        }

    def _fields_with_nodes(self, node: NodeSchema) -> Iterator[str]:
        for name, field in node.own_names.items():
            if name not in node.filled and next(_nodes_in(field["schema"], self._definitions, set()), None):
                yield name

    @cached_property
    def hidden(self) -> Mapping[str, type]:
        """The columns that are only keys, and the class whose key each is."""
        return {name: node.cls for node in self.nodes for name in node.shape.hidden}


class NodeSchema:
    """A model or dataclass in a schema."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.cls = cast(type[Any], schema["cls"])

    @cached_property
    def shape(self) -> RowShape:
        return row_shape_of(self.cls)

    @cached_property
    def fields(self) -> Schema:
        """The schema that holds the fields."""
        inner = self.schema
        while inner["type"] not in {"model-fields", "dataclass-args"}:
            inner = inner["schema"]
        return inner

    @cached_property
    def own_names(self) -> Mapping[str, Schema]:
        fields: Any = self.fields["fields"]
        if self.fields["type"] == "model-fields":
            return cast(Mapping[str, Schema], fields)
        return {field["name"]: field for field in cast(list[Schema], fields)}

    @property
    def filled(self) -> frozenset[str]:
        """The fields that markers fill, and that rows do not have."""
        return frozenset() if self.is_left_alone else self.shape.filled

    @property
    def names(self) -> Iterator[str]:
        """The names by which rows have fields, and keys."""
        yield from self.shape.hidden
        for field in self.own_names:
            yield from self.names_of(field)

    @property
    def is_left_alone(self) -> bool:
        """Whether a class makes its instances itself, by its own rules."""
        return bool(self.schema.get("root_model")) or (
            bool(self.schema.get("custom_init")) and not _is_init_of_sqlmodel(self.cls)
        )

    @property
    def is_dataclass(self) -> bool:
        """Whether Pydantic takes only mappings for it, and no objects with attributes."""
        return bool(self.schema["type"] == "dataclass")

    @property
    def takes_extra(self) -> bool:
        config: Mapping[str, Any] = self.schema.get("config") or {}
        given = self.fields.get("extra_behavior", config.get("extra_fields_behavior"))
        return given in {"allow", "forbid"}

    @cached_property
    def has_work(self) -> bool:
        if self.is_left_alone:
            return False
        shape = self.shape
        has_aliases = any("validation_alias" in field for field in self.own_names.values())
        return self.is_dataclass or bool(shape.filled or shape.computed or shape.other_names or has_aliases)

    @cached_property
    def is_read_by_form(self) -> bool:
        """Whether it makes a difference what rows are."""
        return self.is_dataclass or bool(self.special or (self.shape.computed and not self.is_left_alone))

    @cached_property
    def special(self) -> frozenset[str]:
        """The names that tell mappings from bare ones. What methods fill is read alike if it has a default."""
        if self.is_left_alone:
            return frozenset()
        shape = self.shape
        fields = {name for name in shape.computed if is_required(self.cls, name)}
        fields |= shape.filled if self.takes_extra else frozenset[str]()
        return frozenset(name for field in fields for name in self.names_of(field))

    def names_of(self, field: str) -> Iterator[str]:
        return (path[0] for path in self.paths_of(field))

    def paths_of(self, field: str) -> list[list[Any]]:
        """Where a row may have a field: what markers and aliases say, then its name."""
        alias: Any = self.own_names.get(field, {}).get("validation_alias", [])
        if isinstance(alias, str):
            alias = [[alias]]
        elif alias and not isinstance(alias[0], list):
            alias = [alias]
        others = [[name] for name in self.shape.other_names.get(field, ())]
        return [*others, *alias, [field]]


def _is_init_of_sqlmodel(cls: type[Any]) -> bool:
    """Whether a class has the ``__init__`` of SQLModel, which does what Pydantic's does, but for tables."""
    sqlmodel = sys.modules.get("sqlmodel")
    is_its = sqlmodel is not None and cls.__init__ is sqlmodel.SQLModel.__init__
    return is_its and not cls.model_config.get("table")


def is_node(schema: Schema) -> bool:
    return schema["type"] in NODES and is_node_class(schema["cls"]) and schema["cls"] is not BaseModel


def _nodes_in(schema: Schema, definitions: Mapping[str, Schema], seen: set[str]) -> Iterator[NodeSchema]:
    kind = schema["type"]
    if kind == "definition-ref":
        ref = schema["schema_ref"]
        if ref not in seen:
            seen.add(ref)
            yield from _nodes_in(definitions[ref], definitions, seen)
    elif is_node(schema):
        node = NodeSchema(schema)
        if not schema.get("root_model"):
            yield node
            for name, field in node.own_names.items():
                if name not in node.filled:
                    yield from _nodes_in(field["schema"], definitions, seen)
        else:
            yield from _nodes_in(schema["schema"], definitions, seen)
    else:
        for part in _parts_of(schema):
            yield from _nodes_in(part, definitions, seen)


def _parts_of(schema: Schema) -> Iterator[Schema]:
    for name in PARTS:
        yield from _schemas_in(schema.get(name, ()))
    if schema["type"] == "typed-dict":
        yield from (field["schema"] for field in schema["fields"].values())


def _schemas_in(value: Any) -> Iterator[Schema]:
    """The schemas in a part: itself, or those in a list, with labels perhaps, or in a dict by tag."""
    if isinstance(value, dict):
        found = cast(Schema, value)
        yield from (found,) if "type" in found else (one for one in found.values() if isinstance(one, dict))
    else:
        yield from (one[0] if isinstance(one, tuple) else one for one in value)


def holds_others(schema: Schema, definitions: Mapping[str, Schema]) -> bool:
    kind = schema["type"]
    if kind == "definition-ref":
        schema = definitions[schema["schema_ref"]]
        return schema["type"] not in NODES  # an alias that may lead to itself
    if kind in {"dict", "typed-dict"}:
        return True
    return kind not in NODES and any(holds_others(part, definitions) for part in _parts_of(schema))


def class_made(schema: Schema, definitions: Mapping[str, Schema]) -> type | None:
    """The class of all that a schema of lists makes of rows; None where there may be others, by a validator say."""
    while schema["type"] in INTO_LISTS:
        schema = schema[INTO_LISTS[schema["type"]]]
    if schema["type"] == "definition-ref":
        schema = definitions[schema["schema_ref"]]
    if not is_node(schema) or schema.get("root_model"):
        return None
    cls: Any = schema["cls"]
    return cls if cls.__new__ is object.__new__ else None


def is_required(cls: type[Any], name: str) -> bool:
    """Whether a field of a model or dataclass has no default."""
    if issubclass(cls, BaseModel):
        return cls.model_fields[name].is_required()
    info: Any = getattr(cls, "__pydantic_fields__", {}).get(name)
    if info is not None:
        return bool(info.is_required())
    field: dataclasses.Field[Any] = cls.__dataclass_fields__[name]
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def is_of_atoms(schema: Schema) -> bool:
    """Whether a schema is of a list of numbers or texts, some of which may be missing."""
    while schema["type"] in AROUND_ATOMS:
        schema = schema.get("items_schema") or schema["schema"]
    return schema["type"] in ATOMS
