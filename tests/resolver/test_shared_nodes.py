"""Nodes that stand in several places, or below themselves: resolved once, and right in each place."""

from collections import OrderedDict, UserDict, UserList, defaultdict, deque
from collections.abc import Mapping, MutableSet, Sequence, Set as AbstractSet
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple, Optional

import pytest
from loops import turns
from pydantic import BaseModel, ConfigDict
from resolving import Source

from dloader.resolver import Collector, ExposeAs, Load, LoaderDepend, Resolver, SendTo


class Labelled(list):
    label = "mine"


class Couple(tuple):
    __slots__ = ()


class Stubborn(Sequence):
    """Cannot be made of items."""

    def __init__(self, *, items):
        self._items = items

    def __getitem__(self, index):
        return self._items[index]

    def __len__(self):
        return len(self._items)


class Bag(MutableSet):
    def __init__(self, members=()):
        self.members = list(members)

    def __contains__(self, item):
        return item in self.members

    def __iter__(self):
        return iter(self.members)

    def __len__(self):
        return len(self.members)

    def __copy__(self):
        return Bag(self.members)

    def add(self, item):
        if item not in self.members:
            self.members.append(item)

    def discard(self, item):
        self.members.remove(item)


CONTAINERS = [
    lambda node: deque([node, node], maxlen=5),
    lambda node: OrderedDict(a=node, b=node),
    lambda node: defaultdict(int, {"a": node}),
    lambda node: MappingProxyType({"a": node}),
    lambda node: UserList([node]),
    lambda node: UserDict(a=node),
    lambda node: Labelled([node, node]),
    lambda node: Couple([node, node]),
    lambda node: Stubborn(items=[node]),
    lambda node: Bag() | {node},
]


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
    def test_a_cycle_that_closes_far_below(self, run, asks):
        """The way up is looked for first at its end: each node on it is found, and none is copied."""

        class Last(BaseModel):
            back: Any = None
            typed: Optional["Second"] = None
            count: int = 0

            def post_count(self):
                return self.count + 1

        class Third(BaseModel):
            last: Last
            count: int = 0

            def post_count(self):
                return self.count + 1

        class Second(BaseModel):
            third: Third
            count: int = 0
            of: int = 0

            def post_count(self):
                return self.count + 1

            if asks:

                def post_of(self, parent):
                    return 1

        class First(BaseModel):
            second: Second

        Last.model_rebuild(_types_namespace={"Second": Second})

        async def law():
            last = Last()
            second = Second(third=Third(last=last))
            last.typed = second
            await Resolver().resolve(First(second=second))
            assert last.typed is second
            assert (second.count, second.third.count, last.count) == (1, 1, 1)

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
    @pytest.mark.parametrize("awaits", [0, 3])
    def test_roots_that_also_stand_below_roots_are_done_first(self, run, order, awaits):
        """A node is posted after those it holds, wherever else these stand; loading posts share their batches."""
        source = Source(str)

        class Node(BaseModel):
            id: int
            below: list["Node"] = []
            total: int = 0
            name: str = ""

            async def post_total(self):
                await turns(awaits)
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

    @pytest.mark.parametrize("order", [1, -1])
    def test_what_is_done_below_roots_that_stand_below_roots_stays_done(self, run, order):
        """Roots wait for one another; what they hold besides does not, and is posted once."""
        posted = []

        class Leaf(BaseModel):
            id: int
            name: str = ""

            def post_name(self):
                posted.append(self.id)
                return f"leaf {self.id}"

        class Node(BaseModel):
            leaf: Leaf
            below: list["Node"] = []
            names: list[str] = []

            def post_names(self):
                return [self.leaf.name, *(name for node in self.below for name in node.names)]

        async def law():
            last = Node(leaf=Leaf(id=3))
            middle = Node.model_construct(leaf=Leaf(id=2), below=[last], names=[])
            first = Node.model_construct(leaf=Leaf(id=1), below=[middle], names=[])
            await Resolver().resolve([first, middle, last][::order])
            assert first.names == ["leaf 1", "leaf 2", "leaf 3"]

        run(law)
        assert sorted(posted) == [1, 2, 3]

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
        """Named tuples, sets and frozensets."""

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

    @pytest.mark.parametrize("make", CONTAINERS, ids=[str(index) for index in range(len(CONTAINERS))])
    def test_any_container_keeps_its_kind_and_what_it_has_beside_items(self, run, make):
        """A greatest length, a default factory; one that cannot be made anew becomes a list or a dict."""

        class Shared(BaseModel):
            model_config = ConfigDict(frozen=True)

            above: int = 0

            def resolve_above(self, parent):
                return parent.id

        class Holder(BaseModel):
            id: int
            held: Sequence[Shared] | Mapping[str, Shared] | AbstractSet[Shared]

        async def law():
            shared = Shared()
            tree = [Holder.model_construct(id=n, held=make(shared)) for n in (1, 2)]
            await Resolver().resolve(tree)
            for holder in tree:
                held, given = holder.held, make(shared)
                if isinstance(given, Stubborn):
                    assert type(held) in {list, Stubborn}
                else:
                    assert type(held) is type(given)
                items = held.values() if isinstance(held, Mapping) else held
                assert [item.above for item in items] == [holder.id] * len(given)
                for attribute in ("maxlen", "default_factory", "label"):
                    assert getattr(held, attribute, None) == getattr(given, attribute, None)

        run(law)
