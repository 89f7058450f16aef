"""What is cached is handed out again: the very future, once it is done, and values where there is none."""

import asyncio

import pytest
from loops import KINDS, LoopRunner, Recorder, turns

from dloader import BatchResultError, DataLoader, KeyTypeError, LoaderClosedError, OptionError


class Odd:
    """A key that can be hashed and not be compared."""

    def __hash__(self):
        return 1

    def __eq__(self, other):
        raise TypeError("cannot be compared")


class TestSharedFutures:
    @pytest.mark.parametrize("run", KINDS, indirect=True)  # where every load is checked, each gets its own
    def test_callers_share_a_future_only_once_it_is_done(self, run):
        """Nobody can cancel it any more."""

        async def law():
            loader = DataLoader(Recorder())
            one, two = loader.load(1), loader.load(1)
            assert one is not two
            await one
            alone = loader.load(2)
            await alone
            assert loader.load(2) is alone
            assert not alone.cancel()
            assert await loader.load(2) == 20
            assert loader.load(1) is loader.load(1)
            assert loader.statistics.cache_hits == 4

        run(law)

    @pytest.mark.parametrize("way", ["load_many", "prime", "cache_map"])
    @pytest.mark.parametrize("run", KINDS, indirect=True)  # where every load is checked, each gets its own
    def test_a_value_without_a_future_gets_one_at_its_first_hit(self, run, way):
        """Then that one is shared."""

        async def law():
            loader = DataLoader(Recorder())
            if way == "load_many":
                await loader.load_many([1])
            elif way == "prime":
                loader.prime(1, 10)
            else:
                loader.cache_map[1] = 10
            hit = loader.load(1)
            assert hit.done()
            assert loader.load(1) is hit
            assert await loader.load_many([1, 2, 1]) == [10, 20, 10]

        run(law)

    def test_a_future_that_was_completed_from_outside_is_its_owners_alone(self, run):
        """The cache has what the batch function returned."""

        async def law():
            gate = asyncio.Event()
            loader = DataLoader(Recorder(gate=gate))
            mine, gone, other = loader.load(1), loader.load(2), loader.load(3)
            await turns(8)
            mine.set_result("mine")
            gone.cancel()
            gate.set()
            assert await other == 30
            assert await loader.load_many([1, 2, 3]) == [10, 20, 30]
            assert await mine == "mine"
            assert loader.load(1) is not mine

        run(law)

    def test_clearing_and_priming_put_another_in_its_place(self, run):
        """Who holds the old one keeps it."""

        async def law():
            loader = DataLoader(Recorder())
            old = loader.load(1)
            await old
            assert await loader.prime(1, "primed").load(1) == "primed"
            assert await loader.clear(1).load(1) == 10
            assert loader.load(1) is not old
            await loader.aclose()
            with pytest.raises(LoaderClosedError):
                loader.load(1)

        run(law)

    @pytest.mark.parametrize("own", [True, False])
    def test_a_value_primed_during_a_load_stays(self, run, own):
        """In the loader's own cache, and in a mapping of the user's."""

        async def law():
            gate = asyncio.Event()
            loader = DataLoader(Recorder(gate=gate), cache_map=None if own else {})
            pending = [loader.load(1), loader.load(2)]
            await turns(8)
            loader.prime(1, "primed")
            gate.set()
            assert await asyncio.gather(*pending) == [10, 20]
            assert loader.cache_map == {1: "primed", 2: 20}

        run(law)

    def test_a_key_that_was_primed_and_left_may_be_loaded_again(self, run):
        """Its result is cached then."""

        async def law():
            recorder = Recorder()
            loader = DataLoader(recorder, 3)
            gone = loader.load(1)
            loader.prime(1, "primed").prime(2, "primed")
            gone.cancel()
            kept = [loader.load(3), loader.load(4)]
            loader.clear(1)
            assert await loader.load(1) == 10
            assert await asyncio.gather(*kept) == [30, 40]
            assert recorder.calls == [[3, 4, 1]]
            assert loader.cache_map == {2: "primed", 3: 30, 4: 40, 1: 10}

        run(law)

    @pytest.mark.parametrize("way", ["load", "load_many"])
    def test_another_event_loop_gets_futures_of_its_own(self, kind, way):
        """The values stay."""

        async def first():
            await (loader.load(1) if way == "load" else loader.load_many([1]))
            return loader.load(1)

        async def second():
            assert await asyncio.gather(loader.load(1), loader.load(1)) == [10, 10]
            return loader.load(1)

        loader = DataLoader(Recorder())
        futures = [LoopRunner(kind)(first), LoopRunner(kind)(second)]
        assert futures[0] is not futures[1]
        assert loader.statistics.batches == 1

    @pytest.mark.parametrize("make", ["future", "task", "coroutine"])
    @pytest.mark.parametrize(
        "options", [{}, {"cache_map": {}}, {"cache": False}], ids=lambda o: " ".join(o) or "cached"
    )
    def test_results_that_nobody_has_awaited_are_errors_of_their_keys(self, run, make, options):
        """They were handed out, and cached, instead of what they stand for."""

        async def law():
            async def answer(keys):
                return [to_await(make) if key == 1 else key * 10 for key in keys]

            loader = DataLoader(answer, **options)
            asked = (
                loader.load(1),
                loader.load(1),
                loader.load(2),
                loader.load_many([1, 2], return_exceptions=True),
            )
            one, again, two, many = await asyncio.gather(*asked, return_exceptions=True)
            for error in (one, again, many[0]):
                assert type(error) is BatchResultError
                assert "for key 1, which nobody awaits: return await asyncio.gather(...)" in str(error)
            assert two == many[1] == 20
            assert 1 not in loader.cache_map
            with pytest.raises(BatchResultError):
                await DataLoader(answer).load_many([2, 1])
            await turns(2)

        run(law)

    @pytest.mark.parametrize("make", ["future", "task", "coroutine"])
    @pytest.mark.parametrize("is_primed", [False, True])
    @pytest.mark.parametrize("cache", ["default", "mapping", "none"])
    def test_also_where_the_key_is_alone_in_its_batch(self, run, make, cache, is_primed):
        """Batches of one key that one caller waits for are answered on a way of their own."""

        async def law():
            async def answer(keys):
                if is_primed:
                    loader.prime(1, 5)
                return [to_await(make) for _ in keys]

            cache_map = {} if cache == "mapping" else None
            loader = DataLoader(answer, cache=cache != "none", cache_map=cache_map)
            with pytest.raises(BatchResultError, match="for key 1, which nobody awaits"):
                await loader.load(1)
            assert dict(loader.cache_map) == ({1: 5} if is_primed and cache != "none" else {})
            await turns(2)

        run(law)

    @pytest.mark.parametrize("make", ["future", "task", "coroutine"])
    def test_nor_can_they_be_put_into_the_cache(self, run, make):
        async def law():
            loader = DataLoader(Recorder(), name="users")
            for put in (
                lambda value: loader.prime(1, value),
                lambda value: loader.prime_many({1: value}),
                lambda value: loader.cache_map.update({1: value}),
            ):
                value = to_await(make)
                with pytest.raises(OptionError, match="the value of key 1 cannot be <.*await it first"):
                    put(value)
                getattr(value, "close", getattr(value, "cancel", None))()
            assert await loader.load(1) == 10
            await turns(2)

        run(law)


def to_await(kind):
    """Something that stands for a value."""
    loop = asyncio.get_running_loop()
    if kind == "future":
        return loop.create_future()
    return loop.create_task(turns(1)) if kind == "task" else turns(1)


class OwnFuture(asyncio.Future):
    """What a loop of its own kind may make."""


class OwnLoop(asyncio.SelectorEventLoop):
    """An event loop with futures of its own class."""

    def create_future(self):
        return OwnFuture(loop=self)


class TestLoopsWithFuturesOfTheirOwn:
    @pytest.mark.parametrize("bound", ["inside", "outside"])
    def test_a_hit_gives_the_value(self, bound):
        """And not the future that it is kept in."""

        async def law():
            first = loader.load(1)
            assert await asyncio.gather(first, loader.load(2)) == [10, 20]
            assert await loader.load(1) == 10
            assert await loader.load_many([1, 2, 3]) == [10, 20, 30]
            assert loader.cache_map == {1: 10, 2: 20, 3: 30}

        with asyncio.Runner(loop_factory=OwnLoop) as runner:
            loader = DataLoader(Recorder(), loop=runner.get_loop())
            if bound == "outside":
                loader.load(2)
            runner.run(law())


class TestTheMapping:
    def test_it_is_a_mapping_of_the_values(self, run):
        """Which may be changed, and then counts."""

        async def law():
            recorder = Recorder()
            loader = DataLoader(recorder)
            await asyncio.gather(loader.load(1), loader.load_many([2, 3]))
            assert loader.cache_map == {1: 10, 2: 20, 3: 30}
            assert repr(loader.cache_map) == "{1: 10, 2: 20, 3: 30}"
            assert len(loader.cache_map) == 3
            del loader.cache_map[1]
            loader.cache_map[2] = "other"
            assert 1 not in loader.cache_map
            assert await loader.load_many([1, 2]) == [10, "other"]
            assert recorder.calls == [[1, 2, 3], [1]]
            with pytest.raises(KeyError):
                loader.cache_map[9]

        run(law)

    def test_it_stays_the_same_while_the_loader_works(self, run):
        """A view of what there is, not of what there was."""

        async def law():
            loader = DataLoader(Recorder())
            seen = loader.cache_map
            await loader.load(1)
            await loader.load(2)
            assert seen == {1: 10, 2: 20}
            loader.clear_all()
            assert seen == {}

        run(law)

    def test_errors_among_cached_values_are_raised_or_in_their_places(self, run):
        """Each caller gets one of their own."""

        async def law():
            loader = DataLoader(Recorder()).prime(1, ValueError("primed")).prime(2, 20)
            with pytest.raises(ValueError, match="primed"):
                await loader.load_many([2, 1])
            value, error = await loader.load_many([2, 1], return_exceptions=True)
            assert value == 20
            assert isinstance(error, ValueError)
            assert error is not loader.cache_map[1]

        run(law)


class TestKeys:
    @pytest.mark.parametrize("cached", [False, True])
    def test_an_error_of_the_keys_own_comparison_is_its_own(self, run, cached):
        """It is no unhashable key."""

        async def law():
            loader = DataLoader(Recorder(lambda keys: keys))
            first = loader.load(Odd())
            if cached:
                await first
            with pytest.raises(TypeError, match="cannot be compared"):
                loader.load(Odd())
            with pytest.raises(KeyTypeError, match="not hashable"):
                loader.load([1])
            with pytest.raises(KeyTypeError, match="None"):
                loader.load(None)
            await first

        run(law)

    @pytest.mark.parametrize("options", [{"max_batch_size": 5}, {"cache_map": {}}, {"cache": False}])
    def test_the_same_with_other_options(self, run, options):
        """Whichever way a load takes."""

        async def law():
            loader = DataLoader(Recorder(lambda keys: keys), **options)
            first = loader.load(Odd())
            with pytest.raises(TypeError, match="cannot be compared"):
                loader.load(Odd())
            with pytest.raises(KeyTypeError, match="not hashable"):
                loader.load([1])
            await first

        run(law)

    def test_keys_that_everybody_left_are_forgotten_with_their_own_form(self, run):
        """The keys that the batch function gets stay those that were given."""

        async def law():
            recorder = Recorder(lambda keys: [key["id"] for key in keys])
            loader = DataLoader(recorder, 3, cache_key_fn=lambda key: key["id"])
            loader.load({"id": 1}).cancel()
            loader.prime({"id": 2}, 2).clear({"id": 2})
            assert await asyncio.gather(loader.load({"id": 2}), loader.load({"id": 3})) == [2, 3]
            assert recorder.calls == [[{"id": 2}, {"id": 3}]]
            assert loader.cache_map == {2: 2, 3: 3}

        run(law)
