"""Who watches a block of code is told of each batch that it opens: once when it opens, once when it has ended."""

import asyncio
import gc
from contextlib import contextmanager
from contextvars import ContextVar
from weakref import ref

import pytest
from loops import KINDS, Recorder, turns

from dloader import (
    BatchAbortedError,
    DataLoader,
    Instrument,
    LoaderRegistry,
    RepeatedLoadError,
    current_batch,
    delay,
    eager,
    manual,
    settle,
    watch,
)
from dloader.instruments import everywhere
from dloader.lowlevel import (
    KeyCount,
    close_open_batch,
    dispatch_policy_of,
    note_duplicates,
    note_statement,
)


class Log(Instrument):
    """Keeps the records that it is given, and what else it is told."""

    def __init__(self):
        self.opened = []
        self.ended = []
        self.values = []
        self.told = []

    def record_opened(self, record):
        assert record.outcome == ""
        self.opened.append(record)

    def batch_ended(self, record):
        self.ended.append(record)
        self.values.append(list(record.values))

    def loader_made(self, loader):
        self.told.append(("made", loader.name))

    def keys_forgotten(self, loader, keys):
        self.told.append(("forgotten", loader.name, keys))

    def load_requested(self, loader, key, source):
        raise AssertionError("nothing is told of single loads to who watches a block")

    def all_have_ended(self):
        return sorted(map(id, self.opened)) == sorted(map(id, self.ended))


class TestScope:
    def test_loaders_made_before_and_elsewhere_are_seen_and_only_in_the_block(self, run):
        async def law():
            early = DataLoader(Recorder(), name="early")
            log = Log()
            async with LoaderRegistry() as loaders:
                with watch(log):
                    await early.load(1)
                    await loaders.get(Recorder()).load(1)
                    await asyncio.create_task(use(early))
                await early.load(9)
            assert [record.loader.name for record in log.ended] == ["early", "Recorder", "early"]
            assert [len(record.keys) for record in log.ended] == [1, 1, 2]
            assert log.all_have_ended()

        async def use(loader):
            return await loader.load_many([4, 5])

        run(law)

    def test_two_requests_never_see_each_other(self, run):
        async def law():
            shared = DataLoader(Recorder(), dispatch=eager())

            async def request(key):
                log = Log()
                with watch(log):
                    for step in range(3):
                        await shared.load((key, step))
                        await turns(key)
                return log

            logs = await asyncio.gather(request(1), request(5))
            for log in logs:
                assert log.all_have_ended()
            assert {id(record) for record in logs[0].ended}.isdisjoint(map(id, logs[1].ended))
            assert sum(len(record.keys) for log in logs for record in log.ended) == 6

        run(law)

    def test_one_that_is_named_twice_is_told_once(self, run):
        log = Log()

        async def law():
            with watch(log, log):
                assert await DataLoader(Recorder()).load(1) == 10

        run(law)
        assert len(log.opened) == len(log.ended) == 1

    def test_blocks_nest_and_an_instrument_is_told_once(self, run):
        async def law():
            outer, inner = Log(), Log()
            loader = DataLoader(Recorder(), instruments=[])
            with watch(outer):
                await loader.load(1)
                with watch(inner, outer):
                    await loader.load(2)
                await loader.load(3)
            assert [record.number for record in outer.ended] == [1, 2, 3]
            assert [record.number for record in inner.ended] == [2]

        run(law)

    def test_an_instrument_of_a_loader_hears_of_its_batches_and_of_nothing_else(self, run):
        class Ends(Instrument):
            def batch_ended(self, record):
                ended.append((record.loader.name, record.keys))

        ended: list = []

        async def law():
            one, two = DataLoader(Recorder(), name="one", instruments=[Ends()]), DataLoader(Recorder())
            await asyncio.gather(one.load(1), one.load(2), two.load(3))
            assert ended == [("one", (1, 2))]
            ended.clear()
            one.clear(1)

        run(law)

    def test_an_instrument_everywhere_sees_all_contexts(self, run):
        async def law():
            log, scoped = Log(), Log()
            loader = DataLoader(Recorder())
            everywhere.append(log)
            try:
                with watch(scoped):
                    await loader.load(1)
                await loader.load(2)
            finally:
                everywhere.remove(log)
            await loader.load(3)
            assert [record.number for record in log.ended] == [1, 2]
            assert [record.number for record in scoped.ended] == [1]

        run(law)

    def test_a_block_that_ends_in_another_context_ends(self, run):
        """As that of a generator that is closed by somebody else."""

        async def law():
            log, outer = Log(), Log()
            loader = DataLoader(Recorder())

            @contextmanager
            def watched():
                with watch(log):
                    yield

            block = watched()

            async def begin():
                block.__enter__()
                await loader.load(1)

            await asyncio.create_task(begin())
            with watch(outer, log):
                block.__exit__(None, None, None)
                await loader.load(2)
            assert [record.number for record in log.ended] == [1]
            assert [record.number for record in outer.ended] == [2]
            watch(log).__exit__(None, None, None)  # one that never began

        run(law)

    def test_they_are_told_of_loaders_made_and_keys_forgotten(self, run):
        async def law():
            log = Log()
            with watch(log):
                loader = DataLoader(Recorder(), name="users")
                loader.prime(1, 2).clear(3).clear_all()
                DataLoader(Recorder(), name="uncached", cache=False).prime(1, 2)
            loader.clear(4)
            assert log.told == [
                ("made", "users"),
                ("forgotten", "users", (1,)),
                ("forgotten", "users", (3,)),
                ("forgotten", "users", None),
                ("made", "uncached"),
            ]

        run(law)

    @pytest.mark.parametrize("hook", ["record_opened", "batch_ended", "loader_made", "keys_forgotten"])
    def test_one_that_raises_is_logged_and_removed(self, run, caplog, hook):
        async def law():
            def fail(*args):
                raise ValueError("broken")

            broken, log = Instrument(), Log()
            setattr(broken, hook, fail)
            with watch(broken, log):
                loader = DataLoader(Recorder(), name="users")
                for key in range(3):
                    assert await loader.clear(9).load(key) == key * 10
            assert len(log.ended) == 3

        run(law)
        [record] = caplog.records
        assert "'users'" in record.getMessage()
        assert hook in record.getMessage()

    @pytest.mark.parametrize("hook", ["record_opened", "batch_ended"])
    def test_one_of_a_loader_that_raises_is_removed_too(self, run, caplog, hook):
        async def law():
            def fail(*args):
                raise ValueError("broken")

            broken = Instrument()
            setattr(broken, hook, fail)
            loader = DataLoader(Recorder(), instruments=[broken])
            assert [await loader.load(key) for key in range(3)] == [0, 10, 20]

        run(law)
        assert len(caplog.records) == 1


class TestEnds:
    """Each batch that was opened ends once, however it ends."""

    def test_it_returned(self, run):
        async def law():
            log = Log()
            with watch(log):
                loader = DataLoader(Recorder(lambda keys: [key or KeyError(key) for key in keys]))
                await asyncio.gather(*map(loader.load, (0, 1, 1, 2)), return_exceptions=True)
            [record] = log.ended
            assert (record.outcome, record.keys, record.failed, record.merged) == (
                "returned",
                (0, 1, 2),
                1,
                1,
            )
            assert log.values[0][1:] == [1, 2]
            assert record.values == ()
            assert record.opened <= record.closed <= record.started <= record.ended
            assert record.error is None
            assert log.all_have_ended()

        run(law)

    @pytest.mark.parametrize("error", [ValueError(), asyncio.CancelledError(), GeneratorExit()])
    def test_it_failed(self, run, error):
        async def law():
            def answer(keys):
                raise error

            log = Log()
            with watch(log):
                loader = DataLoader(Recorder(answer))
                await asyncio.gather(loader.load(1), return_exceptions=True)
            [record] = log.ended
            assert (record.outcome, record.error) == ("failed", error)
            assert repr(record) == "<record of batch 1 of Recorder: failed>"

        run(law)

    @pytest.mark.parametrize("when", ["open", "running"])
    def test_everybody_left(self, run, when):
        async def law():
            log = Log()
            gate = asyncio.Event()

            async def load(keys):
                await gate.wait()

            with watch(log):
                loader = DataLoader(load, dispatch=manual())
                future = loader.load(1)
                [record] = log.opened
                assert repr(record).endswith("open>")
                if when == "running":
                    loader.dispatch()
                    await turns(2)
                    assert repr(record).endswith("running>")
                future.cancel()
                loader.dispatch()
                await turns(4)
            assert log.ended == [record]
            assert (record.outcome, record.why) == ("left", "manual")
            assert bool(record.started) == (when == "running")
            assert loader.is_idle

        run(law)

    @pytest.mark.parametrize("how", ["shutdown", "registry", "while waiting for a place"])
    def test_the_loader_was_closed(self, run, how):
        async def law():
            log = Log()
            gate = asyncio.Event()

            async def load(keys):
                await gate.wait()

            with watch(log):
                loaders = LoaderRegistry()
                loader = loaders.add(load, DataLoader(load, 1, max_concurrency=1, dispatch=manual()))
                futures = [loader.load(key) for key in range(3)]
                await turns(2)
                assert repr(log.opened[1]).endswith("closed>")
                if how == "registry":
                    await loaders.aclose()
                else:
                    await loader.shutdown()
                await asyncio.gather(*futures, return_exceptions=True)
            assert [record.outcome for record in log.ended] == ["shut_down"] * 3
            assert [bool(record.started) for record in sorted(log.ended, key=lambda r: r.number)] == [
                True,
                False,
                False,
            ]
            assert log.all_have_ended()

        run(law)

    def test_it_was_open_when_the_loader_was_closed(self, run):
        async def law():
            log = Log()
            with watch(log):
                loader = DataLoader(Recorder(), dispatch=manual())
                future = loader.load(1)
                await loader.shutdown()
            [record] = log.ended
            assert (record.outcome, record.why, record.closed) == ("shut_down", "", 0)
            assert future.cancelled()

        run(law)

    def test_its_loop_was_closed(self):
        log = Log()
        loader = DataLoader(Recorder(), dispatch=manual())

        async def leave():
            with watch(log):
                loader.load(1)

        asyncio.run(leave())

        async def again():
            with watch(log):
                other = loader.load(1)
                loader.dispatch()
                return await other

        assert asyncio.run(again()) == 10
        assert [record.outcome for record in log.ended] == ["lost", "returned"]

    def test_what_it_was_given_could_not_be_delivered(self, run):
        """A user's object raised where nothing may."""

        class Key:
            broken = False

            def __hash__(self):
                if self.broken:
                    raise ValueError("unhashable by now")
                return 1

        async def law():
            log = Log()
            key = Key()

            async def load(keys):
                key.broken = True
                return [1, 2]

            with watch(log):
                loader = DataLoader(load)
                done = await asyncio.gather(loader.load(key), loader.load(2), return_exceptions=True)
            assert log.all_have_ended()
            assert len(done) == 2
            await turns(2)

        run(law)

    @pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit])
    def test_ctrl_c_in_the_hook_leaves_nobody_waiting(self, raised):
        class Exits(Instrument):
            def batch_ended(self, record):
                if not seen:
                    seen.append(record)
                    raise raised

        seen: list = []
        loader = DataLoader(Recorder())
        futures: list = []

        async def ask():
            with watch(Exits()):
                futures.extend([loader.load(1), loader.load_many([2, 3])])
                await asyncio.sleep(60)

        with pytest.raises(raised):
            asyncio.run(ask())
        assert len(seen) == 1
        for future in futures:
            assert isinstance(future.exception(), BatchAbortedError)


class TestWhy:
    @pytest.mark.parametrize(
        ("options", "busy", "why"),
        [
            pytest.param({}, 0, "idle", id="idle"),
            pytest.param({}, 50, "quiet", id="quiet"),
            pytest.param({"dispatch": settle(most=3)}, 50, "most", id="most"),
            pytest.param({"dispatch": eager()}, 0, "policy", id="eager"),
            pytest.param({"dispatch": delay(0)}, 0, "policy", id="delay"),
            pytest.param({"max_batch_size": 1}, 0, "full", id="full"),
        ],
    )
    def test_a_batch_says_why_it_closed(self, options, busy, why):
        async def law():
            log = Log()
            with watch(log):
                loader = DataLoader(Recorder(), **options)
                task = asyncio.create_task(turns(busy))
                await loader.load(1)
                await task
            assert [record.why for record in log.ended] == [why]

        asyncio.run(law())

    @pytest.mark.parametrize("why", ["draining", "manual", "resolver"])
    def test_somebody_closed_it(self, run, why):
        async def law():
            log = Log()
            with watch(log):
                loader = DataLoader(Recorder(), dispatch=manual())
                future = loader.load(1)
                if why == "draining":
                    await loader.aclose(drain=True)
                elif why == "manual":
                    loader.dispatch()
                else:
                    close_open_batch(loader, "resolver")
                assert await future == 10
                close_open_batch(loader, "resolver")  # there is none
            assert [record.why for record in log.ended] == [why]

        run(law)

    def test_what_stands_in_for_a_batch_need_not_know(self, run):
        """A policy of the user's may give `settle` something of its own."""

        class Spy:
            def __init__(self, batch):
                self._batch, self.loop = batch, batch.loop

            size = property(lambda self: self._batch.size)
            is_open = property(lambda self: self._batch.is_open)

            def close(self):
                self._batch.close()

        async def law():
            log = Log()
            with watch(log):
                await DataLoader(Recorder(), dispatch=lambda batch: settle()(Spy(batch))).load(1)
            assert [record.why for record in log.ended] == ["policy"]

        run(law)


class TestInside:
    def test_a_batch_knows_the_one_whose_function_asked_for_it(self, run):
        async def law():
            inner = DataLoader(Recorder(), name="inner")

            async def load(keys):
                assert current_batch().loader.name == "outer"
                note_statement()
                await asyncio.create_task(statement())
                return await inner.load_many(keys)

            async def statement():
                assert current_batch().keys == (1,)
                note_statement()

            log = Log()
            outer = DataLoader(load, name="outer")
            with watch(log):
                await outer.load(1)
            first, second = log.ended
            assert first.loader.name == "inner"
            assert first.inside is second
            assert second.inside is None
            assert (first.statements, second.statements) == (0, 2)
            note_statement()
            assert current_batch() is None

        run(law)

    def test_nobody_watches(self, run):
        """Then nothing is written down, and who asks is told the truth."""

        async def law():
            async def load(keys):
                note_statement()
                seen.append(current_batch())
                later.append(asyncio.create_task(afterwards()))
                return keys

            async def afterwards():
                await turns(3)
                note_statement()
                return current_batch()

            seen: list = []
            later: list = []
            await DataLoader(load, name="users").load_many([1, 2])
            assert (seen[0].loader.name, seen[0].number, seen[0].keys) == ("users", 1, (1, 2))
            assert await later[0] is None

        run(law)

    def test_a_record_keeps_nothing_that_was_loaded(self, run):
        async def law():
            class Row:
                pass

            async def load(keys):
                return [Row() for _ in keys]

            log = Instrument()
            log.batch_ended = records.append
            with watch(log):
                loader = DataLoader(load, cache=False)
                row = ref(await loader.load(1))
            await turns(1)  # asyncio itself holds what it woke this task with
            gc.collect()
            assert row() is None

        records: list = []
        run(law)
        assert len(records) == 1

    def test_batches_of_partitions_end_once_too(self, run):
        async def law():
            tenant = ContextVar("tenant", default="blue")
            log = Log()
            with watch(log):
                loader = DataLoader(Recorder(), partition=tenant.get, dispatch=manual())
                futures = [loader.load(1)]
                tenant.set("red")
                futures.append(loader.load(1))
                loader.dispatch()
                assert await asyncio.gather(*futures) == [10, 10]
                _ = loader.load(2)
                await loader.shutdown()
            assert [record.outcome for record in log.ended] == ["returned", "returned", "shut_down"]
            assert [record.keys for record in log.ended] == [(1,), (1,), (2,)]
            assert [record.number for record in log.opened] == [1, 2, 3]

        run(law)


class TestRefusal:
    @pytest.mark.parametrize("many", [False, True])
    @pytest.mark.parametrize("partition", [None, lambda: "blue"])
    def test_a_strict_instrument_may_refuse_a_batch(self, run, many, partition):
        class Strict(Instrument):
            def record_opened(self, record):
                if refuses:
                    raise RepeatedLoadError("once is enough")

        async def law():
            nonlocal refuses
            loader = DataLoader(Recorder(), partition=partition)
            with watch(Strict()):
                with pytest.raises(RepeatedLoadError, match="once is enough"):
                    _ = loader.load_many([1, 2]) if many else loader.load(1)
                assert loader.is_idle
                refuses = False
                assert await loader.load_many([1, 2]) == [10, 20]
            assert loader.statistics.batches == 1

        refuses = True
        run(law)


class TestCosts:
    @pytest.mark.parametrize("run", KINDS, indirect=True)  # where every load is checked, each gets its own
    def test_who_watches_batches_leaves_the_short_way_on(self, run):
        """Loads are written out in `load` as long as nobody overrides `load_requested`."""

        class Batches(Instrument):
            def batch_ended(self, record):
                pass

        class Loads(Instrument):
            def load_requested(self, loader, key, source):
                asked.append(source)

        async def law():
            loader = DataLoader(Recorder(), instruments=[Batches()])
            with watch(Batches()):
                await loader.load(1)
                assert loader.load(1) is loader.load(1)  # what is cached is not even told
            loader.add_instrument(Loads())
            await loader.load(1)
            assert asked == ["cache"]

        asked: list = []
        run(law)

    def test_nothing_is_written_when_nobody_watches(self, run):
        async def law():
            loader = DataLoader(Recorder(), instruments=[Instrument()])
            await loader.load(1)
            pending = loader._dloader_pending
            assert pending.hooks.records == {}
            hooks = pending.hooks
            assert [hooks.of_loads, hooks.of_batches, hooks.of_records] == [False] * 3

        run(law)

    def test_duplicates_are_counted_as_merged(self, run):
        async def law():
            loader = DataLoader(Recorder(), dispatch=eager())
            await loader.load_many([1, 1, 2, 1])
            await loader.load_many([1, 1])
            note_duplicates(loader, 5)
            assert loader.statistics.merged == 8
            assert loader.statistics.loads == 2 + 1 + 8
            counting = KeyCount(loader)
            _ = loader.load(1), loader.load(1), loader.load_many([5, 6, 6])
            assert counting.counts() == (5, 4, 2)
            assert counting.batches() == [(loader, 2)]
            _ = loader.load(5)
            assert KeyCount(loader).counts() == (0, 0, 0)
            assert repr(dispatch_policy_of(loader)) == "eager()"

        run(law)


class TestOneBlockObject:
    """`watch(...)` that is kept, and entered more than once at the same time."""

    async def load(self, count):
        for key in range(count):
            await DataLoader(load_twice).load(key)

    def test_within_itself(self, run):
        async def law():
            seen = Ends()
            block = watch(seen)
            with block:
                with block:
                    await self.load(1)
                await self.load(1)
            await self.load(1)
            assert seen.count == 2

        run(law)

    @pytest.mark.parametrize("counts", [(1, 3), (3, 1)], ids=str)
    def test_in_several_tasks_which_leave_in_any_order(self, run, counts):
        async def law():
            seen = Ends()
            block = watch(seen)

            async def work(count):
                with block:
                    await self.load(count)
                await self.load(1)

            await asyncio.gather(*map(work, counts))
            assert seen.count == sum(counts)

        run(law)


class Ends(Instrument):
    def __init__(self):
        self.count = 0

    def batch_ended(self, record):
        self.count += 1


async def load_twice(keys):
    return [key * 2 for key in keys]
