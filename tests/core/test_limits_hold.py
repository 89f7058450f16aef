"""No more batches work at once than a limit says, however they load from each other; and nobody hangs."""

import asyncio
import random

import pytest
from counting import steps_of
from loops import LoopRunner, new_loop, turns

from dloader import DataLoader, Limit, LoaderRegistry, RecursiveLoadError
from dloader._core._limit import Places


class Program:
    """Random keys that need others, spread over loaders with limits of all kinds, each in a way of its own.

    Args:
        seed: What to draw from.
        leaves: Whether callers leave, batch functions give up what they asked for, and loaders are shut down.
    """

    def __init__(self, seed, leaves):
        self.draw = draw = random.Random(seed)
        self.leaves = leaves
        self.limits = [Limit(draw.choice([1, 1, 2, 3])) for _ in range(draw.choice([1, 2, 2, 3]))]
        self.count = count = draw.choice([8, 20, 40])
        loaders = draw.choice([2, 3, 4, 6])
        near = draw.choice([3, 8, count])
        self.loader_of = [draw.randrange(loaders) for _ in range(count)]
        self.below = [[] for _ in range(count)]
        for key in range(1, count):
            for _ in range(draw.choice([1, 1, 1, 2])):
                self.below[draw.randrange(max(0, key - near), key)].append(key)
        ways = [self.together, self.one_by_one, *([self.give_up, self.first_come] if leaves else [])]
        self.ways = [draw.choice(ways) for _ in range(count)]
        self.pauses = [draw.choice([0, 0, 1, 2, 5, 9]) for _ in range(count)]
        self.working = {}
        self.gave_up = False
        self.exceeded = []
        self.loaders = [self.make(number) for number in range(loaders)]

    def make(self, number):
        """A loader with a limit of its own, one that it shares, two, or none."""
        draw = self.draw
        limits = [
            ("own", number, draw.choice([1, 1, 2])),
            *draw.sample(self.limits, min(2, len(self.limits))),
        ]
        limits = limits[slice(*draw.choice([(0, 0), (0, 1), (1, 2), (1, 2), (0, 2), (1, 3)]))]

        async def load(keys):
            self.works(limits, 1)
            works = True
            try:
                for key in keys:
                    await turns(self.pauses[key])
                    if self.below[key]:
                        self.works(limits, -1)
                        works = False
                        await self.ways[key](self.below[key])
                        works = True
                        self.works(limits, 1)
            except RecursiveLoadError:  # keys of one batch that wait for each other
                self.gave_up = True
                raise
            finally:
                self.works(limits, -1 if works else 0)
            return keys

        size = draw.choice([1, 1, 1, 2, 3])
        first, *rest = (each[2] if isinstance(each, tuple) else each for each in limits or [None])
        loader = DataLoader(load, size, max_concurrency=first)
        for limit in rest:
            LoaderRegistry(max_concurrency=limit).add("this", loader)
        return loader

    def load(self, key):
        return self.loaders[self.loader_of[key]].load(key)

    async def together(self, keys):
        await asyncio.gather(*map(self.load, keys))

    async def one_by_one(self, keys):
        for key in keys:
            await self.load(key)

    async def give_up(self, keys):
        for key in keys:
            future = self.load(key)
            await turns(self.pauses[key])
            future.cancel()

    async def first_come(self, keys):
        await asyncio.wait([self.load(key) for key in keys], return_when=asyncio.FIRST_COMPLETED)

    def works(self, limits, more):
        """Count who works now; what fails without having been waited for leaves others at work."""
        for limit in limits:
            size = limit[2] if isinstance(limit, tuple) else limit.size
            self.working[limit] = now = self.working.get(limit, 0) + more
            if now > size and not self.gave_up:
                self.exceeded.append((limit, now))

    async def run(self):
        """Ask for some keys, and see that all is done and given back."""
        futures = []
        for _ in range(self.draw.choice([3, 6, 12])):
            futures.append(self.load(self.draw.randrange(self.count)))
            await turns(self.draw.choice([0, 0, 0, 1, 4, 12]))
            if self.leaves and self.draw.random() < 0.3:
                self.draw.choice(futures).cancel()
        if self.leaves and self.draw.random() < 0.3:
            await self.draw.choice(self.loaders).shutdown()
        for value in await asyncio.gather(*futures, return_exceptions=True):
            assert isinstance(value, int | RecursiveLoadError) or self.leaves, value
        while not all(loader.is_idle for loader in self.loaders) or any(self.working.values()):
            await turns(1)
        await turns(3)
        assert [limit.running for limit in self.limits] == [0] * len(self.limits)
        for loader in self.loaders:
            await loader.shutdown()


class TestRandomPrograms:
    @pytest.mark.parametrize("seed", range(30))
    def test_no_more_work_than_a_limit_says(self, run, monkeypatch, seed):
        """But where one had to start without a place, as all waited for one another."""
        circles = []
        start_one_of = Places._start_one_of

        def noting(places, circle):
            circles.append(circle)
            start_one_of(places, circle)

        monkeypatch.setattr(Places, "_start_one_of", noting)

        async def law():
            for number in range(8):
                circles.clear()
                program = Program(f"{seed} {number}", leaves=False)
                await program.run()
                assert circles or not program.exceeded
            return True

        assert run(law)
        run.take_reports()  # of several that fail, those which nobody awaits

    @pytest.mark.parametrize("seed", range(30))
    def test_nobody_hangs_whoever_leaves(self, run, seed):
        """Callers, batch functions that give up what they asked for, and loaders that are shut down."""

        async def law():
            for number in range(8):
                await Program(f"{seed} {number}", leaves=True).run()

        run(law)
        run.take_reports()


class Outside:
    """Loaders with one place whose batch functions wait for a loader without a limit, till a gate is open."""

    def __init__(self, limit):
        self.gate, self.working, self.most, self.order = asyncio.Event(), 0, 0, []

        async def outside(keys):
            await self.gate.wait()
            return keys

        async def load(keys):
            self.order += keys
            await other.load(keys[0])
            self.working += 1
            self.most = max(self.most, self.working)
            await turns(9)
            self.working -= 1
            return keys

        other = DataLoader(outside, 1)
        self.loader = DataLoader(load, 1, max_concurrency=limit)


@pytest.mark.parametrize("limit", [1, Limit(1)], ids=repr)
class TestWaitingForWhatIsOutside:
    def test_loads_that_arrive_meanwhile_wait(self, run, limit):
        """One by one, as other requests make them: none of them starts."""

        async def law():
            outside = Outside(limit)
            futures = []
            for key in range(6):
                futures.append(outside.loader.load(key))
                await turns(8)
            assert outside.order == [0]
            outside.gate.set()
            assert await asyncio.gather(*futures) == outside.order == [0, 1, 2, 3, 4, 5]
            assert outside.most == 1

        run(law)

    @pytest.mark.parametrize("pause", range(8))
    def test_an_open_batch_that_is_left_lets_others_on(self, run, limit, pause):
        """What the one who holds the place had asked for is cancelled before its batch closes, or when it runs."""

        async def law():
            asked = []

            async def outside(keys):
                await asyncio.Event().wait()

            async def load(keys):
                if keys == [0]:
                    asked.append(other.load(0))
                    await asyncio.wait(asked)
                return keys

            other = DataLoader(outside)
            loader = DataLoader(load, 1, max_concurrency=limit)
            futures = [loader.load(0), loader.load(1)]
            while not asked:
                await turns(1)
            await turns(pause)
            asked[0].cancel()
            assert await asyncio.gather(*futures) == [0, 1]

        run(law)


def test_what_is_waited_for_on_a_loop_that_was_closed_is_forgotten(kind):
    """Another loop takes all places, and there too others wait for one that works outside."""
    limit = Limit(1)

    async def leave():
        outside = Outside(limit)
        kept.extend([outside, outside.loader.load(0), outside.loader.load(1)])
        await turns(20)

    kept: list = []
    loop = new_loop(kind)
    loop.run_until_complete(leave())
    tasks = asyncio.all_tasks(loop)
    loop.close()

    async def law():
        outside = Outside(limit)
        futures = [outside.loader.load(key) for key in range(3)]
        await turns(20)
        outside.gate.set()
        assert await asyncio.gather(*futures) == outside.order == [0, 1, 2]
        assert (outside.most, limit.running) == (1, 0)

    LoopRunner(kind)(law)
    for task in tasks:
        task._log_destroy_pending = False


class TestLateLinks:
    @pytest.mark.parametrize("limit", [1, Limit(1)], ids=repr)
    @pytest.mark.parametrize("way", [0, 1, 4])
    def test_who_waits_for_a_batch_that_stands_in_line_lends_it_a_place(self, run, limit, way):
        """By way of others that work when it begins to wait, and others stand before it in line."""

        async def law():
            gates = [asyncio.Event() for _ in range(way + 1)]

            async def through(keys):
                await gates[keys[0]].wait()
                if keys[0] < way:
                    await between.load(keys[0] + 1)
                else:
                    await loader.load("last")
                return keys

            async def load(keys):
                order.extend(keys)
                if keys == ["first"]:
                    await between.load(0)
                return keys

            order = []
            between = DataLoader(through, 1)
            loader = DataLoader(load, 1, max_concurrency=limit)
            futures = [loader.load(key) for key in ("first", "other", "last")]
            for gate in gates:
                await turns(12)
                assert order == ["first"]
                gate.set()
            await asyncio.gather(*futures)
            assert order == ["first", "last", "other"]

        run(law)

    def test_a_circle_that_closes_late_is_seen(self, run):
        """By way of two limits, after all of them have waited for a while for one that works."""

        async def law():
            gate = asyncio.Event()

            async def slowly(keys):
                await gate.wait()
                return keys

            def make(other):
                async def load(keys):
                    if keys == ["top"]:
                        await outside.load(other)
                        await loaders[other].load("leaf")
                    return keys

                return DataLoader(load, 1, max_concurrency=Limit(1))

            outside = DataLoader(slowly, 1)
            loaders = [make(1), make(0)]
            futures = [loader.load(key) for key in ("top", "leaf", "other") for loader in loaders]
            await turns(20)
            gate.set()
            assert await asyncio.gather(*futures) == ["top", "top", "leaf", "leaf", "other", "other"]

        run(law)

    def test_an_interrupt_of_the_one_that_starts_leaves_nobody_waiting(self, kind):
        """The others of the circle go on, if the loop runs on."""
        loop = new_loop(kind)

        async def ask():
            def make(other):
                async def load(keys):
                    if keys == ["top"]:
                        await turns(3)
                        return [await loaders[other].load("leaf")]
                    if not interrupted:
                        interrupted.append(keys)
                        raise KeyboardInterrupt
                    return keys

                return DataLoader(load, 1, max_concurrency=Limit(1))

            loaders = [make(1), make(0)]
            kept.extend(loader.load("top") for loader in loaders)
            await asyncio.wait(kept)

        async def rest():
            return await asyncio.gather(*kept, return_exceptions=True)

        kept, interrupted = [], []
        task = loop.create_task(ask())
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(task)
        values = loop.run_until_complete(rest())
        assert sum(value == "leaf" for value in values) == 1
        loop.run_until_complete(task)
        for each in asyncio.all_tasks(loop):
            each._log_destroy_pending = False
        loop.close()


class TestCosts:
    """Counted, for twice the work: 2 times as much if it is linear, 4 times if quadratic."""

    @staticmethod
    async def load_beside_one_who_waits_elsewhere(size):
        outside = Outside(Limit(1))
        futures = []
        for key in range(size):
            futures.append(outside.loader.load(key))
            await turns(3)
        outside.gate.set()
        await asyncio.gather(*futures)

    @staticmethod
    async def wait_beside_a_chain_that_grows(size):
        """It is under no limit; who waits for it holds the place that others stand in line for."""

        async def chain(keys):
            await turns(1)
            if keys[0]:
                await links.load(keys[0] - 1)
            await turns(1)
            return keys

        async def load(keys):
            if keys[0]:
                await links.load(keys[0])
            return keys

        links = DataLoader(chain, 1)
        loader = DataLoader(load, 1, max_concurrency=Limit(1))
        await asyncio.gather(loader.load(size), loader.load(0))

    @staticmethod
    async def load_a_tree(size, limits=(1, 2)):
        """Two loaders load from each other, each under a limit of its own."""

        def make(limit, other):
            async def load(keys):
                await turns(1)
                below = [key for key in (2 * keys[0] + 1, 2 * keys[0] + 2) if key < size]
                if below:
                    await loaders[other].load_many(below)
                return keys

            return DataLoader(load, 1, max_concurrency=limit)

        loaders = [make(limits[0], 1), make(limits[1], 0)]
        await loaders[0].load(0)

    async def load_a_tree_under_limits(self, size):
        await self.load_a_tree(size, (Limit(1), Limit(2)))

    @staticmethod
    async def solve_circles(size):
        """Each key of either loader needs one of the other, and both have one place."""

        def make(other):
            async def load(keys):
                await turns(1)
                if keys[0] >= 0:
                    await loaders[other].load(-1 - keys[0])
                return keys

            return DataLoader(load, 1, max_concurrency=Limit(1))

        loaders = [make(1), make(0)]
        await asyncio.gather(*(loaders[key % 2].load(key) for key in range(size)))

    @pytest.mark.parametrize(
        "program",
        [
            "load_beside_one_who_waits_elsewhere",
            "wait_beside_a_chain_that_grows",
            "load_a_tree",
            "load_a_tree_under_limits",
            "solve_circles",
        ],
    )
    def test_they_are_linear(self, run, program):
        """In Python's steps inside of dloader."""
        work = getattr(self, program)
        run(work, 10)
        small, large = (steps_of(lambda size=size: run(work, size)) for size in (60, 120))
        assert large <= 2.7 * small
