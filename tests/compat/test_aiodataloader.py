"""dloader.compat.aiodataloader keeps the semantics of aiodataloader 0.4.3, and its callers never hang."""

import asyncio
import gc
from collections import UserDict
from functools import partial

import pytest
from loops import Recorder, turns

import dloader
from dloader import (
    BatchAbortedError,
    Instrument,
    KeyTypeError,
    LoaderClosedError,
    OptionError,
    RecursiveLoadError,
)
from dloader.compat.aiodataloader import DataLoader


class BoomError(Exception):
    """A failure of the user's own."""


class Tens(DataLoader):
    """Answers with ten times the key, and keeps the keys it was called with."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.calls = []

    async def batch_load_fn(self, keys):
        self.calls.append(keys)
        return [key * 10 for key in keys]


class TestConstruction:
    def test_the_arguments_have_the_order_of_aiodataloader(self, run):
        async def law():
            fetch, cache = Recorder(), {}
            loader = DataLoader(fetch, True, 2, True, abs, cache, asyncio.get_running_loop())
            assert await loader.load_many([-1, 1, 2, 3]) == [-10, -10, 20, 30]
            assert fetch.calls == [[-1, 2], [3]]
            assert list(cache) == [1, 2, 3]

        run(law)

    def test_class_attributes_are_the_defaults(self, run):
        class Small(Tens):
            max_batch_size = 1
            cache = False

        async def law():
            loader = Small()
            assert await loader.load_many([1, 1]) == [10, 10]
            assert loader.calls == [[1], [1]]
            kept = Small(max_batch_size=5, cache=True)
            assert await kept.load_many([1, 1, 2]) == [10, 10, 20]
            assert kept.calls == [[1, 2]]

        run(law)

    def test_batch_false_loads_each_key_alone(self, run):
        class Single(Tens):
            batch = False

        async def law():
            for loader in (Tens(batch=False), Single()):
                assert await loader.load_many([1, 2]) == [10, 20]
                assert loader.calls == [[1], [2]]

        run(law)

    def test_a_given_function_comes_before_the_method(self, run):
        async def negative(keys):
            return [-key for key in keys]

        async def law():
            assert await Tens(negative).load(1) == -1

        run(law)

    def test_a_given_get_cache_key_comes_before_the_method(self, run):
        class Signed(Tens):
            def get_cache_key(self, key):
                return abs(key)

        async def law():
            by_method, by_option = Signed(), Signed(get_cache_key=lambda key: key % 3)
            assert by_method.load(1) is by_method.load(-1)
            assert by_method.load(1) is not by_method.load(4)
            assert by_option.load(1) is by_option.load(4)
            await asyncio.gather(by_method.load(1), by_method.load(4), by_option.load(1))

        run(law)

    def test_without_a_batch_function_there_is_no_loader(self):
        with pytest.raises(TypeError, match="has no batch function"):
            DataLoader()

    def test_partitions_are_refused_where_futures_are_shared(self):
        class Tenanted(Tens):
            def partition(self):
                return "blue"

        with pytest.raises(OptionError, match="'Tenanted'.*share a future.*partition"):
            Tenanted()

    @pytest.mark.parametrize(
        "options",
        [
            pytest.param({"cache": 1}, id="cache"),
            pytest.param({"batch": 20}, id="batch"),
            pytest.param({"max_batch_size": 0}, id="max_batch_size"),
            pytest.param({"get_cache_key": "id"}, id="get_cache_key"),
            pytest.param({"cache_map": 1}, id="cache_map"),
            pytest.param({"loop": "asyncio"}, id="loop"),
        ],
    )
    def test_wrong_options_are_refused(self, options):
        with pytest.raises(OptionError):
            Tens(**options)

    def test_any_async_callable_is_a_batch_function(self, run):
        async def scaled(factor, keys):
            return [key * factor for key in keys]

        async def law():
            assert await DataLoader(partial(scaled, 3)).load(2) == 6
            assert await DataLoader(lambda keys: scaled(4, keys)).load(2) == 8

        run(law)

    def test_it_is_a_dloader_loader(self, run):
        async def law():
            async with Tens() as loader:
                assert isinstance(loader, dloader.DataLoader)
                assert await loader.load(1) == 10
                assert await loader.load(1) == 10
                assert (loader.statistics.batches, loader.statistics.cache_hits) == (1, 1)
                assert repr(loader) == "<Tens cached=1 waiting=0 batches=1 keys=1>"

        run(law)


class TestLoading:
    def test_a_key_has_one_future_for_all_its_callers(self, run):
        async def law():
            loader = Tens()
            first = loader.load(1)
            assert loader.load(1) is first
            assert await first == 10
            assert loader.load(1) is first
            assert loader.calls == [[1]]
            assert loader.statistics.merged == 1

        run(law)

    def test_without_cache_duplicates_are_not_merged(self, run):
        async def law():
            loader = Tens(cache=False)
            first, second = loader.load(1), loader.load(1)
            assert first is not second
            assert await asyncio.gather(first, second) == [10, 10]
            assert await loader.load(1) == 10
            assert loader.calls == [[1, 1], [1]]
            assert not loader.cache_map

        run(law)

    def test_without_cache_a_key_need_not_be_hashable(self, run):
        async def law():
            fetch = Recorder(lambda keys: [sum(key) for key in keys])
            assert await DataLoader(fetch, cache=False).load_many([[1, 2], [3]]) == [3, 3]

        run(law)

    def test_batches_are_cut_at_max_batch_size(self, run):
        async def law():
            loader = Tens(max_batch_size=2)
            assert await loader.load_many(range(1, 6)) == [10, 20, 30, 40, 50]
            assert loader.calls == [[1, 2], [3, 4], [5]]

        run(law)

    @pytest.mark.parametrize("cache", [True, False])
    def test_none_is_no_key(self, run, cache):
        async def law():
            loader = Tens(cache=cache, get_cache_key=str)
            with pytest.raises(TypeError, match="must be called with a value"):
                loader.load(None)
            with pytest.raises(TypeError, match="must be called with a value"):
                loader.load_many([None])
            assert loader.calls == []

        run(law)

    def test_an_unhashable_key_needs_a_cache_key(self, run):
        async def law():
            fetch = Recorder(lambda keys: [sum(key) for key in keys])
            for cache_map in (None, UserDict()):
                loader = DataLoader(fetch, cache_map=cache_map)
                for use in (loader.load, loader.clear, partial(loader.prime, value=1)):
                    with pytest.raises(KeyTypeError, match=r"cannot cache the key \[1\] .*get_cache_key"):
                        use([1])
            loader = DataLoader(fetch, get_cache_key=tuple)
            assert await asyncio.gather(loader.load([1, 2]), loader.load([1, 2])) == [3, 3]
            assert fetch.calls == [[[1, 2]]]

        run(law)

    def test_load_many_takes_an_iterable(self, run):
        async def law():
            with pytest.raises(TypeError, match="must be called with Iterable<key> but got: 1"):
                Tens().load_many(1)
            assert await Tens().load_many(iter([2, 1, 2])) == [20, 10, 20]
            assert await Tens().load_many([]) == []

        run(law)

    def test_load_many_shares_the_futures_of_load(self, run):
        async def law():
            loader = Tens()
            one = loader.load(1)
            assert await loader.load_many([1, 2]) == [10, 20]
            assert one.done()
            assert loader.calls == [[1, 2]]

        run(law)

    def test_load_many_raises_the_first_error_or_returns_all(self, run):
        boom = BoomError("two")

        async def law():
            loader = DataLoader(Recorder(lambda keys: [boom if key == 2 else key for key in keys]))
            with pytest.raises(BoomError, match="two"):
                await loader.load_many([1, 2])
            one, two = await loader.load_many([1, 2], return_exceptions=True)
            assert one == 1
            assert isinstance(two, BoomError)

        run(law)

    def test_load_works_outside_a_coroutine_given_a_loop(self):
        with asyncio.Runner() as runner:
            loader = Tens(loop=runner.get_loop())
            loader.prime(2, 2)
            one, two = loader.load(1), loader.load(2)
            assert loader.load(1) is one
            assert runner.get_loop().run_until_complete(asyncio.wait_for(one, 1)) == 10
            assert two.result() == 2


class TestFailures:
    def test_the_error_of_a_key_is_cached(self, run):
        async def law():
            fetch = Recorder(lambda keys: [BoomError(key) for key in keys])
            loader = DataLoader(fetch)
            first = loader.load(1)
            with pytest.raises(BoomError):
                await first
            assert loader.load(1) is first
            with pytest.raises(BoomError):
                await loader.load(1)
            assert fetch.calls == [[1]]

        run(law)

    def test_the_failure_of_a_whole_batch_is_not_cached(self, run):
        async def law():
            answers = [BoomError("down"), [1, 2]]

            async def fetch(keys):
                answer = answers.pop(0)
                if isinstance(answer, Exception):
                    raise answer
                return answer

            loader = DataLoader(fetch)
            failed = await loader.load_many(["a", "b"], return_exceptions=True)
            assert [str(error) for error in failed] == ["down", "down"]
            assert not loader.cache_map
            assert await loader.load_many(["a", "b"]) == [1, 2]

        run(law)

    def test_all_callers_see_the_exception_that_the_batch_function_raised(self, run):
        async def law():
            boom = BoomError("down")

            async def fetch(keys):
                raise boom

            def fail_at_once(keys):
                raise boom

            for function in (fetch, fail_at_once):
                seen = await DataLoader(function).load_many(["a", "b", "a"], return_exceptions=True)
                assert [error is boom for error in seen] == [True] * 3
                assert not hasattr(boom, "__notes__")

        run(law)

    def test_callers_see_the_exception_that_was_returned_for_their_key(self, run):
        async def law():
            booms = {1: BoomError(1), 3: BoomError(3)}
            loader = DataLoader(Recorder(lambda keys: [booms.get(key, key) for key in keys]))
            seen = await loader.load_many([1, 2, 1, 3], return_exceptions=True)
            assert seen == [booms[1], 2, booms[1], booms[3]]
            assert [loader.load(key).exception() for key in (1, 2, 3)] == [booms[1], None, booms[3]]

        run(law)

    def test_loads_raise_the_exception_that_was_primed(self, run):
        async def law():
            boom = BoomError("primed")
            loader = Tens().prime(1, boom)
            assert loader.load(1).exception() is boom

        run(law)

    def test_without_a_cache_too_exceptions_are_given_as_they_are(self, run):
        async def law():
            boom = BoomError("down")
            loader = DataLoader(Recorder(lambda keys: [boom] * len(keys)), cache=False)
            assert await loader.load_many([1, 1], return_exceptions=True) == [boom, boom]

        run(law)

    def test_stop_iteration_becomes_a_runtime_error_wherever_it_comes_from(self, run):
        async def law():
            loader = DataLoader(Recorder(lambda keys: [StopIteration(key) for key in keys]))
            for future in (loader.load(1), loader.prime(2, StopIteration()).load(2)):
                with pytest.raises(RuntimeError):
                    await future

        run(law)

    def test_the_failing_of_keys_that_nobody_waits_for_any_more_changes_nothing(self, run):
        async def law():
            loader = DataLoader(Recorder(lambda keys: [BoomError(key) for key in keys]))
            gone, waiting = loader.load(1), loader.load(2)
            await asyncio.sleep(0)
            gone.set_result("from outside")
            with pytest.raises(BoomError):
                await waiting
            assert await gone == "from outside"

        run(law)

    def test_who_shares_a_future_is_seen_by_instruments(self, run):
        class Sources(Instrument):
            def __init__(self):
                self.seen = []

            def load_requested(self, loader, key, source):
                self.seen.append((key, source))

        async def law():
            loader, sources = Tens(), Sources()
            loader.add_instrument(sources)
            await asyncio.gather(loader.load(1), loader.load(1))
            await loader.load(1)
            assert sources.seen == [(1, "batch"), (1, "pending"), (1, "cache")]
            assert (loader.statistics.merged, loader.statistics.cache_hits) == (1, 1)

        run(law)

    def test_a_batch_function_may_wait_for_a_future_that_the_mapping_had(self, run):
        async def law():
            given = asyncio.get_running_loop().create_future()
            inner = DataLoader(Recorder(), cache_map={1: given})

            async def fetch(keys):
                return await inner.load_many(keys)

            waiting = DataLoader(fetch).load(1)
            await turns(3)
            given.set_result("given")
            assert await waiting == "given"

        run(law)

    def test_the_batch_function_may_be_replaced(self, run):
        async def law():
            loader = DataLoader(Recorder())
            loader.batch_load_fn = Recorder(lambda keys: keys)
            assert await loader.load(1) == 1

        run(law)

    def test_a_failing_batch_leaves_what_was_cached_meanwhile(self, run):
        async def law():
            begun, gate = asyncio.Event(), asyncio.Event()

            async def fetch(keys):
                if keys != ["reloaded"]:
                    begun.set()
                    await gate.wait()
                    raise BoomError(str(keys))
                return [1]

            loader = DataLoader(fetch)
            slow = loader.load_many(["cleared", "primed", "reloaded"])
            await begun.wait()
            loader.clear_all().prime("primed", BoomError("primed"))
            reloaded = loader.load("reloaded")
            assert await reloaded == 1
            gate.set()
            with pytest.raises(BoomError, match="cleared"):
                await slow
            assert sorted(loader.cache_map) == ["primed", "reloaded"]
            assert loader.load("reloaded") is reloaded

        run(law)

    @pytest.mark.parametrize(
        "wrong",
        [
            pytest.param(lambda keys: [1], id="short"),
            pytest.param(lambda keys: [1, 2, 3], id="long"),
            pytest.param(lambda keys: None, id="None"),
            pytest.param(lambda keys: 7, id="a number"),
            pytest.param(lambda keys: {1, 2}, id="a set"),
            pytest.param(lambda keys: "ab", id="a string"),
        ],
    )
    def test_a_wrong_answer_is_a_type_error_for_all_its_keys(self, run, wrong):
        async def law():
            loader = DataLoader(Recorder(wrong))
            errors = await loader.load_many([1, 2], return_exceptions=True)
            assert [isinstance(error, TypeError) for error in errors] == [True, True]
            assert not loader.cache_map

        run(law)

    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param(lambda keys: dict.fromkeys(keys, 1).values(), id="the values of a dict"),
            pytest.param(lambda keys: (1 for _ in keys), id="a generator"),
            pytest.param(lambda keys: (1,) * len(keys), id="a tuple"),
            pytest.param(lambda keys: dict.fromkeys(keys, 1), id="a mapping"),
        ],
    )
    def test_results_may_come_in_any_form_that_has_an_order(self, run, answer):
        async def law():
            assert await DataLoader(Recorder(answer)).load_many(["a", "b"]) == [1, 1]

        run(law)

    def test_no_caller_hangs_when_the_function_raises_before_it_awaits(self, run):
        def not_async(keys):
            raise BoomError("at once")

        async def law():
            with pytest.raises(BoomError, match="at once"):
                await DataLoader(not_async).load(1)

        run(law)

    def test_no_caller_hangs_when_the_function_is_cancelled(self, run):
        async def cancelled(keys):
            raise asyncio.CancelledError

        async def law():
            loader = DataLoader(cancelled)
            with pytest.raises(BatchAbortedError):
                await loader.load(1)
            assert not loader.cache_map

        run(law)

    def test_no_caller_hangs_when_a_batch_function_loads_its_own_key(self, run):
        async def law():
            async def fetch(keys):
                return [await loader.load(key) for key in keys]

            loader = DataLoader(fetch)
            with pytest.raises(RecursiveLoadError):
                await loader.load(1)

        run(law)

    def test_a_batch_function_may_load_other_keys(self, run):
        async def law():
            async def fetch(keys):
                return [key if key == 0 else await loader.load(key - 1) + 1 for key in keys]

            loader = DataLoader(fetch)
            assert await loader.load(3) == 3

        run(law)

    def test_batch_functions_may_share_a_load_of_another_key(self, run):
        async def law():
            async def fetch(keys):
                return [key if key == 0 else await loader.load(0) + key for key in keys]

            loader = DataLoader(fetch, batch=False)
            assert await loader.load_many([1, 2, 3]) == [1, 2, 3]

        run(law)

    def test_a_failure_that_nobody_looks_at_is_reported_once(self, run):
        async def law():
            loader = DataLoader(Recorder(lambda keys: [BoomError(key) for key in keys]))
            for key in range(3):
                loader.load(key)
            await turns(9)
            del loader
            gc.collect()

        run(law)
        (report,) = run.take_reports()
        assert isinstance(report["exception"], BoomError)


class TestCancelling:
    def test_cancelling_the_future_cancels_it_for_all_and_is_not_cached(self, run):
        async def law():
            loader = Tens()
            first, other = loader.load(1), loader.load(2)
            assert first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            assert await loader.load(1) == 10
            assert await other == 20
            assert loader.calls == [[1, 2]]

        run(law)

    def test_shutdown_cancels_and_refuses_cached_keys_too(self, run):
        async def law():
            loader = Tens()
            assert await loader.load(1) == 10
            waiting = loader.load(2)
            assert await loader.shutdown() is None
            assert waiting.cancelled()
            for key in (1, 2, 3):
                with pytest.raises(LoaderClosedError):
                    loader.load(key)

        run(law)


class TestCache:
    def test_cache_map_holds_the_futures(self, run):
        async def law():
            futures = UserDict()
            loader = Tens(cache_map=futures)
            future = loader.load(1)
            assert loader.cache_map is futures
            assert futures[1] is future
            assert await Tens(cache_map=futures).load(1) == 10
            assert loader.calls == [[1]]

        run(law)

    def test_futures_of_others_may_stand_in_cache_map(self, run):
        async def law():
            future = asyncio.get_running_loop().create_future()
            loader = Tens(cache_map={1: future})
            assert loader.load(1) is future
            future.set_result("theirs")
            assert await loader.load(1) == "theirs"
            assert loader.calls == []

        run(law)

    @pytest.mark.parametrize("kind", [dict, UserDict])
    @pytest.mark.parametrize(
        "ask",
        [
            lambda loader: loader.load(1),
            lambda loader: loader.load_many([2, 1]),
            lambda loader: loader.prime(1, 5),
        ],
        ids=["load", "load_many", "prime"],
    )
    def test_values_in_cache_map_are_refused_with_the_way_to_put_them_there(self, run, kind, ask):
        """They were loaded again, as if they were not there."""

        async def law():
            loader = Tens(cache_map=kind({1: "given"}))
            with pytest.raises(
                OptionError, match=r"'Tens': cache_map holds futures, not 'given' \(at 1\): .*prime"
            ):
                ask(loader)
            assert loader.clear(1).prime(1, "given").load(1).result() == "given"

        run(law)

    def test_prime_fills_the_cache_and_does_not_overwrite(self, run):
        async def law():
            loader = Tens()
            loading = loader.load(2)
            assert loader.prime(1, "a").prime(1, "b").prime(2, "c") is loader
            assert await loader.load_many([1, 2]) == ["a", 20]
            assert loader.load(2) is loading
            assert loader.clear(1).prime(1, "b") is loader
            assert await loader.load(1) == "b"
            assert loader.calls == [[2]]

        run(law)

    def test_a_primed_exception_is_raised_and_never_reported_as_unseen(self, run):
        async def law():
            loader = Tens().prime(1, BoomError("primed")).prime(2, BoomError("unused"))
            for _ in range(2):
                with pytest.raises(BoomError, match="primed"):
                    await loader.load(1)

        run(law)

    def test_without_cache_prime_does_nothing(self, run):
        async def law():
            assert await Tens(cache=False).prime(1, "a").load(1) == 10

        run(law)

    def test_clear_loads_afresh_and_leaves_those_who_wait(self, run):
        async def law():
            loader = Tens()
            first = loader.load(1)
            assert loader.clear(1) is loader
            second = loader.load(1)
            assert first is not second
            assert await asyncio.gather(first, second) == [10, 10]
            assert loader.calls == [[1]]
            assert loader.clear("unknown") is loader

        run(law)

    def test_clear_all_forgets_everything(self, run):
        async def law():
            loader = Tens()
            await loader.load_many([1, 2])
            assert loader.clear_all() is loader
            await loader.load_many([1, 2])
            assert loader.calls == [[1, 2], [1, 2]]

        run(law)

    def test_prime_many_and_clear_many_follow_prime_and_clear(self, run):
        async def law():
            loader = Tens().prime_many({1: "a", 2: "b"}).prime_many({1: "c"}).clear_many([2])
            assert await loader.load_many([1, 2]) == ["a", 20]

        run(law)


class TestLoops:
    def test_a_loader_serves_several_event_loops(self):
        loader = Tens()
        loader.prime(1, "early").prime(2, BoomError("early"))

        async def use():
            with pytest.raises(BoomError, match="early"):
                await loader.load(2)
            return await asyncio.gather(loader.load(1), loader.load(3))

        assert asyncio.run(use()) == ["early", 30]
        assert asyncio.run(use()) == ["early", 30]
        assert loader.calls == [[3]]

    def test_what_a_closed_loop_left_is_loaded_again(self):
        class Manual(Tens):
            dispatch_policy = dloader.manual()

        loader = Manual()

        async def leave():
            loader.load(1)

        async def use():
            future = loader.load(1)
            loader.dispatch()
            return await future

        asyncio.run(leave())
        assert asyncio.run(use()) == 10
        assert loader.calls == [[1]]

    def test_outside_a_loop_what_is_cached_is_returned(self):
        future = Tens().prime(1, "early").load(1)
        assert future.result() == "early"


class TestInsideABatchFunction:
    def test_a_future_of_the_users_own_is_waited_for(self, run):
        """No batch of ours loads its key."""

        async def law():
            own = asyncio.get_running_loop().create_future()
            inner = DataLoader(Recorder(), cache_map={1: own})

            async def ask(keys):
                asyncio.get_running_loop().call_soon(own.set_result, 5)
                return [await inner.load(key) for key in keys]

            assert await DataLoader(ask).load(1) == 5

        run(law)

    def test_a_function_that_returns_what_cannot_be_awaited_is_told(self, run):
        async def law():
            loader = DataLoader(lambda keys: keys)
            with pytest.raises(TypeError, match="awaitable"):
                await loader.load(1)

        run(law)
