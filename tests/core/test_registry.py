"""LoaderRegistry: the loaders of one request."""

import asyncio
import contextlib
from functools import partial
from typing import TypeVar

import pytest
from loops import Recorder, turns

from dloader import DataLoader, LoaderClosedError, LoaderRegistry, OptionError, WrongLoopError

V = TypeVar("V")


class Users(DataLoader):
    """A loader class."""

    async def batch_load_fn(self, keys):
        return [key * 10 for key in keys]


def make_users():
    """Make a class of the same name and text each time."""

    class Made(Users):
        pass

    return Made


class TestLoaderRegistry:
    def test_each_loader_is_made_once(self, run):
        """Of a class or of a function."""

        async def law():
            async with LoaderRegistry() as loaders:
                function = Recorder()
                assert loaders.get(Users) is loaders.get(Users)
                assert loaders.get(function) is loaders.get(function)
                assert isinstance(loaders.get(Users), Users)
                assert await asyncio.gather(loaders.get(Users).load(1), loaders.get(function).load(2)) == [
                    10,
                    20,
                ]

        run(law)

    def test_identity_is_the_object_and_never_the_name(self):
        """Two classes from one factory are two loaders."""
        loaders = LoaderRegistry()
        assert loaders.get(make_users()) is not loaders.get(make_users())

    def test_a_loader_may_be_put_in(self):
        """Primed, or with options of its own."""
        loaders = LoaderRegistry()
        mine = Users(max_batch_size=3)
        assert loaders.find(Users) is None
        assert loaders.add(Users, mine) is mine
        assert loaders.get(Users) is mine
        assert loaders.find(Users) is mine

    @pytest.mark.parametrize("source", [7, "Users", int, None])
    def test_anything_else_is_refused(self, source):
        """With what may be given."""
        with pytest.raises(OptionError, match="DataLoader subclass or an async batch function"):
            LoaderRegistry().get(source)

    def test_it_closes_its_loaders_with_it(self, run):
        """Those who wait are told, and it gives no more loaders, nor those that it has; it cannot be entered again."""

        class Counted(Users):
            made = 0

            def __init__(self):
                super().__init__()
                type(self).made += 1

        async def law():
            async with LoaderRegistry() as loaders:
                users = loaders.get(Users)
                pending = users.load(1)
            assert isinstance(pending.exception(), LoaderClosedError)
            assert users.closed
            for source in (Users, Counted, Recorder()):
                with pytest.raises(LoaderClosedError):
                    loaders.get(source)
            assert Counted.made == 0
            with pytest.raises(LoaderClosedError):
                loaders.add(Recorder(), users)
            with pytest.raises(LoaderClosedError):
                async with loaders:
                    pass
            assert loaders.find(Users) is users
            await loaders.aclose()

        run(law)

    def test_it_closes_every_loader_even_when_closing_is_cancelled(self, run):
        """Whoever closes a request may be in a hurry."""

        async def law():
            gate = asyncio.Event()

            async def stubborn(keys):
                while not gate.is_set():
                    with contextlib.suppress(asyncio.CancelledError):
                        await gate.wait()
                return keys

            loaders = LoaderRegistry()
            first, second = loaders.get(Users), loaders.get(stubborn)
            waiting = [second.load(1), first.load(1)]
            await turns(8)
            waiting.append(first.load(2))
            closing = asyncio.create_task(loaders.aclose())
            await turns(3)
            closing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await closing
            assert first.closed
            assert second.closed
            assert isinstance(waiting[2].exception(), LoaderClosedError)
            gate.set()
            await turns(3)

        run(law)


class TestReading:
    def test_a_repr_is_one_line(self):
        """For logs."""
        loaders = LoaderRegistry()
        loaders.get(Users)
        assert repr(loaders) == "LoaderRegistry(<Users cached=0 waiting=0 batches=0 keys=0>)"

    def test_printed_it_is_a_table(self, run):
        """Of what each loader was asked for."""

        async def law():
            async with LoaderRegistry() as loaders:
                assert str(loaders) == "LoaderRegistry without loaders"
                await loaders.get(Users).load_many(range(12))
                await loaders.get(Users).load(3)
                loaders.add("other", DataLoader(Recorder(), name="another name"))
            assert str(loaders).splitlines() == [
                "loader        batches  keys  hits",
                "Users               1    12     1",
                "another name        0     0     0",
            ]

        run(law)

    def test_its_loaders_are_in_it(self):
        """Each once, in the order in which they were made; sources are asked for with `in`."""
        loaders = LoaderRegistry()
        assert loaders
        assert len(loaders) == 0
        assert Users not in loaders
        function = Recorder()
        first, second = loaders.get(function), loaders.get(Users)
        loaders.add("the same", second)
        assert list(loaders) == [first, second]
        assert len(loaders) == 2
        assert Users in loaders
        assert "the same" in loaders
        assert first not in loaders

    def test_its_loaders_may_be_made_while_it_is_iterated(self):
        """What is made meanwhile comes next time."""
        loaders = LoaderRegistry()
        loaders.get(Users)
        for _ in loaders:
            loaders.get(Recorder())
        assert len(loaders) == 2

    def test_all_caches_are_cleared_at_once(self, run):
        """After a mutation; for chaining."""

        async def law():
            async with LoaderRegistry() as loaders:
                recorders = Recorder(), Recorder()
                for recorder in recorders:
                    await loaders.get(recorder).load(1)
                assert loaders.clear_all() is loaders
                for recorder in recorders:
                    await loaders.get(recorder).load(1)
                    assert recorder.calls == [[1], [1]]

        run(law)


class Equal:
    """A batch function that is equal to others of its kind."""

    def __init__(self, number):
        self.number = number

    def __eq__(self, other):
        return isinstance(other, Equal) and other.number == self.number

    def __hash__(self):
        return hash(self.number)

    async def __call__(self, keys):
        return keys

    async def method(self, keys):
        return keys


ONE = Equal(1)


class Unhashable(Equal):
    """The same, without a hash."""

    __hash__ = None


class Plain(DataLoader[int, str]):
    """A loader class that is written with and without its types."""

    async def batch_load_fn(self, keys):
        return list(map(str, keys))


class Generic(DataLoader[int, V]):
    """A generic one."""

    async def batch_load_fn(self, keys):
        return list(map(str, keys))


async def load_of(tenant, keys, *, options=None):
    """For partials."""
    return [(tenant, key) for key in keys]


class TestSources:
    @pytest.mark.parametrize(
        ("one", "other", "are_one"),
        [
            pytest.param(lambda: Generic[str], lambda: Generic, True, id="a generic alias and its class"),
            pytest.param(lambda: Generic[str], lambda: Generic[int], True, id="two aliases"),
            pytest.param(lambda: Equal(1), lambda: Equal(1), True, id="equal callables"),
            pytest.param(lambda: Equal(1), lambda: Equal(2), False, id="callables that differ"),
            pytest.param(lambda: ONE.method, lambda: ONE.method, True, id="a bound method"),
            pytest.param(lambda: partial(load_of, 1), lambda: partial(load_of, 1), True, id="partials"),
            pytest.param(
                lambda: partial(load_of, 1), lambda: partial(load_of, 2), False, id="other argument"
            ),
            pytest.param(lambda: partial(load_of, 1), lambda: partial(load_of, True), False, id="1 and True"),
            pytest.param(
                lambda: partial(load_of, 1, options=2),
                lambda: partial(load_of, 1, options=2),
                True,
                id="names",
            ),
            pytest.param(
                lambda: partial(load_of, 1, options=2), lambda: partial(load_of, 1), False, id="fewer names"
            ),
            pytest.param(
                lambda: partial(partial(load_of, 1), options=2),
                lambda: partial(load_of, 1, options=2),
                True,
                id="a partial of a partial",
            ),
            pytest.param(
                lambda: partial(load_of, []), lambda: partial(load_of, []), False, id="unhashable arguments"
            ),
            pytest.param(
                lambda: partial(ONE.method), lambda: partial(ONE.method), True, id="partials of a method"
            ),
        ],
    )
    def test_equal_ones_share_a_loader(self, one, other, are_one):
        """And others never do."""
        loaders = LoaderRegistry()
        assert (loaders.get(one()) is loaders.get(other())) == are_one
        assert one() in loaders or not are_one

    def test_a_partial_with_unhashable_arguments_is_equal_to_itself(self):
        """It is one source as long as it is kept."""
        loaders = LoaderRegistry()
        kept = partial(load_of, [])
        assert loaders.get(kept) is loaders.get(kept)

    def test_a_loader_of_an_alias_works(self, run):
        """It is one of the class."""

        async def law():
            async with LoaderRegistry() as loaders:
                assert await loaders.get(Generic[str]).load(1) == "1"
                assert isinstance(loaders.get(Generic[str]), Generic)
                assert await loaders.get(Plain).load(1) == "1"

        run(law)

    @pytest.mark.parametrize("ask", [LoaderRegistry.get, LoaderRegistry.find, LoaderRegistry.__contains__])
    def test_an_unhashable_one_is_refused_by_name(self, ask):
        """With what to do."""
        with pytest.raises(OptionError, match=r"Unhashable object .* cannot be hashed: give it a __hash__"):
            ask(LoaderRegistry(), Unhashable(1))

    @pytest.mark.parametrize("loader", ["no loader", None, Users, Recorder()])
    def test_what_is_no_loader_cannot_be_added(self, loader):
        """Nothing changes."""
        loaders = LoaderRegistry()
        with pytest.raises(OptionError, match="takes a source and its loader"):
            loaders.add(Users, loader)
        assert Users not in loaders


class TestReplacing:
    def test_the_loader_that_is_replaced_is_closed(self, run):
        """Who waits there is told; its running batch is cancelled, and awaited when the registry closes."""

        async def law():
            gate = asyncio.Event()
            ended = []

            async def load(keys):
                try:
                    await asyncio.get_running_loop().create_future()
                finally:
                    await gate.wait()
                    ended.append(keys)

            async with LoaderRegistry() as loaders:
                old = loaders.get(load)
                waiting = old.load(1)
                await turns(8)
                new = loaders.add(load, DataLoader(Recorder()))
                assert old.closed
                assert isinstance(waiting.exception(), LoaderClosedError)
                assert "was replaced in its registry" in str(waiting.exception())
                assert loaders.get(load) is new
                assert await loaders.get(load).load(1) == 10
                await turns(2)
                loaders.add(load, DataLoader(Recorder()))
                assert ended == []
                asyncio.get_running_loop().call_soon(gate.set)
            assert ended == [[1]]

        run(law)

    def test_without_an_event_loop_an_idle_one_is_closed(self):
        """There is nothing to be cancelled."""
        loaders = LoaderRegistry()
        old = loaders.get(Users)
        loaders.add(Users, Users())
        assert old.closed
        assert not loaders.get(Users).closed

    def test_one_with_work_on_another_loop_keeps_its_place(self):
        """It can only be ended there."""
        loop = asyncio.new_event_loop()
        loaders = LoaderRegistry()
        old = loaders.add(Users, Users(loop=loop))
        future = old.load(1)
        with pytest.raises(WrongLoopError):
            loaders.add(Users, Users())
        assert loaders.get(Users) is old
        assert loop.run_until_complete(future) == 10
        loop.close()

    def test_one_that_stays_is_not_closed(self):
        """It is added again, or is there for another source too."""
        loaders = LoaderRegistry()
        users = loaders.get(Users)
        loaders.add(Users, users)
        loaders.add("too", users)
        loaders.add(Users, Users())
        assert not users.closed
        loaders.add("too", Users())
        assert users.closed
