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
