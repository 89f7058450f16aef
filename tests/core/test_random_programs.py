"""Random programs of loaders that load from each other, with limits, callers who leave, and shutdowns: all ends."""

import asyncio
import random
import sys
import threading

import pytest
from loops import new_loop, turns

from dloader import BatchAbortedError, DataLoader, Limit, LoaderClosedError, LoaderRegistry


class Program:
    """Loaders whose keys form a forest: each key is loaded by way of smaller ones, of any of the loaders."""

    def __init__(self, seed):
        self.chance = random.Random(seed)
        shared = Limit(self.chance.randint(1, 2))
        limits = [None, 1, 2, shared]
        self.below = {n: self.chance.sample(range(n), min(n, self.chance.randint(0, 2))) for n in range(12)}
        self.loaders = [
            # Keys that met in one batch could wait for each other: with one key each there is no circle.
            DataLoader(
                self.function(index), 1, name=f"loader {index}", max_concurrency=self.chance.choice(limits)
            )
            for index in range(3)
        ]
        self.running = 0

    def function(self, index):
        async def load(keys):
            self.running += 1
            try:
                await turns(self.chance.randint(0, 2))
                return [await self.answer(key) for key in keys]
            finally:
                self.running -= 1

        return load

    async def answer(self, key):
        """Ten times the key, once what is below has been loaded."""
        for small in self.below[key]:
            # Each key has one loader, so that no two wait for each other.
            assert await self.loaders[small % 3].load(small) == small * 10
        return key * 10

    def load(self, key):
        return self.loaders[key % 3].load(key)


@pytest.mark.parametrize("seed", range(60))
def test_whoever_leaves_the_others_get_their_answers(run, seed):
    """Nobody waits for ever, and everything is idle in the end."""

    async def law():
        program = Program(seed)
        chance = program.chance
        asked, left = {}, set()
        for _ in range(chance.randint(2, 8)):
            key = chance.randrange(12)
            asked[program.load(key)] = key
            await turns(chance.randint(0, 3))
            if chance.random() < 0.3:
                leaves = chance.choice(list(asked))
                leaves.cancel()
                left.add(leaves)
        is_ending = chance.random() < 0.3
        if is_ending:
            for loader in program.loaders:
                await loader.shutdown()
        answers = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 30)
        for (future, key), answer in zip(asked.items(), answers, strict=True):
            may_lack = is_ending or future in left
            assert answer == key * 10 or (
                may_lack
                and isinstance(answer, (asyncio.CancelledError, LoaderClosedError, BatchAbortedError))
            )
        for _ in range(200):
            if all(loader.is_idle for loader in program.loaders):
                break
            await turns(1)
        assert all(loader.is_idle for loader in program.loaders)
        assert program.running == 0

    run(law)


class Users(DataLoader[int, str]):
    tenant: str

    async def batch_load_fn(self, keys):
        await asyncio.sleep(0)
        return [f"{self.tenant}'s {key}" for key in keys]


def test_threads_with_loops_of_their_own_do_not_meet(kind):
    """Whatever classes, limits of classes and policies they share; the interpreter switches as often as it can."""

    async def requests(name):
        for number in range(30):
            async with LoaderRegistry({"tenant": name}, max_concurrency=1) as loaders:
                users = loaders.get(Users)
                one, many = await asyncio.gather(users.load(number), users.load_many([number, 1, 2]))
                assert one == f"{name}'s {number}"
                assert many == [f"{name}'s {key}" for key in (number, 1, 2)]
                assert users.statistics.batches == 1

    def work(name):
        try:
            with asyncio.Runner(loop_factory=lambda: new_loop(kind)) as runner:
                runner.run(requests(name))
            done.append(name)
        except BaseException as error:
            failed.append(error)

    done, failed = [], []
    names = ["red", "blue", "green"]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert failed == []
    assert sorted(done) == sorted(names)
