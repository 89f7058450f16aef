"""Wherever code of the user's can run, it may raise: nobody waits for ever, nothing is left over, the next load works.

Generated: each place where a loader calls what it was given, in each way of loading, raises an `Exception` or something
past it, the first time it is called, the second, and so on until it is not called so often; once, or from then on.
"""

import asyncio
import itertools
import logging

import pytest
from loops import EVERY_KIND, HANG, turns

from dloader import DataLoader, DloaderError, Instrument, LoaderRegistry, settle
from dloader.lowlevel import ask_many


class Trouble(Exception):
    """What user code may raise."""


class Past(BaseException):
    """What goes past ``except Exception``, as the outcomes of pytest and trio do."""


class Fuse:
    """Raises when it is called for the n-th time, and, if it `stays`, ever after."""

    def __init__(self, error):
        self.error, self.calls, self.at, self.stays = error, 0, 0, False

    def light(self, at, stays):
        self.calls, self.at, self.stays = 0, at, stays

    def out(self):
        """Raise no more; return whether it has."""
        blown, self.at = 0 < self.at <= self.calls, 0
        return blown

    def __call__(self, *_, **__):
        self.calls += 1
        if self.at and (self.calls == self.at or (self.stays and self.calls > self.at)):
            raise self.error


def guarded(fuse, cls, *names):
    """A subclass whose methods of these names ask the fuse first."""

    def method(name):
        inherited = getattr(cls, name, None)

        def call(self, *args, **kwargs):
            fuse()
            return inherited(self, *args, **kwargs) if inherited else None

        return call

    body = {name: method(name) for name in names}
    if "__eq__" in body and cls.__hash__:
        body.setdefault("__hash__", cls.__hash__)
    return type(cls)(f"{cls.__name__}With{''.join(names)}", (cls,), body)


class Place:
    """What a loader is made of, with the fuse somewhere in it."""

    def __init__(self, fuse):
        self.fuse = fuse
        self.options = {}
        self.key = lambda name: name

    async def load(self, keys):
        await asyncio.sleep(0)
        return [f"value {name_of(key)}" for key in keys]


class Key:
    """Keys that are told apart by their equality alone."""

    def __init__(self, name):
        self.name = name

    def __hash__(self):
        return 1

    def __eq__(self, other):
        return isinstance(other, Key) and self.name == other.name


def name_of(key):
    return key.name if isinstance(key, Key) else key


PLACES = {}


def place(make):
    """Note a place, by the function that puts the fuse there."""
    PLACES[make.__name__] = make
    return make


def place_of_each(names):
    """Note a place for each of several names."""

    def note(make):
        for name in names:
            PLACES[f"{make.__name__} {name}"] = lambda at, name=name: make(at, name)
        return make

    return note


@place
def function_at_once(at):
    def load(keys):
        at.fuse()
        return Place.load(at, keys)

    at.load = load


@place
def function_later(at):
    async def load(keys):
        await asyncio.sleep(0)
        at.fuse()
        return await Place.load(at, keys)

    at.load = load


@place
def result_of_a_key(at):
    async def load(keys):
        def value(key):
            try:
                at.fuse()
            except BaseException as error:
                return error
            return f"value {key}"

        return [value(key) for key in keys]

    at.load = load


def answering(at, answer):
    async def load(keys):
        await asyncio.sleep(0)
        return answer([f"value {key}" for key in keys], keys)

    at.load = load


@place_of_each(["__len__", "__getitem__", "__iter__"])
def sequence(at, name):
    cls = guarded(at.fuse, list, name)
    answering(at, lambda values, keys: cls(values))


@place_of_each(["__getitem__", "__contains__", "__iter__", "__len__", "keys"])
def mapping(at, name):
    cls = guarded(at.fuse, dict, name)
    answering(at, lambda values, keys: cls(zip(keys, values, strict=True)))


@place
def iterator(at):
    answering(at, lambda values, keys: (at.fuse() or value for value in values))


@place
def class_of_values(at):
    meta = guarded(at.fuse, type, "__hash__")
    cls = meta("Value", (str,), {})
    answering(at, lambda values, keys: list(map(cls, values)))


@place
def truth_and_equality_of_values(at):
    cls = guarded(at.fuse, str, "__bool__", "__eq__", "__hash__", "__repr__", "__len__")
    at.options = {"cache_map": {}}
    answering(at, lambda values, keys: list(map(cls, values)))


@place_of_each(
    ["__init__", "__getattribute__", "__setattr__", "__copy__", "__reduce_ex__", "__repr__", "__str__"]
)
def error_method(at, name):
    _failing(at, guarded(at.fuse, ValueError, name))


@place_of_each(["with_traceback", "add_note", "__eq__", "__hash__", "__class__", "__copy__", "__reduce_ex__"])
def error_with_fields_method(at, name):
    if name == "__class__":
        cls = type("Hidden", (OSError,), {"__class__": property(at.fuse)})
    else:
        cls = guarded(at.fuse, OSError, name)
    _failing(at, cls)


def _failing(at, cls):
    """Half of the keys fail with errors of this class, and every third batch as a whole."""
    batches = itertools.count()

    async def load(keys):
        if not at.fuse.at:
            return await Place.load(at, keys)
        if next(batches) % 3 == 0:
            raise cls(1, "two")
        return [cls(1, "two") if index % 2 else f"value {key}" for index, key in enumerate(keys)]

    at.load = load
    at.options = {"cache_errors": True}


@place
def default(at):
    class Copied(list):
        def __deepcopy__(self, memo):
            at.fuse()
            return "value"

        copy = __copy__ = __iter__ = at.fuse

    async def load(keys):
        return {key: f"value {key}" for key in keys} if not at.fuse.at else {}

    at.load, at.options = load, {"default": Copied([1]), "cache": False}


@place_of_each(["__hash__", "__eq__", "__repr__"])
def key(at, name):
    at.key = guarded(at.fuse, Key, name)
    if name == "__repr__":
        at.load = lambda keys: _with_errors(at, keys)


async def _with_errors(at, keys):
    if not at.fuse.at:
        return await Place.load(at, keys)
    return [ValueError("no") for _ in keys]


@place_of_each(["__hash__", "__eq__"])
def key_in_chunks(at, name):
    at.key = guarded(at.fuse, Key, name)
    at.options = {"max_batch_size": 1, "max_concurrency": 1}


@place
def key_function(at):
    at.options = {"cache_key_fn": lambda key: at.fuse() or key}


@place
def partition(at):
    at.options = {"partition": lambda: at.fuse() or "here"}


@place_of_each(["__getitem__", "__setitem__", "pop", "clear", "__len__", "__contains__", "__iter__"])
def cache_map(at, name):
    at.options = {"cache_map": guarded(at.fuse, dict, name)()}


@place_of_each(["load_requested", "batch_opened", "batch_started", "batch_finished"])
def hook(at, name):
    at.options = {"instruments": [guarded(at.fuse, Instrument, name)()], "max_concurrency": 1}


@place
def policy(at):
    at.options = {"dispatch": lambda batch: at.fuse() or settle()(batch)}


@place
def policy_after_closing(at):
    at.options = {"dispatch": lambda batch: batch.close() or at.fuse()}


@place
def task_factory(at):
    def factory(loop, coroutine, **kwargs):
        if "Fetch.run" in getattr(coroutine, "__qualname__", ""):
            at.fuse()
        return asyncio.Task(coroutine, loop=loop, **kwargs)

    at.factory = factory


WAYS = {
    "load": lambda loader, key: [loader.load(key(1)), loader.load(key(2)), loader.load(key(1))],
    "load_many": lambda loader, key: [loader.load(key(2)), loader.load_many([key(1), key(2), key(1)])],
    "in place": lambda loader, key: [loader.load_many([key(2), key(1)], return_exceptions=True)],
    "ask_many": lambda loader, key: [ask_many(loader, [key(1), key(2)]).future, loader.load(key(2))],
    "prime": lambda loader, key: [loader.load(key(1)), loader.prime(key(1), "value 1").load(key(1))],
    "clear": lambda loader, key: [loader.load(key(1)), loader.clear(key(1)).clear_all().load(key(1))],
}
OPTIONS = [{}, {"max_concurrency": 1}, {"max_batch_size": 1}, {"cache": False}]


def made(at, options, through_registry):
    every = {"name": "users", **options, **at.options}
    if not through_registry:
        return DataLoader(at.load, **every)

    class Users(DataLoader):
        def __init__(self):
            super().__init__(at.load, **every)

    return LoaderRegistry().get(Users)


async def scenario(fuse, put, way, options, number, stays):
    """One run; return whether the fuse has blown: if not, it is not called so often."""
    at = Place(fuse)
    put(at)
    told = f"{number=} {stays=} {options=}"
    loader = made(at, options, through_registry=number % 2 == 0)
    asyncio.get_running_loop().set_task_factory(getattr(at, "factory", at.factory_before))
    fuse.light(number, stays)
    asked = []
    try:
        asked += way(loader, at.key)
    except (Trouble, Past, DloaderError):
        pass  # it is the caller who asked that is told
    for _ in range(60):
        if loader.is_idle:
            break
        await turns(1)
    assert all(future.done() for future in asked), f"somebody waits for ever: {told}"
    assert loader.is_idle, f"something is left over: {told}"
    blown = fuse.out()
    for future in asked:
        if not future.cancelled():
            future.exception()
    again = (
        loader.load(at.key(3)),
        loader.load_many([at.key(4), at.key(3)]),
        loader.clear(at.key(1)).load(at.key(1)),
    )
    answers = await asyncio.wait_for(asyncio.gather(*again), HANG)
    assert answers == ["value 3", ["value 4", "value 3"], "value 1"], f"the next load does not work: {told}"
    assert loader.is_idle
    return blown


@pytest.mark.parametrize("error", [Trouble, Past], ids=["Exception", "past Exception"])
@pytest.mark.parametrize("name", PLACES)
def test_wherever_user_code_raises_nobody_waits_and_the_next_load_works(run, name, error):
    """Whichever call raises, in each way of loading; the kinds of loop share the ways among them."""
    turn = EVERY_KIND.index(run.kind)
    mine = [
        (way, options, stays)
        for (index, way), (number, options), stays in itertools.product(
            enumerate(WAYS.values()), enumerate(OPTIONS), (False, True)
        )
        if (index + number) % len(EVERY_KIND) == turn
    ]

    async def law():
        loop = asyncio.get_running_loop()
        Place.factory_before = staticmethod(before) if (before := loop.get_task_factory()) else None
        loop.set_exception_handler(lambda *_: None)
        runs = 0
        for way, options, stays in mine:
            fuse = Fuse(error("injected"))
            for number in itertools.count(1):
                runs += 1
                if not await scenario(fuse, PLACES[name], way, options, number, stays):
                    break
        assert (runs > len(mine)) == (name not in NEVER) or name in SELDOM, "whether it is called at all"
        loop.set_task_factory(before)

    logging.disable(logging.CRITICAL)
    try:
        run(law)
    finally:
        logging.disable(logging.NOTSET)


NEVER = {
    *(f"mapping {name}" for name in ("__contains__", "__iter__", "__len__", "keys")),
    "sequence __getitem__",
    "truth_and_equality_of_values",
    *(f"error_method {name}" for name in ("__copy__", "__reduce_ex__", "__repr__", "__str__", "__setattr__")),
    *(
        f"error_with_fields_method {name}"
        for name in ("__eq__", "__hash__", "__class__", "add_note", "with_traceback")
    ),
    *(f"cache_map {name}" for name in ("__contains__", "__iter__", "__len__")),
}
"""Places where loaders ask nothing: these are never called."""

SELDOM = {"error_method __getattribute__", "cache_map pop", "cache_map clear"}
"""Called by asyncio, on some Pythons; or in one way of loading, which comes without a cache on one kind of loop."""
