"""What loads cost when there are many of them: each costs the same, however many there are. Counted, never timed."""

import asyncio

import pytest
from counting import growth
from loops import Recorder, turns

from dloader import DataLoader, Limit

LINEAR = 1.1
"""More than this is `growth` that goes on for ever; a quadratic share of a tenth is more."""


def grows(work, size=40):
    """How much more of some work costs more than it should."""
    return growth(lambda number: asyncio.run(work(number)), size)


class TestCallersWhoLeave:
    @pytest.mark.parametrize("who", ["newest", "oldest"])
    @pytest.mark.parametrize("ask", ["load", "load_many"])
    def test_a_full_batch_whose_callers_leave_one_after_another(self, who, ask):
        """Each is replaced by a new one, and the batch is full again."""

        async def work(number):
            def load(key):
                return loader.load(key) if ask == "load" else loader.load_many([key])

            loader = DataLoader(Recorder(), max_batch_size=number)
            futures = [load(key) for key in range(number - 2)]
            for key in range(number - 2):
                futures.append(load(number + key))
                futures.pop(-1 if who == "newest" else 0).cancel()
            await asyncio.gather(*futures)

        assert grows(work, 200) < LINEAR

    def test_callers_of_one_key_who_have_left_are_looked_at_once(self):
        """However often its batch is full."""

        async def work(number):
            function = Recorder()
            loader = DataLoader(function, max_batch_size=3)
            *left, stays = [loader.load(0) for _ in range(number)]
            for each in left:
                each.cancel()
            for key in range(number):
                loader.load(key + 1).cancel()
            assert await stays == 0
            assert function.calls == [[0]]

        assert grows(work) < LINEAR

    @pytest.mark.parametrize("others", [0, 1])
    def test_callers_who_leave_a_running_batch_in_turn(self, others):
        """The next has joined before; nobody looks for those who left long ago, nor for other keys again."""

        async def work(number):
            gate = asyncio.Event()
            function = Recorder(gate=gate)
            loader = DataLoader(function)
            first = [loader.load(key) for key in range(1 + others * number)]
            await turns(8)
            last = loader.load(0)
            for each in first:
                each.cancel()
            for _ in range(number):
                future, last = last, loader.load(0)
                future.cancel()
                await turns(2)
            gate.set()
            assert await last == 0
            assert (len(function.calls), function.cancelled) == (1, 0)

        assert grows(work) < LINEAR


class TestLimits:
    @pytest.mark.parametrize("size", [1, 3])
    @pytest.mark.parametrize("steps", [0, 3])
    def test_loaders_in_line_at_one_limit(self, size, steps):
        """A place that is free goes to the first: the others are not looked at."""

        async def work(number):
            limit = Limit(size)

            async def load(keys):
                await turns(steps)
                return keys

            loaders = [DataLoader(load, max_concurrency=limit) for _ in range(number)]
            await asyncio.gather(*(loader.load(1) for loader in loaders))

        assert grows(work) < LINEAR


async def slowly(keys):
    """A batch function that takes some turns."""
    await turns(2)
    return keys


def asking(load, limit, **options):
    """A loader that loads under a limit by loading elsewhere."""

    async def function(keys):
        await asyncio.gather(*map(load, keys))
        return keys

    return DataLoader(function, max_concurrency=limit, **options)


async def one_asks_many_loaders(limit, number):
    inner = [DataLoader(slowly, max_concurrency=limit) for _ in range(number)]
    await asking(lambda key: asyncio.gather(*(loader.load(key) for loader in inner)), limit).load(1)


async def one_asks_for_many_batches(limit, number):
    inner = DataLoader(slowly, 1, max_concurrency=limit)
    await asking(inner.load, limit).load_many(range(number))


async def one_asks_for_one_after_another(limit, number):
    inner = DataLoader(slowly, max_concurrency=limit, cache=False)

    async def load(key):
        for _ in range(number):
            await inner.load(key)

    await asking(load, limit).load(1)


async def each_asks_one_of_its_own(limit, number):
    outer = [asking(DataLoader(slowly, max_concurrency=limit).load, limit) for _ in range(number)]
    await asyncio.gather(*(loader.load(1) for loader in outer))


async def all_ask_one(limit, number):
    inner = DataLoader(slowly, 1, max_concurrency=limit)
    await asking(inner.load, limit, max_batch_size=1).load_many(range(number))


async def all_ask_for_what_is_queued(limit, number):
    some, others = (DataLoader(slowly, 1, max_concurrency=limit) for _ in range(2))

    async def load(key):
        await asyncio.gather(some.load(key), others.load(key))

    outer = asking(load, limit, max_batch_size=1)
    await asyncio.gather(*(loader.load_many(range(number)) for loader in (outer, some, others)))


async def a_chain_of_loaders(limit, number):
    last = DataLoader(slowly, max_concurrency=limit)
    for _ in range(number):
        last = asking(last.load, limit)
    await last.load(1)


async def a_chain_in_one_loader(limit, number):
    async def function(keys):
        if keys[0]:
            await loader.load(keys[0] - 1)
        return keys

    loader = DataLoader(function, max_concurrency=limit)
    await loader.load(number)


@pytest.mark.in_full
class TestNestedLoads:
    """Batches whose functions load from each other, under one limit."""

    @pytest.mark.parametrize("limit", [1, 3, Limit(1), Limit(3)], ids=repr)
    @pytest.mark.parametrize(
        "program",
        [
            one_asks_many_loaders,
            one_asks_for_many_batches,
            one_asks_for_one_after_another,
            each_asks_one_of_its_own,
            all_ask_one,
            all_ask_for_what_is_queued,
            a_chain_of_loaders,
            a_chain_in_one_loader,
        ],
    )
    def test_each_costs_the_same(self, limit, program):
        """However many there are, and however deep: nobody looks at all who wait, or at all who hold places."""
        assert grows(lambda number: program(limit, number)) < LINEAR


class TestWhatIsStillPromised:
    @pytest.mark.parametrize("size", [3, 64, 200])
    def test_a_full_batch_that_many_have_left_goes_on(self, run, size):
        """A limit counts keys that somebody wants."""

        async def law():
            function = Recorder()
            loader = DataLoader(function, max_batch_size=size)
            futures = [loader.load(key) for key in range(size - 1)]
            for future in futures[1:]:
                future.cancel()
            more = [loader.load(key) for key in range(size, 2 * size - 1)]
            await asyncio.gather(futures[0], *more)
            assert function.calls == [[0, *range(size, 2 * size - 1)]]

        run(law)

    def test_a_running_batch_that_all_have_left_is_abandoned(self, run):
        """Those too who came while it ran."""

        async def law():
            function = Recorder(gate=asyncio.Event())
            loader = DataLoader(function)
            first = loader.load(1)
            await turns(8)
            later = [loader.load(1), loader.load_many([1])]
            first.cancel()
            await turns(3)
            assert function.running == 1
            for future in later:
                future.cancel()
            await turns(3)
            assert (function.running, function.cancelled) == (0, 1)
            assert loader.is_idle

        run(law)
