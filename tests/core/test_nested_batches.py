"""Batches whose functions load through each other: places are lent, circles are errors, and work stays linear."""

import asyncio
import gc

import pytest
from loops import Recorder, turns

from dloader import DataLoader, Limit, RecursiveLoadError, settle
from dloader._core._wait_graph import Place


class TestNestedBatchesOfOne:
    @pytest.mark.parametrize("limit", [None, 5])
    def test_each_waits_for_its_own(self, run, monkeypatch, limit):
        """No batch is looked for among all others: counted, never timed. Its steps are counted in test_resources."""
        compared = 0

        def equal(self, other):
            nonlocal compared
            compared += 1
            return self is other

        def policy(batch):
            monkeypatch.setattr(type(batch), "__eq__", equal)
            settle()(batch)

        async def law():
            inner_function = Recorder(turns=1)
            inner = DataLoader(inner_function, max_batch_size=1, max_concurrency=limit, dispatch=policy)

            async def load(keys):
                return [await inner.load(key) for key in keys]

            outer = DataLoader(load, max_batch_size=1, dispatch=policy)
            assert await outer.load_many(range(300)) == [key * 10 for key in range(300)]
            assert inner_function.most_running <= (limit or 300)

        run(law)
        assert compared < 3000

    def test_all_wait_for_one(self, run):
        """A batch that waits lends its place, once, to those it waits for."""

        async def law():
            function = Recorder(turns=2)

            async def load(keys):
                if keys == [0]:
                    return [sum(await asyncio.gather(*(loader.load(key) for key in range(1, 20))))]
                return await function(keys)

            loader = DataLoader(load, max_batch_size=1, max_concurrency=2)
            assert await loader.load(0) == sum(range(1, 20)) * 10
            assert function.most_running == 2

        run(law)

    def test_a_place_is_lent_only_to_those_that_are_waited_for(self, run):
        """Others stay where they are, also when they are first in line."""

        async def law():
            events = {key: asyncio.Event() for key in ("a", "a1", "b1")}
            below = {"a": "a1", "b": "b1", "b1": "b2"}
            calls = []

            async def load(keys):
                [key] = keys
                calls.append(key)
                if key in events:
                    await events[key].wait()
                if key in below:
                    await loader.load(below[key])
                return keys

            loader = DataLoader(load, max_batch_size=1, max_concurrency=2)
            asked = [loader.load(key) for key in ("a", "b", "c")]
            await turns(8)
            assert calls == ["a", "b", "b1"]
            events["a"].set()
            await turns(8)
            assert calls == ["a", "b", "b1", "a1"], "each has lent its own"
            events["b1"].set()
            await asyncio.gather(*asked[1:])
            assert calls == ["a", "b", "b1", "a1", "b2", "c"]
            events["a1"].set()
            assert await asked[0] == "a"

        run(law)

    @pytest.mark.parametrize("limit", [1, 2, Limit(1), Limit(2)], ids=repr)
    @pytest.mark.parametrize("way", [1, 3])
    def test_nobody_else_starts_while_somebody_goes_on(self, run, limit, way):
        """A batch may wait for one that works elsewhere, through others; then it goes on with its place."""

        async def law():
            async def outside(keys):
                await turns(12)
                return keys

            def through(other):
                async def load(keys):
                    await turns(1)
                    return await other.load_many(keys)

                return DataLoader(load, 1)

            async def load(keys):
                nonlocal working, most
                value = await other.load(keys[0])
                working += 1
                most = max(most, working)
                await turns(20)
                working -= 1
                return [value]

            other = DataLoader(outside, 1)
            for _ in range(way - 1):
                other = through(other)
            working = most = 0
            loader = DataLoader(load, 1, max_concurrency=limit)
            assert await loader.load_many(range(6)) == list(range(6))
            assert most == getattr(limit, "size", limit)

        run(law)

    def test_a_place_is_lent_no_longer_than_its_batch_waits(self, run):
        """One that has its answer and works on keeps its place from all that come later."""

        async def law():
            gate = asyncio.Event()
            other, work = DataLoader(Recorder(turns=1)), Recorder(gate=gate)

            async def load(keys):
                await other.load_many(keys)
                return await work(keys)

            loader = DataLoader(load, max_batch_size=1, max_concurrency=1)
            first = loader.load(1)
            while not work.calls:
                await turns(1)
            second = loader.load(2)
            await turns(20)
            assert work.calls == [[1]]
            gate.set()
            assert [await first, await second] == [10, 20]
            assert work.most_running == 1

        run(law)

    def test_a_batch_function_may_leave_a_load_behind(self, run):
        """What it asked for and did not wait for lends no place and makes no circle once it has returned."""

        async def law():
            gate = asyncio.Event()
            left = []
            slow_function = Recorder(gate=gate)
            slow = DataLoader(slow_function)

            async def load_middle(keys):
                await turns(6)
                assert slow_function.running
                return await slow.load_many(keys)

            async def load(keys):
                left.extend(map(middle.load, keys))
                return keys

            middle = DataLoader(load_middle)
            asked = slow.load(1)
            assert await DataLoader(load).load_many([1, 2]) == [1, 2]
            await turns(20)
            gate.set()
            assert await asyncio.gather(asked, *left) == [10, 10, 20]

        run(law)


class TestGivenUp:
    """Loads that a batch function has given up, while others wait for the same."""

    @pytest.mark.parametrize("outside", [False, True])
    def test_no_place_is_lent_for_them(self, run, outside):
        """Neither to the batch that was asked, nor to one more as all who hold places seem to wait."""

        async def law():
            async def load(keys):
                for key in keys:
                    future = other.load(key)
                    await turns(2)
                    future.cancel()
                await work(20)
                return keys

            async def work(number):
                nonlocal working, most
                working += 1
                most = max(most, working)
                await turns(number)
                working -= 1

            async def load_other(keys):
                await (gate.wait() if outside else work(3))
                return keys

            async def load_third(keys):
                await work(3)
                return keys

            working = most = 0
            limit, gate = Limit(1), asyncio.Event()
            first, third = (DataLoader(each, max_concurrency=limit) for each in (load, load_third))
            other = DataLoader(load_other, max_concurrency=None if outside else limit)
            stays, future = other.load(1), first.load(1)
            await turns(9)
            assert await third.load(1) == 1
            gate.set()
            assert await asyncio.gather(stays, future) == [1, 1]
            assert most == 1

        run(law)

    def test_who_has_given_up_is_forgotten(self, run):
        """By what goes on, when it ends itself."""

        async def law():
            async def load(keys):
                future = long.load(1)
                await turns(2)
                future.cancel()
                return keys

            gate = asyncio.Event()
            long, short = DataLoader(Recorder(gate=gate)), DataLoader(load, cache=False)
            stays = long.load(1)
            for key in range(50):
                await short.load(key)
            gc.collect()
            assert sum(isinstance(each, Place) for each in gc.get_objects()) < 5
            gate.set()
            assert await stays == 10

        run(law)


class TestLoadsOfItsOwn:
    @pytest.mark.parametrize("ask", ["load", "load_many", "task"])
    def test_a_load_of_the_key_that_it_is_loading_is_an_error(self, run, ask):
        """It would wait for itself for ever."""

        async def law():
            async def load(keys):
                if ask == "load":
                    return [await loader.load(key) for key in keys]
                if ask == "load_many":
                    return await loader.load_many([7, *keys], return_exceptions=True)

                async def inner():
                    return await loader.load(keys[0])

                async with asyncio.TaskGroup() as group:
                    group.create_task(inner())
                return None

            loader = DataLoader(load, name="users")
            error = (await asyncio.gather(loader.load(1), return_exceptions=True))[0]
            if ask == "task":
                error = error.exceptions[0]
            assert isinstance(error, RecursiveLoadError)
            assert "'users'" in str(error)
            assert "1" in str(error)
            assert loader.is_idle
            loader.load_fn = Recorder()
            assert await loader.load(1) == 10

        run(law)

    def test_a_circle_through_another_loader_is_an_error(self, run):
        """A user who needs a team who needs the user: nobody would ever be answered."""

        async def law():
            async def load_users(keys):
                return await teams.load_many(keys)

            async def load_teams(keys):
                return await users.load_many(keys)

            users, teams = DataLoader(load_users), DataLoader(load_teams)
            with pytest.raises(RecursiveLoadError):
                await users.load(1)
            assert users.is_idle
            assert teams.is_idle

        run(law)

    @pytest.mark.parametrize("give_up", ["cancel", "cancel_many", "timeout", "try_again"])
    @pytest.mark.parametrize("is_running", [False, True])
    def test_what_was_given_up_is_waited_for_no_more(self, run, give_up, is_running):
        """Others wait for it still, and it may load what gave it up."""

        async def law():
            async def ask_and_give_up():
                if give_up == "timeout":
                    with pytest.raises(TimeoutError):
                        async with asyncio.timeout(0):
                            await second.load(1)
                    return
                for _ in range(3 if give_up == "try_again" else 1):
                    load = second.load_many([1, 2]) if give_up == "cancel_many" else second.load(1)
                    await turns(2)
                    load.cancel()
                    await turns(1)

            async def load_first(keys):
                if is_running:
                    await runs.wait()
                await ask_and_give_up()
                given_up.set()
                await asked.wait()
                return keys

            async def load_second(keys):
                runs.set()
                await given_up.wait()
                future = first.load(1)
                asked.set()
                await future
                return keys

            runs, given_up, asked = (asyncio.Event() for _ in range(3))
            first, second = DataLoader(load_first), DataLoader(load_second)
            assert await asyncio.gather(first.load(1), second.load_many([1, 2])) == [1, [1, 2]]

        run(law)

    @pytest.mark.parametrize("limit", [None, 1])
    def test_loads_of_other_keys_work_also_when_one_batch_may_run_at_a_time(self, run, limit):
        """A batch that waits for another of its loader lends it its place."""

        async def law():
            async def load(keys):
                calls.append(keys)
                parents = await loader.load_many([key - 1 for key in keys if key > 0])
                return [key + sum(parents) for key in keys]

            calls: list = []
            loader = DataLoader(load, max_concurrency=limit)
            assert await loader.load(4) == 10
            assert calls == [[4], [3], [2], [1], [0]]

        run(law)

    def test_nested_batches_keep_to_max_concurrency_among_themselves(self, run):
        """The batch that waits does not count; one session never runs two statements at once."""

        async def law():
            async def load(keys):
                nonlocal reading
                if keys == [0]:
                    return [sum(await loader.load_many([1, 2, 3]))]
                reading += 1
                assert reading == 1
                await turns(2)
                reading -= 1
                return keys

            reading = 0
            loader = DataLoader(load, 1, max_concurrency=1)
            assert await asyncio.gather(loader.load(0), loader.load(4)) == [6, 4]

        run(law)

    def test_a_nested_load_of_a_key_in_the_queue_brings_its_batch_forward(self, run):
        """Else the running batch and the one in the queue would wait for each other."""

        async def law():
            async def load(keys):
                calls.append(keys)
                if keys == [1]:
                    await turns(10)
                    return [await loader.load(2)]
                return keys

            calls: list = []
            loader = DataLoader(load, max_concurrency=1, max_batch_size=1)
            assert await asyncio.gather(loader.load(1), loader.load(3), loader.load(2)) == [2, 3, 2]
            assert calls == [[1], [2], [3]]

        run(law)

    def test_tasks_that_outlive_their_batch_may_load_its_keys(self, run):
        """Only a batch that is being awaited can wait for itself."""

        async def law():
            async def later():
                await first
                return await loader.clear(1).load(1)

            async def load(keys):
                if not tasks:
                    tasks.append(asyncio.create_task(later()))
                return keys

            tasks: list = []
            loader = DataLoader(load)
            first = asyncio.ensure_future(loader.load(1))
            assert await first == 1
            assert await tasks[0] == 1

        run(law)
