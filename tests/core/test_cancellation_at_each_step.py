"""A fixed program, run again and again, with one of its tasks cancelled at each of its steps in turn."""

import asyncio

import pytest
from loops import LoopRunner, turns

from dloader import DataLoader

CALLERS = 6


async def load(keys):
    """A batch function of a few steps, that fails for one key."""
    await turns(2)
    return [ValueError(key) if key == 3 else key * 10 for key in keys]


async def program(loader, number):
    """What one caller does."""
    one = await loader.load(number % 3)
    many = await loader.load_many([1, 2, number], return_exceptions=True)
    async with asyncio.timeout(3600):
        again = await loader.clear(number).load(number) if number != 3 else None
    return [one, many, again]


def expected(number):
    """What it gets when it is left alone."""
    many = [10, 20, "error" if number == 3 else number * 10]
    return [number % 3 * 10, many, None if number == 3 else number * 10]


def plain(answer):
    """Errors compare by kind."""
    return [
        ["error" if isinstance(x, ValueError) else x for x in part] if isinstance(part, list) else part
        for part in answer
    ]


async def cancel_at(turn, victim, size, limit):
    """Run the callers, cancel one task after some turns; tell whether there was still something to cancel."""
    loader = DataLoader(load, size, max_concurrency=limit)
    tasks = [asyncio.create_task(program(loader, number)) for number in range(CALLERS)]
    await turns(turn)
    if victim == "batch":
        running = [task for task in asyncio.all_tasks() if task.get_name().startswith("load-")]
        found = bool(running) and min(running, key=asyncio.Task.get_name).cancel()
    else:
        found = tasks[victim].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    for number, answer in enumerate(answers):
        if victim != "batch" and number != victim:
            assert plain(answer) == expected(number)
        elif isinstance(answer, BaseException):
            kinds = asyncio.CancelledError if number == victim else Exception
            assert isinstance(answer, kinds)
    await turns(3)
    assert loader.is_idle
    assert await loader.clear_all().load_many([0, 1, 2]) == [0, 10, 20]
    return found or not all(task.done() for task in tasks)


class TestCancelledEverywhere:
    @pytest.mark.parametrize(("size", "limit"), [(None, None), (2, 1)])
    @pytest.mark.parametrize("victim", [0, 3, CALLERS - 1, "batch"])
    def test_the_others_do_not_notice(self, kind, victim, size, limit):
        """They get their own right answers, and the loader is left clean."""
        for turn in range(40):
            runner = LoopRunner(kind)
            found = runner(cancel_at, turn, victim, size, limit)
            assert runner.reports == []
            if victim != "batch" and not found:
                break
        assert turn > 5
