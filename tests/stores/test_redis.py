"""Redis, really run: what one process loads all find; whatever the server does, answers are right and in time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import pytest
import redis_servers
from amounts import amount
from loops import LoopRunner
from proxies import Proxy

from dloader import DataLoader, LoaderRegistry, OptionError
from dloader._stored import _guard

pytest.importorskip("redis", reason="install the extra test again")
pytest.importorskip("valkey", reason="install the extra test again")

import redis.asyncio
import redis.asyncio.sentinel
import redis.exceptions
import valkey.asyncio
import valkey.asyncio.sentinel
import valkey.exceptions

from dloader import redis as dloader_redis
from dloader.redis import RedisStore

CLIENTS = {"resp3": {"protocol": 3}, "resp2": {"protocol": 2}, "decoding": {"decode_responses": True}}


@pytest.fixture(params=[redis, valkey], ids=["redis-py", "valkey-py"])
def library(request):
    """A package that has clients."""
    return request.param


@pytest.fixture(scope="module")
def shared():
    """A server for all tests that do it no harm."""
    yield from redis_servers.serving()


@pytest.fixture
def server():
    """A server of the test's own."""
    yield from redis_servers.serving()


@pytest.fixture
def run():
    """On one kind of loop: what differs between them is in the laws of all stores."""
    return LoopRunner("asyncio")


@pytest.fixture(autouse=True)
def never_in_a_hurry(monkeypatch):
    """A busy machine is no slow server: only tests of deadlines have short ones; and nobody rests for long."""
    monkeypatch.setattr(_guard, "FIRST_REST", 1e-9)
    monkeypatch.setattr(_guard, "LONGEST_REST", 1e-9)


class Users(DataLoader[int, str]):
    store_ttl = 30.0
    rows: ClassVar[dict[int, str]]
    calls: ClassVar[list[list[int]]]

    async def batch_load_fn(self, keys):
        type(self).calls.append(list(keys))
        return [self.rows[key] for key in keys]


@pytest.fixture
def users():
    class Own(Users):
        rows: ClassVar[dict[int, str]] = {key: f"user {key}" for key in range(100)}
        calls: ClassVar[list[list[int]]] = []

    return Own


@pytest.fixture
def connected(library):
    """Makes a store of a process of its own, so to speak, and its client."""

    @contextlib.asynccontextmanager
    async def connected(server, kind="resp3", **options):
        client = library.asyncio.from_url(server.url, **CLIENTS[kind])
        try:
            await client.flushall()
            yield RedisStore(client, **{"deadline": 30.0, "lease": 30.0, **options}), client
        finally:
            await client.aclose()

    return connected


async def load(store, source, *keys):
    async with LoaderRegistry(store=store) as loaders:
        return await loaders.get(source).load_many(keys)


async def commands(client) -> int:
    """How many scripts the server was sent."""
    stats = await client.info("commandstats")
    return sum(stats[name]["calls"] for name in stats if name.startswith("cmdstat_eval"))


# -- what is kept --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CLIENTS)
def test_each_batch_is_one_round_trip_and_each_client_serves(run, shared, users, kind, connected):
    async def law():
        async with connected(shared, kind) as (store, client):
            await load(store, users, *range(50))
            before = await commands(client)
            assert await load(store, users, *range(50)) == [f"user {key}" for key in range(50)]
            assert await commands(client) - before == 1
            before = await commands(client)
            await load(store, users, *range(60))
            assert await commands(client) - before == 2  # a look, and a write that nobody waits for
            assert users.calls == [list(range(50)), list(range(50, 60))]
            async with LoaderRegistry(store=store) as loaders:
                users.rows[1] = "Eve"
                loaders.get(users).clear(1)
                assert await loaders.get(users).load(1) == "Eve"
                loaders.get(users).clear_all()
            await load(store, users, *range(60))
            assert users.calls[2:] == [[1], list(range(60))]

    run(law)


def test_keys_live_as_long_as_the_class_says_more_or_less(run, shared, users, connected):
    async def law():
        async with connected(shared) as (store, client):
            await load(store, users, *range(50))
            lives = [await client.pttl(key) async for key in client.scan_iter("dl:1:*")]
            assert len(lives) == 50
            assert 20_000 < min(lives) < max(lives) <= 33_000
            assert len(set(lives)) > 10

    run(law)


def test_very_many_keys_are_a_few_calls(run, shared, monkeypatch, connected):
    monkeypatch.setattr(dloader_redis, "_MOST_KEYS", 10)

    class Numbers(DataLoader[int, int]):
        store_ttl = 30.0

        async def batch_load_fn(self, keys):
            return keys

    async def law():
        async with connected(shared) as (store, client):
            await load(store, Numbers, *range(25))
            before = await commands(client)
            assert await load(store, Numbers, *range(25)) == list(range(25))
            assert await commands(client) - before == 3
            async with LoaderRegistry(store=store) as loaders:
                loaders.get(Numbers).clear_many(range(25))
            assert not [key async for key in client.scan_iter("dl:1:*")]

    run(law)


@contextlib.contextmanager
def started(program, *arguments):
    """Processes of one program, none of which is left behind."""
    command = [sys.executable, str(Path(__file__).with_name(program))]
    with contextlib.ExitStack() as stack:
        herd = []
        for each in arguments:
            words = [*command, *map(str, each)]
            process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            herd.append(stack.enter_context(process))
            stack.callback(process.kill)
        yield herd


def when_all_say(line, herd):
    """Let all go on, at one moment, when each has said this."""
    for process in herd:
        assert process.stdout.readline() == line + "\n"
    for process in herd:
        process.stdin.write("go\n")
        process.stdin.flush()


def last_words(herd):
    """What each says at its end."""
    said = [process.communicate()[0] for process in herd]
    assert all(process.returncode == 0 for process in herd)
    return list(map(json.loads, said))


def test_of_twenty_processes_one_loads(shared):
    import redis as plain

    plain.Redis(port=shared.port).flushall()
    with started("herd.py", *[(shared.url,)] * 20) as herd:
        when_all_say("ready", herd)
        assert [call for each in last_words(herd) for call in each] == [list(range(50))]


def test_a_lease_ends_when_who_has_it_is_gone(run, shared, users, connected):
    async def law():
        async with connected(shared, lease=0.05) as (store, _):
            async with LoaderRegistry(store=store) as loaders:
                loaders.get(users)
            await load(store, users, 0)
            name = await store._client.keys("dl:1:*")
            tag = name[0].decode().rpartition("}:")[0] + "}:"
            got = await store.get_many([f"{tag}7"])  # and is never heard of again
            assert list(got.leases) == [f"{tag}7"]
            assert await load(store, users, 7) == ["user 7"]

    run(law)


def test_what_was_read_before_a_clear_is_not_written_after_it(run, shared, users, connected):
    class Slow(users):
        gate: ClassVar[asyncio.Event]

        async def batch_load_fn(self, keys):
            found = await super().batch_load_fn(keys)
            await self.gate.wait()
            return found

    async def law(clear_all):
        async with connected(shared) as (store, client):
            Slow.gate = asyncio.Event()
            users.rows[1] = "Ann"
            Slow.calls.clear()
            async with LoaderRegistry(store=store) as one, LoaderRegistry(store=RedisStore(client)) as other:
                old = one.get(Slow).load(1)
                while not await client.keys("dl:1:*"):
                    pass
                while not Slow.calls:
                    await asyncio.sleep(0)
                users.rows[1] = "Eve"
                if clear_all:
                    other.get(Slow).clear_all()
                else:
                    other.get(Slow).clear(1)
                await other.aclose()
                Slow.gate.set()
                assert await old == "Ann"
            assert await load(store, Slow, 1) == ["Eve"]

    run(law, False)
    run(law, True)


def test_two_messages_later_everybody_has_forgotten(run, shared, users, connected):
    """What another process clears leaves the caches of loaders that live on."""

    async def law():
        async with connected(shared) as (store, client), users(store=store) as loader:
            other = RedisStore(client, deadline=30.0)
            await loader.load_many([1, 2])
            while not (await client.pubsub_numsub(dloader_redis._CHANNEL))[0][1]:
                pass
            while loader.cache_map:  # what was cleared before it could hear is forgotten with all the rest
                await asyncio.sleep(0.001)
            await loader.load_many([1, 2])
            users.rows[1] = "Eve"
            async with LoaderRegistry(store=other) as loaders:
                loaders.get(users).clear(1)
            while 1 in loader.cache_map:
                await asyncio.sleep(0.001)
            assert 2 in loader.cache_map
            assert await loader.load(1) == "Eve"
            loader.clear(2)  # its own messages are not for itself
            loader.prime(2, "primed")
            async with LoaderRegistry(store=other) as loaders:
                loaders.get(users).clear(1)
            while 1 in loader.cache_map:
                await asyncio.sleep(0.001)
            assert await loader.load(2) == "primed"
            await client.client_kill_filter(_type="pubsub")
            while loader.cache_map:
                await asyncio.sleep(0.001)

    run(law)


def test_rubbish_in_the_channel_means_that_something_may_have_been_missed(run, shared, connected):
    async def law():
        async with connected(shared) as (store, client), contextlib.aclosing(store.cleared()) as news:
            assert await anext(news) is None
            for rubbish in (b"\xff", "[", "5", "{}", "[]", '"dl:"', '["other", null]', '["other", ["dl:"]]'):
                await client.publish(dloader_redis._CHANNEL, rubbish)
                assert await anext(news) is None
            await client.publish(dloader_redis._CHANNEL, '["other", "dl:1"]')
            assert await anext(news) == ["dl:1"]

    run(law)


def test_a_subscription_that_is_silent_is_tried_and_given_up(
    run, server, users, monkeypatch, connected, library
):
    monkeypatch.setattr(dloader_redis, "_SILENCE", 0.02)

    async def law():
        async with connected(server) as (store, client):
            heard = store.cleared()
            assert await anext(heard) is None
            following = asyncio.ensure_future(anext(heard))
            await asyncio.sleep(0.1)  # some pings, which are answered
            assert not following.done()
            server.stop()
            with pytest.raises(
                (ConnectionError, library.exceptions.ConnectionError, library.exceptions.TimeoutError)
            ):
                await following
            server.go_on()
            del client

    run(law)


# -- a thousand rounds ---------------------------------------------------------------------------------------


@pytest.mark.in_full
def test_rounds_of_readers_and_writers(run, shared, connected):
    """After a clear nobody reads what was before it; no load is lost, and none is wrong."""

    class Rows(DataLoader[int, int]):
        store_ttl = 30.0

        async def batch_load_fn(self, keys):
            found = [source[key] for key in keys]
            for _ in range(random.randrange(4)):
                await asyncio.sleep(0)
            return found

    random, source, cleared = Random(13), dict.fromkeys(range(3), 0), dict.fromkeys(range(3), 0)

    async def read(store):
        before = dict(cleared)
        for key, found in enumerate(await load(store, Rows, 0, 1, 2)):
            assert before[key] <= found <= source[key]

    async def write(store, key):
        source[key] += 1
        now = source[key]
        async with LoaderRegistry(store=store) as loaders:
            if random.random() < 0.1:
                loaders.get(Rows).clear_all()
            else:
                loaders.get(Rows).clear(key)
        cleared[key] = max(now, cleared[key])

    async def law():
        async with connected(shared) as (one, client):
            stores = [one, RedisStore(client, deadline=30.0, lease=30.0)]
            for _ in range(amount(1000, 100)):
                work = [read(random.choice(stores)) for _ in range(random.randrange(1, 4))]
                work += [
                    write(random.choice(stores), random.randrange(3)) for _ in range(random.randrange(3))
                ]
                random.shuffle(work)
                await asyncio.gather(*work)
            for store in stores:
                assert await load(store, Rows, 0, 1, 2) == [source[key] for key in range(3)]

    run(law)


@pytest.mark.in_full
def test_rounds_of_several_processes(server):
    """What each read is held against is in rounds.py."""
    with started("rounds.py", *((server.url, seed, amount(250, 50)) for seed in range(4))) as processes:
        when_all_say("ready", processes)
        when_all_say("done", processes)
        said = last_words(processes)
    assert all(each["rows"] == said[0]["rows"] for each in said)
    for what in ("read", "found", "heard", "loaded", "written"):
        assert all(each[what] > amount(10, 1) for each in said), said


# -- a server that does not work -----------------------------------------------------------------------------


async def until_used(store, source, key):
    """Load until the store answers."""
    while True:
        async with LoaderRegistry(store=store) as loaders:
            await loaders.get(source).load(key)
            if loaders.get(source).statistics.store_hits:
                return


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_a_server_that_is_away_costs_a_deadline_and_is_used_when_it_is_back(
    run, server, users, how, connected
):
    async def law():
        async with connected(server) as (_, client):
            store = RedisStore(client)  # with the deadline that users have
            await until_used(store, users, 1)
            server.stop() if how == "stopped" else server.kill()
            loop = asyncio.get_running_loop()
            start = loop.time()
            assert await load(store, users, 1, 2) == ["user 1", "user 2"]
            del start
            async with LoaderRegistry(store=store) as loaders:
                loaders.get(users).clear(1)
                users.rows[1] = "Eve"
                assert await loaders.get(users).load(1) == "Eve"
            server.go_on() if how == "stopped" else server.start()
            await until_used(store, users, 1)
            assert await load(store, users, 1) == ["Eve"]
            server.go_on() if how == "stopped" else None

    run(law)


def test_no_load_waits_longer_than_the_deadline(run, server, users, monkeypatch, connected):
    """By the timer that ends it: how long a busy machine takes to look at it says nothing."""
    monkeypatch.setattr(_guard, "FIRST_REST", 1e6)
    monkeypatch.setattr(_guard, "LONGEST_REST", 1e6)
    monkeypatch.setattr(_guard, "LATE", 1e6)
    asked: list[float] = []
    timeout = asyncio.timeout

    def counting(seconds):
        asked.append(seconds)
        return timeout(seconds)

    async def law():
        async with connected(server) as (_, client):
            store = RedisStore(client)
            await load(store, users, 1)
            server.stop()
            asked.clear()
            monkeypatch.setattr(_guard.asyncio, "timeout", counting)
            assert await load(store, users, 1, 2, 3) == ["user 1", "user 2", "user 3"]
            assert asked == [0.25]  # of redis-py, there are ten tries of five seconds
            monkeypatch.undo()
            server.go_on()

    run(law)


@pytest.fixture
def watched(tmp_path):
    """A master, a replica, and a Sentinel."""
    yield from redis_servers.serving_set(tmp_path)


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_when_a_replica_takes_over_answers_are_right_and_it_is_used(
    run, watched, users, monkeypatch, how, library
):
    """What has been cleared since then is cleared there, too, before anybody looks into it."""
    asked: list[float] = []
    timeout = asyncio.timeout

    def counting(seconds):
        asked.append(seconds)
        return timeout(seconds)

    async def law():
        sentinel = library.asyncio.sentinel.Sentinel([watched.address])
        client = sentinel.master_for("main")
        store = RedisStore(client)  # with the deadline that users have
        while not await sentinel.discover_slaves("main"):
            pass
        await until_used(store, users, 2)
        await load(store, users, 1, 2)
        assert await client.wait(1, 0) == 1  # the replica has it
        watched.master.kill() if how == "killed" else watched.master.stop()
        monkeypatch.setattr(_guard.asyncio, "timeout", counting)
        is_back, turn = False, 0
        while not is_back:
            turn += 1
            users.rows[1] = f"user 1, {turn}"
            async with LoaderRegistry(store=store) as loaders:
                loaders.get(users).clear(1)
                asked.clear()
                assert await loaders.get(users).load_many([1, 2]) == [f"user 1, {turn}", "user 2"]
                assert asked == [0.25] * len(asked)
                # Nobody rests here: the delete, once more as it failed, the look, a write that nobody waits for.
                assert len(asked) <= 4
                is_back = loaders.get(users).statistics.store_hits == 1
        assert turn > 1
        monkeypatch.undo()
        await until_used(store, users, 1)
        replica = library.asyncio.from_url(watched.replica.url)
        assert (await replica.info("replication"))["role"] == "master"
        assert await replica.keys("dl:1:*:1")
        if how == "stopped":
            watched.master.go_on()
        for each in (client, replica, *sentinel.sentinels):
            await each.aclose()

    run(law)


def test_a_server_that_is_full_is_read_still(run, server, users, connected):
    async def law():
        async with connected(server) as (store, client):
            await load(store, users, 1)
            await client.config_set("maxmemory", "1")
            assert await load(store, users, 1, 2) == ["user 1", "user 2"]
            assert await load(store, users, 1, 2) == ["user 1", "user 2"]
            assert users.calls == [[1], [2], [2]]
            await client.config_set("maxmemory", "0")
            await load(store, users, 2)
            await client.config_set("maxmemory", "0")
            assert await load(store, users, 2) == ["user 2"]
            assert users.calls[3:] == [[2]]

    run(law)


def test_a_server_that_is_full_when_a_value_comes_gives_the_lease_back(run, server, users, connected):
    class Filling(users):
        async def batch_load_fn(self, keys):
            await self.client.config_set("maxmemory", "1")
            return await super().batch_load_fn(keys)

    async def law():
        async with connected(server) as (store, Filling.client):
            assert await load(store, Filling, 1) == ["user 1"]
            assert not await Filling.client.keys("dl:1:*")

    run(law)


def test_a_restarted_server_has_forgotten_the_scripts_and_all_else(run, server, users, connected):
    async def law():
        async with connected(server) as (store, client):
            await load(store, users, 1)
            await client.script_flush()
            await load(store, users, 1)
            assert users.calls == [[1]]
            server.kill()
            server.start()
            await until_used(store, users, 1)

    run(law)


def test_what_stands_under_our_keys_by_mistake_is_a_miss_and_replaced(run, shared, users, connected):
    async def law():
        async with connected(shared) as (store, client):
            await load(store, users, 1)
            [name] = await client.keys("dl:1:*")
            version = name[: name.index(b"}:") + 2]
            put: list[tuple[Any, ...]] = [
                ("RPUSH", name, "x"), ("SET", name, "rubbish"), ("SET", name, ""), ("SET", name, b"V--------\xff"),
                ("SET", name, "V--------{}"), ("SET", name, "?--------1"), ("RPUSH", version, "x"),
                ("SET", version, "long, and no version"), ("HSET", name, "a", "b"),
            ]  # fmt: skip
            for command in put:
                users.calls.clear()
                await client.delete(command[1])
                await client.execute_command(*command)
                assert await load(store, users, 1) == ["user 1"]
                await load(store, users, 1)
                assert await load(store, users, 1) == ["user 1"]
                assert len(users.calls) <= 2
                await client.delete(version)
                await load(store, users, 1)

    run(law)


def test_connections_that_are_cut_and_answers_that_are_late_change_nothing(run, server, users, library):
    async def law():
        async with Proxy(f"redis://127.0.0.1:{server.port}") as proxy:
            client = library.asyncio.from_url(proxy.url.render_as_string())
            store = RedisStore(client, deadline=0.1)
            await until_used(store, users, 1)
            for number in range(20):
                loading = asyncio.ensure_future(load(store, users, 1, number))
                for _ in range(number):
                    await asyncio.sleep(0)
                proxy.cut()
                assert await loading == ["user 1", f"user {number}"]
            proxy.hold_after(0)
            assert await load(store, users, 1, 2) == ["user 1", "user 2"]
            proxy.release()
            proxy.refuses = True
            proxy.cut()
            assert await load(store, users, 1, 2) == ["user 1", "user 2"]
            proxy.refuses = False
            await until_used(store, users, 1)
            await client.aclose()

    run(law)


@pytest.mark.parametrize(
    "said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"*1\r\n:1\r\n", b"$-1\r\n", b"+OK\r\n", b"\x00" * 100]
)
def test_a_server_that_answers_rubbish_changes_nothing(run, users, said, library):
    async def answer(reader, writer):
        with contextlib.suppress(OSError):
            while await reader.read(65536):
                writer.write(said)
                await writer.drain()
        writer.transport.abort()

    async def law():
        listening = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        client = library.asyncio.from_url(f"redis://127.0.0.1:{port}", protocol=2)
        store = RedisStore(client, deadline=0.05)
        for _ in range(3):
            assert await load(store, users, 1, 2) == ["user 1", "user 2"]
        await client.aclose()
        listening.close()
        await asyncio.sleep(0)
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0)

    run(law)


def test_loads_that_are_cancelled_at_any_moment_leave_the_client_in_order(run, shared, users, connected):
    async def law():
        async with connected(shared) as (store, _):
            for number in range(60):
                async with LoaderRegistry(store=store) as loaders:
                    loading = loaders.get(users).load(number % 10)
                    for _ in range(number):
                        await asyncio.sleep(0)
                    loading.cancel()
                assert await load(store, users, 11, 12) == ["user 11", "user 12"]

    run(law)


def test_a_key_that_cannot_be_sent_as_text_is_a_key_like_any_other(run, shared, users, connected, caplog):
    """Half of a surrogate pair, as in JSON of a stranger: the store was left alone for all."""
    users.rows = {"\ud800": "half", "\ud83d\ude00": "two halves", "\U0001f600": "whole", "a": "a"}

    async def law():
        async with connected(shared) as (store, _):
            for _ in range(2):
                assert await load(store, users, "\ud800", "\ud83d\ude00", "a") == ["half", "two halves", "a"]
            assert await load(store, users, "\U0001f600") == ["whole"]
        assert users.calls == [["\ud800", "\ud83d\ude00", "a"], ["\U0001f600"]]
        assert not caplog.records

    run(law)


# -- what is refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", [None, "redis://", object()])
def test_what_is_no_client_is_refused(client):
    with pytest.raises(OptionError, match="asyncio"):
        RedisStore(client)


def test_a_client_that_blocks_is_refused():
    import redis as plain

    with pytest.raises(OptionError, match="asyncio") as caught:
        RedisStore(plain.Redis())
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "options",
    [{"deadline": 0}, {"deadline": None}, {"lease": -1}, {"lease": "2"}, {"jitter": 1}, {"jitter": -0.1}],
)
def test_numbers_are_checked(options):
    with pytest.raises(OptionError, match="RedisStore"):
        RedisStore(redis.asyncio.Redis(), **options)
