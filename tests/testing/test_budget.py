"""batch_budget: a block that takes more batches than it may fails, and says which loader, where, and what to do."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Annotated

import pytest
from pydantic import BaseModel

from dloader import DataLoader, OptionError
from dloader.resolver import Load, Resolver
from dloader.testing import BatchBudgetExceeded, batch_budget, exactly
from dloader.trace import expected


class Likes(DataLoader[int, int]):
    async def batch_load_fn(self, keys):
        return [key * 2 for key in keys]


class Photo(DataLoader[int, dict]):
    max_batch_size = 2

    async def batch_load_fn(self, keys):
        return [{"id": key} for key in keys]


async def load_users(keys):
    return [f"user {key}" for key in keys]


class Picture(BaseModel):
    id: int


class Post(BaseModel):
    id: int
    photo: Annotated[Picture | None, Load(Photo, by="id")] = None


async def in_a_loop(count):
    loader = Likes()
    for key in range(count):
        await loader.load(key)


async def at_once(count):
    return await Likes().load_many(range(count))


def spent(work, **budget):
    """Do it within a budget; return the message of the failure, or nothing."""

    async def law():
        async with batch_budget(**budget):
            await work()

    try:
        asyncio.run(law())
    except AssertionError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ({"batches": 3}, ""),
        ({"batches": 2}, "3 batches, 2 allowed"),
        ({"batches": 0}, "3 batches, 0 allowed"),
        ({"rounds": 3}, ""),
        ({"rounds": 2}, "3 rounds, 2 allowed"),
        ({"keys": 3}, ""),
        ({"keys": 2}, "3 keys, 2 allowed"),
        ({"batches": exactly(3), "rounds": exactly(3), "keys": exactly(3), "findings": exactly(0)}, ""),
        ({"batches": exactly(4)}, "3 batches, exactly 4 wanted"),
        ({"findings": exactly(1)}, "0 warnings, exactly 1 wanted"),
        ({"batches": 2, "rounds": 1}, "3 batches, 2 allowed; 3 rounds, 1 allowed"),
        ({"per_loader": {Likes: 3, "Photo": 0, load_users: 0}}, ""),
        ({"per_loader": {Likes: 2}}, "Likes: 3 batches, 2 allowed"),
        ({"per_loader": {"Likes": 2}}, "Likes: 3 batches, 2 allowed"),
        ({"per_loader": {load_users: exactly(1)}}, "load_users: 0 batches, exactly 1 wanted"),
        ({}, ""),
    ],
)
def test_numbers_are_upper_bounds_unless_they_are_exact(budget, said):
    assert spent(lambda: in_a_loop(3), **budget).partition("\n")[0] == said


def test_any_warning_fails_unless_the_budget_allows_it():
    assert spent(lambda: in_a_loop(6)).startswith("1 warning, 0 allowed\n")
    assert not spent(lambda: in_a_loop(6), findings=1)
    assert not spent(lambda: in_a_loop(6), findings=None)
    assert not spent(lambda: at_once(6))

    async def meant_to_be():
        with expected("each is computed"):
            await in_a_loop(6)

    assert not spent(meant_to_be)


def test_the_message_names_loader_place_and_cure():
    lines = spent(lambda: in_a_loop(6), batches=5, rounds=5).splitlines()
    assert lines[0] == "6 batches, 5 allowed; 6 rounds, 5 allowed; 1 warning, 0 allowed"
    assert lines[1] == ""
    line = in_a_loop.__code__.co_firstlineno + 3
    assert lines[2] == f"Likes  6 batches of 1 key  test_budget.py:{line} in in_a_loop   <- N+1"
    assert lines[3] == ""
    assert lines[4].startswith("loop: 6 times one key of Likes")
    assert lines[4].endswith("ask for all with load_many, or gather")
    assert len(lines) == 5


def test_the_message_names_the_field_and_what_was_full():
    async def work():
        await Resolver().resolve([Post(id=key) for key in range(5)])

    lines = spent(work, batches=2).splitlines()
    assert lines == [
        "3 batches, 2 allowed",
        "",
        "Photo  3 batches of 1 to 2 keys  Post.photo (full: max_batch_size 2)",
    ]


def test_the_message_is_short_however_many_loaders_there_are():
    async def work():
        await asyncio.gather(*(DataLoader(load_users, name=f"users {n}").load(n) for n in range(20)))
        await at_once(2)

    lines = spent(work, batches=3, findings=None).splitlines()
    assert len(lines) <= 16
    assert lines[2].startswith("users 0")

    async def many_loaders():
        class Named(DataLoader[int, int]):
            async def batch_load_fn(self, keys):
                return keys

        kinds = [type(f"Loader{n}", (Named,), {}) for n in range(14)]
        await asyncio.gather(*(kind().load(1) for kind in kinds))

    lines = spent(many_loaders, batches=3).splitlines()
    assert lines[-1] == "and 2 more"


def test_a_budget_that_nothing_was_loaded_for_is_told_in_one_line():
    with pytest.raises(BatchBudgetExceeded) as caught, batch_budget(batches=exactly(1)):
        pass
    assert str(caught.value) == "0 batches, exactly 1 wanted"
    assert not caught.value.trace.loads


def test_with_does_the_same_as_async_with():
    async def law():
        with batch_budget(batches=1) as trace:
            await at_once(3)
        return trace.summary()

    assert asyncio.run(law()) == {"Likes": [3]}


def test_what_the_block_raises_is_raised():
    with pytest.raises(ZeroDivisionError), batch_budget(batches=exactly(7)):
        raise ZeroDivisionError


def test_a_budget_may_be_entered_again_and_within_another():
    async def law():
        budget = batch_budget(batches=1)
        async with budget as outer, batch_budget(batches=1):
            await at_once(1)
        async with budget as again:
            await at_once(2)
        return outer.summary(), again.summary()

    assert asyncio.run(law()) == ({"Likes": [1]}, {"Likes": [2]})


def test_partials_are_counted_as_their_function():
    async def with_tenant(keys, tenant):
        return [f"{tenant} {key}" for key in keys]

    function = partial(with_tenant, tenant="a")
    assert not spent(lambda: DataLoader(function, name="x").load(1), per_loader={function: exactly(1)})


def test_relationships_are_counted_as_their_loaders():
    sqlalchemy = pytest.importorskip("dloader.sqlalchemy")
    import zoo

    marker = sqlalchemy.Related(zoo.Office.members)
    said = spent(lambda: at_once(1), per_loader={marker: exactly(1)})
    assert said.startswith(f"{marker.label}: 0 batches, exactly 1 wanted")


@pytest.mark.parametrize(
    "budget",
    [
        {"batches": -1},
        {"rounds": 1.5},
        {"keys": True},
        {"findings": "none"},
        {"batches": exactly(-1)},
        {"per_loader": [Likes]},
        {"per_loader": {Likes: None}},
        {"per_loader": {7: 1}},
    ],
    ids=repr,
)
def test_what_is_no_budget_is_refused_before_anything_runs(budget):
    with pytest.raises(OptionError, match=r"batch_budget\("):
        batch_budget(**budget)


@pytest.mark.parametrize("counts", [(1, 3), (3, 1), (2, 1, 3)], ids=str)
def test_tasks_may_be_in_one_block_at_the_same_time_and_leave_in_any_order(run, counts):
    async def law():
        budget = batch_budget(batches=3)

        async def work(count):
            async with budget as trace:
                await in_a_loop(count)
            return len(trace.batches)

        assert await asyncio.gather(*map(work, counts)) == list(counts)

    run(law)


def test_a_block_within_itself_counts_what_each_has(run):
    async def law():
        budget = batch_budget(batches=2)
        with budget as outer:
            await at_once(1)
            with budget as inner:
                await at_once(1)
        assert (len(outer.batches), len(inner.batches)) == (2, 1)

    run(law)
