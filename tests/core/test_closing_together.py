"""How the loaders of a registry end: all at once, each clean-up once, and nobody is cancelled who was not."""

import asyncio

import pytest
from loops import Recorder, turns

from dloader import DataLoader, LoaderClosedError, LoaderRegistry, WrongLoopError, manual


class Cleaning:
    """A batch function that never answers, and cleans up when it is cancelled, for as long as `gate` is shut."""

    def __init__(self, gate):
        self.gate = gate
        self.cancelled = self.cleaned = 0

    async def __call__(self, keys):
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            self.cancelled += 1
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
            self.cleaned += 1
            raise


async def error_of(awaitable):
    """What somebody gets who waits."""
    try:
        return await awaitable
    except BaseException as error:
        return error


class TestCallers:
    def test_those_who_wait_get_a_loader_closed_error(self, run):
        """In tasks that nobody has cancelled: open, queued and running, one key or many."""

        async def law():
            loaders = LoaderRegistry()
            gate = asyncio.Event()
            users = loaders.add("users", DataLoader(Recorder(gate=gate), 1, max_concurrency=1, name="users"))
            waiting = [asyncio.ensure_future(error_of(users.load(key))) for key in range(3)]
            waiting.append(asyncio.ensure_future(error_of(users.load_many([7, 8]))))
            await turns(6)
            waiting.append(asyncio.ensure_future(error_of(users.load(9))))
            await turns(1)
            await loaders.aclose()
            errors = await asyncio.gather(*waiting)
            assert [type(error) for error in errors] == [LoaderClosedError] * 5
            assert "loader 'users' was closed with its registry" in str(errors[0])
            assert len(set(map(id, errors))) == 5

        run(law)

    def test_errors_in_place_stand_there(self, run):
        """As any other failure of a batch."""

        async def law():
            loaders = LoaderRegistry()
            users = loaders.add("users", DataLoader(Recorder(), dispatch=manual()))
            many = users.load_many([1, 2], return_exceptions=True)
            await loaders.aclose()
            assert [type(error) for error in await many] == [LoaderClosedError] * 2

        run(law)

    def test_a_task_group_is_told(self, run):
        """It would drop a child that is cancelled without a word."""

        async def law():
            loaders = LoaderRegistry()
            users = loaders.get(Recorder(gate=asyncio.Event()))

            async def field():
                return await users.load(1)

            async def request():
                async with asyncio.TaskGroup() as group:
                    group.create_task(field())
                    await turns(6)
                    await loaders.aclose()

            with pytest.raises(ExceptionGroup) as raised:
                await request()
            assert raised.group_contains(LoaderClosedError)

        run(law)

    def test_a_load_that_nobody_awaits_is_not_reported(self, run):
        """Nobody wanted it any more."""

        async def law():
            async with LoaderRegistry() as loaders:
                loaders.get(Recorder()).load(1)
                loaders.get(Recorder()).load_many([1, 2])

        run(law)


class TestCleaningUp:
    def test_all_loaders_are_cancelled_before_any_is_awaited(self, run):
        """A slow one does not hold up the others."""

        async def law():
            gate = asyncio.Event()
            slow = [Cleaning(gate) for _ in range(3)]
            loaders = LoaderRegistry()
            waiting = [loaders.get(each).load(1) for each in slow]
            await turns(8)
            closing = asyncio.create_task(loaders.aclose())
            await turns(3)
            assert [each.cancelled for each in slow] == [1, 1, 1]
            assert all(loader.closed for loader in loaders)
            assert not closing.done()
            gate.set()
            await closing
            assert [each.cleaned for each in slow] == [1, 1, 1]
            assert all(isinstance(future.exception(), LoaderClosedError) for future in waiting)

        run(law)

    def test_no_new_batch_starts_meanwhile(self, run):
        """All loaders are marked first."""

        async def law():
            other = Recorder()

            async def load(keys):
                try:
                    await asyncio.get_running_loop().create_future()
                finally:
                    errors.append(await error_of(asyncio.ensure_future(ask())))

            async def ask():
                return await loaders.get(other).load(1)

            errors: list = []
            loaders = LoaderRegistry()
            loaders.get(load).load(1)
            loaders.get(other)
            await turns(8)
            await loaders.aclose()
            assert [type(error) for error in errors] == [LoaderClosedError]
            assert other.calls == []

        run(law)

    def test_closing_that_is_cancelled_stops_at_once(self, run):
        """However many loaders clean up."""

        async def law():
            gate = asyncio.Event()
            slow = [Cleaning(gate) for _ in range(3)]
            loaders = LoaderRegistry()
            for each in slow:
                loaders.get(each).load(1)
            await turns(8)
            closing = asyncio.create_task(loaders.aclose())
            await turns(3)
            closing.cancel()
            await turns(2)
            assert closing.cancelled()
            gate.set()
            await turns(3)
            assert [(each.cancelled, each.cleaned) for each in slow] == [(1, 1)] * 3

        run(law)

    @pytest.mark.parametrize("times", [1, 2])
    @pytest.mark.parametrize("how", ["registry", "shutdown", "aclose"])
    def test_a_clean_up_is_cancelled_at_most_once(self, run, how, times):
        """Its callers have left, so that it is cleaning up; then everything is closed, twice even."""

        async def law():
            gate = asyncio.Event()
            cleaning = Cleaning(gate)
            loaders = LoaderRegistry()
            loader = loaders.get(cleaning)
            future = loader.load(1)
            await turns(8)
            future.cancel()
            await turns(3)
            assert cleaning.cancelled == 1
            end = {"registry": loaders.aclose, "shutdown": loader.shutdown, "aclose": loader.aclose}[how]
            closing = [asyncio.create_task(end()) for _ in range(times)]
            await turns(3)
            gate.set()
            await asyncio.gather(*closing)
            assert (cleaning.cancelled, cleaning.cleaned) == (1, 1)

        run(law)

    def test_a_batch_that_somebody_cancels_is_not_cancelled_again(self, run):
        """As when a program ends, which cancels every task."""

        async def law():
            gate = asyncio.Event()
            cleaning = Cleaning(gate)
            loaders = LoaderRegistry()
            future = loaders.get(cleaning).load(1)
            await turns(8)
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            await turns(2)
            closing = asyncio.create_task(loaders.aclose())
            await turns(2)
            gate.set()
            await closing
            assert isinstance(future.exception(), LoaderClosedError)
            assert (cleaning.cancelled, cleaning.cleaned) == (1, 1)

        run(law)

    def test_what_clean_ups_raise_is_reported(self, run):
        """Nobody else sees it."""

        async def law():
            async def load(keys):
                try:
                    await asyncio.get_running_loop().create_future()
                finally:
                    raise ValueError("while cleaning up")

            loaders = LoaderRegistry()
            loaders.get(load).load(1)
            await turns(8)
            await loaders.aclose()
            [report] = run.take_reports()
            assert isinstance(report["exception"].exceptions[0], ValueError)

        run(law)


class TestFromInside:
    @pytest.mark.parametrize("drain", [False, True])
    def test_a_registry_closed_inside_a_batch_of_its_own_does_not_hang(self, run, drain):
        """Also where another batch waits for that one."""

        async def law():
            async def inner(keys):
                await loaders.aclose(drain=drain)
                return keys

            async def outer(keys):
                return [await loaders.get(inner).load(key) for key in keys]

            loaders = LoaderRegistry()
            loaders.get(inner)
            error = await error_of(loaders.get(outer).load(1))
            assert isinstance(error, LoaderClosedError)
            assert all(loader.closed for loader in loaders)
            await turns(1)  # the batch that closed it comes to its end

        run(law)

    def test_two_batches_may_close_it_at_once(self, run):
        """Each waits for the other's task, which it cancels."""

        async def law():
            async def load(keys):
                await loaders.aclose()
                return keys

            async def cleaning(keys):
                try:
                    await asyncio.get_running_loop().create_future()
                finally:
                    await loaders.aclose()

            loaders = LoaderRegistry()
            waiting = [loaders.get(cleaning).load(1), loaders.get(load).load(1)]
            errors = [await error_of(future) for future in waiting]
            assert [type(error) for error in errors] == [LoaderClosedError] * 2
            await turns(4)

        run(law)


class TestDraining:
    @pytest.mark.parametrize("policy", [None, manual()])
    def test_batches_that_load_from_their_own_loader_are_finished(self, run, policy):
        """Whatever their policy waits for; nobody else is let in."""

        async def law():
            async def load(keys):
                await turns(1)
                return [key if key == 0 else await loader.load(key - 1) for key in keys]

            loader = DataLoader(load, dispatch=policy)
            future = loader.load(3)
            await turns(1)
            draining = asyncio.create_task(loader.aclose(drain=True))
            await turns(2)
            assert loader.closed
            with pytest.raises(LoaderClosedError):
                loader.load(9)
            await draining
            assert future.result() == 0
            assert loader.is_idle

        run(law)

    @pytest.mark.parametrize("made_before", [True, False])
    def test_a_registry_drains_all_before_it_closes_any(self, run, made_before):
        """Its loaders may load from each other, also from one that is made meanwhile."""

        async def law():
            async def names(keys):
                return [f"user {key}" for key in keys]

            async def posts(keys):
                await turns(3)
                return [await loaders.get(names).load(key) for key in keys]

            loaders = LoaderRegistry()
            if made_before:
                loaders.get(names)
            future = loaders.get(posts).load(1)
            draining = asyncio.create_task(loaders.aclose(drain=True))
            await turns(2)
            with pytest.raises(LoaderClosedError):
                loaders.get(names)
            await draining
            assert future.result() == "user 1"
            assert len(loaders) == 2
            assert all(loader.closed for loader in loaders)

        run(law)

    def test_who_left_a_batch_function_is_not_let_in(self, run):
        """A task that one started, and that has outlived it."""

        async def law():
            async def later():
                await gate.wait()
                return await loader.load(2)

            async def load(keys):
                if not tasks:
                    tasks.append(asyncio.create_task(error_of(later())))
                return keys

            tasks: list = []
            gate = asyncio.Event()
            loader = DataLoader(load)
            await loader.load(1)
            waiting = loader.load(3)
            gate.set()
            await loader.aclose(drain=True)
            assert waiting.result() == 3
            assert isinstance(await tasks[0], LoaderClosedError)

        run(law)

    def test_draining_may_be_cut_short(self, run):
        """By closing without it, or by cancelling it."""

        async def law():
            gate = asyncio.Event()
            loader = DataLoader(Recorder(gate=gate))
            future = loader.load(1)
            draining = [asyncio.create_task(loader.aclose(drain=True)) for _ in range(2)]
            await turns(6)
            draining[0].cancel()
            await turns(2)
            assert draining[0].cancelled()
            await loader.aclose()
            await draining[1]
            assert future.cancelled()

        run(law)


def test_work_on_another_loop_is_refused_after_all_others_are_closed():
    """It can only be ended there."""
    loop = asyncio.new_event_loop()
    loaders = LoaderRegistry()
    elsewhere, here = loaders.add("elsewhere", DataLoader(Recorder(), loop=loop)), loaders.get(Recorder())
    future = elsewhere.load(1)
    with pytest.raises(WrongLoopError):
        asyncio.run(loaders.aclose())
    assert here.closed
    assert not elsewhere.closed
    assert loop.run_until_complete(future) == 10
    loop.run_until_complete(loaders.aclose())
    loop.close()
