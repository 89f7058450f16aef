"""The names that pydantic-resolve looks for on classes and methods."""

from __future__ import annotations

from typing import Final

__all__ = (
    "COLLECTOR_CONFIGURATION",
    "ENSURE_SUBSET_DEFINITION",
    "ENSURE_SUBSET_DEFINITION_SHORT",
    "ENSURE_SUBSET_REFERENCE",
    "ER_DIAGRAM",
    "ER_DIAGRAM_INLINE_RELATIONSHIPS",
    "EXPOSE_TO_DESCENDANT",
    "GRAPHQL_CONFIG_BOUND_ATTR",
    "GRAPHQL_MUTATION_ATTR",
    "GRAPHQL_MUTATION_DESCRIPTION_ATTR",
    "GRAPHQL_MUTATION_NAME_ATTR",
    "GRAPHQL_QUERY_ATTR",
    "GRAPHQL_QUERY_DESCRIPTION_ATTR",
    "GRAPHQL_QUERY_NAME_ATTR",
    "HAS_MAPPER_FUNCTION",
    "POST_DEFAULT_HANDLER",
    "POST_PREFIX",
    "RESOLVE_PREFIX",
)

RESOLVE_PREFIX: Final = "resolve_"
"""How methods are called that fill fields."""
POST_PREFIX: Final = "post_"
"""How methods are called that compute fields when all below is done."""
POST_DEFAULT_HANDLER: Final = "post_default_handler"
"""The method that comes last."""

EXPOSE_TO_DESCENDANT: Final = "__pydantic_resolve_expose__"
"""Of a model class: from field to the name that nodes below see it by."""
COLLECTOR_CONFIGURATION: Final = "__pydantic_resolve_collect__"
"""Of a model class: from field, or tuple of fields, to the collectors above that are sent its value."""
HAS_MAPPER_FUNCTION: Final = "__pydantic_resolve_mapper_provided__"
"""Of a method: what it gives is not converted to the field's type."""

ENSURE_SUBSET_DEFINITION: Final = "__pydantic_resolve_subset__"
"""Of a class body of `DefineSubset`: the model that it is made of, and its fields."""
ENSURE_SUBSET_DEFINITION_SHORT: Final = "__subset__"
"""The same."""
ENSURE_SUBSET_REFERENCE: Final = "__pydantic_resolve_ensure_subset_reference__"
"""Of a subset: the class that it is a subset of."""

ER_DIAGRAM: Final = "__pydantic_resolve_er_diagram__"
"""Of a resolver class: its diagram."""
ER_DIAGRAM_INLINE_RELATIONSHIPS: Final = "__relationships__"
"""Of an entity class: its relationships."""

GRAPHQL_QUERY_ATTR: Final = "_pydantic_resolve_query"
"""Of a method: it is a query."""
GRAPHQL_QUERY_NAME_ATTR: Final = "_pydantic_resolve_query_name"
"""Of a query: its name."""
GRAPHQL_QUERY_DESCRIPTION_ATTR: Final = "_pydantic_resolve_query_description"
"""Of a query: what is said of it."""
GRAPHQL_MUTATION_ATTR: Final = "_pydantic_resolve_mutation"
"""Of a method: it is a mutation."""
GRAPHQL_MUTATION_NAME_ATTR: Final = "_pydantic_resolve_mutation_name"
"""Of a mutation: its name."""
GRAPHQL_MUTATION_DESCRIPTION_ATTR: Final = "_pydantic_resolve_mutation_description"
"""Of a mutation: what is said of it."""
GRAPHQL_CONFIG_BOUND_ATTR: Final = "_pydantic_resolve_config_bound"
"""Of a method that a `QueryConfig` or `MutationConfig` has put on its entity."""
