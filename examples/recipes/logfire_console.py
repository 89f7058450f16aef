"""Batches in Logfire, which is OpenTelemetry: `DloaderInstrumentor` after `logfire.configure` is all.

    python examples/recipes/logfire_console.py

Here spans are printed and nothing is sent: `send_to_logfire=False`. Leave that out to send them.
"""

import asyncio
from typing import Annotated, Any

import logfire
from pydantic import BaseModel

from dloader import DataLoader, LoaderRegistry
from dloader.opentelemetry import DloaderInstrumentor
from dloader.resolver import Load, Resolver

asked: list[int] = []


class UserById(DataLoader[int, dict[str, Any]]):
    """Users, of a back end whose spans are within those of batches."""

    async def batch_load_fn(self, keys: list[int]) -> list[dict[str, Any]]:
        """Ask for all of them at once."""
        asked.append(len(keys))
        with logfire.span("asking for {count} users", count=len(keys)):
            return [{"name": f"User {key}"} for key in keys]


class UserOut(BaseModel):
    name: str


class CommentOut(BaseModel):
    text: str
    author: Annotated[UserOut, Load(UserById, by="author_id")]


async def main() -> list[CommentOut]:
    """Answer one request."""
    comments = [{"text": f"Comment {n}", "author_id": n % 250} for n in range(500)]
    with logfire.span("one request"):
        async with LoaderRegistry() as loaders:
            return await Resolver(registry=loaders).resolve(comments, into=list[CommentOut])


if __name__ == "__main__":
    console = logfire.ConsoleOptions(colors="never", include_timestamps=False)
    logfire.configure(send_to_logfire=False, service_name="comments", console=console)
    DloaderInstrumentor().instrument()
    answer = asyncio.run(main())
    print(f"{len(answer)} comments in {len(asked)} batch of {asked[0]} users")
