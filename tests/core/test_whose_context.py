"""A batch runs in the context of the first caller who still waits when it starts."""

import asyncio
from contextvars import ContextVar, copy_context

import pytest
from loops import turns

from dloader import DataLoader, manual

tenant = ContextVar("tenant", default="nobody")


def as_tenant(name, function, *args):
    context = copy_context()
    context.run(tenant.set, name)
    return context.run(function, *args)


async def who(keys):
    return [f"{tenant.get()}'s {key}" for key in keys]


async def wait_for(ask, key):
    return await ask(key)


def asked_by(name, ask, key):
    """A task of somebody's that awaits what it asks for."""
    return as_tenant(name, lambda: asyncio.ensure_future(wait_for(ask, key)))


class TestWhoseContext:
    @pytest.mark.parametrize("size", [None, 5])
    def test_that_of_who_opened_the_batch(self, run, size):
        async def law():
            loader = DataLoader(who, size)
            tasks = [asked_by("a", loader.load, 1), asked_by("b", loader.load, 2)]
            assert await asyncio.gather(*tasks) == ["a's 1", "a's 2"]

        run(law)

    @pytest.mark.parametrize("many", [False, True], ids=["load", "load_many"])
    @pytest.mark.parametrize("left", [1, 2])
    def test_once_they_have_left_that_of_who_came_next(self, run, many, left):
        async def law():
            loader = DataLoader(who, dispatch=manual())
            ask = (lambda key: loader.load_many([key])) if many else loader.load
            tasks = [asked_by(name, ask, key) for key, name in enumerate("abc")]
            await turns(2)
            for task in tasks[:left]:
                task.cancel()
            await turns(2)
            loader.dispatch()
            name = "abc"[left]
            answers = await asyncio.gather(*tasks[left:])
            expected = [f"{name}'s {key}" for key in range(left, 3)]
            assert answers == ([[answer] for answer in expected] if many else expected)

        run(law)

    @pytest.mark.parametrize("joins", [False, True], ids=["other key", "same key"])
    @pytest.mark.parametrize("many", [False, True], ids=["load", "load_many"])
    def test_also_where_a_full_batch_forgot_their_key(self, run, many, joins):
        async def law():
            loader = DataLoader(who, 4, dispatch=manual())
            ask = (lambda key: loader.load_many([key])) if many else loader.load
            tasks = [asked_by("a", ask, 0), asked_by("a", ask, 1), asked_by("b", ask, 0 if joins else 2)]
            await turns(2)
            for task in tasks[:2]:
                task.cancel()
            await turns(2)
            tasks += [asked_by("c", ask, key) for key in (3, 4, 5)]
            await turns(2)
            loader.dispatch()
            answers = await asyncio.gather(*tasks[2:])
            assert [str(answer).strip("[]'\"")[0] for answer in answers] == ["b"] * 4

        run(law)

    @pytest.mark.parametrize("ask", ["load", "load_many"])
    def test_or_of_who_waits_for_the_same_key(self, run, ask):
        async def law():
            loader = DataLoader(who, dispatch=manual())
            first = asked_by("a", loader.load, 1)
            await turns(1)
            second = asked_by("b", loader.load, 1) if ask == "load" else asked_by("b", loader.load_many, [1])
            await turns(1)
            third = asked_by("c", loader.load, 1)
            await turns(1)
            first.cancel()
            await turns(1)
            loader.dispatch()
            assert await second == ("b's 1" if ask == "load" else ["b's 1"])
            assert await third == "b's 1"

        run(law)

    def test_a_future_that_nobody_awaits_yet_tells_nothing(self, run):
        """Then it is that of who opened the batch."""

        async def law():
            loader = DataLoader(who, dispatch=manual())
            first, second = (as_tenant(name, loader.load, name) for name in "ab")
            first.cancel()
            loader.dispatch()
            assert await second == "a's b"
            first, second, third = (as_tenant(name, loader.load, 1) for name in "abc")
            first.cancel()
            second.cancel()
            loader.dispatch()
            assert await third == "a's 1"

        run(law)

    def test_what_the_batch_function_sets_stays_inside(self, run):
        async def law():
            async def sets(keys):
                tenant.set("changed")
                return keys

            loader = DataLoader(sets, dispatch=manual())
            seen = []

            async def caller(key):
                await loader.load(key)
                seen.append(tenant.get())

            tasks = [as_tenant(name, lambda n=name: asyncio.ensure_future(caller(n))) for name in "ab"]
            await turns(1)
            tasks[0].cancel()
            await turns(1)
            loader.dispatch()
            await tasks[1]
            assert seen == ["b"]

        run(law)
