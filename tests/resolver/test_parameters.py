"""Loader parameters: where they come from, which are refused, and loaders that were made beforehand or are shared."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import pytest
from pydantic import AfterValidator, BaseModel
from pydantic.dataclasses import dataclass as pydantic_dataclass
from resolving import Source, problems_of

from dloader import DataLoader, Instrument, LoaderParamError, LoaderRegistry, OptionError
from dloader.resolver import Load, LoaderDepend, Resolver, copy_dataloader_kls

if TYPE_CHECKING:
    from decimal import Decimal as Unknown

source = Source(str)


class Offices(DataLoader):
    status: str
    limit: int = 10

    async def batch_load_fn(self, keys):
        return [f"{self.status} {self.limit} {key}" for key in keys]


class Company(BaseModel):
    id: int
    offices: Annotated[str, Load(Offices, by="id")] = ""


class TestARegistry:
    def test_its_loader_gets_the_parameters_of_the_resolve(self, run):
        """One that was put in, and has loaded nothing yet."""

        async def law():
            async with LoaderRegistry() as registry:
                loader = registry.add(Offices, Offices())
                params = {Offices: {"status": "open", "limit": 3}}
                company = await Resolver(loader_params=params, registry=registry).resolve(Company(id=1))
                assert company.offices == "open 3 1"
                assert (loader.status, loader.limit) == ("open", 3)
                again = await Resolver(loader_params=params, registry=registry).resolve(Company(id=2))
                assert again.offices == "open 3 2"
                # who gives none takes what is there
                assert (await Resolver(registry=registry).resolve(Company(id=3))).offices == "open 3 3"

        run(law)

    def test_its_loader_is_not_served_with_other_parameters(self, run):
        """Those that were given, and defaults under which it has loaded."""

        async def law():
            async with LoaderRegistry() as registry:
                await Resolver(loader_params={Offices: {"status": "open"}}, registry=registry).resolve(
                    Company(id=1)
                )
                for given, texts in [
                    ({"status": "closed"}, ("status='open'", "status='closed'")),
                    ({"limit": 5}, ("limit=10", "limit=5")),
                ]:
                    with pytest.raises(LoaderParamError) as raised:
                        await Resolver(loader_params={Offices: given}, registry=registry).resolve(
                            Company(id=1)
                        )
                    assert all(text in str(raised.value) for text in texts)

        run(law)

    def test_its_loader_lacks_a_parameter(self, run):
        """As any other; the cure names the registry too."""

        async def law():
            async with LoaderRegistry() as registry:
                for _ in range(2):
                    with pytest.raises(
                        LoaderParamError, match=r"'status'.*LoaderRegistry\(params=.*loader_params="
                    ):
                        await Resolver(registry=registry).resolve(Company(id=1))
                    registry.add(Offices, Offices())

        run(law)

    def test_its_parameters_are_those_of_the_resolve(self, run):
        """The resolver needs none; what is given by hand later is the same loader."""

        async def law():
            params = {"status": "open", "nobody wants": 1}
            async with LoaderRegistry(params=params, loader_params={Offices: {"limit": 3}}) as registry:
                assert (await Resolver(registry=registry).resolve(Company(id=1))).offices == "open 3 1"
                assert registry.get(Offices).statistics.keys == 1
                assert await registry.get(Offices).load(1) == "open 3 1"

        run(law)

    def test_what_the_resolver_gives_beside_it_must_agree(self, run):
        """Before anything is loaded; and what the registry lacks the resolver may give."""

        async def law():
            async with LoaderRegistry(params={"status": "open"}) as registry:
                other = Resolver(global_loader_param={"status": "closed"}, registry=registry)
                with pytest.raises(LoaderParamError, match="status='open'.*status='closed'"):
                    await other.resolve(Company(id=1))
                assert Offices not in registry
                same = Resolver(
                    loader_params={Offices: {"status": "".join("open"), "limit": 4}}, registry=registry
                )
                assert (await same.resolve(Company(id=1))).offices == "open 4 1"
                with pytest.raises(LoaderParamError, match="status='open'.*status='closed'"):
                    await other.resolve(Company(id=1))

        run(law)

    def test_values_whose_equality_is_no_bool_are_compared_by_identity(self, run):
        """Arrays of NumPy, say."""

        class Array:
            def __eq__(self, other):
                return self

            def __bool__(self):
                raise ValueError("the truth value of an array is ambiguous")

            __hash__ = None

        class Rows(DataLoader):
            array: Array

            async def batch_load_fn(self, keys):
                return list(map(str, keys))

        class Node(BaseModel):
            id: int
            row: Annotated[str, Load(Rows, by="id")] = ""

        async def law():
            array = Array()
            async with LoaderRegistry(params={"array": array}) as registry:
                for _ in range(2):
                    resolver = Resolver(global_loader_param={"array": array}, registry=registry)
                    assert (await resolver.resolve(Node(id=1))).row == "1"
                with pytest.raises(LoaderParamError):
                    await Resolver(global_loader_param={"array": Array()}, registry=registry).resolve(
                        Node(id=2)
                    )

        run(law)

    def test_a_wrong_value_is_told_in_the_same_words(self, run):
        """By the registry, which found it first, and by the resolver."""

        class Strict(DataLoader):
            status: Literal["open", "closed"]
            limit: int = 1

            async def batch_load_fn(self, keys):
                return list(map(str, keys))

        class Node(BaseModel):
            id: int
            row: Annotated[str, Load(Strict, by="id")] = ""

        for given in ({"status": "oepn"}, {"status": "open", "limit": "many"}):
            problems = problems_of(run, Node(id=1), loader_params={Strict: given})
            with pytest.raises(LoaderParamError) as raised:
                LoaderRegistry(loader_params={Strict: given}).get(Strict)
            assert (str(raised.value),) == problems

    def test_its_loader_is_told_what_each_resolve_wants(self, run):
        """Beside what earlier ones wanted."""

        class One(BaseModel):
            id: int
            first: str = ""

        class Two(BaseModel):
            id: int
            second: str = ""

        class Rows(DataLoader):
            async def batch_load_fn(self, keys):
                return [{"id": key} for key in keys]

        class HasOne(BaseModel):
            id: int = 1
            one: Annotated[One | None, Load(Rows, by="id")] = None

        class HasTwo(BaseModel):
            id: int = 1
            two: Annotated[Two | None, Load(Rows, by="id")] = None

        async def law():
            async with LoaderRegistry() as registry:
                loader = registry.get(Rows)
                await Resolver(registry=registry).resolve(HasOne())
                assert loader.requested.types == (One,)
                await Resolver(registry=registry).resolve(HasTwo())
                assert loader.requested.types == (One, Two)
                await Resolver(registry=registry).resolve(HasOne())
                assert loader.requested.fields == ("id", "first", "second")
                assert loader._query_meta["fields"] == ["id", "first", "second"]

        run(law)


class TestLoaderParameters:
    def test_an_instance_has_its_own(self, run):
        """Given twice they would be dropped."""
        (problem,) = problems_of(
            run,
            Company(id=1),
            loader_instances={Offices: Offices()},
            loader_params={Offices: {"status": "open"}},
        )
        assert "parameters are given to the instance itself" in problem

    def test_none_may_overwrite_what_loaders_have(self, run):
        """Attributes of instances, methods and properties; options may be annotated anew."""

        class Bad(DataLoader):
            name: str
            load_fn: Any
            load: Any
            max_batch_size: int = 3

            async def batch_load_fn(self, keys):
                return keys

        class Model(BaseModel):
            id: int
            value: Annotated[int, Load(Bad, by="id")] = 0

        problems = problems_of(run, Model(id=1), loader_params={Bad: {"name": "x"}})
        assert sorted(problem.split()[0] for problem in problems) == ["Bad.load", "Bad.load_fn", "Bad.name"]

    def test_what_is_no_mapping_is_refused_at_once(self):
        """Naming the argument."""
        for arguments, text in [
            ({"loader_params": {Offices: 5}}, "loader_params: Offices"),
            ({"loader_params": [1]}, "loader_params"),
            ({"loader_instances": [1]}, "loader_instances"),
            ({"global_loader_param": ["status"]}, "global_loader_param"),
            ({"registry": 5}, "registry"),
        ]:
            with pytest.raises(OptionError, match=text):
                Resolver(**arguments)

    def test_one_resolver_may_serve_trees_without_the_parameter(self, run):
        """Alone, together, and where a class turns up; a near name that nobody gives is a slip."""

        class Tenants(DataLoader):
            tenant: int
            size: int = 5

            async def batch_load_fn(self, keys):
                return [self.tenant for _ in keys]

        class Has(BaseModel):
            id: int = 1
            value: Annotated[int, Load(Tenants, by="id")] = 0

        class Plain(BaseModel):
            id: int = 1
            value: Annotated[str, Load(source, by="id")] = ""

        class Empty(BaseModel):
            id: int = 1

        class Holds(BaseModel):
            below: list[BaseModel]

        async def law():
            for share in (True, False):
                resolver = Resolver(global_loader_param={"tenant": 9}, share=share)
                for root in (Plain(), Empty(), [], [Has(), Plain()], [Plain(), Has()]):
                    await resolver.resolve(root)
                holder = await resolver.resolve(Holds(below=[Plain(), Has()]))
                assert [node.value for node in holder.below] == ["1", 9]
            given = Resolver({Tenants: {"tenant": 3}}, {"tennant": 9})
            assert (await given.resolve(Has())).value == 3
            async with LoaderRegistry({"tenant": 4}) as registry:
                resolver = Resolver(global_loader_param={"tennant": 9}, registry=registry)
                assert (await resolver.resolve(Has())).value == 4
            for name in ("sizes", "tenant_id"):
                both = Resolver(global_loader_param={"tenant": 9, name: 1})
                assert (await both.resolve(Has())).value == 9

        run(law)
        for root in (Has(), [Plain(), Has()]):
            (problem,) = problems_of(run, root, global_loader_param={"tennant": 9})
            assert "no loader has a parameter 'tennant' (did you mean 'tenant'?)" in problem

    def test_a_field_in_the_place_of_a_loader(self, run):
        """Inside the class body its name means the field's default: the message says so."""

        class Model(BaseModel):
            people: list[int] = []

            def resolve_people(self, loader=LoaderDepend(["other"])):
                return []

        class Hides(BaseModel):
            name: str = "nobody"

            def resolve_name(self, loader=LoaderDepend("nobody")):
                return ""

        @dataclass
        class HidesToo:
            name: str = "nobody"
            other: list[int] = field(default_factory=list)

            def resolve_name(self, loader=LoaderDepend("nobody")):
                return ""

        for tree in (Hides(), HidesToo()):
            (problem,) = problems_of(run, tree)
            assert "name is the field" in problem
        assert "is the field" not in problems_of(run, Model())[0]


class Sized(DataLoader):
    """A loader with parameters: one inherited, one with a default, some that are none."""

    size: int
    unit: str = "m"
    known: ClassVar[int] = 3
    quoted: "ClassVar[int]" = 3
    unset: ClassVar[int]
    bare: ClassVar
    marked: Annotated[ClassVar[int], "marked"]
    unknown: "Unknown" = None
    batch: bool = True

    async def batch_load_fn(self, keys):
        return [f"{key} {self.size} {self.unit} {getattr(self, 'status', '')}".strip() for key in keys]


class Filtered(Sized):
    status: Literal["open", "closed"]


class Uses(BaseModel):
    id: int | None = 1
    name: Annotated[str, Load(Filtered, by="id")] = ""


class TestParameters:
    """`loader_params` and `global_loader_param`."""

    @pytest.mark.parametrize(
        ("params", "common", "text"),
        [
            (
                {Filtered: {"status": "oepn"}},
                None,
                "Filtered.status cannot be 'oepn': Input should be 'open' or 'closed'",
            ),
            (None, {"size": "many"}, "Filtered.size cannot be 'many'"),
            (
                {Filtered: {"statsu": "open"}},
                None,
                "Filtered has no parameter 'statsu' (did you mean 'status'?)",
            ),
            ({Filtered: {"known": 4}}, None, "Filtered has no parameter 'known'"),
            ({Filtered: {"quoted": 4}}, None, "Filtered has no parameter 'quoted'"),
            ({Filtered: {"batch": False}}, None, "Filtered has no parameter 'batch'"),
            ({Filtered: {"size": 1}}, {"size": 2}, "both set 'size' of Filtered"),
            (None, {"szie": 2}, "no loader has a parameter 'szie' (did you mean 'size'?)"),
        ],
    )
    def test_values_and_names_are_checked(self, run, params, common, text):
        """Against the annotations of the loader."""
        problems = problems_of(run, Uses(), loader_params=params, global_loader_param=common)
        assert [problem for problem in problems if text in problem]

    def test_they_reach_the_loader(self, run):
        """Own and inherited ones, from both arguments; a value of another type is converted, others are kept."""
        thing = object()

        class Things(DataLoader):
            size: int
            thing: "object"
            numbers: list[int]
            maybe: "Unknown"
            model: Uses

            async def batch_load_fn(self, keys):
                assert self.thing is thing
                assert self.numbers is numbers
                assert self.maybe == 5
                assert isinstance(self.model, Uses)
                return [self.size for _ in keys]

        numbers = [1, 2]

        class Other(BaseModel):
            id: int = 1
            size: Annotated[Any, Load(Things, by="id")] = None

        async def law():
            params = {
                Filtered: {"status": "open", "unit": "km"},
                Things: {"thing": thing, "numbers": numbers, "maybe": 5, "model": {"id": 3}},
            }
            resolver = Resolver(params, {"size": "7"})
            uses, other = await resolver.resolve([Uses(), Other()])
            assert (uses.name, other.size) == ("1 7 km open", 7)
            assert (await resolver.resolve(Uses(id=2))).name == "2 7 km open"

        run(law)

    def test_unused_branches_need_none(self, run):
        """A missing parameter is an error when the loader is first used."""

        class Branches(BaseModel):
            id: int = 1
            other: Annotated[str, Load(source, by="id")] = ""
            uses: Uses | None = None

        async def law():
            assert (await Resolver().resolve(Branches())).other == "1"
            assert (await Resolver().resolve(Uses(id=None))).name == ""
            with pytest.raises(LoaderParamError, match="parameters 'size', 'status' nobody gave"):
                await Resolver().resolve(Branches(uses=Uses()))
            with pytest.raises(LoaderParamError, match="parameter 'status' nobody gave"):
                await Resolver(global_loader_param={"size": 5}).resolve(Uses())

        run(law)

    def test_types_that_pydantic_cannot_check_are_taken_as_they_are(self, run):
        """A class of another library that forbids a schema."""

        class Odd:
            @classmethod
            def __get_pydantic_core_schema__(cls, source, handler):
                from pydantic import PydanticUserError

                raise PydanticUserError("no", code=None)

        class WithOdd(DataLoader):
            odd: Odd

            async def batch_load_fn(self, keys):
                return [self.odd for _ in keys]

        class Node(BaseModel):
            id: int = 1
            odd: Annotated[Any, Load(WithOdd, by="id")] = None

        async def law():
            assert (await Resolver({WithOdd: {"odd": 5}}).resolve(Node())).odd == 5

        run(law)

    def test_clones_differ_in_nothing_but_identity(self):
        """They are pickled and shown by their own name, and inherit everything."""
        Clone = copy_dataloader_kls("Clone", Filtered)
        assert (Clone.__name__, Clone.__qualname__, Clone.__module__) == ("Clone", "Clone", __name__)
        assert issubclass(Clone, Filtered)
        assert Clone.unit == "m"

    def test_a_loader_may_see_the_context(self, run):
        """Through a parameter named `_context`."""

        class Mine(DataLoader):
            _context: Mapping[str, Any]

            async def batch_load_fn(self, keys):
                return [self._context["user"] for _ in keys]

        class Node(BaseModel):
            id: int = 1
            user: Annotated[str, Load(Mine, by="id")] = ""

        async def law():
            assert (await Resolver(context={"user": "ann"}).resolve(Node())).user == "ann"
            with pytest.raises(LoaderParamError, match=r"or Resolver\(context=...\)"):
                await Resolver().resolve(Node())

        run(law)


class TestInstances:
    """Where loaders come from."""

    def test_a_registry_serves_and_keeps_them(self, run):
        """Between resolves, and beside loads made without a resolver; a loader made by the registry is used."""
        calls = []

        class Names(DataLoader):
            async def batch_load_fn(self, keys):
                calls.append(keys)
                return [str(key) for key in keys]

        class Node(BaseModel):
            id: int
            name: Annotated[str, Load(Names, by="id")] = ""

        async def law():
            async with LoaderRegistry() as registry:
                assert await registry.get(Names).load(1) == "1"
                await Resolver(registry=registry).resolve([Node(id=1), Node(id=2)])
                await Resolver(registry=registry).resolve([Node(id=1), Node(id=2)])
            assert calls == [[1], [2]]
            assert registry.find(Names).closed

        run(law)

    def test_instances_and_cache_are_by_object(self, run):
        """`loader_instances` wins over the registry; the cache shows who served."""
        mine = DataLoader(source)

        class Node(BaseModel):
            id: int = 1
            name: Annotated[str, Load(source, by="id")] = ""

        async def law():
            resolver = Resolver(loader_instances={source: mine}, registry=LoaderRegistry())
            await resolver.resolve(Node())
            assert resolver.loader_instance_cache == {source: mine}
            assert "source" in repr(resolver)
            empty = Resolver()
            await empty.resolve([])
            assert repr(empty.loader_instance_cache) == "no loaders"

        run(law)

    def test_instruments_watch_the_loaders_that_are_made(self, run):
        """One object for all of them."""
        seen = []

        class Watch(Instrument):
            def batch_started(self, batch):
                seen.append((batch.loader.name, batch.keys))

        class Node(BaseModel):
            id: int = 1
            name: Annotated[str, Load(source, by="id")] = ""

        async def law():
            await Resolver(instruments=[Watch()]).resolve(Node())

        run(law)
        assert seen == [("source", (1,))]


class TestParametersOfManyKinds:
    """A parameter is what the class annotates, whatever else sets it."""

    def test_a_type_with_a_configuration_of_its_own_is_checked(self, run):
        """A Pydantic dataclass, say."""

        @pydantic_dataclass(config={"strict": False})
        class Window:
            first: int

        class Reader(DataLoader):
            window: Window

            async def batch_load_fn(self, keys):
                return [f"{self.window.first + 1}" for _ in keys]

        class Model(BaseModel):
            id: int = 1
            name: Annotated[str, Load(Reader, by="id")] = ""

        async def law():
            params = {Reader: {"window": {"first": "4"}}}
            assert (await Resolver(loader_params=params).resolve(Model())).name == "5"

        run(law)
        (problem,) = problems_of(run, Model(), loader_params={Reader: {"window": {"first": "x"}}})
        assert "loader parameter Reader.window cannot be" in problem

    def test_a_value_is_checked_once_for_all_trees_of_a_resolver(self, run):
        checked = []

        class Reader(DataLoader):
            size: Annotated[int, AfterValidator(lambda size: checked.append(size) or size)]

            async def batch_load_fn(self, keys):
                return [str(self.size) for _ in keys]

        class Model(BaseModel):
            id: int = 1
            name: Annotated[str, Load(Reader, by="id")] = ""

        class Other(Model):
            other: Annotated[str, Load(Reader, by="id")] = ""

        async def law():
            resolver = Resolver(loader_params={Reader: {"size": "2"}})
            for tree in (Model(), Other(), [Model()], Model()):
                await resolver.resolve(tree)

        run(law)
        assert checked == [2]

    def test_what_a_loader_sets_itself_is_overwritten(self, run):
        """It is a default, made late."""

        class Reader(DataLoader):
            size: int

            def __init__(self):
                super().__init__()
                self.size = 1

            async def batch_load_fn(self, keys):
                return [str(self.size) for _ in keys]

        class Model(BaseModel):
            id: int = 1
            name: Annotated[str, Load(Reader, by="id")] = ""

        async def law():
            assert (await Resolver().resolve(Model())).name == "1"
            assert (await Resolver(loader_params={Reader: {"size": 2}}).resolve(Model())).name == "2"

        run(law)

    def test_an_equal_parameter_is_the_same_to_a_registry(self, run):
        """Another object of the same value."""

        class Reader(DataLoader):
            size: str

            async def batch_load_fn(self, keys):
                return [self.size for _ in keys]

        class Model(BaseModel):
            id: int = 1
            name: Annotated[str, Load(Reader, by="id")] = ""

        async def law():
            async with LoaderRegistry() as registry:
                for letters in (["a", "b"], ["a", "b"]):
                    resolver = Resolver(loader_params={Reader: {"size": "".join(letters)}}, registry=registry)
                    assert (await resolver.resolve(Model())).name == "ab"

        run(law)

    def test_context_is_spoken_of_only_where_a_loader_wants_it(self, run):
        """In the message about a missing parameter."""

        class Reader(DataLoader):
            size: int

            async def batch_load_fn(self, keys):
                return keys

        class Asking(Reader):
            _context: dict

        class Model(BaseModel):
            id: int = 1
            name: Annotated[str, Load(Reader, by="id")] = ""

        class Other(BaseModel):
            id: int = 1
            name: Annotated[str, Load(Asking, by="id")] = ""

        async def law():
            for model, is_wanted in ((Model(), False), (Other(), True)):
                with pytest.raises(LoaderParamError) as caught:
                    await Resolver().resolve(model)
                assert ("Resolver(context=...)" in str(caught.value)) is is_wanted

        run(law)
