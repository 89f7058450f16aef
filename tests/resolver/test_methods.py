"""`resolve_` and `post_` methods: when they run, what they may return, what they are given."""

import asyncio
import dataclasses
import sys
from typing import Annotated, Any

import pytest
from loops import turns
from pydantic import BaseModel
from resolving import Source

from dloader import DataLoader, LoaderRegistry
from dloader.resolver import Load, Loader, LoaderDepend, Resolver, mapper


class TestOrder:
    """Resolve, children, post, post_default_handler."""

    def test_a_node_is_resolved_before_its_children_and_posted_after_them(self, run):
        """Whatever the methods are; sync ones in the order of their definition."""
        calls = []

        class Child(BaseModel):
            name: str
            x: int = 0
            y: int = 0

            def resolve_x(self):
                calls.append(f"child {self.name}")
                return 1

            def post_y(self):
                calls.append(f"post {self.name}")
                return self.x + 1

        class Parent(BaseModel):
            a: Child | None = None
            b: Child | None = None
            total: int = 0
            twice: int = 0

            def resolve_a(self):
                calls.append("resolve a")
                return Child(name="a")

            async def resolve_b(self):
                calls.append("resolve b")
                await turns(3)
                return Child(name="b")

            def post_default_handler(self):
                calls.append("handler")
                self.twice += 1

            def post_total(self):
                calls.append("post total")
                return self.a.y + self.b.y

            async def post_twice(self):
                calls.append("post twice")
                await turns(1)
                return self.total * 2

        async def law():
            return await Resolver().resolve(Parent())

        parent = run(law)
        assert (parent.total, parent.twice) == (4, 9)
        assert calls[-3:] == ["post total", "post twice", "handler"]
        assert calls[0] == "resolve a"
        for name in "ab":
            assert calls.index(f"resolve {name}") < calls.index(f"child {name}") < calls.index(f"post {name}")

    def test_an_async_default_handler_may_load(self, run):
        """All of one depth in one batch; what it returns is ignored."""
        source = Source(str)

        class Node(BaseModel):
            id: int
            name: str = ""

            async def post_default_handler(self, loader=LoaderDepend(source)):
                self.name = await loader.load(self.id)
                return "ignored"

        async def law():
            return await Resolver().resolve([Node(id=1), Node(id=2)])

        assert [node.name for node in run(law)] == ["1", "2"]
        assert source.calls == [[1, 2]]

    def test_the_handlers_of_different_classes_share_a_batch(self, run):
        """Also where one of them has a slow post before it."""
        source, slow = Source(str), Source(str, turns=20)

        class Cat(BaseModel):
            name: str = ""
            seen: str = ""

            def post_seen(self, loader=LoaderDepend(slow)):
                return loader.load("cat")

            def post_default_handler(self, loader=LoaderDepend(source)):
                return loader.load("cat")

        class Dog(BaseModel):
            def post_default_handler(self, loader=LoaderDepend(source)):
                return loader.load("dog")

        async def law():
            await Resolver().resolve([Cat(), Dog()])

        run(law)
        assert [sorted(call) for call in source.calls] == [["cat", "dog"]]


class TestReturnValues:
    """What a method may return."""

    def test_values_futures_coroutines_and_awaitables_of_futures(self, run):
        """All are awaited until a plain value is left; one class may return different kinds for its nodes."""

        class Later:
            def __init__(self, value):
                self.value = value

            def __await__(self):
                yield from asyncio.sleep(0).__await__()
                return self.value

        async def coroutine(value):
            await turns(1)
            return value

        def make(kind):
            future = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(future.set_result, 7)
            done = asyncio.get_running_loop().create_future()
            done.set_result(7)
            return {
                "value": lambda: 7,
                "future": lambda: future,
                "done": lambda: done,
                "coroutine": lambda: coroutine(7),
                "awaitable": lambda: Later(7),
                "coroutine of a future": lambda: coroutine(future),
                "awaitable of a coroutine": lambda: Later(coroutine(7)),
                "task": lambda: asyncio.ensure_future(coroutine(7)),
                "loader": lambda: DataLoader(Source(lambda key: key)).load(7),
                "loaders": lambda: DataLoader(Source(Later)).load(7),
            }[kind]()

        class Node(BaseModel):
            kind: str
            sync: int = 0
            other: int = 0

            def resolve_sync(self):
                return make(self.kind)

            async def resolve_other(self):
                return make(self.kind)

        kinds = [
            "value",
            "future",
            "done",
            "coroutine",
            "awaitable",
            "coroutine of a future",
            "awaitable of a coroutine",
        ]
        kinds += ["task", "loader", "loaders"]

        async def law():
            together = await Resolver().resolve([Node(kind=kind) for kind in kinds])
            alone = [await Resolver().resolve(Node(kind=kind)) for kind in kinds]
            return together + alone

        assert [(node.sync, node.other) for node in run(law)] == [(7, 7)] * 2 * len(kinds)

    def test_a_load_many_per_node(self, run):
        """One future of a list for each."""
        source = Source(lambda key: key * 2)

        class Node(BaseModel):
            ids: list[int]
            values: list[int] = []

            def resolve_values(self, loader=LoaderDepend(source)):
                return loader.load_many(self.ids)

        async def law():
            return await Resolver().resolve([Node(ids=[1, 2]), Node(ids=[]), Node(ids=[2, 3])])

        assert [node.values for node in run(law)] == [[2, 4], [], [4, 6]]
        assert source.calls == [[1, 2, 3]]

    def test_a_load_that_is_done_already(self, run):
        """A method that awaits its load and returns the future all the same."""
        source = Source(str)

        class Node(BaseModel):
            id: int
            name: str = ""

            async def resolve_name(self, loader=LoaderDepend(source)):
                future = loader.load(self.id)
                await future
                return future

        async def law():
            return await Resolver().resolve([Node(id=1), Node(id=2)])

        assert [node.name for node in run(law)] == ["1", "2"]

    def test_a_loader_with_a_load_many_of_its_own(self, run):
        """`Load` asks it for one key at a time."""

        class Own(DataLoader):
            async def load_many(self, keys):
                raise AssertionError("never called")

            async def batch_load_fn(self, keys):
                return [str(key) for key in keys]

        class Node(BaseModel):
            id: int
            name: Annotated[str, Load(Own, by="id")] = ""

        async def law():
            return await Resolver().resolve([Node(id=1), Node(id=2)])

        assert [node.name for node in run(law)] == ["1", "2"]

    def test_a_method_may_load_for_some_nodes_only(self, run):
        """And return what it has for others."""
        source = Source(str)

        class Node(BaseModel):
            id: int | None
            name: str = ""

            def resolve_name(self, loader=LoaderDepend(source)):
                return "nobody" if self.id is None else loader.load(self.id)

        async def law():
            return await Resolver().resolve([Node(id=None), Node(id=1), Node(id=None)])

        assert [node.name for node in run(law)] == ["nobody", "1", "nobody"]


class TestDependencies:
    """How a method asks for loaders."""

    def test_loader_is_loader_depend(self):
        """Two names of one object."""
        assert Loader is LoaderDepend

    def test_every_form_asks_for_the_same_loader(self, run):
        """Default value, Annotated, Annotated around the class itself, with any parameter name."""

        class UserLoader(DataLoader[int, str]):
            calls = []

            async def batch_load_fn(self, keys):
                self.calls.append(list(keys))
                return [f"user {key}" for key in keys]

        class Task(BaseModel):
            id: int
            a: str = ""
            b: str = ""
            c: str = ""
            d: Annotated[str, Load(UserLoader, by="id")] = ""

            def resolve_a(self, loader=LoaderDepend(UserLoader)):
                assert isinstance(loader, UserLoader)
                return loader.load(self.id)

            def resolve_b(self, users: Annotated[UserLoader, LoaderDepend()]):
                return users.load(self.id)

            async def resolve_c(self, anything: Annotated[Any, Loader(UserLoader)], *rest, **more):
                return await anything.load(self.id)

        async def law():
            return await Resolver().resolve([Task(id=1), Task(id=2)])

        assert [(task.a, task.b, task.c, task.d) for task in run(law)] == [("user 1",) * 4, ("user 2",) * 4]
        assert UserLoader.calls == [[1, 2]]

    def test_a_method_may_have_been_made_by_exec(self, run):
        """Its annotations name what its own globals have, whatever module they say they are of."""
        names = {"Annotated": Annotated, "Loader": Loader, "squares": Source(lambda key: key * key)}
        annotation = "'Annotated[object, Loader(squares)]'"
        exec(f"def resolve_value(self, loader: {annotation}): return loader.load(self.id)", names)

        class Node(BaseModel):
            id: int
            value: int = 0
            resolve_value = names["resolve_value"]

        node = Node(id=3)
        run(lambda: Resolver().resolve(node))
        assert node.value == 9

    def test_the_identity_of_a_loader_is_the_object(self, run):
        """Two functions or classes from one factory are two loaders, although their names are the same."""

        def function(answer):
            async def load(keys):
                return [answer for _ in keys]

            return load

        def loader_class(answer):
            class Made(DataLoader):
                async def batch_load_fn(self, keys):
                    return [answer for _ in keys]

            return Made

        one, two = function("one"), function("two")
        three, four = loader_class("three"), loader_class("four")

        class Node(BaseModel):
            a: str = ""
            b: str = ""
            c: str = ""
            d: str = ""

            def resolve_a(self, loader=LoaderDepend(one)):
                return loader.load(1)

            def resolve_b(self, loader=LoaderDepend(two)):
                return loader.load(1)

            def resolve_c(self, loader=LoaderDepend(three)):
                return loader.load(1)

            def resolve_d(self, loader=LoaderDepend(four)):
                return loader.load(1)

        async def law():
            return await Resolver().resolve(Node())

        node = run(law)
        assert (node.a, node.b, node.c, node.d) == ("one", "two", "three", "four")

    def test_a_loader_instance_is_a_dependency(self, run):
        """It outlives the resolve, with its cache."""
        source = Source(str)
        shared = DataLoader(source)

        class Node(BaseModel):
            id: int = 1
            name: str = ""
            also: Annotated[str, Load(shared, by="id")] = ""

            def resolve_name(self, loader=LoaderDepend(shared)):
                assert loader is shared
                return loader.load(self.id)

        async def law():
            await Resolver().resolve(Node())
            await Resolver().resolve(Node())

        run(law)
        assert source.calls == [[1]]
        assert not shared.closed


class TestLoad:
    """The declarative form."""

    def test_null_keys_load_nothing(self, run):
        """Their fields keep their defaults; a level of null keys makes no batch."""
        source = Source(lambda key: {"name": f"user {key}"})

        class User(BaseModel):
            name: str

        class Task(BaseModel):
            owner_id: int | None = None
            owner: Annotated[User | None, Load(source, by="owner_id")] = None

        async def law():
            await Resolver().resolve([Task(), Task()])
            assert source.calls == []
            return await Resolver().resolve([Task(owner_id=2), Task(), Task(owner_id=1), Task(owner_id=2)])

        tasks = run(law)
        assert [task.owner and task.owner.name for task in tasks] == ["user 2", None, "user 1", "user 2"]
        assert source.calls == [[2, 1]]
        assert tasks[1].model_fields_set == set()


class TestNullKeys:
    """A key that is None loads nothing; what the field holds is walked like any other."""

    @pytest.mark.parametrize("kind", [BaseModel, None], ids=["model", "dataclass"])
    def test_the_nodes_that_are_there_are_filled(self, run, kind):
        """Defaults and given ones, in lists and dicts too, beside others that are loaded."""
        labels = Source(lambda key: f"#{key}")
        source = Source(lambda key: [{"id": key}])

        class Owner(BaseModel):
            id: int
            label: Annotated[str, Load(labels, by="id")] = ""
            posted: str = ""

            def post_posted(self):
                return self.label

        class Task:
            key: int | None = None
            owners: Annotated[list[Owner], Load(source, by="key")] = dataclasses.field(
                default_factory=lambda: [Owner(id=0)]
            )

        if kind is None:
            task = dataclasses.dataclass(Task)
        else:

            class task(BaseModel):
                key: int | None = None
                owners: Annotated[list[Owner], Load(source, by="key")] = [Owner(id=0)]

        async def law():
            return await Resolver().resolve(
                [task(), task(key=3), task(owners=[Owner(id=5)]), task(owners=[]), task(key=4)]
            )

        found = [[owner.posted for owner in one.owners] for one in run(law)]
        assert found == [["#0"], ["#3"], ["#5"], [], ["#4"]]
        assert source.calls == [[3, 4]]
        assert labels.calls == [[0, 3, 5, 4]]

    def test_all_keys_may_be_null(self, run):
        """Then no loader is made, and what is there is filled."""

        class Needs(DataLoader):
            tenant: int

        class Owner(BaseModel):
            seen: bool = False

            def resolve_seen(self):
                return True

        class Task(BaseModel):
            key: int | None = None
            owner: Annotated[Owner | None, Load(Needs, by="key")] = None

        async def law():
            return await Resolver().resolve([Task(owner=Owner()), Task(), Task.model_construct(key=None)])

        assert [task.owner and task.owner.seen for task in run(law)] == [True, None, None]


class TestMapper:
    """`mapper` converts instead of the field's type."""

    def test_by_a_function_a_class_and_items_of_a_list(self, run):
        """None stays None."""
        source = Source(lambda key: None if key < 0 else {"id": key, "name": f"user {key}"})

        class User(BaseModel):
            id: int
            label: str = ""

            def post_label(self):
                return f"#{self.id}"

        class Node(BaseModel):
            id: int
            name: str | None = None
            user: User | None = None
            users: list[User | None] | None = None
            text: str | None = None

            @mapper(lambda user: user["name"])
            def resolve_name(self, loader=LoaderDepend(source)):
                return loader.load(self.id)

            @mapper(User)
            async def resolve_user(self, loader=LoaderDepend(source)):
                return await loader.load(self.id)

            @mapper(User)
            def resolve_users(self, loader=LoaderDepend(source)):
                return loader.load_many([self.id, abs(self.id)])

            @mapper(str)
            def post_text(self):
                return self.id

        async def law():
            return await Resolver().resolve([Node(id=1), Node(id=2)])

        node = run(law)[1]
        assert (node.name, node.text) == ("user 2", "2")
        assert node.user == User(id=2, label="#2")
        assert node.users == [User(id=2, label="#2")] * 2

        async def none():
            return await Resolver().resolve(Node.model_construct(id=-1, users=None))

        nothing = run(none)
        assert (nothing.name, nothing.user) == (None, None)
        assert nothing.users == [None, User(id=1, label="#1")]


class TestArguments:
    """context, parent and ancestor_context."""

    def test_context_is_the_resolvers(self, run):
        """The same object for every method, sync or async, resolve or post."""
        context = {"user": 7}
        seen = []

        class Node(BaseModel):
            a: int = 0
            b: int = 0

            def resolve_a(self, context):
                seen.append(context)
                return context["user"]

            async def post_b(self, context, parent, ancestor_context):
                seen.append(context)
                assert parent is None
                assert ancestor_context == {}
                return context["user"] + 1

            def post_default_handler(self, context):
                seen.append(context)

        async def law():
            return await Resolver(context=context).resolve(Node())

        node = run(law)
        assert (node.a, node.b) == (7, 8)
        assert all(value is context for value in seen)
        assert len(seen) == 3

    def test_loaders_and_context_come_under_any_name_and_in_any_place(self, run):
        """Among parameters with defaults, by position or by keyword only."""
        one, two = Source(lambda key: key), Source(lambda key: -key)

        class Node(BaseModel):
            id: int
            a: int = 0
            b: list[int] = []
            c: list[int] = []

            def resolve_a(self, first=LoaderDepend(one), context=None):
                assert context == {"plus": 1}
                return first.load(self.id)

            def resolve_b(self, plus=5, *, other=LoaderDepend(two), context):
                return other.load_many([self.id, plus + context["plus"]])

            def resolve_c(self, context, x=LoaderDepend(two), y=LoaderDepend(one), z=3):
                return (x if self.id == 1 else y).load_many([z, context["plus"]])

        async def law():
            return await Resolver(context={"plus": 1}).resolve([Node(id=1), Node(id=2)])

        assert [(node.a, node.b, node.c) for node in run(law)] == [
            (1, [-1, -6], [-3, -1]),
            (2, [-2, -6], [3, 1]),
        ]

    def test_parent_is_the_node_above_with_its_fields_resolved(self, run):
        """However slow its other fields are, and through any containers."""
        source, slowly = Source(str), Source(str, turns=20)

        class Child(BaseModel):
            name: str = ""

            def resolve_name(self, parent):
                return f"child of {parent.name} {parent.slow}"

        class Parent(BaseModel):
            id: int
            children: dict[str, tuple[Child, ...]]
            name: Annotated[str, Load(source, by="id")] = ""
            slow: Annotated[str, Load(slowly, by="id")] = ""

        async def law():
            return await Resolver().resolve(
                [Parent(id=n, children={"x": (Child(), Child())}) for n in (1, 2)]
            )

        parents = run(law)
        names = [child.name for parent in parents for child in parent.children["x"]]
        assert names == ["child of 1 1"] * 2 + ["child of 2 2"] * 2


class TestPrefixes:
    """Only the prefix of a method's name is cut off."""

    def test_fields_may_hold_the_prefixes_in_their_names(self, run):
        """`blog_post_count`, `post_id`, `resolve_me`, and fields that look like methods."""

        class Node(BaseModel):
            post_id: int = 5
            resolve_me: str = "field"
            blog_post_count: int = 0
            post_count: int = 0
            resolve_: int = 0

            def resolve_blog_post_count(self):
                return 3

            def resolve_post_count(self):
                return 4

            def post_post_id(self):
                return self.post_id + self.blog_post_count + self.post_count

            def post_resolve_me(self):
                return "posted"

        async def law():
            return await Resolver().resolve(Node())

        node = run(law)
        assert (node.post_id, node.resolve_me, node.blog_post_count) == (12, "posted", 3)


class TestInsideMethods:
    """An async method is a real task."""

    def test_timeouts_task_groups_and_nested_resolvers_work(self, run):
        """As in any coroutine."""
        source = Source(str)

        class Inner(BaseModel):
            id: int
            name: Annotated[str, Load(source, by="id")] = ""

        class Node(BaseModel):
            id: int
            timed_out: bool = False
            parts: list[str] = []
            inner: Inner | None = None

            async def resolve_timed_out(self):
                try:
                    async with asyncio.timeout(0):
                        await asyncio.Event().wait()
                except TimeoutError:
                    return True

            async def resolve_parts(self, loader=LoaderDepend(source)):
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(part(loader, number)) for number in range(3)]
                return [task.result() for task in tasks]

            async def resolve_inner(self):
                assert asyncio.current_task() is not None
                return await Resolver().resolve(Inner(id=self.id))

        async def part(loader, number):
            await turns(1)
            return await loader.load(number)

        async def law():
            return await Resolver().resolve([Node(id=1), Node(id=2)])

        for node in run(law):
            assert node.timed_out
            assert node.parts == ["0", "1", "2"]
            assert node.inner.name == str(node.id)

    def test_nothing_runs_on_when_the_tree_is_filled(self, run):
        """A load that a method begins and does not return ends with the resolve."""
        begun = []

        class Slow(DataLoader[int, int]):
            async def batch_load_fn(self, keys: list[int]) -> list[int]:
                await asyncio.Event().wait()
                raise AssertionError

        class Row(BaseModel):
            name: str = ""

            def resolve_name(self, loader=LoaderDepend(Slow)) -> str:
                begun.append((loader, loader.load(1)))
                return "done"

        async def law():
            row = await Resolver().resolve(Row())
            [(loader, future)] = begun
            assert row.name == "done"
            assert loader.is_idle
            assert future.cancelled()
            assert asyncio.all_tasks() == {asyncio.current_task()}

        run(law)


class TestConcurrentCalls:
    """One resolver serves several `resolve` calls at once."""

    def test_each_call_has_loaders_of_its_own(self, run):
        """And its own answers; with a registry they share loaders."""
        source = Source(str, turns=2)

        class Node(BaseModel):
            id: int
            name: Annotated[str, Load(source, by="id")] = ""

        async def law():
            resolver = Resolver()
            nodes = await asyncio.gather(*(resolver.resolve(Node(id=n % 2)) for n in range(4)))
            assert [node.name for node in nodes] == ["0", "1", "0", "1"]
            assert len(source.calls) == 4
            source.calls.clear()
            async with LoaderRegistry() as registry:
                resolver = Resolver(registry=registry)
                await asyncio.gather(*(resolver.resolve(Node(id=n % 2)) for n in range(4)))
                await Resolver(registry=registry).resolve(Node(id=1))
                assert registry.find(source) is resolver.loader_instance_cache[source]
            assert sorted(key for call in source.calls for key in call) == [0, 1]

        run(law)


class TestRoots:
    """What may be resolved."""

    @pytest.mark.parametrize("root", [None, [], {}, (), [None], [[], None]], ids=repr)
    def test_nothing_is_given_back(self, run, root):
        """Where there may be no node, none is asked for."""

        async def law():
            assert await Resolver().resolve(root) is root

        run(law)

    @pytest.mark.parametrize(
        "root", [{"id": 1}, [{"id": 1}], 5, "text", object(), [1, 2]], ids=lambda root: type(root).__name__
    )
    def test_raw_data_is_refused(self, run, root):
        """With a message that tells the cure."""

        async def law():
            with pytest.raises(TypeError, match="into=list"):
                await Resolver().resolve(root)

        run(law)


class TestDefaults:
    """A parameter with a default is the method's own."""

    def test_a_context_goes_to_context_alone(self, run):
        """Whatever else has a default; and its default stays where there is none."""

        class Node(BaseModel):
            limit: int = 0
            words: str = ""

            def resolve_limit(self, limit=3, *, other=4):
                return limit + other

            def resolve_words(self, context="none", size=1):
                return f"{context} {size}"

        async def law():
            node = await Resolver(context={"a": 1}).resolve(Node())
            assert (node.limit, node.words) == (7, "{'a': 1} 1")
            node = await Resolver().resolve(Node())
            assert (node.limit, node.words) == (7, "none 1")

        run(law)

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks start later on older Pythons")
    def test_the_first_async_method_that_fails_at_once_stops_the_rest(self, run):
        """Nothing is started for nodes after it."""
        started = []

        class Node(BaseModel):
            id: int
            x: int = 0

            async def resolve_x(self):
                started.append(self.id)
                raise LookupError(self.id)

        async def law():
            with pytest.raises(LookupError, match="0"):
                await Resolver().resolve([Node(id=number) for number in range(5)])

        run(law)
        assert started == [0]


def test_a_task_factory_that_raises_is_an_error_of_the_field(run):
    class Node(BaseModel):
        value: str = ""

        async def resolve_value(self):
            return "there"

    def refuse(_loop, coroutine, **_options):
        coroutine.close()
        raise OSError("no more tasks")

    async def law():
        loop = asyncio.get_running_loop()
        before = loop.get_task_factory()
        loop.set_task_factory(refuse)
        try:
            with pytest.raises(OSError, match="no more tasks") as caught:
                await Resolver().resolve([Node(), Node()])
        finally:
            loop.set_task_factory(before)
        assert "value" in "".join(caught.value.__notes__)

    run(law)
