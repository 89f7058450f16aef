"""`dloader.fastapi`, against a real uvicorn over real HTTP."""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, nullcontext
from typing import Annotated, Any, ClassVar

import anyio.from_thread
import httpx
import pytest
from fastapi import (
    BackgroundTasks,
    Body,
    Depends,
    FastAPI,
    Header,
    HTTPException,
    Request,
    WebSocket,
)
from fastapi.responses import StreamingResponse
from loops import LoopRunner, Recorder, turns
from serving import serving
from starlette.middleware.base import BaseHTTPMiddleware
from websockets.asyncio.client import connect

from dloader import DataLoader, Limit, LoaderClosedError, LoaderParamError, LoaderRegistry, OptionError
from dloader.fastapi import ResponseModel, cancelled_with, loaders
from dloader.resolver import Load, Resolver
from dloader.store import MemoryStore


class Session:
    """What a request opens and closes."""

    def __init__(self, events: list[str]) -> None:
        self.events = events
        events.append("session opened")

    def close(self) -> None:
        self.events.append("session closed")


class UserLoader(DataLoader[int, str]):
    session: Session
    tenant: str

    async def batch_load_fn(self, keys: list[int]) -> list[str]:
        self.session.events.append(f"load {keys}")
        await turns(3)
        return [f"user {key} of {self.tenant}" for key in keys]


class TaskOut(ResponseModel):
    id: int
    owner_id: int
    owner: Annotated[str | None, Load(UserLoader, by="owner_id")] = None
    tags: list[str] = []


class Service:
    """An application with one registry for each request, and what happened in it."""

    def __init__(self, **options: Any) -> None:
        self.events: list[str] = []
        self.kept: asyncio.Future[str] | None = None
        self.app = FastAPI()
        self.dependency = loaders(session=self.get_session, tenant=get_tenant, **options)

    async def get_session(self) -> AsyncIterator[Session]:
        with closing(Session(self.events)) as session:
            yield session

    def seen(self) -> list[str]:
        """What happened since this was asked last."""
        seen, self.events[:] = list(self.events), []
        return seen


def get_tenant(tenant: Annotated[str, Header()] = "blue") -> str:
    return tenant


async def is_closed(registry: LoaderRegistry) -> bool:
    try:
        registry.get(UserLoader)
    except LoaderClosedError:
        return True
    return False


class TestRegistryOfARequest:
    def test_it_gives_loaders_what_the_dependencies_give_and_is_closed_before_they_end(
        self, run: LoopRunner
    ) -> None:
        service, registries = Service(), list[LoaderRegistry]()

        @service.app.get("/tasks")
        async def tasks(
            registry: Annotated[LoaderRegistry, Depends(service.dependency)],
        ) -> list[TaskOut]:
            registries.append(registry)
            rows = [TaskOut(id=1, owner_id=7), TaskOut(id=2, owner_id=8), TaskOut(id=3, owner_id=7)]
            return await Resolver(registry=registry).resolve(rows)

        async def law() -> None:
            async with serving(service.app) as client:
                answers = await asyncio.gather(
                    *(client.get("/tasks", headers={"tenant": tenant}) for tenant in ("blue", "red"))
                )
            for answer, tenant in zip(answers, ("blue", "red"), strict=True):
                assert [task["owner"] for task in answer.json()] == [
                    f"user {n} of {tenant}" for n in (7, 8, 7)
                ]
            assert sorted(service.seen()) == sorted(2 * ["session opened", "load [7, 8]", "session closed"])
            one, other = registries
            assert one is not other
            assert await is_closed(one)
            assert await is_closed(other)

        run(law)

    def test_it_ends_before_the_session_that_it_uses(self, run: LoopRunner) -> None:
        service = Service()

        class Endless(UserLoader):
            async def batch_load_fn(self, keys: list[int]) -> list[str]:
                self.session.events.append("started")
                try:
                    return await asyncio.get_running_loop().create_future()
                finally:
                    await turns(5)
                    self.session.events.append("cleaned up")

        @service.app.get("/")
        async def start(registry: Annotated[LoaderRegistry, Depends(service.dependency)]) -> None:
            service.kept = registry.get(Endless).load(1)
            while "started" not in service.events:
                await asyncio.sleep(0)  # the batch runs when the request ends

        async def law() -> None:
            async with serving(service.app) as client:
                assert (await client.get("/")).status_code == 200
            assert service.seen() == ["session opened", "started", "cleaned up", "session closed"]
            assert service.kept is not None
            assert isinstance(service.kept.exception(), LoaderClosedError)

        run(law)

    def test_it_is_one_in_all_of_a_request(self, run: LoopRunner) -> None:
        service = Service()
        again = loaders(session=service.get_session, tenant=get_tenant)
        assert again is not service.dependency
        assert again == service.dependency
        assert hash(again) == hash(service.dependency)
        assert again != loaders(tenant=get_tenant)
        assert again != loaders(session=service.get_session, tenant=get_tenant, max_concurrency=1)
        assert again != get_tenant

        async def user(registry: Annotated[LoaderRegistry, Depends(again)]) -> str:
            return await registry.get(UserLoader).load(1)

        @service.app.get("/")
        async def handler(
            user: Annotated[str, Depends(user)],
            registry: Annotated[LoaderRegistry, Depends(service.dependency)],
        ) -> list[str]:
            return [user, *await registry.get(UserLoader).load_many([1, 2])]

        async def law() -> None:
            async with serving(service.app) as client:
                assert (await client.get("/")).json() == [f"user {n} of blue" for n in (1, 1, 2)]
            assert service.seen() == ["session opened", "load [1]", "load [2]", "session closed"]

        run(law)

    @pytest.mark.parametrize("scope", ["request", "function"])
    def test_background_tasks_and_streams_load_until_the_scope_ends(
        self, run: LoopRunner, scope: Any
    ) -> None:
        service = Service()
        one_registry = Annotated[LoaderRegistry, Depends(service.dependency, scope=scope)]

        async def load(registry: LoaderRegistry, key: int) -> str:
            try:
                return await registry.get(UserLoader).load(key)
            except LoaderClosedError as error:
                service.events.append(type(error).__name__)
                return "closed"

        @service.app.get("/background")
        async def background(registry: one_registry, later: BackgroundTasks) -> None:  # type: ignore[valid-type]
            later.add_task(load, registry, 1)

        @service.app.get("/stream")
        async def stream(registry: one_registry) -> StreamingResponse:  # type: ignore[valid-type]
            async def lines() -> AsyncIterator[str]:
                for key in (1, 2):
                    yield await load(registry, key) + "\n"

            return StreamingResponse(lines())

        async def law() -> None:
            async with serving(service.app) as client:
                assert (await client.get("/background")).json() is None
            async with serving(service.app) as client:
                streamed = (await client.get("/stream")).text.splitlines()
            # The session is a dependency of the request in both: it outlives the registry.
            if scope == "request":
                assert streamed == ["user 1 of blue", "user 2 of blue"]
                assert service.seen() == [
                    *("session opened", "load [1]", "session closed"),
                    *("session opened", "load [1]", "load [2]", "session closed"),
                ]
            else:
                assert streamed == ["closed", "closed"]
                assert service.seen() == [
                    *("session opened", "LoaderClosedError", "session closed"),
                    *("session opened", "LoaderClosedError", "LoaderClosedError", "session closed"),
                ]

        run(law)

    def test_handlers_in_threads_use_it_through_the_loop(self, run: LoopRunner) -> None:
        service = Service()

        @service.app.get("/")
        def handler(registry: Annotated[LoaderRegistry, Depends(service.dependency)]) -> list[TaskOut]:
            rows = [TaskOut(id=1, owner_id=7), TaskOut(id=2, owner_id=8)]
            return anyio.from_thread.run(Resolver(registry=registry).resolve, rows)

        async def law() -> None:
            async with serving(service.app) as client:
                answers = await asyncio.gather(*(client.get("/") for _ in range(5)))
            for answer in answers:
                assert [task["owner"] for task in answer.json()] == ["user 7 of blue", "user 8 of blue"]
            assert service.seen().count("load [7, 8]") == 5

        run(law)

    def test_a_web_socket_has_one_for_its_whole_life(self, run: LoopRunner) -> None:
        service = Service()

        @service.app.websocket("/live")
        async def live(
            socket: WebSocket, registry: Annotated[LoaderRegistry, Depends(service.dependency)]
        ) -> None:
            await socket.accept()
            async for key in socket.iter_text():
                await socket.send_text(await registry.get(UserLoader).load(int(key)))

        async def law() -> None:
            async with serving(service.app) as client:
                url = str(client.base_url).replace("http", "ws") + "/live"
                async with connect(url, additional_headers={"tenant": "red"}, proxy=None) as socket:
                    answers = []
                    for key in ("1", "1", "2"):
                        await socket.send(key)
                        answers.append(await socket.recv())
                assert answers == ["user 1 of red", "user 1 of red", "user 2 of red"]
            assert service.seen() == ["session opened", "load [1]", "load [2]", "session closed"]

        run(law)

    def test_a_handler_that_fails_closes_it(self, run: LoopRunner) -> None:
        service, registries = Service(), list[LoaderRegistry]()

        @service.app.get("/")
        async def handler(registry: Annotated[LoaderRegistry, Depends(service.dependency)]) -> None:
            registries.append(registry)
            await registry.get(UserLoader).load(1)
            raise HTTPException(404)

        async def law() -> None:
            async with serving(service.app) as client:
                assert (await client.get("/")).status_code == 404
            assert await is_closed(registries[0])
            assert service.seen() == ["session opened", "load [1]", "session closed"]

        run(law)

    def test_nothing_crosses_between_requests_at_once(self, run: LoopRunner) -> None:
        service = Service()

        @service.app.get("/{key}")
        async def handler(
            key: int, registry: Annotated[LoaderRegistry, Depends(service.dependency)]
        ) -> list[str]:
            return await registry.get(UserLoader).load_many([key, key + 1])

        async def law() -> None:
            async with serving(service.app) as client:

                async def ask(n: int) -> None:
                    answer = await client.get(f"/{n % 5}", headers={"tenant": f"tenant {n % 7}"})
                    assert answer.json() == [f"user {k} of tenant {n % 7}" for k in (n % 5, n % 5 + 1)]

                await asyncio.gather(*(ask(n) for n in range(60)))

        run(law)


class TestValues:
    def test_dependency_overrides_hold(self, run: LoopRunner) -> None:
        service = Service()

        @service.app.get("/")
        async def handler(registry: Annotated[LoaderRegistry, Depends(service.dependency)]) -> str:
            return await registry.get(UserLoader).load(1)

        other: list[str] = []
        service.app.dependency_overrides[get_tenant] = lambda: "green"
        service.app.dependency_overrides[service.get_session] = lambda: Session(other)

        async def law() -> None:
            async with serving(service.app) as client:
                assert (await client.get("/")).json() == "user 1 of green"
                service.app.dependency_overrides = {}
                assert (await client.get("/")).json() == "user 1 of blue"
            assert other == ["session opened", "load [1]"]

        run(law)

    def test_depends_and_annotated_types_are_dependencies_and_what_cannot_be_called_is_the_value(
        self, run: LoopRunner
    ) -> None:
        events: list[str] = []

        def get_session() -> Session:
            return Session(events)

        of_request = loaders(
            session=Annotated[Session, Depends(get_session)],
            tenant=Depends(get_tenant),
            options=[1, 2],
            limit=3,
        )

        class Other(DataLoader[int, str]):
            session: Session
            tenant: str
            options: list[int]
            limit: int

            async def batch_load_fn(self, keys: list[int]) -> list[str]:
                return [f"{key} {self.tenant} {self.options} {self.limit}" for key in keys]

        app = FastAPI()

        @app.get("/")
        async def handler(registry: Annotated[LoaderRegistry, Depends(of_request)]) -> str:
            return await registry.get(Other).load(1)

        async def law() -> None:
            async with serving(app) as client:
                assert (await client.get("/", headers={"tenant": "red"})).json() == "1 red [1, 2] 3"
            assert events == ["session opened"]

        run(law)

    def test_openapi_has_the_parameters_of_the_dependencies_and_no_others(self) -> None:
        service = Service(options=[1])

        @service.app.get("/")
        async def handler(registry: Annotated[LoaderRegistry, Depends(service.dependency)]) -> list[TaskOut]:
            raise NotImplementedError

        schema = service.app.openapi()
        assert [each["name"] for each in schema["paths"]["/"]["get"]["parameters"]] == ["tenant"]
        assert "requestBody" not in schema["paths"]["/"]["get"]
        assert schema["components"]["schemas"]["TaskOut"]["required"] == ["id", "owner_id", "owner", "tags"]

    def test_a_model_for_both_ways_is_required_only_in_the_answer(self) -> None:
        app = FastAPI()

        @app.post("/")
        async def handler(task: TaskOut) -> TaskOut:
            return task

        schemas = app.openapi()["components"]["schemas"]
        assert schemas["TaskOut-Input"]["required"] == ["id", "owner_id"]
        assert schemas["TaskOut-Output"]["required"] == ["id", "owner_id", "owner", "tags"]

    def test_a_session_maker_is_the_value_and_an_open_session_is_refused(self) -> None:
        asyncio_extension = pytest.importorskip("sqlalchemy.ext.asyncio")
        maker = asyncio_extension.async_sessionmaker()
        assert repr(loaders(session=maker, tenant=get_tenant)) == "loaders(tenant, session)"
        assert loaders(session=maker) == loaders(session=maker)
        with pytest.raises(OptionError, match=r"loaders\(session=\.\.\.\) was given an open AsyncSession"):
            loaders(session=maker())

    def test_what_a_dependency_returned_is_refused(self) -> None:
        async def get_session() -> None: ...
        async def get_sessions() -> AsyncIterator[None]:
            yield

        def get_old_sessions() -> Iterator[None]:
            yield

        for made in (get_session(), get_sessions(), get_old_sessions()):
            with pytest.raises(
                OptionError, match=r"loaders\(session=.*leave out the parentheses behind get_"
            ):
                loaders(session=made)
            if asyncio.iscoroutine(made):
                made.close()
        gc.collect()

    def test_wrong_options_are_told_when_the_application_is_made(self) -> None:
        with pytest.raises(OptionError):
            loaders(max_concurrency=0)
        with pytest.raises(OptionError):
            loaders(instruments=[object()])  # type: ignore[list-item]
        with pytest.raises(LoaderParamError):
            loaders(loader_params={UserLoader: {"tenent": "blue"}})

    def test_a_limit_is_for_all_requests_together(self, run: LoopRunner) -> None:
        async def law() -> None:
            gate = asyncio.Event()
            load = Recorder(gate=gate)
            app = FastAPI()
            of_request = loaders(max_concurrency=Limit(2))

            @app.get("/{key}")
            async def handler(key: int, registry: Annotated[LoaderRegistry, Depends(of_request)]) -> Any:
                return await registry.get(load).load(key)

            async with serving(app) as client:
                asked = [asyncio.create_task(client.get(f"/{n}")) for n in range(6)]
                while len(load.calls) < 2:
                    await asyncio.sleep(0)
                gate.set()
                assert [answer.json() for answer in await asyncio.gather(*asked)] == [
                    n * 10 for n in range(6)
                ]
            assert load.most_running == 2

        run(law)


class TestClientThatLeaves:
    @pytest.mark.parametrize("behind_middleware", [False, True])
    @pytest.mark.parametrize("body", [None, {"text": "x" * 100_000}], ids=["no body", "body"])
    def test_its_handler_and_batches_are_cancelled_and_the_next_are_served(
        self, run: LoopRunner, behind_middleware: bool, body: Any
    ) -> None:
        async def law() -> None:
            gate = asyncio.Event()
            load, ended = Recorder(gate=gate), list[str]()
            app, of_request = FastAPI(), loaders()

            async def tell() -> AsyncIterator[None]:
                try:
                    yield
                except BaseException as error:
                    ended.append(f"{type(error).__name__} {getattr(error, 'status_code', '')}")
                    raise

            @app.post("/{key}", dependencies=[Depends(tell)])
            async def handler(
                key: int,
                request: Request,
                registry: Annotated[LoaderRegistry, Depends(of_request)],
                sent: Annotated[Any, Body()] = None,
            ) -> Any:
                async with cancelled_with(request):
                    return [await registry.get(load).load(key), sent]

            async def pass_on(request: Request, call_next: Any) -> Any:
                return await call_next(request)

            if behind_middleware:
                app.add_middleware(BaseHTTPMiddleware, dispatch=pass_on)
            async with serving(app) as client:
                leaving = asyncio.create_task(client.post("/1", json=body))
                while not load.calls:
                    await asyncio.sleep(0)
                leaving.cancel()
                while not load.cancelled:
                    await asyncio.sleep(0)
                gate.set()
                answer = await client.post("/2", json=body)
                assert answer.json() == [20, body]
            assert load.calls == [[1], [2]]
            assert ended == ["HTTPException 499"]

        run(law)

    def test_one_that_stays_is_answered_also_when_the_body_was_read_before(self, run: LoopRunner) -> None:
        app = FastAPI()

        @app.post("/")
        async def handler(request: Request) -> str:
            text = b"".join([part async for part in request.stream()])
            async with cancelled_with(request):
                return text.decode()

        @app.post("/later")
        async def later(request: Request) -> str:
            async with cancelled_with(request):
                return b"".join([part async for part in request.stream()]).decode()

        async def law() -> None:
            async with serving(app) as client:
                assert (await client.post("/", content="read before")).json() == "read before"
                assert (await client.post("/later", content="read inside")).json() == "read inside"

        run(law)

    @pytest.mark.parametrize("failing", [KeyError, asyncio.CancelledError, TimeoutError])
    def test_what_happens_inside_goes_through(self, run: LoopRunner, failing: type[BaseException]) -> None:
        async def law() -> None:
            quiet = asyncio.Event()

            async def receive() -> Any:
                await quiet.wait()

            request = Request({"type": "http"}, receive)
            request._body = b""
            task = asyncio.current_task()
            assert task is not None

            async def handler() -> None:
                async with asyncio.timeout(0 if failing is TimeoutError else None), cancelled_with(request):
                    if failing is asyncio.CancelledError:
                        task.cancel()
                    elif failing is KeyError:
                        raise KeyError
                    await quiet.wait()

            with pytest.raises(failing):
                await handler()
            while task.cancelling():
                task.uncancel()

        run(law)

    def test_mistakes_are_told(self) -> None:
        async def enter(request: Any) -> None:
            async with cancelled_with(request):
                raise NotImplementedError

        with pytest.raises(TypeError, match="takes the handler's Request, not 'request'"):
            asyncio.run(enter("request"))

    def test_more_of_the_body_is_no_news(self, run: LoopRunner) -> None:
        async def law() -> None:
            messages = iter([{"type": "http.request"}, {"type": "http.disconnect"}])

            async def receive() -> Any:
                return next(messages)

            request = Request({"type": "http"}, receive)
            request._body = b""
            with pytest.raises(HTTPException):
                async with cancelled_with(request):
                    await asyncio.Event().wait()

        run(law)

    @pytest.mark.parametrize("at", ["the body", "the last moment"])
    def test_one_that_leaves_at_any_moment(self, run: LoopRunner, at: str) -> None:
        async def law() -> None:
            leave = asyncio.Event()

            async def receive() -> Any:
                if at != "the body":
                    await leave.wait()
                return {"type": "http.disconnect"}

            request = Request({"type": "http"}, receive)
            if at != "the body":
                request._body = b""

            async def handler() -> None:
                async with cancelled_with(request):
                    await turns(2)
                    leave.set()
                    await turns(0)

            with pytest.raises(HTTPException) if at == "the body" else nullcontext() as told:
                await handler()
            assert told is None or told.value.status_code == 499
            task = asyncio.current_task()
            assert task is not None
            assert not task.cancelling()

        run(law)


def test_a_namespace_of_the_store_is_a_dependency_or_a_value():
    """It is no parameter of loaders, and has no place in the name."""

    class Users(DataLoader[int, str]):
        store_ttl = 30.0
        calls: ClassVar[list[list[int]]] = []

        async def batch_load_fn(self, keys):
            self.calls.append(list(keys))
            return [str(key) for key in keys]

    def get_tenant(request: Request) -> str:
        return request.headers["tenant"]

    def calls(namespace: Any) -> list[list[int]]:
        Users.calls.clear()
        made = loaders(store=MemoryStore(), store_namespace=namespace)
        assert repr(made) == "loaders()"
        app = FastAPI()

        @app.get("/user")
        async def user(registry: Annotated[LoaderRegistry, Depends(made)]) -> str:
            return await registry.get(Users).load(1)

        async def law() -> None:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
                for tenant in ("blue", "red", "blue"):
                    assert (await client.get("/user", headers={"tenant": tenant})).json() == "1"

        asyncio.run(law())
        return list(Users.calls)

    assert calls(get_tenant) == [[1], [1]]
    assert calls("all") == calls(None) == [[1]]
