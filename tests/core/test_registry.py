"""LoaderRegistry: the loaders of one request."""

import asyncio
import contextlib

import pytest
from loops import Recorder, turns

from dloader import DataLoader, LoaderClosedError, LoaderRegistry, OptionError


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
        """Pending callers are cancelled, and it gives no more loaders."""

        async def law():
            async with LoaderRegistry() as loaders:
                users = loaders.get(Users)
                pending = users.load(1)
            assert pending.cancelled()
            assert users.closed
            with pytest.raises(LoaderClosedError):
                loaders.get(Recorder())
            with pytest.raises(LoaderClosedError):
                loaders.add(Recorder(), users)
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
            assert waiting[2].cancelled()
            gate.set()
            await turns(3)

        run(law)

    def test_it_shows_its_loaders(self):
        """For logs."""
        loaders = LoaderRegistry()
        loaders.get(Users)
        assert repr(loaders) == "LoaderRegistry(<Users cached=0 waiting=0 batches=0 keys=0>)"
