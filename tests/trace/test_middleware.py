"""TraceMiddleware, against a real uvicorn: a header for each answer, and pages while it is developed."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest
from browsers import browser
from fastapi import BackgroundTasks, FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from serving import serving
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse
from websockets.asyncio.client import connect

from dloader import DataLoader, OptionError, current_batch
from dloader.trace import TraceMiddleware, _middleware, _requests, record

CONTRAST = Path(__file__).with_name("contrast.js").read_text("utf-8")


class Likes(DataLoader[str, int]):
    async def batch_load_fn(self, keys):
        return [len(key) for key in keys]


class Failing(DataLoader[str, int]):
    async def batch_load_fn(self, keys):
        raise ValueError(f"secret {keys} \ud800")


async def in_a_loop(count):
    loader = Likes()
    for number in range(count):
        await loader.load(f"secret {number}")


def application(**options: Any) -> FastAPI:
    app = FastAPI()

    @app.get("/feed/{count}")
    async def feed(count: int):
        await in_a_loop(count)
        return count

    @app.get("/sync")
    def sync():
        asyncio.run(in_a_loop(2))

    @app.get("/together/{count}")
    async def together(count: int):
        meeting[count].set()
        await meeting[1 - count].wait()
        await in_a_loop(count + 1)

    meeting = [asyncio.Event(), asyncio.Event()]

    @app.get("/stream")
    async def stream():
        async def body():
            for _ in range(3):
                await Likes().load("secret")
                yield "part\n"

        await Likes().load("secret")
        return StreamingResponse(body())

    @app.get("/later")
    async def later(tasks: BackgroundTasks):
        tasks.add_task(in_a_loop, 2)

    @app.get("/fails")
    async def fails():
        await in_a_loop(1)
        raise ZeroDivisionError

    @app.get("/failed-batch")
    async def failed_batch():
        await asyncio.gather(Failing().load("secret"), return_exceptions=True)

    @app.get("/own-header")
    async def own_header():
        await in_a_loop(1)
        return PlainTextResponse("x", headers={"Server-Timing": "db;dur=1"})

    @app.websocket("/socket")
    async def socket(websocket: WebSocket):
        await websocket.accept()
        await in_a_loop(2)
        await websocket.send_text("loaded" if current_batch() is None else "?")
        await websocket.close()

    app.add_middleware(TraceMiddleware, **options)
    return app


def said(response) -> str:
    """What the header says, without times."""
    return re.sub(r";dur=\d+\.\d", "", response.headers.get("server-timing", ""))


def rows(response) -> list[tuple[str, ...]]:
    """Of each request that is listed: title, status, batches, rounds."""
    pattern = (
        r'<tr><td>\d\d:\d\d:\d\d</td><td><a href="[^"]*">([^<]*)</a></td><td>([^<]*)</td>'
        r'<td class="n">[^<]*</td><td class="n">([^<]*)</td><td class="n">([^<]*)</td>'
    )
    return re.findall(pattern, response.text)


async def listed(client, count):
    """The rows, when there are so many: a request is listed when the server has done with it."""
    while len(found := rows(await client.get("/__dloader__/"))) < count:
        pass
    return found


class TestTheHeader:
    def test_it_says_how_many_batches_and_rounds_there_were(self, run):
        async def law():
            async with serving(application(debug=True)) as client:
                response = await client.get("/feed/3")
                assert said(response) == 'dloader;desc="3 batches, 3 rounds", Likes;desc="3 batches"'
                assert re.fullmatch(
                    r'dloader;desc="3 batches, 3 rounds";dur=\d+\.\d, Likes;desc="3 batches";dur=\d+\.\d',
                    response.headers["server-timing"],
                )
                assert (
                    said(await client.get("/feed/1"))
                    == 'dloader;desc="1 batch, 1 round", Likes;desc="1 batch"'
                )
                assert not said(await client.get("/feed/0")), "there is nothing to tell"

        run(law)

    def test_two_requests_never_see_each_other(self, run):
        async def law():
            async with serving(application(debug=True)) as client:
                one, two = await asyncio.gather(client.get("/together/0"), client.get("/together/1"))
                assert said(one).startswith('dloader;desc="1 batch,')
                assert said(two).startswith('dloader;desc="2 batches,')

        run(law)

    def test_other_headers_stay(self, run):
        async def law():
            async with serving(application(debug=True)) as client:
                response = await client.get("/own-header")
                assert response.headers.get_list("server-timing")[0] == "db;dur=1"
                assert response.headers.get_list("server-timing")[1].startswith("dloader;")

        run(law)

    def test_names_are_cut_to_what_a_header_may_hold(self):
        async def load(keys):
            return keys

        async def law():
            with record() as trace:
                names = ['a"b, c;d\r\n', "ä", "n" * 90, "four", "five", "six"]
                for name in names:
                    await DataLoader(load, name=name).load(1)
            return trace

        value = _requests.server_timing(asyncio.run(law()))
        parts = [part.split(";")[0] for part in value.split(", ") if "dur=" in part]
        assert set(parts[1:]) <= {"abcd", "loader", "n" * 40, "four", "five", "six"}
        assert value.count("dur=") == 6
        assert value.isascii()
        assert "\n" not in value


class TestWhatPassesThrough:
    def test_streams_are_followed_to_their_end(self, run):
        async def law():
            async with serving(application(debug=True)) as client:
                async with client.stream("GET", "/stream") as response:
                    assert said(response).startswith('dloader;desc="1 batch,'), "what there was when it began"
                    assert [line async for line in response.aiter_lines()] == ["part"] * 3
                await listed(client, 1)
                await client.get("/later")
                assert [row[:3] for row in await listed(client, 2)] == [
                    ("GET /later", "200", "2"),
                    ("GET /stream", "200", "4"),
                ]

        run(law)

    def test_web_sockets_are_left_alone(self, run):
        async def law():
            async with serving(application(debug=True)) as client:
                async with connect(f"ws://{client.base_url.host}:{client.base_url.port}/socket") as socket:
                    assert await socket.recv() == "loaded"
                assert rows(await client.get("/__dloader__/")) == []

        run(law)

    def test_exceptions_are_the_applications_own(self, run):
        async def law():
            async with serving(application(debug=True)) as client:
                assert (await client.get("/fails")).status_code == 500
                assert await listed(client, 1) == [("GET /fails", "-", "1", "1")]

        run(law)

    def test_other_middleware_and_threads_do_not_matter(self, run):
        async def passed_on(request, call_next):
            return await call_next(request)

        async def law():
            app = application(debug=True)
            app.add_middleware(BaseHTTPMiddleware, dispatch=passed_on)
            async with serving(app) as client:
                assert said(await client.get("/sync")).startswith('dloader;desc="2 batches')

        run(law)

    def test_sample_says_which_requests_are_looked_at(self, run):
        async def law():
            sample = lambda scope: scope["path"] == "/feed/2"  # noqa: E731
            async with serving(application(debug=True, sample=sample)) as client:
                assert not said(await client.get("/feed/3"))
                assert said(await client.get("/feed/2"))
                assert [row[0] for row in await listed(client, 1)] == ["GET /feed/2"]

        run(law)

    def test_a_sample_that_raises_is_logged_and_the_request_served(self, run, caplog):
        async def law():
            sample = lambda scope: scope["no such"]  # noqa: E731
            async with serving(application(debug=True, sample=sample)) as client:
                answer = await client.get("/feed/2")
                assert (answer.text, said(answer)) == ("2", "")
                assert await listed(client, 0) == []

        run(law)
        assert [each.message for each in caplog.records] == ["a request could not be traced"]

    def test_a_request_does_not_fail_because_it_cannot_be_told_of(self, run, monkeypatch, caplog):
        def fail(*_):
            raise ZeroDivisionError

        async def law():
            async with serving(application(debug=True)) as client:
                monkeypatch.setattr(_middleware, "build", fail)
                assert (await client.get("/feed/2")).text == "2"

        run(law)
        assert [each.message for each in caplog.records] == ["a request could not be traced"] * 2


class TestThePage:
    def test_it_lists_the_last_requests_and_links_to_their_traces(self, run):
        async def law():
            async with serving(application(debug=True, last=2)) as client:
                for count in (1, 2, 6):
                    await client.get(f"/feed/{count}?token=s3cr3t")
                while "GET /feed/6" not in (page := await client.get("/__dloader__/")).text:
                    pass
                assert rows(page) == [("GET /feed/6", "200", "6", "6"), ("GET /feed/2", "200", "2", "2")]
                assert "s3cr3t" not in page.text
                assert page.text.count("<svg") == 2
                assert page.headers["cache-control"] == "no-store"
                links = re.findall(r'href="([^"]*)"', page.text)
                assert links == ["/__dloader__/3", "/__dloader__/2"]
                trace = await client.get(links[0])
                assert "<h1>GET /feed/6</h1>" in trace.text
                assert "one after the other" in trace.text
                assert (await client.get("/__dloader__/1")).status_code == 404

        run(law)

    def test_keys_and_errors_are_secret_unless_asked_for(self, run):
        async def law():
            for keys, count in ((0, 0), (5, 1)):
                async with serving(application(debug=True, keys=keys)) as client:
                    await client.get("/feed/2")
                    await client.get("/failed-batch")
                    await listed(client, 2)
                    pages = [(await client.get(f"/__dloader__/{number}")).text for number in ("", 1, 2)]
                    assert ("secret" in "".join(pages)) == count

        run(law)

    def test_without_debug_there_is_none_and_a_warning_says_what_clients_see(self, run, caplog):
        async def law():
            async with serving(application()) as client:
                assert (await client.get("/__dloader__/")).status_code == 404
                assert said(await client.get("/feed/2"))

        with caplog.at_level(logging.WARNING, "dloader"):
            run(law)
        [warning] = caplog.records
        assert "without debug=True" in warning.message

    def test_with_debug_there_is_no_warning(self, caplog):
        TraceMiddleware(application(debug=True), debug=True)
        assert not caplog.records

    def test_it_may_be_elsewhere_and_below_a_mounted_application(self, run):
        async def law():
            inner = application(debug=True, path="/-/loads/")
            outer = FastAPI()
            outer.mount("/api", inner)
            async with serving(outer) as client:
                await client.get("/api/feed/2")
                while not rows(page := await client.get("/api/-/loads/")):
                    pass
                assert [row[0] for row in rows(page)] == ["GET /api/feed/2"]
                assert (await client.get(re.findall(r'href="([^"]*)"', page.text)[0])).status_code == 200

        run(law)

    def test_paths_are_inert_text_and_short(self, run):
        async def law():
            async with serving(application(debug=True)) as client:
                await client.get(f"/feed/%3Cscript%3E{'x' * 500}")
                await listed(client, 1)
                page = await client.get("/__dloader__/")
                assert "<script>x" not in page.text
                assert "&lt;script&gt;x" in page.text
                assert "x" * 250 not in page.text

        run(law)

    def test_it_is_only_to_be_read(self, run):
        async def law():
            async with serving(application(debug=True)) as client:
                assert (await client.post("/__dloader__/")).status_code == 405
                head = await client.head("/__dloader__/")
                assert head.status_code == 200
                assert not head.content
                assert int(head.headers["content-length"]) > 0

        run(law)

    @pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
    @pytest.mark.parametrize("width", [1440, 400])
    def test_in_a_browser_by_keyboard(self, width, dark):
        """The list, and from it to a trace: in its colours, with nothing cut off, fetched or said."""

        def look(url: str) -> None:
            with browser() as session:
                session.open(f"{url}/__dloader__/", width=width, height=800, dark=dark)
                assert session.run("return document.documentElement.dataset.ready") == "true"
                back = session.run("return getComputedStyle(document.body).backgroundColor")
                assert back == ("rgb(13, 17, 23)" if dark else "rgb(255, 255, 255)")
                assert session.run("return document.documentElement.scrollWidth <= innerWidth")
                assert session.run(CONTRAST)[0] >= 4.5
                cells = "return [...document.querySelectorAll('tbody tr')].map((row) => row.children[6].className)"
                assert session.run(cells) == ["n", "n warn", "n"]
                if width == 1440:
                    last = "document.querySelector('tbody svg').getBoundingClientRect().right <= innerWidth"
                    assert session.run(f"return {last}"), "the longest path wraps"
                session.press("Tab", "Tab", "Enter")
                session.wait()
                assert session.run("return document.title") == "GET /feed/7"
                assert "7 batches" in session.run("return document.getElementById('count').textContent")
                assert session.messages() == []
                assert session.requests() == [f"{url}/__dloader__/", f"{url}/__dloader__/2"]

        async def law():
            async with serving(TraceMiddleware(application(), debug=True)) as client:
                for path in ("/feed/2", "/feed/7", f"/nothing/{'x' * 150}"):
                    await client.get(path)
                await asyncio.to_thread(look, str(client.base_url).rstrip("/"))

        asyncio.run(law())

    def test_what_is_kept_of_a_request_is_limited(self, monkeypatch):
        monkeypatch.setattr(_middleware, "MOST_BATCHES", 10)

        async def app(scope, receive, send):
            await in_a_loop(30)

        async def law():
            middleware = TraceMiddleware(app, debug=True)
            await ask(middleware, "/x")
            return await ask(middleware, "/__dloader__/1"), await ask(middleware, "/__dloader__/")

        trace, page = asyncio.run(law())
        data = json.loads(re.findall(r'id="data">(.*?)</script>', trace, re.DOTALL)[0])
        assert len(data["batches"]["name"]) == 10
        assert '<td class="n">30</td>' in page


async def ask(middleware, path):
    """Call an application without a server."""
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        raise AssertionError

    await middleware({"type": "http", "method": "GET", "path": path}, receive, send)
    return b"".join(each.get("body", b"") for each in sent).decode()


def test_batches_that_have_not_ended_or_never_started_are_drawn_as_far_as_they_came():
    async def app(scope, receive, send):
        loader = Likes(max_concurrency=1)
        never = asyncio.get_running_loop().create_future()
        loader.load_fn = lambda keys: never
        waiting = [loader.load("a")]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        loader.dispatch()
        waiting.append(loader.load("b"))
        loader.dispatch()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await send({"type": "http.response.start", "status": 204})
        app.left = waiting, never

    async def law():
        middleware = TraceMiddleware(app, debug=True)
        sent = []

        async def send(message):
            sent.append(message)

        await middleware({"type": "http", "method": "GET", "path": "/"}, None, send)
        page = await ask(middleware, "/__dloader__/")
        waiting, never = app.left
        never.set_result([1])
        await asyncio.gather(*waiting, return_exceptions=True)
        return page, dict(sent[0]["headers"])[b"server-timing"]

    page, header = asyncio.run(law())
    assert page.count("<rect") == 1
    assert header.startswith(b'dloader;desc="2 batches,')


def test_lifespan_passes_through():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["type"])

    asyncio.run(record.middleware(app, debug=True)({"type": "lifespan"}, None, None))
    assert seen == ["lifespan"]


@pytest.mark.parametrize(
    "options",
    [
        {"path": "__dloader__"},
        {"path": "/"},
        {"path": "/x"},
        {"path": 7},
        {"last": 0},
        {"last": True},
        {"sample": 0.5},
        {"keys": -1},
        {"keys": "all"},
    ],
    ids=repr,
)
def test_what_cannot_be_used_is_refused_when_it_is_mounted(options):
    with pytest.raises(OptionError, match=r"TraceMiddleware\("):
        TraceMiddleware(application(debug=True), debug=True, **options)
