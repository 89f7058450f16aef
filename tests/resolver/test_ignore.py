"""Whose business a class or a method is: methods that happen to have the resolver's prefixes, and `ignore`."""

import functools
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, TypeVar

import pytest
from pydantic import BaseModel, computed_field
from pydantic.dataclasses import dataclass as pydantic_dataclass
from resolving import problems_of

from dloader import OptionError
from dloader.resolver import Collector, ExposeAs, Load, LoaderDepend, Resolver, SendTo, ignore, mapper

T = TypeVar("T")


async def load_names(keys):
    return [f"name {key}" for key in keys]


class Item(BaseModel):
    id: int = 1
    name: Annotated[str, Load(load_names, by="id")] = ""


def client(make: Any, **namespace: Any) -> type:
    """A class that has nothing to do with the resolver, but for the names of its methods."""

    class Client:
        base: str
        item: Item

        def resolve_url(self, path):
            raise AssertionError

        async def post_json(self, body, loader=None, context=None):
            raise AssertionError

        def resolve_all(self):
            raise AssertionError

        @property
        def post_code(self):
            raise AssertionError

    for name, member in namespace.items():
        setattr(Client, name, member)
    return make(Client)


def as_model(cls: type) -> type:
    return type("Client", (cls, BaseModel), {"__module__": __name__, "__annotations__": cls.__annotations__})


every_kind = pytest.mark.parametrize(
    "make",
    [as_model, dataclass, dataclass(slots=True), pydantic_dataclass],
    ids=["model", "dataclass", "slots", "pydantic"],
)


def made(cls: type) -> Any:
    return cls(base="there", item=Item())


class TestClassesOfOthers:
    """A class that uses nothing of the resolver keeps its methods."""

    @every_kind
    def test_methods_without_a_field_are_left_alone(self, run, make):
        """And what the class holds is filled."""
        cls = client(make)

        async def law():
            for tree in (made(cls), [made(cls)]):
                await Resolver().resolve(tree)
            assert tree[0].item.name == "name 1"

        run(law)

    @every_kind
    @pytest.mark.parametrize(
        ("name", "member"),
        [
            ("resolve_base", lambda self: ""),
            ("post_base", lambda self: ""),
            ("post_default_handler", lambda self: None),
            ("resolve_more", lambda self, users=LoaderDepend(load_names): ""),
            ("post_more", lambda self, names=Collector("names"): ""),
            ("resolve_more", lambda self, ancestor_context: ""),
            ("resolve_more", mapper(str)(lambda self: "")),
            ("resolve_item", classmethod(lambda cls: None)),
            ("__pydantic_resolve_expose__", {"base": "base"}),
            ("__pydantic_resolve_collect__", {"base": "base"}),
        ],
        ids=[
            "resolve",
            "post",
            "final",
            "loader",
            "collector",
            "ancestors",
            "mapper",
            "classmethod",
            "exposes",
            "sends",
        ],
    )
    def test_one_sign_of_the_resolver_makes_the_others_misspelt(self, run, make, name, member):
        """With a message that names ignore."""
        problems = problems_of(run, made(client(make, **{name: member})))
        strays = [problem for problem in problems if ".resolve_url fills no field" in problem]
        assert len(strays) == 1
        assert strays[0].endswith(
            "if it is none of the resolver's, mark it or its class with dloader.resolver.ignore"
        )

    @pytest.mark.parametrize(
        "mark",
        [Load(load_names, by="id"), ExposeAs("name"), SendTo("name"), ExposeAs, LoaderDepend],
        ids=["Load", "ExposeAs", "SendTo", "class", "misplaced"],
    )
    def test_a_marker_is_a_sign(self, run, mark):
        """A mistaken one, too."""

        @dataclass
        class Data:
            id: int = 1
            name: Annotated[str, mark] = ""

            def post_json(self, body):
                raise AssertionError

        problems = problems_of(run, Data())
        assert any("post_json fills no field" in problem for problem in problems)

    def test_a_name_that_is_nearly_a_fields_is_misspelt(self, run):
        """If the resolver could call the method; one that takes arguments of its own is somebody else's."""

        class Misspelt(BaseModel):
            offices: list[int] = []

            def resolve_ofices(self):
                return [1]

        class Own(BaseModel):
            offices: list[int] = []

            def resolve_office(self, number):
                raise AssertionError

        async def law():
            assert (await Resolver().resolve(Own())).offices == []

        run(law)
        (problem,) = problems_of(run, Misspelt())
        assert "did you mean 'offices'?" in problem

    def test_a_base_class_may_have_methods_for_the_fields_of_others(self, run):
        """It is walked where a type names it."""

        class Named(BaseModel):
            id: int = 1

            def resolve_name(self):
                return f"name {self.id}"

        class User(Named):
            name: str = ""

        class Team(BaseModel):
            members: list[Named] = [User(), Named()]

        async def law():
            team = await Resolver().resolve(Team())
            assert team.members[0].name == "name 1"

        run(law)

    def test_a_field_is_no_method(self, run):
        """Whatever its name and default."""

        def never(*args):
            raise AssertionError

        @dataclass
        class Data:
            code: int = 1
            post_code: Any = never
            resolve_code: Any = field(default=never)

        class Model(BaseModel):
            code: int = 1

            @computed_field
            @property
            def post_code(self) -> str:
                return f"{self.code}"

        async def law():
            assert await Resolver().resolve(Data()) == Data()
            assert (await Resolver().resolve(Model())).model_dump() == {"code": 1, "post_code": "1"}

        run(law)


class TestIgnore:
    """`ignore` takes methods and classes out."""

    @every_kind
    def test_methods_that_are_ignored_are_not_called(self, run, make):
        """Not even for a field."""

        @ignore
        def never(self, *args):
            raise AssertionError

        cls = client(make, resolve_base=never, post_item=never, post_default_handler=never, resolve_x=never)

        async def law():
            assert (await Resolver().resolve(made(cls))).base == "there"

        run(law)

    @pytest.mark.parametrize(
        "wrap",
        [
            lambda function: ignore(property(function)),
            lambda function: property(ignore(function)),
            lambda function: ignore(functools.cached_property(function)),
            lambda function: functools.cached_property(ignore(function)),
            lambda function: ignore(classmethod(function)),
            lambda function: classmethod(ignore(function)),
            lambda function: ignore(staticmethod(function)),
            lambda function: ignore(functools.partialmethod(function, 1)),
            lambda function: ignore(functools.singledispatchmethod(function)),
            lambda function: ignore(functools.lru_cache(function)),
            lambda function: functools.lru_cache(ignore(function)),
            lambda function: functools.partialmethod(ignore(function), 1),
        ],
    )
    def test_what_is_no_plain_method_may_be_ignored(self, run, wrap):
        """Above or below the other decorator; without it, it is refused."""

        def resolve_name(self, *args):
            raise AssertionError

        cls = client(dataclass, resolve_base=wrap(resolve_name))

        async def law():
            assert (await Resolver().resolve(made(cls))).item.name == "name 1"

        run(law)
        refused = client(dataclass, resolve_base=property(lambda self: "never"))
        (problem, *_) = problems_of(run, made(refused))
        assert "resolve_base is no plain method" in problem
        assert problem.endswith("with dloader.resolver.ignore")

    def test_properties_of_all_kinds_are_refused(self, run):
        """They are read as attributes, and never called."""

        class Model(BaseModel):
            name: str = ""

            @functools.singledispatchmethod
            def resolve_name(self):
                return ""

            @functools.cached_property
            def post_name(self):
                return ""

        problems = problems_of(run, Model())
        assert [problem.split(" is no plain method")[0] for problem in problems] == [
            f"{Model.__qualname__}.resolve_name",
            f"{Model.__qualname__}.post_name",
        ]

    @every_kind
    def test_a_class_that_is_ignored_is_not_visited(self, run, make):
        """As a root or below, whatever is wrong with it; its subclasses are what they are themselves."""
        cls = ignore(client(make, resolve_base=lambda self: "never", post_item=lambda self, wrong: None))

        class Holder(BaseModel):
            client: Any = None
            clients: list[cls] = []
            item: Item = Item()

        class Sub(cls):
            def resolve_base(self):
                return "filled"

        if make is not as_model:
            Sub = (pydantic_dataclass if make is pydantic_dataclass else dataclass)(Sub)

        async def law():
            assert (await Resolver().resolve(made(cls))).base == "there"
            nodes = [made(cls), made(Sub)]
            holder = await Resolver().resolve(Holder.model_construct(clients=nodes, item=Item()))
            assert [node.base for node in nodes] == ["there", "filled"]
            assert [node.item.name for node in nodes] == ["", "name 1"]
            assert holder.item.name == "name 1"

        run(law)

    def test_the_order_of_decorators_does_not_matter(self, run):
        """A class made anew for its slots, and the classes of a generic one, are ignored too."""

        @dataclass(slots=True)
        @ignore
        class Slotted:
            name: str = ""

            def resolve_name(self):
                raise AssertionError

        @ignore
        class Page(BaseModel, Generic[T]):
            items: list[T] = []

            def resolve_items(self):
                raise AssertionError

        async def law():
            await Resolver().resolve([Slotted(), Page[int](), Page()])

        run(law)

    def test_what_cannot_be_read_can_be_ignored(self, run):
        """A class with types that exist for type checkers alone."""

        @ignore
        @dataclass
        class Data:
            value: "Nowhere" = None  # noqa: F821

        @dataclass
        class Holder:
            data: Data
            item: Item

        async def law():
            assert (await Resolver().resolve(Holder(Data(), Item()))).item.name == "name 1"

        run(law)

    def test_a_refused_class_can_be_ignored_afterwards(self, run):
        """It is read again."""

        class Model(BaseModel):
            name: str = ""

            def resolve_nothing(self):
                raise AssertionError

            def post_name(self):
                return ""

        (problem,) = problems_of(run, Model())
        assert "resolve_nothing fills no field" in problem
        ignore(Model.resolve_nothing)

        async def law():
            await Resolver().resolve(Model())

        run(law)

    @pytest.mark.parametrize(
        "target", [5, "resolve_url", None, int, object()], ids=["5", "str", "None", "int", "object"]
    )
    def test_other_things_cannot_be_ignored(self, target):
        """Nor classes that take no marks."""
        with pytest.raises(OptionError, match="ignore"):
            ignore(target)


class TestOverriding:
    """A field that is declared anew keeps its markers by saying so."""

    class Base(BaseModel):
        id: int = 1
        name: Annotated[str, Load(load_names, by="id"), ExposeAs("name")] = ""

    @dataclass
    class Data:
        id: int = 1
        name: Annotated[str, SendTo("name")] = ""

    def test_dropping_a_marker_in_silence_is_refused(self, run):
        """Each of them, at the class that drops it."""

        class Sub(self.Base):
            name: str | None = None

        class SubSub(Sub):
            other: int = 1

        @dataclass
        class SubData(self.Data):
            name: str = "given"

        problems = problems_of(run, [Sub(), SubSub(), SubData()])
        assert len(problems) == 3
        for problem, cls, kind in zip(
            problems, (Sub, Sub, SubData), ("Load", "ExposeAs", "SendTo"), strict=True
        ):
            assert problem.startswith(f"{cls.__qualname__}.name overrides {cls.__mro__[1].__qualname__}.name")
            assert f"drops its {kind}: repeat it, or write Annotated[..., ignore]" in problem

    def test_dropping_it_knowingly_is_not(self, run):
        """By ignore, by another marker, or by a method that fills the field."""

        class Given(self.Base):
            name: Annotated[str, ignore] = "given"

        class Again(self.Base):
            name: Annotated[str, Load(load_names, by="id")] = "again"

        @dataclass
        class DataAgain(self.Data):
            name: Annotated[str, ignore] = "given"

        class Loads(BaseModel):
            id: int = 1
            name: Annotated[str, Load(load_names, by="id")] = ""

        class ByMethod(Loads):
            name: str = ""

            def resolve_name(self):
                return "method"

        async def law():
            nodes = await Resolver().resolve([Given(), Again(), DataAgain(), ByMethod()])
            assert [node.name for node in nodes] == ["given", "name 1", "given", "method"]

        run(law)

    def test_generic_classes_are_no_overriding(self, run):
        """Nor are annotations of mixins that are no models."""

        class Mixin:
            name: Annotated[str, Load(load_names, by="id")]

        class Page(BaseModel, Generic[T]):
            id: int = 1
            items: Annotated[list[T], Load(lambda keys: load_lists(keys), by="id")] = []

        class Model(BaseModel, Mixin):
            id: int = 1
            name: str = "mine"

        async def load_lists(keys):
            return [[key] for key in keys]

        async def law():
            assert (await Resolver().resolve(Page[int]())).items == [1]
            assert (await Resolver().resolve(Model())).name == "mine"

        run(law)


class TestNames:
    """One name, one value."""

    def test_two_fields_cannot_be_exposed_under_one_name(self, run):
        """By markers, by the class's own attribute, or by both."""

        class Model(BaseModel):
            a: Annotated[int, ExposeAs("x")] = 1
            b: Annotated[int, ExposeAs("x"), ExposeAs("y")] = 1

        class Both(BaseModel):
            __pydantic_resolve_expose__ = {"a": "x", "b": "x"}
            a: Annotated[int, ExposeAs("x")] = 1
            b: int = 1

        for cls in (Model, Both):
            (problem,) = problems_of(run, cls())
            assert f"{cls.__qualname__}.b: ExposeAs('x') stands at 'a' too" in problem

    @pytest.mark.parametrize("make", [lambda: ExposeAs(5), lambda: SendTo(5), lambda: SendTo(("a", None))])
    def test_names_are_strings(self, make):
        """Said where they are written."""
        with pytest.raises(OptionError, match="takes a name, not"):
            make()
