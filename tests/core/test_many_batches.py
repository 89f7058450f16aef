"""Many batches at once: what is done for each must not pile up."""

from __future__ import annotations

import asyncio

import pytest

from dloader import DataLoader, manual


class TestManyBatches:
    @pytest.mark.parametrize("limit", [None, 1, 7])
    def test_batches_that_end_in_their_first_step_do_not_pile_up_on_the_stack(self, run, limit):
        """Each of 3,000 batches of one ends before the next starts, whatever the limit."""

        async def law():
            calls = 0

            async def echo(keys: list[int]) -> list[int]:
                nonlocal calls
                calls += 1
                return keys

            loader = DataLoader(echo, 1, max_concurrency=limit)
            assert await asyncio.gather(*map(loader.load, range(3000))) == list(range(3000))
            assert await loader.load_many(range(3000, 6000)) == list(range(3000, 6000))
            assert calls == 6000

        run(law)


def test_a_batch_that_closes_in_the_first_step_of_another_starts_after_it(run):
    """Not within it, on loops where tasks start at once."""

    async def law():
        calls, inner = [], []

        async def function(keys: list[int]) -> list[int]:
            calls.append(("begun", *keys))
            if keys == [1]:
                inner.append(loader.load(2))
                loader.dispatch()
            calls.append(("ended", *keys))
            return keys

        loader = DataLoader(function, dispatch=manual())
        outer = loader.load(1)
        loader.dispatch()
        assert await outer == 1
        assert await asyncio.gather(*inner) == [2]
        assert calls == [("begun", 1), ("ended", 1), ("begun", 2), ("ended", 2)]

    run(law)
