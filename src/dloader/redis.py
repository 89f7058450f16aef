"""A store on Redis or Valkey: what one process has loaded, all find.

Needs redis-py: ``pip install "dloader[redis]"``. The client may be valkey-py's.

    store = RedisStore(redis.asyncio.from_url("redis://..."))
    async with LoaderRegistry(store=store) as loaders: ...

In Redis each key holds one of these, all of the same key, so that a delete ends them all:

- ``V``, a version, JSON: a value; ``N`` and ``M`` with a version: that there is none. They expire.
- ``L``, a version, a token: a lease. Who holds it loads the key, for a short time alone.

The version is that of the loader, in a key of its own that is missing until all of a loader is cleared; what has
another one is not there. Each batch is one script, whatever it finds.
"""

from __future__ import annotations

from importlib import import_module

try:
    import_module("redis")
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        'dloader.redis needs redis-py: pip install "dloader[redis]"', name="redis"
    ) from error

import json
from collections.abc import AsyncGenerator, Awaitable, Iterator, Mapping, Sequence
from hashlib import sha1
from itertools import islice
from random import uniform
from typing import Any, Protocol, cast, final
from uuid import uuid4

from dloader._stored._seconds import is_positive
from dloader._text import shorten
from dloader.errors import OptionError
from dloader.store import Got

__all__ = ("RedisClient", "RedisStore")

_CHANNEL = "dl:cleared"
_MOST_KEYS = 5000
"""So many keys are in one call of a script: Lua has room for 8,000 values at once."""
_VERSION_LIFE = 40 * 24 * 3600
"""Seconds for which it is remembered that all of a loader was cleared: longer than any value lives."""
_SILENCE = 15.0
"""After so many seconds without a message the server is asked whether it is still there."""

_VERSION = """
local found = redis.call('MGET', unpack(KEYS))
local version = found[1]
if not version or #version ~= 8 then version = '--------' end
"""

_GET = (
    _VERSION
    + """
local lease = 'L' .. version .. ARGV[1]
local answer = {}
for i = 2, #KEYS do
  local held = found[i]
  if not held or string.sub(held, 2, 9) ~= version then
    local set = redis.pcall('SET', KEYS[i], lease, 'PX', ARGV[2])
    answer[i - 1] = set.ok and 1 or 0
  elseif string.sub(held, 1, 1) == 'L' then
    answer[i - 1] = 2
  else
    answer[i - 1] = string.sub(held, 1, 1) .. string.sub(held, 10)
  end
end
return answer
"""
)
"""A value, or 1: the caller has the lease; 2: somebody else has it; 0: there is no room for one."""

_SET = (
    _VERSION
    + """
for i = 2, #KEYS do
  local token, life, value = ARGV[3 * i - 5], ARGV[3 * i - 4], ARGV[3 * i - 3]
  if found[i] == 'L' .. version .. token then
    local kept = value ~= '' and redis.pcall('SET', KEYS[i],
      string.sub(value, 1, 1) .. version .. string.sub(value, 2), 'PX', life).ok
    if not kept then redis.call('DEL', KEYS[i]) end
  end
end
"""
)

_DELETE = """
for i = 1, #KEYS do
  if string.sub(KEYS[i], -1) == ':' then redis.call('SET', KEYS[i], ARGV[3], 'EX', ARGV[4])
  else redis.call('UNLINK', KEYS[i]) end
end
redis.call('PUBLISH', ARGV[1], ARGV[2])
"""


class RedisClient(Protocol):
    """What is wanted of a client: the asyncio clients of redis-py and valkey-py have it."""

    def execute_command(self, *args: object, **options: object) -> Awaitable[object]:
        """Send one command."""
        ...

    def pubsub(self, **options: object) -> object:
        """Return something that subscribes."""
        ...


@final
class RedisStore:
    """Keeps what loaders load in Redis or Valkey; make one for each client, and keep it as long as that.

    What it promises, and for how long something may be stale, is in docs/redis.md. It opens no connections of its own:
    the client's pool serves it, and closing the client is the application's.

    Args:
        client: An asyncio client of redis-py or valkey-py, RESP2 or RESP3.
        deadline: Seconds that one call may take; then values come from their sources.
        lease: Seconds for which one process loads a key alone, and others wait for it.
        jitter: By which part lives of values are made longer or shorter, so that they do not all end at once.

    Raises:
        OptionError: The client is not an asyncio client, or a number is out of range.

    Example:
        >>> import redis.asyncio
        >>> store = RedisStore(redis.asyncio.Redis(), deadline=0.1)
        >>> store
        <RedisStore Redis>
    """

    def __init__(
        self, client: RedisClient, *, deadline: float = 0.25, lease: float = 2.0, jitter: float = 0.1
    ) -> None:
        if not (hasattr(client, "execute_command") and hasattr(client, "pubsub")) or not _is_async(client):
            raise OptionError(
                f"RedisStore takes redis.asyncio.Redis, or valkey's like it, not {shorten(client)}"
            )
        has_jitter = jitter == 0 or (is_positive(jitter) and jitter < 1)
        if not (is_positive(deadline) and is_positive(lease) and has_jitter):
            raise OptionError(
                f"RedisStore: deadline and lease are seconds, and jitter less than 1; not {deadline!r}, {lease!r}, "
                f"{jitter!r}"
            )
        self._client = client
        self.deadline = deadline
        """Seconds that one call may take."""
        self.wait = lease
        """Seconds for which what others load is waited for."""
        self._jitter = jitter
        self._name = uuid4().hex
        """Tells the messages of this store from those of others."""

    async def get_many(self, keys: Sequence[str], /) -> Got:
        """See `dloader.store.Store.get_many`."""
        token = uuid4().hex
        values, leases, waiting = dict[str, bytes](), dict[str, bytes](), list[str]()
        for some in _parts(keys):
            answers = await self._run(_GET, [_tag(some[0]), *some], token, _milliseconds(self.wait))
            for key, answer in zip(some, cast(list[object], answers), strict=True):
                if isinstance(answer, int):
                    if answer == 1:
                        leases[key] = token.encode()
                    elif answer == 2:
                        waiting.append(key)
                else:
                    values[key] = answer if isinstance(answer, bytes) else str(answer).encode()
        return Got(values, leases, waiting)

    async def set_many(self, values: Mapping[str, bytes], leases: Mapping[str, bytes], ttl: float, /) -> None:
        """See `dloader.store.Store.set_many`."""
        for some in _parts(list(leases)):
            arguments: list[str | bytes | int] = []
            for key in some:
                life = ttl * uniform(1 - self._jitter, 1 + self._jitter)  # noqa: S311 - no secret
                arguments += leases[key], _milliseconds(life), values.get(key, b"")
            await self._run(_SET, [_tag(some[0]), *some], *arguments)

    async def delete_many(self, keys: Sequence[str], /) -> None:
        """See `dloader.store.Store.delete_many`."""
        by_tag: dict[str, list[str]] = {}
        for key in keys:  # in a cluster, keys of one script live in one place
            by_tag.setdefault(_tag(key), []).append(key)
        for some in (part for same in by_tag.values() for part in _parts(same)):
            message = json.dumps([self._name, *some])
            await self._run(_DELETE, some, _CHANNEL, message, uuid4().hex[:8], _VERSION_LIFE)

    async def _run(self, script: str, keys: Sequence[str], *arguments: str | bytes | int) -> object:
        """Run a script; a server that does not know it yet, or no more, is sent it."""
        said = (len(keys), *keys, *arguments)
        try:
            return await self._client.execute_command("EVALSHA", _HASHES[script], *said)
        except Exception as error:
            # Both clients have an error of their own for this, and strip its first word or not.
            if type(error).__name__ != "NoScriptError":
                raise
        return await self._client.execute_command("EVAL", script, *said)

    async def cleared(self) -> AsyncGenerator[Sequence[str] | None]:
        """See `dloader.store.Store.cleared`.

        Raises:
            ConnectionError: The server says nothing any more. (The client raises its own errors, too.)
        """
        subscription: Any = self._client.pubsub()
        try:
            await subscription.subscribe(_CHANNEL)
            is_silent = False
            while True:
                said = await subscription.get_message(timeout=_SILENCE)
                if said is None:
                    if is_silent:
                        raise ConnectionError(f"no answer for {_SILENCE} s")
                    is_silent = True
                    await subscription.ping()
                    continue
                is_silent = False
                if said["type"] == "subscribe":
                    yield None  # what was cleared before has been missed
                elif said["type"] == "message":
                    sender, *names = _message(said["data"])
                    if sender is None:
                        yield None
                    elif sender != self._name:
                        yield names
        finally:
            await subscription.aclose()

    def __repr__(self) -> str:
        return f"<RedisStore {type(self._client).__name__}>"


def _is_async(client: object) -> bool:
    return any("asyncio" in cls.__module__ for cls in type(client).__mro__)


def _message(data: str | bytes) -> list[Any]:
    """Who has deleted which keys; nobody in a message of somebody else's, which may mean anything."""
    try:
        found: object = json.loads(data)
    except ValueError:
        return [None]
    said = cast(list[object], found) if isinstance(found, list) else []
    return said if said and all(isinstance(each, str) for each in said) else [None]


def _tag(key: str) -> str:
    """The key of the version: what stands before the last part."""
    return key[: key.index("}:") + 2]


def _parts(keys: Sequence[str]) -> Iterator[list[str]]:
    every = iter(keys)
    while some := list(islice(every, _MOST_KEYS)):
        yield some


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _hash_of(script: str) -> str:
    """What the protocol names a script by; it is no secret."""
    return sha1(script.encode(), usedforsecurity=False).hexdigest()


_HASHES = {script: _hash_of(script) for script in (_GET, _SET, _DELETE)}
