"""A limit of batches that several loaders share."""

import asyncio
import gc
import random

import pytest
from loops import KINDS, LoopRunner, Recorder, new_loop, turns

from dloader import DataLoader, Limit, LoaderRegistry, OptionError, manual
from dloader._core._run_queue import RunQueue


class Watched:
    """Batch functions that count how many of them work at once: while one loads, it does not work."""

    def __init__(self, number=1):
        self.limit = Limit(number)
        self.working = self.most = 0
        self.order = []

    async def work(self, number):
        """Be busy for some turns."""
        self.working += 1
        self.most = max(self.most, self.working)
        await turns(number)
        self.working -= 1

    def loader(self, name, load=None, **options):
        async def function(keys):
            self.order.append((name, *keys))
            await self.work(3)
            if load is not None:
                await asyncio.gather(*map(load, keys))
            return [key * 10 for key in keys]

        return DataLoader(function, name=name, **{"max_concurrency": self.limit, **options})


class TestLimit:
    @pytest.mark.parametrize("number", [1, 2, 3])
    def test_it_holds_for_all_loaders_that_share_it(self, run, number):
        """However many there are, and is reached."""

        async def law():
            watched = Watched(number)
            loaders = [watched.loader(name, max_batch_size=1) for name in "abcd"]
            values = await asyncio.gather(*(loader.load(key) for loader in loaders for key in range(3)))
            assert values == [0, 10, 20] * 4
            assert watched.most == number
            assert watched.limit.running == 0
            assert all(loader.is_idle for loader in loaders)

        run(law)

    def test_who_came_first_goes_first(self, run):
        """By when batches closed, whichever loader they are of."""

        async def law():
            watched = Watched()
            first, second = (watched.loader(name, max_batch_size=1, dispatch=manual()) for name in "ab")
            futures = [
                first.load(1),
                second.load(2),
                second.load(3),
                first.load(4),
                first.load(5),
                second.load(6),
            ]
            await asyncio.gather(*futures)
            assert watched.order == [("a", 1), ("b", 2), ("b", 3), ("a", 4), ("a", 5), ("b", 6)]

        run(law)

    @pytest.mark.parametrize("size", [1, 2, 3, 10])
    @pytest.mark.parametrize("names", ["ababab", "aabbab", "apbpab", "ppaab"])
    def test_so_do_batches_that_are_full_at_once(self, run, size, names):
        """Those of `a` and `b` are, and wait for a turn; `p` closes by itself, and those before it come first."""

        async def law():
            limit, started = Limit(size), []

            def loader(name, **options):
                async def function(keys):
                    started.extend((name, key) for key in keys)
                    await turns(3)
                    return keys

                return DataLoader(function, max_concurrency=limit, **options)

            loaders = {name: loader(name, max_batch_size=1) for name in "ab"}
            loaders["p"] = loader("p", dispatch=manual())
            futures = []
            for key, name in enumerate(names):
                futures.append(loaders[name].load(key))
                loaders["p"].dispatch()
            await asyncio.gather(*futures)
            assert started == [(name, key) for key, name in enumerate(names)]

        run(law)

    def test_loaders_that_load_from_each_other_may_share_it(self, run):
        """A batch lends its place to the one that it waits for, down to any depth."""

        async def law():
            watched = Watched()
            third = watched.loader("c")
            second = watched.loader("b", third.load)
            first = watched.loader("a", second.load)
            assert await asyncio.gather(first.load(1), second.load(2), first.load(3)) == [10, 20, 30]
            assert watched.limit.running == 0

        run(law)

    @pytest.mark.parametrize("number", [1, 2])
    def test_those_who_work_are_never_more(self, run, number):
        """Also when they go on after what they waited for: a place is lent only meanwhile."""

        async def law():
            watched = Watched(number)

            async def load(keys):
                await watched.work(2)
                values = await inner.load_many([key % 4 for key in keys])
                await watched.work(3)
                return values

            inner = watched.loader("inner", max_batch_size=1)
            outer = [DataLoader(load, 1, max_concurrency=watched.limit) for _ in range(3)]
            await asyncio.gather(*(loader.load(key) for loader in outer for key in range(6)))
            assert watched.most == number

        run(law)

    def test_a_batch_that_is_asked_late_is_lent_a_place(self, run):
        """It was queued for want of one before the one that holds it came to wait for it."""

        async def law():
            async def load_a(keys):
                if keys == [1]:
                    await gate.wait()
                    return [await b.load(9)]
                return keys

            async def load_b(keys):
                return [await a.load(2)]

            gate = asyncio.Event()
            limit = Limit(1)
            a = DataLoader(load_a, max_batch_size=1, max_concurrency=limit)
            b = DataLoader(load_b)
            waiting = [a.load(1), a.load(2), b.load(9)]
            await turns(8)
            gate.set()
            assert await asyncio.gather(*waiting) == [2, 2, 2]
            assert limit.running == 0

        run(law)

    @pytest.mark.parametrize("waits", [True, False])
    def test_a_place_that_was_lent_on_comes_back(self, run, waits):
        """The one in between ends first: it leaves a load behind, or everybody leaves it."""

        async def law():
            watched, started = Watched(), asyncio.Event()

            async def slowly(keys):
                started.set()
                await watched.work(9)
                return keys

            async def in_between(keys):
                left.append(last.load(keys[0]))
                await started.wait()
                if waits:
                    await asyncio.Event().wait()
                return keys

            async def function(keys):
                future = second.load(keys[0])
                await started.wait()
                await turns(2)
                future.cancel()
                await turns(3)
                return keys

            left: list = []
            first, second, last = (
                DataLoader(each, max_concurrency=watched.limit) for each in (function, in_between, slowly)
            )
            assert await first.load(1) == 1
            assert await left[0] == 1
            assert watched.limit.running == 0
            others = [watched.loader(name) for name in "abc"]
            await asyncio.gather(*(loader.load(1) for loader in others))
            assert watched.most == 1

        run(law)

    def test_a_ring_of_limits_does_not_hang(self, run):
        """Each loader's leaf waits for a place that waits for the other's leaf."""

        async def law():
            def make(limit, other):
                async def load(keys):
                    await turns(3)
                    return [await loaders[other].load("leaf") if key == "top" else key for key in keys]

                return DataLoader(load, max_concurrency=limit, max_batch_size=1)

            loaders = [make(Limit(1), 1), make(Limit(1), 2), make(Limit(1), 0)]
            assert await asyncio.gather(*(loader.load("top") for loader in loaders)) == ["leaf"] * 3

        run(law)

    def test_those_that_were_lent_places_are_not_kept(self, run):
        """Others stand in line before them all the while, so that nobody comes by to forget them."""

        async def law():
            async def slowly(keys):
                await turns(3)
                return keys

            async def load(keys):
                for _ in range(50):
                    inner = [DataLoader(slowly, max_concurrency=limit) for _ in range(3)]
                    await asyncio.gather(*(loader.load(1) for loader in inner))
                gc.collect()
                kept.append(sum(isinstance(each, RunQueue) for each in gc.get_objects()) - before)
                return keys

            limit, kept = Limit(1), []
            outer = DataLoader(load, max_concurrency=limit)
            others = [DataLoader(slowly, max_concurrency=limit) for _ in range(3)]
            gc.collect()
            before = sum(isinstance(each, RunQueue) for each in gc.get_objects())
            assert await asyncio.gather(*(loader.load(1) for loader in (outer, *others))) == [1, 1, 1, 1]
            assert kept[0] < 10

        run(law)

    def test_those_that_were_brought_forward_are_not_kept(self, run):
        """They stood in line before, each behind one that stands there all the while."""

        async def law():
            async def load(keys):
                while made:
                    loader = made.pop()
                    await loader.load(1)
                    del loader
                    await turns(3)
                gc.collect()
                kept.append(sum(isinstance(each, RunQueue) for each in gc.get_objects()) - before)
                return keys

            limit, kept = Limit(1), []
            outer, other = (DataLoader(each, max_concurrency=limit) for each in (load, Recorder()))
            gc.collect()
            before = sum(isinstance(each, RunQueue) for each in gc.get_objects())
            made = [DataLoader(Recorder(), max_concurrency=limit) for _ in range(20)]
            waiting = [outer.load(1), other.load(1)]
            await turns(8)
            for loader in made:
                loader.load(1)
            del loader
            await asyncio.gather(*waiting)
            assert kept[0] < 5

        run(law)

    def test_nobody_has_to_be_left_for_a_place_to_be_free(self, run):
        """Callers who leave, batches that fail, and a task factory that raises give places back."""

        async def law():
            async def fail(keys):
                raise ValueError(keys)

            limit = Limit(1)
            gate = asyncio.Event()
            slow, failing = (
                DataLoader(function, max_concurrency=limit) for function in (Recorder(gate=gate), fail)
            )
            left, queued = slow.load(1), failing.load(2)
            await turns(8)
            assert limit.running == 1
            left.cancel()
            with pytest.raises(ValueError, match=r"\[2\]"):
                await queued
            assert limit.running == 0
            loop = asyncio.get_running_loop()
            factory = loop.get_task_factory()
            future = slow.load(3)

            def refuse(*args, **kwargs):
                raise OSError("no more tasks")

            loop.set_task_factory(refuse)
            await asyncio.wait([future])
            loop.set_task_factory(factory)
            assert isinstance(future.exception(), OSError)
            assert limit.running == 0
            gate.set()
            assert await slow.load(4) == 40

        run(law)

    def test_who_leaves_the_queue_takes_no_place(self, run):
        """Its batch is forgotten."""

        async def law():
            gate = asyncio.Event()
            limit = Limit(1)
            first, second, third = (Recorder(gate=gate) for _ in range(3))
            loaders = [DataLoader(each, max_concurrency=limit) for each in (first, second, third)]
            waiting = [loader.load(1) for loader in loaders]
            await turns(8)
            waiting[1].cancel()
            gate.set()
            assert await waiting[2] == 10
            assert second.calls == []
            assert await loaders[1].load(2) == 20

        run(law)

    def test_closing_gives_places_back(self, run):
        """To loaders that stay."""

        async def law():
            limit = Limit(1)
            first, second = (
                DataLoader(Recorder(gate=asyncio.Event()), max_concurrency=limit),
                DataLoader(Recorder(), max_concurrency=limit),
            )
            left, stays = first.load(1), second.load(2)
            await turns(8)
            await first.shutdown()
            assert left.cancelled()
            assert await stays == 20

        run(law)

    @pytest.mark.parametrize("size", [0, -1, True, "3", 2.0, None])
    def test_its_size_is_a_number(self, size):
        """One or more."""
        with pytest.raises(OptionError, match="Limit takes a whole number"):
            Limit(size)

    def test_it_can_be_read(self):
        """And so can who has it."""
        limit = Limit(3)
        assert (repr(limit), limit.size, limit.running) == ("Limit(3)", 3, 0)
        assert DataLoader(Recorder(), max_concurrency=limit).max_concurrency is limit

    def test_a_class_may_have_one(self, run):
        """All loaders of the class share it."""

        async def law():
            watched = Watched()

            class Shared(DataLoader):
                max_concurrency = watched.limit

                async def batch_load_fn(self, keys):
                    await watched.work(3)
                    return keys

            await asyncio.gather(Shared().load(1), Shared().load(2), Shared(max_concurrency=None).load(3))
            assert watched.most == 1

        run(law)


class TestInterrupts:
    def test_an_interrupt_leaves_nobody_waiting_for_a_place(self, kind):
        """If the loop runs on, so do the batches of other loaders."""
        limit = Limit(1)
        loop = new_loop(kind)

        async def interrupt(keys):
            raise KeyboardInterrupt

        async def main():
            gate = asyncio.Event()
            loaders = [
                DataLoader(load, 1, max_concurrency=limit)
                for load in (Recorder(gate=gate), interrupt, Recorder(), Recorder())
            ]
            kept.extend(loader.load(1) for loader in loaders)
            await turns(8)
            gate.set()
            await asyncio.wait(kept)

        async def rest():
            return await asyncio.gather(*kept, return_exceptions=True)

        kept: list = []
        task = loop.create_task(main())
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(task)
        first, interrupted, *others = loop.run_until_complete(rest())
        assert (first, others, limit.running) == (10, [10, 10], 0)
        assert isinstance(interrupted.__cause__, KeyboardInterrupt)
        loop.run_until_complete(task)
        for each in asyncio.all_tasks(loop):
            each._log_destroy_pending = False
        loop.close()


class TestManyBatches:
    def test_places_cost_the_same_however_many_wait(self, run):
        """Thousands of batches behind one place."""

        async def law():
            limit = Limit(2)
            loaders = [DataLoader(Recorder(), 1, max_concurrency=limit) for _ in range(3)]
            many = await asyncio.gather(*(loader.load_many(range(2000)) for loader in loaders))
            assert [len(values) for values in many] == [2000] * 3

        run(law)

    @pytest.mark.parametrize("size", [1, 2])
    def test_thousands_of_loaders_stand_in_line(self, run, size):
        """Batches that end in their first step do not pile up on the stack, and who came first still goes first."""

        async def law():
            limit, gate, order = Limit(size), asyncio.Event(), []

            async def load(keys):
                order.extend(keys)
                if order[-1] < size:
                    await gate.wait()
                return keys

            loaders = [DataLoader(load, 1, max_concurrency=limit) for _ in range(2000)]
            futures = [loader.load(key) for key, loader in enumerate(loaders)]
            await turns(5)
            gate.set()
            assert await asyncio.gather(*futures) == order == list(range(2000))
            assert limit.running == 0

        run(law)


class TestLoops:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("nested", [False, True])
    def test_it_may_be_used_on_one_loop_after_another(self, kind, nested):
        """Places that a loop took with it to its end are free again, lent or not, and nothing is started there."""
        limit = Limit(1)

        async def load(keys):
            if keys == [1] and nested:
                await running.load(0)
            if keys in ([0], [1]):
                await asyncio.get_running_loop().create_future()
            return [key * 10 for key in keys]

        running, queued = (DataLoader(function, max_concurrency=limit) for function in (load, Recorder()))

        async def leave():
            kept.extend([running.load(1), queued.load(2)])
            await turns(8)

        kept: list = []
        loop = new_loop(kind)
        loop.run_until_complete(leave())
        tasks = asyncio.all_tasks(loop)
        loop.close()

        async def law():
            other = DataLoader(Recorder(), max_concurrency=limit)
            assert await other.load(3) == 30
            assert await queued.load(4) == 40
            assert await running.load(5) == 50

        LoopRunner(kind)(law)
        for task in tasks:
            task._log_destroy_pending = False


class TestARegistry:
    @pytest.mark.parametrize("given", [1, Limit(1)])
    def test_its_loaders_share_its_limit(self, run, given):
        """Those that it makes, and those that are added; it may be a number."""

        async def law():
            watched = Watched()

            class Made(DataLoader):
                async def batch_load_fn(self, keys):
                    await watched.work(3)
                    return keys

            async with LoaderRegistry(max_concurrency=given) as loaders:
                added = loaders.add("added", watched.loader("added", max_concurrency=None))
                loaders.add("too", added)
                await asyncio.gather(loaders.get(Made).load(1), added.load(2))
            assert watched.most == 1

        run(law)

    def test_what_a_loader_says_of_itself_holds_too(self, run):
        """A number, or another limit."""

        async def law():
            watched, pool = Watched(3), Watched(2)

            class One(DataLoader):
                max_batch_size = max_concurrency = 1

                async def batch_load_fn(self, keys):
                    await asyncio.gather(watched.work(3), own.work(3))
                    return keys

            async def load(keys):
                await asyncio.gather(watched.work(3), pool.work(3))
                return keys

            own = Watched()
            async with LoaderRegistry(max_concurrency=watched.limit) as loaders:
                for name in range(3):
                    loaders.add(name, DataLoader(load, 1, max_concurrency=pool.limit))
                await asyncio.gather(
                    loaders.get(One).load_many([1, 2, 3]),
                    *(loaders.find(name).load_many([4, 5, 6]) for name in range(3)),
                )
            assert (own.most, pool.most, watched.most) == (1, 2, 3)

        run(law)

    def test_a_limit_that_a_loader_has_already_counts_once(self, run):
        """It is the registry's too."""

        async def law():
            limit = Limit(1)
            async with LoaderRegistry(max_concurrency=limit) as loaders:
                loader = loaders.add("added", DataLoader(Recorder(), 1, max_concurrency=limit))
                assert await loader.load_many([1, 2]) == [10, 20]

        run(law)

    def test_a_loader_with_work_may_be_added(self, run):
        """Its batches count from then on."""

        async def law():
            gate = asyncio.Event()
            recorder = Recorder(gate=gate)
            loader = DataLoader(recorder, 1, max_concurrency=1)
            futures = [loader.load(key) for key in range(3)]
            await turns(8)
            limit = Limit(1)
            async with LoaderRegistry(max_concurrency=limit) as loaders:
                loaders.add("added", loader)
                assert limit.running == 1
                other = loaders.get(Recorder()).load(1)
                gate.set()
                assert await asyncio.gather(*futures, other) == [0, 10, 20, 10]
                assert recorder.most_running == 1
            assert limit.running == 0

        run(law)

    @pytest.mark.parametrize("given", [0, True, "3", 1.5])
    def test_another_is_refused(self, given):
        """When the registry is made."""
        with pytest.raises(OptionError, match="whole number"):
            LoaderRegistry(max_concurrency=given)


@pytest.mark.parametrize("seed", range(30))
def test_nested_loads_never_wait_for_each_others_places(run, seed):
    """Random trees of keys over loaders that share limits: all end, no work is done twice, no place is left taken."""

    async def law():
        choose = random.Random(seed)
        limits = [Limit(choose.choice([1, 1, 2])) for _ in range(choose.choice([1, 2]))]
        children = {key: [] for key in range(30)}
        for key in range(1, 30):
            children[choose.randrange(max(0, key - 6), key)].append(key)
        place = {key: choose.randrange(3) for key in children}
        pauses = [choose.randrange(4) for _ in children]

        def make(number):
            async def load(keys):
                await turns(pauses[keys[0]])
                below = await asyncio.gather(
                    *(loaders[place[child]].load(child) for key in keys for child in children[key])
                )
                await turns(pauses[keys[-1]])
                done.update(keys)
                return [sum(below) + key for key in keys]

            # With several keys in a batch it could come to wait for itself, which is refused.
            return DataLoader(load, 1, max_concurrency=limits[number % len(limits)])

        done: set = set()
        loaders = [make(number) for number in range(3)]
        roots = choose.sample(range(30), 8)
        async with asyncio.timeout(20):
            await asyncio.gather(*(loaders[place[key]].load(key) for key in roots))
        await turns(3)
        assert done >= set(roots)
        assert [limit.running for limit in limits] == [0] * len(limits)

    run(law)
