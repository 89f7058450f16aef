"""How well the rules tell programs that ask badly from those that do not: 47 of them, really run; docs/findings.md."""

import asyncio
import importlib.util
from pathlib import Path

import pytest
from loops import turns
from pydantic import BaseModel

from dloader import DataLoader, LoaderRegistry
from dloader.resolver import LoaderDepend, Resolver
from dloader.trace import record

SPEC = importlib.util.spec_from_file_location("first_programs", Path(__file__).with_name("test_rules.py"))
first = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(first)
pytestmark = pytest.mark.usefixtures("no_gap_is_long")
TABLE = Path(__file__).parents[2] / "docs/findings.md"


class UserById(DataLoader):
    """Users, each of whom has a manager."""

    async def batch_load_fn(self, keys):
        return [{"id": -1, "manager_id": key + 1} for key in keys]


class TeamById(UserById):
    """The same of teams."""


class Numbers(BaseModel):
    numbers: list[int] = []

    async def resolve_numbers(self, users=LoaderDepend(UserById)):
        return [(await users.load(key))["id"] for key in range(0, 80, 10)]


async def two_loaders_in_a_loop():
    users, teams = UserById(), TeamById()
    for key in range(0, 80, 10):
        await users.load(key)
        await teams.load(key)


async def an_asynchronous_loop():
    async def keys():
        for key in range(8):
            await asyncio.sleep(0)
            yield key * 7

    users = UserById()
    async for key in keys():
        await users.load(key)


async def loop_in_a_method():
    await Resolver().resolve(Numbers())


async def recursion_over_a_list(keys=tuple(range(0, 80, 10)), users=None):
    users = users or UserById()
    if keys:
        await users.load(keys[0])
        await recursion_over_a_list(keys[1:], users)


async def loop_in_a_registry():
    async with LoaderRegistry() as loaders:
        for key in range(0, 80, 10):
            await loaders.get(UserById).load(key)


async def loop_in_a_comprehension():
    users = UserById()
    return [(await asyncio.sleep(0), await users.load(key)) for key in range(0, 80, 10)]


async def keys_that_come_one_at_a_time():
    gate = asyncio.Event()

    async def load(keys):
        await gate.wait()
        return keys

    async def late(key):
        await turns(6 * key)
        return await loader.load(key)

    loader = DataLoader(load)
    tasks = [asyncio.create_task(late(key)) for key in range(8)]
    await turns(80)
    gate.set()
    await asyncio.gather(*tasks)


async def small_groups():
    users = UserById()
    for start in (0, 10, 20):
        await asyncio.gather(*(users.load(start + key) for key in range(10)))


async def a_call_per_key_that_is_not_counted():
    async def load(keys):
        for _ in keys:
            await asyncio.sleep(0)
        return keys

    await DataLoader(load).load_many(range(8))


async def walking_up_parents():
    users, key = UserById(), 0
    for _ in range(8):
        key = (await users.load(key))["manager_id"]


async def a_cursor_of_pages():
    async def load(keys):
        return [{"rows": [0, 1], "next": f"page {int(key[5:]) + 7}"} for key in keys]

    pages, cursor = DataLoader(load), "page 0"
    for _ in range(8):
        cursor = (await pages.load(cursor))["next"]


async def many_that_walk_together():
    users = UserById()

    async def walk(key):
        for _ in range(8):
            key = (await users.load(key))["manager_id"]

    await asyncio.gather(*(walk(1_000 * key) for key in range(20)))


async def binary_search():
    users, low, high = UserById(), 0, 1_024
    while low < high:
        middle = (low + high) // 2
        await users.load(middle)
        low, high = (middle + 1, high) if middle < 700 else (low, middle)


async def a_parent_that_is_computed():
    users, key = UserById(), 1_000
    while key:
        await users.load(key)
        key //= 2


BAD = [
    *first.BAD,
    first.methods_that_wait,
    two_loaders_in_a_loop,
    an_asynchronous_loop,
    loop_in_a_method,
    recursion_over_a_list,
    loop_in_a_registry,
    loop_in_a_comprehension,
    keys_that_come_one_at_a_time,
    small_groups,
    a_call_per_key_that_is_not_counted,
]
GOOD = [
    *first.GOOD,
    walking_up_parents,
    a_cursor_of_pages,
    many_that_walk_together,
    binary_search,
    a_parent_that_is_computed,
]


async def loop_over_neighbours():
    """Each key stands in the row before by chance: taken for a chain, and in neither list."""
    users = UserById()
    for key in range(8):
        await users.load(key)


MISSED = {small_groups, a_call_per_key_that_is_not_counted}
FALSE = {binary_search, a_parent_that_is_computed}


async def found_in(program):
    with record() as trace:
        await program()
    return {finding.rule for finding in trace.findings if finding.severity != "info"}


def test_there_are_as_many_as_were_promised():
    assert (len(BAD), len(GOOD)) == (23, 24)
    assert len(BAD) - len(MISSED) >= 20
    assert len(FALSE) <= 2


@pytest.mark.parametrize("program", BAD, ids=lambda each: each.__name__)
def test_a_program_that_asks_badly_is_found(run, program):
    async def law():
        assert bool(await found_in(program)) is (program not in MISSED)

    run(law)


@pytest.mark.parametrize("program", GOOD, ids=lambda each: each.__name__)
def test_a_program_that_asks_well_gets_no_warning(run, program):
    async def law():
        assert bool(await found_in(program)) is (program in FALSE)

    run(law)


def test_a_loop_whose_keys_stand_in_the_rows_before_is_taken_for_a_chain(run):
    async def law():
        assert await found_in(loop_over_neighbours) == set()

    run(law)


def test_the_table_has_all_of_them():
    text = TABLE.read_text("utf-8")
    lines = [line.split(" | ")[0].removeprefix("| ") for line in text.splitlines() if line.startswith("| ")]
    names = [program.__name__.replace("_", " ") for program in [*BAD, *GOOD]]
    assert [line for line in lines if line in names] == names
    for program in MISSED | FALSE:
        word = "missed" if program in MISSED else "false alarm"
        assert f"| {program.__name__.replace('_', ' ')} | {word}" in text
