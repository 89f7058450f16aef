"""examples/service: REST and GraphQL over the same loaders, on SQLite and PostgreSQL, with Redis; and under load."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from amounts import IN_FULL
from browsers import browser
from databases import POSTGRESQL, Database, namespace
from serving import serving
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))

from examples.service import models, settings  # noqa: E402
from examples.service.app import app, count_statements  # noqa: E402
from examples.service.load.clients import ALBUMS, BUY, CUSTOMERS  # noqa: E402
from examples.service.load.truth import Truth, WrongAnswerError  # noqa: E402

TENANTS = (3, 4, 5)
pytestmark = pytest.mark.in_full


def filled(kind: str, folder: Path) -> Iterator[Database]:
    for database in namespace(kind, folder):
        database.run(models.fill)
        yield database


@pytest.fixture(scope="module", params=["aiosqlite", "asyncpg"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A database with the rows of Chinook, which nobody changes."""
    yield from filled(request.param, tmp_path_factory.mktemp("shop"))


@pytest.fixture(params=["aiosqlite", "asyncpg"])
def own_shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """One to write in."""
    yield from filled(request.param, tmp_path)


def using(engine: AsyncEngine) -> None:
    settings.make_session = async_sessionmaker(engine, expire_on_commit=False)
    count_statements(engine)


def tenant(number: int) -> dict[str, str]:
    return {"tenant": str(number)}


async def graphql(client: httpx.AsyncClient, query: str, of: int = 3, **variables: object) -> httpx.Response:
    body = {"query": query, "variables": variables}
    answer = await client.post("/graphql", json=body, headers=tenant(of))
    assert answer.status_code == 200, answer.text
    assert "errors" not in answer.json(), answer.text
    return answer


def without_cursors(customers: list[dict]) -> list[dict]:
    for customer in customers:
        del customer["newest"]["start_cursor"], customer["newest"]["end_cursor"]
    return customers


def test_the_rows_are_put_in_once(shop):
    shop.run(models.fill)


@pytest.mark.parametrize("first", [1, 5, 100])
def test_customers_are_those_of_selectinload(shop, first):
    """And as the rows say, in as many statements whatever the page size."""

    async def law(engine):
        using(engine)
        truth = Truth()
        async with serving(app) as client:
            for number in TENANTS:
                request = {"params": {"first": first}, "headers": tenant(number)}
                answer = await client.get("/customers", **request)
                other = await client.get("/by_selectinload/customers", **request)
                for customer in answer.json():
                    truth.check_customer(customer, number, 0.0)
                assert [each["id"] for each in answer.json()] == truth.customers_of[number][:first]
                assert answer.headers["x-statements"] == other.headers["x-statements"]
                assert len(shop.selects) == 22
                shop.statements.clear()
                assert without_cursors(answer.json()) == without_cursors(other.json())

    shop.run(law)


def test_albums_are_the_same_by_rest_and_graphql(shop):
    async def law(engine):
        using(engine)
        truth = Truth()
        async with serving(app) as client:
            rest = await client.get("/albums", params={"first": 30, "after": 7}, headers=tenant(3))
            graph = await graphql(client, ALBUMS, first=30, after=7)
            assert len(rest.json()) == 30
            for found in (rest.json(), graph.json()["data"]["albums"]):
                for album in found:
                    truth.check_album(album, 0.0)
            assert rest.headers["x-statements"] == graph.headers["x-statements"]
            assert len(shop.selects) == 8

    shop.run(law)


def test_graphql_sends_as_many_statements_whatever_the_page_size(shop):
    async def law(engine):
        using(engine)
        async with serving(app) as client:
            for first in (1, 5, 50):
                shop.statements.clear()
                await graphql(client, CUSTOMERS, after=0, first=first)
                assert len(shop.selects) == 8

    shop.run(law)


def test_pages_of_invoices_follow_cursors(shop):
    async def law(engine):
        using(engine)
        truth, seen, cursor = Truth(), [], None
        async with serving(app) as client:
            while True:
                params = {"first": 3, **({"after": cursor} if cursor else {})}
                answer = await client.get("/customers/1/invoices", params=params, headers=tenant(3))
                page = answer.json()
                seen += page["items"]
                cursor = page["end_cursor"]
                if not page["has_more"]:
                    break
            wrong = await client.get("/customers/2/invoices", params={"after": "nonsense"}, headers=tenant(5))
        truth.check_pages(seen, 1, 0.0, is_all=True)
        assert wrong.status_code == 422

    shop.run(law)


def test_what_one_writes_the_other_reads(own_shop):
    """In the same request, and in the next; by REST and by GraphQL."""

    async def law(engine):
        using(engine)
        async with serving(app) as client:
            body = {"track_ids": [5, 9], "reference": "by REST"}
            written = await client.post("/customers/3/invoices", json=body, headers=tenant(3))
            assert written.status_code == 201, written.text
            assert written.json()["newest"]["items"][0]["reference"] == "by REST"
            variables = {"customer": 3, "tracks": [7], "reference": "by GraphQL"}
            bought = (await graphql(client, BUY, **variables)).json()["data"]["buy"]
            nodes = [edge["node"]["reference"] for edge in bought["invoices"]["edges"]]
            assert nodes[-2:] == ["by REST", "by GraphQL"]
            read = await client.get("/customers", params={"after": 2, "first": 1}, headers=tenant(3))
            assert [each["reference"] for each in read.json()[0]["newest"]["items"][:2]] == nodes[:-3:-1]
            renamed = await client.put("/artists/1", json={"name": "ACDC"}, headers=tenant(3))
            assert renamed.json() == {"id": 1, "name": "ACDC"}
            query = 'mutation { renameArtist(artistId: 1, name: "AC/DC") { name } }'
            answer = await graphql(client, query)
            assert answer.json()["data"]["renameArtist"]["name"] == "AC/DC"

    own_shop.run(law)


def test_nobody_sees_or_writes_what_is_anothers(shop):
    async def law(engine):
        using(engine)
        async with serving(app) as client:
            read = await client.get("/customers/1/invoices", headers=tenant(4))
            body = {"track_ids": [1]}
            written = await client.post("/customers/1/invoices", json=body, headers=tenant(4))
            assert (read.status_code, written.status_code) == (404, 404)
            body = {"query": "mutation { buy(customerId: 1, trackIds: [1]) { id } }"}
            answer = (await client.post("/graphql", json=body, headers=tenant(4))).json()
            assert answer["errors"][0]["message"] == "no customer 1"
            for url in ("/artists/9999", "/customers/1/invoices"):
                body = {"name": "x", "track_ids": [99999]}
                method = "PUT" if url.startswith("/artists") else "POST"
                answer = await client.request(method, url, json=body, headers=tenant(3))
                assert answer.status_code == 404

    shop.run(law)


def test_a_database_that_is_away_is_503():
    async def law(engine):
        using(engine)
        async with serving(app) as client:
            answer = await client.get("/albums", headers=tenant(3))
            assert (answer.status_code, answer.json()["detail"]) == (
                503,
                "the database is away; try again",
            )

    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    Database("asyncpg", f"postgresql+asyncpg://root@127.0.0.1:{port}/none", {}).run(law)


def test_the_load_would_notice():
    """A name that is old, a line that is another's, a row that is missing, a tenant's row in another's answer."""
    truth = Truth()
    line = {"track": {"id": 2, "name": "x"}}
    invoice = {"id": 1, "reference": "Stuttgart", "lines": [line]}
    with pytest.raises(WrongAnswerError, match="an invoice of another customer"):
        truth.check_lines(invoice, 1, 0.0)
    with pytest.raises(WrongAnswerError, match="other lines"):
        truth.check_lines(invoice, 2, 0.0)
    with pytest.raises(WrongAnswerError, match="an invoice that nobody wrote"):
        truth.check_lines({"id": 10**6, "reference": "?", "lines": []}, 2, 0.0)
    with pytest.raises(WrongAnswerError, match="a customer of another tenant"):
        truth.check_person({"id": 1}, 4)
    with pytest.raises(WrongAnswerError, match="an old name"):
        truth.check_name(1, "AC", 0.0)
    truth.names[1].versions.append("ACDC")
    truth.check_name(1, "AC/DC", time.monotonic())
    truth.renamed(1, 1, redis_is_away=False)
    truth.check_name(1, "AC/DC", time.monotonic())
    with pytest.raises(WrongAnswerError, match="an old name"):
        truth.check_name(1, "AC/DC", time.monotonic() + 5)
    with pytest.raises(WrongAnswerError, match="others"):
        truth.check_pages([{"id": n, "lines": []} for n in truth.invoices_of[1][1:]], 1, 0.0, is_all=True)


@contextmanager
def running(folder: Path, **env: str) -> Iterator[str]:
    """The service as a program, on SQLite in an empty folder."""
    line = [sys.executable, "-m", "examples.service", "--port=0"]
    path = os.pathsep.join((str(ROOT), *sys.path))
    with subprocess.Popen(
        line,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, **env},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            found = (re.search(r"running on (http://\S+)", text) for text in process.stderr)
            yield next(match[1] for match in found if match)
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate()


def test_its_page_shows_queries_and_their_traces(tmp_path):
    """Three to click; nothing is said in the console."""
    with browser() as session, running(tmp_path) as url:
        session.open(url)
        for number, shown in ((1, "/customers?first=10"), (2, "/graphql"), (3, "/albums?first=20")):
            session.click(f"#queries button:nth-child({number})")
            while session.run("return document.documentElement.dataset.shown") != shown:
                assert session.messages() == []
            trace = session.run("return document.getElementById('trace').srcdoc")
            assert "loads" in trace
            assert "statements" in session.run("return document.getElementById('cost').textContent")
        assert all(each.startswith((url, "data:", "about:")) for each in session.requests())
        assert session.messages() == []


def test_it_serves_spans_too(tmp_path):
    """TRACE=spans, and no pages then."""
    with running(tmp_path, TRACE="spans") as url:
        assert len(httpx.get(f"{url}/albums", headers=tenant(3), trust_env=False).json()) == 10
        assert httpx.get(f"{url}/__dloader__/", trust_env=False).status_code == 404


@pytest.mark.skipif(not IN_FULL, reason="takes long: HYPOTHESIS_PROFILE=ci runs it")
@pytest.mark.timeout(300)
def test_a_little_load(tmp_path):
    """PostgreSQL and Redis are taken away and given back; every answer is right."""
    for _ in namespace("asyncpg", tmp_path):
        pass  # it skips where there is none
    if shutil.which("redis-server") is None:
        pytest.skip("needs a server: redis")
    from redis_servers import Server

    server = Server()
    server.start()
    try:
        line = [sys.executable, "-m", "examples.service.load", "--clients=8", "--seconds=6", "--workers=2"]
        line += [f"--postgresql=postgresql+asyncpg://{POSTGRESQL}", f"--redis={server.url}/0"]
        path = os.pathsep.join((str(ROOT), *sys.path))
        done = subprocess.run(
            line,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        server.kill()
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("0 wrong answers") == 3
