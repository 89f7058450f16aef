"""Models with loaders, and `Resolver`. Read by the type checkers, never run."""

# mypy: disable-error-code="empty-body"

from asyncio import Future
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, assert_type

from pydantic import BaseModel

from dloader import DataLoader, LoaderRegistry
from dloader.resolver import (
    Collector,
    ExposeAs,
    FieldError,
    ICollector,
    Load,
    Loader,
    LoaderDepend,
    Resolver,
    SendTo,
    build_list,
    build_object,
    copy_dataloader_kls,
    ignore,
    mapper,
)


class User(BaseModel):
    id: int
    name: Annotated[str, ExposeAs("user_name"), SendTo("names")]


class Office(BaseModel):
    id: int
    company_id: int


class OfficeLoader(DataLoader[int, list[Office]]):
    status: Literal["open", "closed"]

    async def batch_load_fn(self, company_ids: list[int]) -> list[list[Office]]:
        rows: list[Office] = []
        return build_list(rows, company_ids, lambda office: office.company_id)


class Unparametrised(DataLoader):
    async def batch_load_fn(self, keys: list[int]) -> list[User]: ...


async def load_users(ids: Sequence[int]) -> Sequence[User | None]:
    rows: list[User] = []
    return build_object(rows, ids, lambda user: user.id)


async def load_users_or_errors(ids: list[int]) -> list[User | Exception]: ...
async def load_users_by_name(names: list[str]) -> Mapping[str, User | Exception]: ...
async def load_users_one_by_one(ids: list[int]) -> Iterator[User]: ...


OpenOfficeLoader = copy_dataloader_kls("OpenOfficeLoader", OfficeLoader)
assert_type(OpenOfficeLoader, type[OfficeLoader])


# A marker is the loader that the method will get.

assert_type(LoaderDepend(OfficeLoader), OfficeLoader)
assert_type(LoaderDepend(OpenOfficeLoader), OfficeLoader)
assert_type(LoaderDepend(OfficeLoader(name="here")), OfficeLoader)
assert_type(LoaderDepend(Unparametrised), Unparametrised)
assert_type(LoaderDepend(load_users), DataLoader[int, User | None])
assert_type(LoaderDepend(load_users_or_errors), DataLoader[int, User])
assert_type(LoaderDepend(load_users_by_name), DataLoader[str, User])
assert_type(LoaderDepend(load_users_one_by_one), DataLoader[int, User])
assert_type(Loader(OfficeLoader), OfficeLoader)
assert_type(Loader(load_users), DataLoader[int, User | None])

LoaderDepend(User)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType, reportCallIssue]
LoaderDepend("OfficeLoader")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
wrong: DataLoader[str, User] = LoaderDepend(OfficeLoader)  # type: ignore[arg-type]  # pyright: ignore[reportAssignmentType]


class Company(BaseModel):
    id: int
    manager_id: int | None = None
    names: list[str] = []

    # the default-value form, with and without an annotation
    offices: list[Office] = []

    def resolve_offices(self, loader: OfficeLoader = LoaderDepend(OfficeLoader)) -> Future[list[Office]]:
        return loader.load(self.id)

    # mypy knows nothing of a parameter without an annotation, pyright takes its type from the default
    async def resolve_names(self, loader=Loader(load_users)) -> list[str]:  # type: ignore[no-untyped-def]  # pyright: ignore[reportMissingParameterType]  # noqa: ANN001
        user = await loader.load(self.id)
        return [user.name] if user is not None else []

    # the Annotated form, of classes and of functions
    closed: list[Office] = []

    def resolve_closed(self, loader: Annotated[OfficeLoader, LoaderDepend()]) -> Future[list[Office]]:
        loader.load("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        return loader.load(self.id)

    owner: User | None = None

    def resolve_owner(
        self,
        users: Annotated[DataLoader[int, User | None], LoaderDepend(load_users)],
        by_name: Annotated[DataLoader[str, User], Loader(load_users_by_name)],
        context: Mapping[str, Any],
    ) -> Future[User | None] | Future[User]:
        return by_name.load("Ada") if context else users.load(self.id)

    # no method at all
    manager: Annotated[User | None, Load(load_users, by="manager_id")] = None
    branches: Annotated[list[Office], Load(OfficeLoader, by="id"), SendTo(("offices", "places"))] = []
    primed: Annotated[list[Office], Load(OfficeLoader(name="primed"), by="id")] = []

    @mapper(len)
    def resolve_number(self, loader: Annotated[OfficeLoader, LoaderDepend()]) -> Future[list[Office]]:
        return loader.load(self.id)

    @mapper(User)
    def resolve_users(self) -> list[dict[str, int]]: ...

    @mapper(lambda user: user.name)
    def resolve_title(self, loader: Annotated[OfficeLoader, LoaderDepend()]) -> Future[list[Office]]:
        return loader.load(self.id)

    def post_names(
        self,
        everybody: Collector[User] = Collector("people"),
        anything: ICollector = Collector("things", flat=True),
    ) -> list[str]:
        assert_type(everybody.values(), list[User])
        assert_type(anything.values(), Any)
        return [user.name for user in everybody.values()]


class Distinct(ICollector):
    def __init__(self, alias: str) -> None:
        super().__init__(alias)
        self.found: set[str] = set()

    def add(self, val: str) -> None:
        self.found.add(val)

    def values(self) -> set[str]:
        return self.found


assert_type(Distinct("names").values(), set[str])
assert_type(Collector("names").values(), list[Any])
assert_type(Company(id=1).resolve_title(OfficeLoader()), Future[list[Office]])
Load(User, by="id")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
Load(OfficeLoader)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]


# A tuple of names is for loaders whose keys are tuples.


class PriceLoader(DataLoader[tuple[int, str], float]):
    async def batch_load_fn(self, keys: list[tuple[int, str]]) -> list[float]: ...


class AnyLoader(DataLoader[Any, float]):
    async def batch_load_fn(self, keys: list[Any]) -> list[float]: ...


async def load_prices(keys: Sequence[tuple[int, str]]) -> list[float]: ...
async def load_anything(keys: list[Any]) -> list[Any]: ...


PARTS = ("product_id", "country")
Load(PriceLoader, by=PARTS)
Load(PriceLoader(name="prices"), by=PARTS)
Load(load_prices, by=PARTS, depth=1)
Load(load_anything, by=PARTS)
Load(AnyLoader, by=PARTS)
Load(Unparametrised, by=PARTS)
Load(PriceLoader, by="key")
Load(OfficeLoader, by=PARTS)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType, reportCallIssue]
Load(OfficeLoader(), by=PARTS)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType, reportCallIssue]
Load(load_users, by=("id", "name"))  # type: ignore[type-var]  # pyright: ignore[reportArgumentType, reportCallIssue]


# `resolve` returns what it was given, on an instance and on the class.


async def resolving(company: Company) -> None:
    assert_type(await Resolver().resolve(company), Company)
    assert_type(await Resolver.resolve(company), Company)
    assert_type(await Resolver().resolve([company]), list[Company])
    assert_type(await Resolver.resolve({"a": (company, 1)}), dict[str, tuple[Company, int]])
    resolver = Resolver(
        loader_params={OfficeLoader: {"status": "open"}, OpenOfficeLoader: {"status": "closed"}},
        global_loader_param={"status": "open"},
        loader_instances={OfficeLoader: OfficeLoader().prime(1, []), load_users: DataLoader(load_users)},
        context={"tenant": 1},
        registry=LoaderRegistry(),
        annotation=list[Company],
    )
    assert_type(await resolver.resolve(company), Company)
    Resolver(context=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Resolver(loader_instances={OfficeLoader: User})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]


# What is ignored keeps its type.


class Client(BaseModel):
    path: str

    @ignore
    def resolve_url(self, host: str) -> str:
        return f"https://{host}{self.path}"

    @property
    @ignore
    def post_code(self) -> int:
        return 1

    @ignore
    @staticmethod
    def post_all(count: int) -> list[str]: ...

    dropped: Annotated[str, ignore] = ""


@ignore
class Ignored(BaseModel):
    id: int


assert_type(Client(path="/").resolve_url("here"), str)
assert_type(Client(path="/").post_code, int)
assert_type(Client.post_all(1), list[str])
assert_type(ignore(Client), type[Client])
assert_type(Ignored(id=1), Ignored)
Client(path="/").resolve_url(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# What failed is put into a list of `FieldError`s; the type of the answer stays.


async def partly(company: Company, rows: list[dict[str, int]]) -> None:
    errors: list[FieldError] = []
    assert_type(await Resolver().resolve(company, errors=errors), Company)
    assert_type(await Resolver.resolve(rows, into=list[Company], errors=errors), list[Company])
    assert_type(await Resolver().resolve(rows, into=list[Company], errors=None), list[Company])
    assert_type(errors[0].path, str)
    assert_type(errors[0].error, Exception)
    assert_type(errors[0].field, str | None)
    await Resolver().resolve(company, errors=())  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await Resolver().resolve(company, errors=[1])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]


# Rows become what `into` says, whatever they are.


@dataclass
class Place:
    id: int


async def from_rows(rows: list[object]) -> None:
    assert_type(await Resolver().resolve(rows, into=Company), Company)
    assert_type(await Resolver().resolve(rows, into=Place), Place)
    assert_type(await Resolver().resolve(rows, into=dict[str, Company]), dict[str, Company])
    assert_type(await Resolver().resolve(rows, into=tuple[Company, ...]), tuple[Company, ...])
    assert_type(await Resolver().resolve(rows, into=list[list[Place]]), list[list[Place]])
    assert_type(await Resolver.resolve(rows, into=list[Company | Place], include="id"), list[Company | Place])
    assert_type(await Resolver(share=False).resolve(rows, into=list[Company | None]), list[Company | None])
    # A union is no `type`, and no checker knows `TypeForm` (PEP 747) yet without being asked to.
    assert_type(await Resolver().resolve(rows, into=Company | None), Any)
