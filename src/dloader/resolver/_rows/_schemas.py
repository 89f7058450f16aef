"""How rows of a type are validated: made once for each form that rows come in."""

from __future__ import annotations

from functools import cached_property
from typing import Any, cast

from pydantic import TypeAdapter
from pydantic_core import SchemaValidator

from dloader.resolver._rows._building import Schema, build, insists_on_classes_own
from dloader.resolver._rows._cutting import Cutter, Form
from dloader.resolver._rows._survey import Survey, class_made, holds_others, is_of_atoms

__all__ = ("RowSchemas",)


class RowSchemas:
    """How rows of one type are validated; kept as long as the plan of the class whose field it is.

    Args:
        adapter: Of the type.
        config: Core configuration for what has none of its own.
    """

    def __init__(self, adapter: TypeAdapter[Any], config: Any = None) -> None:
        self._schema = dict(cast(Schema, adapter.core_schema))
        self._config = config
        definitions: list[Schema] = self._schema.get("definitions", [])
        self._definitions = {definition["ref"]: definition for definition in definitions}
        self.survey = Survey(self._schema, self._definitions)
        self.holds_others = holds_others(self._schema, self._definitions)
        """Whether rows stand in containers that look like rows."""
        self.is_of_atoms = is_of_atoms(self._schema)
        """Whether a list of it holds what no row can become."""
        self._validators: dict[Form, SchemaValidator] = {}

    @cached_property
    def class_made(self) -> type | None:
        """The class of all that is made of rows that are no nodes, where nothing else can be."""
        return class_made(self._schema, self._definitions)

    def validator(self, form: Form) -> SchemaValidator:
        """The validator of rows of a form."""
        if not self.survey.forms_differ:
            form = Form.BARE
        found = self._validators.get(form)
        if found is None:
            cutter = Cutter(form, self._definitions, form is Form.EITHER or insists_on_classes_own())
            self._validators[form] = found = build(cutter.cut(self._schema), self._config)
        return found
