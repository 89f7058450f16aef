"""Forms of declaration: kind of class x type of field x way of filling x position of the marker.

Each combination is filled rightly, at the root and below, or refused with a `PlanError` that names the cure. To add a
form, add a line to one of the tables.
"""

import functools
import sys
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass, make_dataclass
from typing import Annotated, Any, ClassVar, Generic, NamedTuple, NewType, Optional, TypeVar
from unittest import mock

import pytest
from decorators import by_name as mapped_by_name, plain
from loops import LoopRunner
from pydantic import BaseModel, ConfigDict, create_model, field_validator
from pydantic.alias_generators import to_camel
from pydantic.dataclasses import dataclass as pydantic_dataclass
from resolving import problems_of
from typing_extensions import TypeAliasType, TypedDict

from dloader import DataLoader, OptionError
from dloader.resolver import Collector, ExposeAs, Load, LoaderDepend, Resolver, SendTo

T = TypeVar("T")


async def load_names(keys):
    return [f"name {key}" for key in keys]


async def load_rows(keys):
    return [TYPES[key].row for key in keys]


async def load_for(_loader, keys):
    return await load_rows(keys)


class RowLoader(DataLoader[str, Any]):
    async def batch_load_fn(self, keys: list[str]) -> list[Any]:
        return await load_rows(keys)


class CallableRows:
    async def __call__(self, keys):
        return await load_rows(keys)


class Item(BaseModel):
    """A node with something to do, so that one can see whether it is walked."""

    id: int
    name: Annotated[str, Load(load_names, by="id")] = ""


class SubItem(Item):
    more: Annotated[str, Load(load_names, by="id")] = ""


class FrozenItem(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: int
    name: Annotated[str, Load(load_names, by="id")] = ""

    def __hash__(self) -> int:
        return self.id


@dataclass
class Record:
    id: int
    name: Annotated[str, Load(load_names, by="id")] = ""


class Box(BaseModel, Generic[T]):
    held: T
    name: str = ""

    def resolve_name(self) -> str:
        return "box"


@dataclass
class Crate(Generic[T]):
    held: T
    name: str = ""

    def resolve_name(self) -> str:
        return "crate"


class Row(TypedDict):
    item: Item


class Pair(NamedTuple):
    item: Item
    number: int


ItemId = NewType("ItemId", int)
Items = TypeAliasType("Items", list[Item])


class Type:
    """A field's type, what is loaded for it, and what becomes of that, seen by names."""

    def __init__(self, annotation: Any, row: Any, seen: Any) -> None:
        self.annotation = annotation
        self.row = row
        self.seen = seen


ROW, NAMED = {"id": 7}, "name 7"
TYPES = {
    "str": Type(str, "text", "text"),
    "new type": Type(ItemId, 5, 5),
    "any": Type(Any, ROW, ROW),
    "model": Type(Item, ROW, NAMED),
    "optional": Type(Optional[Item], ROW, NAMED),
    "or none": Type(Item | None, ROW, NAMED),
    "none": Type(Item | None, None, None),
    "union": Type(Item | int, 5, 5),
    "subclass": Type(Item, SubItem(id=7), NAMED),
    "dataclass": Type(Record | None, ROW, NAMED),
    "annotated": Type(Annotated[Item, "of old"], ROW, NAMED),
    "list": Type(list[Item], [ROW, ROW], [NAMED, NAMED]),
    "list or none": Type(list[Item] | None, [ROW], [NAMED]),
    "sequence": Type(Sequence[Item], [ROW], [NAMED]),
    "tuple": Type(tuple[Item, ...], [ROW], [NAMED]),
    "pair": Type(tuple[Item, int], (ROW, 5), [NAMED, 5]),
    "set": Type(set[FrozenItem], [ROW], [NAMED]),
    "frozenset": Type(frozenset[FrozenItem], [ROW], [NAMED]),
    "dict": Type(dict[str, Item], {"a": ROW}, [NAMED]),
    "lists": Type(list[list[Item]], [[ROW], []], [[NAMED], []]),
    "typed dict": Type(Row, {"item": ROW}, [NAMED]),
    "open": Type(list[BaseModel], [Item(id=7)], [NAMED]),
    "open tuple": Type(tuple[BaseModel, ...], (Item(id=7), Item(id=8)), [NAMED, "name 8"]),
    "alias": Type(Items, [ROW], [NAMED]),
    "alias of text": Type(TypeAliasType("Text", "list[Item]"), [ROW], [NAMED]),
    "alias in a list": Type(list[TypeAliasType("OfText", "Item | None")], [ROW, None], [NAMED, None]),
    "named tuple": Type(Pair, [ROW, 5], [NAMED, 5]),
    "generic model": Type(Box[Item], {"held": ROW}, "box name 7"),
    "generic dataclass": Type(Crate[Item], {"held": ROW}, "crate name 7"),
    "generic of generics": Type(Box[list[Crate[int]]], {"held": [{"held": 5}]}, "box ['crate 5']"),
}

if sys.version_info >= (3, 12):  # other Pythons have no such statement
    exec("type Nest = Item | list[Nest]")
    TYPES["recursive alias"] = Type(globals()["Nest"], [ROW, [ROW]], [NAMED, [NAMED]])


def seen(value: Any) -> Any:
    """What a test looks at: the name of a node, and of those in containers."""
    if hasattr(value, "held"):
        return f"{value.name} {seen(value.held)}"
    if hasattr(value, "id"):
        assert getattr(value, "more", value.name) == value.name
        return value.name
    if isinstance(value, dict) and value != ROW:
        return list(map(seen, value.values()))
    return list(map(seen, value)) if isinstance(value, (list, tuple, set, frozenset)) else value


# -- ways of filling -----------------------------------------------------------------------------------------


def by_method(self, loader=LoaderDepend(load_rows)):
    return loader.load(self.key)


async def by_async_method(self, loader=LoaderDepend(load_rows)):
    return await loader.load(self.key)


def by_annotated(self, loader: Annotated[RowLoader, LoaderDepend()]):
    return loader.load(self.key)


def by_named_source(self, rows: Annotated[DataLoader[str, Any], LoaderDepend(load_rows)]):
    return rows.load(self.key)


def by_position(self, loader=LoaderDepend(load_rows), /):
    return loader.load(self.key)


def by_keyword(self, *, loader=LoaderDepend(RowLoader)):
    return loader.load(self.key)


def by_two_loaders(self, one=LoaderDepend(RowLoader), two=LoaderDepend(load_rows)):
    assert one is not two
    return one.load(self.key)


def by_three_loaders(self, a=LoaderDepend(RowLoader), b=LoaderDepend(load_rows), c=LoaderDepend(load_names)):
    assert c.name == "load_names"
    return b.load(self.key)


def by_defaults(self, limit=3, context="none", loader=LoaderDepend(load_rows), *more, **others):
    assert (limit, context, more, others) == (3, "none", (), {})
    return loader.load(self.key)


def by_where_it_stands(self, parent, ancestor_context, loader=LoaderDepend(load_rows)):
    assert parent is None or parent.nodes
    assert ancestor_context == {}
    return loader.load(self.key)


def by_itself(self):
    return TYPES[self.key].row


@plain
def by_decorated(self, loader: Annotated[RowLoader, LoaderDepend()]):
    return loader.load(self.key)


@mapped_by_name
def by_wrapped(self, *, parent, loader=LoaderDepend(load_rows)):
    assert parent is None or parent.nodes
    return loader.load(self.key)


by_mock = mock.create_autospec(by_method, side_effect=by_method)


METHODS = {
    function.__name__.removeprefix("by_"): function
    for function in (
        by_method,
        by_async_method,
        by_annotated,
        by_named_source,
        by_position,
        by_keyword,
        by_two_loaders,
        by_three_loaders,
        by_defaults,
        by_where_it_stands,
        by_itself,
        by_decorated,
        by_wrapped,
        by_mock,
    )
}
LOADS: dict[str, Any] = {
    "Load of a class": RowLoader,
    "Load of a function": load_rows,
    "Load of a partial": functools.partial(load_for, None),
    "Load of an object": CallableRows(),
}
WAYS = (*METHODS, *LOADS)


def form(type_name: str, way: str) -> Any:
    """The annotation of a field: with a marker if that is the way to fill it."""
    annotation = TYPES[type_name].annotation
    return Annotated[annotation, Load(LOADS[way], by="key")] if way in LOADS else annotation


# -- kinds of classes ----------------------------------------------------------------------------------------


def members(way: str) -> dict[str, Any]:
    return {"__module__": __name__, **({"resolve_value": METHODS[way]} if way in METHODS else {})}


def body(type_name: str, way: str, **more: Any) -> dict[str, Any]:
    annotations = {"key": str, "value": form(type_name, way)}
    return {**members(way), "__annotations__": annotations, "value": None, **more}


def as_model(type_name: str, way: str) -> type:
    return type("Node", (BaseModel,), body(type_name, way))


def as_frozen_model(type_name: str, way: str) -> type:
    config = ConfigDict(frozen=True, extra="forbid", validate_assignment=True)
    return type("Node", (BaseModel,), body(type_name, way, model_config=config))


def as_model_of_aliases(type_name: str, way: str) -> type:
    """What validates the field looks at another one."""

    def told(cls, value, info):
        assert info.data["key"] == type_name
        return value

    config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")
    validator = field_validator("value")(classmethod(told))
    return type("Node", (BaseModel,), body(type_name, way, model_config=config, told=validator))


def as_created_model(type_name: str, way: str) -> type:
    base = type("Base", (BaseModel,), members(way))
    return create_model("Node", __base__=base, key=(str, ...), value=(form(type_name, way), None))


def as_generic_model(type_name: str, way: str) -> type:
    namespace = body(type_name, way, other=None)
    namespace["__annotations__"]["other"] = T | None
    base: Any = types.new_class(
        "Base", (BaseModel, Generic[T]), exec_body=lambda given: given.update(namespace)
    )
    return base[int]


def as_submodel(type_name: str, way: str) -> type:
    return type("Sub", (as_model(type_name, way),), {"__module__": __name__})


def as_model_of_strings(type_name: str, way: str) -> type:
    annotations = {"key": "str", "value": f"form({type_name!r}, {way!r})"}
    return type("Node", (BaseModel,), {**body(type_name, way), "__annotations__": annotations})


def as_dataclass(type_name: str, way: str) -> type:
    return dataclass(type("Node", (), body(type_name, way)))


def as_slotted_dataclass(type_name: str, way: str) -> type:
    return dataclass(slots=True, kw_only=True)(type("Node", (), body(type_name, way)))


def as_frozen_dataclass(type_name: str, way: str) -> type:
    return dataclass(frozen=True)(type("Node", (), body(type_name, way)))


def as_made_dataclass(type_name: str, way: str) -> type:
    fields = [("key", str), ("value", form(type_name, way), None)]
    return make_dataclass("Node", fields, namespace=members(way))


def as_dataclass_of_strings(type_name: str, way: str) -> type:
    annotations = {"key": "str", "value": f"form({type_name!r}, {way!r})"}
    return dataclass(type("Node", (), {**body(type_name, way), "__annotations__": annotations}))


def as_subdataclass(type_name: str, way: str) -> type:
    return dataclass(type("Sub", (as_dataclass(type_name, way),), {"__module__": __name__}))


def as_pydantic_dataclass(type_name: str, way: str) -> type:
    return pydantic_dataclass(type("Node", (), body(type_name, way)))


KINDS: dict[str, Callable[[str, str], type]] = {
    function.__name__.removeprefix("as_"): function
    for function in (
        as_model,
        as_frozen_model,
        as_model_of_aliases,
        as_created_model,
        as_generic_model,
        as_submodel,
        as_model_of_strings,
        as_dataclass,
        as_slotted_dataclass,
        as_frozen_dataclass,
        as_made_dataclass,
        as_dataclass_of_strings,
        as_subdataclass,
        as_pydantic_dataclass,
    )
}

every_kind = pytest.mark.parametrize("kind", KINDS)
every_type = pytest.mark.parametrize("type_name", TYPES)


@pytest.fixture
def plain_run() -> LoopRunner:
    """The form of a declaration does not depend on the kind of event loop: one is enough for so many lines."""
    return LoopRunner("asyncio")


class TestFilled:
    """Around the whole type, a marker is done; and so is a method for the field."""

    @pytest.mark.in_full
    @every_kind
    @every_type
    @pytest.mark.parametrize("way", ["method", "Load of a class"])
    def test_every_type_in_every_kind_of_class(self, plain_run, kind, type_name, way):
        """What is loaded becomes the type's, and is walked."""
        check(plain_run, KINDS[kind](type_name, way), type_name)

    @every_kind
    @pytest.mark.parametrize("way", WAYS)
    def test_every_way_in_every_kind_of_class(self, plain_run, kind, way):
        """For a list of nodes."""
        check(plain_run, KINDS[kind]("list", way), "list")

    @pytest.mark.in_full
    @every_type
    @pytest.mark.parametrize("way", WAYS)
    def test_every_way_for_every_type(self, plain_run, type_name, way):
        """In a model."""
        check(plain_run, as_model(type_name, way), type_name)


def check(run: Any, cls: type, type_name: str) -> None:
    """Resolve a node as the root, and two below another node."""

    @dataclass
    class Holder:
        nodes: list[cls]

    async def law() -> None:
        root = await Resolver().resolve(cls(key=type_name))
        assert seen(root.value) == TYPES[type_name].seen
        holder = await Resolver(annotation=Holder).resolve(Holder([cls(key=type_name), cls(key=type_name)]))
        assert [seen(node.value) for node in holder.nodes] == [TYPES[type_name].seen] * 2

    run(law)


# -- positions of markers ------------------------------------------------------------------------------------

MARKERS: dict[str, Any] = {
    "Load": Load(load_rows, by="key"),
    "ExposeAs": ExposeAs("value"),
    "SendTo": SendTo("values"),
    "LoaderDepend": LoaderDepend(load_rows),
    "Collector": Collector("values"),
}
FOR_METHODS = {"LoaderDepend", "Collector"}
POSITIONS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any], str]] = {
    "inside the type": (
        lambda mark: Annotated[str, mark] | None,
        lambda mark: None,
        "put it around the whole type",
    ),
    "inside a list": (
        lambda mark: list[Annotated[str, mark]],
        lambda mark: None,
        "put it around the whole type",
    ),
    "as the default": (lambda mark: Any, lambda mark: mark, "write value: Annotated[..., "),
    "its class around": (
        lambda mark: Annotated[str, type(mark)],
        lambda mark: None,
        "without parentheses; write ",
    ),
    "its class inside": (lambda mark: list[Annotated[str, type(mark)]], lambda mark: None, "put it around"),
    "its class as default": (lambda mark: Any, lambda mark: type(mark), "write value: Annotated[..., "),
}
"""The annotation, the default, and the cure."""
MAKERS: dict[str, Callable[[dict[str, Any]], type]] = {
    "model": lambda namespace: type("Node", (BaseModel,), namespace),
    "dataclass": lambda namespace: dataclass(type("Node", (), namespace)),
    "slotted dataclass": lambda namespace: dataclass(slots=True)(type("Node", (), namespace)),
    "pydantic dataclass": lambda namespace: pydantic_dataclass(type("Node", (), namespace)),
}


class TestRefused:
    """Anywhere else, nobody would read it: that is told, with what to write."""

    @pytest.mark.parametrize("maker", MAKERS)
    @pytest.mark.parametrize("marker", ["Load", "ExposeAs", "SendTo"])
    @pytest.mark.parametrize("position", POSITIONS)
    def test_markers_of_fields_elsewhere(self, plain_run, position, marker, maker):
        """In the type, as a default, or without parentheses."""
        annotate, default, cure = POSITIONS[position]
        mark = MARKERS[marker]
        (problem,) = problems_of(plain_run, self.node(maker, annotate(mark), default(mark)))
        assert problem.startswith("Node.value: ")
        assert marker in problem
        assert cure in problem

    @pytest.mark.parametrize("maker", MAKERS)
    @pytest.mark.parametrize("marker", sorted(FOR_METHODS))
    @pytest.mark.parametrize("is_default", [False, True], ids=["around", "default"])
    def test_markers_of_parameters_at_fields(self, plain_run, is_default, marker, maker):
        """Fields are filled by Load or methods."""
        mark = MARKERS[marker]
        node = self.node(maker, Any if is_default else Annotated[str, mark], mark if is_default else None)
        (problem,) = problems_of(plain_run, node)
        assert problem.startswith("Node.value: ")
        assert marker in problem
        assert 'Load(loader, by="key_field")' in problem

    @pytest.mark.parametrize("maker", MAKERS)
    @pytest.mark.parametrize("marker", ["Load", "ExposeAs", "SendTo"])
    @pytest.mark.parametrize("is_value", [False, True], ids=["annotated", "value"])
    def test_markers_at_what_is_no_field(self, plain_run, is_value, marker, maker):
        """A class variable, or one without a type."""
        mark = MARKERS[marker]
        annotation = ClassVar[Any] if is_value else ClassVar[Annotated[str, mark]]
        (problem,) = problems_of(plain_run, self.node(maker, annotation, mark if is_value else None))
        assert problem.startswith(f"Node.value: {marker} stands at what is no field")

    @staticmethod
    def node(maker: str, annotation: Any, default: Any) -> Any:
        annotations = {"key": str, "value": annotation}
        namespace = {"__module__": __name__, "__qualname__": "Node", "__annotations__": annotations}
        return MAKERS[maker]({**namespace, "key": "str", "value": default})()


class TestDownAndUp:
    """ExposeAs, SendTo and Collector, in every kind of class that says them."""

    @pytest.mark.parametrize("maker", MAKERS)
    def test_what_is_marked_is_seen_and_gathered(self, plain_run, maker):
        """Two fields may be sent to one collector; one that nobody sends to is empty."""

        class Leaf(BaseModel):
            seen: str = ""

            def resolve_seen(self, ancestor_context):
                return ancestor_context["title"]

        def post_sent(self, collector=Collector("sent")):
            return collector.values()

        def post_flat(self, collector=Collector("flat", flat=True)):
            return collector.values()

        def post_empty(self, collector=Collector("nobody")):
            return collector.values()

        annotations = {
            "a": Annotated[str, SendTo("sent"), SendTo("more")],
            "b": Annotated[list[int], SendTo(("sent", "flat"))],
        }
        sender = MAKERS[maker](
            {"__module__": __name__, "__annotations__": annotations}
            | ({"a": "a"} if maker == "model" else {})
        )
        top = MAKERS[maker](
            {
                "__module__": __name__,
                "__annotations__": {
                    "leaf": Leaf,
                    "senders": list[sender],
                    "title": Annotated[str, ExposeAs("title")],
                    **dict.fromkeys(("sent", "flat", "empty"), list[Any] | None),
                },
                "title": "title",
                "sent": None,
                "flat": None,
                "empty": None,
                "post_sent": post_sent,
                "post_flat": post_flat,
                "post_empty": post_empty,
            }
        )

        async def law():
            node = await Resolver().resolve(
                top(leaf=Leaf(), senders=[sender(a="a", b=[1]), sender(a="c", b=[2, 3])])
            )
            assert node.leaf.seen == "title"
            assert node.sent == ["a", [1], "c", [2, 3]]
            assert node.flat == [1, 2, 3]
            assert node.empty == []

        plain_run(law)

    def test_a_collector_of_a_class_that_nothing_can_send_to_is_empty(self, plain_run):
        """There is nothing below at all."""

        class Lonely(BaseModel):
            values: list[str] | None = None

            def post_values(self, collector=Collector("nobody")):
                return collector.values()

        async def law():
            assert (await Resolver().resolve(Lonely())).values == []

        plain_run(law)


def test_containers_in_containers_are_looked_into_sixty_four_deep(run):
    """Deeper ones are not data; a list that holds itself must not hang."""

    async def law():
        tree: Any = Item(id=1)
        for _ in range(64):
            tree = [tree]
        await Resolver().resolve(tree)
        with pytest.raises(OptionError, match="resolve\\(\\) takes Pydantic models or dataclasses"):
            await Resolver().resolve([tree])
        while type(tree) is list:
            [tree] = tree
        assert tree.name == "name 1"

    run(law)


def test_a_field_that_is_called_like_a_method_is_a_field():
    """Also if its default can be called."""

    @dataclass
    class Odd:
        name: str
        resolve_name: Callable[[], str] = str

    assert Resolver.plan(Odd).calls == 0
