"""Event loops, threads and contextvars: state belongs to a loop, never to a module."""

import asyncio
import contextlib
import gc
import threading
from contextvars import ContextVar, copy_context

import pytest
from loops import LoopRunner, Recorder, new_loop, turns

from dloader import BatchAbortedError, DataLoader, WrongLoopError, manual

user: ContextVar[str] = ContextVar("user", default="nobody")


class Boom(Exception):
    """A failure of the user's own."""


class TestContexts:
    def test_a_batch_runs_in_a_copy_of_its_first_callers_context(self, run):
        """Also the second chunk: each batch has a first caller of its own."""

        async def law():
            async def load(keys):
                who = user.get()
                user.set("the batch")
                return [who] * len(keys)

            async def caller(name, *keys):
                user.set(name)
                return await asyncio.gather(*map(loader.load, keys))

            loader = DataLoader(load, 2)
            ann, bob = await asyncio.gather(
                asyncio.create_task(caller("ann", 1)), asyncio.create_task(caller("bob", 2, 3, 4))
            )
            assert (ann, bob) == (["ann"], ["ann", "bob", "bob"])
            assert user.get() == "nobody"

        run(law)

    def test_the_chunks_of_load_many_run_in_the_callers_context(self, run):
        """All of them, as it is when they are opened."""

        async def law():
            async def load(keys):
                return [user.get()] * len(keys)

            loader = DataLoader(load, 2)
            user.set("ann")
            many = loader.load_many([1, 2, 3, 4, 5])
            user.set("bob")
            assert await many == ["ann"] * 5

        run(law)

    def test_a_batch_in_the_queue_keeps_its_first_callers_context(self, run):
        """It is not started in the context of whoever gave its place free."""

        async def law():
            async def load(keys):
                await asyncio.sleep(0)
                return [user.get()] * len(keys)

            async def caller(name, key):
                user.set(name)
                return await loader.load(key)

            loader = DataLoader(load, 1, max_concurrency=1)
            names = ["ann", "bob", "cyd"]
            assert await asyncio.gather(*(asyncio.create_task(caller(n, n)) for n in names)) == names

        run(law)


class TestSeveralRuns:
    def test_a_loader_made_at_import_time_serves_several_runs(self, kind):
        """The loop is looked up per batch; the cache stays."""
        recorder = Recorder()
        loader = DataLoader(recorder, 2)

        async def main(*keys):
            return await asyncio.gather(loader.load(keys[0]), loader.load_many(keys))

        assert LoopRunner(kind)(main, 1, 2, 3) == [10, [10, 20, 30]]
        assert LoopRunner(kind)(main, 1, 2, 3) == [10, [10, 20, 30]]
        assert LoopRunner(kind)(main, 4, 5, 6) == [40, [40, 50, 60]]
        assert recorder.calls == [[1, 2], [3], [4, 5], [6]]

    @pytest.mark.parametrize("state", ["open", "closed", "running", "full", "detached"])
    def test_work_of_a_loop_that_was_closed_is_forgotten(self, kind, state):
        """It can never be finished, and must not stand in the way of the next loop."""
        recorder = Recorder(turns=10_000)
        size = 1 if state in ("full", "closed") else None
        loader = DataLoader(recorder, size, max_concurrency=1 if state == "closed" else None)

        async def leave():
            futures.append(loader.load(1))
            futures.append(loader.load_many([1, 2]))
            await turns({"open": 0, "full": 2}.get(state, 8))
            if state == "detached":
                loader.clear(1)

        futures: list = []
        loop = new_loop(kind)
        loop.set_exception_handler(lambda loop, context: None)  # "Task was destroyed but it is pending"
        loop.run_until_complete(leave())
        loop.close()

        async def main():
            recorder.turns = 0
            future = loader.load_many([1, 2])
            futures[0].cancel()
            futures[1].cancel()
            futures.clear()
            gc.collect()
            await turns(8)
            assert future.done()
            assert loader.is_idle
            return await future

        assert LoopRunner(kind)(main) == [10, 20]
        assert loader.statistics.cache_hits == 0

    def test_a_task_that_is_freed_after_its_loop_was_closed_tells_nobody(self, kind):
        """Its callers are gone with the loop; the next batch does not start from the garbage collector."""
        loader = DataLoader(Recorder(turns=10_000), 1, max_concurrency=1)

        async def leave():
            loader.load_many([1, 2, 3])
            await turns(8)
            return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]

        loop = new_loop(kind)
        loop.set_exception_handler(lambda loop, context: None)
        tasks = loop.run_until_complete(leave())
        loop.close()
        [task] = tasks
        coroutine = task.get_coro()
        coroutine.close()
        assert loader.is_idle
        assert loader.statistics.batches == 1

    def test_a_closed_loop_does_not_stand_in_the_way_of_shutdown(self, kind):
        """There is nothing left to end."""
        loader = DataLoader(Recorder(), dispatch=manual())

        async def leave():
            future = loader.load(1)
            future.add_done_callback(print)

        loop = new_loop(kind)
        loop.run_until_complete(leave())
        loop.close()
        assert LoopRunner(kind)(loader.shutdown) is None
        assert loader.is_idle


class TestForeignLoops:
    def test_a_load_from_another_loop_while_work_is_open_is_an_error(self, run):
        """It names the loader; the open work is not touched."""

        async def law():
            def elsewhere():
                async def main():
                    for ask in (lambda: loader.load(2), lambda: loader.load_many([2])):
                        with pytest.raises(WrongLoopError, match=r"'users'.*another event loop"):
                            ask()
                    for end in (loader.shutdown, loader.aclose):
                        with pytest.raises(WrongLoopError, match="'users'"):
                            await end()
                    with pytest.raises(WrongLoopError):
                        await loader.aclose(drain=True)

                asyncio.run(main())
                return True

            loader = DataLoader(Recorder(), name="users", dispatch=manual())
            one = loader.load(1)
            assert await asyncio.to_thread(elsewhere)
            loader.dispatch()
            assert await one == 10

        run(law)

    def test_another_loop_may_use_an_idle_loader(self, run):
        """One loop at a time."""

        async def law():
            async def main():
                return await loader.load(2)

            loader = DataLoader(Recorder())
            assert await loader.load(1) == 10
            assert await asyncio.to_thread(lambda: asyncio.run(main())) == 20
            assert await loader.load(3) == 30

        run(law)

    @pytest.mark.parametrize("with_loop", [False, True])
    def test_a_load_from_a_thread_without_a_loop_is_an_error(self, run, with_loop):
        """Also with loop=, as that loop runs elsewhere."""

        async def law():
            def elsewhere():
                words = "run_coroutine_threadsafe" if with_loop else "outside an event loop"
                for ask in (lambda: loader.load(2), lambda: loader.load_many([2])):
                    with pytest.raises(WrongLoopError, match=words):
                        ask()
                done.append(True)

            done: list = []
            loader = DataLoader(Recorder(), loop=asyncio.get_running_loop() if with_loop else None)
            one = loader.load(1)
            thread = threading.Thread(target=elsewhere)
            thread.start()
            thread.join()
            assert done
            assert await one == 10

        run(law)


class TestLoopOption:
    def test_it_serves_load_outside_a_coroutine(self, kind):
        """As the first seed has it."""
        loop = new_loop(kind)
        try:
            recorder = Recorder()
            loader = DataLoader(recorder, loop=loop)
            one, many = loader.load(1), loader.load_many([1, 2])
            assert loop.run_until_complete(one) == 10
            assert loop.run_until_complete(many) == [10, 20]
            assert recorder.calls == [[1, 2]]
            three = loader.load(3)
            loader.dispatch()
            assert loop.run_until_complete(three) == 30
        finally:
            loop.close()

    def test_inside_a_coroutine_the_running_loop_counts(self, run):
        """The option is for outside."""

        async def law():
            other = asyncio.new_event_loop()
            try:
                assert await DataLoader(Recorder(), loop=other).load(1) == 10
            finally:
                other.close()

        run(law)

    def test_without_it_a_load_outside_a_coroutine_is_an_error(self):
        """Which says what to do."""
        with pytest.raises(WrongLoopError, match="loop="):
            DataLoader(Recorder()).load(1)

    def test_a_callback_of_the_loop_may_load(self, run):
        """There a loop runs, though no task does."""

        async def law():
            loader = DataLoader(Recorder())
            futures: list = []
            asyncio.get_running_loop().call_soon(
                lambda: futures.append(loader.load(1)), context=copy_context()
            )
            await turns(1)
            assert await futures[0] == 10

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

    @pytest.mark.parametrize("kind_of_error", [Boom, TypeError])
    def test_that_raises_after_the_first_step(self, run, kind_of_error):
        """Then the batch belongs to who runs it; the error is the loop's."""

        async def law():
            loop = asyncio.get_running_loop()
            before = loop.get_task_factory()
            gate = asyncio.Event()
            loader = DataLoader(Recorder(gate=gate))
            begun = []

            def factory(loop, coroutine, **_):
                begun.append((coroutine, coroutine.send(None)))
                raise kind_of_error("too late")

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
        assert type(report["exception"]) is kind_of_error

    def test_that_is_interrupted(self, kind):
        """Ctrl-C goes through the loop; who waited is told, and the loader works on."""
        loop = new_loop(kind)
        loader = DataLoader(Recorder())
        before = loop.get_task_factory()
        futures = []

        def factory(loop, coroutine, **_):
            raise KeyboardInterrupt

        async def ask():
            loop.set_task_factory(factory)
            futures.append(loader.load(1))
            await asyncio.wait(futures)

        async def ask_again():
            return await loader.load(1)

        with contextlib.closing(loop):
            asking = loop.create_task(ask())
            with pytest.raises(KeyboardInterrupt):
                loop.run_until_complete(asking)
            loop.set_task_factory(before)
            loop.run_until_complete(asking)
            assert type(futures[0].exception()) is BatchAbortedError
            assert loop.run_until_complete(ask_again()) == 10

    @pytest.mark.parametrize("is_cancelled", [False, True])
    def test_that_wraps_what_it_is_given_and_begins_it_later(self, run, is_cancelled):
        """It is loaded when it begins; when it never does, the callers are told and its place is free."""

        async def law():
            loop = asyncio.get_running_loop()
            before = loop.get_task_factory()
            function = Recorder()
            loader = DataLoader(function, max_concurrency=1)
            wrapped = []

            async def later(coroutine):
                try:
                    await turns(5)
                except asyncio.CancelledError:
                    coroutine.close()
                    raise
                return await coroutine

            def factory(loop, coroutine, **options):
                wrapped.append(asyncio.Task(later(coroutine), loop=loop, **options))
                return wrapped[-1]

            loop.set_task_factory(factory)
            try:
                future = loader.load(1)
                while not wrapped:
                    await turns(1)
            finally:
                loop.set_task_factory(before)
            await turns(2)
            if is_cancelled:
                wrapped[0].cancel()
                with pytest.raises(BatchAbortedError, match="was cancelled"):
                    await future
            else:
                assert await future == 10
            assert await loader.load(2) == 20
            assert loader.is_idle
            assert function.calls == ([[2]] if is_cancelled else [[1], [2]])

        run(law)


class TestTaskFactories:
    def test_a_batch_that_nobody_waits_for_is_cancelled_whenever_its_task_begins(self, run):
        async def law():
            loop = asyncio.get_running_loop()
            before = loop.get_task_factory()
            function = Recorder(gate=asyncio.Event())
            loader = DataLoader(function)
            loop.set_task_factory(
                lambda loop, coroutine, **options: asyncio.Task(coroutine, loop=loop, **options)
            )
            try:
                future = loader.load(1)
                while not function.running:
                    await turns(1)
            finally:
                loop.set_task_factory(before)
            await turns(2)
            assert not future.done()
            future.cancel()
            await turns(3)
            assert function.cancelled == 1
            assert loader.is_idle

        run(law)

    def test_one_of_the_old_form_makes_the_tasks(self, run):
        """It takes the loop and the coroutine, and no context: batches have theirs all the same."""
        variable = ContextVar("variable", default="none")
        made = []

        def factory(loop, coroutine):
            made.append(asyncio.Task(coroutine, loop=loop))
            return made[-1]

        async def law():
            loop = asyncio.get_running_loop()
            before = loop.get_task_factory()

            async def see(keys):
                return [variable.get() for _ in keys]

            loader = DataLoader(see, name="see")
            loop.set_task_factory(factory)
            try:
                variable.set("seen")
                assert await loader.load(1) == "seen"
                variable.set("later")
                assert await loader.load_many([2, 3]) == ["later", "later"]
            finally:
                loop.set_task_factory(before)
            assert [task.get_name() for task in made] == ["see-1", "see-2"]

        run(law)

    def test_one_that_fails_with_a_type_error_fails_the_batch(self, run):
        async def law():
            def factory(loop, coroutine, **_):
                raise TypeError("no tasks today")

            loop = asyncio.get_running_loop()
            before = loop.get_task_factory()
            loader = DataLoader(Recorder())
            loop.set_task_factory(factory)
            try:
                with pytest.raises(TypeError, match="no tasks today"):
                    await loader.load(1)
            finally:
                loop.set_task_factory(before)
            assert await loader.load(1) == 10

        run(law)
