"""load_many is one future for a whole set of keys."""

import asyncio

import pytest
from counting import pending_futures
from loops import Recorder, turns

from dloader import DataLoader, KeyTypeError, manual


class Boom(Exception):
    """A failure of the user's own."""


class TestLoadMany:
    @pytest.mark.parametrize("make", [list, tuple, dict.fromkeys, iter, set], ids=lambda make: make.__name__)
    def test_any_iterable_of_keys(self, run, make):
        """Read once, in its order."""

        async def law():
            assert await DataLoader(Recorder()).load_many(make([1, 2])) == [10, 20]

        run(law)

    def test_keys_may_repeat(self, run):
        """The result has a place for each, the batch function sees each once."""

        async def law():
            recorder = Recorder()
            assert await DataLoader(recorder).load_many([2, 1, 2, 2]) == [20, 10, 20, 20]
            assert recorder.calls == [[2, 1]]

        run(law)

    def test_no_keys_load_nothing(self, run):
        """The future is done at once."""

        async def law():
            recorder = Recorder()
            future = DataLoader(recorder).load_many([])
            assert future.done()
            assert await future == []
            assert recorder.calls == []

        run(law)

    def test_it_is_one_future_and_shares_batches_with_load(self, run):
        """Not a gather, not a future per key."""

        async def law():
            recorder = Recorder()
            loader = DataLoader(recorder)
            before = pending_futures()
            first, many, last = loader.load(1), loader.load_many([1, 2, 3]), loader.load(3)
            assert isinstance(many, asyncio.Future)
            assert pending_futures() == before + 3
            assert await asyncio.gather(first, many, last) == [10, [10, 20, 30], 30]
            assert recorder.calls == [[1, 2, 3]]

        run(law)

    def test_what_is_cached_is_not_loaded(self, run):
        """A set may be partly cached, partly under way, partly new."""

        async def law():
            recorder = Recorder()
            loader = DataLoader(recorder)
            await loader.load(1)
            under_way = loader.load(2)
            assert await loader.load_many([3, 1, 2]) == [30, 10, 20]
            assert await under_way == 20
            assert recorder.calls == [[1], [2, 3]]
            done = loader.load_many([1, 2])
            assert done.done()
            assert await done == [10, 20]
            assert loader.statistics.cache_hits == 3
            assert loader.statistics.merged == 1

        run(law)

    def test_overlapping_sets_ask_for_each_key_once(self, run):
        """Each gets its own list."""

        async def law():
            recorder = Recorder()
            loader = DataLoader(recorder, 2)
            sets = [[1, 2, 3], [3, 4], [5, 1], [4, 3, 2, 1]]
            lists = await asyncio.gather(*map(loader.load_many, sets))
            assert lists == [[key * 10 for key in keys] for keys in sets]
            assert recorder.calls == [[1, 2], [3, 4], [5]]

        run(law)

    @pytest.mark.parametrize("size", [1, 2, 3, 100])
    def test_it_fills_an_open_batch_and_goes_on_in_further_ones(self, run, size):
        """No batch is larger than it may be, and none smaller than it need be."""

        async def law():
            recorder = Recorder()
            loader = DataLoader(recorder, size)
            assert await asyncio.gather(loader.load(0), loader.load_many(range(1, 8))) == [
                0,
                [*range(10, 80, 10)],
            ]
            assert recorder.calls == [[*range(8)][start : start + size] for start in range(0, 8, size)]

        run(law)

    def test_a_bad_key_requests_nothing(self, run):
        """All keys are looked at before any is asked for: nothing is orphaned."""

        async def law():
            recorder = Recorder()
            loader = DataLoader(recorder, name="users")
            for bad in ([1, None], [1, [2]], [1, {}]):
                with pytest.raises(KeyTypeError, match="'users'"):
                    loader.load_many(bad)
            with pytest.raises(KeyTypeError, match=r"'users'.*iterable"):
                loader.load_many(7)
            assert loader.is_idle
            await turns(8)
            assert recorder.calls == []

        run(law)

    def test_sets_that_share_a_batch(self, run):
        """Each list has its own keys, whoever else asked for them, and what is cached does not change."""

        async def law():
            loader = DataLoader(Recorder())
            loader.prime(9, "nine")
            single = loader.load(2)
            lists = [
                loader.load_many([1, 2, 1]),
                loader.load_many([3, 4]),
                loader.load_many([4, 1]),
                loader.load_many([5, 9, 5]),
                loader.load_many([3, 3], return_exceptions=True),
            ]
            expected = [[10, 20, 10], [30, 40], [40, 10], [50, "nine", 50], [30, 30]]
            assert await asyncio.gather(*lists) == expected
            assert await single == 20
            assert loader.cache_map == {9: "nine", 1: 10, 2: 20, 3: 30, 4: 40, 5: 50}

        run(law)

    def test_sets_over_many_batches(self, run):
        """Also when the last batch ends first, or the first one failed in place."""

        async def law():
            gate = asyncio.Event()

            async def load(keys):
                if 1 in keys:
                    await gate.wait()
                return [Boom() if key == 1 else key * 10 for key in keys]

            loader = DataLoader(load, max_batch_size=2)
            lists = [loader.load_many(range(1, 6), return_exceptions=True), loader.load_many([5, 3, 2])]
            await turns(8)
            gate.set()
            [[error, *rest], other] = await asyncio.gather(*lists)
            assert type(error) is Boom
            assert (rest, other) == ([20, 30, 40, 50], [50, 30, 20])

        run(law)

    def test_sets_that_share_a_batch_keep_what_they_were_given(self, run):
        """Also when a key was cleared between them: each gets what its own batch loaded."""

        async def law():
            gates = []

            async def load(keys):
                gate = asyncio.Event()
                gates.append(gate)
                number = len(gates)
                await gate.wait()
                return [number]

            loader = DataLoader(load, max_batch_size=1)
            first = loader.load_many([1, 2, 3])
            await turns(4)
            second = loader.clear(2).load_many([1, 2])
            await turns(4)
            for number in (0, 1, 3, 2):
                gates[number].set()
                await turns(4)
            assert await first == [1, 2, 3]
            assert await second == [1, 4]

        run(law)


class TestErrors:
    @staticmethod
    def boom(keys):
        return [Boom(key) if key % 2 else key for key in keys]

    def test_the_first_error_fails_the_set(self, run):
        """By the order of the keys within a batch."""

        async def law():
            loader = DataLoader(Recorder(self.boom))
            with pytest.raises(Boom) as caught:
                await loader.load_many([2, 3, 5])
            assert caught.value.args == (3,)
            assert loader.cache_map == {2: 2}

        run(law)

    def test_errors_in_place(self, run):
        """return_exceptions=True raises nothing."""

        async def law():
            loader = DataLoader(Recorder(self.boom), 2)
            two, three, four, five = await loader.load_many([2, 3, 4, 5], return_exceptions=True)
            assert (two, four) == (2, 4)
            assert (three.args, five.args) == ((3,), (5,))

        run(law)

    def test_a_failed_set_leaves_the_batches_that_are_still_out(self, run):
        """They are cancelled when nobody else waits for them."""

        async def law():
            gate = asyncio.Event()

            async def load(keys):
                if keys == [1]:
                    raise Boom(1)
                await gate.wait()

            loader = DataLoader(load, 1)
            with pytest.raises(Boom):
                await loader.load_many([1, 2, 3])
            await turns(3)
            assert loader.is_idle

        run(law)

    def test_a_failed_set_leaves_other_callers_alone(self, run):
        """Who waits for a key of a batch still out gets it."""

        async def law():
            gate = asyncio.Event()

            async def load(keys):
                if keys == [1]:
                    raise Boom(1)
                await gate.wait()
                return keys

            loader = DataLoader(load, 1)
            many, two, both = loader.load_many([1, 2]), loader.load(2), loader.load_many([3, 2])
            with pytest.raises(Boom):
                await many
            gate.set()
            assert await two == 2
            assert await both == [3, 2]

        run(law)

    def test_a_batch_that_fails_as_a_whole_fails_its_part_in_place(self, run):
        """The keys of other batches are answered."""

        async def law():
            def answer(keys):
                if 2 in keys:
                    raise Boom("batch")
                return keys

            loader = DataLoader(Recorder(answer), 1)
            one, two, three = await loader.load_many([1, 2, 3], return_exceptions=True)
            assert (one, three) == (1, 3)
            assert isinstance(two, Boom)

        run(law)

    def test_cached_errors_fail_the_set_before_anything_is_asked_for(self, run):
        """Nothing is orphaned by an error that is known already."""

        async def law():
            recorder = Recorder()
            loader = DataLoader(recorder).prime(2, Boom("primed"))
            with pytest.raises(Boom):
                await loader.load_many([1, 2])
            assert loader.is_idle
            one, two = await loader.load_many([1, 2], return_exceptions=True)
            assert one == 10
            assert isinstance(two, Boom)
            assert two is not loader.cache_map[2]

        run(law)

    def test_the_last_of_several_batches_may_fail_after_the_set_failed(self, run):
        """The set is settled once."""

        async def law():
            recorder = Recorder(lambda keys: 1 // 0)
            loader = DataLoader(recorder, 1, dispatch=manual())
            many = loader.load_many([1, 2])
            other = loader.load_many([1, 2], return_exceptions=True)
            with pytest.raises(ZeroDivisionError):
                await many
            assert [type(error) for error in await other] == [ZeroDivisionError] * 2

        run(law)


class TestJoinedInAnotherOrder:
    @pytest.mark.parametrize("order", [[1, 2], [2, 1], [1, 2, 1]], ids=str)
    def test_each_key_has_its_own_answer(self, run, order):
        """A whole batch that others opened, in the order of theirs."""

        async def law():
            loader = DataLoader(Recorder())
            two, one, many = loader.load(2), loader.load(1), loader.load_many(order)
            assert await asyncio.gather(two, one, many) == [20, 10, [key * 10 for key in order]]
            assert loader.statistics.keys == 2

        run(law)
