"""Batches and waiting: as few batches as a walk level by level, and a slow field delays only what depends on it.

Nothing is measured by the clock: slow loaders wait for events that the tests set, fast ones must be done before.
"""

import asyncio
import sys
from typing import Annotated

import pytest
from loops import turns
from pydantic import BaseModel
from resolving import Source

from dloader import DataLoader
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

    def test_branches_meet_levels_further_down(self, run):
        """What a slow field leads to is known before it is there."""
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

        async def law():
            tree = [Slow(), Fast(middle={"leaf": {"id": 2}})]
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
