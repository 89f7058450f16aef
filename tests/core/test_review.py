"""Laws that a review found broken."""

import asyncio
import gc

import pytest
from loops import Recorder, turns

from dloader import DataLoader, OptionError, eager
from dloader._batch import Batch


class Boom(Exception):
    """A failure of the user's own."""


class TestNestedBatchesOfOne:
    @pytest.mark.parametrize("limit", [None, 5])
    def test_each_waits_for_its_own(self, run, monkeypatch, limit):
        """The work per batch does not grow with the number of batches: counted, never timed."""
        counts = {"equal": 0, "waiters": 0}
        original = Batch.is_running.fget

        def equal(self, other):
            counts["equal"] += 1
            return self is other

        def is_running(self):
            counts["waiters"] += 1
            return original(self)

        monkeypatch.setattr(Batch, "__eq__", equal)
        monkeypatch.setattr(Batch, "is_running", property(is_running))

        async def law():
            inner_function = Recorder(turns=1)
            inner = DataLoader(inner_function, max_batch_size=1, max_concurrency=limit)

            async def load(keys):
                return [await inner.load(key) for key in keys]

            outer = DataLoader(load, max_batch_size=1)
            assert await outer.load_many(range(300)) == [key * 10 for key in range(300)]
            assert inner_function.most_running <= (limit or 300)

        run(law)
        assert counts["equal"] < 3000
        assert counts["waiters"] < 6000

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
            events = {"a": asyncio.Event(), "b1": asyncio.Event()}
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
            assert calls == ["a", "b", "b1"]
            events["b1"].set()
            await asyncio.gather(*asked)
            assert calls == ["a", "b", "b1", "b2", "a1", "c"]

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


class TestTaskFactory:
    def test_that_raises(self, run):
        """The callers get the error, and the next load works."""

        async def law():
            loop = asyncio.get_running_loop()
            before = loop.get_task_factory()
            function = Recorder()
            loader = DataLoader(function, max_concurrency=1)

            def factory(loop, coroutine, **_):
                raise Boom("no more tasks")

            loop.set_task_factory(factory)
            try:
                one, many = loader.load(1), loader.load_many([1, 2])
                while not (one.done() and many.done()):
                    await turns(1)
            finally:
                loop.set_task_factory(before)
            for future in (one, many):
                with pytest.raises(Boom, match="no more tasks"):
                    await future
            assert function.calls == []
            assert await loader.load(1) == 10

        run(law)

    def test_that_raises_after_the_first_step(self, run):
        """Then the batch belongs to who runs it; the error is the loop's."""

        async def law():
            loop = asyncio.get_running_loop()
            before = loop.get_task_factory()
            gate = asyncio.Event()
            loader = DataLoader(Recorder(gate=gate))
            begun = []

            def factory(loop, coroutine, **_):
                begun.append((coroutine, coroutine.send(None)))
                raise Boom("too late")

            loop.set_task_factory(factory)
            try:
                future = loader.load(1)
                while not begun:
                    await turns(1)
            finally:
                loop.set_task_factory(before)
            assert not future.done()
            gate.set()
            with pytest.raises(StopIteration):
                begun[0][0].send(None)
            assert await future == 10

        run(law)
        [report] = run.take_reports()
        assert type(report["exception"]) is Boom


class TestUnseenErrors:
    @pytest.mark.parametrize("way", ["cached", "primed"])
    def test_of_the_cache_are_not_reported(self, run, way):
        """A failure is told about once, and what was primed is no failure."""

        async def law():
            loader = DataLoader(Recorder(lambda keys: [Boom()] * len(keys)), cache_errors=True)
            if way == "primed":
                loader.prime(1, Boom())
            else:
                with pytest.raises(Boom):
                    await loader.load(1)
            for _ in range(3):
                loader.load(1)
                loader.load_many([1])
            gc.collect()
            for future in (loader.load(1), loader.load_many([1])):
                with pytest.raises(Boom):
                    await future

        run(law)


class TestResults:
    @pytest.mark.parametrize("by", ["cache key", "nothing"])
    def test_mapping_and_keys_that_only_look_hashable(self, run, by):
        """What holds something unhashable is looked up by its cache key."""

        async def law():
            async def load(keys):
                return {str(key): "found" for key in keys} if by == "cache key" else {}

            loader = DataLoader(load, cache_key_fn=str, default="default")
            expected = "found" if by == "cache key" else "default"
            assert await loader.load_many([(1, [2]), {"a": 1}]) == [expected] * 2

        run(law)

    def test_values_of_a_dict(self, run):
        """They have an order."""

        async def law():
            loader = DataLoader(Recorder(lambda keys: {key: key * 10 for key in keys}.values()))
            assert await loader.load_many([3, 1, 2]) == [30, 10, 20]

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


class TestClassAttributes:
    @pytest.mark.parametrize(
        ("attribute", "value", "cure"),
        [
            ("dispatch", eager(), "dispatch_policy = "),
            ("cache_map", {}, "would share it"),
            ("loop", None, "constructor"),
            ("instruments", [], "constructor"),
            ("load_fn", Recorder(), "batch_load_fn"),
            ("load_fn", lambda self, keys: keys, "batch_load_fn"),
            ("name", 5, "str"),
            ("load", 5, "take another"),
            ("load_many", None, "take another"),
            ("statistics", {}, "take another"),
            ("closed", True, "take another"),
            ("batch_load_fn", 5, "take another"),
        ],
    )
    def test_that_cannot_work_are_refused(self, attribute, value, cure):
        """With the class, the attribute and what to write instead."""
        with pytest.raises(OptionError, match=f"class Users: {attribute} = .*{cure}"):
            type("Users", (DataLoader,), {attribute: value})

    def test_that_work(self, run):
        """Options, methods, and whatever loaders have nothing of."""

        class Users(DataLoader):
            """Loads users."""

            name = "users"
            dispatch_policy = eager()
            max_batch_size = 3
            database = "db"
            _private = 1

            async def batch_load_fn(self, keys):
                return [f"{self.database} {key}" for key in keys]

            def load(self, key):
                return super().load(key)

            @property
            def statistics(self):
                return super().statistics

            @staticmethod
            def get_cache_key(key):
                return str(key)

        class Others(Users):
            """Has the name of its base."""

        async def law():
            assert (Users().name, Others().name, Users(name="mine").name) == ("users", "users", "mine")
            assert await Users().load(1) == "db 1"

        run(law)
