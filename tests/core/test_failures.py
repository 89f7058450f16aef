"""What callers see of a failure, and who is told when nobody looks."""

import asyncio
import gc
import logging
import traceback
import weakref
from dataclasses import dataclass

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


class OwnCopy(OSError):
    """An exception that is copied as it says itself."""

    def __copy__(self):
        return self.make()


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

    @pytest.mark.parametrize("copied", [lambda: OSError(5, "no"), lambda: OwnCopy(5), lambda: 1 // 0])
    def test_one_whose_own_copy_lacks_something_is_shared_as_it_is(self, run, copied):
        async def law():
            error = OwnCopy(5, "no")
            error.make = copied
            loader = DataLoader(Recorder(lambda keys: [error]))
            assert await asyncio.gather(loader.load(1), loader.load(1), return_exceptions=True) == [
                error,
                error,
            ]

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


class TestUnseenErrors:
    @pytest.mark.parametrize("way", ["cached", "primed"])
    def test_of_the_cache_are_not_reported(self, run, way):
        """A failure is told about once, and what was primed is no failure."""

        async def law():
            loader = DataLoader(Recorder(lambda keys: [Boom()] * len(keys)), cache_errors=True)
            if way == "primed":
                loader.prime(1, Boom())
            else:
                with pytest.raises(Boom):
                    await loader.load(1)
            for _ in range(3):
                loader.load(1)
                loader.load_many([1])
            gc.collect()
            for future in (loader.load(1), loader.load_many([1])):
                with pytest.raises(Boom):
                    await future

        run(law)


class TestErrorsThatNobodySaw:
    """Each kind of error that the batch function gave is reported once, if nobody ever looks at it."""

    @staticmethod
    async def _failed(answer, ask):
        loader = DataLoader(Recorder(answer))
        futures = ask(loader)
        await turns(10)
        assert loader.is_idle
        return futures

    def test_another_one_is_reported_though_the_first_was_seen(self, run):
        async def law():
            errors = {1: ValueError("no such user"), 2: OSError("disk on fire")}

            def ask(loader):
                return [loader.load(1), loader.load(2)]

            one, two = await self._failed(lambda keys: [errors[key] for key in keys], ask)
            with pytest.raises(ValueError, match="no such user"):
                await one
            del one, two

        run(law)
        assert [str(report["exception"]) for report in run.take_reports()] == ["disk on fire"]

    @pytest.mark.parametrize("whole", [False, True], ids=["of each key", "of the batch"])
    def test_one_of_many_keys_and_callers_is_reported_once(self, run, whole):
        async def law():
            error = ValueError("down")

            def answer(keys):
                if whole:
                    raise error
                return [error for _ in keys]

            def ask(loader):
                return [loader.load(1), loader.load(1), loader.load(2), loader.load_many([2, 3])]

            futures = await self._failed(answer, ask)
            futures.clear()

        run(law)
        assert [str(report["exception"]) for report in run.take_reports()] == ["down"]

    def test_it_is_not_reported_once_the_last_to_ask_has_looked(self, run):
        async def law():
            error = ValueError("down")

            def ask(loader):
                return [loader.load(1), loader.load(2)]

            futures = await self._failed(lambda keys: [error for _ in keys], ask)
            with pytest.raises(ValueError, match="down"):
                await futures.pop()
            futures.clear()

        run(law)

    def test_each_of_several_is_reported_whoever_shares_it(self, run):
        async def law():
            a, b = ValueError("a"), OSError("b")

            def ask(loader):
                return [
                    loader.load_many([1, 2]),
                    *map(loader.load, range(4)),
                    loader.load_many([0]),
                ]

            futures = await self._failed(lambda keys: [(a, b)[key % 2] for key in keys], ask)
            futures.clear()

        run(law)
        assert sorted(str(report["exception"]) for report in run.take_reports()) == ["a", "b"]

    def test_keys_that_are_missing_are_one_report(self, run):
        """Their errors are made for each key, and say one thing."""

        async def law():

            def ask(loader):
                return [*map(loader.load, range(20))]

            futures = await self._failed(lambda keys: {}, ask)
            futures.clear()

        run(law)
        (report,) = run.take_reports()
        assert "returned no value for key 19" in str(report["exception"])


class Slotted(Exception):
    __slots__ = ("code", "unset")

    def __init__(self, code):
        self.code = code


class SlottedOS(OSError):
    __slots__ = ("code",)


@dataclass(frozen=True)
class Frozen(Exception):
    code: int


class TestCopies:
    """Each caller has an error of its own: no traceback of one is seen by another."""

    @pytest.mark.parametrize("make", [lambda: Slotted(3), lambda: Frozen(3), lambda: _slotted_os()])
    def test_slots_and_frozen_fields_are_copied(self, run, make):
        async def law():
            def answer(keys):
                raise make()

            loader = DataLoader(Recorder(answer))
            one, two = await asyncio.gather(loader.load(1), loader.load(2), return_exceptions=True)
            assert one is not two
            assert one.code == two.code == 3
            assert not hasattr(one, "unset")

        run(law)

    def test_an_attribute_error_keeps_its_object(self, run):
        async def law():
            row = object()
            loader = DataLoader(Recorder(lambda keys: [row.nmae for _ in keys]))
            one, two = await asyncio.gather(loader.load(1), loader.load(2), return_exceptions=True)
            assert one is not two
            assert (one.obj, one.name) == (two.obj, two.name) == (row, "nmae")

        run(law)

    @pytest.mark.parametrize("whole", [False, True], ids=["of each key", "of the batch"])
    def test_a_cached_one_keeps_no_frames(self, run, whole):
        """The rows of the failed batch would stay as long as the loader."""

        class Row:
            pass

        async def law():
            def answer(keys):
                row = Row()
                rows.append(weakref.ref(row))
                try:
                    raise ValueError("no")
                except ValueError as error:
                    if whole:
                        raise
                    return [error for _ in keys]

            rows = []
            loader = DataLoader(Recorder(answer), cache_errors=True)
            for _ in range(2):
                with pytest.raises(ValueError, match="no"):
                    await loader.load(1)
            await turns(2)  # the loop lets go of what it has just called
            gc.collect()
            assert rows[0]() is None
            assert len(rows) == 1
            assert loader.cache_map[1].__traceback__ is None

        run(law)


def _slotted_os():
    error = SlottedOS(5, "no")
    error.code = 3
    return error


class TestMessages:
    def test_stop_iteration_is_named_for_what_it_was(self, run):
        """Futures refuse it: it would end a generator."""

        async def law():
            loader = DataLoader(Recorder(lambda keys: [StopIteration(3) for _ in keys]))
            with pytest.raises(
                RuntimeError, match="the batch function gave StopIteration as the result of a key"
            ):
                await loader.load(1)

        run(law)

    def test_a_cache_key_that_cannot_be_hashed_is_told_apart_from_its_key(self, run):
        async def law():
            loader = DataLoader(Recorder(), name="users", cache_key_fn=lambda key: [key])
            with pytest.raises(
                TypeError, match=r"cannot use the key 1 \(list is not hashable\): cache_key_fn must"
            ):
                loader.load(1)

        run(law)

    @pytest.mark.parametrize(
        ("key", "words"),
        [(None, "None"), ([1], "[1] (list is not hashable)"), ({}, "{} (dict is not hashable)")],
    )
    def test_of_a_key_that_is_none_nothing_else_is_said(self, run, key, words):
        """It could be hashed: it stands for a key that is missing."""

        async def law():
            loader = DataLoader(Recorder(), name="users")
            wanted = f"loader 'users' cannot use the key {words}: pass cache_key_fn= to make one of it"
            for ask in (lambda: loader.load(key), lambda: loader.load_many([1, key])):
                with pytest.raises(TypeError) as caught:
                    ask()
                assert str(caught.value) == wanted

        run(law)
