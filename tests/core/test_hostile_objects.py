"""Whatever objects of the user do while a batch ends: nobody waits for ever, and the next load works."""

import asyncio
from typing import Any

import pytest
from loops import KINDS, LoopRunner, Recorder, turns

from dloader import BatchAbortedError, BatchResultError, DataLoader, Instrument, KeyTypeError
from dloader.compat import aiodataloader as compat


class Answering(Exception):
    """Answers to any attribute, as errors of many API clients do."""

    def __init__(self, fields):
        super().__init__("x")
        self.fields = fields

    def __getattr__(self, name):
        return self.__dict__.get("fields", {}).get(name)


class Refusing(Exception):
    def __getattr__(self, name):
        raise RuntimeError(f"no {name}")


class WithoutNotes(Exception):
    __notes__ = None


class OwnTraceback(Exception):
    def with_traceback(self, traceback):
        raise RuntimeError("no traceback")


class NoTraceback(Exception):
    def with_traceback(self, traceback):
        return None


class FixedAttributes(Exception):
    def __setattr__(self, name, value):
        if name != "args":
            raise RuntimeError(f"cannot set {name}")
        super().__setattr__(name, value)


class HiddenDict(Exception):
    @property
    def __dict__(self):
        raise RuntimeError("no dict")


class Guarded(Exception):
    def __getattribute__(self, name):
        raise RuntimeError(f"no {name}")


class BadRepr(BaseException):
    def __repr__(self):
        raise RuntimeError("no repr")


class BadCopy(OSError):
    def __copy__(self):
        return self


class Pretender(Exception):
    @property
    def __class__(self):
        raise RuntimeError("no class")


ERRORS = [
    pytest.param(lambda: Answering({"status": 503}), id="answers anything"),
    pytest.param(Refusing, id="__getattr__ raises"),
    pytest.param(WithoutNotes, id="__notes__ is None"),
    pytest.param(OwnTraceback, id="with_traceback raises"),
    pytest.param(NoTraceback, id="with_traceback returns None"),
    pytest.param(FixedAttributes, id="__setattr__ raises"),
    pytest.param(HiddenDict, id="__dict__ raises"),
    pytest.param(Guarded, id="__getattribute__ raises"),
    pytest.param(BadRepr, id="__repr__ raises"),
    pytest.param(BadCopy, id="__copy__ returns itself"),
    pytest.param(Pretender, id="__class__ raises"),
]
hostile_errors = pytest.mark.parametrize("make", ERRORS)


class Once:
    """A batch function that gives `bad` for its first batch, and what is right for the others."""

    def __init__(self, bad):
        self.bad, self.calls = bad, 0

    async def __call__(self, keys):
        self.calls += 1
        return self.bad(keys) if self.calls == 1 else [key * 10 for key in keys]


async def outcomes(*futures):
    """What came of some futures, all of which must be done soon."""
    await asyncio.wait(futures, timeout=5)
    assert all(future.done() for future in futures)
    return [future.exception() or future.result() for future in futures]


class TestErrors:
    @hostile_errors
    def test_one_that_the_whole_batch_raises_reaches_everybody(self, run, make):
        async def law():
            error = make()

            def bad(keys):
                raise error

            loader = DataLoader(Once(bad))
            futures = (loader.load(1), loader.load(2), loader.load(1), loader.load_many([1, 2]))
            for seen in await outcomes(*futures):
                assert type(seen) in {type(error), BatchAbortedError}
            assert loader.is_idle
            assert await loader.load(1) == 10

        run(law)

    @hostile_errors
    def test_one_that_is_the_result_of_a_key_leaves_the_other_keys_alone(self, run, make):
        async def law():
            error = make()
            loader = DataLoader(Once(lambda keys: [error if key == 1 else "fine" for key in keys]))
            futures = (loader.load(1), loader.load(2), loader.load_many([2, 1], return_exceptions=True))
            bad, good, both = await outcomes(*futures)
            assert type(bad) in {type(error), BatchAbortedError}
            assert good == both[0] == "fine"
            assert loader.is_idle
            assert await loader.load(1) == 10

        run(law)

    def test_a_copy_that_is_the_original_gathers_no_notes(self, run):
        """What one caller is told does not reach another."""

        async def law():
            error = BadCopy("disk")
            loader = DataLoader(Once(lambda keys: [error for _ in keys]))
            await outcomes(loader.load("secret-of-a"), loader.load("b"))
            assert not getattr(error, "__notes__", [])

        run(law)


class BadHash:
    """A key whose hash raises, or changes, once it is told to."""

    def __init__(self, name, change):
        self.name, self.change, self.is_bad = name, change, False

    def __hash__(self):
        if self.is_bad and self.change is None:
            raise RuntimeError("detached")
        return hash(self.name) + (self.change if self.is_bad else 0)

    def __eq__(self, other):
        return self is other

    def __mul__(self, other):
        return self.name


class TestKeys:
    @pytest.mark.parametrize("change", [None, 1], ids=["raises", "changes"])
    @pytest.mark.parametrize("fails", [False, True], ids=["loaded", "failed"])
    @pytest.mark.parametrize("size", [None, 1, 2])
    @pytest.mark.parametrize("many", [False, True], ids=["load", "load_many"])
    def test_whose_hash_goes_wrong_after_the_load(self, run, change, fails, size, many):
        async def law():
            def bad(keys):
                for key in keys:
                    key.is_bad = True
                if fails:
                    raise ValueError("no")
                return [key.name for key in keys]

            keys = [BadHash(name, change) for name in ("a", "b", "c")]
            loader = DataLoader(Once(bad), size)
            futures = [loader.load_many(keys)] if many else [loader.load(key) for key in keys]
            await outcomes(*futures)
            await turns(3)
            assert loader.is_idle
            assert await loader.load(1) == 10

        run.take_reports()
        run(law)
        run.take_reports()


class TestReprs:
    @pytest.mark.parametrize("key", [10**5000, type("array", (), {})()], ids=["huge", "odd name"])
    def test_a_key_without_one_does_not_fail_its_neighbours(self, run, key):
        async def law():
            loader = DataLoader(Once(lambda keys: [ValueError("no"), "fine"]))
            bad, good = await outcomes(loader.load(key), loader.load(1))
            assert type(bad) is ValueError
            assert "Exceeds" not in str(bad)
            assert good == "fine"

        run(law)

    def test_values_whose_class_cannot_be_hashed(self, run):
        class Meta(type):
            def __eq__(cls, other):
                return cls is other

            __hash__ = None

        class Odd(metaclass=Meta):
            pass

        class OddError(Exception, metaclass=Meta):
            pass

        async def law():
            failing = DataLoader(Once(lambda keys: [OddError() if key else Odd() for key in keys]))
            good, bad = await outcomes(failing.load(0), failing.load(1))
            assert isinstance(good, Odd)
            assert isinstance(bad, OddError)
            loader = DataLoader(Once(lambda keys: [Odd() for _ in keys]))
            values = await asyncio.gather(loader.load(1), loader.load(2), loader.load_many([1, 2]))
            assert isinstance(values[0], Odd)
            assert (await loader.load_many([1, 2]))[0] is values[0]

        run(law)


class Policy:
    def __init__(self, do):
        self.do = do

    async def __call__(self, batch):
        await asyncio.sleep(0)
        self.do(batch)


def raise_exit(batch):
    raise GeneratorExit


class TestPolicies:
    @pytest.mark.parametrize(
        "policy",
        [
            pytest.param(Policy(lambda batch: batch.close()), id="async call"),
            pytest.param(lambda batch: Policy(lambda batch: batch.close())(batch), id="returns a coroutine"),
            pytest.param(raise_exit, id="raises past Exception"),
        ],
    )
    def test_one_that_is_async_or_raises_is_replaced_by_settle(self, run, policy, caplog):
        async def law():
            loader = DataLoader(Recorder(), dispatch=policy)
            assert await loader.load(1) == 10
            assert await loader.load_many([1, 2]) == [10, 20]

        run(law)
        assert "settle() was used" in caplog.text
        assert {record.name for record in caplog.records} == {"dloader"}


class HookedOnce(Instrument):
    """Does something in one of its hooks, once."""

    def __init__(self, hook, do):
        self.hook, self.do, self.made = hook, do, []

    def __getattribute__(self, name):
        if name == "hook" or name != self.hook:
            return super().__getattribute__(name)
        return self.act

    def act(self, *args):
        if not self.made:
            self.made.append(None)
            loader = getattr(args[0], "loader", args[0])
            self.made[0] = self.do(loader)


HOOKS = ["load_requested", "batch_opened", "batch_started", "batch_finished"]
ACTS = {
    "load same": lambda loader: loader.load(1),
    "load other": lambda loader: loader.load(9),
    "load_many": lambda loader: loader.load_many([1, 9]),
    "dispatch": lambda loader: loader.dispatch(),
}


class TestHooks:
    @pytest.mark.parametrize("hook", HOOKS)
    @pytest.mark.parametrize("act", ACTS)
    @pytest.mark.parametrize("ask", ["load", "load_many"])
    @pytest.mark.parametrize("options", [{}, {"max_batch_size": 1}, {"max_concurrency": 1}], ids=str)
    def test_one_that_loads_or_dispatches_leaves_nobody_waiting(self, run, hook, act, ask, options):
        async def law():
            instrument = HookedOnce(hook, ACTS[act])
            loader = DataLoader(Recorder(), instruments=[instrument], **options)
            asked = loader.load(1) if ask == "load" else loader.load_many([1, 2])
            assert await asyncio.wait_for(asked, 5) == (10 if ask == "load" else [10, 20])
            for made in instrument.made:
                if made is not None:
                    await asyncio.wait_for(made, 5)
            assert await asyncio.wait_for(loader.load(3), 5) == 30
            assert loader.is_idle

        run(law)

    @pytest.mark.parametrize("hook", HOOKS)
    @pytest.mark.parametrize(
        "raised", [asyncio.CancelledError, GeneratorExit, ValueError], ids=lambda e: e.__name__
    )
    def test_one_that_raises_gives_its_place_back(self, run, hook, raised, caplog):
        async def law():
            def bad(loader):
                raise raised

            loader = DataLoader(Recorder(), max_concurrency=1, instruments=[HookedOnce(hook, bad)])
            assert await asyncio.wait_for(loader.load(1), 5) == 10
            assert await asyncio.wait_for(loader.load(2), 5) == 20
            assert loader.is_idle

        run(law)
        assert f"raised in {hook} and was removed" in caplog.text
        assert {record.name for record in caplog.records} == {"dloader"}


class TestResults:
    def test_things_with_keys_that_are_no_mapping_are_refused(self, run):
        """They would be taken for a sequence, and their keys for the values."""

        class Frame:
            def keys(self):
                return ["id", "name"]

            def __len__(self):
                return 2

            def __getitem__(self, key):
                return ["id", "name"][key]

        async def law():
            loader = DataLoader(Once(lambda keys: Frame()))
            with pytest.raises(BatchResultError, match=r"Frame.*dict\(.*list\("):
                await loader.load_many([1, 2])

        run(law)


class TestKeyFunctions:
    def test_none_is_never_a_cache_key(self, run):
        """A forgotten return would make all keys one key."""

        def key(row):
            row["id"]

        async def law():
            loader = DataLoader(Recorder(), cache_key_fn=key)
            for ask in (loader.load, lambda row: loader.load_many([row]), loader.clear):
                with pytest.raises(KeyTypeError, match=r"'Recorder'.*id.*None.*return"):
                    ask({"id": 1})

        run(law)

    def test_what_they_return_is_never_awaited(self, run):
        async def key(row):
            return row["id"]

        async def law():
            loader = DataLoader(Recorder(), cache_key_fn=lambda row: key(row))
            for ask in (loader.load, lambda row: loader.load_many([row])):
                with pytest.raises(KeyTypeError, match="await"):
                    ask({"id": 1})

        run(law)


class TestLoops:
    def test_a_loader_with_a_loop_of_its_own_loads_outside_after_it_loaded_inside(self):
        loop = asyncio.new_event_loop()
        try:
            loader: DataLoader[Any, Any] = DataLoader(Recorder(), loop=loop)

            async def use():
                return await loader.load(1)

            assert loop.run_until_complete(use()) == 10
            assert loop.run_until_complete(loader.load(2)) == 20
            assert loop.run_until_complete(loader.load_many([3, 1])) == [30, 10]
        finally:
            loop.close()


WORDS = [
    "answer",
    "answered",
    "ask_many",
    "cache",
    "cache_key_of",
    "check",
    "close",
    "enter",
    "fail_whole",
    "fast_loop",
    "forget",
    "futures",
    "hashable_cache_key",
    "here",
    "keeps",
    "known",
    "lifecycle",
    "load_checked",
    "loop_outside",
    "most_keys",
    "pending",
    "plain",
    "shown",
    "update_fast_loop",
    "batches",
    "fetch",
    "hooks",
    "keys",
    "limit",
    "loop",
    "map",
    "open",
    "queue",
    "running",
    "session",
    "state",
]
"""Words that loaders use inside, and others that come to mind."""


def subclass_of(base, written):
    """A class with helpers of all these names, as they are written in its body: two underscores hold its name."""
    names = [written.format(word) for word in WORDS]
    code = "class DataLoader(base):\n    def __init__(self):\n        super().__init__(cache=True)\n"
    code += "".join(f"        self.{name} = None\n" for name in names)
    code += "".join(f"    def {name}(self, *args): raise AssertionError\n" for name in names)
    code += "    async def batch_load_fn(self, keys): return [60 // key for key in keys]\n"
    made: dict[str, Any] = {"base": base}
    exec(code, made)
    return made["DataLoader"]


class TestSubclasses:
    @pytest.mark.parametrize("written", ["_{}", "__{}"])
    @pytest.mark.parametrize("base", [DataLoader, compat.DataLoader])
    def test_helpers_of_any_name_are_the_subclass_s_own(self, run, base, written):
        """Also those of a class that is called as its base: two underscores would give both the same names."""

        async def law():
            async with subclass_of(base, written)() as users:
                assert await asyncio.gather(users.load(1), users.load_many([1, 2])) == [60, [60, 30]]
                assert await users.load(1) == 60
                with pytest.raises(ZeroDivisionError):
                    await users.load(0)
                assert await users.prime(3, "x").load(3) == "x"
                assert await users.clear(1).load(1) == 60
                users.clear_all()
                assert repr(users).startswith("<DataLoader")
                assert users.statistics.batches == 3

        run(law)


class TestExits:
    """Ctrl-C and the like go through, and leave nobody waiting."""

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("where", ["hook", "policy"])
    @pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit])
    def test_from_a_hook_or_a_policy(self, kind, where, raised):
        def exit_once(*args):
            if not seen:
                seen.append(args)
                raise raised

        class Exits(Instrument):
            batch_opened = exit_once

        seen: list = []
        options = {"instruments": [Exits()]} if where == "hook" else {"dispatch": exit_once}
        loader = DataLoader(Recorder(), **options)

        async def ask():
            with pytest.raises(raised):
                loader.load(1)
            return await asyncio.wait_for(asyncio.gather(loader.load(1), loader.load(2)), 5)

        assert LoopRunner(kind)(ask) == [10, 20]


class TestKeyFunctionErrors:
    def test_they_say_for_which_key_of_which_loader(self, run):
        def key(row):
            return row["id"]

        async def law():
            loader = DataLoader(Recorder(), cache_key_fn=key, name="rows")
            with pytest.raises(KeyError) as caught:
                loader.load({"name": "x"})
            assert caught.value.__notes__ == ["in cache_key_fn of loader 'rows', for key {'name': 'x'}"]

        run(law)


class TestTheLastLine:
    def test_whatever_raises_while_a_batch_ends_everybody_is_told(self, run, monkeypatch):
        """There is no such thing that we know of: it is made here."""

        async def law():
            def broken(*args):
                raise RuntimeError("of our own")

            def bad(keys):
                raise ValueError("no")

            loader = DataLoader(Once(bad))
            with monkeypatch.context() as patch:
                patch.setattr("dloader._core._fetch.explained", broken)
                for seen in await outcomes(loader.load(1), loader.load(1), loader.load_many([1, 2])):
                    assert type(seen) is BatchAbortedError
            assert loader.is_idle
            assert await loader.load(1) == 10

        run(law)
        run.take_reports()


class TestEndedFromInside:
    def test_a_batch_function_that_shuts_its_loader_down_in_its_first_step(self, run):
        async def law():
            async def load(keys):
                ends.append(asyncio.get_running_loop().create_task(loader.shutdown()))
                await turns(3)
                return keys

            ends: list = []
            loader = DataLoader(load)
            future = loader.load(1)
            await asyncio.wait([future], timeout=5)
            assert future.done()
            await asyncio.wait(ends, timeout=5)
            await turns(5)
            assert loader.is_idle
            assert loader.closed

        run(law)
