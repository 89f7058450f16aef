"""A process of several that read, write and clear the same rows at random: `python rounds.py URL SEED ROUNDS`.

The rows, and what has been cleared, are counters in the same server, behind no cache. Each read is held against them:

- What a new request reads is not older than what the clears that had ended before were of, and not newer than the row.
- The same holds for a loader with a cache that lives as long as the process, once it has heard of these clears.

It prints what it has done, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from random import Random

import redis.asyncio

from dloader import DataLoader, LoaderRegistry
from dloader.instruments import Instrument, everywhere
from dloader.redis import RedisStore

KEYS = range(3)
ENDED = """
for i = 1, #ARGV, 2 do
  local key, now = ARGV[i], ARGV[i + 1]
  if tonumber(now) > tonumber(redis.call('HGET', 'cleared', key) or 0) then redis.call('HSET', 'cleared', key, now) end
  redis.call('HINCRBY', 'clears', key, 1)
end
"""
"""Notes of each key which row has been cleared, and how often one was."""


class Rows(DataLoader[int, int]):
    """A row is how often it was written."""

    store_ttl = 60.0
    source: redis.asyncio.Redis

    async def batch_load_fn(self, keys):
        done["loaded"] += len(keys)
        found = await counters(self.source, "rows")
        for _ in range(random.randrange(6)):
            await asyncio.sleep(0)  # meanwhile somebody writes
        return [found[key] for key in keys]


class Heard(Instrument):
    """Counts what the loader that lives on has heard of."""

    def __init__(self, loader):
        self.loader = loader
        self.of = Counter()

    def keys_forgotten(self, loader, keys):
        if loader is self.loader:
            self.of.update(KEYS if keys is None else keys)


async def counters(source, name):
    found = await source.hgetall(name)
    return Counter({key: int(found.get(b"%d" % key, 0)) for key in KEYS})


def say(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class Process:
    """What one process does in a round."""

    def __init__(self, url, rounds):
        self.source = redis.asyncio.from_url(url)
        self.store = RedisStore(redis.asyncio.from_url(url), deadline=60.0, lease=60.0)
        self.rounds = rounds

    async def read_anew(self):
        cleared = await counters(self.source, "cleared")
        async with LoaderRegistry({"source": self.source}, store=self.store) as loaders:
            found = await loaders.get(Rows).load_many(KEYS)
            done["found"] += loaders.get(Rows).statistics.store_hits
        await self.check(cleared, found, KEYS)

    async def read_on(self):
        cleared, clears = await counters(self.source, "cleared"), await counters(self.source, "clears")
        heard = [key for key in KEYS if self.heard.of[key] >= clears[key]]
        found = await self.loader.load_many(heard)
        done["heard"] += len(heard)
        await self.check(cleared, found, heard)

    async def check(self, cleared, found, keys):
        rows = await counters(self.source, "rows")
        for key, value in zip(keys, found, strict=True):
            assert cleared[key] <= value <= rows[key], (key, cleared[key], value, rows[key])
        done["read"] += len(keys)

    async def write(self):
        keys = [random.choice(KEYS)] if random.random() < 0.9 else KEYS
        said = []
        for key in keys:
            said += [key, await self.source.hincrby("rows", key, 1)]
        async with LoaderRegistry({"source": self.source}, store=self.store) as loaders:
            rows = loaders.get(Rows)
            rows.clear(keys[0]) if len(keys) == 1 else rows.clear_all()
        await self.source.eval(ENDED, 0, *said)
        done["written"] += 1

    async def run(self):
        async with Rows(store=self.store) as self.loader:
            self.loader.source = self.source
            self.heard = Heard(self.loader)
            everywhere.append(self.heard)
            await self.loader.load_many(KEYS)
            while not self.heard.of:  # it listens from now on
                await asyncio.sleep(0.001)
            self.heard.of.clear()
            say("ready")
            await asyncio.to_thread(sys.stdin.readline)
            for _ in range(self.rounds):
                work = [self.read_anew() for _ in range(random.randrange(3))]
                work += [self.read_on() for _ in range(random.randrange(3))]
                work += [self.write() for _ in range(random.random() < 0.4)]
                random.shuffle(work)
                await asyncio.gather(*work)
            say("done")
            await asyncio.to_thread(sys.stdin.readline)
            clears = await counters(self.source, "clears")
            while self.heard.of != clears:
                await asyncio.sleep(0.001)
            rows = await counters(self.source, "rows")
            assert await self.loader.load_many(KEYS) == list(rows.values())
            await self.read_anew()
        everywhere.remove(self.heard)
        await self.source.aclose()
        await self.store._client.aclose()
        say(json.dumps({**done, "rows": rows}))


if __name__ == "__main__":
    random, done = Random(int(sys.argv[2])), Counter()
    asyncio.run(Process(sys.argv[1], int(sys.argv[3])).run())
