"""Many batches at once: what is done for each must not pile up."""

from __future__ import annotations

import asyncio

import pytest

from dloader import DataLoader


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
