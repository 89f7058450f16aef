"""What a loader may be made of; a mistake is an error where the loader is made."""

import asyncio
from functools import partial

import pytest
from counting import steps_of
from loops import Recorder

from dloader import DataLoader, Instrument, OptionError, delay, eager, manual, settle


async def load_users(keys):
    """A batch function."""
    return [key * 10 for key in keys]


class Users(DataLoader):
    """A loader class."""

    max_batch_size = 2
    cache = False

    async def batch_load_fn(self, keys):
        return [key * 10 for key in keys]


class TestOptions:
    @pytest.mark.parametrize(
        ("make", "words"),
        [
            pytest.param(DataLoader, "no batch function", id="no function"),
            pytest.param(
                lambda: DataLoader(load_users, batch_load_fn=load_users), "two names", id="two functions"
            ),
            pytest.param(lambda: Users(load_users), "keep one", id="function and method"),
            pytest.param(lambda: Users(batch_load_fn=load_users), "keep one", id="keyword and method"),
            pytest.param(lambda: DataLoader(7), "async callable", id="not callable"),
            pytest.param(lambda: DataLoader(Users), "async def", id="class"),
            pytest.param(lambda: DataLoader(load_users, True), r"batch=True", id="bool as size"),
            pytest.param(lambda: DataLoader(load_users, False), r"batch=False", id="False as size"),
            pytest.param(lambda: DataLoader(load_users, 0), "1 or more", id="zero size"),
            pytest.param(lambda: DataLoader(load_users, -1), "1 or more", id="negative size"),
            pytest.param(lambda: DataLoader(load_users, "2"), "whole number", id="size in words"),
            pytest.param(lambda: DataLoader(load_users, 2.0), "whole number", id="broken size"),
            pytest.param(lambda: DataLoader(load_users, max_concurrency=0), "1 or more", id="no concurrency"),
            pytest.param(lambda: DataLoader(load_users, None, 1), "cache takes True or False", id="cache"),
            pytest.param(
                lambda: DataLoader(load_users, cache_errors="no"), "cache_errors takes", id="cache_errors"
            ),
            pytest.param(lambda: DataLoader(load_users, batch=0), "batch takes", id="batch"),
            pytest.param(lambda: DataLoader(load_users, loop=7), "event loop", id="loop"),
            pytest.param(lambda: DataLoader(load_users, cache_map=[]), "mutable mapping", id="cache_map"),
            pytest.param(
                lambda: DataLoader(load_users, cache_map=dict), "mutable mapping", id="cache_map class"
            ),
            pytest.param(
                lambda: DataLoader(load_users, cache_key_fn=1), "function from key", id="cache_key_fn"
            ),
            pytest.param(
                lambda: DataLoader(load_users, cache_key_fn=str, get_cache_key=str),
                "two names",
                id="two key functions",
            ),
            pytest.param(lambda: DataLoader(load_users, dispatch=settle), "settle()", id="policy class"),
            pytest.param(lambda: DataLoader(load_users, dispatch="eager"), "settle()", id="policy name"),
            pytest.param(lambda: DataLoader(load_users, dispatch=load_users), "settle()", id="async policy"),
            pytest.param(
                lambda: DataLoader(load_users, instruments=[Instrument]), "objects", id="instrument class"
            ),
            pytest.param(lambda: DataLoader(load_users, instruments=[7]), "objects", id="no instrument"),
            pytest.param(lambda: settle(0), r"settle\(turns=\)", id="settle turns"),
            pytest.param(lambda: settle(quiet=True), r"settle\(quiet=\)", id="settle quiet"),
            pytest.param(lambda: settle(most=1.5), r"settle\(most=\)", id="settle most"),
            pytest.param(lambda: delay(-1), "seconds", id="delay"),
            pytest.param(lambda: delay(float("nan")), "seconds", id="delay nan"),
            pytest.param(lambda: delay(True), "seconds", id="delay bool"),
            pytest.param(lambda: delay("1"), "seconds", id="delay words"),
        ],
    )
    def test_a_wrong_option_is_refused_and_says_what_to_pass(self, make, words):
        """It is a TypeError and a ValueError."""
        with pytest.raises(OptionError, match=words) as caught:
            make()
        assert isinstance(caught.value, TypeError)
        assert isinstance(caught.value, ValueError)

    def test_synchronous_functions_are_refused(self):
        """Those that can be told without calling them; the others are told at the first load."""

        def generator(keys):
            yield

        async def async_generator(keys):
            yield

        for function in (generator, async_generator, list):
            with pytest.raises(OptionError, match="async def"):
                DataLoader(function)

    def test_a_plain_def_without_await_is_refused_when_it_returns_no_awaitable(self):
        """A plain function may return an awaitable, so its first result decides."""
        with pytest.raises(TypeError, match="async def"):
            asyncio.run(self._load(lambda keys: keys))

    @staticmethod
    async def _load(function):
        return await DataLoader(function).load(1)

    def test_class_attributes_are_options(self):
        """And None, or nothing, means the class attribute."""

        async def law():
            calls = []

            class Recorded(Users):
                async def batch_load_fn(self, keys):
                    calls.append(keys)
                    return keys

            loader = Recorded(max_batch_size=None, cache=None)
            await loader.load_many([1, 2, 3])
            await loader.load(1)
            assert calls == [[1, 2], [3], [1]]
            assert Recorded(cache=True, max_batch_size=5).cache is True

        asyncio.run(law())

    def test_every_class_attribute_works(self):
        """Those that are not in the seeds too."""

        class All(Users):
            max_concurrency = 3
            cache_errors = True
            batch = False
            dispatch_policy = eager()
            default = 7

        loader = All()
        assert (loader.max_concurrency, loader.cache_errors, loader.max_batch_size, loader.default) == (
            3,
            True,
            1,
            7,
        )

    def test_batch_false_calls_with_one_key_at_a_time(self, run):
        """However many are asked for together."""

        async def law():
            recorder = Recorder()
            assert await DataLoader(recorder, batch=False).load_many([1, 2]) == [10, 20]
            assert recorder.calls == [[1], [2]]

        run(law)

    def test_a_subclass_with_its_own_init_works(self, run):
        """Arguments of its own, then ours."""

        class Named(DataLoader):
            def __init__(self, factor, **options):
                super().__init__(**options)
                self.factor = factor

            async def batch_load_fn(self, keys):
                return [key * self.factor for key in keys]

        async def law():
            assert await Named(3, max_batch_size=1).load_many([1, 2]) == [3, 6]

        run(law)

    def test_the_class_body_has_no_annotations_without_a_value(self):
        """In a subclass such annotations are parameters of the loader."""
        assert all(hasattr(DataLoader, name) for name in DataLoader.__annotations__)

    def test_the_base_method_says_what_is_missing(self):
        """For those who call it through super()."""
        with pytest.raises(NotImplementedError):
            asyncio.run(DataLoader(load_users).batch_load_fn([1]))


class TestDefault:
    def test_no_default_shows_as_three_dots(self):
        """None is a default like any other."""
        assert repr(DataLoader(load_users).default) == "..."
        assert DataLoader(load_users, default=None).default is None


class TestNames:
    @pytest.mark.parametrize(
        ("make", "name"),
        [
            (lambda: DataLoader(load_users), "load_users"),
            (lambda: DataLoader(partial(load_users)), "load_users"),
            (lambda: DataLoader(Recorder()), "Recorder"),
            (lambda: DataLoader(partial(Recorder())), "Recorder"),
            (Users, "Users"),
            (lambda: Users(name="people"), "people"),
            (lambda: DataLoader(load_users, name="people"), "people"),
        ],
    )
    def test_a_loader_is_named_after_its_class_or_function(self, make, name):
        """Unless it is given a name."""
        assert make().name == name

    def test_a_repr_shows_what_was_loaded(self, run):
        """Name, cached, waiting, batches, keys, and whether it is closed."""

        async def law():
            opened: list = []
            loader = DataLoader(Recorder(), name="users", dispatch=opened.append)
            assert repr(loader) == "<DataLoader 'users' cached=0 waiting=0 batches=0 keys=0>"
            future = loader.load_many([1, 2])
            assert repr(loader) == "<DataLoader 'users' cached=0 waiting=2 batches=0 keys=0>"
            assert repr(opened[0]) == "<batch 1 of users open keys=2>"
            loader.dispatch()
            await future
            await loader.shutdown()
            assert repr(loader) == "<DataLoader 'users' cached=2 waiting=0 batches=1 keys=2 closed>"
            assert repr(Users()) == "<Users cached=0 waiting=0 batches=0 keys=0>"

        run(law)

    def test_policies_have_a_repr_that_makes_them(self):
        """For errors and logs."""
        assert repr(settle(quiet=2)) == "settle(turns=2, quiet=2, most=128)"
        assert [repr(policy) for policy in (eager(), delay(0.5), manual())] == [
            "eager()",
            "delay(0.5)",
            "manual()",
        ]


class TestStatistics:
    def test_counts(self, run):
        """A snapshot of what was done so far."""

        async def law():
            loader = DataLoader(Recorder(lambda keys: keys if 9 not in keys else 1 // 0))
            before = loader.statistics
            await asyncio.gather(loader.load(1), loader.load(1), loader.load_many([1, 2, 2]))
            await loader.load_many([1, 2])
            await asyncio.gather(loader.load(9), return_exceptions=True)
            done = loader.statistics
            assert (done.batches, done.keys, done.cache_hits, done.merged, done.errors) == (2, 3, 2, 3, 1)
            assert done.loads == 8
            assert before.loads == 0
            with pytest.raises(AttributeError):
                done.batches = 5

        run(law)


class TestClassAttributes:
    @pytest.mark.parametrize(
        ("attribute", "value", "cure"),
        [
            ("dispatch", eager(), "dispatch_policy = "),
            ("cache_map", {}, "would share it"),
            ("loop", None, "constructor"),
            ("instruments", [], "constructor"),
            ("load_fn", Recorder(), "batch_load_fn"),
            ("load_fn", lambda self, keys: keys, "batch_load_fn"),
            ("name", 5, "str"),
            ("load", 5, "take another"),
            ("load_many", None, "take another"),
            ("statistics", {}, "take another"),
            ("closed", True, "take another"),
            ("batch_load_fn", 5, "take another"),
        ],
    )
    def test_that_cannot_work_are_refused(self, attribute, value, cure):
        """With the class, the attribute and what to write instead."""
        with pytest.raises(OptionError, match=f"class Users: {attribute} = .*{cure}"):
            type("Users", (DataLoader,), {attribute: value})

    def test_that_work(self, run):
        """Options, methods, and whatever loaders have nothing of."""

        class Users(DataLoader):
            """Loads users."""

            name = "users"
            dispatch_policy = eager()
            max_batch_size = 3
            database = "db"
            _private = 1

            async def batch_load_fn(self, keys):
                return [f"{self.database} {key}" for key in keys]

            def load(self, key):
                return super().load(key)

            @property
            def statistics(self):
                return super().statistics

            @staticmethod
            def get_cache_key(key):
                return str(key)

        class Others(Users):
            """Has the name of its base."""

        async def law():
            assert (Users().name, Others().name, Users(name="mine").name) == ("users", "users", "mine")
            assert await Users().load(1) == "db 1"

        run(law)


class TestWhatMakingCosts:
    """Many loaders are made for each request: nothing is looked for in vain."""

    @pytest.mark.parametrize(
        "options", [{}, {"max_batch_size": 2, "cache_errors": True, "dispatch": eager()}]
    )
    def test_no_attribute_is_missed(self, options):
        """Each would be looked for in all classes, and an error be made of it and thrown away."""

        class Asked(DataLoader):
            def __getattr__(self, name):
                missed.append(name)
                return super().__getattr__(name)

        missed: list = []
        Asked(Recorder(), **options)
        assert missed == []

    def test_options_that_nobody_gave_cost_nothing(self):
        """Counted in steps of Python: 462 when this was written (508 on Python 3.11), and 699 before."""

        async def load(keys):
            return keys

        DataLoader(load)
        assert steps_of(lambda: DataLoader(load)) < 560

    def test_options_of_a_class_are_those_of_its_loaders(self):
        """Whether they are as most are or not, and whether the loader was given others."""

        class Keeping(DataLoader):
            cache_errors = True
            cache = False
            batch = False

        ours, theirs = Keeping(Recorder()), Keeping(Recorder(), 5, True, batch=True, cache_errors=False)
        assert (ours.cache_errors, ours.cache, ours.max_batch_size) == (True, False, 1)
        assert (theirs.cache_errors, theirs.cache, theirs.max_batch_size) == (False, True, 5)
