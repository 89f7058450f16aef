"""What callers see of a failure, and who is told when nobody looks."""

import asyncio
import gc
import logging
import traceback

import pytest
from loops import Recorder, turns

from dloader import DataLoader


class Boom(Exception):
    """A failure of the user's own."""


class OddSignature(ValueError):
    """An exception whose constructor cannot be called with its args."""

    def __init__(self, code, *, reason):
        super().__init__(f"{code}: {reason}")
        self.code, self.reason = code, reason


class OddNew(Exception):
    """An exception with a __new__ of its own."""

    def __new__(cls, required, also):
        return super().__new__(cls, required)

    def __init__(self, required, also):
        super().__init__(required)


class Slotted(Exception):
    """An exception that keeps something where no copy looks for it."""

    __slots__ = ("code",)

    def __init__(self, code=0):
        super().__init__()
        self.code = code


class Comparing(Exception):
    """An exception whose argument cannot be compared."""


class NoTruth:
    """As a numpy array."""

    def __eq__(self, other):
        raise ValueError("truth value is ambiguous")

    __hash__ = None


class TestEachCallersOwn:
    @staticmethod
    async def caught_by(name, future):
        """Await the future in a frame that shows in the traceback by its argument."""
        try:
            await future
        except Exception as error:
            return error, [frame.f_locals.get("name") for frame, _ in traceback.walk_tb(error.__traceback__)]

    @pytest.mark.parametrize("way", ["raised", "returned", "primed", "cached", "kept by the batch function"])
    def test_one_exception_object_never_shows_one_caller_anothers_traceback(self, run, way):
        """Nor does it grow with every caller, or every batch."""

        async def law():
            kept = Boom("one object")

            def answer(keys):
                if way in ("raised", "cached"):
                    raise Boom("raised")
                return [kept] * len(keys)

            loader = DataLoader(Recorder(answer), cache_errors=way == "cached")
            if way == "primed":
                loader.prime(1, kept)
            seen = []
            for _ in range(2):
                asked = [("ann", loader.load(1)), ("bob", loader.load(1)), ("cyd", loader.load_many([1]))]
                asked += [("dan", loader.load_many([1], return_exceptions=True))]
                for name, future in asked[:3]:
                    error, names = await self.caught_by(name, future)
                    assert type(error) is Boom
                    assert [other for other in names if other in ("ann", "bob", "cyd")] == [name]
                    seen.append(error)
                [error] = await asked[3][1]
                seen.append(error)
            assert len({id(error) for error in seen}) == 8
            assert kept.__traceback__ is None
            assert not hasattr(kept, "__notes__")
            assert all(len(getattr(error, "__notes__", ())) <= 1 for error in seen)

        run(law)

    @pytest.mark.parametrize(
        "error",
        [
            pytest.param(Boom("a", 1), id="plain"),
            pytest.param(OddSignature(4, reason="odd"), id="constructor of its own"),
            pytest.param(OSError(2, "no such file", "name"), id="OSError"),
            pytest.param(UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"), id="UnicodeDecodeError"),
            pytest.param(ExceptionGroup("group", [Boom(1)]), id="ExceptionGroup"),
            pytest.param(KeyError("key"), id="KeyError"),
            pytest.param(Comparing(NoTruth()), id="argument without truth"),
        ],
    )
    def test_each_callers_exception_says_all_that_the_original_said(self, run, error):
        """Type, arguments, attributes, notes, cause and context."""

        async def law():
            error.__cause__ = cause
            error.extra = "kept"
            one, two = await asyncio.gather(loader.load(1), loader.load(1), return_exceptions=True)
            assert one is not two
            for other in (one, two):
                assert type(other) is type(error)
                assert all(mine is its for mine, its in zip(other.args, error.args, strict=True))
                assert str(other) == str(error) or isinstance(error, Comparing)
                assert other.__cause__ is cause
                assert other.__suppress_context__ is True
                assert other.extra == "kept"
                assert vars(other).keys() - {"__notes__"} == vars(error).keys() - {"__notes__"}
                assert other.__notes__ == ["for key 1 of loader 'Recorder'"]

        cause = RuntimeError("cause")
        loader = DataLoader(Recorder(lambda keys: [error]))
        run(law)

    @pytest.mark.parametrize("error", [OddNew(1, 2), Slotted(5)])
    def test_what_cannot_be_copied_faithfully_is_shared(self, run, error):
        """Sharing beats failing, and beats losing what it says."""

        async def law():
            loader = DataLoader(Recorder(lambda keys: [error]))
            one, two = await asyncio.gather(loader.load(1), loader.load(1), return_exceptions=True)
            assert type(one) is type(two) is type(error)
            assert getattr(one, "code", 5) == 5

        run(law)

    def test_a_raised_error_names_the_batch_and_the_loader(self, run):
        """In a note: its type and message stay the user's."""

        async def law():
            loader = DataLoader(Recorder(lambda keys: 1 // 0), name="users")
            with pytest.raises(ZeroDivisionError) as caught:
                await loader.load_many([1, 2])
            assert caught.value.__notes__ == ["in batch 1 of loader 'users' (keys: 2)"]
            assert "<lambda>" in "".join(traceback.format_tb(caught.value.__traceback__))

        run(law)

    def test_a_failing_key_does_not_share_its_note_with_the_others(self, run):
        """One object for a thousand keys: a note each, in time that does not grow with their square."""

        async def law():
            kept = Boom()
            loader = DataLoader(Recorder(lambda keys: [kept] * len(keys)))
            errors = await loader.load_many(range(1000), return_exceptions=True)
            assert [error.__notes__ for error in errors[:2]] == [
                ["for key 0 of loader 'Recorder'"],
                ["for key 1 of loader 'Recorder'"],
            ]

        run(law)


class TestWhoIsTold:
    @pytest.mark.parametrize("whole", [False, True])
    def test_a_failure_that_nobody_awaited_is_reported_once_per_batch(self, run, whole):
        """However many keys and callers; and it names the loader."""

        async def law():
            def answer(keys):
                if whole:
                    raise Boom
                return [Boom(key) for key in keys]

            loader = DataLoader(Recorder(answer), 3, name="users")
            futures = [loader.load(key) for key in range(6)] + [loader.load_many([0, 5])]
            await turns(8)
            assert all(future.done() for future in futures)
            futures.clear()
            gc.collect()

        run(law)
        reports = run.take_reports()
        assert len(reports) == 2
        assert isinstance(reports[0]["exception"], Boom)
        assert "'users'" in reports[0]["exception"].__notes__[0]

    def test_a_failure_that_somebody_looked_at_is_reported_only_for_the_others(self, run):
        """Each caller is responsible for their own future."""

        async def law():
            loader = DataLoader(Recorder(lambda keys: 1 // 0))
            one, two = loader.load(1), loader.load(1)
            with pytest.raises(ZeroDivisionError):
                await one
            del two
            gc.collect()
            assert len(run.take_reports()) == 1
            with pytest.raises(ZeroDivisionError):
                await loader.load(1)

        run(law)

    def test_nothing_is_reported_when_everybody_looked(self, run):
        """Or left before."""

        async def law():
            loader = DataLoader(Recorder(lambda keys: 1 // 0, turns=2))
            one, gone, many = loader.load(1), loader.load(1), loader.load_many([1, 2])
            await turns(6)
            gone.cancel()
            assert isinstance((await asyncio.gather(one, return_exceptions=True))[0], ZeroDivisionError)
            assert isinstance(many.exception(), ZeroDivisionError)
            with pytest.raises(asyncio.CancelledError):
                gone.exception()

        run(law)


class TestLogs:
    def test_nothing_is_logged_in_good_times(self, run, caplog):
        """The logger is for what nobody can be told otherwise."""

        async def law():
            loader = DataLoader(Recorder())
            await asyncio.gather(loader.load(1), loader.load_many([1, 2]))

        with caplog.at_level(logging.DEBUG, logger="dloader"):
            run(law)
        assert not [record for record in caplog.records if record.name == "dloader"]
