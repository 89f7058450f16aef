"""What is walked, and where nodes stand: containers, classes, sharing, cycles, depth, ancestors, collectors."""

import dataclasses
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from typing import (
    Annotated,
    Any,
    ClassVar,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    Optional,
    Protocol,
    TypeVar,
    Union,
    runtime_checkable,
)

import pydantic
import pytest
from loops import turns
from pydantic import BaseModel, ConfigDict, Field, RootModel
from resolving import Source
from typing_extensions import TypeAliasType

from dloader import DataLoader, PlanError
from dloader.resolver import Collector, ExposeAs, ICollector, Load, LoaderDepend, Resolver, SendTo

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


class TestCycles:
    """Cycles end."""

    def test_a_node_below_itself(self, run):
        """Directly, through another class, through a list."""

        class Node(BaseModel):
            me: Any = None
            typed: Optional["Node"] = None
            others: list["Node"] = []
            count: int = 0

            def post_count(self):
                return self.count + 1

        async def law():
            one, two, three = Node(), Node(), Node()
            one.typed, one.others = one, [two, one]
            two.typed, two.others = one, [three]
            three.others = [one, two, three]
            await Resolver().resolve([one, two, three])
            assert (one.count, two.count, three.count) == (1, 1, 1)

        run(law)

    @pytest.mark.parametrize("asks", [False, True], ids=["plain", "parent"])
    def test_methods_that_return_the_parent(self, run, asks):
        """A back reference is filled and not followed again."""

        class Child(BaseModel):
            owner: Any = None
            typed: Optional["Parent"] = None
            count: int = 0

            def resolve_typed(self, parent):
                return parent

            def post_count(self):
                return self.count + 1

        class Parent(BaseModel):
            children: list[Child] = []
            count: int = 0
            of: int = 0

            def resolve_children(self):
                return [Child(), Child()]

            def post_count(self):
                return self.count + 1

            if asks:

                def post_of(self, parent, ancestor_context):
                    return 1

        Child.model_rebuild(_types_namespace={"Parent": Parent})

        async def law():
            parent = await Resolver().resolve(Parent())
            assert parent.count == 1
            assert [child.count for child in parent.children] == [1, 1]
            assert all(child.typed is parent for child in parent.children)

        run(law)


class TestSharing:
    """One object in several places."""

    def test_it_is_resolved_once(self, run):
        """And everybody who holds it waits for that: under nodes, twice in one list, in roots too."""
        calls = []

        class Shared(BaseModel):
            name: str = ""

            async def resolve_name(self):
                calls.append(self)
                await turns(5)
                return "shared"

        class Holder(BaseModel):
            items: list[Shared]
            names: list[str] = []

            def post_names(self):
                return [item.name for item in self.items]

        class Deep(BaseModel):
            holder: Holder
            names: list[str] = []

            def post_names(self):
                return self.holder.names

        async def law():
            shared = Shared()
            tree = [Deep(holder=Holder(items=[shared, shared])), Holder(items=[shared]), shared, shared]
            await Resolver().resolve(tree)
            assert tree[0].names == ["shared", "shared"]
            assert tree[1].names == ["shared"]
            assert tree[0].holder.items[0] is tree[1].items[0] is shared

        run(law)
        assert len(calls) == 1

    @pytest.mark.parametrize("order", [1, -1])
    def test_roots_that_also_stand_below_roots_are_done_first(self, run, order):
        """A node is posted after those it holds, wherever else these stand; loading posts share their batches."""
        source = Source(str)

        class Node(BaseModel):
            id: int
            below: list["Node"] = []
            total: int = 0
            name: str = ""

            def post_total(self):
                return 1 + sum(node.total for node in self.below)

            def post_name(self, loader=LoaderDepend(source)):
                return loader.load(self.id)

        class Top(BaseModel):
            nodes: list[Node]
            total: int = 0

            def post_total(self):
                return sum(node.total for node in self.nodes)

        class Higher(BaseModel):
            top: Top
            total: int = 0

            def post_total(self):
                return self.top.total

        async def law():
            e = Node(id=5)
            d = Node(id=4)
            c = Node(id=3, below=[d])
            b = Node(id=2, below=[d, c])
            a = Node.model_construct(id=1, below=[c, b], total=0, name="")
            between = Node.model_construct(id=6, below=[a], total=0, name="")
            around = Node.model_construct(id=7, below=[between, e, e], total=0, name="")
            await Resolver().resolve(
                [around, a, Higher.model_construct(top=Top.model_construct(nodes=[e], total=0))][::order]
            )
            assert (around.total, between.total, e.total) == (11, 8, 1)
            higher = Higher.model_construct(top=Top.model_construct(nodes=[around, a, b], total=0), total=0)
            for node in (a, b, c, d, between, around):
                node.total = 0
            await Resolver().resolve(higher)
            assert (higher.total, around.total) == (11 + 7 + 4, 11)
            source.calls.clear()
            for root in ([a, b, c, d], [Top.model_construct(nodes=[a, b, c, d], total=0)]):
                for node in (a, b, c, d):
                    node.total = 0
                top = root[0] if isinstance(root[0], Top) else None
                nodes = root if top is None else top.nodes
                nodes[:] = nodes[::order]
                await Resolver().resolve(root)
                assert [node.total for node in (a, b, c, d)] == [7, 4, 2, 1]
                assert top is None or top.total == 14
                assert a.name == "1"

        run(law)
        assert sorted(key for call in source.calls for key in call) == [1, 1, 2, 2, 3, 3, 4, 4]

    def test_each_place_has_its_own_parent_ancestors_and_collectors(self, run):
        """The object itself stands in one of them, copies in the others, in containers of their own."""

        class Inner(BaseModel):
            id: int
            path: Annotated[str, SendTo("paths")] = ""

            def resolve_path(self, ancestor_context):
                return f"{ancestor_context['name']}/{self.id}"

        class Shared(BaseModel):
            inner: Inner
            above: str = ""

            def resolve_above(self, parent):
                return parent.name

        class Holder(BaseModel):
            name: Annotated[str, ExposeAs("name")]
            one: Shared | None = None
            by_key: dict[str, list[Shared]] = {}
            pair: tuple[Shared, int] | None = None
            many: Any = None
            paths: list[str] = []

            def post_paths(self, paths=Collector("paths")):
                return paths.values()

        async def law():
            shared = Shared(inner=Inner(id=1))
            by_key = {"x": [shared, shared], "y": []}
            tree = [
                Holder.model_construct(name="a", one=shared, by_key=by_key, pair=(shared, 5)),
                Holder.model_construct(name="b", one=shared, by_key=by_key, pair=None),
            ]
            await Resolver().resolve(tree)
            for holder in tree:
                places = [holder.one, *holder.by_key["x"], *(holder.pair or ())[:1]]
                assert {place.above for place in places} == {holder.name}
                assert {place.inner.path for place in places} == {f"{holder.name}/1"}
                assert holder.paths == [f"{holder.name}/1"] * len(places)
                assert len({id(place) for place in places}) == len(places)
            assert tree[0].pair[1] == 5
            assert tree[0].by_key["y"] == []

        run(law)

    @pytest.mark.parametrize("many_roots", [False, True])
    def test_a_further_place_gets_the_node_as_it_first_arrived(self, run, many_roots):
        """Not as it has become where it was filled first, be both places below one root or below two."""

        class Asking(BaseModel):
            log: list[str] = []

            def resolve_log(self, parent):
                return [*self.log, parent.name]

        class Middle(BaseModel):
            name: str = "middle"
            inner: Asking

        class Near(BaseModel):
            name: str = "near"
            asking: Asking

        class Far(BaseModel):
            middle: Middle

        class Both(BaseModel):
            near: Near
            far: Far

        async def law():
            shared = Asking()
            near, far = Near(asking=shared), Far(middle=Middle(inner=shared))
            await Resolver().resolve([near, far] if many_roots else Both(near=near, far=far))
            assert near.asking is shared
            assert near.asking.log == ["near"]
            assert far.middle.inner.log == ["middle"]

        run(law)

    def test_what_a_loader_gives_to_many_is_right_for_each(self, run):
        """One model instance from the cache, below two thousand parents."""

        class User(BaseModel):
            id: int
            seen_by: int = 0

            def resolve_seen_by(self, parent):
                return parent.id

        users = {}
        source = Source(lambda key: users.setdefault(key, User(id=key)))

        class Task(BaseModel):
            id: int
            owner_id: int = 1
            owner: Annotated[User | None, Load(source, by="owner_id")] = None

        async def law():
            return await Resolver().resolve([Task(id=n) for n in range(2000)])

        assert [task.owner.seen_by for task in run(law)] == list(range(2000))
        assert source.calls == [[1]]

    def test_containers_of_copies_keep_their_kind(self, run):
        """Named tuples, sets, frozensets and lists in place of other sequences."""

        class Shared(BaseModel):
            model_config = ConfigDict(frozen=True)

            above: int = 0

            def resolve_above(self, parent):
                return parent.id

        class Two(NamedTuple):
            x: Shared
            y: Shared

        class Holder(BaseModel):
            id: int
            two: Two
            bag: frozenset[Shared]
            queue: deque[Shared]

        async def law():
            shared = Shared()
            tree = [
                Holder.model_construct(
                    id=n, two=Two(shared, shared), bag=frozenset([shared]), queue=deque([shared])
                )
                for n in (1, 2)
            ]
            await Resolver().resolve(tree)
            for holder in tree:
                assert isinstance(holder.two, Two)
                assert isinstance(holder.bag, frozenset)
                assert {shared.above for shared in (*holder.two, *holder.bag, *holder.queue)} == {holder.id}

        run(law)


class TestAncestors:
    """`ExposeAs` and `ancestor_context`."""

    def test_the_nearest_value_of_an_alias_counts(self, run):
        """Aliases of different ancestors come together; nodes see only what is above them."""
        source = Source(str, turns=5)

        class Leaf(BaseModel):
            seen: dict[str, Any] = {}
            late: dict[str, Any] = {}

            def resolve_seen(self, ancestor_context):
                return dict(ancestor_context)

            def post_late(self, ancestor_context):
                return dict(ancestor_context)

        class Middle(BaseModel):
            id: int
            name: Annotated[str, ExposeAs("name")] = ""
            other: Annotated[int, ExposeAs("other")] = 5
            leaf: Leaf | None = None
            own: dict[str, Any] = {}

            async def resolve_name(self):
                await turns(4)
                return f"middle {self.id}"

            def resolve_leaf(self):
                return Leaf()

            def resolve_own(self, ancestor_context):
                return dict(ancestor_context)

        class Top(BaseModel):
            __pydantic_resolve_expose__: ClassVar[dict[str, str]] = {"title": "title", "name": "name"}
            id: int = 0
            title: Annotated[str, Load(source, by="id")] = ""
            name: str = "top"
            middles: list[Middle] = []
            leaf: Leaf

            def resolve_middles(self):
                return [{"id": 1}, {"id": 2}]

        async def law():
            return await Resolver().resolve(Top(leaf=Leaf()))

        top = run(law)
        assert top.leaf.seen == top.leaf.late == {"title": "0", "name": "top"}
        for middle in top.middles:
            assert middle.own == {"title": "0", "name": "top"}
            assert middle.leaf.seen == {"title": "0", "name": f"middle {middle.id}", "other": 5}

    def test_without_exposed_fields_it_is_empty(self, run):
        """At the root and below."""

        class Leaf(BaseModel):
            seen: Any = None

            def resolve_seen(self, ancestor_context):
                return len(ancestor_context)

        class Top(BaseModel):
            leaf: Leaf

        async def law():
            return await Resolver().resolve([Top(leaf=Leaf()), Leaf()])

        top, leaf = run(law)
        assert (top.leaf.seen, leaf.seen) == (0, 0)


class TestBehindOpenTypes:
    """Classes that no type names are served like any other."""

    def test_ancestors_and_collectors_reach_through(self, run):
        """A generic that was not made concrete, a named tuple, a protocol."""

        class Leaf(BaseModel):
            id: Annotated[int, SendTo("ids")]
            name: str = ""

            def resolve_name(self, ancestor_context, parent):
                return f"{ancestor_context['title']} {type(parent).__name__}"

        class Box(BaseModel, Generic[T]):
            content: T

        class Top(BaseModel):
            title: Annotated[str, ExposeAs("title")]
            box: Box
            ids: list[int] = []

            def post_ids(self, ids=Collector("ids")):
                return ids.values()

        async def law():
            leaf = Leaf(id=5)
            tops = [Top(title=title, box=Box(content=leaf)) for title in "ab"]
            await Resolver().resolve(tops)
            assert [top.box.content.name for top in tops] == ["a Box", "b Box"]
            assert [top.ids for top in tops] == [[5], [5]]

        run(law)


class TestCollectors:
    """`SendTo` and `Collector`."""

    def test_values_come_in_the_order_of_the_tree(self, run):
        """Each node before those below it, fields in the order of the class; whatever is loaded first."""
        fast = Source(lambda key: [{"id": key}, {"id": key + 1}], "fast")
        slowly = Source(lambda key: [{"id": key}], "slowly", turns=20)

        class Leaf(BaseModel):
            kind: Literal["leaf"] = "leaf"
            id: Annotated[int, SendTo("ids")]

        class Other(BaseModel):
            kind: Literal["other"] = "other"
            id: Annotated[int, SendTo("ids")]
            leaves: Annotated[list[Leaf], Load(fast, by="id")] = []

        class Node(BaseModel):
            id: Annotated[int, SendTo("ids")]
            slow: Annotated[list[Leaf], Load(slowly, by="id")] = []
            mixed: list[Leaf | Other]
            quick: Annotated[list[Other], Load(fast, by="id")] = []

        class Top(BaseModel):
            nodes: list[Node]
            ids: list[int] = []

            def post_ids(self, ids=Collector("ids")):
                return ids.values()

        async def law():
            mixed = [{"kind": "other", "id": 60}, {"kind": "leaf", "id": 70}, {"kind": "other", "id": 80}]
            return await Resolver().resolve(Top(nodes=[{"id": 10, "mixed": mixed}, {"id": 20, "mixed": []}]))

        other = lambda id: [id, id, id + 1]  # noqa: E731
        first = [10, 10, *other(60), 70, *other(80), *other(10), *other(11)]
        assert run(law).ids == [*first, 20, 20, *other(20), *other(21)]

    def test_every_form(self, run):
        """Flat, several names, a tuple of fields, subclasses, nested collectors, class-level markers, the handler."""

        class Count(ICollector):
            def __init__(self, alias):
                super().__init__(alias)
                self.count = 0

            def add(self, val):
                self.count += 1

            def values(self):
                return self.count

        class Comment(BaseModel):
            __pydantic_resolve_collect__: ClassVar[dict] = {("id", "text"): "pairs", "id": ("ids", "all ids")}
            id: int
            text: str
            tags: Annotated[list[str], SendTo("tags")] = []
            author: Annotated[str, SendTo(("people", "names"))] = ""
            after: Annotated[str, SendTo("after")] = ""

            def post_after(self):
                return f"after {self.id}"

        class Blog(BaseModel):
            comments: list[Comment] = []
            ids: list[int] = []

            async def post_ids(self, ids=Collector("ids")):
                return ids.values()

        class Site(BaseModel):
            blogs: list[Blog]
            pairs: list[Any] = []
            tags: list[str] = []
            count: int = 0
            people: list[str] = []
            seen: list[Any] = []

            def post_pairs(self, pairs=Collector("pairs")):
                return pairs.values()

            def post_tags(self, tags=Collector(alias="tags", flat=True)):
                return tags.values()

            def post_count(self, count=Count("ids"), context=None):
                return count.values()

            def post_people(self, people=Collector("people"), names=Collector("names")):
                return people.values() + names.values()

            def post_default_handler(
                self, ids=Collector("all ids"), after=Collector("after"), no=Collector("nobody")
            ):
                self.seen = [ids.values(), after.values(), no.values()]

        async def law():
            comments = [Comment(id=n, text=str(n), tags=["x"] * n, author=f"u{n}") for n in (1, 2)]
            blogs = [Blog(comments=comments), Blog(comments=[Comment(id=3, text="3")]), Blog()]
            return await Resolver(context={}).resolve([Site(blogs=blogs), Site(blogs=[])])

        site, empty = run(law)
        assert [blog.ids for blog in site.blogs] == [[1, 2], [3], []]
        assert site.pairs == [[1, "1"], [2, "2"], [3, "3"]]
        assert site.tags == ["x"] * 3
        assert site.count == 3
        assert site.people == ["u1", "u2", ""] * 2
        assert site.seen == [[1, 2, 3], ["after 1", "after 2", "after 3"], []]
        assert empty.seen == [[], [], []]

    def test_a_flat_collector_takes_lists(self, run):
        """Anything else is refused, and the note names the node that collects."""

        class Comment(BaseModel):
            id: Annotated[int, SendTo("ids")]

        class Blog(BaseModel):
            comments: list[Comment]
            ids: list[int] = []

            def post_ids(self, ids=Collector("ids", flat=True)):
                return ids.values()

        async def law():
            with pytest.raises(TypeError, match="takes lists, not int") as caught:
                await Resolver().resolve([Blog(comments=[]), Blog(comments=[Comment(id=1)])])
            assert caught.value.__notes__ == ["while resolving Blog[1].ids"]

        run(law)

    def test_a_node_sends_to_those_above_and_not_to_itself(self, run):
        """Recursive nodes each collect what is below them."""

        class Node(BaseModel):
            id: Annotated[int, SendTo("ids")]
            below: list["Node"] = []
            ids: list[int] = []

            def post_ids(self, ids=Collector("ids")):
                return ids.values()

        async def law():
            return await Resolver().resolve(Node(id=1, below=[Node(id=2, below=[Node(id=3)]), Node(id=4)]))

        node = run(law)
        assert node.ids == [2, 3, 4]
        assert node.below[0].ids == [3]
        assert node.below[1].ids == []


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
