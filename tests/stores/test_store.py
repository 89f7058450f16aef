"""What a loader has in a store: looked up first, written by who holds the lease, never wrong and never in the way."""

from __future__ import annotations

import asyncio
import enum
import gc
import logging
import weakref
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, ClassVar, Generic, TypeVar
from uuid import UUID

import pytest
from amounts import at_most
from hypothesis import given, strategies as st
from loops import turns
from pydantic import BaseModel, Field, GetPydanticSchema, RootModel, field_validator, model_serializer

from dloader import DataLoader, LoaderRegistry, MissingKeyError, OptionError
from dloader._stored import _guard
from dloader._stored._generations import outdate
from dloader._stored._names import NoName, identified, key_name, key_of, tag_of
from dloader.lowlevel import forget_without_store
from dloader.store import Got, MemoryStore, Store

K = TypeVar("K")
T = TypeVar("T")


class User(BaseModel):
    id: int
    name: str


class Users(DataLoader[int, User | None]):
    """Loads from `rows`, and keeps the calls."""

    store_ttl = 30.0
    rows: ClassVar[dict[int, str]]
    calls: ClassVar[list[list[int]]]

    async def batch_load_fn(self, keys):
        type(self).calls.append(list(keys))
        return [User(id=key, name=self.rows[key]) if key in self.rows else None for key in keys]


@pytest.fixture
def users():
    """A loader class of the test's own, with three rows."""

    class Own(Users):
        rows: ClassVar[dict[int, str]] = {1: "Ann", 2: "Bob", 3: "Cid"}
        calls: ClassVar[list[list[int]]] = []

    return Own


async def load(store: Store, source: Any, *keys: Any, **options: Any) -> Any:
    """One request."""
    async with LoaderRegistry(store=store, **options) as loaders:
        return await loaders.get(source).load_many(keys)


# -- what is kept --------------------------------------------------------------------------------------------


def test_what_one_request_loads_the_next_one_finds(run, users):
    async def law():
        store = MemoryStore()
        first = await load(store, users, 1, 2)
        again = await load(store, users, 2, 3, 1)
        assert users.calls == [[1, 2], [3]]
        assert again == [User(id=2, name="Bob"), User(id=3, name="Cid"), User(id=1, name="Ann")]
        assert again[2] == first[0]
        assert again[2] is not first[0]

    run(law)


def test_a_loader_that_is_made_by_hand_has_a_store_too(run, users):
    async def law():
        store = MemoryStore()
        for _ in range(2):
            async with users(store=store) as loader:
                assert await loader.load(1) == User(id=1, name="Ann")
                await loader.load(1)
        assert users.calls == [[1]]
        assert loader.statistics.store_hits == 1

    run(law)


def test_without_store_ttl_nothing_is_kept(run, users):
    async def law():
        users.store_ttl = None
        store = MemoryStore()
        await load(store, users, 1)
        async with users(store=store) as loader:
            await loader.load(1)
            loader.clear(1).clear_all()
        assert users.calls == [[1], [1]]
        assert not len(store)

    run(law)


def test_values_are_kept_for_the_time_that_the_class_says(run, users):
    async def law():
        now = 0.0
        store = MemoryStore(clock=lambda: now)
        await load(store, users, 1)
        now = 29.0
        await load(store, users, 1)
        now = 30.0
        await load(store, users, 1)
        assert users.calls == [[1], [1]]

    run(law)


def test_that_there_is_nothing_is_kept_only_if_asked_for_and_as_long(run, users):
    async def law():
        now = 0.0
        store = MemoryStore(clock=lambda: now)
        await load(store, users, 9)
        await load(store, users, 9)
        users.store_negative_ttl = 5.0
        await load(store, users, 9, 1)
        assert await load(store, users, 9, 1) == [None, User(id=1, name="Ann")]
        assert users.calls == [[9], [9], [9, 1]]
        now = 5.0
        await load(store, users, 9, 1)
        assert users.calls[3:] == [[9]]

    run(law)


def test_a_key_that_a_mapping_lacks_is_not_kept_as_a_value(run):
    class Names(DataLoader[int, str]):
        store_ttl = 30.0
        calls: ClassVar[list[list[int]]] = []

        async def batch_load_fn(self, keys):
            self.calls.append(list(keys))
            return {1: "Ann"}

    async def law():
        store = MemoryStore()
        for _ in range(2):
            async with LoaderRegistry(store=store) as loaders:
                found = await loaders.get(Names).load_many([1, 2], return_exceptions=True)
                assert found[0] == "Ann"
                assert type(found[1]) is MissingKeyError
        assert Names.calls == [[1, 2], [2]]

    run(law)


def test_a_missing_key_is_raised_again_where_none_is_no_value(run):
    class Names(DataLoader[int, str]):
        store_ttl = 30.0
        store_negative_ttl = 30.0
        calls: ClassVar[list[list[int]]] = []

        async def batch_load_fn(self, keys):
            self.calls.append(list(keys))
            return {1: "Ann"}

    async def law():
        store = MemoryStore()
        for _ in range(2):
            async with LoaderRegistry(store=store) as loaders:
                with pytest.raises(MissingKeyError, match=r"loader 'Names'.* for key 2"):
                    await loaders.get(Names).load(2)
        assert Names.calls == [[2]]

    run(law)


def test_errors_are_not_kept(run):
    class Odd(DataLoader[int, int]):
        store_ttl = 30.0
        calls: ClassVar[list[list[int]]] = []

        async def batch_load_fn(self, keys):
            self.calls.append(list(keys))
            return [ValueError("odd") if key % 2 else key for key in keys]

    async def law():
        store = MemoryStore()
        for _ in range(2):
            async with LoaderRegistry(store=store) as loaders:
                found = await loaders.get(Odd).load_many([1, 2], return_exceptions=True)
                assert [type(each) for each in found] == [ValueError, int]
        assert Odd.calls == [[1, 2], [1]]

    run(law)


@dataclass
class Point:
    x: int


class Shouting(BaseModel):
    name: str

    @field_validator("name")
    @classmethod
    def shout(cls, name):
        return name.upper()


class Hiding(BaseModel):
    secret: str = Field(default="", exclude=True)


class Aliased(BaseModel):
    user_name: str = Field(alias="userName")


class Unequal(BaseModel):
    __hash__ = None

    def __eq__(self, other):
        raise RuntimeError("not to be compared")


class Admin(User):
    level: int = 1


class Named(dict):
    """A row that can do more than a dict."""


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Point, Point(1)),
        (Aliased, Aliased(userName="ann")),
        (list[User], [User(id=1, name="Ann")]),
        (list[User], []),
        (dict[str, datetime], {"at": datetime(2026, 1, 2, tzinfo=UTC)}),
        (dict[str, Any], {"a": [1, 2.5, None, True, "x"]}),
        (tuple[int, Decimal], (1, Decimal("1.10"))),
        (Any, {"nested": {"list": [1]}}),
        (str | None, "x"),
        (UUID, UUID(int=7)),
    ],
)
def test_a_value_comes_back_as_it_was(run, kind, value):
    async def law():
        class Things(DataLoader[int, Any]):
            store_ttl = 30.0
            store_type = kind

            async def batch_load_fn(self, keys):
                calls.append(1)
                return [value for _ in keys]

        calls, store = [], MemoryStore()
        await load(store, Things, 1)
        [found] = await load(store, Things, 1)
        assert found == value
        assert type(found) is type(value)
        assert len(calls) == 1

    run(law)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (dict[str, Any], {"at": datetime(2026, 1, 2, tzinfo=UTC)}),
        (Any, (1, 2)),
        (Any, [(1, 2)]),
        (Any, {"one": {1}}),
        (dict, Named(a=1)),
        (list[dict], [Named(a=1)]),
        (float, float("nan")),
        (Shouting, Shouting.model_construct(name="ann")),
        (Hiding, Hiding(secret="s")),
        (Unequal, Unequal()),
        (User, Point(1)),
        (int, object()),
        (User, Admin(id=1, name="Ann")),
        (list[int], [1, 2.0]),
    ],
)
def test_a_value_that_would_not_come_back_as_it_was_is_not_kept(run, kind, value):
    async def law():
        class Things(DataLoader[int, Any]):
            store_ttl = 30.0
            store_type = kind

            async def batch_load_fn(self, keys):
                calls.append(1)
                return [value for _ in keys]

        calls, store = [], MemoryStore()
        for _ in range(2):
            [found] = await load(store, Things, 1)
            assert found is value
        assert len(calls) == 2
        assert not len(store)

    run(law)


def test_what_a_caller_does_to_a_value_reaches_nobody(run):
    class Lists(DataLoader[int, list[int]]):
        store_ttl = 30.0

        async def batch_load_fn(self, keys):
            return [[key] for key in keys]

    async def law():
        store = MemoryStore()
        for _ in range(3):
            async with LoaderRegistry(store=store) as loaders:
                found = await loaders.get(Lists).load(1)
                assert found == [1]
                found.append(2)

    run(law)


# -- what it is called ---------------------------------------------------------------------------------------

keys = st.recursive(
    st.one_of(
        st.integers(), st.text(), st.text("\ud800\udc00a\u00e9"),
        st.booleans(), st.floats(allow_nan=False), st.uuids(), st.binary(), st.dates(),
        st.datetimes(), st.datetimes(timezones=st.just(timezone(timedelta(hours=2)))), st.none(),
        st.decimals(allow_nan=False, allow_infinity=False, min_value=-10**6, max_value=10**6),
        st.decimals(allow_nan=False, allow_infinity=False),
    ),
    lambda inner: st.tuples(inner, inner),
)  # fmt: skip


@given(keys, keys)
def test_equal_keys_have_one_name_and_others_another(first, second):
    assert (key_name(first) == key_name(second)) is (first == second)


@given(keys)
def test_a_key_can_be_told_by_its_name_unless_it_is_long(key):
    name = key_name(key)
    if name.startswith("#"):
        with pytest.raises(NoName):
            key_of(name)
    else:
        assert key_of(name) == key
        assert hash(key_of(name)) == hash(key)
    assert len(name) <= 200


def test_a_long_key_is_hashed():
    assert key_name("x" * 500) != key_name("x" * 501)
    with pytest.raises(NoName):
        key_of(key_name("x" * 500))


class Color(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    LOW = 1


def test_decimals_of_many_places_are_told_apart(run):
    class Texts(DataLoader[Decimal, str]):
        store_ttl = 30.0

        async def batch_load_fn(self, keys):
            return [str(key) for key in keys]

    async def law():
        found = await load(
            MemoryStore(), Texts, Decimal("0." + 30 * "1" + "2"), Decimal("0." + 30 * "1" + "3")
        )
        assert [text[-1] for text in found] == ["2", "3"]

    run(law)


@pytest.mark.parametrize(
    "key",
    [
        "\ud800",
        10**5000,
        -(10**5000),
        (10**5000,),
        Decimal("1e5000"),
        Decimal("-1e999999"),
        Decimal("1e-999999"),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=5))),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-5))),
    ],
    ids=range(9),
)
def test_what_strangers_may_send_as_a_key_has_a_name(key):
    """That a server can be sent, and in no time: an integer of a million digits takes minutes."""
    assert key_name(key).encode()
    assert key_name(key) != key_name((key, 1))


def test_names_of_odd_keys():
    assert key_name(Level.LOW) == key_name(1) == key_name(Decimal(1)) == key_name(True)
    assert key_name(1.5) == key_name(Decimal("1.5")) == key_name(Decimal("1.500"))
    assert key_name(Decimal("0.10")) == key_name(Decimal("0.1")) != key_name(0.1), "no float is a tenth"
    assert key_name(float("inf")) == key_name(Decimal("inf")) != key_name(float("-inf"))
    for key in (Color.RED, object(), float("nan"), frozenset({1})):
        with pytest.raises(NoName):
            key_name(key)


def test_values_of_parameters_are_told_apart():
    values = [
        1, True, "1", [1], {1}, {1: 1}, {"1": 1}, Color.RED, Level.LOW, Point(1), Point(2), User, Point, None, [[1]],
        [1, 1], date(2026, 1, 1),
    ]  # fmt: skip
    texts = [repr(identified(value)) for value in values]
    assert len(set(texts)) == len(texts)
    assert identified({2, 1}) == identified(frozenset({1, 2}))
    assert identified({"a": 1, "b": 2}) == identified({"b": 2, "a": 1})
    with pytest.raises(NoName):
        identified([object()])


def test_a_name_shows_the_loader_and_the_key_and_hides_the_parameters(run, users):
    class OfTenant(users):
        tenant: str

    async def law():
        store = MemoryStore()
        await load(store, OfTenant, 1, params={"tenant": "secret"})
        [name] = store._entries
        assert name.startswith("dl:1:{OfTenant:")
        assert name.endswith("}:1")
        assert "secret" not in name

    run(law)


def test_the_main_module_of_a_spawned_process_is_that_of_its_parent(users):
    users.__module__ = "__main__"
    one = tag_of("name", users, None)
    users.__module__ = "__mp_main__"
    assert tag_of("name", users, None) == one


@pytest.mark.parametrize(
    "params",
    [[{"tenant": 1}, {"tenant": 2}], [{"tenant": 1}, {"tenant": "1"}], [{"tenant": [1]}, {"tenant": [2]}]],
)
def test_two_tenants_never_share_a_value(run, params):
    class OfTenant(DataLoader[int, str]):
        store_ttl = 30.0
        tenant: Any

        async def batch_load_fn(self, keys):
            return [f"{key} of {self.tenant!r}" for key in keys]

    async def law():
        store = MemoryStore()
        for each in (*params, *params):
            [found] = await load(store, OfTenant, 1, params=each)
            assert found == f"1 of {each['tenant']!r}"

    run(law)


def test_namespaces_are_apart(run, users):
    async def law():
        store = MemoryStore()
        for namespace in ("blue", "red", "blue"):
            await load(store, users, 1, store_namespace=namespace)
        assert users.calls == [[1], [1]]
        users.store_namespace = "staging"
        await load(store, users, 1, store_namespace="blue")
        assert users.calls == [[1]] * 3

    run(law)


def test_partitions_are_apart_and_cleared_apart(run):
    tenant: ContextVar[str] = ContextVar("tenant")

    class OfTenant(DataLoader[int, str]):
        store_ttl = 30.0
        partition = tenant.get
        calls: ClassVar[list[Any]] = []

        async def batch_load_fn(self, keys):
            self.calls.append((tenant.get(), *keys))
            return [f"{key} of {tenant.get()}" for key in keys]

    async def law():
        store = MemoryStore()
        async with OfTenant(store=store) as one, OfTenant(store=store) as other:
            for name in ("blue", "red", "blue"):
                tenant.set(name)
                assert await one.load(1) == await other.load(1) == f"1 of {name}"
            assert OfTenant.calls == [("blue", 1), ("red", 1)]
            one.clear(1)
            await other.load(1)
            tenant.set("red")
            await other.load(1)
            assert OfTenant.calls[2:] == [("blue", 1)]
            other.clear_all()
            await one.load(1)
            tenant.set("blue")
            await one.load(1)
            assert OfTenant.calls[3:] == [("red", 1)]
            tenant.set("green")
            one.clear(1)  # of which the other has heard nothing so far

    run(law)


def test_another_schema_is_another_key(run):
    async def law():
        store = MemoryStore()
        for fields in ({"a": 1}, {"b": 1}):
            model = type("Row", (BaseModel,), {"__annotations__": dict.fromkeys(fields, int)})

            class Rows(DataLoader[int, Any]):
                store_ttl = 30.0
                store_type = model

                async def batch_load_fn(self, keys):
                    return [self.store_type.model_validate({"a": 1, "b": 1}) for _ in keys]

            [found] = await load(store, Rows, 1)
            assert found.model_dump() == fields

    run(law)


def test_keys_that_are_made_by_a_function_are_known_by_what_it_makes(run):
    class ByDict(DataLoader[Any, str]):
        store_ttl = 30.0
        calls: ClassVar[list[Any]] = []

        def cache_key_fn(self, key):
            return (key["country"], key["id"])

        async def batch_load_fn(self, keys):
            self.calls.append(keys)
            return [key["country"] for key in keys]

    async def law():
        store, key = MemoryStore(), {"country": "at", "id": 1}
        await load(store, ByDict, key)
        await load(store, ByDict, key)
        assert len(ByDict.calls) == 1

    run(law)


def test_store_key_names_keys_that_have_no_text(run):
    class ByColor(DataLoader[Color, int]):
        store_ttl = 30.0
        calls: ClassVar[list[Any]] = []

        async def batch_load_fn(self, keys):
            self.calls.append(keys)
            return [key.value for key in keys]

    class Named(ByColor):
        def store_key(self, key):
            return key.name

    class Still(ByColor):
        def store_key(self, key):
            return key

    async def law():
        store = MemoryStore()
        with pytest.raises(
            OptionError, match=r"its key .*: define store_key\(self, key\), which returns a str"
        ):
            await load(store, ByColor, Color.RED)
        with pytest.raises(
            OptionError, match=r"which its store_key returned for key .*: let it return a str"
        ):
            await load(store, Still, Color.RED)
        async with LoaderRegistry(store=store) as one, LoaderRegistry(store=store) as other:
            await one.get(Named).load(Color.RED)
            await other.get(Named).load(Color.RED)
            assert len(Named.calls) == 1
            one.get(Named).clear(Color.RED)
            await other.get(Named).load(Color.RED)
            assert len(Named.calls) == 2

    run(law)


# -- what is refused -----------------------------------------------------------------------------------------


class Untyped(DataLoader):
    store_ttl = 30.0

    async def batch_load_fn(self, keys):
        return keys


class Generics(DataLoader[K, T], Generic[K, T]):
    store_ttl = 30.0

    async def batch_load_fn(self, keys):
        return keys


class Swapped(Generics[T, K], Generic[K, T]):
    pass


class Concrete(Swapped[int, str]):
    pass


class Annotated(DataLoader):
    store_ttl = 30.0

    async def batch_load_fn(self, keys: list[int]) -> list[int | ValueError]:
        return keys


class Mapped(DataLoader):
    store_ttl = 30.0

    async def batch_load_fn(self, keys: list[int]) -> dict[int, int]:
        return {key: key for key in keys}


class Unknown(DataLoader):
    store_ttl = 30.0

    async def batch_load_fn(self, keys) -> NotThere:  # noqa: F821
        return keys


class Vague(DataLoader):
    store_ttl = 30.0

    async def batch_load_fn(self, keys) -> list:
        return keys


class Opaque:
    pass


class WithObject(DataLoader[int, int]):
    store_ttl = 30.0
    user: Opaque

    async def batch_load_fn(self, keys):
        return keys


class OfObjects(DataLoader[int, Opaque]):
    store_ttl = 30.0

    async def batch_load_fn(self, keys):
        return [Opaque() for _ in keys]


@pytest.mark.parametrize("source", [Untyped, Unknown, Vague, OfObjects, Generics])
def test_a_loader_whose_values_have_no_json_is_refused_when_it_is_made(run, source):
    async def law():
        async with LoaderRegistry(store=MemoryStore()) as loaders:
            with pytest.raises(OptionError, match=r"store_type = \.\.\."):
                loaders.get(source)

    run(law)


@pytest.mark.parametrize("source", [Annotated, Mapped])
def test_the_batch_function_says_the_type_where_the_class_does_not(run, source):
    async def law():
        store = MemoryStore()
        assert await load(store, source, 1) == [1]
        async with LoaderRegistry(store=store) as loaders:
            await loaders.get(source).load(1)
            assert loaders.get(source).statistics.store_hits == 1

    run(law)


def test_the_type_is_found_through_generic_classes(run):
    async def law():
        store = MemoryStore()
        async with LoaderRegistry(store=store) as loaders:
            with pytest.raises(
                Exception, match="never"
            ):  # the values are integers, Swapped[int, str] says int
                raise RuntimeError("never")
            assert await loaders.get(Concrete).load(1) == 1
        async with LoaderRegistry(store=store) as loaders:
            await loaders.get(Concrete).load(1)
            assert loaders.get(Concrete).statistics.store_hits == 1

    run(law)


def test_a_parameter_that_may_be_anything_is_refused_unless_it_is_said_what_it_means(run):
    async def law():
        params, store = {"user": Opaque()}, MemoryStore()
        async with LoaderRegistry(params, store=store) as loaders:
            with pytest.raises(OptionError, match="store_ignore"):
                loaders.get(WithObject)
        async with LoaderRegistry(params, store=store, store_namespace=7) as loaders:
            assert await loaders.get(WithObject).load(1) == 1
        ignoring = type("Ignoring", (WithObject,), {"store_ignore": ("user",)})
        async with LoaderRegistry(params, store=store) as loaders:
            assert await loaders.get(ignoring).load(1) == 1
        with pytest.raises(OptionError, match="store_namespace"):
            await load(store, Annotated, 1, store_namespace=object())

    run(law)


def test_the_way_to_the_source_is_no_part_of_a_key(run):
    class WithSession(DataLoader[int, int]):
        store_ttl = 30.0
        session: Any
        calls: ClassVar[list[Any]] = []

        async def batch_load_fn(self, keys):
            self.calls.append(keys)
            return keys

    async def law():
        store = MemoryStore()
        for _ in range(2):
            await load(store, WithSession, 1, params={"session": asyncio.Lock()})
        assert WithSession.calls == [[1]]

    run(law)


@pytest.mark.parametrize("seconds", [0, -1, True, "30", 31 * 24 * 3600])
@pytest.mark.parametrize("option", ["store_ttl", "store_negative_ttl"])
def test_seconds_are_checked(users, option, seconds):
    setattr(users, option, seconds)
    with pytest.raises(OptionError, match=option):
        LoaderRegistry(store=MemoryStore()).get(users)


def test_what_is_no_store_is_refused(users):
    class Listed(list):
        get_many = set_many = delete_many = cleared = len

    for store in (object(), MemoryStore, "redis://", Listed()):
        with pytest.raises(OptionError, match="store"):
            LoaderRegistry(store=store)
        with pytest.raises(OptionError, match="store"):
            users(store=store)
    with pytest.raises(OptionError, match="store"):
        type("Sharing", (DataLoader,), {"store": MemoryStore()})
    for options in ({"max_size": 0}, {"lease": 0}, {"max_size": "9"}, {"lease": None}, {"lease": True}):
        with pytest.raises(OptionError):
            MemoryStore(**options)


def test_without_pydantic_it_is_said_what_to_install(monkeypatch, users):
    def missing(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr("dloader._stored._values.import_module", missing)
    with pytest.raises(OptionError, match=r"dloader\[resolver\]"):
        LoaderRegistry(store=MemoryStore()).get(users)


def test_a_default_that_has_no_json_is_nothing_to_warn_of(run):
    class Refusing(RootModel[int]):
        @model_serializer
        def refuse(self) -> int:
            raise LookupError

    class Blob(BaseModel):
        data: bytes = b"\xff"
        other: Refusing | None = Refusing(1)

    class Blobs(DataLoader[int, Blob]):
        store_ttl = 30.0

        async def batch_load_fn(self, keys):
            return [Blob(data=b"a", other=None) for _ in keys]

    async def law():
        store = MemoryStore()
        assert await load(store, Blobs, 1) == [Blob(data=b"a", other=None)]
        assert len(store) == 1

    run(law)


def test_a_type_without_a_schema_is_known_by_its_name(run):
    class Bare:
        def __eq__(self, other):
            return True

        __hash__ = None

    def schema(_source, _handler):
        from pydantic_core import core_schema as core

        return core.no_info_plain_validator_function(
            lambda _: Bare(), serialization=core.plain_serializer_function_ser_schema(lambda _: 1)
        )

    import typing

    class Things(DataLoader[int, typing.Annotated[Bare, GetPydanticSchema(schema)]]):
        store_ttl = 30.0
        calls: ClassVar[list[Any]] = []

        async def batch_load_fn(self, keys):
            self.calls.append(keys)
            return [Bare() for _ in keys]

    async def law():
        store = MemoryStore()
        await load(store, Things, 1)
        await load(store, Things, 1)
        assert len(Things.calls) == 1

    run(law)


def test_options_of_stores_are_no_parameters(run):
    class Users(DataLoader[int, int]):
        store_ttl: float | None = 30.0
        tenant: int = 1

        async def batch_load_fn(self, keys):
            return keys

    assert repr(Users()) == "<Users cached=0 waiting=0 batches=0 keys=0>"
    from dloader.lowlevel import parameters_of

    assert parameters_of(Users) == {"tenant": True}


# -- clear and prime -----------------------------------------------------------------------------------------


def test_clear_deletes_the_key_for_all(run, users):
    async def law():
        store = MemoryStore()
        async with LoaderRegistry(store=store) as one, LoaderRegistry(store=store) as other:
            await one.get(users).load_many([1, 2])
            await other.get(users).load_many([1, 2])
            users.rows[1] = "Eve"
            one.get(users).clear(1)
            for loaders in (one, other):
                assert (await loaders.get(users).load(1)).name == "Eve"
        assert users.calls == [[1, 2], [1]]
        assert (await load(store, users, 1))[0].name == "Eve"

    run(law)


def test_clear_many_and_clear_all_do_so_too(run, users):
    async def law():
        store = MemoryStore()
        await load(store, users, 1, 2, 3)
        async with LoaderRegistry(store=store) as loaders:
            loaders.get(users).clear_many([1, 2])
        await load(store, users, 1, 2, 3)
        assert users.calls == [[1, 2, 3], [1, 2]]
        async with LoaderRegistry(store=store) as loaders, LoaderRegistry(store=store) as other:
            await other.get(users).load_many([1, 2, 3])
            loaders.get(users)
            loaders.clear_all()
            await other.get(users).load_many([1, 2, 3])
        assert users.calls[2:] == [[1, 2, 3]]

    run(law)


def test_prime_stays_here_and_outlives_the_clear_before_it(run, users):
    async def law():
        store = MemoryStore()
        async with LoaderRegistry(store=store) as loaders:
            await loaders.get(users).load(1)
            loaders.get(users).clear(1).prime(1, User(id=1, name="Eve"))
            await turns(5)
            assert (await loaders.get(users).load(1)).name == "Eve"
        assert (await load(store, users, 1))[0].name == "Ann"

    run(law)


def test_what_was_read_before_a_clear_is_not_written_after_it(run, users):
    class Slow(users):
        gate: ClassVar[asyncio.Event]

        async def batch_load_fn(self, keys):
            found = await super().batch_load_fn(keys)
            await self.gate.wait()
            return found

    async def law():
        Slow.gate = asyncio.Event()
        store = MemoryStore()
        async with LoaderRegistry(store=store) as one, LoaderRegistry(store=store) as other:
            old = one.get(Slow).load(1)
            while not Slow.calls:
                await asyncio.sleep(0)
            users.rows[1] = "Eve"
            other.get(Slow).clear(1)
            await turns(5)
            Slow.gate.set()
            assert (await old).name == "Ann"
            assert (await one.get(Slow).load(1)).name == "Eve"
        assert (await load(store, Slow, 1))[0].name == "Eve"

    run(law)


def test_a_clear_outside_a_loop_is_of_the_cache_alone(run, users):
    store = MemoryStore()
    loader = users(store=store)

    async def law():
        await loader.load(1)
        await loader.aclose()

    loader.clear(1)
    run(law)
    loader.clear(1)


def test_where_no_loop_runs_no_store_is_told():
    """As at the end of a program."""
    outdate(None)


def test_a_uuid_of_a_drivers_own_class_is_kept(run):
    """Asyncpg has one."""

    class Other(UUID):
        pass

    class Ids(DataLoader[int, UUID]):
        store_ttl = 30.0
        calls: ClassVar[list[list[int]]] = []

        async def batch_load_fn(self, keys):
            self.calls.append(keys)
            return [Other(int=key) for key in keys]

    async def law():
        store = MemoryStore()
        assert await load(store, Ids, 1) == await load(store, Ids, 1) == [UUID(int=1)]
        assert len(Ids.calls) == 1
        Ids.calls.clear()

    run(law)


def test_a_loader_may_forget_alone(run, users):
    async def law():
        store = MemoryStore()
        async with LoaderRegistry(store=store) as loaders:
            first = await loaders.get(users).load(1)
            forget_without_store(loaders.get(users))
            again = await loaders.get(users).load(1)
            assert again == first
            assert again is not first
        assert users.calls == [[1]]
        loader = DataLoader(Annotated.batch_load_fn.__get__(None, object))
        forget_without_store(loader)

    run(law)


# -- one loads, the others wait ------------------------------------------------------------------------------


def test_of_many_requests_one_loads(run, users):
    async def law():
        store = MemoryStore()
        found = await asyncio.gather(*(load(store, users, 1, 2) for _ in range(20)))
        assert all(each == found[0] for each in found)
        assert users.calls == [[1, 2]]

    run(law)


def test_each_loads_what_it_holds_and_waits_for_the_rest(run, users):
    async def law():
        store = MemoryStore()
        found = await asyncio.gather(
            load(store, users, 1, 2), load(store, users, 2, 3), load(store, users, 3, 1)
        )
        assert [[user.id for user in each] for each in found] == [[1, 2], [2, 3], [3, 1]]
        assert sorted(key for call in users.calls for key in call) == [1, 2, 3]

    run(law)


class Leased:
    """A store whose keys are always leased by somebody who never writes."""

    wait = 0.0

    def __init__(self):
        self.asked = 0

    async def get_many(self, keys):
        self.asked += 1
        return Got({}, {}, list(keys))

    async def set_many(self, values, leases, ttl):
        raise AssertionError("nothing is leased")

    async def delete_many(self, keys):
        pass

    def cleared(self):
        return MemoryStore().cleared()


def test_who_has_waited_long_enough_loads_and_writes_nothing(run, users):
    async def law():
        store = Leased()
        assert (await load(store, users, 1))[0].name == "Ann"
        assert store.asked == 1

    run(law)


def test_a_lease_that_nobody_needs_is_given_back(run, users):
    class Failing(users):
        fails: ClassVar[list[bool]] = [True, False]

        async def batch_load_fn(self, keys):
            if self.fails.pop(0):
                raise ValueError("no")
            return await super().batch_load_fn(keys)

    async def law():
        store = MemoryStore()
        with pytest.raises(ValueError, match="no"):
            await load(store, Failing, 1)
        assert not len(store)
        assert (await load(store, Failing, 1))[0].name == "Ann"

    run(law)


def test_who_is_cancelled_gives_back_his_lease(run, users):
    class Endless(users):
        async def batch_load_fn(self, keys):
            await asyncio.Event().wait()

    async def law():
        store = MemoryStore()
        async with LoaderRegistry(store=store) as loaders:
            loading = loaders.get(Endless).load(1)
            while not len(store):
                await asyncio.sleep(0)
            await turns(3)
            loading.cancel()
        assert not len(store)

    run(law)


def test_what_the_store_has_is_given_out_when_the_rest_fails(run, users):
    class Failing(users):
        async def batch_load_fn(self, keys):
            raise ValueError("no")

    async def law():
        store = MemoryStore()
        Failing.name = users.name = "same"
        Failing.__qualname__ = users.__qualname__
        await load(store, users, 1)
        async with LoaderRegistry(store=store) as loaders:
            found = await loaders.get(Failing).load_many([1, 2], return_exceptions=True)
        assert found[0] == User(id=1, name="Ann")
        assert type(found[1]) is ValueError

    run(law)


def test_a_batch_function_that_is_not_async_is_named(run, users):
    class Plain(users):
        def batch_load_fn(self, keys):
            return keys

    async def law():
        for ttl in (30.0, None):
            Plain.store_ttl = ttl
            async with Plain(store=MemoryStore()) as loader:
                with pytest.raises(TypeError, match="async def"):
                    await loader.load(1)

    run(law)


# -- a store that does not work ------------------------------------------------------------------------------


class Broken:
    """A store that does what it is told: raises, hangs, or works."""

    deadline = 0.01

    def __init__(self, *answers):
        self.answers = list(answers)
        self.inner = MemoryStore()
        self.calls = []

    async def _do(self, name, *args):
        self.calls.append(name)
        answer = self.answers.pop(0) if self.answers else None
        if answer == "hang":
            await asyncio.Event().wait()
        if isinstance(answer, Exception):
            raise answer
        return await getattr(self.inner, name)(*args)

    async def get_many(self, keys):
        return await self._do("get_many", keys)

    async def set_many(self, values, leases, ttl):
        return await self._do("set_many", values, leases, ttl)

    async def delete_many(self, keys):
        return await self._do("delete_many", keys)

    def cleared(self):
        return self.inner.cleared()


@pytest.fixture
def quick(monkeypatch):
    """Stores rest for no time, so that no test has to wait."""
    monkeypatch.setattr(_guard, "FIRST_REST", 1e-9)
    monkeypatch.setattr(_guard, "LONGEST_REST", 1e-9)


@pytest.mark.parametrize("failure", [OSError("down"), "hang"])
def test_a_store_that_fails_costs_nothing_but_a_deadline_and_one_warning(
    run, users, caplog, monkeypatch, failure
):
    monkeypatch.setattr(_guard, "FIRST_REST", 1e6)
    monkeypatch.setattr(_guard, "LONGEST_REST", 1e6)
    monkeypatch.setattr(_guard, "LATE", 1e6)

    async def law():
        store = Broken(failure)
        for key in (1, 2, 3):
            assert (await load(store, users, key))[0].id == key
        assert store.calls == ["get_many"]  # it rests: nobody asks it
        assert users.calls == [[1], [2], [3]]
        [record] = [record for record in caplog.records if record.name == "dloader"]
        assert record.levelno == logging.WARNING
        assert "get_many" in record.message

    run(law)


def test_it_is_asked_again_after_a_while_and_used_when_it_is_back(run, users, quick, caplog):
    caplog.set_level(logging.INFO)

    async def law():
        store = Broken(OSError(), OSError())
        for _ in range(4):
            await load(store, users, 1)
        assert store.calls == ["get_many", "get_many", "get_many", "set_many", "get_many"]
        assert users.calls == [[1], [1], [1]]
        assert [record.levelname for record in caplog.records if record.name == "dloader"] == [
            "WARNING",
            "INFO",
        ]

    run(law)


def test_while_one_tries_whether_it_is_back_the_others_do_not_wait(run, users, quick):
    async def law():
        store = Broken(OSError(), "hang")
        store.deadline = 60.0
        await load(store, users, 1)
        async with LoaderRegistry(store=store) as loaders:
            trying = loaders.get(users).load(1)
            await turns(5)
            await load(store, users, 2)
            assert store.calls == ["get_many", "get_many"]
            trying.cancel()

    run(law)


def test_a_store_that_takes_no_writes_is_read_still(run, users, quick):
    async def law():
        store = Broken(None, OSError())
        await load(store, users, 1)
        assert store.calls == ["get_many", "set_many"]

    run(law)


def test_a_clear_that_could_not_be_sent_is_sent_before_the_next_look(run, users, quick):
    async def law():
        store = Broken()
        await load(store, users, 1)
        users.rows[1] = "Eve"
        store.answers = [OSError(), OSError(), OSError()]
        async with LoaderRegistry(store=store) as loaders:
            loaders.get(users).clear(1)
            assert (await loaders.get(users).load(1)).name == "Eve"
        assert (await load(store, users, 1))[0].name == "Eve"
        store.calls.clear()
        assert (await load(store, users, 1))[0].name == "Eve"
        assert store.calls[-1] == "get_many"
        assert users.calls == [[1], [1], [1]]

    run(law)


def test_a_key_that_is_cleared_again_while_it_is_being_deleted_is_deleted_again(run, users):
    async def law():
        store = Broken()
        store.deadline = 60.0
        async with LoaderRegistry(store=store) as loaders:
            await loaders.get(users).load(1)
            deleting = asyncio.Event()

            async def slow(keys):
                store.calls.append("delete_many")
                deleting.set()
                await turns(3)

            store.delete_many = slow
            loaders.get(users).clear(1)
            await deleting.wait()
            loaders.get(users).clear(1)
        assert store.calls.count("delete_many") == 2

    run(law)


def test_very_many_clears_that_cannot_be_sent_become_one_of_all(run, users, monkeypatch, quick):
    monkeypatch.setattr(_guard, "MOST_UNSENT", 10)

    async def law():
        store = Broken()
        await load(store, users, 1)
        store.answers = [OSError()] * 2
        async with LoaderRegistry(store=store) as loaders:
            loaders.get(users).clear_many(range(100, 120))
        [user] = await load(store, users, 1)
        assert user.name == "Ann"
        assert users.calls == [[1], [1]]

    run(law)


def test_no_more_writes_are_under_way_than_a_bound(run, users, monkeypatch):
    monkeypatch.setattr(_guard, "MOST_WRITES", 2)

    async def law():
        store = Broken()
        store.deadline = 60.0

        async def hang(values, leases, ttl):
            store.calls.append("set_many")
            await asyncio.Event().wait()

        store.set_many = hang
        loaded = await asyncio.gather(*(users(store=store).load(key) for key in (1, 2, 3, 1)))
        assert len(loaded) == 4
        await turns(3)
        assert store.calls.count("set_many") == 2
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
            await asyncio.wait([task])

    run(law)


def test_rubbish_is_a_miss_and_taken_away(run, users):
    async def law():
        store = MemoryStore()
        for rubbish in (
            b"",
            b"?",
            b"V",
            b"V{}",
            b"Vnull,null",
            b'V{"id":1,"name":"Ann"},{"id":1,"name":"Ann"}',
            b"\xff",
        ):
            users.calls.clear()
            await load(store, users, 1, 2)
            name = next(name for name in store._entries if name.endswith(":1"))
            store._entries[name] = (float("inf"), rubbish, True)
            assert [user.name for user in await load(store, users, 1, 2)] == ["Ann", "Bob"]
            await load(store, users, 1)
            assert users.calls[-1] == [1]

    run(law)


# -- what others clear ---------------------------------------------------------------------------------------


class Telling(Broken):
    """A store that others clear, too."""

    def __init__(self):
        super().__init__()
        self.deadline = 60.0
        self.news = asyncio.Queue()

    async def cleared(self):
        while True:
            names = await self.news.get()
            if isinstance(names, Exception):
                raise names
            yield names


async def heard(store):
    while not store.news.empty():
        await asyncio.sleep(0)
    await turns(3)


def test_a_loader_forgets_what_others_clear(run, users, quick):
    async def law():
        store = Telling()
        async with users(store=store) as loader:
            await loader.load_many([1, 2, 3])
            [name] = [name for name in store.inner._entries if name.endswith(":1")]
            for news in (
                [name, "somebody else's"],
                [name[: name.index("}:") + 2]],
                [name + "{"],
                None,
                OSError("cut"),
            ):
                before = len(loader.cache_map)
                assert before == 3
                store.news.put_nowait(news)
                await heard(store)
                assert len(loader.cache_map) == (2 if news == [name, "somebody else's"] else 0)
                await loader.load_many([1, 2, 3])
            assert users.calls == [[1, 2, 3]]

    run(law)


@pytest.mark.parametrize(
    "rubbish",
    [
        '{"number":"x"}',
        '{"uuid":5}',
        '{"uuid":"x"}',
        '{"what":1}',
        "{}",
        "[",
        '{"time":3}',
        '["a",{"text":"ff"}]',
    ],
)
def test_rubbish_among_what_others_clear_is_anything(run, users, quick, caplog, rubbish):
    """All is forgotten, and the next message is heard: nothing begins to listen anew."""

    async def law():
        store = Telling()
        async with users(store=store) as loader:
            await loader.load_many([1, 2, 3])
            [name] = [name for name in store.inner._entries if name.endswith(":1")]
            store.news.put_nowait([name[:-1] + rubbish])
            await heard(store)
            assert len(loader.cache_map) == 0
            await loader.load_many([1, 2, 3])
            store.news.put_nowait([name])
            await heard(store)
            assert len(loader.cache_map) == 2

    with caplog.at_level("INFO", "dloader"):
        run(law)
    assert not caplog.records


def test_what_is_under_way_when_something_was_missed_is_not_cached(run, users, quick):
    async def law():
        store, gate = Telling(), asyncio.Event()

        class Slow(users):
            async def batch_load_fn(self, keys):
                found = await super().batch_load_fn(keys)
                await gate.wait()
                return found

        async with Slow(store=store) as loader:
            loading = loader.load(1)
            while not users.calls:
                await asyncio.sleep(0)
            await turns(3)
            store.news.put_nowait(None)
            await heard(store)
            gate.set()
            assert (await loading).name == "Ann"
            assert not loader.cache_map

    run(law)


def test_a_loader_that_was_let_go_of_hears_nothing(run, users):
    async def law():
        store = Telling()
        loader = users(store=store)
        gone = weakref.ref(loader)
        await loader.load(1)
        await turns(3)
        assert len(asyncio.all_tasks()) == 2  # one listens
        del loader
        gc.collect()
        assert gone() is None
        await turns(3)
        assert len(asyncio.all_tasks()) == 1
        loader = users(store=store)
        await loader.load(1)  # what is to listen for it is not there yet
        del loader
        gc.collect()
        await turns(3)
        assert len(asyncio.all_tasks()) == 1

    run(law)


@pytest.mark.parametrize("missed", [False, True])
def test_what_is_cleared_while_a_loader_is_gone_and_not_collected_yet_fails_nobody(run, users, quick, missed):
    async def law():
        store = Telling()
        kept = users(store=store)
        await kept.load(1)
        await turns(3)
        gc.collect()
        gc.disable()
        try:
            loader = LoaderRegistry(store=store).get(users)
            gone = weakref.ref(loader)
            loader.clear(2)
            del loader
            assert gone() is None
            if missed:
                store.news.put_nowait(None)
                await heard(store)
            kept.clear(1).clear_all()
        finally:
            gc.enable()
        await kept.load(1)
        assert users.calls == [[1], [1]]
        await kept.aclose()

    run(law)


def test_a_loader_that_outlives_its_loop_is_freed_in_peace(users):
    async def law():
        loader = users(store=Telling())
        await loader.load(1)
        await turns(3)
        return loader

    loader = asyncio.run(law())
    del loader
    gc.collect()


def test_a_loop_that_was_held_up_says_nothing_of_the_store(run, users, monkeypatch, caplog):
    async def law():
        times = iter(range(100))
        monkeypatch.setattr(_guard, "monotonic", lambda: next(times))
        store = Broken("hang")
        await load(store, users, 1)
        await load(store, users, 1)
        assert store.calls.count("get_many") == 2
        assert not caplog.records

    run(law)


def test_a_registry_of_a_request_begins_to_listen_when_it_is_old(run, users, monkeypatch):
    monkeypatch.setattr("dloader.registry._LISTENS_AFTER", 0.0)

    async def law():
        store = Telling()
        async with LoaderRegistry(store=store) as loaders, LoaderRegistry(store=store) as others:
            await loaders.get(users).load(1)
            await others.get(users).load(1)
            await asyncio.sleep(0)
            store.news.put_nowait(None)
            await heard(store)
            assert not loaders.get(users).cache_map
            assert not others.get(users).cache_map

    run(law)


def test_a_store_is_freed_when_nobody_uses_it(run, users):
    async def law():
        store = MemoryStore()
        await load(store, users, 1)
        gone = weakref.ref(store)
        del store
        gc.collect()
        assert gone() is None

    run(law)


def test_a_registry_finishes_its_writes_also_when_it_is_drained(run, users):
    async def law():
        store = MemoryStore()
        loaders = LoaderRegistry(store=store)
        loading = loaders.get(users).load(1)
        await loaders.aclose(drain=True)
        assert (await loading).name == "Ann"
        assert len(store) == 1
        assert repr(store) == "<MemoryStore keys=1>"

    run(law)


# -- laws of the store in memory -----------------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(st.sampled_from(["load", "clear", "all", "write", "time"]), st.integers(0, 3)), max_size=40
    )
)
@at_most(40)
def test_after_a_clear_nobody_reads_what_was_before_it(steps):
    """Readers and writers in any order: what a new request reads is never older than the last clear of its key."""

    class Rows(DataLoader[int, int]):
        store_ttl = 30.0

        async def batch_load_fn(self, keys):
            return [source[key] for key in keys]

    source, cleared = dict.fromkeys(range(4), 0), dict.fromkeys(range(4), 0)

    async def program():
        now = 0.0
        store = MemoryStore(clock=lambda: now, max_size=3)
        for step, key in steps:
            if step == "write":
                source[key] += 1
            elif step == "time":
                now += 10.0 * key
            else:
                async with LoaderRegistry(store=store) as loaders:
                    if step == "load":
                        for each, found in enumerate(await loaders.get(Rows).load_many(range(4))):
                            assert cleared[each] <= found <= source[each]
                    elif step == "clear":
                        loaders.get(Rows).clear(key)
                        cleared[key] = source[key]
                    else:
                        loaders.get(Rows).clear_all()
                        cleared.update(source)

    asyncio.run(program())


@pytest.mark.parametrize("then", ["fails", "goes on"])
def test_a_client_that_swallows_a_cancellation_keeps_nobody(run, users, monkeypatch, then):
    """Clients catch what they should not while they connect again: the end of a loader must not wait for it."""
    monkeypatch.setattr(_guard, "AGAIN", 0.001)

    class Deaf(MemoryStore):
        swallowed = 0

        async def cleared(self):
            yield None
            while True:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    if self.swallowed >= 2:
                        raise
                    self.swallowed += 1
                    if then == "fails":
                        raise ConnectionError("gone") from None

    async def law():
        store = Deaf()
        async with users(store=store) as loader:
            assert await loader.load(1) is not None
            await turns(5)
        assert store.swallowed == (1 if then == "fails" else 2)

    run(law)
