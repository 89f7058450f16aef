"""What things cost when there are many of them: each costs the same, however many there are. Counted, never timed."""

import asyncio
import gc
import sys
import typing
import weakref
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, Optional

import pytest
from counting import growth, steps_of, without_collector
from pydantic import BaseModel, Field, create_model

from dloader import DataLoader
from dloader.resolver import Collector, Load, LoaderDepend, Resolver, SendTo
from dloader.resolver._plan._model_graph import Subtree
from dloader.resolver._run import _collectors

LINEAR = 1.1
"""More than this is `growth` that goes on for ever; a quadratic share of a tenth is more."""


def resolved(root: Any, **arguments: Any) -> Any:
    return asyncio.run(Resolver(**arguments).resolve(root))


async def echo(keys):
    return keys


async def slowly(keys):
    await asyncio.sleep(0)
    return keys


class Leaf(BaseModel):
    id: int
    answer: int = 0

    def resolve_answer(self):
        return self.id


class Linked(BaseModel):
    """Down to the last level; what stands beside the next level is a node of its own."""

    id: int
    beside: Optional["Linked"] = None
    next: Optional["Linked"] = None


def chain(cls: Any, levels: int, **values: Any) -> Any:
    link = None
    for level in reversed(range(levels)):
        link = cls.model_construct(id=level, next=link, **{name: make() for name, make in values.items()})
    return link


class TestDeepTrees:
    @pytest.mark.parametrize("loads", [echo, slowly])
    @pytest.mark.parametrize("has_siblings", [False, True])
    def test_a_level_whose_posts_load_costs_the_same_at_any_depth(self, loads, has_siblings):
        class Posting(Linked):
            total: int = 0
            beside: Optional["Posting"] = None
            next: Optional["Posting"] = None

            def post_total(self, loader=LoaderDepend(loads)):
                return loader.load(self.id)

        def work(levels):
            values = {"beside": lambda: Posting(id=-1)} if has_siblings else {}
            root = chain(Posting, levels, **values)
            assert resolved(root).next.total == 1

        assert growth(work, 40) < LINEAR

    def test_a_level_costs_the_same_while_others_above_are_still_loading(self):
        gates: list[asyncio.Event] = []

        async def gated(keys):
            await gates[-1].wait()
            return keys

        async def deeper(keys):
            if keys == [0]:
                gates[-1].set()
            return [{"id": key, "above": key - 1} if key >= 0 else None for key in keys]

        class Level(BaseModel):
            id: int
            above: int
            slow: Annotated[int, Load(gated, by="id")] = -1
            next: Annotated[Optional["Level"], Load(deeper, by="above")] = None

        async def fill(levels):
            gates.append(asyncio.Event())
            root = await Resolver().resolve(Level(id=levels, above=levels - 1))
            assert root.next.slow == levels - 1

        assert growth(lambda levels: asyncio.run(fill(levels)), 40) < LINEAR

    @pytest.mark.parametrize("is_recursive", [False, True])
    def test_one_node_that_all_levels_hold_costs_the_same_at_any_depth(self, is_recursive):
        class Shared(BaseModel):
            id: int = -1
            level: int = -1

            def resolve_level(self, parent):
                return parent.id

        class Holding(Linked):
            beside: Shared = None
            next: Optional["Holding"] = None

        class Recursive(Linked):
            level: int = -2
            beside: Optional["Recursive"] = None
            next: Optional["Recursive"] = None

            def resolve_level(self, parent):
                return -1 if parent is None else parent.id

        def work(levels):
            shared = Recursive(id=-1) if is_recursive else Shared()
            link = resolved(chain(Recursive if is_recursive else Holding, levels, beside=lambda: shared))
            for level in range(levels):
                assert link.beside.level == level
                link = link.next

        assert growth(work, 40) < LINEAR

    def test_loaded_models_of_a_recursive_class_cost_the_same_at_any_depth(self):
        class Row(BaseModel):
            id: int
            above: int = 0
            level: int = -1
            next: Annotated[Optional["Row"], Load(lambda keys: rows(keys), by="above")] = None

            def post_level(self):
                return self.id

        async def rows(keys):
            return [None if key < 0 else Row(id=key, above=key - 1) for key in keys]

        def work(levels):
            assert resolved(Row(id=levels, above=levels - 1)).next.level == levels - 1

        assert growth(work, 40) < LINEAR

    @pytest.mark.parametrize(
        "what", ["senders in a chain", "senders with one beside", "senders beside a chain"]
    )
    def test_what_is_sent_from_far_below_is_not_copied_at_each_level(self, what, monkeypatch):
        """Counted are the values that are written into lists on the way, which Python does in one step."""

        class Sender(BaseModel):
            id: Annotated[int, SendTo("ids")]
            beside: Optional["Sender"] = None
            next: Optional["Sender"] = None

        class Silent(BaseModel):
            id: int
            beside: Optional[Sender] = None
            next: Optional["Silent"] = None

        class Top(BaseModel):
            tops: list[Silent | Sender]
            ids: list[int] = []

            def post_ids(self, ids=Collector("ids")):
                return ids.values()

        join, copied = _collectors._joined, 0

        def joined(*arguments):
            nonlocal copied
            sent = join(*arguments)
            copied += len(sent.values)
            return sent

        def work(levels):
            nonlocal copied
            beside = {} if what == "senders in a chain" else {"beside": lambda: Sender(id=-1)}
            cls = Silent if what == "senders beside a chain" else Sender
            tops = [chain(cls, levels, **beside) for _ in range(3)]
            down = list(range(levels))
            if what == "senders with one beside":
                down = [each for level in down for each in (level, -1)]
            copied = 0
            assert resolved(Top(tops=tops)).ids == 3 * (down if cls is Sender else [-1] * levels)
            return copied

        monkeypatch.setattr(_collectors, "_joined", joined)
        one, two, three = map(work, (100, 200, 300))
        assert three - two < LINEAR * (two - one)


class TestWideTrees:
    def test_a_class_among_others_in_one_list_costs_the_same_however_many_there_are(self):
        classes = [type(f"Event{number}", (Leaf,), {"__module__": __name__}) for number in range(120)]

        class Feed(BaseModel):
            events: list[Leaf]

        def work(count):
            feed = resolved(Feed.model_construct(events=[cls(id=1) for cls in classes[:count]]))
            assert all(event.answer == 1 for event in feed.events)

        assert growth(work, 40) < LINEAR

    def test_what_two_fields_send_costs_the_same_however_many_nodes_there_are(self):
        class Sender(BaseModel):
            id: Annotated[int, SendTo("ids")]

        class Middle(BaseModel):
            one: list[Sender]
            other: list[Sender]

        class Top(BaseModel):
            middle: list[Middle]
            ids: list[int] = []

            def post_ids(self, ids=Collector("ids")):
                return ids.values()

        def work(count):
            middle = [
                Middle(one=[Sender(id=index)], other=[Sender(id=-index)]) for index in range(1, count + 1)
            ]
            assert resolved(Top(middle=middle)).ids == [
                sign * index for index in range(1, count + 1) for sign in (1, -1)
            ]

        assert growth(work, 50) < LINEAR


class TestWhatIsNotAsked:
    def test_what_nobody_collects_is_not_read(self):
        """Read it could not be: the nodes lack the field."""

        class Sender(BaseModel):
            id: Annotated[int, SendTo("ids")]
            name: Annotated[str, SendTo("names")]

        class Top(BaseModel):
            senders: list[Sender]
            ids: list[int] = []

            def post_ids(self, ids=Collector("ids")):
                return ids.values()

        class Silent(BaseModel):
            senders: list[Sender]

        nameless = [Sender.model_construct(id=1), Sender.model_construct(id=2)]
        assert resolved(Top(senders=nameless)).ids == [1, 2]
        empty = [Sender.model_construct()]
        resolved(Silent(senders=empty))
        with pytest.raises(AttributeError, match="id"):
            resolved(Top(senders=empty))

    def test_a_node_that_stands_in_one_place_is_not_copied(self):
        copies = 0

        class Node(BaseModel):
            id: int
            label: str = ""
            path: str = ""
            beside: Optional["Node"] = None
            next: Optional["Node"] = None

            def __copy__(self):
                nonlocal copies
                copies += 1
                return super().__copy__()

            def resolve_path(self, parent):
                return f"{parent.path if parent else ''}/{self.id}{self.label}"

            def post_default_handler(self):
                self.label = "done"

        root = resolved(chain(Node, 5))
        assert (root.next.path, copies) == ("/0/1", 0)

        shared = Node(id=9)
        root = resolved(chain(Node, 5, beside=lambda: shared))
        assert root.beside is shared
        assert root.next.beside.path == "/0/1/9"
        assert copies == 4

    def test_classes_below_cost_a_resolve_nothing(self):
        """Whether new subclasses were defined is looked at in one pass that takes no step of Python's for each."""

        def steps(count):
            fields = {
                f"field{number}": (list[create_model(f"Below{number}", __base__=Leaf)], Field([]))
                for number in range(count)
            }
            root: Any = create_model("Root", items=(list[create_model("Item", **fields)], Field([])))  # type: ignore[call-overload]
            with without_collector():
                resolved(root())
                return steps_of(lambda: resolved(root()))

        assert steps(80) == steps(20)

    def test_subclasses_by_several_ways_are_looked_at_once(self):
        """Each pair of classes below has both of the pair above as bases: 2 ** 25 ways lead down."""
        pair = [Leaf, type("Second", (Leaf,), {"__module__": __name__})]
        pair = [type(name, (pair[1],), {"__module__": __name__}) for name in "ab"]
        for _ in range(25):
            pair = [type(name, tuple(pair), {"__module__": __name__}) for name in "ab"]
        holder = create_model("Holder", item=(pair[0].__mro__[-4], ...))
        assert resolved(holder(item=pair[0](id=3))).item.answer == 3


class Session:
    """Something that a loader is given."""


class TestOncePerClass:
    @pytest.mark.parametrize(
        ("annotation", "value"),
        [
            (int, 1),
            (Literal["open"], "open"),
            (str | None, None),
            (Optional[Literal[1, 2]], 2),
            (Session, Session()),
        ],
        ids=["class", "literal", "union", "nested", "own"],
    )
    def test_annotations_of_parameters_are_evaluated_once(self, monkeypatch, annotation, value):
        evaluated = 0
        real = typing.get_type_hints

        def counting(*args, **kwargs):
            nonlocal evaluated
            evaluated += 1
            return real(*args, **kwargs)

        monkeypatch.setattr(typing, "get_type_hints", counting)
        loader_class = type(
            "Given", (Echoing,), {"__annotations__": {"given": annotation}, "__module__": __name__}
        )

        class Node(BaseModel):
            id: int
            answer: Annotated[Any, Load(loader_class, by="id")] = None

        for _ in range(3):
            node = resolved(Node(id=1), global_loader_param={"given": value})
            assert node.answer == (1, value)
            if not evaluated:
                break
            before, evaluated = evaluated, 0
        else:
            pytest.fail("annotations are evaluated each time")
        assert before

    @pytest.mark.parametrize("annotation", ["Given", "list[Given]", "Given | None"])
    def test_annotations_keep_no_loader_class_alive(self, annotation):
        def used():
            namespace = {"__annotations__": {"given": annotation}, "__module__": __name__}
            loader_class = type("Given", (Echoing,), namespace)
            loader_class.Given = loader_class

            class Node(BaseModel):  # no Annotated: typing keeps the markers in it
                id: int
                answer: Any = None

                def resolve_answer(self, loader=LoaderDepend(loader_class)):
                    return loader.load(self.id)

            for _ in range(2):
                given = [] if annotation.startswith("list") else loader_class()
                assert resolved(Node(id=1), global_loader_param={"given": given}).answer[0] == 1
            return weakref.ref(loader_class)

        reference = used()
        assert any(gc.collect() >= 0 and reference() is None for _ in range(4))

    @pytest.mark.parametrize("has_method", [False, True])
    def test_a_resolve_leaves_nothing_for_the_garbage_collector(self, has_method):
        """What refers to each other waits for it, and then it takes a tenth of the time of small resolves."""
        root = Method(id=1) if has_method else Declared(id=1)
        resolver = Resolver()

        async def law():
            await resolver.resolve(root.model_copy(deep=True))
            with without_collector():
                gc.collect()
                await resolver.resolve(root)
                assert gc.collect() == 0
            assert root.next.next.id == 3

        asyncio.run(law())

    def test_subtrees_that_are_no_more_are_forgotten(self):
        """Classes made at run time, whose loaders take what the resolver gives."""

        class Scaled(DataLoader):
            factor: int

            async def batch_load_fn(self, keys):
                return [self.factor * key for key in keys]

        class Lasting(Leaf):
            scaled: int = 0

            def resolve_scaled(self, loader=LoaderDepend(Scaled)):
                return loader.load(self.id)

        resolver, where_they_were = Resolver(global_loader_param={"factor": 2}), []
        for _ in range(40):
            cls = type("Temporary", (Lasting,), {"__module__": __name__})
            assert asyncio.run(resolver.resolve(cls(id=1))).scaled == 2
            del cls
            gc.collect()
            gc.collect()
            # The next one would be in the same place, and be taken for it.
            where_they_were += [object.__new__(Subtree) for _ in range(20)]
        assert 0 < len(resolver._accepted) < 12


async def next_rows(keys):
    return [{"id": key + 1} if key < 3 else None for key in keys]


class Declared(BaseModel):
    id: int
    next: Annotated[Optional["Declared"], Load(next_rows, by="id")] = None


class Method(BaseModel):
    id: int
    next: Optional["Method"] = None
    again: Annotated[int | None, SendTo("ids")] = None
    ids: list[int] = []

    def resolve_next(self, loader=LoaderDepend(next_rows)):
        return loader.load(self.id)

    def resolve_again(self, parent):
        return self.id

    def post_ids(self, ids=Collector("ids")):
        return ids.values()


class Echoing(DataLoader[int, Any]):
    """Answers with each key and the parameter."""

    async def batch_load_fn(self, keys):
        return [(key, self.given) for key in keys]


class TestNamedTuples:
    def test_a_named_tuple_of_plain_values_costs_what_a_class_without_it_costs(self):
        class Point(NamedTuple):
            lat: float
            lon: float

        async def cities(keys):
            return [{"id": key, "at": (1.5, 2.5)} for key in keys]

        class Plain(BaseModel):
            id: int
            at: tuple[float, float]

        class City(BaseModel):
            id: int
            at: Point

        def person(kind):
            class Person(BaseModel):
                city_id: int
                city: Annotated[kind | None, Load(cities, by="city_id")] = None

            return Person

        def steps(kind):
            cls = person(kind)
            people = [cls(city_id=number % 2) for number in range(50)]
            with without_collector():
                resolved([cls(city_id=1)])
                steps = steps_of(lambda: resolved(people))
            assert people[0].city is people[2].city is not people[1].city
            assert people[0].city.at == (1.5, 2.5)
            return steps

        assert steps(City) < 1.2 * steps(Plain)

    def test_nodes_in_named_tuples_are_found(self):
        class Two(NamedTuple):
            left: Leaf
            right: Leaf | None

        class Untyped(BaseModel):
            two: Two
            pair: "tuple[Two, ...]" = ()

        found = resolved(Untyped(two=Two(Leaf(id=1), None), pair=(Two(Leaf(id=2), Leaf(id=3)),)))
        assert found.two.left.answer == 1
        assert [leaf.answer for leaf in found.pair[0]] == [2, 3]

    def test_nodes_are_found_in_a_named_tuple_whose_types_cannot_be_told(self):
        class Odd(NamedTuple):
            leaf: "NobodyKnowsThis"  # noqa: F821

        @dataclass
        class Holder:
            odd: Odd

        assert resolved(Holder(Odd(Leaf(id=4)))).odd.leaf.answer == 4


class TestLevels:
    """Of one node each: what one parent with what belongs to it is, which most requests ask for."""

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks start eagerly since 3.12")
    @pytest.mark.parametrize(("by_method", "most"), [(False, 3_000), (True, 3_150)])
    def test_a_level_of_one_node_with_one_load_costs_few_steps(self, by_method, most):
        class Numbers(DataLoader[int, Any]):
            async def batch_load_fn(self, keys):
                return [{"id": key - 1} if key else None for key in keys]

        class Loading(BaseModel):
            id: int
            next: Annotated[Optional["Loading"], Load(Numbers, by="id")] = None

        class Calling(BaseModel):
            id: int
            next: Optional["Calling"] = None

            def resolve_next(self, loader=LoaderDepend(Numbers)):
                return loader.load(self.id)

        def steps(levels):
            with without_collector():
                return steps_of(lambda: resolved((Calling if by_method else Loading)(id=levels)))

        steps(10)
        assert (steps(110) - steps(10)) / 100 < most, "3,346 and 3,147 when a lone key went the way of many"


class TestRows:
    """Of models with nothing but columns: Pydantic does all that is done to a row."""

    @staticmethod
    def steps(rows: Any, into: Any, **arguments: Any) -> int:
        resolver = Resolver()
        with without_collector(), asyncio.Runner() as runner:
            runner.run(resolver.resolve(rows, into=into, **arguments))
            return steps_of(lambda: runner.run(resolver.resolve(rows, into=into, **arguments)))

    def test_rows_cost_no_step_each(self):
        class Column(BaseModel):
            id: int

        def rows(count):
            return [{"id": number} for number in range(count)]

        few = self.steps(rows(10), list[Column])
        assert few == self.steps(rows(1_000), list[Column])
        assert few < 700, "1,420 when types were read, and nodes looked for, each time"
        assert self.steps(rows(1)[0], Column) < 700

    def test_rows_of_which_nothing_is_filled_cost_no_step_each(self):
        class Filled(BaseModel):
            id: int
            owner: Annotated[int, Load(echo, by="id")]

        def rows(count):
            return [{"id": number} for number in range(count)]

        few = self.steps(rows(10), list[Filled], exclude={"owner"})
        assert few == self.steps(rows(1_000), list[Filled], exclude={"owner"})
        assert few < 1_700, "3,369 when an engine was made for them"

    def test_what_rows_are_is_seen_in_one_pass_that_python_takes_no_step_of(self):
        class Item(BaseModel):
            id: int
            label: str = ""

            def post_label(self):
                return "x"

        async def counted(keys):
            return [[{"id": number} for number in range(key)] for key in keys]

        class Holder(BaseModel):
            id: int
            items: Annotated[list[Item], Load(counted, by="id")] = []

        def steps(count):
            with without_collector():
                resolved(Holder(id=count))
                return steps_of(lambda: resolved(Holder(id=count)))

        own = steps(0)
        assert (steps(1_000) - own) / 1_000 < 41, "50 with a look for names and for what nodes lack"
