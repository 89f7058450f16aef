"""What cannot work is refused where it is written, by name, with what to do instead."""

import asyncio
import copy
import pickle
from functools import cached_property

import pytest
from loops import KINDS, Recorder

from dloader import DataLoader, Instrument, KeyTypeError, LoaderRegistry, OptionError, RecursiveLoadError


class Users(DataLoader[int, int]):
    async def batch_load_fn(self, keys):
        return keys


class Huge:
    """Something whose repr fills a page."""

    def __repr__(self):
        return "x" * 10**6


class TestCopies:
    @pytest.mark.parametrize(
        "way", [copy.copy, copy.deepcopy, pickle.dumps, lambda loader: copy.deepcopy({"a": [loader]})]
    )
    def test_a_loader_is_not_copied(self, way):
        """A copy would answer by the batches of its original: with another tenant's rows."""
        with pytest.raises(OptionError, match="loader 'Users' cannot be copied or pickled.*make another"):
            way(Users())

    def test_a_class_may_say_how(self):
        class Tenant(Users):
            tenant = 1

            def __copy__(self):
                return type(self)()

        loader = Tenant()
        assert copy.copy(loader) is not loader


class TestKeys:
    @pytest.mark.parametrize("method", ["load_many", "clear_many"])
    @pytest.mark.parametrize(
        ("keys", "cure"),
        [("abc", r"\(\['abc'\]\)"), (b"ab", r"\(\[b'ab'\]\)"), (bytearray(b"ab"), r"\(\["), (5, "not 5$")],
    )
    def test_one_key_is_not_many(self, run, method, keys, cure):
        async def law():
            loader = DataLoader(Recorder(), name="users")
            with pytest.raises(
                KeyTypeError, match=rf"{method}\(\) of loader 'users' takes an iterable.*{cure}"
            ):
                getattr(loader, method)(keys)
            assert loader.is_idle

        run(law)

    @pytest.mark.parametrize("given", [[(1, 2)], {1}, None])
    def test_priming_many_takes_a_mapping(self, given):
        with pytest.raises(KeyTypeError, match=r"prime_many\(\) of loader 'Users' takes a mapping"):
            Users().prime_many(given)

    def test_keys_that_share_a_batch_and_load_each_other_are_told_the_cure(self, run):
        async def law():
            async def parents(keys):
                return [key if key == 0 else await loader.load(key - 1) for key in keys]

            loader = DataLoader(parents)
            with pytest.raises(RecursiveLoadError, match="max_batch_size=1"):
                await asyncio.gather(loader.load(2), loader.load(1))
            loader = DataLoader(parents, max_batch_size=1)
            assert await asyncio.gather(loader.load(2), loader.load(1)) == [0, 0]

        run(law)


class TestOptions:
    OPTIONS = [
        "cache_map", "loop", "max_batch_size", "dispatch", "cache_key_fn", "partition", "cache", "max_concurrency",
    ]  # fmt: skip

    @pytest.mark.parametrize("option", OPTIONS)
    def test_messages_are_short_whatever_is_given(self, option):
        with pytest.raises(OptionError, match=option) as caught:
            DataLoader(Recorder(), **{option: Huge()})
        assert len(str(caught.value)) < 300

    @pytest.mark.parametrize(
        "make",
        [
            lambda: DataLoader(Huge()),
            lambda: DataLoader(Recorder(), instruments=[Huge()]),
            lambda: LoaderRegistry(instruments=[Huge()]),
            lambda: LoaderRegistry().add(Users, Huge()),
            lambda: LoaderRegistry(Huge()),
            lambda: type("Loader", (Users,), {"load_fn": Huge()}),
            lambda: Users().load_many(Huge()),
            lambda: Users().prime_many(Huge()),
        ],
    )
    def test_others_too(self, run, make):
        async def law():
            with pytest.raises((OptionError, KeyTypeError)) as caught:
                make()
            assert len(str(caught.value)) < 300

        run(law)

    @pytest.mark.parametrize("option", ["cache", "cache_errors", "max_batch_size", "max_concurrency", "name"])
    def test_one_that_loaders_set_is_no_property(self, option):
        with pytest.raises(OptionError, match=f"class Odd: {option} cannot be a property.*pass {option}="):
            type("Odd", (Users,), {option: property(lambda self: None)})

    @pytest.mark.parametrize(
        "value",
        [
            property(lambda self: 2, lambda self, value: None),
            cached_property(lambda self: 2),
        ],
        ids=["property with a setter", "cached_property"],
    )
    def test_what_can_be_set_is_honoured(self, value):
        class Sized(Users):
            max_batch_size = value

        if isinstance(value, cached_property):
            value.__set_name__(Sized, "max_batch_size")
        assert Sized().max_batch_size == 2

    def test_a_key_function_is_not_async(self):
        async def key(given):
            """Never awaited."""

        with pytest.raises(OptionError, match="loader 'users': cache_key_fn takes .* not async"):
            DataLoader(Recorder(), name="users", cache_key_fn=key)

    def test_a_cache_is_not_async(self):
        class Store(dict):
            async def __getitem__(self, key):
                """Never awaited."""

        with pytest.raises(OptionError, match="loader 'users': cache_map .* must not be async"):
            DataLoader(Recorder(), name="users", cache_map=Store())

    @pytest.mark.parametrize("hook", ["load_requested", "batch_opened", "batch_started", "batch_finished"])
    def test_a_hook_is_not_async(self, hook):
        async def act(self, *args):
            """Never awaited."""

        watch = type("Watch", (Instrument,), {hook: act})()
        loader = DataLoader(Recorder(), name="users")
        for give in (
            lambda: DataLoader(Recorder(), name="users", instruments=[watch]),
            lambda: loader.add_instrument(watch),
            lambda: LoaderRegistry(instruments=[watch]),
        ):
            with pytest.raises(OptionError, match=f"instruments.*: {hook} of .*Watch.* must not be async"):
                give()

    @pytest.mark.parametrize(
        "use",
        [
            lambda loader: loader.load(1),
            lambda loader: loader.load_many([1]),
            lambda loader: loader.prime(1, 1),
            lambda loader: loader.clear_all(),
            lambda loader: loader.closed,
            lambda loader: loader.name,
        ],
    )
    def test_a_constructor_that_makes_no_loader_is_told(self, run, use):
        class Forgets(Users):
            def __init__(self):
                self.tenant = 1

        async def law():
            loader = Forgets()
            assert repr(loader) == "<Forgets that was never made>"
            assert not hasattr(loader, "session")
            with pytest.raises(OptionError, match=r"Forgets.__init__ must call super\(\).__init__\(\)"):
                use(loader)

        run(law)

    def test_what_a_loader_lacks_is_told_as_python_does(self):
        loader = Users()
        with pytest.raises(AttributeError, match="'Users' object has no attribute 'lod'") as caught:
            loader.lod
        assert (caught.value.name, caught.value.obj) == ("lod", loader)


class Unprintable:
    def __repr__(self):
        raise RuntimeError("no repr")


def test_a_cache_prints_what_has_no_repr(run):
    async def law():
        loader = DataLoader(Recorder(lambda keys: [Unprintable() for _ in keys]))
        await loader.load(1)
        assert repr(loader.cache_map).startswith("{1: <Unprintable instance at")
        assert repr(DataLoader(Recorder()).prime(1, 2).cache_map) == "{1: 2}"

    run(law)


@pytest.mark.parametrize("run", KINDS, indirect=True)  # where every load is checked, each gets its own
def test_an_instrument_that_is_removed_leaves_no_trace(run, caplog):
    """Loads go the short way again: none is told of."""

    class Watch(Instrument):
        def batch_started(self, batch):
            raise RuntimeError("no")

    async def law():
        loader = DataLoader(Recorder(), instruments=[Watch()])
        assert await loader.load(1) == 10
        assert await loader.load(2) == 20
        hits = [loader.load(1), loader.load(1)]
        assert hits[0] is hits[1]
        assert loader.statistics.cache_hits == 2

    run(law)
    assert len(caplog.records) == 1
