"""The loaders of one resolve: all that the models can need are made before anything is loaded."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

import dloader
from dloader.compat.aiodataloader import DataLoader
from dloader.compat.pydantic_resolve._annotations import OPTIONS
from dloader.compat.pydantic_resolve._needs import Need, Types, full_name, key_of
from dloader.compat.pydantic_resolve._scan import Scan
from dloader.compat.pydantic_resolve.exceptions import (
    GlobalLoaderFieldOverlappedError,
    LoaderContextNotProvidedError,
    LoaderFieldNotProvidedError,
)

__all__ = ("LoaderOptions", "Loaders", "is_loader_class")

CONTEXT = "_context"


def is_loader_class(kind: Any) -> bool:
    """Whether a class makes loaders: those of dloader, and those of aiodataloader itself."""
    return inspect.isclass(kind) and (
        issubclass(kind, dloader.DataLoader)
        or all(hasattr(kind, name) for name in ("load", "load_many", "prime"))
    )


class LoaderOptions:
    """What a resolver was given for loaders."""

    __slots__ = ("common", "context", "instances", "params", "split_by_type")

    def __init__(
        self,
        params: Mapping[Any, Mapping[str, Any]] | None,
        common: Mapping[str, Any] | None,
        instances: Mapping[Any, Any] | None,
        context: Mapping[str, Any] | None,
        split_by_type: bool,
    ) -> None:
        self.params = params or {}
        self.common = common or {}
        self.instances = instances or {}
        self.context = context
        self.split_by_type = split_by_type
        for kind, loader in self.instances.items():
            if not is_loader_class(kind):
                raise AttributeError(f"{getattr(kind, '__name__', kind)} must be subclass of DataLoader")
            if not isinstance(loader, kind):
                raise AttributeError(  # noqa: TRY004 - as it always was
                    f"{type(loader).__name__} is not instance of {kind.__name__}"
                )


class Loaders:
    """Which loader serves which class or function, and which models; lives as long as one resolve.

    Raises:
        LoaderContextNotProvidedError: A loader wants the context, and there is none.
        LoaderFieldNotProvidedError: A parameter is missing.
        GlobalLoaderFieldOverlappedError: A parameter is given twice.
    """

    def __init__(self, scan: Scan, options: LoaderOptions) -> None:
        self._options = options
        self._found: dict[tuple[Any, Types], Any] = {}
        self.by_name: dict[str, Any] = {}
        """By the dotted name of their class or function; with ``split_by_type``, a dict by the models served."""
        self.known: list[dloader.DataLoader[Any, Any]] = []
        """Those of dloader."""
        self.own: list[dloader.DataLoader[Any, Any]] = []
        """Those that were made for this resolve."""
        needs = scan.needs(options.split_by_type)
        if options.context is None:
            _check_context(needs)
        if options.split_by_type and options.instances:
            raise ValueError(
                "split_loader_by_type=True is incompatible with loader_instances: one instance cannot be split"
            )
        for need in needs:
            loader = self._found[need.source, need.types] = self._loader(need)
            if options.split_by_type:
                self.by_name.setdefault(need.name, {})[need.types] = loader
            else:
                self.by_name[need.name] = loader
            if _is_ours(loader):
                self.known.append(loader)
            if need.models:
                _request(loader, need)

    def get(self, source: Any, types: Sequence[type[BaseModel]]) -> Any:
        """The loader of a class or function, for a field that holds these models."""
        return self._found[key_of(source, types, self._options.split_by_type)]

    def _loader(self, need: Need) -> Any:
        """A loader that was given, or else a new one."""
        source = need.source
        given = self._options.instances.get(source)
        if given:
            return given
        loader: Any
        if need.parameters is None:
            loader = DataLoader(batch_load_fn=source)
        else:
            values = self._values(source, need.parameters)
            options = {name: values.pop(name) for name in OPTIONS if name in values}
            made: Any = type(source.__name__, (source,), options) if options else source
            loader = made()
            for name, value in values.items():
                setattr(loader, name, value)
        if _is_ours(loader):
            self.own.append(loader)
        return loader

    def _values(self, source: type, parameters: Mapping[str, bool]) -> dict[str, Any]:
        """The parameters of a loader class that were given, and its context."""
        common, own = self._options.common, self._options.params.get(source, {})
        both = common.keys() & own.keys()
        if both:
            raise GlobalLoaderFieldOverlappedError(
                f"loader_params and global_loader_param have duplicated key(s): {','.join(sorted(both))}"
            )
        given = {**common, **own}
        values: dict[str, Any] = {}
        for name, has_value in parameters.items():
            if name == CONTEXT:
                values[name] = self._options.context
            elif name in given:
                values[name] = given[name]
            elif not has_value:
                raise LoaderFieldNotProvidedError(
                    f"{full_name(source)}.{name} not found in Resolver(): pass "
                    f"loader_params={{{source.__name__}: {{{name!r}: ...}}}}"
                )
        return values


def _is_ours(loader: object) -> bool:
    return isinstance(loader, dloader.DataLoader)


def _check_context(needs: Sequence[Need]) -> None:
    names = [
        f"{need.source.__name__} ({need.name})"
        for need in needs
        if need.parameters is not None and CONTEXT in need.parameters
    ]
    if names:
        raise LoaderContextNotProvidedError(
            f"DataLoader(s) require context but Resolver doesn't provide one: {', '.join(names)}. "
            f"Pass Resolver(context={{...}})"
        )


def _request(loader: Any, need: Need) -> None:
    """Tell a loader which models it is to fill, and their fields: the latest resolve says."""
    if isinstance(loader, dloader.DataLoader):
        loader.requested = type(loader.requested)(need.models, tuple(need.fields))
    else:
        types = [{"name": model, "fields": list(model.model_fields)} for model in need.models]
        loader._query_meta = {"fields": list(need.fields), "request_types": types}  # noqa: SLF001 - its users' name
