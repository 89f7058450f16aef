"""Random programs of loaders over one store that fails, beside a plain model of what may be read.

Two processes share the store, each by a door of its own, which may refuse a call, lose its answer, or hand out rubbish.
The source counts the versions of each key. What a load may say is known when it begins: nothing older than what the
source said when its process cleared the key, or when a delete of whatever process reached the store.

Two keys, and rules that are whole stories: a fault shows only where a load, a write, a clear and a load meet.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from loops import KINDS, new_loop, turns

from dloader import DataLoader, LoaderRegistry
from dloader._stored import _guard
from dloader.store import Got, MemoryStore

NUMBER = 2
KEYS = st.integers(0, NUMBER - 1)
SOME = st.lists(KEYS, min_size=1, max_size=2)
PROCESSES = st.integers(0, 1)
AWAY = ["refusing", "refusing deletes", "losing answers"]
STATES = st.sampled_from(["open", "open", *AWAY, "handing out rubbish", "slow to delete"])

TTL = 30.0
LONGEST = 1.1 * TTL
TURNS = 12
"""In so many turns of the loop whatever can be answered is."""


class Away(Exception):
    """The store does not do what it was asked, or does not say so."""


class Door:
    """The store as one process sees it."""

    wait = 0.0
    deadline = 60.0  # a busy machine is no failure here

    def __init__(self, store, deleted):
        self.store, self.deleted = store, deleted
        self.state = "open"

    async def _through(self, method, *args):
        if self.state == "refusing":
            raise Away
        result = await method(*args)
        if self.state == "losing answers":
            raise Away
        return result

    async def get_many(self, keys):
        got = await self._through(self.store.get_many, keys)
        if self.state == "handing out rubbish":
            return Got(dict.fromkeys(got.values, b"\xff rubbish"), got.leases, got.waiting)
        return got

    async def set_many(self, values, leases, ttl):
        await self._through(self.store.set_many, values, leases, ttl)

    async def delete_many(self, keys):
        await self._through(self._delete, keys)

    async def _delete(self, keys):
        if self.state == "refusing deletes":
            raise Away
        await self.store.delete_many(keys)
        self.deleted(keys)
        if self.state == "slow to delete":
            await turns(2 * TURNS)

    def cleared(self):
        return self.store.cleared()


class StoreMachine(RuleBasedStateMachine):
    """Drives the loaders of two processes, and knows how old the answer of each load may be."""

    kind: ClassVar[str]

    def __init__(self):
        super().__init__()
        self.loop = new_loop(self.kind)
        self.reports = []
        self.loop.set_exception_handler(lambda loop, context: self.reports.append(context))
        self.now = 0.0
        self.source = dict.fromkeys(range(NUMBER), 0)
        self.deleted_at = dict.fromkeys(range(NUMBER), 0)
        self.ended_at = dict.fromkeys(range(NUMBER), 0)
        self.cleared_at = [dict.fromkeys(range(NUMBER), 0) for _ in range(2)]
        self.held = []
        self.holding = False
        self.loads = set()
        self.answered = self.asked = 0

    @initialize()
    def begin(self):
        machine = self

        class Rows(DataLoader[int, int]):
            store_ttl = TTL

            async def batch_load_fn(self, keys):
                rows = [machine.source[key] for key in keys]
                if machine.holding:
                    machine.held.append(machine.loop.create_future())
                    await machine.held[-1]
                return rows

        store = MemoryStore(clock=lambda: self.now)
        self.loader_class = Rows
        self.doors = [Door(store, self.deleted) for _ in range(2)]
        self.old = [Rows(store=door) for door in self.doors]

    def deleted(self, names):
        """A delete has reached the store: whatever is found there from now on was read from the source after it."""
        for name in names:
            key = name.rsplit(":", 1)[1]
            for each in [int(key)] if key else self.source:
                self.deleted_at[each] = self.source[each]

    # -- what the world does

    @rule(key=KEYS)
    def write(self, key):
        """The source has another version."""
        self.source[key] += 1

    @rule(process=PROCESSES, state=STATES)
    def door(self, process, state):
        """The store is there for a process, or is not."""
        self.doors[process].state = state

    @rule(seconds=st.sampled_from([3.0, 40.0]))
    def time_passes(self, seconds):
        """Leases end, or values do: of what was written by now none is found any more."""
        self.turn(TURNS)
        self.now += seconds
        if seconds > LONGEST and all(task.done() for task in self.loads):
            self.ended_at.update(self.source)

    @rule(holding=st.booleans())
    def hold(self, holding):
        """The source reads, and is slow to answer; or it answers."""
        self.holding = holding
        if not holding:
            self.release()

    def release(self):
        """What was read is answered."""
        for future in self.held:
            future.set_result(None)
        self.held.clear()

    @rule(number=st.integers(1, 20))
    def turn(self, number):
        """The loop turns."""
        self.loop.run_until_complete(turns(number))

    # -- what programs do

    @rule(process=PROCESSES, keys=SOME)
    def request(self, process, keys):
        """A new request loads."""
        self.spawn(self._request(process, keys))

    async def _request(self, process, keys):
        own = self.cleared_at[process]
        least = [max(self.deleted_at[key], self.ended_at[key], own[key]) for key in keys]
        async with LoaderRegistry(store=self.doors[process]) as loaders:
            self.check(keys, least, await loaders.get(self.loader_class).load_many(keys))

    @rule(process=PROCESSES, keys=SOME)
    def long_lived(self, process, keys):
        """A loader that remembers loads: it hears what its own process clears."""
        self.spawn(self._long_lived(process, keys))

    async def _long_lived(self, process, keys):
        least = [self.cleared_at[process][key] for key in keys]
        self.check(keys, least, await self.old[process].load_many(keys))

    def spawn(self, load):
        """Begin a load."""
        self.asked += 1
        task = self.loop.create_task(load)
        self.loads.add(task)

    def check(self, keys, least, values):
        """An answer is an answer, and none is too old."""
        self.answered += 1
        for key, floor, value in zip(keys, least, values, strict=True):
            assert floor <= value <= self.source[key], (key, floor, value)

    @rule(process=PROCESSES, key=st.none() | KEYS, by_request=st.booleans())
    def clear(self, process, key, by_request):
        """A program clears a key, or all, after it has written."""
        self.loop.run_until_complete(self._clear(process, key, by_request))

    async def _clear(self, process, key, by_request):
        loader = self.old[process]
        if by_request:
            loader = LoaderRegistry(store=self.doors[process]).get(self.loader_class)
        if key is None:
            loader.clear_all()
            self.cleared_at[process].update(self.source)
        else:
            loader.clear(key)
            self.cleared_at[process][key] = self.source[key]

    # -- whole stories

    @rule(process=PROCESSES, keys=SOME)
    def many_requests(self, process, keys):
        """What a process finds, the other finds too; what a long-lived loader has it keeps."""
        for each in (process, 1 - process):
            self.request(each, keys)
            self.long_lived(each, keys)
            self.turn(TURNS)

    @rule(process=PROCESSES, key=KEYS, everything=st.booleans(), by_request=st.booleans())
    def change(self, process, key, everything, by_request):
        """What is known everywhere is written and cleared, and asked for again, there and elsewhere."""
        self.many_requests(process, [key])
        self.write(key)
        self.clear(process, None if everything else key, by_request)
        self.many_requests(process, [key])

    @rule(reader=PROCESSES, writer=PROCESSES, key=KEYS, everything=st.booleans(), again=st.booleans())
    def change_while_it_is_read(self, reader, writer, key, everything, again):
        """What was read before the clear comes after it, and is not to be kept."""
        self.clear(writer, None, True)
        self.hold(True)
        self.request(reader, [key])
        self.long_lived(reader, [key])
        self.turn(TURNS)
        self.write(key)
        self.clear(writer, None if everything else key, True)
        if again:
            self.turn(TURNS)
            self.many_requests(reader, [key])
        self.hold(False)
        self.turn(TURNS)
        self.many_requests(writer, [key])

    @rule(
        process=PROCESSES,
        key=KEYS,
        everything=st.booleans(),
        state=st.sampled_from(AWAY),
    )
    def change_while_the_store_is_away(self, process, key, everything, state):
        """A delete is refused, and due: before the store is asked again, the store is told."""
        self.many_requests(process, [key])
        self.door(process, state)
        self.write(key)
        self.clear(process, None if everything else key, True)
        self.turn(TURNS)
        self.request(process, [key])
        self.turn(TURNS)
        self.door(process, "open")
        self.request(process, [key])
        self.turn(TURNS)
        self.request(1 - process, [key])
        self.turn(TURNS)

    @rule(process=PROCESSES, key=KEYS, by_request=st.booleans())
    def change_twice(self, process, key, by_request):
        """Cleared again while the first delete is on its way, and somebody has kept what was between."""
        self.many_requests(process, [key])
        self.door(process, "slow to delete")
        self.door(1 - process, "open")
        for _ in range(2):
            self.write(key)
            self.clear(process, key, by_request)
            self.request(1 - process, [key])
            self.turn(TURNS)
        self.door(process, "open")
        self.turn(3 * TURNS)
        self.many_requests(process, [key])

    @rule(process=PROCESSES, key=KEYS)
    def grow_old(self, process, key):
        """Values are kept no longer than their class says, and a tenth."""
        self.many_requests(process, [key])
        self.write(key)
        self.time_passes(40.0)
        self.request(process, [key])
        self.turn(TURNS)

    # -- what holds

    @invariant()
    def no_load_failed(self):
        """Whatever the store does, loads get values, and none that are too old."""
        for task in [task for task in self.loads if task.done()]:
            self.loads.discard(task)
            task.result()
        assert not self.reports

    def teardown(self):
        try:
            self.holding = False
            self.loop.run_until_complete(self.end())
            assert asyncio.all_tasks(self.loop) == set()
        finally:
            self.loop.close()

    async def end(self):
        """All that was asked is answered; and once the store is back, all agree on what it says."""
        self.release()
        await asyncio.gather(*self.loads)
        assert self.answered == self.asked
        if not hasattr(self, "doors"):
            return
        for door in self.doors:
            door.state = "open"
        for process in range(2):
            await self._clear(process, None, False)
            await self._request(process, list(self.source))
            await self._long_lived(process, list(self.source))
        for loader in self.old:
            await loader.aclose()
        assert self.deleted_at == self.source


@pytest.mark.in_full
@pytest.mark.parametrize("kind", KINDS)
def test_no_load_fails_and_none_is_older_than_what_was_cleared(kind, monkeypatch):
    monkeypatch.setattr(_guard, "FIRST_REST", 1e-9)
    monkeypatch.setattr(_guard, "LONGEST_REST", 1e-9)
    run_state_machine_as_test(type("Machine", (StoreMachine,), {"kind": kind}), settings=settings())
