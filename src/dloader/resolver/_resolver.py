"""Resolver: the public face of plans and waves."""

from __future__ import annotations

from collections.abc import (
    AsyncIterator,
    Callable,
    Container,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
    Set as AbstractSet,
)
from contextlib import nullcontext
from types import MethodType
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar, cast, overload
from weakref import ref

from dloader import DataLoader, Instrument, LoaderRegistry, OptionError, PlanError
from dloader._text import shorten
from dloader.lowlevel import checked_instruments
from dloader.resolver._containers import FoundNodes, flatten
from dloader.resolver._field_errors import FieldError
from dloader.resolver._loaders import LoaderInstances, ResolveLoaders
from dloader.resolver._params import NOTHING_GIVEN, LoaderParams
from dloader.resolver._partial import PartialAnswer
from dloader.resolver._plan._annotations import is_node_class
from dloader.resolver._plan._model_graph import ModelGraph, Subtree, model_graph
from dloader.resolver._plan._subtrees import Subtrees
from dloader.resolver._roots import declared_classes, nodes_of
from dloader.resolver._run._engine import Engine
from dloader.resolver._run._scopes import Scopes, leave_out
from dloader.resolver._run._watch import watch_of
from dloader.resolver._selection import selection_of

if TYPE_CHECKING:
    from dloader.resolver._outline._plan_view import ResolvePlan

__all__ = ("Resolver",)

T = TypeVar("T")
Names: TypeAlias = AbstractSet[str] | Sequence[str] | Mapping[str, Any]
"""The names of fields: in a set, in a dict with what is meant below each, or in a string with commas between them."""


class _Resolve(Protocol):
    @overload
    def __call__(
        self,
        tree: T,
        /,
        *,
        include: Names | None = None,
        exclude: Names | None = None,
        errors: list[FieldError] | None = None,
    ) -> Coroutine[Any, Any, T]: ...
    @overload
    def __call__(
        self,
        rows: object,
        /,
        *,
        into: type[T],
        include: Names | None = None,
        exclude: Names | None = None,
        errors: list[FieldError] | None = None,
    ) -> Coroutine[Any, Any, T]: ...
    @overload
    def __call__(
        self,
        rows: object,
        /,
        *,
        into: Any,
        include: Names | None = None,
        exclude: Names | None = None,
        errors: list[FieldError] | None = None,
    ) -> Coroutine[Any, Any, Any]: ...
    def __call__(
        self,
        tree: Any,
        /,
        *,
        into: Any = None,
        include: Names | None = None,
        exclude: Names | None = None,
        errors: list[FieldError] | None = None,
    ) -> Coroutine[Any, Any, Any]:
        """See `Resolver.resolve`."""
        ...


class _OnClassToo:
    """Makes ``Resolver.resolve(tree)`` mean ``Resolver().resolve(tree)``."""

    def __init__(self, method: Callable[..., Coroutine[Any, Any, Any]]) -> None:
        self._method = method
        self.__doc__ = method.__doc__

    def __get__(self, instance: Any, owner: Any = None) -> _Resolve:
        bound: Any = MethodType(self._method, owner() if instance is None else instance)
        return cast(_Resolve, bound)


class Resolver:
    """Fills trees of response models: loads what ``resolve_`` methods and `Load` ask for, in the fewest batches.

    A resolver holds its arguments and, for who wants to look at them, the loaders of its latest ``resolve``
    (``loader_instance_cache``), with the rows in their caches; nothing else of the trees. It may live as long as a
    request or longer and run several ``resolve`` calls at once. Each call makes loaders of its own,
    unless a registry or instances are given.

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

    _graph: ModelGraph = model_graph
    """Where plans are kept: the process's; a test may have its own."""

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
        share: bool = True,
        max_depth: int | None = None,
    ) -> None:
        """Make a resolver.

        Args:
            loader_params: For each loader class, the values of its parameters (annotated class attributes), which
                are checked against the annotations.
            global_loader_param: Values for each loader that has a parameter of that name; that none has it is no
                mistake.
            loader_instances: For loader classes or functions, loaders to use instead of new ones, primed say.
            context: What methods that take ``context`` get.
            registry: Where loaders are taken from and kept; they then outlive the call.
            annotation: The declared type of the trees, e.g. ``list[Cat | Dog]``: all its classes are checked, whichever
                of them a tree holds.
            split_loader_by_type: Make one loader for each set of types that a loader's fields have.
            instruments: Hooks for the loaders that the resolver makes.
            share: Whether nodes that are given the same row share what is made of it, where no method could write
                into it. False: each has its own.
            max_depth: How many levels of nodes are filled, the roots being the first; below, fields keep their
                defaults. None is all.

        Raises:
            OptionError: An argument cannot be used.
        """
        if context is not None and not isinstance(context, Mapping):
            raise OptionError(f"Resolver(context=) takes a mapping, not {context!r}")
        self.context = context
        self.loader_instance_cache = LoaderInstances()
        """The loaders of the latest ``resolve`` by their class or function; print it to see what was loaded."""
        given = (loader_params, global_loader_param, loader_instances, registry, context)
        gives_any = split_loader_by_type or any(each is not None for each in given)
        self._params = LoaderParams(*given, split_loader_by_type) if gives_any else NOTHING_GIVEN
        self._instruments = (
            [] if instruments == () else checked_instruments("Resolver(instruments=)", instruments)
        )
        if max_depth is not None and (type(max_depth) is not int or max_depth < 1):
            raise OptionError(f"Resolver(max_depth=) takes a positive number of levels, not {max_depth!r}")
        self._share = share
        self._max_depth = max_depth
        self._declared = () if annotation is None else declared_classes(annotation, "Resolver(annotation=)")
        # A WeakSet would take 2 of the 24 us that the resolve of a single node takes.
        self._accepted: dict[int, ref[Subtree]] = {}
        """The subtrees that were checked, by their id; they live as long as their classes."""
        self._most_accepted = 8
        """When there are so many, those that are no more are taken out."""

    @_OnClassToo
    async def resolve(
        self,
        tree: Any,
        /,
        *,
        into: Any = None,
        include: Names | None = None,
        exclude: Names | None = None,
        errors: list[FieldError] | None = None,
    ) -> Any:
        """Fill a tree, or make one of rows and fill it.

        Args:
            tree: A Pydantic model, a dataclass, or any nesting of lists, tuples, sets and dict values of them; or with
                `into`, rows as they come from a driver: one, or several in a list, an iterator or a SQLAlchemy
                ``Result``. A row is a mapping (also ``sqlite3.Row``, ``asyncpg.Record``) or an object with attributes
                (``Row``, ORM entities, dataclasses, named tuples).
            into: The type to make of rows: ``list[Company]`` of several, ``Company`` of one. A field that is filled is
                no part of a row and is never read from one; it needs no default.
            include: Which fields to fill, in the shapes of ``model_dump`` or by dotted names: ``{"projects.lead"}``, or
                ``"projects.lead,title"`` as in a URL. What they wait for is filled too, and nothing else: other fields
                keep their defaults, or stay unset.
            exclude: Which fields not to fill, in the same shapes.
            errors: A list, to go on after failures: each is added to it when the tree is filled. A field that failed
                keeps what it has, or its default, or None where its type takes it; else its node fails, as null
                bubbles up in GraphQL: to the next place that takes None, or out of a list of roots.

        Returns:
            The same object, filled; or what was made of the rows.

        Raises:
            PlanError: The models and the arguments do not fit; all problems at once, before anything is loaded.
            LoaderParamError: A loader that is needed lacks a parameter.
            OptionError: The tree holds no model, or something that is still to be awaited or iterated; or an argument
                has another shape.
            EndlessTreeError: Loaded rows lead back to each other.
            ValidationError: Pydantic's: a row does not fit.
            Exception: What a method, validator or batch function raised, with a note that tells the path; with `errors`
                only where a root that stands alone fails.
        """
        partial = None if errors is None else PartialAnswer(errors, into)
        declared = self._declared
        roots: FoundNodes | None = None
        accepted: list[Subtree] = []
        if into is not None:
            declared = (*declared, *declared_classes(into, "resolve(into=)"))
            accepted = self._accept(*declared, are_rows=True)
            converters = self._graph.subtree(declared[-1]).converters
            if partial is None:
                tree, roots = nodes_of(tree, into, converters)
            else:
                tree = partial.nodes_of(tree, converters)
        if tree is None:
            return tree if partial is None else partial.answer(tree)
        if roots is None:
            known = self._graph.known
            roots = flatten([tree], [0], known)
            accepted = self._accept(*declared, *_root_classes(tree, roots, known), are_rows=into is not None)
        scopes = Scopes(
            selection_of(include, exclude, (each.plan.cls for each in accepted), self._graph), self._max_depth
        )
        self.loader_instance_cache = instances = LoaderInstances()
        if all(subtree.is_idle for subtree in accepted):
            return tree if partial is None else partial.answer(tree)
        watch = watch_of(roots)
        if (
            watch is None
            and len(roots.classes) == len(accepted) == 1
            and not roots.has_sets
            and scopes.fills_nothing(accepted[0])
        ):
            leave_out(accepted[0].plan, roots.items)
            return tree if partial is None else partial.answer(tree)
        loaders = ResolveLoaders(self._params, accepted, self._instruments, instances, self._graph)

        named = (
            accepted[0].named if len(accepted) == 1 else {kind for each in accepted for kind in each.named}
        )
        admitted: set[type] = set()

        def admit(kind: type) -> Subtree | None:
            if not is_node_class(kind):
                return None
            if kind not in named and kind not in admitted:
                accepted.extend(self._accept(kind, are_rows=True, turned_up=True))
                admitted.update(accepted[-1].named)
                loaders.admit(accepted[-1].uses)
            return self._graph.subtree(kind)

        subtrees = Subtrees(self._graph, admit, accepted, self._share)
        with watch or nullcontext():
            engine = Engine if partial is None else partial.engine
            await engine(tree, roots, loaders, self.context, subtrees, scopes, watch).run(into is None)
        return tree if partial is None else partial.answer(tree)

    @classmethod
    def plan(cls, model: Any, *, start: type | str | None = None) -> ResolvePlan:
        """Return what a resolve of a model will do, without loading anything and without an event loop.

        Args:
            model: The class of the nodes, or the type of the tree: ``Feed``, ``list[Cat | Dog]``.
            start: A class of the tree, or its name: the plan is of what its nodes need, from where they first stand in
                the tree. Default: all of the tree.

        Returns:
            Rounds, calls, loaders; print it, or save it as a picture. See `ResolvePlan`.

        Raises:
            PlanError: There are mistakes in the models.
            OptionError: It names no model, or `start` no class of the tree, or several.
        """
        from dloader.resolver._outline._call_reader import read_outline  # noqa: PLC0415 - who resolves draws nothing
        from dloader.resolver._outline._plan_view import ResolvePlan  # noqa: PLC0415

        classes = declared_classes(model, "Resolver.plan()")
        if not classes:
            raise OptionError(
                f"Resolver.plan() names no model or dataclass: {model!r} does not tell what it holds"
            )
        problems = [problem for kind in classes for problem in cls._graph.refresh(kind).problems]
        if problems:
            cls._graph.forget_with_problems()
            raise PlanError(list(dict.fromkeys(problems)))
        return ResolvePlan(read_outline(cls._graph, classes, start))

    def _accept(self, *classes: type, are_rows: bool, turned_up: bool = False) -> list[Subtree]:
        """The subtrees of root classes, or of a class that turned up below these, checked together."""
        subtrees = [self._graph.refresh(cls) for cls in dict.fromkeys(classes)]
        if self._params is NOTHING_GIVEN:
            new = [subtree for subtree in subtrees if subtree.problems_alone]
        else:
            new = [subtree for subtree in subtrees if not self._is_accepted(subtree)]
        keyless = [] if are_rows else [subtree for subtree in subtrees if subtree.problems_without_rows]
        if new or keyless:
            problems = dict.fromkeys(problem for subtree in new for problem in self._problems(subtree))
            if not turned_up:
                sources = [source for subtree in subtrees for source in subtree.sources]
                problems.update(dict.fromkeys(self._params.misspelt(sources)))
            problems |= dict.fromkeys(each for subtree in keyless for each in subtree.problems_without_rows)
            if problems:
                self._graph.forget_with_problems()
                raise PlanError(list(problems))
            if len(self._accepted) >= self._most_accepted:
                every = list(self._accepted.items())  # at once: other threads may resolve, too
                alive = {key: known for key, known in every if known() is not None}
                self._accepted, self._most_accepted = alive, 2 * len(alive) + 8
            self._accepted.update((id(subtree), ref(subtree)) for subtree in new)
        return subtrees

    def _is_accepted(self, subtree: Subtree) -> bool:
        known = self._accepted.get(id(subtree))
        return known is not None and known() is subtree

    def _problems(self, subtree: Subtree) -> Iterable[str]:
        yield from subtree.problems
        if self.context is None:
            yield from subtree.problems_without_context
        yield from self._params.problems(subtree.sources)

    def __repr__(self) -> str:
        return f"<Resolver loaders={list(self.loader_instance_cache.values())}>"


def _root_classes(tree: object, roots: FoundNodes, known: Container[type]) -> list[type]:
    classes = [kind for kind in roots.classes if kind in known or is_node_class(kind)]
    if len(classes) < len(roots.classes):
        _check_others(tree, [kind for kind in roots.classes if kind not in classes], bool(classes))
    return classes


def _check_others(tree: object, kinds: Iterable[type], has_nodes: bool) -> None:
    """Look at what is no node among the roots: values of no interest, or something that holds nodes."""
    for kind in kinds:
        if hasattr(kind, "__await__") or issubclass(kind, AsyncIterator):
            raise OptionError(
                f"resolve() takes models and not a {kind.__name__}: await it first, and give the result"
            )
        if issubclass(kind, Iterator):
            raise OptionError(
                f"resolve() takes models and not a {kind.__name__}: make a list of it, and keep that"
            )
        if not has_nodes and issubclass(kind, type):
            raise OptionError(
                f"resolve() takes models, not classes of them as {shorten(tree)}: make an instance"
            )
    if not has_nodes and any(kind is not type(None) for kind in kinds):
        raise OptionError(
            f"resolve() takes Pydantic models or dataclasses, or containers of them, not {shorten(tree)}; "
            f"say what to make of rows: resolve(rows, into=list[Company])"
        )
