# cython: language_level=3, binding=True, annotation_typing=False
"""A loader with nothing but batching and a cache, written for Cython: about what a compiled core could be at best.

No cancelling, no errors, no options, no instruments. See compiled.py.
"""

import asyncio


cdef object get_running_loop = asyncio.get_running_loop


cdef class DataLoader:
    cdef object fetch, loop
    cdef dict cache, waiting
    cdef list keys, futures
    cdef set tasks

    def __init__(self, fetch):
        self.fetch = fetch
        self.loop = None
        self.cache, self.waiting = {}, {}
        self.keys, self.futures = [], []
        self.tasks = set()

    def load(self, key):
        found = self.cache.get(key)  # a done future, which all may have
        if found is not None:
            return found
        loop = get_running_loop()
        future = loop.create_future()
        others = self.waiting.get(key)
        if others is not None:
            (<list>others).append(future)
            return future
        if not self.keys:
            self.loop = loop
            loop.call_soon(self.start)
        self.waiting[key] = mine = [future]
        self.keys.append(key)
        self.futures.append(mine)
        return future

    def start(self):
        keys, futures = self.keys, self.futures
        self.keys, self.futures = [], []
        task = self.loop.create_task(self.run(keys, futures))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def run(self, list keys, list futures):
        answers = await self.fetch(list(keys))
        settle(self.cache, self.waiting, keys, futures, answers)


cdef void settle(dict cache, dict waiting, list keys, list futures, list answers):
    for key, mine, answer in zip(keys, futures, answers, strict=True):
        cache[key] = (<list>mine)[0]
        del waiting[key]
        for future in <list>mine:
            future.set_result(answer)
