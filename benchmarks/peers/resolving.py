"""What holds in which resolver: each check is a few lines, and the sentence in its docstring is what it checks."""

from __future__ import annotations

import asyncio
import importlib
import traceback
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError, field_validator

from benchmarks.peers.loading import Check, turns

RESOLVING: list[Check] = []


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
