"""The loaders of the resolver cases, for any library."""

from __future__ import annotations

from functools import cache
from typing import Any

from benchmarks.peers.libraries import Library
from benchmarks.suites.resolver.data import items_of, members_of, offices_of, owners, steps_after


@cache
def loaders(lib: Library) -> Any:
    """The loader classes of the trees."""

    class Offices(lib.DataLoader):
        async def batch_load_fn(self, keys):
            return lib.build_list(await offices_of(keys), keys, lambda row: row["company_id"])

    class Members(lib.DataLoader):
        async def batch_load_fn(self, keys):
            return lib.build_list(await members_of(keys), keys, lambda row: row["office_id"])

    class Owners(lib.DataLoader):
        async def batch_load_fn(self, keys):
            return lib.build_object(await owners(keys), keys, lambda row: row["id"])

    class Items(lib.DataLoader):
        async def batch_load_fn(self, keys):
            return lib.build_list(await items_of(keys), keys, lambda row: row["of"])

    class Steps(lib.DataLoader):
        async def batch_load_fn(self, keys):
            return await steps_after(keys)

    return Offices, Members, Owners, Items, Steps
