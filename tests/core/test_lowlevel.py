"""What engines ask of loaders: `dloader.lowlevel`."""

from typing import Annotated, ClassVar

import pytest
from loops import Recorder

from dloader import DataLoader, manual
from dloader.lowlevel import AskedSince, ask_many, parameters_of


class TestAskedSince:
    def test_it_counts_keys_and_those_who_joined(self, run):
        async def law():
            loader = DataLoader(Recorder(), dispatch=manual())
            asked = AskedSince([loader])
            futures = [loader.load(1), loader.load(2), loader.load(1)]
            assert asked.count() == 3
            loader.dispatch()
            assert [await future for future in futures] == [10, 20, 10]

        run(law)

    def test_it_cannot_tell_once_several_batches_were_opened(self, run):
        """Their sizes are not kept."""

        async def law():
            loader = DataLoader(Recorder(), max_batch_size=1)
            asked = AskedSince([loader])
            futures = [loader.load(key) for key in (1, 2, 3)]
            assert asked.count() is None
            assert [await future for future in futures] == [10, 20, 30]

        run(law)

    def test_it_finds_the_batch_that_a_key_has_filled(self, run):
        """It has closed at once, and nothing is open any more."""

        async def law():
            loader = DataLoader(Recorder(), max_batch_size=2)
            futures = [loader.load(1)]
            asked = AskedSince([loader])
            assert asked.batches() == []
            futures.append(loader.load(2))
            (batch,) = asked.batches()
            assert batch.size == 2
            assert asked.count() is None
            assert [await future for future in futures] == [10, 20]

        run(law)


class TestListeners:
    def test_one_that_raises_keeps_no_other_asleep(self, run):
        """What it raises is told in the end."""

        async def law():
            def fails():
                raise ValueError("no")

            called = []
            loader = DataLoader(Recorder())
            many = ask_many(loader, [1])
            (batch,) = many.batches
            for listener in (fails, lambda: called.append(1), fails):
                batch.on_end(listener)
            assert await many.future == [10]
            assert called == [1]
            assert loader.is_idle

        run(law)
        (report,) = run.take_reports()
        assert str(report["exception"]) == "no"


class TestWhatIsNew:
    @pytest.mark.parametrize("before", [0, 1, 3], ids=lambda n: f"{n} before")
    def test_a_batch_that_was_opened_since_is_found(self, run, before):
        async def law():
            loader = DataLoader(Recorder())
            for key in range(before):
                await loader.load(key)
            asked = AskedSince([loader])
            future = loader.load(9)
            assert [batch.keys for batch in asked.batches()] == [[9]]
            assert await future == 90

        run(law)

    def test_class_variables_are_no_parameters(self):
        class Users(DataLoader[int, int]):
            tenant: int
            known: ClassVar
            counted: ClassVar[int]
            noted: Annotated[ClassVar[int], "a note"]

        assert parameters_of(Users) == {"tenant": False}
