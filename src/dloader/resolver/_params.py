"""The parameters of loaders: which ones their classes declare, and the values that were given, checked."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from pydantic import BaseModel, PydanticUserError, TypeAdapter, ValidationError

from dloader import DataLoader, LoaderRegistry, OptionError
from dloader._params import checked, declared_by, label_of, taken_problem, unknown_problem
from dloader.lowlevel import is_taken
from dloader.resolver._markers import is_loader_source

__all__ = ("NOTHING_GIVEN", "UNSET", "LoaderParams", "conforming", "is_same")

L = DataLoader[Any, Any]
UNSET: Any = object()


class LoaderParams:
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
        _check_mapping("global_loader_param", common)
        _check_by_source("loader_params", params)
        _check_by_source("loader_instances", instances)
        for source, values in (params or {}).items():
            _check_mapping(f"loader_params: {label_of(source)}", values, may_be_none=False)
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
        if split_by_type and (self.instances or registry is not None):
            given = "loader_instances" if self.instances else "a registry, which has one loader per source,"
            raise OptionError(f"split_loader_by_type makes one loader per type, so {given} cannot serve them")
        # By loader class, which may be of a function: a long-lived resolver keeps no such class alive.
        self._checked: WeakKeyDictionary[Any, dict[str, Any]] = WeakKeyDictionary()

    def problems(self, sources: Iterable[object]) -> Iterable[str]:
        """What is wrong with the parameters, given the loader classes and functions that the models use."""
        for source in dict.fromkeys((*sources, *self.params)):
            declared = declared_by(source)
            if declared or source in self.params:
                yield from self._problems_of(source, declared)

    def misspelt(self, sources: Iterable[object]) -> Iterable[str]:
        """The names for all loaders that are nearly a parameter of these, and one that nobody gives.

        A name that is no loader's is no mistake: one resolver may serve many trees. A registry may give the near one.
        """
        if self.registry is not None or not self.common:
            return
        known: dict[str, None] = {}
        given = {*self.common, *(name for values in self.params.values() for name in values)}
        for source in sources:
            known.update(dict.fromkeys(declared_by(source)))
        for name in self.common:
            if name not in known:
                # A name that goes on where another one ends is no slip: tenant, tenant_id.
                others = [each for each in known if each not in given and not _begins(each, name)]
                for near in difflib.get_close_matches(name, others, n=1, cutoff=0.75):
                    yield f"global_loader_param: no loader has a parameter {name!r} (did you mean {near!r}?)"

    def _problems_of(self, source: Any, declared: Mapping[str, bool]) -> Iterable[str]:
        given = self.params.get(source, {})
        label = label_of(source)
        if given and source in self.instances:
            yield f"loader_params and loader_instances both name {label}: parameters are given to the instance itself"
        for name in (name for name in declared if is_taken(name)):
            yield taken_problem(source, name)
        for name in given:
            if name not in declared:
                yield unknown_problem(source, name, declared)
            elif name in self.common:
                yield f"loader_params and global_loader_param both set {name!r} of {label}"
        for name, value in (*self.common.items(), *given.items()):
            if name in declared and name not in self._checked.get(source, ()):
                fitting, problem = checked(source, name, value)
                if problem is None:
                    self._checked.setdefault(source, {})[name] = fitting
                else:
                    yield problem

    def value(self, source: Any, name: str) -> Any:
        """The value that was given for a parameter, checked, or UNSET; ``_context`` is given by the resolver's too."""
        if source in self._checked and name in self._checked[source]:
            return self._checked[source][name]
        return self.context if name == "_context" and self.context is not None else UNSET


def _begins(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _check_by_source(name: str, given: Mapping[Any, Any] | None) -> None:
    _check_mapping(name, given)
    for source in given or ():
        if not is_loader_source(source):
            raise OptionError(f"{name}: the keys are loader classes or batch functions, not {source!r}")


def _check_mapping(name: str, given: Any, may_be_none: bool = True) -> None:
    if not ((may_be_none and given is None) or isinstance(given, Mapping)):
        raise OptionError(f"{name}: a mapping is wanted, not {given!r}")


def _is_registry(given: Any) -> bool:
    return isinstance(given, LoaderRegistry)


def conforming(value: Any, annotation: Any) -> tuple[Any, str | None]:
    """What Pydantic makes of a value, and what is wrong with it; `dloader._params` looks this up for all."""
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(
            annotation, config=None if _has_config(annotation) else {"arbitrary_types_allowed": True}
        )
    except PydanticUserError:  # a type that Pydantic cannot check
        return value, None
    try:
        return _strictly_or_not(adapter, value), None
    except ValidationError as error:
        return value, error.errors(include_url=False, include_context=False)[0]["msg"]


def _strictly_or_not(adapter: TypeAdapter[Any], value: Any) -> Any:
    """The value itself if it is of the type, else what Pydantic makes of it ("7" for an int)."""
    try:
        made = adapter.validate_python(value, strict=True)
    except ValidationError:
        return adapter.validate_python(value)
    return value if type(made) is type(value) and is_same(made, value) else made


def is_same(one: Any, other: Any) -> bool:
    """Whether two values are the same or equal; what an array answers to that is no."""
    try:
        return one is other or bool(one == other)
    except Exception:
        return False


def _has_config(annotation: Any) -> bool:
    if not inspect.isclass(annotation):
        return False
    return issubclass(annotation, BaseModel) or hasattr(annotation, "__pydantic_config__")


NOTHING_GIVEN = LoaderParams(None, None, None, None, None, False)
"""What most resolvers are given; nothing changes it, as there is no value to be checked."""
