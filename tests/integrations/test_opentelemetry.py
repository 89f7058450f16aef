"""Spans and metrics of batches, beside the real instrumentations of FastAPI, SQLAlchemy and Redis."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import re
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("opentelemetry.instrumentation.fastapi", reason="install the extra test again")
pytest.importorskip("opentelemetry.instrumentation.redis", reason="install the extra test again")
pytest.importorskip("opentelemetry.instrumentation.sqlalchemy", reason="install the extra test again")

import httpx
import redis.asyncio
import redis_servers
from fastapi import Depends, FastAPI
from loops import turns
from opentelemetry import trace
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.redis import RedisInstrumentor
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from dloader import DataLoader, LoaderRegistry
from dloader.fastapi import loaders
from dloader.instruments import everywhere
from dloader.opentelemetry import DloaderInstrumentor
from dloader.redis import RedisStore

ROOT = Path(__file__).parents[2]


class Traced:
    """What was exported."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader])
        self.tracer = self.provider.get_tracer("test")

    def instrument(self, **options: Any) -> None:
        DloaderInstrumentor().instrument(tracer_provider=self.provider, meter_provider=self.meters, **options)

    @property
    def spans(self) -> Any:
        return self.exporter.get_finished_spans()

    def batches(self) -> list[Any]:
        return [span for span in self.spans if span.name.startswith("DataLoader Batch")]

    def tree(self) -> list[str]:
        """The spans, indented below their parents."""
        spans = sorted(self.spans, key=lambda span: span.start_time)

        def below(parent: int | None, depth: int) -> list[str]:
            return [
                line
                for span in spans
                if (span.parent.span_id if span.parent else None) == parent
                for line in ("  " * depth + span.name, *below(span.context.span_id, depth + 1))
            ]

        return below(None, 0)

    def points(self, name: str) -> dict[Any, Any]:
        data = self.reader.get_metrics_data()
        metrics = [] if data is None else data.resource_metrics[0].scope_metrics[0].metrics
        return {
            point.attributes.get("dloader.outcome"): getattr(point, "value", getattr(point, "sum", None))
            for metric in metrics
            if metric.name == name
            for point in metric.data.data_points
        }


@pytest.fixture
def traced():
    traced = Traced()
    yield traced
    DloaderInstrumentor().uninstrument()
    traced.provider.shutdown()
    traced.meters.shutdown()
    assert not everywhere


async def load_users(ids):
    await asyncio.sleep(0)
    return [ValueError("odd") if id == 13 else f"user {id}" for id in ids]


def test_a_batch_is_one_span_with_a_link_to_each_that_asked(run, traced):
    traced.instrument(capture_keys=True)

    async def law():
        users = DataLoader(load_users, name="users")

        async def field(name, *ids):
            with traced.tracer.start_as_current_span(name):
                return await asyncio.gather(*map(users.load, ids))

        with traced.tracer.start_as_current_span("request"):
            await asyncio.gather(field("one", 1, 2), field("two", 2, 3), field("three", 1))

        async def without_span():
            return await users.load(4)

        await asyncio.gather(without_span(), without_span())
        assert not traced.batches()[1].links
        assert traced.batches()[1].parent is None
        batch = traced.batches()[0]
        by_name = {span.name: span for span in traced.spans}
        assert batch.name == "DataLoader Batch users"
        assert batch.kind is trace.SpanKind.INTERNAL
        assert dict(batch.attributes) == {
            "graphql.processing.type": "dataloader_batch",
            "graphql.dataloader.name": "users",
            "graphql.dataloader.batch.size": 3,
            "graphql.dataloader.batch.keys": ("1", "2", "3"),
        }
        assert batch.parent.span_id == by_name["one"].context.span_id
        asked = {by_name[name].context.span_id for name in ("one", "two", "three")}
        assert {link.context.span_id for link in batch.links} == asked

    run(law)


def test_a_load_that_nobody_awaits_has_no_link(run, traced):
    traced.instrument()

    async def law():
        users = DataLoader(load_users)
        left = users.load(1)
        with traced.tracer.start_as_current_span("request") as span:
            assert await users.load(2) == "user 2"
        assert [link.context for link in traced.batches()[0].links] == [span.get_span_context()]
        assert await left == "user 1"

    run(law)


def test_loaders_made_earlier_are_seen_and_none_after_the_end(run, traced):
    async def law():
        users = DataLoader(load_users)
        await users.load(1)
        traced.instrument()
        await users.load(2)
        await users.load(3)
        assert len(traced.batches()) == 2
        assert "graphql.dataloader.batch.keys" not in traced.batches()[0].attributes
        DloaderInstrumentor().uninstrument()
        await users.load(4)
        assert len(traced.batches()) == 2
        traced.instrument()
        await users.load(5)
        assert len(traced.batches()) == 3

    run(law)


def test_a_batch_that_everybody_left_before_it_began_is_nothing(run, traced):
    traced.instrument()

    async def law():
        users = DataLoader(load_users)
        users.load(1).cancel()
        await turns(12)
        assert users.is_idle
        assert not traced.spans
        assert not traced.points("dloader.batch.size")

    run(law)


def test_no_more_links_are_made_than_are_kept(run, traced):
    traced.instrument()

    async def law():
        users = DataLoader(load_users)

        async def field(id):
            with traced.tracer.start_as_current_span("field"):
                return await users.load(id)

        await asyncio.gather(*map(field, range(100, 300)))
        [batch] = traced.batches()
        assert len(batch.links) == 128
        assert batch.attributes["graphql.dataloader.batch.size"] == 200

    run(law)


def test_a_batch_that_fails_says_so(run, traced):
    traced.instrument()

    async def fail(keys):
        raise ValueError("no")

    async def law():
        with pytest.raises(ValueError, match="no"):
            await DataLoader(fail).load(1)
        [batch] = traced.batches()
        assert batch.status.status_code is trace.StatusCode.ERROR
        assert batch.attributes["error.type"] == "ValueError"
        assert [event.name for event in batch.events] == ["exception"]

    run(law)


def test_metrics_say_where_keys_came_from(run, traced):
    traced.instrument()

    async def law():
        users = DataLoader(load_users)
        await asyncio.gather(
            users.load(1), users.load(1), users.load(2), users.load(13), return_exceptions=True
        )
        await users.load_many([1, 2, 1])
        del users
        await turns(3)
        gc.collect()
        assert traced.points("dloader.loads") == {"loaded": 2, "error": 1, "merged": 1, "hit": 2}
        assert traced.points("dloader.batch.size") == {None: 3}
        assert list(traced.points("dloader.batch.duration")) == [None]

    run(law)


@pytest.fixture
def server():
    yield from redis_servers.serving()


@asynccontextmanager
async def instrumented(traced, server, database):
    """An application of two loaders behind one store, with all that it runs on traced; and a client for it."""

    class Names(DataLoader[int, str]):
        engine: AsyncEngine
        store_ttl = 30.0
        statement = "SELECT 1"

        async def batch_load_fn(self, keys):
            async with self.engine.connect() as connection:
                rows = await connection.execute(text(self.statement))
                return [f"{key} {rows.rowcount}" for key in keys]

    class Broken(Names):
        statement = "SELECT nothing"

    client = redis.asyncio.from_url(server.url, retry=Retry(NoBackoff(), 0))
    engine = create_async_engine(f"sqlite+aiosqlite:///{database}")
    app = FastAPI()
    given = Depends(loaders(engine=lambda: engine, store=RedisStore(client, deadline=30.0)))

    @app.get("/names")
    async def names(ids: str, registry: LoaderRegistry = given) -> list[str]:
        async def field(id):
            with traced.tracer.start_as_current_span(f"name {id}"):
                return await registry.get(Names).load(id)

        return await asyncio.gather(*map(field, map(int, ids.split(","))))

    @app.delete("/names")
    async def forget(ids: str, registry: LoaderRegistry = given) -> None:
        registry.get(Names).clear_many(map(int, ids.split(",")))

    @app.get("/broken")
    async def broken(registry: LoaderRegistry = given) -> list[str]:
        try:
            return [await registry.get(Broken).load(1)]
        except OperationalError:
            return []

    RedisInstrumentor().instrument(tracer_provider=traced.provider, skip_dep_check=True)
    SQLAlchemyInstrumentor().instrument(
        engine=engine.sync_engine, tracer_provider=traced.provider, skip_dep_check=True
    )
    FastAPIInstrumentor.instrument_app(
        app, tracer_provider=traced.provider, exclude_spans=["receive", "send"]
    )
    traced.instrument()
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as asking:
            yield asking
    finally:
        FastAPIInstrumentor.uninstrument_app(app)
        SQLAlchemyInstrumentor().uninstrument()
        RedisInstrumentor().uninstrument()
        await engine.dispose()
        await client.aclose()


LOOK, WRITE, DELETE = "EVALSHA", "EVALSHA", "EVALSHA"
"""Scripts of the store."""


def test_the_tree_of_one_request(traced, server, tmp_path):
    """FastAPI, the store in Redis, SQLAlchemy: each stands where one looks for it, and loads are links."""
    database = tmp_path / "names.db"
    statement = f"      SELECT {database}"

    async def law():
        async with instrumented(traced, server, database) as client:

            async def tree(method, url):
                traced.exporter.clear()
                (await client.request(method, url)).raise_for_status()
                return traced.tree()

            def linked():
                [batch] = traced.batches()
                names = {span.context.span_id: span.name for span in traced.spans}
                return sorted(names[link.context.span_id] for link in batch.links)

            await tree("GET", "/names?ids=0")  # the server learns the scripts
            await tree("DELETE", "/names?ids=0")
            missed = [f"      {LOOK}", "      connect", statement, f"      {WRITE}"]
            assert await tree("GET", "/names?ids=1,2,3") == [
                "GET /names", "  name 1", "    DataLoader Batch Names", *missed, "  name 2", "  name 3",
            ]  # fmt: skip
            assert linked() == ["name 1", "name 2", "name 3"]
            assert await tree("GET", "/names?ids=3,1") == [
                "GET /names", "  name 3", "    DataLoader Batch Names", f"      {LOOK}", "  name 1",
            ]  # fmt: skip
            assert linked() == ["name 1", "name 3"]
            assert await tree("GET", "/names?ids=1,4") == [
                "GET /names", "  name 1", "    DataLoader Batch Names", *missed, "  name 4",
            ]  # fmt: skip
            assert linked() == ["name 1", "name 4"]
            assert await tree("DELETE", "/names?ids=1,4") == ["DELETE /names", f"  {DELETE}"]
            assert await tree("GET", "/broken") == [
                "GET /broken", "  DataLoader Batch Broken", *(line[2:] for line in missed),
            ]  # fmt: skip
            failed = {span.name for span in traced.spans if span.status.status_code is trace.StatusCode.ERROR}
            assert failed == {"DataLoader Batch Broken", statement.strip()}

    asyncio.run(law())


def test_a_store_that_is_away_is_seen_in_the_tree_and_the_request_is_served(traced, server, tmp_path):
    async def law():
        async with instrumented(traced, server, tmp_path / "names.db") as client:
            server.kill()
            assert (await client.get("/names?ids=1,2")).json() == ["1 -1", "2 -1"]
            assert [line.split()[0] for line in traced.tree()] == [
                "GET", "name", "DataLoader", LOOK, "connect", "SELECT", "name",
            ]  # fmt: skip
            failed = [span.name for span in traced.spans if span.status.status_code is trace.StatusCode.ERROR]
            assert failed == [LOOK]

    asyncio.run(law())


def test_opentelemetry_instrument_finds_it():
    from importlib.metadata import entry_points

    found = [each for each in entry_points(group="opentelemetry_instrumentor") if each.name == "dloader"]
    if not found:
        pytest.skip("dloader is not installed anew since it has the entry point")
    assert found[0].load() is DloaderInstrumentor
    assert DloaderInstrumentor().instrumentation_dependencies() == ()


def printed_by(command: list[str], answers: list[str]) -> str:
    """What the command of a service prints: it is asked once, and then interrupted, as by Ctrl-C."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    program = Path(sys.executable).with_name(command[0])
    service = subprocess.Popen(
        [program, *command[1:], "--port", "0"],
        cwd=ROOT, env={**os.environ, "PATH": path}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with service:
        try:
            said = ""
            for line in service.stderr:
                said += line
                if running := re.search(r"running on (http://\S+)", line):
                    answers.append(httpx.get(f"{running[1]}/squares?of=2&of=3", trust_env=False).text)
                    service.send_signal(signal.SIGINT)
                    break
            printed, rest = service.communicate()
        finally:
            service.kill()
    assert service.returncode == 0, said + rest
    return printed


def test_the_command_of_the_page_has_a_service_traced_that_does_not_know_of_it():
    pytest.importorskip("opentelemetry.distro", reason="install the extra test again")
    page = (ROOT / "docs/opentelemetry.md").read_text(encoding="utf-8").replace("\\\n", "")
    [command] = [line for line in page.splitlines() if line.startswith("opentelemetry-instrument ")]
    answers: list[str] = []
    printed = printed_by(command.split(), answers)
    assert answers == ["[4,9]"]
    objects = [json.loads(each) for each in re.findall(r"^\{$.*?^\}$", printed, re.MULTILINE | re.DOTALL)]
    spans = {each["name"]: each for each in objects if "span_id" in each.get("context", {})}
    batch = spans["DataLoader Batch Squares"]
    assert batch["attributes"]["graphql.dataloader.batch.size"] == 2
    assert batch["parent_id"] == spans["GET /squares"]["context"]["span_id"]
    scopes = [
        scope for each in objects for scope in each.get("resource_metrics", [{}])[0].get("scope_metrics", [])
    ]
    [metrics] = [scope["metrics"] for scope in scopes if scope["scope"]["name"] == "dloader"]
    assert {metric["name"] for metric in metrics} == {
        "dloader.batch.size", "dloader.batch.duration", "dloader.loads",
    }  # fmt: skip


def test_nothing_is_loaded_when_it_is_not_used():
    code = "import sys, dloader, dloader.fastapi; print(*sys.modules)"
    env = {**os.environ, "PYDANTIC_DISABLE_PLUGINS": "__all__"}  # Logfire is one
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True, env=env
    ).stdout
    assert "opentelemetry.sdk" not in said
    assert "opentelemetry.instrumentation" not in said
