"""Batches and waiting: as few batches as a walk level by level, and a slow field delays only what depends on it.

Nothing is measured by the clock: slow loaders wait for events that the tests set, fast ones must be done before.
"""

import asyncio
import sys
from typing import Annotated

import pytest
from loops import turns
from pydantic import BaseModel, Field
from resolving import Source

from dloader import DataLoader, LoaderRegistry, manual
from dloader.resolver import ExposeAs, Load, LoaderDepend, Resolver

EAGER = sys.version_info >= (3, 12)


async def until(condition, most=200):
    """Let the loop turn until something is true."""
    for _ in range(most):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not come to be within the turns")


class TestSlowNeighbours:
    """A fast branch beside a slow field."""

    @pytest.mark.parametrize("form", ["sync", "async", "load"])
    def test_a_deep_fast_branch_does_not_wait_for_a_slow_field(self, run, form):
        """It is done before the slow field has even returned."""
        gate = asyncio.Event()
        slowly, name_of = Source(str, "slowly", gate=gate), Source(str, "name_of")
        next_of = Source(lambda key: {"id": key + 1} if key < 5 else None, "next_of")

        if form == "sync":

            class Node(BaseModel):
                id: int
                next: "Node | None" = None
                name: str = ""

                def resolve_next(self, loader=LoaderDepend(next_of)):
                    return loader.load(self.id)

                def resolve_name(self, loader=LoaderDepend(name_of)):
                    return loader.load(self.id)

        elif form == "async":

            class Node(BaseModel):
                id: int
                next: "Node | None" = None
                name: str = ""

                async def resolve_next(self, loader=LoaderDepend(next_of)):
                    return await loader.load(self.id)

                async def resolve_name(self, loader=LoaderDepend(name_of)):
                    return await loader.load(self.id)

        else:

            class Node(BaseModel):
                id: int
                next: Annotated["Node | None", Load(next_of, by="id")] = None
                name: Annotated[str, Load(name_of, by="id")] = ""

        class Top(BaseModel):
            id: int = 0
            slow: Annotated[str, Load(slowly, by="id")] = ""
            chain: Node

        async def law():
            top = Top(chain=Node(id=1))
            task = asyncio.ensure_future(Resolver().resolve(top))
            await until(lambda: name_of.calls[-1:] == [[5]] and not name_of.running)
            await turns(5)
            assert top.chain.next.next.next.next.name == "5"
            assert top.slow == ""
            gate.set()
            await task
            assert top.slow == "0"

        run(law)
        assert next_of.calls == name_of.calls == [[1], [2], [3], [4], [5]]

    def test_posts_of_a_fast_branch_do_not_wait_for_a_slow_field(self, run):
        """Also those that load."""
        gate = asyncio.Event()
        slowly, fast = Source(str, "slowly", gate=gate), Source(str, "fast")

        class Fast(BaseModel):
            id: int = 1
            name: str = ""

            def post_name(self, loader=LoaderDepend(fast)):
                return loader.load(self.id)

        class Slow(BaseModel):
            id: int = 2
            name: Annotated[str, Load(slowly, by="id")] = ""
            done: bool = False

            def post_done(self):
                return True

        async def law():
            tree = [Slow(), Fast()]
            task = asyncio.ensure_future(Resolver().resolve(tree))
            await until(lambda: tree[1].name == "1")
            gate.set()
            await task
            assert tree[0].done

        run(law)

    def test_only_what_sees_a_slow_exposed_field_waits_for_it(self, run):
        """`ancestor_context` is complete for those who read it; the others are done before."""
        gate = asyncio.Event()
        slowly = Source(str, "slowly", gate=gate)

        class Blind(BaseModel):
            x: int = 0

            def resolve_x(self):
                return 1

        class Seeing(BaseModel):
            x: str = ""

            def resolve_x(self, ancestor_context):
                return ancestor_context["title"]

        class Middle(BaseModel):
            seeing: list[Seeing] = [Seeing()]
            blind: Blind = Blind()

        class Top(BaseModel):
            id: int = 7
            title: Annotated[str, Load(slowly, by="id"), ExposeAs("title")] = ""
            middle: Middle
            blind: Blind

        async def law():
            top = Top(middle=Middle(seeing=[Seeing(), Seeing()], blind=Blind()), blind=Blind())
            task = asyncio.ensure_future(Resolver().resolve(top))
            await until(lambda: slowly.running)
            await turns(5)
            assert top.blind.x == 1
            assert top.middle.seeing[0].x == ""
            gate.set()
            await task
            assert [seeing.x for seeing in top.middle.seeing] == ["7", "7"]

        run(law)


class TestMeeting:
    """Branches of different speed that use one loader at one depth make one batch."""

    @pytest.mark.parametrize("form", ["sync", "async", "load"])
    def test_two_branches_make_one_batch_and_delay_nobody_else(self, run, form):
        """The fast one waits for the slow one, as a walk level by level would; what else it holds goes on."""
        gate = asyncio.Event()
        slowly = Source(lambda key: [{"id": key}], "slowly", gate=gate)
        fast = Source(lambda key: [{"id": key}], "fast")
        met, extra = Source(str, "met"), Source(str, "extra")

        if form == "load":

            class Leaf(BaseModel):
                id: int
                name: Annotated[str, Load(met, by="id")] = ""
                other: str = ""

                def resolve_other(self, loader=LoaderDepend(extra)):
                    return loader.load(self.id)

        elif form == "sync":

            class Leaf(BaseModel):
                id: int
                name: str = ""
                other: str = ""

                def resolve_name(self, loader=LoaderDepend(met)):
                    return loader.load(self.id)

                def resolve_other(self, loader=LoaderDepend(extra)):
                    return loader.load(self.id)

        else:

            class Leaf(BaseModel):
                id: int
                name: str = ""
                other: str = ""

                async def resolve_name(self, loader=LoaderDepend(met)):
                    return await loader.load(self.id)

                def resolve_other(self, loader=LoaderDepend(extra)):
                    return loader.load(self.id)

        class Left(BaseModel):
            id: int = 1
            leaves: Annotated[list[Leaf], Load(slowly, by="id")] = []

        class Right(BaseModel):
            id: int = 2
            leaves: Annotated[list[Leaf], Load(fast, by="id")] = []
            free: str = ""

            def post_free(self):
                return "posted"

        class Free(BaseModel):
            id: int = 3
            x: int = 0

            async def resolve_x(self):
                await turns(3)
                return 1

        async def law():
            left, right, free = Left(), Right(), Free()
            task = asyncio.ensure_future(Resolver().resolve([left, right, free]))
            await until(lambda: fast.calls and free.x == 1)
            await turns(10)
            assert met.calls == extra.calls == []
            assert len(right.leaves) == 1
            gate.set()
            await task
            assert [leaf.name for leaf in (*left.leaves, *right.leaves)] == ["1", "2"]

        run(law)
        assert [sorted(call) for call in met.calls] == [[1, 2]]
        assert [sorted(call) for call in extra.calls] == [[1, 2]]

    @pytest.mark.parametrize("above", [0, 1, 2])
    def test_branches_meet_levels_further_down(self, run, above):
        """What a slow field leads to is known before it is there, however far down the field itself is."""
        gate = asyncio.Event()
        slowly, met = Source(lambda key: {"leaf": {"id": key}}, "slowly", gate=gate), Source(str, "met")

        class Leaf(BaseModel):
            id: int
            name: Annotated[str, Load(met, by="id")] = ""

        class Middle(BaseModel):
            leaf: Leaf

        class Slow(BaseModel):
            id: int = 1
            middle: Annotated[Middle | None, Load(slowly, by="id")] = None

        class Fast(BaseModel):
            middle: Middle

        class One(BaseModel):
            rows: list[Slow | Fast]

        class Two(BaseModel):
            one: One

        async def law():
            rows = [Slow(), Fast(middle={"leaf": {"id": 2}})]
            tree = [rows, One(rows=rows), Two(one=One(rows=rows))][above]
            task = asyncio.ensure_future(Resolver().resolve(tree))
            await turns(20)
            assert slowly.running
            assert met.calls == []
            gate.set()
            await task

        run(law)
        assert [sorted(call) for call in met.calls] == [[1, 2]]

    def test_a_slow_field_of_no_concern_delays_no_meeting(self, run):
        """It leads to no node that uses the loader."""
        gate = asyncio.Event()
        slowly = Source(lambda key: {"x": 1}, "slowly", gate=gate)
        met = Source(str, "met")

        class Elsewhere(BaseModel):
            x: int

        class Leaf(BaseModel):
            id: int
            name: Annotated[str, Load(met, by="id")] = ""

        class Top(BaseModel):
            id: int
            elsewhere: Annotated[Elsewhere | None, Load(slowly, by="id")] = None
            leaf: Leaf | None = None

            def resolve_leaf(self):
                return Leaf(id=self.id)

        async def law():
            task = asyncio.ensure_future(Resolver().resolve([Top(id=1), Top(id=2)]))
            await until(lambda: met.calls == [[1, 2]])
            gate.set()
            await task

        run(law)

    def test_posts_meet_at_their_depth_too(self, run):
        """The posts of a class whose subtree is slow, an async post below it, and a class without anything below."""
        gate = asyncio.Event()
        _slowly, posted = Source(str, "slowly", gate=gate), Source(str, "posted")

        class Slow(BaseModel):
            name: str = ""

            async def post_name(self):
                await gate.wait()
                return "slow"

        class A(BaseModel):
            id: int = 1
            slow: Slow
            name: str = ""

            def post_name(self, loader=LoaderDepend(posted)):
                return loader.load(self.id)

        class B(BaseModel):
            id: int = 2
            name: str = ""

            async def post_name(self, loader=LoaderDepend(posted)):
                return await loader.load(self.id)

        async def law():
            task = asyncio.ensure_future(Resolver().resolve([A(slow=Slow()), B()]))
            await turns(20)
            assert posted.calls == []
            gate.set()
            await task

        run(law)
        assert [sorted(call) for call in posted.calls] == [[1, 2]]

    def test_a_step_with_two_loaders_waits_for_both(self, run):
        """And so do those that share one of the loaders with it."""
        gate = asyncio.Event()
        slowly = Source(lambda key: {"id": key}, "slowly", gate=gate)
        one, two = Source(str, "one"), Source(str, "two")

        class Both(BaseModel):
            id: int
            name: list[str] = []

            async def resolve_name(self, a=LoaderDepend(one), b=LoaderDepend(two)):
                return list(await asyncio.gather(a.load(self.id), b.load(self.id)))

        class One(BaseModel):
            id: int
            name: Annotated[str, Load(one, by="id")] = ""

        class Two(BaseModel):
            id: int
            name: Annotated[str, Load(two, by="id")] = ""

        class Late(BaseModel):
            id: int = 3
            two: Annotated[Two | None, Load(slowly, by="id")] = None

        class Top(BaseModel):
            both: Both
            one: One

        async def law():
            tree = [Late(), Top(both=Both(id=1), one=One(id=2))]
            task = asyncio.ensure_future(Resolver().resolve(tree))
            await turns(20)
            assert one.calls == two.calls == []
            gate.set()
            await task

        run(law)
        assert [sorted(call) for call in one.calls] == [[1, 2]]
        assert [sorted(call) for call in two.calls] == [[1, 3]]


class TestCounts:
    """Batches of levels, chunks and recursion."""

    def test_chunks_run_concurrently(self, run):
        """`max_batch_size` cuts a level; all chunks are under way at once."""
        gate = asyncio.Event()
        source = Source(str, gate=gate)

        class Small(DataLoader):
            max_batch_size = 3

            async def batch_load_fn(self, keys):
                return await source(keys)

        class Called(BaseModel):
            id: int
            name: str = ""

            def resolve_name(self, loader=LoaderDepend(Small)):
                return loader.load(self.id)

        class Declared(BaseModel):
            id: int
            name: Annotated[str, Load(Small, by="id")] = ""

        async def law():
            for kind in (Called, Declared):
                source.calls.clear()
                gate.clear()
                tree = [kind(id=n) for n in range(8)]
                task = asyncio.ensure_future(Resolver().resolve(tree))
                await until(lambda: len(source.calls) == 3)
                assert [len(call) for call in source.calls] == [3, 3, 2]
                gate.set()
                await task
                assert [node.name for node in tree] == [str(n) for n in range(8)]

        run(law)

    @pytest.mark.parametrize("width", [1, 3])
    def test_a_recursive_tree_makes_one_batch_per_level(self, run, width):
        """However wide it is."""
        source = Source(lambda key: [{"id": key * 10 + n} for n in range(width)] if key < 1000 else [])

        class Node(BaseModel):
            id: int
            below: list["Node"] = []

            def resolve_below(self, loader=LoaderDepend(source)):
                return loader.load(self.id)

        async def law():
            await Resolver().resolve(Node(id=1))

        run(law)
        assert [len(call) for call in source.calls] == [width**level for level in range(4)]

    def test_sync_and_async_methods_share_a_batch(self, run):
        """At one depth, on every kind of loop."""
        source = Source(str)

        class Node(BaseModel):
            id: int
            a: Annotated[str, Load(source, by="id")] = ""
            b: str = ""
            c: str = ""

            def resolve_b(self, loader=LoaderDepend(source)):
                return loader.load(self.id + 10)

            async def resolve_c(self, loader=LoaderDepend(source)):
                return await loader.load(self.id + 20)

        async def law():
            await Resolver().resolve([Node(id=1), Node(id=2)])

        run(law)
        assert source.calls == [[1, 2, 11, 12, 21, 22]]

    def test_a_batch_starts_in_the_turn_in_which_it_is_complete(self, run):
        """No turn of the loop passes between levels whose batches need none."""
        if not EAGER:
            pytest.skip("tasks start in the turn after they are made")
        source = Source(lambda key: {"id": key + 1} if key < 50 else None)

        class Node(BaseModel):
            id: int
            below: Annotated["Node | None", Load(source, by="id")] = None

        async def law():
            turned = 0
            done = False

            def count():
                nonlocal turned
                turned += 1
                if not done:
                    asyncio.get_running_loop().call_soon(count)

            count()
            await Resolver().resolve(Node(id=1))
            done = True
            return turned

        assert run(law) <= 3
        assert len(source.calls) == 50

    @pytest.mark.parametrize("one_by_one", [False, True])
    def test_loads_that_a_method_gathers_start_in_the_turn_in_which_they_are_asked(self, run, one_by_one):
        """Nothing but loads can be in what it returns: no task of its own has yet to come to one."""
        source = Source(str)

        class Node(BaseModel):
            id: int
            names: list[str] = []

            def resolve_names(self, loader=LoaderDepend(source)):
                keys = [self.id, -self.id]
                return asyncio.gather(*map(loader.load, keys)) if one_by_one else loader.load_many(keys)

        async def law():
            task = asyncio.ensure_future(Resolver().resolve([Node(id=1), Node(id=2)]))
            while not task.done() and not source.calls:
                await asyncio.sleep(0)
                turned.append(1)
            assert [node.names for node in await task] == [["1", "-1"], ["2", "-2"]]

        turned: list[int] = []
        run(law)
        assert source.calls == [[1, -1, 2, -2]]
        assert len(turned) <= 2


class TestTasks:
    """One task for each call of an async method and each batch, and none else."""

    def test_tasks_are_counted(self, run, monkeypatch):
        """Nodes and sync methods make none."""
        source = Source(lambda key: [{"id": key}, {"id": -key}])
        made = []

        class Leaf(BaseModel):
            id: int
            half: float = 0

            def resolve_half(self):
                return self.id / 2

            async def post_default_handler(self):
                await turns(1)

        class Node(BaseModel):
            id: int
            leaves: list[Leaf] = []
            double: int = 0

            def resolve_leaves(self, loader=LoaderDepend(source)):
                return loader.load(self.id)

            def post_double(self):
                return self.id * 2

        async def law():
            real, factory = asyncio.Task, asyncio.get_running_loop().get_task_factory()

            class Counted(real):
                def __init__(self, *args, **kwargs):
                    made.append(1)
                    super().__init__(*args, **kwargs)

            def counting(loop, coroutine, **kwargs):
                made.append(1)
                return factory(loop, coroutine, **kwargs) if factory else real(coroutine, loop=loop, **kwargs)

            if factory is None and EAGER:
                monkeypatch.setattr(asyncio, "Task", Counted)
            else:
                asyncio.get_running_loop().set_task_factory(counting)
            try:
                await Resolver().resolve([Node(id=n) for n in range(1, 21)])
            finally:
                monkeypatch.undo()
                asyncio.get_running_loop().set_task_factory(factory)

        run(law)
        assert len(source.calls) == 1
        assert len(made) == 40 + 1


class TestTasksThatAwaitBeforeTheyLoad:
    """Their step's batch waits for them, as that of plain callers does."""

    @pytest.mark.parametrize("awaits", [1, 3])
    @pytest.mark.parametrize("form", ["async", "awaitable", "with a Load", "parent", "twice"])
    def test_they_share_the_batch(self, run, form, awaits):
        """Some of them await something short: a permission check, say."""
        source = Source(str)

        async def loaded(node, loader):
            if node.id % 2:
                await turns(awaits)
            return await loader.load(node.id)

        class Node(BaseModel):
            id: int
            name: str = ""
            other: str = ""

            if form == "async":

                async def resolve_name(self, loader=LoaderDepend(source)):
                    return await loaded(self, loader)

            elif form == "parent":

                async def resolve_name(self, parent, loader=LoaderDepend(source)):
                    return await loaded(self, loader)

            elif form == "awaitable":

                def resolve_name(self, loader=LoaderDepend(source)):
                    return loaded(self, loader)

            elif form == "twice":

                async def resolve_name(self, loader=LoaderDepend(source)):
                    names = [await loaded(self, loader), await loader.load(self.id)]
                    return names[0]

            else:
                other: Annotated[str, Load(source, by="id")] = ""

                async def resolve_name(self, loader=LoaderDepend(source)):
                    return await loaded(self, loader)

        async def law():
            return await Resolver().resolve([Node(id=id) for id in range(6)])

        assert [node.name for node in run(law)] == list("012345")
        assert [sorted(call) for call in source.calls] == [[0, 1, 2, 3, 4, 5]]


class TestOneRegistry:
    """Resolves and plain loads of one registry share batches, as the same loads in one resolve do."""

    def models(self):
        self.offices = Source(lambda key: [{"id": key * 10 + i} for i in range(2)], "offices")
        self.members = Source(lambda key: [{"id": key * 10 + i} for i in range(2)], "members")

        class Office(BaseModel):
            id: int
            members: Annotated[list[dict], Load(self.members, by="id")] = []

        class Company(BaseModel):
            id: int
            offices: Annotated[list[Office], Load(self.offices, by="id")] = []

        return Company

    @pytest.mark.parametrize("how", ["registry", "instances", "one resolver"])
    def test_resolves_at_once_share_batches_on_every_level(self, run, how):
        """In one registry, with the same instances, by one resolver or several."""
        company = self.models()

        async def law():
            async with LoaderRegistry() as registry:
                instances = {source: DataLoader(source) for source in (self.offices, self.members)}
                given = {"loader_instances": instances} if how == "instances" else {"registry": registry}
                one = Resolver(**given)
                resolvers = [one if how == "one resolver" else Resolver(**given) for _ in range(4)]
                return await asyncio.gather(
                    *(resolver.resolve(company(id=id)) for id, resolver in enumerate(resolvers))
                )

        found = run(law)
        assert [one.offices[1].members[0]["id"] for one in found] == [id * 100 + 10 for id in range(4)]
        assert [len(call) for call in self.offices.calls + self.members.calls] == [4, 8]

    def test_nested_resolves_share_batches(self, run):
        """One for each node of the tree outside."""
        company = self.models()

        class Root(BaseModel):
            id: int
            found: Annotated[company | None, Field()] = None

            async def resolve_found(self, context):
                return await Resolver(registry=context["registry"]).resolve(company(id=self.id))

        async def law():
            async with LoaderRegistry() as registry:
                resolver = Resolver(registry=registry, context={"registry": registry})
                await resolver.resolve([Root(id=id) for id in range(5)])

        run(law)
        assert [len(call) for call in self.offices.calls + self.members.calls] == [5, 10]

    def test_plain_loads_share_the_batch_too(self, run):
        """Before, beside and one turn after the resolve."""
        company = self.models()

        async def law():
            async with LoaderRegistry() as registry:
                loader = registry.get(self.offices)

                async def later(key):
                    await asyncio.sleep(0)
                    return await loader.load(key)

                await asyncio.gather(
                    later(1), Resolver(registry=registry).resolve(company(id=2)), later(3), loader.load(4)
                )

        run(law)
        assert [sorted(call) for call in self.offices.calls] == [[1, 2, 3, 4]]

    @pytest.mark.parametrize("width", [1, 3])
    def test_a_lone_resolve_makes_the_same_batches_with_a_registry(self, run, width):
        """As without."""
        company = self.models()

        async def law():
            companies = [company(id=id) for id in range(width)]
            await Resolver().resolve(companies)
            async with LoaderRegistry() as registry:
                await Resolver(registry=registry).resolve([company(id=id) for id in range(width)])

        run(law)
        assert self.offices.calls[0] == self.offices.calls[1]
        assert self.members.calls[0] == self.members.calls[1]
        assert len(self.offices.calls) == len(self.members.calls) == 2

    def test_a_loader_that_waits_to_be_dispatched_is(self, run):
        """By the resolves, as nobody else does it."""
        source = Source(str)

        class Manual(DataLoader):
            dispatch_policy = manual()

            async def batch_load_fn(self, keys):
                return await source(keys)

        class Node(BaseModel):
            id: int
            name: Annotated[str, Load(Manual, by="id")] = ""

        async def law():
            async with LoaderRegistry() as registry:
                await asyncio.gather(
                    *(Resolver(registry=registry).resolve([Node(id=id), Node(id=id + 1)]) for id in (1, 3))
                )

        run(law)
        assert source.calls == [[1, 2, 3, 4]]
