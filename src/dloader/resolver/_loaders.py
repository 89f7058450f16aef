"""The loaders of one resolve: given, taken from a registry, or made when a step first needs them."""

from __future__ import annotations

import typing
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from dloader import DataLoader, Instrument, LoaderParamError, LoaderRegistry, OptionError, Requested
from dloader._params import declared_by, label_of
from dloader._sources import make_loader
from dloader.lowlevel import add_note_once
from dloader.resolver._params import UNSET, LoaderParams, is_same
from dloader.resolver._plan._model_graph import ModelGraph, Subtree
from dloader.resolver._plan._plan import LoaderUse

__all__ = ("LoaderInstances", "ResolveLoaders")

AnyLoader: TypeAlias = DataLoader[Any, Any]


class LoaderInstances(dict[Any, Any]):
    """Which loader served which loader class or function; printing it shows what was loaded.

    With ``split_loader_by_type`` the values are dicts from the types served to the loader.
    """

    def __repr__(self) -> str:
        return "\n".join(line for value in self.values() for line in _lines(value)) or "no loaders"


def _lines(value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        for loader in typing.cast(dict[Any, AnyLoader], value).values():
            yield from _lines(loader)
    else:
        counts = value.statistics
        yield f"{value.name}: batches={counts.batches} keys={counts.keys} cache_hits={counts.cache_hits}"
        for key, loaded in list(value.cache_map.items()):
            yield f"  {key!r}: {loaded!r}"


class ResolveLoaders:
    """Which loader serves each step that wants one; lives as long as one resolve.

    Args:
        params: What the resolver was given for loaders.
        subtrees: What lies below the roots: the loaders that the models want, as far as their types tell.
        instruments: For loaders that are made.
        instances: Where every loader that serves is put.
        graph: Knows the models.
    """

    def __init__(
        self,
        params: LoaderParams,
        subtrees: Sequence[Subtree],
        instruments: Sequence[Instrument],
        instances: LoaderInstances,
        graph: ModelGraph,
    ) -> None:
        self._params = params
        self._uses: Sequence[LoaderUse] = subtrees[0].uses
        self._requests = subtrees[0].requests
        """By loader class or function, what is wanted of a new loader: the same in each resolve, if that is all."""
        for subtree in subtrees[1:]:
            self.admit(subtree.uses)
        self._instruments = instruments
        self._instances = instances
        self._graph = graph
        self._by_types: dict[tuple[object, tuple[type, ...]], AnyLoader] = {}
        """By loader class or function, and the types it serves if there is a loader for each set of these."""
        self._own: dict[int, AnyLoader] = {}
        """By their ids: users may give loaders any idea of equality."""

    def admit(self, uses: Iterable[LoaderUse]) -> None:
        """Take in the uses of a class that turned up while resolving."""
        self._uses = [*self._uses, *uses]
        self._requests = {}

    def is_own(self, loader: AnyLoader) -> bool:
        """Whether nobody but this resolve can ask a loader for keys."""
        return id(loader) in self._own

    @property
    def own(self) -> Iterable[AnyLoader]:
        """The loaders that were made for this resolve alone."""
        return self._own.values()

    def get(self, use: LoaderUse) -> AnyLoader:
        """The loader that a step wants.

        Raises:
            LoaderParamError: A parameter without a default was not given.
        """
        types = _types_of([use]) if self._params.split_by_type else ()
        loader = self._by_types.get((use.source, types))
        if loader is None:
            self._by_types[use.source, types] = loader = self._find(use, types)
            if self._params.split_by_type:
                self._instances.setdefault(use.source, {})[types] = loader
            else:
                self._instances[use.source] = loader
        return loader

    def name_of(self, use: LoaderUse) -> str:
        """The name of the loader that a step wants, for messages: also of one that cannot be made."""
        types = _types_of([use]) if self._params.split_by_type else ()
        loader = self._by_types.get((use.source, types))
        return label_of(use.source) if loader is None else loader.name

    def _find(self, use: LoaderUse, types: tuple[type, ...]) -> AnyLoader:
        """A loader that was given, or that the registry has, or else a new one."""
        given: AnyLoader | None = self._params.instances.get(use.source)
        if given is not None:
            return given
        source: Any = use.source
        if _is_loader(source):
            return typing.cast(AnyLoader, source)
        registry = self._params.registry
        loader: AnyLoader | None = None if registry is None else registry.find(source)
        if loader is not None:
            self._set_params(loader, use, declared_by(source))
            self._request(loader, source, types)
            return loader
        fixed: Mapping[str, Any] = {} if registry is None else registry.params_of(source)
        loader = _made(source)
        for name, value in fixed.items():
            setattr(loader, name, value)
        self._set_params(loader, use, fixed)
        self._request(loader, source, types)
        for instrument in self._instruments:
            loader.add_instrument(instrument)
        if registry is not None:
            registry.add(source, loader)
        else:
            self._own[id(loader)] = loader
        return loader

    def _request(self, loader: AnyLoader, source: object, types: tuple[type, ...]) -> None:
        """Tell a loader which types and fields are wanted of it, beside those it knows of."""
        if types:
            loader.requested = self._with_types(loader.requested, types)
            return
        is_new = loader.requested is DataLoader.requested
        wanted = self._requests.get(source) if is_new else None
        if wanted is None:
            uses = (use for use in self._uses if use.source is source)
            wanted = self._with_types(loader.requested, _types_of(uses))
            if is_new:
                self._requests[source] = wanted
        loader.requested = wanted

    def _with_types(self, requested: Requested, types: tuple[type, ...]) -> Requested:
        if set(types) <= set(requested.types):
            return requested
        return requested.with_types(
            types, [column for cls in types for column in self._graph.plan(cls).columns]
        )

    def _set_params(self, loader: AnyLoader, use: LoaderUse, fixed: Container[str]) -> None:
        """Set what the resolver gives; parameters that are fixed have to have that value already."""
        missing: list[str] = []
        for name, has_default in declared_by(use.source).items():
            value = self._params.value(use.source, name)
            if value is not UNSET:
                if name in fixed:
                    _check_same(loader, name, value)
                setattr(loader, name, value)
            elif not has_default and not hasattr(loader, name):
                missing.append(name)
        if missing:
            raise LoaderParamError(_explain_missing(loader.name, use, missing, self._params.registry))


def _made(source: Any) -> AnyLoader:
    try:
        return make_loader(source)
    except TypeError as error:
        if not isinstance(error, OptionError):
            add_note_once(
                error,
                f"a resolve makes loaders without arguments: declare them as annotated attributes of the class, which "
                f"are its parameters, or give a loader that you made: loader_instances={{{label_of(source)}: ...}}",
            )
        raise


def _is_loader(source: Any) -> bool:
    return isinstance(source, DataLoader)


def _explain_missing(
    label: str, use: LoaderUse, missing: Sequence[str], registry: LoaderRegistry | None
) -> str:
    example = ", ".join(f"{name!r}: ..." for name in missing)
    by_registry = "" if registry is None else f"LoaderRegistry(params={{{example}}}) or "
    return (
        f"{use.owner.__qualname__}.{use.step.label} needs loader {label!r}, whose "
        f"{'parameters' if len(missing) > 1 else 'parameter'} {', '.join(map(repr, missing))} nobody gave: "
        f"pass {by_registry}Resolver(loader_params={{{label}: {{{example}}}}})"
        + (" or Resolver(context=...)" if "_context" in missing else "")
    )


def _check_same(loader: AnyLoader, name: str, value: Any) -> None:
    """A registry's loader serves only who wants its parameters; one that has loaded nothing takes new ones."""
    has = getattr(loader, name, UNSET)
    is_free = has is UNSET or (name not in vars(loader) and not loader.statistics.loads)
    if not (is_free or is_same(has, value)):
        raise LoaderParamError(
            f"loader {loader.name!r} of the registry has {name}={has!r}, and this resolve gives {name}={value!r}: "
            f"use another registry, or a clone made by copy_dataloader_kls"
        )


def _types_of(uses: Iterable[LoaderUse]) -> tuple[type, ...]:
    found = dict.fromkeys(cls for use in uses for cls in use.step.field.classes)
    return tuple(sorted(found, key=lambda cls: (cls.__module__, cls.__qualname__)))
