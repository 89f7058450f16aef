"""`partition=`: keys of different tenants share neither a batch nor what is cached."""

import asyncio
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Any

import pytest
from loops import Recorder, turns

from dloader import (
    DataLoader,
    Instrument,
    KeyTypeError,
    LoaderClosedError,
    LoaderParamError,
    LoaderRegistry,
    OptionError,
    RecursiveLoadError,
    manual,
)
from dloader.lowlevel import AskedSince, ask_many, close_when_settled, is_taken

tenant: ContextVar[Any] = ContextVar("tenant")


class Documents:
    """A batch function that answers with whose document it is, and keeps who asked for what."""

    def __init__(self):
        self.calls = []

    async def __call__(self, keys):
        self.calls.append((tenant.get(), list(keys)))
        await asyncio.sleep(0)
        return [f"{tenant.get()}'s {key}" for key in keys]


def as_tenant(name, function, *args):
    """Call a function in the context of a tenant."""
    context = copy_context()
    context.run(tenant.set, name)
    return context.run(function, *args)


def made(**options):
    source = Documents()
    return source, DataLoader(source, partition=tenant.get, **options)


CACHES = [pytest.param(dict, id="own cache"), pytest.param(lambda: {"cache_map": {}}, id="cache_map")]
CACHES += [pytest.param(lambda: {"cache": False}, id="no cache")]


class TestApart:
    @pytest.mark.parametrize("options", CACHES)
    def test_each_tenant_gets_what_is_its_own_and_its_own_batch(self, run, options):
        async def law():
            source, loader = made(**options())
            names = ("blue", "red", "blue", "red")
            asked = [as_tenant(name, loader.load, key) for key in (1, 2) for name in names]
            asked += [as_tenant(name, loader.load_many, [2, 3, 2]) for name in ("blue", "red")]
            answers = await asyncio.gather(*asked)
            assert answers[:8] == [f"{name}'s {key}" for key in (1, 2) for name in names]
            assert answers[8:] == [[f"{name}'s {key}" for key in (2, 3, 2)] for name in ("blue", "red")]
            assert source.calls == [("blue", [1, 2, 3]), ("red", [1, 2, 3])]
            assert loader.statistics.merged == 8
            assert loader.is_idle

        run(law)

    @pytest.mark.parametrize("options", CACHES[:2])
    def test_what_is_cached_is_one_tenants(self, run, options):
        async def law():
            source, loader = made(**options())
            for _ in range(2):
                assert await as_tenant("blue", loader.load, 1) == "blue's 1"
                assert await as_tenant("red", loader.load_many, [1]) == ["red's 1"]
            assert source.calls == [("blue", [1]), ("red", [1])]
            assert loader.statistics.cache_hits == 2
            assert dict(loader.cache_map) == {("blue", 1): "blue's 1", ("red", 1): "red's 1"}

        run(law)

    def test_none_is_a_partition_as_others_are(self, run):
        async def law():
            source, loader = made()
            assert await as_tenant(None, loader.load, 1) == "None's 1"
            assert await as_tenant("red", loader.load, 1) == "red's 1"
            assert await as_tenant(None, loader.load, 1) == "None's 1"
            assert len(source.calls) == 2

        run(law)

    def test_pairs_do_not_collide(self, run):
        """A key may look like the pair of another partition's."""

        async def law():
            _, loader = made()
            asked = [as_tenant("a", loader.load, ("b", 1)), as_tenant(("a", "b"), loader.load, 1)]
            assert await asyncio.gather(*asked) == ["a's ('b', 1)", "('a', 'b')'s 1"]

        run(law)

    def test_with_a_key_function_and_a_mapping_by_cache_key(self, run):
        async def law():
            async def by_id(keys):
                return {key["id"]: f"{tenant.get()}'s {key['id']}" for key in keys}

            loader = DataLoader(by_id, cache_key_fn=lambda key: key["id"], partition=tenant.get)
            asked = [as_tenant(name, loader.load, {"id": 1}) for name in ("blue", "red")]
            asked += [as_tenant("red", loader.load_many, [{"id": 1}, {"id": 2}])]
            assert await asyncio.gather(*asked) == ["blue's 1", "red's 1", ["red's 1", "red's 2"]]

        run(law)

    def test_one_tenants_failure_is_its_own(self, run):
        async def law():
            async def fails_for_blue(keys):
                if tenant.get() == "blue":
                    raise ValueError("no")
                return keys

            loader = DataLoader(fails_for_blue, partition=tenant.get)
            asked = [as_tenant(name, loader.load, 1) for name in ("blue", "red")]
            failed, answer = await asyncio.gather(*asked, return_exceptions=True)
            assert type(failed) is ValueError
            assert answer == 1

        run(law)

    def test_a_load_many_is_in_one_partition_and_asks_once_for_it(self, run):
        async def law():
            asked = []

            def here():
                asked.append(None)
                return len(asked)

            recorder = Recorder()
            loader = DataLoader(recorder, partition=here)
            assert await loader.load_many([1, 2, 1]) == [10, 20, 10]
            assert len(asked) == len(recorder.calls) == 1

        run(law)


class TestBatches:
    def test_the_size_is_each_partitions_own(self, run):
        async def law():
            source, loader = made(max_batch_size=2)
            asked = [as_tenant(name, loader.load, key) for key in (1, 2, 3) for name in ("blue", "red")]
            asked += [as_tenant("red", loader.load_many, [4, 5])]
            await asyncio.gather(*asked)
            assert sorted(source.calls) == [
                ("blue", [1, 2]),
                ("blue", [3]),
                ("red", [1, 2]),
                ("red", [3, 4]),
                ("red", [5]),
            ]

        run(law)

    def test_places_are_of_the_whole_loader(self, run):
        async def law():
            recorder = Recorder(turns=3)
            loader = DataLoader(recorder, partition=tenant.get, max_concurrency=1)
            await asyncio.gather(*(as_tenant(name, loader.load, 1) for name in ("a", "b", "c")))
            assert (len(recorder.calls), recorder.most_running) == (3, 1)

        run(law)

    def test_dispatch_closes_those_of_all(self, run):
        async def law():
            source, loader = made(dispatch=manual())
            asked = [as_tenant(name, loader.load, 1) for name in ("blue", "red")]
            await turns(8)
            assert source.calls == []
            assert "waiting=2" in repr(loader)
            loader.dispatch()
            assert await asyncio.gather(*asked) == ["blue's 1", "red's 1"]

        run(law)

    def test_keys_that_were_left_are_forgotten_in_their_partition(self, run):
        async def law():
            source, loader = made(dispatch=manual())
            stays, leaves = (as_tenant(name, loader.load, 1) for name in ("blue", "red"))
            also = as_tenant("blue", loader.load, 2)
            leaves.cancel()
            also.cancel()
            loader.dispatch()
            assert await stays == "blue's 1"
            assert source.calls == [("blue", [1])]
            assert loader.is_idle
            assert await asyncio.gather(*self._all(loader)) == ["blue's 2", "red's 1"]

        run(law)

    @staticmethod
    def _all(loader):
        asked = [as_tenant("blue", loader.load, 2), as_tenant("red", loader.load, 1)]
        loader.dispatch()
        return asked

    def test_instruments_see_the_keys_as_they_were_given(self, run):
        class Watch(Instrument):
            seen: list[Any] = []

            def batch_started(self, batch):
                self.seen.append(batch.keys)

        async def law():
            _, loader = made(instruments=[Watch()])
            await asyncio.gather(*(as_tenant(name, loader.load_many, [1, 2]) for name in ("blue", "red")))
            assert Watch.seen == [(1, 2), (1, 2)]
            Watch.seen.clear()

        run(law)

    def test_a_load_of_the_same_key_in_another_partition_is_no_circle(self, run):
        async def law():
            async def parent(keys):
                if tenant.get() == "child":
                    return [await as_tenant("parent", loader.load, key) for key in keys]
                return [f"parent of {key}" for key in keys]

            loader = DataLoader(parent, partition=tenant.get)
            assert await as_tenant("child", loader.load, 1) == "parent of 1"

        run(law)

    def test_a_circle_in_one_partition_is_refused(self, run):
        async def law():
            async def itself(keys):
                return [await loader.load(key) for key in keys]

            loader = DataLoader(itself, partition=tenant.get)
            with pytest.raises(RecursiveLoadError):
                await as_tenant("blue", loader.load, 1)

        run(law)


class TestCache:
    @pytest.mark.parametrize("options", CACHES[:2])
    def test_priming_and_clearing_are_in_the_callers_partition(self, run, options):
        async def law():
            _, loader = made(**options())
            as_tenant("blue", loader.prime, 1, "primed")
            assert await as_tenant("blue", loader.load, 1) == "primed"
            assert await as_tenant("red", loader.load, 1) == "red's 1"
            as_tenant("red", loader.clear, 1)
            as_tenant("red", loader.prime_many, {2: "also"})
            assert await as_tenant("blue", loader.load_many, [1, 2]) == ["primed", "blue's 2"]
            assert await as_tenant("red", loader.load_many, [1, 2]) == ["red's 1", "also"]
            assert loader.statistics.keys == 3
            as_tenant("blue", loader.clear_many, [1, 2])
            assert await as_tenant("blue", loader.load, 1) == "blue's 1"

        run(law)

    def test_priming_beats_what_is_under_way_in_the_partition_alone(self, run):
        async def law():
            gate = asyncio.Event()
            loader = DataLoader(Recorder(gate=gate), partition=tenant.get)
            before = [as_tenant(name, loader.load, 1) for name in ("blue", "red")]
            await turns(8)
            as_tenant("blue", loader.prime, 1, "primed")
            gate.set()
            assert await asyncio.gather(*before) == [10, 10]
            assert await as_tenant("blue", loader.load, 1) == "primed"
            assert await as_tenant("red", loader.load, 1) == 10
            assert loader.statistics.keys == 2

        run(law)

    @pytest.mark.parametrize("started", [False, True], ids=["open", "running"])
    def test_clear_all_is_of_all_partitions_from_wherever_it_is_called(self, run, started):
        async def law():
            source, loader = made()
            await asyncio.gather(*(as_tenant(name, loader.load, 1) for name in ("blue", "red")))
            under_way = [as_tenant(name, loader.load, 2) for name in ("blue", "red")]
            if started:
                await turns(1)
            loader.clear_all()  # no tenant here
            await asyncio.gather(*under_way)
            assert await as_tenant("red", loader.load, 1) == "red's 1"
            assert len(source.calls) == 5

        run(law)


class TestEnds:
    def test_shutting_down_cancels_all_partitions(self, run):
        async def law():
            _, loader = made(dispatch=manual())
            asked = [as_tenant(name, loader.load, 1) for name in ("blue", "red")]
            await loader.shutdown()
            assert all(future.cancelled() for future in asked)
            assert loader.is_idle

        run(law)

    def test_draining_loads_what_is_open_in_all(self, run):
        async def law():
            _, loader = made(dispatch=manual())
            asked = [as_tenant(name, loader.load, 1) for name in ("blue", "red")]
            await loader.aclose(drain=True)
            assert await asyncio.gather(*asked) == ["blue's 1", "red's 1"]
            with pytest.raises(LoaderClosedError):
                as_tenant("blue", loader.load, 1)

        run(law)

    def test_a_second_loop(self, run):
        """What was open on a loop that was closed is forgotten, in all partitions."""
        source, loader = made(dispatch=manual())

        async def leaves():
            for name in ("blue", "red"):
                as_tenant(name, loader.load, 1)

        async def law():
            future = as_tenant("blue", loader.load, 2)
            loader.dispatch()
            assert await future == "blue's 2"
            assert loader.is_idle

        run(leaves)
        run(law)
        assert source.calls == [("blue", [2])]


class TestOption:
    def test_a_class_may_have_it_as_a_method(self, run):
        class PerTenant(DataLoader[int, str]):
            def partition(self):
                return self.prefix + tenant.get()

            async def batch_load_fn(self, keys):
                return [f"{tenant.get()}'s {key}" for key in keys]

        async def law():
            loader = PerTenant()
            loader.prefix = "tenant "
            assert await as_tenant("blue", loader.load, 1) == "blue's 1"
            assert list(loader.cache_map) == [("tenant blue", 1)]

        run(law)

    @pytest.mark.parametrize(
        "option",
        [
            pytest.param(tenant.get, id="get"),
            pytest.param(lambda: tenant.get(), id="lambda"),
            pytest.param(staticmethod(lambda: tenant.get()), id="staticmethod"),
            pytest.param(staticmethod(partial(tenant.get, None)), id="partial"),
            pytest.param(lambda self: tenant.get(), id="method"),
            pytest.param(lambda default=None: tenant.get(default), id="default"),
        ],
    )
    def test_or_as_an_attribute(self, run, option):
        cls = type("PerTenant", (DataLoader,), {"partition": option, "batch_load_fn": _answer})

        async def law():
            loader = cls()
            asked = [as_tenant(name, loader.load, 1) for name in ("blue", "red")]
            assert await asyncio.gather(*asked) == ["blue's 1", "red's 1"]

        run(law)

    def test_an_argument_goes_before_the_class(self, run):
        cls = type("PerTenant", (DataLoader,), {"partition": lambda self: 1, "batch_load_fn": _answer})

        async def law():
            loader = cls(partition=lambda: 2)
            await as_tenant("blue", loader.load, 1)
            assert list(loader.cache_map) == [(2, 1)]

        run(law)

    async def _async(self):
        """An async partition."""

    @pytest.mark.parametrize(
        ("option", "said"), [("blue", "not 'blue'"), (tenant, "pass its get"), (_async, "not async")]
    )
    def test_what_cannot_be_called_is_refused(self, option, said):
        with pytest.raises(OptionError, match="loader 'users': partition takes a function") as caught:
            DataLoader(Recorder(), name="users", partition=option)
        assert said in str(caught.value)

    def test_it_is_no_name_for_a_parameter(self):
        class Topic(DataLoader[int, str]):
            partition: int

            batch_load_fn = _answer

        assert is_taken("partition")
        with pytest.raises(LoaderParamError, match="partition"):
            LoaderRegistry({"partition": 3}).get(Topic)

    @pytest.mark.parametrize("ask", ["load", "load_many", "prime", "clear"])
    def test_one_that_cannot_be_used_is_an_error_that_says_so(self, run, ask):
        async def law():
            async def later():
                """Not a partition."""

            future = asyncio.get_running_loop().create_future()
            cases = (
                (["blue"], "not hashable"),
                (later(), "must not be async"),
                (future, "must not be async"),
            )
            for given, said in cases:
                loader = DataLoader(Recorder(), name="users", partition=lambda given=given: given)
                arguments = {"load_many": ([1],), "prime": (1, 1)}.get(ask, (1,))
                with pytest.raises(KeyTypeError, match=f"loader 'users' cannot load: partition .* {said}"):
                    getattr(loader, ask)(*arguments)
                assert loader.is_idle

        run(law)

    def test_one_that_raises_says_where(self, run):
        async def law():
            loader = DataLoader(Recorder(), name="users", partition=tenant.get)
            with pytest.raises(LookupError) as caught:
                loader.load(1)
            assert caught.value.__notes__ == ["in partition of loader 'users'"]
            assert loader.is_idle

        run(law)

    @pytest.mark.parametrize("key", [None, []], ids=repr)
    def test_keys_are_checked_as_ever(self, run, key):
        async def law():
            _, loader = made()
            for ask in (loader.load, lambda key: loader.load_many([1, key])):
                with pytest.raises(KeyTypeError):
                    as_tenant("blue", ask, key)
            assert loader.is_idle

        run(law)


async def _answer(self, keys):
    return [f"{tenant.get()}'s {key}" for key in keys]


class TestEngines:
    """`dloader.lowlevel`: what the code that runs here has asked for, in its partition."""

    def test_they_see_what_was_asked_for_in_their_partition(self, run):
        async def law():
            _, loader = made(dispatch=manual())
            other = as_tenant("red", loader.load, 1)
            mine = as_tenant("blue", loader.load, 1)
            asked_in_blue = partial(as_tenant, "blue", lambda: AskedSince([loader]))
            nothing, joined, grown = (asked_in_blue() for _ in range(3))
            assert as_tenant("blue", nothing.batches) == []
            also = as_tenant("blue", loader.load, 1)
            (batch,) = as_tenant("blue", joined.batches)
            assert batch.keys == [1]
            assert batch.number == 2
            more = as_tenant("red", loader.load_many, [2, 3])
            blue = as_tenant("blue", loader.load, 2)
            assert as_tenant("blue", grown.batches) == [batch]
            assert as_tenant("blue", grown.count) == 2
            assert as_tenant("red", grown.batches) != [batch]
            close_when_settled(loader)
            assert await asyncio.gather(other, mine, also, more, blue) == [
                "red's 1",
                "blue's 1",
                "blue's 1",
                ["red's 2", "red's 3"],
                "blue's 2",
            ]

        run(law)

    def test_they_may_look_where_there_is_no_partition(self, run):
        async def law():
            _, loader = made()
            asked = AskedSince([loader])
            future = as_tenant("blue", loader.load, 1)
            assert asked.batches() == []
            assert asked.count() is not None
            await future

        run(law)

    def test_they_may_ask_for_many(self, run):
        async def law():
            _, loader = made()
            many = as_tenant("blue", ask_many, loader, [1, 2])
            assert [batch.keys for batch in many.batches] == [[1, 2]]
            assert await many.future == ["blue's 1", "blue's 2"]

        run(law)
