"""From loader classes, parameters, instances and context to the loaders of one resolve."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, PydanticUserError, TypeAdapter, ValidationError

from dloader import DataLoader, Instrument, LoaderParamError, LoaderRegistry, OptionError, Requested
from dloader.registry import make_loader
from dloader.resolver._graph import Use
from dloader.resolver._plan import hint

__all__ = ("LoaderInstances", "Loaders", "Params")

L = DataLoader[Any, Any]
UNSET: Any = object()


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
        self._declared: dict[type, dict[str, tuple[Any, bool]]] = {}
        self._checked: dict[tuple[type, str], Any] = {}

    def problems(self, uses: Iterable[Use]) -> Iterable[str]:
        """What is wrong with the parameters, given the loaders that the models use."""
        sources: dict[object, None] = {}
        for use in uses:
            if _is_source(use.source):
                sources[use.source] = None
            else:
                yield (
                    f"{use.owner.__qualname__}.{use.step.label}: {use.source!r} is no loader; LoaderDepend and Load "
                    f"take a DataLoader subclass, an async batch function or a loader"
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

    def _problems_of(self, source: Any, declared: Mapping[str, tuple[Any, bool]]) -> Iterable[str]:
        given = self.params.get(source, {})
        label = getattr(source, "__name__", repr(source))
        for name in given:
            if name not in declared:
                yield f"loader_params: {label} has no parameter {name!r} ({hint(name, declared)})"
            elif name in self.common:
                yield f"loader_params and global_loader_param both set {name!r} of {label}"
        for name, value in (*self.common.items(), *given.items()):
            if name in declared and (source, name) not in self._checked:
                try:
                    self._checked[source, name] = _conforming(value, declared[name][0])
                except ValidationError as error:
                    reason = error.errors(include_url=False, include_context=False)[0]["msg"]
                    yield f"loader parameter {label}.{name} cannot be {value!r}: {reason}"

    def declared(self, source: Any) -> dict[str, tuple[Any, bool]]:
        """The parameters of a loader class, its own and inherited: annotation, and whether there is a default."""
        if not _is_loader_class(source):
            return {}
        found = self._declared.get(source)
        if found is None:
            self._declared[source] = found = dict(_declared(source))
        return found

    def value(self, source: Any, name: str) -> Any:
        """The value that was given for a parameter, checked, or UNSET."""
        return self._checked.get((source, name), UNSET)


def _is_loader_class(source: Any) -> bool:
    return isinstance(source, type) and issubclass(source, DataLoader)


def _is_loader(source: Any) -> bool:
    return isinstance(source, DataLoader)


def _is_source(source: Any) -> bool:
    if isinstance(source, type):
        return issubclass(source, DataLoader)
    return callable(source) or _is_loader(source)


def _declared(source: type[L]) -> Iterable[tuple[str, tuple[Any, bool]]]:
    for cls in reversed(source.__mro__[: source.__mro__.index(DataLoader)]):
        for name, written in inspect.get_annotations(cls).items():
            annotation = _evaluated(name, written, cls)
            if typing.get_origin(annotation) is not typing.ClassVar and not hasattr(DataLoader, name):
                yield name, (annotation, hasattr(source, name))


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
        if given is None and params.registry is not None:
            given = params.registry.find(use.source)
        if given is not None:
            return given
        loader: L = make_loader(use.source)
        self._set_params(loader, use)
        wanted = [other for other in self._uses if other.source is source]
        _request(loader, types or _types_of(wanted))
        for instrument in self._instruments:
            loader.add_instrument(instrument)
        if params.registry is not None:
            params.registry.add(use.source, loader)
        else:
            self.own.append(loader)
        return loader

    def _set_params(self, loader: L, use: Use) -> None:
        missing: list[str] = []
        for name, (_, has_default) in self._params.declared(use.source).items():
            value = self._params.value(use.source, name)
            if name == "_context" and value is UNSET:
                value = UNSET if self._params.context is None else self._params.context
            if value is not UNSET:
                setattr(loader, name, value)
            elif not has_default:
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


def _types_of(uses: Iterable[Use]) -> tuple[type, ...]:
    found = dict.fromkeys(cls for use in uses for cls in use.step.child.classes)
    return tuple(sorted(found, key=lambda cls: (cls.__module__, cls.__qualname__)))


def _request(loader: L, types: tuple[type, ...]) -> None:
    """Tell a loader which types and fields are wanted of it."""
    if not types:
        return
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
