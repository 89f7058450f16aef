"""What is walked: containers, annotations, classes that turn up at run time, and trees of any depth."""

import dataclasses
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from typing import (
    Annotated,
    Any,
    Generic,
    NamedTuple,
    NewType,
    Optional,
    Protocol,
    Self,
    TypeVar,
    Union,
    runtime_checkable,
)

import pydantic
import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel
from resolving import Source, notes_of
from typing_extensions import TypeAliasType

from dloader import DataLoader, PlanError
from dloader.resolver import Load, LoaderDepend, Resolver

T = TypeVar("T")


class Item(BaseModel):
    """Has something to do: `seen` is set."""

    model_config = ConfigDict(frozen=True)

    seen: bool = False

    def resolve_seen(self):
        return True


class Special(Item):
    extra: bool = False

    def resolve_extra(self):
        return True


@dataclasses.dataclass
class Plain:
    item: Item = Item()
    seen: bool = False

    def resolve_seen(self):
        return True


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    item: Item = Item()
    seen: bool = False

    def resolve_seen(self):
        return True


@pydantic.dataclasses.dataclass
class Checked:
    item: Item = dataclasses.field(default_factory=Item)
    seen: bool = False

    def resolve_seen(self):
        return True


@dataclasses.dataclass
class GenericPage(Generic[T]):
    items: list[T]


class GenericModel(BaseModel, Generic[T]):
    items: list[T]


class Root(RootModel[list[Item]]):
    pass


class Pair(NamedTuple):
    left: Item
    right: Any


@runtime_checkable
class HasSeen(Protocol):
    seen: bool


class Outside:
    """Not a model itself; a mixin of models."""


class Mixed(Outside, Item):
    pass


Alias = TypeAliasType("Alias", list[Item] | None)
Nested = TypeAliasType("Nested", list["Nested"] | Item)
GenericAlias = TypeAliasType("GenericAlias", list[T], type_params=(T,))
New = NewType("New", Item)


def item():
    return Item.model_construct(seen=False)


class TestWalking:
    """Nodes are found wherever a value may hold them."""

    @pytest.mark.parametrize(
        ("annotation", "make", "find"),
        [
            pytest.param(Item, item, lambda v: [v], id="model"),
            pytest.param(Optional[Item], item, lambda v: [v], id="optional"),
            pytest.param(Union[int, Item], item, lambda v: [v], id="union"),
            pytest.param(list[Item], lambda: [item(), item()], list, id="list"),
            pytest.param(
                list[list[Item]], lambda: [[item()], [], [item()]], lambda v: [v[0][0], v[2][0]], id="lists"
            ),
            pytest.param(tuple[Item, ...], lambda: (item(), item()), list, id="tuple"),
            pytest.param(set[Item], lambda: {item()}, list, id="set"),
            pytest.param(frozenset[Item], lambda: frozenset({item()}), list, id="frozenset"),
            pytest.param(dict[str, Item], lambda: {"a": item()}, lambda v: list(v.values()), id="dict"),
            pytest.param(Mapping[str, list[Item]], lambda: {"a": [item()]}, lambda v: v["a"], id="mapping"),
            pytest.param(Sequence[Item], lambda: (item(),), list, id="sequence"),
            pytest.param(deque[Item], lambda: deque([item()]), list, id="deque"),
            pytest.param(
                Pair, lambda: Pair(item(), [item()]), lambda v: [v.left, v.right[0]], id="named tuple"
            ),
            pytest.param(Plain, lambda: Plain(item()), lambda v: [v, v.item], id="dataclass"),
            pytest.param(
                Frozen, lambda: Frozen(item()), lambda v: [v, v.item], id="frozen dataclass with slots"
            ),
            pytest.param(Checked, lambda: Checked(item()), lambda v: [v, v.item], id="pydantic dataclass"),
            pytest.param(
                GenericPage[Item], lambda: GenericPage([item()]), lambda v: v.items, id="generic dataclass"
            ),
            pytest.param(
                GenericModel[Item],
                lambda: GenericModel[Item](items=[item()]),
                lambda v: v.items,
                id="generic",
            ),
            pytest.param(
                GenericModel, lambda: GenericModel(items=[item()]), lambda v: v.items, id="bare generic"
            ),
            pytest.param(Root, lambda: Root([item()]), lambda v: v.root, id="root model"),
            pytest.param(Alias, lambda: [item()], list, id="type alias"),
            pytest.param(Nested, lambda: [[item()], item()], lambda v: [v[0][0], v[1]], id="recursive alias"),
            pytest.param(GenericAlias[Item], lambda: [item()], list, id="generic alias"),
            pytest.param(New, item, lambda v: [v], id="new type"),
            pytest.param(Annotated[Item, Field(title="x")], item, lambda v: [v], id="annotated"),
            pytest.param(HasSeen, item, lambda v: [v], id="protocol"),
            pytest.param(Outside, Mixed, lambda v: [v], id="mixin"),
            pytest.param(BaseModel, item, lambda v: [v], id="any model"),
        ],
    )
    def test_in_fields_of_every_type(self, run, annotation, make, find):
        """As a field that is given, as one that is resolved, and as a root."""

        class Holder(BaseModel):
            model_config = ConfigDict(arbitrary_types_allowed=True)

            given: annotation
            loaded: annotation = None

            def resolve_loaded(self):
                return make()

        async def law():
            holder = await Resolver().resolve(Holder.model_construct(given=make(), loaded=None))
            root = make()
            await Resolver().resolve(root)
            for value in (holder.given, holder.loaded, root):
                assert [node.seen for node in find(value)] == [True] * len(find(value)) != []

        run(law)

    def test_any_is_taken_at_its_word(self, run):
        """Whoever says no more of a field does not ask for it to be walked."""

        class Holder(BaseModel):
            anything: Any
            thing: object
            typed: Item

        async def law():
            return await Resolver().resolve(Holder(anything=item(), thing=item(), typed=item()))

        holder = run(law)
        assert (holder.anything.seen, holder.thing.seen, holder.typed.seen) == (False, False, True)

    def test_subclasses_are_known_by_their_runtime_type(self, run):
        """Also those defined after the first resolve, with loaders of their own, in batches with the others."""
        source = Source(str)

        class Animal(BaseModel):
            id: int

        class Cat(Animal):
            name: Annotated[str, Load(source, by="id")] = ""

        class Zoo(BaseModel):
            animals: list[Animal]
            first: Animal | None = None

            def resolve_first(self):
                return self.animals[0]

        async def law():
            zoo = await Resolver().resolve(Zoo(animals=[Animal(id=1), Cat(id=2)]))
            assert zoo.animals[1].name == "2"

            class Dog(Animal):
                name: str = ""

                def resolve_name(self, loader=LoaderDepend(source)):
                    return loader.load(self.id)

            source.calls.clear()
            zoo = await Resolver().resolve(Zoo(animals=[Dog(id=1), Cat(id=2), Animal(id=3)]))
            assert [animal.name for animal in zoo.animals[:2]] == ["1", "2"]
            assert [sorted(call) for call in source.calls] == [[1, 2]]

        run(law)

    def test_a_subclass_elsewhere_is_checked_when_it_turns_up(self, run):
        """Until then neither its mistakes nor its wants concern anybody."""

        class Base(BaseModel):
            x: int = 0

            def resolve_x(self):
                return 1

        class Wrong(Base):
            def resolve_x(self, context):
                return 1

            def resolve_y(self, unknown):
                return 1

        class Holder(BaseModel):
            items: list[Base]

        async def law():
            holder = await Resolver().resolve(Holder(items=[Base()]))
            assert holder.items[0].x == 1
            with pytest.raises(PlanError) as caught:
                await Resolver().resolve(Holder(items=[Base(), Wrong()]))
            assert len(caught.value.problems) == 3

        run(law)

    def test_a_subclass_defined_between_two_roots_is_known_below_the_second(self, run):
        """Although the class that holds it was looked at before."""

        class Leaf(BaseModel):
            id: int = 0

        class Branch(BaseModel):
            leaf: Leaf
            seen: bool = False

            def resolve_seen(self):
                return True

        class First(BaseModel):
            branch: Branch

        class Second(BaseModel):
            branch: Branch

        async def law():
            await Resolver().resolve(First(branch=Branch(leaf=Leaf())))

            class Late(Leaf):
                late: bool = False

                def resolve_late(self):
                    return True

            second = await Resolver().resolve(Second(branch=Branch(leaf=Late())))
            assert second.branch.leaf.late

        run(law)

    def test_roots_may_be_mixed(self, run):
        """Of different classes, beside what is no node."""

        async def law():
            tree = {"a": [item(), Plain(item())], "b": (Special(), 5, "text", None)}
            await Resolver().resolve(tree)
            assert tree["a"][0].seen
            assert tree["a"][1].item.seen
            assert tree["b"][0].extra

        run(law)

    def test_a_set_finds_its_members_afterwards(self, run):
        """Filling them changes their hashes."""

        class Holder(BaseModel):
            items: set[Item]

        async def law():
            return await Resolver().resolve(Holder(items={Item()}))

        holder = run(law)
        (member,) = holder.items
        assert member.seen
        assert member in holder.items

    @pytest.mark.parametrize("kind", [set, frozenset])
    @pytest.mark.parametrize("is_loaded", [False, True])
    @pytest.mark.parametrize("fails", [False, True])
    def test_sets_of_every_kind_and_place_find_their_members(self, run, kind, is_loaded, fails):
        """Frozensets are made anew where they stand; a failure elsewhere changes nothing about it."""

        class Bag(NamedTuple):
            items: kind[Item]
            name: str

        def bag():
            return {
                "plain": kind([Item()]),
                "listed": [kind([Item()])],
                "named": {"a": (kind([Item()]), 1)},
                "bag": Bag(kind([Item()]), "bag"),
                "nested": kind([frozenset([Item()])]),
            }

        class Holder(BaseModel):
            plain: kind[Item] = kind()
            listed: list[kind[Item]] = []
            named: dict[str, tuple[kind[Item], int]] = {}
            bag: Bag | None = None
            nested: kind[frozenset[Item]] = kind()

        class Loaded(BaseModel):
            holder: Annotated[Holder | None, Field()] = None
            given: Holder | None = None
            fails: bool = False

            def resolve_holder(self):
                return bag() if is_loaded else None

            def post_fails(self):
                if fails:
                    raise LookupError
                return False

        root = Loaded(given=None if is_loaded else Holder(**bag()))

        async def law():
            if not fails:
                return await Resolver().resolve(root)
            with pytest.raises(LookupError):
                await Resolver().resolve(root)

        run(law)
        holder = root.holder if is_loaded else root.given
        (inner,) = holder.nested
        assert inner in holder.nested
        for found in (holder.plain, holder.listed[0], holder.named["a"][0], holder.bag.items, inner):
            (member,) = found
            assert member.seen
            assert member in found
        assert holder.bag.name == "bag"

    @pytest.mark.parametrize("kind", [set, frozenset])
    def test_a_set_whose_members_cannot_be_hashed_any_more_stays_as_it_is(self, run, kind):
        """The error has its path, and other sets are rehashed."""
        rows = Source(lambda key: {"id": key})

        class Owner(BaseModel):
            id: int

        class Tag(BaseModel):
            model_config = ConfigDict(frozen=True)
            id: int
            owner: Annotated[Owner | None, Load(rows, by="id")] = None

        class Post(BaseModel):
            items: set[Item] = set()
            tags: kind[Tag] = kind()

        posts = [Post(), Post(items={Item()}, tags=kind([Tag(id=1), Tag(id=2)]))]

        async def law():
            with pytest.raises(TypeError, match="unhashable type: 'Owner'") as caught:
                await Resolver().resolve(posts)
            assert notes_of(caught.value) == "while rehashing the members of Post[1].tags"

        run(law)
        assert sorted(tag.owner.id for tag in posts[1].tags) == [1, 2]
        (item,) = posts[1].items
        assert item in posts[1].items

    def test_a_set_among_the_roots_finds_its_members(self, run):
        """In any container; a frozenset there is the caller's own object, and stays it."""
        roots = [{Item()}, (frozenset([Item()]), {"a": {Item()}})]

        async def law():
            assert await Resolver().resolve(roots) is roots

        run(law)
        for found in (roots[0], roots[1][1]["a"]):
            (item,) = found
            assert item in found

    def test_sets_in_members_of_sets_are_set_right_first(self, run):
        """The hash of a member changes with that of the frozenset that it holds."""

        class Outer(BaseModel, frozen=True):
            items: frozenset[Item]

        class Root(BaseModel):
            outers: set[Outer]

        root = Root(outers={Outer(items=frozenset([Item()]))})

        async def law():
            await Resolver().resolve(root)

        run(law)
        (outer,) = root.outers
        assert outer in root.outers
        (member,) = outer.items
        assert member in outer.items

    def test_a_set_beside_a_list_that_holds_itself(self, run):
        """Is rehashed all the same."""
        endless = [{Item()}]
        endless.append(endless)

        async def law():
            await Resolver().resolve(endless)

        run(law)
        (item,) = endless[0]
        assert item in endless[0]

    def test_classes_with_nothing_to_do_are_not_visited(self, run):
        """Their fields are not even read."""
        reads = []

        class Idle(BaseModel):
            id: int
            other: Optional["Idle"] = None

            def __getattribute__(self, name):
                if name in ("id", "other"):
                    reads.append(name)
                return super().__getattribute__(name)

        class Holder(BaseModel):
            idle: list[Idle]
            seen: bool = False

            def resolve_seen(self):
                return True

        async def law():
            await Resolver().resolve(Holder(idle=[Idle(id=1, other=Idle(id=2))]))
            await Resolver().resolve(Idle(id=1))

        run(law)
        assert reads == []

    def test_a_list_that_holds_itself_ends(self, run):
        """It is no data."""

        async def law():
            tree = [item()]
            tree.append(tree)
            await Resolver().resolve(tree)
            assert tree[0].seen

        run(law)


class Knot(BaseModel):
    """Names itself by ``Self``, in all ways."""

    id: int
    left: Self | None = None
    right: Optional[Self] = None
    below: list[Annotated[Self, Field()]] = []
    named: dict[str, tuple[Self, ...]] = {}
    made: list[Self] = []

    def resolve_made(self):
        return [{"id": self.id + 10}] if self.id < 10 else []

    seen: bool = False

    def resolve_seen(self):
        return True


class SpecialKnot(Knot):
    """Whose ``Self`` is another class."""


@dataclasses.dataclass
class Ring:
    """The same as a dataclass."""

    id: int
    left: Self | None = None
    made: list[Self] = dataclasses.field(default_factory=list)
    seen: bool = False

    def resolve_made(self):
        return [{"id": self.id + 10}] if self.id < 10 else []

    def resolve_seen(self):
        return True


class TestSelf:
    """``Self`` is the class it stands in, or the subclass that inherits it."""

    @pytest.mark.parametrize("cls", [Knot, SpecialKnot])
    def test_it_is_walked_wherever_it_stands(self, run, cls):
        """In unions, lists, dicts, tuples, ``Annotated``; and rows become nodes of the class."""

        async def law():
            knot = cls(
                id=1, left=cls(id=2), right=cls(id=3), below=[cls(id=4)], named={"a": (cls(id=5), cls(id=6))}
            )
            return await Resolver().resolve(knot)

        knot = run(law)
        knots = [knot, knot.left, knot.right, *knot.below, *knot.named["a"]]
        assert all(one.seen and one.made[0].seen for one in knots)
        assert [(type(one.made[0]), one.made[0].id) for one in knots] == [
            (cls, id + 10) for id in range(1, 7)
        ]

    def test_in_dataclasses_too(self, run):
        """As in models."""

        async def law():
            return await Resolver().resolve(Ring(1, Ring(2)))

        ring = run(law)
        assert ring.left.seen
        assert ring.left.made == [Ring(12, seen=True)]


class TestDepth:
    """Trees of any depth end without a RecursionError."""

    DEPTH = 5000

    def chain(self, kind):
        node = None
        for number in reversed(range(self.DEPTH)):
            node = kind.model_construct(id=number, below=[] if node is None else [node])
        return node

    def last(self, node):
        depth = 1
        while node.below:
            (node,) = node.below
            depth += 1
        return node, depth

    def test_a_given_tree(self, run):
        """With posts that add up, parents, ancestors and collectors."""

        class Node(BaseModel):
            id: int
            below: list["Node"] = []
            total: int = 0
            above: int | None = None

            def resolve_above(self, parent):
                return parent and parent.id

            def post_total(self):
                return 1 + sum(node.total for node in self.below)

        async def law():
            tree = await Resolver().resolve(self.chain(Node))
            assert tree.total == self.DEPTH
            assert self.last(tree)[0].above == self.DEPTH - 2

        run(law)

    @pytest.mark.parametrize("form", ["sync", "load"])
    def test_a_resolved_tree(self, run, form):
        """By sync methods without loaders, and through one batch per level."""
        depth = self.DEPTH if run.kind != "debug" else 500  # each task costs a stack trace there
        source = Source(lambda key: [] if key == depth - 1 else [{"id": key + 1}])

        if form == "sync":

            class Node(BaseModel):
                id: int = 0
                below: list["Node"] = []

                def resolve_below(self):
                    return source.answer([self.id])[0]

        else:

            class Node(BaseModel):
                id: int = 0
                below: Annotated[list["Node"], Load(source, by="id")] = []

        async def law():
            assert self.last(await Resolver().resolve(Node()))[1] == depth

        run(law)

    def test_a_deep_fast_branch_beside_a_slow_one_is_no_slower(self, run):
        """What may still come is known level by level, not searched for again on each."""
        slowly = Source(lambda key: [], turns=30)
        source = Source(lambda key: [] if key == 1000 else [{"id": key + 1}])

        class Other(BaseModel):
            id: int = 0
            others: Annotated[list["Other"], Load(slowly, by="id")] = []

        class Node(BaseModel):
            id: int = 0
            below: Annotated[list["Node"], Load(source, by="id")] = []

        async def law():
            _, node = await Resolver().resolve([Other(), Node()])
            assert self.last(node)[1] == 1001

        run(law)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the type statement")
def test_type_statements_are_read(run):
    """A field whose type is a `type` statement is walked."""
    namespace = {"Item": Item, "BaseModel": BaseModel}
    exec("type Items = list[Item]\nclass Holder(BaseModel):\n    items: Items", namespace)

    async def law():
        holder = await Resolver().resolve(namespace["Holder"](items=[item()]))
        assert holder.items[0].seen

    run(law)


def test_loader_of_a_subclass_met_at_run_time_is_checked(run):
    """A class that no type names is admitted when it turns up, with its loaders and their parameters."""

    class NeedsSize(DataLoader):
        size: int

        async def batch_load_fn(self, keys):
            return [key * self.size for key in keys]

    class Found(BaseModel):
        id: int = 2
        value: Annotated[int, Load(NeedsSize, by="id")] = 0

    class Box(BaseModel, Generic[T]):
        content: T

    async def law():
        box = await Resolver(loader_params={NeedsSize: {"size": 3}}).resolve(Box(content=Found()))
        assert box.content.value == 6
        with pytest.raises(TypeError, match="has no parameter 'sise'"):
            await Resolver(loader_params={NeedsSize: {"sise": 3}}).resolve(Box(content=Found()))

    run(law)
