"""Random programs on a loader, beside a plain model of what it promises.

The model knows nothing of futures, tasks or tables. It is told what the program does, when a policy closes a batch,
and when the batch function is called and returns, and says after every step: who has been answered and with what,
which keys are waited for, what is cached, and which keys the next batch must have.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from loops import KINDS, new_loop, turns

from dloader import (
    BatchAbortedError,
    BatchResultError,
    DataLoader,
    LoaderClosedError,
    MissingKeyError,
    delay,
    eager,
    manual,
    settle,
)
from dloader._core._waiters import is_gone

BEGIN_AT_ONCE = sys.version_info >= (3, 12)
"""Whether a batch takes its first step when it is started; before Python 3.12 it does so a turn later."""


class Boom(Exception):
    """A failure of the batch function."""


class Stop(BaseException):
    """A failure beyond Exception."""


class ModelBatch:
    """The keys of one batch, and the callers (by number) who wait for each."""

    def __init__(self, number):
        self.number = number
        self.asked: list[int] = []
        self.waiting: dict[int, set[int]] = {}
        self.outdated: set[int] = set()
        self.state = "open"

    @property
    def keys(self):
        """What the batch function is to be called with: keys that everybody left are forgotten at the start."""
        return [key for key in dict.fromkeys(self.asked) if self.waiting.get(key)]

    @property
    def abandoned(self):
        """Whether nobody waits for any key."""
        return not any(self.waiting.values())


class Model:
    """What a loader promises, in plain Python."""

    def __init__(self, cache, cache_errors, size, limit, is_waited_for):
        self.is_waited_for = is_waited_for
        """Whether a new caller would join those who waited for a key: asked where a batch may have begun or not yet."""
        self.caches, self.cache_errors, self.size, self.limit = cache, cache_errors, size, limit
        self.cache: dict[int, Any] = {}
        self.table: dict[int, ModelBatch] = {}
        self.open: ModelBatch | None = None
        self.queue: list[ModelBatch] = []
        self.running: list[ModelBatch] = []
        self.callers: list[dict[str, Any]] = []
        self.batches = 0

    # -- callers: a "load" is a set of one key whose answer is not a list

    def ask(self, keys, *, many, in_place=False):
        """Somebody asks for keys."""
        caller = {
            "keys": keys,
            "many": many,
            "in_place": in_place,
            "found": {},
            "out": set(),
            "answer": "pending",
        }
        number = len(self.callers)
        self.callers.append(caller)
        unique = list(dict.fromkeys(keys))
        cached = {key: self.cache[key] for key in unique if key in self.cache} if self.caches else {}
        for value in cached.values():
            if isinstance(value, type) and not in_place:
                caller["answer"] = ("error", {value})
                return
        caller["found"].update(cached)
        unique = [key for key in unique if key not in cached]
        for key in unique:
            batch = self.table.get(key)
            is_left = batch is not None and batch.state == "closed" and batch.abandoned
            if is_left and not (BEGIN_AT_ONCE or self.is_waited_for(key)):
                self.end(batch)
        for key in [key for key in unique if key in self.table]:
            batch = self.table[key]
            batch.waiting[key].add(number)
            caller["out"].add(batch)
            unique.remove(key)
        for key in unique:
            self.add(key, number)
        self.finish_if_complete(caller)

    def add(self, key, number):
        """Ask for a key that nobody waits for."""
        batch = self.open
        if batch is None:
            self.batches += 1
            batch = self.open = ModelBatch(self.batches)
        batch.asked.append(key)
        batch.waiting[key] = {number}
        self.table[key] = batch
        self.callers[number]["out"].add(batch)
        if self.size is not None and len(batch.waiting) >= self.size:
            self.drop_left_keys(batch)
            if len(batch.waiting) >= self.size:
                self.close()

    def drop_left_keys(self, batch):
        """What nobody waits for takes no room, and is not loaded."""
        for key in [key for key, callers in batch.waiting.items() if not callers]:
            del batch.waiting[key], self.table[key]
            batch.asked = [other for other in batch.asked if other != key]
            batch.outdated.discard(key)

    def close(self):
        """The open batch takes no more keys."""
        if self.open is not None:
            self.open.state = "closed"
            self.queue.append(self.open)
            self.open = None

    def finish_if_complete(self, caller):
        """Answer a caller who waits for no batch any more."""
        if caller["answer"] == "pending" and not caller["out"]:
            answers = [caller["found"][key] for key in caller["keys"]]
            if caller["many"]:
                caller["answer"] = ("value", answers)
            else:
                caller["answer"] = (
                    ("error", {answers[0]}) if isinstance(answers[0], type) else ("value", answers[0])
                )

    def cancel(self, number):
        """A caller leaves; True if they were still waiting."""
        caller = self.callers[number]
        if caller["answer"] != "pending":
            return False
        caller["answer"] = ("cancelled", None)
        self.leave(number)
        return True

    def leave(self, number):
        """A caller no longer waits for anything."""
        caller = self.callers[number]
        for batch in caller["out"]:
            if batch.state == "ended":
                continue
            for callers in batch.waiting.values():
                callers.discard(number)
        caller["out"] = set()

    def abandon(self):
        """A turn later, running batches that nobody waits for any more are over."""
        for batch in self.running:
            if batch.state == "running" and batch.abandoned:
                self.end(batch)
        self.start_abandoned()

    def start_abandoned(self):
        """The next in line are not called when nobody waits for them."""
        has_room = not self.limit or len(self.running) < self.limit
        while BEGIN_AT_ONCE and has_room and self.queue and self.queue[0].abandoned:  # else see `ask`
            self.end(self.queue[0])

    def end(self, batch):
        """A batch is over: its keys are not waited for any more."""
        for key in batch.waiting:
            if self.table.get(key) is batch:
                del self.table[key]
        batch.state = "ended"
        if self.open is batch:
            self.open = None
        if batch in self.queue:
            self.queue.remove(batch)

    # -- the cache

    def prime(self, key, value):
        """A value is put into the cache."""
        if self.caches:
            self.outdate(key, primed=True)
            self.cache[key] = value

    def clear(self, key):
        """A key is forgotten."""
        self.outdate(key, primed=False)
        self.cache.pop(key, None)

    def outdate(self, key, *, primed):
        """What is being loaded is not to be cached; nobody joins it when it runs already."""
        batch = self.table.get(key)
        if batch is None:
            return
        if batch.state == "running":
            del self.table[key]
            batch.outdated.add(key)
        elif primed:
            batch.outdated.add(key)
        else:
            batch.outdated.discard(key)

    # -- the batch function

    def called(self, keys):
        """The batch function was called: with the right keys, and not too often at once."""
        if not self.queue:
            self.close()
        while self.queue[0].abandoned:
            self.end(self.queue[0])
        batch = self.queue.pop(0)
        self.drop_left_keys(batch)
        assert keys == batch.keys
        assert keys
        assert self.size is None or len(keys) <= self.size
        batch.state = "running"
        self.running.append(batch)
        assert self.limit is None or len(self.running) <= self.limit
        return batch

    def returned(self, batch, results, *, aborted=False):
        """The batch function is about to return: values by key, or exception classes."""
        self.running.remove(batch)
        if batch.state == "ended":
            return
        self.end(batch)
        for key, result in results.items():
            cacheable = not isinstance(result, type) or (self.cache_errors and not aborted)
            if self.caches and cacheable and key not in batch.outdated:
                self.cache[key] = result
        for number, caller in enumerate(self.callers):
            if caller["answer"] == "pending" and batch in caller["out"]:
                mine = {key: results[key] for key, callers in batch.waiting.items() if number in callers}
                errors = {result for result in mine.values() if isinstance(result, type)}
                caller["out"].discard(batch)
                caller["found"].update(mine)
                if errors and not caller["in_place"]:
                    caller["answer"] = ("error", errors)
                    self.leave(number)
                self.finish_if_complete(caller)

    def cancelled(self, batch):
        """The batch function was cancelled: only ever because nobody waits."""
        self.abandon()
        self.running.remove(batch)
        assert batch.state == "ended"


class SpyBatch:
    """What a policy sees of a batch, so that the model learns when it closes."""

    def __init__(self, batch, model):
        self._batch, self._model = batch, model
        self.loop = batch.loop

    @property
    def size(self):
        """As the batch."""
        return self._batch.size

    @property
    def is_open(self):
        """As the batch."""
        return self._batch.is_open

    def close(self):
        """As the batch."""
        if self._batch.is_open:  # else nothing starts, and what waits for the next turn may still be joined
            self._model.close()
            self._batch.close()
            self._model.start_abandoned()


POLICIES = {
    "manual": manual(),
    "settle": settle(),
    "settle soon": settle(1, quiet=1),
    "eager": eager(),
    "delay": delay(0),
    "at once": lambda batch: batch.close(),
}
KEYS = st.integers(0, 3)
OUTCOMES = st.sampled_from(
    [
        "list",
        "list",
        "list",
        "mapping",
        "iterator",
        "errors",
        "holes",
        "raise",
        "short",
        "none",
        "base",
        "cancelled",
    ]
)


def waited_for(loader):
    """The keys that a new caller would join. It looks at what is private: asking for a key would change it."""
    pending = loader._dloader_pending
    found = ((key, pending.find(key)) for key in pending.cache_keys())
    return {
        key
        for key, batch in found
        if not all(map(is_gone, (batch.entries[key], *(batch.joined or {}).get(key, ()))))
    }


class LoaderMachine(RuleBasedStateMachine):
    """Drives a loader and its model; subclasses say on which kind of loop."""

    kind = "asyncio"

    @initialize(
        cache=st.booleans(),
        cache_errors=st.booleans(),
        size=st.sampled_from([None, None, 1, 2, 3]),
        limit=st.sampled_from([None, None, 1, 2]),
        policy=st.sampled_from(sorted(POLICIES)),
        by_key_fn=st.booleans(),
        drain=st.booleans(),
    )
    def make(self, cache, cache_errors, size, limit, policy, by_key_fn, drain):
        """Any options."""
        self.drain, self.ended = drain, False
        self.reports: list = []
        self.loop = new_loop(self.kind)
        self.loop.set_exception_handler(lambda loop, context: self.reports.append(context))
        self.model = Model(cache, cache_errors, size, limit, self.is_waited_for)
        self.runs: list = []
        self.futures: list[asyncio.Future] = []
        self.loader = DataLoader(
            self.load,
            size,
            cache,
            cache_errors=cache_errors,
            max_concurrency=limit,
            cache_key_fn=(lambda key: key) if by_key_fn else None,
            dispatch=lambda batch: POLICIES[policy](SpyBatch(batch, self.model)),
        )

    def is_waited_for(self, key):
        """Whether the loader would let a new caller join."""
        return self.loader._dloader_pending.find(key) is not None

    async def load(self, keys):
        """The batch function: waits until the program says how it ends."""
        batch = self.model.called(keys)
        run = (batch, asyncio.get_running_loop().create_future())
        if self.ended:
            run[1].set_result("list")
        self.runs.append(run)
        try:
            outcome = await run[1]
        except asyncio.CancelledError:
            self.runs.remove(run)
            self.model.cancelled(batch)
            raise
        return self.answer(batch, keys, outcome)

    def answer(self, batch, keys, outcome):
        """Return, or raise, and tell the model before."""
        values = {key: (key, batch.number) for key in keys}
        whole = {"raise": Boom, "short": BatchResultError, "none": BatchResultError}
        whole |= {"base": BatchAbortedError, "cancelled": BatchAbortedError}
        results: dict = dict(values)
        if outcome == "errors":
            results = {key: Boom if key % 2 else value for key, value in values.items()}
        elif outcome == "holes":
            results = {key: MissingKeyError if key % 3 == 0 else value for key, value in values.items()}
        elif outcome in whole:
            results = dict.fromkeys(keys, whole[outcome])
        self.model.returned(batch, results, aborted=outcome in ("base", "cancelled"))
        keys.clear()  # it is its own list
        match outcome:
            case "raise":
                raise Boom
            case "base":
                raise Stop
            case "cancelled":
                raise asyncio.CancelledError
            case "short":
                return list(values)[1:]
            case "none":
                return None
            case "mapping":
                return values
            case "iterator":
                return iter(values.values())
            case "holes":
                return {key: value for key, value in results.items() if not isinstance(value, type)}
            case _:
                return [result() if isinstance(result, type) else result for result in results.values()]

    # -- what a program does

    def now(self, *operations):
        """Do all of it in one turn of the loop."""

        async def step():
            await turns(1)  # with eager tasks it would begin before what was scheduled earlier
            self.model.abandon()
            for operation, *args in operations:
                getattr(self, f"_{operation}")(*args)

        self.loop.run_until_complete(step())
        self.model.abandon()

    def _load(self, key):
        self.model.ask([key], many=False)
        self.futures.append(self.loader.load(key))

    def _load_many(self, keys, in_place):
        self.model.ask(keys, many=True, in_place=in_place)
        self.futures.append(self.loader.load_many(keys, return_exceptions=in_place))

    def _cancel(self, number):
        if self.futures:
            number %= len(self.futures)
            assert self.futures[number].cancel() is self.model.cancel(number)

    def _prime(self, key, value):
        self.model.prime(key, value)
        self.loader.prime(key, value() if isinstance(value, type) else value)

    def _clear(self, key):
        self.model.clear(key)
        self.loader.clear(key)

    def _clear_all(self):
        for key in list(self.model.table):
            self.model.clear(key)
        self.model.cache.clear()
        self.loader.clear_all()

    def _dispatch(self):
        is_open = self.model.open is not None
        self.model.close()
        self.loader.dispatch()
        if is_open:  # as in `SpyBatch.close`
            self.model.start_abandoned()

    def _end(self, number, outcome):
        runs = [run for run in self.runs if not run[1].done()]
        if runs:
            runs[number % len(runs)][1].set_result(outcome)

    LOAD = st.tuples(st.just("load"), KEYS)
    LOAD_MANY = st.tuples(st.just("load_many"), st.lists(KEYS, max_size=6), st.booleans())
    CANCEL = st.tuples(st.just("cancel"), st.integers(-6, 6))
    """Mostly one of those who came last: they are still waiting."""
    PRIME = st.tuples(st.just("prime"), KEYS, st.sampled_from(["primed", None, Boom]))
    CLEAR = st.tuples(st.just("clear"), KEYS)
    CLEAR_ALL = st.tuples(st.just("clear_all"))
    DISPATCH = st.tuples(st.just("dispatch"))
    END = st.tuples(st.just("end"), st.integers(0, 100), OUTCOMES)

    @rule(operations=st.lists(st.one_of(LOAD, LOAD_MANY), min_size=1, max_size=4))
    def ask(self, operations):
        """Some callers arrive together."""
        self.now(*operations)

    @rule(operation=CANCEL)
    def cancel(self, operation):
        """A caller leaves."""
        self.now(operation)

    @rule(operation=st.one_of(PRIME, CLEAR, CLEAR_ALL))
    def change_the_cache(self, operation):
        """Prime or clear."""
        self.now(operation)

    @rule()
    def dispatch(self):
        """Close the open batch."""
        self.now(("dispatch",))

    @precondition(lambda self: self.runs)
    @rule(operation=END, more=st.integers(0, 2))
    def end_a_batch(self, operation, more):
        """A batch function returns or raises, in any order."""
        self.now(operation)
        self.turn(more)

    @rule(
        before=st.lists(st.one_of(LOAD, LOAD, LOAD_MANY, CANCEL, PRIME, CLEAR), min_size=1, max_size=6),
        meanwhile=st.lists(st.one_of(LOAD, LOAD_MANY, CANCEL, PRIME, CLEAR), max_size=3),
        outcome=OUTCOMES,
    )
    def one_batch(self, before, meanwhile, outcome):
        """With nothing cached callers come and go, their batch runs, others come and go, the batch ends."""
        self.now(("clear_all",), *before, ("dispatch",))
        self.turn(3)
        self.now(*meanwhile, ("end", len(self.runs) - 1, outcome))
        self.turn(1)

    @rule(number=st.integers(1, 3))
    def turn(self, number):
        """The loop turns."""
        self.loop.run_until_complete(turns(number))
        self.model.abandon()

    @rule(
        operations=st.lists(
            st.one_of(LOAD, LOAD_MANY, CANCEL, PRIME, CLEAR, CLEAR_ALL, DISPATCH, END), min_size=2, max_size=8
        )
    )
    def together(self, operations):
        """Many things happen in one turn."""
        self.now(*operations)

    # -- what must hold after each step

    @invariant()
    def everybody_has_what_the_model_says(self):
        """Pending, cancelled, the right value or the right error."""
        if not hasattr(self, "model"):
            return
        for future, caller in zip(self.futures, self.model.callers, strict=True):
            answer = caller["answer"]
            if answer == "pending":
                assert not future.done(), caller
                continue
            assert future.done(), caller
            how, what = answer
            assert future.cancelled() is (how == "cancelled")
            if how == "error":
                assert type(future.exception()) in what
            elif how == "value":
                assert self.plain(future.result()) == what

    @invariant()
    def cache_and_table_are_the_models(self):
        """What is remembered, and what a new caller would join."""
        if hasattr(self, "model"):
            assert {
                key: self.plain(value) for key, value in self.loader.cache_map.items()
            } == self.model.cache
            assert waited_for(self.loader) == {
                key for key, batch in self.model.table.items() if batch.waiting[key]
            }

    @staticmethod
    def plain(value):
        """Exceptions are known to the model by their class."""
        if isinstance(value, list):
            return [LoaderMachine.plain(item) for item in value]
        return type(value) if isinstance(value, Exception) else value

    def teardown(self):
        """Drain or shut down: everybody is answered, nothing is left."""
        if not hasattr(self, "model"):
            return
        try:
            self.loop.run_until_complete(self.end())
            self.everybody_has_what_the_model_says()
            self.cache_and_table_are_the_models()
            assert all(future.done() for future in self.futures)
            assert self.loader.is_idle
            assert self.runs == [] or all(run[1].done() for run in self.runs)
            assert self.model.running == []
            assert asyncio.all_tasks(self.loop) == set()
            unexpected = [
                report for report in self.reports if "Future exception was never" not in report["message"]
            ]
            assert unexpected == []
        finally:
            self.loop.close()

    async def end(self):
        """End the loader, and let what was cancelled unwind."""
        self.ended = True
        if self.drain:
            self.model.close()
            for _, run in self.runs:
                if not run.done():
                    run.set_result("list")
            await self.loader.aclose(drain=True)
        else:
            for number in range(len(self.futures)):
                self.model.cancel(number)
            assert await self.loader.shutdown() is None
        with pytest.raises(LoaderClosedError):
            self.loader.load(1)
        await turns(2)


@pytest.mark.in_full
class TestLoader:
    @pytest.mark.parametrize("kind", KINDS)
    def test_it_does_what_its_model_does(self, kind):
        """Whatever is done to it, in whatever order."""
        run_state_machine_as_test(
            type("Machine", (LoaderMachine,), {"kind": kind}),
            settings=settings(max_examples=4 * settings().max_examples),
        )

    def test_it_does_the_same_where_every_load_is_checked(self, monkeypatch):
        """`load` writes the common case out; the other way does all that it does."""
        monkeypatch.setattr(DataLoader, "_dloader_update_fast_loop", lambda loader: None)
        run_state_machine_as_test(type("Machine", (LoaderMachine,), {"kind": "asyncio"}), settings=settings())
