"""What holds in which library: the checks behind the two tables in README.md, each of them a few lines.

    python examples/peers.py                            # what is installed beside dloader
    pip install --target /tmp/old dloader==2025.7
    python examples/peers.py --old-dloader /tmp/old     # and the older dloader, which has the same name

It needs Pydantic and installs nothing; a library that is not there is left out. Each check runs in a process
of its own. It says "yes" when the sentence in its docstring held in this run, "no" when it did not, and
"hangs" when nothing happened any more. Where libraries spell a thing differently, each is used in its way:
see `LIBRARIES`.
With PEERS_TRACE set, it shows why a check says "no".
"""

# ruff: noqa: ANN001, ANN202, ANN401, ARG001, B008 - what the libraries have in common has no types

from __future__ import annotations

import argparse
import asyncio
import contextvars
import gc
import importlib
import inspect
import json
import os
import subprocess
import sys
import traceback
import warnings
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError, field_validator

Check = Callable[[Any], Awaitable[bool]]

LOADING: list[Check] = []
RESOLVING: list[Check] = []


@dataclass
class Library:
    """How one library is used."""

    title: str
    version: str
    module: str
    options: Mapping[str, str] = field(default_factory=dict)
    """Option names that differ from dloader's."""
    prime: Callable[[Any, Any, Any], object] = lambda loader, key, value: loader.prime(key, value)
    """Put a value over what is there."""

    def make(self, function: Callable[..., Any], **options: Any) -> Any:
        """A loader of the library."""
        named = {self.options.get(name, name): value for name, value in options.items()}
        return importlib.import_module(self.module).DataLoader(function, **named)


LIBRARIES = {
    "dloader": Library("dloader", "", "dloader"),
    "old": Library("dloader", "2025.7", "dloader"),
    "aiodataloader": Library(
        "aiodataloader",
        "0.4.3",
        "aiodataloader",
        {"cache_key_fn": "get_cache_key"},
        lambda loader, key, value: loader.clear(key).prime(key, value),
    ),
    "strawberry": Library(
        "Strawberry",
        "0.341",
        "strawberry.dataloader",
        prime=lambda loader, key, value: loader.prime(key, value, force=True),
    ),
}


async def turns(number: int) -> None:
    """Let the event loop turn some times."""
    for _ in range(number):
        await asyncio.sleep(0)


class Batches:
    """A batch function that keeps its calls; with a gate it waits until the gate is open."""

    def __init__(self, *, gated: bool = False) -> None:
        self.calls: list[list[Any]] = []
        self.gate = asyncio.Event()
        if not gated:
            self.gate.set()

    async def load(self, keys: Any) -> list[Any]:
        """Answer each key with the key and the number of the call."""
        self.calls.append(list(keys))
        number = len(self.calls)
        await self.gate.wait()
        return [(key, number) for key in keys]


# -- loading -------------------------------------------------------------------------------------------------


@LOADING.append
async def same_turn(lib: Library) -> bool:
    """Callers in one `gather` share one batch."""
    batches = Batches()
    loader = lib.make(batches.load)
    await asyncio.gather(*(loader.load(key) for key in range(5)))
    return batches.calls == [[0, 1, 2, 3, 4]]


@LOADING.append
async def staggered(lib: Library) -> bool:
    """Callers that arrive one to three `await`s later still share that batch."""
    batches = Batches()
    loader = lib.make(batches.load)

    async def caller(number: int) -> None:
        await turns(number)
        await loader.load(number)

    await asyncio.gather(*map(caller, range(4)))
    return len(batches.calls) == 1


@LOADING.append
async def cancel_one(lib: Library) -> bool:
    """Cancelling one caller leaves the other callers of that key alone."""
    batches = Batches(gated=True)
    loader = lib.make(batches.load)
    one, other = (asyncio.ensure_future(_await(loader.load(1))) for _ in range(2))
    await turns(10)
    one.cancel()
    await turns(2)
    batches.gate.set()
    return await other == (1, 1)


@LOADING.append
async def nobody_waits(lib: Library) -> bool:
    """A running batch that everybody has left is cancelled."""
    batches = Batches(gated=True)
    stopped: list[bool] = []

    async def load(keys: Any) -> list[Any]:
        try:
            return await batches.load(keys)
        except asyncio.CancelledError:
            stopped.append(True)
            raise

    future = lib.make(load).load(1)
    await turns(10)
    future.cancel()
    await turns(5)
    return bool(stopped)


@LOADING.append
async def short_result(lib: Library) -> bool:
    """A result list that is too short is an error for every caller."""

    async def load(keys: Any) -> list[Any]:
        return list(keys)[:-1]

    loader = lib.make(load)
    results = await asyncio.gather(loader.load(1), loader.load(2), return_exceptions=True)
    return all(isinstance(result, Exception) for result in results)


@LOADING.append
async def keys_emptied(lib: Library) -> bool:
    """A batch function that empties its list of keys keeps nobody waiting."""

    async def load(keys: Any) -> list[Any]:
        results = []
        while keys:
            results.append(keys.pop())
        return results

    loader = lib.make(load)
    await asyncio.gather(loader.load(1), loader.load(2), return_exceptions=True)
    return True


@LOADING.append
async def batch_cancelled(lib: Library) -> bool:
    """A batch function that is cancelled from outside keeps nobody waiting."""

    async def load(keys: Any) -> list[Any]:
        raise asyncio.CancelledError

    await asyncio.gather(_await(lib.make(load).load(1)), return_exceptions=True)
    return True


@LOADING.append
async def own_key(lib: Library) -> bool:
    """A batch function that loads its own key gets an error, and does not wait for itself."""

    async def load(keys: Any) -> list[Any]:
        return [await loader.load(key) for key in keys]

    loader = lib.make(load)
    (result,) = await asyncio.gather(_await(loader.load(1)), return_exceptions=True)
    return isinstance(result, Exception)


@LOADING.append
async def bad_key(lib: Library) -> bool:
    """`load_many` with a key that cannot be used requests none of the others."""
    batches = Batches()
    loader = lib.make(batches.load)
    try:
        await loader.load_many([1, {}, 2])
    except TypeError:
        await turns(10)
    return not batches.calls


@LOADING.append
async def clear_during_load(lib: Library) -> bool:
    """`clear` during a load: later callers load afresh, and the old result is not cached."""
    batches = Batches(gated=True)
    loader = lib.make(batches.load)
    first = asyncio.ensure_future(_await(loader.load(1)))
    await turns(10)
    loader.clear(1)
    second = asyncio.ensure_future(_await(loader.load(1)))
    await turns(10)
    batches.gate.set()
    return (await first, await second, await loader.load(1)) == ((1, 1), (1, 2), (1, 2))


@LOADING.append
async def prime_during_load(lib: Library) -> bool:
    """A value primed during a load is not overwritten by its result."""
    batches = Batches(gated=True)
    loader = lib.make(batches.load)
    first = asyncio.ensure_future(_await(loader.load(1)))
    await turns(10)
    lib.prime(loader, 1, "primed")
    batches.gate.set()
    await first
    return await loader.load(1) == "primed"


@LOADING.append
async def merge_uncached(lib: Library) -> bool:
    """With `cache=False`, callers of one key at one time still share one key of the batch."""
    batches = Batches()
    loader = lib.make(batches.load, cache=False)
    await asyncio.gather(loader.load(1), loader.load(1))
    return batches.calls == [[1]]


@LOADING.append
async def errors_not_cached(lib: Library) -> bool:
    """A key that failed once is loaded again."""
    calls = 0

    async def load(keys: Any) -> list[Any]:
        nonlocal calls
        calls += 1
        return [LookupError(key) if calls == 1 else key for key in keys]

    loader = lib.make(load)
    await asyncio.gather(_await(loader.load(1)), return_exceptions=True)
    return await loader.load(1) == 1


@LOADING.append
async def plain_cache_map(lib: Library) -> bool:
    """`cache_map` takes a mapping and holds plain values."""
    kept: dict[Any, Any] = {}
    await lib.make(Batches().load, cache_map=kept).load(1)
    return kept == {1: (1, 1)}


@LOADING.append
async def dict_keys(lib: Library) -> bool:
    """Keys that are dicts work, with a function that makes a cache key."""
    loader = lib.make(Batches().load, cache_key_fn=lambda key: key["id"])
    return await loader.load({"id": 7}) == ({"id": 7}, 1)


@LOADING.append
async def contexts(lib: Library) -> bool:
    """Each batch sees the context variables of its own first caller, the second chunk too."""
    variable = contextvars.ContextVar("variable", default="")
    seen: list[str] = []

    async def load(keys: Any) -> list[Any]:
        seen.append(variable.get())
        return list(keys)

    loader = lib.make(load, max_batch_size=1)

    async def caller(name: str) -> None:
        variable.set(name)
        await loader.load(name)

    await asyncio.gather(caller("a"), caller("b"))
    return sorted(seen) == ["a", "b"]


@LOADING.append
async def own_traceback(lib: Library) -> bool:
    """Callers of a failed batch see their own traceback, not one another's."""

    async def load(keys: Any) -> list[Any]:
        raise LookupError

    loader = lib.make(load)

    async def ann() -> Any:
        return await loader.load(1)

    async def bob() -> Any:
        return await loader.load(2)

    errors = await asyncio.gather(ann(), bob(), return_exceptions=True)
    frames = [{frame.name for frame in traceback.extract_tb(error.__traceback__)} for error in errors]
    return "bob" not in frames[0] and "ann" not in frames[1]


@LOADING.append
def several_loops(lib: Library) -> Any:
    """One loader, made at import time, serves several `asyncio.run`."""

    async def load(keys: Any) -> list[Any]:
        return list(keys)

    loader = lib.make(load, cache=False)

    async def use(key: int) -> Any:
        return await asyncio.wait_for(_await(loader.load(key)), 1)

    return [asyncio.run(use(key)) for key in (1, 2)] == [1, 2]


@LOADING.append
async def mapping_result(lib: Library) -> bool:
    """A batch function may return a mapping."""

    async def load(keys: Any) -> dict[Any, Any]:
        return {key: key * 10 for key in reversed(keys)}

    loader = lib.make(load)
    return await asyncio.gather(loader.load(1), loader.load(2)) == [10, 20]


@LOADING.append
async def end(lib: Library) -> bool:
    """`async with` ends the loader: nothing keeps running."""
    batches = Batches(gated=True)
    async with lib.make(batches.load) as loader:
        future = loader.load(1)
        await turns(10)
    return future.cancelled()


async def _await(awaitable: Any) -> Any:
    return await awaitable


# -- resolving -----------------------------------------------------------------------------------------------


class Resolving:
    """dloader.resolver or pydantic-resolve, with the loaders each of them takes."""

    def __init__(self, module: str, loaders: str) -> None:
        self.kit = importlib.import_module(module)
        self.base = importlib.import_module(loaders).DataLoader

    async def resolve(self, tree: Any, **options: Any) -> Any:
        """Fill a tree with a resolver of its own."""
        return await self.kit.Resolver(**options).resolve(tree)


@RESOLVING.append
async def levels(lib: Resolving) -> bool:
    """One call of a loader per level, whatever the number of nodes."""
    calls: list[list[int]] = []

    class Members(lib.base):
        async def batch_load_fn(self, keys: Any) -> Any:
            calls.append(list(keys))
            return [[{"id": key * 10 + n} for n in range(3)] for key in keys]

    class Member(BaseModel):
        id: int

    class Office(BaseModel):
        id: int
        members: list[Member] = []

        def resolve_members(self, loader=lib.kit.Loader(Members)):
            return loader.load(self.id)

    await lib.resolve([Office(id=number) for number in range(50)])
    return len(calls) == 1


@RESOLVING.append
async def slow_neighbour(lib: Resolving) -> bool:
    """A branch does not wait for a slow neighbour it does not depend on."""
    fast_done, slow_may_end = asyncio.Event(), asyncio.Event()

    class Leaf(BaseModel):
        name: str = ""

        async def resolve_name(self) -> str:
            fast_done.set()
            return "leaf"

    class Root(BaseModel):
        slow: int = 0
        fast: Leaf | None = None

        async def resolve_slow(self) -> int:
            await slow_may_end.wait()
            return 1

        def resolve_fast(self) -> dict[str, Any]:
            return {}

    task = asyncio.ensure_future(lib.resolve(Root()))
    await turns(50)
    reached = fast_done.is_set()
    slow_may_end.set()
    await task
    return reached


@RESOLVING.append
async def factory(lib: Resolving) -> bool:
    """Two loaders made by one factory function are two loaders."""

    def multiples(factor: int) -> Any:
        async def load(keys: Any) -> list[int]:
            return [key * factor for key in keys]

        return load

    double, triple = multiples(2), multiples(3)

    class Number(BaseModel):
        id: int
        doubled: int = 0
        tripled: int = 0

        def resolve_doubled(self, loader=lib.kit.Loader(double)):
            return loader.load(self.id)

        def resolve_tripled(self, loader=lib.kit.Loader(triple)):
            return loader.load(self.id)

    number = await lib.resolve(Number(id=5))
    return (number.doubled, number.tripled) == (10, 15)


@RESOLVING.append
async def constraints(lib: Resolving) -> bool:
    """A loaded value must satisfy the field's constraints."""

    class Product(BaseModel):
        price: Annotated[int, Field(gt=0)] = 1

        def resolve_price(self) -> int:
            return -5

    try:
        await lib.resolve(Product())
    except ValidationError:
        return True
    return False


@RESOLVING.append
async def validators(lib: Resolving) -> bool:
    """A loaded value goes through the field's validators."""

    class Product(BaseModel):
        name: str = ""

        @field_validator("name")
        @classmethod
        def strip(cls, value: str) -> str:
            return value.strip()

        def resolve_name(self) -> str:
            return "  spoon "

    return bool((await lib.resolve(Product())).name == "spoon")


@RESOLVING.append
async def exclude_unset(lib: Resolving) -> bool:
    """`model_dump(exclude_unset=True)` keeps resolved fields."""

    class Product(BaseModel):
        name: str = ""

        def resolve_name(self) -> str:
            return "spoon"

    return (await lib.resolve(Product())).model_dump(exclude_unset=True) == {"name": "spoon"}


@RESOLVING.append
async def shared_node(lib: Resolving) -> bool:
    """One object below two parents gets the right answer for each of them."""

    class Child(BaseModel):
        label: str = ""

        def post_label(self, parent: Any) -> str:
            return f"child of {parent.name}"

    class Parent(BaseModel):
        name: str
        children: list[Child] = []

        def resolve_children(self) -> Any:
            return [child]

    child = Child()
    ann, bob = await lib.resolve([Parent(name="Ann"), Parent(name="Bob")])
    return (ann.children[0].label, bob.children[0].label) == ("child of Ann", "child of Bob")


@RESOLVING.append
async def dict_values(lib: Resolving) -> bool:
    """Nodes in the values of a dict are filled."""

    class Leaf(BaseModel):
        name: str = ""

        def resolve_name(self) -> str:
            return "leaf"

    class Root(BaseModel):
        leaves: dict[str, Leaf] = {}

    root = await lib.resolve(Root(leaves={"a": Leaf()}))
    return bool(root.leaves["a"].name == "leaf")


@RESOLVING.append
async def runtime_type(lib: Resolving) -> bool:
    """A subclass in a field of its base class is filled as what it is."""

    class Animal(BaseModel):
        id: int = 0

    class Cat(Animal):
        sound: str = ""

        def resolve_sound(self) -> str:
            return "meow"

    class Home(BaseModel):
        animal: Animal

    home = await lib.resolve(Home(animal=Cat()))
    return bool(home.animal.sound == "meow")


@RESOLVING.append
async def dataclasses_too(lib: Resolving) -> bool:
    """Dataclasses are filled like models."""

    @dataclass
    class Leaf:
        name: str = ""

        def resolve_name(self) -> str:
            return "leaf"

    return bool((await lib.resolve(Leaf())).name == "leaf")


@RESOLVING.append
async def misspelt_method(lib: Resolving) -> bool:
    """A `resolve_` method for a field that does not exist is an error before anything is loaded."""
    called: list[bool] = []

    class Product(BaseModel):
        name: str = ""

        def resolve_nmae(self) -> str:
            called.append(True)
            return "spoon"

    try:
        await lib.resolve(Product())
    except Exception:
        return not called
    return False


@RESOLVING.append
async def misspelt_parameter(lib: Resolving) -> bool:
    """A loader parameter that does not exist is an error."""
    return await _refuses(lib, {"status": "open", "regoin": "eu"})


@RESOLVING.append
async def wrong_parameter(lib: Resolving) -> bool:
    """A loader parameter is checked against its annotation."""
    return await _refuses(lib, {"status": "oepn"})


async def _refuses(lib: Resolving, params: dict[str, str]) -> bool:
    class Offices(lib.base):
        status: Literal["open", "closed"]

        async def batch_load_fn(self, keys: Any) -> Any:
            return [self.status for _ in keys]

    class Company(BaseModel):
        office: str = ""

        def resolve_office(self, loader=lib.kit.Loader(Offices)):
            return loader.load(1)

    try:
        await lib.resolve(Company(), loader_params={Offices: params})
    except Exception:
        return True
    return False


@RESOLVING.append
async def error_path(lib: Resolving) -> bool:
    """An error tells where in the tree it happened."""

    class Leaf(BaseModel):
        number: int
        name: str = ""

        def resolve_name(self) -> str:
            if self.number == 2:
                raise LookupError
            return ""

    class Root(BaseModel):
        leaves: list[Leaf]

    try:
        await lib.resolve(Root(leaves=[Leaf(number=number) for number in range(4)]))
    except LookupError as error:
        return "leaves[2].name" in "".join(traceback.format_exception(error))
    return False


@RESOLVING.append
async def siblings_stop(lib: Resolving) -> bool:
    """The first failure stops the siblings; nothing keeps running afterwards."""

    class Root(BaseModel):
        bad: int = 0
        slow: int = 0

        async def resolve_bad(self) -> int:
            raise LookupError

        async def resolve_slow(self) -> int:
            await asyncio.sleep(60)
            return 1

    before = asyncio.all_tasks()
    try:
        await lib.resolve(Root())
    except LookupError:
        await turns(5)
    left = asyncio.all_tasks() - before
    for task in left:
        task.cancel()
    return not left


@RESOLVING.append
async def concurrent(lib: Resolving) -> bool:
    """One resolver serves several `resolve` calls at a time."""

    class Leaf(BaseModel):
        name: str = ""

        async def resolve_name(self) -> str:
            await asyncio.sleep(0)
            return "leaf"

    resolver = lib.kit.Resolver()
    one, other = await asyncio.gather(resolver.resolve(Leaf()), resolver.resolve(Leaf()))
    return (one.name, other.name) == ("leaf", "leaf")


@RESOLVING.append
async def cycles(lib: Resolving) -> bool:
    """A tree in which an object contains itself comes to an end."""

    class Person(BaseModel):
        name: str = ""
        friend: Person | None = None

        def resolve_name(self) -> str:
            return "Ann"

    Person.model_rebuild(_types_namespace={"Person": Person})
    person = Person()
    person.friend = person
    await lib.resolve(person)
    return person.name == "Ann"


# -- running -------------------------------------------------------------------------------------------------

PATIENCE = 2.0


def outcome(check: Check, lib: Any) -> str:
    """Run one check on an event loop of its own."""
    if not inspect.iscoroutinefunction(check):
        return _said(lambda: check(lib))
    return _said(lambda: asyncio.run(_watched(check, lib)))


def _said(run: Callable[[], Any]) -> str:
    try:
        return "yes" if run() else "no"
    except TimeoutError:
        return "hangs"
    except (Exception, asyncio.CancelledError):
        if os.environ.get("PEERS_TRACE"):
            traceback.print_exc()
        return "no"
    finally:
        gc.collect()


async def _watched(check: Check, lib: Any) -> bool:
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    # What never gives the loop a turn is stopped from outside: see `survey_apart`.
    task = asyncio.ensure_future(check(lib))
    done, _ = await asyncio.wait([task], timeout=PATIENCE)
    if not done:
        task.cancel()
        raise TimeoutError
    return task.result()


def sentence(check: Check) -> str:
    """What a check promises."""
    return (check.__doc__ or "").strip().removesuffix(".")


def survey(kind: str, name: str, number: int | None = None) -> dict[str, str]:
    """Run the checks of one kind on one library, in this process."""
    warnings.simplefilter("ignore")
    checks = LOADING if kind == "loading" else RESOLVING
    lib: Any = LIBRARIES[name] if kind == "loading" else Resolving(*_modules(name))
    chosen = checks if number is None else [checks[number]]
    return {sentence(check): outcome(check, lib) for check in chosen}


def _modules(name: str) -> tuple[str, str]:
    return (
        ("pydantic_resolve", "aiodataloader")
        if name == "pydantic-resolve"
        else ("dloader.resolver", "dloader")
    )


def survey_apart(kind: str, name: str, path: str | None) -> dict[str, str] | None:
    """Run them in processes of their own, with `path` first on Python's; None if the library is not there."""
    module = _modules(name)[0] if kind == "resolving" else LIBRARIES[name].module
    env = {**os.environ, **({"PYTHONPATH": path} if path else {})}
    probe = [sys.executable, "-c", f"import {module}"]
    if subprocess.run(probe, env=env, check=False, capture_output=True).returncode:  # noqa: S603
        return None
    results: dict[str, str] = {}
    for number, check in enumerate(LOADING if kind == "loading" else RESOLVING):
        command = [sys.executable, __file__, "--survey", kind, name, str(number)]
        try:
            run = subprocess.run(  # noqa: S603
                command,
                env=env,
                check=False,
                stdout=subprocess.PIPE,
                stderr=None if os.environ.get("PEERS_TRACE") else subprocess.DEVNULL,
                timeout=PATIENCE * 5,
            )
            results.update(json.loads(run.stdout) if run.returncode == 0 else {sentence(check): "no"})
        except subprocess.TimeoutExpired:
            results[sentence(check)] = "hangs"
    return results


def table(kind: str, columns: dict[str, dict[str, str]]) -> str:
    """A Markdown table: a row for each check."""
    checks = LOADING if kind == "loading" else RESOLVING
    lines = ["| | " + " | ".join(columns) + " |", "| --- |" + " --- |" * len(columns)]
    lines += [
        f"| {sentence(check)} | " + " | ".join(column[sentence(check)] for column in columns.values()) + " |"
        for check in checks
    ]
    return "\n".join(lines)


def main() -> None:
    """Print the tables of what is installed."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--old-dloader", metavar="PATH", help="a folder with dloader 2025.7 in it")
    arguments.add_argument("--survey", nargs=3, help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.survey:
        kind, name, number = chosen.survey
        print(json.dumps(survey(kind, name, int(number))))
        return
    paths = {"old": chosen.old_dloader}
    for kind, names in (
        ("loading", [name for name in LIBRARIES if name != "old" or chosen.old_dloader]),
        ("resolving", ["dloader", "pydantic-resolve"]),
    ):
        columns: dict[str, dict[str, str]] = {}
        for name in names:
            found = survey_apart(kind, name, paths.get(name))
            title = (
                f"{LIBRARIES[name].title} {LIBRARIES[name].version}".strip()
                if name in LIBRARIES
                else f"{name} 6.3.0"
            )
            if found is None:
                print(f"{title}: not installed, left out", file=sys.stderr)
            else:
                columns[title] = found
        print(table(kind, columns), end="\n\n")


if __name__ == "__main__":
    main()
