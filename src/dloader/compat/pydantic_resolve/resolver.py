"""`Resolver` with pydantic-resolve's semantics, and how it is given a diagram."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar, cast

from dloader.compat.pydantic_resolve._calls import Rules
from dloader.compat.pydantic_resolve._diagram import ErDiagram
from dloader.compat.pydantic_resolve._levels import Levels
from dloader.compat.pydantic_resolve._loaders import LoaderOptions, Loaders
from dloader.compat.pydantic_resolve._profile import Profile
from dloader.compat.pydantic_resolve._scan import Scans
from dloader.compat.pydantic_resolve.constant import ER_DIAGRAM

__all__ = ("Resolver", "config_global_resolver", "config_resolver", "reset_global_resolver")

T = TypeVar("T")


class Resolver:
    """Fills trees of Pydantic models as pydantic-resolve does, with the same answers.

    It holds the loaders of the latest ``resolve``, and runs one at a time.

    Example:
        >>> import asyncio
        >>> from pydantic import BaseModel
        >>> from dloader.compat.pydantic_resolve import Loader, Resolver
        >>> async def load_users(ids):
        ...     print("loading", ids)
        ...     return [f"user {id}" for id in ids]
        >>> class Task(BaseModel):
        ...     owner_id: int
        ...     owner: str = ""
        ...     def resolve_owner(self, loader=Loader(load_users)):
        ...         return loader.load(self.owner_id)
        >>> asyncio.run(Resolver().resolve([Task(owner_id=1), Task(owner_id=2), Task(owner_id=1)]))[2].owner
        loading [1, 2]
        'user 1'
    """

    _scans: ClassVar[Scans] = Scans()
    """What is known of classes, with the diagram of this class of resolvers."""

    def __init__(
        self,
        loader_params: Mapping[Any, Mapping[str, Any]] | None = None,
        global_loader_param: Mapping[str, Any] | None = None,
        loader_instances: Mapping[Any, Any] | None = None,
        ensure_type: bool = False,
        context: dict[str, Any] | None = None,
        debug: bool = False,
        enable_from_attribute_in_type_adapter: bool = False,
        annotation: object = None,
        split_loader_by_type: bool = False,
        resolved_hooks: Sequence[Callable[[Any, str, Any], object]] | None = None,
    ) -> None:
        """Make a resolver.

        Args:
            loader_params: For loader classes, the values of their parameters (annotated class attributes).
            global_loader_param: Values for all loaders that have a parameter of that name.
            loader_instances: For loader classes, loaders to use instead of new ones, primed say.
            ensure_type: Refuse ``resolve_`` methods without annotations.
            context: What methods that take ``context`` get, and loaders with the parameter ``_context``.
            debug: Note in ``performance`` how long nodes take.
            enable_from_attribute_in_type_adapter: Make models of any object with their attributes.
            annotation: The type of the roots, where their class alone does not tell it: ``list[Cat | Dog]``.
            split_loader_by_type: Make a loader for each set of models that fields have.
            resolved_hooks: Called with node, field and value before what a ``resolve_`` method gave is written.

        Raises:
            AttributeError: A loader is no instance of its class, or that is no loader class.
            TypeError: The context is no dict.
            ValueError: The context is empty.
        """
        if context is not None and not isinstance(context, dict):
            raise TypeError(f"context must be a dict, got {type(context).__name__}.")
        if context is not None and not context:
            raise ValueError("context must be a non-empty dict, or None/omitted if no context is needed.")
        self.context: Mapping[str, Any] | None = None if context is None else MappingProxyType(context)
        self.debug = debug or _is_set("PYDANTIC_RESOLVE_DEBUG")
        self.performance = Profile()
        """With ``debug``, how long nodes took, by the path of their classes."""
        self.loader_instance_cache: dict[str, Any] = {}
        """The loaders of the latest ``resolve``, by the dotted names of their classes or functions."""
        self.ensure_type = ensure_type
        self.annotation = annotation
        self.resolved_hooks = list(resolved_hooks or ())
        self.enable_from_attribute_in_type_adapter = enable_from_attribute_in_type_adapter or _is_set(
            "PYDANTIC_RESOLVE_ENABLE_FROM_ATTRIBUTE"
        )
        self._options = LoaderOptions(
            loader_params, global_loader_param, loader_instances, self.context, split_loader_by_type
        )
        self._is_running = False

    async def resolve(self, node: T) -> T:
        """Fill a tree.

        Args:
            node: A Pydantic model, or a list of these.

        Returns:
            The same object, filled.

        Raises:
            RuntimeError: This resolver is at work already.
            ResolverTargetAttrNotFound: A method fills no field.
            LoaderFieldNotProvidedError: A loader lacks a parameter.
            LoaderContextNotProvidedError: A loader wants a context.
            AttributeError: A method wants a context, and more; see the documentation.
            Exception: What a method, validator or batch function raised.
        """
        if _is_empty_list(node):
            return node
        if self._is_running:
            raise RuntimeError(
                "Resolver.resolve() is already running on this instance: make a Resolver for each call that runs at "
                "the same time"
            )
        self._is_running = True
        try:
            await self._fill(node)
        finally:
            self._is_running = False
        return node

    async def _fill(self, node: object) -> None:
        first = cast(list[object], node)[0] if isinstance(node, list) else node
        scan = self._scans.of(self.annotation or type(first))
        loaders = Loaders(scan, self._options)
        self.loader_instance_cache = loaders.by_name
        if self.context is None and scan.takes_context:
            raise AttributeError("context is missing: a method takes it, so pass Resolver(context={...})")
        rules = Rules(
            loaders, self.resolved_hooks, self.enable_from_attribute_in_type_adapter or None, self.ensure_type
        )
        try:
            await Levels(scan, self.context, rules, self.performance if self.debug else None).fill(node)
        except BaseException:
            for loader in loaders.own:  # nothing goes on behind the caller's back
                await loader.shutdown()
            raise
        if self.debug:
            self.performance.report()


setattr(Resolver, ER_DIAGRAM, None)


def _is_empty_list(node: object) -> bool:
    return isinstance(node, list) and not node


def _is_set(variable: str) -> bool:
    return os.environ.get(variable, "").lower() == "true"


def config_resolver(name: str | None = None, er_diagram: ErDiagram | None = None) -> type[Resolver]:
    """Make a class of resolvers whose fields are filled by the relationships of a diagram too.

    Args:
        name: The class's name.
        er_diagram: The diagram.
    """
    made = type(name or Resolver.__name__, (Resolver,), {})
    _configure(made, er_diagram)
    return made


def config_global_resolver(er_diagram: ErDiagram | None = None) -> None:
    """Give `Resolver` itself a diagram."""
    _configure(Resolver, er_diagram)


def reset_global_resolver() -> None:
    """Take the diagram from `Resolver` again."""
    _configure(Resolver, None)


def _configure(kind: type[Resolver], diagram: ErDiagram | None) -> None:
    setattr(kind, ER_DIAGRAM, diagram)
    kind._scans = Scans(diagram)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
