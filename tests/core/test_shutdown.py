"""How the work of a loader ends."""

import asyncio
import gc
from contextlib import suppress

import pytest
from loops import Recorder, turns

from dloader import DataLoader, LoaderClosedError, LoaderRegistry, manual


class TestShutdown:
    def test_it_cancels_pending_callers_and_running_batches(self, run):
        """Open, in the queue and running: nobody is left waiting."""

        async def law():
            gate = asyncio.Event()
            recorder = Recorder(gate=gate)
            loader = DataLoader(recorder, 2, max_concurrency=1)
            futures = [loader.load(key) for key in range(5)] + [loader.load_many([0, 4, 7])]
            await turns(3)
            loader.load(3).cancel()
            assert await loader.shutdown() is None
            assert all(future.cancelled() for future in futures)
            assert recorder.calls == [[0, 1]]
            assert recorder.cancelled == 1
            assert loader.is_idle
            with pytest.raises(asyncio.CancelledError, match="shut down"):
                await futures[0]

        run(law)

    def test_it_returns_what_the_cancelled_batches_raised(self, run):
        """As one group, that names the loader."""

        async def law():
            async def load(keys):
                try:
                    await asyncio.sleep(3600)
                finally:
                    raise ValueError(keys)

            loader = DataLoader(load, 1, name="users")
            futures = [loader.load(1), loader.load(2)]
            await turns(8)
            group = await loader.shutdown()
            assert isinstance(group, ExceptionGroup)
            assert "'users'" in group.message
            assert sorted(error.args for error in group.exceptions) == [([1],), ([2],)]
            assert all(future.cancelled() for future in futures)
            assert await loader.shutdown() is None

        run(law)

    def test_a_base_exception_of_a_cancelled_batch_is_returned_in_our_own(self, run):
        """A group of ordinary exceptions cannot hold it, and it must not be lost."""

        class Stop(BaseException):
            pass

        async def law():
            async def load(keys):
                try:
                    await asyncio.sleep(3600)
                except asyncio.CancelledError:
                    raise Stop from None

            loader = DataLoader(load)
            loader.load(1)
            await turns(8)
            group = await loader.shutdown()
            assert isinstance(group.exceptions[0].__cause__, Stop)

        run(law)

    def test_without_work_it_returns_none(self, run):
        """Also when it is called again, and before the first load."""

        async def law():
            loader = DataLoader(Recorder())
            assert await loader.shutdown() is None
            assert await loader.shutdown() is None

        run(law)

    def test_a_closed_loader_refuses(self, run):
        """load, load_many and async with, naming the loader."""

        async def law():
            loader = DataLoader(Recorder(), name="users")
            await loader.load(1)
            await loader.shutdown()
            assert loader.closed
            for ask in (lambda: loader.load(1), lambda: loader.load_many([1])):
                with pytest.raises(LoaderClosedError, match="'users'"):
                    ask()
            with pytest.raises(LoaderClosedError, match="'users'"):
                async with loader:
                    pass

        run(law)

    def test_its_own_cancellation_is_honoured(self, run):
        """A batch that will not stop does not hold up who gave up waiting for it."""

        async def law():
            async def load(keys):
                while not stop.is_set():
                    with suppress(asyncio.CancelledError):
                        await stop.wait()
                return keys

            stop = asyncio.Event()
            loader = DataLoader(load)
            future = loader.load(1)
            await turns(8)
            ending = asyncio.create_task(loader.shutdown())
            await turns(3)
            assert future.cancelled()
            assert not ending.done()
            ending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await ending
            stop.set()
            await turns(3)
            assert loader.is_idle

        run(law)

    def test_a_batch_function_may_shut_its_own_loader_down(self, run):
        """It does not wait for itself."""

        async def law():
            async def load(keys):
                results.append(await loader.shutdown())
                return keys

            results: list = []
            loader = DataLoader(load)
            future = loader.load(1)
            await turns(8)
            assert future.cancelled()
            assert results == [None]
            assert loader.is_idle

        run(law)

    def test_a_task_that_waits_for_a_load_is_cancelled_by_it(self, run):
        """As by any future that is cancelled."""

        async def law():
            async def caller():
                await loader.load(1)

            loader = DataLoader(Recorder(), dispatch=manual())
            task = asyncio.create_task(caller())
            await turns(1)
            await loader.shutdown()
            with pytest.raises(asyncio.CancelledError):
                await task

        run(law)


class TestAclose:
    @pytest.mark.parametrize("limit", [None, 1])
    @pytest.mark.parametrize("before", [0, 1, 3, 8])
    def test_draining_finishes_what_is_open(self, run, limit, before):
        """Open, full, in the queue and running batches."""

        async def law():
            recorder = Recorder(turns=2)
            loader = DataLoader(recorder, 2, max_concurrency=limit)
            many, last = loader.load_many(range(4)), loader.load(4)
            await turns(before)
            await loader.aclose(drain=True)
            assert many.result() == [0, 10, 20, 30]
            assert last.result() == 40
            assert recorder.calls == [[0, 1], [2, 3], [4]]
            with pytest.raises(LoaderClosedError):
                loader.load(1)

        run(law)

    def test_draining_starts_full_batches_that_were_just_asked_for(self, run):
        """No batch is open then, and none runs yet."""

        async def law():
            loader = DataLoader(Recorder(), 1, dispatch=manual())
            many = loader.load_many([1, 2])
            await loader.aclose(drain=True)
            assert await many == [10, 20]

        run(law)

    def test_draining_inside_a_batch_function_does_not_wait_for_itself(self, run):
        """It would never end; the batch is cancelled like any other that cannot be waited for."""

        async def law():
            async def load(keys):
                await loader.aclose(drain=True)
                return keys

            loader = DataLoader(load)
            future = loader.load(1)
            await turns(8)
            assert future.cancelled()
            assert loader.is_idle

        run(law)

    def test_without_draining_it_cancels(self, run):
        """As shutdown does, and what was raised goes to the loop's exception handler."""

        async def law():
            async def load(keys):
                try:
                    await asyncio.sleep(3600)
                finally:
                    raise ValueError("while cleaning up")

            loader = DataLoader(load, name="users")
            future = loader.load(1)
            await turns(8)
            await loader.aclose()
            assert future.cancelled()
            [report] = run.take_reports()
            assert isinstance(report["exception"], ExceptionGroup)
            assert "'users'" in report["message"]

        run(law)

    def test_async_with_closes(self, run):
        """After a block that ended well or badly."""

        async def law():
            async with DataLoader(Recorder()) as loader:
                assert await loader.load(1) == 10
                open_load = loader.load(2)
            assert loader.closed
            assert open_load.cancelled()
            with pytest.raises(ZeroDivisionError):
                async with DataLoader(Recorder()) as loader:
                    raise ZeroDivisionError
            assert loader.closed

        run(law)

    def test_running_batches_are_held_on_to(self, run):
        """Asyncio itself keeps only weak references to tasks."""

        async def law():
            async def load(keys):
                await asyncio.get_running_loop().create_future() if not keys else await turns(3)
                return keys

            loader = DataLoader(load)
            future = loader.load(1)
            await turns(6)
            gc.collect()
            assert await future == 1

        run(law)


class TestFirstSteps:
    """A batch function that is still in its first step when its loader ends: its task is not known by then."""

    @pytest.mark.parametrize("registry", [False, True], ids=["loader", "registry"])
    def test_it_is_cancelled_and_awaited_too(self, run, registry):
        async def law():
            loop = asyncio.get_running_loop()
            log, closing = [], []

            async def fn(keys):
                if not closing:
                    end = loaders.aclose() if registry else loaders.get(fn).shutdown()
                    closing.append(loop.create_task(end))
                    closing[0].add_done_callback(lambda _: log.append("closed"))
                try:
                    await loop.create_future()
                finally:
                    await turns(3)
                    log.append("cleaned up")

            loaders = LoaderRegistry()
            asked = loaders.get(fn).load(1)
            await asyncio.gather(asked, return_exceptions=True)
            await closing[0]
            await turns(1)
            assert log == ["cleaned up", "closed"]
            assert loaders.get(fn).is_idle if not registry else True

        run(law)
