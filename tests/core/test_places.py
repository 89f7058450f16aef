"""Places under ``max_concurrency``: a batch that waits for others keeps nobody from what it waits for."""

import asyncio
import gc
import random
import weakref

import pytest
from loops import Recorder, turns

from dloader import DataLoader
from dloader._core._ahead import Ahead
from dloader._core._batch import Batch
from dloader._core._wait_graph import Place


def chain_of(loaders, edges, wait=1):
    """Make loaders that load, for each key, what the edges say from other loaders."""

    def function(name):
        async def load(keys):
            await turns(wait)
            for key in keys:
                for other, its_key in edges.get((name, key), ()):
                    await made[other].load(its_key)
            return keys

        return load

    made = {name: DataLoader(function(name), name=name, **options) for name, options in loaders.items()}
    return made


class TestDeadlocks:
    def test_two_loaders_that_ask_each_other(self, run):
        """No key waits for itself, but each waits for the place of one that waits."""

        async def law():
            made = chain_of(
                {"a": {"max_concurrency": 1}, "b": {"max_concurrency": 1}},
                {("a", "top"): [("b", "leaf")], ("b", "top"): [("a", "leaf")]},
            )
            both = asyncio.gather(made["a"].load("top"), made["b"].load("top"))
            assert await asyncio.wait_for(both, 5) == ["top", "top"]
            assert all(loader.is_idle for loader in made.values())

        run(law)

    def test_a_ring_of_three(self, run):
        async def law():
            names = "abc"
            made = chain_of(
                {name: {"max_concurrency": 1, "max_batch_size": 1} for name in names},
                {(name, "top"): [(names[(i + 1) % 3], "leaf")] for i, name in enumerate(names)},
            )
            await asyncio.wait_for(asyncio.gather(*(made[name].load("top") for name in names)), 5)

        run(law)

    def test_an_edge_that_comes_late(self, run):
        """A batch may be queued already when one that runs comes to wait for it, by way of another loader."""

        async def law():
            gates = {name: asyncio.Event() for name in ("b asks", "a asks")}

            async def load_a(keys):
                if keys == [1]:
                    await gates["a asks"].wait()
                    await b.load(9)
                return keys

            async def load_b(keys):
                await gates["b asks"].wait()
                await a.load(2)
                return keys

            a = DataLoader(load_a, max_concurrency=1, max_batch_size=1)
            b = DataLoader(load_b)
            futures = [a.load(1), a.load(2), b.load(9)]
            await turns(10)
            gates["b asks"].set()
            await turns(10)
            gates["a asks"].set()
            assert await asyncio.wait_for(asyncio.gather(*futures), 5) == [1, 2, 9]

        run(law)

    @pytest.mark.parametrize("seed", range(12))
    def test_random_programs_without_a_circle_end(self, run, seed):
        """Keys form a tree, spread over three loaders with few places and one key per batch; some callers leave."""

        async def law():
            draw = random.Random(seed)
            for _ in range(12):
                places = [(draw.choice("abc"), key) for key in range(12)]
                edges = {}
                for index in range(1, 12):
                    edges.setdefault(places[draw.randrange(index)], []).append(places[index])
                made = chain_of(
                    {
                        name: {
                            "max_batch_size": draw.choice([1, 1, 2]),
                            "max_concurrency": draw.choice([1, 2]),
                        }
                        for name in "abc"
                    },
                    edges,
                    draw.randrange(3),
                )
                futures = [made[name].load(key) for name, key in draw.sample(places, 4)]
                for future in futures:
                    if draw.random() < 0.2:
                        await turns(draw.randrange(6))
                        future.cancel()
                await asyncio.wait_for(asyncio.gather(*futures, return_exceptions=True), 10)
                await turns(20)
                for loader in made.values():
                    assert await loader.shutdown() is None

        run(law)


class TestPlaces:
    def test_a_batch_that_all_have_left_may_load_while_it_ends(self, run):
        """It holds its place until its task has ended, and lends it as any other does."""

        async def law():
            audited = []

            async def load(keys):
                if keys != ["slow"]:
                    audited.append(keys)
                    return keys
                try:
                    await asyncio.Event().wait()
                finally:
                    await loader.load("audit")

            loader = DataLoader(load, max_concurrency=1)
            future = loader.load("slow")
            await turns(10)
            future.cancel()
            await turns(10)
            assert await asyncio.wait_for(loader.load("other"), 5) == "other"
            assert ["audit"] in audited
            assert loader.is_idle

        run(law)

    def test_batches_that_work_keep_to_the_limit(self, run):
        """One more starts only while all that run wait."""

        async def law():
            inner = Recorder(turns=3)
            leaves = DataLoader(inner, max_batch_size=1, max_concurrency=2)

            async def load(keys):
                return [sum(await leaves.load_many(range(key, key + 3))) for key in keys]

            outer = DataLoader(load, max_batch_size=1, max_concurrency=1)
            await asyncio.wait_for(outer.load_many([0, 10, 20]), 5)
            assert inner.most_running <= 2

        run(law)

    @pytest.mark.parametrize("born", ["task", "timer"])
    def test_what_a_batch_function_starts_keeps_no_loader_alive(self, run, born):
        """A pool that is opened in a batch outlives the request, and the request's session must not."""

        async def law():
            started = []

            class Users(DataLoader[int, int]):
                async def batch_load_fn(self, keys):
                    if born == "task":
                        started.append(asyncio.create_task(asyncio.Event().wait()))
                    else:
                        started.append(asyncio.get_running_loop().call_later(3600, print))
                    return keys

            async with Users() as loader:
                await loader.load(1)
                alive = weakref.ref(loader)
            del loader
            await turns(2)
            gc.collect()
            assert alive() is None
            started[0].cancel()
            await turns(2)

        run(law)


class TestSeveralWaitForOne:
    """Of one loader, for a key whose batch has no place yet."""

    def test_each_lends_its_place(self, run):
        """The batch is asked for again and again while it is queued."""

        async def law():
            async def load(keys):
                if keys[0]:
                    await loader.load(0)
                    await loader.load(0)
                return keys

            loader = DataLoader(load, 1, max_concurrency=3)
            assert await loader.load_many([1, 2, 3, 4, 5]) == [1, 2, 3, 4, 5]
            assert loader.is_idle

        run(law)


class TestAhead:
    """Batches that running batch functions wait for, in the order in which they came, and by who waits for them."""

    @staticmethod
    def place(batch):
        """A place that a batch holds."""
        place = Place()
        place.batch, place.queue, place.task, place.asked, place.hopes = batch, None, None, (), ()
        return place

    @staticmethod
    def batches(count):
        """Some batches that nobody runs."""
        loop = asyncio.new_event_loop()
        loop.close()
        return [Batch("some", number, loop, None, Index()) for number in range(count)]

    @staticmethod
    def asked(ahead):
        """Of which batches it is asked whether they may start, if none may."""
        asked = []
        assert ahead.take_first_that(asked.append) is None
        return asked

    def test_the_first_that_may_start_is_taken(self):
        """Whichever group it is in; the others keep their order."""
        first, second, a, b, c = self.batches(5)
        ahead = Ahead()
        for batch, holders in ((a, [first]), (b, [first, second]), (c, [first])):
            for holder in holders:
                batch.be_awaited_by(self.place(holder))
            ahead.add(batch)
        assert ahead.take_first_that(lambda batch: batch is b) is b
        assert ahead.take_first_that(lambda batch: True) is a
        assert list(ahead) == [c]
        assert ahead.take_first() is c
        assert not ahead

    def test_one_that_is_waited_for_by_more_keeps_its_turn(self):
        """It goes over to the group of those that the same places wait for, at its place in their order."""
        first, second, *others = self.batches(6)
        one, two = self.place(first), self.place(second)
        ahead = Ahead()
        for number, batch in enumerate(others):
            batch.be_awaited_by(one)
            if number:
                batch.be_awaited_by(two)
            ahead.add(batch)
        assert self.asked(ahead) == others[:2]
        others[0].be_awaited_by(two)
        ahead.add(others[0])
        assert self.asked(ahead) == others[:1]
        assert [ahead.take_first() for _ in others] == others
        assert not ahead

    def test_one_in_the_middle_may_be_taken_out(self):
        """The first of its group stays the first."""
        first, a, b, c = self.batches(4)
        ahead, place = Ahead(), self.place(first)
        for batch in (a, b, c):
            batch.be_awaited_by(place)
            ahead.add(batch)
        assert self.asked(ahead) == [a]
        ahead.remove(b)
        assert self.asked(ahead) == [a]
        assert list(ahead) == [a, c]


class Index:
    """What a batch tells, told to nobody."""
