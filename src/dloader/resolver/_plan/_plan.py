"""Plans: what is to be done with the nodes of a class. Pure data, made by `_compile`; nothing changes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from typing import Any, NamedTuple

from dloader.resolver._markers import NOTHING, FillMarker, ICollector
from dloader.resolver._plan._annotations import (
    FieldType,
    admits_none,
    classes_in,
    is_node_class,
    may_hold_mappings,
    names_in_rows,
    nesting,
    subclasses,
)

__all__ = ("Key", "LoaderUse", "Method", "NodeField", "Phase", "Plan", "Step", "node_field")


class Phase(IntEnum):
    """Where nodes stand, and when a step is taken."""

    RESOLVING = 0
    POSTING = 1
    FINISHING = 2
    DONE = 3


@dataclass(frozen=True)
class Method:
    """A ``resolve_`` or ``post_`` method and what it wants to be called with."""

    name: str
    function: Callable[..., Any]
    """Takes the node, and everything else by name."""
    is_async: bool
    mapper: Any
    loaders: tuple[tuple[str, object], ...]
    """Parameter and loader class, batch function or loader."""
    collectors: tuple[tuple[str, ICollector], ...]
    injected: frozenset[str]
    """Which of ``context``, ``parent`` and ``ancestor_context`` it takes."""
    may_take_context: bool = False
    """Whether ``context`` has a default, for resolvers without one."""
    order: tuple[str, ...] = ()
    """The parameters that may be given by position, without ``self``."""
    needs: tuple[str, ...] = ()
    """The fields that must be filled first."""
    member: Any = None
    """What stands in the class."""

    @cached_property
    def takes_context(self) -> bool:
        """Whether it takes ``context``, where there is one or in any case."""
        return self.may_take_context or "context" in self.injected

    @cached_property
    def takes_loaders_alone(self) -> bool:
        """Whether one or two loaders are all it takes, by position."""
        names = tuple(name for name, _ in self.loaders)
        return (
            len(names) <= 2
            and names == self.order[: len(names)]
            and not (self.takes_context or self.per_node)
        )

    @cached_property
    def per_node(self) -> bool:
        """Whether its arguments differ from node to node."""
        return bool(self.collectors or self.injected - {"context"})


@dataclass(frozen=True, slots=True)
class NodeField:
    """A field that may hold nodes."""

    name: str
    classes: tuple[type, ...]
    unknown: bool
    """Whether it may hold classes that its type does not name."""
    is_reusable: bool = False
    """Whether it holds nodes, or one list, set or dict of nodes, and nothing else."""
    admits_none: bool = False
    may_hold_mappings: bool = False
    """Whether dicts in it may hold nodes, and be no rows of them."""
    default: Any = field(default=None, hash=False, compare=False)
    """What all nodes share that were made without it, if it may hold nodes."""

    @property
    def holds_nodes(self) -> bool:
        """Whether it may hold any."""
        return bool(self.classes) or self.unknown

    def targets(self) -> Iterator[type]:
        """The classes that it may hold: those its type names, and their subclasses as of now."""
        for cls in self.classes:
            yield cls
            yield from (kind for kind in subclasses(cls) if is_node_class(kind))


def node_field(name: str, declared: FieldType) -> NodeField:
    """Read which nodes a field may hold."""
    classes, unknown = classes_in(declared.annotation)
    default: Any = declared.default
    is_shared = is_node_class(type(default)) or isinstance(default, (tuple, frozenset))
    return NodeField(
        name,
        classes,
        unknown,
        bool(classes) and not unknown and nesting(declared.annotation) <= 1,
        admits_none(declared.annotation),
        may_hold_mappings(declared.annotation),
        default if is_shared and default else None,
    )


@dataclass(frozen=True, slots=True)
class Key:
    """Where the key of a load comes from."""

    names: tuple[str, ...]
    """Attributes of the node."""
    is_composite: bool = False
    """Whether the key is a tuple of them, be it of one."""
    is_list: bool = False
    """Whether the one attribute holds many keys, and the field gets a list of what they load."""
    may_be_list: bool = False
    """Whether it does where it is a list or a set, as nobody has declared what the column of a row is."""
    hidden: tuple[str, ...] = ()
    """Names that the class does not have: columns of the row, which nodes have only until their keys are read."""


@dataclass(frozen=True, eq=False)
class Step:
    """One field of one class that is filled: by a method or declaratively."""

    field: NodeField
    loaders: tuple[object, ...]
    method: Method | None = None
    key: Key | None = None
    """Of what is loaded, if no method fills the field."""
    phase: Phase = Phase.RESOLVING
    after: frozenset[str] = frozenset()
    """The fields that must be filled first: they hold the key, or the method needs them."""
    empty: Any = NOTHING
    """What a field without a default gets where a part of the key is null."""
    marker: FillMarker | None = None
    """Which fills the field, if no method does."""
    most: int | None = None
    """How often the marker may fill its field on one way from a root down."""

    @cached_property
    def is_post(self) -> bool:
        """Whether the step is taken after the subtree is done."""
        return self.phase is not Phase.RESOLVING

    @property
    def label(self) -> str:
        """The field's name, or the method's that fills none."""
        return self.field.name


class LoaderUse(NamedTuple):
    """A loader that a step wants, and the class whose step it is."""

    source: object
    owner: type
    step: Step


@dataclass(frozen=True, eq=False)
class Plan:
    """What is to be done with the nodes of one class; kept while the class lives."""

    cls: type
    steps: tuple[Step, ...] = ()
    posts: tuple[Step, ...] = ()
    final: Step | None = None
    """``post_default_handler``."""
    node_fields: tuple[NodeField, ...] = ()
    """Fields that are not filled by a step and may hold nodes."""
    exposes: tuple[tuple[str, str], ...] = ()
    sends: tuple[tuple[str | tuple[str, ...], str], ...] = ()
    problems: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    """The keys of loads that the class does not have: nodes that are made of rows have them until they are read."""
    may_lack: Mapping[str, None] = field(default_factory=dict[str, None])
    """The fields that such nodes lack until they are filled, and that somebody may look at before."""
    fields: tuple[str, ...] = ()
    """All fields of the class."""
    left_out: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Fields that are not filled in this place, and what they get if they have no default."""
    hidden_keys: tuple[str, ...] = ()
    """What is wrong with the class where its nodes are not made of rows, which alone have some keys."""
    attributes: int = 0
    """How many attributes the class had."""

    @property
    def has_work(self) -> bool:
        """Whether the class itself declares anything."""
        return bool(self.steps or self.posts or self.final or self.sends or self.exposes)

    @cached_property
    def ordered(self) -> tuple[str, ...]:
        """The fields of a model in their order, if steps fill some."""
        return self.fields if (self.steps or self.posts) and hasattr(self.cls, "model_fields") else ()

    @cached_property
    def unread(self) -> Mapping[str, None]:
        """Of the fields that nodes may lack, those that are not read of mappings either: markers fill them."""
        marked = {step.field.name for step in self.steps if step.method is None}
        return {name: None for name in self.may_lack if name in marked}

    @cached_property
    def filled(self) -> frozenset[str]:
        """The fields that steps fill or compute."""
        return frozenset(step.field.name for step in (*self.steps, *self.posts))

    @cached_property
    def step_of(self) -> Mapping[str, Step]:
        """By field, the step that fills it."""
        return {step.field.name: step for step in self.steps}

    def with_needed(self, names: Iterable[str]) -> set[str]:
        """Some fields, and those that their steps wait for."""
        taken = set(names)
        unseen = list(taken)
        while unseen:
            step = self.step_of.get(unseen.pop())
            needed = set(step.after if step else ()) - taken
            taken |= needed
            unseen += needed
        return taken

    @cached_property
    def limits(self) -> Sequence[Step]:
        """The steps that may be taken so many times on one way down."""
        return [step for step in self.steps if step.most is not None]

    @cached_property
    def final_steps(self) -> tuple[Step, ...]:
        """``post_default_handler`` if there is one."""
        return () if self.final is None else (self.final,)

    @cached_property
    def first_steps(self) -> tuple[Step, ...]:
        """The steps that wait for no other."""
        return tuple(step for step in self.steps if not step.after)

    @cached_property
    def followers(self) -> Mapping[str, Sequence[Step]]:
        """By field, the steps that wait for it."""
        fields = {name for step in self.steps for name in step.after}
        return {name: [step for step in self.steps if name in step.after] for name in fields}

    @cached_property
    def exposing(self) -> frozenset[str]:
        """The fields that steps fill and nodes below will see."""
        return frozenset(step.field.name for step in self.steps) & {name for name, _ in self.exposes}

    @cached_property
    def collecting(self) -> Sequence[tuple[Step, str, ICollector]]:
        """The parameters of posts that take collectors."""
        posts = (*self.posts, *self.final_steps)
        return [(step, *taken) for step in posts if step.method for taken in step.method.collectors]

    @cached_property
    def post_loaders(self) -> frozenset[tuple[object, Phase]]:
        """The loaders that posts use, and the phases they use them in."""
        posts = (*self.posts, *self.final_steps)
        return frozenset((loader, step.phase) for step in posts for loader in step.loaders)

    @property
    def all_steps(self) -> tuple[Step, ...]:
        """The steps of all phases."""
        return (*self.steps, *self.posts, *self.final_steps)

    @property
    def uses(self) -> Iterable[LoaderUse]:
        """All loaders of the plan, and the steps that want them."""
        for step in self.all_steps:
            yield from (LoaderUse(source, self.cls, step) for source in step.loaders)

    @property
    def methods(self) -> Iterable[Method]:
        """All methods of the plan."""
        for step in self.all_steps:
            if step.method is not None:
                yield step.method

    def is_patched(self) -> bool:
        """Whether other methods stand in the class than when the plan was made, as in tests."""
        cls = self.cls
        attributes: Mapping[str, Any] = vars(cls)
        return len(attributes) != self.attributes or any(
            getattr(cls, name, None) is not member for name, member in self.members
        )

    @cached_property
    def members(self) -> tuple[tuple[str, Any], ...]:
        """By name, what stands in the class for each method."""
        return tuple((method.name, method.member) for method in self.methods)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """What a row has to have: the fields, or their aliases, that no step fills, nor a post that needs none."""
        loaded = {step.field.name for step in self.steps}
        posted = {step.field.name for step in self.posts}
        columns = [
            column
            for name, (column, is_optional) in names_in_rows(self.cls).items()
            if name not in loaded and not (name in posted and is_optional)
        ]
        hidden = [name for step in self.steps if step.key is not None for name in step.key.hidden]
        return tuple(dict.fromkeys((*columns, *hidden)))

    @property
    def all_node_fields(self) -> Iterable[NodeField]:
        """The fields that may hold nodes, whether a step fills them or not."""
        yield from (step.field for step in self.steps)
        yield from self.node_fields

    def following(self) -> Iterator[type]:
        """The classes of which nodes may stand in a field."""
        return (target for field in self.all_node_fields for target in field.targets())

    @property
    def has_posts(self) -> bool:
        """Whether methods run when all below is done, and may write into it."""
        return bool(self.posts or self.final)

    @property
    def has_needs(self) -> bool:
        """Whether methods run when other fields have been filled, and may write into what these hold."""
        return any(method.needs for method in self.methods)

    def wants(self, argument: str) -> bool:
        """Whether a method takes ``context``, ``parent`` or ``ancestor_context``."""
        return any(argument in method.injected for method in self.methods)
