"""Schemas of types -> schemas of rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from functools import cached_property
from typing import Any, cast

from pydantic import ValidationError
from pydantic_core import PydanticOmit, SchemaValidator

from dloader.resolver._rows._building import Schema, build, insists_on_classes_own
from dloader.resolver._rows._survey import PARTS, NodeSchema, Survey, is_node, is_required

__all__ = ("Cutter", "Form")

OBSERVERS = frozenset({"function-after", "function-wrap"})
UNREACHABLE = "\0unreachable"
"""A name that no row has."""
UNSET: Any = object()


class Form(Enum):
    """What rows are: that decides what is looked for in them."""

    OBJECTS = 1
    """Attributes: fields that methods fill are not asked for."""
    BARE = 2
    """Mappings that have no fields that methods fill, or only such as have defaults: those are read of any."""
    MAPPINGS = 3
    """Mappings that have some, on which the methods may build."""
    EITHER = 4
    """Anything, each row by itself."""


class Cutter:
    """Makes the schema for rows of one form out of that of a type; lives while one is made."""

    def __init__(
        self, form: Form, definitions: Mapping[str, Schema], is_apart: bool, has_definitions: bool = True
    ) -> None:
        self._form = form
        self._definitions = definitions
        self._is_apart = is_apart
        """Whether each node has a validator of its own, which is called."""
        self._has_definitions = has_definitions and not is_apart
        self._is_observed: bool = False
        """Whether a validator of the user's may look at nodes before they are filled."""
        self._is_inside: bool = False
        """Whether it is the schema of a field of a node."""

    def cut(self, schema: Schema) -> Schema:
        """The same schema for rows."""
        kind = schema["type"]
        if kind == "definitions":
            defined = schema["definitions"]
            if self._has_definitions:
                defined = list(map(self._cut_node_or_parts, defined))
            return {**schema, "schema": self.cut(schema["schema"]), "definitions": defined}
        if kind == "definition-ref" or is_node(schema):
            return self._cut_node(schema)
        if kind == "json-or-python":
            return self.cut(schema["python_schema"])
        return self._cut_parts(schema)

    def cut_root(self, schema: Schema, is_observed: bool) -> Schema:
        """The schema of a node that has a validator of its own."""
        self._is_observed = is_observed
        return self._cut_node_or_parts(schema)

    def _cut_node_or_parts(self, schema: Schema) -> Schema:
        return self._cut_fields_of(schema) if is_node(schema) else self._cut_parts(schema)

    def _cut_node(self, schema: Schema) -> Schema:
        """A node, or something that is defined elsewhere: here, or called."""
        survey = Survey(schema, self._definitions)
        is_ref = schema["type"] == "definition-ref"
        if not survey.is_needed and not (is_ref and not self._has_definitions):
            return schema
        if not (self._is_apart or (self._is_inside and survey.forms_differ)):
            if not is_ref:
                return self._cut_fields_of(schema)
            if self._has_definitions:
                return schema
        call = _RowOf(schema, self._definitions, self._is_observed)
        return {"type": "function-plain", "function": {"type": "no-info", "function": call}}

    def _cut_parts(self, schema: Schema) -> Schema:
        before = self._is_observed
        self._is_observed = before or schema["type"] in OBSERVERS
        new = {name: self._cut_value(schema[name]) for name in PARTS if name in schema}
        if schema["type"] == "typed-dict":
            new["fields"] = {
                name: {**field, "schema": self.cut(field["schema"])}
                for name, field in schema["fields"].items()
            }
        self._is_observed = before
        return {**schema, **new}

    def _cut_value(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._cut_value(one) for one in cast(Any, value)]
        if isinstance(value, tuple):
            schema, *label = cast(Any, value)
            return (self.cut(schema), *label)
        found = cast(Schema, value)
        return (
            self.cut(found) if "type" in found else {tag: self._cut_value(one) for tag, one in found.items()}
        )

    # -- nodes -----------------------------------------------------------------------------------------------

    def _cut_fields_of(self, schema: Schema) -> Schema:
        if schema.get("root_model"):
            return self._cut_parts(schema)
        node = NodeSchema(schema)
        if node.is_left_alone:
            return schema
        before = self._is_observed, self._is_inside
        self._is_observed, self._is_inside = before[0] or bool(schema.get("post_init")), True
        fields = {
            name: cut
            for name, field in node.own_names.items()
            if (cut := self._cut_field(node, name, field)) is not None
        }
        self._is_observed, self._is_inside = before
        for name in node.shape.hidden:
            fields[name] = {"type": _FIELD[schema["type"]], "name": name, "schema": {"type": "any"}}
        cut = self._with_fields(schema, node, fields)
        if not (node.is_dataclass and self._form is Form.OBJECTS):
            return cut
        ref = cut.pop("ref", None)
        return {**_read_by(_Attributes(node), cut), **({} if ref is None else {"ref": ref})}

    def _with_fields(self, schema: Schema, node: NodeSchema, fields: Mapping[str, Schema]) -> Schema:
        if schema is node.fields:
            if schema["type"] == "dataclass-args":
                # Rows have names, so that the order, which defaults might break, is of no account.
                return {**schema, "fields": [{**field, "kw_only": True} for field in fields.values()]}
            extra = {"extra_behavior": "ignore"} if self._form is Form.OBJECTS and node.shape.filled else {}
            new = {
                name: {key: one for key, one in field.items() if key != "name"}
                for name, field in fields.items()
            }
            return {**schema, "fields": new, **extra}
        new = {"schema": self._with_fields(schema["schema"], node, fields)}
        # An ``__init__`` of the class would validate by the whole of its fields.
        return {**schema, **new, **({"custom_init": False} if schema.get("custom_init") else {})}

    def _cut_field(self, node: NodeSchema, name: str, field: Schema) -> Schema | None:
        """What is read of a row for a field, if anything is."""
        shape, form, lacks_default = node.shape, self._form, is_required(node.cls, name)
        paths = node.paths_of(name)
        if name in shape.filled or (name in shape.computed and self._is_unread(lacks_default)):
            if self._is_observed and not lacks_default:
                return {**field, "schema": self.cut(field["schema"]), "validation_alias": UNREACHABLE}
            return _unread(field, paths) if form is Form.MAPPINGS and node.takes_extra else None
        named = {} if len(paths) == 1 else {"validation_alias": paths}
        schema = self.cut(field["schema"])
        if name in shape.computed and lacks_default:
            schema = _not_required(schema)
        return {**field, "schema": schema, **named}

    def _is_unread(self, lacks_default: bool) -> bool:
        """Whether a field that a method fills is left out; a bare mapping gives the default, which costs less so."""
        return self._form is Form.OBJECTS or (self._form is Form.BARE and lacks_default)


_FIELD = {"model": "model-field", "dataclass": "dataclass-field"}


class _Attributes:
    """Makes mappings of objects, by what is read of them; kept with the schema that calls it."""

    def __init__(self, node: NodeSchema) -> None:
        self._cls = node.cls
        shape = node.shape
        read = [name for name in node.own_names if name not in shape.filled | shape.computed]
        self._names = dict.fromkeys((*shape.hidden, *(name for each in read for name in node.names_of(each))))

    def __call__(self, row: Any) -> Any:
        kind: Any = cast(Any, type(row))
        if kind.__module__ == "builtins" or issubclass(kind, (self._cls, Mapping)):
            return row
        values: dict[str, Any] = {}
        for name in self._names:
            try:
                value = getattr(row, name, UNSET)
            except Exception as error:  # an entity of SQLAlchemy may raise anything
                failed = error
            else:
                if value is not UNSET:
                    values[name] = value
                continue
            raise _unreadable(row, name, failed)
        return values


def _unreadable(row: Any, name: str, error: Exception) -> ValidationError:
    """What Pydantic says of models whose rows raise."""
    text = f"{type(error).__name__}: {error}"
    told: Any = {"type": "get_attribute_error", "loc": (name,), "input": row, "ctx": {"error": text}}
    return ValidationError.from_exception_data(type(row).__name__, [told])


def _read_by(function: Any, schema: Schema) -> Schema:
    return {
        "type": "function-before",
        "function": {"type": "no-info", "function": function},
        "schema": schema,
    }


class _RowOf:
    """Validates a row of a node that is called apart, by what it is; kept with the schema that calls it."""

    def __init__(self, schema: Schema, definitions: Mapping[str, Schema], is_observed: bool) -> None:
        self._schema = schema
        self._definitions = definitions
        self._is_observed = is_observed
        self._validators: dict[Form, SchemaValidator] = {}

    @cached_property
    def _survey(self) -> Survey:
        return Survey(self._schema, self._definitions)

    def __call__(self, row: Any) -> Any:
        form = Form.OBJECTS
        if isinstance(row, Mapping):
            is_bare = self._survey.special.isdisjoint(cast(Iterable[Any], row))
            form = Form.BARE if is_bare else Form.MAPPINGS
        validator = self._validators.get(form)
        if validator is None:
            self._validators[form] = validator = self._make(form)
        return validator.validate_python(row, from_attributes=True)

    def _make(self, form: Form) -> SchemaValidator:
        schema = self._schema
        if not self._survey.is_needed:
            return build(
                {"type": "definitions", "schema": schema, "definitions": list(self._definitions.values())}
            )
        if schema["type"] == "definition-ref":
            schema = self._definitions[schema["schema_ref"]]
        cutter = Cutter(form, self._definitions, insists_on_classes_own(), has_definitions=False)
        cut = cutter.cut_root(schema, self._is_observed)
        if (
            self._definitions and not insists_on_classes_own()
        ):  # where nobody looks, of the keys of a dict say
            cut = {"type": "definitions", "schema": cut, "definitions": list(self._definitions.values())}
        return build(cut)


def _not_required(schema: Schema) -> Schema:
    """The schema of a field that is left unset where a row does not have it."""
    read = _read_by(_omit_unset, schema)
    return {"type": "default", "default": UNSET, "validate_default": True, "schema": read}


def _unread(field: Schema, paths: list[list[Any]]) -> Schema:
    """A field that a row may have, and that is left unset."""
    function = {"type": "no-info", "function": _omit}
    omitted = {
        "type": "default",
        "default": UNSET,
        "validate_default": True,
        "schema": {"type": "function-plain", "function": function},
    }
    return {**field, "schema": omitted, "validation_alias": paths}


def _omit_unset(value: Any) -> Any:
    if value is UNSET:
        raise PydanticOmit
    return value


def _omit(_value: Any) -> Any:
    raise PydanticOmit
