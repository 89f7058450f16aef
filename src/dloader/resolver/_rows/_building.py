"""Validators of schemas alone: Pydantic takes those that classes have already, unless it is told.

The keys of a core schema are those that `pydantic_core` documents; ``_use_prebuilt`` is not documented. Where it is
missing and classes' own validators are taken all the same (2.11 and 2.12), each model is validated by a validator of
its own that the one around it calls, at 0.4 us a row. A test tells when any of this changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, TypeAlias, cast

from pydantic import BaseModel
from pydantic_core import SchemaValidator

__all__ = ("Schema", "build", "insists_on_classes_own", "takes_schemas_alone")

Schema: TypeAlias = dict[str, Any]


def build(schema: Schema, config: Any = None) -> SchemaValidator:
    make: Any = SchemaValidator
    return cast(SchemaValidator, make(schema, config, **takes_schemas_alone()))


@cache
def takes_schemas_alone() -> Mapping[str, bool]:
    """What has a validator made of a schema and nothing else, where that can be said."""
    make: Any = SchemaValidator
    try:
        make({"type": "any"}, _use_prebuilt=False)
    except TypeError:
        return {}
    return {"_use_prebuilt": False}


class _Probe(BaseModel):
    given: int


@cache
def insists_on_classes_own() -> bool:
    """Whether the validators that classes have take the place of their schemas, whatever one does."""
    core = cast(Schema, _Probe.__pydantic_core_schema__)
    changed: Schema = {**core, "schema": {"type": "model-fields", "fields": {}}}
    try:
        build({"type": "list", "items_schema": changed}).validate_python([{}])
    except ValueError:
        return True
    return False
