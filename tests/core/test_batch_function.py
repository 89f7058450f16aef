"""Whatever the batch function does, every caller is answered and the loader works on."""

import asyncio
import inspect
from collections import UserDict, deque
from collections.abc import Sequence
from functools import partial
from itertools import count

import pytest
from loops import Recorder

from dloader import BatchAbortedError, BatchResultError, DataLoader, DloaderError, MissingKeyError


class TestDefaults:
    @pytest.mark.parametrize(
        "default",
        [[], [[1]], {"a": [1]}, {1}, type("Rows", (list,), {})([1])],
        ids=["empty", "list", "dict", "set", "subclass"],
    )
    def test_each_key_has_its_own_copy(self, run, default):
        """As deep as it goes: what one caller changes does not reach another."""

        async def law():
            async def nothing(keys):
                return {}

            loader = DataLoader(nothing, default=default)
            one, two = await asyncio.gather(loader.load(1), loader.load(2))
            assert one == two == default
            assert type(one) is type(default)
            assert one is not two
            assert one is not default
            if one and type(one) is not set:
                inner = (one["a"], two["a"]) if isinstance(one, dict) else (one[0], two[0])
                assert isinstance(inner[0], int) or inner[0] is not inner[1]

        run(law)

    @pytest.mark.parametrize(
        "default", [None, 0, "", (1, [2]), object()], ids=["None", "0", "str", "tuple", "object"]
    )
    def test_others_are_given_as_they_are(self, run, default):
        async def law():
            async def nothing(keys):
                return {}

            assert await DataLoader(nothing, default=default).load(1) is default

        run(law)


class Boom(Exception):
    """A failure of the user's own."""


class Stop(BaseException):
    """A BaseException that is neither an exit nor a cancellation."""


class OnceBad:
    """A batch function whose first call goes wrong; later ones answer with ten times the key."""

    def __init__(self, bad):
        self.bad = bad
        self.calls = 0

    async def __call__(self, keys):
        self.calls += 1
        if self.calls > 1:
            return [key * 10 for key in keys]
        outcome = self.bad(keys)
        return await outcome if inspect.iscoroutine(outcome) else outcome


def raising(error):
    def bad(keys):
        raise error

    return bad


async def cancelled_by_itself(keys):
    asyncio.current_task().cancel()
    await asyncio.sleep(0)


class Lying(Sequence):
    """A sequence that is shorter than it says."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        raise IndexError(index)


class Hostile(Sequence):
    """A sequence that cannot even be read."""

    def __len__(self):
        raise Boom("no length")

    def __getitem__(self, index):
        raise Boom("no items")


WRONG = [
    pytest.param(raising(Boom("no")), Boom, id="raises"),
    pytest.param(raising(StopIteration("no")), RuntimeError, id="raises StopIteration"),
    pytest.param(raising(StopAsyncIteration("no")), StopAsyncIteration, id="raises StopAsyncIteration"),
    pytest.param(raising(Stop("no")), BatchAbortedError, id="raises BaseException"),
    pytest.param(raising(GeneratorExit()), BatchAbortedError, id="raises GeneratorExit"),
    pytest.param(raising(asyncio.CancelledError()), BatchAbortedError, id="raises CancelledError"),
    pytest.param(cancelled_by_itself, BatchAbortedError, id="cancels its own task"),
    pytest.param(lambda keys: [1], BatchResultError, id="short"),
    pytest.param(lambda keys: [1, 2, 3], BatchResultError, id="long"),
    pytest.param(lambda keys: [], BatchResultError, id="empty"),
    pytest.param(lambda keys: {1, 2}, BatchResultError, id="set"),
    pytest.param(lambda keys: frozenset({1, 2}), BatchResultError, id="frozenset"),
    pytest.param(lambda keys: "ab", BatchResultError, id="string"),
    pytest.param(lambda keys: b"ab", BatchResultError, id="bytes"),
    pytest.param(lambda keys: None, BatchResultError, id="None"),
    pytest.param(lambda keys: 2, BatchResultError, id="number"),
    pytest.param(lambda keys: iter([1]), BatchResultError, id="short iterator"),
    pytest.param(lambda keys: count(), BatchResultError, id="endless iterator"),
    pytest.param(lambda keys: (1 // 0 for _ in keys), ZeroDivisionError, id="raising iterator"),
    pytest.param(lambda keys: Lying(), ValueError, id="sequence shorter than it says"),
    pytest.param(lambda keys: Hostile(), Boom, id="sequence that raises"),
    pytest.param(lambda keys: {}, MissingKeyError, id="mapping without the keys"),
]


class TestWhateverItDoes:
    @pytest.mark.parametrize(("bad", "kind"), WRONG)
    def test_every_caller_gets_the_error_and_the_next_load_works(self, run, bad, kind):
        """No caller hangs, and nothing of the failure stays in the loader."""

        async def law():
            loader = DataLoader(OnceBad(bad), name="users")
            answers = await asyncio.gather(
                loader.load(1),
                loader.load(2),
                loader.load(1),
                loader.load_many([1, 2]),
                return_exceptions=True,
            )
            assert [type(answer) for answer in answers] == [answers[0].__class__] * 4
            assert isinstance(answers[0], kind)
            in_place = await DataLoader(OnceBad(bad)).load_many([1, 2], return_exceptions=True)
            assert all(isinstance(answer, kind) for answer in in_place)
            assert await loader.load_many([1, 2]) == [10, 20]
            assert loader.statistics.batches == 2
            assert loader.is_idle

        run(law)

    def test_of_an_endless_iterator_one_result_more_than_there_are_keys_is_read(self, run):
        """That is enough to know."""

        async def law():
            results = count()

            async def load_users(keys):
                return results

            with pytest.raises(BatchResultError):
                await DataLoader(load_users).load_many([1, 2])
            assert next(results) == 3

        run(law)

    @pytest.mark.parametrize("returned", [[1], [1, 2, 3], (), iter([1]), count()])
    def test_a_wrong_length_names_the_loader_and_the_counts(self, run, returned):
        """The phrase of the older libraries is kept, and both of their exception types."""

        async def law():
            async def load_users(keys):
                return returned

            with pytest.raises(BatchResultError) as caught:
                await DataLoader(load_users, name="users").load_many([1, 2])
            assert isinstance(caught.value, ValueError)
            assert isinstance(caught.value, TypeError)
            message = str(caught.value)
            assert "Wrong number of results returned by load_fn" in message
            assert "'users'" in message
            assert "for 2 keys" in message
            assert type(returned).__name__ in message

        run(law)

    @pytest.mark.parametrize("returned", [None, {1, 2}, "ab", 7])
    def test_a_wrong_type_is_named_with_the_loader_and_the_count(self, run, returned):
        """So that one can tell from the message alone what to change."""

        async def law():
            async def load_users(keys):
                return returned

            with pytest.raises(BatchResultError, match=r"'users'.*2 results") as caught:
                await DataLoader(load_users, name="users").load_many([1, 2])
            assert type(returned).__name__ in str(caught.value)

        run(law)

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
    def test_an_exit_propagates_and_the_callers_are_settled(self, kind, error):
        """The process may end, and whoever still runs on the loop is not left hanging."""
        from loops import new_loop

        loop = new_loop(kind)
        loop.set_exception_handler(lambda loop, context: None)  # asyncio reports the task, never retrieved

        async def load(keys):
            await asyncio.sleep(0)
            raise error

        async def caller(loader):
            return await loader.load_many([1, 2], return_exceptions=True)

        async def again(loader):
            loader.load_fn = Recorder()
            return await loader.load(1)

        try:
            loader = DataLoader(load)
            task = loop.create_task(caller(loader))
            with pytest.raises(error):
                loop.run_until_complete(task)
            answers = loop.run_until_complete(task)
            assert [type(answer) for answer in answers] == [BatchAbortedError] * 2
            assert isinstance(answers[0].__cause__, error)
            assert loop.run_until_complete(again(loader)) == 10
        finally:
            loop.close()

    def test_batches_behind_one_that_raised_an_exit_start_when_the_loop_runs_on(self, kind):
        """Their callers may still be there."""
        from loops import new_loop

        loop = new_loop(kind)
        loop.set_exception_handler(lambda loop, context: None)

        async def load(keys):
            if keys == [1]:
                raise KeyboardInterrupt
            return keys

        async def callers():
            return await asyncio.gather(*map(loader.load, [1, 2, 3]), return_exceptions=True)

        try:
            loader = DataLoader(load, 1)
            task = loop.create_task(callers())
            with pytest.raises(KeyboardInterrupt):
                loop.run_until_complete(task)
            one, two, three = loop.run_until_complete(task)
            assert isinstance(one, BatchAbortedError)
            assert (two, three) == (2, 3)
        finally:
            loop.close()

    def test_an_exception_of_one_key_is_raised_to_the_callers_of_that_key(self, run):
        """The others get their values."""

        async def law():
            loader = DataLoader(Recorder(lambda keys: [Boom(key) if key == 2 else key for key in keys]))
            one, two, three = await asyncio.gather(*map(loader.load, [1, 2, 3]), return_exceptions=True)
            assert (one, three) == (1, 3)
            assert type(two) is Boom
            assert two.args == (2,)
            assert any("key 2" in text and "Boom" not in text for text in two.__notes__)

        run(law)

    @pytest.mark.parametrize("error", [Stop("x"), KeyboardInterrupt(), asyncio.CancelledError()])
    def test_a_returned_base_exception_fails_its_key_only(self, run, error):
        """It is given, not raised: it must not end the loop of the caller who awaits it."""

        async def law():
            loader = DataLoader(Recorder(lambda keys: [error, 2]))
            bad, good = await asyncio.gather(loader.load(1), loader.load(2), return_exceptions=True)
            assert good == 2
            assert type(bad) is BatchAbortedError
            assert bad.__cause__ is error

        run(law)

    def test_a_returned_stop_iteration_fails_its_key_only(self, run):
        """A future refuses it, and a generator would take it for its end."""

        async def law():
            loader = DataLoader(Recorder(lambda keys: [StopIteration(1), 2]))
            bad, good = await asyncio.gather(loader.load(1), loader.load(2), return_exceptions=True)
            assert good == 2
            assert isinstance(bad, RuntimeError)
            assert await loader.prime(5, StopIteration()).load_many([5, 2], return_exceptions=True) != []
            with pytest.raises(RuntimeError):
                await loader.load(5)

        run(law)

    def test_it_may_empty_its_key_list(self, run):
        """It gets a list of its own."""

        async def law():
            async def load(keys):
                results = [key * 10 for key in keys]
                keys.clear()
                return results

            assert await asyncio.gather(*map(DataLoader(load).load, [1, 2])) == [10, 20]

        run(law)

    def test_a_plain_function_that_returns_no_awaitable_fails_clearly(self, run):
        """What cannot be seen when the loader is made is an error of the load."""

        async def law():
            loader = DataLoader(lambda keys: keys, name="users")
            with pytest.raises(BatchResultError, match=r"'users' returned list.*async def"):
                await loader.load(1)

        run(law)


class TestWhatItMayBe:
    @pytest.mark.parametrize(
        "form", ["function", "lambda", "partial", "object", "method", "subclass", "keyword", "future"]
    )
    def test_any_callable_that_returns_an_awaitable(self, run, form):
        """The forms that users have."""

        async def law():
            recorder = Recorder()

            async def load(keys, factor=10):
                return [key * factor for key in keys]

            class Method:
                async def load(self, keys):
                    return await load(keys)

            class Sub(DataLoader):
                async def batch_load_fn(self, keys):
                    return await load(keys)

            def future(keys):
                return asyncio.ensure_future(load(keys))

            loader = {
                "function": lambda: DataLoader(load),
                "lambda": lambda: DataLoader(load),
                "partial": lambda: DataLoader(partial(load, factor=10)),
                "object": lambda: DataLoader(recorder),
                "method": lambda: DataLoader(Method().load),
                "subclass": Sub,
                "keyword": lambda: DataLoader(batch_load_fn=load),
                "future": lambda: DataLoader(future),
            }[form]()
            assert await loader.load_many([1, 2]) == [10, 20]

        run(law)

    @pytest.mark.parametrize(
        "shape",
        [
            list,
            tuple,
            deque,
            iter,
            pytest.param(lambda values: (value for value in values), id="generator"),
            pytest.param(lambda values: range(10, 30, 10), id="range"),
        ],
    )
    def test_any_sequence_or_iterator_in_the_order_of_the_keys(self, run, shape):
        """Also the lists that build_list and build_object return, and generators."""

        async def law():
            loader = DataLoader(Recorder(lambda keys: shape([key * 10 for key in keys])))
            assert await asyncio.gather(loader.load(1), loader.load_many([2, 1])) == [10, [20, 10]]

        run(law)

    def test_things_that_are_sequences_without_saying_so(self, run):
        """As numpy arrays and rows of some databases are."""

        class Rows:
            def __len__(self):
                return 2

            def __getitem__(self, index):
                return [10, 20][index]

        async def law():
            assert await DataLoader(Recorder(lambda keys: Rows())).load_many([1, 2]) == [10, 20]

        run(law)

    def test_values_of_a_dict(self, run):
        """They have an order."""

        async def law():
            loader = DataLoader(Recorder(lambda keys: {key: key * 10 for key in keys}.values()))
            assert await loader.load_many([3, 1, 2]) == [30, 10, 20]

        run(law)


class TestMappings:
    def test_a_mapping_is_read_by_key(self, run):
        """Its order does not matter, and it may hold more."""

        async def law():
            loader = DataLoader(Recorder(lambda keys: UserDict({3: 30, 2: 20, 1: 10})))
            assert await loader.load_many([1, 2]) == [10, 20]

        run(law)

    def test_a_hole_raises_and_names_the_key_and_the_loader(self, run):
        """The other keys are answered."""

        async def law():
            loader = DataLoader(Recorder(lambda keys: {1: 10, 3: Boom("three")}), name="users")
            one, two, three = await loader.load_many([1, 2, 3], return_exceptions=True)
            assert one == 10
            assert isinstance(two, MissingKeyError)
            assert isinstance(two, KeyError)
            assert isinstance(two, DloaderError)
            assert str(two).startswith("the batch function of loader 'users' returned no value for key 2")
            assert isinstance(three, Boom)

        run(law)

    @pytest.mark.parametrize("default", [None, 0, ()])
    def test_a_hole_gets_the_default(self, run, default):
        """None and falsy values are defaults like any other."""

        async def law():
            loader = DataLoader(Recorder(lambda keys: {1: 10}), default=default)
            assert await loader.load_many([1, 2]) == [10, default]

        run(law)

    def test_the_default_may_be_a_class_attribute(self, run):
        """As every option of a subclass."""

        class Users(DataLoader):
            default = None

            async def batch_load_fn(self, keys):
                return {}

        async def law():
            assert await Users().load(1) is None

        run(law)

    def test_unhashable_keys_are_read_by_their_cache_key(self, run):
        """No mapping can hold them otherwise."""

        async def law():
            loader = DataLoader(
                Recorder(lambda keys: {1: "one"}), cache_key_fn=lambda key: key["id"], default="none"
            )
            assert await loader.load_many([{"id": 1}, {"id": 2}]) == ["one", "none"]

        run(law)

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
