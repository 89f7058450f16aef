"""A caller owns its future: what one does with it never touches another."""

import asyncio
from contextlib import suppress

import pytest
from loops import Recorder, turns

from dloader import BatchAbortedError, DataLoader, manual


def gated(**options):
    """A loader whose batches wait at a gate, its recorder and the gate."""
    gate = asyncio.Event()
    recorder = Recorder(gate=gate)
    return DataLoader(recorder, **options), recorder, gate


class TestBeforeDispatch:
    def test_cancelling_one_caller_leaves_the_others_of_its_key_alone(self, run):
        """They have futures of their own."""

        async def law():
            recorder = Recorder()
            loader = DataLoader(recorder)
            one, two, three = loader.load(1), loader.load(1), loader.load_many([1, 2])
            assert one.cancel()
            assert not one.cancel()
            assert await two == 10
            assert await three == [10, 20]
            assert recorder.calls == [[1, 2]]

        run(law)

    @pytest.mark.parametrize("form", ["load", "load_many", "both"])
    def test_a_key_whose_callers_are_all_gone_leaves_the_batch(self, run, form):
        """The batch function is not asked for what nobody wants."""

        async def law():
            recorder = Recorder()
            loader = DataLoader(recorder)
            gone = {
                "load": lambda: [loader.load(1), loader.load(1)],
                "load_many": lambda: [loader.load_many([1, 3]), loader.load_many([1])],
                "both": lambda: [loader.load(1), loader.load_many([1, 3])],
            }[form]()
            stays = loader.load(2)
            for future in gone:
                future.cancel()
            assert await stays == 20
            assert recorder.calls == [[2]]

        run(law)

    def test_a_batch_without_callers_never_starts(self, run):
        """And the next load opens a new one."""

        async def law():
            recorder = Recorder()
            loader = DataLoader(recorder)
            loader.load(1).cancel()
            loader.load_many([1, 2]).cancel()
            await turns(10)
            assert loader.is_idle
            assert recorder.calls == []
            assert loader.statistics.batches == 0
            assert await loader.load(1) == 10
            assert recorder.calls == [[1]]

        run(law)

    def test_a_key_that_was_left_may_come_back_to_the_same_batch(self, run):
        """It stands in the batch once."""

        async def law():
            recorder = Recorder()
            loader = DataLoader(recorder, cache_key_fn=str)
            loader.load(1).cancel()
            two = loader.load(2)
            loader.load(1).cancel()
            one = loader.load(1)
            assert await asyncio.gather(one, two) == [10, 20]
            assert sorted(recorder.calls[0]) == [1, 2]
            assert len(recorder.calls) == 1

        run(law)

    def test_keys_that_were_left_take_no_room_in_the_batch(self, run):
        """A limit counts keys that somebody wants."""

        async def law():
            recorder = Recorder()
            loader = DataLoader(recorder, 3)
            kept = loader.load(0)
            loader.load(1).cancel()
            assert await asyncio.gather(kept, loader.load(2), loader.load_many([3, 4])) == [0, 20, [30, 40]]
            assert recorder.calls == [[0, 2, 3], [4]]
            kept = loader.load(10)
            loader.load(11).cancel()
            assert await asyncio.gather(kept, loader.load_many([12, 13, 14])) == [100, [120, 130, 140]]
            assert recorder.calls[2:] == [[10, 12, 13], [14]]

        run(law)

    def test_keys_that_are_left_again_and_again_take_no_room(self, run):
        """Not even one of many, when another has been left before."""

        async def law():
            function = Recorder()
            loader = DataLoader(function, max_batch_size=40)
            kept = []
            for key in range(40):
                kept.append(loader.load(key))
                if key in (37, 38):
                    kept.pop().cancel()
            kept.append(loader.load(40))
            kept.pop().cancel()
            kept += [loader.load(key) for key in (41, 42)]
            await asyncio.gather(*kept)
            assert function.calls == [[key for key in range(43) if key not in (37, 38, 40)]]

        run(law)

    @pytest.mark.parametrize("others", [[], [5], [5, 6, 7, 8, 9, 10, 11, 12, 13, 14]], ids=len)
    @pytest.mark.parametrize("size", [None, 3, 13])
    @pytest.mark.parametrize("join", ["load", "load_many"])
    def test_a_key_that_its_first_set_left_is_answered_and_cached(self, run, join, size, others):
        """Others of the set are forgotten, this one is not: somebody else waits for it."""

        async def law():
            loader = DataLoader(Recorder(), size, dispatch=manual())
            left = loader.load_many([0, 1])
            joined = loader.load(0) if join == "load" else loader.load_many([0])
            sets = [loader.load_many([key]) for key in others]
            left.cancel()
            late = loader.load(2)
            loader.dispatch()
            assert await joined == (0 if join == "load" else [0])
            assert await asyncio.gather(late, *sets) == [20, *([10 * key] for key in others)]
            assert {0: 0, 2: 20}.items() <= loader.cache_map.items()
            assert await loader.load(0) == 0

        run(law)

    @pytest.mark.parametrize("number", [1, 2, 8, 9, 10, 20])
    def test_a_future_in_the_room_that_a_set_left_is_answered(self, run, number):
        """As many keys as sets have asked for first are no proof that nobody else asks."""

        async def law():
            loader = DataLoader(Recorder(), number + 1, dispatch=manual())
            sets = [loader.load_many([key]) for key in range(number)]
            sets[0].cancel()
            sets += [loader.load_many([number])]
            alone = loader.load(99)
            loader.dispatch()
            async with asyncio.timeout(5):
                assert await alone == 990
            assert await asyncio.gather(*sets[1:]) == [[10 * key] for key in range(1, number + 1)]

        run(law)

    def test_a_closed_batch_in_the_queue_is_left_too(self, run):
        """It waits for max_concurrency, and is still nobody's."""

        async def law():
            loader, recorder, gate = gated(max_batch_size=1, max_concurrency=1)
            one, two, three = loader.load(1), loader.load(2), loader.load(3)
            await turns(8)
            two.cancel()
            again = loader.load(2)
            gate.set()
            four = loader.load(4)
            four.cancel()
            assert await asyncio.gather(one, three, again) == [10, 30, 20]
            await turns(8)
            assert recorder.calls == [[1], [2], [3]]
            assert loader.is_idle

        run(law)


class TestInFlight:
    def test_cancelling_one_caller_leaves_the_others_of_its_key_alone(self, run):
        """The batch runs on for them."""

        async def law():
            loader, recorder, gate = gated()
            one, two, three = loader.load(1), loader.load(1), loader.load_many([1, 2])
            await turns(8)
            assert recorder.calls == [[1, 2]]
            one.cancel()
            two.cancel()
            gate.set()
            assert await three == [10, 20]
            assert recorder.cancelled == 0

        run(law)

    @pytest.mark.parametrize("form", ["load", "load_many", "both"])
    def test_a_running_batch_whose_callers_are_all_gone_is_cancelled(self, run, form):
        """Nobody wants what it loads; the next load of the key is a new one."""

        async def law():
            loader, recorder, gate = gated()
            gone = {
                "load": lambda: [loader.load(1), loader.load(1), loader.load(2)],
                "load_many": lambda: [loader.load_many([1, 2]), loader.load_many([2, 1])],
                "both": lambda: [loader.load(1), loader.load_many([1, 2])],
            }[form]()
            await turns(8)
            assert recorder.calls == [[1, 2]]
            for future in gone:
                future.cancel()
            await turns(1)
            assert "waiting=0" in repr(loader)
            await turns(1)
            assert recorder.cancelled == 1
            assert loader.is_idle
            gate.set()
            assert await loader.load(1) == 10

        run(law)

    def test_a_key_that_everybody_left_may_be_joined_while_its_batch_runs(self, run):
        """It is being loaded anyway."""

        async def law():
            loader, recorder, gate = gated()
            one, two = loader.load(1), loader.load_many([2, 3])
            await turns(8)
            one.cancel()
            again, more = loader.load(1), loader.load_many([1, 2])
            two.cancel()
            last = loader.load(3)
            gate.set()
            assert await asyncio.gather(again, more, last) == [10, [10, 20], 30]
            assert recorder.calls == [[1, 2, 3]]

        run(law)

    def test_a_key_that_was_joined_again_keeps_its_batch_running(self, run):
        """It counts as wanted, whoever left before."""

        async def law():
            loader, recorder, gate = gated()
            one, two = loader.load(1), loader.load(2)
            await turns(8)
            one.cancel()
            again = loader.load(1)
            two.cancel()
            await turns(2)
            assert recorder.cancelled == 0
            gate.set()
            assert await again == 10

        run(law)

    def test_a_batch_cancelled_before_its_first_step_is_let_go_of(self, run):
        """Its coroutine never runs, and its place must not stay taken."""

        async def law():
            recorder = Recorder()
            loader = DataLoader(recorder, max_concurrency=1, dispatch=manual())
            asyncio.get_running_loop().set_task_factory(
                lambda loop, coro, **kw: asyncio.Task(coro, loop=loop, **kw)
            )

            def batch_tasks():
                """The batches' tasks are named after their loader."""
                return [task for task in asyncio.all_tasks() if task.get_name().startswith("Recorder-")]

            one = loader.load(1)
            loader.dispatch()
            one.cancel()
            two = loader.load(2)
            loader.dispatch()
            [task] = batch_tasks()
            await turns(3)
            assert task.done()
            assert await two == 20
            three = loader.load(3)
            loader.dispatch()
            [task] = batch_tasks()
            task.cancel()
            with pytest.raises(BatchAbortedError):
                await three
            assert recorder.calls == [[2]]
            assert loader.is_idle
            await loader.aclose(drain=True)

        run(law)

    def test_callers_that_leave_in_the_first_step_of_the_batch_stop_it(self, run):
        """The batch function may itself be what makes its callers leave."""

        async def law():
            async def load(keys):
                nonlocal stopped
                future.cancel()
                try:
                    await asyncio.sleep(0)
                except asyncio.CancelledError:
                    stopped = True
                    raise

            stopped = False
            loader = DataLoader(load)
            future = loader.load(1)
            with suppress(asyncio.CancelledError):
                await future
            await turns(2)
            assert stopped
            assert loader.is_idle

        run(law)

    def test_a_batch_that_ends_in_its_first_step_after_its_callers_left_is_let_go_of(self, run):
        """There is nothing to cancel any more."""

        async def law():
            async def load(keys):
                future.cancel()
                return keys

            loader = DataLoader(load)
            future = loader.load(1)
            await turns(8)
            assert future.cancelled()
            assert loader.is_idle

        run(law)

    def test_what_an_abandoned_batch_still_returns_is_dropped(self, run):
        """It was stopped, and who would know how old its values are."""

        async def law():
            async def load(keys):
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(3600)
                return keys

            loader = DataLoader(load)
            future = loader.load(1)
            await turns(8)
            future.cancel()
            await turns(2)
            assert loader.cache_map == {}
            assert loader.is_idle

        run(law)

    def test_an_error_of_an_abandoned_batch_is_reported(self, run):
        """Nobody is left to be told."""

        async def law():
            async def load(keys):
                try:
                    await asyncio.sleep(3600)
                finally:
                    raise ValueError("while cleaning up")

            loader = DataLoader(load, name="users")
            future = loader.load(1)
            await turns(8)
            future.cancel()
            await turns(2)
            [report] = run.take_reports()
            assert "'users'" in report["message"]
            assert isinstance(report["exception"], ValueError)

        run(law)


class TestTheWaysToLeave:
    @pytest.mark.parametrize("when", [0, 8])
    @pytest.mark.parametrize("many", [False, True])
    def test_wait_for_leaves_the_others_alone(self, run, when, many):
        """Before dispatch and in flight."""

        async def law():
            loader, recorder, gate = gated()

            def ask():
                return loader.load_many([1]) if many else loader.load(1)

            other = ask()
            mine = asyncio.ensure_future(asyncio.wait_for(ask(), 0 if when == 0 else 3600))
            await turns(when)
            mine.cancel()
            with suppress(TimeoutError, asyncio.CancelledError):
                await mine
            gate.set()
            assert await other == ([10] if many else 10)
            assert recorder.calls == [[1]]

        run(law)

    @pytest.mark.parametrize("when", [1, 8])
    def test_a_failing_task_group_leaves_the_others_alone(self, run, when):
        """It cancels its own tasks only."""

        async def law():
            loader, recorder, gate = gated()

            async def caller(key):
                return await loader.load(key)

            async def failing():
                await turns(when)
                raise ValueError

            async def group():
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(caller(1))
                    tasks.create_task(caller(2))
                    tasks.create_task(failing())

            others = [asyncio.create_task(caller(1)), asyncio.create_task(caller(3))]
            with pytest.raises(ExceptionGroup):
                await group()
            gate.set()
            assert await asyncio.gather(*others) == [10, 30]
            assert len(recorder.calls) == 1

        run(law)

    def test_a_cancelled_gather_leaves_the_others_alone(self, run):
        """It cancels the futures it was given."""

        async def law():
            loader, _, gate = gated()
            other = loader.load(1)
            mine = asyncio.gather(loader.load(1), loader.load_many([1, 2]))
            await turns(8)
            mine.cancel()
            with suppress(asyncio.CancelledError):
                await mine
            gate.set()
            assert await other == 10

        run(law)

    def test_a_future_completed_from_outside_is_left_as_it_is(self, run):
        """It is a real future, and its owner may do with it as they please."""

        async def law():
            loader, _, gate = gated()
            value, error, many, other = (
                loader.load(1),
                loader.load(2),
                loader.load_many([1, 2]),
                loader.load(1),
            )
            await turns(8)
            value.set_result("mine")
            error.set_exception(ValueError("mine"))
            many.set_result(["mine"])
            gate.set()
            assert await other == 10
            assert await value == "mine"
            assert await many == ["mine"]
            with pytest.raises(ValueError, match="mine"):
                await error

        run(law)

    def test_a_future_completed_from_outside_is_left_alone_by_a_failure(self, run):
        """In a batch that fails as a whole too."""

        async def law():
            loader = DataLoader(Recorder(lambda keys: 1 // 0))
            value, many, other = loader.load(1), loader.load_many([1]), loader.load(1)
            value.set_result("mine")
            many.set_result(["mine"])
            with pytest.raises(ZeroDivisionError):
                await other
            assert (await value, await many) == ("mine", ["mine"])

        run(law)

    def test_a_cancelled_set_leaves_every_batch_it_waits_for(self, run):
        """One future, three batches: one done, one running, one in the queue."""

        async def law():
            gates = {1: asyncio.Event(), 2: asyncio.Event(), 3: asyncio.Event()}

            async def load(keys):
                calls.append(keys)
                await gates[keys[0]].wait()
                return keys

            calls: list = []
            loader = DataLoader(load, max_batch_size=1, max_concurrency=1)
            many = loader.load_many([1, 2, 3])
            gates[1].set()
            await turns(10)
            assert calls == [[1], [2]]
            many.cancel()
            await turns(3)
            assert loader.is_idle
            assert loader.cache_map == {1: 1}
            assert calls == [[1], [2]]

        run(law)
