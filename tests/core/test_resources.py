"""Nothing leaks, and nothing costs more than it should: counted, never timed."""

import asyncio
import gc
import sys
import weakref

import pytest
from loops import LoopRunner, Recorder, turns

from dloader import DataLoader, Instrument, KeyTypeError, Limit, LoaderRegistry, eager, settle
from dloader.compat import aiodataloader as compat


class Value:
    """Something a weak reference can point to."""


def noting(batches):
    """The default policy, that notes a weak reference to each batch that opens."""

    def policy(batch):
        batches.append(weakref.ref(batch))
        settle()(batch)

    return policy


class TestNothingLeaks:
    @pytest.mark.parametrize("ask", ["load", "load_many"])
    def test_values_futures_and_batches_are_freed_without_the_garbage_collector(self, run, ask):
        """Once their callers let go; nothing is kept but what the cache keeps."""

        async def law():
            async def load(keys):
                await asyncio.sleep(0)
                values = [Value() for _ in keys]
                kept.extend(map(weakref.ref, values))
                return values

            kept: list = []
            batches: list = []
            loader = DataLoader(load, cache=False, dispatch=noting(batches))
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
                tasks.append(asyncio.current_task())
                await gate.wait()
                if how == "raised":
                    raise ValueError
                return [Value() for _ in keys]

            gate = asyncio.Event()
            key = Value()
            tasks: list = []
            batches: list = []
            loader = DataLoader(load, cache=how in ("cleared", "primed"), dispatch=noting(batches))
            future, many = loader.load(key), loader.load_many([key])
            await turns(8)
            [task] = tasks
            refs = [*batches, *(weakref.ref(thing) for thing in (future, many, key, task))]
            assert len(refs) == 5
            if how == "cancelled":
                task.cancel()
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
            assert loader.is_idle
            loader.clear_all()
            del future, many, key, task
            tasks.clear()
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
                if keys[0]:
                    tasks.append(asyncio.ensure_future(loader.load(keys[0] - 1)))
                return keys

            batches: list = []
            tasks: list = []
            loader = DataLoader(load, dispatch=noting(batches))
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
    async def nest_batches_of_one(size):
        inner = DataLoader(Recorder(turns=1), 1, max_concurrency=5)

        async def load(keys):
            return [await inner.load(key) for key in keys]

        await DataLoader(load, 1).load_many(range(size))

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

    @staticmethod
    async def wait_for_batches_of_the_same_loader(size, limit=1, waiting=1):
        async def load(keys):
            [(name, number)] = keys
            if name == "outer":
                await asyncio.gather(*(loader.load((number, inner)) for inner in range(size)))
            elif name == "elsewhere":
                await elsewhere.load(1)
            return keys

        async def wait(keys):
            await gate.wait()
            return keys

        gate = asyncio.Event()
        elsewhere = DataLoader(wait)
        loader = DataLoader(load, 1, max_concurrency=limit)
        other = loader.load(("elsewhere", 0)) if limit != 1 else None
        await asyncio.gather(*(loader.load(("outer", number)) for number in range(waiting)))
        gate.set()
        if other is not None:
            await other

    @staticmethod
    async def wait_while_another_waits_elsewhere(size):
        await TestCostsAreLinear.wait_for_batches_of_the_same_loader(size, 2)

    @staticmethod
    async def several_wait_under_one_limit(size):
        await TestCostsAreLinear.wait_for_batches_of_the_same_loader(size, 8, 3)

    @staticmethod
    async def wait_under_a_shared_limit(size):
        await TestCostsAreLinear.wait_for_batches_of_the_same_loader(size, Limit(2))

    @staticmethod
    async def each_waits_for_one(size):
        async def load(keys):
            if keys[0] >= size:
                await loader.load(keys[0] - size)
            return keys

        loader = DataLoader(load, 1, max_concurrency=size)
        await asyncio.gather(*(loader.load(size + key) for key in range(size)))

    @staticmethod
    async def nest_deeply(size):
        async def load(keys):
            if keys[0]:
                await loader.load(keys[0] - 1)
            return keys

        loader = DataLoader(load, 1, max_concurrency=1)
        await loader.load(size // 4)

    @staticmethod
    async def fill_a_large_limit(size):
        loader = DataLoader(Recorder(turns=1), 1, max_concurrency=size)
        await asyncio.gather(*map(loader.load, range(2 * size)))

    @staticmethod
    async def fill_a_large_shared_limit(size):
        loader = DataLoader(Recorder(turns=1), 1, max_concurrency=Limit(size))
        await asyncio.gather(*map(loader.load, range(2 * size)))

    @staticmethod
    async def clear_many(size):
        loader = DataLoader(Recorder(turns=3), 2, max_concurrency=2)
        futures = list(map(loader.load, range(size)))
        await turns(2)
        loader.clear_many(range(size)).prime_many(dict.fromkeys(range(size)))
        await asyncio.gather(*futures)

    @staticmethod
    async def cancel_what_is_queued(size):
        loader = DataLoader(Recorder(turns=2), 1, max_concurrency=1)
        first, *others = map(loader.load, range(size))
        await turns(3)
        for future in others:
            future.cancel()
        await first
        await turns(3 * size)  # on Python 3.11 each of them takes a turn to go

    @pytest.mark.parametrize(
        "program",
        [
            cancel_load,
            cancel_before_dispatch,
            cancel_load_many,
            split_into_batches_of_one,
            split_one_after_the_other,
            split_loads,
            nest_batches_of_one,
            fail_with_one_object,
            join_and_clear,
            shut_down,
            wait_for_batches_of_the_same_loader,
            wait_while_another_waits_elsewhere,
            several_wait_under_one_limit,
            wait_under_a_shared_limit,
            each_waits_for_one,
            nest_deeply,
            fill_a_large_limit,
            fill_a_large_shared_limit,
            clear_many,
            cancel_what_is_queued,
        ],
        ids=lambda program: program.__name__,
    )
    def test_twice_the_work_is_twice_the_steps(self, program):
        """Loops inside C (deque.remove, list copies) are kept out by the laws of the batches themselves."""
        small, large = self.events(program, 200), self.events(program, 400)
        assert large <= 2.2 * small


async def _rows(keys):
    await asyncio.sleep(0)
    return [Value() for _ in keys]


async def _failing(keys):
    await asyncio.sleep(0)
    raise ValueError(keys)


async def _failing_at_once(keys):
    raise ValueError(keys)


async def _partly_failing(keys):
    return [ValueError() if key == 1 else Value() for key in keys]


def closure(function):
    """The same function with something of its own, which lives as long as it."""
    kept = Value()

    async def load(keys):
        assert kept
        return await function(keys)

    load.kept = weakref.ref(kept)
    return load


class Users(DataLoader):
    async def batch_load_fn(self, keys):
        return await _rows(keys)


class WithKeys(Users):
    def get_cache_key(self, key):
        return str(key)


class WithMethods(Users):
    def partition(self):
        return "one"

    def dispatch_policy(self, batch):
        batch.loop.call_soon(batch.close)


class FailingUsers(DataLoader):
    cache_errors = True

    async def batch_load_fn(self, keys):
        return await _failing(keys)


class OldUsers(compat.DataLoader):
    async def batch_load_fn(self, keys):
        return await _rows(keys)


FORMS = {
    "function": lambda: DataLoader(closure(_rows)),
    "subclass": Users,
    "subclass with cache keys": WithKeys,
    "subclass with methods for options": WithMethods,
    "options": lambda: DataLoader(
        closure(_rows), 2, max_concurrency=1, default=None, dispatch=eager(), cache_key_fn=lambda key: key
    ),
    "limit": lambda: DataLoader(closure(_rows), 1, max_concurrency=Limit(1)),
    "no cache": lambda: DataLoader(closure(_rows), cache=False),
    "mapping": lambda: DataLoader(closure(_rows), cache_map={}),
    "instrument": lambda: DataLoader(closure(_rows), instruments=[Instrument()]),
    "fails": lambda: DataLoader(closure(_failing)),
    "fails at once": lambda: DataLoader(closure(_failing_at_once), cache_errors=True),
    "fails partly": lambda: DataLoader(closure(_partly_failing), cache_errors=True),
    "subclass fails": FailingUsers,
    "compat": lambda: compat.DataLoader(closure(_rows)),
    "compat fails": lambda: compat.DataLoader(closure(_failing)),
    "compat subclass": OldUsers,
}


async def make_only(loader):
    """Making it is all."""


async def loads(loader):
    await asyncio.gather(*map(loader.load, (1, 2, 1)), return_exceptions=True)


async def loads_many(loader):
    await asyncio.gather(loader.load_many([1, 2, 3]), loader.load(3), return_exceptions=True)


async def loads_and_looks(loader):
    await loads(loader)
    assert "batches=" in repr(loader)
    assert loader.statistics.batches
    assert loader.cache_map is not None
    loader.clear_all().prime(1, Value())
    await asyncio.gather(loader.load(1), return_exceptions=True)


async def closes(loader):
    await loads(loader)
    await loader.aclose()


async def shuts_down(loader):
    future = loader.load(1)
    await turns(1)
    await loader.shutdown()
    assert future.cancelled()


async def drains(loader):
    loader.load(1).add_done_callback(lambda future: future.exception())
    await loader.aclose(drain=True)


async def cancels(loader):
    loader.load(1).cancel()
    many = loader.load_many([2, 3])
    await turns(1)
    many.cancel()
    await asyncio.gather(many, return_exceptions=True)


async def replaces_its_function(loader):
    loader.load_fn = closure(_rows)
    await loads(loader)


async def joins_a_registry(loader):
    async with LoaderRegistry() as registry:
        registry.add(type(loader), loader)
        assert registry.get(type(loader)) is loader
        await loads(loader)


class TestALoaderIsNoCycle:
    """It is freed with its cache when it is let go of, without the garbage collector."""

    @pytest.mark.parametrize(
        "use",
        [
            make_only,
            loads,
            loads_many,
            loads_and_looks,
            closes,
            shuts_down,
            drains,
            cancels,
            replaces_its_function,
            joins_a_registry,
        ],
        ids=lambda use: use.__name__,
    )
    @pytest.mark.parametrize("form", FORMS)
    def test_an_idle_loader_is_freed_at_once(self, run, form, use):
        """So are its batch function and what it has cached, whatever was done with it."""
        if run.kind == "debug":
            pytest.skip("asyncio's debug mode keeps tracebacks and with them frames")

        async def law():
            loader = FORMS[form]()
            parts = [weakref.ref(loader)]
            if hasattr(loader.load_fn, "kept"):
                parts.append(loader.load_fn.kept)
            await use(loader)
            await turns(8)
            assert loader.is_idle
            parts += [weakref.ref(value) for value in cached(loader)]
            del loader
            assert [part() for part in parts if part() is not None] == []

        gc.collect()
        gc.disable()
        try:
            run(law)
        finally:
            gc.enable()

    def test_a_cached_error_has_no_traceback(self, run):
        """It would keep what the batch function had at hand, as long as the loader."""

        async def law():
            loader = DataLoader(_failing, cache_errors=True)
            with pytest.raises(ValueError, match="1"):
                await loader.load(1)
            [kept] = loader.cache_map.values()
            assert kept.__traceback__ is None
            assert kept.__notes__

        run(law)

    def test_one_that_works_lives_until_it_is_done(self, run):
        """Nobody need keep a loader to be answered."""

        async def law():
            loads = [form().load(1) for form in (Users, WithKeys, WithMethods, OldUsers)]
            gc.collect()
            assert [type(value) for value in await asyncio.gather(*loads)] == [Value] * 4

        run(law)

    def test_a_method_that_makes_cache_keys_is_named_in_messages(self, run):
        """Though the loader does not hold the method itself."""

        class Wrong(Users):
            def get_cache_key(self, key):
                return None

        async def law():
            with pytest.raises(KeyTypeError, match=r"cache_key_fn <function .*_cache_key at .* gave None"):
                Wrong().load(1)

        run(law)


def cached(loader):
    """The values in a loader's cache, but for those that cannot be referred to weakly."""
    values = [value.result() if has_value(value) else value for value in loader.cache_map.values()]
    return [value for value in values if isinstance(value, Value)]


def has_value(kept):
    """Whether it is a future that has one."""
    return isinstance(kept, asyncio.Future) and not kept.cancelled() and not kept.exception()
