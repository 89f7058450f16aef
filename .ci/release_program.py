"""What a newcomer's first program does, with nothing installed but the release: the job "release" runs it."""

import asyncio

from dloader import DataLoader


async def load_users(ids: list[int]) -> list[str]:
    """A batch function."""
    return [f"user {key} of {ids}" for key in ids]


async def main() -> None:
    """Three loads, one batch."""
    async with DataLoader(load_users) as users:
        found = await asyncio.gather(users.load(1), users.load(2), users.load(1))
    if found != ["user 1 of [1, 2]", "user 2 of [1, 2]", "user 1 of [1, 2]"]:
        raise SystemExit(f"the release does not work: {found}")


asyncio.run(main())
