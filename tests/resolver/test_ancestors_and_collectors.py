"""What nodes see of those above them, and what they send up to them."""

from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

import pytest
from loops import turns
from pydantic import BaseModel
from resolving import Source

from dloader.resolver import Collector, ExposeAs, ICollector, Load, Resolver, SendTo

T = TypeVar("T")

T = TypeVar("T")


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


class TestCollectorsOfUsers:
    """A subclass may build on `Collector`."""

    def test_it_may_call_the_base_class(self, run):
        """And sees each value once."""

        class Counting(Collector):
            count = 0

            def add(self, val):
                self.count += 1
                super().add(val)

            def values(self):
                return [self.count, *super().values()]

        class Leaf(BaseModel):
            id: Annotated[int, SendTo("ids")]

        class Root(BaseModel):
            leaves: list[Leaf]
            ids: list[int] = []

            def post_ids(self, ids=Counting("ids")):
                return ids.values()

        async def law():
            root = await Resolver().resolve(Root(leaves=[Leaf(id=5), Leaf(id=6)]))
            assert root.ids == [2, 5, 6]

        run(law)
