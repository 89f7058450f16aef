"""Nothing leaks, and nothing costs more than it should: counted, never timed."""

import asyncio
import gc
import sys
import weakref

import pytest
from loops import LoopRunner, Recorder, turns

from dloader import DataLoader


class Value:
    """Something a weak reference can point to."""


class TestNothingLeaks:
    @pytest.mark.parametrize("ask", ["load", "load_many"])
    def test_values_futures_and_batches_are_freed_without_the_garbage_collector(self, run, ask):
        """Once their callers let go; nothing is kept but what the cache keeps."""

        async def law():
            async def load(keys):
                await asyncio.sleep(0)
                batches.extend(map(weakref.ref, loader._batches.running))
                values = [Value() for _ in keys]
                kept.extend(map(weakref.ref, values))
                return values

            kept: list = []
            batches: list = []
            loader = DataLoader(load, cache=False)
            future = loader.load(1) if ask == "load" else loader.load_many([1, 2])
            await future
            kept.append(weakref.ref(future))
            await turns(2)
            gc.disable()
            try:
                del future
                await turns(1)
                assert [ref() for ref in kept + batches if ref() is not None] == []
                assert len(batches) == 1
            finally:
                gc.enable()

        if run.kind == "debug":
            pytest.skip("asyncio's debug mode keeps tracebacks and with them frames")
        run(law)

    @pytest.mark.parametrize(
        "how", ["returned", "raised", "cancelled", "abandoned", "cleared", "primed", "shut down"]
    )
    def test_nothing_is_kept_of_a_load_that_ended(self, run, how):
        """However it ended."""

        async def law():
            async def load(keys):
                await gate.wait()
                if how == "raised":
                    raise ValueError
                return [Value() for _ in keys]

            gate = asyncio.Event()
            key = Value()
            loader = DataLoader(load, cache=how in ("cleared", "primed"))
            future, many = loader.load(key), loader.load_many([key])
            await turns(8)
            [batch] = loader._batches.running
            refs = [weakref.ref(thing) for thing in (future, many, key, batch, batch.task)]
            if how == "cancelled":
                batch.task.cancel()
            if how == "abandoned":
                future.cancel()
                many.cancel()
            if how == "cleared":
                loader.clear(key)
            if how == "primed":
                loader.prime(key, 1)
            if how == "shut down":
                await loader.shutdown()
            gate.set()
            await asyncio.gather(future, many, return_exceptions=True)
            await turns(2)
            assert loader._batches.waiting == 0
            assert loader._batches.running == set()
            loader.clear_all()
            del future, many, key, batch
            await turns(2)
            gc.collect()
            assert [ref() for ref in refs if ref() is not None] == []

        run(law)

    def test_a_loader_is_freed_with_its_work(self, run):
        """A loader per request must not outlive the request."""

        async def law():
            loader = DataLoader(Recorder())
            await asyncio.gather(loader.load(1), loader.load_many([2]))
            ref = weakref.ref(loader)
            del loader
            await turns(2)
            gc.collect()
            assert ref() is None

        run(law)

    def test_batches_that_load_through_each_other_do_not_keep_each_other(self, run):
        """A chain of background loads does not grow."""

        async def law():
            async def load(keys):
                batches.extend(map(weakref.ref, loader._batches.running))
                if keys[0]:
                    tasks.append(asyncio.ensure_future(loader.load(keys[0] - 1)))
                return keys

            batches: list = []
            tasks: list = []
            loader = DataLoader(load)
            await loader.load(20)
            await turns(21 * 8)
            assert len(batches) == 21
            await asyncio.gather(*tasks)
            tasks.clear()
            await turns(2)
            gc.collect()
            assert [ref() for ref in batches if ref() is not None] == []

        run(law)


class TestCostsAreLinear:
    """The number of Python-level calls and lines doubles when the work doubles."""

    @staticmethod
    def events(program, size):
        """Run the program on `size` keys and count the function calls and lines inside dloader."""
        count = 0

        def trace(frame, event, arg):
            nonlocal count
            if "dloader" not in frame.f_code.co_filename:
                return None
            count += 1
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            LoopRunner("asyncio")(program, size)
        finally:
            sys.settrace(before)
        return count

    @staticmethod
    async def cancel_load(size):
        loader = DataLoader(Recorder(turns=10))
        kept = loader.load(-1)
        futures = [loader.load(key % 100) for key in range(size)]
        await turns(8)
        for future in futures:
            future.cancel()
        await kept

    @staticmethod
    async def cancel_before_dispatch(size):
        loader = DataLoader(Recorder())
        futures = [loader.load(key) for key in range(size)]
        for future in futures:
            future.cancel()
        await loader.load(-1)

    @staticmethod
    async def cancel_load_many(size):
        loader = DataLoader(Recorder())
        futures = [loader.load_many([key, 0, 1]) for key in range(size)]
        for future in futures:
            future.cancel()

    @staticmethod
    async def split_into_batches_of_one(size):
        await DataLoader(Recorder(), 1).load_many(range(size))

    @staticmethod
    async def split_one_after_the_other(size):
        await DataLoader(Recorder(), 1, max_concurrency=1).load_many(range(size))

    @staticmethod
    async def split_loads(size):
        loader = DataLoader(Recorder(), 1, max_concurrency=2)
        await asyncio.gather(*map(loader.load, range(size)))

    @staticmethod
    async def fail_with_one_object(size):
        error = ValueError()
        await DataLoader(Recorder(lambda keys: [error] * len(keys))).load_many(
            range(size), return_exceptions=True
        )

    @staticmethod
    async def join_and_clear(size):
        loader = DataLoader(Recorder(turns=5))
        many = [loader.load_many(range(size)), loader.load_many(range(size))]
        await turns(8)
        loader.clear_all()
        await asyncio.gather(*many, *map(loader.load, range(size)))

    @staticmethod
    async def shut_down(size):
        loader = DataLoader(Recorder(turns=100), 2, max_concurrency=1)
        futures = [loader.load(key) for key in range(size)]
        await turns(3)
        await loader.shutdown()
        assert all(future.cancelled() for future in futures)

    @pytest.mark.parametrize(
        "program",
        [
            cancel_load,
            cancel_before_dispatch,
            cancel_load_many,
            split_into_batches_of_one,
            split_one_after_the_other,
            split_loads,
            fail_with_one_object,
            join_and_clear,
            shut_down,
        ],
        ids=lambda program: program.__name__,
    )
    def test_twice_the_work_is_twice_the_steps(self, program):
        """Loops inside C (deque.remove, list copies) are kept out by the laws of the batches themselves."""
        small, large = self.events(program, 200), self.events(program, 400)
        assert large <= 2.2 * small
