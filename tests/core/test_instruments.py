"""Instruments see what a loader does; they cannot do it any harm."""

import asyncio

import pytest
from loops import Recorder, turns

from dloader import BatchInfo, DataLoader, Instrument, manual


class Log(Instrument):
    """Writes down what it is told."""

    def __init__(self):
        self.events = []

    def load_requested(self, loader, key, source):
        self.events.append(("requested", key, source))

    def batch_opened(self, batch):
        self.events.append(("opened", batch.number, batch.keys))

    def batch_started(self, batch):
        self.events.append(("started", batch.number, batch.keys))

    def batch_finished(self, batch, error):
        self.events.append(("finished", batch.number, error))


class TestInstruments:
    def test_they_see_loads_and_batches_in_their_order(self, run):
        """Where each answer comes from, and when batches open, start and end."""

        async def law():
            log = Log()
            loader = DataLoader(Recorder(), instruments=[log])
            await asyncio.gather(loader.load(1), loader.load(1), loader.load_many([1, 2]))
            await asyncio.gather(loader.load(1), loader.load_many([2]))
            assert log.events == [
                ("opened", 1, ()),
                ("requested", 1, "batch"),
                ("requested", 1, "pending"),
                ("requested", 1, "pending"),
                ("requested", 2, "batch"),
                ("started", 1, (1, 2)),
                ("finished", 1, None),
                ("requested", 1, "cache"),
                ("requested", 2, "cache"),
            ]

        run(law)

    @pytest.mark.parametrize("error", [ValueError(), asyncio.CancelledError()])
    def test_they_see_what_a_batch_failed_with(self, run, error):
        """As it was raised."""

        async def law():
            def answer(keys):
                raise error

            log = Log()
            loader = DataLoader(Recorder(answer), instruments=[log])
            await asyncio.gather(loader.load(1), return_exceptions=True)
            await turns(1)
            assert log.events[-1] == ("finished", 1, error)

        run(law)

    def test_they_run_in_the_task_of_the_batch(self, run):
        """So that a span opened there is the parent of what the batch function does."""

        async def law():
            class Tasks(Instrument):
                def batch_started(self, batch):
                    tasks.append(asyncio.current_task())

                def batch_finished(self, batch, error):
                    tasks.append(asyncio.current_task())

            async def load(keys):
                tasks.append(asyncio.current_task())
                return keys

            tasks: list = []
            await DataLoader(load, instruments=[Tasks()]).load(1)
            assert len(tasks) == 3
            assert len(set(tasks)) == 1
            assert tasks[0] is not asyncio.current_task()

        run(law)

    @pytest.mark.parametrize("hook", ["load_requested", "batch_opened", "batch_started", "batch_finished"])
    def test_one_that_raises_is_logged_and_removed(self, run, caplog, hook):
        """The load goes on, and so do the others."""

        async def law():
            class Broken(Instrument):
                pass

            def fail(*args):
                calls.append(args)
                raise ValueError("broken")

            setattr(Broken, hook, fail)
            calls: list = []
            log = Log()
            loader = DataLoader(Recorder(), name="users", instruments=[Broken(), log])
            assert await asyncio.gather(loader.load(1), loader.load(2), loader.load_many([1, 3])) == [
                10,
                20,
                [10, 30],
            ]
            assert len(log.events) == 7
            assert await loader.load(4) == 40
            assert len(log.events) == 11
            assert len(calls) == 1

        run(law)
        [record] = caplog.records
        assert "'users'" in record.getMessage()
        assert hook in record.getMessage()

    def test_a_batch_that_one_closes_is_none_of_the_policy_s_business(self, run):
        """Of the others it still is."""

        async def law():
            class Hasty(Instrument):
                def batch_opened(self, batch: BatchInfo):
                    if batch.number == 1:
                        batch.loader.dispatch()

            opened: list = []

            def policy(batch):
                opened.append(batch.number)
                batch.close()

            loader = DataLoader(Recorder(), dispatch=policy, instruments=[Hasty()])
            assert await loader.load(1) == 10
            assert await loader.load(2) == 20
            assert len(opened) == 1

        run(law)

    def test_one_may_watch_several_loaders(self, run):
        """It is told which; and one that overrides nothing is fine."""

        async def law():
            seen: list = []

            class Names(Instrument):
                def batch_started(self, batch: BatchInfo):
                    seen.append((batch.loader.name, batch.number))

            names = Names()
            one = DataLoader(Recorder(), name="one", instruments=[names, Instrument()])
            two = DataLoader(Recorder(), name="two", instruments=(Instrument(), names))
            await asyncio.gather(one.load(1), two.load_many([1, 2]))
            assert sorted(seen) == [("one", 1), ("two", 1)]

        run(law)

    def test_one_may_be_added_later(self, run):
        """It sees what happens from then on."""

        async def law():
            log = Log()
            loader = DataLoader(Recorder())
            await loader.load(1)
            loader.add_instrument(log)
            await loader.load(2)
            assert log.events[0] == ("opened", 2, ())

        run(law)

    def test_a_batch_that_never_ran_is_not_said_to_have_started_or_ended(self, run):
        """It was opened, and everybody left."""

        async def law():
            log = Log()
            loader = DataLoader(Recorder(), instruments=[log], dispatch=manual())
            loader.load(1).cancel()
            loader.dispatch()
            await turns(3)
            assert [event[0] for event in log.events] == ["opened", "requested"]

        run(law)
