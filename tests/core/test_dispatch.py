"""When a batch closes: the same program makes the same batches, on every loop and on every run."""

import asyncio
import itertools
from functools import partial

import pytest
from loops import Recorder, turns

from dloader import DataLoader, delay, eager, manual, settle


async def after(number, load):
    """Load some turns from now."""
    await turns(number)
    return await load()


def load_and_tell(loader, told):
    """Load, and let somebody go on."""
    loader.load(2)
    told.set()


async def nested(depth, load):
    """Load below some levels of gather and tasks."""
    if depth == 0:
        return await load()
    return (await asyncio.gather(nested(depth - 1, load), asyncio.sleep(0)))[0]


class TestSettle:
    def test_callers_staggered_by_turns_make_one_batch(self, run):
        """One turn apart each, in any order."""

        async def law():
            recorder = Recorder()
            loader = DataLoader(recorder)
            await asyncio.gather(*(after(key, partial(loader.load, key)) for key in range(20)))
            assert recorder.calls == [[*range(20)]]

        run(law)

    @pytest.mark.parametrize("gap", [1, 2, 3, 4])
    def test_callers_up_to_four_quiet_turns_apart_make_one_batch(self, run, gap):
        """The first of them opens the batch."""

        async def law():
            recorder = Recorder()
            loader = DataLoader(recorder)
            await asyncio.gather(*(after(key * gap, partial(loader.load, key)) for key in range(5)))
            assert recorder.calls == [[0, 1, 2, 3, 4]]

        run(law)

    def test_nested_gathers_make_one_batch(self, run):
        """Callers at depths 0 to 4, each depth a task with a task below it."""

        async def law():
            recorder = Recorder()
            loader = DataLoader(recorder)
            await asyncio.gather(*(nested(depth, partial(loader.load, depth)) for depth in range(5)))
            assert len(recorder.calls) == 1

        run(law)

    def test_task_groups_and_timeouts_make_one_batch(self, run):
        """However the callers are wrapped."""

        async def law():
            recorder = Recorder()
            loader = DataLoader(recorder)

            async def timed(key):
                async with asyncio.timeout(3600):
                    return await loader.load(key)

            async with asyncio.TaskGroup() as group:
                group.create_task(timed(1))
                group.create_task(asyncio.wait_for(loader.load(2), 3600))
                group.create_task(nested(2, partial(loader.load_many, [3, 4])))
                group.create_task(after(2, partial(loader.load, 5)))
            assert [sorted(call) for call in recorder.calls] == [[1, 2, 3, 4, 5]]

        run(law)

    @pytest.mark.parametrize("lock", [asyncio.Lock, partial(asyncio.Semaphore, 1)])
    def test_a_lock_convoy_makes_one_batch(self, run, lock):
        """Callers that pass a lock one after the other, then load."""

        async def law():
            recorder = Recorder()
            loader = DataLoader(recorder)
            one_at_a_time = lock()

            async def caller(key):
                async with one_at_a_time:
                    await asyncio.sleep(0)
                return await loader.load(key)

            await asyncio.gather(*map(caller, range(20)))
            assert recorder.calls == [[*range(20)]]

        run(law)

    def test_a_queue_of_workers_makes_one_batch(self, run):
        """Callers that are fed one after the other."""

        async def law():
            recorder = Recorder()
            loader = DataLoader(recorder)
            queue = asyncio.Queue()

            async def worker():
                return await loader.load(await queue.get())

            workers = [asyncio.create_task(worker()) for _ in range(5)]
            for key in range(5):
                queue.put_nowait(key)
                await asyncio.sleep(0)
            await asyncio.gather(*workers)
            assert recorder.calls == [[*range(5)]]

        run(law)

    def test_it_is_bounded(self, run):
        """Keys that never stop coming do not keep a batch open for ever."""

        async def law():
            recorder = Recorder()
            loader = DataLoader(recorder, dispatch=settle(most=10))
            await asyncio.gather(*(after(key, partial(loader.load, key)) for key in range(25)))
            assert len(recorder.calls) == 3
            assert sorted(itertools.chain(*recorder.calls)) == [*range(25)]

        run(law)

    @pytest.mark.parametrize(
        ("policy", "expected"), [(eager(), 1), (settle(2, quiet=1), 2), (settle(), 5), (settle(7), 7)]
    )
    def test_a_lone_load_waits_a_known_number_of_turns(self, run, policy, expected):
        """Turns, not time."""

        async def law():
            loader = DataLoader(Recorder(), dispatch=policy)
            future, count = loader.load(1), 0
            while not loader.statistics.batches:
                await asyncio.sleep(0)
                count += 1
            # where tasks do not start eagerly (3.11, a task factory) the call itself comes one turn later
            assert count in (expected, expected + 1)
            await future

        run(law)

    @pytest.mark.parametrize(
        ("policy", "expected"),
        [(eager(), 1), (settle(3, quiet=1), 3), (settle(1, quiet=1), 2), (settle(), 5), (settle(7), 7)],
    )
    def test_a_batch_closes_in_a_known_turn(self, run, policy, expected):
        """Of a loop that always has something else to do."""

        async def law():
            opened = []
            loader = DataLoader(Recorder(), dispatch=opened.append)
            future, count = loader.load(1), 0
            policy(opened[0])
            while opened[0].is_open:
                await asyncio.sleep(0)
                count += 1
            assert count == expected
            await future

        run(law)

    @pytest.mark.parametrize("most", [1, 5])
    def test_a_batch_that_grows_in_each_turn_closes_in_a_known_one(self, run, most):
        """The last that it may have."""

        async def law():
            opened = []
            loader = DataLoader(Recorder(), dispatch=opened.append)
            futures, count = [loader.load(0)], 0
            settle(most=most)(opened[0])
            while opened[0].is_open:
                await asyncio.sleep(0)
                count += 1
                if opened[0].is_open:
                    futures.append(loader.load(count))
            assert count == most
            await asyncio.gather(*futures)

        run(law)


class TestOtherPolicies:
    def test_eager_is_one_turn(self, run):
        """What is asked for in the same turn is one batch, a turn later is another."""

        async def law():
            recorder = Recorder()
            loader = DataLoader(recorder, dispatch=eager())
            await asyncio.gather(loader.load(1), loader.load(2), after(2, partial(loader.load, 3)))
            assert recorder.calls == [[1, 2], [3]]

        run(law)

    def test_delay_gathers_for_some_time(self, run):
        """Callers that do not know each other."""

        async def law():
            recorder = Recorder()
            loader = DataLoader(recorder, dispatch=delay(0.01))
            later = asyncio.Event()
            asyncio.get_running_loop().call_later(0.001, load_and_tell, loader, later)
            first = loader.load(1)  # its batch closes after that timer, however late the two are called
            await later.wait()
            assert not recorder.calls
            await first
            assert recorder.calls == [[1, 2]]

        run(law)

    def test_manual_waits_for_dispatch(self, run):
        """However long that takes."""

        async def law():
            recorder = Recorder()
            loader = DataLoader(recorder, dispatch=manual())
            loader.dispatch()
            one = loader.load(1)
            await turns(50)
            two = loader.load(2)
            loader.dispatch()
            three = loader.load(3)
            loader.dispatch()
            loader.dispatch()
            assert await asyncio.gather(one, two, three) == [10, 20, 30]
            assert recorder.calls == [[1, 2], [3]]

        run(law)

    def test_a_callable_takes_full_control(self, run):
        """It is called once per batch, with the first key in it; closing twice does no harm."""

        async def law():
            seen = []

            def policy(batch):
                seen.append((batch.size, batch.is_open, batch.loop is asyncio.get_running_loop()))
                batch.loop.call_soon(batch.close)
                batch.loop.call_soon(batch.close)

            recorder = Recorder()
            loader = DataLoader(recorder, dispatch=policy)
            assert await asyncio.gather(loader.load(1), loader.load(2)) == [10, 20]
            assert await loader.load_many([3, 4]) == [30, 40]
            assert seen == [(1, True, True), (2, True, True)]
            assert recorder.calls == [[1, 2], [3, 4]]

        run(law)

    @pytest.mark.parametrize("size", [None, 2])
    def test_a_policy_may_close_at_once(self, run, size):
        """Then every load is its own batch, and load_many still is as few as can be."""

        async def law():
            recorder = Recorder()
            loader = DataLoader(recorder, size, dispatch=lambda batch: batch.close())
            assert await asyncio.gather(loader.load(1), loader.load_many([1, 2, 3])) == [10, [10, 20, 30]]
            assert max(map(len, recorder.calls)) <= (size or 3)

        run(law)

    def test_a_policy_that_raises_is_logged_and_done_without(self, run, caplog):
        """Its batch must not stay open for ever."""

        async def law():
            loader = DataLoader(Recorder(), dispatch=lambda batch: 1 // 0, name="users")
            assert await asyncio.gather(loader.load(1), loader.load_many([2])) == [10, [20]]

        run(law)
        [record] = caplog.records
        assert "'users'" in record.getMessage()

    def test_a_policy_may_be_a_class_attribute(self, run):
        """Also a plain function, which must not become a method."""

        def at_once(batch):
            batch.loop.call_soon(batch.close)

        async def law():
            class Users(DataLoader):
                dispatch_policy = at_once

                async def batch_load_fn(self, keys):
                    return keys

            assert await Users().load(1) == 1

        run(law)


class TestSizes:
    @pytest.mark.parametrize("size", [1, 2, 3, 7])
    def test_a_full_batch_closes_at_once(self, run, size):
        """It does not wait for the loop to settle; no batch is larger, no key is asked for twice."""

        async def law():
            recorder = Recorder()
            loader = DataLoader(recorder, size, dispatch=manual())
            futures = [loader.load(key) for key in range(7)]
            await turns(2)
            loader.dispatch()
            assert await asyncio.gather(*futures) == [key * 10 for key in range(7)]
            assert recorder.calls == [[*range(7)][start : start + size] for start in range(0, 7, size)]

        run(law)

    def test_chunks_run_concurrently(self, run):
        """Unless a limit is set."""

        async def law():
            recorder = Recorder(turns=3)
            await DataLoader(recorder, 1).load_many(range(5))
            assert recorder.most_running == 5

        run(law)

    @pytest.mark.parametrize("limit", [1, 2, 3])
    def test_no_more_batches_run_at_once_than_max_concurrency(self, run, limit):
        """And always as many, in the order in which they closed."""

        async def law():
            recorder = Recorder(turns=3)
            loader = DataLoader(recorder, 1, max_concurrency=limit)
            await asyncio.gather(loader.load_many(range(5)), *map(loader.load, range(3, 10)))
            assert recorder.most_running == limit
            assert recorder.calls == [[key] for key in range(10)]

        run(law)

    def test_a_failed_batch_gives_its_place_free(self, run):
        """However it ended."""

        async def law():
            outcomes = iter([ValueError(), asyncio.CancelledError(), GeneratorExit()])

            def answer(keys):
                if error := next(outcomes, None):
                    raise error
                return keys

            loader = DataLoader(Recorder(answer), 1, max_concurrency=1)
            answers = await loader.load_many(range(4), return_exceptions=True)
            assert answers[3] == 3
            assert all(isinstance(answer, Exception) for answer in answers[:3])

        run(law)


class TestTheSameProgramMakesTheSameBatches:
    def test_on_every_loop(self):
        """Staggered, nested, convoyed: the batches are equal, not only as many."""
        from loops import KINDS, LoopRunner

        async def program(loader):
            lock = asyncio.Lock()

            async def convoy(key):
                async with lock:
                    await asyncio.sleep(0)
                await loader.load(key)

            await asyncio.gather(
                *(after(key, partial(loader.load, key)) for key in range(10)),
                *(nested(key % 4, partial(loader.load, key)) for key in range(10, 20)),
                *map(convoy, range(20, 30)),
                loader.load_many(range(30, 40)),
            )

        seen = []
        for kind, _ in itertools.product(KINDS, range(3)):
            recorder = Recorder()
            LoopRunner(kind)(program, DataLoader(recorder))
            seen.append(recorder.calls)
        assert all([sorted(call) for call in calls] == [[*range(40)]] for calls in seen)


class TestGraphQL:
    """Loads at different depths of a query, in graphql-core's executor, are one batch."""

    @staticmethod
    def schema():
        from graphql import GraphQLField, GraphQLInt, GraphQLList, GraphQLObjectType, GraphQLSchema

        async def user_async(id, info):
            return id + 1

        async def users_async(id, info):
            return [id + 100, id + 200]

        async def name_async(id, info):
            return await info.context.load(id)

        async def tick(id, info):
            await asyncio.sleep(0)
            return 1

        user = GraphQLObjectType(
            "User",
            lambda: {
                "name": GraphQLField(GraphQLInt, resolve=lambda id, info: info.context.load(id)),
                "nameAsync": GraphQLField(GraphQLInt, resolve=name_async),
                "boss": GraphQLField(user, resolve=lambda id, info: id + 1),
                "bossAsync": GraphQLField(user, resolve=user_async),
                "friends": GraphQLField(GraphQLList(user), resolve=users_async),
                "tick": GraphQLField(GraphQLInt, resolve=tick),
            },
        )
        query = GraphQLObjectType(
            "Query",
            {
                "me": GraphQLField(user, resolve=lambda *_: 1),
                "meAsync": GraphQLField(user, resolve=lambda _, info: user_async(0, info)),
            },
        )
        return GraphQLSchema(query)

    @pytest.mark.parametrize(
        "query",
        [
            "{me{name nameAsync}}",
            "{me{name boss{name}}}",
            "{me{name bossAsync{name}}}",
            "{me{name bossAsync{nameAsync bossAsync{name}}}}",
            "{me{name tick bossAsync{tick nameAsync bossAsync{tick name}}}}",
            "{me{name bossAsync{bossAsync{name}}}}",
            "{me{name bossAsync{bossAsync{bossAsync{name}}}}}",
            "{me{nameAsync friends{name}}}",
            "{me{name friends{friends{nameAsync}}}}",
            "{me{name tick friends{tick name friends{tick nameAsync}}}}",
            "{me{name} meAsync{name bossAsync{bossAsync{bossAsync{name tick}}} friends{name}}}",
        ],
    )
    def test_loads_up_to_three_levels_apart_are_one_batch(self, run, query):
        """With and without async siblings, objects and lists between them."""
        from graphql import graphql

        async def law():
            recorder = Recorder()
            result = await graphql(self.schema(), query, context_value=DataLoader(recorder))
            assert not result.errors
            assert len(recorder.calls) == 1

        run(law)


class TestPolicyOfAClass:
    @pytest.mark.parametrize(
        "policy",
        [
            pytest.param(lambda batch: batch.close(), id="function"),
            pytest.param(lambda batch, _turns=1: batch.close(), id="with a default"),
            pytest.param(lambda loader, batch: batch.close(), id="method"),
            pytest.param(staticmethod(lambda batch: batch.close()), id="staticmethod"),
            pytest.param(classmethod(lambda cls, batch: batch.close()), id="classmethod"),
        ],
    )
    def test_it_may_be_a_function_or_a_method(self, run, caplog, policy):
        recorder = Recorder()

        class Users(DataLoader[int, int]):
            dispatch_policy = policy

            async def batch_load_fn(self, keys):
                return await recorder(keys)

        async def law():
            assert await asyncio.gather(*map(Users().load, (1, 2))) == [10, 20]
            assert recorder.calls == [[1], [2]]  # closed at once: each has a batch of its own

        run(law)
        assert not caplog.records
