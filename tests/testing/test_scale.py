"""assert_scales: the calls of batch functions may not grow with what is asked for."""

from __future__ import annotations

import asyncio
from typing import Annotated

import pytest
from pydantic import BaseModel

from dloader import DataLoader, OptionError
from dloader.resolver import Load, Resolver
from dloader.testing import CallsGrowError, assert_scales


class Likes(DataLoader[int, int]):
    async def batch_load_fn(self, keys):
        return [key - 1000 for key in keys]


class Chunks(Likes):
    max_batch_size = 3


async def load_likes(keys):
    return [key + 1 for key in keys]


class Leaf(BaseModel):
    id: int
    a: Annotated[int, Load(Chunks, by="id")] = 0


class Branch(BaseModel):
    id: int
    leaves: list[Leaf] = []
    a: Annotated[int, Load(Chunks, by="id")] = 0


async def gathered(n):
    loader = Likes()
    await asyncio.gather(*(loader.load(key) for key in range(n)))


async def in_a_loop(n):
    loader = Likes()
    for key in range(n):
        await loader.load(key)


async def loader_per_item(n):
    await asyncio.gather(*(DataLoader(load_likes).load(key) for key in range(n)))


async def in_chunks(n):
    await Chunks().load_many(range(n))


async def chained(n):
    loader = Likes()
    key = n
    for _ in range(3):
        key = await loader.load(key)


async def binary_search(n):
    loader = Likes()
    low, high = 0, n
    while low < high:
        middle = (low + high) // 2
        await loader.load(middle)
        low = middle + 1


async def a_tree(n):
    branches = [Branch(id=i, leaves=[Leaf(id=1000 * i + j) for j in range(n)]) for i in range(n)]
    await Resolver().resolve(branches)


async def a_resolve_each(n):
    for key in range(n):
        await Resolver().resolve(Leaf(id=key))


def said(work, sizes=(5, 40)):
    """What the failure says; nothing if there is none."""
    try:
        asyncio.run(assert_scales(work, sizes))
    except AssertionError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("work", [gathered, in_chunks, chained, a_tree])
def test_what_makes_batches_scales(work):
    assert not said(work)


@pytest.mark.parametrize(
    ("work", "first"),
    [
        (in_a_loop, "N+1: Likes is called 35 times more for 40 than for 5"),
        (loader_per_item, "N+1: load_likes is called 35 times more for 40 than for 5"),
        (a_resolve_each, "N+1: Chunks is called 35 times more for 40 than for 5"),
        (binary_search, "grows: Likes is called 3 times more for 40 than for 5"),
    ],
)
def test_what_does_not_is_told(work, first):
    message = said(work)
    if work is a_resolve_each:
        assert message.startswith("N+1: Chunks is called ")
    else:
        assert message.splitlines()[0] == first


def test_the_message_names_loader_place_and_cure():
    lines = said(in_a_loop).splitlines()
    line = in_a_loop.__code__.co_firstlineno + 3
    assert lines[1:3] == ["", f"Likes  40 batches of 1 key  test_scale.py:{line} in in_a_loop"]
    assert lines[-1].startswith("loop: 40 times one key of Likes")
    assert lines[-1].endswith("ask for all with load_many, or gather")
    assert said(binary_search).endswith("ask for all with load_many, or gather")


def test_one_call_more_is_told_as_one():
    async def work(n):
        for key in range(1 if n == 1 else 2):
            await Likes().load(key)

    assert said(work, (1, 40)).startswith("grows: Likes is called 1 time more for 40 than for 1\n")


def test_one_loader_that_grows_is_not_made_up_for_by_another_that_shrinks():
    async def work(n):
        await (in_a_loop(n) if n == 40 else loader_per_item(n))

    assert said(work).startswith("N+1: Likes")


def test_the_order_of_sizes_does_not_matter_and_each_is_done():
    done = []

    async def work(n):
        done.append(n)
        await gathered(n)

    assert not said(work, [40, 5, 10])
    assert done == [40, 5, 10]


def test_work_that_loads_nothing_proves_nothing():
    async def work(n):
        pass

    assert said(work).startswith("nothing was loaded for 40")


def test_what_the_work_raises_is_raised():
    async def work(n):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        said(work)


def test_a_failure_has_the_trace_of_the_largest():
    with pytest.raises(CallsGrowError) as caught:
        asyncio.run(assert_scales(in_a_loop, (2, 20)))
    assert caught.value.trace.keys == 20


@pytest.mark.parametrize("sizes", [(5,), (5, 5), (0, 5), (1.5, 3), (True, 2), 5, "ab", ()], ids=repr)
def test_sizes_that_cannot_be_compared_are_refused(sizes):
    with pytest.raises(OptionError, match="two different numbers"):
        said(gathered, sizes)


def test_work_that_is_not_async_is_refused():
    with pytest.raises(OptionError, match="async callable"):
        said(lambda n: n)
