"""Resolver: the public face of plans and waves."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from types import MethodType
from typing import Any, Protocol, TypeVar, cast
from weakref import ref

from dloader import DataLoader, Instrument, LoaderRegistry, OptionError, PlanError
from dloader._shorten import shorten
from dloader.resolver._engine import Engine
from dloader.resolver._graph import Outlook, graph
from dloader.resolver._params import LoaderInstances, Loaders, Params
from dloader.resolver._types import classes_in, is_node_class
from dloader.resolver._walk import Found, flatten

__all__ = ("Resolver",)

T = TypeVar("T")


class _Resolve(Protocol):
    def __call__(self, tree: T, /) -> Coroutine[Any, Any, T]:
        """See `Resolver.resolve`."""
        ...


class _OnClassToo:
    """Makes ``Resolver.resolve(tree)`` mean ``Resolver().resolve(tree)``."""

    def __init__(self, method: Callable[[Any, Any], Coroutine[Any, Any, Any]]) -> None:
        self._method = method
        self.__doc__ = method.__doc__

    def __get__(self, instance: Any, owner: Any = None) -> _Resolve:
        bound: Any = MethodType(self._method, owner() if instance is None else instance)
        return cast(_Resolve, bound)


class Resolver:
    """Fills trees of response models: loads what ``resolve_`` methods and `Load` ask for, in the fewest batches.

    A resolver holds parameters, nothing of the trees: it may live as long as a request or longer and run several
    ``resolve`` calls at once. Each call makes loaders of its own, whose caches end with it, unless a registry
    or instances are given.

    Example:
        >>> import asyncio
        >>> from typing import Annotated
        >>> from pydantic import BaseModel
        >>> from dloader import DataLoader
        >>> from dloader.resolver import Load, Resolver
        >>> class UserLoader(DataLoader[int, dict]):
        ...     async def batch_load_fn(self, keys):
        ...         print("loading", keys)
        ...         return [{"id": key, "name": f"user {key}"} for key in keys]
        >>> class User(BaseModel):
        ...     id: int
        ...     name: str
        >>> class Task(BaseModel):
        ...     owner_id: int
        ...     owner: Annotated[User | None, Load(UserLoader, by="owner_id")] = None
        >>> tasks = asyncio.run(Resolver().resolve([Task(owner_id=1), Task(owner_id=2), Task(owner_id=1)]))
        loading [1, 2]
        >>> tasks[2].owner
        User(id=1, name='user 1')
    """

    def __init__(
        self,
        loader_params: Mapping[Any, Mapping[str, Any]] | None = None,
        global_loader_param: Mapping[str, Any] | None = None,
        loader_instances: Mapping[Any, DataLoader[Any, Any]] | None = None,
        context: Mapping[str, Any] | None = None,
        *,
        registry: LoaderRegistry | None = None,
        annotation: Any = None,
        split_loader_by_type: bool = False,
        instruments: Iterable[Instrument] = (),
    ) -> None:
        """Make a resolver.

        Args:
            loader_params: For each loader class, the values of its parameters (annotated class attributes), which
                are checked against the annotations.
            global_loader_param: Values for every loader that has a parameter of that name.
            loader_instances: For loader classes or functions, loaders to use instead of new ones, primed say.
            context: What methods that take ``context`` get.
            registry: Where loaders are taken from and kept; they then outlive the call.
            annotation: The declared type of the trees, e.g. ``list[Cat | Dog]``: all its classes are checked, whichever
                of them a tree holds.
            split_loader_by_type: Make one loader for each set of types that a loader's fields have.
            instruments: Hooks for the loaders that the resolver makes.

        Raises:
            OptionError: An argument cannot be used.
        """
        if context is not None and not isinstance(context, Mapping):
            raise OptionError(f"Resolver(context=) takes a mapping, not {context!r}")
        self.context = context
        self.loader_instance_cache = LoaderInstances()
        """The loaders of the latest ``resolve`` by their class or function; print it to see what was loaded."""
        self._params = Params(
            loader_params, global_loader_param, loader_instances, registry, context, split_loader_by_type
        )
        self._instruments = list(instruments)
        self._declared = () if annotation is None else classes_in(annotation)[0]
        self._accepted: dict[int, ref[Outlook]] = {}
        """The outlooks that were checked, by their id; they live as long as their classes."""

    @_OnClassToo
    async def resolve(self, tree: T) -> T:
        """Fill a tree.

        Args:
            tree: A Pydantic model, a dataclass, or any nesting of lists, tuples, sets and dict values of them.

        Returns:
            The same object, filled.

        Raises:
            PlanError: The models and the arguments do not fit; all mistakes at once, before anything is loaded.
            LoaderParamError: A loader that is needed lacks a parameter.
            OptionError: The tree holds no model.
            EndlessTreeError: Loaded rows lead back to each other.
            Exception: What a method, validator or batch function raised, with a note that tells the path.
        """
        if tree is None:
            return tree
        roots = flatten([tree], [0])
        outlooks = self._accept(*self._declared, *_root_classes(tree, roots))
        loaders = Loaders(
            self._params, [use for outlook in outlooks for use in outlook.uses], self._instruments
        )
        self.loader_instance_cache = loaders.instances
        if all(outlook.is_idle for outlook in outlooks):
            return tree

        def admit(kind: type) -> Outlook | None:
            if not is_node_class(kind):
                return None
            if not any(kind in outlook.named for outlook in outlooks):
                outlooks.extend(self._accept(kind))
                loaders.admit(outlooks[-1].uses)
            return graph.outlook(kind)

        await Engine(tree, roots, loaders, self.context, admit).run()
        return tree

    def _accept(self, *classes: type) -> list[Outlook]:
        """The outlooks of root classes, checked together."""
        outlooks = [graph.refresh(cls) for cls in dict.fromkeys(classes)]
        new = [outlook for outlook in outlooks if not self._is_accepted(outlook)]
        if new:
            problems = dict.fromkeys(problem for outlook in new for problem in self._problems(outlook))
            if problems:
                graph.forget_mistaken()
                raise PlanError(list(problems))
            known = {key: known for key, known in self._accepted.items() if known() is not None}
            self._accepted = {**known, **{id(outlook): ref(outlook) for outlook in new}}
        return outlooks

    def _is_accepted(self, outlook: Outlook) -> bool:
        known = self._accepted.get(id(outlook))
        return known is not None and known() is outlook

    def _problems(self, outlook: Outlook) -> Iterable[str]:
        yield from outlook.problems
        if self.context is None:
            for method in outlook.context_users:
                yield f"{method} takes context, and this resolver has none: pass Resolver(context={{...}})"
        yield from self._params.problems(outlook.uses)

    def __repr__(self) -> str:
        return f"<Resolver loaders={list(self.loader_instance_cache.values())}>"


def _root_classes(tree: object, roots: Found) -> list[type]:
    _, _, kinds, _ = roots
    classes = [kind for kind in kinds if is_node_class(kind)]
    if not classes and any(kind is not type(None) for kind in kinds):
        raise OptionError(
            f"resolve() takes Pydantic models or dataclasses, or containers of them, not {shorten(tree)}; "
            f"validate raw data first, e.g. [Company.model_validate(row) for row in rows]"
        )
    return classes
