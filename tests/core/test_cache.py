"""What is remembered, what is not, and what priming and clearing do to loads under way."""

import asyncio
import logging
from collections.abc import MutableMapping

import cachetools
import pytest
from loops import Recorder, turns

from dloader import DataLoader, KeyTypeError, manual


class Boom(Exception):
    """A failure of the user's own."""


class Forbidden(MutableMapping):
    """A map that must not be touched at all."""

    def __init__(self):
        self.touched = 0

    def _touch(self, *args):
        self.touched += 1
        raise AssertionError

    __getitem__ = __setitem__ = __delitem__ = __iter__ = __len__ = __contains__ = _touch


class Raising(Forbidden):
    """A map whose every operation fails."""


class Forgetful(dict):
    """A map that says it has what it then does not find."""

    def __contains__(self, key):
        return True

    def get(self, key, default=None):
        raise AssertionError("two reads where one would do")

    def __getitem__(self, key):
        raise KeyError(key)


class TestWhatIsRemembered:
    def test_a_value_is_loaded_once(self, run):
        """None and falsy values too."""

        async def law():
            recorder = Recorder(lambda keys: [{1: None, 2: 0, 3: []}[key] for key in keys])
            loader = DataLoader(recorder)
            for _ in range(2):
                assert await asyncio.gather(*map(loader.load, [1, 2, 3])) == [None, 0, []]
            assert recorder.calls == [[1, 2, 3]]
            assert loader.cache_map == {1: None, 2: 0, 3: []}

        run(law)

    def test_a_cached_value_is_there_at_once(self, run):
        """The future is done when load returns."""

        async def law():
            loader = DataLoader(Recorder())
            await loader.load(1)
            assert loader.load(1).result() == 10

        run(law)

    @pytest.mark.parametrize("whole", [False, True])
    def test_errors_are_not_cached(self, run, whole):
        """The next load tries again."""

        async def law():
            def answer(keys):
                if whole:
                    raise Boom
                return [Boom() for _ in keys]

            recorder = Recorder(answer)
            loader = DataLoader(recorder)
            for _ in range(2):
                with pytest.raises(Boom):
                    await loader.load(1)
            assert len(recorder.calls) == 2
            assert loader.cache_map == {}

        run(law)

    @pytest.mark.parametrize("whole", [False, True])
    def test_cache_errors_keeps_them(self, run, whole):
        """For sources where asking again costs more than a stale failure."""

        async def law():
            def answer(keys):
                if whole:
                    raise Boom
                return [Boom() for _ in keys]

            recorder = Recorder(answer)
            loader = DataLoader(recorder, cache_errors=True)
            for _ in range(2):
                with pytest.raises(Boom):
                    await loader.load(1)
                with pytest.raises(Boom):
                    await loader.load_many([1])
            assert recorder.calls == [[1]]

        run(law)

    def test_an_aborted_batch_is_not_cached_even_with_cache_errors(self, run):
        """Loading again is safe, it says."""

        async def law():
            async def load(keys):
                raise asyncio.CancelledError

            loader = DataLoader(load, cache_errors=True)
            await asyncio.gather(loader.load(1), return_exceptions=True)
            assert loader.cache_map == {}

        run(law)

    def test_without_cache_no_map_is_touched_but_duplicates_still_merge(self, run):
        """Merging is about work under way, caching about work done."""

        async def law():
            cache_map, recorder = Forbidden(), Recorder()
            loader = DataLoader(recorder, cache=False, cache_map=cache_map)
            for _ in range(2):
                assert await asyncio.gather(loader.load(1), loader.load(1), loader.load_many([1, 2])) == [
                    10,
                    10,
                    [10, 20],
                ]
            assert recorder.calls == [[1, 2], [1, 2]]
            loader.prime(1, 5).prime_many({2: 6}).clear(1).clear_many([2]).clear_all()
            assert repr(loader)
            assert await loader.load(1) == 10
            assert cache_map.touched == 0

        run(law)


class TestPrimeAndClear:
    def test_priming_overwrites(self, run):
        """The latest word counts."""

        async def law():
            loader = DataLoader(Recorder())
            assert await loader.load(1) == 10
            assert loader.prime(1, 11) is loader
            assert await loader.load(1) == 11
            assert loader.prime_many({1: 12, 2: 22}) is loader
            assert await loader.load_many([1, 2]) == [12, 22]

        run(law)

    def test_a_primed_exception_is_raised_by_later_loads(self, run):
        """Each caller gets one of its own."""

        async def law():
            error = Boom("primed")
            loader = DataLoader(Recorder()).prime(1, error)
            for _ in range(2):
                with pytest.raises(Boom, match="primed") as caught:
                    await loader.load(1)
                assert caught.value is not error
            assert error.__traceback__ is None

        run(law)

    def test_clearing_makes_the_next_load_a_new_one(self, run):
        """One key, some, or all; a key that is not there is fine."""

        async def law():
            recorder = Recorder()
            loader = DataLoader(recorder)
            await loader.load_many([1, 2, 3])
            assert loader.clear(1) is loader
            assert loader.clear_many([2, 9]) is loader
            await loader.load_many([1, 2, 3])
            assert loader.clear_all() is loader
            await loader.load_many([1, 2, 3])
            assert recorder.calls == [[1, 2, 3], [1, 2], [1, 2, 3]]

        run(law)

    def test_clearing_during_a_load_detaches_it(self, run):
        """Its callers get what it loads; later callers load afresh, and the fresh value is what is cached."""

        async def law():
            gates = [asyncio.Event(), asyncio.Event()]

            async def load(keys):
                number = len(calls)
                calls.append(keys)
                await gates[number].wait()
                return [f"{number} of {key}" for key in keys]

            calls: list = []
            loader = DataLoader(load)
            old, old_many, kept = loader.load(1), loader.load_many([1, 2]), loader.load(3)
            await turns(8)
            loader.clear(1).clear(1).clear(2)
            new, new_many = loader.load(1), loader.load_many([1, 2, 3])
            await turns(8)
            assert calls == [[1, 2, 3], [1, 2]]
            gates[1].set()
            assert await new == "1 of 1"
            gates[0].set()
            assert await asyncio.gather(old, old_many, kept) == ["0 of 1", ["0 of 1", "0 of 2"], "0 of 3"]
            assert await new_many == ["1 of 1", "1 of 2", "0 of 3"]
            assert loader.cache_map == {1: "1 of 1", 2: "1 of 2", 3: "0 of 3"}

        run(law)

    def test_clearing_all_detaches_every_load_under_way(self, run):
        """Nothing stale is cached."""

        async def law():
            gate = asyncio.Event()
            recorder = Recorder(gate=gate)
            loader = DataLoader(recorder)
            old = loader.load_many([1, 2])
            await turns(8)
            loader.clear_all()
            gate.set()
            assert await old == [10, 20]
            assert loader.cache_map == {}
            assert await loader.load_many([1, 2]) == [10, 20]
            assert recorder.calls == [[1, 2], [1, 2]]

        run(law)

    @pytest.mark.parametrize("before", [False, True])
    def test_priming_beats_a_load_under_way(self, run, before):
        """Before its batch started and while it runs."""

        async def law():
            gate = asyncio.Event()
            loader = DataLoader(Recorder(gate=gate))
            old, other = loader.load(1), loader.load(2)
            await turns(0 if before else 8)
            loader.prime(1, "primed")
            assert await loader.load(1) == "primed"
            gate.set()
            assert await asyncio.gather(old, other) == [10, 20]
            assert loader.cache_map == {1: "primed", 2: 20}

        run(law)

    def test_clearing_before_the_batch_starts_changes_nothing(self, run):
        """It will read what is true then."""

        async def law():
            recorder = Recorder()
            loader = DataLoader(recorder)
            one = loader.load(1)
            loader.prime(1, "old").clear(1)
            assert await asyncio.gather(one, loader.load(1)) == [10, 10]
            assert recorder.calls == [[1]]
            assert loader.cache_map == {1: 10}

        run(law)

    def test_a_key_primed_cleared_and_asked_for_again_is_cached(self, run):
        """That it was once primed for callers who are gone does not matter."""

        async def law():
            loader = DataLoader(Recorder())
            kept = loader.load(2)
            loader.load(1).cancel()
            one = loader.load(1)
            loader.prime(1, "old")
            one.cancel()
            loader.clear(1)
            assert await asyncio.gather(loader.load(1), kept) == [10, 20]
            assert loader.cache_map == {1: 10, 2: 20}

        run(law)

    def test_callers_of_a_detached_load_may_leave(self, run):
        """Their batch is cancelled when they were the last, the fresh one runs on."""

        async def law():
            gate = asyncio.Event()
            recorder = Recorder(gate=gate)
            loader = DataLoader(recorder)
            old, old_too, old_many = loader.load(1), loader.load(1), loader.load_many([1, 2])
            await turns(8)
            loader.clear(1)
            new = loader.load(1)
            await turns(8)
            for future in (old, old_too, old_many):
                future.cancel()
            await turns(2)
            assert recorder.cancelled == 1
            gate.set()
            assert await new == 10
            assert loader.cache_map == {1: 10}

        run(law)

    def test_a_detached_load_may_fail(self, run):
        """Its own callers get the error, nobody else."""

        async def law():
            async def load(keys):
                calls.append(keys)
                if len(calls) == 1:
                    await gate.wait()
                    raise Boom
                return keys

            calls: list = []
            gate = asyncio.Event()
            loader = DataLoader(load, cache_errors=True)
            old = loader.load(1)
            await turns(8)
            loader.clear(1)
            assert await loader.load(1) == 1
            gate.set()
            with pytest.raises(Boom):
                await old
            assert loader.cache_map == {1: 1}

        run(law)

    @pytest.mark.parametrize(
        "operation", [lambda x, k: x.prime(k, 1), lambda x, k: x.clear(k)], ids=["prime", "clear"]
    )
    def test_an_unusable_key_is_refused(self, operation):
        """With the words that load has for it."""
        loader = DataLoader(Recorder(), name="users")
        for key in (None, [1]):
            with pytest.raises(KeyTypeError, match=r"'users'.*cache_key_fn"):
                operation(loader, key)

    def test_it_needs_no_event_loop(self):
        """A loader may be primed where it is made."""
        loader = DataLoader(Recorder()).prime(1, "one").prime_many({2: "two"}).clear(1).clear_all()
        assert loader.cache_map == {}


class TestMaps:
    def test_the_users_map_is_used_and_shown(self, run):
        """It may be shared, and filled before."""

        async def law():
            cache_map = {1: "known"}
            recorder = Recorder()
            loader = DataLoader(recorder, cache_map=cache_map)
            assert loader.cache_map is cache_map
            assert await loader.load_many([1, 2]) == ["known", 20]
            assert cache_map == {1: "known", 2: 20}
            assert await DataLoader(recorder, cache_map=cache_map).load(2) == 20

        run(law)

    def test_an_lru_cache_may_evict(self, run):
        """Also within one batch, and more keys than it holds."""

        async def law():
            recorder = Recorder()
            loader = DataLoader(recorder, cache_map=cachetools.LRUCache(2))
            assert await loader.load_many([1, 2, 3, 4]) == [10, 20, 30, 40]
            assert sorted(loader.cache_map) == [3, 4]
            assert await loader.load(3) == 30
            assert await loader.load_many([1, 3, 4]) == [10, 30, 40]
            assert recorder.calls == [[1, 2, 3, 4], [1]]
            assert sorted(loader.cache_map) == [1, 4] or sorted(loader.cache_map) == [1, 3]

        run(law)

    def test_a_ttl_cache_may_expire(self, run):
        """Also between two reads."""

        async def law():
            clock = iter(range(10_000))
            recorder = Recorder()
            loader = DataLoader(recorder, cache_map=cachetools.TTLCache(10, ttl=3, timer=lambda: next(clock)))
            for _ in range(20):
                assert await loader.load(1) == 10
            assert 1 < len(recorder.calls) <= 20

        run(law)

    def test_a_value_too_large_for_the_map_is_still_returned(self, run, caplog):
        """Cachetools raises ValueError for it."""

        async def law():
            cache_map = cachetools.LRUCache(5, getsizeof=lambda value: value)
            loader = DataLoader(Recorder(), cache_map=cache_map)
            assert await loader.load_many([0, 1, 2]) == [0, 10, 20]
            assert dict(cache_map) == {0: 0}

        run(law)
        assert len(caplog.records) == 1

    def test_an_entry_that_vanishes_between_two_reads_is_not_there(self, run):
        """There is one read."""

        async def law():
            recorder = Recorder()
            loader = DataLoader(recorder, cache_map=Forgetful())
            assert await asyncio.gather(loader.load(1), loader.load_many([1, 2])) == [10, [10, 20]]
            assert recorder.calls == [[1, 2]]

        run(law)

    def test_a_raising_map_is_logged_once_and_done_without(self, run, caplog):
        """It never fails a load."""

        async def law():
            loader = DataLoader(Recorder(), cache_map=Raising(), name="users")
            for _ in range(2):
                assert await asyncio.gather(loader.load(1), loader.load_many([1, 2])) == [10, [10, 20]]
            loader.prime(1, 5).prime_many({2: 6}).clear(1).clear_many([2]).clear_all()
            assert "cached=?" in repr(loader)

        with caplog.at_level(logging.ERROR, logger="dloader"):
            run(law)
        [record] = caplog.records
        assert "'users'" in record.getMessage()

    def test_an_unusable_key_is_not_blamed_on_the_map(self, run, caplog):
        """It is the caller's mistake."""

        async def law():
            loader = DataLoader(Recorder(), cache_map=cachetools.LRUCache(5))
            with pytest.raises(KeyTypeError):
                loader.load([1])

        run(law)
        assert not caplog.records

    def test_a_map_may_work_on_its_loader(self, run):
        """Clearing, priming, loading and leaving from inside the map's own methods."""

        class Meddling(dict):
            def __setitem__(self, key, value):
                super().__setitem__(key, value)
                if key == 1:
                    loader.clear(2).prime(3, "primed")
                    more.append(loader.load(4))
                    more.append(loader.load(5))
                    gone.cancel()

        async def law():
            nonlocal loader, gone
            more.clear()
            recorder = Recorder()
            loader = DataLoader(recorder, cache_map=Meddling())
            gone, stays = loader.load(5), loader.load_many([1, 2, 3, 4])
            assert await stays == [10, 20, 30, 40]
            assert await asyncio.gather(*more) == [40, 50]
            assert loader.is_idle

        more: list = []
        loader = gone = None
        run(law)

    def test_a_map_cannot_make_the_last_caller_leave(self, run):
        """Callers have their values before anything is written to the map."""

        class Cancelling(dict):
            def __setitem__(self, key, value):
                future.cancel()

        async def law():
            nonlocal future
            loader = DataLoader(Recorder(turns=1), cache_map=Cancelling())
            future = loader.load(1)
            assert await future == 10
            assert loader.is_idle

        future = None
        run(law)


class TestCacheKeys:
    @pytest.mark.parametrize("form", ["cache_key_fn", "get_cache_key", "method", "other method"])
    def test_unhashable_keys_are_loadable_with_a_cache_key_fn(self, run, form):
        """An option or a method, under the names that people know."""

        async def law():
            class ByMethod(DataLoader):
                def get_cache_key(self, key):
                    return key["id"]

            class ByOther(DataLoader):
                def cache_key_fn(self, key):
                    return key["id"]

            recorder = Recorder(lambda keys: [key["id"] * 10 for key in keys])
            loader = {
                "cache_key_fn": lambda: DataLoader(recorder, cache_key_fn=lambda key: key["id"]),
                "get_cache_key": lambda: DataLoader(recorder, get_cache_key=lambda key: key["id"]),
                "method": lambda: ByMethod(recorder),
                "other method": lambda: ByOther(recorder),
            }[form]()
            one, two = {"id": 1}, {"id": 2}
            assert await asyncio.gather(
                loader.load(one), loader.load({"id": 1}), loader.load_many([two, one])
            ) == [
                10,
                10,
                [20, 10],
            ]
            assert recorder.calls == [[one, two]]
            assert loader.cache_map == {1: 10, 2: 20}
            assert await loader.prime(one, 5).clear(two).load_many([one, two]) == [5, 20]

        run(law)

    def test_without_one_an_unhashable_key_or_none_names_the_loader_and_the_cure(self, run):
        """Nothing was requested."""

        async def law():
            loader = DataLoader(Recorder(), name="users")
            for key in (None, [1], {}):
                with pytest.raises(KeyTypeError, match=r"'users'.*cache_key_fn") as caught:
                    loader.load(key)
                assert isinstance(caught.value, TypeError)
            assert loader.is_idle

        run(law)

    def test_a_cache_key_fn_that_returns_something_unhashable_is_named(self, run):
        """The cure is another one then."""

        async def law():
            loader = DataLoader(Recorder(), cache_key_fn=lambda key: [key])
            for ask in (loader.load, lambda key: loader.load_many([key]), loader.clear):
                with pytest.raises(KeyTypeError, match="cache_key_fn must return something hashable"):
                    ask(1)

        run(law)

    def test_none_is_a_key_like_any_other_with_a_cache_key_fn(self, run):
        """The function decides."""

        async def law():
            loader = DataLoader(Recorder(lambda keys: keys), cache_key_fn=repr)
            assert await asyncio.gather(loader.load(None), loader.load_many([None, 1])) == [None, [None, 1]]

        run(law)

    def test_a_key_whose_own_comparison_raises_is_not_explained_away(self, run):
        """It is the user's error, as it is."""

        class Rude:
            def __hash__(self):
                return 1

            def __eq__(self, other):
                raise TypeError("do not compare me")

        async def law():
            loader = DataLoader(Recorder(lambda keys: keys), dispatch=manual())
            first = loader.load(Rude())
            with pytest.raises(TypeError, match="do not compare me") as caught:
                loader.load(Rude())
            assert caught.value.__cause__ is None
            with pytest.raises(TypeError, match="do not compare me"):
                loader.load_many([Rude(), Rude()])
            first.cancel()

        run(law)
