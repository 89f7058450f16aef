"""`LoaderExtension`, `loaders` and `fresh`: a registry for each operation, closed when it has ended."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import strawberry
from fastapi import FastAPI, Request
from loops import turns
from serving import serving
from strawberry.extensions import SchemaExtension
from strawberry.fastapi import GraphQLRouter
from strawberry.types import ExecutionResult
from websockets.asyncio.client import connect

import dloader.fastapi
from dloader import DataLoader, Instrument, LoaderClosedError, LoaderRegistry, OptionError
from dloader.resolver import Resolver
from dloader.strawberry import LoaderExtension, fresh, loaders

versions: list[int] = []
seen: list[LoaderRegistry] = []


class Names(DataLoader[int, str]):
    """Tells the tenant, and how often it was asked."""

    tenant: str

    async def batch_load_fn(self, keys: list[int]) -> list[str]:
        version = len(versions)
        versions.append(version)
        await turns(2)
        return [f"{self.tenant} {key} v{version} of {sorted(keys)}" for key in keys]


@strawberry.type
class Query:
    @strawberry.field
    async def name(self, id: int, info: strawberry.Info) -> str | None:
        seen.append(loaders(info))
        return await loaders(info).get(Names).load(id)

    @strawberry.field
    async def broken(self) -> str | None:
        raise ValueError("broken")


class Plain:
    """Events that cannot be closed."""

    def __init__(self, events: AsyncIterator[int]) -> None:
        self._events = events

    def __aiter__(self) -> AsyncIterator[int]:
        return self

    def __anext__(self) -> Any:
        return anext(self._events)


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def names(self, info: strawberry.Info, fresh_ones: bool, count: int = 3) -> AsyncGenerator[str]:
        async def events() -> AsyncIterator[int]:
            for number in range(count):
                await turns(1)
                yield number

        source = fresh(info, events() if count == 3 else Plain(events())) if fresh_ones else events()
        async for _ in source:
            seen.append(loaders(info))
            yield await loaders(info).get(Names).load(7)


@pytest.fixture(autouse=True)
def forget():
    versions.clear()
    seen.clear()


def schema_with(*extensions: Any) -> strawberry.Schema:
    return strawberry.Schema(Query, subscription=Subscription, extensions=extensions)


def execute(query: str, *extensions: Any, context: Any = None) -> ExecutionResult:
    return asyncio.run(schema_with(*extensions).execute(query, context_value=context))


class TestRegistry:
    def test_an_operation_has_one(self):
        """Its fields share batches; the next operation begins anew; both are closed."""
        schema = schema_with(LoaderExtension({"tenant": "blue"}))

        async def main():
            return [(await schema.execute("{ a: name(id: 1) b: name(id: 2) }")).data for _ in range(2)]

        assert asyncio.run(main()) == [
            {"a": f"blue 1 v{n} of [1, 2]", "b": f"blue 2 v{n} of [1, 2]"} for n in (0, 1)
        ]
        assert seen[0] is seen[1] is not seen[2]
        for registry in seen:
            with pytest.raises(LoaderClosedError):
                registry.get(Names)

    def test_it_is_closed_after_errors_too(self):
        """Of resolvers, and of documents."""
        extension = LoaderExtension({"tenant": "blue"})
        result = execute("{ broken name(id: 1) }", extension)
        assert result.data["name"] == "blue 1 v0 of [1]"
        with pytest.raises(LoaderClosedError):
            seen[0].get(Names)
        assert execute("{ nonsense }", extension).errors[0].message.startswith("Cannot query field")

    def test_operations_at_once_have_their_own(self):
        """Also in one context, as on a WebSocket."""
        schema = schema_with(LoaderExtension({"tenant": "blue"}))

        async def main():
            context = {"user": 1}
            await asyncio.gather(
                *(schema.execute(f"{{ name(id: {n}) }}", context_value=context) for n in range(3))
            )

        asyncio.run(main())
        assert len(set(map(id, seen))) == 3

    @pytest.mark.parametrize("kind", ["plain", "awaitable", "context manager"])
    def test_parameters_may_depend_on_the_context(self, kind):
        """Made at once, awaited, or open as long as the operation."""
        events: list[str] = []

        def plain(context: Any) -> dict[str, str]:
            return {"tenant": context["tenant"]}

        async def awaitable(context: Any) -> dict[str, str]:
            return plain(context)

        @asynccontextmanager
        async def manager(context: Any) -> AsyncIterator[dict[str, str]]:
            events.append("opened")
            yield plain(context)
            with pytest.raises(LoaderClosedError):
                seen[0].get(Names)
            events.append("closed")

        params = {"plain": plain, "awaitable": awaitable, "context manager": manager}[kind]
        result = execute("{ name(id: 1) }", LoaderExtension(params), context={"tenant": "red"})
        assert result.errors is None
        assert result.data == {"name": "red 1 v0 of [1]"}
        assert events == (["opened", "closed"] if kind == "context manager" else [])

    def test_parameters_that_cannot_be_made_fail_the_operation(self):
        """With their own error."""

        def fail(context: Any) -> dict[str, str]:
            raise ValueError("no tenant")

        result = execute("{ name(id: 1) }", LoaderExtension(fail))
        assert [error.message for error in result.errors] == ["no tenant"]

    @pytest.mark.parametrize("kind", ["generator", "number"])
    def test_parameters_that_are_none_say_what_is_wanted(self, kind):
        """A function that yields is no context manager yet."""

        async def params(context: Any) -> AsyncIterator[dict[str, str]]:
            yield {"tenant": "blue"}

        made: Any = params if kind == "generator" else lambda _: 7
        [error] = execute("{ name(id: 1) }", LoaderExtension(made)).errors
        assert error.message.startswith("LoaderExtension(params=) gave ")
        assert "@asynccontextmanager" in error.message

    def test_what_is_no_instance_or_not_awaited_says_so(self):
        """Instead of a word of Strawberry's."""
        with pytest.raises(OptionError, match="wants the parentheses"):
            execute("{ name(id: 1) }", LoaderExtension)
        with pytest.raises(OptionError, match="wants the parentheses"):
            _ = LoaderExtension().execution_context
        [error] = schema_with(LoaderExtension({"tenant": "blue"})).execute_sync("{ name(id: 1) }").errors
        assert "LoaderExtension (which needs `await schema.execute(...)`)" in error.message

    def test_one_instrument_alone_is_refused_where_it_is_written(self):
        """As by all that take several."""
        one: Any = Instrument()
        with pytest.raises(OptionError, match=r"LoaderExtension\(instruments=\) takes a list of instruments"):
            LoaderExtension(instruments=one)
        with pytest.raises(OptionError, match=r"loaders\(instruments=\) takes a list of instruments"):
            dloader.fastapi.loaders(instruments=one)
        with pytest.raises(OptionError, match=r"Resolver\(instruments=\) takes a list of instruments"):
            Resolver(instruments=one)

    def test_other_options_are_those_of_a_registry(self):
        """Checked at once."""
        result = execute("{ name(id: 1) }", LoaderExtension(loader_params={Names: {"tenant": "grey"}}))
        assert result.data == {"name": "grey 1 v0 of [1]"}
        with pytest.raises(OptionError, match=r"LoaderExtension\(params=\) takes a mapping"):
            LoaderExtension(params=7)
        with pytest.raises(OptionError):
            LoaderExtension(max_concurrency=0)

    def test_without_the_extension_there_is_none(self):
        """And it says which line is missing."""
        result = execute("{ name(id: 1) }")
        assert "extensions=[LoaderExtension(params=...)]" in result.errors[0].message

    def test_other_extensions_stand_beside_it(self):
        """Before and after."""

        class Other(SchemaExtension):
            def on_operation(self):
                yield

        extension = LoaderExtension({"tenant": "blue"})
        assert execute("{ name(id: 1) }", Other, extension, Other).errors is None


async def values(events: Any, name: str = "names") -> list[Any]:
    """What events brought."""
    return [event.data[name] async for event in events]


class TestSubscriptions:
    def test_one_is_one_operation(self):
        """Its events see what the first one loaded; the registry is closed at the end."""

        async def main():
            schema = schema_with(LoaderExtension({"tenant": "blue"}))
            return await values(await schema.subscribe("subscription { names(freshOnes: false) }"))

        assert asyncio.run(main()) == ["blue 7 v0 of [7]"] * 3
        assert len(set(map(id, seen))) == 1
        with pytest.raises(LoaderClosedError):
            seen[0].get(Names)

    def test_fresh_forgets_before_each_event(self):
        """What loaders have cached."""

        async def main():
            schema = schema_with(LoaderExtension({"tenant": "blue"}))
            return await values(await schema.subscribe("subscription { names(freshOnes: true) }"))

        assert asyncio.run(main()) == [f"blue 7 v{n} of [7]" for n in range(3)]

    def test_events_that_are_none_are_refused(self):
        """Such as the function that would make them."""

        @strawberry.type
        class Wrong:
            @strawberry.subscription
            async def names(self, info: strawberry.Info) -> AsyncGenerator[str]:
                events: Any = [1, 2]
                async for _ in fresh(info, events):
                    yield "never"

        async def main():
            schema = strawberry.Schema(Query, subscription=Wrong, extensions=[LoaderExtension()])
            return [event async for event in await schema.subscribe("subscription { names }")]

        [event] = asyncio.run(main())
        assert event.errors[0].message == "fresh takes info and what `async for` takes, which [1, 2] is not"

    def test_who_leaves_early_closes_it(self):
        """The source of the events, too."""

        async def main():
            schema = schema_with(LoaderExtension({"tenant": "blue"}))
            events = await schema.subscribe("subscription { names(freshOnes: true) }")
            async for _ in events:
                break
            await events.aclose()

        asyncio.run(main())
        with pytest.raises(LoaderClosedError):
            seen[0].get(Names)

    @pytest.mark.parametrize("is_fresh", ["true", "false"])
    def test_one_task_may_take_the_events_of_several(self, is_fresh):
        """The context tells whose they are."""

        async def main():
            schema = schema_with(LoaderExtension(lambda context: {"tenant": context["tenant"]}))
            query = f"subscription {{ names(freshOnes: {is_fresh}) }}"
            one = await schema.subscribe(query, context_value={"tenant": "one"})
            two = await schema.subscribe(query, context_value={"tenant": "two"})
            found = [(await anext(events)).data["names"].partition(" ")[0] for events in (one, two) * 3]
            await one.aclose()
            await two.aclose()
            return found

        assert asyncio.run(main()) == ["one", "two"] * 3

    def test_operations_that_cannot_be_told_apart_are_refused(self):
        """Two of one context, taken by a task that runs neither."""
        from dloader.strawberry import _operations

        async def main():
            schema = schema_with(LoaderExtension({"tenant": "blue"}))
            context = {"user": 1}
            query = "subscription { names(freshOnes: false, count: 2) }"
            both = [await schema.subscribe(query, context_value=context) for _ in range(2)]
            for each in both:
                await anext(each)
            _operations.current.set(None)
            try:
                return await anext(both[0])
            finally:
                for each in both:
                    await each.aclose()

        result = asyncio.run(main())
        assert "give each a task of its own" in result.errors[0].message


class TestServed:
    def test_over_http_and_websockets(self):
        """A real server: each request, and each operation on a socket, has its own registry."""

        async def context(request: Request = None) -> dict[str, Any]:  # a WebSocket has none
            return {"tenant": "red" if request is None else request.headers.get("tenant", "blue")}

        schema = schema_with(LoaderExtension(lambda context: {"tenant": context["tenant"]}))
        app = FastAPI()
        app.include_router(GraphQLRouter(schema, context_getter=context), prefix="/graphql")

        async def main():
            async with serving(app) as client:
                asked = {"query": "{ a: name(id: 1) b: name(id: 2) broken }"}
                replies = await asyncio.gather(
                    *(client.post("/graphql", json=asked, headers={"tenant": str(n)}) for n in range(3))
                )
                answers = [reply.json() for reply in replies]
                url = str(client.base_url).replace("http", "ws")
                async with connect(f"{url}/graphql", subprotocols=["graphql-transport-ws"]) as socket:
                    await socket.send(json.dumps({"type": "connection_init"}))
                    await socket.recv()
                    for number in (1, 2):
                        query = "subscription { names(freshOnes: true, count: 2) }"
                        message = {"id": str(number), "type": "subscribe", "payload": {"query": query}}
                        await socket.send(json.dumps(message))
                    events, ended = [], 0
                    while ended < 2:
                        message = json.loads(await socket.recv())
                        ended += message["type"] == "complete"
                        if message["type"] == "next":
                            events.append(message["payload"]["data"]["names"])
                return answers, events

        answers, events = asyncio.run(main())
        for number, answer in enumerate(answers):
            assert [error["path"] for error in answer["errors"]] == [["broken"]]
            assert answer["data"]["a"].startswith(f"{number} 1 ")
            assert answer["data"]["a"].endswith("of [1, 2]")
        assert len(events) == len(set(events)) == 4
        assert all(event.startswith("red 7 ") for event in events)
        assert len(set(map(id, seen))) == 5
