"""pydantic-resolve 6 on dloader's batches: a program changes its import line and gets the same answers, faster.

``from dloader.compat.pydantic_resolve import Loader, Resolver``. As there, and other than with `dloader.resolver`:

- all ``resolve_`` methods of a level run before any of the next, and all of them before any ``post_`` method; the
  methods of a class run in the order of their names;
- each parent gets models of its own, made of the field's type alone;
- ``loader_instance_cache`` is keyed by dotted names, and mistakes are errors of pydantic-resolve's classes;
- diagrams of entities fill fields (`AutoLoad`), and subsets of models are made by `DefineSubset`.

Loaders may be of `dloader.compat.aiodataloader`, of dloader, or of aiodataloader itself. What there is not: the GraphQL
and MCP servers, pictures and web pages.
"""

from __future__ import annotations

import dloader.resolver as _resolver  # first: it says how to install Pydantic where that is missing
from dloader.compat.pydantic_resolve._diagram import ErDiagram, base_entity
from dloader.compat.pydantic_resolve._mapper import mapper
from dloader.compat.pydantic_resolve._markers import AutoLoad, Loader, SendTo
from dloader.compat.pydantic_resolve._openapi import serialization
from dloader.compat.pydantic_resolve._relationship import (
    Entity,
    MutationConfig,
    QueryConfig,
    Relationship,
    mutation,
    query,
)
from dloader.compat.pydantic_resolve._subset import DefineSubset, SubsetConfig, ensure_subset
from dloader.compat.pydantic_resolve.exceptions import (
    GlobalLoaderFieldOverlappedError,
    LoaderContextNotProvidedError,
    LoaderFieldNotProvidedError,
    MissingAnnotationError,
    MissingCollector,
    ResolverTargetAttrNotFound,
)
from dloader.compat.pydantic_resolve.resolver import (
    Resolver,
    config_global_resolver,
    config_resolver,
    reset_global_resolver,
)
from dloader.compat.pydantic_resolve.utils.dataloader import build_list, build_object, copy_dataloader_kls
from dloader.resolver import Collector, ExposeAs, ICollector

del _resolver

__all__ = (
    "AutoLoad",
    "Collector",
    "DefineSubset",
    "Entity",
    "ErDiagram",
    "ExposeAs",
    "GlobalLoaderFieldOverlappedError",
    "ICollector",
    "Loader",
    "LoaderContextNotProvidedError",
    "LoaderFieldNotProvidedError",
    "MissingAnnotationError",
    "MissingCollector",
    "MutationConfig",
    "QueryConfig",
    "Relationship",
    "Resolver",
    "ResolverTargetAttrNotFound",
    "SendTo",
    "SubsetConfig",
    "base_entity",
    "build_list",
    "build_object",
    "config_global_resolver",
    "config_resolver",
    "copy_dataloader_kls",
    "ensure_subset",
    "mapper",
    "mutation",
    "query",
    "reset_global_resolver",
    "serialization",
)
