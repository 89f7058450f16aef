"""From loader classes, parameters, instances and context to the loaders of one resolve."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import typing
from collections.abc import Iterable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from pydantic import BaseModel, PydanticUserError, TypeAdapter, ValidationError

from dloader import DataLoader, Instrument, LoaderParamError, LoaderRegistry, OptionError, Requested
from dloader.registry import make_loader
from dloader.resolver._compile import hint
from dloader.resolver._graph import Use

__all__ = ("LoaderInstances", "Loaders", "Params")

L = DataLoader[Any, Any]
UNSET: Any = object()
OPTIONS = frozenset(inspect.get_annotations(DataLoader))
"""Attributes of loader classes that are options; a subclass may annotate them anew."""
TAKEN = (frozenset(dir(DataLoader)) | vars(DataLoader(typing.cast(Any, asyncio.sleep))).keys()) - OPTIONS
"""What loaders themselves have: a parameter of such a name would overwrite it."""

NAMES: WeakKeyDictionary[Any, tuple[str, ...]] = WeakKeyDictionary()
"""Of the parameters of loader classes. Annotations are not kept: they may refer to the class, which would then stay."""


class LoaderInstances(dict[Any, Any]):
    """Which loader served which loader class or function; printing it shows what was loaded.

    With ``split_loader_by_type`` the values are dicts from the types served to the loader.
    """

    def __repr__(self) -> str:
        return "\n".join(line for value in self.values() for line in _lines(value)) or "no loaders"


def _lines(value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        for loader in typing.cast(dict[Any, L], value).values():
            yield from _lines(loader)
    else:
        counts = value.statistics
        yield f"{value.name}: batches={counts.batches} keys={counts.keys} cache_hits={counts.cache_hits}"
        for key, loaded in list(value.cache_map.items()):
            yield f"  {key!r}: {loaded!r}"


class Params:
    """The resolver's arguments about loaders, checked against each other; lives as long as the resolver."""

    def __init__(
        self,
        params: Mapping[Any, Mapping[str, Any]] | None,
        common: Mapping[str, Any] | None,
        instances: Mapping[Any, L] | None,
        registry: LoaderRegistry | None,
        context: Mapping[str, Any] | None,
        split_by_type: bool,
    ) -> None:
        for name, given in (
            ("loader_params", params),
            ("global_loader_param", common),
            ("loader_instances", instances),
            *((f"loader_params: {_label(source)}", values) for source, values in _items(params)),
        ):
            if given is not None and not _is_mapping(given):
                raise OptionError(f"{name}: a mapping is wanted, not {given!r}")
        if registry is not None and not _is_registry(registry):
            raise OptionError(f"registry takes a LoaderRegistry, not {registry!r}")
        self.params = dict(params or {})
        self.common = dict(common or {})
        self.instances = dict(instances or {})
        self.registry = registry
        self.context = context
        self.split_by_type = split_by_type
        for source, loader in self.instances.items():
            if not isinstance(loader, source if isinstance(source, type) else DataLoader):
                raise OptionError(f"loader_instances: {loader!r} is not an instance of {source!r}")
        if split_by_type and self.instances:
            raise OptionError(
                "split_loader_by_type makes one loader per type, so loader_instances cannot serve them"
            )
        # By loader class, which may be of a function: a long-lived resolver keeps no such class alive.
        self._checked: WeakKeyDictionary[Any, dict[str, Any]] = WeakKeyDictionary()

    def problems(self, uses: Iterable[Use]) -> Iterable[str]:
        """What is wrong with the parameters, given the loaders that the models use."""
        sources: dict[object, None] = {}
        for use in uses:
            if _is_source(use.source):
                sources[use.source] = None
            else:
                yield (
                    f"{use.owner.__qualname__}.{use.step.label}: {use.source!r} is no loader; LoaderDepend and Load "
                    f"take a DataLoader subclass, an async batch function or a loader{_shadowed(use)}"
                )
        known: dict[str, None] = {}
        for source in dict.fromkeys((*sources, *self.params)):
            declared = self.declared(source)
            known.update(dict.fromkeys(declared))
            yield from self._problems_of(source, declared)
        if sources:
            for name in self.common:
                if name not in known:
                    yield f"global_loader_param: no loader has a parameter {name!r} ({hint(name, known)})"

    def _problems_of(self, source: Any, declared: Mapping[str, bool]) -> Iterable[str]:
        given = self.params.get(source, {})
        label = _label(source)
        if given and source in self.instances:
            yield f"loader_params and loader_instances both name {label}: parameters are given to the instance itself"
        for name in (name for name in declared if name in TAKEN):
            yield f"{label}.{name} cannot be a parameter: it would overwrite what loaders have under that name"
        for name in given:
            if name not in declared:
                yield f"loader_params: {label} has no parameter {name!r} ({hint(name, declared)})"
            elif name in self.common:
                yield f"loader_params and global_loader_param both set {name!r} of {label}"
        for name, value in (*self.common.items(), *given.items()):
            if name in declared and self.value(source, name) is UNSET:
                try:
                    annotation = dict(_declared(source))[name]
                    self._checked.setdefault(source, {})[name] = _conforming(value, annotation)
                except ValidationError as error:
                    reason = error.errors(include_url=False, include_context=False)[0]["msg"]
                    yield f"loader parameter {label}.{name} cannot be {value!r}: {reason}"

    def declared(self, source: Any) -> dict[str, bool]:
        """The parameters of a loader class, its own and inherited, and whether there is a default."""
        if not _is_loader_class(source):
            return {}
        names = NAMES.get(source)
        if names is None:
            NAMES[source] = names = tuple(dict(_declared(source)))
        return {name: hasattr(source, name) for name in names}

    def value(self, source: Any, name: str) -> Any:
        """The value that was given for a parameter, checked, or UNSET."""
        return self._checked[source].get(name, UNSET) if source in self._checked else UNSET


def _label(source: Any) -> str:
    return getattr(source, "__name__", repr(source))


def _items(params: Any) -> Iterable[tuple[Any, Any]]:
    return params.items() if _is_mapping(params) else ()


def _is_mapping(given: Any) -> bool:
    return isinstance(given, Mapping)


def _is_registry(given: Any) -> bool:
    return isinstance(given, LoaderRegistry)


def _shadowed(use: Use) -> str:
    """A hint if it seems that a field was meant to be the loader of the same name outside of the class."""
    owner: Any = use.owner
    fields = owner.model_fields if issubclass(owner, BaseModel) else _dataclass_fields(owner)
    for name, info in fields.items():
        if type(info.default) is type(use.source) and info.default == use.source:
            return f" (inside the class body, {name} is the field, whose default this is: rename the loader)"
    return ""


def _dataclass_fields(cls: Any) -> dict[str, Any]:
    return {field.name: field for field in dataclasses.fields(cls)}


def _is_loader_class(source: Any) -> bool:
    return isinstance(source, type) and issubclass(source, DataLoader)


def _is_loader(source: Any) -> bool:
    return isinstance(source, DataLoader)


def _is_source(source: Any) -> bool:
    if isinstance(source, type):
        return issubclass(source, DataLoader)
    return callable(source) or _is_loader(source)


def _declared(source: type[L]) -> Iterable[tuple[str, Any]]:
    for cls in reversed(source.__mro__[: source.__mro__.index(DataLoader)]):
        for name, written in inspect.get_annotations(cls).items():
            annotation = _evaluated(name, written, cls)
            if typing.get_origin(annotation) is not typing.ClassVar and name not in OPTIONS:
                yield name, annotation


def _evaluated(name: str, annotation: Any, cls: type) -> Any:
    """An annotation of a class; what cannot be evaluated, a name under TYPE_CHECKING say, still is a parameter."""
    probe = type(cls.__name__, (), {"__annotations__": {name: annotation}, "__module__": cls.__module__})
    try:
        return typing.get_type_hints(probe, localns=dict(vars(cls)), include_extras=True)[name]
    except Exception:
        return Any


def _conforming(value: Any, annotation: Any) -> Any:
    """The value itself if it is of the declared type, else what Pydantic makes of it ("7" for an int)."""
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(
            annotation, config=None if _has_config(annotation) else {"arbitrary_types_allowed": True}
        )
    except PydanticUserError:  # a type that Pydantic cannot check
        return value
    try:
        checked = adapter.validate_python(value, strict=True)
    except ValidationError:
        return adapter.validate_python(value)
    return value if type(checked) is type(value) and checked == value else checked


def _has_config(annotation: Any) -> bool:
    if not inspect.isclass(annotation):
        return False
    return issubclass(annotation, BaseModel) or hasattr(annotation, "__pydantic_config__")


class Loaders:
    """The loaders of one resolve, made when a field first needs them."""

    def __init__(self, params: Params, uses: list[Use], instruments: Iterable[Instrument] = ()) -> None:
        self._params = params
        self._instruments = list(instruments)
        self._uses = uses
        self.instances = LoaderInstances()
        self._made: dict[tuple[object, tuple[type, ...]], L] = {}
        self.own: list[L] = []
        """Loaders that were made for this resolve alone."""

    def admit(self, uses: Iterable[Use]) -> None:
        """Take in the uses of a class that turned up while resolving."""
        self._uses.extend(uses)

    def get(self, use: Use) -> L:
        """The loader that a field wants.

        Raises:
            LoaderParamError: A parameter without a default was not given.
        """
        types = _types_of([use]) if self._params.split_by_type else ()
        loader = self._made.get((use.source, types))
        if loader is None:
            self._made[use.source, types] = loader = self._make(use, types)
            if self._params.split_by_type:
                self.instances.setdefault(use.source, {})[types] = loader
            else:
                self.instances[use.source] = loader
        return loader

    def _make(self, use: Use, types: tuple[type, ...]) -> L:
        source: Any = use.source
        params = self._params
        given: L | None = params.instances.get(source)
        if given is None and _is_loader(source):
            given = source
        wanted = types or _types_of(other for other in self._uses if other.source is source)
        if given is None and params.registry is not None:
            given = params.registry.find(use.source)
            if given is not None:
                self._set_params(given, use, is_new=False)
                _request(given, wanted)
        if given is not None:
            return given
        loader: L = make_loader(use.source)
        self._set_params(loader, use)
        _request(loader, wanted)
        for instrument in self._instruments:
            loader.add_instrument(instrument)
        if params.registry is not None:
            params.registry.add(use.source, loader)
        else:
            self.own.append(loader)
        return loader

    def _set_params(self, loader: L, use: Use, is_new: bool = True) -> None:
        missing: list[str] = []
        for name, has_default in self._params.declared(use.source).items():
            value = self._params.value(use.source, name)
            if name == "_context" and value is UNSET:
                value = UNSET if self._params.context is None else self._params.context
            if value is not UNSET:
                if not is_new:
                    _check_same(loader, name, value)
                setattr(loader, name, value)
            elif not has_default and not hasattr(loader, name):
                missing.append(name)
        if missing:
            label = loader.name
            example = ", ".join(f"{name!r}: ..." for name in missing)
            raise LoaderParamError(
                f"{use.owner.__qualname__}.{use.step.label} needs loader {label!r}, whose "
                f"{'parameters' if len(missing) > 1 else 'parameter'} {', '.join(map(repr, missing))} nobody gave: "
                f"pass Resolver(loader_params={{{label}: {{{example}}}}})"
                + (" or Resolver(context=...)" if "_context" in missing else "")
            )


def _check_same(loader: L, name: str, value: Any) -> None:
    """A registry's loader serves only who wants its parameters; one that has loaded nothing takes new ones."""
    has = getattr(loader, name, UNSET)
    is_free = has is UNSET or (name not in vars(loader) and not loader.statistics.loads)
    if not is_free and has is not value and has != value:
        raise LoaderParamError(
            f"loader {loader.name!r} of the registry has {name}={has!r}, and this resolve gives {name}={value!r}: "
            f"use another registry, or a clone made by copy_dataloader_kls"
        )


def _types_of(uses: Iterable[Use]) -> tuple[type, ...]:
    found = dict.fromkeys(cls for use in uses for cls in use.step.child.classes)
    return tuple(sorted(found, key=lambda cls: (cls.__module__, cls.__qualname__)))


def _request(loader: L, types: tuple[type, ...]) -> None:
    """Tell a loader which types and fields are wanted of it, beside those it knows of."""
    if set(types) <= set(loader.requested.types):
        return
    types = tuple(dict.fromkeys((*loader.requested.types, *types)))
    fields = {cls: list(_field_names(cls)) for cls in types}
    names = dict.fromkeys(name for cls in types for name in fields[cls])
    loader.requested = Requested(types, tuple(names))
    query_meta = {
        "fields": list(names),
        "request_types": [{"name": cls, "fields": fields[cls]} for cls in types],
    }
    setattr(loader, "_query_meta", query_meta)  # noqa: B010 - pydantic-resolve's name for it


def _field_names(cls: type) -> Iterable[str]:
    return getattr(cls, "model_fields", None) or getattr(cls, "__dataclass_fields__", {})
